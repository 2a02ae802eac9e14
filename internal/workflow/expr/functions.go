package expr

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"math"
	"sort"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/expr-lang/expr/builtin"
)

// function is one that authors may call.
type function struct {
	min, max int // arguments; max -1 is any number
	do       func(m *meter, args []any) (any, error)
}

// declaration tells the library's checker of a function that it does not know.
func (f function) declaration(name string) *builtin.Function {
	return declare(name, func(...any) (any, error) { return nil, evalErrorf("%s was not compiled", name) })
}

func functionNames() []string {
	names := []string{"all", "none", "any", "one", "filter", "map", "count", "sum", "find", "findIndex",
		"groupBy", "sortBy", "reduce"}
	for n := range functions {
		names = append(names, n)
	}
	sort.Strings(names)
	return names
}

// functions are all there are, besides the loops over predicates.
var functions = map[string]function{
	"len":    {1, 1, length},
	"type":   {1, 1, typeOf},
	"string": {1, 1, toText},
	"int":    {1, 1, toWhole},
	"float":  {1, 1, toFloat},
	"abs":    {1, 1, rounding("abs", math.Abs)},
	"ceil":   {1, 1, rounding("ceil", math.Ceil)},
	"floor":  {1, 1, rounding("floor", math.Floor)},
	"round":  {1, 1, rounding("round", math.Round)},

	"trim":        {1, 2, trim},
	"trimPrefix":  {2, 2, texts("trimPrefix", func(s []string) any { return strings.TrimPrefix(s[0], s[1]) })},
	"trimSuffix":  {2, 2, texts("trimSuffix", func(s []string) any { return strings.TrimSuffix(s[0], s[1]) })},
	"upper":       {1, 1, texts("upper", func(s []string) any { return strings.ToUpper(s[0]) })},
	"lower":       {1, 1, texts("lower", func(s []string) any { return strings.ToLower(s[0]) })},
	"hasPrefix":   {2, 2, texts("hasPrefix", func(s []string) any { return strings.HasPrefix(s[0], s[1]) })},
	"hasSuffix":   {2, 2, texts("hasSuffix", func(s []string) any { return strings.HasSuffix(s[0], s[1]) })},
	"indexOf":     {2, 2, texts("indexOf", func(s []string) any { return runeIndex(s[0], strings.Index(s[0], s[1])) })},
	"lastIndexOf": {2, 2, texts("lastIndexOf", func(s []string) any { return runeIndex(s[0], strings.LastIndex(s[0], s[1])) })},
	"split":       {2, 3, split},
	"join":        {1, 2, join},
	"replace":     {3, 3, replace},
	"repeat":      {2, 2, repeat},
	"sha256": {1, 1, texts("sha256", func(s []string) any {
		sum := sha256.Sum256([]byte(s[0]))
		return hex.EncodeToString(sum[:])
	})},
	"b64":        {1, 1, texts("b64", func(s []string) any { return base64.StdEncoding.EncodeToString([]byte(s[0])) })},
	"toBase64":   {1, 1, texts("toBase64", func(s []string) any { return base64.StdEncoding.EncodeToString([]byte(s[0])) })},
	"unb64":      {1, 1, unb64},
	"fromBase64": {1, 1, unb64},
	"toJSON":     {1, 1, func(m *meter, a []any) (any, error) { return toJSON(m, a[0]) }},
	"fromJSON":   {1, 1, fromJSON},

	"max":    {1, -1, extreme("max", func(a, b float64) bool { return a > b })},
	"min":    {1, -1, extreme("min", func(a, b float64) bool { return a < b })},
	"mean":   {1, -1, mean},
	"median": {1, -1, median},

	"first":   {1, 1, func(_ *meter, a []any) (any, error) { return end(a[0], "first", 0) }},
	"last":    {1, 1, func(_ *meter, a []any) (any, error) { return end(a[0], "last", -1) }},
	"get":     {2, 2, softGet},
	"take":    {2, 2, take},
	"reverse": {1, 1, reverse},
	"uniq":    {1, 1, uniq},
	"concat":  {1, -1, concat},
	"flatten": {1, 1, flat},
	"sort":    {1, 2, sortList},

	"keys":      {1, 1, keys},
	"values":    {1, 1, values},
	"toPairs":   {1, 1, toPairs},
	"fromPairs": {1, 1, fromPairs},
	"lookup":    {2, 3, lookup},

	"semver":        {1, 1, semver},
	"semverCompare": {2, 2, semverCompare},
	"semverIn":      {2, 2, semverIn},
	"cidr":          {1, 1, cidr},
	"cidrHas":       {2, 2, cidrHas},
	"cidrHost":      {2, 2, cidrHost},
}

// paid charges for a text that was made.
func paid(m *meter, s string) (any, error) { return s, m.grow(len(s)) }

// texts makes a function of texts alone; a text it gives is paid for.
func texts(name string, fn func([]string) any) func(*meter, []any) (any, error) {
	return func(m *meter, args []any) (any, error) {
		in := make([]string, len(args))
		for i, a := range args {
			s, ok := a.(string)
			if !ok {
				return nil, evalErrorf("%s needs text, got %s", name, Describe(a)).hint("string(…) makes text")
			}
			in[i] = s
			if err := m.spend(1 + len(s)/64); err != nil {
				return nil, err
			}
		}
		out := fn(in)
		if s, ok := out.(string); ok {
			return paid(m, s)
		}
		return out, nil
	}
}

func runeIndex(s string, i int) any {
	if i < 0 {
		return float64(-1)
	}
	return float64(runes(s[:i]))
}

func length(m *meter, a []any) (any, error) {
	switch v := a[0].(type) {
	case string:
		return float64(runes(v)), m.spend(1 + len(v)/256)
	case []any:
		return float64(len(v)), nil
	case map[string]any:
		return float64(len(v)), nil
	}
	return nil, evalErrorf("len needs text, a list or an object, got %s", Describe(a[0]))
}

func typeOf(_ *meter, a []any) (any, error) {
	switch a[0].(type) {
	case nil:
		return "null", nil
	case bool:
		return "boolean", nil
	case string:
		return "string", nil
	case []any:
		return "array", nil
	case map[string]any:
		return "object", nil
	}
	return "number", nil
}

func toText(m *meter, a []any) (any, error) {
	switch a[0].(type) {
	case []any, map[string]any:
		return toJSON(m, a[0])
	}
	return paid(m, text(a[0]))
}

func toWhole(m *meter, a []any) (any, error) {
	f, err := toFloat(m, a)
	if err != nil {
		return nil, err
	}
	return math.Trunc(f.(float64)), nil
}

func toFloat(_ *meter, a []any) (any, error) {
	if f, ok := number(a[0]); ok {
		return f, nil
	}
	if s, ok := a[0].(string); ok {
		f, err := strconv.ParseFloat(strings.TrimSpace(s), 64)
		if err == nil && !math.IsNaN(f) && !math.IsInf(f, 0) {
			return f, nil
		}
	}
	return nil, evalErrorf("%s is not a number", Describe(a[0]))
}

func rounding(name string, fn func(float64) float64) func(*meter, []any) (any, error) {
	return func(_ *meter, a []any) (any, error) {
		if f, ok := number(a[0]); ok {
			return fn(f), nil
		}
		return nil, evalErrorf("%s needs a number, got %s", name, Describe(a[0]))
	}
}

func trim(m *meter, a []any) (any, error) {
	return texts("trim", func(s []string) any {
		if len(s) == 2 {
			return strings.Trim(s[0], s[1])
		}
		return strings.TrimSpace(s[0])
	})(m, a)
}

func split(m *meter, a []any) (any, error) {
	n := -1
	if len(a) == 3 {
		f, ok := number(a[2])
		if !ok {
			return nil, evalErrorf("split takes a number of parts, got %s", Describe(a[2]))
		}
		n = toInt(f)
	}
	out, err := texts("split", func(s []string) any {
		if err := m.grow(16 * (strings.Count(s[0], s[1]) + 1)); err != nil {
			return err
		}
		parts := strings.SplitN(s[0], s[1], n)
		list := make([]any, len(parts))
		for i, p := range parts {
			list[i] = p
		}
		return list
	})(m, a[:2])
	if failed, ok := out.(error); ok {
		return nil, failed
	}
	return out, err
}

func join(m *meter, a []any) (any, error) {
	l, err := list("join", a[0])
	if err != nil {
		return nil, err
	}
	glue := ""
	if len(a) == 2 {
		var ok bool
		if glue, ok = a[1].(string); !ok {
			return nil, evalErrorf("join needs text between the parts, got %s", Describe(a[1]))
		}
	}
	parts, size := make([]string, len(l)), 0
	for i, e := range l {
		switch e.(type) {
		case nil, []any, map[string]any:
			return nil, evalErrorf("join needs a list of texts, one is %s", Describe(e))
		}
		parts[i] = text(e)
		size += len(parts[i]) + len(glue)
		if size > maxMemory {
			break
		}
	}
	if err := m.grow(size + 16*len(l)); err != nil {
		return nil, err
	}
	return strings.Join(parts, glue), nil
}

func replace(m *meter, a []any) (any, error) {
	out, err := texts("replace", func(s []string) any {
		n := strings.Count(s[0], s[1])
		if err := m.grow(len(s[0]) + n*max(len(s[2])-len(s[1]), 0)); err != nil {
			return err
		}
		return strings.ReplaceAll(s[0], s[1], s[2])
	})(m, a)
	if failed, ok := out.(error); ok {
		return nil, failed
	}
	return out, err
}

func repeat(m *meter, a []any) (any, error) {
	s, ok := a[0].(string)
	n, ok2 := number(a[1])
	if !ok || !ok2 || n < 0 || n != math.Trunc(n) {
		return nil, evalErrorf("repeat needs text and how often, got %s and %s", Describe(a[0]), Describe(a[1]))
	}
	size := float64(len(s)) * n
	if err := m.grow(int(min(size, 2*maxMemory))); err != nil {
		return nil, err
	}
	return strings.Repeat(s, toInt(n)), nil
}

func unb64(m *meter, a []any) (any, error) {
	s, ok := a[0].(string)
	if !ok {
		return nil, evalErrorf("unb64 needs text, got %s", Describe(a[0]))
	}
	b, err := base64.StdEncoding.DecodeString(s)
	if err != nil {
		return nil, evalErrorf("%s is not base64", Describe(a[0]))
	}
	if !utf8.Valid(b) {
		return nil, evalErrorf("what %s encodes is not text", Describe(a[0]))
	}
	return paid(m, string(b))
}

func toJSON(m *meter, v any) (any, error) {
	if err := shallow(m, v, 0); err != nil {
		return nil, err
	}
	v, _, err := normalise(v, 0)
	if err != nil {
		return nil, err
	}
	return paid(m, compactJSON(v))
}

// shallow refuses values that are too deep to be walked, and pays for the walk.
func shallow(m *meter, v any, depth int) error {
	if depth > maxValueDepth {
		return evalErrorf("a value is nested deeper than %d levels", maxValueDepth)
	}
	switch v := v.(type) {
	case []any:
		if err := m.spend(len(v)); err != nil {
			return err
		}
		for _, e := range v {
			if err := shallow(m, e, depth+1); err != nil {
				return err
			}
		}
	case map[string]any:
		if err := m.spend(len(v)); err != nil {
			return err
		}
		for _, e := range v {
			if err := shallow(m, e, depth+1); err != nil {
				return err
			}
		}
	}
	return nil
}

func fromJSON(m *meter, a []any) (any, error) {
	s, ok := a[0].(string)
	if !ok {
		return nil, evalErrorf("fromJSON needs text, got %s", Describe(a[0]))
	}
	if err := m.grow(8 * len(s)); err != nil {
		return nil, err
	}
	var v any
	if err := json.Unmarshal([]byte(s), &v); err != nil {
		return nil, evalErrorf("%s is not JSON: %s", Describe(a[0]), err)
	}
	return v, shallow(m, v, 0)
}
