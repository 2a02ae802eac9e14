package api

import (
	"time"

	"tutti/bus"
)

// HistoryGrid is the last runs of a workflow by its tasks, small enough to be drawn at once.
type HistoryGrid struct {
	Workflow string `json:"workflow"`
	// Tasks are the paths of the plan that any of the runs has, in its order; items of an each are not among
	// them.
	Tasks []string `json:"tasks"`
	// Runs are newest first.
	Runs []HistoryRun `json:"runs"`
}

// HistoryRun is a column of a grid.
type HistoryRun struct {
	ID      RunID     `json:"id"`
	State   State     `json:"state"`
	Version int       `json:"version,omitempty"`
	Created time.Time `json:"created"`
	Ended   time.Time `json:"ended,omitzero"`
	// States has a letter for each of Tasks: p pending, r running, w waiting, s succeeded, f failed, k
	// skipped, c cancelled, - where the run has no such task.
	States string `json:"states"`
	// Took is how long each took, in milliseconds; 0 where it has not run.
	Took []int64 `json:"took"`
}

// HistoryGridIn names a workflow.
type HistoryGridIn struct {
	NS
	Name  string `path:"name" doc:"Name of the workflow"`
	Limit int    `query:"limit" doc:"How many runs; default 50" minimum:"1" maximum:"100"`
}

// WorkflowHistory reads the last runs of a workflow.
var WorkflowHistory = bus.Method[HistoryGridIn, HistoryGrid]{Name: "workflow.history", HTTP: "GET /v1/namespaces/{namespace}/workflows/{name}/history", Perm: "run.read",
	Doc: "Show the last runs of a workflow by its tasks, with state and duration."}

// RoleInfo is a role and what it may do.
type RoleInfo struct {
	Name        string   `json:"name"`
	Permissions []string `json:"permissions"`
}

// ListRoles lists the roles that can be granted.
var ListRoles = bus.Method[Nothing, Page[RoleInfo]]{Name: "role.list", HTTP: "GET /v1/roles", Perm: bus.Anyone, Doc: "List the roles that can be granted, weakest first, with what each may do."}
