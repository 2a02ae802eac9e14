package api

import (
	"encoding/json"

	"tutti/bus"
)

// Variable is a value of a run, with where it came from and who reads it.
type Variable struct {
	// Name is how expressions reach it: inputs.cpu, vars.host, tasks.net.out, secrets.token.
	Name string `json:"name"`
	// Origin is "input", "default" (an input that was left out), "var", "output" (of a task), "kept" (a
	// variable that a task keeps) or "secret".
	Origin string `json:"origin"`
	// Value is left out of secrets, of what is not there yet, and where it is large: then Size says how large.
	Value  json.RawMessage `json:"value,omitempty"`
	Masked bool            `json:"masked,omitempty"`
	Size   int             `json:"size,omitempty"` // of the value as JSON, in bytes
	// Task is the task that gave it, by path; State how that task stands.
	Task  string `json:"task,omitempty"`
	State State  `json:"state,omitempty"`
	// Readers are the tasks whose definition mentions it, by path; "outputs" are those of the run.
	Readers []string `json:"readers,omitempty"`
}

// VariablesIn asks for the values of a run.
type VariablesIn struct {
	NS
	Paging
	ID RunID `path:"id"`
}

// ListVariables lists the values of a run.
var ListVariables = bus.Method[VariablesIn, Page[Variable]]{Name: "run.variables", HTTP: "GET /v1/namespaces/{namespace}/runs/{id}/variables", Perm: "run.read",
	Doc: "List the values of a run: inputs, vars, outputs of tasks and secrets, with where each came from and which tasks read it."}

// FindLogIn looks for text in the whole log of a run.
type FindLogIn struct {
	NS
	ID      RunID  `path:"id"`
	Q       string `query:"q" doc:"Text to look for" minLength:"1" maxLength:"200" required:"true"`
	Case    bool   `query:"case" doc:"Tell capital letters from small ones"`
	Back    bool   `query:"back" doc:"From the end to the start"`
	From    int64  `query:"from" doc:"Line to begin at, by its pos; the first, or the last with back, by default" minimum:"0"`
	Task    string `query:"task" doc:"Path of a task; with its children. Empty is the whole run" maxLength:"1000"`
	Attempt int    `query:"attempt" doc:"Only this attempt; 0 is all" minimum:"0"`
	Limit   int    `query:"limit" doc:"How many lines at most; default 200" minimum:"1" maximum:"1000"`
}

// LogMatches are lines that hold a text, in the order they were looked at.
type LogMatches struct {
	Matches []LogMatch `json:"matches"`
	// Next is the line to go on from, where not all were looked at; 0 where they were.
	Next int64 `json:"next,omitempty"`
	// Scanned is how many lines were looked at; Total how many the log has.
	Scanned int   `json:"scanned"`
	Total   int64 `json:"total"`
}

// LogMatch is a line that holds the text.
type LogMatch struct {
	Pos     int64  `json:"pos"`
	Task    string `json:"task,omitempty"`
	Attempt int    `json:"attempt,omitempty"`
	Stream  string `json:"stream,omitempty"`
	// Text is the part of the line around the first match, without colours; the match begins at Column, in
	// characters, and takes Length.
	Text   string `json:"text"`
	Column int    `json:"column"`
	Length int    `json:"length"`
}

// FindLog looks for text in a log.
var FindLog = bus.Method[FindLogIn, LogMatches]{Name: "log.find", HTTP: "GET /v1/namespaces/{namespace}/runs/{id}/log/find", Perm: "run.read",
	Doc: "Find lines of a run's log that hold a text."}
