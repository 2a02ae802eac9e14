// Package sdk is how programs use Tutti: Client calls every method of the API over HTTP, and Worker
// runs task types, in the server itself or in any process that can reach it.
//
// A task type is written once, against Task, and works in both places.
package sdk

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"tutti/api"
	"tutti/errs"
)

// TaskType is something tasks can do.
type TaskType interface {
	// Spec says what it is called and what goes in and out.
	Spec() api.TaskType
	// Do performs one attempt. It may be called again for the same task after a crash, with the same
	// Key and with the variables that were stored, and must not do harm then. ctx ends when the attempt
	// is cancelled, timed out or lost; Do then cleans up and returns ctx's error. An error of type
	// *TaskError says what failed in the type's own words; other errors are translated by their kind.
	Do(ctx context.Context, t *Task) (Result, error)
}

// Task is an attempt in the hands of its task type.
type Task struct {
	api.Assignment
	port Port
}

// Port is what a task can do besides returning: store variables and log. A Worker gives it; tests
// can too.
type Port interface {
	// SetVars stores variables durably; it returns errs.Conflict once the claim is no longer valid.
	SetVars(ctx context.Context, vars map[string]json.RawMessage) error
	// Log takes text of a stream ("out", "err" or "log"); it may hold several lines or part of one.
	Log(stream string, text []byte)
}

// NewTask returns a task for an assignment.
func NewTask(a api.Assignment, p Port) *Task { return &Task{Assignment: a, port: p} }

// Bind decodes the task's input into v. It returns errs.Invalid.
func (t *Task) Bind(v any) error {
	if err := json.Unmarshal(t.With, v); err != nil {
		return errs.New(errs.Invalid, "input of %s: %w", t.Task, err)
	}
	return nil
}

// Var decodes a task variable into v, which may be nil to ask only whether it is there. It sees
// exactly what was acknowledged, by this attempt or one before.
func (t *Task) Var(name string, v any) (ok bool, err error) {
	raw, ok := t.Vars[name]
	if !ok || v == nil {
		return ok, nil
	}
	if err := json.Unmarshal(raw, v); err != nil {
		return true, fmt.Errorf("variable %s: %w", name, err)
	}
	return true, nil
}

// SetVar stores a task variable; it is durable once this returns nil.
func (t *Task) SetVar(ctx context.Context, name string, v any) error {
	raw, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("variable %s: %w", name, err)
	}
	if err := t.port.SetVars(ctx, map[string]json.RawMessage{name: raw}); err != nil {
		return fmt.Errorf("store variable %s: %w", name, err)
	}
	if t.Vars == nil {
		t.Vars = map[string]json.RawMessage{}
	}
	t.Vars[name] = raw
	return nil
}

// Logf writes a line to the task's log.
func (t *Task) Logf(format string, args ...any) {
	t.port.Log("log", fmt.Appendf(nil, format+"\n", args...))
}

// Stdout returns a writer to the task's log, for what a program prints.
func (t *Task) Stdout() io.Writer { return stream{t.port, "out"} }

// Stderr returns a writer to the task's log, for what a program complains about.
func (t *Task) Stderr() io.Writer { return stream{t.port, "err"} }

type stream struct {
	p    Port
	name string
}

// Write logs b.
func (s stream) Write(b []byte) (int, error) {
	s.p.Log(s.name, b)
	return len(b), nil
}

// Result is how an attempt ended well.
type Result struct {
	outcome        api.Outcome
	value, outputs any
	deadline       time.Duration
}

// Done ends the task with an output, which may be nil.
func Done(out any) Result { return Result{outcome: api.Done, value: out} }

// Expand lets the engine run tasks, a map in the definition language, in place of this one, as a group
// with the given outputs (expressions over tasks; nil is none).
func Expand(tasks map[string]any, outputs map[string]any) Result {
	return Result{outcome: api.Expand, value: tasks, outputs: outputs}
}

// Park lets the task wait without a worker until somebody calls task.complete with its token. handle
// is what the far side is known by, for people; deadline 0 waits for ever.
func Park(handle any, deadline time.Duration) Result {
	return Result{outcome: api.Park, value: handle, deadline: deadline}
}

// Wire returns r as it is reported for the claim with the given token.
func (r Result) Wire(token string) (api.Result, error) {
	w := api.Result{Token: token, Outcome: r.outcome, Deadline: api.Duration(r.deadline)}
	var err error
	switch r.outcome {
	case api.Expand:
		if w.Tasks, err = json.Marshal(r.value); err == nil && r.outputs != nil {
			w.Outputs, err = json.Marshal(r.outputs)
		}
	case api.Park:
		w.Handle, err = json.Marshal(r.value)
	case api.Done:
		if r.value != nil {
			w.Out, err = json.Marshal(r.value)
		}
	default:
		return w, errs.New(errs.Internal, "the task type returned no result")
	}
	return w, err
}

// TaskError is a failure in the words of a task type.
type TaskError struct{ api.Failure }

// Error returns the message.
func (e *TaskError) Error() string { return e.Message }

// Fail returns a failure that another attempt would meet again. typ is one of the type's Errors.
func Fail(typ, format string, args ...any) *TaskError {
	return &TaskError{api.Failure{Type: typ, Message: fmt.Sprintf(format, args...)}}
}

// Again marks e as one that another attempt may not meet, and returns it.
func (e *TaskError) Again() *TaskError { e.Retryable = true; return e }

// WithHint says what to do, and returns e.
func (e *TaskError) WithHint(format string, args ...any) *TaskError {
	e.Hint = fmt.Sprintf(format, args...)
	return e
}

// WithDetails adds data, and returns e.
func (e *TaskError) WithDetails(d map[string]any) *TaskError { e.Details = d; return e }

// FailureOf returns err as it is reported: a *TaskError's own words, or the error's kind as type, where
// unavailable and limited may be tried again.
func FailureOf(err error) api.Failure {
	if e, ok := errors.AsType[*TaskError](err); ok {
		return e.Failure
	}
	k := errs.KindOf(err)
	f := api.Failure{Type: string(k), Message: err.Error(), Retryable: k == errs.Unavailable || k == errs.Limited}
	if k == errs.Internal {
		f.Type = "internal"
	}
	if e, ok := errors.AsType[*errs.Error](err); ok {
		f.Hint = e.Hint
	}
	return f
}
