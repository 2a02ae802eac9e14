package api

import (
	"encoding/json"
	"time"

	"tutti/bus"
	"tutti/errs"
)

// TaskType describes what a task can do.
type TaskType struct {
	Name  string `json:"name"`
	Title string `json:"title,omitempty"`
	Doc   string `json:"doc,omitempty"`
	// With and Out are the JSON Schemas of a task's input and output; nil takes or gives anything.
	With json.RawMessage `json:"with,omitempty"`
	Out  json.RawMessage `json:"out,omitempty"`
	// Errors are the failure types it reports, with what they mean.
	Errors map[string]string `json:"errors,omitempty"`
	// Perm is a permission that a publisher must hold to use it; empty is none beyond definition.apply.
	Perm string `json:"perm,omitempty"`
	// Native types are carried out by the engine itself and need no worker.
	Native bool `json:"native,omitempty"`
	// Reattach says that a restarted attempt finds the work of the one before instead of starting anew.
	Reattach bool `json:"reattach,omitempty"`
}

// DefaultPool is where tasks run that name no pool: the workers inside the server.
const DefaultPool = "default"

// Assignment is an attempt of a task, given to a worker.
type Assignment struct {
	// Token proves the claim in every report, heartbeat, variable and log line. It dies with the claim.
	Token     string `json:"token"`
	Run       RunID  `json:"run"`
	Namespace string `json:"namespace"`
	Workflow  string `json:"workflow"`
	Task      string `json:"task"` // path
	Type      string `json:"type"`
	// Version is that of a declared task type; 0 is the newest, or a type that is built in.
	Version int `json:"version,omitempty"`
	Attempt int `json:"attempt"`
	// Key is the same on every attempt of this task: use it as idempotency key towards other systems.
	Key string `json:"key"`
	// Fence rises with every attempt of every task of the installation: a system that remembers the
	// highest it saw can refuse an older one.
	Fence     int64                      `json:"fence"`
	With      json.RawMessage            `json:"with"`
	Vars      map[string]json.RawMessage `json:"vars,omitempty"`
	Trace     string                     `json:"trace"`
	Requester string                     `json:"requester"`
	Request   string                     `json:"request,omitempty"`
	// Timeout bounds the attempt; 0 is none.
	Timeout Duration `json:"timeout,omitempty"`
	// Secrets are the values put into With, to be kept out of logs and outputs.
	Secrets []string `json:"secrets,omitempty"`
	// References name the secrets by the JSON pointer of the text in With that is the secret and nothing
	// else: what ends by expanding passes a secret on as ${{ secrets.NAME }}, never as its value.
	References map[string]string `json:"references,omitempty"`
	// Grants are what the task may do inside Tutti; only workers in the server get them.
	Grants []bus.Grant `json:"grants,omitempty"`
}

// Outcome says how an attempt ended.
type Outcome string

// The outcomes.
const (
	Done        Outcome = "done"
	FailedTask  Outcome = "failed"
	Expand      Outcome = "expand" // run Tasks in its place, as a group
	Park        Outcome = "park"   // wait, holding no worker, until task.complete
	Interrupted Outcome = "interrupted"
)

// Result is what became of an attempt.
type Result struct {
	Token   string          `json:"token"`
	Outcome Outcome         `json:"outcome" enum:"done,failed,expand,park,interrupted"`
	Out     json.RawMessage `json:"out,omitempty"`
	Failure *Failure        `json:"failure,omitempty"`
	// Tasks is, for expand, a map of tasks in the definition language; Outputs what the group gives.
	Tasks   json.RawMessage `json:"tasks,omitempty"`
	Outputs json.RawMessage `json:"outputs,omitempty"`
	// Handle is, for park, what the far side is known by; Deadline how long to wait, 0 for ever.
	Handle   json.RawMessage `json:"handle,omitempty"`
	Deadline Duration        `json:"deadline,omitempty"`
}

// PollIn asks for work and reports what was done.
type PollIn struct {
	NS
	Pool string `path:"pool" doc:"Name of the worker pool" pattern:"^[a-z][a-z0-9.-]{0,62}$"`
	Body PollBody
}

// PollBody is what a worker can take and what it has done.
type PollBody struct {
	Worker  string   `json:"worker" doc:"A name of the worker, for people" minLength:"1" maxLength:"200"`
	Types   []string `json:"types,omitempty" doc:"Task types it can do; empty is any"`
	Max     int      `json:"max" doc:"How many attempts it takes at most; 0 only reports" minimum:"0" maximum:"10000"`
	Wait    Duration `json:"wait,omitempty" doc:"How long to wait for the first attempt; at most 60s"`
	Results []Result `json:"results,omitempty" doc:"What became of attempts taken before"`
}

// PollOut is work, and which results were refused.
type PollOut struct {
	Assignments []Assignment `json:"assignments,omitempty"`
	// Refused has an entry per result that changed nothing because its claim was no longer valid.
	Refused []Refusal `json:"refused,omitempty"`
}

// Refusal says why a result, or a heartbeat, counted for nothing.
type Refusal struct {
	Token string    `json:"token"`
	Kind  errs.Kind `json:"kind"`
	Why   string    `json:"why"`
}

// HeartbeatIn keeps claims alive.
type HeartbeatIn struct {
	NS
	Pool string `path:"pool"`
	Body HeartbeatBody
}

// HeartbeatBody names the claims a worker holds.
type HeartbeatBody struct {
	Worker string   `json:"worker" minLength:"1" maxLength:"200"`
	Tokens []string `json:"tokens" maxItems:"10000"`
}

// HeartbeatOut says which claims are over.
type HeartbeatOut struct {
	// Cancel are claims to stop: clean up, then report. The claim is valid until then.
	Cancel []string `json:"cancel,omitempty"`
	// Lost are claims that are no longer valid: stop, nothing will be accepted.
	Lost []string `json:"lost,omitempty"`
}

// HeartbeatEvery is how often a worker reports the claims it holds; a claim is lost ClaimTTL after
// its last sign of life.
const (
	HeartbeatEvery = 5 * time.Second
	ClaimTTL       = 20 * time.Second
)

// SetVarsIn stores task variables; they are durable once this answers.
type SetVarsIn struct {
	NS
	Token string `path:"token"`
	Body  map[string]json.RawMessage
}

// AppendLogIn stores log lines of an attempt.
type AppendLogIn struct {
	NS
	Token string `path:"token"`
	Body  AppendLogBody
}

// AppendLogBody holds lines with rising numbers; a line sent twice is stored once.
type AppendLogBody struct {
	Lines []LogLine `json:"lines" maxItems:"10000"`
}

// CompleteIn ends a parked attempt.
type CompleteIn struct {
	NS
	Body Result
}

// The worker methods. A stale token gets errs.Conflict.
var (
	PollTasks     = bus.Method[PollIn, PollOut]{Name: "task.poll", HTTP: "POST /v1/namespaces/{namespace}/pools/{pool}/poll", Perm: "task.work", Direct: true, Doc: "Report results and take work, waiting for some if there is none."}
	Heartbeat     = bus.Method[HeartbeatIn, HeartbeatOut]{Name: "task.heartbeat", HTTP: "POST /v1/namespaces/{namespace}/pools/{pool}/heartbeat", Perm: "task.work", Doc: "Keep claims alive and learn which to stop."}
	SetVars       = bus.Method[SetVarsIn, Nothing]{Name: "task.vars", HTTP: "PUT /v1/namespaces/{namespace}/attempts/{token}/vars", Perm: "task.work", Doc: "Store task variables durably: the next attempt finds exactly what was acknowledged."}
	AppendLog     = bus.Method[AppendLogIn, Nothing]{Name: "task.log", HTTP: "POST /v1/namespaces/{namespace}/attempts/{token}/log", Perm: "task.work", Doc: "Store log lines of an attempt."}
	CompleteTask  = bus.Method[CompleteIn, Nothing]{Name: "task.complete", HTTP: "POST /v1/namespaces/{namespace}/tasks/complete", Perm: "task.work", Doc: "End a parked attempt."}
	ListTaskTypes = bus.Method[ListTaskTypesIn, Page[TaskType]]{Name: "task.types", HTTP: "GET /v1/namespaces/{namespace}/task-types", Perm: "definition.read", Doc: "List the task types and their schemas, by name."}
)

// ListTaskTypesIn asks for the task types known in a namespace.
type ListTaskTypesIn struct{ NS }
