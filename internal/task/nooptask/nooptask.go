// Package nooptask is the task type noop, which gives back what it was given: for trying out
// definitions, and for measuring the engine.
package nooptask

import (
	"context"

	"tutti/api"
	"tutti/sdk"
)

// New returns the task type.
func New() sdk.TaskType { return noop{} }

type noop struct{}

// Spec describes the type.
func (noop) Spec() api.TaskType {
	return api.TaskType{Name: "noop", Title: "Do nothing", Doc: "Gives its input back as output, whatever it is."}
}

// Do returns the input.
func (noop) Do(ctx context.Context, t *sdk.Task) (sdk.Result, error) {
	return sdk.Done(t.With), ctx.Err()
}
