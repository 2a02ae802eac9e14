package openapi

import (
	"encoding/json"
	"regexp"
	"slices"
	"strings"

	"tutti/errs"
	"tutti/internal/document"
)

// direction is which way what a schema describes travels.
type direction uint8

const (
	sent direction = iota
	received
)

// schemas collects the schemas of one input or output, those they refer to among the definitions.
type schemas struct {
	d    *Description
	way  direction
	defs map[string]any
	open []string // references whose definition is still to be made
}

// kept are the keywords of JSON Schema that say what is valid, or tell people about it. How they hold
// other schemas: see convert.
var kept = []string{
	"type", "enum", "const", "title", "description", "default", "format", "pattern", "minLength", "maxLength", "minimum", "maximum", "exclusiveMinimum",
	"exclusiveMaximum", "multipleOf", "minItems", "maxItems", "uniqueItems", "minProperties", "maxProperties", "required",
}

// components is where a description keeps schemas that others refer to.
const components = "#/components/schemas/"

// convert returns a schema as JSON Schema 2020-12 has it.
func (s *schemas) convert(v any, depth int) (any, error) {
	if depth > document.MaxDepth {
		return nil, errs.New(errs.Invalid, "a schema is nested deeper than %d levels", document.MaxDepth)
	}
	if b, ok := v.(bool); ok {
		return b, nil
	}
	in := object(v)
	if ref, ok := in["$ref"].(string); ok {
		return s.refer(ref)
	}
	out := map[string]any{}
	for _, k := range kept {
		if x, ok := in[k]; ok {
			out[k] = x
		}
	}
	if err := s.parts(in, out, depth+1); err != nil {
		return nil, err
	}
	s.fit(in, out)
	return out, nil
}

// parts converts the schemas within a schema.
func (s *schemas) parts(in, out map[string]any, depth int) (err error) {
	for _, k := range []string{"items", "additionalProperties", "not", "if", "then", "else", "propertyNames", "contains"} {
		if x, ok := in[k]; ok {
			if out[k], err = s.convert(x, depth); err != nil {
				return err
			}
		}
	}
	for _, k := range []string{"allOf", "anyOf", "oneOf", "prefixItems"} {
		list, _ := in[k].([]any)
		var all []any
		for _, x := range list {
			c, err := s.convert(x, depth)
			if err != nil {
				return err
			}
			all = append(all, c)
		}
		if all != nil {
			out[k] = all
		}
	}
	props, ok := in["properties"].(map[string]any)
	if !ok {
		return nil
	}
	made, required := map[string]any{}, slices.Clone(list(in["required"]))
	for name, x := range props {
		if s.hidden(object(x)) {
			required = slices.DeleteFunc(required, func(r any) bool { return r == name })
			continue
		}
		if made[name], err = s.convert(x, depth); err != nil {
			return err
		}
	}
	out["properties"] = made
	if delete(out, "required"); len(required) > 0 {
		out["required"] = required
	}
	return nil
}

// hidden reports whether a property does not travel this way.
func (s *schemas) hidden(prop map[string]any) bool {
	return s.way == sent && prop["readOnly"] == true || s.way == received && prop["writeOnly"] == true
}

// fit mends what 3.0 writes otherwise, what Go's expressions cannot match, and what an answer should
// not be refused for: a field that is new, or a date that is no date.
func (s *schemas) fit(in, out map[string]any) {
	if p, ok := out["pattern"].(string); ok {
		if _, err := regexp.Compile(p); err != nil {
			delete(out, "pattern")
		}
	}
	if s.way == received {
		delete(out, "format")
		if out["additionalProperties"] == false {
			delete(out, "additionalProperties")
		}
	}
	if !s.d.old {
		return
	}
	for _, k := range []string{"Minimum", "Maximum"} {
		bound, plain := "exclusive"+k, strings.ToLower(k)
		if on, ok := out[bound].(bool); ok {
			delete(out, bound)
			if at, ok := out[plain]; ok && on {
				delete(out, plain)
				out[bound] = at
			}
		}
	}
	if in["nullable"] == true {
		if t, ok := out["type"].(string); ok {
			out["type"] = []any{t, "null"}
		}
		if e := list(out["enum"]); e != nil && !slices.Contains(e, nil) {
			out["enum"] = append(slices.Clone(e), nil)
		}
	}
}

// refer returns a reference to a definition, which is made later: schemas may refer to themselves.
func (s *schemas) refer(ref string) (any, error) {
	if _, err := s.d.at(ref); err != nil {
		return nil, err
	}
	key := keyOf(ref)
	if _, there := s.defs[key]; !there {
		s.defs[key] = nil
		s.open = append(s.open, ref)
	}
	return map[string]any{"$ref": "#/$defs/" + key}, nil
}

// keyOf names the definition of what a reference names.
func keyOf(ref string) string {
	return strings.NewReplacer("#/", "", "/", "_", "~", "_", "%", "_").Replace(strings.TrimPrefix(ref, components))
}

// finish puts the definitions that root refers to into it and checks that the whole is a schema.
func (s *schemas) finish(root map[string]any) error {
	for len(s.open) > 0 {
		ref := s.open[0]
		s.open = s.open[1:]
		v, err := s.d.at(ref)
		if err != nil {
			return err
		}
		if s.defs[keyOf(ref)], err = s.convert(v, 0); err != nil {
			return err
		}
	}
	if len(s.defs) > 0 {
		root["$defs"] = s.defs
	}
	b, err := json.Marshal(root)
	if err != nil {
		return errs.New(errs.Invalid, "a schema is not JSON: %w", err)
	}
	if _, err := document.CompileSchema(b); err != nil {
		return errs.New(errs.Invalid, "%w", err)
	}
	return nil
}

func list(v any) []any {
	l, _ := v.([]any)
	return l
}
