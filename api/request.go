package api

import (
	"encoding/json"
	"time"

	"tutti/bus"
)

// Request is what a person or a system asked for: a resource, in their own terms.
type Request struct {
	ID        string `json:"id"` // req_…
	Namespace string `json:"namespace"`
	// Trace ties together all that the request causes; a re-submission has a new ID and the same trace.
	Trace string `json:"trace"`
	// Of is the request this one re-submits.
	Of    string `json:"of,omitempty"`
	Entry string `json:"entry"` // the catalogue entry: a preset's or a resource type's name
	Type  string `json:"type"`  // the resource type
	Name  string `json:"name"`  // of the resource
	Title string `json:"title,omitempty"`
	// Params are as submitted; Spec is the resource in the common format, validated and enriched.
	Params    json.RawMessage `json:"params,omitempty"`
	Spec      json.RawMessage `json:"spec,omitempty"`
	Workflow  string          `json:"workflow"`
	Run       RunID           `json:"run,omitempty"`
	File      string          `json:"file,omitempty"` // ID of the stored request file
	State     State           `json:"state"`
	Reason    *Reason         `json:"reason,omitempty"` // why it waits
	Flags     []Flag          `json:"flags,omitempty"`
	Failure   *RunFail        `json:"failure,omitempty"`
	Outputs   json.RawMessage `json:"outputs,omitempty"`
	Requester string          `json:"requester"`
	Notify    []string        `json:"notify,omitempty"`
	Created   time.Time       `json:"created"`
	Ended     time.Time       `json:"ended,omitzero"`
}

// CreateRequestIn submits a request.
type CreateRequestIn struct {
	NS
	Key  string   `header:"Idempotency-Key" doc:"One key makes one request" maxLength:"200"`
	Wait Duration `query:"wait" doc:"How long to wait for the outcome; at most 60s"`
	Body CreateRequestBody
}

// CreateRequestBody says what is wanted.
type CreateRequestBody struct {
	Entry  string          `json:"entry" doc:"A catalogue entry: the name of a preset or of a resource type" minLength:"1" maxLength:"127"`
	Params json.RawMessage `json:"params,omitempty" doc:"What the entry's schema asks for"`
	Title  string          `json:"title,omitempty" maxLength:"200"`
	Notify []string        `json:"notify,omitempty" doc:"Mail addresses to tell of receipt and completion" maxItems:"20"`
}

// RequestPlan is what a request would do.
type RequestPlan struct {
	Entry    string          `json:"entry"`
	Type     string          `json:"type"`
	Name     string          `json:"name"`
	Spec     json.RawMessage `json:"spec"`
	Workflow string          `json:"workflow"`
	Version  int             `json:"version"`
	// Steps are the tasks of the workflow in order, with what undo would run.
	Steps []PlanStep `json:"steps"`
	// Expected is how long the workflow usually takes; nil where none has succeeded yet.
	Expected *Expected `json:"expected,omitempty"`
}

// PlanStep is a task a request would run.
type PlanStep struct {
	Path  string `json:"path"`
	Title string `json:"title,omitempty"`
	Use   string `json:"use,omitempty"`
	Undo  string `json:"undo,omitempty"`
	When  string `json:"when,omitempty"`
}

// RequestIn names a request.
type RequestIn struct {
	NS
	ID   string   `path:"id" doc:"Request ID, or a unique prefix of one"`
	Wait Duration `query:"wait" doc:"How long to wait for the outcome; at most 60s"`
}

// ListRequestsIn filters requests.
type ListRequestsIn struct {
	NS
	Paging
	State     State  `query:"state" enum:"pending,running,waiting,succeeded,failed,skipped,cancelled"`
	Trace     string `query:"trace"`
	Requester string `query:"requester"`
	Type      string `query:"type"`
}

// CancelRequestIn cancels a request's run.
type CancelRequestIn struct {
	NS
	ID   string `path:"id"`
	Body CancelBody
}

// ResubmitIn submits a request again: a new ID, the same trace.
type ResubmitIn struct {
	NS
	ID   string `path:"id"`
	Key  string `header:"Idempotency-Key" maxLength:"200"`
	Body ResubmitBody
}

// ResubmitBody says what to change.
type ResubmitBody struct {
	// Params replace those of the earlier request where given.
	Params json.RawMessage `json:"params,omitempty"`
}

// RequestStatsIn asks for counts of requests.
type RequestStatsIn struct {
	NS
	Days      int    `query:"days" doc:"How far back; default 90" minimum:"1" maximum:"3650"`
	Requester string `query:"requester"`
	Type      string `query:"type"`
}

// RequestCounts are requests by state and by entry.
type RequestCounts struct {
	States map[State]int `json:"states"`
	// Entries are the catalogue entries that were asked for, by name.
	Entries []EntryUse `json:"entries"`
}

// EntryUse is how often an entry of the catalogue was asked for.
type EntryUse struct {
	Entry     string    `json:"entry"`
	Requests  int       `json:"requests"`
	Succeeded int       `json:"succeeded"`
	Failed    int       `json:"failed"`
	Last      time.Time `json:"last"`
	// P50 and P90 are how long those that succeeded took; zero where none did.
	P50 Duration `json:"p50,omitzero"`
	P90 Duration `json:"p90,omitzero"`
}

// DiffRequestsIn names two requests.
type DiffRequestsIn struct {
	NS
	ID   string `path:"id" doc:"Request ID, or a unique prefix of one"`
	With string `query:"with" doc:"The request to compare with, which is taken for the earlier one; by default the one that was submitted again, or else the one before of the same resource" maxLength:"64"`
}

// RequestDiff is what differs between two requests.
type RequestDiff struct {
	// From and To are without params and spec; From is left out where nothing was asked for before, and there is
	// nothing to compare with.
	From *Request `json:"from,omitempty"`
	To   Request  `json:"to"`
	// Params are the fields that were asked for differently, Spec those that it came to in the common format.
	Params []FieldChange `json:"params"`
	Spec   []FieldChange `json:"spec"`
}

// FieldChange is a value that differs, by its place: "disks[0].size". One that is not there is left out.
type FieldChange struct {
	Path   string          `json:"path"`
	Before json.RawMessage `json:"before,omitempty"`
	After  json.RawMessage `json:"after,omitempty"`
}

// The request methods.
var (
	CreateRequest   = bus.Method[CreateRequestIn, Request]{Name: "request.create", HTTP: "POST /v1/namespaces/{namespace}/requests", Status: 201, Doc: "Ask for a resource."}
	PlanRequest     = bus.Method[CreateRequestIn, RequestPlan]{Name: "request.plan", HTTP: "POST /v1/namespaces/{namespace}/requests/plan", Perm: "request.create", Doc: "Say what a request would do."}
	GetRequest      = bus.Method[RequestIn, Request]{Name: "request.get", HTTP: "GET /v1/namespaces/{namespace}/requests/{id}", Perm: "request.read", Doc: "Get a request."}
	ListRequests    = bus.Method[ListRequestsIn, Page[Request]]{Name: "request.list", HTTP: "GET /v1/namespaces/{namespace}/requests", Perm: "request.read", Doc: "List requests, newest first."}
	RequestStats    = bus.Method[RequestStatsIn, RequestCounts]{Name: "request.stats", HTTP: "GET /v1/namespaces/{namespace}/requests/stats", Perm: "request.read", Doc: "Count requests by state, and by what was asked for."}
	DiffRequests    = bus.Method[DiffRequestsIn, RequestDiff]{Name: "request.diff", HTTP: "GET /v1/namespaces/{namespace}/requests/{id}/diff", Perm: "request.read", Doc: "Say what a request asks for differently than another."}
	CancelRequest   = bus.Method[CancelRequestIn, Request]{Name: "request.cancel", HTTP: "POST /v1/namespaces/{namespace}/requests/{id}/cancel", Doc: "Cancel what a request started."}
	ResubmitRequest = bus.Method[ResubmitIn, Request]{Name: "request.resubmit", HTTP: "POST /v1/namespaces/{namespace}/requests/{id}/resubmit", Perm: "request.create", Status: 201, Doc: "Submit a request again: a new ID, the same trace."}
)

// The request events carry the request without Spec.
var (
	RequestReceived = bus.Event[Request]{Name: "request.request.received", Doc: "A request was accepted."}
	RequestMoved    = bus.Event[Request]{Name: "request.request.moved", Doc: "A request began to wait, or went on."}
	RequestFinished = bus.Event[Request]{Name: "request.request.finished", Doc: "A request succeeded, failed or was cancelled."}
)
