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
	return checkInputs(g, g.Inputs, raw)
}

// GivenInputs is CheckInputs for what somebody outside gives: a field that the workflow does not list is
// refused instead of ignored, unless its schema lets fields be that it does not name.
func GivenInputs(g *dag.Graph, raw json.RawMessage) (json.RawMessage, error) {
	var schema any = map[string]any{"type": "object", "properties": map[string]any{}}
	if g.Inputs != nil {
		if err := json.Unmarshal(g.Inputs, &schema); err != nil {
			return nil, fmt.Errorf("schema of the inputs: %w", err)
		}
	}
	closed, err := json.Marshal(document.Closed(schema))
	if err != nil {
		return nil, fmt.Errorf("schema of the inputs: %w", err)
	}
	return checkInputs(g, closed, raw)
}

func checkInputs(g *dag.Graph, schema, raw json.RawMessage) (json.RawMessage, error) {
	var v any = map[string]any{}
	if len(raw) > 0 && string(raw) != "null" {
		if err := json.Unmarshal(raw, &v); err != nil {
			return nil, errs.New(errs.Invalid, "inputs are not JSON: %w", err)
		}
	}
	if _, ok := v.(map[string]any); !ok {
		return nil, errs.New(errs.Invalid, "inputs must be an object")
	}
	if schema != nil {
		v = document.WithDefaults(schema, v)
		if ps := document.CheckValue(schema, v, "inputs"); len(ps) > 0 {
			return nil, errs.New(errs.Invalid, "the inputs do not fit workflow %s", g.Name).WithProblems(ps...)
		}
	}
	out, err := json.Marshal(v)
	if err != nil {
		return nil, fmt.Errorf("inputs: %w", err)
	}
	return out, nil
}
