package tasktest

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"strings"
	"sync"
	"testing"

	"tutti/api"
	"tutti/errs"
	"tutti/id"
	"tutti/sdk"
)

// Try is one attempt in a test, and the Port of it. Its variables are those the next attempt starts
// with.
type Try struct {
	api.Assignment

	// CrashAt is the number, from 1, of the SetVars that the attempt does not survive; the variables of
	// that very call are stored if Stored is set. 0 is none.
	CrashAt int
	Stored  bool

	mu    sync.Mutex
	sets  int
	lines map[string]*strings.Builder
}

// NewTry returns the first attempt of a new task with the given input, which is turned into JSON; in it
// $KEY stands for a few letters and digits that no other task has.
func NewTry(t *testing.T, typ sdk.TaskType, with any) *Try {
	t.Helper()
	raw, err := json.Marshal(with)
	if err != nil {
		t.Fatalf("input: %v", err)
	}
	unique := strings.TrimPrefix(id.New("x"), "x_")
	return &Try{Assignment: api.Assignment{
		Token: id.New("at"), Run: api.RunID(id.New("run")), Namespace: "default", Workflow: "test", Task: "task", Type: typ.Spec().Name,
		Attempt: 1, Key: unique, Fence: 1, With: json.RawMessage(strings.ReplaceAll(string(raw), "$KEY", unique)),
		Vars: map[string]json.RawMessage{}, Trace: id.Trace(), Requester: "user:test",
	}}
}

// Again returns the next attempt of the same task: the same key and input, and the variables stored so
// far.
func (a *Try) Again() *Try {
	a.mu.Lock()
	defer a.mu.Unlock()
	n := &Try{Assignment: a.Assignment}
	n.Token, n.Attempt, n.Fence = id.New("at"), a.Attempt+1, a.Fence+1
	n.Vars = maps.Clone(a.Vars)
	return n
}

// crash is what a crashing attempt panics with.
type crash struct{}

// Do carries out the attempt. It returns the result, or the failure as it would be reported; crashed
// says that the attempt did not survive, so that neither was.
func (a *Try) Do(ctx context.Context, typ sdk.TaskType) (res api.Result, failure *api.Failure, crashed bool) {
	defer func() {
		if v := recover(); v != nil {
			if _, ok := v.(crash); !ok {
				panic(v)
			}
			crashed = true
		}
	}()
	given := a.Assignment
	given.Vars = maps.Clone(a.Vars) // the task changes its copy
	r, err := typ.Do(ctx, sdk.NewTask(given, a))
	if err == nil {
		if res, err = r.Wire(a.Token); err == nil {
			return res, nil, false
		}
	}
	f := sdk.FailureOf(err)
	return res, &f, false
}

// SetVars stores variables; see sdk.Port.
func (a *Try) SetVars(ctx context.Context, vars map[string]json.RawMessage) error {
	if err := ctx.Err(); err != nil {
		return errs.New(errs.Unavailable, "set variables: %w", err)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.sets++
	dies := a.sets == a.CrashAt
	if !dies || a.Stored {
		maps.Copy(a.Vars, vars)
	}
	if dies {
		panic(crash{})
	}
	return nil
}

// Log keeps text; see sdk.Port.
func (a *Try) Log(stream string, text []byte) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.lines == nil {
		a.lines = map[string]*strings.Builder{}
	}
	if a.lines[stream] == nil {
		a.lines[stream] = &strings.Builder{}
	}
	a.lines[stream].Write(text)
}

// Logged returns the text logged to a stream so far.
func (a *Try) Logged(stream string) string {
	a.mu.Lock()
	defer a.mu.Unlock()
	if b := a.lines[stream]; b != nil {
		return b.String()
	}
	return ""
}

// Out carries out the attempt, which must succeed, and decodes its output into v, which may be nil.
func (a *Try) Out(ctx context.Context, t *testing.T, typ sdk.TaskType, v any) {
	t.Helper()
	r, f, crashed := a.Do(ctx, typ)
	if f != nil || crashed {
		t.Fatalf("%s with %s = %s (crashed %t); want success", a.Type, a.With, show(f), crashed)
	}
	if r.Outcome != api.Done {
		t.Fatalf("%s with %s ended as %s; want done", a.Type, a.With, r.Outcome)
	}
	if v == nil {
		return
	}
	if err := json.Unmarshal(r.Out, v); err != nil {
		t.Fatalf("output of %s: %v", a.Type, err)
	}
}

// Fails carries out the attempt, which must fail, and returns the failure.
func (a *Try) Fails(ctx context.Context, t *testing.T, typ sdk.TaskType) api.Failure {
	t.Helper()
	r, f, crashed := a.Do(ctx, typ)
	if f == nil || crashed {
		t.Fatalf("%s with %s = %s %s (crashed %t); want a failure", a.Type, a.With, r.Outcome, r.Out, crashed)
	}
	return *f
}

func show(f *api.Failure) string {
	if f == nil {
		return "no failure"
	}
	return fmt.Sprintf("failure %s: %s (%s)", f.Type, f.Message, f.Hint)
}
