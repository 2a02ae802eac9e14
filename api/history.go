package api

import (
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

// The methods that answer what comes next, and when.
var (
	RunWhy = bus.Method[RunIn, Why]{Name: "run.why", HTTP: "GET /v1/namespaces/{namespace}/runs/{id}/why", Perm: "run.read",
		Doc: "Say of every task that waits, in a run and its sub-runs, what it waits for."}
	WorkflowDurations = bus.Method[DurationsIn, Durations]{Name: "workflow.durations", HTTP: "GET /v1/namespaces/{namespace}/workflows/{name}/durations", Perm: "run.read",
		Doc: "Say how long a workflow and its tasks usually take."}
)
