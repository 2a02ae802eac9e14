package core

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"tutti/api"
	"tutti/errs"
	"tutti/internal/workflow/dag"
)

// undoable returns what can be undone, newest first, each path once.
func (r *Run) undoable() []*node { return undoableOf(r.completed) }

func undoableOf(completed []*node) []*node {
	var out []*node
	seen := map[string]bool{}
	for _, n := range slices.Backward(completed) {
		if seen[n.path] || n.undo == api.Succeeded {
			continue
		}
		seen[n.path] = true
		out = append(out, n)
	}
	return out
}

// Undo undoes what an ended run did, newest first. It returns errs.Conflict for a run that has not
// ended or has nothing (left) to undo.
func (r *Run) Undo(now int64, by string) ([]Event, Effects, error) {
	r.begin(now)
	if !r.State.Ended() {
		return nil, Effects{}, errs.New(errs.Conflict, "run %s is %s", r.ID, r.State).WithHint("cancel it, or wait for its end, then undo it")
	}
	if len(r.undoable()) == 0 {
		return nil, Effects{}, errs.New(errs.Conflict, "run %s did nothing that can be undone", r.ID)
	}
	r.emit(Event{Type: Undoing, By: by, State: r.State})
	ev, ef := r.finish()
	return ev, ef, nil
}

// UndoChild is Undo for a parent: it counts as done where there is nothing to undo.
func (r *Run) UndoChild(now int64, by string) ([]Event, Effects, error) {
	if r.State.Ended() && len(r.undoable()) == 0 {
		r.begin(now)
		r.emit(Event{Type: Undoing, By: by, State: r.State})
		ev, ef := r.finish()
		return ev, ef, nil
	}
	return r.Undo(now, by)
}

// applyUndoing makes the steps of an undo: one after the other, going on when one fails.
func (r *Run) applyUndoing(e *Event) {
	r.phase = inUndo
	r.outcome = e.State
	r.State = api.Running
	s := r.undoSteps(r.undoable())
	r.undo = s
	r.touched = append(r.touched, s)
}

// undoSteps makes the tasks that undo targets: one after the other, going on when one fails.
func (r *Run) undoSteps(targets []*node) *scope {
	s := &scope{items: true, parallel: 1, tolerate: len(targets), unsettled: len(targets), nodes: make([]*node, len(targets))}
	for i, t := range targets {
		task := &dag.Task{ID: t.task.ID, Title: "undo " + t.path, Use: undoRun, OnError: dag.Continue, Scope: t.task.Scope}
		if u := t.task.Undo; u != nil {
			task.Use, task.With, task.Timeout, task.Retry, task.Pool = u.Use, u.With, u.Timeout, u.Retry, t.task.Pool
		}
		n := &node{task: task, in: s, path: t.path + "#undo", undoes: t, isItem: true, state: api.Pending}
		s.nodes[i] = n
		r.add(n)
	}
	return s
}

// Retry runs again what failed, was cancelled, or did not start for that; what succeeded is kept. path
// "" retries all of it; otherwise path names one failed or paused task, whose input may be replaced.
// It returns errs.Conflict where there is nothing to retry.
func (r *Run) Retry(now int64, path string, input json.RawMessage, by string) ([]Event, Effects, error) {
	r.begin(now)
	if input != nil && path == "" {
		return nil, Effects{}, errs.New(errs.Invalid, "an input is given without the task it is for")
	}
	if path != "" {
		n, err := r.lookup(path)
		if err != nil {
			return nil, Effects{}, err
		}
		if n.state != api.Failed && n.state != api.Cancelled && !n.paused {
			return nil, Effects{}, errs.New(errs.Conflict, "%s is %s; only what failed or was cancelled can be retried", path, n.state)
		}
		if input != nil && (n.task.Body != nil || n.isEach) {
			return nil, Effects{}, errs.New(errs.Invalid, "%s is a group; only a call has an input", path).WithHint("name the task inside it")
		}
		if n.paused && !r.State.Ended() {
			r.emit(Event{Type: Retried, Path: path, Input: input, By: by})
			if n.isEach {
				r.retryRuns(path + "[")
			} else {
				r.start(n)
			}
			ev, ef := r.finish()
			return ev, ef, nil
		}
	}
	paused := r.State == api.Waiting && r.root.failing && r.Graph.OnFailure == dag.PauseRun
	switch {
	case !r.State.Ended() && !paused:
		return nil, Effects{}, errs.New(errs.Conflict, "run %s is %s; it can be retried once it has ended", r.ID, r.State)
	case r.State == api.Succeeded:
		return nil, Effects{}, errs.New(errs.Conflict, "run %s has succeeded; there is nothing to retry", r.ID)
	}
	r.emit(Event{Type: Retried, Path: path, Input: input, By: by})
	if r.limit == nil { // one that was only paused has its place still
		if err := r.queueRun(); err != nil {
			return nil, Effects{}, err
		}
	}
	r.retryRuns("")
	ev, ef := r.finish()
	return ev, ef, nil
}

// retryRuns retries the sub-runs of the revived tasks whose paths begin so.
func (r *Run) retryRuns(prefix string) {
	for _, n := range r.order {
		if !n.dead && n.active && n.state == api.Running && n.child != "" && n.undoes == nil && strings.HasPrefix(n.path, prefix) {
			r.effects.RetryRuns = append(r.effects.RetryRuns, n.child)
		}
	}
}

// applyRetried puts back what is to run again.
func (r *Run) applyRetried(e *Event) error {
	if e.Path != "" {
		n := r.nodes[e.Path]
		if n == nil {
			return fmt.Errorf("event %d: no task %q", r.Seq, e.Path)
		}
		n.edited, n.fails, n.losses = e.Input, 0, 0
		if n.paused && !r.State.Ended() {
			if n.isEach {
				r.reopen(n)
			}
			return nil
		}
	}
	undone := r.undo != nil
	r.retried++
	r.drop(r.finally)
	r.drop(r.undo)
	r.undo, r.finally, r.undone = nil, nil, false
	r.phase, r.State, r.EndedAt = inMain, api.Running, 0
	r.Failure, r.Outputs, r.stopWhy, r.stopBy = nil, nil, "", ""
	r.degraded = false
	r.running, r.waiting = 0, 0
	r.armRun()
	if undone { // nothing is left of what succeeded
		r.begun++
		r.drop(r.root)
		r.completed = nil
		r.root = r.newScope(r.Graph.Tasks, nil, "")
		return nil
	}
	r.revive(r.root)
	return nil
}

// reopen lets the items of a paused `each` run again that did not succeed.
func (r *Run) reopen(n *node) {
	r.leave(n)
	n.state, n.paused, n.failure, n.reason, n.until, n.doom = api.Running, false, nil, nil, 0, nil
	r.renew(n)
	r.revive(n.body)
}

// revive puts back the tasks of s that did not succeed, and recounts what they wait for. Groups are
// revived inside; a sub-run that failed is retried in its own place.
func (r *Run) revive(s *scope) {
	s.failing, s.stopping, s.closed, s.told, s.cause = false, false, false, false, nil
	if s.roll != nil {
		r.beginRollout(s)
	}
	s.unsettled, s.active, s.failures, s.next = 0, 0, 0, 0
	for _, n := range s.nodes {
		r.reviveNode(n)
		switch {
		case n.state == api.Failed:
			s.failures++
			r.degraded = true
		case !n.final():
			s.unsettled++
		}
		if n.active {
			s.active++
		}
	}
	if !s.items {
		for _, n := range s.nodes {
			r.recount(n)
		}
	}
	r.touched = append(r.touched, s)
}

// recount derives what n waits for from the states of its dependencies.
func (r *Run) recount(n *node) {
	n.unmet, n.blocker = 0, nil
	for _, d := range n.task.Deps {
		m := n.in.nodes[d.On.Index]
		switch {
		case !m.final():
			n.unmet++
		case d.Kind == dag.Succeeded && m.state != api.Succeeded && n.blocker == nil:
			n.blocker = m
		}
	}
	if n.state == api.Pending && n.unmet == 0 {
		r.ready = append(r.ready, n)
	}
}

func (r *Run) reviveNode(n *node) {
	switch {
	case n.state == api.Succeeded,
		n.state == api.Failed && n.tolerated() && n.edited == nil && !n.in.items,
		n.state == api.Skipped && n.blocker == nil && !n.left: // its condition was false, and is still
		return
	case n.active && n.body == nil: // it waits for a person, whatever failed beside it
		r.count(n)
		return
	}
	n.doom, n.fails, n.losses, n.left = nil, 0, 0, false
	n.failure, n.reason, n.why, n.until, n.ended = nil, nil, "", 0, 0
	n.claim, n.worker, n.parked, n.paused = "", "", false, false
	switch {
	case n.isEach && n.body != nil && n.body.undone():
		r.drop(n.body) // what was done is undone: it begins again from nothing
		n.state, n.active, n.body, n.ready = api.Pending, false, nil, 0
	case n.body != nil:
		n.state, n.active = api.Running, true
		r.renew(n)
		r.revive(n.body)
	case n.child != "" && n.edited == nil:
		n.state, n.active = api.Running, true
		r.running++
		r.nextAttempt(n, n.attempt+1)
		r.renew(n)
	default:
		n.state, n.active, n.child, n.ready = api.Pending, false, "", 0
	}
}

// renew gives n the whole of its timeout and its deadline again.
func (r *Run) renew(n *node) {
	n.ready = r.now
	r.armDeadline(n)
	if !n.isEach {
		r.armTimeout(n, r.after(n.task.Timeout))
	}
}

// count adds n to what runs or waits.
func (r *Run) count(n *node) {
	switch n.state {
	case api.Running:
		r.running++
	case api.Waiting:
		r.waiting++
	}
}

// UndoStep is a completed task that an undo takes back: by Use, or, where that is empty, by the chain of
// its sub-run.
type UndoStep struct {
	Path string
	Use  string
	Run  api.RunID
}

// Undoable returns what an undo would take back now, in the order it would.
func (r *Run) Undoable() []UndoStep {
	var out []UndoStep
	for _, n := range r.undoable() {
		s := UndoStep{Path: n.path, Run: n.child}
		if n.task.Undo != nil {
			s.Use = n.task.Undo.Use
		}
		out = append(out, s)
	}
	return out
}
