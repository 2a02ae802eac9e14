package expr

import (
	"bytes"
	"encoding/json"
	"math"
	"sort"
	"strconv"
	"strings"
	"unicode/utf8"
)

// number returns v as the one kind of number there is.
func number(v any) (float64, bool) {
	switch v := v.(type) {
	case float64:
		return v, true
	case int:
		return float64(v), true
	case int64:
		return float64(v), true
	}
	return 0, false
}

// formatNumber writes f as JSON does.
func formatNumber(f float64) string {
	if f == math.Trunc(f) && math.Abs(f) < 1e21 {
		return strconv.FormatFloat(f, 'f', -1, 64)
	}
	b, err := json.Marshal(f)
	if err != nil {
		return strconv.FormatFloat(f, 'g', -1, 64)
	}
	return string(b)
}

// text is a value inside text: a string as it is, null as nothing, the rest as compact JSON with
// sorted keys.
func text(v any) string {
	switch v := v.(type) {
	case nil:
		return ""
	case string:
		return v
	case bool:
		return strconv.FormatBool(v)
	}
	if f, ok := number(v); ok {
		return formatNumber(f)
	}
	return compactJSON(v)
}

// compactJSON writes a JSON-shaped value with sorted keys and without the escapes for HTML.
func compactJSON(v any) string {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return ""
	}
	return strings.TrimSuffix(b.String(), "\n")
}

func sortedKeys(m map[string]any) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	sort.Strings(keys)
	return keys
}

// normalise returns v with numbers as float64, and reports an error for what JSON cannot hold. It
// copies only what it must change.
func normalise(v any, depth int) (any, bool, error) {
	if depth > maxValueDepth {
		return nil, false, evalErrorf("the result is nested deeper than %d levels", maxValueDepth)
	}
	switch v := v.(type) {
	case nil, bool:
		return v, false, nil
	case float64:
		if math.IsNaN(v) || math.IsInf(v, 0) {
			return nil, false, evalErrorf("the result is not a number that JSON can hold").hint("is something divided by zero?")
		}
		return v, false, nil
	case int:
		return float64(v), true, nil
	case int64:
		return float64(v), true, nil
	case string:
		if !utf8.ValidString(v) {
			return strings.ToValidUTF8(v, "\uFFFD"), true, nil
		}
		return v, false, nil
	case []any:
		return normaliseList(v, depth)
	case map[string]any:
		return normaliseMap(v, depth)
	}
	return nil, false, evalErrorf("the result is not a value that JSON can hold")
}

func normaliseList(l []any, depth int) (any, bool, error) {
	var out []any
	for i, e := range l {
		n, changed, err := normalise(e, depth+1)
		if err != nil {
			return nil, false, err
		}
		if changed && out == nil {
			out = append(make([]any, 0, len(l)), l...)
		}
		if changed {
			out[i] = n
		}
	}
	if out == nil {
		return l, false, nil
	}
	return out, true, nil
}

func normaliseMap(m map[string]any, depth int) (any, bool, error) {
	var out map[string]any
	for k, e := range m {
		n, changed, err := normalise(e, depth+1)
		if err != nil {
			return nil, false, err
		}
		if changed && out == nil {
			out = make(map[string]any, len(m))
			for k2, e2 := range m {
				out[k2] = e2
			}
		}
		if changed {
			out[k] = n
		}
	}
	if out == nil {
		return m, false, nil
	}
	return out, true, nil
}

// equal compares two JSON-shaped values and pays for what it looked at.
func equal(m *meter, a, b any, depth int) (bool, error) {
	if depth > maxValueDepth {
		return false, evalErrorf("a value is nested deeper than %d levels", maxValueDepth)
	}
	if fa, ok := number(a); ok {
		fb, ok := number(b)
		return ok && fa == fb, nil
	}
	switch a := a.(type) {
	case nil:
		return b == nil, nil
	case bool:
		bb, ok := b.(bool)
		return ok && a == bb, nil
	case string:
		s, ok := b.(string)
		return ok && a == s, m.spend(1 + len(a)/256)
	case []any:
		return equalLists(m, a, b, depth)
	case map[string]any:
		return equalMaps(m, a, b, depth)
	}
	return false, nil
}

func equalLists(m *meter, a []any, v any, depth int) (bool, error) {
	b, ok := v.([]any)
	if !ok || len(a) != len(b) {
		return false, nil
	}
	for i := range a {
		if err := m.spend(1); err != nil {
			return false, err
		}
		if same, err := equal(m, a[i], b[i], depth+1); !same || err != nil {
			return false, err
		}
	}
	return true, nil
}

func equalMaps(m *meter, a map[string]any, v any, depth int) (bool, error) {
	b, ok := v.(map[string]any)
	if !ok || len(a) != len(b) {
		return false, nil
	}
	for _, k := range sortedKeys(a) {
		if err := m.spend(2); err != nil {
			return false, err
		}
		w, ok := b[k]
		if !ok {
			return false, nil
		}
		if same, err := equal(m, a[k], w, depth+1); !same || err != nil {
			return false, err
		}
	}
	return true, nil
}
