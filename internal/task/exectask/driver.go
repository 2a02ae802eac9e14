package exectask

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"tutti/api"
	"tutti/errs"
	"tutti/internal/shim"
	"tutti/internal/task"
	"tutti/sdk"
)

// The failure types of the driver, beside those of the task type.
const (
	failProtocol = "exec.protocol"
	failOwn      = "exec.failure"
)

// maxLine bounds a line that a program speaks, in bytes.
const maxLine = sdk.MaxOutput + 64<<10

const driverSchema = `{
  "type": "object", "additionalProperties": false, "required": ["argv"],
  "description": "A program on the server's machine that speaks JSON lines. Nothing here is computed: all data reaches it as one line on its standard input.",
  "properties": {
    "argv": { "type": "array", "minItems": 1, "maxItems": 4096, "items": { "type": "string" }, "description": "The program and its arguments; no shell is between." },
    "env": { "type": "object", "additionalProperties": { "type": "string" }, "description": "Environment beside PATH, HOME, LANG and TUTTI_*." },
    "limits": {
      "type": "object", "additionalProperties": false, "description": "What the program may use.",
      "properties": {
        "wall": { "type": "string", "description": "How long it may run, also without a server; by default 1d." },
        "cpu": { "type": "string", "description": "CPU time of each process, in whole seconds; by default no limit." },
        "memoryMB": { "type": "integer", "minimum": 1, "maximum": 16777216, "description": "Address space of each process; by default no limit." },
        "outputMB": { "type": "integer", "minimum": 1, "maximum": 4096, "description": "Size of stdout, and of stderr; by default 64." },
        "procs": { "type": "integer", "minimum": 1, "maximum": 100000, "description": "Processes at one time; by default 512." }
      }
    },
    "grace": { "type": "string", "description": "Time between SIGTERM and SIGKILL when it is cancelled; by default 5s." }
  }
}`

// NewDriver returns the driver exec: task types that are a program speaking JSON lines. self is the
// command line that reaches shim.Main; work is the folder, and places the bound,
// that it shares with the task type.
//
// The program gets one line: {"with", "key", "attempt", "vars", "trace"}. Of what it prints, a line
// {"log": text} is logged, {"vars": {…}} is stored for the next attempt, {"result": any} is the output
// and {"failure": {"type", "message", "hint", "retryable", "details"}} how it failed; other lines are
// logged as they are. A program that survived a restart of the server is heard again from its first
// line.
func NewDriver(self []string, work string, places Places) task.Driver {
	p := newPrograms(self, work, places)
	return task.Driver{
		Name: "exec", Schema: []byte(driverSchema), Perm: Permission, Reattach: true,
		Errors: map[string]string{
			failExit:     "the program ended with a status other than 0; details.code is the status. Worth another attempt for 75 (EX_TEMPFAIL)",
			failSignal:   "the program was ended by a signal; details.signal names it",
			failLimit:    "the program hit a limit; details.limit names it",
			failStart:    "the program could not be started",
			failLost:     "the program vanished, with its machine or its shim; what it had done is not known. Worth another attempt where it may run twice",
			failProtocol: "the program ended without a result, or spoke what is no line of the protocol",
			failOwn:      "the program reported a failure of a type that the task type does not declare; details.type has it",
		},
		Compile: p.compile,
	}
}

func (p *programs) compile(d *task.Declared) (task.Carry, []errs.Problem) {
	var in with
	if err := d.Decode(&in); err != nil {
		return nil, []errs.Problem{{Location: d.At(d.Pointer), Message: err.Error(), Hint: errs.Public(err).Hint}}
	}
	if err := check(in); err != nil {
		return nil, []errs.Problem{{Location: d.At(d.Pointer), Message: strings.TrimPrefix(err.Error(), "with."), Hint: errs.Public(err).Hint}}
	}
	return func(ctx context.Context, t *sdk.Task, data any) (any, error) {
		return p.speak(ctx, t, in, data, d.Spec.Errors)
	}, nil
}

// hello is what a program is told.
type hello struct {
	With    any                        `json:"with"`
	Key     string                     `json:"key"`
	Attempt int                        `json:"attempt"`
	Vars    map[string]json.RawMessage `json:"vars"`
	Trace   string                     `json:"trace"`
}

// speak performs one attempt.
func (p *programs) speak(ctx context.Context, t *sdk.Task, in with, data any, known map[string]string) (any, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	p.swept.sweep(p.work, time.Now())
	free, err := p.place(ctx, t)
	if err != nil {
		return nil, err
	}
	defer free()
	h, err := p.handle(ctx, t)
	if err != nil {
		return nil, err
	}
	vars := maps.Clone(t.Vars)
	delete(vars, variable)
	line, err := json.Marshal(hello{data, t.Key, t.Attempt, vars, t.Trace})
	if err != nil {
		return nil, err
	}
	// Text goes to the program as it is.
	if in.Stdin, err = json.Marshal(string(line) + "\n"); err != nil {
		return nil, err
	}
	proc, err := p.start(t, in, h)
	if err != nil {
		return nil, err
	}
	c := &conversation{ctx: ctx, t: t, known: known}
	exit, err := p.follow(ctx, t, proc, h, grace(in), c)
	if err != nil {
		return nil, p.broken(ctx, t, proc, h, in, err)
	}
	result, err := c.end(in.Argv[0], proc, exit)
	if err != nil {
		h.Settled = true
		return nil, errors.Join(err, t.SetVar(ctx, variable, h))
	}
	_ = os.RemoveAll(filepath.Join(p.folder(t, h), "work")) // the record stays, see do
	return result, nil
}

// broken ends a program that cannot be followed any more, unless the attempt itself is over.
func (p *programs) broken(ctx context.Context, t *sdk.Task, proc *shim.Process, h handle, in with, err error) error {
	f, ok := errors.AsType[*sdk.TaskError](err)
	if !ok || ctx.Err() != nil {
		return err
	}
	if stop := p.stop(ctx, t, proc, h, grace(in)); stop != nil {
		return stop
	}
	return f
}

// conversation hears what a program prints.
type conversation struct {
	ctx     context.Context // of the attempt
	t       *sdk.Task
	known   map[string]string // failure types
	rest    []byte            // of a line that is not complete
	result  json.RawMessage
	failure *sdk.TaskError
}

// Write hears a piece of the output. Its error ends the attempt.
func (c *conversation) Write(b []byte) (int, error) {
	n := len(b)
	for len(b) > 0 {
		part, after, whole := bytes.Cut(b, []byte{'\n'})
		if len(c.rest)+len(part) > maxLine {
			return 0, sdk.Fail(failProtocol, "the program printed a line of more than %d bytes", maxLine).WithHint("return less, or store it elsewhere and return where")
		}
		b, c.rest = after, append(c.rest, part...)
		if !whole {
			break
		}
		err := c.hear(c.rest)
		c.rest = c.rest[:0]
		if err != nil {
			return 0, err
		}
	}
	return n, nil
}

// hear acts on a line.
func (c *conversation) hear(line []byte) error {
	var m map[string]json.RawMessage
	if err := json.Unmarshal(line, &m); err != nil || len(m) != 1 {
		return c.log(line)
	}
	for key, v := range m { // the one
		switch key {
		case "log":
			var text string
			if json.Unmarshal(v, &text) == nil {
				v = []byte(text)
			}
			return c.log(v)
		case "vars":
			return c.vars(v)
		case "result":
			c.result = slices.Clone(v)
			return nil
		case "failure":
			return c.fails(v)
		}
	}
	return c.log(line)
}

func (c *conversation) log(line []byte) error {
	_, err := c.t.Stdout().Write(append(slices.Clone(line), '\n'))
	return err
}

func (c *conversation) vars(raw json.RawMessage) error {
	var vars map[string]json.RawMessage
	if err := json.Unmarshal(raw, &vars); err != nil {
		return sdk.Fail(failProtocol, `the program printed {"vars": …} that is no object`)
	}
	for _, name := range slices.Sorted(maps.Keys(vars)) {
		if name == variable {
			return sdk.Fail(failProtocol, "the program stored a variable %q, which is Tutti's own", name).WithHint("call it otherwise")
		}
		if err := c.t.SetVar(c.ctx, name, vars[name]); err != nil {
			return err
		}
	}
	return nil
}

func (c *conversation) fails(raw json.RawMessage) error {
	var f api.Failure
	if err := json.Unmarshal(raw, &f); err != nil || f.Message == "" {
		return sdk.Fail(failProtocol, `the program printed {"failure": …} without a message, or that is no failure`)
	}
	if _, ok := c.known[f.Type]; !ok {
		f.Details = maps.Clone(f.Details)
		if f.Details == nil {
			f.Details = map[string]any{}
		}
		f.Details["type"], f.Type = f.Type, failOwn
	}
	c.failure = &sdk.TaskError{Failure: f}
	return nil
}

// end returns the output, or how the attempt failed.
func (c *conversation) end(name string, proc *shim.Process, e shim.Exit) (any, error) {
	if len(c.rest) > 0 {
		if err := c.hear(c.rest); err != nil {
			return nil, err
		}
	}
	if c.failure != nil {
		return nil, c.failure
	}
	if _, err := results(c.t, name, proc, e); err != nil {
		return nil, err
	}
	if c.result == nil {
		return nil, sdk.Fail(failProtocol, "%s ended without a result", name).WithHint(`print {"result": …} or {"failure": {"type", "message"}} on a line of its own`)
	}
	return c.result, nil
}
