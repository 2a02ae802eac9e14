// Package task keeps the registry of the task types built into Tutti. A task type is a sdk.TaskType:
// what runs inside the server is written exactly as what a user runs outside.
package task

import (
	"maps"
	"slices"

	"tutti/api"
	"tutti/sdk"
)

// Registry finds a task type by name.
type Registry struct{ types map[string]sdk.TaskType }

// NewRegistry returns a registry of types. It panics if two share a name.
func NewRegistry(types ...sdk.TaskType) Registry {
	r := Registry{map[string]sdk.TaskType{}}
	for _, t := range types {
		name := t.Spec().Name
		if r.types[name] != nil {
			panic("two task types named " + name)
		}
		r.types[name] = t
	}
	return r
}

// Type returns the task type of that name.
func (r Registry) Type(name string) (sdk.TaskType, bool) {
	t, ok := r.types[name]
	return t, ok
}

// Types returns all task types by name.
func (r Registry) Types() []sdk.TaskType {
	out := make([]sdk.TaskType, 0, len(r.types))
	for _, name := range slices.Sorted(maps.Keys(r.types)) {
		out = append(out, r.types[name])
	}
	return out
}

// Specs returns what the task types say of themselves, by name.
func (r Registry) Specs() []api.TaskType {
	out := make([]api.TaskType, 0, len(r.types))
	for _, t := range r.Types() {
		out = append(out, t.Spec())
	}
	return out
}
