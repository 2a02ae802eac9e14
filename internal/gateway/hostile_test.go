package gateway

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"tutti/api"
)

func TestHostileRequests(t *testing.T) {
	t.Parallel()
	w := setup(t)
	const (
		ns    = "/v1/namespaces/default"
		runs  = ns + "/runs"
		apply = ns + "/definitions"
		ok    = `{"workflow":"vm"}`
	)
	deep := strings.Repeat(`{"inputs":`, 70) + "1" + strings.Repeat("}", 70)
	for name, tc := range map[string]struct {
		method, path, token, body string
		headers                   []string
		want                      int
		says                      string // in the problem document
	}{
		"a good call":                     {"POST", runs, anna, ok, nil, 201, ""},
		"a good call with JSON by name":   {"POST", runs, anna, ok, []string{"Content-Type", "application/merge-patch+json; charset=utf-8"}, 201, ""},
		"no body where all is optional":   {"POST", runs + "/run_1/cancel", anna, "", nil, 200, ""},
		"malformed JSON":                  {"POST", runs, anna, "{\n  \"workflow\": vm}", nil, 400, "line 2, column 15"},
		"JSON and more":                   {"POST", runs, anna, ok + ok, nil, 400, "not JSON"},
		"half of JSON":                    {"POST", runs, anna, `{"workflow":`, nil, 400, "not JSON"},
		"not UTF-8":                       {"POST", runs, anna, "{\"workflow\":\"\xff\"}", nil, 400, "UTF-8"},
		"a name twice":                    {"POST", runs, anna, `{"workflow":"a","workflow":"b"}`, nil, 400, `\"workflow\" twice`},
		"a name twice, escaped":           {"POST", runs, anna, `{"workflow":"a","work\u0066low":"b"}`, nil, 400, "twice"},
		"a name twice, deep":              {"POST", runs, anna, `{"workflow":"a","inputs":[{"x":[{}],"x":2}]}`, nil, 400, "twice"},
		"another case":                    {"POST", runs, anna, `{"workflow":"a","WorkFlow":"b"}`, nil, 422, "body.WorkFlow"},
		"deep nesting":                    {"POST", runs, anna, deep, nil, 400, "deeper"},
		"deep nesting that is no JSON":    {"POST", runs, anna, strings.Repeat("[", 500_000), nil, 400, "deeper"},
		"a number beyond all":             {"POST", runs, anna, `{"workflow":"a","inputs":1e999}`, nil, 422, "too large"},
		"an unknown field":                {"POST", runs, anna, `{"workflow":"vm","inptus":{}}`, nil, 422, "did you mean inputs?"},
		"an unknown field inside":         {"POST", apply, anna, `{"files":[{"name":"a","text":"b","x":1}]}`, nil, 422, "body.files[0].x"},
		"a namespace in the body":         {"POST", runs, anna, `{"workflow":"vm","namespace":"elsewhere"}`, nil, 422, "body.namespace"},
		"a field of the input around":     {"POST", runs, anna, `{"workflow":"vm","Body":{}}`, nil, 422, "body.Body"},
		"an array":                        {"POST", runs, anna, `[]`, nil, 422, "expected object"},
		"null":                            {"POST", runs, anna, `null`, nil, 422, "expected object"},
		"null for an array":               {"POST", apply, anna, `{"files":null}`, nil, 422, "expected array"},
		"the wrong type":                  {"POST", runs, anna, `{"workflow":7}`, nil, 422, "body.workflow"},
		"too long a text":                 {"POST", runs, anna, `{"workflow":"a","title":"` + strings.Repeat("x", 201) + `"}`, nil, 422, "body.title"},
		"what is required is missing":     {"POST", "/v1/tokens", anna, `{}`, nil, 422, "body.name"},
		"no duration":                     {"POST", "/v1/tokens", anna, `{"name":"a","expires":"soon"}`, nil, 422, "not a duration"},
		"no time":                         {"POST", ns + "/attempts/t/log", worker, `{"lines":[{"seq":1,"text":"a","at":"2026-13-45T99:00:00Z"}]}`, nil, 422, "lines[0].at"},
		"no value of a list":              {"POST", "/v1/users", anna, `{"name":"bob","password":"long enough it is","grants":[{"namespace":"default","role":"god"}]}`, nil, 422, "body.grants[0].role"},
		"everything at once":              {"POST", "/v1/users", anna, `{"name":"BOB","password":"short","x":1}`, nil, 422, "3 things"},
		"a large body":                    {"POST", runs, anna, `{"definition":"` + strings.Repeat("x", 1<<20) + `"}`, nil, 413, "1048576"},
		"a large definition":              {"POST", apply, anna, `{"files":[{"name":"a","text":"` + strings.Repeat("x", 1<<20) + `"}],"dryRun":true}`, nil, 200, ""},
		"a larger definition":             {"POST", apply, anna, `{"files":[{"name":"a","text":"` + strings.Repeat("x", 17<<20) + `"}]}`, nil, 413, ""},
		"a form":                          {"POST", runs, anna, "workflow=vm", []string{"Content-Type", "application/x-www-form-urlencoded"}, 415, "application/json"},
		"text":                            {"POST", runs, anna, ok, []string{"Content-Type", "text/plain"}, 415, ""},
		"no content type that is one":     {"POST", runs, anna, ok, []string{"Content-Type", ";;"}, 415, ""},
		"a wait":                          {"GET", runs + "/run_1?wait=60s", anna, "", nil, 200, ""},
		"a long wait":                     {"GET", runs + "/run_1?wait=61s", anna, "", nil, 422, "query.wait"},
		"a wait that is none":             {"GET", runs + "/run_1?wait=-1s", anna, "", nil, 422, "not a duration"},
		"a worker's long wait":            {"POST", ns + "/pools/default/poll", worker, `{"worker":"w","max":1,"wait":"2m"}`, nil, 422, "body.wait"},
		"a limit over all":                {"GET", runs + "?limit=1001", anna, "", nil, 422, "query.limit"},
		"a limit below all":               {"GET", runs + "?limit=-1", anna, "", nil, 422, "query.limit"},
		"a limit that is none":            {"GET", runs + "?limit=ten", anna, "", nil, 422, "whole number"},
		"a number beyond int64":           {"GET", runs + "/run_1/events?after=9223372036854775808", anna, "", nil, 422, "query.after"},
		"a parameter twice":               {"GET", runs + "?state=failed&state=pending", anna, "", nil, 422, "more than once"},
		"a state that there is not":       {"GET", runs + "?state=done", anna, "", nil, 422, "query.state"},
		"a namespace that there is not":   {"GET", "/v1/namespaces/nowhere/runs", root, "", nil, 404, "no namespace"},
		"writing where there is nothing":  {"POST", "/v1/namespaces/nowhere/runs", root, ok, nil, 404, "no namespace"},
		"a namespace that there is":       {"POST", runs, root, ok, nil, 201, ""},
		"an unknown parameter":            {"GET", runs + "?stat=failed", anna, "", nil, 422, "known are limit"},
		"a broken query":                  {"GET", runs + "?limit=%zz", anna, "", nil, 422, "malformed"},
		"what is required in the query":   {"GET", ns + "/search", anna, "", nil, 422, "query.id"},
		"a long cursor":                   {"GET", runs + "?cursor=" + strings.Repeat("x", 201), anna, "", nil, 422, "query.cursor"},
		"a long key":                      {"POST", runs, anna, ok, []string{"Idempotency-Key", strings.Repeat("k", 201)}, 422, "header.Idempotency-Key"},
		"a key where there is none":       {"POST", runs + "/run_1/cancel", anna, "{}", []string{"Idempotency-Key", "k"}, 200, ""},
		"a namespace that is none":        {"GET", "/v1/namespaces/No!/runs", anna, "", nil, 422, "path.namespace"},
		"a namespace of others":           {"GET", "/v1/namespaces/elsewhere/runs", anna, "", nil, 404, "no namespace"},
		"a namespace of nobody":           {"GET", "/v1/namespaces/nowhere/runs", anna, "", nil, 404, "no namespace"},
		"every namespace":                 {"GET", "/v1/namespaces/*/runs", anna, "", nil, 404, ""},
		"a foreigner":                     {"POST", runs, foreign, ok, nil, 404, "no namespace"},
		"a foreigner's stream":            {"GET", ns + "/stream?topic=events", foreign, "", nil, 404, ""},
		"a foreigner's upload":            {"POST", ns + "/files", foreign, "x", nil, 404, ""},
		"who may only read":               {"POST", runs, reader, ok, nil, 403, "run.start"},
		"an upload of who may only read":  {"POST", ns + "/files", reader, "x", nil, 403, "file.write"},
		"a worker reading":                {"GET", runs, worker, "", nil, 403, ""},
		"a worker's stream":               {"GET", ns + "/stream?topic=events", worker, "", nil, 403, ""},
		"users of all":                    {"GET", "/v1/users", anna, "", nil, 403, "every namespace"},
		"no address":                      {"GET", "/v1/nothing", anna, "", nil, 404, "openapi.json"},
		"no address at all":               {"GET", "/admin.php", "", "", nil, 404, "/v1"},
		"the wrong method":                {"PUT", runs, anna, ok, nil, 405, "GET, HEAD, POST"},
		"the wrong method of a page":      {"DELETE", "/", "", "", nil, 405, "GET, HEAD"},
		"a path that climbs":              {"GET", "/v1/namespaces/default/../../../etc/passwd", anna, "", nil, 404, ""},
		"an internal method":              {"POST", "/rpc.identity.authenticate", anna, `{}`, nil, 404, ""},
		"another scheme":                  {"GET", "/v1/whoami", "", "", []string{"Authorization", "Basic YTpi"}, 401, "Bearer"},
		"no token":                        {"GET", "/v1/whoami", "", "", []string{"Authorization", "Bearer "}, 401, ""},
		"a long token":                    {"GET", "/v1/whoami", strings.Repeat("x", 10_000), "", nil, 401, ""},
		"a long cookie":                   {"GET", "/v1/whoami", "", "", []string{"Cookie", cookieName + "=" + strings.Repeat("x", 10_000)}, 401, ""},
		"a token as a cookie":             {"GET", "/v1/whoami", "", "", []string{"Cookie", cookieName + "=" + reader}, 401, "session"},
		"a bad token and a good cookie":   {"GET", "/v1/whoami", "bad", "", []string{"Cookie", cookieName + "=" + anna}, 401, ""},
		"who it came from, said by it":    {"GET", "/v1/whoami", anna, "", []string{"X-Forwarded-For", "10.0.0.1", "X-Real-Ip", "10.0.0.1"}, 200, ""},
		"a stream of nothing":             {"GET", ns + "/stream", anna, "", nil, 422, "topics"},
		"a stream of what is none":        {"GET", ns + "/stream?topic=secrets:all", anna, "", nil, 422, "no topic"},
		"a stream of too much":            {"GET", ns + "/stream?" + strings.Repeat("topic=run:x&", 21), anna, "", nil, 422, "20"},
		"a stream twice":                  {"GET", ns + "/stream?topic=events&topic=events", anna, "", nil, 422, "twice"},
		"a stream from nowhere":           {"GET", ns + "/stream?topic=events&after=AAAA", anna, "", nil, 422, "cursor"},
		"a stream from no number":         {"GET", ns + "/stream?topic=run:x@-5", anna, "", nil, 422, "number"},
		"a stream's unknown parameter":    {"GET", ns + "/stream?topic=events&since=1", anna, "", nil, 422, "query.since"},
		"a secret of the wrong form":      {"PUT", ns + "/secrets/UPPER", anna, `{"value":"x"}`, nil, 422, "path.name"},
		"a bootstrap that is incomplete":  {"POST", "/v1/bootstrap", "", `{"token":"x"}`, nil, 422, "body.password"},
		"a login from another site":       {"POST", "/v1/login", "", `{"user":"a","password":"b"}`, []string{"Sec-Fetch-Site", "cross-site"}, 403, "another site"},
		"a login from another origin":     {"POST", "/v1/login", "", `{"user":"a","password":"b"}`, []string{"Origin", "https://evil.example"}, 403, "another site"},
		"a multipart upload without file": {"POST", ns + "/files", anna, "--x\r\n\r\n--x--", []string{"Content-Type", "multipart/form-data; boundary=x"}, 422, "no file"},
		"a multipart upload that is none": {"POST", ns + "/files", anna, "nonsense", []string{"Content-Type", "multipart/form-data; boundary=x"}, 400, "malformed"},
		"a form without boundary":         {"POST", ns + "/files", anna, "nonsense", []string{"Content-Type", "multipart/form-data"}, 400, "boundary"},
		"a large file":                    {"POST", ns + "/files", anna, strings.Repeat("x", 1<<20+1), nil, 413, "1048576"},
		"a larger file":                   {"POST", ns + "/files", anna, strings.Repeat("x", 2<<20), nil, 413, "1048576"},
	} {
		t.Run(name, func(t *testing.T) {
			rec := w.do(tc.method, tc.path, tc.token, tc.body, tc.headers...)
			if rec.Code != tc.want {
				t.Fatalf("%s %.80s = %d %.300s; want %d", tc.method, tc.path, rec.Code, rec.Body, tc.want)
			}
			if rec.Code < 400 {
				return
			}
			p := problemOf(t, rec)
			if !strings.Contains(rec.Body.String(), tc.says) {
				t.Errorf("%s %.80s = %+v; want it to say %q", tc.method, tc.path, p, tc.says)
			}
			if len(rec.Body.Bytes()) > 8<<10 {
				t.Errorf("the answer has %d bytes; want it short", rec.Body.Len())
			}
			if rec.Code == 405 && rec.Header().Get("Allow") == "" {
				t.Error("405 without Allow")
			}
		})
	}
}

func TestManyProblemsAreCutShort(t *testing.T) {
	t.Parallel()
	w := setup(t)
	body := strings.Builder{}
	body.WriteString(`{"files":[`)
	for range 20_000 {
		body.WriteString(`{"q":1},`)
	}
	body.WriteString(`{}]}`)
	p := problemOf(t, w.do("POST", "/v1/namespaces/default/definitions", anna, body.String()))
	if len(p.Problems) != maxProblems+1 {
		t.Errorf("%d problems were told; want %d and how many more", len(p.Problems), maxProblems)
	}
}

// A page of another site can make a browser send the cookie, but not say that it was ours.
func TestCrossSiteRequests(t *testing.T) {
	t.Parallel()
	w := setup(t)
	for _, tc := range []struct {
		name    string
		method  string
		headers []string
		want    int
	}{
		{"our page", "POST", []string{"Sec-Fetch-Site", "same-origin"}, 201},
		{"our page, in an old browser", "POST", []string{"Origin", "http://tutti.example:8080"}, 201},
		{"our page behind a proxy with TLS", "POST", []string{"Origin", "https://tutti.example:8080"}, 201},
		{"another site", "POST", []string{"Sec-Fetch-Site", "cross-site"}, 403},
		{"another site that says it is ours", "POST", []string{"Sec-Fetch-Site", "cross-site", "Origin", "http://tutti.example:8080"}, 403},
		{"a sibling", "POST", []string{"Sec-Fetch-Site", "same-site"}, 403},
		{"the address bar", "POST", []string{"Sec-Fetch-Site", "none"}, 403},
		{"another origin", "POST", []string{"Origin", "http://evil.example"}, 403},
		{"another port", "POST", []string{"Origin", "http://tutti.example:9090"}, 403},
		{"no origin that tells", "POST", []string{"Origin", "null"}, 403},
		{"no origin", "POST", nil, 403},
		{"reading from another site", "GET", []string{"Sec-Fetch-Site", "cross-site"}, 200},
	} {
		headers := append([]string{"Cookie", cookieName + "=" + anna, "Host", "tutti.example:8080"}, tc.headers...)
		body := `{"workflow":"vm"}`
		if tc.method == "GET" {
			body = ""
		}
		if rec := w.do(tc.method, "/v1/namespaces/default/runs", "", body, headers...); rec.Code != tc.want {
			t.Errorf("%s: %s = %d %s; want %d", tc.name, tc.method, rec.Code, rec.Body, tc.want)
		}
	}
	// A token in the header is sent by programs alone.
	if rec := w.do("POST", "/v1/namespaces/default/runs", anna, `{"workflow":"vm"}`, "Origin", "http://evil.example"); rec.Code != 201 {
		t.Errorf("a token with an origin = %d; want 201", rec.Code)
	}
}

func TestSessionCookie(t *testing.T) {
	t.Parallel()
	w := setup(t)
	rec := w.do("POST", "/v1/login", "", `{"user":"anna","password":"correct horse"}`)
	cookies := rec.Result().Cookies()
	if rec.Code != 200 || len(cookies) != 1 {
		t.Fatalf("login = %d with cookies %v; want one", rec.Code, cookies)
	}
	c := cookies[0]
	if c.Name != cookieName || c.Value != anna || !c.HttpOnly || c.SameSite != http.SameSiteStrictMode || c.Secure || c.Path != "/" {
		t.Errorf("cookie = %+v; want it HttpOnly and SameSite=Strict", c)
	}
	w.g.c.Secure = true
	if c := w.do("POST", "/v1/login", "", `{"user":"anna","password":"b"}`).Result().Cookies()[0]; !c.Secure {
		t.Error("the cookie is not Secure where browsers come over TLS")
	}
	rec = w.do("POST", "/v1/logout", "", "", "Cookie", cookieName+"="+anna, "Sec-Fetch-Site", "same-origin")
	if cookies := rec.Result().Cookies(); rec.Code != 200 || len(cookies) != 1 || cookies[0].MaxAge >= 0 || cookies[0].Value != "" {
		t.Errorf("logout = %d with cookies %v; want it removed", rec.Code, cookies)
	}
	var in api.LogoutIn
	check(t, json.Unmarshal(w.calls[api.Logout.Name], &in))
	if in.Secret != anna {
		t.Errorf("logout ended the session of %q; want that of the cookie", in.Secret)
	}
}

func FuzzBody(f *testing.F) {
	for _, s := range []string{`{"workflow":"vm"}`, `{"files":[{"name":"a","text":"b"}]}`, `{"a":{"b":[1,{"c":null}]}}`, `[[[[`, "{\"\\u0061\":1,\"a\":2}",
		`{"name":"x","expires":"90s","grants":[{"namespace":"*","role":"viewer"}]}`, "\xff", `"`, `{"lines":[{"seq":1,"text":"x","at":"2026-01-01T00:00:00Z"}]}`} {
		f.Add(s)
	}
	w := setup(f)
	routes := []string{"/v1/namespaces/default/runs", "/v1/namespaces/default/definitions", "/v1/tokens", "/v1/namespaces/default/attempts/t/log",
		"/v1/namespaces/default/tasks/complete"}
	f.Fuzz(func(t *testing.T, body string) {
		for _, path := range routes {
			rec := w.do("POST", path, anna, body)
			switch rec.Code {
			case 200, 201, 400, 413, 422:
			default:
				t.Fatalf("POST %s %q = %d %s", path, body, rec.Code, rec.Body)
			}
			if rec.Code >= 400 {
				problemOf(t, rec)
			}
		}
	})
}

func TestPanicsAreAnswered(t *testing.T) {
	t.Parallel()
	w := setup(t)
	check(t, w.g.handle("GET /v1/panic", "run.read", func(http.ResponseWriter, *http.Request) error { panic("secret detail") }))
	rec := w.do("GET", "/v1/panic", anna, "")
	if p := problemOf(t, rec); rec.Code != 500 || p.Kind != "internal" || strings.Contains(rec.Body.String(), "secret detail") {
		t.Errorf("a panic = %d %s; want 500 without its detail", rec.Code, rec.Body)
	}
}

func TestTooManyCalls(t *testing.T) {
	t.Parallel()
	w := setup(t)
	w.g.calls.Store(maxCalls)
	var rec *httptest.ResponseRecorder
	if rec = w.do("GET", "/v1/whoami", anna, ""); rec.Code != 429 || rec.Header().Get("Retry-After") == "" {
		t.Errorf("one call too many = %d %v; want 429 with Retry-After", rec.Code, rec.Header())
	}
	if rec := w.do("POST", "/v1/namespaces/default/pools/default/heartbeat", worker, `{"worker":"w","tokens":[]}`); rec.Code != 200 {
		t.Errorf("a heartbeat among too many calls = %d %s; want 200", rec.Code, rec.Body)
	}
	w.g.calls.Store(0)
	w.g.opening.Store(maxOpenCalls)
	if rec := w.do("POST", "/v1/login", "", `{"user":"a","password":"b"}`); rec.Code != 429 {
		t.Errorf("one login too many = %d; want 429", rec.Code)
	}
}
