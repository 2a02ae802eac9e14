// Package tasktest is the suite that every task type passes: Run. It checks what a type says of itself
// against what it does, and what the engine relies on: that an attempt may be made again after a crash
// at any place, that wrong input is refused as such, and that work ends when its context does.
//
// Try is one attempt, for a type's own tests.
package tasktest

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"testing"
	"time"

	"tutti/api"
	"tutti/internal/document"
	"tutti/sdk"
)

// Case is an input and what to expect of it.
type Case struct {
	// Name is the case's; "" is its number.
	Name string
	// With is the input, turned into JSON; $KEY in it stands for a few letters and digits that are
	// different for every task.
	With any
	// Secrets are the assignment's.
	Secrets []string
	// Check, where set, looks at the output of a good case, each time it was given.
	Check func(t *testing.T, out json.RawMessage)
}

// Cases are the inputs of a type.
type Cases struct {
	Good []Case // succeed
	Bad  []Case // fail as invalid, and for good
	Slow []Case // good, and so slow that they must be stopped: at least a minute
	// Context, where set, returns the context attempts are made with; types that call slices need a
	// caller in it.
	Context func(context.Context) context.Context
}

// patience is how long an attempt may take to end once its context has.
const patience = 15 * time.Second

// Run runs the suite. The tests of a type run one after the other, in parallel with those of others.
func Run(t *testing.T, typ sdk.TaskType, c Cases) {
	if c.Context == nil {
		c.Context = func(ctx context.Context) context.Context { return ctx }
	}
	s := suite{typ, c}
	t.Run("spec", s.spec)
	each(t, "good", c.Good, s.good)
	each(t, "crashing", c.Good, s.crashing)
	each(t, "ended context", c.Good, s.ended)
	each(t, "bad", append(s.universal(), c.Bad...), s.bad)
	each(t, "slow", c.Slow, s.slow)
}

func each(t *testing.T, name string, cases []Case, f func(*testing.T, Case)) {
	for i, c := range cases {
		if c.Name == "" {
			c.Name = fmt.Sprint(i + 1)
		}
		t.Run(name+"/"+c.Name, func(t *testing.T) { f(t, c) })
	}
}

type suite struct {
	typ sdk.TaskType
	Cases
}

func (s suite) try(t *testing.T, c Case) *Try {
	t.Helper()
	a := NewTry(t, s.typ, c.With)
	a.Secrets = c.Secrets
	return a
}

func (s suite) spec(t *testing.T) {
	sp := s.typ.Spec()
	if !regexp.MustCompile(`^[a-z][a-z0-9]*(\.[a-z][a-z0-9]*)*$`).MatchString(sp.Name) {
		t.Errorf("name %q is not of the form word.word", sp.Name)
	}
	if sp.Title == "" || sp.Doc == "" {
		t.Error("the type has no title or no doc")
	}
	for name, schema := range map[string]json.RawMessage{"with": sp.With, "out": sp.Out} {
		if schema == nil {
			continue
		}
		if _, err := document.CompileSchema(schema); err != nil {
			t.Errorf("schema of %s: %v", name, err)
		}
		var v struct {
			Type                 string
			Properties           map[string]map[string]any
			AdditionalProperties any
		}
		if err := json.Unmarshal(schema, &v); err != nil {
			t.Fatalf("schema of %s: %v", name, err)
		}
		if v.Type == "object" && name == "with" && v.AdditionalProperties != false {
			t.Error("the input may have unknown fields")
		}
		for field, p := range v.Properties {
			if d, _ := p["description"].(string); d == "" {
				t.Errorf("%s.%s has no description", name, field)
			}
		}
	}
	form := regexp.MustCompile(`^[a-z][a-z_]*(\.[a-z][a-z_]*)?$`)
	for typ, doc := range sp.Errors {
		if !form.MatchString(typ) || doc == "" {
			t.Errorf("failure type %q has another form than word or word.word, or no explanation", typ)
		}
	}
}

// good: it succeeds with an output as promised, and does so again.
func (s suite) good(t *testing.T, c Case) {
	a := s.try(t, c)
	for range 2 {
		s.succeeds(t, a, c)
		a = a.Again()
	}
}

func (s suite) succeeds(t *testing.T, a *Try, c Case) {
	t.Helper()
	r, f, _ := a.Do(s.Context(t.Context()), s.typ)
	if f != nil {
		s.declared(t, *f)
		t.Fatalf("attempt %d with %s = %s; want success", a.Attempt, a.With, show(f))
	}
	s.conforms(t, a, r)
	if c.Check != nil {
		c.Check(t, r.Out)
	}
}

func (s suite) conforms(t *testing.T, a *Try, r api.Result) {
	t.Helper()
	if r.Outcome != api.Done || s.typ.Spec().Out == nil {
		return
	}
	var out any
	if err := json.Unmarshal(r.Out, &out); err != nil {
		t.Fatalf("attempt %d: output: %v", a.Attempt, err)
	}
	for _, p := range document.CheckValue(s.typ.Spec().Out, out, "out") {
		t.Errorf("attempt %d: output %s: %s: %s", a.Attempt, r.Out, p.Location, p.Message)
	}
}

// crashing: wherever an attempt dies around storing a variable, the next one, with what was stored,
// succeeds.
func (s suite) crashing(t *testing.T, c Case) {
	for _, stored := range []bool{false, true} {
		for at := 1; ; at++ {
			a := s.try(t, c)
			a.CrashAt, a.Stored = at, stored
			if _, _, crashed := a.Do(s.Context(t.Context()), s.typ); !crashed {
				break
			}
			if at > 50 {
				t.Fatal("the type stores variables without end")
			}
			s.succeeds(t, a.Again(), c)
		}
	}
}

// ended: an attempt whose context has ended ends.
func (s suite) ended(t *testing.T, c Case) {
	ctx, cancel := context.WithCancelCause(s.Context(t.Context()))
	cancel(sdk.ErrCancelled)
	a := s.try(t, c)
	start := time.Now()
	r, f, _ := a.Do(ctx, s.typ)
	if took := time.Since(start); took > patience {
		t.Errorf("it took %v to end", took)
	}
	if f == nil {
		s.conforms(t, a, r)
	}
}

// slow: an attempt ends soon after its context, for each of the causes there are.
func (s suite) slow(t *testing.T, c Case) {
	for _, cause := range []error{sdk.ErrCancelled, sdk.ErrTimeout} {
		ctx, cancel := context.WithCancelCause(s.Context(t.Context()))
		start := time.Now()
		timer := time.AfterFunc(300*time.Millisecond, func() { cancel(cause) })
		_, f, _ := s.try(t, c).Do(ctx, s.typ)
		timer.Stop()
		cancel(nil)
		if f == nil {
			t.Errorf("%v: it succeeded; want an error", cause)
		}
		if took := time.Since(start); took > patience {
			t.Errorf("%v: it took %v to end", cause, took)
		}
	}
}

// universal returns what no type with a schema takes.
func (s suite) universal() []Case {
	if s.typ.Spec().With == nil {
		return nil
	}
	return []Case{
		{Name: "a list", With: []int{1}}, {Name: "a number", With: 7}, {Name: "text", With: "x"},
		{Name: "an unknown field", With: map[string]any{"no such field": 1}},
	}
}

func (s suite) bad(t *testing.T, c Case) {
	a := s.try(t, c)
	r, f, _ := a.Do(s.Context(t.Context()), s.typ)
	if f == nil {
		t.Fatalf("%s = %s; want it to be refused", a.With, r.Out)
	}
	s.declared(t, *f)
	if f.Type != "invalid" || f.Retryable {
		t.Errorf("%s = %s, retryable %t; want invalid, not retryable", a.With, show(f), f.Retryable)
	}
	if f.Message == "" {
		t.Error("the failure says nothing")
	}
}

// declared checks that the type's spec knows the failure.
func (s suite) declared(t *testing.T, f api.Failure) {
	t.Helper()
	if f.Type == "invalid" && s.typ.Spec().With == nil {
		return
	}
	if _, ok := s.typ.Spec().Errors[f.Type]; !ok {
		t.Errorf("failure type %q is not among those declared: %v (%s)", f.Type, slices.Sorted(maps.Keys(s.typ.Spec().Errors)), f.Message)
	}
}

// Declared checks that a failure seen in a type's own test is one it declares.
func Declared(t *testing.T, typ sdk.TaskType, f api.Failure) {
	t.Helper()
	suite{typ: typ}.declared(t, f)
}
