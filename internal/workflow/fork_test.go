package workflow_test

import (
	"encoding/json"
	"slices"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"

	"tutti/api"
	"tutti/errs"
)

func (h *house) fork(id api.RunID, key string, b api.ForkBody) (api.Run, error) {
	h.t.Helper()
	return api.ForkRun.Call(admin(h.t.Context()), h.bus, api.ForkRunIn{NS: api.NS{Namespace: ns}, ID: id, Key: key, Body: b})
}

// TestFork makes runs from another one, over restarts, and with its key twice.
func TestFork(t *testing.T) {
	inBubble(t, func(t *testing.T, dir string) {
		h := open(t, dir)
		r := h.mustStart("tasks: {a: {use: noop}, b: {use: noop, needs: [a]}, c: {use: noop, needs: [b], with: {from: '${{ tasks.b.out.ok }}'}}}\noutputs: {c: '${{ tasks.c.out.ok }}'}")
		h.work()
		end := h.want(r.ID, api.Succeeded)
		f, err := h.fork(r.ID, "k1", api.ForkBody{Task: "c"})
		if err != nil {
			t.Fatal(err)
		}
		if f.ID == r.ID || f.Trace != r.Trace || f.ForkOf == nil || *f.ForkOf != (api.ForkOf{Run: r.ID, Seq: end.Seq}) || f.Parent != nil {
			t.Errorf("fork = %+v; want a run of the same trace that says what it is made from", f)
		}
		if again, err := h.fork(r.ID, "k1", api.ForkBody{Task: "c"}); err != nil || again.ID != f.ID {
			t.Errorf("with the same key: %s, %v; want %s", again.ID, err, f.ID)
		}
		if _, err := h.fork(r.ID, "k1", api.ForkBody{Task: "b"}); errs.KindOf(err) != errs.Conflict {
			t.Errorf("with the same key for something else: %v; want a conflict", err)
		}
		h.stop()

		h = open(t, dir)
		if again, err := h.fork(r.ID, "k1", api.ForkBody{Task: "c"}); err != nil || again.ID != f.ID {
			t.Errorf("with the same key after a restart: %s, %v; want %s", again.ID, err, f.ID)
		}
		if got := h.work(); !slices.Equal(got, []string{"c"}) {
			t.Errorf("did %v; want c alone", got)
		}
		if got := h.want(f.ID, api.Succeeded); string(got.Outputs) != string(end.Outputs) || got.ForkOf == nil || got.ForkOf.Seq != end.Seq {
			t.Errorf("fork = %+v; want the outputs of the first", got)
		}
		if d := cmp.Diff(end, h.run(r.ID)); d != "" {
			t.Errorf("the run it was made from changed:\n%s", d)
		}
		g, err := h.fork(f.ID, "", api.ForkBody{At: 3}) // a fork of a fork
		if err != nil {
			t.Fatal(err)
		}
		h.work()
		h.want(g.ID, api.Succeeded)
		for _, c := range []struct {
			body api.ForkBody
			want errs.Kind
		}{
			{api.ForkBody{}, errs.Conflict}, {api.ForkBody{At: 1000}, errs.Invalid}, {api.ForkBody{Task: "none"}, errs.NotFound},
			{api.ForkBody{Input: json.RawMessage(`{}`)}, errs.NotFound}, {api.ForkBody{Task: "c", Input: json.RawMessage(`"${{ secrets.pw }}"`)}, errs.Invalid},
		} {
			if _, err := h.fork(r.ID, "", c.body); errs.KindOf(err) != c.want {
				t.Errorf("fork %+v: %v; want %s", c.body, err, c.want)
			}
		}
		acts, err := h.db.Acts(t.Context(), ns, 0, 10)
		forks := 0
		for _, a := range acts {
			if a.Action == "run.fork" && a.Object == string(f.ID) {
				forks++
			}
		}
		if err != nil || forks != 1 {
			t.Errorf("audit = %+v, %v; want the fork, once", acts, err)
		}
		h.stop()
		if got := verifyDamaged(t, dir, ""); got != "" {
			t.Errorf("Verify found %s", got)
		}
	})
}

// TestRetryAtDepth retries what failed three runs deep: the runs above waited for it, and go on.
func TestRetryAtDepth(t *testing.T) {
	inBubble(t, func(t *testing.T, dir string) {
		h := open(t, dir)
		doc := func(name, tasks string) {
			h.defs[name] = api.Definition{Name: name, Kind: api.KindWorkflow, Version: 1, Digest: "d-" + name, Role: api.Operator,
				Document: json.RawMessage(`{"kind":"Workflow","name":"` + name + `","tasks":` + tasks + `}`)}
		}
		doc("three", `{"ok":{"use":"noop"},"bad":{"use":"noop","needs":["ok"],"with":{"n":1}},"after":{"use":"noop","needs":["bad"]}}`)
		doc("two", `{"g":{"tasks":{"s":{"use":"workflow:three"}}}}`)
		doc("one", `{"s":{"use":"workflow:two"},"last":{"use":"noop","needs":["s"]}}`)
		r := h.mustStart("tasks: {s: {use: 'workflow:one'}, end: {use: noop, needs: [s]}}")
		work := func(fail string) (did []string) {
			var rs []api.Result
			for {
				out := h.poll(10, rs...)
				if rs = nil; len(out.Assignments) == 0 {
					return did
				}
				for _, a := range out.Assignments {
					did = append(did, a.Task)
					res := api.Result{Token: a.Token, Outcome: api.Done, Out: json.RawMessage(`{}`)}
					if a.Task == fail {
						res = api.Result{Token: a.Token, Outcome: api.FailedTask, Failure: &api.Failure{Type: "broken", Message: "no"}}
					}
					rs = append(rs, res)
				}
			}
		}
		work("bad")
		end := h.want(r.ID, api.Failed)
		if end.Failure == nil || end.Failure.Type != "broken" {
			t.Errorf("failure = %+v; want that of the innermost", end.Failure)
		}
		retry := func(id api.RunID, b api.RetryBody) error {
			_, err := api.RetryRun.Call(admin(t.Context()), h.bus, api.RetryRunIn{NS: api.NS{Namespace: ns}, ID: id, Body: b})
			synctest.Wait()
			return err
		}
		if err := retry(r.ID, api.RetryBody{}); err != nil {
			t.Fatal(err)
		}
		if got := work("bad"); !slices.Equal(got, []string{"bad"}) {
			t.Errorf("did %v; want what had failed", got)
		}
		h.want(r.ID, api.Failed)
		l, err := api.ListRuns.Call(admin(t.Context()), h.bus, api.ListRunsIn{NS: api.NS{Namespace: ns}, Workflow: "three"})
		if err != nil || len(l.Items) != 1 {
			t.Fatalf("innermost runs = %+v, %v", l.Items, err)
		}
		inner := l.Items[0].ID
		h.stop()

		defs := h.defs
		h = open(t, dir) // all of it from the store
		h.defs = defs
		if err := retry(inner, api.RetryBody{Task: "bad", Input: json.RawMessage(`{"n":2}`)}); err != nil {
			t.Fatal(err)
		}
		if err := retry(inner, api.RetryBody{}); errs.KindOf(err) != errs.Conflict {
			t.Errorf("retried while it runs: %v; want a conflict", err)
		}
		h.want(r.ID, api.Running)
		out := h.poll(1)
		if len(out.Assignments) != 1 || string(out.Assignments[0].With) != `{"n":2}` {
			t.Fatalf("poll = %+v; want the edited input", out.Assignments)
		}
		h.poll(0, api.Result{Token: out.Assignments[0].Token, Outcome: api.Done})
		if got := work(""); !slices.Equal(got, []string{"after", "last", "end"}) {
			t.Errorf("did %v; want what comes after it, at every depth", got)
		}
		h.want(r.ID, api.Succeeded)
	})
}
