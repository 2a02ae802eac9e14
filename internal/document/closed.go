package document

import "maps"

// Closed returns a schema that refuses fields it does not name, where it lists fields and neither
// says otherwise nor is composed of others, which would each refuse the fields of the rest.
func Closed(schema any) any {
	s, ok := schema.(map[string]any)
	if !ok {
		return schema
	}
	out := maps.Clone(s)
	if items, ok := s["items"]; ok {
		out["items"] = Closed(items)
	}
	props, ok := s["properties"].(map[string]any)
	if !ok {
		return out
	}
	inner := make(map[string]any, len(props))
	for name, sub := range props {
		inner[name] = Closed(sub)
	}
	out["properties"] = inner
	for _, open := range []string{"additionalProperties", "unevaluatedProperties", "patternProperties", "allOf", "anyOf", "oneOf", "if", "$ref", "$dynamicRef", "dependentSchemas"} {
		if _, ok := s[open]; ok {
			return out
		}
	}
	out["additionalProperties"] = false
	return out
}
