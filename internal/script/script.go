// Package script runs small Starlark programs: handlers that validate and enrich a resource, task
// types that are dropped in. A program sees its arguments and nothing else: no files, network,
// clock, randomness or other modules, so that the same call gives the same result for ever.
//
// Programs are not trusted. Each call has limits on steps, memory and time, and every operation
// that could do much in one step is checked before it runs (see rewrite.go and meter.go).
// Beyond the language as specified there are sets, json.encode, json.decode, struct, and
// problem(path, message, hint="") to report what is wrong with an argument; recursion, while,
// load and *args in definitions are off.
//
// The package owns nothing; a Module never changes and is safe for concurrent calls.
package script

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"go.starlark.net/resolve"
	"go.starlark.net/starlark"
	"go.starlark.net/syntax"

	"tutti/errs"
)

const (
	maxSource  = 128 << 10 // bytes of a source file
	maxBracket = 200       // nested brackets in it: the parser is recursive
)

// Limits bound one call. 0 means the default.
type Limits struct {
	Steps  uint64        // default 1,000,000
	Memory int64         // bytes allocated in all, by estimate; default 64 MiB
	Wall   time.Duration // default 5 s
}

// Defaults of Limits.
const (
	DefaultSteps  = 1_000_000
	DefaultMemory = 64 << 20
	DefaultWall   = 5 * time.Second
)

// Options are given to Compile.
type Options struct {
	// Print receives each print() with the context of the call; nil discards them.
	Print func(ctx context.Context, text string)
	// Limits bound what the module does when it is compiled, and calls that give none.
	Limits Limits
}

// Reason says what ended a program.
type Reason string

// The reasons.
const (
	Mistake Reason = "mistake" // the program is wrong: a type error, a missing key
	Failed  Reason = "fail"    // it called fail(), whose text is Msg
	Limit   Reason = "limit"   // it ran into a limit
)

// Error is how a program failed, and where. Errors of this package wrap it in one of kind Invalid.
type Error struct {
	Reason Reason
	Msg    string
	File   string
	Line   int // 0 where there is no place
	Col    int
	Fn     string // the function it happened in; empty at the top level
}

// Error returns "file:line:col: message".
func (e *Error) Error() string {
	if e.Line == 0 {
		return fmt.Sprintf("%s: %s", e.File, e.Msg)
	}
	return fmt.Sprintf("%s:%d:%d: %s", e.File, e.Line, e.Col, e.Msg)
}

// Module is a compiled program.
type Module struct {
	file    string
	opts    Options
	globals starlark.StringDict
}

// Compile compiles src, which is called file in messages, and runs its top level. Errors are
// Invalid, with a Problem for each mistake found.
func Compile(file, src string, opts Options) (*Module, error) {
	m := &Module{file: file, opts: opts}
	if len(src) > maxSource {
		return nil, errs.New(errs.TooLarge, "%s has %d bytes; at most %d are possible", file, len(src), maxSource)
	}
	if deepest(src) > maxBracket {
		return nil, m.compileError([]*Error{{Reason: Mistake, File: file, Msg: fmt.Sprintf("brackets are nested deeper than %d", maxBracket)}})
	}
	prog, err := m.parse(src)
	if err != nil {
		return nil, err
	}
	_, err = m.run(context.Background(), Limits{}, func(t *starlark.Thread) (starlark.Value, error) { // background: Options.Limits bound it
		m.globals, err = prog.Init(t, predeclared)
		m.globals.Freeze()
		return starlark.None, err
	})
	if err != nil {
		return nil, err
	}
	return m, nil
}

func (m *Module) parse(src string) (prog *starlark.Program, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = errs.New(errs.Invalid, "%s cannot be compiled: %v", m.file, r)
		}
	}()
	f, err := (&syntax.FileOptions{Set: true}).Parse(m.file, src, 0)
	if err != nil {
		return nil, m.compileError(located(m.file, err))
	}
	rw := &rewriter{file: m.file}
	rw.stmts(f.Stmts)
	if len(rw.problems) > 0 {
		return nil, m.compileError(rw.problems)
	}
	prog, err = starlark.FileProgram(f, predeclared.Has)
	if err != nil {
		return nil, m.compileError(located(m.file, err))
	}
	return prog, nil
}

func (m *Module) compileError(list []*Error) error {
	problems := make([]errs.Problem, len(list))
	for i, e := range list {
		problems[i] = errs.Problem{Location: e.File, Message: e.Msg}
		if e.Line > 0 {
			problems[i].Location = fmt.Sprintf("%s:%d:%d", e.File, e.Line, e.Col)
		}
	}
	return &errs.Error{Kind: errs.Invalid, Msg: m.file + " cannot be compiled", Problems: problems, Err: list[0]}
}

// located turns errors of the parser and the resolver into ours.
func located(file string, err error) []*Error {
	if e, ok := errors.AsType[syntax.Error](err); ok {
		return []*Error{{Reason: Mistake, Msg: e.Msg, File: file, Line: int(e.Pos.Line), Col: int(e.Pos.Col)}}
	}
	if list, ok := errors.AsType[resolve.ErrorList](err); ok && len(list) > 0 {
		out := make([]*Error, len(list))
		for i, e := range list {
			out[i] = &Error{Reason: Mistake, Msg: e.Msg, File: file, Line: int(e.Pos.Line), Col: int(e.Pos.Col)}
		}
		return out
	}
	return []*Error{{Reason: Mistake, Msg: err.Error(), File: file}}
}

// deepest returns how deep brackets nest in src at most; those in strings and comments count too.
func deepest(src string) (deepest int) {
	depth := 0
	for i := range len(src) {
		switch src[i] {
		case '(', '[', '{':
			depth++
			deepest = max(deepest, depth)
		case ')', ']', '}':
			depth = max(depth-1, 0)
		}
	}
	return deepest
}

// Functions returns the names of the module's functions, sorted; not those that begin with "_".
func (m *Module) Functions() []string {
	var out []string
	for _, name := range m.globals.Keys() {
		if _, ok := m.globals[name].(*starlark.Function); ok && !strings.HasPrefix(name, "_") {
			out = append(out, name)
		}
	}
	return out
}

// Has reports whether Functions has name.
func (m *Module) Has(name string) bool { return slices.Contains(m.Functions(), name) }

// Call calls the function fn and returns its result as a value of JSON: nil, bool, int64 (or
// json.Number where that is too small), float64, string, []any, map[string]any.
//
// args is such a value too: a map gives arguments by name, of which the function gets those it has
// parameters for; a slice gives them by position; nil none. Numbers that are integral
// become integers.
//
// An unknown fn is NotFound. All that goes wrong in the program is Invalid and wraps an *Error; the
// end of ctx is its own error. Where the program called problem(), the error is Invalid with
// these Problems, and the result is returned nevertheless.
func (m *Module) Call(ctx context.Context, fn string, args any, limits Limits) (any, error) {
	f, ok := m.globals[fn].(*starlark.Function)
	if !ok || !m.Has(fn) {
		return nil, errs.New(errs.NotFound, "%s has no function %q", m.file, fn).WithHint("it has: %s", strings.Join(m.Functions(), ", "))
	}
	var found []errs.Problem
	var result any
	_, err := m.run(ctx, limits, func(t *starlark.Thread) (starlark.Value, error) {
		meter := meterOf(t)
		defer func() { found = meter.problems }()
		positional, named, err := arguments(f, args)
		if err != nil {
			return nil, err
		}
		v, err := starlark.Call(t, f, positional, named)
		if err == nil {
			result, err = fromStarlark(meter, v)
			if err != nil {
				err = fmt.Errorf("%s: %w", fn, err)
			}
		}
		return nil, err
	})
	if err == nil && len(found) > 0 {
		err = errs.New(errs.Invalid, "%s", summary(found)).WithProblems(found...)
	}
	if err != nil && len(found) == 0 {
		result = nil
	}
	return result, err
}

func summary(found []errs.Problem) string {
	if len(found) == 1 {
		return "there is a problem"
	}
	return fmt.Sprintf("there are %d problems", len(found))
}

// run calls do on a new thread under limits and translates its error.
func (m *Module) run(ctx context.Context, l Limits, do func(*starlark.Thread) (starlark.Value, error)) (v starlark.Value, err error) {
	l = withDefaults(l, m.opts.Limits)
	timed, cancel := context.WithTimeoutCause(ctx, l.Wall, errWall)
	defer cancel()
	mt := &meter{left: l.Memory, limit: l.Memory}
	t := &starlark.Thread{Name: m.file}
	t.Print = func(_ *starlark.Thread, text string) {
		if m.opts.Print != nil {
			m.opts.Print(ctx, text)
		}
	}
	t.SetLocal(meterKey, mt)
	t.SetMaxExecutionSteps(l.Steps)
	t.OnMaxSteps = func(t *starlark.Thread) {
		mt.hit = fmt.Errorf("it ran for more than %d steps", l.Steps)
		t.Cancel("steps")
	}
	stop := context.AfterFunc(timed, func() { t.Cancel("time") })
	defer stop()
	defer func() {
		if r := recover(); r != nil {
			err = errs.New(errs.Internal, "%s: the interpreter failed: %v", m.file, r)
		}
	}()
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("run %s: %w", m.file, err)
	}
	v, err = do(t)
	switch {
	case err == nil:
		return v, nil
	case ctx.Err() != nil:
		return nil, fmt.Errorf("run %s: %w", m.file, context.Cause(ctx))
	case mt.hit == nil && timed.Err() != nil:
		mt.hit = fmt.Errorf("%w %s", errWall, l.Wall)
	}
	return nil, m.runtimeError(mt, err)
}

var errWall = errors.New("it ran for longer than")

func withDefaults(l, from Limits) Limits {
	pick := func(a, b, c int64) int64 {
		for _, n := range []int64{a, b, c} {
			if n > 0 {
				return n
			}
		}
		return 0
	}
	return Limits{
		Steps:  uint64(pick(int64(l.Steps), int64(from.Steps), DefaultSteps)),
		Memory: pick(l.Memory, from.Memory, DefaultMemory),
		Wall:   time.Duration(pick(int64(l.Wall), int64(from.Wall), int64(DefaultWall))),
	}
}

// runtimeError says where in the program err happened.
func (m *Module) runtimeError(mt *meter, err error) error {
	e := &Error{Reason: Mistake, Msg: err.Error(), File: m.file}
	if ev, ok := errors.AsType[*starlark.EvalError](err); ok {
		e.Msg = ev.Msg
		for _, fr := range slices.Backward([]starlark.CallFrame(ev.CallStack)) {
			if fr.Pos.Line > 0 && fr.Pos.Filename() == m.file {
				e.Line, e.Col = int(fr.Pos.Line), int(fr.Pos.Col)
				if fr.Name != "<toplevel>" {
					e.Fn = fr.Name
				}
				break
			}
		}
	}
	if f, ok := errors.AsType[failure](err); ok {
		e.Reason, e.Msg = Failed, string(f)
	}
	if mt.hit != nil {
		e.Reason, e.Msg = Limit, mt.hit.Error()
	}
	return errs.New(errs.Invalid, "%w", e)
}
