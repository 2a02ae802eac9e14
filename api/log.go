package api

import (
	"time"

	"tutti/bus"
)

// LogLine is a line a task wrote.
type LogLine struct {
	Task    string `json:"task,omitempty"` // path; filled by the server
	Attempt int    `json:"attempt,omitempty"`
	// Seq numbers the lines of an attempt from 1 as the worker sent them.
	Seq int64     `json:"seq" minimum:"1"`
	At  time.Time `json:"at,omitzero"`
	// Stream is "out", "err" or "log" (of the task type itself).
	Stream string `json:"stream,omitempty" enum:"out,err,log"`
	Text   string `json:"text" maxLength:"65536"`
	// Pos numbers the lines of a run as they arrived; filled by the server.
	Pos int64 `json:"pos,omitempty"`
}

// ReadLogIn asks for log lines of a run, or of one task of it.
type ReadLogIn struct {
	NS
	ID      RunID    `path:"id"`
	Task    string   `query:"task" doc:"Path of a task; with its children. Empty is the whole run"`
	Attempt int      `query:"attempt" doc:"Only this attempt; 0 is all"`
	After   int64    `query:"after" doc:"Pos of the last line already seen; to read from line N, give N-1"`
	Tail    int      `query:"tail" doc:"Only the last lines" minimum:"0" maximum:"10000"`
	Limit   int      `query:"limit" minimum:"1" maximum:"10000"`
	Find    string   `query:"find" doc:"Only lines that contain this text" maxLength:"200"`
	Wait    Duration `query:"wait" doc:"How long to wait for a line where there is none yet; at most 60s"`
}

// LogPage is a part of a log.
type LogPage struct {
	Lines []LogLine `json:"lines"`
	// Last is the Pos to continue after.
	Last int64 `json:"last"`
	// Total is how many lines the log of the run has; a line's Pos is its number.
	Total int64 `json:"total"`
	// Ended says that the run has ended and no line follows.
	Ended bool `json:"ended,omitempty"`
	More  bool `json:"more,omitempty"`
}

// StoreLogIn hands lines that the engine admitted to the log store.
type StoreLogIn struct {
	NS
	Run     RunID
	Task    string
	Attempt int
	Lines   []LogLine
}

// The log methods.
var (
	ReadLog  = bus.Method[ReadLogIn, LogPage]{Name: "log.read", HTTP: "GET /v1/namespaces/{namespace}/runs/{id}/log", Perm: "run.read", Doc: "Read the log of a run or task, in the order it arrived."}
	StoreLog = bus.Method[StoreLogIn, Nothing]{Name: "log.store", Perm: bus.System, Doc: "Store log lines."}
)

// LogChanged is the subject that announces new lines of a run, without guarantee.
func LogChanged(id RunID) string { return "changed.log." + string(id) }
