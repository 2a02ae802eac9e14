package simulate

import (
	"encoding/json"
	"slices"
	"time"

	"tutti/api"
	"tutti/errs"
	"tutti/internal/document"
	"tutti/internal/workflow/core"
	"tutti/internal/workflow/dag"
	"tutti/internal/workflow/definition"
)

// ExportFormat is what the files of exported runs say they are.
const ExportFormat = "tutti.run/1"

// Export is a run with everything needed to look at it without the server it ran on: its definition, its
// journal, its sub-runs and its log. It is a Recording too.
type Export struct {
	Format   string    `json:"format"`
	Version  string    `json:"version"` // of the program that wrote it
	Exported time.Time `json:"exported"`
	Root     api.RunID `json:"root"`
	Recording
	Runs []ExportedRun `json:"runs"` // the root first
}

// ExportedRun is one of the runs of an export.
type ExportedRun struct {
	api.RunExport
	Log []api.LogLine `json:"log,omitempty"`
}

// ReadExport reads an exported run. It returns errs.Invalid.
func ReadExport(data []byte) (*Export, error) {
	var x Export
	if err := json.Unmarshal(data, &x); err != nil {
		return nil, errs.New(errs.Invalid, "this is not an exported run: %w", err)
	}
	if x.Format != ExportFormat || x.Find(x.Root) == nil {
		return nil, errs.New(errs.Invalid, "this is not an exported run: its format is %q", x.Format).WithHint("tutti run export ID > FILE writes one")
	}
	return &x, nil
}

// Find returns a run of the export, or nil.
func (x *Export) Find(id api.RunID) *ExportedRun {
	for i := range x.Runs {
		if x.Runs[i].Run.ID == id {
			return &x.Runs[i]
		}
	}
	return nil
}

// At returns the run as it was right after an event; 0 is the last.
func (e *ExportedRun) At(seq int64) (*core.Run, error) {
	g, err := definition.Load(e.Definition, e.Run.Digest)
	if err != nil {
		return nil, errs.New(errs.Invalid, "the definition of run %s: %w", e.Run.ID, err)
	}
	r := core.New(g, expansion)
	for _, row := range e.Journal {
		if seq > 0 && r.Seq == seq {
			break
		}
		var events []core.Event
		if err := json.Unmarshal(row.Events, &events); err != nil {
			return nil, errs.New(errs.Invalid, "the journal of run %s at %d: %w", e.Run.ID, row.Seq, err)
		}
		if want := r.Seq + int64(len(events)); row.Seq != want {
			return nil, errs.New(errs.Invalid, "the journal of run %s has a row that ends at event %d; want %d", e.Run.ID, row.Seq, want)
		}
		if seq > 0 {
			events = events[:min(int64(len(events)), seq-r.Seq)]
		}
		if err := r.Replay(row.At, events); err != nil {
			return nil, errs.New(errs.Invalid, "the journal of run %s: %w", e.Run.ID, err)
		}
	}
	if r.Seq < seq || r.Seq == 0 {
		return nil, errs.New(errs.Invalid, "run %s has no event %d: its last is %d", e.Run.ID, seq, r.Seq)
	}
	return r, nil
}

// expansion compiles what a task expanded to.
func expansion(doc []byte) (*dag.Graph, error) {
	docs, problems := document.Parse("expansion", doc)
	if len(problems) > 0 {
		return nil, errs.New(errs.Invalid, "the expansion cannot be read").WithProblems(problems...)
	}
	return definition.Load(docs[0].JSON, docs[0].Digest)
}

// Record fills in the recording from the journals, so that the run can be simulated again. Of a task that
// a person retried it keeps how it ended: nobody retries it in a simulation.
func (x *Export) Record() error {
	root := x.Find(x.Root)
	x.Definition, x.Workflow, x.Inputs, x.Tasks, x.Called = root.Definition, root.Run.Workflow, root.Run.Inputs, nil, nil
	known := map[string]bool{root.Run.Workflow: true}
	for _, sub := range x.Runs {
		if !known[sub.Run.Workflow] {
			known[sub.Run.Workflow] = true
			x.Called = append(x.Called, sub.Definition)
		}
	}
	return x.record(root, "", 0)
}

// record adds the tasks of a run, whose paths begin so, and those of its sub-runs.
func (x *Export) record(e *ExportedRun, prefix string, depth int) error {
	r, err := e.At(0)
	if err != nil {
		return err
	}
	retried := e.retried()
	for _, t := range r.Tasks() {
		full, err := r.Task(t.Path)
		if err != nil {
			return err
		}
		if retried && full.State == api.Succeeded {
			full.Attempts = nil
		}
		x.Tasks = append(x.Tasks, Recorded{Path: prefix + t.Path, Use: t.Use, State: t.State, Input: full.Input, Output: full.Output, Failure: t.Failure,
			Started: t.Started, Ended: t.Ended, Attempts: full.Attempts})
		if sub := x.Find(t.Run); t.Run != "" && sub != nil && depth < maxExportDepth {
			if err := x.record(sub, prefix+t.Path+"/", depth+1); err != nil {
				return err
			}
		}
	}
	return nil
}

// retried reports whether a person retried anything in the run.
func (e *ExportedRun) retried() bool {
	for _, row := range e.Journal {
		var events []core.Event
		if json.Unmarshal(row.Events, &events) == nil && slices.ContainsFunc(events, func(ev core.Event) bool { return ev.Type == core.Retried }) {
			return true
		}
	}
	return false
}

// maxExportDepth bounds sub-runs inside sub-runs.
const maxExportDepth = 20
