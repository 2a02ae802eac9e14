package workflow

import (
	"encoding/json"
	"maps"
	"slices"

	"tutti/api"
	"tutti/internal/workflow/definition"
)

// native are the task types the engine carries out itself.
var native = []api.TaskType{
	{Name: "set", Native: true, Title: "Set values", Doc: "Gives its input as output.",
		Errors: map[string]string{"expression": "its input could not be computed"}},
	{Name: "wait", Native: true, Title: "Wait", Doc: "Waits for a duration, or until a time.",
		With: json.RawMessage(`{"type":"object","additionalProperties":false,"oneOf":[{"required":["for"]},{"required":["until"]}],"properties":{
			"for":{"type":"string","description":"A duration, such as 90s or 2d"},
			"until":{"type":"string","description":"A time as in RFC 3339"}}}`),
		Out:    json.RawMessage(`{"type":"object"}`),
		Errors: map[string]string{"invalid": "what to wait for cannot be read"}},
	{Name: "signal", Native: true, Title: "Wait for a signal", Doc: "Waits until run.signal gives it data of its name, which is its output. A signal that came before is taken.",
		With:   json.RawMessage(`{"type":"object","additionalProperties":false,"required":["name"],"properties":{"name":{"type":"string","minLength":1}}}`),
		Errors: map[string]string{"timeout": "no signal came in time", "invalid": "its input cannot be read"}},
	{Name: "emit", Native: true, Title: "Publish an event", Doc: "Publishes an event of the given type, with data.",
		With:   json.RawMessage(`{"type":"object","additionalProperties":false,"required":["type"],"properties":{"type":{"type":"string","minLength":1,"maxLength":200},"data":{}}}`),
		Out:    json.RawMessage(`{"type":"object"}`),
		Errors: map[string]string{"invalid": "its input cannot be read"}},
	{Name: "approval", Native: true, Title: "Approval", Doc: "Waits until a person approves or rejects. Its timeout is when it expires.",
		With: json.RawMessage(`{"type":"object","additionalProperties":false,"properties":{
			"text":{"type":"string","description":"What is asked"},
			"to":{"type":["string","array"],"items":{"type":"string"},"description":"Who may decide: user:anna, role:approver; nobody named is any approver"},
			"notBy":{"type":["string","array","null"],"items":{"type":"string"},"description":"Who may not decide, such as ${{ run.requester }}"},
			"show":{"description":"What to decide about; any data"},
			"quorum":{"type":"integer","minimum":1,"maximum":20,"description":"How many must approve; default 1"},
			"onExpiry":{"enum":["fail","approve","reject"],"description":"What happens when nobody decided before the timeout; default fail"},
			"form":{"type":"object","description":"A JSON Schema of what who approves has to fill in"},
			"digest":{"type":"string","description":"What the decision is bound to; who decides must name it"}}}`),
		Out: json.RawMessage(`{"type":"object","additionalProperties":false,"properties":{
			"by":{"type":"string","description":"Who approved last"},"reason":{"type":"string"},"at":{"type":"string","format":"date-time"},
			"approvers":{"type":"array","items":{"type":"string"}},"form":{"type":"object","additionalProperties":true}}}`),
		Errors: map[string]string{"rejected": "somebody rejected it", "expired": "nobody decided in time", "invalid": "its input cannot be read"}},
}

// types knows every task type.
type types struct {
	all    map[string]api.TaskType
	sorted []string
}

func newTypes(of []api.TaskType) *types {
	t := &types{all: map[string]api.TaskType{}}
	for _, x := range slices.Concat(native, of) {
		t.all[x.Name] = x
	}
	t.sorted = slices.Sorted(maps.Keys(t.all))
	return t
}

// known answers a compiler: the task types, and the workflows it may find.
type known struct {
	*types
	workflow func(name string) (inputs, outputs json.RawMessage, ok bool)
}

var _ definition.Types = known{}

// TaskType returns a task type by name.
func (k known) TaskType(name string) (definition.TaskType, bool) {
	t, ok := k.all[name]
	return definition.TaskType{Name: t.Name, With: t.With, Out: t.Out, Native: t.Native}, ok
}

// TaskTypeNames returns all names.
func (k known) TaskTypeNames() []string { return k.sorted }

// Workflow returns what a workflow takes and gives.
func (k known) Workflow(name string) (inputs, outputs json.RawMessage, ok bool) {
	return k.workflow(name)
}
