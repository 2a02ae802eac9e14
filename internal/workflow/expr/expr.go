// Package expr is the one expression language of Tutti: conditions, routes, filters and the
// `${{ … }}` of templates. It is expr-lang behind a guard. The parser and the bytecode machine are
// the library's; every operator and function that touches a value is ours, so that
//
//   - work is bounded: steps, memory, depth, source length and, as a last resort, time;
//   - the same program on the same values gives the same JSON, always: maps are walked in the order
//     of their keys, and there is no clock, no randomness, no environment and no I/O;
//   - values are JSON and nothing else: nil, bool, float64, string, []any, map[string]any. Numbers
//     are float64 throughout, values have no methods, and no Go type can be seen or reached.
//
// What data contains is never evaluated: a Template is parsed from a definition, and the text that
// its evaluation yields is only ever text. Secrets are not values here; where one belongs in an
// evaluated template is told beside it (SecretUse), and Fill puts it in.
//
// Differences from expr-lang that authors see: after `?.` the rest of a path is null-safe too
// (`tasks.a?.out.address`); `type` answers with the words of JSON Schema; `string` and `toJSON` give
// compact JSON with sorted keys; `keys`, `values`, `toPairs` and `groupBy` are sorted; the bit
// functions, dates and method calls do not exist; `sha256`, `b64` and `unb64` do.
package expr

import (
	"strings"

	"github.com/expr-lang/expr/vm"
)

// Env holds the values of the names an expression may read, JSON-shaped (nil, bool, float64, string,
// []any, map[string]any). A name that is missing is null.
type Env map[string]any

// Ref is one mention of a name, with as much of the path behind it as is known without evaluating.
type Ref struct {
	// Path is the name and the keys after it: tasks.ip?.out.address is [tasks ip out address]. A
	// constant index is its decimal text.
	Path []string
	// Soft says that a part of the path was reached through `?.`.
	Soft bool
	// SoftAt is the index in Path of the first part reached through `?.`; 0 where there is none.
	SoftAt int
	// Dynamic says that the path goes on with something only evaluation can tell (`a[b]`).
	Dynamic bool
	// Offset is where the name stands in the source, in bytes.
	Offset int
}

// Program is a compiled expression. It is immutable and safe for concurrent use.
type Program struct {
	source string
	refs   []Ref
	path   *path       // the fast path: the whole program is one reference
	code   *vm.Program // nil where path is set
	roots  []string    // the names to load from an Env
}

// Compile returns the program of a bare expression (no `${{`). The error is a *SyntaxError.
func Compile(src string) (*Program, error) {
	if len(src) > maxSource {
		return nil, &SyntaxError{
			Message: "the expression is longer than 16 KiB",
			Hint:    "split it over several vars",
		}
	}
	if strings.TrimSpace(src) == "" {
		return nil, &SyntaxError{Message: "the expression is empty"}
	}
	if p := parsePath(src); p != nil {
		return &Program{source: src, refs: []Ref{p.ref}, path: p}, nil
	}
	return compile(src)
}

// Source returns the text the program was compiled from.
func (p *Program) Source() string { return p.source }

// Refs returns every mention of a name, in the order of the source. It must not be changed.
func (p *Program) Refs() []Ref { return p.refs }

// Reference returns the reference that the program is, where it is nothing else.
func (p *Program) Reference() (Ref, bool) {
	if p.path == nil {
		return Ref{}, false
	}
	return p.path.ref, true
}

// Eval returns the value of the program. The value may share parts with env: neither may be changed
// afterwards. The error is an *EvalError.
func (p *Program) Eval(env Env) (any, error) {
	if p.path != nil {
		v, err := p.path.fetch(env)
		if err != nil {
			return nil, err
		}
		if f, ok := number(v); ok {
			return f, nil
		}
		return v, nil
	}
	return run(p, env)
}

// Bool returns the value of a condition. It is an *EvalError where the value is not a boolean.
func (p *Program) Bool(env Env) (bool, error) {
	v, err := p.Eval(env)
	if err != nil {
		return false, err
	}
	b, ok := v.(bool)
	if !ok {
		return false, evalErrorf("the condition %s gives %s, not true or false", quote(p.source), Describe(v)).
			hint("compare it with something, as in x == \"y\" or x != nil")
	}
	return b, nil
}

// Text returns the value as text: a string as it is, a number or boolean as JSON, null as "". It is
// an *EvalError where the value is a list or an object.
func (p *Program) Text(env Env) (string, error) {
	v, err := p.Eval(env)
	if err != nil {
		return "", err
	}
	switch v.(type) {
	case []any, map[string]any:
		return "", evalErrorf("%s gives %s, not text", quote(p.source), Describe(v)).
			hint("name one value of it, or write toJSON(…)")
	}
	return text(v), nil
}
