package simulate

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"tutti/api"
	"tutti/internal/workflow/core"
)

// Report is what came of a simulated run. Times are durations from its start.
type Report struct {
	Workflow string          `json:"workflow"`
	Digest   string          `json:"digest"`
	Seed     int64           `json:"seed,omitempty"`
	State    api.State       `json:"state"`
	Flags    []api.Flag      `json:"flags,omitempty"`
	Reason   *api.Reason     `json:"reason,omitempty"` // of a run that waits: for what
	Failure  *api.RunFail    `json:"failure,omitempty"`
	Inputs   json.RawMessage `json:"inputs,omitempty"`
	Outputs  json.RawMessage `json:"outputs,omitempty"`
	Duration api.Duration    `json:"duration"`
	// Steps is how many commands the engine was given.
	Steps int `json:"steps"`
	// Undoable are the tasks that an undo would take back, in the order it would.
	Undoable []string `json:"undoable,omitempty"`
	// Undone are the tasks that were taken back, in the order they were.
	Undone  []string   `json:"undone,omitempty"`
	Emitted []Emission `json:"emitted,omitempty"`
	// Problems are faults of the mocks, such as an output that the task type cannot give.
	Problems []string `json:"problems,omitempty"`
	Crash    *Crash   `json:"crash,omitempty"`
	Tasks    []Task   `json:"tasks"`
	Timeline []Line   `json:"timeline"`
}

// Emission is an event that a task published.
type Emission struct {
	Task string          `json:"task"`
	Type string          `json:"type"`
	Data json.RawMessage `json:"data,omitempty"`
}

// Task is a task of the run, or of a sub-run, at the end.
type Task struct {
	Path    string          `json:"path"`
	Use     string          `json:"use,omitempty"`
	State   api.State       `json:"state"`
	Undo    api.State       `json:"undo,omitempty"`
	Attempt int             `json:"attempt,omitempty"`
	Started api.Duration    `json:"started,omitempty"`
	Ended   api.Duration    `json:"ended,omitempty"`
	Input   json.RawMessage `json:"input,omitempty"`
	Output  json.RawMessage `json:"output,omitempty"`
	Failure *api.Failure    `json:"failure,omitempty"`
	Why     string          `json:"why,omitempty"` // it waits, was skipped or cancelled
}

// Line is one thing that happened.
type Line struct {
	At      api.Duration `json:"at"`
	Step    int          `json:"step"`
	Task    string       `json:"task,omitempty"` // empty is the run itself
	Type    string       `json:"type"`
	Attempt int          `json:"attempt,omitempty"`
	Text    string       `json:"text,omitempty"`
}

// finish writes down how everything stands.
func (w *world) finish() {
	root := w.runs[0].core
	v, rep := root.View(), w.rep
	rep.State, rep.Flags, rep.Reason, rep.Failure, rep.Outputs = v.State, v.Flags, v.Reason, v.Failure, v.Outputs
	rep.Duration, rep.Steps = offset(w.now-w.start), w.steps
	if rep.Reason != nil { // a run that ended has none
		reason := *rep.Reason
		rep.Reason = &reason
	}
	rep.Undoable = w.undoable(w.runs[0])
	for _, r := range w.runs {
		for _, t := range r.core.Tasks() {
			full, err := r.core.Task(t.Path)
			if err != nil {
				full = t
			}
			rep.Tasks = append(rep.Tasks, w.task(r, full))
		}
	}
}

func (w *world) task(r *run, t api.Task) Task {
	out := Task{Path: r.path(t.Path), Use: t.Use, State: t.State, Undo: t.Undo, Attempt: t.Attempt, Input: t.Input, Output: t.Output, Failure: t.Failure}
	if !t.Started.IsZero() {
		out.Started = offset(t.Started.UnixMicro() - w.start)
	}
	if !t.Ended.IsZero() {
		out.Ended = offset(t.Ended.UnixMicro() - w.start)
	}
	if t.Reason != nil && t.State != api.Running {
		out.Why = t.Reason.Text
	}
	return out
}

// undoable returns what an undo of a run would take back, in order. A sub-run is undone by its own
// chain where its task has no undo.
func (w *world) undoable(r *run) (out []string) {
	for _, s := range r.core.Undoable() {
		if c := w.byID[s.Run]; c != nil && s.Use == "" {
			out = append(out, w.undoable(c)...)
		}
		out = append(out, r.path(s.Path))
	}
	return out
}

// describe says an event in words.
func describe(e *core.Event) string {
	var b strings.Builder
	add := func(format string, args ...any) {
		if b.Len() > 0 {
			b.WriteString(": ")
		}
		fmt.Fprintf(&b, format, args...)
	}
	switch e.Type {
	case core.Started:
		if e.Child != "" {
			add("its sub-run starts")
		} else {
			add("attempt %d begins", e.Attempt)
		}
	case core.Opened:
		if len(e.Keys) > 0 || e.Attempt == 0 {
			add("%d items", len(e.Keys))
		} else {
			add("attempt %d begins", e.Attempt)
		}
	case core.Queued, core.Granted:
		add("%s %q", map[bool]string{true: "once", false: "limit"}[e.Once], e.Key)
	case core.Ended, core.Undoing, core.Finishing:
		add("%s", e.State)
	case core.Signalled:
		add("%s, which nobody waits for yet", e.Key)
	}
	if e.Reason != nil && e.Type != core.Queued {
		add("%s", e.Reason.Text)
	}
	if e.Cause != "" {
		add("%s", e.Cause)
	}
	if e.Failure != nil && e.Reason == nil {
		add("%s", e.Failure.Message)
		fmt.Fprintf(&b, " (%s)", cmp.Or(e.Failure.Type, "no type"))
	}
	if e.By != "" && e.By != "mock" {
		add("by %s", e.By)
	}
	return b.String()
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
