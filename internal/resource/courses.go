package resource

import (
	"maps"
	"slices"

	"tutti/api"
	"tutti/internal/document"
	"tutti/internal/workflow/expr"
)

// The courses of a type beside those that change a resource.
const (
	observe = "observe"
	preview = "preview"
)

// defaultInputs are those of a workflow where a type says nothing.
var defaultInputs = map[string]any{"spec": "${{ spec }}"}

// reads are the names that the inputs of t may read.
func (t *resourceType) reads() []string {
	if t.repository != "" {
		return readsSource
	}
	return readsResource
}

// actions reads what else than create can be done.
func (p *parser) actions(t *resourceType, v map[string]any) {
	t.courses = map[string]course{api.ActionCreate: t.course}
	list, _ := v["actions"].(map[string]any)
	for _, name := range slices.Sorted(maps.Keys(list)) {
		a, _ := list[name].(map[string]any)
		at := document.Pointer("actions", name)
		inputs, own := a["inputs"]
		where := at + "/inputs"
		if !own {
			inputs, where = orElse(v["inputs"], defaultInputs), "/inputs"
		}
		reads := t.reads()
		if name == observe || name == preview { // nothing is committed for them
			reads = readsResource
		}
		t.courses[name] = course{p.workflows(at+"/workflow", a["workflow"]), p.template(where, inputs, reads)}
	}
}

// choices are the workflows of all courses, each once.
func (t *resourceType) choices() (out []choice) {
	for _, name := range slices.Sorted(maps.Keys(t.courses)) {
		out = append(out, t.courses[name].workflows...)
	}
	return out
}

// can are the actions on what exists.
func (t *resourceType) can() (out []string) {
	for _, name := range []string{api.ActionModify, api.ActionDelete, observe} {
		if _, ok := t.courses[name]; ok {
			out = append(out, name)
		}
	}
	return out
}

// optional parses a template over spec; nil where there is none.
func (p *parser) optional(at string, v any) *expr.Template {
	if v == nil {
		return nil
	}
	return p.template(at, v, []string{"spec"})
}

func (p *parser) placement(t *resourceType, v any) {
	m, ok := v.(map[string]any)
	if !ok {
		return
	}
	t.placement = &placement{view: text(m["view"]),
		datacenter: p.optional("/placement/datacenter", m["datacenter"]), cluster: p.optional("/placement/cluster", m["cluster"]),
		storage: p.optional("/placement/storage", m["storage"]), network: p.optional("/placement/network", m["network"])}
}

// program is a handler that is not Starlark.
type program struct {
	argv []string
	wall api.Duration
}

// The bounds of a handler that is a program.
const (
	defaultWall = "10s"
	maxWall     = "25s"
)

func (p *parser) program(handler map[string]any) *program {
	x, _ := handler["exec"].(map[string]any)
	out := &program{argv: texts(x["argv"])}
	if len(out.argv) > 0 && out.argv[0][:min(1, len(out.argv[0]))] != "/" {
		p.fail(p.d.At("/handler/exec/argv/0"), "the program is not given by an absolute path", "write it as /opt/tutti/check-vm")
	}
	most, _ := api.ParseDuration(maxWall)
	wall, err := api.ParseDuration(text(orElse(x["wall"], defaultWall)))
	if err != nil || wall <= 0 || wall > most {
		p.fail(p.d.At("/handler/exec/wall"), "the time is not one from 1ms to "+maxWall, "a request waits for it")
	}
	out.wall = api.Duration(wall)
	return out
}
