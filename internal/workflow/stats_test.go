package workflow_test

import (
	"testing"
	"time"

	"tutti/api"
)

func TestStatsAndQueue(t *testing.T) {
	inBubble(t, func(t *testing.T, dir string) {
		h := open(t, dir)
		h.mustStart("tasks: {a: {use: noop}}")
		h.work()
		time.Sleep(3 * time.Hour) // sleep: virtual time
		r := h.mustStart("tasks: {a: {use: noop}, b: {use: noop, pool: far}, c: {use: noop}}")
		h.poll(1)
		s, err := api.RunStats.Call(admin(t.Context()), h.bus, api.StatsIn{NS: api.NS{Namespace: ns}})
		if n := len(s.Items); err != nil || n != 24 || s.Items[n-1].States[api.Running] != 1 || s.Items[n-4].States[api.Succeeded] != 1 || s.Items[n-2].States != nil {
			t.Errorf("stats = %+v, %v; want one that runs in the last hour, and one that succeeded three before", s.Items, err)
		}
		s, err = api.RunStats.Call(admin(t.Context()), h.bus, api.StatsIn{NS: api.NS{Namespace: ns}, Hours: 2, Workflow: "other"})
		if err != nil || len(s.Items) != 2 || s.Items[1].States != nil {
			t.Errorf("stats of another workflow = %+v, %v; want none", s.Items, err)
		}
		q, err := api.RunQueue.Call(admin(t.Context()), h.bus, api.HomeIn{NS: api.NS{Namespace: ns}})
		if err != nil || len(q.Items) != 2 || q.Items[0].Pool != "default" || q.Items[0].Queued != 1 || q.Items[0].Taken != 1 || q.Items[1].Pool != "far" || q.Items[1].Run != r.ID || q.Items[1].Oldest.IsZero() {
			t.Errorf("queue = %+v, %v; want one taken and one queued in default, and one in far", q.Items, err)
		}
		l, err := api.ListRuns.Call(admin(t.Context()), h.bus, api.ListRunsIn{NS: api.NS{Namespace: ns}, Active: true, Top: true})
		if err != nil || len(l.Items) != 1 || l.Items[0].ID != r.ID {
			t.Errorf("active = %+v, %v; want the second run", l.Items, err)
		}
	})
}

func TestUses(t *testing.T) {
	inBubble(t, func(t *testing.T, dir string) {
		h := open(t, dir)
		h.mustStart("tasks: {a: {use: noop}}")
		h.work()
		h.mustStart("tasks: {a: {use: noop}}")
		p, err := api.WorkflowUses.Call(admin(t.Context()), h.bus, api.WorkflowUsesIn{NS: api.NS{Namespace: ns}})
		if err != nil || len(p.Items) != 1 {
			t.Fatalf("uses = %+v, %v; want those of one workflow", p.Items, err)
		}
		if u := p.Items[0]; u.Runs != 2 || u.Succeeded != 1 || u.Active != 1 || u.Failed != 0 || u.Expected == nil || u.Expected.Runs != 1 || u.Last.IsZero() {
			t.Errorf("use = %+v", u)
		}
	})
}
