package workflow_test

import (
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"tutti/api"
)

func TestLimitQueues(t *testing.T) {
	inBubble(t, func(t *testing.T, dir string) {
		h := open(t, dir)
		text := "tasks: {a: {use: noop, limit: {key: 'vm/x'}}, b: {use: noop, needs: [a]}}"
		first, second, third := h.mustStart(text), h.mustStart(text), h.mustStart(text)
		h.want(first.ID, api.Running)
		r := h.want(second.ID, api.Waiting)
		if r.Reason == nil || r.Reason.Kind != "limit" || r.Reason.Key != "vm/x" {
			t.Errorf("reason = %+v; want the limit", r.Reason)
		}
		out := h.poll(10)
		if len(out.Assignments) != 1 || out.Assignments[0].Run != first.ID {
			t.Fatalf("running: %+v; want only the first", out.Assignments)
		}
		// The place survives a restart, and so does the queue.
		h.stop()
		h = open(t, dir)
		out = h.poll(10)
		if len(out.Assignments) != 1 || out.Assignments[0].Run != first.ID {
			t.Fatalf("after a restart: %+v; want only the first", out.Assignments)
		}
		out = h.poll(10, api.Result{Token: out.Assignments[0].Token, Outcome: api.Done})
		var runs []api.RunID
		for _, a := range out.Assignments {
			if a.Task == "a" {
				runs = append(runs, a.Run)
			}
		}
		if !slices.Equal(runs, []api.RunID{second.ID}) {
			t.Fatalf("next: %v; want the second", runs)
		}
		// A cancelled holder gives its place back; a cancelled waiter leaves the queue.
		for _, id := range []api.RunID{second.ID} {
			if _, err := api.CancelRun.Call(admin(t.Context()), h.bus, api.CancelRunIn{NS: api.NS{Namespace: ns}, ID: id}); err != nil {
				t.Fatal(err)
			}
		}
		var rs []api.Result
		for _, a := range out.Assignments {
			rs = append(rs, api.Result{Token: a.Token, Outcome: api.Interrupted})
			if a.Run == first.ID {
				rs[len(rs)-1].Outcome = api.Done
			}
		}
		h.poll(0, rs...)
		h.want(second.ID, api.Cancelled)
		h.work()
		h.want(first.ID, api.Succeeded)
		h.want(third.ID, api.Succeeded)
	})
}

func TestLimitOfRuns(t *testing.T) {
	inBubble(t, func(t *testing.T, dir string) {
		h := open(t, dir)
		queue := "limit: {key: all, max: 2}\ntasks: {a: {use: noop}}"
		a, b, c := h.mustStart(queue), h.mustStart(queue), h.mustStart(queue)
		h.want(c.ID, api.Waiting)
		refused := h.mustStart("limit: {key: all, max: 2, whenFull: refuse}\ntasks: {a: {use: noop}}")
		if r := h.want(refused.ID, api.Failed); r.Failure == nil || r.Failure.Type != "limit" {
			t.Errorf("failure = %+v; want limit", r.Failure)
		}
		h.work()
		for _, id := range []api.RunID{a.ID, b.ID, c.ID} {
			h.want(id, api.Succeeded)
		}
		// The smallest max of those who share a key holds.
		one := h.mustStart("limit: {key: all, max: 1}\ntasks: {a: {use: noop}}")
		two := h.mustStart(queue)
		h.want(two.ID, api.Waiting)
		replaced := h.mustStart("limit: {key: all, whenFull: replace}\ntasks: {a: {use: noop}}")
		synctest.Wait()
		h.want(one.ID, api.Cancelled)
		h.want(two.ID, api.Cancelled)
		h.work()
		h.want(replaced.ID, api.Succeeded)
	})
}

func TestLargerLimitsAreReleasedWhileWaiting(t *testing.T) {
	inBubble(t, func(t *testing.T, dir string) {
		h := open(t, dir)
		h.mustStart("tasks: {g: {limit: {key: k, max: 2}, use: approval}}")
		h.mustStart("tasks: {g: {limit: {key: k, max: 2}, use: approval}}")
		free := h.mustStart("tasks: {g: {limit: {key: k, max: 2}, use: noop}}")
		h.work()
		h.want(free.ID, api.Succeeded)
		h.mustStart("tasks: {g: {limit: {key: lock}, use: approval}}")
		locked := h.mustStart("tasks: {g: {limit: {key: lock}, use: noop}}")
		h.work()
		h.want(locked.ID, api.Waiting)
	})
}

func TestOnce(t *testing.T) {
	inBubble(t, func(t *testing.T, dir string) {
		h := open(t, dir)
		text := "tasks: {a: {use: noop, once: the-ip}, b: {use: set, needs: [a], with: {got: '${{ tasks.a.out.ok }}'}}}\noutputs: {x: '${{ tasks.b.out.got }}'}"
		first, second := h.mustStart(text), h.mustStart(text)
		if got := h.work(); !slices.Equal(got, []string{"a"}) {
			t.Errorf("did %v; want a once", got)
		}
		h.stop()
		h = open(t, dir)
		third := h.mustStart(text)
		if got := h.work(); len(got) != 0 {
			t.Errorf("did %v; want nothing", got)
		}
		for _, id := range []api.RunID{first.ID, second.ID, third.ID} {
			if r := h.want(id, api.Succeeded); string(r.Outputs) != `{"x":true}` {
				t.Errorf("outputs = %s", r.Outputs)
			}
		}
	})
}

func TestPriorities(t *testing.T) {
	inBubble(t, func(t *testing.T, dir string) {
		h := open(t, dir)
		for _, x := range []string{"low: -5", "first: 0", "urgent: 7", "second: 0"} {
			name, priority, _ := strings.Cut(x, ": ")
			h.mustStart("priority: " + priority + "\ntasks: {" + name + ": {use: noop}}")
		}
		if got := h.work(); !slices.Equal(got, []string{"urgent", "first", "second", "low"}) {
			t.Errorf("did %v; want what is urgent first, and then in the order it came", got)
		}
	})
}
