package gateway

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"runtime/debug"
	"strings"
	"time"

	"tutti/bus"
	"tutti/errs"
	"tutti/id"
)

// traceHeader tells the trace of a call in its answer.
const traceHeader = "Tutti-Trace"

// ServeHTTP answers one request: it gives it a trace, bounds how many there are, logs it, and turns
// whatever goes wrong into a problem document.
func (g *Gateway) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	started := time.Now()
	trace := traceOf(r.Header.Get("Traceparent"))
	ctx := bus.WithTrace(r.Context(), trace)
	who := new(string)
	r = r.WithContext(context.WithValue(ctx, subjectKey{}, who))
	rec := &recorder{ResponseWriter: w}
	h := rec.Header()
	h.Set(traceHeader, trace)
	h.Set("Content-Security-Policy", "default-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'self'")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cache-Control", "no-store")
	_, pattern := g.mux.Handler(r)
	c := http.NewResponseController(w)
	_ = c.SetWriteDeadline(time.Time{}) // of the answer before on the same connection
	if r.ContentLength != 0 {
		// What a handler leaves of the body is read by the server, which must not wait for it for ever.
		defer func() { _ = c.SetReadDeadline(time.Now().Add(leftTime)) }()
	}
	defer func() {
		if p := recover(); p != nil {
			g.log.Error("panic", "route", pattern, "trace", trace, "panic", p, "stack", string(debug.Stack()))
			if rec.status == 0 {
				g.fail(rec, r, errs.New(errs.Internal, "panic: %v", p))
			}
		}
		// The route, not the path: a path can hold the token of an attempt.
		g.log.Info("request", "method", r.Method, "route", pattern, "status", rec.status,
			"ms", time.Since(started).Milliseconds(), "subject", *who, "trace", trace)
	}()
	if g.calls.Add(1) > maxCalls && !strings.HasSuffix(pattern, "/heartbeat") {
		g.calls.Add(-1)
		g.fail(rec, r, errs.New(errs.Limited, "the server has too many calls under way").WithHint("try again in a moment"))
		return
	}
	defer g.calls.Add(-1)
	if pattern == "" {
		err := g.unrouted(r)
		if !lost(r, err) || pageWith(rec, r, http.StatusNotFound) != nil {
			g.fail(rec, r, err)
		}
		return
	}
	g.mux.ServeHTTP(rec, r)
}

// subjectKey holds where the subject of a request is noted for its log line.
type subjectKey struct{}

// note remembers who makes the request of ctx.
func note(ctx context.Context, subject string) {
	if p, ok := ctx.Value(subjectKey{}).(*string); ok {
		*p = subject
	}
}

// traceOf returns the trace-id of a valid W3C traceparent, or a fresh one.
func traceOf(parent string) string {
	f := strings.Split(parent, "-")
	if len(f) < 4 || len(f[0]) != 2 || f[0] == "ff" || f[0] == "00" && len(f) != 4 || !hex(f[0]) || !id.ValidTrace(f[1]) ||
		len(f[2]) != 16 || !hex(f[2]) || strings.Trim(f[2], "0") == "" || len(f[3]) != 2 || !hex(f[3]) {
		return id.Trace()
	}
	return f[1]
}

func hex(s string) bool { return strings.Trim(s, "0123456789abcdef") == "" }

// unrouted returns the error of a request that has no route: 405 where the path has one with another
// method, else 404.
func (g *Gateway) unrouted(r *http.Request) error {
	h, _ := g.mux.Handler(r)
	var probe probe
	h.ServeHTTP(&probe, r)
	if probe.status == http.StatusMethodNotAllowed {
		allow := probe.Header().Get("Allow")
		e := errs.New(errs.Invalid, "%s is not possible here", r.Method).WithHint("possible are %s", allow)
		return &answer{err: e, status: probe.status, header: http.Header{"Allow": {allow}}}
	}
	e := errs.New(errs.NotFound, "there is nothing at this address")
	switch {
	case !strings.HasPrefix(r.URL.Path, "/v1/"):
		e.Hint = "the API is below /v1; /v1/openapi.json describes it"
	case strings.HasSuffix(r.URL.Path, "/"):
		e.Hint = "addresses do not end with /"
	default:
		e.Hint = "/v1/openapi.json lists what there is; most of it is below /v1/namespaces/{namespace}/"
	}
	return e
}

// lost reports whether err is that a person with a browser has come to an address where nothing is:
// the web UI then says so, and helps.
func lost(r *http.Request, err error) bool {
	return errs.Is(err, errs.NotFound) && r.Method == http.MethodGet && strings.Contains(r.Header.Get("Accept"), "text/html") &&
		!strings.HasPrefix(r.URL.Path, "/v1/") && !strings.HasPrefix(r.URL.Path, "/assets/")
}

// probe takes an answer and keeps its status and header.
type probe struct {
	header http.Header
	status int
}

func (p *probe) Header() http.Header {
	if p.header == nil {
		p.header = http.Header{}
	}
	return p.header
}
func (p *probe) Write(b []byte) (int, error) { return len(b), nil }
func (p *probe) WriteHeader(status int)      { p.status = status }

// recorder notes the status of an answer.
type recorder struct {
	http.ResponseWriter
	status int
}

func (r *recorder) WriteHeader(status int) {
	if r.status == 0 {
		r.status = status
	}
	r.ResponseWriter.WriteHeader(status)
}

func (r *recorder) Write(b []byte) (int, error) {
	if r.status == 0 {
		r.status = http.StatusOK
	}
	return r.ResponseWriter.Write(b)
}

// Unwrap gives http.ResponseController what it wraps.
func (r *recorder) Unwrap() http.ResponseWriter { return r.ResponseWriter }

// remote returns the network address a request came from, without the port. What proxies say of it is
// not believed.
func remote(r *http.Request) string {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return r.RemoteAddr
	}
	return host
}

// writeJSON answers with v.
func writeJSON(w http.ResponseWriter, status int, v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("encode the answer: %w", err)
	}
	send(w, status, "application/json", b)
	return nil
}

// send answers with b. That the far side is gone is nobody's concern.
func send(w http.ResponseWriter, status int, typ string, b []byte) {
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(answerTime)) // where there is a connection
	w.Header().Set("Content-Type", typ)
	w.WriteHeader(status)
	_, _ = w.Write(b)
}
