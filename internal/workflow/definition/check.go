package definition

import (
	"strconv"
	"strings"

	"tutti/internal/document"
	"tutti/internal/workflow/dag"
	"tutti/internal/workflow/expr"
)

// check tells of all that a graph can be made with and that would still go wrong when it runs.
func (c *compiler) check() {
	for _, t := range c.order {
		c.checkUse(t, t.ptr, t.def.Use)
		if u := t.def.Undo; u != nil {
			c.checkUse(t, t.ptr+"/undo", u.Use)
		}
		c.checkCalls(t)
		c.checkKinds(t)
		c.checkLiterals(t)
	}
	for i := range c.uses {
		u := &c.uses[i]
		if c.crowded() {
			return
		}
		if u.bad {
			continue
		}
		c.checkPath(u)
		if !c.cyclic && u.target != nil && !u.bad {
			c.checkMissing(u)
		}
	}
}

// checkUse checks that what is called exists.
func (c *compiler) checkUse(t *task, ptr, use string) {
	if use == "" || c.types == nil {
		return
	}
	if name := workflowName(use); name != "" {
		if _, _, ok := c.types.Workflow(name); !ok {
			c.fail(ptr+"/use", "there is no workflow "+strconv.Quote(name), "apply it first, or together with this one")
		}
	} else if typ, ok := c.types.TaskType(use); !ok {
		hint := ""
		if near := document.Nearest(use, c.types.TaskTypeNames()); near != "" {
			hint = "did you mean " + near + "?"
		}
		c.fail(ptr+"/use", "there is no task type "+strconv.Quote(use), hint)
		return
	} else if _, given := t.raw["pool"]; given && typ.Native && ptr == t.ptr {
		c.failKey(ptr+"/pool", use+" needs no worker, so it has no pool", "leave pool out")
	}
	if _, given := t.raw["pool"]; given && workflowName(use) != "" && ptr == t.ptr {
		c.failKey(ptr+"/pool", "a workflow needs no worker, so it has no pool", "leave pool out")
	}
}

// checkCalls checks what a task and its undo are given.
func (c *compiler) checkCalls(t *task) {
	item := c.placeOf(t, t.inside())
	if t.def.Use != "" && t.def.Body == nil {
		c.checkWith(t.ptr, t.def.Use, t.raw, t.def.With, item)
	}
	if u := t.def.Undo; u != nil {
		raw, _ := t.raw["undo"].(map[string]any)
		item.undo = true
		c.checkWith(t.ptr+"/undo", u.Use, raw, u.With, item)
	}
}

// withSchema returns the schema of what a call is given, or nil.
func (c *compiler) withSchema(use string) *document.Schema {
	var raw []byte
	if c.types == nil {
		return nil
	}
	if name := workflowName(use); name != "" {
		raw, _, _ = c.types.Workflow(name)
	} else if typ, ok := c.types.TaskType(use); ok {
		raw = typ.With
	}
	if len(raw) == 0 {
		return nil
	}
	s, err := document.CompileSchema(raw)
	if err != nil {
		return nil
	}
	return s
}

// checkWith checks what stands in `with` as it is, and the kinds of what will stand there.
func (c *compiler) checkWith(ptr, use string, raw map[string]any, tpl *expr.Template, p place) {
	s := c.withSchema(use)
	with, given := raw["with"]
	if s == nil || given && tpl == nil {
		return // anything goes, or it was told what is wrong
	}
	var parts []expr.Placed
	if given {
		parts = tpl.Exprs()
	} else {
		with = map[string]any{}
	}
	base, open := ptr+"/with", holes(with, "", nil)
	c.problems = append(c.problems, s.CheckPartial(with, open, func(at string, key bool) string {
		switch {
		case !given:
			return c.doc.KeyAt(ptr)
		case key:
			return c.doc.KeyAt(base + at)
		case at == "":
			return c.doc.KeyAt(base)
		}
		return c.doc.At(base + at)
	})...)
	whole := wholes(parts)
	want := schemaShape(s.Raw())
	for _, h := range open {
		var path []string
		if h != "" {
			for part := range strings.SplitSeq(h[1:], "/") {
				path = append(path, document.Unescape(part))
			}
		}
		target, _, bad := want.follow(path, 0)
		if bad >= 0 || target == nil {
			continue
		}
		have := plainShape("string").kinds()
		if prog := whole[h]; prog != nil {
			have = c.reference(prog, p).kinds()
		}
		if kinds := target.kinds(); !fits(have, kinds) {
			c.failKind(base+h, whole[h], last(path), have, kinds)
		}
	}
}

func (c *compiler) failKind(ptr string, prog *expr.Program, name string, have, want []string) {
	if name == "" {
		name = "with"
	}
	if prog == nil {
		c.fail(ptr, name+" must be "+document.Kinds(want)+", this is text with an expression in it", "write the expression alone, without text around it")
		return
	}
	hint := ""
	if len(want) == 1 && want[0] == "string" && have[0] != "array" && have[0] != "object" {
		hint = "write ${{ string(" + strings.TrimSpace(prog.Source()) + ") }}"
	}
	c.fail(ptr, name+" must be "+document.Kinds(want)+", "+strings.TrimSpace(prog.Source())+" is "+document.Kinds(have), hint)
}

func last(path []string) string {
	if len(path) == 0 {
		return ""
	}
	return path[len(path)-1]
}

// holes returns the pointers of the texts in v that hold expressions.
func holes(v any, ptr string, out []string) []string {
	switch v := v.(type) {
	case string:
		if strings.Contains(v, "${{") {
			return append(out, ptr)
		}
	case []any:
		for i, e := range v {
			out = holes(e, ptr+"/"+strconv.Itoa(i), out)
		}
	case map[string]any:
		for k, e := range v {
			out = holes(e, ptr+document.Pointer(k), out)
		}
	}
	return out
}

// checkKinds checks the conditions and collections that are lone references.
func (c *compiler) checkKinds(t *task) {
	whole := c.placeOf(t, t.outer)
	expect := func(ptr string, prog *expr.Program, p place, want []string, word string) {
		if prog == nil {
			return
		}
		if have := c.reference(prog, p).kinds(); !fits(have, want) {
			c.fail(ptr, word+", "+strings.TrimSpace(prog.Source())+" is "+document.Kinds(have), "")
		}
	}
	expect(t.ptr+"/when", t.def.When, whole, []string{"boolean"}, "when needs true or false")
	if e := t.def.Each; e != nil {
		ptr := t.ptr + "/each"
		if _, ok := t.raw["each"].(map[string]any); ok {
			ptr += "/in"
		}
		expect(ptr, e.In, whole, []string{"array", "object"}, "each needs a list or an object")
		single := c.placeOf(t, t.inside())
		single.single = true
		scalar := []string{"string", "integer", "number", "boolean"}
		expect(t.ptr+"/each/key", e.Key, single, scalar, "key needs text")
		expect(t.ptr+"/each/by", e.By, single, scalar, "by needs text")
	}
}

// checkPath checks a reference against what is known of the value it begins in.
func (c *compiler) checkPath(u *use) {
	path := u.ref.Path
	s, from := c.root(path, u.place, u.target)
	_, where, bad := s.follow(path, min(from, len(path)))
	if bad < 0 {
		return
	}
	key, name := path[bad], written(path[:bad])
	kinds := where.kinds()
	switch {
	case where.empty != "":
		c.failUse(u, where.empty, "add outputs to it, with "+key+" in it")
	case where.list:
		c.failUse(u, name+" is a list, it has no "+strconv.Quote(key), "each gives a list in the order of its items; with each.key it gives an object")
	case len(where.known()) == 0 && kinds != nil && !fits(kinds, []string{"object"}):
		c.failUse(u, name+" is "+document.Kinds(kinds)+", it has no "+strconv.Quote(key), "")
	default:
		c.failUse(u, name+" has no "+strconv.Quote(key), suggest(key, where.known()))
	}
}

// written joins a path as people write it: a.b[0].c.
func written(path []string) string {
	var b strings.Builder
	for i, part := range path {
		if _, err := strconv.Atoi(part); err == nil {
			b.WriteString("[" + part + "]")
			continue
		}
		if i > 0 {
			b.WriteByte('.')
		}
		b.WriteString(part)
	}
	return b.String()
}

// checkMissing refuses a plain reference to a task that may have no output when it is read.
func (c *compiler) checkMissing(u *use) {
	p, path := u.place, u.ref.Path
	if u.ref.Soft && u.ref.SoftAt <= 2 || p.final && !u.target.final {
		return
	}
	why := c.missing(u.target)
	if why == "" {
		return
	}
	id := u.target.def.ID
	ended := p.output && (p.task == nil || u.target.def.Scope == p.task.def.Body)
	if !ended && c.certain(p.task, u.target) {
		return
	}
	hint := "write " + softened(path) + ", and ?? for another value"
	if from := p.task; !ended {
		for from.def.Scope != u.target.def.Scope {
			from = from.in
		}
		hint = "write " + softened(path) + ", or give " + from.def.ID + " needs: [" + id + "] to be skipped with it"
	}
	c.failUse(u, "the task "+id+" may have given nothing: "+why, hint)
}

// missing says why a task may be settled without output, or "".
func (c *compiler) missing(t *task) string {
	if t.settled {
		return t.missing
	}
	t.settled = true
	switch {
	case t.def.When != nil:
		t.missing = "it has when"
	case t.def.OnError == dag.Continue:
		t.missing = "it has onError: continue"
	default:
		for _, d := range t.def.Deps {
			if d.Kind == dag.Succeeded && c.missing(c.tasks[d.On]) != "" {
				t.missing = "it needs " + d.On.ID + ", which may be skipped or fail"
				break
			}
		}
	}
	return t.missing
}

// certain says that, whenever from runs, target succeeded: from, or a group around it, needs it, or
// needs what needs it.
func (c *compiler) certain(from, target *task) bool {
	for from != nil && from.def.Scope != target.def.Scope {
		from = from.in
	}
	if from == nil {
		return false
	}
	seen := map[*dag.Task]bool{}
	var queue []*dag.Task
	for _, id := range from.needs {
		if t := from.def.Scope.ByID[id]; t != nil {
			queue = append(queue, t)
		}
	}
	for k := 0; k < len(queue); k++ {
		t := queue[k]
		if t == target.def {
			return true
		}
		if seen[t] {
			continue
		}
		seen[t] = true
		for _, d := range t.Deps {
			if d.Kind == dag.Succeeded {
				queue = append(queue, d.On)
			}
		}
	}
	return false
}
