package definition

import (
	"encoding/json"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"tutti/api"
	"tutti/errs"
	"tutti/internal/document"
	"tutti/internal/workflow/dag"
	"tutti/internal/workflow/expr"
)

// checkLiterals tells of what can be judged as it stands, and would go wrong in every run.
func (c *compiler) checkLiterals(t *task) {
	if p := t.def.When; p != nil && len(p.Refs()) == 0 {
		v, err := p.Eval(expr.Env{})
		if _, ok := v.(bool); err == nil && !ok {
			c.fail(t.ptr+"/when", "when needs true or false, got "+expr.Describe(v), "compare something, such as inputs.count > 5")
		}
	}
	if t.def.Use == "wait" {
		c.checkWait(t)
	}
	if workflowName(t.def.Use) == c.graph.Name && c.always(t) {
		c.fail(t.ptr+"/use", "the workflow calls itself each time it runs, so it never ends", "give the call a when that is false at some time, or an each over a list that gets shorter")
	}
}

// checkWait checks the times that a wait is given as they are.
func (c *compiler) checkWait(t *task) {
	with, _ := t.raw["with"].(map[string]any)
	fixed := func(key string) (string, bool) {
		s, ok := with[key].(string)
		return s, ok && !strings.Contains(s, "${{")
	}
	if s, ok := fixed("for"); ok {
		if _, err := api.ParseDuration(s); err != nil {
			e := errs.Public(err)
			c.fail(t.ptr+"/with/for", "for: "+e.Msg, e.Hint)
		}
	}
	if s, ok := fixed("until"); ok {
		if _, err := time.Parse(time.RFC3339, s); err != nil {
			c.fail(t.ptr+"/with/until", "until is "+strconv.Quote(s)+", which is no time", "write it like 2026-01-31T09:30:00Z")
		}
	}
}

// always says that nothing but a failure keeps t from running in a run.
func (c *compiler) always(t *task) bool {
	for ; t != nil; t = t.in {
		if t.def.When != nil || t.def.Each != nil {
			return false
		}
		for _, d := range t.def.Deps {
			if d.Kind == dag.Succeeded && c.missing(c.tasks[d.On]) != "" {
				return false
			}
		}
	}
	return true
}

// checkDefaults checks the defaults in a schema, at a pointer, against what they stand in for.
func (c *compiler) checkDefaults(ptr string, schema any) {
	s, ok := schema.(map[string]any)
	if !ok {
		return
	}
	if v, given := s["default"]; given {
		c.checkDefault(ptr, s, v)
	}
	props, _ := s["properties"].(map[string]any)
	for _, name := range slices.Sorted(maps.Keys(props)) {
		c.checkDefaults(ptr+"/properties"+document.Pointer(name), props[name])
	}
	c.checkDefaults(ptr+"/items", s["items"])
}

func (c *compiler) checkDefault(ptr string, s map[string]any, v any) {
	raw, err := json.Marshal(s)
	if err != nil || strings.Contains(string(raw), `"$ref"`) {
		return // what it refers to stands elsewhere
	}
	for _, p := range document.CheckValue(raw, document.WithDefaults(raw, v), "default") {
		c.fail(ptr+"/default", "the default does not fit: "+strings.Replace(p.Message, "the value", "it", 1), p.Hint)
	}
}
