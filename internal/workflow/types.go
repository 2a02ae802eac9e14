package workflow

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"tutti/api"
	"tutti/errs"
	"tutti/internal/workflow/core"
	"tutti/internal/workflow/dag"
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

// Native returns the task types that the engine carries out itself.
func Native() []api.TaskType { return slices.Clone(native) }

// types knows every task type that is built in.
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
	declared func(name string) (api.TaskType, bool) // task types that are not built in
	names    func() []string                        // of those
	workflow func(name string) (inputs, outputs json.RawMessage, ok bool)
}

var _ definition.Types = known{}

// TaskType returns a task type by name.
func (k known) TaskType(name string) (definition.TaskType, bool) {
	t, ok := k.spec(name)
	return definition.TaskType{Name: t.Name, With: t.With, Out: t.Out, Native: t.Native}, ok
}

// spec returns what a task type says of itself. What is built in goes before what is declared.
func (k known) spec(name string) (api.TaskType, bool) {
	if t, ok := k.all[name]; ok {
		return t, true
	}
	return k.declared(name)
}

// TaskTypeNames returns all names.
func (k known) TaskTypeNames() []string { return slices.Concat(k.sorted, k.names()) }

// permissions returns what the publisher of g must hold for the task types it uses.
func (k known) permissions(g *dag.Graph) (out []string) {
	for _, use := range uses(g) {
		if t, _ := k.spec(use); t.Perm != "" && !slices.Contains(out, t.Perm) {
			out = append(out, t.Perm)
		}
	}
	return out
}

// uses returns the names of the task types that g calls, in the order of its tasks.
func uses(g *dag.Graph) (out []string) {
	add := func(use string) {
		if use != "" && !strings.HasPrefix(use, "workflow:") && !slices.Contains(out, use) {
			out = append(out, use)
		}
	}
	each(g, func(t *dag.Task) {
		add(t.Use)
		if t.Undo != nil {
			add(t.Undo.Use)
		}
	})
	return out
}

// listTypes lists what is built in, then what is declared in the namespace.
func (s *Service) listTypes(ctx context.Context, in api.ListTaskTypesIn) (p api.Page[api.TaskType], err error) {
	for _, name := range s.types.sorted {
		p.Items = append(p.Items, s.types.all[name])
	}
	if in.Namespace == "*" {
		return p, nil
	}
	names, err := s.declared.Names(ctx, in.Namespace)
	if err != nil {
		return p, fmt.Errorf("list the declared task types: %w", err)
	}
	for _, name := range names {
		v, err := s.declared.Get(ctx, in.Namespace, name, 0)
		if errs.Is(err, errs.NotFound) {
			continue // withdrawn meanwhile
		}
		if err != nil {
			return p, fmt.Errorf("read task type %s: %w", name, err)
		}
		if _, taken := s.types.all[name]; !taken {
			p.Items = append(p.Items, v.Type)
		}
	}
	return p, nil
}

// declares reports whether g uses a task type that is not built in.
func (s *Service) declares(g *dag.Graph) bool {
	return slices.ContainsFunc(uses(g), func(use string) bool { _, builtin := s.types.all[use]; return !builtin })
}

// pinTypes fixes the versions of the declared task types that g uses.
func (s *Service) pinTypes(ctx context.Context, m *core.Meta, g *dag.Graph) error {
	for _, use := range uses(g) {
		_, builtin := s.types.all[use]
		if _, done := m.Types[use]; builtin || done {
			continue
		}
		v, err := s.declared.Get(ctx, m.Namespace, use, 0)
		if err != nil {
			return errs.New(kindFor(err), "task type %s, which %s uses: %w", use, g.Name, err)
		}
		if m.Types == nil {
			m.Types = map[string]core.Pin{}
		}
		m.Types[use] = core.Pin{Digest: v.Digest, Version: v.Version}
	}
	return nil
}

// kindFor is the kind of the error for a definition that refers to what cannot be had.
func kindFor(err error) errs.Kind {
	if k := errs.KindOf(err); k != errs.NotFound {
		return k
	}
	return errs.Invalid
}

// perm returns the permission that an attempt of a task takes: that of its type, in the version the run
// is pinned to. A type that only a worker elsewhere knows takes none.
func (s *Service) perm(ctx context.Context, a *attempt) (string, error) {
	if t, ok := s.types.all[a.Use]; ok {
		return t.Perm, nil
	}
	v, err := s.declared.Get(ctx, a.meta.Namespace, a.Use, a.meta.Types[a.Use].Version)
	if errs.Is(err, errs.NotFound) {
		return "", nil
	}
	return v.Type.Perm, err
}

// Workflow returns what a workflow takes and gives.
func (k known) Workflow(name string) (inputs, outputs json.RawMessage, ok bool) {
	return k.workflow(name)
}
