package expr

import (
	"math"
	"reflect"
	"regexp"
	"sort"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/expr-lang/expr/builtin"
)

var anyType = reflect.TypeFor[any]()

// declare makes a function known to the library's checker as one that takes and gives anything.
func declare(name string, fn func(args ...any) (any, error)) *builtin.Function {
	return &builtin.Function{
		Name:     name,
		Func:     fn,
		Validate: func([]reflect.Type) (reflect.Type, error) { return anyType, nil },
	}
}

// internals are the functions that guard calls in the place of operators, paths and loops, by the
// names it gives them. The first argument is the meter.
var internals = func() map[string]*builtin.Function {
	out := map[string]*builtin.Function{}
	add := func(name string, fn func(m *meter, args []any) (any, error)) {
		name = " " + name
		out[name] = declare(name, func(args ...any) (any, error) { return fn(args[0].(*meter), args[1:]) })
	}
	for name, f := range functions {
		add("fn "+name, f.do)
	}
	for _, group := range []map[string]func(*meter, []any) (any, error){accesses, arithmetic, comparisons, loops} {
		for name, fn := range group {
			add(name, fn)
		}
	}
	return out
}()

var accesses = map[string]func(*meter, []any) (any, error){
	"path": func(m *meter, a []any) (any, error) {
		return a[0].(*path).fetch(m.env)
	},
	"get of": func(_ *meter, a []any) (any, error) { return get(a[0], a[1]) },
	"soft get of": func(_ *meter, a []any) (any, error) {
		if a[0] == nil {
			return nil, nil
		}
		return get(a[0], a[1])
	},
	"key": func(_ *meter, a []any) (any, error) {
		if s, ok := a[0].(string); ok {
			return s, nil
		}
		return nil, evalErrorf("the key of an object must be text, got %s", Describe(a[0])).hint("string(…) makes text")
	},
	"bool": func(_ *meter, a []any) (any, error) {
		if b, ok := a[0].(bool); ok {
			return b, nil
		}
		return nil, evalErrorf("a condition needs true or false, got %s", Describe(a[0])).
			hint("compare it with something, as in x == \"y\" or x != nil")
	},
	"slice of": slice,
}

// get is v[k].
func get(v, k any) (any, error) {
	switch v := v.(type) {
	case map[string]any:
		if s, ok := k.(string); ok {
			return v[s], nil
		}
		return nil, evalErrorf("the key of an object must be text, got %s", Describe(k)).hint("string(…) makes text")
	case []any:
		f, ok := number(k)
		if !ok || f != math.Trunc(f) {
			return nil, evalErrorf("a list is indexed by whole numbers, got %s", Describe(k))
		}
		return element(v, toInt(f))
	case nil:
		return nil, evalErrorf("cannot read %s of null", Describe(k)).
			hint("where it may be missing, write ?. as in a?.b, and ?? for another value")
	}
	return nil, evalErrorf("cannot read %s of %s", Describe(k), Describe(v))
}

// toInt clips a number to what an int holds on every machine.
func toInt(f float64) int {
	return int(max(min(f, math.MaxInt32), math.MinInt32))
}

// bounds turns from and to, which may be null or negative, into offsets of something of length n.
func bounds(args []any, n int) (from, to int, err error) {
	out := [2]int{0, n}
	for i, v := range args {
		if v == nil {
			continue
		}
		f, ok := number(v)
		if !ok || f != math.Trunc(f) {
			return 0, 0, evalErrorf("a slice needs whole numbers, got %s", Describe(v))
		}
		at := toInt(f)
		if at < 0 {
			at += n
		}
		out[i] = max(0, min(at, n))
	}
	return min(out[0], out[1]), out[1], nil
}

// slice is x[from:to] of a list, or of text by characters.
func slice(m *meter, a []any) (any, error) {
	switch v := a[0].(type) {
	case []any:
		from, to, err := bounds(a[1:], len(v))
		return v[from:to:to], err
	case string:
		if err := m.grow(len(v)); err != nil {
			return nil, err
		}
		runes := []rune(v)
		from, to, err := bounds(a[1:], len(runes))
		return string(runes[from:to]), err
	}
	return nil, evalErrorf("cannot take a slice of %s", Describe(a[0]))
}

// binary makes an operator over two numbers.
func binary(sign string, fn func(a, b float64) (float64, error)) func(*meter, []any) (any, error) {
	return func(_ *meter, args []any) (any, error) {
		a, ok := number(args[0])
		b, ok2 := number(args[1])
		if !ok || !ok2 {
			return nil, evalErrorf("cannot compute %s %s %s", Describe(args[0]), sign, Describe(args[1])).
				hint("float(…) makes a number of text")
		}
		return fn(a, b)
	}
}

var arithmetic = map[string]func(*meter, []any) (any, error){
	"add":      add,
	"subtract": binary("-", func(a, b float64) (float64, error) { return a - b, nil }),
	"multiply": binary("*", func(a, b float64) (float64, error) { return a * b, nil }),
	"power":    binary("**", func(a, b float64) (float64, error) { return math.Pow(a, b), nil }),
	"divide": binary("/", func(a, b float64) (float64, error) {
		if b == 0 {
			return 0, evalErrorf("cannot divide by zero")
		}
		return a / b, nil
	}),
	"modulo": binary("%", func(a, b float64) (float64, error) {
		if b == 0 {
			return 0, evalErrorf("cannot divide by zero")
		}
		return math.Mod(a, b), nil
	}),
	"minus": func(_ *meter, a []any) (any, error) {
		if f, ok := number(a[0]); ok {
			return 0 - f, nil
		}
		return nil, evalErrorf("cannot compute -%s", Describe(a[0]))
	},
	"plus": func(_ *meter, a []any) (any, error) {
		if f, ok := number(a[0]); ok {
			return f, nil
		}
		return nil, evalErrorf("cannot compute +%s", Describe(a[0]))
	},
	"range of": func(m *meter, a []any) (any, error) {
		from, ok := number(a[0])
		to, ok2 := number(a[1])
		if !ok || !ok2 || from != math.Trunc(from) || to != math.Trunc(to) {
			return nil, evalErrorf("a range needs whole numbers, got %s..%s", Describe(a[0]), Describe(a[1]))
		}
		if to < from {
			return []any{}, nil
		}
		if to-from >= vmElements {
			return nil, evalErrorf("a range has at most %d elements", vmElements)
		}
		n := int(to-from) + 1
		if err := m.grow(16 * n); err != nil {
			return nil, err
		}
		out := make([]any, n)
		for i := range out {
			out[i] = from + float64(i)
		}
		return out, nil
	},
}

func add(m *meter, args []any) (any, error) {
	if a, ok := number(args[0]); ok {
		if b, ok := number(args[1]); ok {
			return a + b, nil
		}
	}
	a, ok := args[0].(string)
	b, ok2 := args[1].(string)
	if !ok || !ok2 {
		return nil, evalErrorf("cannot add %s and %s", Describe(args[0]), Describe(args[1])).
			hint("+ adds two numbers or two texts; string(…) makes text, ?? gives another value for null")
	}
	if err := m.grow(len(a) + len(b)); err != nil {
		return nil, err
	}
	return a + b, nil
}

// compare orders two numbers or two texts.
func compare(m *meter, a, b any) (int, error) {
	if x, ok := number(a); ok {
		if y, ok := number(b); ok {
			switch {
			case x < y:
				return -1, nil
			case x > y:
				return 1, nil
			}
			return 0, nil
		}
	}
	x, ok := a.(string)
	y, ok2 := b.(string)
	if !ok || !ok2 {
		return 0, evalErrorf("cannot compare %s with %s", Describe(a), Describe(b)).
			hint("only two numbers or two texts have an order")
	}
	return strings.Compare(x, y), m.spend(1 + min(len(x), len(y))/256)
}

func ordered(want func(int) bool) func(*meter, []any) (any, error) {
	return func(m *meter, a []any) (any, error) {
		c, err := compare(m, a[0], a[1])
		return want(c), err
	}
}

// ofTexts makes an operator over two texts. Null on either side is false.
func ofTexts(word string, fn func(a, b string) bool) func(*meter, []any) (any, error) {
	return func(m *meter, args []any) (any, error) {
		if args[0] == nil || args[1] == nil {
			return false, nil
		}
		a, ok := args[0].(string)
		b, ok2 := args[1].(string)
		if !ok || !ok2 {
			return nil, evalErrorf("%s works on text, got %s and %s", word, Describe(args[0]), Describe(args[1])).
				hint("for a list write x in list")
		}
		return fn(a, b), m.spend(1 + len(a)/256)
	}
}

var comparisons = map[string]func(*meter, []any) (any, error){
	"equals": func(m *meter, a []any) (any, error) { return equal(m, a[0], a[1], 0) },
	"differs": func(m *meter, a []any) (any, error) {
		same, err := equal(m, a[0], a[1], 0)
		return !same, err
	},
	"less":        ordered(func(c int) bool { return c < 0 }),
	"atmost":      ordered(func(c int) bool { return c <= 0 }),
	"more":        ordered(func(c int) bool { return c > 0 }),
	"atleast":     ordered(func(c int) bool { return c >= 0 }),
	"contains in": ofTexts("contains", strings.Contains),
	"starts with": ofTexts("startsWith", strings.HasPrefix),
	"ends with":   ofTexts("endsWith", strings.HasSuffix),
	"matches of":  matches,
	"within":      within,
}

func within(m *meter, a []any) (any, error) {
	switch c := a[1].(type) {
	case nil:
		return false, nil
	case map[string]any:
		s, ok := a[0].(string)
		if !ok {
			return false, nil
		}
		_, ok = c[s]
		return ok, nil
	case []any:
		for _, e := range c {
			if err := m.spend(1); err != nil {
				return nil, err
			}
			if same, err := equal(m, a[0], e, 0); same || err != nil {
				return same, err
			}
		}
		return false, nil
	}
	return nil, evalErrorf("x in y needs a list or an object, got %s", Describe(a[1])).hint("for text write y contains x")
}

func matches(m *meter, a []any) (any, error) {
	if a[0] == nil || a[1] == nil {
		return false, nil
	}
	s, ok := a[0].(string)
	if !ok {
		return nil, evalErrorf("matches works on text, got %s", Describe(a[0]))
	}
	re, ok := a[1].(*regexp.Regexp)
	if !ok {
		p, ok := a[1].(string)
		if !ok || len(p) > maxPattern {
			return nil, evalErrorf("matches needs a regular expression of at most %d bytes, got %s", maxPattern, Describe(a[1]))
		}
		// Compiling costs more than most matches; a loop over it has to pay.
		if err := m.spend(20 + len(p)); err != nil {
			return nil, err
		}
		var err error
		if re, err = regexp.Compile(p); err != nil {
			return nil, evalErrorf("not a regular expression: %s", strings.TrimPrefix(err.Error(), "error parsing regexp: "))
		}
	}
	if err := m.spend(1 + len(s)*(1+len(re.String())/16)/32); err != nil {
		return nil, err
	}
	return re.MatchString(s), nil
}

var loops = map[string]func(*meter, []any) (any, error){
	"tick": func(m *meter, a []any) (any, error) { return a[0], m.spend(1) },
	"test": func(m *meter, a []any) (any, error) {
		if _, ok := a[0].(bool); !ok {
			return nil, evalErrorf("%s needs a condition that gives true or false, got %s", a[1], Describe(a[0]))
		}
		return a[0], m.spend(1)
	},
	// Beginning a loop makes the machine allocate, so it costs more than a turn.
	"over": func(m *meter, a []any) (any, error) { return over(m, a, 10) },
	"all over": func(m *meter, a []any) (any, error) {
		l, err := over(m, a, 10)
		if err != nil {
			return nil, err
		}
		return l, m.spend(len(l.([]any)))
	},
	"grouped": grouped,
	"sorted":  sorted,
}

func over(m *meter, a []any, cost int) (any, error) {
	l, ok := a[0].([]any)
	if !ok {
		hint := ""
		if _, isMap := a[0].(map[string]any); isMap {
			hint = "values(x), keys(x) and toPairs(x) give lists"
		}
		return nil, evalErrorf("%s needs a list, got %s", a[1], Describe(a[0])).hint(hint)
	}
	return l, m.spend(cost)
}

// grouped gathers pairs of key and item by the text of the key.
func grouped(_ *meter, a []any) (any, error) {
	out := map[string]any{}
	for _, p := range a[0].([]any) {
		pair := p.([]any)
		switch pair[0].(type) {
		case nil, []any, map[string]any:
			return nil, evalErrorf("groupBy needs text, numbers or booleans as keys, got %s", Describe(pair[0]))
		}
		k := text(pair[0])
		l, _ := out[k].([]any)
		out[k] = append(l, pair[1])
	}
	return out, nil
}

// sorted orders the items of pairs by their keys; equal ones stay as they were.
func sorted(m *meter, a []any) (any, error) {
	desc, err := descending(a[1])
	if err != nil {
		return nil, err
	}
	pairs := a[0].([]any)
	if err := sortBy(m, pairs, desc, func(v any) any { return v.([]any)[0] }); err != nil {
		return nil, err
	}
	out := make([]any, len(pairs))
	for i, p := range pairs {
		out[i] = p.([]any)[1]
	}
	return out, m.grow(16 * len(out))
}

func descending(order any) (bool, error) {
	switch order {
	case nil, "asc":
		return false, nil
	case "desc":
		return true, nil
	}
	return false, evalErrorf(`the order is "asc" or "desc", got %s`, Describe(order))
}

// sortBy sorts l in place by a key of each element, which must all be numbers or all be texts.
func sortBy(m *meter, l []any, desc bool, key func(any) any) error {
	var failed error
	sort.SliceStable(l, func(i, j int) bool {
		if failed != nil {
			return false
		}
		x, y := key(l[i]), key(l[j])
		if desc {
			x, y = y, x
		}
		c, err := compare(m, x, y)
		if err == nil {
			err = m.spend(1)
		}
		failed = err
		return c < 0
	})
	return failed
}

// arity says in words how many arguments a function takes.
func (f function) arity() string {
	switch {
	case f.max < 0:
		return "at least " + count(f.min)
	case f.min == f.max:
		return count(f.min)
	}
	return strconv.Itoa(f.min) + " to " + count(f.max)
}

func count(n int) string {
	if n == 1 {
		return "1 argument"
	}
	return strconv.Itoa(n) + " arguments"
}

func runes(s string) int { return utf8.RuneCountInString(s) }
