package core

import (
	"container/heap"
	"fmt"

	"tutti/api"
	"tutti/internal/workflow/dag"
)

func (r *Run) applyFinal(n *node, e *Event) {
	r.leave(n)
	if n.active {
		n.active = false
		n.in.active--
	}
	if e.Attempt > n.attempt {
		r.nextAttempt(n, e.Attempt)
	}
	if e.Input != nil {
		n.input = e.Input
	}
	n.ended, n.reason, n.until, n.claim, n.parked, n.paused = r.now, nil, 0, "", false, false
	n.letGo(true)
	switch e.Type {
	case Done:
		if e.Key != "" && len(r.signals[e.Key]) > 0 { // the signal had come before
			r.signals[e.Key] = r.signals[e.Key][1:]
		}
		n.state, n.out, n.outOK, n.failure = api.Succeeded, e.Out, false, nil
		r.endTry(n, api.Succeeded, nil)
		if n.undoes == nil && (n.task.Undo != nil || n.child != "") && !n.isEach {
			r.complete(n)
		}
	case FailedTask:
		n.state, n.failure = api.Failed, e.Failure
		if e.Cause == refused {
			n.child = ""
		}
		r.endTry(n, api.Failed, e.Failure)
	case SkippedBy:
		n.state, n.why = api.Skipped, e.Cause
	case CancelledT:
		n.state, n.why = api.Cancelled, e.Cause
		r.endTry(n, api.Cancelled, nil)
	}
	if n.undoes != nil {
		n.undoes.undo = n.state
	}
	r.settle(n)
}

// complete notes that n did something that can be undone, also with the items of rollouts it lies in.
func (r *Run) complete(n *node) {
	r.completed = append(r.completed, n)
	for o := n; o != nil; o = o.in.owner {
		if o.in.roll != nil && !o.aside {
			o.did = append(o.did, n)
		}
	}
}

// letGo forgets the places of n: all of them at its end, else those it does not keep while it waits.
func (n *node) letGo(ends bool) {
	if n.limit != nil && (ends || !n.limit.keep) {
		n.limit = nil
	}
	if ends {
		n.once = nil
	}
}

// settle tells the neighbours of n that it has its last state.
func (r *Run) settle(n *node) {
	s := n.in
	r.touched = append(r.touched, s)
	if s.roll != nil {
		r.settleRolled(n)
		return
	}
	s.unsettled--
	if n.state == api.Failed {
		s.failures++
		switch {
		case s.items:
			if s.failures > s.tolerate {
				r.markFailing(s, n)
			} else {
				r.degraded = true
			}
		case n.tolerated():
			r.degraded = true
		default:
			r.markFailing(s, n)
		}
	}
	if s.items {
		return
	}
	for _, d := range n.task.Dependents {
		m := s.nodes[d.On.Index]
		m.unmet--
		if d.Kind == dag.Succeeded && n.state != api.Succeeded && m.blocker == nil {
			m.blocker = n
		}
		if m.unmet == 0 {
			r.ready = append(r.ready, m)
		}
	}
}

// markFailing says that s will fail because of n: nothing new starts in it. Where that makes the
// failure of the scopes around it inevitable, the same holds there.
func (r *Run) markFailing(s *scope, n *node) {
	for s != nil && !s.failing {
		s.failing = true
		s.cause = n
		r.touched = append(r.touched, s)
		o := s.owner
		if o == nil || o.doom == nil && r.mayRetry(o) {
			return
		}
		if e := o.task.OnError; e == dag.Pause || !o.isItem && e == dag.Continue {
			return
		}
		if o.in.items && o.in.failures+1 <= o.in.tolerate {
			return
		}
		if o.in.roll != nil {
			return // the planner judges
		}
		s = o.in
	}
}

// mayRetry says whether a group has attempts left, whatever the condition will say.
func (r *Run) mayRetry(n *node) bool {
	return n.task.Retry != nil && !n.isEach && n.fails < n.task.Retry.Max
}

func (r *Run) applyAbandoned(s *scope, why string) {
	for _, n := range s.nodes {
		if n.state == api.Pending {
			n.state, n.why, n.ended, n.left = api.Skipped, why, r.now, true
			s.unsettled--
		}
	}
}

// applyStopping stops a scope and all below it.
func (r *Run) applyStopping(e *Event) error {
	s := r.root
	if e.Path != "" {
		n := r.nodes[e.Path]
		if n == nil {
			return fmt.Errorf("event %d: no task %q", r.Seq, e.Path)
		}
		n.doom = e.Failure
		if n.body == nil {
			return nil
		}
		s = n.body
	} else {
		r.stopWhy, r.stopBy = e.Cause, e.By
		if r.phase == inFinally {
			s = r.finally
		} else if r.phase == inUndo {
			s = r.undo
		}
		if e.Failure != nil && r.Failure == nil {
			r.Failure = &api.RunFail{Task: e.Task, Failure: *e.Failure}
		}
	}
	r.stop(s)
	return nil
}

func (r *Run) stop(s *scope) {
	s.stopping = true
	r.touched = append(r.touched, s)
	for _, n := range s.all() {
		if n.active && n.body != nil && n.state == api.Running {
			r.stop(n.body)
		}
	}
}

// closeUndo notes that everything was undone.
func (r *Run) closeUndo() {
	if r.phase == inUndo {
		r.undone = r.undo.failures == 0 && r.undo.unsettled == 0
	}
}

func (r *Run) applyEnded(e *Event) {
	r.closeUndo()
	r.phase = atEnd
	r.limit, r.paused = nil, false
	r.State, r.Outputs, r.EndedAt, r.Reason = e.State, e.Out, r.now, nil
	r.outcome = e.State
	if e.Failure != nil {
		r.Failure = &api.RunFail{Task: e.Task, Failure: *e.Failure}
	}
	r.timers = nil
	heap.Init(&r.timers)
}
