package definition

import (
	"slices"
	"strconv"

	"tutti/internal/document"
	"tutti/internal/workflow/dag"
)

// rolloutKeys are the keys of each that make it a rollout.
var rolloutKeys = []string{"waves", "bake", "checks", "gate", "onBreach"}

// waveFields are what `wave` has.
var waveFields = []string{"number", "of", "size", "total", "succeeded", "failed"}

// rollout reads what makes an each go out in waves.
func (c *compiler) rollout(t *task, raw map[string]any, whole place) {
	ptr := t.ptr + "/each"
	if !slices.ContainsFunc(rolloutKeys, func(k string) bool { _, given := raw[k]; return given }) {
		return
	}
	ro := &dag.Rollout{OnBreach: dag.BreachStop}
	t.def.Each.Rollout = ro
	waves, _ := raw["waves"].([]any)
	for i, w := range waves {
		a := amount(w)
		at := ptr + "/waves/" + strconv.Itoa(i)
		switch {
		case a.N == 0:
			c.fail(at, "a wave has at least one item", "leave it out")
		case i > 0 && a.Percent == ro.Waves[i-1].Percent && a.N <= ro.Waves[i-1].N:
			c.fail(at, "this wave is not larger than the one before", "waves say how many items have been begun in all: 1, 10%, 50%")
		}
		ro.Waves = append(ro.Waves, a)
	}
	switch bake := raw["bake"].(type) {
	case string:
		ro.Bake = c.duration(ptr+"/bake", bake)
	case map[string]any:
		ro.FirstBake = c.duration(ptr+"/bake/first", bake["first"])
		ro.Bake = c.duration(ptr+"/bake/then", bake["then"])
	}
	if s, ok := raw["onBreach"].(string); ok {
		ro.OnBreach = dag.OnBreach(s)
	}
	if t.final && ro.OnBreach == dag.BreachUndo {
		c.fail(ptr+"/onBreach", "a task of finally is not undone", "take stop or pause")
	}
	if checks, ok := raw["checks"].(map[string]any); ok {
		c.checks(t, ro, ptr+"/checks", checks)
	}
	p := whole
	p.gateOf = t
	ro.Gate = c.program(ptr+"/gate", raw["gate"], p)
	if ro.OnBreach == dag.BreachUndo && t.def.Use != "" && workflowName(t.def.Use) == "" && t.raw["undo"] == nil {
		c.fail(ptr+"/onBreach", "nothing says how "+t.def.ID+" is undone, so onBreach cannot undo it", "give the task an undo, or take stop or pause")
	}
}

// checks reads the tasks that run after each wave. They lie in the body of a task of their own, beside t, whose
// reasons to wait are those of t: what they read, t waits for.
func (c *compiler) checks(t *task, ro *dag.Rollout, ptr string, raw map[string]any) {
	ro.Checks = &dag.Task{ID: "checks", Title: "the checks of " + t.def.ID, Scope: t.def.Scope, Index: -1, OnError: dag.Continue}
	if t.deps == nil {
		t.deps = map[*dag.Task]edge{}
	}
	group := &task{def: ro.Checks, ptr: ptr, in: t.in, final: t.final, outer: t.outer, raw: map[string]any{}, deps: t.deps}
	c.tasks[ro.Checks] = group
	depth := 1
	for s := t.def.Scope; s != nil; s = s.Parent {
		depth++
	}
	ro.Checks.Body = c.scope(ptr, raw, group, t.final, depth)
	for _, check := range ro.Checks.Body.Tasks {
		if check.Undo != nil {
			c.failKey(ptr+document.Pointer(check.ID)+"/undo", "a check is not undone", "leave undo out")
		}
	}
}

// waveName checks a mention of wave or checks, which only a gate knows.
func (c *compiler) waveName(u *use) {
	path, t := u.ref.Path, u.place.gateOf
	if t == nil {
		c.failUse(u, path[0]+" is known only in the gate of a rollout", "each has a gate where it has waves, and it alone reads wave and checks")
		return
	}
	if len(path) < 2 {
		return
	}
	if path[0] == "wave" {
		if !slices.Contains(waveFields, path[1]) {
			c.failUse(u, "wave has no "+strconv.Quote(path[1]), suggest(path[1], waveFields))
		}
		return
	}
	var known []string
	if body := t.def.Each.Rollout.Checks; body != nil {
		known = idsOf(body.Body)
	}
	switch {
	case !slices.Contains(known, path[1]):
		hint := suggest(path[1], known)
		if len(known) == 0 {
			hint = "give the rollout checks"
		}
		c.failUse(u, "there is no check "+strconv.Quote(path[1]), hint)
	case len(path) > 2 && !slices.Contains([]string{"out", "status", "error"}, path[2]):
		c.failUse(u, "a check has no "+strconv.Quote(path[2]), "it has out, status and error")
	}
}
