package workflow

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"time"

	"tutti/api"
	"tutti/bus"
	"tutti/errs"
	"tutti/internal/document"
	"tutti/internal/store"
	"tutti/internal/workflow/core"
)

// handle answers the methods of the engine until ctx ends.
func (s *Service) handle(ctx context.Context, e *engine) error {
	b := s.d.Bus
	return errors.Join(
		api.CheckKind(api.KindWorkflow).Handle(ctx, b, s.check),
		api.PlanWorkflow.Handle(ctx, b, s.plan),
		api.StartRun.Handle(ctx, b, with(e, s.start)),
		api.GetRun.Handle(ctx, b, with(e, s.get)),
		api.ListRuns.Handle(ctx, b, s.list),
		api.ListTasks.Handle(ctx, b, s.tasks),
		api.GetTask.Handle(ctx, b, s.task),
		api.RunEvents.Handle(ctx, b, with(e, s.events)),
		api.RunGraph.Handle(ctx, b, s.graph),
		api.ExportRun.Handle(ctx, b, s.export),
		api.ForkRun.Handle(ctx, b, with(e, s.fork)),
		api.RunWhy.Handle(ctx, b, with(e, s.why)),
		api.WorkflowDurations.Handle(ctx, b, s.durations),
		api.ListApprovals.Handle(ctx, b, s.approvals),
		api.ListVariables.Handle(ctx, b, s.variables),
		api.WorkflowHistory.Handle(ctx, b, s.grid),
		api.GraphDefinition.Handle(ctx, b, s.draftGraph),
		api.SimulateWorkflow.Handle(ctx, b, s.simulate),
		api.RunQueue.Handle(ctx, b, with(e, s.queue)),
		api.RunStats.Handle(ctx, b, s.stats),
		api.WorkflowUses.Handle(ctx, b, s.uses),
		api.Find("run").Handle(ctx, b, s.findRuns),
		api.CancelRun.Handle(ctx, b, with(e, s.cancel)),
		api.PauseRun.Handle(ctx, b, with(e, s.pause)),
		api.ResumeRun.Handle(ctx, b, with(e, s.resume)),
		api.SignalRun.Handle(ctx, b, with(e, s.signal)),
		api.RetryRun.Handle(ctx, b, with(e, s.retry)),
		api.UndoRun.Handle(ctx, b, with(e, s.undo)),
		api.ApproveTask.Handle(ctx, b, with(e, s.approve)),
		api.RejectTask.Handle(ctx, b, with(e, s.reject)),
		api.PollTasks.Handle(ctx, b, with(e, s.poll)),
		api.Heartbeat.Handle(ctx, b, owning(e, s.heartbeat)),
		api.SetVars.Handle(ctx, b, owning(e, s.setVars)),
		api.AppendLog.Handle(ctx, b, owning(e, s.appendLog)),
		api.CompleteTask.Handle(ctx, b, owning(e, s.complete)),
		api.ListTaskTypes.Handle(ctx, b, s.listTypes),
	)
}

func with[In, Out any](e *engine, f func(context.Context, *engine, In) (Out, error)) func(context.Context, In) (Out, error) {
	return func(ctx context.Context, in In) (Out, error) { return f(ctx, e, in) }
}

// owning is with for what rests on the state in memory: an engine that may have lost its lease, because
// it stood still for a while, must not tell anybody anything from it.
func owning[In, Out any](e *engine, f func(context.Context, *engine, In) (Out, error)) func(context.Context, In) (Out, error) {
	return func(ctx context.Context, in In) (out Out, err error) {
		if !e.owns() {
			return out, errNotOwner
		}
		return f(ctx, e, in)
	}
}

var errNotOwner = errs.New(errs.Unavailable, "the engine is starting again")

// owns says that the lease is still held for sure.
func (e *engine) owns() bool {
	until := e.until.Load()
	return until == nil || time.Now().Before(*until)
}

// act carries out what a person commands of a run, with an audit row, and returns the run.
func (s *Service) act(ctx context.Context, e *engine, namespace string, id api.RunID, action string, detail any, f func(r *core.Run, now int64) ([]core.Event, core.Effects, error)) (api.Run, error) {
	id, err := s.resolve(ctx, namespace, id)
	if err != nil {
		return api.Run{}, err
	}
	c, _ := bus.CallerFrom(ctx)
	_, err = submit(ctx, e, func(b *batch) (struct{}, error) {
		return struct{}{}, e.act(b, c, namespace, id, store.Act{Action: action, Detail: detail}, f)
	})
	if err != nil {
		return api.Run{}, err
	}
	return s.read(ctx, namespace, id)
}

// act applies what a person commands of a run.
func (e *engine) act(b *batch, c bus.Caller, namespace string, id api.RunID, a store.Act, f func(r *core.Run, now int64) ([]core.Event, core.Effects, error)) error {
	l, err := e.get(namespace, id)
	if err != nil {
		return err
	}
	if err := e.step(b, l, c.Subject, func(now int64) ([]core.Event, core.Effects, error) { return f(l.run, now) }); err != nil {
		return err
	}
	a.Namespace, a.Object = l.run.Namespace, string(id)
	b.acts = append(b.acts, store.ActBy{Caller: c, Trace: l.run.Trace, Act: a})
	return nil
}

func (s *Service) cancel(ctx context.Context, e *engine, in api.CancelRunIn) (api.Run, error) {
	return s.act(ctx, e, in.Namespace, in.ID, "run.cancel", in.Body, func(r *core.Run, now int64) ([]core.Event, core.Effects, error) {
		if r.Parent != nil {
			return nil, core.Effects{}, errs.New(errs.Conflict, "run %s is part of run %s", r.ID, r.Parent.Run).WithHint("cancel %s; this one ends with it", r.Parent.Run)
		}
		return r.Cancel(now, bus.Subject(ctx), in.Body.Reason)
	})
}

func (s *Service) retry(ctx context.Context, e *engine, in api.RetryRunIn) (api.Run, error) {
	if in.Body.Input != nil {
		if err := s.mayEdit(ctx, in.NS, in.ID, api.Moment{}, in.Body.Task, in.Body.Input); err != nil {
			return api.Run{}, err
		}
	}
	id, err := s.resolve(ctx, in.Namespace, in.ID)
	if err != nil {
		return api.Run{}, err
	}
	c, _ := bus.CallerFrom(ctx)
	_, err = submit(ctx, e, func(b *batch) (struct{}, error) { return struct{}{}, e.retry(b, c, in.Namespace, id, in.Body) })
	if err != nil {
		return api.Run{}, err
	}
	return s.read(ctx, in.Namespace, id)
}

// retry retries what failed in a run. Where that is a sub-run, the runs above, which failed with it, go on
// waiting for it.
func (e *engine) retry(b *batch, c bus.Caller, namespace string, id api.RunID, body api.RetryBody) error {
	l, err := e.get(namespace, id)
	if err != nil {
		return err
	}
	var above []*live
	for child := l; child.run.Parent != nil; child = above[len(above)-1] {
		p := child.run.Parent
		parent, err := e.get(namespace, p.Run)
		if err != nil {
			return err
		}
		r := parent.run
		if t, err := r.Task(p.Task); err != nil || t.Run != child.run.ID || !t.State.Ended() && !r.State.Ended() || t.State == api.Succeeded {
			return errs.New(errs.Conflict, "run %s does not wait for run %s any more", r.ID, child.run.ID).WithHint("retry %s, or fork this one", r.ID)
		}
		if !r.State.Ended() || r.State == api.Succeeded {
			return errs.New(errs.Conflict, "run %s, which called it, is %s; only with one that has failed can its part be retried", r.ID, r.State).WithHint("wait for its end")
		}
		above = append(above, parent)
	}
	retry := func(task string, input json.RawMessage) func(*core.Run, int64) ([]core.Event, core.Effects, error) {
		return func(r *core.Run, now int64) ([]core.Event, core.Effects, error) {
			return r.Retry(now, task, input, c.Subject)
		}
	}
	if err := e.act(b, c, namespace, id, store.Act{Action: "run.retry", Detail: body}, retry(body.Task, body.Input)); err != nil {
		return err
	}
	for _, p := range above {
		if err := e.act(b, c, namespace, p.run.ID, store.Act{Action: "run.retry", Detail: map[string]any{"with": id}}, retry("", nil)); err != nil {
			return err
		}
	}
	return nil
}

// mayEdit checks an input that replaces the one a definition gave a task. That is as much as publishing
// another definition, so it takes the same rights; and who approves is never up to an edit.
func (s *Service) mayEdit(ctx context.Context, ns api.NS, run api.RunID, at api.Moment, path string, input json.RawMessage) error {
	if err := s.d.Bus.Allow(ctx, "run.edit", ns.Namespace); err != nil {
		return err
	}
	t, err := s.task(ctx, api.GetTaskIn{NS: ns, Moment: at, ID: run, Path: path})
	if err != nil {
		return err
	}
	if t.Use == "approval" {
		return errs.New(errs.Denied, "%s is an approval; what it asks, and whom, cannot be edited", t.Path).WithHint("change the workflow and start another run")
	}
	typ := s.types.all[t.Use]
	if typ.Perm != "" {
		if err := s.d.Bus.Allow(ctx, typ.Perm, ns.Namespace); err != nil {
			return err
		}
	}
	var v any
	if err := json.Unmarshal(input, &v); err != nil {
		return errs.New(errs.Invalid, "input: %w", err)
	}
	if strings.Contains(string(input), "${{") {
		return errs.New(errs.Invalid, "the input holds ${{ }}, which is not evaluated in an edited input").
			WithHint("write the value itself; a task that needs a secret is retried with the input of its definition")
	}
	if typ.With != nil {
		if ps := document.CheckValue(typ.With, v, "body.input"); len(ps) > 0 {
			return errs.New(errs.Invalid, "the input does not fit %s", t.Use).WithProblems(ps...)
		}
	}
	return nil
}

func (s *Service) undo(ctx context.Context, e *engine, in api.CancelRunIn) (api.Run, error) {
	return s.act(ctx, e, in.Namespace, in.ID, "run.undo", in.Body, func(r *core.Run, now int64) ([]core.Event, core.Effects, error) {
		return r.Undo(now, bus.Subject(ctx))
	})
}

func (s *Service) approve(ctx context.Context, e *engine, in api.DecideIn) (api.Run, error) {
	return s.decide(ctx, e, in, true)
}

func (s *Service) reject(ctx context.Context, e *engine, in api.DecideIn) (api.Run, error) {
	return s.decide(ctx, e, in, false)
}

func (s *Service) decide(ctx context.Context, e *engine, in api.DecideIn, yes bool) (api.Run, error) {
	c, _ := bus.CallerFrom(ctx)
	d := core.Decider{Subject: c.Subject}
	for _, g := range c.Grants {
		if g.Namespace == "*" || g.Namespace == in.Namespace {
			d.Roles = append(d.Roles, g.Role)
		}
	}
	action := map[bool]string{true: "run.approve", false: "run.reject"}[yes]
	return s.act(ctx, e, in.Namespace, in.ID, action, in.Body, func(r *core.Run, now int64) ([]core.Event, core.Effects, error) {
		if yes {
			if err := checkForm(r, in.Body); err != nil {
				return nil, core.Effects{}, err
			}
		}
		return r.Decide(now, in.Body.Task, d, core.Decision{Approve: yes, Why: in.Body.Reason, Form: in.Body.Form, Digest: in.Body.Digest})
	})
}

// checkForm validates what an approval's form asks.
func checkForm(r *core.Run, d api.DecideBody) error {
	a := r.Approval(d.Task)
	if a == nil {
		return nil // Decide says what became of it
	}
	if len(a.Form) == 0 {
		if len(d.Form) > 0 {
			return errs.New(errs.Invalid, "%s asks for no form", d.Task)
		}
		return nil
	}
	var v any = map[string]any{}
	if len(d.Form) > 0 {
		if err := json.Unmarshal(d.Form, &v); err != nil {
			return errs.New(errs.Invalid, "form: %w", err)
		}
	}
	if ps := document.CheckValue(a.Form, v, "body.form"); len(ps) > 0 {
		return errs.New(errs.Invalid, "the form of %s is not filled in as it asks", d.Task).WithProblems(ps...)
	}
	return nil
}

func (s *Service) pause(ctx context.Context, e *engine, in api.CancelRunIn) (api.Run, error) {
	return s.act(ctx, e, in.Namespace, in.ID, "run.pause", in.Body, func(r *core.Run, now int64) ([]core.Event, core.Effects, error) {
		return r.Pause(now, bus.Subject(ctx))
	})
}

func (s *Service) resume(ctx context.Context, e *engine, in api.CancelRunIn) (api.Run, error) {
	return s.act(ctx, e, in.Namespace, in.ID, "run.resume", in.Body, func(r *core.Run, now int64) ([]core.Event, core.Effects, error) {
		return r.Resume(now, bus.Subject(ctx))
	})
}

func (s *Service) signal(ctx context.Context, e *engine, in api.SignalRunIn) (api.Run, error) {
	return s.act(ctx, e, in.Namespace, in.ID, "run.signal", map[string]any{"name": in.Body.Name}, func(r *core.Run, now int64) ([]core.Event, core.Effects, error) {
		return r.Signal(now, in.Body.Name, in.Body.Data, bus.Subject(ctx))
	})
}
