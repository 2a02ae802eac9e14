package gateway

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"tutti/api"
	"tutti/bus"
	"tutti/errs"
	"tutti/internal/service"
	"tutti/sdk"
)

// history stands in for what the services keep.
type history struct {
	mu     sync.Mutex
	events []api.RunEvent
	lines  []api.LogLine
	ended  bool
	outbox map[string][]bus.Record
}

const run = api.RunID("run_7k2m4qzt3c5nw6xd")

// follow makes w answer from a history.
func (w *world) follow(t testing.TB) *history {
	h := &history{outbox: map[string][]bus.Record{}}
	check(t, api.GetRun.Handle(t.Context(), w.bus, func(_ context.Context, in api.GetRunIn) (api.Run, error) {
		if !strings.HasPrefix(string(run), string(in.ID)) {
			return api.Run{}, errs.New(errs.NotFound, "no run %q", in.ID)
		}
		return api.Run{ID: run}, nil
	}))
	check(t, api.RunEvents.Handle(t.Context(), w.bus, func(_ context.Context, in api.RunEventsIn) (api.Page[api.RunEvent], error) {
		h.mu.Lock()
		defer h.mu.Unlock()
		rest := h.events[min(int(in.After), len(h.events)):]
		return api.Page[api.RunEvent]{Items: slices.Clone(rest[:min(in.Limit, len(rest))])}, nil
	}))
	check(t, api.ReadLog.Handle(t.Context(), w.bus, func(_ context.Context, in api.ReadLogIn) (api.LogPage, error) {
		h.mu.Lock()
		defer h.mu.Unlock()
		rest := h.lines[min(int(in.After), len(h.lines)):]
		page := rest[:min(in.Limit, len(rest))]
		return api.LogPage{Lines: slices.Clone(page), Ended: h.ended, More: len(page) < len(rest)}, nil
	}))
	for _, name := range w.g.c.Services {
		check(t, service.Events(name).Handle(t.Context(), w.bus, func(_ context.Context, in service.ReadEvents) (service.Page, error) {
			h.mu.Lock()
			defer h.mu.Unlock()
			all := h.outbox[name]
			rest := all[min(int(in.After), len(all)):]
			page := rest[:min(in.Limit, len(rest))]
			return service.Page{Records: slices.Clone(page), More: len(page) < len(rest)}, nil
		}))
	}
	return h
}

func (h *history) happen(w *world, n int) {
	h.mu.Lock()
	for range n {
		h.events = append(h.events, api.RunEvent{Seq: int64(len(h.events) + 1), Type: "task.started"})
	}
	h.mu.Unlock()
	w.bus.Wake(context.Background(), api.RunChanged(run))
}

func (h *history) log(w *world, ended bool, texts ...string) {
	h.mu.Lock()
	for _, s := range texts {
		h.lines = append(h.lines, api.LogLine{Pos: int64(len(h.lines) + 1), Text: s})
	}
	h.ended = ended
	h.mu.Unlock()
	w.bus.Wake(context.Background(), api.LogChanged(run))
}

func (h *history) commit(w *world, name string, namespaces ...string) {
	h.mu.Lock()
	for _, ns := range namespaces {
		h.outbox[name] = append(h.outbox[name], bus.Record{Pos: int64(len(h.outbox[name]) + 1), Type: "tutti." + name, Namespace: ns, Data: json.RawMessage(`{}`)})
	}
	h.mu.Unlock()
	w.bus.Wake(context.Background(), service.WakeSubject(name))
}

func TestStreamResumes(t *testing.T) {
	t.Parallel()
	w := setup(t).serve(t)
	h := w.follow(t)
	h.happen(w, 3)
	h.log(w, false, "one", "two")
	topics := []string{"run:" + string(run), "log:run_7k2m"}
	var got []string
	seen := ""
	// Each reader takes three events and leaves; the next continues after them, while more happens.
	for range 4 {
		n := 0
		for e, err := range w.client(t, reader).Stream(t.Context(), topics, seen) {
			if err != nil {
				t.Fatal(err)
			}
			seen = e.Cursor
			got = append(got, name(t, e))
			if n++; n == 3 || e.Type == "end" {
				break
			}
		}
		h.happen(w, 1)
		h.log(w, len(got) > 8, fmt.Sprintf("line %d", len(got)))
	}
	slices.Sort(got)
	if len(slices.Compact(got)) != len(got) || len(got) < 10 {
		t.Errorf("got %v; want each event once", got)
	}
	for _, want := range []string{"run 1", "run 2", "run 3", "log one", "log two", "run 4", "log line 3"} {
		if !slices.Contains(got, want) {
			t.Errorf("%q is missing in %v", want, got)
		}
	}
}

// name returns an event in short.
func name(t *testing.T, e sdk.Event) string {
	t.Helper()
	var d struct {
		Seq     int64
		Text    string
		ID      string
		Subject string
	}
	check(t, json.Unmarshal(e.Data, &d))
	switch e.Type {
	case "run":
		return fmt.Sprint("run ", d.Seq)
	case "log":
		return "log " + d.Text
	case "event":
		return "event " + d.ID
	}
	return e.Type + " " + e.Topic
}

func TestStreamEndsWithItsTopics(t *testing.T) {
	t.Parallel()
	w := setup(t).serve(t)
	h := w.follow(t)
	many := make([]string, 2*streamPage+10)
	for i := range many {
		many[i] = fmt.Sprint(i)
	}
	h.log(w, true, many...)
	var got []string
	for e, err := range w.client(t, anna).Stream(t.Context(), []string{"log:" + string(run) + "@5"}, "") {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, name(t, e))
	}
	if len(got) != len(many)-5+1 || got[0] != "log 5" || got[len(got)-1] != "end log:"+string(run) {
		t.Errorf("got %d events, %.60s; want those after 5, and the end", len(got), got)
	}
}

func TestStreamOfEvents(t *testing.T) {
	t.Parallel()
	w := setup(t).serve(t)
	h := w.follow(t)
	h.commit(w, "workflow", slices.Repeat([]string{"default"}, 37)...)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var got []string
	for e, err := range w.client(t, anna).Stream(ctx, []string{"events", "run:" + string(run)}, first(t, w, h)) {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, name(t, e))
		if len(got) == 2 {
			cancel()
		}
	}
	slices.Sort(got)
	if want := []string{"event request/2", "event workflow/39"}; !slices.Equal(got, want) {
		t.Errorf("got %v; want %v: those after the first, in the namespace", got, want)
	}
}

// first follows events from now until the first, which comes after 37 that were there, and returns the
// cursor after it; then others happen.
func first(t *testing.T, w *world, h *history) string {
	t.Helper()
	follower := w.g.newest("workflow")
	if n, err := follower(t.Context()); n != 37 || err != nil {
		t.Fatalf("newest = %d, %v; want 37", n, err)
	}
	if n, err := w.g.newest("request")(t.Context()); n != 0 || err != nil {
		t.Fatalf("newest of nothing = %d, %v; want 0", n, err)
	}
	h.happen(w, 1) // so that the stream says something once it stands
	for e, err := range w.client(t, anna).Stream(t.Context(), []string{"events", "run:" + string(run)}, "") {
		if err != nil {
			t.Fatal(err)
		}
		switch got := name(t, e); got {
		case "run 1":
			h.commit(w, "workflow", "default")
		case "event workflow/38":
			h.commit(w, "workflow", "default")
			h.commit(w, "request", "elsewhere", "default")
			return e.Cursor
		default:
			t.Fatalf("got %s; want what comes after 37", got)
		}
	}
	t.Fatal("the stream ended")
	return ""
}

func TestStreamOfNothing(t *testing.T) {
	t.Parallel()
	w := setup(t).serve(t)
	w.follow(t)
	for _, err := range w.client(t, anna).Stream(t.Context(), []string{"run:run_none"}, "") {
		if !errs.Is(err, errs.NotFound) {
			t.Errorf("a stream of no run = %v; want not_found", err)
		}
	}
	w.g.streams.Store(maxStreams)
	if rec := w.do("GET", "/v1/namespaces/default/stream?topic=events", anna, ""); rec.Code != 429 || rec.Header().Get("Retry-After") != "5" {
		t.Errorf("one stream too many = %d %v; want 429 with Retry-After", rec.Code, rec.Header())
	}
}

// tape is a connection that keeps what is sent.
type tape struct {
	*httptest.ResponseRecorder
	mu sync.Mutex
}

func (t *tape) Write(b []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.ResponseRecorder.Write(b)
}

func (t *tape) text() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.Body.String()
}

func TestStreamLives(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := setup(t)
		h := w.follow(t)
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		r := httptest.NewRequestWithContext(ctx, http.MethodGet, "/v1/namespaces/default/stream?topic=run:"+string(run), nil)
		r.Header.Set("Authorization", "Bearer "+reader)
		out := &tape{ResponseRecorder: httptest.NewRecorder()}
		gone := make(chan struct{})
		go func() { w.g.ServeHTTP(out, r); close(gone) }()

		time.Sleep(heartbeatEvery + time.Second)
		if !strings.Contains(out.text(), ": still here\n\n") {
			t.Errorf("after %v: %q; want a heartbeat", heartbeatEvery, out.text())
		}
		h.happen(w, 1)
		synctest.Wait()
		if !strings.Contains(out.text(), "event: run\n") {
			t.Errorf("at once: %q; want the event", out.text())
		}
		h.mu.Lock() // an event whose wake-up is lost
		h.events = append(h.events, api.RunEvent{Seq: 2})
		h.mu.Unlock()
		time.Sleep(lookEvery + time.Second)
		if !strings.Contains(out.text(), `"seq":2`) {
			t.Errorf("after %v: %q; want what no wake-up announced", lookEvery, out.text())
		}

		w.mu.Lock()
		delete(w.callers, reader)
		w.mu.Unlock()
		revoked := time.Now()
		<-gone
		if took := time.Since(revoked); took > 5*time.Second {
			t.Errorf("the stream went on for %v after its token was revoked; want 5s at most", took)
		}
		if !strings.Contains(out.text(), "event: error\n") || !strings.Contains(out.text(), `"unauthenticated"`) {
			t.Errorf("at the end: %q; want why", out.text())
		}
	})
}

func TestStreamEndsWithTheServer(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := setup(t)
		w.follow(t)
		r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/v1/namespaces/default/stream?topic=run:"+string(run), nil)
		r.Header.Set("Authorization", "Bearer "+anna)
		gone := make(chan struct{})
		go func() { w.g.ServeHTTP(httptest.NewRecorder(), r); close(gone) }()
		synctest.Wait()
		close(w.g.closing)
		<-gone
		if n := w.g.streams.Load(); n != 0 {
			t.Errorf("%d streams are counted after the last ended", n)
		}
	})
}

func TestRevocation(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := setup(t)
		if rec := w.do("GET", "/v1/whoami", anna, ""); rec.Code != 200 {
			t.Fatalf("whoami = %d", rec.Code)
		}
		w.mu.Lock()
		delete(w.callers, anna)
		w.mu.Unlock()
		time.Sleep(2 * time.Second)
		if rec := w.do("GET", "/v1/whoami", anna, ""); rec.Code != 401 {
			t.Errorf("whoami 2 s after the session was ended = %d; want 401", rec.Code)
		}
	})
}

func TestCursor(t *testing.T) {
	t.Parallel()
	c := cursor{"run:run_1": 12, "events/workflow": 1 << 60}
	got, err := parseCursor(c.String())
	if err != nil || got["run:run_1"] != 12 || got["events/workflow"] != 1<<60 || len(got) != 2 {
		t.Errorf("parseCursor(%v) = %v, %v; want it back", c, got, err)
	}
	for _, bad := range []string{"x", "!!", "Mjs", strings.Repeat("A", maxCursor+1), cursor{"a": -1}.String(), cursor{"": 1}.String()} {
		if c, err := parseCursor(bad); !errs.Is(err, errs.Invalid) {
			t.Errorf("parseCursor(%.20q) = %v, %v; want invalid", bad, c, err)
		}
	}
}

func FuzzCursor(f *testing.F) {
	f.Add(cursor{"run:run_1": 12}.String())
	f.Add("")
	f.Add("MTthPTE7")
	f.Fuzz(func(t *testing.T, s string) {
		c, err := parseCursor(s)
		if err != nil {
			return
		}
		if again, err := parseCursor(c.String()); err != nil || len(again) != len(c) {
			t.Errorf("parseCursor(%q) = %v, and its text %v, %v", s, c, again, err)
		}
	})
}
