// Package dag is the compiled form of a workflow definition: what the engine's core walks. Package
// definition makes it from a document; nothing here does I/O or changes after it was made, so one
// Graph serves every run of its digest.
package dag

import (
	"encoding/json"
	"time"

	"tutti/internal/workflow/expr"
)

// Graph is a workflow, compiled.
type Graph struct {
	Digest string // SHA-256 of the canonical JSON, in hex
	Name   string
	Title  string

	Inputs    json.RawMessage // the JSON Schema of the inputs; nil accepts an object of anything
	Vars      []Var           // in an order in which each may read the ones before
	Tasks     *Scope
	Finally   *Scope         // nil where there is none
	Outputs   *expr.Template // nil where there are none
	OnFailure OnFailure
	Limit     *Limit
	Priority  int
	Deadline  time.Duration // of the whole run; 0 is none

	Scopes    []*Scope // every scope, by Scope.Index; Tasks is 0
	Workflows []string // names of the workflows it calls, sorted
}

// Var is a value computed once, when the run starts. It may read inputs, run and earlier vars.
type Var struct {
	Name  string
	Value *expr.Template
}

// OnFailure says what a run does once a task failed that is not tolerated.
type OnFailure string

// What a run may do when a task fails.
const (
	Drain        OnFailure = "drain" // let what runs end, start nothing new (the default)
	Stop         OnFailure = "stop"  // cancel what runs
	PauseRun     OnFailure = "pause" // wait for a person
	UndoFinished OnFailure = "undo"  // drain, then undo what completed, newest first
)

// Scope is a map of tasks that see one another: the root, a group's body, the body of an `each`, or
// `finally`.
type Scope struct {
	Index  int     // in Graph.Scopes
	Owner  *Task   // the task whose body it is; nil for the root and for `finally`
	Parent *Scope  // the scope Owner lies in; nil for the root and for `finally`
	Tasks  []*Task // in topological order, ties by ID: the same for a digest, always
	ByID   map[string]*Task
}

// Task is a node. It either calls something (Use) or is a group (Body).
type Task struct {
	ID    string
	Title string
	Scope *Scope // the scope it lies in
	Index int    // in Scope.Tasks

	Use  string         // a task type, "workflow:<name>", or "" for a group
	With *expr.Template // nil is {}
	Body *Scope         // the tasks of a group; nil for a call
	// Outputs is what a group gives to others; a group without has an empty object.
	Outputs *expr.Template

	Deps       []Dep // within Scope; a reference from inside a group to a task outside it is a Dep of the group
	Dependents []Dep // the same edges from the other end: On is the task that has the Dep on this one

	When     *expr.Program // nil is true
	Each     *Each         // nil runs once
	Retry    *Retry        // nil is no retry
	Timeout  time.Duration // of one attempt; 0 is none
	Deadline time.Duration // from when it became ready to its end, over all attempts; 0 is none
	OnError  OnError
	Undo     *Call
	Limit    *Limit
	Once     *expr.Template // an idempotency key: text
	Pool     string         // where it runs; "" is "default"
}

// Dep is an edge to an earlier task of the same scope.
type Dep struct {
	On   *Task
	Kind DepKind
}

// DepKind says what an edge asks of the task it points at.
type DepKind uint8

// The kinds of edges, weakest first. Where a task has several reasons for one edge, the strongest holds.
const (
	Settled   DepKind = iota // `after`, `tasks.a?.…`: succeeded, skipped, or failed and tolerated
	Succeeded                // `needs`, `tasks.a.…`: succeeded; a skipped one skips its dependants
)

// OnError says what the failure of a task means for its run.
type OnError string

// What may follow the failure of a task.
const (
	Fail     OnError = "fail" // the default
	Continue OnError = "continue"
	Pause    OnError = "pause"
)

// Each runs a task once per item.
type Each struct {
	In       *expr.Program // gives a list, or a map (items are then {"key":…, "value":…} in the order of keys)
	As       string        // the name an item has in expressions; default "item"
	Key      *expr.Program // gives the text that names an item in paths; nil is its position from 0
	By       *expr.Program // nil, or the text by which items are gathered into one execution: As is then the list of them
	Parallel Amount        // zero is no bound
	Tolerate Amount        // how many may fail before the task fails; zero is none
	Rollout  *Rollout      // nil runs the items as they come
}

// Rollout makes an Each go out in waves, by the planner of package rollout.
type Rollout struct {
	Waves     []Amount // the growing numbers of items at which it stops to look; none is one wave
	Bake      time.Duration
	FirstBake time.Duration // of the first wave; 0 is Bake
	// Checks are the tasks that run after each wave, in the body of a task that stands for all of them; nil
	// where there are none.
	Checks *Task
	// Gate is asked after them, and says whether the next wave begins: true, false, or nothing, which is unknown.
	// nil passes where all checks succeeded.
	Gate     *expr.Program
	OnBreach OnBreach
}

// OnBreach says what follows when more items failed than are tolerated, or the gate is false.
type OnBreach string

// What may follow a breach.
const (
	BreachStop  OnBreach = "stop"  // nothing more begins, and the task fails (the default)
	BreachPause OnBreach = "pause" // nothing more begins until a person retries the task
	BreachUndo  OnBreach = "undo"  // what was done for items is undone, and the task fails
)

// Amount is a number, or a share of a whole.
type Amount struct {
	N       int
	Percent bool
}

// Of returns the amount out of total; a percentage is rounded down, but a positive one is never less than 1
// where atLeastOne.
func (a Amount) Of(total int, atLeastOne bool) int {
	if !a.Percent {
		return a.N
	}
	n := total * a.N / 100
	if n == 0 && a.N > 0 && atLeastOne {
		return 1
	}
	return n
}

// Retry says how a failed attempt is followed by another.
type Retry struct {
	Max    int           // attempts after the first
	Wait   time.Duration // before the second attempt; default 1s
	Factor float64       // each wait is the one before times this; default 1
	Cap    time.Duration // longest wait; 0 is none
	Jitter float64       // 0..1: the share of a wait that is drawn at random
	If     *expr.Program // over `error`; nil retries what is marked retryable
}

// Call is a task in the small: what `undo` runs.
type Call struct {
	Use     string
	With    *expr.Template
	Timeout time.Duration
	Retry   *Retry
}

// Limit bounds how many holders of a key run at a time.
type Limit struct {
	Key      *expr.Template
	Max      int    // default 1
	WhenFull string // "queue" (default), "refuse", "replace"
	Hold     bool   // keep it while waiting
}
