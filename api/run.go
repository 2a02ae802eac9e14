package api

import (
	"encoding/json"
	"slices"
	"strings"
	"time"

	"tutti/bus"
	"tutti/errs"
)

// RunID names a run: "run_" and 16 characters.
type RunID string

// Run is one execution of a workflow.
type Run struct {
	ID        RunID    `json:"id"`
	Namespace string   `json:"namespace"`
	Workflow  string   `json:"workflow"`
	Version   int      `json:"version,omitempty"` // of the definition; 0 where it was given inline
	Digest    string   `json:"digest"`            // of the definition it is pinned to
	Title     string   `json:"title,omitempty"`
	State     State    `json:"state"`
	Flags     []Flag   `json:"flags,omitempty"`
	Reason    *Reason  `json:"reason,omitempty"`
	Failure   *RunFail `json:"failure,omitempty"`
	Trace     string   `json:"trace"`
	Request   string   `json:"request,omitempty"`
	Requester string   `json:"requester"`
	// Parent is the run and the task that called this one as a sub-workflow.
	Parent *TaskRef `json:"parent,omitempty"`
	// ForkOf is the run, and the event of it, that this one was made from; not in lists.
	ForkOf  *ForkOf         `json:"forkOf,omitempty"`
	Inputs  json.RawMessage `json:"inputs,omitempty"`
	Outputs json.RawMessage `json:"outputs,omitempty"`
	Created time.Time       `json:"created"`
	Ended   time.Time       `json:"ended,omitzero"`
	// Counts says how many tasks are in each state.
	Counts map[State]int `json:"counts,omitempty"`
	// Expected is how long runs of the workflow usually take; only in GetRun, where any has succeeded.
	Expected *Expected `json:"expected,omitempty"`
	// AsOf is the time of the event Seq; only where the run is shown as of an earlier event.
	AsOf time.Time `json:"asOf,omitzero"`
	// Seq is the number of the last event this shows; the stream continues after it.
	Seq int64 `json:"seq"`
}

// TaskRef points at a task of a run.
type TaskRef struct {
	Run  RunID  `json:"run"`
	Task string `json:"task"` // path, such as build.apply or disks[data]
}

// RunFail is the first failure that made a run fail.
type RunFail struct {
	Task string `json:"task"`
	Failure
}

// Task is a node of a run, as it stands.
type Task struct {
	Path   string `json:"path"` // build.apply, disks[data]
	ID     string `json:"id"`
	Parent string `json:"parent,omitempty"` // path of the group, or of the `each`, it is in
	Title  string `json:"title,omitempty"`
	// Kind is "call", "group", "each" (a task with items) or "item" (one item of it).
	Kind    string          `json:"kind"`
	Use     string          `json:"use,omitempty"`
	State   State           `json:"state"`
	Reason  *Reason         `json:"reason,omitempty"`
	Failure *Failure        `json:"failure,omitempty"`
	Attempt int             `json:"attempt,omitempty"` // number of the last attempt, from 1
	Input   json.RawMessage `json:"input,omitempty"`   // secrets are shown as references
	Output  json.RawMessage `json:"output,omitempty"`
	Vars    json.RawMessage `json:"vars,omitempty"`
	Run     RunID           `json:"run,omitempty"` // the sub-run of a workflow call
	Worker  string          `json:"worker,omitempty"`
	Ready   time.Time       `json:"ready,omitzero"`
	Started time.Time       `json:"started,omitzero"`
	Ended   time.Time       `json:"ended,omitzero"`
	// Counts says how many children of a group or items of an `each` are in each state.
	Counts map[State]int `json:"counts,omitempty"`
	// Undo says what became of the task's undo; empty where it has not run.
	Undo State `json:"undo,omitempty"`
	// Critical says that the length of the run comes from this task: had it been faster, so would the run.
	Critical bool `json:"critical,omitempty"`
	// Attempts are all tries, in order; only in GetTask, and in ListTasks where they are asked for.
	Attempts []Attempt `json:"attempts,omitempty"`
	// Approval is what an approval task asks; only on approvals.
	Approval *Approval `json:"approval,omitempty"`
}

// Attempt is one try of a task.
type Attempt struct {
	Number  int       `json:"number"`
	State   State     `json:"state"`
	Worker  string    `json:"worker,omitempty"`
	Started time.Time `json:"started,omitzero"`
	Ended   time.Time `json:"ended,omitzero"`
	Failure *Failure  `json:"failure,omitempty"`
}

// Approval is a decision somebody is asked for.
type Approval struct {
	Run       RunID     `json:"run"`
	Task      string    `json:"task"`
	Namespace string    `json:"namespace"`
	Workflow  string    `json:"workflow"`
	Trace     string    `json:"trace"`
	Requester string    `json:"requester"`
	Text      string    `json:"text,omitempty"`
	To        []string  `json:"to,omitempty"`    // who may decide: "user:anna", "role:approver"; empty is any approver
	NotBy     []string  `json:"notBy,omitempty"` // who may not
	Show      any       `json:"show,omitempty"`  // what to decide about
	Asked     time.Time `json:"asked"`
	Expires   time.Time `json:"expires,omitzero"`
	// Quorum is how many must approve; By are those who have.
	Quorum int      `json:"quorum"`
	By     []string `json:"by,omitempty"`
	// Form is the JSON Schema of what who approves has to fill in.
	Form json.RawMessage `json:"form,omitempty"`
	// Digest binds the decision to what was shown; who decides names it.
	Digest string `json:"digest,omitempty"`
}

// RunEvent is one thing that happened in a run.
type RunEvent struct {
	Seq  int64     `json:"seq"` // from 1, without gaps in the run
	At   time.Time `json:"at"`
	Type string    `json:"type"` // run.started, task.started, task.succeeded, …
	Task string    `json:"task,omitempty"`
	// Attempt is the attempt it is about, from 1; 0 where it is about none.
	Attempt int             `json:"attempt,omitempty"`
	By      string          `json:"by,omitempty"` // who or which worker did it
	Data    json.RawMessage `json:"data,omitempty"`
}

// Graph is the plan of a run with places to draw it at, computed on the server.
type Graph struct {
	Nodes  []GraphNode `json:"nodes"`
	Edges  []GraphEdge `json:"edges"`
	Width  int         `json:"width"`
	Height int         `json:"height"`
}

// GraphNode is a task of the plan; X and Y are the top left corner, in pixels at zoom 1.
type GraphNode struct {
	ID    string `json:"id"` // path in the definition, without items: build.apply
	Title string `json:"title,omitempty"`
	Use   string `json:"use,omitempty"`
	Kind  string `json:"kind"`
	Group string `json:"group,omitempty"`
	State State  `json:"state,omitempty"`
	// Counts says how many children of a group or items of an `each` are in each state.
	Counts   map[State]int `json:"counts,omitempty"`
	Critical bool          `json:"critical,omitempty"` // as in Task
	// Folded says that what is inside is not drawn: open=ID draws it. Inside is how many tasks that are.
	Folded bool `json:"folded,omitempty"`
	Inside int  `json:"inside,omitempty"`
	X      int  `json:"x"`
	Y      int  `json:"y"`
	W      int  `json:"w"`
	H      int  `json:"h"`
}

// GraphEdge says that To waits for From.
type GraphEdge struct {
	From string `json:"from"`
	To   string `json:"to"`
	Soft bool   `json:"soft,omitempty"` // To needs it settled, not succeeded
}

// StartRunIn starts a run of a published workflow, or of one given inline.
type StartRunIn struct {
	NS
	Key  string   `header:"Idempotency-Key" doc:"Makes repeating the call safe: the same key gives the same run" maxLength:"200"`
	Wait Duration `query:"wait" doc:"How long to wait for the run to end before answering, such as 30s; at most 60s"`
	Body StartRunBody
}

// StartRunBody says what to run.
type StartRunBody struct {
	Workflow   string          `json:"workflow,omitempty" doc:"Name of a published workflow"`
	Definition string          `json:"definition,omitempty" doc:"A workflow given inline, as YAML or JSON" maxLength:"1048576"`
	Inputs     json.RawMessage `json:"inputs,omitempty" doc:"What the workflow's inputs schema asks for"`
	Trace      string          `json:"trace,omitempty" doc:"W3C trace-id it belongs to; a fresh one by default"`
	Title      string          `json:"title,omitempty" maxLength:"200"`
	// Request and Requester may be set by Tutti's own services only.
	Request   string `json:"request,omitempty" doc:"Request it carries out; set by services only"`
	Requester string `json:"requester,omitempty" doc:"Who asked; set by services only"`
}

// Validate reports what is wrong with the shape of in.
func (in StartRunIn) Validate() error {
	switch {
	case in.Body.Workflow == "" && in.Body.Definition == "":
		return errs.New(errs.Invalid, "the body names no workflow").WithHint("give workflow (a published name) or definition (a document)")
	case in.Body.Workflow != "" && in.Body.Definition != "":
		return errs.New(errs.Invalid, "the body has both workflow and definition").WithHint("give one of them")
	}
	return nil
}

// RunIn names a run.
type RunIn struct {
	NS
	Moment
	ID RunID `path:"id" doc:"Run ID"`
}

// GraphIn asks for the plan of a run.
type GraphIn struct {
	RunIn
	Open string `query:"open" doc:"Paths of groups to draw with what is inside, separated by commas; an each and groups of more than 30 tasks are folded" maxLength:"4000"`
}

// GetRunIn asks for a run, waiting for its end if Wait is given.
type GetRunIn struct {
	NS
	Moment
	ID   RunID    `path:"id" doc:"Run ID, or a unique prefix of one"`
	Wait Duration `query:"wait" doc:"How long to wait for the run to end before answering; at most 60s"`
}

// ListRunsIn filters runs.
type ListRunsIn struct {
	NS
	Paging
	Workflow string `query:"workflow"`
	State    State  `query:"state" enum:"pending,running,waiting,succeeded,failed,skipped,cancelled"`
	Trace    string `query:"trace"`
	Request  string `query:"request"`
	Parent   RunID  `query:"parent" doc:"Sub-runs of a run"`
	Top      bool   `query:"top" doc:"Leave out runs that others call"`
	Active   bool   `query:"active" doc:"Only runs that go on"`
	// IDs are, for services, the only runs to list.
	IDs []RunID
}

// ListTasksIn filters the tasks of a run.
type ListTasksIn struct {
	NS
	Paging
	Moment
	ID     RunID  `path:"id"`
	Parent string `query:"parent" doc:"Only the children of this path; - means the top level"`
	State  State  `query:"state" enum:"pending,running,waiting,succeeded,failed,skipped,cancelled"`
	// Under, unlike Parent, gives what is inside at any depth.
	Under    string    `query:"under" doc:"Only what is inside this path, at any depth" maxLength:"1000"`
	Fold     bool      `query:"fold" doc:"Leave out what is inside an each; the each itself has counts"`
	Attempts bool      `query:"attempts" doc:"With the attempts of tasks that had more than one"`
	Since    time.Time `query:"since" doc:"Only tasks that something happened to at this time or later"`
}

// GetTaskIn names a task of a run.
type GetTaskIn struct {
	NS
	Moment
	ID   RunID  `path:"id"`
	Path string `query:"path" doc:"Path of the task, such as build.apply or disks[data]" required:"true"`
}

// RunEventsIn asks for what happened in a run after an event.
type RunEventsIn struct {
	NS
	ID    RunID    `path:"id"`
	After int64    `query:"after" doc:"Number of the last event already seen; 0 from the start"`
	Limit int      `query:"limit" minimum:"1" maximum:"5000"`
	Wait  Duration `query:"wait" doc:"How long to wait for an event where there is none yet; at most 60s"`
}

// CancelRunIn cancels a run.
type CancelRunIn struct {
	NS
	ID   RunID `path:"id"`
	Body CancelBody
}

// CancelBody says why something is cancelled.
type CancelBody struct {
	Reason string `json:"reason,omitempty" maxLength:"1000"`
}

// RetryRunIn retries a failed or cancelled run in place.
type RetryRunIn struct {
	NS
	ID   RunID `path:"id"`
	Body RetryBody
}

// RetryBody says from where to retry.
type RetryBody struct {
	// Task is the path of a failed task; empty retries all that failed.
	Task string `json:"task,omitempty"`
	// Input replaces the task's input; only with Task.
	Input json.RawMessage `json:"input,omitempty"`
}

// ForkOf points at an event of a run.
type ForkOf struct {
	Run RunID `json:"run"`
	Seq int64 `json:"seq"`
}

// ForkRunIn makes a run from another one.
type ForkRunIn struct {
	NS
	ID   RunID    `path:"id" doc:"The run to begin from"`
	Key  string   `header:"Idempotency-Key" doc:"Makes repeating the call safe: the same key gives the same run" maxLength:"200"`
	Wait Duration `query:"wait" doc:"How long to wait for the run to end before answering, such as 30s; at most 60s"`
	Body ForkBody
}

// ForkBody says from where to go on, and with what.
type ForkBody struct {
	At     int64           `json:"at,omitempty" doc:"The event of the run after which this one goes its own way; its last by default" minimum:"0"`
	Task   string          `json:"task,omitempty" doc:"Path of a task to begin again, with all that comes after it; without, only what had not succeeded begins"`
	Input  json.RawMessage `json:"input,omitempty" doc:"Replaces the input of the task"`
	Inputs json.RawMessage `json:"inputs,omitempty" doc:"Replaces the inputs of the run, for what begins"`
}

// DecideIn decides an approval.
type DecideIn struct {
	NS
	ID   RunID `path:"id"`
	Body DecideBody
}

// DecideBody is a decision.
type DecideBody struct {
	Task   string          `json:"task" doc:"Path of the approval task" minLength:"1"`
	Reason string          `json:"reason,omitempty" maxLength:"1000"`
	Form   json.RawMessage `json:"form,omitempty" doc:"What the approval's form asks"`
	Digest string          `json:"digest,omitempty" doc:"The digest that was shown, where the approval has one" maxLength:"200"`
}

// PlanWorkflowIn asks what a run of a published workflow would do with inputs.
type PlanWorkflowIn struct {
	NS
	Workflow string
	Inputs   json.RawMessage
}

// WorkflowPlan is what a run of a workflow would do.
type WorkflowPlan struct {
	Version int
	// Expected is how long it usually takes; nil where none has succeeded yet.
	Expected *Expected
	// Steps are the tasks of the workflow in order, with what undo would run.
	Steps []PlanStep
}

// PlanWorkflow says what a run would do, and starts nothing.
var PlanWorkflow = bus.Method[PlanWorkflowIn, WorkflowPlan]{Name: "workflow.plan", Perm: bus.System, Doc: "Say what a run of a workflow would do."}

// SignalRunIn gives data to a run that waits for it, or will.
type SignalRunIn struct {
	NS
	ID   RunID `path:"id"`
	Body SignalBody
}

// SignalBody is a signal.
type SignalBody struct {
	Name string          `json:"name" minLength:"1" maxLength:"200"`
	Data json.RawMessage `json:"data,omitempty" doc:"The out of the task that waits for it"`
}

// The run methods.
var (
	PauseRun  = bus.Method[CancelRunIn, Run]{Name: "run.pause", HTTP: "POST /v1/namespaces/{namespace}/runs/{id}/pause", Perm: "run.cancel", Doc: "Let nothing new start in a run; what runs goes on."}
	ResumeRun = bus.Method[CancelRunIn, Run]{Name: "run.resume", HTTP: "POST /v1/namespaces/{namespace}/runs/{id}/resume", Perm: "run.cancel", Doc: "Let a paused run go on."}
	SignalRun = bus.Method[SignalRunIn, Run]{Name: "run.signal", HTTP: "POST /v1/namespaces/{namespace}/runs/{id}/signal", Perm: "run.start", Doc: "Give a signal to a run."}
	StartRun  = bus.Method[StartRunIn, Run]{Name: "run.start", HTTP: "POST /v1/namespaces/{namespace}/runs", Status: 201, Direct: true,
		Doc: "Start a run of a workflow. It is accepted, and will end, once this answers."}
	GetRun        = bus.Method[GetRunIn, Run]{Name: "run.get", HTTP: "GET /v1/namespaces/{namespace}/runs/{id}", Perm: "run.read", Doc: "Get a run."}
	ListRuns      = bus.Method[ListRunsIn, Page[Run]]{Name: "run.list", HTTP: "GET /v1/namespaces/{namespace}/runs", Perm: "run.read", Doc: "List runs, newest first."}
	ListTasks     = bus.Method[ListTasksIn, Page[Task]]{Name: "run.tasks", HTTP: "GET /v1/namespaces/{namespace}/runs/{id}/tasks", Perm: "run.read", Doc: "List the tasks of a run, in the order of the plan."}
	GetTask       = bus.Method[GetTaskIn, Task]{Name: "run.task", HTTP: "GET /v1/namespaces/{namespace}/runs/{id}/task", Perm: "run.read", Doc: "Get one task of a run with its input, output and attempts."}
	RunEvents     = bus.Method[RunEventsIn, Page[RunEvent]]{Name: "run.events", HTTP: "GET /v1/namespaces/{namespace}/runs/{id}/events", Perm: "run.read", Doc: "Read what happened in a run, in order."}
	RunGraph      = bus.Method[GraphIn, Graph]{Name: "run.graph", HTTP: "GET /v1/namespaces/{namespace}/runs/{id}/graph", Perm: "run.read", Doc: "Get the plan of a run, laid out."}
	CancelRun     = bus.Method[CancelRunIn, Run]{Name: "run.cancel", HTTP: "POST /v1/namespaces/{namespace}/runs/{id}/cancel", Doc: "Cancel a run: no attempt starts after this answers."}
	RetryRun      = bus.Method[RetryRunIn, Run]{Name: "run.retry", HTTP: "POST /v1/namespaces/{namespace}/runs/{id}/retry", Doc: "Retry what failed in a run; what succeeded is kept."}
	ForkRun       = bus.Method[ForkRunIn, Run]{Name: "run.fork", HTTP: "POST /v1/namespaces/{namespace}/runs/{id}/fork", Perm: "run.start", Status: 201, Doc: "Start a run that goes on from an event of another one, keeping what had succeeded."}
	UndoRun       = bus.Method[CancelRunIn, Run]{Name: "run.undo", HTTP: "POST /v1/namespaces/{namespace}/runs/{id}/undo", Doc: "Undo what an ended run did, newest first."}
	ApproveTask   = bus.Method[DecideIn, Run]{Name: "run.approve", HTTP: "POST /v1/namespaces/{namespace}/runs/{id}/approve", Perm: "approval.decide", Doc: "Approve what an approval task asks."}
	RejectTask    = bus.Method[DecideIn, Run]{Name: "run.reject", HTTP: "POST /v1/namespaces/{namespace}/runs/{id}/reject", Perm: "approval.decide", Doc: "Reject what an approval task asks; the task fails."}
	ListApprovals = bus.Method[ListApprovalsIn, Page[Approval]]{Name: "approval.list", HTTP: "GET /v1/namespaces/{namespace}/approvals", Perm: "run.read", Doc: "List the approvals that wait for a decision, oldest first."}
)

// ListApprovalsIn asks for what waits for a decision.
type ListApprovalsIn struct {
	NS
	Paging
}

// Emitted is an event that a task of type emit published.
type Emitted struct {
	Run  RunID           `json:"run"`
	Task string          `json:"task"`
	Type string          `json:"type"`
	Data json.RawMessage `json:"data,omitempty"`
}

// TaskEmitted is published by tasks of type emit.
var TaskEmitted = bus.Event[Emitted]{Name: "workflow.task.emitted", Doc: "A task published an event of its own."}

// RunFinished is published when a run reached its final state, each time it does (a retried run ends
// again). Outputs are included.
var RunFinished = bus.Event[Run]{Name: "workflow.run.finished", Doc: "A run succeeded, failed or was cancelled."}

// RunMoved is published when the run of a request began to wait, or went on. Inputs and outputs are left
// out.
var RunMoved = bus.Event[Run]{Name: "workflow.run.moved", Doc: "The run of a request began to wait, or went on."}

// MayDecide reports whether who is asked about may decide a: as a subject, such as user:anna, or by one
// of the roles it holds in the namespace.
func (a Approval) MayDecide(subject string, roles []string) bool {
	is := func(who string) bool {
		return who == subject || "user:"+who == subject || strings.HasPrefix(who, "role:") && slices.Contains(roles, who[len("role:"):])
	}
	return !slices.ContainsFunc(a.NotBy, is) && !slices.Contains(a.By, subject) && (len(a.To) == 0 || slices.ContainsFunc(a.To, is))
}

// RunChanged announces on the bus, without guarantee, that a run has events after those seen; the
// subject is "run." and its ID.
func RunChanged(id RunID) string { return "changed.run." + string(id) }
