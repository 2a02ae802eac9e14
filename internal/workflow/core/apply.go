package core

import (
	"encoding/json"
	"fmt"
	"time"

	"tutti/api"
	"tutti/internal/workflow/dag"
)

// apply makes e part of the state. It takes no decision: what follows from e is in later events.
func (r *Run) apply(e *Event) error {
	r.Seq++
	switch e.Type {
	case Created:
		return r.applyCreated(e)
	case Stopping:
		return r.applyStopping(e)
	case Undoing:
		r.applyUndoing(e)
		return nil
	case Finishing:
		r.closeUndo()
		r.phase = inFinally
		r.outcome = e.State
		r.finally = r.newScope(r.Graph.Finally, nil, "finally.")
		return nil
	case Ended:
		r.applyEnded(e)
		return nil
	case Retried:
		return r.applyRetried(e)
	case Forked:
		return r.applyForked(e)
	}
	switch {
	case e.Type == Queued && e.Path == "":
		r.limit = &place{key: e.Key, keep: true}
		return nil
	case e.Type == Granted && e.Path == "":
		r.limit.granted = true
		r.rearm()
		return nil
	case e.Type == Signalled:
		if r.signals == nil {
			r.signals = map[string][]json.RawMessage{}
		}
		r.signals[e.Key] = append(r.signals[e.Key], e.Out)
		return nil
	case e.Type == PausedRun:
		r.paused, r.pausedBy = true, e.By
		return nil
	case e.Type == Resumed:
		r.paused = false
		r.rearm()
		return nil
	}
	if e.Type == Abandoned && e.Path == "" {
		r.applyAbandoned(r.current(), e.Cause)
		return nil
	}
	n := r.nodes[e.Path]
	if n == nil {
		return fmt.Errorf("event %d %s: no task %q", r.Seq, e.Type, e.Path)
	}
	switch e.Type {
	case Started:
		r.activate(n)
		r.nextAttempt(n, e.Attempt)
		n.input, n.secrets, n.child = e.Input, e.Secrets, api.RunID(e.Child)
		r.setRunning(n)
		r.armTimeout(n, e.Until)
	case Opened:
		return r.applyOpened(n, e)
	case Waits:
		r.activate(n)
		if e.Attempt > n.attempt {
			r.nextAttempt(n, e.Attempt)
		}
		n.input = e.Input
		n.letGo(false)
		r.setWaiting(n, e.Reason, e.Until)
		n.asked, n.votes = r.now, nil
	case Queued:
		r.activate(n)
		p := &place{key: e.Key, keep: e.Hold}
		if e.Once {
			n.once = p
		} else {
			n.limit = p
		}
		r.setWaiting(n, e.Reason, 0)
		n.asked = r.now
	case Voted:
		n.votes = append(n.votes, e.By)
	case Granted:
		if e.Once {
			n.once.granted = true
		} else {
			n.limit.granted = true
		}
	case Claimed:
		n.claim, n.worker = e.Claim, e.By
		r.tryOf(n).Worker = e.By
	case Lost:
		r.endTry(n, api.Failed, e.Failure)
		switch {
		case e.Failure.Type != "lost":
		case r.now-n.started > longLived:
			n.losses = 1
		default:
			n.losses++
		}
		n.claim, n.worker = "", ""
	case VarsSet:
		vars := make(map[string]rawJSON, len(n.vars)+len(e.Vars))
		for k, v := range n.vars {
			vars[k] = v
		}
		for k, v := range e.Vars {
			vars[k] = v
		}
		n.vars = vars // a copy: dispatched attempts hold the old one
		if e.Claim != "" {
			n.claim, n.worker = e.Claim, e.By
		}
	case Parked:
		n.letGo(false)
		n.parked, n.claim, n.worker = true, e.Claim, e.By
		r.setWaiting(n, e.Reason, e.Until)
	case Expanded:
		return r.applyExpanded(n, e)
	case Retrying:
		r.endTry(n, api.Failed, e.Failure)
		n.letGo(false)
		n.fails++
		n.failure, n.claim, n.worker, n.parked, n.doom = e.Failure, "", "", false, nil
		r.setWaiting(n, e.Reason, e.Until)
		r.armDeadline(n)
	case Paused:
		r.endTry(n, api.Failed, e.Failure)
		n.letGo(false)
		n.paused, n.failure, n.claim, n.worker, n.parked = true, e.Failure, "", "", false
		r.setWaiting(n, e.Reason, 0)
	case Done, FailedTask, SkippedBy, CancelledT:
		r.applyFinal(n, e)
	case Rolled:
		return r.applyRolled(n, e)
	case UndoesItem:
		r.applyUndoesItem(n)
	case Abandoned:
		r.applyAbandoned(n.body, e.Cause)
	default:
		return fmt.Errorf("event %d has the unknown type %q; it was written by a newer version", r.Seq, e.Type)
	}
	return nil
}

// longLived is the age, in microseconds, from which a lost attempt is not held to have killed its worker
// right away.
const longLived = 60_000_000

// rearm sets the timers of retries again, which meant nothing while the run was held back.
func (r *Run) rearm() {
	for _, n := range r.order {
		switch {
		case n.dead:
		case n.state == api.Waiting && n.reason != nil && n.reason.Kind == "retry" && n.until > 0:
			r.timer(n.until, n, timerRetry)
		case n.active && n.body != nil && n.body.roll != nil && n.body.roll.next > 0:
			r.timer(n.body.roll.next, n, timerRollout)
		}
	}
}

func (r *Run) applyCreated(e *Event) error {
	if e.Meta == nil {
		return fmt.Errorf("event %d: run.created without meta", r.Seq)
	}
	r.Meta = *e.Meta
	if err := r.setInputs(e.Input, e.Vars); err != nil {
		return err
	}
	r.State, r.Created = api.Running, r.now
	r.root = r.newScope(r.Graph.Tasks, nil, "")
	r.armRun()
	return nil
}

// setInputs gives the run its inputs, and the vars that were computed from them.
func (r *Run) setInputs(inputs json.RawMessage, vars map[string]rawJSON) error {
	r.Inputs, r.varsJSON, r.inputs = inputs, vars, nil
	if err := json.Unmarshal(orEmpty(inputs), &r.inputs); err != nil {
		return fmt.Errorf("inputs: %w", err)
	}
	r.vars = make(map[string]any, len(vars))
	for k, raw := range vars {
		var v any
		if err := json.Unmarshal(raw, &v); err != nil {
			return fmt.Errorf("var %s: %w", k, err)
		}
		r.vars[k] = v
	}
	return nil
}

func orEmpty(raw json.RawMessage) json.RawMessage {
	if len(raw) == 0 {
		return json.RawMessage("{}")
	}
	return raw
}

// newScope makes the nodes of a map of tasks; those that wait for nothing are ready.
func (r *Run) newScope(def *dag.Scope, owner *node, prefix string) *scope {
	s := &scope{def: def, owner: owner, nodes: make([]*node, len(def.Tasks)), unsettled: len(def.Tasks)}
	block := make([]node, len(def.Tasks))
	for i, t := range def.Tasks {
		n := &block[i]
		*n = node{task: t, in: s, path: prefix + t.ID, state: api.Pending, unmet: len(t.Deps), isEach: t.Each != nil}
		s.nodes[i] = n
		r.add(n)
		if n.unmet == 0 {
			r.ready = append(r.ready, n)
		}
	}
	if len(s.nodes) == 0 {
		r.touched = append(r.touched, s)
	}
	return s
}

// add registers n, in the place of an earlier node of the same path.
func (r *Run) add(n *node) {
	n.again = r.begun
	if r.phase == inFinally { // it ran at every end, each with news of its own
		n.again = r.retried
	}
	if old := r.nodes[n.path]; old != nil {
		n.pos = old.pos
		r.order[n.pos] = n
		old.dead = true
		n.attempt = old.attempt // numbers go on, so that no two attempts of a task share one
	} else {
		n.pos = len(r.order)
		n.attempt = r.tried[n.path]
		r.order = append(r.order, n)
	}
	r.nodes[n.path] = n
}

// drop takes the nodes of s, and of the scopes below it, out of the run.
func (r *Run) drop(s *scope) {
	if s == nil {
		return
	}
	for _, n := range s.all() {
		r.drop(n.body)
		if n.dead {
			continue
		}
		n.dead = true
		r.dead++
		delete(r.nodes, n.path)
		if n.attempt > 0 {
			if r.tried == nil {
				r.tried = map[string]int{}
			}
			r.tried[n.path] = n.attempt
		}
	}
	if r.dead < 64 || r.dead < len(r.order)/2 {
		return
	}
	kept := r.order[:0]
	for _, n := range r.order {
		if !n.dead {
			n.pos = len(kept)
			kept = append(kept, n)
		}
	}
	r.order, r.dead = kept, 0
	r.waits.renumbered()
}

func (r *Run) activate(n *node) {
	if !n.active {
		n.active = true
		n.in.active++
		if n.ready == 0 {
			n.ready = r.now
		}
		r.armDeadline(n)
	}
}

// armRun begins the deadline of the run.
func (r *Run) armRun() {
	if d := r.Graph.Deadline; d > 0 {
		r.deadline = r.now + d.Microseconds()
		r.timer(r.deadline, nil, timerRun)
	}
}

// armDeadline sets the timer of the deadline of n, also where the one before meant nothing while n was
// being stopped.
func (r *Run) armDeadline(n *node) {
	if d := n.task.Deadline; d > 0 && !n.isItem {
		n.deadline = n.ready + d.Microseconds()
		r.timer(n.deadline, n, timerDeadline)
	}
}

// armTimeout sets the timer of an attempt of a group or a sub-run.
func (r *Run) armTimeout(n *node, at int64) {
	n.timeout = at
	if at > 0 {
		r.timer(at, n, timerGroup)
	}
}

// leave takes n out of the counts of what runs and waits.
func (r *Run) leave(n *node) {
	switch {
	case n.state == api.Running && n.body == nil:
		r.running--
	case n.state == api.Waiting:
		r.waiting--
	}
}

func (r *Run) setRunning(n *node) {
	r.leave(n)
	n.state, n.reason, n.until, n.paused, n.failure = api.Running, nil, 0, false, nil
	if n.body == nil {
		r.running++
	}
}

func (r *Run) setWaiting(n *node, why *api.Reason, until int64) {
	r.leave(n)
	n.state, n.reason, n.until = api.Waiting, why, until
	r.waiting++
	r.waits.add(n)
	if until > 0 {
		k := timerWait
		if why != nil && why.Kind == "retry" {
			k = timerRetry
		}
		r.timer(until, n, k)
	}
}

func (r *Run) nextAttempt(n *node, number int) {
	n.attempt = number
	n.started = r.now
	n.claim, n.worker, n.parked = "", "", false
	n.tries = append(n.tries, api.Attempt{Number: number, State: api.Running, Started: micros(r.now)})
}

func (r *Run) tryOf(n *node) *api.Attempt {
	if len(n.tries) == 0 {
		n.tries = append(n.tries, api.Attempt{Number: n.attempt, Started: micros(r.now)})
	}
	return &n.tries[len(n.tries)-1]
}

func (r *Run) endTry(n *node, s api.State, f *api.Failure) {
	if len(n.tries) == 0 {
		return
	}
	t := r.tryOf(n)
	if t.Ended.IsZero() {
		t.State, t.Ended, t.Failure = s, micros(r.now), f
	}
}

func micros(us int64) time.Time { return time.UnixMicro(us).UTC() }

func (r *Run) applyOpened(n *node, e *Event) error {
	r.activate(n)
	r.leave(n)
	r.drop(n.body)
	n.failure, n.doom, n.paused, n.ended = nil, nil, false, 0
	n.state, n.reason, n.until = api.Running, nil, 0
	if !n.isEach {
		r.nextAttempt(n, e.Attempt)
		n.body = r.newScope(n.task.Body, n, n.path+".")
		r.armTimeout(n, e.Until)
		r.armDeadline(n)
		return nil
	}
	r.armDeadline(n)
	n.started = r.now
	var items []any
	if err := json.Unmarshal(e.Items, &items); err != nil || len(items) != len(e.Keys) {
		return fmt.Errorf("event %d: %d keys and items %.40s: %v", r.Seq, len(e.Keys), e.Items, err)
	}
	ea := n.task.Each
	s := &scope{owner: n, items: true, unsettled: len(items), nodes: make([]*node, len(items)),
		parallel: ea.Parallel.Of(len(items), true), tolerate: ea.Tolerate.Of(len(items), false)}
	block := make([]node, len(items))
	for i := range items {
		c := &block[i]
		*c = node{task: n.task, in: s, path: n.path + "[" + e.Keys[i] + "]", key: e.Keys[i], item: items[i], isItem: true, state: api.Pending}
		s.nodes[i] = c
		r.add(c)
	}
	n.body = s
	n.opened++
	if ea.Rollout != nil {
		r.beginRollout(s)
	}
	r.touched = append(r.touched, s)
	return nil
}

func (r *Run) applyExpanded(n *node, e *Event) error {
	g, err := r.load(e.Doc)
	if err != nil {
		return fmt.Errorf("event %d: expansion of %s: %w", r.Seq, n.path, err)
	}
	r.endTry(n, api.Succeeded, nil)
	r.leave(n)
	n.state, n.claim, n.worker, n.parked = api.Running, "", "", false
	t := *n.task // the task, as a group
	t.Body, t.Outputs, t.Each = g.Tasks, g.Outputs, nil
	n.task = &t
	n.body = r.newScope(g.Tasks, n, n.path+".")
	return nil
}
