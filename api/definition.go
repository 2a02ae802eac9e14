package api

import (
	"encoding/json"
	"time"

	"tutti/bus"
	"tutti/errs"
)

// Definition is a document that was applied, in one version.
type Definition struct {
	Kind      string            `json:"kind"`
	Name      string            `json:"name"`
	Namespace string            `json:"namespace"`
	Version   int               `json:"version"` // from 1
	Digest    string            `json:"digest"`  // SHA-256 of the canonical JSON, hex
	Title     string            `json:"title,omitempty"`
	Labels    map[string]string `json:"labels,omitempty"`
	// Document is the canonical JSON; Source the text as it was applied. Only in GetDefinition.
	Document json.RawMessage `json:"document,omitempty"`
	Source   string          `json:"source,omitempty"`
	// Publisher applied it; Role is the strongest role it held then, with which runs of it work.
	Publisher string    `json:"publisher"`
	Role      string    `json:"role"`
	Applied   time.Time `json:"applied"`
	// Note says why; only in the list of versions.
	Note string `json:"note,omitempty"`
}

// The kinds of definitions of this version.
const (
	KindWorkflow     = "Workflow"
	KindResourceType = "ResourceType"
	KindPreset       = "Preset"
	KindTaskType     = "TaskType"
	KindView         = "View"
	KindTrigger      = "Trigger"
)

// Kinds lists the kinds that can be applied.
var Kinds = []string{KindWorkflow, KindResourceType, KindPreset, KindTaskType, KindView, KindTrigger}

// SourceFile is a file with one or more documents.
type SourceFile struct {
	Name string `json:"name" doc:"Name used in messages, such as vm.yaml" maxLength:"500"`
	Text string `json:"text" doc:"YAML or JSON; several YAML documents are separated by ---" maxLength:"1048576"`
}

// ApplyIn creates or changes definitions, all or none.
type ApplyIn struct {
	NS
	Key  string `header:"Idempotency-Key" maxLength:"200"`
	Body ApplyBody
}

// ApplyBody holds the documents.
type ApplyBody struct {
	Files []SourceFile `json:"files" minItems:"1" maxItems:"500"`
	// DryRun checks and says what would change, and changes nothing.
	DryRun bool `json:"dryRun,omitempty"`
	// Note says why, for the history.
	Note string `json:"note,omitempty" maxLength:"1000"`
}

// ApplyOut says what an apply did, or would do.
type ApplyOut struct {
	Changes []Change `json:"changes"`
}

// Change is what an apply did to one definition.
type Change struct {
	Kind string `json:"kind"`
	Name string `json:"name"`
	// Action is "create", "update" or "unchanged".
	Action  string `json:"action"`
	Version int    `json:"version"`
	Digest  string `json:"digest"`
}

// CheckIn asks the owner of a kind what is wrong with the documents of that kind in files. The other
// documents count as if they were applied already, so that documents may refer to one another.
type CheckIn struct {
	NS
	Files []SourceFile
}

// CheckOut lists what is wrong, and which permissions the publisher needs beyond definition.apply.
type CheckOut struct {
	Problems []errs.Problem
	Needs    []string
}

// CheckKind is the method by which the owner of a kind checks documents.
func CheckKind(kind string) bus.Method[CheckIn, CheckOut] {
	return bus.Method[CheckIn, CheckOut]{Name: "check." + kind, Perm: bus.System, Doc: "Check documents of a kind."}
}

// ListDefinitionsIn filters definitions.
type ListDefinitionsIn struct {
	NS
	Paging
	Kind string `query:"kind" doc:"Only this kind"`
}

// GetDefinitionIn names a definition.
type GetDefinitionIn struct {
	NS
	Kind    string `path:"kind"`
	Name    string `path:"name"`
	Version int    `query:"version" doc:"A version; 0 is the newest"`
}

// The definition methods.
var (
	ApplyDefinitions    = bus.Method[ApplyIn, ApplyOut]{Name: "definition.apply", HTTP: "POST /v1/namespaces/{namespace}/definitions", Doc: "Create or change definitions: all of them, or none."}
	ValidateDefinitions = bus.Method[ApplyIn, ApplyOut]{Name: "definition.validate", HTTP: "POST /v1/namespaces/{namespace}/definitions/validate", Perm: "definition.read", Doc: "Check definitions and say what applying them would change."}
	ListDefinitions     = bus.Method[ListDefinitionsIn, Page[Definition]]{Name: "definition.list", HTTP: "GET /v1/namespaces/{namespace}/definitions", Perm: "definition.read", Doc: "List definitions by kind and name, in their newest version."}
	GetDefinition       = bus.Method[GetDefinitionIn, Definition]{Name: "definition.get", HTTP: "GET /v1/namespaces/{namespace}/definitions/{kind}/{name}", Perm: "definition.read", Direct: true, Doc: "Get a definition with its text."}
	DeleteDefinition    = bus.Method[GetDefinitionIn, Nothing]{Name: "definition.delete", HTTP: "DELETE /v1/namespaces/{namespace}/definitions/{kind}/{name}", Perm: "definition.apply", Doc: "Withdraw a definition. Runs that pinned it finish."}
)

// DefinitionApplied is published for each definition that an apply created or changed, without its text.
var DefinitionApplied = bus.Event[Definition]{Name: "definition.definition.applied", Doc: "A definition was created or changed."}

// DefinitionDeleted is published when a definition was withdrawn; it carries its names, and its last
// version and digest.
var DefinitionDeleted = bus.Event[Definition]{Name: "definition.definition.deleted", Doc: "A definition was withdrawn."}
