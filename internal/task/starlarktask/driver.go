package starlarktask

import (
	"context"
	"errors"
	"time"

	"tutti/api"
	"tutti/errs"
	"tutti/internal/script"
	"tutti/internal/task"
	"tutti/sdk"
)

const driverSchema = `{
  "type": "object", "additionalProperties": false, "required": ["code"],
  "description": "A Starlark module with a function main(args); args is the input, what it returns the output.",
  "properties": {
    "code": { "type": "string", "minLength": 1, "maxLength": 131072, "description": "The module. It sees its arguments and nothing else." },
    "limits": {
      "type": "object", "additionalProperties": false, "description": "What a call may use.",
      "properties": {
        "steps": { "type": "integer", "minimum": 1, "maximum": 100000000, "description": "Steps of the interpreter; by default 1,000,000." },
        "memoryMB": { "type": "integer", "minimum": 1, "maximum": 1024, "description": "Memory allocated in all, by estimate; by default 64." },
        "wall": { "type": "string", "description": "How long it may run; by default 5s, at most 1m." }
      }
    }
  }
}`

// attemptKey finds the task in the context of a call, for print.
type attemptKey struct{}

// NewDriver returns the driver starlark: task types that are a module with main(args). The module is
// compiled once; each attempt is one call under its limits.
func NewDriver() task.Driver {
	return task.Driver{
		Name: "starlark", Schema: []byte(driverSchema),
		Errors: map[string]string{
			failError:    "the module made a mistake; details has the place",
			failFail:     "the module called fail()",
			failLimit:    "the module ran into a limit",
			task.Invalid: "the input is not what the task type takes, by its schema or by problem()",
		},
		Compile: compile,
	}
}

func compile(d *task.Declared) (task.Carry, []errs.Problem) {
	var c struct {
		Code   string `json:"code"`
		Limits struct {
			Steps    uint64       `json:"steps"`
			MemoryMB int64        `json:"memoryMB"`
			Wall     api.Duration `json:"wall"`
		} `json:"limits"`
	}
	refused := func(at, message, hint string) (task.Carry, []errs.Problem) {
		return nil, []errs.Problem{{Location: d.At(d.Pointer + at), Message: message, Hint: hint}}
	}
	if err := d.Decode(&c); err != nil {
		return refused("/limits", err.Error(), errs.Public(err).Hint)
	}
	if time.Duration(c.Limits.Wall) > time.Minute {
		return refused("/limits/wall", "at most 1m is possible", "")
	}
	l := script.Limits{Steps: c.Limits.Steps, Memory: c.Limits.MemoryMB << 20, Wall: time.Duration(c.Limits.Wall)}
	m, err := script.Compile(d.Name, c.Code, script.Options{Limits: l, Print: func(ctx context.Context, text string) {
		if t, ok := ctx.Value(attemptKey{}).(*sdk.Task); ok {
			_, _ = t.Stdout().Write([]byte(text + "\n"))
		}
	}})
	if err != nil {
		return nil, located(d, err)
	}
	if !m.Has("main") {
		return refused("/code", "it has no function main", "write: def main(args): return {…}")
	}
	return func(ctx context.Context, t *sdk.Task, with any) (any, error) {
		out, err := m.Call(context.WithValue(ctx, attemptKey{}, t), "main", []any{with}, l)
		if err != nil {
			return nil, failure(err)
		}
		return out, nil
	}, nil
}

// located returns what is wrong with a module, with its place in the document.
func located(d *task.Declared, err error) []errs.Problem {
	at := d.At(d.Pointer + "/code")
	if problems := errs.Public(err).Problems; len(problems) > 0 {
		out := make([]errs.Problem, len(problems))
		for i, p := range problems {
			out[i] = errs.Problem{Location: at, Message: p.Location + ": " + p.Message, Hint: p.Hint}
		}
		return out
	}
	p := errs.Problem{Location: at, Message: err.Error()}
	if e, ok := errors.AsType[*script.Error](err); ok {
		p.Message = e.Error()
	}
	return []errs.Problem{p}
}
