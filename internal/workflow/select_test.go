package workflow_test

import (
	"strings"
	"testing"
	"time"

	"tutti/api"
)

func TestListTasksInPart(t *testing.T) {
	inBubble(t, func(t *testing.T, dir string) {
		h := open(t, dir)
		r := h.mustStart("inputs: {type: object}\ntasks:\n  a: {use: noop}\n  g: {tasks: {x: {use: noop}, y: {use: noop, needs: [x]}}, needs: [a]}\n" +
			"  d: {each: {in: '[1, 2]'}, use: noop, needs: [g], retry: {max: 1, wait: 1s}}\n  z: {use: noop, needs: [d]}")
		list := func(in api.ListTasksIn) string {
			t.Helper()
			in.Namespace, in.ID = ns, r.ID
			p, err := api.ListTasks.Call(admin(t.Context()), h.bus, in)
			if err != nil {
				t.Fatal(err)
			}
			var out []string
			for _, x := range p.Items {
				out = append(out, x.Path)
			}
			return strings.Join(out, " ")
		}
		do := func(n int) time.Time {
			t.Helper()
			for range n {
				for _, a := range h.poll(1).Assignments {
					h.poll(0, api.Result{Token: a.Token, Outcome: api.Done, Out: []byte(`{}`)})
				}
			}
			time.Sleep(time.Second) // sleep: virtual time
			return time.Now()
		}
		begun := do(1) // a
		if got := list(api.ListTasksIn{Since: begun}); got != "" {
			t.Errorf("nothing happened, but %q changed", got)
		}
		later := do(1) // g.x
		if got := list(api.ListTasksIn{Since: begun}); got != "g g.x g.y" {
			t.Errorf("after g.x: %q changed; want g.x, the g around it and g.y, which began", got)
		}
		do(1) // g.y
		if got := list(api.ListTasksIn{Since: later}); got != "g g.y d d[0] d[1]" {
			t.Errorf("after g.y: %q changed; want g, and the items of d that came to be", got)
		}
		for _, tc := range []struct {
			in   api.ListTasksIn
			want string
		}{
			{api.ListTasksIn{}, "a g g.x g.y d d[0] d[1] z"},
			{api.ListTasksIn{Fold: true}, "a g g.x g.y d z"},
			{api.ListTasksIn{Under: "d", Fold: true}, "d[0] d[1]"},
			{api.ListTasksIn{Under: "g"}, "g.x g.y"},
			{api.ListTasksIn{Under: "g", State: api.Failed}, ""},
		} {
			if got := list(tc.in); got != tc.want {
				t.Errorf("tasks with %+v = %q; want %q", tc.in, got, tc.want)
			}
		}
		out := h.poll(1)
		h.poll(0, api.Result{Token: out.Assignments[0].Token, Outcome: api.FailedTask, Failure: &api.Failure{Type: "x", Message: "no", Retryable: true}})
		time.Sleep(2 * time.Second) // sleep: virtual time
		p, err := api.ListTasks.Call(admin(t.Context()), h.bus, api.ListTasksIn{NS: api.NS{Namespace: ns}, ID: r.ID, Under: "d", Attempts: true})
		if err != nil || len(p.Items) != 2 || len(p.Items[0].Attempts) != 2 || p.Items[1].Attempts != nil {
			t.Errorf("with attempts: %+v, %v; want two of d[0], none of d[1]", p.Items, err)
		}
	})
}
