package request

import (
	"encoding/json"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"tutti/api"
	"tutti/bus"
	"tutti/errs"
	"tutti/internal/store"
	"tutti/internal/store/pgtest"
)

// One key makes one request, whoever is first, on both databases.
func TestConcurrentKey(t *testing.T) {
	t.Parallel()
	for name, config := range map[string]func(*testing.T) store.Config{
		"sqlite":   func(t *testing.T) store.Config { return store.Config{Dir: t.TempDir()} },
		"postgres": func(t *testing.T) store.Config { return store.Config{URL: pgtest.URL(t)} },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, config(t))
			s := &Service{d: depsOf(w), blobs: w.blobs, wait: newWaiters()}
			if err := s.handle(t.Context()); err != nil {
				t.Fatal(err)
			}
			ids := make([]string, 8)
			var wg sync.WaitGroup
			for i := range ids {
				wg.Go(func() {
					in := smallVM("web-01")
					in.Key = "k"
					r, err := api.CreateRequest.Call(w.as(api.Operator), w.bus, in)
					if ids[i] = r.ID; err != nil {
						t.Errorf("create = %v", err)
					}
				})
			}
			wg.Wait()
			page, err := api.ListRequests.Call(w.as(api.Viewer), w.bus, api.ListRequestsIn{NS: inDefault})
			if err != nil || len(page.Items) != 1 {
				t.Fatalf("one key made %d requests, %v", len(page.Items), err)
			}
			for _, got := range ids {
				if got != page.Items[0].ID {
					t.Errorf("a call answered %s; want %s", got, page.Items[0].ID)
				}
			}
		})
	}
}

func TestLookUp(t *testing.T) {
	t.Parallel()
	for name, config := range map[string]func(*testing.T) store.Config{
		"sqlite":   func(t *testing.T) store.Config { return store.Config{Dir: t.TempDir()} },
		"postgres": func(t *testing.T) store.Config { return store.Config{URL: pgtest.URL(t)} },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, config(t))
			s := &Service{d: depsOf(w), wait: newWaiters()}
			if err := s.handle(t.Context()); err != nil {
				t.Fatal(err)
			}
			now := time.Now()
			for i, v := range []string{"req_aaaa000000000001", "req_aaaa000000000002", "req_zzzz000000000003"} {
				err := w.db.Tx(t.Context(), func(tx *store.Tx) error {
					return insert(tx, row{Request: api.Request{ID: v, Namespace: "default", State: api.Pending, Created: now.Add(time.Duration(i) * time.Second)}})
				})
				if err != nil {
					t.Fatal(err)
				}
			}
			for prefix, want := range map[string]struct {
				id   string
				kind errs.Kind
			}{
				"req_zzzz": {"req_zzzz000000000003", ""}, "zzzz0": {"req_zzzz000000000003", ""}, "req_aaaa000000000001": {"req_aaaa000000000001", ""},
				"req_aaaa": {"", errs.Conflict}, "req_zzz": {"", errs.NotFound}, "req_bbbb": {"", errs.NotFound}, "": {"", errs.NotFound},
				"run_zzzz": {"", errs.NotFound}, "req_zzzz0000000000031": {"", errs.NotFound}, "req_%%%%": {"", errs.NotFound}, "req_ZZZZ": {"", errs.NotFound},
			} {
				r, err := api.GetRequest.Call(w.as(api.Viewer), w.bus, api.RequestIn{NS: inDefault, ID: prefix})
				if r.ID != want.id || errs.KindOf(err) != want.kind {
					t.Errorf("get(%q) = %q, %v; want %q, kind %q", prefix, r.ID, err, want.id, want.kind)
				}
			}
			_, err := api.GetRequest.Call(bus.AsService(t.Context(), "test"), w.bus, api.RequestIn{NS: api.NS{Namespace: "other"}, ID: "req_zzzz"})
			if !errs.Is(err, errs.NotFound) {
				t.Errorf("get from another namespace = %v; want not found", err)
			}
			found, err := api.Find("request").Call(w.as(api.Viewer), w.bus, api.FindIn{NS: inDefault, Prefix: "req_aaaa"})
			if err != nil || len(found.Items) != 2 || found.Items[0].Kind != "request" {
				t.Errorf("find = %+v, %v; want two", found, err)
			}
			var got []string
			in := api.ListRequestsIn{NS: inDefault, Paging: api.Paging{Limit: 2}}
			for {
				page, err := api.ListRequests.Call(w.as(api.Viewer), w.bus, in)
				if err != nil {
					t.Fatal(err)
				}
				for _, r := range page.Items {
					got = append(got, r.ID)
				}
				if in.Cursor = page.Cursor; in.Cursor == "" {
					break
				}
			}
			if diff := cmp.Diff([]string{"req_zzzz000000000003", "req_aaaa000000000002", "req_aaaa000000000001"}, got); diff != "" {
				t.Errorf("list, newest first (-want +got):\n%s", diff)
			}
		})
	}
}

// A cancel and a start at the same time: the request never has a run that nobody cancels.
func TestCancelRacesStart(t *testing.T) {
	t.Parallel()
	for name, config := range map[string]func(*testing.T) store.Config{
		"sqlite":   func(t *testing.T) store.Config { return store.Config{Dir: t.TempDir()} },
		"postgres": func(t *testing.T) store.Config { return store.Config{URL: pgtest.URL(t)} },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, config(t))
			s := &Service{d: depsOf(w), blobs: w.blobs, wait: newWaiters()}
			if err := s.handle(t.Context()); err != nil {
				t.Fatal(err)
			}
			for range 20 {
				r := w.create(smallVM("web-01"))
				var wg sync.WaitGroup
				wg.Go(func() {
					if _, err := launch.Call(bus.AsService(t.Context(), "request"), w.bus, launchIn{NS: inDefault, ID: r.ID}); err != nil {
						t.Errorf("launch = %v", err)
					}
				})
				wg.Go(func() {
					if _, err := cancelCall(w, r.ID); err != nil {
						t.Errorf("cancel = %v", err)
					}
				})
				wg.Wait()
				got := w.get(r.ID)
				run, started := w.run(r.ID)
				switch {
				case got.State == api.Cancelled && !started:
				case got.State == api.Running && started && got.Run == run.ID && len(got.Flags) == 1:
					w.cancelIsWanted(run.ID)
				default:
					t.Fatalf("the request is %s %v, run %q, started %v", got.State, got.Flags, got.Run, started)
				}
			}
		})
	}
}

// cancelIsWanted complains unless run.cancel was called for a run, or will be.
func (w *world) cancelIsWanted(run api.RunID) {
	w.Helper()
	intents, err := w.db.Intents(w.Context(), time.Now().Add(time.Hour), 1000)
	if err != nil {
		w.Fatal(err)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	called := slices.ContainsFunc(w.canceled, func(in api.CancelRunIn) bool { return in.ID == run })
	stored := slices.ContainsFunc(intents, func(i store.Intent) bool {
		return i.Method == api.CancelRun.Name && strings.Contains(string(i.In), string(run))
	})
	if !called && !stored {
		w.Errorf("run %s is not going to be cancelled", run)
	}
}

// What a request goes through, statement by statement, on both databases.
func TestLife(t *testing.T) {
	t.Parallel()
	for name, config := range map[string]func(*testing.T) store.Config{
		"sqlite":   func(t *testing.T) store.Config { return store.Config{Dir: t.TempDir()} },
		"postgres": func(t *testing.T) store.Config { return store.Config{URL: pgtest.URL(t)} },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, config(t))
			s := &Service{d: depsOf(w), blobs: w.blobs, wait: newWaiters()}
			if err := s.handle(t.Context()); err != nil {
				t.Fatal(err)
			}
			in := smallVM("web-01")
			in.Body.Notify = []string{"anna@example.com"}
			r := w.create(in)
			if _, err := launch.Call(bus.AsService(t.Context(), "request"), w.bus, launchIn{NS: inDefault, ID: r.ID}); err != nil {
				t.Fatal(err)
			}
			run, _ := w.run(r.ID)
			run.State, run.Flags, run.Ended = api.Failed, []api.Flag{api.Degraded}, time.Now()
			run.Failure = &api.RunFail{Task: "build", Failure: api.Failure{Type: "exec.exit", Message: "no room"}}
			run.Outputs = json.RawMessage(`{"a":1}`)
			err := w.db.Tx(t.Context(), func(tx *store.Tx) error { return s.runFinished(t.Context(), tx, bus.Record{}, run) })
			if err != nil {
				t.Fatal(err)
			}
			got := w.get(r.ID)
			if got.State != api.Failed || got.Run != run.ID || got.Failure.Task != "build" || string(got.Outputs) != `{"a":1}` || got.Ended.IsZero() ||
				!cmp.Equal(got.Flags, run.Flags) || !cmp.Equal(got.Notify, in.Body.Notify) || !got.Created.Equal(r.Created) {
				t.Errorf("the request is %+v", got)
			}
			if ended, err := endedOf(t.Context(), w.db, []string{r.ID, "req_2"}); err != nil || !cmp.Equal(ended, []string{r.ID}) {
				t.Errorf("endedOf = %v, %v; want the request", ended, err)
			}
			err = w.db.Tx(t.Context(), func(tx *store.Tx) error {
				byRun, err := byRun(tx, "default", run.ID)
				if byRun.ID != r.ID {
					t.Errorf("byRun = %q; want %s", byRun.ID, r.ID)
				}
				return err
			})
			if err != nil {
				t.Fatal(err)
			}
		})
	}
}
