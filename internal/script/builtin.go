package script

import (
	"errors"
	"slices"
	"strings"

	"go.starlark.net/lib/json"
	"go.starlark.net/starlark"
	"go.starlark.net/starlarkstruct"
	"go.starlark.net/syntax"

	"tutti/errs"
)

const maxProblems = 1000

// predeclared is what programs see beyond the language's own, and the checks rewriting puts in.
var predeclared = declare()

func declare() starlark.StringDict {
	d := starlark.StringDict{
		"struct":  starlark.NewBuiltin("struct", starlarkstruct.Make),
		"problem": starlark.NewBuiltin("problem", problem),
		"fail":    starlark.NewBuiltin("fail", fail),
		"json": &starlarkstruct.Module{Name: "json", Members: starlark.StringDict{
			"encode": starlark.NewBuiltin("json.encode", encode), "decode": json.Module.Members["decode"],
		}},
		nameCall:  starlark.NewBuiltin(nameCall, checkedCall),
		nameSlice: starlark.NewBuiltin(nameSlice, checkedSlice),
		nameTuple: starlark.NewBuiltin(nameTuple, checkedTuple),
		nameStar:  starlark.NewBuiltin(nameStar, checkedStar),
	}
	for op, text := range binary {
		d[mark+text] = starlark.NewBuiltin(text, func(t *starlark.Thread, _ *starlark.Builtin, args starlark.Tuple, _ []starlark.Tuple) (starlark.Value, error) {
			return checkedBinary(t, op, args[0], args[1])
		})
		d[mark+text+"="] = starlark.NewBuiltin(text, func(t *starlark.Thread, _ *starlark.Builtin, args starlark.Tuple, _ []starlark.Tuple) (starlark.Value, error) {
			return args[1], meterOf(t).binary(op, args[0], args[1])
		})
	}
	d.Freeze()
	return d
}

// encode(x) is the library's json.encode, whose one mistake it mends: the character DEL is written as
// \x7f, which JSON does not know.
func encode(t *starlark.Thread, _ *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	v, err := starlark.Call(t, json.Module.Members["encode"], args, kwargs)
	s, ok := starlark.AsString(v)
	if err != nil || !ok || !strings.Contains(s, `\x7f`) {
		return v, err
	}
	// A backslash that is itself escaped is taken with its escape, so that what follows it is left alone.
	return starlark.String(strings.NewReplacer(`\\`, `\\`, `\x7f`, `\u007f`).Replace(s)), nil
}

// failure is the error of fail().
type failure string

func (f failure) Error() string { return string(f) }

// fail(*parts, sep=" ") ends the program with a message.
func fail(_ *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	sep := " "
	if err := starlark.UnpackArgs(b.Name(), nil, kwargs, "sep?", &sep); err != nil {
		return nil, err
	}
	parts := make([]string, len(args))
	for i, v := range args {
		if s, ok := starlark.AsString(v); ok {
			parts[i] = s
		} else {
			parts[i] = v.String()
		}
	}
	return nil, failure(strings.Join(parts, sep))
}

// problem(path, message, hint="") records one thing wrong with an argument.
func problem(t *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	var p errs.Problem
	if err := starlark.UnpackArgs(b.Name(), args, kwargs, "path", &p.Location, "message", &p.Message, "hint?", &p.Hint); err != nil {
		return nil, err
	}
	if p.Message == "" {
		return nil, errors.New("problem: the message is empty")
	}
	m := meterOf(t)
	if len(m.problems) == maxProblems {
		return nil, m.over("it reported more than %d problems", maxProblems)
	}
	m.problems = append(m.problems, p)
	return starlark.None, nil
}

// checkedCall calls args[0] with the rest; what built-in functions cost is charged before.
func checkedCall(t *starlark.Thread, _ *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	b, ok := args[0].(*starlark.Builtin)
	if !ok {
		return starlark.Call(t, args[0], args[1:], kwargs)
	}
	m := meterOf(t)
	if err := m.call(b, args[1:], kwargs); err != nil {
		return nil, err
	}
	v, err := starlark.Call(t, b, args[1:], guardKeys(kwargs))
	if err != nil {
		return nil, err
	}
	return v, m.lightResult(v)
}

// guardKeys puts the checks into functions that a built-in function will call by itself, as in
// sorted(list, key=", ".join).
func guardKeys(kwargs []starlark.Tuple) []starlark.Tuple {
	if !slices.ContainsFunc(kwargs, func(kv starlark.Tuple) bool { _, ok := kv[1].(*starlark.Builtin); return ok }) {
		return kwargs
	}
	out := make([]starlark.Tuple, len(kwargs))
	for i, kv := range kwargs {
		out[i] = kv
		if b, ok := kv[1].(*starlark.Builtin); ok && kv[0] == starlark.String("key") {
			out[i] = starlark.Tuple{kv[0], starlark.NewBuiltin(b.Name(), func(t *starlark.Thread, _ *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
				return checkedCall(t, nil, append(starlark.Tuple{b}, args...), kwargs)
			})}
		}
	}
	return out
}

func checkedSlice(t *starlark.Thread, _ *starlark.Builtin, args starlark.Tuple, _ []starlark.Tuple) (starlark.Value, error) {
	return args[0], meterOf(t).charge(shallow(args[0]))
}

func checkedTuple(t *starlark.Thread, _ *starlark.Builtin, args starlark.Tuple, _ []starlark.Tuple) (starlark.Value, error) {
	return args[0], meterOf(t).light(args[0])
}

func checkedStar(t *starlark.Thread, _ *starlark.Builtin, args starlark.Tuple, _ []starlark.Tuple) (starlark.Value, error) {
	return args[0], meterOf(t).lengths(args)
}

func checkedBinary(t *starlark.Thread, op syntax.Token, x, y starlark.Value) (starlark.Value, error) {
	m := meterOf(t)
	if err := m.binary(op, x, y); err != nil {
		return nil, err
	}
	v, err := starlark.Binary(op, x, y)
	if err != nil {
		return nil, err
	}
	if _, ok := v.(starlark.Tuple); ok {
		err = m.light(v)
	}
	return v, err
}

// binary charges for x op y.
func (m *meter) binary(op syntax.Token, x, y starlark.Value) error {
	xi, xInt := x.(starlark.Int)
	yi, yInt := y.(starlark.Int)
	if xInt && yInt {
		return m.integers(op, xi, yi)
	}
	switch op {
	case syntax.STAR:
		if xInt {
			x, yi, yInt = y, xi, true
		}
		n, ok := yi.Int64()
		if !yInt || n <= 0 && ok {
			return nil // refused, or empty
		}
		if !ok {
			n = -1
		}
		return m.charge(times(shallow(x), n))
	case syntax.PERCENT:
		if s, ok := x.(starlark.String); ok {
			if err := m.charge(int64(len(s))); err != nil {
				return err
			}
			return m.deepTimes(y, int64(strings.Count(string(s), "%")))
		}
	default:
		return m.charge(shallow(x) + shallow(y))
	}
	return nil
}

func (m *meter) integers(op syntax.Token, x, y starlark.Int) error {
	size := max(bits(x), bits(y)) + 1
	switch op {
	case syntax.STAR:
		size = bits(x) + bits(y)
	case syntax.LTLT:
		n, ok := y.Int64()
		if !ok || n < 0 {
			return nil // refused
		}
		size = bits(x) + n
	}
	if size > maxBits {
		return m.over("an integer has more than %d bits", maxBits)
	}
	return nil
}
