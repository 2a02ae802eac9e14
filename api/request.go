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
	Type  string `json:"type"`  // the resource type; "several" where there are resources of several
	Name  string `json:"name"`  // of the resource; of the first where there are several
	Title string `json:"title,omitempty"`
	// Action is what is done to the resource: create (also where it is empty), modify or delete.
	Action string `json:"action,omitempty"`
	// Resources are those of a request for several, in order; empty where there is one.
	Resources []RequestItem `json:"resources,omitempty"`
	// Base is the request the resource stood at when this one was accepted.
	Base string `json:"base,omitempty"`
	// TTL is how long after it was made the resource is deleted again; 0 is never.
	TTL Duration `json:"ttl,omitempty"`
	// Source is the file in git that the resource was made of.
	Source *SourceRef `json:"source,omitempty"`
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

// The actions on a resource.
const (
	ActionCreate   = "create"
	ActionModify   = "modify"
	ActionDelete   = "delete"
	ActionRollback = "rollback" // only in what is asked: it becomes a create or a modify
)

// RequestItem is one resource of a request for several.
type RequestItem struct {
	Entry  string          `json:"entry"`
	Type   string          `json:"type"`
	Name   string          `json:"name"`
	Action string          `json:"action,omitempty"`
	Base   string          `json:"base,omitempty"`
	TTL    Duration        `json:"ttl,omitempty"`
	Params json.RawMessage `json:"params,omitempty"`
	Spec   json.RawMessage `json:"spec,omitempty"`
	// Workflow builds it, in the run Run.
	Workflow string          `json:"workflow"`
	Run      RunID           `json:"run,omitempty"`
	State    State           `json:"state"`
	Failure  *RunFail        `json:"failure,omitempty"`
	Outputs  json.RawMessage `json:"outputs,omitempty"`
	Source   *SourceRef      `json:"source,omitempty"`
}

// SourceRef is a file at a commit: all that later steps act on.
type SourceRef struct {
	Repository string `json:"repository"`
	// URL is the repository's for git, below the address of the server.
	URL    string `json:"url"`
	Commit string `json:"commit"`
	Path   string `json:"path"`
}

// Items returns the resources of r, also where there is one.
func (r Request) Items() []RequestItem {
	if len(r.Resources) > 0 {
		return r.Resources
	}
	return []RequestItem{{Entry: r.Entry, Type: r.Type, Name: r.Name, Action: r.Action, Base: r.Base, TTL: r.TTL, Params: r.Params, Spec: r.Spec,
		Workflow: r.Workflow, Run: r.Run, State: r.State, Failure: r.Failure, Outputs: r.Outputs, Source: r.Source}}
}

// Ask is one entry of a request for several resources.
type Ask struct {
	Entry  string          `json:"entry,omitempty" doc:"To create: a catalogue entry, the name of a preset or of a resource type" maxLength:"127"`
	Params json.RawMessage `json:"params,omitempty" doc:"What the entry's schema asks for; to modify, what changes, null takes a field out"`
	Action string          `json:"action,omitempty" doc:"What to do; create is the default" enum:"create,modify,delete,rollback"`
	Type   string          `json:"type,omitempty" doc:"Type of the resource to modify, delete or roll back" maxLength:"127"`
	Name   string          `json:"name,omitempty" doc:"Its name" maxLength:"127"`
	Base   string          `json:"base,omitempty" doc:"The request or commit that the resource is believed to stand at: refused where it has moved on" maxLength:"64"`
	To     string          `json:"to,omitempty" doc:"The commit, or request, to roll back to" maxLength:"64"`
	Count  int             `json:"count,omitempty" doc:"How many, with numbered names: web gives web-01, web-02; web{n}.lan gives web01.lan" minimum:"0" maximum:"200"`
	TTL    Duration        `json:"ttl,omitempty" doc:"After this time, from when it is made, a request to delete it is filed, such as 2d"`
}

// Asks returns what b asks for, also where it is one resource.
func (b CreateRequestBody) Asks() []Ask {
	if len(b.Resources) > 0 {
		return b.Resources
	}
	return []Ask{{b.Entry, b.Params, b.Action, b.Type, b.Name, b.Base, b.To, b.Count, b.TTL}}
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
	Entry  string          `json:"entry,omitempty" doc:"A catalogue entry: the name of a preset or of a resource type" maxLength:"127"`
	Params json.RawMessage `json:"params,omitempty" doc:"What the entry's schema asks for; to modify, what changes, null takes a field out"`
	Action string          `json:"action,omitempty" doc:"What to do; create is the default" enum:"create,modify,delete,rollback"`
	Type   string          `json:"type,omitempty" doc:"Type of the resource to modify, delete or roll back" maxLength:"127"`
	Name   string          `json:"name,omitempty" doc:"Its name" maxLength:"127"`
	Base   string          `json:"base,omitempty" doc:"The request or commit that the resource is believed to stand at: refused where it has moved on" maxLength:"64"`
	To     string          `json:"to,omitempty" doc:"The commit, or request, to roll back to" maxLength:"64"`
	Count  int             `json:"count,omitempty" doc:"How many, with numbered names" minimum:"0" maximum:"200"`
	TTL    Duration        `json:"ttl,omitempty" doc:"After this time, from when it is made, a request to delete it is filed, such as 2d"`
	// Resources are several, of any types; then the fields above are left out.
	Resources []Ask    `json:"resources,omitempty" doc:"Several resources, instead of one" maxItems:"200"`
	Title     string   `json:"title,omitempty" maxLength:"200"`
	Notify    []string `json:"notify,omitempty" doc:"Mail addresses to tell of receipt and completion" maxItems:"20"`
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
	// Resources say what becomes of each resource; the fields above are of the first.
	Resources []ResourcePlan `json:"resources"`
	// Open are the things that cannot be said before it runs, in words.
	Open []string `json:"open,omitempty"`
}

// ResourcePlan is what a request would do to one resource.
type ResourcePlan struct {
	Entry    string          `json:"entry"`
	Type     string          `json:"type"`
	Name     string          `json:"name"`
	Action   string          `json:"action"`
	Base     string          `json:"base,omitempty"`
	Spec     json.RawMessage `json:"spec,omitempty"`
	Workflow string          `json:"workflow"`
	Version  int             `json:"version"`
	TTL      Duration        `json:"ttl,omitempty"`
	// File is the path that would be committed, in Repository; empty where the type keeps no files.
	Repository string `json:"repository,omitempty"`
	File       string `json:"file,omitempty"`
	// Changes are the fields of the common format that would differ.
	Changes []FieldChange `json:"changes"`
	// Trial is the workflow of the trial run that the type declares (actions.preview); empty where there is none.
	Trial string `json:"trial,omitempty"`
	// Preview is what the trial run said, where it was asked for: a Terraform plan, an Ansible check.
	Preview *Preview `json:"preview,omitempty"`
	// Expected is how long the workflow usually takes.
	Expected *Expected `json:"expected,omitempty"`
	// Undo are the steps that would be taken back if it failed, newest first.
	Undo []string `json:"undo,omitempty"`
}

// Preview is the outcome of a trial run. By convention its outputs are plan, as the task type terraform gives it
// in a trial; check, as ansible does; and open, texts that say what it cannot know, which become Open of the plan
// of the request. Others are shown as they are.
type Preview struct {
	Run     RunID           `json:"run,omitempty"`
	State   State           `json:"state,omitempty"`
	Outputs json.RawMessage `json:"outputs,omitempty"`
	Failure string          `json:"failure,omitempty"`
}

// PlanRequestIn asks what a request would do.
type PlanRequestIn struct {
	NS
	// Preview has the trial runs of the types made as well. They change nothing, but take their time.
	Preview Duration `query:"preview" doc:"Have the types' trial runs made, such as a Terraform plan, and wait so long for them; at most 60s"`
	Body    CreateRequestBody
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

// The request methods.
var (
	CreateRequest   = bus.Method[CreateRequestIn, Request]{Name: "request.create", HTTP: "POST /v1/namespaces/{namespace}/requests", Status: 201, Doc: "Ask for a resource."}
	PlanRequest     = bus.Method[PlanRequestIn, RequestPlan]{Name: "request.plan", HTTP: "POST /v1/namespaces/{namespace}/requests/plan", Perm: "request.create", Doc: "Say what a request would do."}
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
