package simulate

import (
	"encoding/json"
	"fmt"
	"strings"

	"tutti/api"
	"tutti/errs"
	"tutti/internal/workflow/core"
	"tutti/internal/workflow/definition"
)

// fake is a sub-run that a mock stands in for.
type fake struct {
	parent *run
	path   string
	entry  *entry
}

// children carries the effects on sub-runs out.
func (w *world) children(r *run, ef core.Effects) {
	by := "run:" + string(r.core.ID)
	for _, c := range []struct {
		ids []api.RunID
		f   command
	}{
		{ef.CancelRuns, func(c *core.Run, now int64) ([]core.Event, core.Effects, error) {
			return c.Cancel(now, by, "the run that called it was stopped")
		}},
		{ef.UndoRuns, func(c *core.Run, now int64) ([]core.Event, core.Effects, error) { return c.UndoChild(now, by) }},
		{ef.RetryRuns, func(c *core.Run, now int64) ([]core.Event, core.Effects, error) { return c.Retry(now, "", nil, by) }},
		{ef.PauseRuns, func(c *core.Run, now int64) ([]core.Event, core.Effects, error) { return c.Pause(now, by) }},
		{ef.ResumeRuns, func(c *core.Run, now int64) ([]core.Event, core.Effects, error) { return c.Resume(now, by) }},
	} {
		for _, id := range c.ids {
			w.then(func() { w.child(id, c.f) })
		}
	}
	for _, id := range ef.CancelRuns {
		w.then(func() { w.endFake(id, api.Run{ID: id, State: api.Cancelled}) })
	}
	for _, id := range ef.UndoRuns {
		w.then(func() { w.endFake(id, api.Run{ID: id, State: api.Succeeded, Flags: []api.Flag{api.Undone}}) })
	}
	for _, id := range ef.RetryRuns {
		w.then(func() { w.playFake(id) })
	}
}

// child gives a command to a sub-run; where that is refused because it has ended, its parent hears so.
func (w *world) child(id api.RunID, f command) {
	c := w.byID[id]
	if c == nil {
		return // a mock stands in for it
	}
	if w.rep.Crash != nil {
		w.forget(c)
	}
	events, effects, err := f(c.core, w.now)
	switch {
	case err == nil:
		w.took(c, events, effects)
	case errs.Is(err, errs.Conflict) && c.core.State.Ended():
		w.tellParent(c)
	}
}

func (w *world) tellParent(r *run) {
	p := r.core.Parent
	if p == nil {
		return
	}
	v := r.core.View()
	w.then(func() { w.childEnded(w.byID[p.Run], p.Task, v) })
}

func (w *world) childEnded(parent *run, task string, v api.Run) {
	for _, at := range []string{task, task + "#undo"} {
		w.step(parent, func(r *core.Run, now int64) ([]core.Event, core.Effects, error) { return r.ChildEnded(now, at, &v) })
	}
}

// maxDepth bounds sub-runs inside sub-runs, as the engine does.
const maxDepth = 20

// startChild starts the sub-run of a task, or lets a mock stand in for it.
func (w *world) startChild(parent *run, s core.StartRun) {
	if w.mocked(parent, s) {
		w.fakes[s.ID] = &fake{parent: parent, path: s.Path}
		w.playFake(s.ID)
		return
	}
	m := parent.core.Meta
	g, err := w.lib.graph(s.Workflow)
	if err == nil && m.Depth >= maxDepth {
		err = errs.New(errs.Invalid, "sub-runs are nested deeper than %d", maxDepth)
	}
	var inputs json.RawMessage
	if err == nil {
		inputs, err = definition.CheckInputs(g, s.Input)
	}
	if err == nil {
		err = w.create(&run{graph: g, name: parent.path(s.Path)}, core.Meta{ID: s.ID, Namespace: m.Namespace, Workflow: s.Workflow, Digest: g.Digest, Title: g.Title,
			Trace: m.Trace, Requester: m.Requester, Role: m.Role, Parent: &api.TaskRef{Run: m.ID, Task: s.Path}, Depth: m.Depth + 1}, inputs)
	}
	if err != nil {
		w.step(parent, func(r *core.Run, now int64) ([]core.Event, core.Effects, error) {
			return r.ChildRefused(now, s.Path, s.ID, err)
		})
	}
}

// mocked says whether something stands in for a sub-run. A task that shall fail does, as does a mock of
// the call, or a recorded run that shows the call but not what was in it.
func (w *world) mocked(parent *run, s core.StartRun) bool {
	path := parent.path(s.Path)
	t, err := parent.core.Task(s.Path)
	if err == nil && w.fails(path, t.Attempt) {
		return true
	}
	_, from, ok := w.explicit(path, "workflow:"+s.Workflow)
	return ok && (from != "the recorded run" || !w.s.Recording.below(path))
}

// playFake plans the end of a sub-run that a mock stands in for.
func (w *world) playFake(id api.RunID) {
	f := w.fakes[id]
	if f == nil {
		return
	}
	t, err := f.parent.core.Task(f.path)
	if err != nil {
		return
	}
	path := f.parent.path(f.path)
	s, from := w.stepFor(path, t.Use, t.Attempt)
	v := api.Run{ID: id, State: api.Succeeded, Outputs: json.RawMessage("{}")}
	switch {
	case s.Failure != nil:
		v.State, v.Outputs, v.Failure = api.Failed, nil, &api.RunFail{Task: "mock", Failure: *s.Failure}
	case len(s.Out) > 0:
		out, err := render(s.Out, t.Input, t.Attempt)
		if err == nil {
			v.Outputs, err = json.Marshal(out)
		}
		if err != nil {
			w.problem(path, fmt.Sprintf("%s: out: %v", from, err))
		}
	default:
		_, outputs, _ := known{w.lib}.Workflow(strings.TrimPrefix(t.Use, "workflow:"))
		if v.Outputs, err = json.Marshal(sample(outputs, path)); err != nil {
			w.problem(path, err.Error())
		}
	}
	f.entry = w.plan(w.duration(s.Duration, path, t.Attempt), func() { w.childEnded(f.parent, f.path, v) })
}

// endFake ends a sub-run that a mock stands in for otherwise than planned.
func (w *world) endFake(id api.RunID, v api.Run) {
	f := w.fakes[id]
	if f == nil {
		return
	}
	if f.entry != nil {
		f.entry.off = true
	}
	w.childEnded(f.parent, f.path, v)
}
