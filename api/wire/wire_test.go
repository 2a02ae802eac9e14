package wire_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"tutti/api"
	"tutti/api/wire"
	"tutti/bus"
	"tutti/errs"
)

// What the client encodes, the gateway decodes: every parameter of every method.
func TestEveryMethodMakesTheTrip(t *testing.T) {
	t.Parallel()
	for _, m := range api.Methods {
		i := m.Info()
		if i.HTTP == "" {
			continue
		}
		r, err := wire.New(i)
		if err != nil {
			t.Error(err)
			continue
		}
		in := r.In()
		for _, p := range r.Params {
			text := "a/b c?d=ä%" + p.Name
			switch p.Of(in).Interface().(type) {
			case int, int64:
				text = "42"
			case bool:
				text = "true"
			case api.Duration:
				text = "1h30m"
			case time.Time:
				text = "2026-11-28T09:00:00.000001Z"
			}
			if p.In == "header" {
				text = "key-1"
			}
			if err := p.Set(in, text); err != nil {
				t.Errorf("%s: Set(%s, %q) = %v", i.Name, p.Name, text, err)
			}
		}
		req, err := r.Request(t.Context(), "http://server", in)
		if err != nil {
			t.Errorf("%s: Request = %v", i.Name, err)
			continue
		}
		got := r.In()
		var wrong []errs.Problem
		mux := http.NewServeMux()
		mux.HandleFunc(i.HTTP, func(_ http.ResponseWriter, req *http.Request) {
			wrong = r.Decode(req, got)
			if r.Body != nil {
				if err := json.NewDecoder(req.Body).Decode(r.BodyOf(got).Addr().Interface()); err != nil {
					t.Errorf("%s: body: %v", i.Name, err)
				}
			}
		})
		w := httptest.NewRecorder()
		mux.ServeHTTP(w, req)
		if w.Code != 200 || len(wrong) > 0 {
			t.Errorf("%s: %s = %d, %v", i.Name, req.URL, w.Code, wrong)
		}
		if diff := cmp.Diff(plain(t, in), plain(t, got)); diff != "" {
			t.Errorf("%s: what arrives differs from what was sent (-sent +arrived):\n%s", i.Name, diff)
		}
	}
}

// plain returns v as JSON values, in which nothing and null are the same.
func plain(t *testing.T, v reflect.Value) (out any) {
	t.Helper()
	b, err := json.Marshal(v.Interface())
	if err == nil {
		err = json.Unmarshal(b, &out)
	}
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestNewRefuses(t *testing.T) {
	t.Parallel()
	type named struct {
		ID string `path:"id"`
	}
	type bodied struct{ Body struct{} }
	type list struct {
		X []string `query:"x"`
	}
	for _, tc := range []struct {
		m    bus.Declared
		want string
	}{
		{bus.Method[api.Nothing, api.Nothing]{Name: "x"}, "no route"},
		{bus.Method[api.Nothing, api.Nothing]{Name: "x", HTTP: "GET"}, "no route"},
		{bus.Method[string, api.Nothing]{Name: "x", HTTP: "GET /x"}, "not a struct"},
		{bus.Method[api.Nothing, api.Nothing]{Name: "x", HTTP: "GET /x/{id}"}, `path:"id"`},
		{bus.Method[named, api.Nothing]{Name: "x", HTTP: "GET /x"}, "{id}"},
		{bus.Method[bodied, api.Nothing]{Name: "x", HTTP: "GET /x"}, "no body"},
		{bus.Method[list, api.Nothing]{Name: "x", HTTP: "GET /x"}, "cannot be a query parameter"},
	} {
		if _, err := wire.New(tc.m.Info()); err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("New(%+v) = %v; want an error about %s", tc.m.Info(), err, tc.want)
		}
	}
}

// Fields that no tag names do not travel: they are for callers inside.
func TestUntaggedFieldsStay(t *testing.T) {
	t.Parallel()
	r, err := wire.New(api.Logout.Info())
	if err != nil {
		t.Fatal(err)
	}
	req, err := r.Request(t.Context(), "http://server/", reflect.ValueOf(&api.LogoutIn{Secret: "hush"}))
	if err != nil || req.Body != nil || strings.Contains(req.URL.String(), "hush") || req.URL.String() != "http://server/v1/logout" {
		t.Errorf("Request = %v, %v; want it without the secret", req, err)
	}
}
