package httptask_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"tutti/internal/netguard"
	"tutti/internal/task/httptask"
	"tutti/internal/task/tasktest"
	"tutti/sdk"
)

// server answers by path, and returns the type that may call it.
func server(t *testing.T) (string, sdk.TaskType) {
	t.Helper()
	mux := http.NewServeMux()
	mux.HandleFunc("/echo", func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Set-Cookie", "session=1")
		_ = json.NewEncoder(w).Encode(map[string]any{"method": r.Method, "query": r.URL.RawQuery, "body": string(body),
			"type": r.Header.Get("Content-Type"), "key": r.Header.Get("Idempotency-Key"), "trace": r.Header.Get("Traceparent"), "x": r.Header.Get("X-Own")})
	})
	mux.HandleFunc("/status/{code}", func(w http.ResponseWriter, r *http.Request) {
		var code int
		_, _ = fmt.Sscan(r.PathValue("code"), &code)
		w.Header().Set("Retry-After", "7")
		w.WriteHeader(code)
		fmt.Fprint(w, "so it is\nand more")
	})
	mux.HandleFunc("/number", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/vnd.x+json")
		fmt.Fprint(w, `{"n":12345678901234567}`)
	})
	mux.HandleFunc("/text", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "plain <text>") })
	mux.HandleFunc("/nothing", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(204) })
	mux.HandleFunc("/broken", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprint(w, `{"n":`)
	})
	mux.HandleFunc("/binary", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte{0xff, 0xfe, 0}) })
	mux.HandleFunc("/large", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(bytes.Repeat([]byte("x"), 4<<20+1)) })
	mux.HandleFunc("/slow", func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	mux.HandleFunc("/away", func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "http://169.254.169.254/meta", http.StatusFound)
	})
	s := httptest.NewServer(mux)
	t.Cleanup(s.Close)
	guard, err := netguard.Parse([]string{s.Listener.Addr().String()})
	if err != nil {
		t.Fatal(err)
	}
	return s.URL, httptask.New(guard)
}

func TestSuite(t *testing.T) {
	t.Parallel()
	url, typ := server(t)
	m := func(more ...any) map[string]any {
		out := map[string]any{"url": url + "/echo"}
		for i := 0; i < len(more); i += 2 {
			out[more[i].(string)] = more[i+1]
		}
		return out
	}
	tasktest.Run(t, typ, tasktest.Cases{
		Good: []tasktest.Case{{With: m()}, {With: m("body", map[string]int{"a": 1}, "method", nil)}},
		Bad: []tasktest.Case{
			{With: map[string]any{}}, {With: m("url", "")}, {With: m("url", "ftp://x/")}, {With: m("url", "https:///x")}, {With: m("url", "http://a:b@c/")}, {With: m("url", "::")},
			{With: m("method", "BREW")}, {With: m("headers", map[string]string{"Host": "x"})}, {With: m("headers", map[string]string{"a b": "x"})},
			{With: m("headers", map[string]string{"X-A": "a\r\nX-B: b"})}, {With: m("headers", map[string]int{"a": 1})},
			{With: m("expect", []string{"20x"})}, {With: m("expect", []any{[]int{200}})}, {With: m("query", map[string]any{"a": map[string]int{}})}, {With: m("timeout", "soon")},
		},
		Slow: []tasktest.Case{{With: m("url", url+"/slow", "timeout", "10m")}},
	})
}

func TestRequest(t *testing.T) {
	t.Parallel()
	url, typ := server(t)
	for _, c := range []struct {
		name string
		with map[string]any
		want map[string]any
	}{
		{"plain", map[string]any{}, map[string]any{"method": "GET", "query": "", "body": "", "type": "", "x": ""}},
		{"JSON", map[string]any{"body": []any{1, "<"}}, map[string]any{"method": "POST", "query": "", "body": `[1,"\u003c"]`, "type": "application/json", "x": ""}},
		{"text", map[string]any{"body": "a <b>", "method": "PUT"}, map[string]any{"method": "PUT", "query": "", "body": "a <b>", "type": "text/plain; charset=utf-8", "x": ""}},
		{"form", map[string]any{"body": "a=1", "headers": map[string]string{"content-type": "application/x-www-form-urlencoded", "X-Own": "ü"}},
			map[string]any{"method": "POST", "query": "", "body": "a=1", "type": "application/x-www-form-urlencoded", "x": "ü"}},
		{"query", map[string]any{"query": map[string]any{"a": []any{1, true}, "b": "c&d"}}, map[string]any{"method": "GET", "query": "a=1&a=true&b=c%26d", "body": "", "type": "", "x": ""}},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.with["url"] = url + "/echo"
			a := tasktest.NewTry(t, typ, c.with)
			var out struct {
				Status  int
				Headers map[string]string
				Body    map[string]any
			}
			a.Out(t.Context(), t, typ, &out)
			trace, _ := out.Body["trace"].(string)
			if out.Body["key"] != a.Key || !strings.HasPrefix(trace, "00-"+a.Trace+"-") || len(trace) != 55 {
				t.Errorf("key %v and traceparent %q; want those of the task", out.Body["key"], trace)
			}
			if _, ok := out.Headers["Set-Cookie"]; ok || out.Status != 200 {
				t.Errorf("status %d, headers %v; want 200 without cookies", out.Status, out.Headers)
			}
			delete(out.Body, "key")
			delete(out.Body, "trace")
			if diff := cmp.Diff(c.want, out.Body); diff != "" {
				t.Errorf("request (-want +got):\n%s", diff)
			}
		})
	}
}

func TestAnswer(t *testing.T) {
	t.Parallel()
	url, typ := server(t)
	for path, want := range map[string]string{"/number": `{"n":12345678901234567}`, "/text": `"plain \u003ctext\u003e"`, "/nothing": "null"} {
		var out struct{ Body json.RawMessage }
		tasktest.NewTry(t, typ, map[string]any{"url": url + path}).Out(t.Context(), t, typ, &out)
		if string(out.Body) != want {
			t.Errorf("body of %s = %s; want %s", path, out.Body, want)
		}
	}
	for _, expect := range [][]any{{404}, {"404"}, {"400-404"}, {"2xx", "4xx"}} {
		tasktest.NewTry(t, typ, map[string]any{"url": url + "/status/404", "expect": expect}).Out(t.Context(), t, typ, nil)
	}
}

func TestFailures(t *testing.T) {
	t.Parallel()
	url, typ := server(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	gone := l.Addr().String()
	l.Close()
	guard, err := netguard.Parse([]string{gone})
	if err != nil {
		t.Fatal(err)
	}
	refused := httptask.New(guard)
	if f := tasktest.NewTry(t, refused, map[string]any{"url": "http://" + gone}).Fails(t.Context(), t, refused); f.Type != "http.connect" || !f.Retryable || !strings.Contains(f.Message, "refused") {
		t.Errorf("failure = %+v; want a refused connection", f)
	}
	_, closed := server(t)
	for _, c := range []struct {
		with  map[string]any
		typ   string
		again bool
		says  string
	}{
		{map[string]any{"url": url + "/status/404?token=hush"}, "http.status", false, "GET " + url + "/status/404?… answered 404 Not Found: so it is"},
		{map[string]any{"url": url + "/status/408"}, "http.status", true, "408"},
		{map[string]any{"url": url + "/status/429"}, "http.status", true, "429"},
		{map[string]any{"url": url + "/status/503"}, "http.status", true, "503"},
		{map[string]any{"url": url + "/text", "expect": []any{201}}, "http.status", false, "200"},
		{map[string]any{"url": url + "/broken"}, "http.body", false, "not JSON"},
		{map[string]any{"url": url + "/binary"}, "http.body", false, "not text"},
		{map[string]any{"url": url + "/large"}, "http.body", false, "larger than"},
		{map[string]any{"url": url + "/slow?token=hush", "timeout": "50ms"}, "http.connect", true, "no complete answer within 50ms"},
		{map[string]any{"url": url + "/away"}, "http.denied", false, "169.254.169.254"},
		{map[string]any{"url": "http://127.0.0.1:1/?token=hush"}, "http.denied", false, "127.0.0.1"},
		{map[string]any{"url": "http://[::ffff:169.254.169.254]/"}, "http.denied", false, "169.254.169.254"},
		{map[string]any{"url": "http://no-such-host.invalid/?token=hush"}, "http.connect", true, "no-such-host"},
	} {
		a := tasktest.NewTry(t, typ, c.with)
		f := a.Fails(t.Context(), t, typ)
		tasktest.Declared(t, typ, f)
		if f.Type != c.typ || f.Retryable != c.again || !strings.Contains(f.Message, c.says) {
			t.Errorf("%v = %+v; want %s, retryable %t, that says %q", c.with, f, c.typ, c.again, c.says)
		}
		if all := fmt.Sprint(f, a.Logged("log")); strings.Contains(all, "hush") {
			t.Errorf("%v: the query leaked: %s", c.with, all)
		}
	}
	f := tasktest.NewTry(t, closed, map[string]any{"url": url + "/text"}).Fails(t.Context(), t, closed)
	if f.Type != "http.denied" || !strings.Contains(f.Hint, netguard.Setting) {
		t.Errorf("failure = %+v; want denied, with the setting", f)
	}
	f = tasktest.NewTry(t, typ, map[string]any{"url": url + "/status/503"}).Fails(t.Context(), t, typ)
	if f.Details["status"] != 503 || f.Details["retryAfter"] != "7" || f.Details["body"] != "so it is\nand more" {
		t.Errorf("details = %v", f.Details)
	}
}
