package core_test

import (
	"encoding/json"
	"strings"
	"testing"

	"tutti/api"
	"tutti/errs"
	"tutti/internal/workflow/core"
)

// fork returns the world of a run that is made from w at an event, and the error of making it.
func (w *world) fork(seq int64, f core.Fork) (*world, error) {
	w.t.Helper()
	n := &world{t: w.t, graph: w.graph, run: core.New(w.graph, load), now: w.now + 100*second}
	m := core.Meta{ID: "run_1111111111111111", Namespace: "default", Workflow: "test", Trace: "t", Requester: "user:eve", ForkOf: &api.ForkOf{Run: w.run.ID, Seq: seq}}
	for _, r := range w.journal {
		var ev []core.Event
		if err := json.Unmarshal(r.events, &ev); err != nil {
			w.t.Fatal(err)
		}
		ev = core.Copy(ev[:min(int64(len(ev)), seq-n.run.Seq)], &m)
		if len(ev) == 0 {
			break
		}
		raw, err := json.Marshal(ev)
		if err != nil {
			w.t.Fatal(err)
		}
		if err := n.run.Replay(r.at, ev); err != nil {
			w.t.Fatal(err)
		}
		n.journal = append(n.journal, row{r.at, raw})
	}
	ev, ef, err := n.run.Fork(n.now, f)
	if err != nil {
		return nil, err
	}
	n.take(ev, ef)
	return n, nil
}

// settleAll does all that is ready, and lets time pass, until the run has ended.
func (w *world) settleAll(f func(core.Dispatch) api.Result) {
	w.t.Helper()
	for range 1000 {
		w.work(f)
		for _, a := range w.run.Approvals() {
			w.must(w.run.Decide(w.now, a.Task, core.Decider{Subject: "user:eve"}, core.Decision{Approve: true}))
		}
		if w.run.State.Ended() || len(w.queue) == 0 && w.run.NextTimer() == 0 && len(w.run.Approvals()) == 0 {
			return
		}
		if len(w.queue) == 0 && len(w.run.Approvals()) == 0 {
			w.pass()
		}
	}
	w.t.Fatal("the run does not end")
}

const forkable = `onFailure: stop
inputs: {type: object, properties: {n: {type: integer, default: 1}}}
vars: {double: "${{ inputs.n * 2 }}"}
tasks:
  a: {use: noop, with: {n: "${{ vars.double }}"}}
  off: {use: noop, when: "false"}
  e: {needs: [a], each: {in: '[1,2,3]', parallel: 2}, tasks: {x: {use: noop}, y: {use: noop, needs: [x]}}, outputs: {n: "${{ item }}"}}
  g: {needs: [a], retry: {max: 1, wait: 10s}, tasks: {x: {use: noop, retry: {max: 2, wait: 5s}}, q: {use: approval, needs: [x]}}, outputs: {v: "${{ tasks.x.out.ok }}"}}
  w: {use: wait, needs: [a], with: {for: 1m}}
  z: {use: noop, needs: [e, g, w], after: [off]}
finally: {f: {use: noop}}
outputs: {e: "${{ tasks.e.out }}", g: "${{ tasks.g.out.v }}", z: "${{ tasks.z.out.ok }}"}`

// TestForkAtEveryEvent makes a run from another one at each of its events, whether that went well or not:
// it comes to the same end, does again only what had not succeeded, and is whole by itself.
func TestForkAtEveryEvent(t *testing.T) {
	t.Parallel()
	for name, result := range map[string]func(core.Dispatch) api.Result{"a good run": ok, "a bad run": failing("e[1].y", "g.x")} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := start(t, forkable, `{"n":1}`)
			w.settleAll(result)
			want := start(t, forkable, `{"n":1}`)
			want.settleAll(ok)
			for seq := int64(1); seq <= w.run.Seq; seq++ {
				f, err := w.fork(seq, core.Fork{})
				if errs.Is(err, errs.Conflict) && name == "a good run" {
					continue // everything had succeeded
				}
				if err != nil {
					t.Fatalf("at %d: %v", seq, err)
				}
				had := map[string]bool{}
				for _, x := range f.run.Tasks() {
					had[x.Path] = x.State == api.Succeeded
				}
				f.settleAll(func(d core.Dispatch) api.Result {
					if had[d.Path] {
						t.Errorf("at %d: %s had succeeded and is done again", seq, d.Path)
					}
					if !strings.HasPrefix(d.Key, string(f.run.ID)) {
						t.Errorf("at %d: %s works under the key %s", seq, d.Path, d.Key)
					}
					return ok(d)
				})
				if f.run.State != api.Succeeded || string(f.run.Outputs) != string(want.run.Outputs) {
					t.Fatalf("at %d: it is %s with %s (%+v); want %s", seq, f.run.State, f.run.Outputs, f.run.Failure, want.run.Outputs)
				}
			}
		})
	}
}

// TestForkFromATask begins again from each task of a run that had succeeded.
func TestForkFromATask(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ task, want string }{
		{"a", "a g.x e[0].x e[1].x e[0].y e[1].y e[2].x e[2].y z finally.f"},
		{"e", "e[0].x e[1].x e[0].y e[1].y e[2].x e[2].y z finally.f"},
		{"e[1]", "e[1].x e[1].y z finally.f"},
		{"e[1].y", "e[1].y z finally.f"},
		{"g.q", "z finally.f"},
		{"z", "z finally.f"},
	} {
		t.Run(c.task, func(t *testing.T) {
			t.Parallel()
			w := start(t, forkable, `{"n":1}`)
			w.settleAll(ok)
			f, err := w.fork(w.run.Seq, core.Fork{Task: c.task})
			if err != nil {
				t.Fatal(err)
			}
			var did []string
			f.settleAll(func(d core.Dispatch) api.Result {
				did = append(did, d.Path)
				return ok(d)
			})
			if got := strings.Join(did, " "); got != c.want || f.run.State != api.Succeeded || string(f.run.Outputs) != string(w.run.Outputs) {
				t.Errorf("it did %s and is %s with %s; want %s", got, f.run.State, f.run.Outputs, c.want)
			}
		})
	}
}

func TestForkWithOtherInputs(t *testing.T) {
	t.Parallel()
	w := start(t, forkable, `{"n":1}`)
	w.settleAll(ok)
	f, err := w.fork(w.run.Seq, core.Fork{Task: "a", Inputs: json.RawMessage(`{"n":4}`)})
	if err != nil {
		t.Fatal(err)
	}
	if d := f.queue[0]; string(d.Input) != `{"n":8}` {
		t.Errorf("input = %s; want what comes of the new inputs", d.Input)
	}
	f, err = w.fork(w.run.Seq, core.Fork{Task: "z", Input: json.RawMessage(`{"by":"hand"}`)})
	if err != nil {
		t.Fatal(err)
	}
	if d := f.queue[0]; string(d.Input) != `{"by":"hand"}` {
		t.Errorf("input = %s; want what was given", d.Input)
	}
}

// TestForkUndoesOnlyItsOwn: what a fork kept is its origin's to undo.
func TestForkUndoesOnlyItsOwn(t *testing.T) {
	t.Parallel()
	w := start(t, "onFailure: undo\ntasks: {a: {use: noop, undo: {use: noop}}, b: {use: noop, needs: [a], undo: {use: noop}}, c: {use: noop, needs: [b]}}", "{}")
	w.work(ok)
	f, err := w.fork(w.run.Seq, core.Fork{Task: "b"})
	if err != nil {
		t.Fatal(err)
	}
	var did []string
	f.work(func(d core.Dispatch) api.Result {
		did = append(did, d.Path)
		return failing("c")(d)
	})
	if got := strings.Join(did, " "); got != "b c b#undo" || f.run.State != api.Failed {
		t.Errorf("it did %s and is %s; want only b undone", got, f.run.State)
	}
	if _, err := f.fork(f.run.Seq, core.Fork{}); !errs.Is(err, errs.Conflict) {
		t.Errorf("a fork of what was undone: %v; want a conflict", err)
	}
}

// TestForkLeavesTheOthersWorkAlone: a callback, a claim or a handle belongs to the run that has it.
func TestForkLeavesTheOthersWorkAlone(t *testing.T) {
	t.Parallel()
	w := start(t, "tasks: {p: {use: noop, limit: {key: k}}}", "{}")
	w.must(w.run.Grant(w.now, "p", "k", false))
	w.must(w.run.SetVars(w.now, core.AttemptRef{Path: "p", Attempt: 1}, "claim", "w", map[string]json.RawMessage{"handle": json.RawMessage(`"remote-7"`)}))
	w.must(w.run.Report(w.now, core.AttemptRef{Path: "p", Attempt: 1}, "claim", "w", api.Result{Outcome: api.Park}))
	f, err := w.fork(w.run.Seq, core.Fork{})
	if err != nil {
		t.Fatal(err)
	}
	if len(f.effects.Acquire) != 1 {
		t.Fatalf("effects = %+v; want a place of its own", f.effects)
	}
	f.must(f.run.Grant(f.now, "p", "k", false))
	if len(f.queue) != 1 || f.queue[0].Attempt != 2 || f.queue[0].Claim != "" || len(f.queue[0].Vars) != 0 {
		t.Errorf("dispatched %+v; want a fresh attempt that knows nothing of the other's work", f.queue)
	}
	if _, ok := f.run.ByClaim("claim"); ok {
		t.Error("the claim on the other run counts here")
	}
}
