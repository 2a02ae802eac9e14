package gateway

import (
	"context"
	"encoding/json"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"tutti/api"
	"tutti/bus"
	"tutti/internal/service"
)

// read follows topics until n messages came, and returns them as "type data" and the cursor after them.
func (w *world) read(t *testing.T, n int, after string, topics ...string) (got []string, cursor string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	for e, err := range w.client(t, reader).Stream(ctx, topics, after) {
		if err != nil {
			t.Fatalf("stream of %v = %v after %v", topics, err, got)
		}
		got, cursor = append(got, e.Type+" "+string(e.Data)), e.Cursor
		if len(got) == n {
			break
		}
	}
	return got, cursor
}

func TestStreamOfRunsTellsGaps(t *testing.T) {
	t.Parallel()
	w := setup(t).serve(t)
	w.follow(t)
	check(t, api.ListRuns.Handle(t.Context(), w.bus, func(_ context.Context, in api.ListRunsIn) (p api.Page[api.Run], err error) {
		for _, id := range in.IDs {
			p.Items = append(p.Items, api.Run{ID: id, State: api.Running})
		}
		return p, nil
	}))
	stale := cursor{"runs": 1}.String()
	if got, _ := w.read(t, 1, stale, "runs"); got[0] != "gap null" {
		t.Errorf("resumed long after = %v; want a gap", got)
	}
	done := make(chan []string)
	go func() {
		got, _ := w.read(t, 1, "", "runs")
		done <- got
	}()
	for {
		select {
		case got := <-done:
			if !strings.Contains(got[0], `runs {"items":[{"id":"`+string(run)) {
				t.Errorf("runs = %v; want the one that changed", got)
			}
			return
		case <-time.After(100 * time.Millisecond):
			w.bus.Wake(t.Context(), api.RunChanged(run))
		}
	}
}

func TestStreamOfRequests(t *testing.T) {
	t.Parallel()
	w := setup(t).serve(t)
	h := w.follow(t)
	put := func(namespace, id string, state api.State) {
		data, _ := json.Marshal(api.Request{ID: id, State: state, Params: json.RawMessage(`{"secret":1}`)})
		h.mu.Lock()
		h.outbox["request"] = append(h.outbox["request"], bus.Record{Pos: int64(len(h.outbox["request"]) + 1), Type: api.RequestMoved.Type(), Namespace: namespace, Data: data})
		h.mu.Unlock()
		w.bus.Wake(context.Background(), service.WakeSubject("request"))
	}
	put("default", "req_1", api.Running)
	put("elsewhere", "req_2", api.Running)
	put("default", "req_3", api.Failed)
	got, cursor := w.read(t, 2, "", "requests@0")
	if !strings.Contains(got[0], `"id":"req_1"`) || !strings.Contains(got[1], `"id":"req_3"`) || strings.Contains(strings.Join(got, ""), "secret") {
		t.Errorf("requests = %v; want those of the namespace, without params", got)
	}
	put("default", "req_4", api.Succeeded)
	if got, _ = w.read(t, 1, cursor, "requests"); !strings.Contains(got[0], "req_4") {
		t.Errorf("resumed = %v; want req_4", got)
	}
}

func TestStreamOfCounts(t *testing.T) {
	t.Parallel()
	w := setup(t).serve(t)
	w.follow(t)
	var n atomic.Int64
	check(t, api.GetCounts.Handle(t.Context(), w.bus, func(ctx context.Context, _ api.HomeIn) (api.Counts, error) {
		if bus.Subject(ctx) != "token:reader" {
			t.Errorf("counts are asked by %s; want the follower", bus.Subject(ctx))
		}
		return api.Counts{Runs: int(n.Load())}, nil
	}))
	got, cursor := w.read(t, 1, "", "counts")
	if !strings.Contains(got[0], `counts {"approvals":0`) {
		t.Errorf("counts = %v", got)
	}
	n.Store(3)
	if got, _ = w.read(t, 1, cursor, "counts"); !strings.Contains(got[0], `"runs":3`) {
		t.Errorf("counts after a change = %v; want 3 runs, and what was known not again", got)
	}
}

func TestStreamOfTrace(t *testing.T) {
	t.Parallel()
	w := setup(t).serve(t)
	w.follow(t)
	var state atomic.Value
	state.Store(api.Running)
	const trace = "615d4b8653299e45b4620d5dfaac4106"
	check(t, api.GetTrace.Handle(t.Context(), w.bus, func(_ context.Context, in api.GetTraceIn) (api.TraceView, error) {
		v := api.TraceView{Trace: trace, Seq: time.Now().UnixMicro(), Rows: []api.TraceRow{{ID: "run_1", Run: run, State: state.Load().(api.State)}, {ID: "same"}}}
		if in.Since.IsZero() {
			v.Seq--
		}
		return v, nil
	}))
	got, cursor := w.read(t, 1, "", "trace:"+trace+"@1")
	if !strings.Contains(got[0], `"id":"run_1"`) {
		t.Errorf("trace = %v", got)
	}
	done := make(chan []string)
	go func() {
		got, _ := w.read(t, 2, cursor, "trace:"+trace)
		done <- got
	}()
	for {
		select {
		case got := <-done:
			if !strings.Contains(got[1], `"state":"failed"`) || strings.Contains(got[1], `"same"`) {
				t.Errorf("then = %v; want the row that changed, alone", got)
			}
			return
		case <-time.After(300 * time.Millisecond):
			state.Store(api.Failed)
			w.bus.Wake(t.Context(), api.RunChanged(run))
		}
	}
}

func TestSharedKeepsWhatIsNew(t *testing.T) {
	t.Parallel()
	sh := &shared{src: &source{topic: "x", read: func(_ context.Context, after int64) (items []item, more, ended bool, err error) {
		for i := after + 1; i <= after+700; i++ {
			items = append(items, item{i, "n", i})
		}
		return items, true, false, nil
	}}, followers: map[*source]func(){}}
	for range 4 {
		_, err := sh.read(t.Context())
		check(t, err)
	}
	for _, tc := range []struct {
		after  int64
		n      int
		behind bool
	}{{0, 0, true}, {799, 0, true}, {800, 2000, false}, {2799, 1, false}, {2800, 0, false}, {9999, 0, false}} {
		frames, behind, _, err := sh.after(tc.after)
		if len(frames) != tc.n || behind != tc.behind || err != nil {
			t.Errorf("after(%d) = %d frames, behind %v, %v; want %d, %v", tc.after, len(frames), behind, err, tc.n, tc.behind)
		}
		if len(frames) > 0 && frames[0].pos != tc.after+1 {
			t.Errorf("after(%d) begins at %d", tc.after, frames[0].pos)
		}
	}
}
