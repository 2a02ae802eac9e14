package core

import (
	"encoding/json"

	"tutti/api"
	"tutti/internal/workflow/expr"
)

// Type says what an event is about; it is also the name people see.
type Type string

// The events of a run. Each is a decision that was taken, with what it was taken on: applying them
// again needs no expression, clock or chance.
const (
	Created    Type = "run.created"
	Stopping   Type = "run.stopping"   // by cancel, onFailure: stop or the deadline; or a group's timeout (Path)
	Undoing    Type = "run.undoing"    // what completed is being undone
	Finishing  Type = "run.finishing"  // `finally` begins
	Ended      Type = "run.ended"      // final, until somebody retries or undoes
	Retried    Type = "run.retried"    // a person's retry
	Forked     Type = "run.forked"     // the run begins here; what comes before happened in the run it was made from
	Started    Type = "task.started"   // an attempt of a call is ready for a worker, or a sub-run starts
	Opened     Type = "task.opened"    // a group or an `each` begins
	Waits      Type = "task.waiting"   // approval, timer, callback or back-off
	Claimed    Type = "task.claimed"   // a worker has held it for longer than a heartbeat
	Lost       Type = "task.lost"      // the worker is gone; another attempt follows
	VarsSet    Type = "task.vars"      // task variables were stored
	Parked     Type = "task.parked"    // it waits for a callback
	Expanded   Type = "task.expanded"  // tasks run in its place
	Retrying   Type = "task.retrying"  // an attempt failed; another follows after a wait
	Paused     Type = "task.paused"    // it failed, and a person decides how it goes on
	Done       Type = "task.succeeded" // final
	FailedTask Type = "task.failed"    // final
	SkippedBy  Type = "task.skipped"   // final
	CancelledT Type = "task.cancelled" // final
	Queued     Type = "task.queued"    // it waits for a place under its limit, or for its `once` (no Path: the run)
	Granted    Type = "task.granted"   // it has the place
	PausedRun  Type = "run.paused"     // nothing new starts until it is resumed
	Resumed    Type = "run.resumed"
	Signalled  Type = "run.signalled"  // a signal came that no task waits for yet
	Voted      Type = "task.voted"     // one of several approvals that are needed
	Rolled     Type = "task.rolled"    // the planner of a rollout decided
	UndoesItem Type = "task.undoing"   // what was done for an item of a rollout is being undone
	Abandoned  Type = "task.abandoned" // the tasks of a group (Path) that had not started will not
)

// Event is one thing that happened in a run, as the journal keeps it.
type Event struct {
	Type    Type               `json:"t"`
	Path    string             `json:"p,omitempty"`
	Attempt int                `json:"a,omitempty"`
	By      string             `json:"by,omitempty"`
	Input   json.RawMessage    `json:"in,omitempty"`
	Secrets []expr.SecretUse   `json:"sec,omitempty"`
	Out     json.RawMessage    `json:"out,omitempty"`
	Failure *api.Failure       `json:"f,omitempty"`
	Reason  *api.Reason        `json:"r,omitempty"`
	Until   int64              `json:"u,omitempty"` // microseconds since 1970
	Claim   string             `json:"c,omitempty"` // nonce of a durable claim
	Child   string             `json:"child,omitempty"`
	State   api.State          `json:"s,omitempty"`
	Task    string             `json:"task,omitempty"` // of the failure that made a run fail
	Keys    []string           `json:"keys,omitempty"` // of the items of an `each`
	Items   json.RawMessage    `json:"items,omitempty"`
	Vars    map[string]rawJSON `json:"vars,omitempty"`
	Meta    *Meta              `json:"meta,omitempty"`
	Cause   string             `json:"why,omitempty"`
	Doc     json.RawMessage    `json:"doc,omitempty"` // of an expansion: a workflow document
	Key     string             `json:"key,omitempty"` // of a limit or of once
	Once    bool               `json:"once,omitempty"`
	Hold    bool               `json:"hold,omitempty"`
	Inputs  json.RawMessage    `json:"inputs,omitempty"` // of a forked run, where they are others
}

type rawJSON = json.RawMessage

// Meta is what a run is, fixed when it was created.
type Meta struct {
	ID        api.RunID      `json:"id"`
	Namespace string         `json:"ns"`
	Workflow  string         `json:"wf"`
	Version   int            `json:"v,omitempty"`
	Digest    string         `json:"digest"`
	Title     string         `json:"title,omitempty"`
	Trace     string         `json:"trace"`
	Request   string         `json:"req,omitempty"`
	Requester string         `json:"by"`
	Role      string         `json:"role"` // it works with
	Parent    *api.TaskRef   `json:"parent,omitempty"`
	ForkOf    *api.ForkOf    `json:"fork,omitempty"`  // the run it was made from
	Depth     int            `json:"depth,omitempty"` // how many runs are above it
	Pins      map[string]Pin `json:"pins,omitempty"`  // the workflows it may call, by name
	Types     map[string]Pin `json:"types,omitempty"` // the declared task types it may use, by name
}

// Pin fixes the version of something that a run may call.
type Pin struct {
	Digest  string `json:"d"`
	Version int    `json:"v,omitempty"`
	Role    string `json:"r,omitempty"` // of who published it; of workflows
}
