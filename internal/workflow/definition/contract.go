package definition

import (
	"encoding/json"
	"fmt"

	"tutti/errs"
	"tutti/internal/document"
	"tutti/internal/workflow/dag"
)

// Contract returns the JSON Schemas of what a workflow takes and gives, from its document as JSON; nil
// is anything. Which outputs it has is known, not their types.
func Contract(doc []byte) (inputs, outputs json.RawMessage) {
	var w struct {
		Inputs  json.RawMessage            `json:"inputs"`
		Outputs map[string]json.RawMessage `json:"outputs"`
	}
	if err := json.Unmarshal(doc, &w); err != nil {
		return nil, nil // its own problems are reported where it stands
	}
	props := make(map[string]any, len(w.Outputs))
	for k := range w.Outputs {
		props[k] = map[string]any{}
	}
	outputs, err := json.Marshal(map[string]any{"type": "object", "additionalProperties": false, "properties": props})
	if err != nil {
		return w.Inputs, nil
	}
	return w.Inputs, outputs
}

// CheckInputs fills in the defaults of a workflow's inputs and validates them. Nothing counts as {}. It
// returns errs.Invalid with every problem.
func CheckInputs(g *dag.Graph, raw json.RawMessage) (json.RawMessage, error) {
	var v any = map[string]any{}
	if len(raw) > 0 && string(raw) != "null" {
		if err := json.Unmarshal(raw, &v); err != nil {
			return nil, errs.New(errs.Invalid, "inputs are not JSON: %w", err)
		}
	}
	if _, ok := v.(map[string]any); !ok {
		return nil, errs.New(errs.Invalid, "inputs must be an object")
	}
	if g.Inputs != nil {
		v = document.WithDefaults(g.Inputs, v)
		if ps := document.CheckValue(g.Inputs, v, "inputs"); len(ps) > 0 {
			return nil, errs.New(errs.Invalid, "the inputs do not fit workflow %s", g.Name).WithProblems(ps...)
		}
	}
	out, err := json.Marshal(v)
	if err != nil {
		return nil, fmt.Errorf("inputs: %w", err)
	}
	return out, nil
}
