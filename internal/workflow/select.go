package workflow

import (
	"strings"

	"tutti/api"
	"tutti/internal/store"
	"tutti/internal/workflow/core"
)

// changes says when something last happened to each task of a run, in microseconds: to the task itself,
// to what is inside it, or to all of it at once.
type changes struct {
	at     map[string]int64
	opened map[string]int64 // when the tasks inside a path came to be
	all    int64
}

// note takes in the events of one command.
func (c *changes) note(at int64, events []core.Event) {
	if c.at == nil {
		c.at, c.opened = map[string]int64{}, map[string]int64{}
	}
	for i := range events {
		e := &events[i]
		switch e.Type {
		case core.Created, core.Stopping, core.Undoing, core.Finishing, core.Retried, core.Forked, core.Abandoned, core.Ended:
			c.all = at // what they do to tasks is in no event of those
		case core.Opened, core.Expanded:
			c.opened[e.Path] = at
		}
		if e.Path != "" {
			c.at[e.Path] = at
		}
	}
}

// since returns the tasks that something happened to at a time or later, with the groups around them.
func (c *changes) since(at int64, tasks []api.Task) map[string]bool {
	parents := make(map[string]string, len(tasks))
	changed := map[string]bool{}
	for _, t := range tasks {
		parents[t.Path] = t.Parent
		if max(c.all, c.at[t.Path], c.opened[t.Parent]) < at {
			continue
		}
		for p := t.Path; p != "" && !changed[p]; p = parents[p] {
			changed[p] = true
		}
	}
	return changed
}

// selection says which tasks of a list are wanted.
type selection struct {
	in      api.ListTasksIn
	changed map[string]bool // nil is all
	folded  string          // the each whose inside is left out, as the list goes by
}

func newSelection(in api.ListTasksIn, c *changes, tasks []api.Task) *selection {
	s := &selection{in: in}
	if !in.Since.IsZero() {
		s.changed = c.since(store.Micros(in.Since), tasks)
	}
	return s
}

// has reports whether t is wanted. It is asked of all tasks, in the order of the list.
func (s *selection) has(t api.Task) bool {
	if s.in.Fold {
		if s.folded != "" && inside(t.Path, s.folded) {
			return false
		}
		s.folded = ""
		if t.Kind == "each" && t.Path != s.in.Under {
			s.folded = t.Path
		}
	}
	switch {
	case s.in.Parent != "" && t.Parent != strings.TrimPrefix(s.in.Parent, "-"),
		s.in.State != "" && t.State != s.in.State,
		s.in.Under != "" && !inside(t.Path, s.in.Under):
		return false
	}
	return s.changed == nil || s.changed[t.Path]
}

// inside reports whether path lies in group, at any depth.
func inside(path, group string) bool {
	rest, ok := strings.CutPrefix(path, group)
	return ok && rest != "" && (rest[0] == '.' || rest[0] == '[')
}
