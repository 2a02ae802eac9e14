package api

import (
	"time"

	"tutti/bus"
)

// TraceView is everything a request caused, on one timeline: requests with their re-submissions, runs with
// their sub-runs, tasks, attempts, commits, files and mails.
type TraceView struct {
	Trace string `json:"trace"`
	Title string `json:"title,omitempty"` // of the newest request, else of the first run
	State State  `json:"state"`           // of the newest request, else of the newest run
	// Request and Run are the newest of the trace: what actions are about.
	Request  string    `json:"request,omitempty"`
	Run      RunID     `json:"run,omitempty"`
	Workflow string    `json:"workflow,omitempty"`
	Version  int       `json:"version,omitempty"`
	By       string    `json:"by,omitempty"`
	Started  time.Time `json:"started,omitzero"`
	Ended    time.Time `json:"ended,omitzero"` // zero while something of it goes on
	// Requests and Runs are how many there are; Runs without those that others call.
	Requests int `json:"requests"`
	Runs     int `json:"runs"`
	// Counts says how many tasks are in each state, over all runs that are shown.
	Counts map[State]int `json:"counts,omitempty"`
	// Rows are in the order of a tree drawn from top to bottom: what is inside a row follows it.
	Rows []TraceRow `json:"rows"`
	// Seq is where the stream goes on after this: topic=trace:ID@SEQ.
	Seq int64 `json:"seq"`
	// Cursor goes on where an answer with under is cut off.
	Cursor string `json:"cursor,omitempty"`
	// More says that rows are left out, here or below; each place has a row of kind "more".
	More bool `json:"more,omitempty"`
}

// TraceRow is one row of a trace.
type TraceRow struct {
	// ID is the same for as long as the trace is looked at: an ID of a request, run, file or mail;
	// run_…/path of a task; run_…/path@2 of an attempt.
	ID     string `json:"id"`
	Parent string `json:"parent,omitempty"`
	// Depth counts from 0 at the top. In an answer with since or under it counts within the answer; a row
	// that is new there is the last inside its parent.
	Depth int `json:"depth"`
	// Kind is "request", "run", "group", "task", "approval", "each", "item", "attempt", "commit", "file",
	// "mail", or "more" where rows are left out.
	Kind   string  `json:"kind"`
	Title  string  `json:"title"`
	Use    string  `json:"use,omitempty"`
	State  State   `json:"state,omitempty"`
	Flags  []Flag  `json:"flags,omitempty"`
	Reason *Reason `json:"reason,omitempty"`
	// Ready is when everything it waited for was there, Started when work on it began: between them it
	// was queued. A row that waits, as an approval, may never start.
	Ready   time.Time `json:"ready,omitzero"`
	Started time.Time `json:"started,omitzero"`
	Ended   time.Time `json:"ended,omitzero"`
	// Failure says in a line why it failed; Hint what to do.
	Failure string `json:"failure,omitempty"`
	Hint    string `json:"hint,omitempty"`
	// Attempt is the number of an attempt, or of the last one of a task; Attempts how many there were.
	Attempt  int    `json:"attempt,omitempty"`
	Attempts int    `json:"attempts,omitempty"`
	Worker   string `json:"worker,omitempty"`
	By       string `json:"by,omitempty"`
	// What it points at: Run and Task of a task, Sub the run that it calls, Of the request that is
	// submitted again.
	Request    string `json:"request,omitempty"`
	Of         string `json:"of,omitempty"`
	Run        RunID  `json:"run,omitempty"`
	Task       string `json:"task,omitempty"`
	Sub        RunID  `json:"sub,omitempty"`
	Workflow   string `json:"workflow,omitempty"`
	Version    int    `json:"version,omitempty"`
	Repository string `json:"repository,omitempty"`
	Commit     string `json:"commit,omitempty"`
	File       string `json:"file,omitempty"`
	Undo       State  `json:"undo,omitempty"`
	// Counts says how many are in each state: children of a group, items of an each, tasks of a run.
	Counts map[State]int `json:"counts,omitempty"`
	// More is, of a row of kind "more", how many rows are left out below its parent: ask for the trace
	// with under=PARENT.
	More int `json:"more,omitempty"`
}

// GetTraceIn names a trace.
type GetTraceIn struct {
	NS
	Trace string    `path:"trace" doc:"Trace ID of 32 hex digits, or the ID of a request or a run of it"`
	Limit int       `query:"limit" doc:"How many tasks of one run at most; default 500. What failed, runs or waits comes first" minimum:"1" maximum:"5000"`
	Under string    `query:"under" doc:"Only what is inside the row of this ID, such as the items of an each" maxLength:"1100"`
	Since time.Time `query:"since" doc:"Only rows that something happened to at this time or later"`
	// Cursor goes on below Under.
	Cursor string `query:"cursor" doc:"Where an answer with under went on" maxLength:"200"`
}

// GetTrace reads a trace.
var GetTrace = bus.Method[GetTraceIn, TraceView]{Name: "trace.get", HTTP: "GET /v1/namespaces/{namespace}/traces/{trace}", Perm: "run.read",
	Doc: "Get everything a request caused as one timeline."}
