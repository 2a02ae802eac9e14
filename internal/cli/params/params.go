// Package params turns what a person typed, -p name=value or an answer to a question, into the typed
// parameters that a catalogue entry's JSON Schema asks for. It refuses what the schema does not know
// before anything is sent; whether the values are right remains the server's to judge.
package params

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"tutti/errs"
	"tutti/internal/document"
)

// schema is the part of a JSON Schema that says how to read text.
type schema struct {
	Type        any                        `json:"type"`
	Properties  map[string]json.RawMessage `json:"properties"`
	Additional  any                        `json:"additionalProperties"`
	Required    []string                   `json:"required"`
	Items       json.RawMessage            `json:"items"`
	Enum        []any                      `json:"enum"`
	Const       any                        `json:"const"`
	Default     json.RawMessage            `json:"default"`
	Title       string                     `json:"title"`
	Description string                     `json:"description"`
	Ref         string                     `json:"$ref"`
	Defs        map[string]json.RawMessage `json:"$defs"`
}

// Form is what an entry or a workflow asks for.
type Form struct {
	what string // "workflow vm", for messages
	see  string // the command that shows the schema
	root schema
}

// New reads a schema; one that is absent accepts anything. what names whose it is, and see is the
// command that shows it.
func New(doc json.RawMessage, what, see string) (*Form, error) {
	f := &Form{what: what, see: see}
	if len(doc) == 0 || string(doc) == "null" {
		f.root.Additional = true
		return f, nil
	}
	if err := json.Unmarshal(doc, &f.root); err != nil {
		return nil, fmt.Errorf("schema of %s: %w", what, err)
	}
	return f, nil
}

// Names lists the parameters, in order.
func (f *Form) Names() []string { return slices.Sorted(maps.Keys(f.root.Properties)) }

// Values lists the values a parameter may take, where the schema says.
func (f *Form) Values(name string) []string {
	s, ok := f.at(f.root, strings.Split(name, "."))
	if !ok {
		return nil
	}
	return s.values()
}

func (s schema) values() []string {
	out := make([]string, 0, len(s.Enum))
	for _, v := range s.Enum {
		out = append(out, show(v))
	}
	if s.kind() == "boolean" {
		out = append(out, "true", "false")
	}
	return out
}

// show writes a value as it is typed.
func show(v any) string {
	if s, ok := v.(string); ok {
		return s
	}
	b, err := json.Marshal(v)
	if err != nil {
		return fmt.Sprint(v)
	}
	return string(b)
}

// kind returns the type to read text as; of several the first that is not null.
func (s schema) kind() string {
	switch t := s.Type.(type) {
	case string:
		return t
	case []any:
		for _, x := range t {
			if x, ok := x.(string); ok && x != "null" {
				return x
			}
		}
	}
	if len(s.Properties) > 0 {
		return "object"
	}
	return ""
}

// open reports whether s takes properties that it does not name.
func (s schema) open() bool {
	switch a := s.Additional.(type) {
	case bool:
		return a
	case map[string]any:
		return true
	default:
		return len(s.Properties) == 0
	}
}

// at returns the schema at a path of properties.
func (f *Form) at(s schema, path []string) (schema, bool) {
	s = f.deref(s)
	if len(path) == 0 {
		return s, true
	}
	raw, ok := s.Properties[path[0]]
	if !ok {
		return schema{}, s.open()
	}
	var next schema
	if json.Unmarshal(raw, &next) != nil {
		return schema{}, true // true and false are schemas too: they say nothing of the type
	}
	return f.at(next, path[1:])
}

// deref follows references inside the document.
func (f *Form) deref(s schema) schema {
	for range 16 {
		name, ok := strings.CutPrefix(s.Ref, "#/$defs/")
		if !ok {
			break
		}
		var next schema
		if json.Unmarshal(f.root.Defs[name], &next) != nil {
			break
		}
		s = next
	}
	return s
}

// Set reads pairs of the form name=value into values, which it changes and returns. The name may be a
// dotted path into an object. Errors are errs.Invalid and name every pair that is wrong.
func (f *Form) Set(values map[string]any, pairs []string) (map[string]any, error) {
	if values == nil {
		values = map[string]any{}
	}
	var wrong []error
	for _, pair := range pairs {
		name, text, ok := strings.Cut(pair, "=")
		if !ok || name == "" {
			wrong = append(wrong, errs.New(errs.Invalid, "%q is not a parameter", pair).WithHint("write it as name=value, for example: -p name=web-dev-07"))
			continue
		}
		path := strings.Split(name, ".")
		if _, ok := f.root.Properties[name]; ok {
			path = []string{name} // a name with a dot in it
		}
		if err := f.set(values, name, path, text); err != nil {
			wrong = append(wrong, err)
		}
	}
	return values, join(wrong)
}

func (f *Form) set(values map[string]any, name string, path []string, text string) error {
	s, ok := f.at(f.root, path)
	if !ok {
		return f.unknown(name)
	}
	v, err := f.read(s, name, text)
	if err != nil {
		return err
	}
	for _, p := range path[:len(path)-1] {
		next, ok := values[p].(map[string]any)
		if !ok {
			next = map[string]any{}
			values[p] = next
		}
		values = next
	}
	values[path[len(path)-1]] = v
	return nil
}

// Check refuses top-level names that the schema does not have, as from a file.
func (f *Form) Check(values map[string]any) error {
	if f.root.open() {
		return nil
	}
	var wrong []error
	for _, name := range slices.Sorted(maps.Keys(values)) {
		if _, ok := f.root.Properties[name]; !ok {
			wrong = append(wrong, f.unknown(name))
		}
	}
	return join(wrong)
}

func (f *Form) unknown(name string) error {
	e := errs.New(errs.Invalid, "%s has no parameter %q", f.what, name)
	names := f.Names()
	var hints []string
	if near := document.Nearest(name, names); near != "" {
		hint := fmt.Sprintf("did you mean %s?", near)
		if values := f.Values(near); len(values) > 0 {
			hint += " It must be one of " + strings.Join(values, ", ") + "."
		}
		hints = append(hints, hint)
	}
	if len(names) > 0 {
		hints = append(hints, "it takes "+strings.Join(names, ", "))
	}
	return e.WithHint("%s", strings.Join(append(hints, "see: "+f.see), "\n"))
}

// join makes one error of several, each of which keeps its words.
func join(wrong []error) error {
	switch len(wrong) {
	case 0:
		return nil
	case 1:
		return wrong[0]
	}
	e := errs.New(errs.Invalid, "%d parameters are wrong", len(wrong))
	for _, w := range wrong {
		w := w.(*errs.Error)
		hint, _, _ := strings.Cut(w.Hint, "\n")
		e.Problems = append(e.Problems, errs.Problem{Message: w.Msg, Hint: hint})
	}
	return e
}

// read turns text into a value of the type that s asks for. Without a type it is JSON where it can be,
// and text otherwise.
func (f *Form) read(s schema, name, text string) (any, error) {
	bad := func(want string) error {
		return errs.New(errs.Invalid, "%s: %q is not %s", name, text, want).WithHint("see: %s", f.see)
	}
	var v any
	switch s.kind() {
	case "integer":
		if _, err := strconv.ParseInt(text, 10, 64); err != nil {
			return nil, bad("a whole number")
		}
		v = json.Number(text)
	case "number":
		if json.Unmarshal([]byte(text), new(float64)) != nil {
			return nil, bad("a number")
		}
		v = json.Number(text)
	case "boolean":
		b, ok := map[string]bool{"true": true, "yes": true, "false": false, "no": false}[strings.ToLower(text)]
		if !ok {
			return nil, bad("true or false")
		}
		v = b
	case "string":
		v = text
	case "array":
		return f.list(s, name, text)
	case "object":
		m, err := decode([]byte(text))
		if _, ok := m.(map[string]any); err != nil || !ok {
			return nil, bad(`a JSON object, such as {"size": 1}`)
		}
		return m, nil
	default:
		var err error
		if v, err = decode([]byte(text)); err != nil {
			v = text
		}
	}
	return v, f.oneOf(s, name, v)
}

// list reads a JSON array, or items separated by commas.
func (f *Form) list(s schema, name, text string) (any, error) {
	if strings.HasPrefix(strings.TrimSpace(text), "[") {
		v, err := decode([]byte(text))
		if err != nil {
			return nil, errs.New(errs.Invalid, "%s: %q is not a JSON array", name, text).WithHint(`write it like ["a","b"], or a,b`)
		}
		return v, nil
	}
	var items schema
	if len(s.Items) > 0 && json.Unmarshal(s.Items, &items) == nil {
		items = f.deref(items)
	}
	out := []any{}
	if text == "" {
		return out, nil
	}
	for _, part := range strings.Split(text, ",") {
		v, err := f.read(items, name, strings.TrimSpace(part))
		if err != nil {
			return nil, err
		}
		out = append(out, v)
	}
	return out, nil
}

// oneOf refuses a value outside an enumeration.
func (f *Form) oneOf(s schema, name string, v any) error {
	if len(s.Enum) == 0 || slices.ContainsFunc(s.Enum, func(x any) bool { return show(x) == show(v) }) {
		return nil
	}
	values := schema{Enum: s.Enum}.values()
	e := errs.New(errs.Invalid, "%s cannot be %q", name, show(v))
	hint := "it must be one of " + strings.Join(values, ", ")
	if near := document.Nearest(show(v), values); near != "" {
		hint = "did you mean " + near + "?\n" + hint
	}
	return e.WithHint("%s", hint)
}
