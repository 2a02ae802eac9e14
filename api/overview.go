package api

import (
	"time"

	"tutti/bus"
)

// Counts are what a person wants to see beside the names of pages.
type Counts struct {
	Approvals int `json:"approvals"` // wait for a decision that the caller may take
	Requests  int `json:"requests"`  // go on
	Failed    int `json:"failed"`    // of the caller, failed and not submitted again since
	Runs      int `json:"runs"`      // go on, without those that others call
	Down      int `json:"down"`      // services and workers that were there minutes ago
}

// Home is what a person sees first. Lists are cut; Counts has how many there are, up to a thousand.
type Home struct {
	Counts Counts `json:"counts"`
	// Approvals wait for a decision that the caller may take, oldest first; Failed are the caller's requests
	// that failed and were not submitted again, newest first.
	Approvals []Approval `json:"approvals"`
	Failed    []Request  `json:"failed"`
	// Running are the newest runs that go on, without those that others call, with the counts of their
	// tasks and how long they usually take.
	Running []Run  `json:"running"`
	Health  Health `json:"health"`
}

// Health is how the installation does.
type Health struct {
	Up    int `json:"up"` // services and workers
	Total int `json:"total"`
	// Down are those that were there minutes ago.
	Down []Presence `json:"down"`
	// Queue is what is ready for a worker and not taken, by pool.
	Queue []PoolQueue `json:"queue"`
	// Hours are the runs of the last 24 hours by the hour they began in, oldest first.
	Hours []HourOfRuns `json:"hours"`
}

// PoolQueue is what a pool has to do in a namespace.
type PoolQueue struct {
	Pool   string `json:"pool"`
	Queued int    `json:"queued"` // ready, and not with a worker
	Taken  int    `json:"taken"`  // with a worker
	// Oldest is since when the first of those that are queued waits.
	Oldest time.Time `json:"oldest,omitzero"`
	Run    RunID     `json:"run,omitempty"` // of the oldest
	Task   string    `json:"task,omitempty"`
}

// HourOfRuns counts the runs that began in an hour.
type HourOfRuns struct {
	At     time.Time     `json:"at"`
	States map[State]int `json:"states,omitempty"`
}

// HomeIn asks for a namespace as the caller sees it.
type HomeIn struct{ NS }

// StatsIn asks for counts of runs.
type StatsIn struct {
	NS
	Hours    int    `query:"hours" doc:"How far back; default 24" minimum:"1" maximum:"720"`
	Workflow string `query:"workflow" doc:"Only of this workflow"`
}

// WorkflowUse is how often a workflow was used, and how that went.
type WorkflowUse struct {
	Workflow  string `json:"workflow"`
	Runs      int    `json:"runs"`
	Succeeded int    `json:"succeeded"`
	Failed    int    `json:"failed"`
	Active    int    `json:"active"`
	// Last is when the newest of them began.
	Last time.Time `json:"last,omitzero"`
	// Expected is how long it usually takes; nil where none has succeeded lately.
	Expected *Expected `json:"expected,omitempty"`
}

// WorkflowUsesIn asks how workflows were used.
type WorkflowUsesIn struct {
	NS
	Days int `query:"days" doc:"How far back; default 30" minimum:"1" maximum:"365"`
}

// The methods that put together what a person wants to see.
var (
	GetHome      = bus.Method[HomeIn, Home]{Name: "home.get", HTTP: "GET /v1/namespaces/{namespace}/home", Perm: "run.read", Doc: "Get what needs the caller, what runs, and how the installation does."}
	GetCounts    = bus.Method[HomeIn, Counts]{Name: "home.counts", HTTP: "GET /v1/namespaces/{namespace}/counts", Perm: "run.read", Doc: "Count what needs the caller and what runs."}
	RunQueue     = bus.Method[HomeIn, Page[PoolQueue]]{Name: "run.queue", HTTP: "GET /v1/namespaces/{namespace}/queue", Perm: "run.read", Doc: "Say what is ready for workers and not taken, by pool."}
	WorkflowUses = bus.Method[WorkflowUsesIn, Page[WorkflowUse]]{Name: "workflow.uses", HTTP: "GET /v1/namespaces/{namespace}/workflows/uses", Perm: "run.read", Doc: "Say how often each workflow was used, how that went and how long it takes, by name."}
	RunStats     = bus.Method[StatsIn, Page[HourOfRuns]]{Name: "run.stats", HTTP: "GET /v1/namespaces/{namespace}/stats", Perm: "run.read", Doc: "Count runs by state and by the hour they began in, oldest first."}
)
