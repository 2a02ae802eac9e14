package workflow_test

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"tutti/api"
	"tutti/errs"
)

func (h *house) runAt(id api.RunID, seq int64) (api.Run, []api.Task, error) {
	h.t.Helper()
	n, m := api.NS{Namespace: ns}, api.Moment{At: seq}
	r, err := api.GetRun.Call(admin(h.t.Context()), h.bus, api.GetRunIn{NS: n, Moment: m, ID: id})
	if err != nil {
		return r, nil, err
	}
	p, err := api.ListTasks.Call(admin(h.t.Context()), h.bus, api.ListTasksIn{NS: n, Moment: m, ID: id})
	return r, p.Items, err
}

// TestTimeTravel looks at a run after each of its events, forwards and backwards: the states are those that
// the events say, whatever was looked at before.
func TestTimeTravel(t *testing.T) {
	inBubble(t, func(t *testing.T, dir string) {
		h := open(t, dir)
		r := h.mustStart(`tasks:
  a: {use: noop}
  e: {each: {in: '[1,2]'}, needs: [a], use: noop}
  g: {needs: [a], tasks: {x: {use: set, with: {v: 1}}, y: {use: noop, needs: [x]}}}
outputs: {x: "${{ tasks.a.out.ok }}"}`)
		h.work()
		end := h.want(r.ID, api.Succeeded)
		type shot struct {
			Run   api.Run
			Tasks []api.Task
		}
		var shots []shot
		for seq := int64(1); seq <= end.Seq; seq++ {
			got, tasks, err := h.runAt(r.ID, seq)
			if err != nil || got.Seq != seq || got.AsOf.IsZero() {
				t.Fatalf("at %d: %+v, %v", seq, got, err)
			}
			if got.State.Ended() != (seq == end.Seq) {
				t.Errorf("at %d of %d the run is %s", seq, end.Seq, got.State)
			}
			shots = append(shots, shot{got, tasks})
		}
		last := shots[len(shots)-1].Run
		last.AsOf, last.Expected = time.Time{}, end.Expected
		if d := cmp.Diff(end, last); d != "" {
			t.Errorf("as of its last event it is not what it is now (-now +then):\n%s", d)
		}
		for seq := end.Seq; seq >= 1; seq -= 2 {
			got, tasks, err := h.runAt(r.ID, seq)
			if d := cmp.Diff(shots[seq-1], shot{got, tasks}); err != nil || d != "" {
				t.Errorf("at %d, looked at again (%v):\n%s", seq, err, d)
			}
		}
		events, err := api.RunEvents.Call(admin(t.Context()), h.bus, api.RunEventsIn{NS: api.NS{Namespace: ns}, ID: r.ID})
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range events.Items {
			want, ok := map[string]api.State{"task.started": api.Running, "task.succeeded": api.Succeeded}[e.Type]
			if !ok {
				continue
			}
			i := slices.IndexFunc(shots[e.Seq-1].Tasks, func(t api.Task) bool { return t.Path == e.Task })
			if i < 0 || shots[e.Seq-1].Tasks[i].State != want {
				t.Errorf("after event %d (%s %s) the task is not %s", e.Seq, e.Type, e.Task, want)
			}
		}
		if _, _, err := h.runAt(r.ID, end.Seq+1); errs.KindOf(err) != errs.Invalid {
			t.Errorf("beyond the end: %v; want an invalid call", err)
		}
		g, err := api.RunGraph.Call(admin(t.Context()), h.bus, api.GraphIn{RunIn: api.RunIn{NS: api.NS{Namespace: ns}, Moment: api.Moment{At: 2}, ID: r.ID}})
		if err != nil || g.Nodes[0].ID != "a" || g.Nodes[0].State != api.Running {
			t.Errorf("graph at 2 = %+v, %v; want a running", g.Nodes, err)
		}
	})
}

func (h *house) why(id api.RunID) api.Why {
	h.t.Helper()
	w, err := api.RunWhy.Call(admin(h.t.Context()), h.bus, api.RunIn{NS: api.NS{Namespace: ns}, ID: id})
	if err != nil {
		h.t.Fatal(err)
	}
	return w
}

func TestWhySaysWhoHasThePlace(t *testing.T) {
	inBubble(t, func(t *testing.T, dir string) {
		h := open(t, dir)
		text := "tasks: {a: {use: noop, limit: {key: 'vm/x'}}}"
		first, second, third := h.mustStart(text), h.mustStart(text), h.mustStart(text)
		_ = second
		w := h.why(third.ID)
		if len(w.Items) != 1 {
			t.Fatalf("why = %+v; want one task", w)
		}
		r := w.Items[0].Reasons[0]
		if r.Kind != "limit" || r.Key != "vm/x" || r.Ahead != 1 || !cmp.Equal(r.Holders, []api.TaskRef{{Run: first.ID, Task: "a"}}) || !strings.Contains(r.Text, string(first.ID)) {
			t.Errorf("reason = %+v; want the first run as the holder, and one ahead", r)
		}
		if w.Reason == nil || !cmp.Equal(w.Reason.Holders, r.Holders) || w.Reason.Task != "a" {
			t.Errorf("reason of the run = %+v; want the same", w.Reason)
		}
	})
}

func TestWhySaysWhichWorkersThereAre(t *testing.T) {
	inBubble(t, func(t *testing.T, dir string) {
		h := open(t, dir)
		r := h.mustStart("tasks: {a: {use: noop, pool: far}}")
		reason := func() api.Reason {
			t.Helper()
			w := h.why(r.ID)
			if len(w.Items) != 1 || w.Items[0].Reasons[0].Kind != "worker" {
				t.Fatalf("why = %+v; want a task without a worker", w)
			}
			return w.Items[0].Reasons[0]
		}
		if got := reason(); got.Pool != "far" || !got.Seen.IsZero() || !strings.Contains(got.Text, "no worker has asked pool far") {
			t.Errorf("before any worker: %+v", got)
		}
		ask := func(types ...string) api.PollOut {
			t.Helper()
			out, err := api.PollTasks.Call(admin(t.Context()), h.bus, api.PollIn{NS: api.NS{Namespace: ns}, Pool: "far", Body: api.PollBody{Worker: "w7", Max: 1, Types: types}})
			if err != nil {
				t.Fatal(err)
			}
			return out
		}
		ask("exec")
		if got := reason(); !strings.Contains(got.Text, "no worker of pool far takes noop") || !strings.Contains(got.Text, "w7") {
			t.Errorf("with a worker of another type: %+v", got)
		}
		other := h.mustStart("tasks: {a: {use: noop, pool: far}}")
		if out := ask("noop"); len(out.Assignments) != 1 {
			t.Fatalf("poll = %+v", out)
		}
		if w := h.why(r.ID); len(w.Items) != 0 {
			t.Errorf("with a worker that has it: %+v; want nothing that waits", w.Items)
		}
		r = other
		if got := reason(); !cmp.Equal(got.Who, []string{"w7"}) || got.Seen.IsZero() {
			t.Errorf("with a busy worker: %+v", got)
		}
		time.Sleep(10 * time.Minute) // sleep: virtual time
		if got := reason(); len(got.Who) != 0 || !strings.Contains(got.Text, "w7 last asked 10m ago") {
			t.Errorf("after the worker went away: %+v", got)
		}
	})
}

func TestWhyLooksIntoSubRuns(t *testing.T) {
	inBubble(t, func(t *testing.T, dir string) {
		h := open(t, dir)
		doc := func(name, tasks string) {
			h.defs[name] = api.Definition{Name: name, Kind: api.KindWorkflow, Version: 1, Digest: "d-" + name, Role: api.Operator,
				Document: json.RawMessage(`{"kind":"Workflow","name":"` + name + `","tasks":` + tasks + `}`)}
		}
		doc("leaf", `{"ask":{"use":"approval","with":{"to":["role:approver"]}}}`)
		doc("middle", `{"s":{"use":"workflow:leaf"}}`)
		r := h.mustStart("tasks: {top: {use: 'workflow:middle'}, last: {use: noop, needs: [top]}}")
		synctest.Wait()
		var got []string
		for _, it := range h.why(r.ID).Items {
			for _, x := range it.Reasons {
				got = append(got, it.Task+" "+x.Kind+" "+strings.Join(x.Who, ","))
			}
		}
		want := []string{"top run ", "s run ", "ask approval role:approver", "last after "}
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("why (-want +got):\n%s", d)
		}
	})
}

func TestDurations(t *testing.T) {
	inBubble(t, func(t *testing.T, dir string) {
		h := open(t, dir)
		text := "tasks: {a: {use: wait, with: {for: '${{ inputs.n }}s'}}, b: {use: wait, needs: [a], with: {for: 5s}}, e: {each: {in: '[1,2]'}, use: set, with: {}}}"
		begin := func(n string) api.RunID {
			r, err := api.StartRun.Call(admin(t.Context()), h.bus, api.StartRunIn{NS: api.NS{Namespace: ns}, Body: api.StartRunBody{
				Definition: "kind: Workflow\nname: test\ninputs: {type: object, properties: {n: {type: string}}}\n" + text, Inputs: json.RawMessage(`{"n":"` + n + `"}`)}})
			if err != nil {
				t.Fatal(err)
			}
			return r.ID
		}
		if r := h.run(begin("1")); r.Expected != nil {
			t.Errorf("expected = %+v before any run succeeded", r.Expected)
		}
		for _, n := range []string{"2", "3", "4", "5", "6", "7", "8", "9", "10"} {
			begin(n)
		}
		time.Sleep(time.Minute) // sleep: virtual time
		synctest.Wait()
		d, err := api.WorkflowDurations.Call(admin(t.Context()), h.bus, api.DurationsIn{NS: api.NS{Namespace: ns}, Name: "test"})
		if err != nil {
			t.Fatal(err)
		}
		s := func(n int) api.Duration { return api.Duration(time.Duration(n) * time.Second) }
		want := api.Durations{Workflow: "test", Expected: &api.Expected{P50: s(10), P90: s(14), Runs: 10}, Tasks: []api.TaskDuration{
			{Path: "a", Expected: api.Expected{P50: s(5), P90: s(9), Runs: 10}}, {Path: "b", Expected: api.Expected{P50: s(5), P90: s(5), Runs: 10}},
			{Path: "e", Expected: api.Expected{Runs: 10}},
		}}
		if diff := cmp.Diff(want, d); diff != "" {
			t.Errorf("durations (-want +got):\n%s", diff)
		}
		began := time.Now()
		r := h.run(begin("100"))
		if r.Expected == nil || r.Expected.P50 != s(10) || r.Expected.Ends.Sub(began).Round(time.Second) != 105*time.Second {
			t.Errorf("expected = %+v; want the median, and an end that knows the timer", r.Expected)
		}
		if _, err := api.WorkflowDurations.Call(admin(t.Context()), h.bus, api.DurationsIn{NS: api.NS{Namespace: ns}, Name: "none"}); errs.KindOf(err) != errs.NotFound {
			t.Errorf("of no workflow: %v; want not found", err)
		}
	})
}
