package core

import (
	"encoding/json"
	"fmt"
	"hash/fnv"
	"math"
	"strconv"
	"strings"
	"time"

	"tutti/api"
	"tutti/internal/workflow/dag"
	"tutti/internal/workflow/expr"
)

// progress takes the decisions that follow from what was applied until none is left.
func (r *Run) progress() {
	for {
		switch {
		case len(r.ready) > 0:
			n := r.ready[0]
			r.ready = r.ready[1:]
			r.consider(n)
		case len(r.touched) > 0:
			s := r.touched[0]
			r.touched = r.touched[1:]
			r.check(s)
		default:
			return
		}
	}
}

// consider starts or skips a task whose dependencies have settled.
func (r *Run) consider(n *node) {
	if n.state != api.Pending || n.in.failing || n.in.stopping || n.in.closed || !r.mayBegin() {
		return
	}
	if b := n.blocker; b != nil {
		r.emit(Event{Type: SkippedBy, Path: n.path, Cause: fmt.Sprintf("it needs %s, which is %s", b.path, b.state)})
		return
	}
	if n.task.When != nil && !n.isItem {
		ok, err := n.task.When.Bool(r.env(n, n.task.When.Refs()))
		if err != nil {
			r.fail(n, expression("when", err))
			return
		}
		if !ok {
			r.emit(Event{Type: SkippedBy, Path: n.path, Cause: "when: " + n.task.When.Source() + " is false"})
			return
		}
	}
	if n.isEach {
		r.openEach(n)
		return
	}
	r.start(n)
}

// mayBegin says that the run lets new work start.
func (r *Run) mayBegin() bool { return !r.held() && (!r.paused || r.phase != inMain) }

func expression(where string, err error) api.Failure {
	return api.Failure{Type: "expression", Message: where + ": " + err.Error()}
}

// start begins an attempt of a call, a group or an item, once it has the places it needs.
func (r *Run) start(n *node) {
	if !r.acquire(n) {
		return
	}
	if n.task.Body != nil {
		r.emit(Event{Type: Opened, Path: n.path, Attempt: n.attempt + 1, Until: r.after(n.task.Timeout)})
		return
	}
	input, secrets := n.edited, []expr.SecretUse(nil)
	if input == nil {
		v, uses, err := r.evalWith(n)
		if err == nil {
			input, err = json.Marshal(v)
		}
		if err != nil {
			r.fail(n, expression("with", err))
			return
		}
		secrets = uses
	}
	e := Event{Path: n.path, Attempt: n.attempt + 1, Input: input, Secrets: secrets}
	switch name, isRun := strings.CutPrefix(n.task.Use, "workflow:"); {
	case isRun:
		r.startRun(n, e, name)
	case n.task.Use == "set":
		e.Type, e.Out = Done, input
		r.emit(e)
	case n.task.Use == "wait":
		r.startWait(n, e)
	case n.task.Use == "signal":
		r.startSignal(n, e)
	case n.task.Use == "emit":
		r.startEmit(n, e)
	case n.task.Use == "approval":
		r.startApproval(n, e)
	case n.undoes != nil && n.task.Use == undoRun:
		e.Type, e.Child = Started, string(n.undoes.child)
		r.emit(e)
		r.effects.UndoRuns = append(r.effects.UndoRuns, n.undoes.child)
	default:
		e.Type = Started
		r.emit(e)
		r.effects.Dispatch = append(r.effects.Dispatch, r.dispatch(n))
	}
}

// undoRun is the task type of undoing a sub-run by its own chain.
const undoRun = "workflow.undo"

// after returns the time d from now, or 0 for no d.
func (r *Run) after(d time.Duration) int64 {
	if d <= 0 {
		return 0
	}
	return r.now + d.Microseconds()
}

func (r *Run) evalWith(n *node) (any, []expr.SecretUse, error) {
	if n.task.With == nil {
		return map[string]any{}, nil, nil
	}
	return n.task.With.Eval(r.env(n, n.task.With.Refs()))
}

// dispatch describes the current attempt of n to the shell.
func (r *Run) dispatch(n *node) Dispatch {
	pool := n.task.Pool
	if pool == "" {
		pool = api.DefaultPool
	}
	return Dispatch{
		AttemptRef: AttemptRef{n.path, n.attempt}, Use: n.task.Use, Pool: pool, Input: n.input, Secrets: n.secrets, Vars: n.vars,
		Timeout: n.task.Timeout.Microseconds(), Key: r.idempotencyKey(n), Claim: n.claim, Worker: n.worker, Priority: r.Graph.Priority,
	}
}

// keyPath is the path of n with the attempts of the groups around it: a group that is tried again does
// anew all that is inside.
func (n *node) keyPath() string {
	if n.undoes != nil {
		return n.undoes.keyPath() + "#undo"
	}
	o := n.in.owner
	if o == nil {
		return n.path
	}
	base := o.keyPath()
	if n.isItem {
		if o.opened > 1 && o.body != nil && o.body.roll != nil { // what was done before was undone
			base += "~" + strconv.Itoa(o.opened)
		}
		return base + "[" + n.key + "]"
	}
	if o.attempt > 1 {
		base += "~" + strconv.Itoa(o.attempt)
	}
	return base + "." + n.task.ID
}

// idempotencyKey is the same for every attempt of a task. It changes where other systems must not answer
// with what they did before: after an undo that is gone, and finally speaks of another end each time.
func (r *Run) idempotencyKey(n *node) string {
	key := string(r.ID) + "/" + n.keyPath()
	if n.again > 0 {
		key += "~" + strconv.Itoa(n.again)
	}
	return key
}

func (r *Run) openEach(n *node) {
	ea := n.task.Each
	v, err := ea.In.Eval(r.env(n, ea.In.Refs()))
	if err != nil {
		r.fail(n, expression("each.in", err))
		return
	}
	items, err := r.gather(n, v)
	if err != nil {
		r.fail(n, expression("each", err))
		return
	}
	e := Event{Type: Opened, Path: n.path, Keys: items.keys, Items: json.RawMessage("[]")}
	if len(items.values) > 0 {
		if e.Items, err = json.Marshal(items.values); err != nil {
			r.fail(n, expression("each.in", err))
			return
		}
	}
	r.emit(e)
}

// check looks at a scope in which something ended: does more start, is it over?
func (r *Run) check(s *scope) {
	if s.closed {
		return
	}
	if s.stopping && !s.told {
		s.told = true
		r.cancelAll(s)
	}
	if s.failing || s.stopping {
		if s.failing && s.owner == nil && !s.stopping && s == r.root && r.Graph.OnFailure == dag.Stop {
			r.emit(Event{Type: Stopping, Cause: "a task failed and onFailure is stop"})
			return
		}
		if s.failing && s.owner == nil && !s.stopping && s == r.root && r.Graph.OnFailure == dag.PauseRun {
			return // a person retries or cancels
		}
		if s.active == 0 {
			r.close(s)
		}
		return
	}
	if s.roll != nil {
		r.roll(s)
		return
	}
	if s.items {
		r.fill(s)
	}
	if s.unsettled == 0 {
		r.close(s)
	}
}

// fill starts the next items as far as `parallel` permits.
func (r *Run) fill(s *scope) {
	for s.next < len(s.nodes) && !s.failing && !s.stopping && r.mayBegin() && (s.parallel == 0 || s.active < s.parallel) {
		n := s.nodes[s.next]
		s.next++
		if n.state == api.Pending {
			r.start(n)
		}
	}
}

// close ends a scope in which nothing is active any more.
func (r *Run) close(s *scope) {
	s.closed = true
	o := s.owner
	if s.unsettled > 0 {
		e := Event{Type: Abandoned, Cause: "another task failed"}
		if s.stopping {
			e.Cause = "it was stopped"
		}
		if o != nil {
			e.Path = o.path
		}
		r.emit(e)
	}
	if o == nil {
		r.closeTop(s)
		return
	}
	switch {
	case o.doom != nil:
		r.failed(o, *o.doom)
	case o.back != nil && s.failures > 0:
		r.failed(o, api.Failure{Type: "undo", Message: fmt.Sprintf("%d of the tasks of %s could not be undone", s.failures, o.back.path)})
	case s.failing && s.roll != nil && s.roll.breach != nil:
		r.failed(o, *s.roll.breach)
	case s.stopping:
		r.emit(Event{Type: CancelledT, Path: o.path, Cause: "stopped"})
	case s.failing:
		r.failed(o, inner(s.cause))
	default:
		r.succeed(o)
	}
}

// inner returns the failure of n as the failure of the group around it.
func inner(n *node) api.Failure {
	f := api.Failure{Type: "task", Message: n.path + " failed"}
	if n.failure != nil {
		f = *n.failure
		if !strings.HasPrefix(f.Message, n.path) && n.body == nil {
			f.Message = n.path + ": " + f.Message
		}
	}
	return f
}

// succeed ends a group or an `each` with its output.
func (r *Run) succeed(n *node) {
	e := Event{Type: Done, Path: n.path}
	var err error
	if n.isEach {
		e.Out, err = eachOut(n)
	} else if n.task.Outputs != nil {
		e.Out, err = r.template(n.task.Outputs, r.envIn(n.body, n, n.task.Outputs.Refs()))
	} else {
		e.Out = json.RawMessage("{}")
	}
	if err != nil {
		r.failed(n, expression("outputs", err))
		return
	}
	r.emit(e)
}

func (r *Run) template(t *expr.Template, env expr.Env) (json.RawMessage, error) {
	v, _, err := t.Eval(env)
	if err != nil {
		return nil, err
	}
	return json.Marshal(v)
}

// fail ends a task that could not even start.
func (r *Run) fail(n *node, f api.Failure) {
	if !n.active {
		r.emit(Event{Type: FailedTask, Path: n.path, Failure: &f})
		return
	}
	r.failed(n, f)
}

// failed decides what follows a failed attempt: another, a person, or the end of the task.
func (r *Run) failed(n *node, f api.Failure) {
	stopping := n.in.stopping || n.doom != nil && n.body == nil
	if !stopping {
		if wait, again := r.retry(n, f); again {
			until := r.now + wait.Microseconds()
			r.emit(Event{Type: Retrying, Path: n.path, Attempt: n.attempt, Failure: &f, Until: until, Reason: &api.Reason{
				Kind: "retry", Text: fmt.Sprintf("attempt %d failed (%s); the next follows", n.attempt, f.Type), Until: micros(until)}})
			return
		}
		if n.task.OnError == dag.Pause && n.undoes == nil {
			r.emit(Event{Type: Paused, Path: n.path, Failure: &f, Reason: &api.Reason{
				Kind: "paused", Task: n.path, Text: "it failed; retry it, or cancel the run"}})
			return
		}
	}
	r.emit(Event{Type: FailedTask, Path: n.path, Failure: &f})
}

// retry says whether, and after how long, another attempt follows a failure.
func (r *Run) retry(n *node, f api.Failure) (wait time.Duration, again bool) {
	p := n.task.Retry
	if p == nil || n.isEach || n.fails >= p.Max {
		return 0, false
	}
	if p.If != nil {
		ok, err := p.If.Bool(r.envError(n, p.If.Refs(), f))
		if err != nil || !ok {
			return 0, false
		}
	} else if !f.Retryable && f.Type != "timeout" && n.body == nil {
		return 0, false
	}
	d := p.Wait
	if d == 0 {
		d = time.Second
	}
	if p.Factor > 1 {
		d = time.Duration(min(float64(d)*math.Pow(p.Factor, float64(n.fails)), float64(100*365*24*time.Hour)))
	}
	if p.Cap > 0 && d > p.Cap {
		d = p.Cap
	}
	if p.Jitter > 0 {
		// Drawn from the identity of the attempt, so that a replay draws the same.
		h := fnv.New64a()
		fmt.Fprintf(h, "%s/%s/%d", r.ID, n.path, n.attempt)
		share := float64(h.Sum64()%1_000_000) / 1_000_000
		d -= time.Duration(float64(d) * p.Jitter * share)
	}
	if dl := n.task.Deadline; dl > 0 && r.now+d.Microseconds() >= n.ready+dl.Microseconds() {
		return 0, false
	}
	return d, true
}

// closeTop ends a phase of the run.
func (r *Run) closeTop(s *scope) {
	switch s {
	case r.root:
		outcome := api.Succeeded
		switch {
		case s.failing || r.Failure != nil:
			outcome = api.Failed
		case s.stopping:
			outcome = api.Cancelled
		}
		if outcome == api.Failed && r.Graph.OnFailure == dag.UndoFinished && len(r.undoable()) > 0 {
			r.outcome = outcome
			r.emit(Event{Type: Undoing, By: "onFailure", State: outcome})
			return
		}
		r.toFinally(outcome)
	case r.undo:
		if r.EndedAt != 0 { // a person undid an ended run
			r.end(r.outcome)
			return
		}
		r.toFinally(r.outcome)
	default:
		r.end(r.outcome)
	}
}

func (r *Run) toFinally(outcome api.State) {
	if r.Graph.Finally == nil {
		r.end(outcome)
		return
	}
	r.emit(Event{Type: Finishing, State: outcome})
}

// end gives the run its last state.
func (r *Run) end(outcome api.State) {
	e := Event{Type: Ended, State: outcome}
	switch {
	case outcome == api.Failed && r.root.cause != nil:
		c := r.rootCause()
		e.Task, e.Failure = c.path, c.failure
		if e.Failure == nil {
			e.Failure = &api.Failure{Type: "task", Message: c.path + " failed"}
		}
	case outcome == api.Failed && r.Failure != nil:
		e.Task, e.Failure = r.Failure.Task, &r.Failure.Failure
	case outcome == api.Cancelled:
		why := r.stopWhy
		if why == "" {
			why = "cancelled"
		}
		e.Cause, e.By = why, r.stopBy
	case outcome == api.Succeeded && r.EndedAt != 0:
		e.Out = r.Outputs
	case r.Graph.Outputs != nil:
		out, err := r.template(r.Graph.Outputs, r.envIn(r.root, nil, r.Graph.Outputs.Refs()))
		if err != nil {
			f := expression("outputs", err)
			e.State, e.Failure = api.Failed, &f
		}
		e.Out = out
	}
	r.emit(e)
	r.effects.Ended = true
}

// rootCause returns the innermost task whose failure made the run fail.
func (r *Run) rootCause() *node {
	n := r.root.cause
	for n.body != nil && n.body.cause != nil && n.doom == nil {
		n = n.body.cause
	}
	return n
}
