package resource

import (
	"encoding/json"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"tutti/api"
	"tutti/bus"
	"tutti/errs"
	"tutti/internal/store"
	"tutti/internal/store/pgtest"
)

// finish makes the service request say that a request ended, and know its details.
func (w *world) finish(r api.Request) {
	w.Helper()
	r.Namespace, r.Type, r.Ended = "default", "virtual-machine", time.Now().UTC()
	w.mu.Lock()
	w.details[r.ID] = r
	w.mu.Unlock()
	r.Spec, r.Outputs = nil, nil
	err := w.requests.Tx(w.Context(), func(tx *store.Tx) error {
		return api.RequestFinished.Publish(tx, bus.About{Subject: r.ID, Namespace: r.Namespace}, r)
	})
	if err != nil {
		w.Fatal(err)
	}
}

func settled() {
	time.Sleep(time.Minute) // sleep: the time of a bubble
	synctest.Wait()
}

// look returns the resource in words: the request it stands at, its spec and its history.
func (w *world) look(name string) string {
	w.Helper()
	r, err := api.GetResource.Call(w.as(api.Viewer), w.bus, api.ResourceIn{NS: inDefault, Type: "virtual-machine", Name: name})
	if errs.Is(err, errs.NotFound) {
		return "none: " + errs.Public(err).Hint
	}
	if err != nil {
		w.Fatal(err)
	}
	out := fmt.Sprintf("%s %s by %s:", r.Request, r.Spec, r.Owner)
	for _, h := range r.History {
		out += fmt.Sprintf(" %s %s", h.Request, h.State)
	}
	return out
}

func vmRequest(id, by string, state api.State, spec string) api.Request {
	return api.Request{ID: id, Name: "web-01", Run: api.RunID("run_" + id), Requester: by, State: state, Spec: json.RawMessage(spec), Outputs: json.RawMessage(`{"o":` + spec + `}`)}
}

func TestHistory(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, store.Config{Dir: t.TempDir()})
		w.start()
		undone := vmRequest("req_3", "carl", api.Succeeded, "3")
		undone.Flags = []api.Flag{api.Undone}
		runless := vmRequest("req_5", "dora", api.Cancelled, "5")
		runless.Run = ""
		for _, step := range []struct {
			r    api.Request
			want string
		}{
			{vmRequest("req_0", "zoe", api.Failed, "0"), "none: there were requests for it; the last, req_0, is failed"},
			{vmRequest("req_1", "anna", api.Succeeded, "1"), "req_1 1 by anna: req_1 succeeded req_0 failed"},
			{vmRequest("req_2", "bert", api.Failed, "2"), "req_1 1 by anna: req_2 failed req_1 succeeded req_0 failed"},
			{vmRequest("req_2", "bert", api.Succeeded, "2"), "req_2 2 by anna: req_2 succeeded req_1 succeeded req_0 failed"}, // retried
			{vmRequest("req_3", "carl", api.Succeeded, "3"), "req_3 3 by anna: req_3 succeeded req_2 succeeded req_1 succeeded req_0 failed"},
			{undone, "req_2 2 by anna: req_3 succeeded req_2 succeeded req_1 succeeded req_0 failed"},
			{runless, "req_2 2 by anna: req_3 succeeded req_2 succeeded req_1 succeeded req_0 failed"},
		} {
			w.finish(step.r)
			settled()
			if got := w.look("web-01"); got != step.want {
				t.Fatalf("after %s %s %v: %s; want %s", step.r.ID, step.r.State, step.r.Flags, got, step.want)
			}
		}
	})
}

// A resource appears once its details were read, over crashes and an absent neighbour.
func TestHistoryOverCrashes(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, store.Config{Dir: t.TempDir()})
		stop := w.start()
		w.mu.Lock()
		w.down = true
		w.mu.Unlock()
		w.finish(vmRequest("req_1", "anna", api.Succeeded, "1"))
		settled()
		if got := w.look("web-01"); got != "none: there were requests for it; the last, req_1, is succeeded" {
			t.Errorf("before its details are known the resource is %s", got)
		}
		stop()
		if err := w.Service.handle(t.Context()); err != nil {
			t.Fatal(err)
		}
		w.mu.Lock()
		w.down = false
		w.mu.Unlock()
		w.start()
		settled()
		if got, want := w.look("web-01"), "req_1 1 by anna: req_1 succeeded"; got != want {
			t.Errorf("the resource is %s; want %s", got, want)
		}
	})
}

func TestListResources(t *testing.T) {
	t.Parallel()
	for name, config := range map[string]func(*testing.T) store.Config{
		"sqlite":   func(t *testing.T) store.Config { return store.Config{Dir: t.TempDir()} },
		"postgres": func(t *testing.T) store.Config { return store.Config{URL: pgtest.URL(t)} },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, config(t))
			put := func(namespace, typ, name string, pos int64) {
				t.Helper()
				err := w.db.Tx(t.Context(), func(tx *store.Tx) error {
					c := change{namespace: namespace, typ: typ, name: name, pos: pos, ResourceChange: api.ResourceChange{Request: fmt.Sprintf("req_%d", pos), Run: "run_1", State: api.Succeeded, By: "anna", At: time.Now()}}
					if err := record(tx, c); err != nil {
						return err
					}
					if err := describe(tx, api.Request{ID: c.Request, Namespace: namespace, Type: typ, Name: name, Spec: json.RawMessage("1")}, api.RequestItem{Type: typ, Name: name, Spec: json.RawMessage("1")}); err != nil {
						return err
					}
					return settle(tx, namespace, typ, name)
				})
				if err != nil {
					t.Fatal(err)
				}
			}
			for i, v := range []string{"vm b", "vm a", "disk z", "vm c", "vm a"} {
				var typ, name string
				fmt.Sscan(v, &typ, &name)
				put("default", typ, name, int64(i+1))
			}
			put("other", "vm", "x", 9)
			collect := func(in api.ListResourcesIn) (got []string) {
				t.Helper()
				for {
					page, err := api.ListResources.Call(w.as(api.Viewer), w.bus, in)
					if err != nil {
						t.Fatal(err)
					}
					for _, r := range page.Items {
						got = append(got, r.Type+" "+r.Name+" "+r.Request)
					}
					if in.Cursor = page.Cursor; in.Cursor == "" {
						return got
					}
				}
			}
			all := []string{"disk z req_3", "vm a req_5", "vm b req_1", "vm c req_4"}
			if diff := cmp.Diff(all, collect(api.ListResourcesIn{NS: inDefault, Paging: api.Paging{Limit: 2}})); diff != "" {
				t.Errorf("list (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(all[1:], collect(api.ListResourcesIn{NS: inDefault, Type: "vm"})); diff != "" {
				t.Errorf("list of a type (-want +got):\n%s", diff)
			}
			if _, err := api.ListResources.Call(w.as(api.Viewer), w.bus, api.ListResourcesIn{NS: inDefault, Paging: api.Paging{Cursor: "%"}}); !errs.Is(err, errs.Invalid) {
				t.Errorf("a cursor made up: %v; want invalid", err)
			}
		})
	}
}
