package simulate

import (
	"encoding/json"
	"fmt"
	"hash/fnv"
	"slices"
	"time"

	"tutti/api"
	"tutti/errs"
	"tutti/internal/document"
	"tutti/internal/workflow/core"
	"tutti/internal/workflow/expr"
)

// echo is the task type that gives its input back.
const echo = "noop"

// dispatch lets a mock do an attempt.
func (w *world) dispatch(r *run, d core.Dispatch) {
	if r.working[d.Path] != nil {
		return // it has it
	}
	path := r.path(d.Path)
	input := core.ShowSecrets(d.Input, d.Secrets)
	step, from := w.stepFor(path, d.Use, d.Attempt)
	after := w.duration(step.Duration, path, d.Attempt)
	res := w.result(step, from, d, input, path)
	if limit := time.Duration(d.Timeout) * time.Microsecond; limit > 0 && after > limit {
		after = limit
		res = api.Result{Outcome: api.FailedTask, Failure: &api.Failure{Type: "timeout", Retryable: true,
			Message: fmt.Sprintf("%s did not end within %s", d.Path, api.Duration(limit))}}
	}
	r.working[d.Path] = w.plan(after, func() {
		w.step(r, func(c *core.Run, now int64) ([]core.Event, core.Effects, error) {
			return c.Report(now, d.AttemptRef, "", "mock", res)
		})
	})
}

// interrupt lets an attempt end that was told to stop.
func (w *world) interrupt(r *run, ref core.AttemptRef) {
	e := r.working[ref.Path]
	if e == nil || e.off {
		return
	}
	e.off = true
	r.working[ref.Path] = w.plan(0, func() {
		w.step(r, func(c *core.Run, now int64) ([]core.Event, core.Effects, error) {
			return c.Report(now, ref, "", "mock", api.Result{Outcome: api.FailedTask, Failure: &api.Failure{Type: "cancelled", Message: "the task was cancelled"}})
		})
	})
}

// explicit returns what the scenario says about a task, by its path, from a recorded run, or by its
// type, and where it says so.
func (w *world) explicit(path, use string) (m Mock, from string, ok bool) {
	if key, m, ok := pick(w.s.Mocks.Tasks, path); ok {
		return m, "mocks.tasks." + key, true
	}
	if m, ok := w.s.Recording.mock(path); ok {
		return m, "the recorded run", true
	}
	if m, ok := w.s.Mocks.Types[use]; ok {
		return m, "mocks.types." + use, true
	}
	return Mock{}, "", false
}

// fails says whether an attempt is one of those that are to fail.
func (w *world) fails(path string, attempt int) bool {
	_, n, _ := pick(w.s.Fail, path)
	return attempt <= n
}

// stepFor returns what an attempt comes to.
func (w *world) stepFor(path, use string, attempt int) (Step, string) {
	m, from, _ := w.explicit(path, use)
	s := m.step(attempt)
	if w.fails(path, attempt) {
		return Step{Duration: s.Duration, Failure: &api.Failure{Type: "simulated", Message: fmt.Sprintf("attempt %d is made to fail", attempt), Retryable: true}}, "fail"
	}
	return s, from
}

// duration returns how long something takes: what was said, else 1s, or drawn where there is a seed.
func (w *world) duration(given *api.Duration, path string, attempt int) time.Duration {
	switch {
	case given != nil:
		return time.Duration(*given)
	case w.s.Seed == 0:
		return answerTime
	}
	h := fnv.New64a()
	fmt.Fprintf(h, "%d\x00%s\x00%d", w.s.Seed, path, attempt)
	return time.Second + time.Duration(h.Sum64()%9000)*time.Millisecond
}

// result makes what a worker would report.
func (w *world) result(s Step, from string, d core.Dispatch, input json.RawMessage, path string) api.Result {
	typ := w.lib.types[d.Use]
	if f := w.unfit(typ, d, input); f != nil {
		return api.Result{Outcome: api.FailedTask, Failure: f}
	}
	if s.Failure != nil {
		return api.Result{Outcome: api.FailedTask, Failure: s.Failure}
	}
	var out any
	switch {
	case len(s.Out) > 0:
		v, err := render(s.Out, input, d.Attempt)
		if err != nil {
			w.problem(path, fmt.Sprintf("%s: out: %v", from, err))
			return api.Result{Outcome: api.FailedTask, Failure: &api.Failure{Type: "mock", Message: fmt.Sprintf("the mock cannot be computed: %v", err)}}
		}
		out = v
	case d.Use == echo:
		return api.Result{Outcome: api.Done, Out: input}
	default:
		from = "the sample for " + d.Use
		out = sample(typ.Out, fmt.Sprintf("%d/%s", w.s.Seed, path))
	}
	for _, p := range document.CheckValue(typ.Out, out, "out") {
		w.problem(path, fmt.Sprintf("%s is nothing that %s gives: %s: %s", from, d.Use, p.Location, p.Message))
	}
	raw, err := json.Marshal(out)
	if err != nil {
		return api.Result{Outcome: api.FailedTask, Failure: &api.Failure{Type: "mock", Message: err.Error()}}
	}
	return api.Result{Outcome: api.Done, Out: raw}
}

// unfit returns the failure of an input that the task type refuses, as a worker finds it. Where secrets
// belong into it, that cannot be told.
func (w *world) unfit(typ api.TaskType, d core.Dispatch, input json.RawMessage) *api.Failure {
	var v any
	if len(typ.With) == 0 || len(d.Secrets) > 0 || json.Unmarshal(input, &v) != nil {
		return nil
	}
	if m, ok := v.(map[string]any); ok { // an expression over an optional input gives null
		for k, x := range m {
			if x == nil {
				delete(m, k)
			}
		}
	}
	problems := document.CheckValue(typ.With, v, "with")
	if len(problems) == 0 {
		return nil
	}
	e := errs.New(errs.Invalid, "%s does not take this input", d.Use).WithProblems(problems...)
	return &api.Failure{Type: string(errs.Invalid), Message: e.Error()}
}

// render computes the output that a mock gives.
func render(out, input json.RawMessage, attempt int) (any, error) {
	var v, with any
	if err := json.Unmarshal(out, &v); err != nil {
		return nil, err
	}
	if len(input) > 0 {
		if err := json.Unmarshal(input, &with); err != nil {
			return nil, err
		}
	}
	t, problems := expr.ParseTemplate(v)
	if len(problems) > 0 {
		return nil, problems[0]
	}
	v, _, err := t.Eval(expr.Env{"with": with, "attempt": float64(attempt)})
	return v, err
}

// problem notes a fault of the scenario itself, once.
func (w *world) problem(path, text string) {
	text = path + ": " + text
	if !slices.Contains(w.rep.Problems, text) {
		w.rep.Problems = append(w.rep.Problems, text)
	}
}
