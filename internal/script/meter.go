package script

import (
	"errors"
	"fmt"
	"math"
	mathbits "math/bits"
	"strings"

	"go.starlark.net/starlark"
	"go.starlark.net/starlarkstruct"

	"tutti/errs"
)

const (
	maxDepth  = 100    // nesting of values that are printed, encoded or returned
	maxWeight = 10_000 // parts of a tuple or struct, counted as often as they are reached: hashing visits them so
	maxBits   = 4096   // of an integer
	slot      = 64     // estimate of the bytes of an element of a collection
)

const meterKey = "tutti.meter"

// meter is the budget of one call, kept with its thread.
type meter struct {
	left, limit int64
	hit         error // the limit that ended the program
	problems    []errs.Problem
}

func meterOf(t *starlark.Thread) *meter { return t.Local(meterKey).(*meter) }

var errLimit = errors.New("limit")

// charge takes n bytes from the budget, before they are allocated. It never adds up to less than
// what is: a negative n, from an overflow, is too much.
func (m *meter) charge(n int64) error {
	if n < 0 || n > m.left {
		return m.over("it allocated more than %d bytes", m.limit)
	}
	m.left -= n
	return nil
}

func (m *meter) over(format string, args ...any) error {
	if m.hit == nil {
		m.hit = fmt.Errorf(format, args...)
	}
	return errLimit
}

// times returns a*b, or -1 when that is absurdly large.
func times(a, b int64) int64 {
	if a < 0 || b < 0 || b > 0 && a > (1<<40)/b {
		return -1
	}
	return a * b
}

// length returns how many elements a loop over v sees; 0 when v cannot be looped over.
func length(v starlark.Value) int64 {
	switch v := v.(type) {
	case starlark.Sequence:
		return int64(v.Len())
	case starlark.Iterable: // such as "abc".elems(): no longer than its string's bytes
		var n int64
		it := v.Iterate()
		defer it.Done()
		for x := starlark.Value(nil); it.Next(&x); {
			n++
		}
		return n
	default:
		return 0
	}
}

// shallow estimates the bytes of v without what it refers to.
func shallow(v starlark.Value) int64 {
	switch v := v.(type) {
	case starlark.String:
		return int64(len(v))
	case starlark.Bytes:
		return int64(len(v))
	case starlark.Int:
		return bits(v) / 8
	case *starlark.List, starlark.Tuple, *starlark.Dict, *starlark.Set:
		return times(slot, length(v))
	default:
		return 16
	}
}

func bits(i starlark.Int) int64 {
	if n, ok := i.Int64(); ok && n > math.MinInt64 {
		return int64(mathbits.Len64(uint64(max(n, -n))))
	}
	return int64(i.BigInt().BitLen())
}

// deep charges for all that v refers to, as often as it is reached, and fails where that is nested
// too deep: for operations that visit and write all of it.
func (m *meter) deep(v starlark.Value, depth int) error {
	if depth > maxDepth {
		return m.over("a value is nested deeper than %d", maxDepth)
	}
	if err := m.charge(16); err != nil {
		return err
	}
	switch v := v.(type) {
	case starlark.String, starlark.Bytes, starlark.Int:
		return m.charge(4 * shallow(v)) // escapes and digits
	case *starlark.Dict:
		for _, kv := range v.Items() {
			if err := m.deep(kv, depth+1); err != nil {
				return err
			}
		}
	case *starlarkstruct.Struct:
		for _, name := range v.AttrNames() {
			f, err := v.Attr(name)
			if err == nil {
				err = m.deep(f, depth+1)
			}
			if err != nil {
				return err
			}
		}
	case *starlark.List, starlark.Tuple, *starlark.Set:
		it := v.(starlark.Iterable).Iterate()
		defer it.Done()
		for x := starlark.Value(nil); it.Next(&x); {
			if err := m.deep(x, depth+1); err != nil {
				return err
			}
		}
	}
	return nil
}

// deepTimes charges for writing v n times.
func (m *meter) deepTimes(v starlark.Value, n int64) error {
	before := m.left
	if err := m.deep(v, 0); err != nil {
		return err
	}
	return m.charge(times(before-m.left, n))
}

// light fails where hashing v would visit too many parts.
func (m *meter) light(v starlark.Value) error {
	left := maxWeight
	var visit func(v starlark.Value) bool
	visit = func(v starlark.Value) bool {
		left--
		switch v := v.(type) {
		case starlark.Tuple:
			for _, x := range v {
				if left < 0 || !visit(x) {
					return false
				}
			}
		case *starlarkstruct.Struct:
			for _, name := range v.AttrNames() {
				x, _ := v.Attr(name)
				if left < 0 || !visit(x) {
					return false
				}
			}
		}
		return left >= 0
	}
	if !visit(v) {
		return m.over("a tuple or struct has more than %d parts", maxWeight)
	}
	return nil
}

// lightResult is light for what a built-in function returned, and for the elements of a list that
// it may just have made of tuples.
func (m *meter) lightResult(v starlark.Value) error {
	if l, ok := v.(*starlark.List); ok {
		for i := range l.Len() {
			if t, ok := l.Index(i).(starlark.Tuple); ok {
				if err := m.light(t); err != nil {
					return err
				}
			}
		}
		return nil
	}
	return m.light(v)
}

// call charges for a call of the built-in function b, before it runs.
func (m *meter) call(b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) error {
	all := append(starlark.Tuple{}, args...)
	for _, kv := range kwargs {
		all = append(all, kv[1])
	}
	if err := m.charge(slot); err != nil {
		return err
	}
	if recv := b.Receiver(); recv != nil {
		return m.method(b.Name(), recv, all)
	}
	switch b.Name() {
	case "list", "tuple", "set", "sorted", "reversed", "enumerate", "dict", "zip", "min", "max", "any", "all", "struct":
		return m.lengths(all)
	case "str", "repr", "print", "fail", "bytes", "problem", "json.encode", "hash", "int", "float":
		for _, v := range all {
			if err := m.deep(v, 0); err != nil {
				return err
			}
		}
	case "json.decode":
		return m.decode(all)
	}
	return nil
}

func (m *meter) lengths(all starlark.Tuple) error {
	for _, v := range all {
		if err := m.charge(times(slot, length(v))); err != nil {
			return err
		}
	}
	return nil
}

// decode charges for json.decode, which is recursive.
func (m *meter) decode(all starlark.Tuple) error {
	for _, v := range all {
		s, ok := v.(starlark.String)
		if !ok {
			continue
		}
		if deepest(string(s)) > maxDepth {
			return m.over("JSON is nested deeper than %d", maxDepth)
		}
		if err := m.charge(times(slot, int64(len(s)))); err != nil {
			return err
		}
	}
	return nil
}

// method charges for a call of a method of recv.
func (m *meter) method(name string, recv starlark.Value, all starlark.Tuple) error {
	s, isString := recv.(starlark.String)
	size := int64(len(s))
	switch {
	case isString && name == "join" && len(all) == 1:
		return m.join(size, all[0])
	case isString && name == "replace" && len(all) >= 2:
		old, _ := starlark.AsString(all[0])
		with, _ := starlark.AsString(all[1])
		return m.charge(2*size + times(int64(strings.Count(string(s), old)), int64(len(with))))
	case isString && name == "format":
		return m.deepTimes(all, 1+int64(strings.Count(string(s), "{")))
	case isString && (name == "split" || name == "rsplit" || name == "splitlines"):
		return m.charge(times(20, size))
	case isString:
		return m.charge(2 * size)
	case name == "items" || name == "keys" || name == "values":
		return m.charge(times(slot, length(recv)))
	}
	return m.lengthsWith(recv, name, all)
}

// lengthsWith charges for methods of collections that take other collections in.
func (m *meter) lengthsWith(recv starlark.Value, name string, all starlark.Tuple) error {
	switch name {
	case "union", "intersection", "difference", "symmetric_difference":
		if err := m.charge(times(slot, length(recv))); err != nil {
			return err
		}
		return m.lengths(all)
	case "extend", "update", "issubset", "issuperset":
		return m.lengths(all)
	}
	return nil // one element at most
}

func (m *meter) join(sep int64, list starlark.Value) error {
	it, ok := list.(starlark.Iterable)
	if !ok {
		return nil // which join refuses
	}
	i := it.Iterate()
	defer i.Done()
	for v := starlark.Value(nil); i.Next(&v); {
		s, _ := starlark.AsString(v)
		if err := m.charge(sep + int64(len(s))); err != nil {
			return err
		}
	}
	return nil
}
