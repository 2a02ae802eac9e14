package api

import (
	"encoding/json"

	"tutti/bus"
	"tutti/errs"
)

// DraftGraphIn asks for the plan of a workflow that is not applied.
type DraftGraphIn struct {
	NS
	Body DraftGraphBody
}

// DraftGraphBody holds the documents.
type DraftGraphBody struct {
	Files []SourceFile `json:"files" minItems:"1" maxItems:"50"`
	// Workflow is the one to draw; the first of the files by default.
	Workflow string `json:"workflow,omitempty" maxLength:"127"`
	Open     string `json:"open,omitempty" doc:"Paths of groups to draw with what is inside, separated by commas" maxLength:"4000"`
}

// DraftGraph is what is wrong with documents, and the plan of a workflow of theirs.
type DraftGraph struct {
	// Problems are all that is wrong, each with file, line and column.
	Problems []errs.Problem `json:"problems"`
	// Workflows are the sound ones of the files.
	Workflows []string `json:"workflows"`
	// Graph is the plan of the workflow; nil where it is not sound.
	Graph *Graph `json:"graph,omitempty"`
}

// SimulateIn plays a workflow that need not be applied.
type SimulateIn struct {
	NS
	Body SimulateBody
}

// SimulateBody says what to play.
type SimulateBody struct {
	Files []SourceFile `json:"files,omitempty" doc:"Workflows that are not applied, or differ from what is; published ones that they call are found" maxItems:"50"`
	// Workflow is the one to play; the first of the files that no other calls by default.
	Workflow string          `json:"workflow,omitempty" maxLength:"127"`
	Inputs   json.RawMessage `json:"inputs,omitempty" doc:"What the workflow's inputs schema asks for; a sample by default"`
	// Scenario is what it meets, as in a document of kind Test: mocks, fail, approvals, signals, cancel, …
	Scenario json.RawMessage `json:"scenario,omitempty" doc:"What the run meets, as in a document of kind Test: mocks, fail, approvals, signals, cancel"`
}

// Simulation is what came of playing a workflow; nothing was done. Times are durations from its start.
type Simulation struct {
	Problems []errs.Problem  `json:"problems,omitempty"` // of the documents: then nothing was played
	Workflow string          `json:"workflow,omitempty"`
	State    State           `json:"state,omitempty"`
	Flags    []Flag          `json:"flags,omitempty"`
	Reason   *Reason         `json:"reason,omitempty"`
	Failure  *RunFail        `json:"failure,omitempty"`
	Inputs   json.RawMessage `json:"inputs,omitempty"`
	Outputs  json.RawMessage `json:"outputs,omitempty"`
	Duration Duration        `json:"duration"`
	Steps    int             `json:"steps"`
	// Undoable are the tasks that an undo would take back, in the order it would.
	Undoable []string          `json:"undoable,omitempty"`
	Faults   []string          `json:"faults,omitempty"` // of the mocks
	Tasks    []SimulatedTask   `json:"tasks"`
	Timeline []SimulatedMoment `json:"timeline"`
}

// SimulatedTask is a task at the end of a simulation.
type SimulatedTask struct {
	Path    string          `json:"path"`
	Use     string          `json:"use,omitempty"`
	State   State           `json:"state"`
	Undo    State           `json:"undo,omitempty"`
	Attempt int             `json:"attempt,omitempty"`
	Started Duration        `json:"started,omitempty"`
	Ended   Duration        `json:"ended,omitempty"`
	Input   json.RawMessage `json:"input,omitempty"`
	Output  json.RawMessage `json:"output,omitempty"`
	Failure *Failure        `json:"failure,omitempty"`
	Why     string          `json:"why,omitempty"`
}

// SimulatedMoment is one thing that happened in a simulation.
type SimulatedMoment struct {
	At      Duration `json:"at"`
	Step    int      `json:"step"`
	Task    string   `json:"task,omitempty"`
	Type    string   `json:"type"`
	Attempt int      `json:"attempt,omitempty"`
	Text    string   `json:"text,omitempty"`
}

// VersionsIn asks for the versions of a definition.
type VersionsIn struct {
	NS
	Paging
	Kind string `path:"kind"`
	Name string `path:"name"`
}

// DiffIn compares two versions of a definition.
type DiffIn struct {
	NS
	Kind string `path:"kind"`
	Name string `path:"name"`
	From int    `query:"from" doc:"A version; the one before To by default" minimum:"0"`
	To   int    `query:"to" doc:"A version; the newest by default" minimum:"0"`
}

// Diff is what changed between two texts.
type Diff struct {
	From int `json:"from"`
	To   int `json:"to"`
	// Text is a unified diff; empty where nothing changed.
	Text    string `json:"text"`
	Added   int    `json:"added"`   // lines
	Removed int    `json:"removed"` // lines
}

// The methods of the workflow editor.
var (
	GraphDefinition    = bus.Method[DraftGraphIn, DraftGraph]{Name: "definition.graph", HTTP: "POST /v1/namespaces/{namespace}/definitions/graph", Perm: "definition.read", Doc: "Check workflows that need not be applied, and lay the plan of one out."}
	SimulateWorkflow   = bus.Method[SimulateIn, Simulation]{Name: "workflow.simulate", HTTP: "POST /v1/namespaces/{namespace}/workflows/simulate", Perm: "definition.read", Doc: "Play a workflow with sample values; nothing is done."}
	DefinitionVersions = bus.Method[VersionsIn, Page[Definition]]{Name: "definition.versions", HTTP: "GET /v1/namespaces/{namespace}/definitions/{kind}/{name}/versions", Perm: "definition.read", Doc: "List the versions of a definition, newest first."}
	DiffDefinition     = bus.Method[DiffIn, Diff]{Name: "definition.diff", HTTP: "GET /v1/namespaces/{namespace}/definitions/{kind}/{name}/diff", Perm: "definition.read", Doc: "Compare two versions of a definition."}
	DefinitionUsers    = bus.Method[VersionsIn, Page[Definition]]{Name: "definition.users", HTTP: "GET /v1/namespaces/{namespace}/definitions/{kind}/{name}/users", Perm: "definition.read", Doc: "List the definitions that use one."}
)
