package core

import (
	"encoding/json"
	"fmt"

	"tutti/api"
	"tutti/errs"
	"tutti/internal/workflow/dag"
)

// Fork says how a run that is made from another one differs from it.
type Fork struct {
	// Task begins again, with all that comes after it, although it had succeeded; "" keeps all that had.
	Task string
	// Input replaces the input of Task, Inputs those of the run; nil keeps them.
	Input, Inputs json.RawMessage
	By            string
}

// Copy returns the events of a run, up to some event of it, as the beginning of the journal of a run m that
// is made from it. r, a new run, must have applied them before it is forked.
func Copy(events []Event, m *Meta) []Event {
	if len(events) > 0 && events[0].Type == Created {
		events[0].Meta = m
	}
	return events
}

// Fork lets a run go on its own way that has applied the events of another one (see Copy): what had
// succeeded is kept, all else begins anew, with attempts, timers, places and sub-runs of its own. What is
// kept is not its own to undo. It returns errs.Conflict where that run was being undone, or nothing would be
// left to do.
func (r *Run) Fork(now int64, f Fork) ([]Event, Effects, error) {
	r.begin(now)
	if r.root == nil {
		return nil, Effects{}, errs.New(errs.Invalid, "the run to fork had not begun")
	}
	if r.undo != nil {
		return nil, Effects{}, errs.New(errs.Conflict, "run %s was being undone, or had been, at that event", r.ForkOf.Run).WithHint("fork it from an earlier one")
	}
	e := Event{Type: Forked, Path: f.Task, Input: f.Input, Inputs: f.Inputs, By: f.By, Cause: fmt.Sprintf("from run %s at event %d", r.ForkOf.Run, r.ForkOf.Seq)}
	if f.Task != "" {
		n, err := r.lookup(f.Task)
		switch {
		case err != nil:
			return nil, Effects{}, errs.New(errs.NotFound, "run %s had no task %q at that event", r.ForkOf.Run, f.Task)
		case f.Input != nil && (n.task.Body != nil || n.isEach):
			return nil, Effects{}, errs.New(errs.Invalid, "%s is a group; only a call has an input", f.Task).WithHint("name the task inside it")
		}
	} else if f.Input != nil {
		return nil, Effects{}, errs.New(errs.Invalid, "an input is given without the task it is for")
	} else if r.root.unsettled == 0 && !r.root.failing && !r.root.stopping {
		return nil, Effects{}, errs.New(errs.Conflict, "everything in run %s had succeeded at that event", r.ForkOf.Run).WithHint("name the task to begin again from, or an earlier event")
	}
	if f.Inputs != nil {
		r.Created = now // vars may read when the run started
		vars, err := r.evalVars(f.Inputs)
		if err != nil {
			return nil, Effects{}, err
		}
		e.Vars = vars
	}
	r.emit(e)
	if err := r.queueRun(); err != nil {
		return nil, Effects{}, err
	}
	ev, ef := r.finish()
	return ev, ef, nil
}

// applyForked leaves of another run's state what had succeeded.
func (r *Run) applyForked(e *Event) error {
	if e.Inputs != nil {
		if err := r.setInputs(e.Inputs, e.Vars); err != nil {
			return err
		}
	}
	r.drop(r.finally)
	r.finally = nil
	r.phase, r.State, r.Created, r.EndedAt = inMain, api.Running, r.now, 0
	r.Failure, r.Outputs, r.stopWhy, r.stopBy = nil, nil, "", ""
	r.degraded, r.limit, r.paused, r.pausedBy = false, nil, false, ""
	r.running, r.waiting, r.timers, r.completed = 0, 0, nil, nil
	r.abandonWork(r.root)
	if e.Path != "" {
		n := r.nodes[e.Path]
		if n == nil {
			return fmt.Errorf("event %d: no task %q", r.Seq, e.Path)
		}
		r.rewind(n)
		n.edited = e.Input
	}
	r.revive(r.root)
	r.armRun()
	return nil
}

// abandonWork forgets what the tasks of s that have not succeeded had in hand: it is another run's.
func (r *Run) abandonWork(s *scope) {
	for _, n := range s.nodes {
		n.undo, n.edited, n.limit, n.once, n.votes, n.did = "", nil, nil, nil, nil, nil
		if n.body != nil {
			r.abandonWork(n.body)
		}
		if n.state == api.Succeeded {
			continue
		}
		r.endTry(n, api.Cancelled, nil)
		n.child, n.vars, n.worker = "", nil, ""
		if n.body == nil && n.active {
			n.active, n.state = false, api.Pending
		}
	}
}

// rewind puts n back to before it began, with all that comes after it; what is around it goes on.
func (r *Run) rewind(n *node) {
	r.reset(n)
	if n.in.def != nil {
		for _, d := range n.task.Dependents {
			if m := n.in.nodes[d.On.Index]; m.state != api.Pending {
				r.rewind(m)
			}
		}
	}
	for o := n.in.owner; o != nil; o = o.in.owner {
		if o.state == api.Pending {
			return // it was put back with all that is in it
		}
		o.state, o.active = api.Cancelled, false // to be revived
		if o.in.def == nil {
			continue
		}
		for _, d := range o.task.Dependents {
			if m := o.in.nodes[d.On.Index]; m.state != api.Pending {
				r.rewind(m)
			}
		}
	}
}

// reset makes n as it was before it began, but for the number of its attempts.
func (r *Run) reset(n *node) {
	r.drop(n.body)
	n.body, n.task = nil, n.defined()
	n.state, n.active, n.out, n.outAny, n.outOK, n.failure, n.blocker = api.Pending, false, nil, nil, false, nil, nil
	n.child, n.vars, n.left = "", nil, false
	n.started, n.ended, n.ready = 0, 0, 0
}

// defined returns the task of n as the definition has it, not what it expanded to.
func (n *node) defined() *dag.Task {
	switch {
	case n.isItem && n.in.owner != nil:
		return n.in.owner.task
	case n.in.def != nil:
		return n.in.def.ByID[n.task.ID]
	}
	return n.task
}
