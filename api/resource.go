package api

import (
	"encoding/json"
	"time"

	"tutti/bus"
)

// Entry is something that can be ordered from the catalogue: a resource type, or a preset of one that
// fixes some of its fields.
type Entry struct {
	Name  string   `json:"name"`
	Kind  string   `json:"kind"` // Preset or ResourceType
	Type  string   `json:"type"`
	Title string   `json:"title,omitempty"`
	Doc   string   `json:"doc,omitempty"`
	Tags  []string `json:"tags,omitempty"`
	// Schema is the JSON Schema of what is asked; fields a preset locks are left out. Only in GetEntry.
	Schema json.RawMessage `json:"schema,omitempty"`
	// Locked are the fields a preset fixes, with their values.
	Locked map[string]any `json:"locked,omitempty"`
	// Expected is how long it usually takes; only in GetEntry, where one workflow builds it.
	Expected *Expected `json:"expected,omitempty"`
}

// Resource is a declared thing that a request made.
type Resource struct {
	Type      string          `json:"type"`
	Name      string          `json:"name"`
	Namespace string          `json:"namespace"`
	Owner     string          `json:"owner"`
	Spec      json.RawMessage `json:"spec,omitempty"`    // the common format
	Outputs   json.RawMessage `json:"outputs,omitempty"` // of the run that built it
	Request   string          `json:"request"`           // the newest request that changed it
	Run       RunID           `json:"run"`
	Trace     string          `json:"trace"`
	Updated   time.Time       `json:"updated"`
	// Entry and Params are what it was last asked for with.
	Entry  string          `json:"entry,omitempty"`
	Params json.RawMessage `json:"params,omitempty"`
	// Source is the file in git it was made of; nil where its type keeps none.
	Source *SourceRef `json:"source,omitempty"`
	// Expires is when a request to delete it is filed.
	Expires time.Time `json:"expires,omitzero"`
	// Pending is the request that is changing it now; only in GetResource.
	Pending string `json:"pending,omitempty"`
	// Actions are what its type lets be done to it: modify, delete, observe; only in GetResource.
	Actions []string `json:"actions,omitempty"`
	// Observed is what was last seen of it in the world; only in GetResource.
	Observed *Observation `json:"observed,omitempty"`
	// History is every request that changed it, newest first; only in GetResource.
	History []ResourceChange `json:"history,omitempty"`
}

// ResourceChange is one request in the life of a resource.
type ResourceChange struct {
	Request string    `json:"request"`
	Run     RunID     `json:"run"`
	State   State     `json:"state"`
	By      string    `json:"by"`
	At      time.Time `json:"at"`
	// Action is create, modify or delete.
	Action string `json:"action,omitempty"`
	// Source is the file it committed.
	Source *SourceRef `json:"source,omitempty"`
	// Undone says that it was taken back.
	Undone bool `json:"undone,omitempty"`
}

// Observation is what a run that only looks found a resource to be.
type Observation struct {
	Run   RunID           `json:"run"`
	State State           `json:"state"`
	At    time.Time       `json:"at"`
	World json.RawMessage `json:"world,omitempty"` // outputs of the run
	// Drift are the outputs that differ from those the resource was made with.
	Drift []FieldChange `json:"drift,omitempty"`
	// Failure says why it could not be looked at.
	Failure string `json:"failure,omitempty"`
}

// ResolveIn asks what an entry with parameters becomes.
type ResolveIn struct {
	NS
	Ask
	Requester string
}

// Resolved is a valid resource in the common format and the workflow that builds it.
type Resolved struct {
	Entry    string
	Type     string
	Name     string
	Spec     json.RawMessage
	Workflow string
	// Inputs are those of the workflow.
	Inputs json.RawMessage
	// Notify are the addresses the type always tells.
	Notify []string
	// Action is create, modify or delete; Base the request that the resource stands at.
	Action, Base string
	// Params are those of the resource after it; of a modification all of them.
	Params json.RawMessage `json:",omitempty"`
	// Before is the common format as it stands.
	Before json.RawMessage `json:",omitempty"`
	// Changes are the fields of the common format that differ from Before.
	Changes []FieldChange `json:",omitempty"`
	// Files says that FileResources is to be called before the run: the file is kept in Repository, or the
	// resource is changed by one request at a time. Version is the type's.
	Files      bool
	Repository string
	Path       string
	Version    int
	// Preview is the workflow that tries it out and its inputs; empty where the type has none.
	Preview       string
	PreviewInputs json.RawMessage `json:",omitempty"`
}

// FileRequestIn has the files of a request committed: one commit for each repository.
type FileRequestIn struct {
	NS
	Request   string
	Trace     string
	Requester string
	Title     string
	Items     []FileItem
}

// FileItem is a resource to file.
type FileItem struct {
	Type, Name, Entry, Action, Base, Workflow string
	Version                                   int
	Spec, Params                              json.RawMessage `json:",omitempty"`
}

// Filed are the files of a request.
type Filed struct {
	// Items are in the order they were asked for.
	Items []FiledItem
}

// FiledItem is where the file of a resource is, and the inputs of its workflow with that filled in.
type FiledItem struct {
	Source SourceRef
	Inputs json.RawMessage
}

// ObserveIn has a resource looked at.
type ObserveIn struct {
	ResourceIn
	Key string `header:"Idempotency-Key" maxLength:"200"`
}

// EntryIn names a catalogue entry.
type EntryIn struct {
	NS
	Name string `path:"name"`
}

// EntryOptionsIn asks what the fields of an entry may be.
type EntryOptionsIn struct {
	NS
	Name string `path:"name"`
	Body EntryOptionsBody
}

// EntryOptionsBody is what was filled in so far.
type EntryOptionsBody struct {
	Params json.RawMessage `json:"params,omitempty" doc:"What was filled in so far; it may be incomplete"`
}

// Options are the values that may be chosen now, by field: "network", or "disks.storage" for a field of
// each item of a list. A field that is not named is bound by its schema alone.
type Options struct {
	Fields map[string][]Option `json:"fields"`
}

// Option is a value that may be chosen.
type Option struct {
	Value json.RawMessage `json:"value"`
	Title string          `json:"title,omitempty"`
	// Off says why it cannot be chosen now; empty where it can.
	Off string `json:"off,omitempty"`
}

// ListEntriesIn asks for the catalogue.
type ListEntriesIn struct{ NS }

// ListResourcesIn filters resources.
type ListResourcesIn struct {
	NS
	Paging
	Type string `query:"type"`
}

// ResourceIn names a resource.
type ResourceIn struct {
	NS
	Type string `path:"type"`
	Name string `path:"name"`
}

// CommitIn writes files to a repository of the namespace, as one commit.
type CommitIn struct {
	NS
	Repository string
	// Key makes repeating safe: the commit of a key is made once and found again.
	Key      string
	Message  string
	Author   string
	Trailers map[string]string
	Files    map[string]string
	Remove   []string
}

// Commit is a state of a repository.
type Commit struct {
	Repository string    `json:"repository"`
	Hash       string    `json:"commit"`
	Message    string    `json:"message,omitempty"`
	Author     string    `json:"author,omitempty"`
	At         time.Time `json:"at,omitzero"`
	Files      []string  `json:"files,omitempty"`
}

// ListCommitsIn asks for the history of a repository, or of one path in it.
type ListCommitsIn struct {
	NS
	Repository string `path:"repository"`
	Path       string `query:"path"`
	Limit      int    `query:"limit" minimum:"1" maximum:"1000"`
}

// ReadRepositoryIn asks for a file as of a commit.
type ReadRepositoryIn struct {
	NS
	Repository string `path:"repository"`
	Commit     string `path:"commit"`
	Path       string `query:"path" required:"true"`
}

// RepositoryFile is a file of a repository.
type RepositoryFile struct {
	Path   string `json:"path"`
	Commit string `json:"commit"`
	Text   string `json:"text"`
}

// ListTreeIn asks for the files of a folder as of a commit, with all that is below.
type ListTreeIn struct {
	NS
	Repository string `path:"repository"`
	Commit     string `path:"commit"`
	Path       string `query:"path" doc:"The folder; the whole repository where it is left out"`
}

// TreeFile is a file that ListTree found.
type TreeFile struct {
	Path string `json:"path"`
	// Hash is git's of its content: the same hash is the same content.
	Hash string `json:"hash"`
}

// The resource methods.
var (
	ListEntries     = bus.Method[ListEntriesIn, Page[Entry]]{Name: "resource.catalogue", HTTP: "GET /v1/namespaces/{namespace}/catalogue", Perm: "request.read", Doc: "List what can be ordered, presets first."}
	GetEntry        = bus.Method[EntryIn, Entry]{Name: "resource.entry", HTTP: "GET /v1/namespaces/{namespace}/catalogue/{name}", Perm: "request.read", Doc: "Get a catalogue entry with its schema."}
	EntryOptions    = bus.Method[EntryOptionsIn, Options]{Name: "resource.options", HTTP: "POST /v1/namespaces/{namespace}/catalogue/{name}/options", Perm: "request.read", Doc: "Say what the fields of an entry may be, given what was filled in so far."}
	ResolveResource = bus.Method[ResolveIn, Resolved]{Name: "resource.resolve", Perm: bus.System, Doc: "Validate and enrich what was asked for and choose the workflow."}
	ListResources   = bus.Method[ListResourcesIn, Page[Resource]]{Name: "resource.list", HTTP: "GET /v1/namespaces/{namespace}/resources", Perm: "request.read", Doc: "List resources by type and name."}
	GetResource     = bus.Method[ResourceIn, Resource]{Name: "resource.get", HTTP: "GET /v1/namespaces/{namespace}/resources/{type}/{name}", Perm: "request.read", Doc: "Get a resource with its history."}
	FileResources   = bus.Method[FileRequestIn, Filed]{Name: "resource.file", Perm: bus.System, Doc: "Commit the files of a request, after a look whether its resources still stand where it believes."}
	ObserveResource = bus.Method[ObserveIn, Run]{Name: "resource.observe", HTTP: "POST /v1/namespaces/{namespace}/resources/{type}/{name}/observe", Perm: "run.start", Status: 201, Doc: "Look at a resource in the world, with the workflow that its type declares for it."}
	CommitFiles     = bus.Method[CommitIn, Commit]{Name: "repository.commit", Perm: "repository.write", Doc: "Write files to a repository as one commit."}
	ListCommits     = bus.Method[ListCommitsIn, Page[Commit]]{Name: "repository.log", HTTP: "GET /v1/namespaces/{namespace}/repositories/{repository}/commits", Perm: "request.read", Doc: "List the commits of a repository, newest first."}
	ListTree        = bus.Method[ListTreeIn, Page[TreeFile]]{Name: "repository.tree", HTTP: "GET /v1/namespaces/{namespace}/repositories/{repository}/commits/{commit}/tree", Perm: "request.read", Doc: "List the files of a folder as of a commit, by path; at most 5000."}
	ReadRepository  = bus.Method[ReadRepositoryIn, RepositoryFile]{Name: "repository.read", HTTP: "GET /v1/namespaces/{namespace}/repositories/{repository}/commits/{commit}/file", Perm: "request.read", Doc: "Read a file as of a commit."}
)
