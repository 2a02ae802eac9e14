package resource

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"tutti/api"
	"tutti/errs"
	"tutti/internal/document"
	"tutti/internal/script"
	"tutti/internal/workflow/expr"
)

const (
	// maxParams and maxSpec bound what is asked for and what becomes of it, in bytes.
	maxParams = 256 << 10
	maxSpec   = 256 << 10
	// maxNesting bounds the levels of params.
	maxNesting = 32
	// body is where what is asked for stands in a request.
	body = "body.params"
)

// resolve validates what was asked for, enriches it and chooses the workflow.
func (s *Service) resolve(ctx context.Context, in api.ResolveIn) (api.Resolved, error) {
	params, err := decode(in.Params)
	if err != nil {
		return api.Resolved{}, err
	}
	a, err := s.asked(ctx, in.NS, in.Ask, params)
	if err != nil {
		return api.Resolved{}, err
	}
	if err := a.allowed(in.Ask); err != nil {
		return api.Resolved{}, err
	}
	t := a.entry.typ
	spec := a.spec()
	if a.action != api.ActionDelete { // what is deleted need not be valid any more
		var problems []errs.Problem
		if spec, problems = a.entry.ask(a.params); len(problems) > 0 {
			return api.Resolved{}, refuse(a.entry.name(), problems)
		}
		views, err := s.offers(ctx, in.NS, t)
		if err != nil {
			return api.Resolved{}, err
		}
		fields, err := s.choices(ctx, in.NS, t, spec, in.Requester)
		if err != nil {
			return api.Resolved{}, err
		}
		if problems = permitted(spec, fields); len(problems) > 0 {
			return api.Resolved{}, refuse(a.entry.name(), problems)
		}
		caller := map[string]any{"namespace": in.Namespace, "entry": a.entry.name(), "type": t.name, "requester": in.Requester, "params": a.params,
			"action": a.action, "current": a.current()["spec"], "views": views.values()}
		if spec, err = t.enrich(ctx, spec, caller); err != nil {
			return api.Resolved{}, err
		}
		if err := t.placed(spec, views); err != nil {
			return api.Resolved{}, err
		}
	}
	return s.resolved(ctx, in, a, spec)
}

// refuse is the error of a request that has problems.
func refuse(entry string, problems []errs.Problem) error {
	return errs.New(errs.Invalid, "the request for %.127q cannot be accepted", entry).WithProblems(problems[:min(len(problems), 100)]...)
}

// decode reads params: an object, {} where there is none.
func decode(raw json.RawMessage) (map[string]any, error) {
	if len(raw) > maxParams {
		return nil, errs.New(errs.TooLarge, "params have %d bytes, the limit is %d", len(raw), maxParams)
	}
	if len(bytes.TrimSpace(raw)) == 0 {
		return map[string]any{}, nil
	}
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.UseNumber()
	var v any
	if err := dec.Decode(&v); err != nil {
		return nil, errs.New(errs.Invalid, "params are not JSON: %w", err)
	}
	var problems []errs.Problem
	v = numbers(v, body, 0, &problems)
	if len(problems) > 0 {
		return nil, errs.New(errs.Invalid, "params cannot be read").WithProblems(problems[:min(len(problems), 100)]...)
	}
	switch v := v.(type) {
	case nil:
		return map[string]any{}, nil
	case map[string]any:
		return v, nil
	}
	return nil, errs.New(errs.Invalid, "params cannot be read").WithProblems(errs.Problem{Location: body, Message: "not an object", Hint: `write {"name": value, …}`})
}

// numbers turns the numbers of a value into float64, and complains of those that would not be kept.
func numbers(v any, at string, depth int, problems *[]errs.Problem) any {
	if depth > maxNesting {
		if len(*problems) < 100 {
			*problems = append(*problems, errs.Problem{Location: body, Message: fmt.Sprintf("nested deeper than %d levels", maxNesting)})
		}
		return nil
	}
	switch v := v.(type) {
	case json.Number:
		f, err := v.Float64()
		if err != nil || f == math.Trunc(f) && math.Abs(f) >= 1<<53 { // the one after 2^53 reads as 2^53
			*problems = append(*problems, errs.Problem{Location: at, Message: "the number is too large to be kept exactly", Hint: "send it as text"})
		}
		return f
	case []any:
		for i := range v {
			v[i] = numbers(v[i], at+"["+strconv.Itoa(i)+"]", depth+1, problems)
		}
	case map[string]any:
		for k := range v {
			v[k] = numbers(v[k], at+"."+k, depth+1, problems)
		}
	}
	return v
}

// ask applies the preset and the defaults to params and returns all that is wrong with them.
func (e entry) ask(params map[string]any) (spec map[string]any, problems []errs.Problem) {
	spec = maps.Clone(params)
	if e.preset != nil {
		spec, problems = e.preset.apply(params)
	}
	spec, _ = e.typ.check.WithDefaults(spec).(map[string]any)
	problems = append(problems, e.typ.check.Check(spec, body)...)
	return spec, problems
}

// apply fills in what the preset says and complains of values sent for fields it fixes.
func (b *preset) apply(params map[string]any) (spec map[string]any, problems []errs.Problem) {
	spec = maps.Clone(b.defaults)
	if spec == nil {
		spec = map[string]any{}
	}
	maps.Copy(spec, params)
	for _, name := range slices.Sorted(maps.Keys(b.set)) {
		fixed := b.set[name]
		if sent, ok := params[name]; ok && !reflect.DeepEqual(sent, fixed) {
			problems = append(problems, errs.Problem{Location: body + "." + name,
				Message: fmt.Sprintf("%s is fixed to %s by %s", name, document.Canonical(fixed), b.name),
				Hint:    fmt.Sprintf("leave it out, or order %s", b.of)})
		}
		spec[name] = fixed
	}
	return spec, problems
}

// handlerLimits bound what a handler may do for one request.
var handlerLimits = script.Limits{Steps: 1_000_000, Memory: 32 << 20, Wall: 2 * time.Second}

// enrich has the handler make the common format of spec. It returns errs.Invalid with what the
// handler finds wrong, or with where it failed itself.
func (t *resourceType) enrich(ctx context.Context, spec map[string]any, caller map[string]any) (map[string]any, error) {
	if t.program != nil {
		out, err := t.runProgram(ctx, spec, caller)
		if err != nil {
			return nil, err
		}
		return out, t.small(out)
	}
	if t.handler == nil {
		return spec, t.small(spec)
	}
	result, err := t.handler.Call(ctx, "handle", map[string]any{"spec": spec, "context": caller}, handlerLimits)
	if err != nil {
		return nil, t.handlerError(err)
	}
	out, ok := plain(result).(map[string]any)
	if !ok {
		return nil, t.fault("its function handle did not return a dict")
	}
	return out, t.small(out)
}

// small refuses a spec that is too large to travel.
func (t *resourceType) small(spec map[string]any) error {
	if n := len(document.Canonical(spec)); n > maxSpec {
		return errs.New(errs.TooLarge, "the %s has %d bytes in the common format, the limit is %d", t.name, n, maxSpec)
	}
	return nil
}

// handlerError tells what a handler found wrong, which the requester can mend, from what is wrong
// with the handler, which its author can.
func (t *resourceType) handlerError(err error) error {
	if wrong, ok := errors.AsType[*script.Error](err); ok {
		if wrong.Reason == script.Failed {
			return refuse(t.name, []errs.Problem{{Location: body, Message: wrong.Msg}})
		}
		return t.fault(fmt.Sprintf("line %d: %s", wrong.Line, wrong.Msg))
	}
	e := errs.Public(err)
	if e.Kind != errs.Invalid || len(e.Problems) == 0 {
		return fmt.Errorf("handler of %s: %w", t.name, err)
	}
	problems := slices.Clone(e.Problems)
	for i, p := range problems {
		problems[i].Location = place(p.Location)
	}
	return refuse(t.name, problems)
}

// place turns the path that a handler gave into a place in the request.
func place(path string) string {
	if rest, ok := strings.CutPrefix(path, "spec"); ok && (rest == "" || rest[0] == '.' || rest[0] == '[') {
		path = strings.TrimPrefix(rest, ".")
	}
	if path == "" || path[0] == '[' {
		return body + path
	}
	return body + "." + path
}

// fault is the error of a type that its author has to mend.
func (t *resourceType) fault(what string) error {
	return errs.New(errs.Invalid, "the handler of %s failed: %s", t.name, what).
		WithHint("nothing is wrong with the request: tell the author of resource type %s", t.name)
}

// plain gives the numbers of a script's result the type they have everywhere else.
func plain(v any) any {
	switch v := v.(type) {
	case int64:
		return float64(v)
	case json.Number:
		f, _ := v.Float64()
		return f
	case []any:
		for i := range v {
			v[i] = plain(v[i])
		}
	case map[string]any:
		for k := range v {
			v[k] = plain(v[k])
		}
	}
	return v
}

// resourceName is what a resource may be called: it becomes part of paths and addresses.
var resourceName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,126}$`)

// resolved names the resource, chooses its workflow and makes the workflow's inputs.
func (s *Service) resolved(ctx context.Context, in api.ResolveIn, a asked, spec map[string]any) (api.Resolved, error) {
	t := a.entry.typ
	env := expr.Env{"spec": spec, "params": a.params, "requester": in.Requester, "action": a.action, "current": a.current()}
	name, err := t.named(a.entry.name(), env)
	if err != nil {
		return api.Resolved{}, err
	}
	if err := s.free(ctx, in.NS, a, name); err != nil {
		return api.Resolved{}, err
	}
	out := api.Resolved{Entry: a.entry.name(), Type: t.name, Name: name, Spec: document.Canonical(spec), Notify: t.notify,
		Action: a.action, Params: document.Canonical(a.params), Version: t.version}
	if a.now != nil {
		out.Base, out.Before = a.now.Request, a.now.Spec
	}
	if out.Changes, err = a.changes(spec); err != nil {
		return api.Resolved{}, err
	}
	out.Files = t.exclusive()
	if t.repository != "" {
		out.Repository, out.Path = t.repository, pathOf(name)
	}
	env["resource"] = map[string]any{"type": t.name, "name": name}
	env["source"] = sourceValue(t.source(in.Namespace, name, noCommit))
	if out.Workflow, out.Inputs, err = t.call(a.action, env); err != nil {
		return api.Resolved{}, err
	}
	if _, ok := t.courses[preview]; ok {
		out.Preview, out.PreviewInputs, err = t.call(preview, env)
	}
	return out, err
}

// named gives the resource its name.
func (t *resourceType) named(entry string, env expr.Env) (string, error) {
	named, _, err := t.nameFrom.Eval(env)
	if err != nil {
		return "", t.evalError("nameFrom", err)
	}
	name, _ := named.(string)
	if !resourceName.MatchString(name) {
		return "", refuse(entry, []errs.Problem{{Location: body, Message: fmt.Sprintf("%.200s cannot be the name of a %s", document.Canonical(named), t.name),
			Hint: "a name begins with a letter or digit and has letters, digits, dots, dashes and underscores, 127 at most"}})
	}
	return name, nil
}

// call returns the workflow of a course and its inputs.
func (t *resourceType) call(action string, env expr.Env) (workflow string, inputs json.RawMessage, err error) {
	c := t.courses[action]
	if workflow, err = t.choose(c, env); err != nil {
		return "", nil, err
	}
	v, _, err := c.inputs.Eval(env)
	if err != nil {
		return "", nil, t.evalError("inputs", err)
	}
	return workflow, document.Canonical(v), nil
}

// choose returns the first workflow whose condition holds.
func (t *resourceType) choose(c course, env expr.Env) (string, error) {
	for i, c := range c.workflows {
		if c.when == nil {
			return c.use, nil
		}
		ok, err := c.when.Bool(env)
		if err != nil {
			return "", t.evalError(fmt.Sprintf("workflow[%d].when", i), err)
		}
		if ok {
			return c.use, nil
		}
	}
	var tried []string
	for _, c := range c.workflows {
		tried = append(tried, c.when.Source())
	}
	return "", refuse(t.name, []errs.Problem{{Location: body, Message: "no workflow of " + t.name + " is for this",
		Hint: "one of these must hold: " + strings.Join(tried, "; ")}})
}

// evalError is the error of an expression of the type that has no value for this request.
func (t *resourceType) evalError(where string, err error) error {
	return errs.New(errs.Invalid, "%s of resource type %s has no value for this request: %w", where, t.name, err).
		WithHint("if the request is as it should be, tell the author of resource type %s", t.name)
}
