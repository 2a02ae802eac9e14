package httptask_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"tutti/internal/netguard"
	"tutti/internal/task"
	"tutti/internal/task/httptask"
	"tutti/internal/task/tasktest"
)

// api is a server with what REST APIs have, and the driver that may call it.
type api struct {
	url    string
	driver task.Driver
	jobs   atomic.Int64 // made by POST /jobs
	asked  atomic.Int64 // how often a job was looked at
	down   atomic.Bool  // jobs answer 503
}

func newAPI(t *testing.T) *api {
	t.Helper()
	a := &api{}
	mux := http.NewServeMux()
	answer := func(w http.ResponseWriter, status int, v any) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		_ = json.NewEncoder(w).Encode(v)
	}
	mux.HandleFunc("/echo/", func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		answer(w, 200, map[string]any{"method": r.Method, "path": r.URL.EscapedPath(), "query": r.URL.RawQuery, "body": string(body),
			"type": r.Header.Get("Content-Type"), "auth": r.Header.Get("Authorization"), "x": r.Header.Values("X-Own")})
	})
	mux.HandleFunc("POST /jobs", func(w http.ResponseWriter, _ *http.Request) {
		a.jobs.Add(1)
		w.Header().Set("Location", "/jobs/7")
		answer(w, 202, map[string]any{"id": 7})
	})
	mux.HandleFunc("GET /jobs/{id}", func(w http.ResponseWriter, r *http.Request) {
		n := a.asked.Add(1)
		switch {
		case a.down.Load() || n == 1:
			answer(w, 503, "not now")
		case n < 4 || r.PathValue("id") == "never":
			answer(w, 200, map[string]any{"state": "running"})
		default:
			answer(w, 200, map[string]any{"state": "done", "result": r.PathValue("id")})
		}
	})
	mux.HandleFunc("/teapot", func(w http.ResponseWriter, _ *http.Request) {
		answer(w, 418, map[string]any{"error": map[string]any{"code": "SHORT", "text": "short and ${{ with.x }}"}})
	})
	mux.HandleFunc("/slow", func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	mux.HandleFunc("/large", func(w http.ResponseWriter, _ *http.Request) {
		answer(w, 200, map[string]any{"items": []any{strings.Repeat("x", 3<<20)}, "next": fmt.Sprintf("/large?%d", a.asked.Add(1))})
	})
	mux.HandleFunc("/pages/{how}", func(w http.ResponseWriter, r *http.Request) {
		q := r.URL.Query()
		var n int
		_, _ = fmt.Sscan(q.Get("n"), &n)
		out := map[string]any{"items": []any{n*10 + 1, n*10 + 2}}
		how := r.PathValue("how")
		switch {
		case how == "circle":
			out["next"] = "/pages/circle?n=0"
		case how == "away":
			out["next"] = "http://169.254.169.254/pages"
		case how == "endless":
			out["next"], out["cursor"] = fmt.Sprint("/pages/endless?n=", n+1), fmt.Sprint(n+1)
		case n < 2:
			out["next"], out["cursor"] = fmt.Sprint("?n=", n+1), fmt.Sprint(n+1)
			w.Header().Set("Link", fmt.Sprintf(`</pages/x?n=9>; rel="last", </pages/x?n=%d>; title="a, b"; rel="next"`, n+1))
		case how == "numbered" && n > 2:
			out["items"] = []any{}
		}
		answer(w, 200, out)
	})
	s := httptest.NewServer(mux)
	t.Cleanup(s.Close)
	guard, err := netguard.Parse([]string{s.Listener.Addr().String()})
	if err != nil {
		t.Fatal(err)
	}
	a.url, a.driver = s.URL, httptask.NewREST(guard)
	return a
}

// text puts the address of the server into a document.
func (a *api) text(doc string) string {
	return "name: test.call\nerrors: {test.short: it is short}\n" + strings.ReplaceAll(doc, "API", a.url)
}

const echo = `
with:
  type: object
  additionalProperties: false
  required: [id]
  properties:
    id: {type: string, description: Which}
    note: {type: string, description: A note}
    token: {type: string, default: none, description: A token}
    base: {type: string, description: A server}
out: {type: object}
rest:
  method: PUT
  url: API/echo/${{ with.id }}/x?v=${{ with.id }}
  headers: {Authorization: "Bearer ${{ with.token }}", X-Own: "${{ with.note }}"}
  query: {note: "${{ with.note }}", fixed: 1}
  body: {id: "${{ with.id }}", note: "${{ with.note }}", list: [{note: "${{ with.note }}"}], keep: null}
`

func TestRESTSuite(t *testing.T) {
	t.Parallel()
	a := newAPI(t)
	typ := tasktest.Declare(t, a.driver, a.text(echo))
	tasktest.Run(t, typ, tasktest.Cases{
		Good: []tasktest.Case{{With: map[string]any{"id": "$KEY", "note": "n"}}, {With: map[string]any{"id": "1", "note": nil}}},
		Bad: []tasktest.Case{{With: map[string]any{}}, {With: map[string]any{"id": 1}}, {With: map[string]any{"id": ".."}}, {With: map[string]any{"id": ""}},
			{With: map[string]any{"id": "1", "note": "a\r\nX-Evil: 1"}}},
	})
	slow := tasktest.Declare(t, a.driver, a.text("with: {type: object, additionalProperties: false}\nrest: {url: API/slow, timeout: 10m}"))
	tasktest.Run(t, slow, tasktest.Cases{Slow: []tasktest.Case{{With: map[string]any{}}}})
	poll := tasktest.Declare(t, a.driver, a.text("with: {type: object, additionalProperties: false}\nrest: {url: API/jobs/never, poll: {until: 'response.body.state == \"done\"', max: 1h}}"))
	a.asked.Store(1)
	tasktest.Run(t, poll, tasktest.Cases{Slow: []tasktest.Case{{With: map[string]any{}}}})
}

// What comes in is data: it is escaped where it stands in a URL, and never evaluated.
func TestRESTInjection(t *testing.T) {
	t.Parallel()
	a := newAPI(t)
	typ := tasktest.Declare(t, a.driver, a.text(echo))
	const evil = `../../jobs?x=1#${{ with.token }} "}`
	var got struct{ Method, Path, Query, Body, Type, Auth string }
	tasktest.NewTry(t, typ, map[string]any{"id": evil, "token": "geheim"}).Out(t.Context(), t, typ, &got)
	if want := "/echo/..%2F..%2Fjobs%3Fx=1%23$%7B%7B%20with.token%20%7D%7D%20%22%7D/x"; got.Path != want {
		t.Errorf("path = %s; want %s", got.Path, want)
	}
	if want := "fixed=1&v=..%2F..%2Fjobs%3Fx%3D1%23%24%7B%7B+with.token+%7D%7D+%22%7D"; got.Query != want {
		t.Errorf("query = %s; want %s", got.Query, want)
	}
	var body map[string]any
	if err := json.Unmarshal([]byte(got.Body), &body); err != nil || body["id"] != evil {
		t.Errorf("body = %s, %v; want the text as it is", got.Body, err)
	}
	if _, there := body["keep"]; !there || len(body) != 3 {
		t.Errorf("body = %s; want no note, and the null that was written", got.Body)
	}
	if got.Method != "PUT" || got.Auth != "Bearer geheim" || got.Type != "application/json" {
		t.Errorf("got = %+v", got)
	}
	// Nor is what a server answers.
	typ = tasktest.Declare(t, a.driver, a.text(`rest: {url: API/teapot, expect: [418], out: {text: "${{ response.body.error.text }}", url: "$${{ x }}"}}`))
	var out struct{ Text, URL string }
	tasktest.NewTry(t, typ, map[string]any{"x": "evaluated"}).Out(t.Context(), t, typ, &out)
	if out.Text != "short and ${{ with.x }}" || out.URL != "${{ x }}" {
		t.Errorf("out = %+v; want the text as it is", out)
	}
	// A base URL is one, and nothing more.
	typ = tasktest.Declare(t, a.driver, a.text("rest: {url: '${{ with.base }}/echo/${{ with.id }}'}"))
	for base, want := range map[string]string{a.url + "/echo/": "/echo/echo/1", a.url: "/echo/1"} {
		tasktest.NewTry(t, typ, map[string]any{"base": base, "id": 1}).Out(t.Context(), t, typ, &got)
		if got.Path != want {
			t.Errorf("path with the base %s = %s; want %s", base, got.Path, want)
		}
	}
	for _, base := range []string{"", "file:///etc", a.url + "/?x=", a.url + "/#", "http://u:p@h/", "//h/x"} {
		if f := tasktest.NewTry(t, typ, map[string]any{"base": base, "id": 1}).Fails(t.Context(), t, typ); f.Type != "invalid" {
			t.Errorf("base %q = %+v; want it refused", base, f)
		}
	}
}

func TestRESTForm(t *testing.T) {
	t.Parallel()
	a := newAPI(t)
	typ := tasktest.Declare(t, a.driver, a.text(`rest: {url: API/echo/, form: {a: "${{ with.a }}", l: [1, x], n: "${{ with.n }}"}}`))
	var got struct{ Method, Body, Type string }
	tasktest.NewTry(t, typ, map[string]any{"a": "1&b=2"}).Out(t.Context(), t, typ, &got)
	if got.Method != "POST" || got.Body != "a=1%26b%3D2&l=1&l=x" || got.Type != "application/x-www-form-urlencoded" {
		t.Errorf("got = %+v", got)
	}
}

func TestRESTFailures(t *testing.T) {
	t.Parallel()
	a := newAPI(t)
	for _, c := range []struct{ doc, typ, message string }{
		{`rest: {url: API/teapot}`, "http.status", "418"},
		{`rest: {url: API/teapot, fail: [{if: response.status == 404, type: invalid}, {if: 'response.body.error.code == "SHORT"', type: test.short, message: "it says ${{ response.body.error.text }}", retryable: true}]}`,
			"test.short", "it says short and ${{ with.x }}"},
		{`rest: {url: API/teapot, fail: [{if: response.status, type: test.short}]}`, "http.template", ""},
		{`rest: {url: API/teapot, expect: ["4xx"], assert: [{that: response.body.error.code == "TALL"}]}`, "http.assert", "TALL"},
		{`rest: {url: API/teapot, expect: ["4xx"], out: "${{ response.body.nothing.there }}"}`, "http.template", "null"},
		{`rest: {url: API/teapot, expect: ["4xx"]}` + "\nout: {type: object, required: [id]}", "output", "id"},
		{`rest: {url: API/large}`, "", ""},
		{`rest: {url: "API/large", pages: {items: response.body.items, next: response.body.next}}`, "http.pages", "MiB"},
		{`rest: {url: "API/pages/circle", pages: {items: response.body.items, next: response.body.next}}`, "http.pages", "circle"},
		{`rest: {url: "API/pages/away", pages: {items: response.body.items, next: response.body.next}}`, "http.pages", "169.254.169.254"},
		{`rest: {url: "API/pages/endless", pages: {items: response.body.items, next: response.body.next, limit: 7}}`, "http.pages", "7 pages"},
		{`rest: {url: "API/pages/endless", query: {n: "${{ page.cursor }}"}, pages: {items: response.body.items, cursor: response.body.cursor}}`, "http.pages", "100 pages"},
		{`rest: {url: "API/pages/x", pages: {items: response.body, link: true}}`, "http.pages", "no list"},
		{`rest: {url: API/jobs/never, expect: [200, 503], poll: {until: 'response.body.state == "done"', every: 100ms, max: 300ms}}`, "http.poll", "300ms"},
		{`rest: {url: "http://169.254.169.254/meta"}`, "http.denied", ""},
		{`rest: {url: "http://${{ with.x }}/meta"}`, "invalid", "host"},
	} {
		typ := tasktest.Declare(t, a.driver, a.text(c.doc))
		try := tasktest.NewTry(t, typ, map[string]any{"x": "evil.example/a@b"})
		if c.typ == "" {
			try.Out(t.Context(), t, typ, nil)
			continue
		}
		f := try.Fails(t.Context(), t, typ)
		if f.Type != c.typ || !strings.Contains(f.Message, c.message) {
			t.Errorf("%s fails with %s: %s; want %s: %s", c.doc, f.Type, f.Message, c.typ, c.message)
		}
		tasktest.Declared(t, typ, f)
	}
}

func TestRESTPages(t *testing.T) {
	t.Parallel()
	a := newAPI(t)
	for _, doc := range []string{
		`rest: {url: "API/pages/x", pages: {items: response.body.items, link: true}}`,
		`rest: {url: "API/pages/x", pages: {items: response.body.items, next: response.body.next}}`,
		`rest: {url: "API/pages/x", query: {n: "${{ page.cursor }}"}, pages: {items: response.body.items, cursor: response.body.cursor}}`,
		`rest: {url: "API/pages/numbered", query: {n: "${{ page.number }}"}, pages: {items: response.body.items, number: 0}, out: "${{ items }}"}`,
	} {
		typ := tasktest.Declare(t, a.driver, a.text(doc))
		var got []int
		tasktest.NewTry(t, typ, nil).Out(t.Context(), t, typ, &got)
		if fmt.Sprint(got) != "[1 2 11 12 21 22]" {
			t.Errorf("%s = %v; want three pages of two", doc, got)
		}
	}
}

// A poll looks at what the first call began, and another attempt does not begin it again.
func TestRESTPoll(t *testing.T) {
	t.Parallel()
	a := newAPI(t)
	typ := tasktest.Declare(t, a.driver, a.text(`
rest:
  method: POST
  url: API/jobs
  expect: [200, 202]
  poll: {url: "API/jobs/${{ started.body.id }}", until: 'response.body.state == "done"', every: 100ms, max: 20s}
  assert: [{that: response.body.result == "7"}]
  out: {id: "${{ started.body.id }}", result: "${{ response.body.result }}", where: "${{ started.headers.location }}"}
`))
	a.down.Store(true)
	one := tasktest.NewTry(t, typ, nil)
	if f := one.Fails(t.Context(), t, typ); f.Type != "http.status" || !f.Retryable {
		t.Fatalf("while the server is down it fails with %+v; want an http.status worth another attempt", f)
	}
	a.down.Store(false)
	a.asked.Store(0)
	var out struct {
		ID            int
		Result, Where string
	}
	again := one.Again()
	again.Out(t.Context(), t, typ, &out)
	if out.ID != 7 || out.Result != "7" || out.Where != "/jobs/7" || a.jobs.Load() != 1 {
		t.Errorf("out = %+v after %d jobs; want that of the one job", out, a.jobs.Load())
	}
	typ = tasktest.Declare(t, a.driver, a.text(`rest: {method: POST, url: API/jobs, poll: {url: "${{ started.headers.location }}", until: 'response.body.state == "done"', every: 100ms}}`))
	tasktest.NewTry(t, typ, nil).Out(t.Context(), t, typ, nil)
	typ = tasktest.Declare(t, a.driver, a.text(`rest: {method: POST, url: API/jobs, poll: {url: "${{ 'http://169.254.169.254/' + string(started.body.id) }}", until: "true", every: 100ms}}`))
	if f := tasktest.NewTry(t, typ, nil).Fails(t.Context(), t, typ); f.Type != "http.poll" {
		t.Errorf("a poll that leads away fails with %+v; want http.poll", f)
	}
}

func TestRESTRefused(t *testing.T) {
	t.Parallel()
	a := newAPI(t)
	for doc, want := range map[string]string{
		`rest: {}`:                                            "url",
		`rest: {url: API, method: BREW}`:                      "method",
		`rest: {url: "ftp://x/"}`:                             "https://host/path",
		`rest: {url: "${{ with.x }}.example.org/"}`:           "begin with /",
		`rest: {url: "htt${{ with.x }}://h/"}`:                "scheme",
		`rest: {url: "https://h/${{ with.x"}`:                 "never closed",
		`rest: {url: "https://h/${{ secrets.x }}"}`:           "no secrets of its own",
		`rest: {url: "https://h/${{ response.body }}"}`:       "there is no response here",
		`rest: {url: "https://h/", out: "${{ respose }}"}`:    "did you mean response?",
		`rest: {url: "https://h/", out: "${{ response.x }}"}`: "there is no response.x here",
		"with: {type: object, additionalProperties: false, properties: {name: {}}}\nrest: {url: 'https://h/${{ with.nam }}'}": "did you mean with.name?",
		`rest: {url: "https://h/", headers: {Host: x}}`:                                                                       "belongs to the connection",
		`rest: {url: "https://h/", fail: [{if: "true", type: test.shrt}]}`:                                                    "did you mean test.short?",
		`rest: {url: "https://h/", method: POST, poll: {until: "true"}}`:                                                      "give poll.url",
		`rest: {url: "https://h/", poll: {until: "${{ true }}"}}`:                                                             "leave ${{ }} out",
		`rest: {url: "https://h/", poll: {until: "true", every: 1ms}}`:                                                        "between 100ms",
		`rest: {url: "https://h/", poll: {until: "true"}, pages: {items: "[]", link: true}}`:                                  "cannot both",
		`rest: {url: "https://h/", pages: {items: "[]"}}`:                                                                     "link",
		`rest: {url: "https://h/", body: 1, form: {}}`:                                                                        "send one of them",
		`rest: {url: "https://h/", expect: [seven]}`:                                                                          "no status",
		`rest: {url: "https://h/", timeout: 1d}`:                                                                              "between 1s and 1h",
		"with: {type: nonsense}\nrest: {url: 'https://h/'}":                                                                   "JSON Schema",
		"perm: everything\nrest: {url: 'https://h/'}":                                                                         "perm",
		"exec: {}": "exactly one of rest",
	} {
		tasktest.Refuses(t, a.driver, a.text(doc), want)
	}
}
