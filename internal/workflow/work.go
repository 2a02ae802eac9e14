package workflow

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"tutti/api"
	"tutti/bus"
	"tutti/errs"
	"tutti/internal/workflow/core"
	"tutti/internal/workflow/expr"
)

const (
	// insideWorker is the subject of the workers inside the server.
	insideWorker = "service:worker"
	// insidePrefix marks their names in claims.
	insidePrefix = "server:"
)

// poll takes results, then gives work.
func (s *Service) poll(ctx context.Context, e *engine, in api.PollIn) (out api.PollOut, err error) {
	if len(in.Body.Results) > 0 {
		if out.Refused, err = e.report(ctx, in.Namespace, in.Body.Worker, in.Body.Results); err != nil {
			return out, err
		}
	}
	if in.Body.Max <= 0 {
		return out, nil
	}
	worker := workerName(ctx, in.Body.Worker)
	defer s.pollers.asks(in, worker)()
	types := make(map[string]bool, len(in.Body.Types))
	for _, t := range in.Body.Types {
		types[t] = true
	}
	var timeout <-chan time.Time
	for {
		if !e.owns() {
			return out, errNotOwner
		}
		taken, wake := e.pools.take(in.Pool, in.Namespace, worker, types, min(in.Body.Max, maxBatch))
		if len(taken) > 0 {
			out.Assignments = s.assign(ctx, e, in, taken)
			if len(out.Assignments) > 0 {
				return out, nil
			}
			continue
		}
		if in.Body.Wait <= 0 || len(out.Refused) > 0 {
			return out, nil
		}
		if timeout == nil {
			t := time.NewTimer(min(time.Duration(in.Body.Wait), longestWait))
			defer t.Stop()
			timeout = t.C
		}
		select {
		case <-wake:
		case <-timeout:
			return out, nil
		case <-ctx.Done():
			return out, nil
		case <-e.done:
			return out, errNotOwner
		}
	}
}

// workerName is what claims call a worker: those inside the server are marked.
func workerName(ctx context.Context, name string) string {
	if bus.Subject(ctx) == insideWorker {
		return insidePrefix + name
	}
	return name
}

// report takes the results of a worker in one command and returns those that counted for nothing.
func (e *engine) report(ctx context.Context, namespace, worker string, rs []api.Result) ([]api.Refusal, error) {
	return submit(ctx, e, func(b *batch) ([]api.Refusal, error) { return e.results(b, namespace, worker, rs) })
}

func (e *engine) results(b *batch, namespace, worker string, rs []api.Result) (refused []api.Refusal, err error) {
	for _, r := range rs {
		err := e.result(b, namespace, worker, r)
		if errs.Is(err, errs.Unavailable) {
			return nil, err // the worker repeats all of it: what counted already is refused then
		}
		if err != nil {
			p := errs.Public(err)
			refused = append(refused, api.Refusal{Token: r.Token, Kind: p.Kind, Why: p.Msg})
		}
	}
	return refused, nil
}

// result applies one result to its run.
func (e *engine) result(b *batch, namespace, worker string, r api.Result) error {
	run, ref, claim, err := e.holder(namespace, r.Token)
	if err != nil {
		return err
	}
	if len(r.Out) > 0 && !json.Valid(r.Out) {
		return errs.New(errs.Invalid, "out of %s is not JSON", ref.Path)
	}
	l, err := e.get(namespace, run)
	if err != nil {
		return err
	}
	return e.step(b, l, "", func(now int64) ([]core.Event, core.Effects, error) { return l.run.Report(now, ref, claim, worker, r) })
}

// holder returns the attempt a token is for: from the pools, or, where only the store remembers the
// claim, from the run.
func (e *engine) holder(namespace, token string) (run api.RunID, ref core.AttemptRef, nonce string, err error) {
	run, nonce, ok := splitToken(token)
	if !ok {
		return "", ref, "", errs.New(errs.Conflict, "this is not a token of an attempt")
	}
	a, err := e.pools.claim(namespace, token)
	if err == nil {
		return run, a.AttemptRef, nonce, nil
	}
	if bug == "no claim check" {
		for key, open := range e.pools.open {
			if key.run == run {
				return run, open.AttemptRef, nonce, nil
			}
		}
	}
	l, lerr := e.get(namespace, run)
	if errs.Is(lerr, errs.Unavailable) {
		return "", ref, "", lerr
	}
	if lerr != nil {
		return "", ref, "", err
	}
	if ref, ok := l.run.ByClaim(nonce); ok {
		return run, ref, nonce, nil
	}
	return "", ref, "", err
}

// assign turns claimed attempts into what workers get. Those whose secrets cannot be had fail at once.
func (s *Service) assign(ctx context.Context, e *engine, in api.PollIn, taken []*attempt) []api.Assignment {
	c, _ := bus.CallerFrom(ctx)
	inside := c.Subject == insideWorker
	out := make([]api.Assignment, 0, len(taken))
	for _, a := range taken {
		as := api.Assignment{
			Token: a.token, Run: a.meta.ID, Namespace: a.meta.Namespace, Workflow: a.meta.Workflow, Task: a.Path, Type: a.Use, Version: a.meta.Types[a.Use].Version, Attempt: a.Attempt,
			Key: a.Key, Fence: e.pools.nextFence(), With: a.Input, Vars: a.Vars, Trace: a.meta.Trace, Requester: a.meta.Requester, Request: a.meta.Request,
			Timeout: api.Duration(time.Duration(a.Timeout) * time.Microsecond),
		}
		if inside {
			as.Grants = []bus.Grant{{Namespace: a.meta.Namespace, Role: a.meta.Role}}
		}
		if err := s.admit(ctx, a, in.Pool, inside, &as); err != nil {
			s.refuse(ctx, e, a, err)
			continue
		}
		out = append(out, as)
	}
	return out
}

// admit checks that the run may use the task type, and puts its secrets in.
func (s *Service) admit(ctx context.Context, a *attempt, pool string, inside bool, as *api.Assignment) error {
	p, err := s.perm(ctx, a)
	if err != nil {
		return fmt.Errorf("task type %s: %w", a.Use, err)
	}
	if p != "" {
		run := bus.Caller{Subject: "run:" + string(a.meta.ID), Grants: []bus.Grant{{Namespace: a.meta.Namespace, Role: a.meta.Role}}}
		if err := api.Allow(run, p, a.meta.Namespace); err != nil {
			return errs.New(errs.Denied, "the run works with the role %s, which may not use %s", a.meta.Role, a.Use).WithHint("the workflow must be published by somebody who may (%s)", p)
		}
	}
	if len(a.Secrets) == 0 {
		return nil
	}
	if !inside && !contains(s.cfg.TrustedPools, pool) {
		return errs.New(errs.Denied, "pool %s is not trusted with secrets", pool).WithHint("run the task in pool %s, or let an administrator trust the pool", api.DefaultPool)
	}
	return s.fill(ctx, a, as)
}

func contains(list []string, s string) bool {
	for _, x := range list {
		if x == s {
			return true
		}
	}
	return false
}

// fill puts the values of secrets into an input on its way to a worker.
func (s *Service) fill(ctx context.Context, a *attempt, as *api.Assignment) error {
	seen := map[string]bool{}
	var names []string
	for _, u := range a.Secrets {
		if !seen[u.Name] {
			seen[u.Name] = true
			names = append(names, u.Name)
		}
	}
	got, err := api.ResolveSecrets.Call(bus.AsService(ctx, s.d.Name), s.d.Bus, api.ResolveSecretsIn{NS: api.NS{Namespace: a.meta.Namespace}, Names: names})
	if err != nil {
		return err
	}
	var v any
	if err := json.Unmarshal(a.Input, &v); err != nil {
		return err
	}
	as.References = references(v, a.Secrets)
	v, err = expr.Fill(v, a.Secrets, func(name string) (string, error) {
		val, ok := got.Values[name]
		if !ok {
			return "", errs.New(errs.NotFound, "no secret %q in namespace %s", name, a.meta.Namespace).WithHint("tutti secret set %s", name)
		}
		as.Secrets = append(as.Secrets, val)
		return val, nil
	})
	if err != nil {
		return err
	}
	as.With, err = json.Marshal(v)
	return err
}

// references returns which texts of an input are a secret and nothing else.
func references(v any, uses []expr.SecretUse) map[string]string {
	out, times := map[string]string{}, map[string]int{}
	for _, u := range uses {
		if times[u.Pointer]++; u.Offset == 0 {
			out[u.Pointer] = u.Name
		}
	}
	for pointer := range out {
		if times[pointer] > 1 || expr.TextAt(v, pointer) != "" { // other text stands around it
			delete(out, pointer)
		}
	}
	return out
}

// refuse fails an attempt that cannot be given to a worker.
func (s *Service) refuse(ctx context.Context, e *engine, a *attempt, cause error) {
	k := errs.KindOf(cause)
	f := api.Failure{Type: string(k), Message: cause.Error(), Retryable: k == errs.Unavailable}
	if k == errs.Internal {
		f.Type = "internal"
	}
	_, err := e.report(ctx, "*", "engine", []api.Result{{Token: a.token, Outcome: api.FailedTask, Failure: &f}})
	if err != nil {
		s.d.Log.Error("attempt not refused", "run", a.meta.ID, "task", a.Path, "err", err)
	}
}

func (s *Service) heartbeat(ctx context.Context, e *engine, in api.HeartbeatIn) (api.HeartbeatOut, error) {
	s.pollers.beats(in, workerName(ctx, in.Body.Worker))
	out, young := e.pools.beat(in.Namespace, in.Body.Tokens)
	if len(young) == 0 {
		return out, nil
	}
	_, err := submit(ctx, e, func(b *batch) (struct{}, error) { return struct{}{}, e.claimed(b, young) })
	return out, err
}

// claimed makes claims durable that have lived for longer than a heartbeat.
func (e *engine) claimed(b *batch, young []*attempt) error {
	for _, a := range young {
		l := e.need(b, a.meta.ID)
		if l == nil {
			continue
		}
		_, nonce, _ := splitToken(a.token)
		err := e.step(b, l, "", func(now int64) ([]core.Event, core.Effects, error) {
			return l.run.Claim(now, a.AttemptRef, nonce, a.worker)
		})
		if err != nil && !errs.Is(err, errs.Conflict) && !errs.Is(err, errs.NotFound) { // over already
			return err
		}
	}
	return nil
}

func (s *Service) setVars(ctx context.Context, e *engine, in api.SetVarsIn) (api.Nothing, error) {
	return submit(ctx, e, func(b *batch) (api.Nothing, error) {
		return api.Nothing{}, e.setVars(b, in.Namespace, in.Token, bus.Subject(ctx), in.Body)
	})
}

func (e *engine) setVars(b *batch, namespace, token, worker string, vars map[string]json.RawMessage) error {
	run, ref, nonce, err := e.holder(namespace, token)
	if err != nil {
		return err
	}
	l, err := e.get(namespace, run)
	if err != nil {
		return err
	}
	if name := e.pools.keep(token); name != "" {
		worker = name
	}
	return e.step(b, l, "", func(now int64) ([]core.Event, core.Effects, error) {
		return l.run.SetVars(now, ref, nonce, worker, vars)
	})
}

// appendLog lets the lines of valid claims through to the log store.
func (s *Service) appendLog(ctx context.Context, e *engine, in api.AppendLogIn) (api.Nothing, error) {
	a, err := e.pools.claim(in.Namespace, in.Token)
	if err != nil {
		return api.Nothing{}, err
	}
	ctx = bus.WithTrace(bus.AsService(ctx, s.d.Name), a.meta.Trace)
	return api.StoreLog.Call(ctx, s.d.Bus, api.StoreLogIn{NS: api.NS{Namespace: a.meta.Namespace}, Run: a.meta.ID, Task: a.Path, Attempt: a.Attempt, Lines: in.Body.Lines})
}

func (s *Service) complete(ctx context.Context, e *engine, in api.CompleteIn) (api.Nothing, error) {
	switch in.Body.Outcome {
	case api.Done, api.FailedTask:
	default:
		return api.Nothing{}, errs.New(errs.Invalid, "a parked attempt ends done or failed, not %q", in.Body.Outcome)
	}
	refused, err := e.report(ctx, in.Namespace, bus.Subject(ctx), []api.Result{in.Body})
	if err == nil && len(refused) > 0 {
		err = errs.New(refused[0].Kind, "%s", refused[0].Why)
	}
	if err != nil {
		err = fmt.Errorf("complete: %w", err)
	}
	return api.Nothing{}, err
}
