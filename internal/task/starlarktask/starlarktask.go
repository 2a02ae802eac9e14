// Package starlarktask is the task type starlark: a small program that computes an output from its
// input. It sees nothing else and runs under limits (package script).
package starlarktask

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"time"

	"tutti/api"
	"tutti/errs"
	"tutti/internal/script"
	"tutti/internal/task"
	"tutti/sdk"
)

// The failure types.
const (
	failError = "starlark.error"
	failFail  = "starlark.fail"
	failLimit = "starlark.limit"
)

const file = "code"

type with struct {
	Code   string          `json:"code" doc:"A Starlark program with a function main(args), which returns the output" minLength:"1" maxLength:"131072"`
	Args   json.RawMessage `json:"args,omitempty" doc:"What main gets; by default an empty dict"`
	Limits limits          `json:"limits,omitempty" doc:"What the program may use"`
}

type limits struct {
	Steps    uint64       `json:"steps,omitempty" doc:"Steps of the interpreter; by default 1,000,000" minimum:"1" maximum:"100000000"`
	MemoryMB int64        `json:"memoryMB,omitempty" doc:"Memory allocated in all, by estimate; by default 64" minimum:"1" maximum:"1024"`
	Wall     api.Duration `json:"wall,omitempty" doc:"How long it may run; by default 5s, at most 1m"`
}

// New returns the task type.
func New() sdk.TaskType {
	return task.Define(api.TaskType{
		Name: "starlark", Title: "Compute with Starlark", Doc: "Calls main(args) of a Starlark program and gives what it returns. The same input always gives the same output.",
		Errors: map[string]string{
			failError: "the program made a mistake; details has the place",
			failFail:  "the program called fail()",
			failLimit: "the program ran into a limit",
		},
	}, do)
}

// do has any output: what main returns.
func do(ctx context.Context, t *sdk.Task, in with) (any, error) {
	if time.Duration(in.Limits.Wall) > time.Minute {
		return nil, errs.New(errs.Invalid, "with.limits.wall is %s; at most 1m is possible", in.Limits.Wall)
	}
	args := any(map[string]any{})
	if len(in.Args) > 0 {
		d := json.NewDecoder(bytes.NewReader(in.Args))
		d.UseNumber()
		if err := d.Decode(&args); err != nil {
			return nil, errs.New(errs.Invalid, "with.args: %w", err)
		}
	}
	l := script.Limits{Steps: in.Limits.Steps, Memory: in.Limits.MemoryMB << 20, Wall: time.Duration(in.Limits.Wall)}
	m, err := script.Compile(file, in.Code, script.Options{
		Print:  func(_ context.Context, text string) { _, _ = t.Stdout().Write([]byte(text + "\n")) },
		Limits: l,
	})
	if err != nil {
		return nil, failure(err)
	}
	if !m.Has("main") {
		return nil, errs.New(errs.Invalid, "with.code has no function main").WithHint("write: def main(args): return {…}")
	}
	out, err := m.Call(ctx, "main", []any{args}, l)
	if err != nil {
		return nil, failure(err)
	}
	return out, nil
}

// failure translates how a program ended. What is wrong with the code itself, and what it reported
// through problem(), is invalid input.
func failure(err error) error {
	e, ok := errors.AsType[*script.Error](err)
	if pub, isPublic := errors.AsType[*errs.Error](err); !ok || isPublic && len(pub.Problems) > 0 {
		return err
	}
	typ := failError
	switch e.Reason {
	case script.Failed:
		typ = failFail
	case script.Limit:
		typ = failLimit
	}
	f := sdk.Fail(typ, "%s", e.Error())
	if e.Line > 0 {
		f = f.WithDetails(map[string]any{"line": e.Line, "column": e.Col, "function": e.Fn})
	}
	if typ == failLimit {
		return f.WithHint("do less, or raise limits: in with, or in the document of the task type")
	}
	return f
}
