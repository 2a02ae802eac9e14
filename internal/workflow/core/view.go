package core

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"time"

	"tutti/api"
	"tutti/internal/workflow/expr"
)

// Pending returns the effects that a loaded run still has to have: attempts for workers, cancels that
// were decided. The shell calls it once after loading.
func (r *Run) Pending() Effects {
	r.effects = Effects{}
	for _, n := range r.order {
		if n.dead || !n.active || n.state != api.Running || n.body != nil {
			continue
		}
		stopping := n.in.stopping || n.doom != nil
		switch {
		case n.child != "" && n.undoes != nil:
			r.effects.UndoRuns = append(r.effects.UndoRuns, n.child)
		case n.child != "":
			if stopping {
				r.effects.CancelRuns = append(r.effects.CancelRuns, n.child)
			}
		default:
			r.effects.Dispatch = append(r.effects.Dispatch, r.dispatch(n))
			if stopping {
				r.effects.CancelAttempts = append(r.effects.CancelAttempts, AttemptRef{n.path, n.attempt})
			}
		}
	}
	for _, n := range r.order {
		if n.parked && !n.dead && n.state == api.Waiting {
			r.effects.Dispatch = append(r.effects.Dispatch, r.dispatch(n)) // its token stays valid
		}
	}
	return r.effects
}

// ParkedAttempt says that the attempt waits for a callback, so it is not for a worker.
func (r *Run) ParkedAttempt(ref AttemptRef) bool {
	n := r.nodes[ref.Path]
	return n != nil && n.parked && n.attempt == ref.Attempt
}

// IsApproval says that the task at path asks somebody.
func (r *Run) IsApproval(path string) bool {
	n := r.nodes[path]
	return n != nil && n.task.Use == "approval"
}

// ByClaim returns the attempt that is held by a durable claim, if any.
func (r *Run) ByClaim(claim string) (AttemptRef, bool) {
	for _, n := range r.order {
		if !n.dead && n.active && n.claim == claim {
			return AttemptRef{n.path, n.attempt}, true
		}
	}
	return AttemptRef{}, false
}

// Busy says that something of the run is with a worker or ready for one. A run that is not busy can be
// put aside until its next timer or a command.
func (r *Run) Busy() bool { return r.running > 0 }

// Clock returns the time of the last event, in microseconds.
func (r *Run) Clock() int64 { return r.now }

// View returns the run as the API shows it, without counts.
func (r *Run) View() api.Run {
	v := api.Run{
		ID: r.ID, Namespace: r.Namespace, Workflow: r.Workflow, Version: r.Version, Digest: r.Digest, Title: r.Title, State: r.State,
		Flags: r.Flags, Reason: r.Reason, Trace: r.Trace, Request: r.Request, Requester: r.Requester, Parent: r.Parent, ForkOf: r.ForkOf,
		Inputs: r.Inputs, Outputs: r.Outputs, Created: micros(r.Created), Seq: r.Seq,
	}
	if r.State.Ended() {
		v.Ended = micros(r.EndedAt)
		v.Failure = r.Failure
	}
	return v
}

// Counts says how many tasks are in each state; groups and items are not counted beside what is in them.
func (r *Run) Counts() map[api.State]int {
	c := map[api.State]int{}
	for _, n := range r.order {
		if !n.dead && n.body == nil {
			c[n.state]++
		}
	}
	return c
}

// Tasks returns the tasks of the run as the API lists them: without input, output and attempts, in the
// order of the plan, what is inside a group after it.
func (r *Run) Tasks() []api.Task {
	out := make([]api.Task, 0, len(r.order))
	var walk func(*scope, string)
	walk = func(s *scope, parent string) {
		if s == nil {
			return
		}
		for _, n := range s.all() {
			t := r.task(n)
			t.Parent = parent
			out = append(out, t)
			walk(n.body, n.path)
		}
	}
	walk(r.root, "")
	walk(r.undo, "")
	walk(r.finally, "")
	return out
}

// Task returns one task with everything known of it.
func (r *Run) Task(path string) (api.Task, error) {
	n, err := r.lookup(path)
	if err != nil {
		return api.Task{}, err
	}
	t := r.task(n)
	if o := n.in.owner; o != nil {
		t.Parent = o.path
	}
	t.Input, t.Output, t.Attempts = ShowSecrets(n.input, n.secrets), n.out, n.tries
	if len(n.vars) > 0 {
		t.Vars, _ = json.Marshal(n.vars) // raw JSON values
	}
	t.Approval = r.approval(n)
	return t, nil
}

// VarValues returns the vars of the run, as JSON.
func (r *Run) VarValues() map[string]json.RawMessage {
	return r.varsJSON
}

// Tries returns the attempts of a task that had more than one; nil of any other.
func (r *Run) Tries(path string) []api.Attempt {
	if n := r.nodes[path]; n != nil && len(n.tries) > 1 {
		return slices.Clone(n.tries)
	}
	return nil
}

func (r *Run) task(n *node) api.Task {
	t := api.Task{Path: n.path, ID: n.task.ID, Title: n.task.Title, Kind: "call", Use: n.task.Use, State: n.state, Failure: n.failure,
		Reason: n.reason, Attempt: n.attempt, Run: n.child, Worker: n.worker, Undo: n.undo,
		Ready: at(n.ready), Started: at(n.started), Ended: at(n.ended)}
	switch {
	case n.isEach:
		t.Kind = "each"
	case n.isItem && n.undoes == nil:
		t.Kind = "item"
	case n.task.Body != nil:
		t.Kind = "group"
	}
	if n.state == api.Skipped || n.state == api.Cancelled {
		t.Reason = &api.Reason{Kind: "after", Text: n.why}
	}
	if n.state == api.Running && n.body == nil && n.worker == "" && n.child == "" {
		t.Reason = r.inPool(n)
	}
	if n.body != nil {
		t.Counts = map[api.State]int{}
		for _, c := range n.body.nodes {
			t.Counts[c.state]++
		}
	}
	return t
}

func at(us int64) time.Time {
	if us == 0 {
		return time.Time{}
	}
	return micros(us)
}

// ShowSecrets returns an input with its secrets written as references.
func ShowSecrets(input json.RawMessage, uses []expr.SecretUse) json.RawMessage {
	if len(uses) == 0 {
		return input
	}
	var v any
	if err := json.Unmarshal(input, &v); err != nil {
		return nil
	}
	v, err := expr.Fill(v, uses, func(name string) (string, error) { return "${{ secrets." + name + " }}", nil })
	if err != nil {
		return nil
	}
	out, err := json.Marshal(v)
	if err != nil {
		return nil
	}
	return out
}

// Public returns e as the API shows it.
func (e *Event) Public(seq, at int64) api.RunEvent {
	p := api.RunEvent{Seq: seq, At: micros(at), Type: string(e.Type), Task: e.Path, Attempt: e.Attempt, By: e.By}
	data := map[string]any{}
	set := func(k string, ok bool, v any) {
		if ok {
			data[k] = v
		}
	}
	set("failure", e.Failure != nil, e.Failure)
	set("reason", e.Reason != nil, e.Reason)
	set("cause", e.Cause != "", e.Cause)
	set("state", e.State != "", e.State)
	set("run", e.Child != "", e.Child)
	set("items", len(e.Keys) > 0, len(e.Keys))
	set("task", e.Task != "", e.Task)
	if e.Type == VarsSet {
		data["vars"] = strings.Join(slices.Sorted(maps.Keys(e.Vars)), ", ")
	}
	if len(data) > 0 {
		p.Data, _ = json.Marshal(data) // strings, numbers and API types
	}
	return p
}
