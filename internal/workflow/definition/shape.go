package definition

import (
	"encoding/json"
	"maps"
	"slices"
	"strconv"
	"strings"

	"tutti/internal/document"
	"tutti/internal/workflow/expr"
)

// shape is what is known of a value before there is one; nil is nothing. Checks that use it never
// guess: where a schema allows several forms, the shape below is nil.
type shape struct {
	root, node any               // a JSON Schema and the whole it refers into
	list       bool              // a list of elem
	dict       bool              // an object of elem by any key
	elem       *shape            // nil is unknown
	fields     map[string]*shape // an object with these keys and no others
	empty      string            // why an object has no fields, in words
}

func schemaShape(raw any) *shape { return (&shape{root: raw, node: raw}).settle() }

func compiledShape(schema json.RawMessage) *shape {
	if len(schema) == 0 {
		return nil
	}
	s, err := document.CompileSchema(schema)
	if err != nil {
		return nil
	}
	return schemaShape(s.Raw())
}

// plainShape is a value of a known kind.
func plainShape(kind string) *shape {
	return &shape{node: map[string]any{"type": kind}}
}

// settle follows references, and returns nil where the schema says nothing definite.
func (s *shape) settle() *shape {
	for range 32 {
		m, ok := s.node.(map[string]any)
		if !ok {
			return nil
		}
		for _, word := range []string{"anyOf", "oneOf", "allOf", "if", "not", "$dynamicRef", "$recursiveRef"} {
			if _, ok := m[word]; ok {
				return nil
			}
		}
		ref, ok := m["$ref"].(string)
		if !ok {
			return s
		}
		rest, local := strings.CutPrefix(ref, "#")
		if !local || rest != "" && !strings.HasPrefix(rest, "/") {
			return nil
		}
		node := s.root
		for _, part := range strings.Split(strings.TrimPrefix(rest, "/"), "/") {
			if rest == "" {
				break
			}
			in, ok := node.(map[string]any)
			if !ok {
				return nil
			}
			node = in[document.Unescape(part)]
		}
		s = &shape{root: s.root, node: node}
	}
	return nil
}

func (s *shape) below(node any) *shape { return (&shape{root: s.root, node: node}).settle() }

// kinds returns the JSON types a value of the shape may have; nil is any.
func (s *shape) kinds() []string {
	switch {
	case s == nil:
		return nil
	case s.list:
		return []string{"array"}
	case s.dict || s.fields != nil:
		return []string{"object"}
	}
	m, _ := s.node.(map[string]any)
	switch t := m["type"].(type) {
	case string:
		return []string{t}
	case []any:
		return texts(t)
	}
	if enum, ok := m["enum"].([]any); ok {
		var out []string
		for _, v := range enum {
			out = append(out, literalShape(v).kinds()...)
		}
		return out
	}
	if v, ok := m["const"]; ok {
		return literalShape(v).kinds()
	}
	return nil
}

func literalShape(v any) *shape {
	switch v := v.(type) {
	case nil:
		return plainShape("null")
	case bool:
		return plainShape("boolean")
	case string:
		return plainShape("string")
	case float64:
		if v == float64(int64(v)) {
			return plainShape("integer")
		}
		return plainShape("number")
	case []any:
		return &shape{list: true}
	}
	return &shape{dict: true}
}

// has reports whether a key is listed.
func (s *shape) has(key string) bool { return slices.Contains(s.known(), key) }

// known returns the keys that are listed.
func (s *shape) known() []string {
	if s.fields != nil {
		return slices.Sorted(maps.Keys(s.fields))
	}
	m, _ := s.node.(map[string]any)
	props, _ := m["properties"].(map[string]any)
	return slices.Sorted(maps.Keys(props))
}

// get returns the shape behind a key; false says that there is no such key for certain.
func (s *shape) get(key string) (*shape, bool) {
	_, err := strconv.Atoi(key)
	index := err == nil
	switch {
	case s == nil:
		return nil, true
	case s.list:
		return s.elem, index
	case s.dict:
		return s.elem, true
	case s.fields != nil:
		f, ok := s.fields[key]
		return f, ok
	}
	m, ok := s.node.(map[string]any)
	if !ok {
		return nil, true
	}
	kinds := s.kinds()
	may := func(kind string) bool { return kinds == nil || slices.Contains(kinds, kind) }
	switch {
	case index && may("array") && !may("object"):
		if items, ok := m["items"].(map[string]any); ok && m["prefixItems"] == nil {
			return s.below(items), true
		}
		return nil, true
	case !may("object"):
		return nil, index && may("array")
	}
	return s.property(m, key)
}

func (s *shape) property(m map[string]any, key string) (*shape, bool) {
	props, listed := m["properties"].(map[string]any)
	if p, ok := props[key]; ok {
		return s.below(p), true
	}
	if _, ok := m["patternProperties"]; ok {
		return nil, true
	}
	switch add := m["additionalProperties"].(type) {
	case bool:
		return nil, add
	case map[string]any:
		return s.below(add), true
	}
	return nil, !listed
}

// item is what one item of a collection looks like to `each`.
func (s *shape) item() *shape {
	if s == nil {
		return nil
	}
	switch kinds := s.kinds(); {
	case len(kinds) != 1:
		return nil
	case kinds[0] == "array":
		e, _ := s.get("0")
		return e
	case kinds[0] == "object":
		value := s.elem
		if m, ok := s.node.(map[string]any); ok && m["properties"] == nil && m["patternProperties"] == nil {
			if add, ok := m["additionalProperties"].(map[string]any); ok {
				value = s.below(add)
			}
		}
		return &shape{fields: map[string]*shape{"key": plainShape("string"), "value": value}}
	}
	return nil
}

// follow walks a path; bad is the index of the first part that is certainly not there, or -1.
func (s *shape) follow(path []string, from int) (end *shape, last *shape, bad int) {
	for i := from; i < len(path); i++ {
		next, ok := s.get(path[i])
		if !ok {
			return nil, s, i
		}
		if next == nil {
			return nil, nil, -1
		}
		s = next
	}
	return s, s, -1
}

// fits says that a value of kinds have may be one of kinds want. A number may turn out whole.
func fits(have, want []string) bool {
	if have == nil || want == nil {
		return true
	}
	for _, h := range have {
		for _, w := range want {
			if h == w || h == "null" && len(have) > 1 && w == "null" ||
				(h == "integer" || h == "number") && (w == "integer" || w == "number") {
				return true
			}
		}
	}
	return false
}

// reference returns what a lone reference gives, as far as that is known.
func (c *compiler) reference(prog *expr.Program, p place) *shape {
	ref, ok := prog.Reference()
	if !ok {
		return nil
	}
	s, from := c.root(ref.Path, p, nil)
	end, _, _ := s.follow(ref.Path, from)
	return end
}

// root returns the shape at the beginning of a path and how many parts it stands for. target is the
// task that was resolved for it, if it was.
func (c *compiler) root(path []string, p place, target *task) (*shape, int) {
	switch path[0] {
	case "inputs":
		return c.inputs, 1
	case "vars":
		if len(path) < 2 {
			return nil, 1
		}
		return c.varShape(path[1]), 2
	case "tasks":
		if len(path) < 3 || p.scope == nil {
			return nil, len(path)
		}
		if target == nil {
			if d := c.visible(p.scope, path[1], p.final); d != nil {
				target = c.tasks[d]
			}
		}
		switch {
		case target == nil:
			return nil, 3
		case path[2] == "out":
			return c.outShape(target), 3
		case path[2] == "status":
			return plainShape("string"), 3
		}
		return &shape{fields: map[string]*shape{"type": plainShape("string"), "message": plainShape("string"),
			"retryable": plainShape("boolean"), "details": nil}}, 3
	case "run":
		if len(path) > 1 && path[1] == "failed" {
			return &shape{fields: map[string]*shape{"task": plainShape("string"), "type": plainShape("string"), "message": plainShape("string")}}, 2
		}
		return nil, 1
	case "error":
		if p.retry {
			return &shape{fields: map[string]*shape{"type": plainShape("string"), "message": plainShape("string"),
				"retryable": plainShape("boolean"), "details": nil}}, 1
		}
	case "out":
		if p.undo && p.task != nil {
			return c.itemOut(p.task), 1
		}
	default:
		if t := c.item(p, path[0]); t != nil {
			return c.itemShape(t, p.single && t == p.task), 1
		}
	}
	return nil, 1
}

// itemShape is what the item of a task with `each` looks like.
func (c *compiler) itemShape(t *task, single bool) *shape {
	e := t.def.Each
	if e.In == nil {
		return nil
	}
	in := c.reference(e.In, c.placeOf(t, t.outer))
	if e.By != nil && !single {
		return &shape{list: true, elem: in.item()}
	}
	return in.item()
}

// outShape is what a task gives, all items together.
func (c *compiler) outShape(t *task) *shape {
	one := c.itemOut(t)
	switch e := t.def.Each; {
	case e == nil:
		return one
	case e.Key != nil || e.By != nil:
		return &shape{dict: true, elem: one}
	}
	return &shape{list: true, elem: one}
}

// itemOut is what a task gives, for one item.
func (c *compiler) itemOut(t *task) *shape {
	if t.outState == 2 {
		return t.out
	}
	if t.outState == 1 {
		return nil // it reads itself; that is told as a cycle
	}
	t.outState = 1
	switch {
	case t.def.Body != nil && t.givesRaw == nil:
		t.out = &shape{fields: map[string]*shape{}, empty: "the group " + t.def.ID + " gives nothing to others"}
	case t.def.Body != nil:
		p := c.placeOf(t, t.inside())
		p.scope, p.output = t.def.Body, true
		t.out = c.valueShape(t.givesRaw, "", wholes(t.parts), p)
	case c.types == nil:
	case workflowName(t.def.Use) != "":
		if _, outputs, ok := c.types.Workflow(workflowName(t.def.Use)); ok {
			t.out = compiledShape(outputs)
		}
	default:
		if typ, ok := c.types.TaskType(t.def.Use); ok {
			t.out = compiledShape(typ.Out)
		}
	}
	t.outState = 2
	return t.out
}

// varShape is what a var holds.
func (c *compiler) varShape(name string) *shape {
	v, ok := c.varParts[name]
	if !ok {
		return nil
	}
	if !v.done {
		v.done = true
		v.shape = c.valueShape(v.raw, "", wholes(v.parts), place{varName: name})
	}
	return v.shape
}

// wholes returns the expressions that stand alone, by pointer.
func wholes(parts []expr.Placed) map[string]*expr.Program {
	out := make(map[string]*expr.Program, len(parts))
	for _, p := range parts {
		if p.Whole {
			out[p.Pointer] = p.Program
		}
	}
	return out
}

// valueShape is what a value with templates in it evaluates to.
func (c *compiler) valueShape(v any, ptr string, whole map[string]*expr.Program, p place) *shape {
	switch v := v.(type) {
	case string:
		if prog := whole[ptr]; prog != nil {
			return c.reference(prog, p)
		}
	case map[string]any:
		fields := make(map[string]*shape, len(v))
		for k, e := range v {
			fields[k] = c.valueShape(e, ptr+document.Pointer(k), whole, p)
		}
		return &shape{fields: fields}
	}
	return literalShape(v)
}
