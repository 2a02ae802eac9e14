package core_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"tutti/api"
	"tutti/internal/workflow/core"
)

// For any waves, batches and failures no more items run at a time than parallel says, none begins before its wave,
// a rollback undoes exactly what succeeded, and it ends.
func TestRolloutKeepsWithin(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		n, parallel, first := rapid.IntRange(1, 9).Draw(rt, "n"), rapid.IntRange(1, 4).Draw(rt, "parallel"), rapid.IntRange(1, 3).Draw(rt, "first")
		tolerate := rapid.IntRange(0, 2).Draw(rt, "tolerate")
		bad := rapid.SliceOfN(rapid.IntRange(0, n-1), 0, 4).Draw(rt, "bad")
		text := fmt.Sprintf("tasks: {e: {each: {in: '0..%d', key: string(item), waves: [%d], parallel: %d, tolerate: %d, bake: 10s, onBreach: undo}, use: noop, undo: {use: noop}}}", n-1, first, parallel, tolerate)
		g := compile(t, text)
		now, run, journal := int64(1_000_000), core.New(g, load), []row(nil)
		busy, begun, undone := map[string]core.AttemptRef{}, 0, map[string]bool{}
		var settled time.Duration // when all of the first wave had ended
		take := func(ev []core.Event, ef core.Effects, err error) {
			if err != nil {
				rt.Fatal(err)
			}
			if len(ev) > 0 {
				raw, err := core.AppendEvents(nil, ev)
				if err != nil {
					rt.Fatal(err)
				}
				journal = append(journal, row{now, raw})
			}
			for _, d := range ef.Dispatch {
				busy[d.Path] = d.AttemptRef
				if undo := strings.HasSuffix(d.Path, "#undo"); undo {
					undone[d.Path] = true
				} else if begun++; begun > min(first, n) && settled == 0 {
					rt.Fatalf("%s: %d items began before the first wave of %d had baked", text, begun, first)
				}
			}
			if len(busy) > parallel {
				rt.Fatalf("%s: %d run at a time: %v", text, len(busy), busy)
			}
		}
		take(run.Start(now, core.Meta{ID: "run_1"}, nil))
		succeeded := map[string]bool{}
		for step := 0; !run.State.Ended(); step++ {
			if step > 500 {
				rt.Fatalf("%s: it does not end: %s %v", text, run.State, run.Reason)
			}
			if rapid.Bool().Draw(rt, "crash") {
				run = core.New(g, load)
				for _, j := range journal {
					var ev []core.Event
					if err := json.Unmarshal(j.events, &ev); err != nil {
						rt.Fatal(err)
					}
					if err := run.Replay(j.at, ev); err != nil {
						rt.Fatal(err)
					}
				}
			}
			now += 1_000_000
			if at := run.NextTimer(); len(busy) == 0 {
				if at == 0 {
					rt.Fatalf("%s: nothing runs, and nothing is waited for: %s", text, picture(rt, run))
				}
				if settled == 0 {
					settled = time.Duration(now) * time.Microsecond
				}
				now = max(now, at)
				take(run.Fire(now))
				continue
			}
			paths := slices.Sorted(func(yield func(string) bool) {
				for p := range busy {
					if !yield(p) {
						return
					}
				}
			})
			path := rapid.SampledFrom(paths).Draw(rt, "path")
			ref := busy[path]
			delete(busy, path)
			res := api.Result{Outcome: api.Done, Out: []byte("{}")}
			if slices.ContainsFunc(bad, func(i int) bool { return path == fmt.Sprintf("e[%d]", i) }) {
				res = api.Result{Outcome: api.FailedTask, Failure: &api.Failure{Type: "bad"}}
			} else if !strings.HasSuffix(path, "#undo") {
				succeeded[path] = true
			}
			take(run.Report(now, ref, "", "w", res))
		}
		if run.State == api.Succeeded && len(undone) > 0 {
			rt.Errorf("%s: it succeeded, and undid %v", text, undone)
		}
		if run.State == api.Failed && len(undone) != len(succeeded) {
			rt.Errorf("%s: %v succeeded, and %v were undone", text, succeeded, undone)
		}
	})
}

// A paused rollout begins its waves anew on a retry: what succeeded counts, what failed is tried again.
func TestRolloutPausesForAPerson(t *testing.T) {
	t.Parallel()
	w := start(t, "tasks: {e: {each: {in: '[1,2,3]', waves: [1], parallel: 1, onBreach: pause}, use: noop}, z: {use: noop, needs: [e]}}", "{}")
	w.work(failing("e[1]"))
	if r := w.run.Reason; w.run.State != api.Waiting || r == nil || r.Task != "e" || !strings.Contains(r.Text, "1 item failed, 0 tolerated; retry e to go on") {
		t.Fatalf("the run is %s, %v; want it to wait for a person", w.run.State, r)
	}
	w.must(w.run.Retry(w.now, "e", nil, "user:olga"))
	w.work(ok)
	w.want(api.Succeeded, "e:succeeded e[0]:succeeded e[1]:succeeded e[2]:succeeded z:succeeded")
}

// A retry of a run whose rollout was undone begins it again from nothing, with other keys.
func TestRolloutUndoneBeginsAgain(t *testing.T) {
	t.Parallel()
	w := start(t, "tasks: {e: {each: {in: '[1,2]', waves: [1], parallel: 1, onBreach: undo}, use: noop, undo: {use: noop}}}", "{}")
	w.work(failing("e[1]")) // and the undo of the other
	if w.run.State != api.Failed || w.run.Failure.Type != "breach" || w.run.Failure.Message != "1 item failed, 0 tolerated; 1 item was undone" {
		t.Fatalf("the run is %s, %+v; want a breach", w.run.State, w.run.Failure)
	}
	w.must(w.run.Retry(w.now, "", nil, "user:olga"))
	keys := map[string]bool{}
	w.work(func(d core.Dispatch) api.Result {
		keys[d.Key] = true
		return ok(d)
	})
	w.want(api.Succeeded, "e:succeeded e[0]:succeeded e[1]:succeeded")
	if len(keys) != 2 || keys[string(w.run.ID)+"/e[0]"] {
		t.Errorf("keys are %v; want new ones, since what was done with the old ones is undone", keys)
	}
}

// While the run is paused no time counts for a rollout; resumed, also after it was loaded, it goes on.
func TestRolloutOfAPausedRun(t *testing.T) {
	t.Parallel()
	w := start(t, "tasks: {e: {each: {in: '[1,2]', waves: [1], parallel: 1, bake: 10s}, use: noop}}", "{}")
	w.work(ok)
	w.must(w.run.Pause(w.now, "user:anna"))
	w.now += 30 * second
	w.must(w.run.Fire(w.now))
	if at := w.run.NextTimer(); at != 0 || len(w.queue) != 0 {
		t.Fatalf("paused, it wakes at %d and starts %v; want neither", at, w.queue)
	}
	w.run = w.replay()
	w.must(w.run.Resume(w.now, "user:anna"))
	w.work(ok)
	w.pass() // the bake of the last wave
	w.want(api.Succeeded, "e:succeeded e[0]:succeeded e[1]:succeeded")
}

// What goes on in mid-item after a retry may fail before the wave it belongs to: then it has failed in that
// wave, and is not begun again.
func TestRolloutRetriedInMidItem(t *testing.T) {
	t.Parallel()
	w := start(t, "tasks: {e: {each: {in: '[1,2,3]', waves: [1], parallel: 2, tolerate: 1, bake: 10s}, tasks: {a: {use: noop}, b: {use: noop, needs: [a]}}}}", "{}")
	w.work(ok)
	w.pass()
	for range 2 { // the first steps of the second wave
		w.must(w.run.Report(w.now, w.queue[0].AttemptRef, "", "w", ok(w.queue[0])))
		w.queue = w.queue[1:]
	}
	w.must(w.run.Cancel(w.now, "enough", "user:anna"))
	for _, d := range w.queue {
		w.must(w.run.Report(w.now, d.AttemptRef, "", "w", api.Result{Outcome: api.FailedTask, Failure: &api.Failure{Type: "cancelled"}}))
	}
	w.queue = nil
	w.must(w.run.Retry(w.now, "", nil, "user:anna"))
	w.work(failing("e[1].b"))
	w.pass()
	w.work(func(d core.Dispatch) api.Result {
		t.Errorf("%s began once more", d.Path)
		return ok(d)
	})
	w.pass()
	w.want(api.Succeeded, "e:succeeded e[0]:succeeded e[0].a:succeeded e[0].b:succeeded e[1]:failed e[1].a:succeeded e[1].b:failed e[2]:succeeded e[2].a:succeeded e[2].b:succeeded")
}
