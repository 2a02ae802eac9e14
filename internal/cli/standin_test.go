package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"tutti/api"
	"tutti/errs"
)

// standIn is a server that answers with what a test put into it.
type standIn struct {
	*httptest.Server
	t   *testing.T
	mux *http.ServeMux

	mu     sync.Mutex
	calls  []string // "POST /v1/…"
	bodies map[string][]byte
	tokens []string
	// looks counts how often the run was looked at; the stream sends an event after each.
	looks  int
	looked chan struct{}
}

const ns = "/v1/namespaces/default"

const (
	runA = "run_7k2m4qzt3c5nw6xd"
	runB = "run_7k2m000000000000"
	reqA = "req_7f3a4qzt3c5nw6xd"
)

var day = time.Date(2026, 11, 21, 9, 0, 0, 0, time.UTC)

func newStandIn(t *testing.T) *standIn {
	t.Helper()
	s := &standIn{t: t, mux: http.NewServeMux(), bodies: map[string][]byte{}, looked: make(chan struct{}, 100)}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Errorf("read body: %v", err)
		}
		s.mu.Lock()
		s.calls = append(s.calls, r.Method+" "+r.URL.RequestURI())
		s.bodies[r.Method+" "+r.URL.Path] = body
		s.tokens = append(s.tokens, r.Header.Get("Authorization"))
		s.mu.Unlock()
		r.Body = io.NopCloser(bytes.NewReader(body))
		if _, pattern := s.mux.Handler(r); pattern == "" {
			problem(w, errs.New(errs.NotFound, "the stand-in has no %s %s", r.Method, r.URL.Path))
			return
		}
		s.mux.ServeHTTP(w, r)
	}))
	t.Cleanup(s.Close)
	return s
}

// on answers a route with v, as JSON; an *errs.Error becomes a problem document.
func (s *standIn) on(route string, v any) {
	s.mux.HandleFunc(route, func(w http.ResponseWriter, _ *http.Request) { answer(w, v) })
}

func answer(w http.ResponseWriter, v any) {
	if e, ok := v.(*errs.Error); ok {
		problem(w, e)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	_ = e.Encode(v)
}

func problem(w http.ResponseWriter, e *errs.Error) {
	kind := string(e.Kind)
	if kind == "" {
		kind = "internal"
	}
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(e.Kind.Status())
	_ = json.NewEncoder(w).Encode(map[string]any{"kind": kind, "detail": e.Msg, "hint": e.Hint, "problems": e.Problems, "trace": "t"})
}

// body returns what was sent last to a route.
func (s *standIn) body(route string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return string(s.bodies[route])
}

// called reports how often a route was called.
func (s *standIn) called(prefix string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := 0
	for _, c := range s.calls {
		if strings.HasPrefix(c, prefix) {
			n++
		}
	}
	return n
}

// plays answers for the run runA with one of steps after the other, the last one for ever, and streams
// an event after each look.
func (s *standIn) plays(steps ...step) {
	now := func() step {
		s.mu.Lock()
		defer s.mu.Unlock()
		return steps[min(s.looks, len(steps)-1)]
	}
	s.mux.HandleFunc("GET "+ns+"/runs/"+runA, func(w http.ResponseWriter, _ *http.Request) {
		answer(w, now().run)
	})
	s.mux.HandleFunc("GET "+ns+"/runs/"+runA+"/tasks", func(w http.ResponseWriter, _ *http.Request) {
		answer(w, api.Page[api.Task]{Items: now().tasks})
		s.mu.Lock()
		s.looks++
		s.mu.Unlock()
		s.looked <- struct{}{}
	})
	s.mux.HandleFunc("GET "+ns+"/stream", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		for seq := 1; ; seq++ {
			select {
			case <-r.Context().Done():
				return
			case <-s.looked:
				fmt.Fprintf(w, "id: %d\nevent: run\ndata: {\"topic\":\"run:%s\",\"data\":{\"seq\":%d,\"type\":\"task.started\"}}\n\n", seq, runA, seq)
				_ = http.NewResponseController(w).Flush()
			}
		}
	})
}

// step is a run as it stood at one look.
type step struct {
	run   api.Run
	tasks []api.Task
}

// playing is a run of two tasks that ends in state.
func playing(state api.State) []step {
	run := api.Run{ID: runA, Namespace: "default", Workflow: "vm.build", State: api.Running, Trace: "t1", Requester: "user:anna", Created: day, Request: reqA}
	task := func(id string, s api.State, from, to int) api.Task {
		t := api.Task{Path: id, ID: id, Kind: "call", Use: "wait", State: s, Attempt: 1}
		if from >= 0 {
			t.Started = day.Add(time.Duration(from) * time.Second)
		}
		if to >= 0 {
			t.Ended = day.Add(time.Duration(to) * time.Second)
		}
		return t
	}
	end, last := run, task("build", state, 10, 70)
	end.State, end.Ended, end.Outputs = state, day.Add(70*time.Second), json.RawMessage(`{"ip":"10.0.0.1"}`)
	if state == api.Failed {
		last.Failure = &api.Failure{Type: "http.status", Message: "no space", Hint: "free some"}
		end.Failure, end.Outputs = &api.RunFail{Task: "build", Failure: *last.Failure}, nil
	}
	return []step{
		{run, []api.Task{task("net", api.Running, 0, -1), task("build", api.Pending, -1, -1)}},
		{run, []api.Task{task("net", api.Succeeded, 0, 10), task("build", api.Running, 10, -1)}},
		{end, []api.Task{task("net", api.Succeeded, 0, 10), last}},
	}
}

// asking is a run that waits for an approval.
func asking() step {
	return step{api.Run{ID: runA, Workflow: "vm.build", State: api.Waiting, Reason: &api.Reason{Kind: "approval", Text: "asks an approver"}, Created: day},
		[]api.Task{{Path: "ok", ID: "ok", Kind: "call", State: api.Waiting, Reason: &api.Reason{Kind: "approval", Text: "asks an approver"}, Started: day}}}
}

// result is what a command did.
type result struct {
	code        int
	out, errOut string
}

// cli runs a command against the stand-in.
func (s *standIn) cli(args ...string) result { return s.with(Config{Args: args}) }

// with runs a command with a configuration of its own.
func (s *standIn) with(c Config) result {
	s.t.Helper()
	return s.in(s.t.Context(), c)
}

func (s *standIn) in(ctx context.Context, c Config, env ...string) result {
	s.t.Helper()
	var out, errOut syncBuffer
	c.Stdout, c.Stderr = &out, &errOut
	if c.Env == nil {
		vars := map[string]string{"TUTTI_SERVER": s.URL, "TUTTI_TOKEN": "tutti_secret", "TUTTI_CONFIG": filepath.Join(s.t.TempDir(), "config.yaml")}
		for i := 0; i+1 < len(env); i += 2 {
			vars[env[i]] = env[i+1]
		}
		c.Env = func(k string) string { return vars[k] }
	}
	code := Main(ctx, c)
	return result{code, out.String(), errOut.String()}
}

// syncBuffer is a buffer that a test may read while a command writes.
type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *syncBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}
