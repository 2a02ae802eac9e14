package expr

import (
	"math"
	"slices"
)

func list(name string, v any) ([]any, error) {
	l, ok := v.([]any)
	if !ok {
		return nil, evalErrorf("%s needs a list, got %s", name, Describe(v))
	}
	return l, nil
}

// numbers gathers numbers from arguments that are numbers or lists of numbers.
func numbers(m *meter, name string, args []any) ([]float64, error) {
	var out []float64
	for _, a := range args {
		l, ok := a.([]any)
		if !ok {
			l = []any{a}
		}
		if err := m.grow(8 * len(l)); err != nil {
			return nil, err
		}
		for _, e := range l {
			f, ok := number(e)
			if !ok {
				return nil, evalErrorf("%s needs numbers, got %s", name, Describe(e))
			}
			out = append(out, f)
		}
	}
	return out, nil
}

func extreme(name string, better func(a, b float64) bool) func(*meter, []any) (any, error) {
	return func(m *meter, args []any) (any, error) {
		ns, err := numbers(m, name, args)
		if err != nil || len(ns) == 0 {
			return nil, err
		}
		best := ns[0]
		for _, n := range ns {
			if better(n, best) {
				best = n
			}
		}
		return best, nil
	}
}

func mean(m *meter, args []any) (any, error) {
	ns, err := numbers(m, "mean", args)
	if err != nil || len(ns) == 0 {
		return 0.0, err
	}
	sum := 0.0
	for _, n := range ns {
		sum += n
	}
	return sum / float64(len(ns)), nil
}

func median(m *meter, args []any) (any, error) {
	ns, err := numbers(m, "median", args)
	if err != nil || len(ns) == 0 {
		return 0.0, err
	}
	slices.Sort(ns)
	mid := len(ns) / 2
	if len(ns)%2 == 1 {
		return ns[mid], nil
	}
	return (ns[mid-1] + ns[mid]) / 2, nil
}

// end is the first or last element, or null of an empty list.
func end(v any, name string, i int) (any, error) {
	if v == nil {
		return nil, nil
	}
	l, err := list(name, v)
	if err != nil || len(l) == 0 {
		return nil, err
	}
	return element(l, i)
}

// softGet is v[k], or null where there is none.
func softGet(_ *meter, a []any) (any, error) {
	switch v := a[0].(type) {
	case map[string]any:
		if s, ok := a[1].(string); ok {
			return v[s], nil
		}
	case []any:
		if f, ok := number(a[1]); ok && f == math.Trunc(f) {
			i := toInt(f)
			if i < 0 {
				i += len(v)
			}
			if i >= 0 && i < len(v) {
				return v[i], nil
			}
		}
	}
	return nil, nil
}

func take(_ *meter, a []any) (any, error) {
	l, err := list("take", a[0])
	if err != nil {
		return nil, err
	}
	f, ok := number(a[1])
	if !ok || f < 0 {
		return nil, evalErrorf("take needs how many, got %s", Describe(a[1]))
	}
	n := min(toInt(f), len(l))
	return l[:n:n], nil
}

func reverse(m *meter, a []any) (any, error) {
	l, err := list("reverse", a[0])
	if err != nil {
		return nil, err
	}
	out := slices.Clone(l)
	slices.Reverse(out)
	return out, m.grow(16 * len(l))
}

func uniq(m *meter, a []any) (any, error) {
	l, err := list("uniq", a[0])
	if err != nil {
		return nil, err
	}
	out := []any{}
	seen := map[any]bool{}
	for _, e := range l {
		if f, ok := number(e); ok {
			e = f
		}
		switch e.(type) {
		case []any, map[string]any:
			dup, err := within(m, []any{e, out})
			if err != nil {
				return nil, err
			}
			if dup == true {
				continue
			}
		default:
			if seen[e] {
				continue
			}
			seen[e] = true
		}
		out = append(out, e)
	}
	return out, m.grow(32 * len(l))
}

func concat(m *meter, a []any) (any, error) {
	out := []any{}
	for _, v := range a {
		l, err := list("concat", v)
		if err != nil {
			return nil, err
		}
		if err := m.grow(16 * len(l)); err != nil {
			return nil, err
		}
		out = append(out, l...)
	}
	return out, nil
}

func flat(m *meter, a []any) (any, error) {
	l, err := list("flatten", a[0])
	if err != nil {
		return nil, err
	}
	return flattenInto(m, []any{}, l, 0)
}

func flattenInto(m *meter, out, l []any, depth int) ([]any, error) {
	if depth > maxValueDepth {
		return nil, evalErrorf("a value is nested deeper than %d levels", maxValueDepth)
	}
	if err := m.grow(16 * len(l)); err != nil {
		return nil, err
	}
	for _, e := range l {
		if inner, ok := e.([]any); ok {
			var err error
			if out, err = flattenInto(m, out, inner, depth+1); err != nil {
				return nil, err
			}
			continue
		}
		out = append(out, e)
	}
	return out, nil
}

func sortList(m *meter, a []any) (any, error) {
	l, err := list("sort", a[0])
	if err != nil {
		return nil, err
	}
	var order any
	if len(a) == 2 {
		order = a[1]
	}
	desc, err := descending(order)
	if err != nil {
		return nil, err
	}
	if err := m.grow(16 * len(l)); err != nil {
		return nil, err
	}
	out := slices.Clone(l)
	return out, sortBy(m, out, desc, func(v any) any { return v })
}

func object(m *meter, name string, v any) (map[string]any, []string, error) {
	o, ok := v.(map[string]any)
	if !ok {
		return nil, nil, evalErrorf("%s needs an object, got %s", name, Describe(v))
	}
	if err := m.grow(48 * len(o)); err != nil {
		return nil, nil, err
	}
	return o, sortedKeys(o), m.spend(len(o))
}

func keys(m *meter, a []any) (any, error) {
	_, names, err := object(m, "keys", a[0])
	if err != nil {
		return nil, err
	}
	out := make([]any, len(names))
	for i, k := range names {
		out[i] = k
	}
	return out, nil
}

func values(m *meter, a []any) (any, error) {
	o, names, err := object(m, "values", a[0])
	if err != nil {
		return nil, err
	}
	out := make([]any, len(names))
	for i, k := range names {
		out[i] = o[k]
	}
	return out, nil
}

func toPairs(m *meter, a []any) (any, error) {
	o, names, err := object(m, "toPairs", a[0])
	if err != nil {
		return nil, err
	}
	out := make([]any, len(names))
	for i, k := range names {
		out[i] = []any{k, o[k]}
	}
	return out, nil
}

func fromPairs(m *meter, a []any) (any, error) {
	l, err := list("fromPairs", a[0])
	if err != nil {
		return nil, err
	}
	if err := m.grow(48 * len(l)); err != nil {
		return nil, err
	}
	out := make(map[string]any, len(l))
	for _, e := range l {
		pair, _ := e.([]any)
		if len(pair) != 2 {
			return nil, evalErrorf("fromPairs needs a list of pairs, one is %s", Describe(e))
		}
		k, ok := pair[0].(string)
		if !ok {
			return nil, evalErrorf("the key of an object must be text, got %s", Describe(pair[0]))
		}
		out[k] = pair[1]
	}
	return out, nil
}
