package document

import (
	"encoding/json"
	"maps"
	"reflect"
	"slices"
	"strings"
)

// WithDefaults returns v with the defaults of a JSON Schema filled in where an object leaves a
// property out: through properties, items, allOf and references into the schema itself. v is not
// changed; what stays the same is shared. Where the schema cannot be compiled it returns v.
func WithDefaults(schema json.RawMessage, v any) any {
	if len(schema) == 0 {
		return v
	}
	s, err := CompileSchema(schema)
	if err != nil {
		return v
	}
	return s.WithDefaults(v)
}

// WithDefaults is the function of that name with the schema at hand.
func (s *Schema) WithDefaults(v any) any {
	f := filler{root: s.raw, budget: MaxNodes}
	return f.fill(s.raw, v, 0)
}

type filler struct {
	root   any
	budget int // places looked at: a default may hold what has defaults
}

func (f *filler) fill(schema, v any, depth int) any {
	s, ok := schema.(map[string]any)
	f.budget--
	if !ok || depth > 2*MaxDepth || f.budget < 0 {
		return v
	}
	if ref, ok := s["$ref"].(string); ok {
		v = f.fill(f.resolve(ref), v, depth+1)
	}
	if all, ok := s["allOf"].([]any); ok {
		for _, sub := range all {
			v = f.fill(sub, v, depth+1)
		}
	}
	switch c := v.(type) {
	case map[string]any:
		if props, ok := s["properties"].(map[string]any); ok {
			return f.object(props, c, depth)
		}
	case []any:
		if items, ok := s["items"].(map[string]any); ok {
			return f.list(items, c, depth)
		}
	}
	return v
}

func (f *filler) object(props, v map[string]any, depth int) any {
	out, copied := v, false
	for _, name := range slices.Sorted(maps.Keys(props)) {
		old, given := v[name]
		value, known := old, given
		if !given {
			value, known = f.preset(props[name], 0)
		}
		if !known {
			continue
		}
		filled := f.fill(props[name], value, depth+1)
		if !given || !sameValue(filled, old) {
			if !copied {
				out, copied = maps.Clone(v), true
			}
			if out == nil {
				out = map[string]any{}
			}
			out[name] = filled
		}
	}
	return out
}

// preset returns the default of a schema, or of what it refers to.
func (f *filler) preset(schema any, hops int) (any, bool) {
	s, ok := schema.(map[string]any)
	if !ok || hops > 16 {
		return nil, false
	}
	if d, ok := s["default"]; ok {
		return d, true
	}
	if ref, ok := s["$ref"].(string); ok {
		return f.preset(f.resolve(ref), hops+1)
	}
	return nil, false
}

func (f *filler) list(items map[string]any, l []any, depth int) any {
	out := l
	for i, e := range l {
		filled := f.fill(items, e, depth+1)
		if sameValue(filled, e) {
			continue
		}
		if &out[0] == &l[0] {
			out = slices.Clone(l)
		}
		out[i] = filled
	}
	return out
}

// resolve follows a reference into the schema: "#", "#/$defs/x".
func (f *filler) resolve(ref string) any {
	rest, ok := strings.CutPrefix(ref, "#")
	if !ok {
		return nil
	}
	v := f.root
	if rest == "" {
		return v
	}
	for _, part := range strings.Split(strings.TrimPrefix(rest, "/"), "/") {
		m, ok := v.(map[string]any)
		if !ok {
			return nil
		}
		v = m[Unescape(part)]
	}
	return v
}

// sameValue says that b is a itself: containers are compared by identity, for fill copies what it
// changes.
func sameValue(a, b any) bool {
	switch a := a.(type) {
	case map[string]any:
		m, ok := b.(map[string]any)
		return ok && reflect.ValueOf(a).Pointer() == reflect.ValueOf(m).Pointer()
	case []any:
		l, ok := b.([]any)
		return ok && len(a) == len(l) && (len(a) == 0 || &a[0] == &l[0])
	}
	switch b.(type) {
	case map[string]any, []any:
		return false
	}
	return a == b
}
