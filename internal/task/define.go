package task

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"tutti/api"
	"tutti/errs"
	"tutti/internal/document"
	"tutti/sdk"
)

// Invalid is the failure type of every defined task type for input that its schema, or the type
// itself, refuses.
const Invalid = string(errs.Invalid)

// Define returns a task type whose input and output are Go types. The schemas come from them: fields
// are named by their json tags and required unless omitempty; doc, minimum, maximum, minLength,
// maxLength, pattern, enum, default and the like are huma's tags, unknown fields are refused, and
// where a field is any or json.RawMessage it takes anything. In and Out of type any, or
// json.RawMessage, take and give anything themselves. What do gets has passed the schema; fields given
// as null count as left out; defaults are do's business. Define panics on types that have no schema.
func Define[In, Out any](spec api.TaskType, do func(ctx context.Context, t *sdk.Task, in In) (Out, error)) sdk.TaskType {
	with := schemaOf[In]()
	d := defined[In, Out]{spec: spec, do: do}
	d.spec.With, d.spec.Out = with, schemaOf[Out]()
	d.spec.Errors = maps.Clone(spec.Errors)
	if with != nil {
		s, err := document.CompileSchema(with)
		if err != nil {
			panic(fmt.Sprintf("task type %s: %v", spec.Name, err))
		}
		d.with = s
		if d.spec.Errors == nil {
			d.spec.Errors = map[string]string{}
		}
		if d.spec.Errors[Invalid] == "" {
			d.spec.Errors[Invalid] = "the input is not what the task type takes"
		}
	}
	return d
}

type defined[In, Out any] struct {
	spec api.TaskType
	with *document.Schema // nil takes anything
	do   func(context.Context, *sdk.Task, In) (Out, error)
}

// Spec describes the type.
func (d defined[In, Out]) Spec() api.TaskType { return d.spec }

// Do checks the input and carries out the attempt.
func (d defined[In, Out]) Do(ctx context.Context, t *sdk.Task) (sdk.Result, error) {
	var in In
	if err := d.bind(t, &in); err != nil {
		return sdk.Result{}, err
	}
	out, err := d.do(ctx, t, in)
	if err != nil {
		return sdk.Result{}, err
	}
	return sdk.Done(out), nil
}

// bind decodes the input into in. It returns errs.Invalid, with all that is wrong.
func (d defined[In, Out]) bind(t *sdk.Task, in *In) error {
	raw := WithoutNulls(t.With)
	if d.with != nil {
		var v any
		if err := json.Unmarshal(raw, &v); err != nil {
			return errs.New(errs.Invalid, "input of %s: %w", d.spec.Name, err)
		}
		if ps := d.with.Check(v, "with"); len(ps) > 0 {
			return errs.New(errs.Invalid, "%s does not take this input", d.spec.Name).WithProblems(ps...).
				WithHint("compare it with the schema of %s", d.spec.Name)
		}
	}
	if err := json.Unmarshal(raw, in); err != nil {
		return errs.New(errs.Invalid, "input of %s: %w", d.spec.Name, err)
	}
	return nil
}

// WithoutNulls leaves out the members of an object that are null: an expression over an optional input
// gives null.
func WithoutNulls(raw json.RawMessage) json.RawMessage {
	if len(raw) == 0 {
		return json.RawMessage("{}")
	}
	var members map[string]json.RawMessage
	if json.Unmarshal(raw, &members) != nil {
		return raw
	}
	n := len(members)
	maps.DeleteFunc(members, func(_ string, v json.RawMessage) bool { return string(v) == "null" })
	if len(members) == n {
		return raw
	}
	out, err := json.Marshal(members)
	if err != nil {
		return raw
	}
	return out
}

const refs = "#/schemas/"

// schemaOf returns the JSON Schema of T, without references; nil where T is anything.
func schemaOf[T any]() json.RawMessage {
	t := reflect.TypeFor[T]()
	if t.Kind() == reflect.Interface || t == reflect.TypeFor[json.RawMessage]() {
		return nil
	}
	registry := huma.NewMapRegistry(refs, huma.DefaultSchemaNamer)
	root := registry.Schema(t, false, t.Name())
	var v any
	if err := remarshal(root, &v); err != nil || root == nil {
		panic(fmt.Sprintf("%s has no schema: %v", t, err))
	}
	out, err := json.Marshal(plain(registry, v))
	if err != nil {
		panic(fmt.Sprintf("%s has no schema: %v", t, err))
	}
	return out
}

// plain puts schemas in the place of references to them, and takes out what huma adds for its own use:
// the formats of Go's numbers, and null as a value of every list.
func plain(r huma.Registry, v any) any {
	switch v := v.(type) {
	case map[string]any:
		if ref, ok := v["$ref"].(string); ok {
			var target any
			if err := remarshal(r.Map()[strings.TrimPrefix(ref, refs)], &target); err != nil {
				panic(fmt.Sprintf("schema %s: %v", ref, err))
			}
			delete(v, "$ref")
			if m, ok := target.(map[string]any); ok {
				maps.Copy(m, v) // the description of the field goes before that of its type
				return plain(r, m)
			}
		}
		if f, ok := v["format"].(string); ok && (f == "int64" || f == "int32" || f == "double" || f == "float") {
			delete(v, "format")
		}
		if l, ok := v["type"].([]any); ok && len(l) == 2 && l[0] == "array" {
			v["type"] = "array"
		}
		for k, e := range v {
			v[k] = plain(r, e)
		}
	case []any:
		for i, e := range v {
			v[i] = plain(r, e)
		}
	}
	return v
}

func remarshal(from, to any) error {
	b, err := json.Marshal(from)
	if err != nil {
		return err
	}
	return json.Unmarshal(b, to)
}

// Called returns own, the failure types of a type that calls a slice of Tutti, with those added that
// such a call may end in.
func Called(own map[string]string) map[string]string {
	out := map[string]string{
		string(errs.Denied):      "the role the workflow runs with does not allow it",
		string(errs.NotFound):    "something the input names is not there",
		string(errs.Conflict):    "it contradicts what is there",
		string(errs.TooLarge):    "the input is too large",
		string(errs.Limited):     "too much was asked at a time; worth another attempt",
		string(errs.Unavailable): "the service could not be reached; worth another attempt",
		sdk.FailInternal:         "a fault of the server; its log says more",
	}
	maps.Copy(out, own)
	return out
}
