package task

import (
	"bytes"
	"context"
	_ "embed"
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"tutti/api"
	"tutti/errs"
	"tutti/internal/document"
	"tutti/sdk"
)

// FailOutput is the failure type of a declared task type whose output is not what its schema says.
const FailOutput = "output"

// Driver carries out task types that a document of kind TaskType declares under a key of the driver's
// name.
type Driver struct {
	Name string
	// Schema is the JSON Schema of what stands under the key.
	Schema json.RawMessage
	// Perm is a permission that the publisher of such a type must hold; "" is none.
	Perm string
	// Reattach says that a restarted attempt finds the work of the one before.
	Reattach bool
	// Errors are the failure types the driver reports by itself, with what they mean.
	Errors map[string]string
	// Compile returns what carries out the type, or all that is wrong with the document. It is given
	// only what fits Schema. nil is for types that workers outside carry out.
	Compile func(d *Declared) (Carry, []errs.Problem)
}

// Carry performs one attempt with an input that the schema took, and returns the output as JSON-shaped
// value.
type Carry func(ctx context.Context, t *sdk.Task, with any) (any, error)

// Declared is a document of kind TaskType on its way to become a task type.
type Declared struct {
	*document.Document
	Spec api.TaskType
	// Config is what stands under the driver's key, at Pointer.
	Config  any
	Pointer string
	with    *document.Schema // nil takes anything
}

// Decode puts Config into v.
func (d *Declared) Decode(v any) error {
	return json.Unmarshal(document.Canonical(d.Config), v)
}

// Fields returns the fields that the input may have, sorted; open says that it may have others too.
func (d *Declared) Fields() (names []string, open bool) {
	if d.with == nil {
		return nil, true
	}
	s, _ := d.with.Raw().(map[string]any)
	props, _ := s["properties"].(map[string]any)
	return slices.Sorted(maps.Keys(props)), s["additionalProperties"] != false
}

// Drivers are the drivers there are.
type Drivers []Driver

//go:embed declared.schema.json
var declaredSchema []byte

// Schema returns the JSON Schema of the kind TaskType.
func (ds Drivers) Schema() json.RawMessage {
	var s map[string]any
	if err := json.Unmarshal(declaredSchema, &s); err != nil {
		panic(err) // impossible: it is embedded, and tested
	}
	props := s["properties"].(map[string]any)
	var one []any
	for _, d := range ds {
		var v any
		if err := json.Unmarshal(d.Schema, &v); err != nil {
			panic(fmt.Sprintf("schema of driver %s: %v", d.Name, err))
		}
		props[d.Name] = v
		one = append(one, map[string]any{"required": []any{d.Name}})
	}
	if len(one) > 0 {
		s["oneOf"] = one
	}
	return document.Canonical(s)
}

// Compile returns the task type that a document declares, the permission its publisher must hold (""
// is none), and all that is wrong with it; the type is nil where anything is.
func (ds Drivers) Compile(doc *document.Document) (typ sdk.TaskType, perm string, problems []errs.Problem) {
	fail := func(at string, err error, hint string) {
		problems = append(problems, errs.Problem{Location: doc.At(at), Message: err.Error(), Hint: hint})
	}
	schema, err := document.CompileSchema(ds.Schema())
	if err != nil {
		fail("", err, "")
		return nil, "", problems
	}
	driver, config, ok := ds.of(doc)
	if !ok {
		fail("", fmt.Errorf("a TaskType has exactly one of %s", strings.Join(ds.names(), ", ")), "it says how the tasks are carried out")
		return nil, "", problems
	}
	if problems = doc.Validate(schema.Compiled()); len(problems) > 0 {
		return nil, driver.Perm, problems
	}
	spec, err := ds.Spec(doc.JSON)
	if err != nil {
		fail("", err, "")
		return nil, driver.Perm, problems
	}
	d := &Declared{Document: doc, Spec: spec, Config: config, Pointer: document.Pointer(driver.Name)}
	t := &declared{spec: spec}
	if d.with, err = compiled(spec.With); err != nil {
		fail("/with", err, "with is a JSON Schema of the input")
	}
	if t.out, err = compiled(spec.Out); err != nil {
		fail("/out", err, "out is a JSON Schema of the output")
	}
	if len(problems) > 0 {
		return nil, driver.Perm, problems
	}
	t.with, t.do = d.with, elsewhere
	if driver.Compile != nil {
		t.do, problems = driver.Compile(d)
	}
	if len(problems) > 0 {
		return nil, driver.Perm, problems
	}
	return t, driver.Perm, nil
}

// Outside returns the driver of types that workers outside carry out: the document says what goes in
// and out, so that definitions are checked and people find it.
func Outside() Driver {
	return Driver{
		Name:   "worker",
		Schema: json.RawMessage(`{"type": "object", "additionalProperties": false, "description": "Workers of your own carry it out, in the pool that the task names. Nothing is to be said here: {}."}`),
	}
}

// elsewhere is what workers inside the server do with a type that is carried out outside.
func elsewhere(_ context.Context, t *sdk.Task, _ any) (any, error) {
	return nil, sdk.Fail(sdk.FailUnknown, "tasks of type %s are carried out by workers of your own", t.Type).
		WithHint("give the task the pool of those workers (pool: …)")
}

func compiled(schema json.RawMessage) (*document.Schema, error) {
	if schema == nil {
		return nil, nil
	}
	return document.CompileSchema(schema)
}

func (ds Drivers) names() (names []string) {
	for _, d := range ds {
		names = append(names, d.Name)
	}
	return names
}

// of returns the one driver that a document names, with what stands under its key.
func (ds Drivers) of(doc *document.Document) (driver Driver, config any, ok bool) {
	v, _ := doc.Value().(map[string]any)
	for _, d := range ds {
		if c, there := v[d.Name]; there {
			if ok {
				return driver, nil, false
			}
			driver, config, ok = d, c, true
		}
	}
	return driver, config, ok
}

// Spec returns what the canonical JSON of a sound TaskType says of the type. It is cheap, and does not
// look at what is the driver's.
func (ds Drivers) Spec(doc []byte) (api.TaskType, error) {
	var v struct {
		Name   string            `json:"name"`
		Title  string            `json:"title"`
		Doc    string            `json:"doc"`
		With   json.RawMessage   `json:"with"`
		Out    json.RawMessage   `json:"out"`
		Errors map[string]string `json:"errors"`
		Perm   string            `json:"perm"`
	}
	var keys map[string]json.RawMessage
	if err := json.Unmarshal(doc, &v); err != nil {
		return api.TaskType{}, errs.New(errs.Invalid, "task type: %w", err)
	}
	if err := json.Unmarshal(doc, &keys); err != nil {
		return api.TaskType{}, errs.New(errs.Invalid, "task type: %w", err)
	}
	s := api.TaskType{Name: v.Name, Title: v.Title, Doc: v.Doc, With: v.With, Out: v.Out, Perm: v.Perm, Errors: map[string]string{}}
	for _, d := range ds {
		if keys[d.Name] != nil {
			maps.Copy(s.Errors, d.Errors)
			s.Reattach = d.Reattach
			if d.Compile == nil {
				maps.Copy(s.Errors, v.Errors)
				return s, nil
			}
		}
	}
	if v.With != nil {
		s.Errors[Invalid] = "the input is not what the task type takes"
	}
	if v.Out != nil {
		s.Errors[FailOutput] = "the output is not what the task type promises; a fault of the task type, or of what it calls"
	}
	maps.Copy(s.Errors, v.Errors)
	return s, nil
}

// declared is a task type that a document declares. It is immutable.
type declared struct {
	spec      api.TaskType
	with, out *document.Schema // nil is anything
	do        Carry
}

// Spec describes the type.
func (d *declared) Spec() api.TaskType { return d.spec }

// Do checks the input, carries out the attempt and checks the output.
func (d *declared) Do(ctx context.Context, t *sdk.Task) (sdk.Result, error) {
	in, err := d.input(t)
	if err != nil {
		return sdk.Result{}, err
	}
	out, err := d.do(ctx, t, in)
	if err != nil {
		return sdk.Result{}, err
	}
	if d.out != nil {
		if ps := d.out.Check(plainJSON(out), "out"); len(ps) > 0 {
			words := make([]string, 0, len(ps))
			for _, p := range ps {
				words = append(words, p.Location+": "+p.Message)
			}
			return sdk.Result{}, sdk.Fail(FailOutput, "the output of %s is not what it promises: %s", d.spec.Name, strings.Join(words[:min(len(words), 5)], "; ")).
				WithHint("correct out in the document of the task type, or what makes the output")
		}
	}
	return sdk.Done(out), nil
}

// input decodes and checks the input, with defaults filled in.
func (d *declared) input(t *sdk.Task) (any, error) {
	dec := json.NewDecoder(bytes.NewReader(WithoutNulls(t.With)))
	var in any
	if err := dec.Decode(&in); err != nil {
		return nil, errs.New(errs.Invalid, "input of %s: %w", d.spec.Name, err)
	}
	if in == nil {
		in = map[string]any{} // nothing was given
	}
	if d.with == nil {
		return in, nil
	}
	in = d.with.WithDefaults(in)
	if ps := d.with.Check(in, "with"); len(ps) > 0 {
		return nil, errs.New(errs.Invalid, "%s does not take this input", d.spec.Name).WithProblems(ps...).
			WithHint("compare it with the schema of %s", d.spec.Name)
	}
	return in, nil
}

// plainJSON returns v as decoded JSON.
func plainJSON(v any) any {
	var out any
	b, err := json.Marshal(v)
	if err != nil || json.Unmarshal(b, &out) != nil {
		return v // the report of the result says so
	}
	return out
}

var failureForm = regexp.MustCompile(`^[a-z][a-z_]*(\.[a-z][a-z_]*)?$`)

// FailureForm reports whether a failure type has the form that they all have: word, or word.word.
func FailureForm(typ string) bool { return len(typ) <= 100 && failureForm.MatchString(typ) }
