package sdk_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"tutti/api"
	"tutti/errs"
	"tutti/sdk"
)

func serve(t *testing.T, h http.HandlerFunc) *httptest.Server {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return s
}

func dial(t *testing.T, c sdk.Config) *sdk.Client {
	t.Helper()
	client, err := sdk.New(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	return client
}

func TestNewRefuses(t *testing.T) {
	t.Parallel()
	empty := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(empty, []byte("nothing"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []sdk.Config{
		{Server: "tutti.example"}, {Server: "ftp://tutti.example"}, {Server: "http://"}, {Server: "http://a b"}, {Server: "http://user:password@host"},
		{Server: "http://host?x=1"}, {Token: "two lines\nlong"}, {CA: "/nowhere/ca.pem"}, {CA: empty},
	} {
		if _, err := sdk.New(c); !errs.Is(err, errs.Invalid) {
			t.Errorf("New(%+v) = %v; want invalid", c, err)
		}
	}
}

func TestCallSendsWhatTheMethodSays(t *testing.T) {
	t.Parallel()
	var got *http.Request
	var body []byte
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		got = r.Clone(context.Background())
		body, _ = io.ReadAll(r.Body)
		fmt.Fprint(w, `{"id":"run_1","state":"pending"}`)
	})
	c := dial(t, sdk.Config{Server: s.URL + "/", Token: "tutti_x", Namespace: "prod"})
	run, err := sdk.Call(t.Context(), c, api.StartRun, api.StartRunIn{Wait: api.Duration(5 * time.Second), Body: api.StartRunBody{Workflow: "vm"}})
	if err != nil || run.ID != "run_1" {
		t.Fatalf("Call = %+v, %v", run, err)
	}
	if got.Method != "POST" || got.URL.Path != "/v1/namespaces/prod/runs" || got.URL.RawQuery != "wait=5s" || string(body) != `{"workflow":"vm"}` ||
		got.Header.Get("Authorization") != "Bearer tutti_x" || got.Header.Get("Content-Type") != "application/json" {
		t.Errorf("the server got %s %s %v %s", got.Method, got.URL, got.Header, body)
	}
	if got.Header.Get("Idempotency-Key") == "" {
		t.Error("the call has no idempotency key, so that it cannot be repeated")
	}
	if _, err := sdk.Call(t.Context(), c, api.GetDefinition, api.GetDefinitionIn{NS: api.NS{Namespace: "other"}, Kind: "a/b", Name: "x y?"}); err != nil {
		t.Fatal(err)
	}
	if got.URL.EscapedPath() != "/v1/namespaces/other/definitions/a%2Fb/x%20y%3F" || got.URL.RawQuery != "" {
		t.Errorf("the server got %s; want the path escaped", got.URL)
	}
	for _, name := range []string{"", ".", ".."} {
		if _, err := sdk.Call(t.Context(), c, api.GetDefinition, api.GetDefinitionIn{Kind: "Workflow", Name: name}); !errs.Is(err, errs.Invalid) {
			t.Errorf("Call with the name %q = %v; want invalid", name, err)
		}
	}
	if _, err := sdk.Call(t.Context(), c, api.Authenticate, api.AuthenticateIn{}); !errs.Is(err, errs.Invalid) {
		t.Errorf("Call of a method without a route = %v; want invalid", err)
	}
}

func TestErrors(t *testing.T) {
	t.Parallel()
	var status int
	var header http.Header
	var text string
	s := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		for k, v := range header {
			w.Header()[k] = v
		}
		w.WriteHeader(status)
		fmt.Fprint(w, text)
	})
	c := dial(t, sdk.Config{Server: s.URL, Tries: 1})
	for _, tc := range []struct {
		status int
		text   string
		want   errs.Kind
	}{
		{422, `{"kind":"invalid","detail":"bad","hint":"mend it","problems":[{"location":"body.x","message":"missing"}]}`, errs.Invalid},
		{400, `{"kind":"invalid","detail":"bad"}`, errs.Invalid},
		{409, `{"kind":"conflict","detail":"taken"}`, errs.Conflict},
		{500, `{"kind":"internal","detail":"internal error","trace":"abc"}`, errs.Internal},
		{429, `{"kind":"limited","detail":"slow down"}`, errs.Limited},
		{401, `<html>`, errs.Unauthenticated},
		{404, `not here`, errs.NotFound},
		{502, `<html>`, errs.Unavailable},
		{504, ``, errs.Unavailable},
		{302, ``, errs.Invalid},
		{418, `{}`, errs.Invalid},
		{500, `{"kind":""}`, errs.Internal},
		{200, `<html>`, errs.Unavailable},
	} {
		status, text, header = tc.status, tc.text, http.Header{"Retry-After": {"7"}, "Location": {"http://elsewhere.example/"}}
		_, err := sdk.Call(t.Context(), c, api.WhoAmI, api.Nothing{})
		e, ok := errors.AsType[*errs.Error](err)
		if !ok || e.Kind != tc.want {
			t.Errorf("an answer %d %s = %v; want kind %q", tc.status, tc.text, err, tc.want)
			continue
		}
		if tc.status == 422 && (e.Hint != "mend it" || len(e.Problems) != 1 || e.Problems[0].Location != "body.x" || e.Msg != "bad") {
			t.Errorf("error = %+v; want what the document says", e)
		}
		if tc.status == 429 && e.Retry != 7*time.Second {
			t.Errorf("Retry = %v; want 7s", e.Retry)
		}
	}
}

func TestServerThatIsNotThere(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := "http://" + l.Addr().String()
	l.Close()
	c := dial(t, sdk.Config{Server: address, Tries: 2})
	_, err = sdk.Call(t.Context(), c, api.WhoAmI, api.Nothing{})
	e, ok := errors.AsType[*errs.Error](err)
	if !ok || e.Kind != errs.Unavailable || !strings.Contains(e.Hint, address) || !strings.Contains(e.Msg, "refused") {
		t.Errorf("Call = %v (%+v); want unavailable with a hint that names %s", err, e, address)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := sdk.Call(ctx, c, api.WhoAmI, api.Nothing{}); !errors.Is(err, context.Canceled) {
		t.Errorf("Call with an ended context = %v; want its error", err)
	}
}

// flaky answers well after a number of failures.
func flaky(t *testing.T, failures int64, fail func(w http.ResponseWriter)) (c *sdk.Client, calls *atomic.Int64, keys map[string]bool) {
	calls, keys = new(atomic.Int64), map[string]bool{}
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		keys[r.Header.Get("Idempotency-Key")] = true
		if calls.Add(1) <= failures {
			fail(w)
			return
		}
		fmt.Fprint(w, "{}")
	})
	return dial(t, sdk.Config{Server: s.URL}), calls, keys
}

func reset(w http.ResponseWriter) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err == nil {
		_ = conn.(*net.TCPConn).SetLinger(0)
		_ = conn.Close()
	}
}

func TestRetries(t *testing.T) {
	t.Parallel()
	down := func(w http.ResponseWriter) { w.WriteHeader(http.StatusServiceUnavailable) }
	for name, fail := range map[string]func(http.ResponseWriter){"503": down, "reset": reset, "502": func(w http.ResponseWriter) { w.WriteHeader(502) }} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c, calls, _ := flaky(t, 2, fail)
			if _, err := sdk.Call(t.Context(), c, api.GetRun, api.GetRunIn{ID: "run_1"}); err != nil || calls.Load() != 3 {
				t.Errorf("GET = %v after %d calls; want success after 3", err, calls.Load())
			}
			c, calls, keys := flaky(t, 2, fail)
			if _, err := sdk.Call(t.Context(), c, api.StartRun, api.StartRunIn{Body: api.StartRunBody{Workflow: "vm"}}); err != nil || calls.Load() != 3 || len(keys) != 1 {
				t.Errorf("POST with a key = %v after %d calls with keys %v; want success after 3 with one", err, calls.Load(), keys)
			}
			// Nothing says that this one was not carried out.
			c, calls, _ = flaky(t, 2, fail)
			if _, err := sdk.Call(t.Context(), c, api.CreateToken, api.CreateTokenIn{Body: api.CreateTokenBody{Name: "x"}}); !errs.Is(err, errs.Unavailable) || calls.Load() != 1 {
				t.Errorf("POST without a key = %v after %d calls; want unavailable after 1", err, calls.Load())
			}
			c, calls, _ = flaky(t, 100, fail)
			if _, err := sdk.Call(t.Context(), c, api.GetRun, api.GetRunIn{ID: "run_1"}); !errs.Is(err, errs.Unavailable) || calls.Load() != 4 {
				t.Errorf("GET of a server that stays away = %v after %d calls; want unavailable after 4", err, calls.Load())
			}
		})
	}
	c, calls, _ := flaky(t, 1, func(w http.ResponseWriter) { w.WriteHeader(409) })
	if _, err := sdk.Call(t.Context(), c, api.GetRun, api.GetRunIn{ID: "run_1"}); !errs.Is(err, errs.Conflict) || calls.Load() != 1 {
		t.Errorf("a conflict = %v after %d calls; want it returned at once", err, calls.Load())
	}
}

func TestStreamOutlivesItsConnections(t *testing.T) {
	t.Parallel()
	var connections atomic.Int64
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		n := connections.Add(1)
		if n == 2 {
			w.WriteHeader(http.StatusBadGateway)
			return
		}
		from := 0
		_, _ = fmt.Sscanf(r.URL.Query().Get("after"), "c%d", &from)
		w.Header().Set("Content-Type", "text/event-stream")
		for i := from + 1; i <= from+3; i++ {
			fmt.Fprintf(w, ": still here\n\nid: c%d\nevent: run\ndata: {\"topic\":\"run:run_1\",\ndata: \"data\":{\"seq\":%d}}\n\n", i, i)
		}
		_ = http.NewResponseController(w).Flush()
		if n == 1 {
			fmt.Fprint(w, "id: c9\nevent: run\ndata: {\"half") // and is cut off
			reset(w)
		}
		if n == 4 {
			fmt.Fprintf(w, "id: c%d\nevent: end\ndata: {\"topic\":\"run:run_1\",\"data\":null}\n\n", from+3)
		}
	})
	var lost atomic.Int64
	c := dial(t, sdk.Config{Server: s.URL, Lost: func(error) { lost.Add(1) }})
	var got []string
	for e, err := range c.Stream(t.Context(), []string{"run:run_1"}, "") {
		if err != nil {
			t.Fatal(err)
		}
		var d struct{ Seq int }
		if err := json.Unmarshal(e.Data, &d); err != nil {
			t.Fatal(err)
		}
		got = append(got, fmt.Sprintf("%s %s %d", e.Cursor, e.Type, d.Seq))
	}
	if want := "c1 run 1,c2 run 2,c3 run 3,c4 run 4,c5 run 5,c6 run 6,c7 run 7,c8 run 8,c9 run 9,c9 end 0"; strings.Join(got, ",") != want {
		t.Errorf("got %v; want %v", got, want)
	}
	if lost.Load() != 3 {
		t.Errorf("Lost was called %d times; want 3", lost.Load())
	}
}

func TestStreamEndsForGood(t *testing.T) {
	t.Parallel()
	for name, h := range map[string]http.HandlerFunc{
		"refused":  func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusForbidden) },
		"no event": func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "<html>") },
		"revoked": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/event-stream")
			fmt.Fprint(w, "event: error\ndata: {\"kind\":\"denied\",\"detail\":\"no more\"}\n\n")
		},
	} {
		n := 0
		for _, err := range dial(t, sdk.Config{Server: serve(t, h).URL}).Stream(t.Context(), []string{"events"}, "") {
			if n++; err == nil || errs.Is(err, errs.Unavailable) {
				t.Errorf("%s: %v; want an error that lasts", name, err)
			}
		}
		if n != 1 {
			t.Errorf("%s: %d elements; want the error alone", name, n)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	hang := serve(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		_ = http.NewResponseController(w).Flush()
		cancel()
		<-r.Context().Done()
	})
	for e, err := range dial(t, sdk.Config{Server: hang.URL}).Stream(ctx, []string{"events"}, "") {
		t.Errorf("a stream whose context ended gave %v, %v", e, err)
	}
}

func TestRaw(t *testing.T) {
	t.Parallel()
	s := serve(t, func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, r.Header.Get("Authorization"), r.URL) })
	c := dial(t, sdk.Config{Server: s.URL, Token: "x"})
	resp, err := c.Raw(t.Context(), "GET", "/v1/runs?a=b", nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if b, _ := io.ReadAll(resp.Body); string(b) != "Bearer x/v1/runs?a=b" {
		t.Errorf("Raw reached %s", b)
	}
	if _, err := c.Raw(t.Context(), "GET", "@evil.example/", nil, nil); !errs.Is(err, errs.Invalid) {
		t.Errorf("Raw with a path that would change the host = %v; want invalid", err)
	}
}
