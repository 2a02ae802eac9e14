package gateway

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"tutti/api"
	"tutti/bus"
	"tutti/bus/membus"
	"tutti/errs"
	"tutti/internal/blob/dirblob"
	"tutti/internal/service"
	"tutti/sdk"
)

// world is a gateway in front of stand-ins for the services.
type world struct {
	g   *Gateway
	bus *bus.Bus
	url string

	mu      sync.Mutex
	callers map[string]api.Authenticated // by secret
	calls   map[string][]byte            // the last In of each method
	froms   map[string]string            // where its caller came from
}

// the secrets of the tests: who they belong to is in setup.
const (
	anna    = "secret-of-anna"    // a session of an admin of default
	reader  = "secret-of-reader"  // a token of a viewer of default
	foreign = "secret-of-foreign" // a token of an admin elsewhere
	worker  = "secret-of-worker"
	root    = "secret-of-root" // a token of an admin of every namespace
)

func setup(t testing.TB) *world {
	t.Helper()
	blobs, err := dirblob.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { blobs.Close() })
	conn := new(membus.Bus)
	w := &world{bus: bus.New(conn, []byte("key"), api.Allow), calls: map[string][]byte{}, froms: map[string]string{}}
	w.callers = map[string]api.Authenticated{
		anna:    {Caller: caller("user:anna", "default", api.Admin), Session: true},
		reader:  {Caller: caller("token:reader", "default", api.Viewer)},
		foreign: {Caller: caller("token:foreign", "elsewhere", api.Admin)},
		root:    {Caller: caller("token:root", everywhere, api.Admin), Namespaces: []string{"default"}},
		worker:  {Caller: caller("token:worker", "default", api.Worker)},
	}
	w.g, err = New(Config{Blobs: blobs, MaxFile: 1 << 20, Services: []string{"workflow", "request"}, Durability: "test"},
		service.Deps{Name: "gateway", Bus: w.bus, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	// Every method is answered with an empty object, under the checks that the bus makes of it.
	for _, m := range api.Methods {
		i := m.Info()
		check(t, bus.Method[probeIn, json.RawMessage]{Name: i.Name, Perm: i.Perm}.Handle(t.Context(), w.bus, func(ctx context.Context, in probeIn) (json.RawMessage, error) {
			c, _ := bus.CallerFrom(ctx)
			w.mu.Lock()
			w.calls[i.Name], w.froms[i.Name] = in.raw, c.From
			w.mu.Unlock()
			return json.RawMessage("{}"), nil
		}))
	}
	check(t, api.Authenticate.Handle(t.Context(), w.bus, func(_ context.Context, in api.AuthenticateIn) (api.Authenticated, error) {
		w.mu.Lock()
		defer w.mu.Unlock()
		if who, ok := w.callers[in.Secret]; ok {
			return who, nil
		}
		return api.Authenticated{}, errs.New(errs.Unauthenticated, "nobody has this token")
	}))
	check(t, api.Login.Handle(t.Context(), w.bus, func(context.Context, api.LoginIn) (api.Session, error) {
		return api.Session{Subject: "user:anna", Secret: anna}, nil
	}))
	check(t, w.g.Answer(t.Context()))
	return w
}

// probeIn is the In of any method as a stand-in sees it.
type probeIn struct {
	ns  string
	raw []byte
}

func (p *probeIn) UnmarshalJSON(b []byte) error {
	var in struct{ Namespace string }
	p.raw = slices.Clone(b)
	err := json.Unmarshal(b, &in)
	p.ns = in.Namespace
	return err
}

func (p probeIn) Scope() string { return p.ns }

func caller(subject, namespace, role string) bus.Caller {
	return bus.Caller{Subject: subject, Grants: []bus.Grant{{Namespace: namespace, Role: role}}}
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// serve makes the gateway reachable over a socket.
func (w *world) serve(t *testing.T) *world {
	s := httptest.NewServer(w.g)
	t.Cleanup(s.Close)
	w.url = s.URL
	return w
}

func (w *world) client(t *testing.T, token string) *sdk.Client {
	c, err := sdk.New(sdk.Config{Server: w.url, Token: token, Tries: 1})
	check(t, err)
	t.Cleanup(c.Close)
	return c
}

// do makes a request without a socket; headers are pairs of name and value.
func (w *world) do(method, target, token, body string, headers ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, target, strings.NewReader(body))
	if body == "" {
		r.Body, r.ContentLength = http.NoBody, 0
	}
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	for i := 0; i+1 < len(headers); i += 2 {
		if headers[i] == "Host" {
			r.Host = headers[i+1]
			continue
		}
		r.Header.Add(headers[i], headers[i+1])
	}
	rec := httptest.NewRecorder()
	w.g.ServeHTTP(rec, r)
	return rec
}

func problemOf(t testing.TB, rec *httptest.ResponseRecorder) ErrorDocument {
	t.Helper()
	var p ErrorDocument
	if got := rec.Header().Get("Content-Type"); got != "application/problem+json" {
		t.Fatalf("Content-Type = %q with %s; want a problem document", got, rec.Body)
	}
	check(t, json.Unmarshal(rec.Body.Bytes(), &p))
	if p.Status != rec.Code || p.Kind == "" || p.Title == "" || p.Detail == "" || p.Trace == "" || p.Trace != rec.Header().Get("Tutti-Trace") {
		t.Errorf("problem = %+v with status %d; want every field, and the status and trace of the answer", p, rec.Code)
	}
	return p
}

// filled returns the path of a route with something in each place.
func filled(pattern string) (method, path string) {
	method, path, _ = strings.Cut(pattern, " ")
	parts := strings.Split(path, "/")
	for i, p := range parts {
		switch p {
		case "{namespace}":
			parts[i] = "default"
		case "{$}":
			parts[i] = ""
		default:
			if strings.HasPrefix(p, "{") {
				parts[i] = "abc"
			}
		}
	}
	return method, strings.Join(parts, "/")
}

// routes returns every route there is.
func allRoutes() []string {
	all := []string{uploadRoute, downloadRoute, streamRoute}
	for _, r := range new(Gateway).orchestrateRoutes() {
		all = append(all, r.pattern)
	}
	for _, m := range api.Methods {
		if h := m.Info().HTTP; h != "" {
			all = append(all, h)
		}
	}
	return append(all, open...)
}

func TestNothingIsOpenToStrangers(t *testing.T) {
	t.Parallel()
	w := setup(t)
	for _, pattern := range allRoutes() {
		method, path := filled(pattern)
		for _, token := range []string{"", "wrong"} {
			rec := w.do(method, path, token, "")
			if slices.Contains(open, pattern) {
				if rec.Code == 401 {
					t.Errorf("%s = 401; want it open", pattern)
				}
				continue
			}
			if rec.Code != 401 {
				t.Errorf("%s with token %q = %d %s; want 401", pattern, token, rec.Code, rec.Body)
				continue
			}
			if p := problemOf(t, rec); p.Kind != "unauthenticated" || rec.Header().Get("WWW-Authenticate") != "Bearer" {
				t.Errorf("%s = %+v; want unauthenticated, with WWW-Authenticate", pattern, p)
			}
		}
	}
}

func TestEveryMethodIsServedAndDescribed(t *testing.T) {
	t.Parallel()
	w := setup(t)
	var doc struct {
		OpenAPI string
		Paths   map[string]map[string]struct {
			OperationID string
			Parameters  []struct{ Name, In string }
			RequestBody *struct{}
			Security    *[]any
			Permission  string `json:"x-tutti-permission"`
			Responses   map[string]any
		}
		Components struct{ Schemas map[string]any }
	}
	text := w.do("GET", "/v1/openapi.json", "", "").Body.Bytes()
	check(t, json.Unmarshal(text, &doc))
	if !strings.HasPrefix(doc.OpenAPI, "3.1") {
		t.Errorf("openapi = %q; want 3.1", doc.OpenAPI)
	}
	for _, m := range api.Methods {
		i := m.Info()
		if i.HTTP == "" {
			continue
		}
		verb, path, _ := strings.Cut(i.HTTP, " ")
		op, ok := doc.Paths[path][strings.ToLower(verb)]
		if !ok || op.OperationID != i.Name || op.Permission != i.Perm || op.Responses["default"] == nil {
			t.Errorf("the document says %+v of %s; want its name, permission and errors", op, i.HTTP)
		}
		if (op.Security != nil && len(*op.Security) == 0) != (i.Perm == bus.Open) {
			t.Errorf("the document says security %v of %s; want none only where it is open", op.Security, i.HTTP)
		}
		if _, p := w.g.mux.Handler(httptest.NewRequest(verb, strings.NewReplacer("{", "", "}", "").Replace(path), nil)); p != i.HTTP {
			t.Errorf("%s is served by %q", i.HTTP, p)
		}
		for _, name := range strings.Split(path, "/") {
			if !strings.HasPrefix(name, "{") {
				continue
			}
			if !slices.ContainsFunc(op.Parameters, func(p struct{ Name, In string }) bool { return p.In == "path" && "{"+p.Name+"}" == name }) {
				t.Errorf("the document does not describe %s of %s", name, i.HTTP)
			}
		}
	}
	if n := strings.Count(string(text), `"$ref":"#/components/schemas/"`); n > 0 || doc.Components.Schemas["Run"] == nil {
		t.Errorf("the document has %d references to nothing, Run = %v", n, doc.Components.Schemas["Run"])
	}
}

func TestNewRefusesWhatIsNotDeclared(t *testing.T) {
	t.Parallel()
	nothing := func(http.ResponseWriter, *http.Request) error { return nil }
	g := setup(t).g
	for _, tc := range []struct{ pattern, perm, want string }{
		{"GET /v1/new", "", "no permission"},
		{"GET /v1/new", bus.System, "no permission"},
		{"GET /v1/new", bus.Open, "no exception"},
		{"POST /v1/healthz", bus.Open, "no exception"},
		{"GET /v1/whoami", bus.Anyone, "conflicts"},
		{"GET /v1/namespaces/{other}/runs/{x}", "run.read", "conflicts"},
		{"GET v1", "run.read", "v1"},
	} {
		if err := g.handle(tc.pattern, tc.perm, nothing); err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("handle(%q, %q) = %v; want an error about %q", tc.pattern, tc.perm, err, tc.want)
		}
	}
}

func TestCall(t *testing.T) {
	t.Parallel()
	w := setup(t).serve(t)
	in := api.StartRunIn{Wait: api.Duration(90e9 / 3), Key: "k1", Body: api.StartRunBody{Workflow: "vm", Inputs: json.RawMessage(`{"n":12345678901234567890}`)}}
	if _, err := sdk.Call(t.Context(), w.client(t, anna), api.StartRun, in); err != nil {
		t.Fatal(err)
	}
	var got api.StartRunIn
	check(t, json.Unmarshal(w.calls[api.StartRun.Name], &got))
	if got.Namespace != "default" || got.Key != "k1" || got.Wait.String() != "30s" || got.Body.Workflow != "vm" || string(got.Body.Inputs) != string(in.Body.Inputs) {
		t.Errorf("the service got %+v; want what was called with", got)
	}
	if got := w.froms[api.StartRun.Name]; got != "127.0.0.1" {
		t.Errorf("the call came from %q; want 127.0.0.1", got)
	}
}

func TestHeaders(t *testing.T) {
	t.Parallel()
	w := setup(t)
	const id = "4bf92f3577b34da6a3ce929d0e0e4736"
	for _, tc := range []struct {
		parent string
		kept   bool
	}{
		{"00-" + id + "-00f067aa0ba902b7-01", true},
		{"cc-" + id + "-00f067aa0ba902b7-01-what-comes", true},
		{"00-" + id + "-00f067aa0ba902b7-01-more", false},
		{"ff-" + id + "-00f067aa0ba902b7-01", false},
		{"00-00000000000000000000000000000000-00f067aa0ba902b7-01", false},
		{"00-" + id + "-0000000000000000-01", false},
		{"00-" + strings.ToUpper(id) + "-00f067aa0ba902b7-01", false},
		{"", false}, {"-", false}, {id, false},
	} {
		h := w.do("GET", "/v1/whoami", anna, "", "Traceparent", tc.parent).Header()
		if got := h.Get("Tutti-Trace"); (got == id) != tc.kept || len(got) != 32 {
			t.Errorf("Traceparent %q gave the trace %q; want it kept: %v", tc.parent, got, tc.kept)
		}
		if csp := h.Get("Content-Security-Policy"); !strings.Contains(csp, "default-src 'self'") || !strings.Contains(csp, "frame-ancestors 'none'") ||
			h.Get("X-Content-Type-Options") != "nosniff" || h.Get("Referrer-Policy") != "no-referrer" || h.Get("Access-Control-Allow-Origin") != "" {
			t.Errorf("headers = %v; want those that keep browsers safe", h)
		}
	}
}

func TestPage(t *testing.T) {
	t.Parallel()
	w := setup(t)
	page := w.do("GET", "/", "", "")
	if page.Code != 200 || !strings.HasPrefix(page.Header().Get("Content-Type"), "text/html") || page.Header().Get("Cache-Control") != "no-cache" {
		t.Fatalf("GET / = %d %v", page.Code, page.Header())
	}
	for _, path := range []string{"/login", "/requests", "/requests/req_1", "/requests/req_1/anything"} {
		if rec := w.do("GET", path, "", ""); rec.Code != 200 || rec.Body.String() != page.Body.String() {
			t.Errorf("GET %s = %d; want the page", path, rec.Code)
		}
	}
	if rec := w.do("GET", "/nowhere/at/all", "", "", "Accept", "text/html,*/*"); rec.Code != 404 || rec.Body.String() != page.Body.String() {
		t.Errorf("a browser at an address where nothing is got %d; want 404 with the page, which says so", rec.Code)
	}
	for _, path := range []string{"/assets/none.js", "/assets/..%2fpage.go", "/assets/%2e%2e", "/assets/", "/index.html", "/build.json", "/v1/nothing"} {
		rec := w.do("GET", path, "", "", "Accept", "text/html")
		if rec.Code != 404 && rec.Code/100 != 3 || strings.Contains(rec.Body.String(), "<script") && strings.HasPrefix(path, "/assets") {
			t.Errorf("GET %s = %d %.60s; want 404, and never the page", path, rec.Code, rec.Body)
		}
	}
}

// Assets are kept for ever, and sent compressed to who takes that.
func TestAssets(t *testing.T) {
	t.Parallel()
	w := setup(t)
	found := regexp.MustCompile(`"(/assets/[^"]+\.(js|css))"`).FindAllStringSubmatch(w.do("GET", "/", "", "").Body.String(), -1)
	if len(found) < 3 {
		t.Fatalf("the page loads %v; want a theme, a script and a style", found)
	}
	for _, m := range found {
		plain := w.do("GET", m[1], "", "")
		if plain.Code != 200 || !strings.Contains(plain.Header().Get("Cache-Control"), "immutable") || plain.Header().Get("Content-Encoding") != "" ||
			!strings.Contains(plain.Header().Get("Content-Type"), map[string]string{"js": "javascript", "css": "text/css"}[m[2]]) {
			t.Errorf("GET %s = %d %v", m[1], plain.Code, plain.Header())
		}
		for accept, packed := range map[string]bool{"gzip, br": true, "br;q=1, GZIP;q=0.5": true, "gzip;q=0": false, "br": false, "": false} {
			rec := w.do("GET", m[1], "", "", "Accept-Encoding", accept)
			want := packed && plain.Body.Len() > 1000
			if got := rec.Header().Get("Content-Encoding") == "gzip"; got != want || rec.Code != 200 || !got && rec.Body.Len() != plain.Body.Len() {
				t.Errorf("GET %s with Accept-Encoding %q = %d, compressed %t; want %t", m[1], accept, rec.Code, got, want)
			}
		}
	}
}

func TestHealth(t *testing.T) {
	t.Parallel()
	w := setup(t)
	if rec := w.do("GET", "/healthz", "", ""); rec.Code != 200 {
		t.Errorf("healthz = %d", rec.Code)
	}
	if rec := w.do("GET", "/readyz", anna, ""); rec.Code != 503 || !strings.Contains(rec.Body.String(), `"workflow":"down"`) {
		t.Errorf("readyz without services = %d %s; want 503, and which is down", rec.Code, rec.Body)
	}
	for _, s := range []string{"workflow", "request"} {
		check(t, service.Events(s).Handle(t.Context(), w.bus, func(context.Context, service.ReadEvents) (service.Page, error) { return service.Page{}, nil }))
	}
	for token, detail := range map[string]bool{anna: true, "": false, "wrong": false} {
		rec := w.do("GET", "/readyz", token, "")
		if rec.Code != 200 || strings.Contains(rec.Body.String(), `"durability":"test"`) != detail || strings.Contains(rec.Body.String(), "workflow") != detail {
			t.Errorf("readyz for %q = %d %s; want 200, detail: %v", token, rec.Code, rec.Body, detail)
		}
	}
}

func TestRun(t *testing.T) {
	t.Parallel()
	w := setup(t)
	ctx, cancel := context.WithCancel(t.Context())
	l, err := Listen(ctx, "127.0.0.1:0", "", "")
	check(t, err)
	w.g.c.Listener = l
	done := make(chan error)
	go func() { done <- w.g.Run(ctx) }()
	w.url = "http://" + l.Addr().String()
	if _, err := sdk.Call(ctx, w.client(t, anna), api.WhoAmI, api.Nothing{}); err != nil {
		t.Error(err)
	}
	resp, err := http.Get(w.url + "/" + url.PathEscape(strings.Repeat("x", 100_000)))
	check(t, err)
	if resp.StatusCode != http.StatusRequestHeaderFieldsTooLarge && resp.StatusCode != http.StatusRequestURITooLong {
		t.Errorf("a header of 100 kB = %d; want it refused", resp.StatusCode)
	}
	_, _ = io.Copy(io.Discard, resp.Body)
	resp.Body.Close()
	cancel()
	if err := <-done; err != nil {
		t.Errorf("Run = %v after its context ended; want nil", err)
	}
	if _, err := Listen(t.Context(), "127.0.0.1:99999", "", ""); !errs.Is(err, errs.Invalid) {
		t.Errorf("Listen on port 99999 = %v; want invalid", err)
	}
	if _, err := Listen(t.Context(), "127.0.0.1:0", "cert.pem", ""); !errs.Is(err, errs.Invalid) {
		t.Errorf("Listen with half a certificate = %v; want invalid", err)
	}
}

// A client that announces a body and never sends it must not hold a connection for ever.
func TestBodyThatNeverComes(t *testing.T) {
	t.Parallel()
	w := setup(t).serve(t)
	conn, err := net.Dial("tcp", strings.TrimPrefix(w.url, "http://"))
	check(t, err)
	defer conn.Close()
	_, err = io.WriteString(conn, "POST /v1/namespaces/default/runs HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{")
	check(t, err)
	check(t, conn.SetReadDeadline(time.Now().Add(time.Minute)))
	b, err := io.ReadAll(conn)
	if err != nil || !strings.HasPrefix(string(b), "HTTP/1.1 401 ") {
		t.Errorf("the server said %.40q, %v; want 401, and the connection closed", b, err)
	}
}
