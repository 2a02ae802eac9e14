package script

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"math/big"
	"slices"
	"strings"

	"go.starlark.net/starlark"
	"go.starlark.net/starlarkstruct"

	"tutti/errs"
)

// arguments turns args into what f takes.
func arguments(f *starlark.Function, args any) (positional starlark.Tuple, named []starlark.Tuple, err error) {
	if args == nil {
		return nil, nil, nil
	}
	v, err := toStarlark(args, 0)
	if err != nil {
		return nil, nil, err
	}
	switch v := v.(type) {
	case *starlark.List:
		for i := range v.Len() {
			positional = append(positional, v.Index(i))
		}
		return positional, nil, nil
	case *starlark.Dict:
		for _, kv := range v.Items() {
			name, _ := starlark.AsString(kv[0])
			if f.HasKwargs() || takes(f, name) {
				named = append(named, kv)
			}
		}
		return nil, named, nil
	default:
		return nil, nil, errs.New(errs.Internal, "arguments must be a map or a slice, not a %s", v.Type())
	}
}

func takes(f *starlark.Function, name string) bool {
	for i := range f.NumParams() {
		if p, _ := f.Param(i); p == name {
			return true
		}
	}
	return false
}

// toStarlark converts a value of JSON; members of objects are in the order of their names.
func toStarlark(v any, depth int) (starlark.Value, error) {
	if depth > maxDepth {
		return nil, errs.New(errs.Invalid, "an argument is nested deeper than %d", maxDepth)
	}
	switch v := v.(type) {
	case nil:
		return starlark.None, nil
	case bool:
		return starlark.Bool(v), nil
	case string:
		return starlark.String(v), nil
	case int:
		return starlark.MakeInt(v), nil
	case int64:
		return starlark.MakeInt64(v), nil
	case float64:
		return number(v), nil
	case json.Number:
		return parseNumber(string(v))
	case []any:
		list := make([]starlark.Value, len(v))
		for i, x := range v {
			var err error
			if list[i], err = toStarlark(x, depth+1); err != nil {
				return nil, err
			}
		}
		return starlark.NewList(list), nil
	case map[string]any:
		d := starlark.NewDict(len(v))
		for _, k := range slices.Sorted(maps.Keys(v)) {
			x, err := toStarlark(v[k], depth+1)
			if err != nil {
				return nil, err
			}
			if err := d.SetKey(starlark.String(k), x); err != nil {
				return nil, err
			}
		}
		return d, nil
	default:
		return viaJSON(v, depth)
	}
}

// number makes integral numbers integers; beyond 2^53 a float64 is not exact, and stays one.
func number(f float64) starlark.Value {
	if f == math.Trunc(f) && math.Abs(f) <= 1<<53 {
		return starlark.MakeInt64(int64(f))
	}
	return starlark.Float(f)
}

func parseNumber(s string) (starlark.Value, error) {
	if len(s) > maxBits/4 {
		return nil, errs.New(errs.Invalid, "a number has %d digits", len(s))
	}
	if i, ok := new(big.Int).SetString(s, 10); ok {
		return starlark.MakeBigInt(i), nil
	}
	f, err := json.Number(s).Float64()
	if err != nil {
		return nil, errs.New(errs.Invalid, "%q is no number", s)
	}
	return number(f), nil
}

// viaJSON converts other Go types as encoding/json would write them.
func viaJSON(v any, depth int) (starlark.Value, error) {
	b, err := json.Marshal(v)
	if err != nil {
		return nil, fmt.Errorf("convert an argument: %w", err)
	}
	d := json.NewDecoder(bytes.NewReader(b))
	d.UseNumber()
	var plain any
	if err := d.Decode(&plain); err != nil {
		return nil, fmt.Errorf("convert an argument: %w", err)
	}
	return toStarlark(plain, depth)
}

// fromStarlark converts a result, which must be no larger than the rest of the budget.
func fromStarlark(m *meter, v starlark.Value) (any, error) {
	if err := m.deep(v, 0); err != nil {
		return nil, err
	}
	out, err := convert(v)
	if err != nil {
		return nil, fmt.Errorf("result%w", err)
	}
	return out, nil
}

// placeError is an error inside a value. The place is put together on the way out: on the way in
// it would cost time for every part.
type placeError struct {
	place string
	msg   string
}

func (e *placeError) Error() string { return e.place + ": " + e.msg }

func within(place string, err error) error {
	if e, ok := err.(*placeError); ok {
		return &placeError{place + e.place, e.msg}
	}
	return err
}

func convert(v starlark.Value) (any, error) {
	switch v := v.(type) {
	case starlark.NoneType:
		return nil, nil
	case starlark.Bool:
		return bool(v), nil
	case starlark.String:
		return strings.ToValidUTF8(string(v), "\uFFFD"), nil
	case starlark.Int:
		if i, ok := v.Int64(); ok {
			return i, nil
		}
		return json.Number(v.String()), nil
	case starlark.Float:
		if f := float64(v); !math.IsNaN(f) && !math.IsInf(f, 0) {
			return f, nil
		}
		return nil, &placeError{msg: fmt.Sprintf("%v is no value of JSON", v)}
	case *starlark.Dict:
		return object(v.Items())
	case *starlarkstruct.Struct:
		var items []starlark.Tuple
		for _, name := range v.AttrNames() {
			x, err := v.Attr(name)
			if err != nil {
				return nil, err
			}
			items = append(items, starlark.Tuple{starlark.String(name), x})
		}
		return object(items)
	case *starlark.List, starlark.Tuple, *starlark.Set:
		return array(v.(starlark.Iterable))
	default:
		return nil, &placeError{msg: fmt.Sprintf("a %s is no value of JSON", v.Type())}
	}
}

func object(items []starlark.Tuple) (any, error) {
	out := make(map[string]any, len(items))
	for _, kv := range items {
		k, ok := starlark.AsString(kv[0])
		if !ok {
			return nil, &placeError{msg: fmt.Sprintf("the key %v is a %s; keys must be strings", kv[0], kv[0].Type())}
		}
		x, err := convert(kv[1])
		if err != nil {
			return nil, within("."+k, err)
		}
		out[k] = x
	}
	return out, nil
}

func array(list starlark.Iterable) (any, error) {
	out := []any{}
	it := list.Iterate()
	defer it.Done()
	for x := starlark.Value(nil); it.Next(&x); {
		v, err := convert(x)
		if err != nil {
			return nil, within(fmt.Sprintf("[%d]", len(out)), err)
		}
		out = append(out, v)
	}
	return out, nil
}
