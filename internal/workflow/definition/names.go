package definition

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"tutti/internal/document"
	"tutti/internal/workflow/dag"
	"tutti/internal/workflow/expr"
)

// place says where an expression stands, and so which names it may read.
type place struct {
	task    *task      // the task it belongs to; nil for vars, outputs and limit of the run
	scope   *dag.Scope // where tasks are looked up; nil where there are none
	items   []*task    // the tasks with `each` whose items it sees, outermost first
	varName string     // the var whose value it is
	secrets bool       // below with
	undo    bool       // sees out
	retry   bool       // sees error
	output  bool       // is evaluated when scope has ended
	final   bool       // below finally
	gateOf  *task      // whose gate it is: sees wave and checks
	single  bool       // sees one item even where `by` gathers them
}

// use is one mention of a name.
type use struct {
	ref    expr.Ref
	place  place
	ptr    string // JSON pointer of the text it stands in
	offset int    // in that text
	target *task  // the task it reads, once resolved
	bad    bool   // told of already
}

func (c *compiler) failUse(u *use, message, hint string) {
	u.bad = true
	c.failAt(c.doc.Inside(u.ptr, u.offset), message, hint)
}

// rootNames are what expressions may begin with, items aside.
var rootNames = []string{"inputs", "vars", "tasks", "run", "secrets", "error", "out", "plan", "wave", "checks"}

// runFields are what `run` has.
var runFields = []string{"id", "name", "title", "namespace", "trace", "request", "requester", "started", "status", "failed"}

// resolve finds what every reference means and makes the dependencies.
func (c *compiler) resolve() {
	for _, t := range c.order {
		c.noShadow(t)
		c.named(t, "needs", t.needs, dag.Succeeded)
		c.named(t, "after", t.after, dag.Settled)
	}
	for i := range c.uses {
		u := &c.uses[i]
		if u.ref.Path[0] == "tasks" {
			c.resolveTask(u)
		} else if c.strict {
			c.resolveName(u)
		}
	}
}

// named makes the dependencies of needs or after.
func (c *compiler) named(t *task, word string, ids []string, kind dag.DepKind) {
	for i, id := range ids {
		ptr := t.ptr + "/" + word + "/" + strconv.Itoa(i)
		on := t.def.Scope.ByID[id]
		switch {
		case on == t.def:
			c.fail(ptr, id+" cannot wait for itself", "")
		case on != nil:
			c.depend(t, on, kind, c.doc.At(ptr))
		case !c.crowded():
			hint := ""
			if o := c.visible(t.def.Scope, id, t.final); o != nil && t.in != nil {
				hint = id + " lies outside this group: give " + word + " to the group " + t.in.def.ID
			} else if o := c.anywhere(id); o != nil {
				hint = "the task " + id + " lies inside " + o.in.def.ID + ": name that"
			} else if near := document.Nearest(id, idsOf(t.def.Scope)); near != "" {
				hint = "did you mean " + near + "?"
			}
			c.fail(ptr, "there is no task "+strconv.Quote(id)+" here", hint)
		}
	}
}

// idsOf returns the ids of a scope; of a very large one, enough to find a misspelt one.
func idsOf(s *dag.Scope) []string {
	ids := slices.Sorted(maps.Keys(s.ByID))
	return ids[:min(len(ids), 2000)]
}

// visible returns the task that an id means in a scope, from the inside out.
func (c *compiler) visible(s *dag.Scope, id string, final bool) *dag.Task {
	for ; s != nil; s = s.Parent {
		if t := s.ByID[id]; t != nil {
			return t
		}
	}
	if final {
		return c.graph.Tasks.ByID[id]
	}
	return nil
}

// anywhere returns a task of that id inside some group.
func (c *compiler) anywhere(id string) *task {
	for _, t := range c.order {
		if t.def.ID == id && t.in != nil {
			return t
		}
	}
	return nil
}

// depend makes t wait for on; the strongest reason holds.
func (c *compiler) depend(t *task, on *dag.Task, kind dag.DepKind, where string) {
	if t.deps == nil {
		t.deps = map[*dag.Task]edge{}
	}
	if old, ok := t.deps[on]; ok && old.kind >= kind {
		return
	}
	t.deps[on] = edge{kind, where}
}

// edge is a dependency and the place that gives the reason.
type edge struct {
	kind  dag.DepKind
	where string
}

// resolveTask finds the task that `tasks.id` means and makes the dependency.
func (c *compiler) resolveTask(u *use) {
	p, path := u.place, u.ref.Path
	if p.scope == nil {
		c.failUse(u, "tasks cannot be read here", "only inputs, vars and run are known when this is computed")
		return
	}
	if len(path) < 2 {
		c.failUse(u, "tasks must be named one by one", "as in tasks.build.out; what comes from many tasks is given by each")
		return
	}
	on := c.visible(p.scope, path[1], p.final)
	if on == nil {
		c.unknownTask(u, path[1])
		return
	}
	u.target = c.tasks[on]
	if c.strict && !c.taskField(u) {
		return
	}
	soft := u.ref.Soft && u.ref.SoftAt <= 2
	if p.final && !u.target.final {
		if !soft {
			c.failUse(u, "finally cannot count on the task "+on.ID+": the run may have ended before it", "write "+softened(path))
		}
		return
	}
	if p.output && (p.task == nil || on.Scope == p.task.def.Body) {
		return // it has ended
	}
	from := p.task
	for from != nil && from.def.Scope != on.Scope {
		from = from.in
	}
	switch {
	case from == nil:
		c.failUse(u, "the task "+on.ID+" cannot be read here", "")
	case from.def == on && from == p.task:
		c.failUse(u, "the task "+on.ID+" cannot read itself", "")
	case from.def == on:
		c.failUse(u, "the task "+p.task.def.ID+" lies inside "+on.ID+" and cannot read it", "")
	case soft:
		c.depend(from, on, dag.Settled, c.doc.Inside(u.ptr, u.offset))
	default:
		c.depend(from, on, dag.Succeeded, c.doc.Inside(u.ptr, u.offset))
	}
}

// softened writes a path with `?.` behind the task.
func softened(path []string) string {
	if len(path) < 3 {
		return "tasks." + path[1] + "?.out"
	}
	return "tasks." + path[1] + "?." + strings.Join(path[2:], ".")
}

func (c *compiler) unknownTask(u *use, id string) {
	u.bad = true
	if c.crowded() {
		return
	}
	hint := ""
	var known []string
	for s := u.place.scope; s != nil; s = s.Parent {
		known = append(known, idsOf(s)...)
	}
	if u.place.final {
		known = append(known, idsOf(c.graph.Tasks)...)
	}
	if g := c.graph.Finally; g != nil && g.ByID[id] != nil {
		hint = id + " is a task of finally, which runs after all others"
	} else if o := c.anywhere(id); o != nil {
		hint = id + " lies inside " + o.in.def.ID + ", which shows it to others through its outputs"
	} else if near := document.Nearest(id, known); near != "" {
		hint = "did you mean " + near + "?"
	}
	c.failUse(u, "there is no task "+strconv.Quote(id)+" here", hint)
}

// taskField checks what of a task is read.
func (c *compiler) taskField(u *use) bool {
	path := u.ref.Path
	switch {
	case len(path) == 2:
		c.failUse(u, "say what of the task "+path[1]+" is meant", "tasks."+path[1]+".out is what it gave; there are status and error too")
		return false
	case path[2] == "out" || path[2] == "status" || path[2] == "error":
		return true
	}
	hint := "write tasks." + path[1] + ".out." + path[2]
	if near := document.Nearest(path[2], []string{"out", "status", "error"}); near != "" {
		hint = "did you mean " + near + "?"
	}
	c.failUse(u, "a task has out, status and error, no "+strconv.Quote(path[2]), hint)
	return false
}

// resolveName checks that a name other than tasks may be read where it stands.
func (c *compiler) resolveName(u *use) {
	p, path := u.place, u.ref.Path
	switch name := path[0]; name {
	case "inputs":
	case "vars":
		if _, ok := c.varParts[at(path, 1)]; len(path) > 1 && !ok {
			c.failUse(u, "there is no var "+strconv.Quote(path[1]), suggest(path[1], slices.Sorted(maps.Keys(c.varParts))))
		}
	case "run":
		c.runField(u)
	case "secrets":
		c.failUse(u, "a secret may stand only in with", "and only as ${{ secrets.name }}, alone or inside text")
	case "error":
		if !p.retry {
			c.failUse(u, "error is known only in retry.if", "tasks.id.error is why a task failed")
		}
	case "out":
		if !p.undo {
			c.failUse(u, "out is known only in undo", "tasks.id.out is what a task gave")
		}
	case "plan":
		c.failUse(u, "plan is not available in this version", "leave it out")
	case "wave", "checks":
		c.waveName(u)
	default:
		if c.item(p, name) == nil {
			c.unknownName(u, name)
		}
	}
}

// item returns the task whose item a name means.
func (c *compiler) item(p place, name string) *task {
	for i := len(p.items) - 1; i >= 0; i-- {
		if p.items[i].def.Each.As == name {
			return p.items[i]
		}
	}
	return nil
}

func (c *compiler) unknownName(u *use, name string) {
	u.bad = true
	if c.crowded() {
		return
	}
	p := u.place
	known := []string{"inputs", "vars", "run"}
	if p.scope != nil {
		known = append(known, "tasks")
	}
	for _, t := range p.items {
		known = append(known, t.def.Each.As)
	}
	hint := suggest(name, known)
	switch {
	case p.task != nil && p.task.def.Each != nil && p.task.def.Each.As == name:
		hint = name + " is known inside each; this belongs to the task as a whole: filter in each.in, as in filter(xs, …)"
	case name == "item":
		hint = "item is known only inside a task that has each"
	case p.scope != nil && c.visible(p.scope, name, p.final) != nil:
		hint = "write tasks." + name + ".out"
	case c.varParts[name] != nil:
		hint = "write vars." + name
	case c.inputs != nil && c.inputs.has(name):
		hint = "write inputs." + name
	}
	c.failUse(u, "unknown name "+strconv.Quote(name), hint)
}

// suggest offers the nearest word, or all where they are few.
func suggest(word string, known []string) string {
	if near := document.Nearest(word, known); near != "" {
		return "did you mean " + near + "?"
	}
	if len(known) > 0 && len(known) <= 12 {
		return "known here are " + strings.Join(known, ", ")
	}
	return ""
}

func at(path []string, i int) string {
	if i < len(path) {
		return path[i]
	}
	return ""
}

func (c *compiler) runField(u *use) {
	path := u.ref.Path
	if len(path) < 2 {
		return
	}
	switch field := path[1]; {
	case !slices.Contains(runFields, field):
		c.failUse(u, fmt.Sprintf("run has no %q", field), suggest(field, runFields))
	case (field == "status" || field == "failed") && !u.place.final && !u.place.undo:
		c.failUse(u, "run."+field+" is not known before the end", "it can be read in finally and undo")
	}
}
