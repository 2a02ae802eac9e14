package simulate

import (
	"encoding/json"
	"fmt"
	"hash/fnv"
	"maps"
	"math"
	"slices"
	"strings"

	"tutti/internal/document"
)

// sample makes a value that fits a JSON Schema as far as it can be told without trying: what is
// constant, preset or an example as it is, the rest by type and format. Texts differ from seed to seed,
// so that two tasks do not give the same id. A schema that is absent gives {}.
func sample(schema json.RawMessage, seed string) any {
	s := sampler{seed: seed}
	if len(schema) == 0 || json.Unmarshal(schema, &s.root) != nil {
		return map[string]any{}
	}
	return s.value(s.root, "value", 0)
}

type sampler struct {
	root any
	seed string
}

// The depth from which optional members are left out, and from which everything is.
const (
	deepSample    = 5
	deepestSample = 20
)

// presets are the keywords that say what a value may be, the best first.
var presets = []string{"const", "default"}

func (s *sampler) value(schema any, name string, depth int) any {
	m, ok := schema.(map[string]any)
	if !ok || depth > deepestSample {
		return nil
	}
	for _, k := range presets {
		if v, ok := m[k]; ok {
			return v
		}
	}
	for _, k := range []string{"enum", "examples"} {
		if l, ok := m[k].([]any); ok && len(l) > 0 {
			return l[0]
		}
	}
	if ref, ok := m["$ref"].(string); ok {
		return s.value(s.resolve(ref), name, depth+1)
	}
	for _, k := range []string{"oneOf", "anyOf"} {
		if l, ok := m[k].([]any); ok && len(l) > 0 {
			return s.value(merged(without(m, k), l[0]), name, depth+1)
		}
	}
	if l, ok := m["allOf"].([]any); ok {
		all := any(without(m, "allOf"))
		for _, part := range l {
			all = merged(all.(map[string]any), part)
		}
		return s.value(all, name, depth+1)
	}
	return s.typed(m, name, depth)
}

// without returns a schema without one keyword.
func without(m map[string]any, key string) map[string]any {
	out := maps.Clone(m)
	delete(out, key)
	return out
}

// merged adds the keywords of part to those of m; the members of both stay.
func merged(m map[string]any, part any) map[string]any {
	p, ok := part.(map[string]any)
	if !ok {
		return m
	}
	out := maps.Clone(m)
	for k, v := range p {
		mine, a := out[k].(map[string]any)
		its, b := v.(map[string]any)
		if a && b && k == "properties" {
			both := maps.Clone(mine)
			maps.Copy(both, its)
			out[k] = both
			continue
		}
		out[k] = v
	}
	return out
}

func (s *sampler) typed(m map[string]any, name string, depth int) any {
	switch typeOf(m) {
	case "object":
		return s.object(m, depth)
	case "array":
		return s.list(m, name, depth)
	case "string":
		return s.text(m, name)
	case "integer":
		return number(m, 1)
	case "number":
		return number(m, 0)
	case "boolean":
		return true
	default:
		return nil
	}
}

// typeOf returns the type a schema asks for, or the one its keywords are about.
func typeOf(m map[string]any) string {
	switch t := m["type"].(type) {
	case string:
		return t
	case []any:
		for _, x := range t {
			if x, ok := x.(string); ok && x != "null" {
				return x
			}
		}
	}
	for _, k := range []struct{ keyword, kind string }{
		{"properties", "object"}, {"required", "object"}, {"items", "array"}, {"pattern", "string"}, {"format", "string"}, {"minimum", "number"},
	} {
		if _, ok := m[k.keyword]; ok {
			return k.kind
		}
	}
	return ""
}

func (s *sampler) object(m map[string]any, depth int) any {
	out := map[string]any{}
	props, _ := m["properties"].(map[string]any)
	required, _ := m["required"].([]any)
	for _, name := range slices.Sorted(maps.Keys(props)) {
		if depth < deepSample || slices.Contains(required, any(name)) {
			out[name] = s.value(props[name], name, depth+1)
		}
	}
	for _, r := range required {
		if name, ok := r.(string); ok && props[name] == nil {
			out[name] = s.value(m["additionalProperties"], name, depth+1)
		}
	}
	return out
}

func (s *sampler) list(m map[string]any, name string, depth int) any {
	n := 1
	if least, ok := m["minItems"].(float64); ok {
		n = max(n, int(min(least, 100)))
	}
	if most, ok := m["maxItems"].(float64); ok {
		n = min(n, int(most))
	}
	if _, ok := m["items"].(map[string]any); !ok || depth > deepSample {
		return []any{}
	}
	out := make([]any, n)
	for i := range out {
		out[i] = s.value(m["items"], fmt.Sprint(name, i), depth+1)
	}
	return out
}

// formats are texts of the known formats.
var formats = map[string]string{
	"date-time": "2026-01-01T00:00:00Z", "date": "2026-01-01", "time": "00:00:00Z", "duration": "PT1M", "email": "someone@example.org",
	"hostname": "host.example.org", "ipv4": "192.0.2.1", "ipv6": "2001:db8::1", "uri": "https://example.org/", "uri-reference": "/", "regex": ".",
	"json-pointer": "/a", "uuid": "00000000-0000-4000-8000-000000000000",
}

func (s *sampler) text(m map[string]any, name string) any {
	if f, ok := m["format"].(string); ok && formats[f] != "" {
		return formats[f]
	}
	h := fnv.New32a()
	fmt.Fprint(h, s.seed, "/", name)
	out := fmt.Sprintf("%s-%04x", name, h.Sum32()&0xffff)
	if p, ok := m["pattern"].(string); ok {
		out = fitting(p, out, m)
	}
	if least, ok := m["minLength"].(float64); ok && len(out) < int(least) {
		out += strings.Repeat("x", min(int(least)-len(out), 10_000))
	}
	if most, ok := m["maxLength"].(float64); ok && len(out) > int(most) {
		out = out[:int(most)]
	}
	return out
}

// fitting returns the first of some plain texts that a pattern takes, else the text given.
func fitting(pattern, text string, m map[string]any) string {
	bounds := map[string]any{"type": "string", "pattern": pattern}
	for _, k := range []string{"minLength", "maxLength"} {
		if n, ok := m[k]; ok {
			bounds[k] = n
		}
	}
	schema, err := json.Marshal(bounds)
	if err != nil {
		return text
	}
	s, err := document.CompileSchema(schema)
	if err != nil {
		return text
	}
	plain := strings.ReplaceAll(text, "-", "")
	for _, try := range []string{text, plain, strings.ToUpper(plain), "a", "A", "1", "0", "a1", "1.0.0", "192.0.2.1", "192.0.2.0/24", "90s", "10%",
		"00:50:56:00:00:01", "example.org", "https://example.org/", strings.Repeat("0", 8), strings.Repeat("0", 16), strings.Repeat("0", 32), strings.Repeat("0", 40), strings.Repeat("0", 64)} {
		if len(s.Check(try, "")) == 0 {
			return try
		}
	}
	return text
}

// number returns the number nearest to 1 that the bounds permit, a whole one where step is 1.
func number(m map[string]any, step float64) any {
	n := 1.0
	if least, ok := m["minimum"].(float64); ok {
		n = max(n, least)
	}
	if least, ok := m["exclusiveMinimum"].(float64); ok && n <= least {
		n = least + 1
	}
	if most, ok := m["maximum"].(float64); ok {
		n = min(n, most)
	}
	if most, ok := m["exclusiveMaximum"].(float64); ok && n >= most {
		n = most - 1
	}
	if of, ok := m["multipleOf"].(float64); ok && of > 0 {
		n = math.Ceil(n/of) * of
	}
	if step == 1 {
		n = math.Floor(n)
	}
	return n
}

// resolve follows a reference into the schema.
func (s *sampler) resolve(ref string) any {
	rest, ok := strings.CutPrefix(ref, "#")
	if !ok {
		return nil
	}
	v := s.root
	for _, part := range strings.Split(strings.TrimPrefix(rest, "/"), "/") {
		if part == "" {
			continue
		}
		m, ok := v.(map[string]any)
		if !ok {
			return nil
		}
		v = m[document.Unescape(part)]
	}
	return v
}
