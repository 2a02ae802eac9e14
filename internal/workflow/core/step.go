package core

import (
	"container/heap"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"tutti/api"
	"tutti/errs"
	"tutti/internal/workflow/expr"
)

// Start creates the run. inputs were validated against the definition and have its defaults.
func (r *Run) Start(now int64, m Meta, inputs json.RawMessage) ([]Event, Effects, error) {
	r.begin(now)
	r.Meta = m // vars may read run
	r.Created = now
	vars, err := r.evalVars(inputs)
	if err != nil {
		return nil, Effects{}, err
	}
	r.emit(Event{Type: Created, Meta: &m, Input: inputs, Vars: vars})
	if err := r.queueRun(); err != nil {
		return nil, Effects{}, err
	}
	ev, ef := r.finish()
	return ev, ef, nil
}

func (r *Run) evalVars(inputs json.RawMessage) (map[string]rawJSON, error) {
	if len(r.Graph.Vars) == 0 {
		return nil, nil
	}
	var in any
	if err := json.Unmarshal(orEmpty(inputs), &in); err != nil {
		return nil, errs.New(errs.Invalid, "inputs: %w", err)
	}
	vars := map[string]any{}
	out := map[string]rawJSON{}
	env := expr.Env{"inputs": in, "run": r.info(), "vars": vars}
	for _, v := range r.Graph.Vars {
		val, _, err := v.Value.Eval(env)
		if err != nil {
			return nil, errs.New(errs.Invalid, "vars.%s: %w", v.Name, err)
		}
		vars[v.Name] = val
		if out[v.Name], err = json.Marshal(val); err != nil {
			return nil, errs.New(errs.Invalid, "vars.%s: %w", v.Name, err)
		}
	}
	return out, nil
}

// attempt finds the current attempt of a task, or says why a message about it counts for nothing.
func (r *Run) attempt(ref AttemptRef) (*node, error) {
	n, err := r.lookup(ref.Path)
	if err != nil {
		return nil, err
	}
	if n.final() || n.attempt != ref.Attempt || !n.active || n.state == api.Waiting && !n.parked || n.body != nil {
		return nil, errs.New(errs.Conflict, "attempt %d of %s is over", ref.Attempt, ref.Path)
	}
	return n, nil
}

// Report takes the result of an attempt. It returns errs.Conflict for an attempt that is over.
func (r *Run) Report(now int64, ref AttemptRef, claim, worker string, res api.Result) ([]Event, Effects, error) {
	r.begin(now)
	n, err := r.attempt(ref)
	if err != nil {
		return nil, Effects{}, err
	}
	stopped := n.in.stopping || n.doom != nil
	switch res.Outcome {
	case api.Done:
		r.emit(Event{Type: Done, Path: n.path, Attempt: n.attempt, Out: res.Out, By: worker})
	case api.Expand:
		if stopped {
			r.stopped(n)
			break
		}
		r.expand(n, res)
	case api.Park:
		if stopped {
			r.stopped(n)
			break
		}
		e := Event{Type: Parked, Path: n.path, Attempt: n.attempt, Claim: claim, By: worker, Doc: res.Handle,
			Reason: &api.Reason{Kind: "callback", Text: "it waits for a callback"}, Until: r.after(time.Duration(res.Deadline))}
		if e.Until > 0 {
			e.Reason.Until = micros(e.Until)
		}
		r.emit(e)
	case api.Interrupted:
		if stopped {
			r.stopped(n)
			break
		}
		r.again(n, api.Failure{Type: "interrupted", Message: "the worker stopped before it was done", Retryable: true})
	default:
		f := res.Failure
		if f == nil {
			f = &api.Failure{Type: "failed", Message: "the worker reported a failure without saying why"}
		}
		if stopped {
			r.stopped(n)
			break
		}
		r.failed(n, *f)
	}
	ev, ef := r.finish()
	return ev, ef, nil
}

// stopped ends an attempt that was told to stop.
func (r *Run) stopped(n *node) {
	if n.doom != nil {
		r.emit(Event{Type: FailedTask, Path: n.path, Failure: n.doom})
		return
	}
	r.emit(Event{Type: CancelledT, Path: n.path, Cause: "stopped"})
}

// maxLosses is after how many lost workers in a row a task is held to be what kills them.
const maxLosses = 5

// Lose takes the claim of an attempt away because its worker gave no sign of life.
func (r *Run) Lose(now int64, ref AttemptRef, worker string) ([]Event, Effects, error) {
	r.begin(now)
	n, err := r.attempt(ref)
	if err != nil {
		return nil, Effects{}, err
	}
	switch {
	case n.in.stopping || n.doom != nil:
		r.stopped(n)
	default:
		r.again(n, api.Failure{Type: "lost", Message: fmt.Sprintf("worker %s gave no sign of life", worker), Retryable: true})
	}
	ev, ef := r.finish()
	return ev, ef, nil
}

// again starts another attempt in place of one that was lost; it does not count as a retry.
func (r *Run) again(n *node, f api.Failure) {
	if f.Type == "lost" && n.losses+1 >= maxLosses {
		f.Retryable = false
		f.Message = fmt.Sprintf("%d workers were lost while they ran it", n.losses+1)
		r.emit(Event{Type: FailedTask, Path: n.path, Failure: &f})
		return
	}
	r.emit(Event{Type: Lost, Path: n.path, Attempt: n.attempt, Failure: &f})
	r.emit(Event{Type: Started, Path: n.path, Attempt: n.attempt + 1, Input: n.input, Secrets: n.secrets})
	r.effects.Dispatch = append(r.effects.Dispatch, r.dispatch(n))
}

// Claim makes the claim of a worker durable, so that it survives a restart of the engine.
func (r *Run) Claim(now int64, ref AttemptRef, claim, worker string) ([]Event, Effects, error) {
	r.begin(now)
	n, err := r.attempt(ref)
	if err != nil || n.claim == claim {
		return nil, Effects{}, err
	}
	r.emit(Event{Type: Claimed, Path: n.path, Attempt: n.attempt, Claim: claim, By: worker})
	ev, ef := r.finish()
	return ev, ef, nil
}

// maxVars bounds the variables of a task, in bytes.
const maxVars = 256 << 10

// SetVars stores task variables of an attempt, and makes its claim durable.
func (r *Run) SetVars(now int64, ref AttemptRef, claim, worker string, vars map[string]json.RawMessage) ([]Event, Effects, error) {
	r.begin(now)
	n, err := r.attempt(ref)
	if err != nil {
		return nil, Effects{}, err
	}
	size := 0
	for _, set := range []map[string]rawJSON{n.vars, vars} {
		for k, v := range set {
			size += len(k) + len(v)
		}
	}
	if size > maxVars {
		return nil, Effects{}, errs.New(errs.TooLarge, "the variables of %s are larger than %d bytes", n.path, maxVars).WithHint("store large values as files")
	}
	e := Event{Type: VarsSet, Path: n.path, Attempt: n.attempt, Vars: vars}
	if n.claim != claim {
		e.Claim, e.By = claim, worker
	}
	r.emit(e)
	ev, ef := r.finish()
	return ev, ef, nil
}

// Fire handles the timers that are due.
func (r *Run) Fire(now int64) ([]Event, Effects, error) {
	r.begin(now)
	for len(r.timers) > 0 && r.timers[0].At <= now {
		t := heap.Pop(&r.timers).(Timer)
		if !r.live(t) {
			continue
		}
		r.fire(t)
		r.progress()
	}
	ev, ef := r.finish()
	return ev, ef, nil
}

func (r *Run) fire(t Timer) {
	if t.Kind == timerRun {
		r.emit(Event{Type: Stopping, Cause: "its deadline is over", Failure: &api.Failure{Type: "deadline", Message: fmt.Sprintf("the run did not end within its deadline of %s", api.Duration(r.Graph.Deadline))}})
		return
	}
	n := r.nodes[t.Path]
	switch t.Kind {
	case timerRetry:
		r.start(n)
	case timerWait:
		switch {
		case n.parked:
			r.failed(n, api.Failure{Type: "timeout", Message: "no callback came in time"})
		case n.task.Use == "approval":
			r.expired(n)
		case n.task.Use == "signal":
			r.failed(n, api.Failure{Type: "timeout", Message: "no signal came in time"})
		default:
			r.emit(Event{Type: Done, Path: n.path, Out: json.RawMessage("{}")})
		}
	case timerRollout:
		r.touched = append(r.touched, n.body)
	case timerGroup:
		r.doom(n, api.Failure{Type: "timeout", Message: fmt.Sprintf("it did not end within its timeout of %s", api.Duration(n.task.Timeout))})
	case timerDeadline:
		r.doom(n, api.Failure{Type: "deadline", Message: fmt.Sprintf("it did not end within its deadline of %s", api.Duration(n.task.Deadline))})
	}
}

// doom stops an active task, which then fails with f.
func (r *Run) doom(n *node, f api.Failure) {
	if n.state == api.Waiting { // also a group between two attempts, or paused
		r.failedForGood(n, f)
		return
	}
	r.emit(Event{Type: Stopping, Path: n.path, Failure: &f})
	if n.body == nil {
		r.cancel(n)
	}
}

func (r *Run) failedForGood(n *node, f api.Failure) {
	r.emit(Event{Type: FailedTask, Path: n.path, Failure: &f})
}

// cancelAll tells everything active in a stopping scope to end.
func (r *Run) cancelAll(s *scope) {
	for _, n := range s.all() {
		if n.active {
			r.cancel(n)
		}
	}
}

// cancel ends an active node: at once where it only waits, through its worker or sub-run otherwise.
func (r *Run) cancel(n *node) {
	switch {
	case n.state == api.Waiting:
		r.emit(Event{Type: CancelledT, Path: n.path, Cause: "stopped"})
	case n.body != nil:
		if !n.body.stopping {
			r.emit(Event{Type: Stopping, Path: n.path})
		}
	case n.child != "":
		if !slices.Contains(r.effects.CancelRuns, n.child) {
			r.effects.CancelRuns = append(r.effects.CancelRuns, n.child)
		}
	default:
		ref := AttemptRef{n.path, n.attempt}
		if !slices.Contains(r.effects.CancelAttempts, ref) {
			r.effects.CancelAttempts = append(r.effects.CancelAttempts, ref)
		}
	}
}

// Cancel stops the run. It returns errs.Conflict for one that has ended.
func (r *Run) Cancel(now int64, by, why string) ([]Event, Effects, error) {
	r.begin(now)
	if r.State.Ended() {
		return nil, Effects{}, errs.New(errs.Conflict, "run %s has already %s", r.ID, r.State)
	}
	s := r.current()
	if !s.stopping {
		if why == "" {
			why = "cancelled"
		}
		r.emit(Event{Type: Stopping, By: by, Cause: why})
	}
	ev, ef := r.finish()
	return ev, ef, nil
}

// current returns the top scope of the phase the run is in.
func (r *Run) current() *scope {
	switch r.phase {
	case inUndo:
		return r.undo
	case inFinally:
		return r.finally
	default:
		return r.root
	}
}

// Decider is who decides an approval.
type Decider struct {
	Subject string
	Roles   []string // held in the run's namespace
}

// Decision is what somebody decided about an approval.
type Decision struct {
	Approve bool
	Why     string
	// Form is what an approval's form asks; it was checked against it.
	Form json.RawMessage
	// Digest is what the decider saw, where the approval is bound to it.
	Digest string
}

// Decide approves or rejects an approval task. It returns errs.Conflict where nothing is asked any
// more or something else than was seen, and errs.Denied for who may not decide.
func (r *Run) Decide(now int64, path string, d Decider, dec Decision) ([]Event, Effects, error) {
	r.begin(now)
	n, err := r.lookup(path)
	if err != nil {
		return nil, Effects{}, err
	}
	a := r.approval(n)
	if a == nil && n.task != nil && n.task.Use == "approval" && n.state.Ended() {
		return nil, Effects{}, errs.New(errs.Conflict, "%s is decided already: it is %s", path, n.state)
	}
	if a == nil {
		return nil, Effects{}, errs.New(errs.Conflict, "%s does not wait for an approval: it is %s", path, n.state)
	}
	if err := mayDecide(a, d); err != nil {
		return nil, Effects{}, err
	}
	if a.Digest != dec.Digest && (dec.Approve || dec.Digest != "") {
		return nil, Effects{}, errs.New(errs.Conflict, "the decision is about %q; %s asks about %q", dec.Digest, path, a.Digest).
			WithHint("look at it again, and name the digest it shows")
	}
	switch {
	case !dec.Approve && dec.Why == "":
		return nil, Effects{}, errs.New(errs.Invalid, "a rejection needs a reason").WithHint("say why, so that the requester can act on it")
	case !dec.Approve:
		r.rejected(n, d.Subject, dec.Why)
	case len(n.votes)+1 < a.Quorum:
		r.emit(Event{Type: Voted, Path: path, By: d.Subject, Cause: dec.Why})
	default:
		if err := r.approved(n, d.Subject, dec); err != nil {
			return nil, Effects{}, err
		}
	}
	ev, ef := r.finish()
	return ev, ef, nil
}

func (r *Run) approved(n *node, by string, dec Decision) error {
	out := map[string]any{"by": by, "reason": dec.Why, "at": micros(r.now), "approvers": append(slices.Clone(n.votes), by)}
	if len(dec.Form) > 0 {
		out["form"] = dec.Form
	}
	raw, err := json.Marshal(out)
	if err != nil {
		return errs.New(errs.Invalid, "form: %w", err)
	}
	r.emit(Event{Type: Done, Path: n.path, By: by, Out: raw})
	return nil
}

// expired ends an approval that nobody decided in time.
func (r *Run) expired(n *node) {
	var in approvalInput
	_ = json.Unmarshal(n.input, &in) // it was read when it was asked
	switch in.OnExpiry {
	case "approve":
		if r.approved(n, "expiry", Decision{Why: "nobody decided in time"}) == nil {
			return
		}
	case "reject":
		r.rejected(n, "expiry", "nobody decided in time")
		return
	}
	r.failed(n, api.Failure{Type: "expired", Message: "nobody decided in time"})
}

func (r *Run) rejected(n *node, by, why string) {
	f := api.Failure{Type: "rejected", Message: fmt.Sprintf("%s rejected it: %s", by, why)}
	r.emit(Event{Type: FailedTask, Path: n.path, By: by, Failure: &f})
}

func mayDecide(a *api.Approval, d Decider) error {
	is := func(who string) bool {
		if who == d.Subject || "user:"+who == d.Subject {
			return true
		}
		for _, role := range d.Roles {
			if who == "role:"+role {
				return true
			}
		}
		return false
	}
	if slices.ContainsFunc(a.NotBy, is) {
		return errs.New(errs.Denied, "%s may not decide %s: it is excluded (notBy)", d.Subject, a.Task).WithHint("somebody else must decide")
	}
	if slices.Contains(a.By, d.Subject) {
		return errs.New(errs.Conflict, "%s has approved %s already", d.Subject, a.Task).WithHint("%d others have to", a.Quorum-len(a.By))
	}
	if len(a.To) > 0 && !slices.ContainsFunc(a.To, is) {
		return errs.New(errs.Denied, "%s may not decide %s", d.Subject, a.Task).WithHint("it is for %v", a.To)
	}
	return nil
}

// ChildEnded takes the outcome of a sub-run. One that is not awaited any more changes nothing.
func (r *Run) ChildEnded(now int64, path string, child *api.Run) ([]Event, Effects, error) {
	r.begin(now)
	n := r.nodes[path]
	if n == nil || n.final() || n.child != child.ID || n.state != api.Running {
		return nil, Effects{}, nil
	}
	undo := n.undoes != nil
	switch {
	case undo && slices.Contains(child.Flags, api.Undone), !undo && child.State == api.Succeeded:
		out := child.Outputs
		if undo || len(out) == 0 {
			out = json.RawMessage("{}")
		}
		r.emit(Event{Type: Done, Path: n.path, Out: out})
	case n.in.stopping || n.doom != nil:
		r.stopped(n)
	default:
		f := api.Failure{Type: string(child.State), Message: fmt.Sprintf("sub-run %s was %s", child.ID, child.State)}
		if child.Failure != nil {
			f = child.Failure.Failure
			f.Message = fmt.Sprintf("%s in sub-run %s: %s", child.Failure.Task, child.ID, f.Message)
			f.Retryable = true
		}
		r.failed(n, f)
	}
	ev, ef := r.finish()
	return ev, ef, nil
}

// refused marks the failure of a task whose sub-run was never created.
const refused = "refused"

// ChildRefused takes the news that a sub-run could not be created.
func (r *Run) ChildRefused(now int64, path string, child api.RunID, cause error) ([]Event, Effects, error) {
	r.begin(now)
	n := r.nodes[path]
	if n == nil || n.final() || n.child != child {
		return nil, Effects{}, nil
	}
	r.emit(Event{Type: FailedTask, Path: n.path, Cause: refused, Failure: &api.Failure{Type: "invalid", Message: cause.Error()}})
	ev, ef := r.finish()
	return ev, ef, nil
}
