package definition

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"

	"tutti/api"
	"tutti/internal/document"
)

// EditorSchema returns Schema with what the given task types take, so that an editor offers their names
// after use and their fields after with. It lets an expression stand for any value, and leaves out what
// no editor could judge then: the check by Compile is the one that counts. Types whose schema is none are
// offered without fields.
func EditorSchema(types []api.TaskType) json.RawMessage {
	var root map[string]any
	if err := json.Unmarshal(schemaJSON, &root); err != nil {
		panic(err) // impossible: it is embedded, and tested
	}
	defs := root["$defs"].(map[string]any)
	var names, cases []any
	for _, t := range slices.SortedFunc(slices.Values(types), func(a, b api.TaskType) int { return strings.Compare(a.Name, b.Name) }) {
		names = append(names, map[string]any{"const": t.Name, "description": t.Title})
		var with any
		if json.Unmarshal(t.With, &with) != nil {
			continue
		}
		key := "with." + t.Name
		defs[key] = loose(with, document.Pointer("$defs", key))
		cases = append(cases, map[string]any{
			"if":   map[string]any{"required": []any{"use"}, "properties": map[string]any{"use": map[string]any{"const": t.Name}}},
			"then": map[string]any{"properties": map[string]any{"with": map[string]any{"$ref": "#" + document.Pointer("$defs", key)}}},
		})
	}
	use := defs["use"].(map[string]any)
	use["anyOf"] = append(names, map[string]any{"pattern": use["pattern"]})
	for _, caller := range []string{"task", "call"} {
		defs[caller].(map[string]any)["allOf"] = cases
	}
	return document.Canonical(root)
}

// unjudged are keywords whose outcome turns round when a value is not known yet.
var unjudged = []string{"not", "if", "then", "else", "dependentSchemas", "dependentRequired", "contains", "minContains", "maxContains", "propertyNames",
	"unevaluatedProperties", "unevaluatedItems", "$schema", "$id", "$comment"}

// annotations are keywords that tell people about a value.
var annotations = []string{"title", "description", "default", "examples", "deprecated"}

// loose returns a schema, which comes to stand at a pointer of another, with an expression in the place of
// any value.
func loose(schema any, at string) any {
	s, ok := schema.(map[string]any)
	if !ok {
		return schema
	}
	s = maps.Clone(s)
	for _, k := range unjudged {
		delete(s, k)
	}
	for k, v := range s {
		s[k] = loosePart(k, v, at)
	}
	if one, ok := s["oneOf"]; ok { // an expression fits each of them
		delete(s, "oneOf")
		s["allOf"] = append(asList(s["allOf"]), map[string]any{"anyOf": one})
	}
	told := map[string]any{}
	for _, k := range annotations {
		if v, ok := s[k]; ok {
			told[k] = v
			delete(s, k)
		}
	}
	defs, hasDefs := s["$defs"]
	delete(s, "$defs")
	if len(s) > 0 {
		told["anyOf"] = []any{s, map[string]any{"type": "string", "pattern": `\$\{\{`}}
	}
	if hasDefs {
		told["$defs"] = defs
	}
	return told
}

// loosePart returns what stands under a keyword with the schemas in it made loose.
func loosePart(keyword string, v any, at string) any {
	switch keyword {
	case "$ref":
		if ref, ok := v.(string); ok && strings.HasPrefix(ref, "#") {
			return "#" + at + strings.TrimPrefix(ref, "#")
		}
	case "items", "additionalProperties":
		return loose(v, at)
	case "allOf", "anyOf", "oneOf", "prefixItems":
		var out []any
		for _, e := range asList(v) {
			out = append(out, loose(e, at))
		}
		return out
	case "properties", "patternProperties", "$defs":
		m, ok := v.(map[string]any)
		if !ok {
			return v
		}
		out := make(map[string]any, len(m))
		for k, e := range m {
			out[k] = loose(e, at)
		}
		return out
	}
	return v
}

func asList(v any) []any {
	l, _ := v.([]any)
	return l
}
