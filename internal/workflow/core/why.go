package core

import (
	"fmt"
	"strings"

	"tutti/api"
	"tutti/internal/workflow/dag"
)

// Why returns up to limit tasks that wait, in the order of the plan, each with all that it waits for as far
// as the run itself knows: who has the place under a limit, whether a worker holds an attempt, and what a
// sub-run waits for is for the shell to add. more says that there are others.
func (r *Run) Why(limit int) (items []api.WhyItem, more bool) {
	for _, n := range r.order {
		if n.dead || n.final() {
			continue
		}
		rs := r.reasons(n)
		if len(rs) == 0 {
			continue
		}
		if len(items) == limit {
			return items, true
		}
		items = append(items, api.WhyItem{Run: r.ID, Task: n.path, Title: n.task.Title, Use: n.task.Use, State: n.state, Attempt: n.attempt,
			Since: at(n.ready), Reasons: rs})
	}
	return items, false
}

// reasons returns what n waits for; nothing where it is under way, or what is inside it is.
func (r *Run) reasons(n *node) []api.Reason {
	switch n.state {
	case api.Pending:
		return r.pendingReasons(n)
	case api.Waiting:
		return r.waitingReasons(n)
	}
	stopped := n.in.stopping || n.doom != nil
	switch {
	case n.body != nil:
		return nil
	case n.child != "":
		return []api.Reason{{Kind: "run", Run: n.child, Text: "it waits for its sub-run"}}
	case stopped:
		return []api.Reason{{Kind: "stopping", Text: "its worker was told to stop, and has not done so yet", Who: who(n.worker)}}
	case n.worker == "":
		return []api.Reason{*r.inPool(n)}
	}
	return nil
}

func who(worker string) []string {
	if worker == "" {
		return nil
	}
	return []string{worker}
}

// inPool says that n is ready for a worker.
func (r *Run) inPool(n *node) *api.Reason {
	pool := n.task.Pool
	if pool == "" {
		pool = api.DefaultPool
	}
	return &api.Reason{Kind: "worker", Text: "it is with pool " + pool, Pool: pool}
}

// pendingReasons says why n has not begun: what holds back everything beside it first, then the tasks it
// comes after.
func (r *Run) pendingReasons(n *node) (out []api.Reason) {
	s := n.in
	switch {
	case s.stopping:
		out = append(out, api.Reason{Kind: "stopping", Text: "it will not start: what it is part of is being stopped"})
	case s.failing && s == r.root && r.Graph.OnFailure == dag.PauseRun:
		out = append(out, api.Reason{Kind: "paused", Task: s.cause.path, Text: fmt.Sprintf("%s failed; retry it or cancel the run", s.cause.path)})
	case s.roll != nil:
		out = append(out, r.rolloutReasons(s)...)
	case s.failing:
		out = append(out, api.Reason{Kind: "stopping", Task: s.cause.path, Text: fmt.Sprintf("it will not start: %s failed, and what still runs ends first", s.cause.path)})
	default:
		out = append(out, r.heldBack()...)
	}
	for _, d := range n.task.Deps {
		if s.items {
			break // they are those of the `each`
		}
		if m := s.nodes[d.On.Index]; !m.final() {
			word := "needs"
			if d.Kind == dag.Settled {
				word = "comes after"
			}
			out = append(out, api.Reason{Kind: "after", Task: m.path, Text: fmt.Sprintf("it %s %s, which is %s", word, m.path, m.state)})
		}
	}
	if n.isItem && s.parallel > 0 && s.active >= s.parallel {
		out = append(out, api.Reason{Kind: "parallel", Text: fmt.Sprintf("at most %d items of %s run at a time", s.parallel, owner(s))})
	}
	return out
}

func owner(s *scope) string {
	if s.owner == nil {
		return "the undo"
	}
	return s.owner.path
}

// heldBack says what lets nothing start in the run.
func (r *Run) heldBack() (out []api.Reason) {
	if r.held() {
		out = append(out, *r.limitReason())
	}
	if r.paused && r.phase == inMain {
		out = append(out, api.Reason{Kind: "paused", Text: "the run was paused by " + r.pausedBy, Who: who(r.pausedBy)})
	}
	return out
}

func (r *Run) waitingReasons(n *node) []api.Reason {
	if n.reason == nil {
		return nil
	}
	c := *n.reason
	if a := r.approval(n); a != nil {
		c.Who, c.Have, c.Want = a.To, len(a.By), a.Quorum
		if len(c.Who) == 0 {
			c.Who = []string{"role:" + api.Approver}
		}
		if a.Quorum > 1 {
			c.Text += fmt.Sprintf(": %d of %d have approved", len(a.By), a.Quorum)
		}
		if len(a.By) > 0 {
			c.Text += " (" + strings.Join(a.By, ", ") + ")"
		}
	}
	out := []api.Reason{c}
	if c.Kind == "retry" {
		out = append(out, r.heldBack()...)
	}
	return out
}
