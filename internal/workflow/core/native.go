package core

import (
	"cmp"
	"crypto/sha256"
	"encoding/base32"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"

	"tutti/api"
	"tutti/errs"
	"tutti/internal/document"
)

// childID names the sub-run of a task. It is derived, so that repeating the start finds the same run.
func (r *Run) childID(n *node) api.RunID {
	h := sha256.Sum256(fmt.Appendf(nil, "%s\x00%s\x00%d", r.ID, n.path, r.Seq))
	const alphabet = "0123456789abcdefghjkmnpqrstvwxyz"
	return api.RunID("run_" + base32.NewEncoding(alphabet).WithPadding(base32.NoPadding).EncodeToString(h[:10]))
}

func (r *Run) startRun(n *node, e Event, workflow string) {
	e.Type = Started
	id := r.childID(n)
	e.Child, e.Until = string(id), r.after(n.task.Timeout)
	r.emit(e)
	r.effects.StartRuns = append(r.effects.StartRuns, StartRun{ID: id, Workflow: workflow, Path: n.path, Input: n.input})
}

// readInput puts the input of a task that the engine does itself into v, a pointer to a struct.
func readInput(input json.RawMessage, v any) error {
	err := json.Unmarshal(input, v)
	if t, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
		kinds := map[reflect.Kind]string{reflect.String: "text", reflect.Int: "a whole number", reflect.Slice: "a list", reflect.Struct: "an object"}
		return fmt.Errorf("%s is %s; it must be %s", cmp.Or(t.Field, "the input"), named(t.Value), kinds[t.Type.Kind()])
	}
	return err
}

// named names a value by what encoding/json calls it, such as "number 1.5".
func named(kind string) string {
	kind, _, _ = strings.Cut(kind, " ")
	return map[string]string{"string": "text", "number": "a number", "bool": "true or false", "array": "a list", "object": "an object"}[kind]
}

// waitInput is the input of a `wait` task.
type waitInput struct {
	For   string `json:"for"`
	Until string `json:"until"`
}

func (r *Run) startWait(n *node, e Event) {
	var in waitInput
	var at int64
	err := readInput(e.Input, &in)
	switch {
	case err != nil:
	case in.For != "" && in.Until == "":
		var d time.Duration
		if d, err = api.ParseDuration(in.For); err == nil {
			at = r.now + d.Microseconds()
		}
	case in.Until != "" && in.For == "":
		var t time.Time
		if t, err = time.Parse(time.RFC3339, in.Until); err != nil {
			err = fmt.Errorf("until is %q, which is no time; write it like 2026-01-31T09:30:00Z", in.Until)
		}
		at = max(t.UnixMicro(), r.now)
	default:
		err = fmt.Errorf("give either for (a duration) or until (a time as in RFC 3339)")
	}
	if err != nil {
		r.fail(n, api.Failure{Type: "invalid", Message: "wait: " + err.Error()})
		return
	}
	e.Type, e.Until = Waits, at
	e.Reason = &api.Reason{Kind: "timer", Text: "it waits for a time", Until: micros(at)}
	r.emit(e)
}

// signalInput is the input of a `signal` task.
type signalInput struct {
	Name string `json:"name"`
}

// startSignal waits for a signal, or takes one that came before.
func (r *Run) startSignal(n *node, e Event) {
	var in signalInput
	if err := json.Unmarshal(e.Input, &in); err != nil || in.Name == "" {
		r.fail(n, api.Failure{Type: "invalid", Message: "signal: give the name of the signal to wait for"})
		return
	}
	if early := r.signals[in.Name]; len(early) > 0 {
		e.Type, e.Key, e.Out = Done, in.Name, early[0]
		r.emit(e)
		return
	}
	e.Type, e.Until = Waits, r.after(n.task.Timeout)
	e.Reason = &api.Reason{Kind: "signal", Key: in.Name, Text: fmt.Sprintf("it waits for the signal %q", in.Name)}
	if e.Until > 0 {
		e.Reason.Until = micros(e.Until)
	}
	r.emit(e)
}

// maxSignals bounds the signals that are kept for tasks that do not wait for them yet.
const maxSignals = 100

// Signal gives data to the task that waits for a signal of that name, or keeps it for one that will.
func (r *Run) Signal(now int64, name string, data json.RawMessage, by string) ([]Event, Effects, error) {
	r.begin(now)
	if r.State.Ended() {
		return nil, Effects{}, errs.New(errs.Conflict, "run %s has already %s", r.ID, r.State)
	}
	if n := r.waits.forSignal(name); n != nil {
		r.emit(Event{Type: Done, Path: n.path, Out: orEmpty(data), By: by})
		ev, ef := r.finish()
		return ev, ef, nil
	}
	kept := 0
	for _, s := range r.signals {
		kept += len(s)
	}
	if kept >= maxSignals {
		return nil, Effects{}, errs.New(errs.Limited, "run %s keeps %d signals that nothing waits for; no more are taken", r.ID, kept)
	}
	r.emit(Event{Type: Signalled, Key: name, Out: orEmpty(data), By: by})
	ev, ef := r.finish()
	return ev, ef, nil
}

// emitInput is the input of an `emit` task.
type emitInput struct {
	Type string          `json:"type"`
	Data json.RawMessage `json:"data"`
}

// startEmit publishes an event.
func (r *Run) startEmit(n *node, e Event) {
	var in emitInput
	if err := json.Unmarshal(e.Input, &in); err != nil || in.Type == "" {
		r.fail(n, api.Failure{Type: "invalid", Message: "emit: give the type of the event"})
		return
	}
	e.Type, e.Out = Done, json.RawMessage("{}")
	r.emit(e)
	r.effects.Emit = append(r.effects.Emit, Emission{Path: n.path, Type: in.Type, Data: in.Data})
}

// approvalInput is the input of an `approval` task.
type approvalInput struct {
	Text  string `json:"text"`
	To    list   `json:"to"`
	NotBy list   `json:"notBy"`
	Show  any    `json:"show"`
	// Quorum is how many must approve; each person counts once. Default 1.
	Quorum int `json:"quorum"`
	// OnExpiry is what happens when nobody decided in time: fail (default), approve or reject.
	OnExpiry string `json:"onExpiry"`
	// Form is the JSON Schema of what who approves has to say.
	Form json.RawMessage `json:"form"`
	// Digest binds the decision: it must name the same one.
	Digest string `json:"digest"`
}

// list accepts one text in place of a list of texts.
type list []string

// UnmarshalJSON reads a text, a list of texts or null.
func (l *list) UnmarshalJSON(b []byte) error {
	var one string
	if err := json.Unmarshal(b, &one); err == nil {
		if one != "" {
			*l = list{one}
		}
		return nil
	}
	return json.Unmarshal(b, (*[]string)(l))
}

func (r *Run) startApproval(n *node, e Event) {
	var in approvalInput
	err := readInput(e.Input, &in)
	if err == nil && len(in.Form) > 0 {
		if _, err = document.CompileSchema(in.Form); err != nil {
			err = fmt.Errorf("form: %w", err)
		}
	}
	if err != nil {
		r.fail(n, api.Failure{Type: "invalid", Message: "approval: " + err.Error()})
		return
	}
	e.Type, e.Until = Waits, r.after(n.task.Timeout)
	e.Reason = &api.Reason{Kind: "approval", Text: "it waits for an approval"}
	if e.Until > 0 {
		e.Reason.Until = micros(e.Until)
	}
	r.emit(e)
}

// Approvals returns the approvals that wait, oldest first.
func (r *Run) Approvals() []api.Approval {
	var out []api.Approval
	for _, n := range r.order {
		if a := r.approval(n); a != nil && !n.dead {
			out = append(out, *a)
		}
	}
	slices.SortStableFunc(out, func(a, b api.Approval) int { return a.Asked.Compare(b.Asked) })
	return out
}

// Approval returns what the task at path asks, or nil.
func (r *Run) Approval(path string) *api.Approval {
	n := r.nodes[path]
	if n == nil {
		return nil
	}
	return r.approval(n)
}

func (r *Run) approval(n *node) *api.Approval {
	if n.task.Use != "approval" || n.state != api.Waiting || n.reason == nil || n.reason.Kind != "approval" {
		return nil
	}
	var in approvalInput
	_ = json.Unmarshal(n.input, &in) // it was read when it was asked
	a := &api.Approval{Run: r.ID, Task: n.path, Namespace: r.Namespace, Workflow: r.Workflow, Trace: r.Trace, Requester: r.Requester,
		Text: in.Text, To: in.To, NotBy: in.NotBy, Show: in.Show, Asked: micros(n.asked),
		Quorum: max(in.Quorum, 1), By: n.votes, Form: in.Form, Digest: in.Digest}
	if n.until > 0 {
		a.Expires = micros(n.until)
	}
	return a
}
