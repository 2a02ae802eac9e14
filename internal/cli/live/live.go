// Package live turns what the API says of a run into what a person follows: a tree that fits the
// terminal, or a line per change. It is a pure function of snapshots; who fetches them and where the
// lines go is none of its business.
package live

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"tutti/api"
	"tutti/internal/cli/output"
)

// Snapshot is a run as it stood, with its tasks in the order of the plan and the runs it called.
type Snapshot struct {
	Run   api.Run
	Tasks []api.Task
	// Subs are the sub-runs, by the path of the task that called them.
	Subs map[string]*Snapshot
}

// Find returns the snapshot of the run id in s or its sub-runs, or nil.
func (s *Snapshot) Find(id api.RunID) *Snapshot {
	if s == nil || s.Run.ID == id {
		return s
	}
	for _, sub := range s.Subs {
		if f := sub.Find(id); f != nil {
			return f
		}
	}
	return nil
}

// Asks reports whether s waits for a person: a task, in it or in a sub-run, waits for an approval.
func (s *Snapshot) Asks() bool {
	if s == nil {
		return false
	}
	for _, t := range s.Tasks {
		if t.State == api.Waiting && t.Reason != nil && t.Reason.Kind == "approval" {
			return true
		}
	}
	for _, sub := range s.Subs {
		if sub.Asks() {
			return true
		}
	}
	return s.Run.State == api.Waiting && s.Run.Reason != nil && s.Run.Reason.Kind == "approval"
}

// node is a line of the tree, with what is below it.
type node struct {
	key      string
	name     string
	state    api.State
	took     time.Duration // 0 where it has not started
	note     string
	children []*node
}

// tree returns s as nodes.
func tree(s *Snapshot, now time.Time) *node {
	r := s.Run
	root := &node{key: string(r.ID), name: cmp.Or(r.Workflow, "inline workflow"), state: r.State, took: since(r.Created, r.Ended, now), note: runNote(r, now)}
	if r.Title != "" {
		root.name += "  " + r.Title
	}
	root.children = branches(s, now)
	return root
}

// branches returns the top-level tasks of s as nodes.
func branches(s *Snapshot, now time.Time) []*node {
	byPath := map[string]*node{}
	var top []*node
	for _, t := range s.Tasks {
		n := &node{key: string(s.Run.ID) + "/" + t.Path, name: taskName(t), state: t.State, took: since(t.Started, t.Ended, now), note: taskNote(t, now)}
		if sub := s.Subs[t.Path]; sub != nil {
			n.children = branches(sub, now)
			if n.note == "" && sub.Run.State == api.Waiting {
				n.note = reasonText(sub.Run.Reason, now)
			}
		}
		byPath[t.Path] = n
		if p := byPath[t.Parent]; p != nil {
			p.children = append(p.children, n)
		} else {
			top = append(top, n)
		}
	}
	return top
}

// since returns how long something took or takes, by the server's times where it has ended.
func since(start, end, now time.Time) time.Duration {
	switch {
	case start.IsZero():
		return 0
	case !end.IsZero():
		return end.Sub(start)
	default:
		return max(0, now.Sub(start))
	}
}

func taskName(t api.Task) string {
	name := cmp.Or(t.Title, t.ID)
	if t.Kind == "item" {
		name = cmp.Or(t.Title, t.Path[max(0, strings.LastIndexByte(t.Path, '[')):])
	}
	if t.Attempt > 1 {
		name += fmt.Sprintf("   attempt %d", t.Attempt)
	}
	return name
}

func taskNote(t api.Task, now time.Time) string {
	switch {
	case t.Failure != nil && t.State == api.Failed:
		return t.Failure.Message
	case t.State == api.Waiting || t.State == api.Pending && t.Reason != nil:
		return reasonText(t.Reason, now)
	case t.State == api.Running && t.Kind == "each":
		return progress(t.Counts)
	case t.State == api.Running && t.Attempt > 1 && t.Failure != nil:
		return "before: " + t.Failure.Message
	case t.Undo != "":
		return "undo " + string(t.Undo)
	default:
		return ""
	}
}

func runNote(r api.Run, now time.Time) string {
	var parts []string
	for _, f := range r.Flags {
		parts = append(parts, string(f))
	}
	switch {
	case r.State == api.Waiting:
		parts = append(parts, reasonText(r.Reason, now))
	case r.Failure != nil && r.State == api.Failed:
		parts = append(parts, r.Failure.Task+": "+r.Failure.Message)
	}
	if e := r.Expected; e != nil && !r.State.Ended() {
		parts = append(parts, "usually "+output.Length(time.Duration(e.P50)))
	}
	return strings.Join(slices.DeleteFunc(parts, func(s string) bool { return s == "" }), ", ")
}

// reasonText says why something waits and, where that ends by itself, how long it still takes.
func reasonText(r *api.Reason, now time.Time) string {
	if r == nil {
		return ""
	}
	text := cmp.Or(r.Text, r.Kind)
	if left := r.Until.Sub(now).Round(time.Second); !r.Until.IsZero() && left > 0 {
		text += ", " + output.Length(left) + " left"
	}
	return text
}

func progress(counts map[api.State]int) string {
	total, done := 0, 0
	for s, n := range counts {
		total += n
		if s.Ended() {
			done += n
		}
	}
	if total == 0 {
		return ""
	}
	text := fmt.Sprintf("%d of %d", done, total)
	if n := counts[api.Failed]; n > 0 {
		text += fmt.Sprintf(", %d failed", n)
	}
	return text
}

// Change is a line of the plain form: something moved to a new state.
type Change struct {
	At    time.Time
	State api.State
	// What is the path of a task, or the name of a workflow; of a sub-run with the path that called it.
	What string
	Text string
}

// Changes returns what differs from old, which may be nil, to s, in the order it happened. What is
// still pending is not worth a line.
func Changes(old, s *Snapshot, now time.Time) []Change {
	var out []Change
	changes(&out, old, s, "", now)
	slices.SortStableFunc(out, func(a, b Change) int {
		if c := a.At.Compare(b.At); c != 0 || !a.State.Ended() || !b.State.Ended() {
			return c
		}
		return cmp.Compare(depth(b.What), depth(a.What)) // what is inside ends before what is around it
	})
	if old == nil || old.Run.State != s.Run.State {
		c := runChange(s, now)
		if s.Run.State.Ended() {
			out = append(out, c)
		} else {
			out = append([]Change{c}, out...)
		}
	}
	return out
}

// depth counts the groups and runs around a path.
func depth(path string) int {
	return strings.Count(path, ".") + strings.Count(path, "[") + strings.Count(path, " > ")
}

func runChange(s *Snapshot, now time.Time) Change {
	r := s.Run
	c := Change{At: now, State: r.State, What: cmp.Or(r.Workflow, "inline workflow"), Text: runNote(r, now)}
	switch {
	case r.State.Ended():
		c.At = r.Ended
		c.Text = strings.TrimSpace(output.Length(r.Ended.Sub(r.Created)) + "  " + c.Text)
	case r.State != api.Waiting:
		c.At = r.Created
	}
	return c
}

func changes(out *[]Change, old, s *Snapshot, prefix string, now time.Time) {
	before := map[string]api.Task{}
	if old != nil {
		for _, t := range old.Tasks {
			before[t.Path] = t
		}
	}
	for _, t := range s.Tasks {
		b := before[t.Path]
		if t.State != api.Pending && (b.State != t.State || b.Attempt != t.Attempt && t.Attempt > 1) {
			*out = append(*out, taskChange(t, prefix, now))
		}
		if sub := s.Subs[t.Path]; sub != nil {
			var o *Snapshot
			if old != nil {
				o = old.Subs[t.Path]
			}
			changes(out, o, sub, prefix+t.Path+" > ", now)
		}
	}
}

func taskChange(t api.Task, prefix string, now time.Time) Change {
	c := Change{At: now, State: t.State, What: prefix + t.Path, Text: taskNote(t, now)}
	if t.Attempt > 1 {
		c.Text = strings.TrimSpace(fmt.Sprintf("attempt %d  %s", t.Attempt, c.Text))
	}
	switch {
	case t.State.Ended():
		if !t.Ended.IsZero() {
			c.At = t.Ended
		}
		if !t.Started.IsZero() && t.State != api.Skipped {
			c.Text = strings.TrimSpace(output.Length(since(t.Started, t.Ended, now)) + "  " + c.Text)
		}
	case t.State == api.Running && !t.Started.IsZero():
		c.At = t.Started
	}
	return c
}

// String returns the change on one line: time of day, state, what, and the rest.
func (c Change) String() string {
	line := fmt.Sprintf("%s  %s %-9s  %s", c.At.UTC().Format("15:04:05"), output.Glyph(c.State), c.State, output.Clean(c.What))
	if c.Text != "" {
		line += "  " + output.Clean(c.Text)
	}
	return line
}
