package definition

import (
	"maps"
	"slices"
	"strconv"

	"tutti/internal/document"
	"tutti/internal/workflow/dag"
	"tutti/internal/workflow/expr"
)

// The readers below take what has the right form and leave the rest out: the schema has told of it.

// task is a node of the graph while it is being made.
type task struct {
	def      *dag.Task
	ptr      string // JSON pointer
	in       *task  // the group it lies in
	final    bool   // below finally
	deps     map[*dag.Task]edge
	needs    []string
	after    []string
	outer    []*task // tasks with `each` around it, outermost first
	out      *shape
	outState uint8 // 0 not computed, 1 being computed, 2 computed
	raw      map[string]any
	missing  string         // why it may have no output; "" where it has one when it is settled
	settled  bool           // missing is computed
	givesRaw map[string]any // the outputs of a group, as written
	parts    []expr.Placed  // of its outputs
}

// inside returns the items that the parts of t see which are evaluated for each of them.
func (t *task) inside() []*task {
	if t.def.Each == nil {
		return t.outer
	}
	return append(slices.Clone(t.outer), t)
}

// varPart is a var as it was written.
type varPart struct {
	raw   any
	parts []expr.Placed
	shape *shape
	done  bool
}

// policy is what defaults give.
type policy struct {
	timeout bool // given
	call    dag.Call
	pool    string
}

func (c *compiler) header(root map[string]any) {
	g := c.graph
	if in, ok := root["inputs"].(map[string]any); ok {
		g.Inputs = document.Canonical(in)
		c.readInputs(in)
	}
	if d, ok := root["defaults"].(map[string]any); ok {
		c.readDefaults(d)
	}
	if vars, ok := root["vars"].(map[string]any); ok {
		for _, name := range slices.Sorted(maps.Keys(vars)) {
			ptr := document.Pointer("vars", name)
			t, parts := c.template(ptr, vars[name], place{varName: name})
			if t != nil {
				g.Vars = append(g.Vars, dag.Var{Name: name, Value: t})
			}
			c.varParts[name] = &varPart{raw: vars[name], parts: parts}
		}
	}
	if s, ok := root["onFailure"].(string); ok {
		g.OnFailure = dag.OnFailure(s)
	}
	if n, ok := root["priority"].(float64); ok {
		g.Priority = int(n)
	}
	g.Deadline = c.duration("/deadline", root["deadline"])
	g.Limit = c.limit("/limit", root["limit"], place{})
	if tasks, ok := root["tasks"].(map[string]any); ok {
		g.Tasks = c.scope("/tasks", tasks, nil, false, 0)
	} else {
		g.Tasks = c.scope("/tasks", nil, nil, false, 0)
	}
	if tasks, ok := root["finally"].(map[string]any); ok {
		g.Finally = c.scope("/finally", tasks, nil, true, 0)
	}
	if out, ok := root["outputs"].(map[string]any); ok {
		g.Outputs, _ = c.template("/outputs", out, place{scope: g.Tasks, output: true})
	}
}

func (c *compiler) readInputs(in map[string]any) {
	if !c.strict {
		return
	}
	s, err := document.CompileSchema(c.graph.Inputs)
	if err != nil {
		c.fail("/inputs", "inputs: "+err.Error(), "inputs is a JSON Schema of an object")
		return
	}
	if t, ok := in["type"]; ok && t != "object" {
		c.fail("/inputs/type", "inputs must be of type object", "")
		return
	}
	c.inputs = schemaShape(s.Raw())
	c.checkDefaults("/inputs", in)
}

func (c *compiler) readDefaults(d map[string]any) {
	c.defaults.call.Timeout = c.duration("/defaults/timeout", d["timeout"])
	_, c.defaults.timeout = d["timeout"]
	c.defaults.pool, _ = d["pool"].(string)
	if _, ok := d["retry"]; ok {
		c.defaults.call.Retry = c.retry("/defaults/retry", d["retry"], place{retry: true})
	}
}

// scope reads the tasks of a body.
func (c *compiler) scope(ptr string, tasks map[string]any, owner *task, final bool, depth int) *dag.Scope {
	s := &dag.Scope{Index: len(c.graph.Scopes), ByID: make(map[string]*dag.Task, len(tasks))}
	c.graph.Scopes = append(c.graph.Scopes, s)
	if owner != nil {
		s.Owner, s.Parent = owner.def, owner.def.Scope
	}
	if depth > MaxNesting {
		c.full = true
		c.fail(ptr, "groups are nested deeper than "+strconv.Itoa(MaxNesting)+" levels", "make a workflow of the inner ones and call it")
		return s
	}
	for _, id := range slices.Sorted(maps.Keys(tasks)) {
		at := ptr + document.Pointer(id)
		raw, ok := tasks[id].(map[string]any)
		if !ok || c.full {
			continue
		}
		if len(c.order) >= MaxTasks {
			c.full = true
			c.failKey(at, "more than "+strconv.Itoa(MaxTasks)+" tasks", "use each, or make workflows of parts and call them")
			return s
		}
		t := &task{def: &dag.Task{ID: id, Scope: s, OnError: dag.Fail}, ptr: at, in: owner, final: final, raw: raw}
		c.tasks[t.def] = t
		c.order = append(c.order, t)
		s.ByID[id] = t.def
		s.Tasks = append(s.Tasks, t.def)
		if owner != nil {
			t.outer = owner.inside()
		}
		c.task(t, depth)
	}
	return s
}

// noShadow refuses an id that a scope around has too.
func (c *compiler) noShadow(t *task) {
	tell := func(s *dag.Scope) bool {
		if s == nil || s.ByID[t.def.ID] == nil {
			return false
		}
		c.failKey(t.ptr, "there is a task "+t.def.ID+" around this one already", "ids are seen inside groups too: take another")
		return true
	}
	for s := t.def.Scope.Parent; s != nil; s = s.Parent {
		if tell(s) {
			return
		}
	}
	if t.final {
		tell(c.graph.Tasks)
	}
}

// task reads one task.
func (c *compiler) task(t *task, depth int) {
	d, raw := t.def, t.raw
	d.Title, _ = raw["title"].(string)
	d.Use, _ = raw["use"].(string)
	d.Timeout = c.duration(t.ptr+"/timeout", raw["timeout"])
	d.Deadline = c.duration(t.ptr+"/deadline", raw["deadline"])
	d.Pool, _ = raw["pool"].(string)
	if s, ok := raw["onError"].(string); ok {
		d.OnError = dag.OnError(s)
	}
	t.needs, t.after = texts(raw["needs"]), texts(raw["after"])

	whole := c.placeOf(t, t.outer)
	d.When = c.program(t.ptr+"/when", raw["when"], whole)
	c.each(t, raw["each"], whole)
	item := c.placeOf(t, t.inside())
	retry := item
	retry.retry = true
	if _, ok := raw["retry"]; ok {
		d.Retry = c.retry(t.ptr+"/retry", raw["retry"], retry)
	}
	d.Limit = c.limit(t.ptr+"/limit", raw["limit"], item)
	if s, ok := raw["once"].(string); ok {
		d.Once, _ = c.template(t.ptr+"/once", s, item)
	}
	c.undo(t, raw["undo"], item)
	body, group := raw["tasks"].(map[string]any)
	if group && d.Use == "" {
		c.group(t, body, depth)
		return
	}
	c.call(t, item)
}

func (c *compiler) placeOf(t *task, items []*task) place {
	return place{task: t, scope: t.def.Scope, items: items, final: t.final}
}

func (c *compiler) call(t *task, item place) {
	d := t.def
	item.secrets = true
	if v, ok := t.raw["with"]; ok {
		d.With, _ = c.template(t.ptr+"/with", v, item)
	}
	if _, ok := t.raw["outputs"]; ok && d.Use != "" {
		c.failKey(t.ptr+"/outputs", "outputs belongs to a group", "a task that uses a task type gives what that gives")
	}
	if d.Use == "" || waitsForOthers(d.Use) {
		return
	}
	if _, given := t.raw["timeout"]; !given && c.defaults.timeout {
		d.Timeout = c.defaults.call.Timeout
	}
	if _, given := t.raw["retry"]; !given {
		d.Retry = c.defaults.call.Retry
	}
	if d.Pool == "" {
		d.Pool = c.defaults.pool
	}
}

func (c *compiler) group(t *task, body map[string]any, depth int) {
	d := t.def
	for _, key := range []string{"with", "pool"} {
		if _, ok := t.raw[key]; ok {
			c.failKey(t.ptr+"/"+key, key+" belongs to a task with use", "give it to the tasks of the group")
		}
	}
	d.Body = c.scope(t.ptr+"/tasks", body, t, t.final, depth+1)
	if out, ok := t.raw["outputs"].(map[string]any); ok {
		p := c.placeOf(t, t.inside())
		p.scope, p.output = d.Body, true
		t.givesRaw = out
		d.Outputs, t.parts = c.template(t.ptr+"/outputs", out, p)
	}
}

func (c *compiler) undo(t *task, v any, item place) {
	raw, ok := v.(map[string]any)
	if !ok {
		return
	}
	if t.final {
		c.failKey(t.ptr+"/undo", "a task of finally is not undone", "leave undo out")
	}
	ptr := t.ptr + "/undo"
	call := &dag.Call{Timeout: c.duration(ptr+"/timeout", raw["timeout"])}
	call.Use, _ = raw["use"].(string)
	item.undo, item.secrets = true, true
	if w, ok := raw["with"]; ok {
		call.With, _ = c.template(ptr+"/with", w, item)
	}
	item.undo, item.secrets, item.retry = false, false, true
	call.Retry = c.retry(ptr+"/retry", raw["retry"], item)
	if !waitsForOthers(call.Use) {
		if _, given := raw["timeout"]; !given {
			call.Timeout = c.defaults.call.Timeout
		}
		if _, given := raw["retry"]; !given {
			call.Retry = c.defaults.call.Retry
		}
	}
	t.def.Undo = call
}

func (c *compiler) each(t *task, v any, whole place) {
	ptr := t.ptr + "/each"
	e := &dag.Each{As: "item"}
	in, ok := v.(string)
	inPtr := ptr
	raw, isMap := v.(map[string]any)
	if isMap {
		in, ok = raw["in"].(string)
		inPtr = ptr + "/in"
		if as, ok := raw["as"].(string); ok {
			e.As = as
		}
		e.Parallel, e.Tolerate = amount(raw["parallel"]), amount(raw["tolerate"])
	}
	if !ok && !isMap {
		return
	}
	t.def.Each = e
	c.itemName(t, ptr, e.As)
	if e.In = c.program(inPtr, in, whole); !isMap {
		return
	}
	// key and by see the single item, also where by gathers them.
	p := c.placeOf(t, t.inside())
	p.single = true
	e.Key = c.program(ptr+"/key", raw["key"], p)
	e.By = c.program(ptr+"/by", raw["by"], p)
	c.rollout(t, raw, whole)
}

// itemName refuses a name for items that means something else.
func (c *compiler) itemName(t *task, ptr, as string) {
	at := ptr
	if raw, ok := t.raw["each"].(map[string]any); ok && raw["as"] != nil {
		at += "/as"
	}
	for _, o := range t.outer {
		if o.def.Each != nil && o.def.Each.As == as {
			c.fail(at, as+" is the item of "+o.def.ID+" around this one already", "give it another name with as")
			return
		}
	}
	if expr.Reserved(as) || slices.Contains(rootNames, as) {
		c.fail(at, strconv.Quote(as)+" means something else in expressions", "take another name")
	}
}

// program compiles a bare expression.
func (c *compiler) program(ptr string, v any, p place) *expr.Program {
	src, ok := v.(string)
	if !ok || src == "" {
		return nil
	}
	prog, err := expr.Compile(src)
	if err != nil {
		se := err.(*expr.SyntaxError)
		c.failAt(c.doc.Inside(ptr, se.Offset), se.Message, se.Hint)
		return nil
	}
	for _, r := range prog.Refs() {
		c.uses = append(c.uses, use{ref: r, place: p, ptr: ptr, offset: r.Offset})
	}
	return prog
}

// template compiles a value whose texts may hold expressions.
func (c *compiler) template(ptr string, v any, p place) (*expr.Template, []expr.Placed) {
	t, bad := expr.ParseTemplate(v)
	for _, e := range bad {
		c.failAt(c.doc.Inside(ptr+e.Pointer, e.Offset), e.Message, e.Hint)
	}
	if t == nil {
		return nil, nil
	}
	for _, e := range t.Exprs() {
		for _, r := range e.Program.Refs() {
			c.uses = append(c.uses, use{ref: r, place: p, ptr: ptr + e.Pointer, offset: e.Offset + r.Offset})
		}
	}
	if !p.secrets {
		for _, s := range t.Secrets() {
			c.failAt(c.doc.Inside(ptr+s.Pointer, s.Offset), "a secret may stand only in with", "give it to the task that needs it, there")
		}
	}
	return t, t.Exprs()
}

func texts(v any) []string {
	l, _ := v.([]any)
	var out []string
	for _, e := range l {
		if s, ok := e.(string); ok {
			out = append(out, s)
		}
	}
	return out
}
