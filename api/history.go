package api

import (
	"encoding/json"
	"time"

	"tutti/bus"
)

// Moment asks how something stood as of an event of its run.
type Moment struct {
	At int64 `query:"at" doc:"As of this event of the run, by its number; now by default" minimum:"0"`
}

// Expected is how long something usually takes, from the newest runs that succeeded.
type Expected struct {
	P50  Duration `json:"p50"`  // half of them took no longer
	P90  Duration `json:"p90"`  // nine in ten took no longer
	Runs int      `json:"runs"` // how many runs say so
	// Ends is when a run that goes on will have ended, by what its tasks usually take; only in GetRun.
	Ends time.Time `json:"ends,omitzero"`
}

// DurationsIn names a workflow.
type DurationsIn struct {
	NS
	Name string `path:"name" doc:"Name of the workflow"`
}

// Durations are how long a workflow and its tasks usually take.
type Durations struct {
	Workflow string `json:"workflow"`
	// Expected is of the whole run; nil where none has succeeded lately.
	Expected *Expected `json:"expected,omitempty"`
	// Tasks are in the order of their paths, which are those of the definition: all items of an `each` count
	// for one path.
	Tasks []TaskDuration `json:"tasks,omitempty"`
}

// TaskDuration is how long a task usually takes, from its first attempt to its end.
type TaskDuration struct {
	Path string `json:"path"`
	Expected
}

// Why says what a run waits for.
type Why struct {
	Run   RunID  `json:"run"`
	State State  `json:"state"`
	Flags []Flag `json:"flags,omitempty"`
	// Reason is why the run as a whole does not go on, where it does not.
	Reason *Reason `json:"reason,omitempty"`
	// Items are the tasks that wait, in it and in its sub-runs; those that a worker carries out are not among
	// them.
	Items []WhyItem `json:"items"`
	// More says that there are more than are listed.
	More bool `json:"more,omitempty"`
}

// WhyItem is a task that waits, with all that it waits for.
type WhyItem struct {
	Run     RunID     `json:"run"`
	Task    string    `json:"task"`
	Title   string    `json:"title,omitempty"`
	Use     string    `json:"use,omitempty"`
	State   State     `json:"state"`
	Attempt int       `json:"attempt,omitempty"`
	Since   time.Time `json:"since,omitzero"` // when it was ready
	Reasons []Reason  `json:"reasons"`
}

// ExportRunIn asks for a part of what is stored of a run.
type ExportRunIn struct {
	NS
	ID    RunID `path:"id"`
	After int64 `query:"after" doc:"Number of the last event of the part before; 0 is the first part" minimum:"0"`
}

// RunExport is a part of what is stored of a run, enough to show it elsewhere as of each of its events.
// Secrets are in none of it, nor what a worker proves its claims with.
type RunExport struct {
	Run Run `json:"run"`
	// Definition is the document that the run is pinned to; only in the first part.
	Definition json.RawMessage `json:"definition,omitempty"`
	Journal    []JournalRow    `json:"journal"`
	// Next is the After of the next part; 0 at the end.
	Next int64 `json:"next,omitempty"`
}

// JournalRow is what one command decided: its events, in the form that the engine stores them in.
type JournalRow struct {
	Seq    int64           `json:"seq"` // number of the last of them
	At     int64           `json:"at"`  // microseconds since 1970
	Events json.RawMessage `json:"events"`
}

// The methods that answer what comes next, and when.
var (
	ExportRun = bus.Method[ExportRunIn, RunExport]{Name: "run.export", HTTP: "GET /v1/namespaces/{namespace}/runs/{id}/export", Perm: "run.read",
		Doc: "Read what is stored of a run, part by part, to look at it elsewhere."}
	RunWhy = bus.Method[RunIn, Why]{Name: "run.why", HTTP: "GET /v1/namespaces/{namespace}/runs/{id}/why", Perm: "run.read",
		Doc: "Say of every task that waits, in a run and its sub-runs, what it waits for."}
	WorkflowDurations = bus.Method[DurationsIn, Durations]{Name: "workflow.durations", HTTP: "GET /v1/namespaces/{namespace}/workflows/{name}/durations", Perm: "run.read",
		Doc: "Say how long a workflow and its tasks usually take."}
)
