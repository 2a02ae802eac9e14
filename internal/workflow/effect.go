package workflow

import (
	"encoding/json"
	"runtime/debug"

	"tutti/api"
	"tutti/bus"
	"tutti/errs"
	"tutti/internal/store"
	"tutti/internal/workflow/core"
)

// step applies a command to a run and puts what it decided into the batch. A panic of the core
// quarantines that run only.
func (e *engine) step(b *batch, l *live, by string, f func(now int64) ([]core.Event, core.Effects, error)) (err error) {
	id := l.run.ID
	defer func() {
		if r := recover(); r != nil {
			err = errs.New(errs.Internal, "run %s: %v\n%s", id, r, debug.Stack())
			e.quarantine(id, err)
		}
	}()
	now := e.at
	events, effects, err := f(now)
	if err != nil {
		return err
	}
	if len(events) == 0 {
		e.effect(b, l, effects) // a place that is not wanted any more
		return nil
	}
	if events[0].By == "" {
		events[0].By = by
	}
	if err := b.record(l, now, events); err != nil {
		panic(err) // events hold what came from JSON
	}
	e.touch(b, l)
	e.follow(b, l, events)
	e.effect(b, l, effects)
	e.project(b, l)
	return nil
}

// follow keeps the inbox of approvals and the pools in step with what happened.
func (e *engine) follow(b *batch, l *live, events []core.Event) {
	for i := range events {
		ev := &events[i]
		switch ev.Type {
		case core.Waits:
			if ask := l.run.Approval(ev.Path); ask != nil {
				b.approvals = append(b.approvals, approvalRow{l.run.ID, ev.Path, ask})
			}
		case core.Done, core.FailedTask, core.CancelledT, core.Retrying, core.Paused, core.Lost, core.Expanded:
			id, path := l.run.ID, ev.Path
			e.pools.ended(id, path)
			if l.run.IsApproval(path) {
				b.approvals = append(b.approvals, approvalRow{id, path, nil})
			}
		case core.Parked:
			e.pools.park(l.run.ID, ev.Path)
		}
	}
}

// effect arranges what a command causes: in other runs within this batch, outside after its commit.
func (e *engine) effect(b *batch, l *live, ef core.Effects) {
	run := l.run
	if bug == "work before commit" {
		e.pools.add(&run.Meta, ef.Dispatch, nil)
		ef.Dispatch = nil
	}
	if len(ef.Dispatch) > 0 {
		b.release = append(b.release, func() { e.pools.add(&run.Meta, ef.Dispatch, nil) })
	}
	if len(ef.CancelAttempts) > 0 {
		b.release = append(b.release, func() { e.cancelAttempts(run.ID, ef.CancelAttempts) })
	}
	for _, r := range ef.Release {
		e.giveBack(b, l, r)
	}
	for _, a := range ef.Acquire {
		e.acquire(b, l, a)
	}
	for _, s := range ef.StartRuns {
		e.later = append(e.later, func(b *batch) { e.startChild(b, l, s) })
	}
	for _, id := range ef.CancelRuns {
		e.later = append(e.later, func(b *batch) {
			e.child(b, id, func(c *core.Run, now int64) ([]core.Event, core.Effects, error) {
				return c.Cancel(now, "run:"+string(run.ID), "the run that called it was stopped")
			})
		})
	}
	for _, id := range ef.UndoRuns {
		e.later = append(e.later, func(b *batch) {
			e.child(b, id, func(c *core.Run, now int64) ([]core.Event, core.Effects, error) {
				return c.UndoChild(now, "run:"+string(run.ID))
			})
		})
	}
	for _, id := range ef.RetryRuns {
		e.later = append(e.later, func(b *batch) {
			e.child(b, id, func(c *core.Run, now int64) ([]core.Event, core.Effects, error) {
				return c.Retry(now, "", nil, "run:"+string(run.ID))
			})
		})
	}
	for _, m := range ef.Emit {
		data, err := json.Marshal(api.Emitted{Run: run.ID, Task: m.Path, Type: m.Type, Data: m.Data})
		if err != nil || len(data) > store.MaxEvent {
			e.d.Log.Error("event not published", "run", run.ID, "task", m.Path, "bytes", len(data), "err", err)
			continue
		}
		b.records = append(b.records, bus.Record{Type: api.TaskEmitted.Type(), Subject: string(run.ID), Namespace: run.Namespace, Trace: run.Trace, Data: data})
	}
	for _, id := range ef.PauseRuns {
		e.later = append(e.later, func(b *batch) {
			e.child(b, id, func(c *core.Run, now int64) ([]core.Event, core.Effects, error) {
				return c.Pause(now, "run:"+string(run.ID))
			})
		})
	}
	for _, id := range ef.ResumeRuns {
		e.later = append(e.later, func(b *batch) {
			e.child(b, id, func(c *core.Run, now int64) ([]core.Event, core.Effects, error) {
				return c.Resume(now, "run:"+string(run.ID))
			})
		})
	}
	if ef.Ended {
		e.ended(b, l)
	}
}

// child applies a command to a sub-run; where that is refused, its parent hears how it stands.
func (e *engine) child(b *batch, id api.RunID, f func(*core.Run, int64) ([]core.Event, core.Effects, error)) {
	c := e.need(b, id)
	if c == nil {
		return
	}
	err := e.step(b, c, "", func(now int64) ([]core.Event, core.Effects, error) { return f(c.run, now) })
	if errs.Is(err, errs.Conflict) && c.run.State.Ended() {
		e.tellParent(c)
	}
}

// ended publishes the end of a run and tells the run that called it.
func (e *engine) ended(b *batch, l *live) {
	v := l.run.View()
	told := v
	told.Counts = l.run.Counts()
	b.ended = append(b.ended, told)
	data, err := json.Marshal(v)
	if err != nil || len(data) > store.MaxEvent {
		v.Outputs, v.Inputs = nil, nil // whoever needs them asks for the run
		data, _ = json.Marshal(v)      // without values it is small and plain
	}
	b.records = append(b.records, bus.Record{Type: api.RunFinished.Type(), Subject: string(v.ID), Namespace: v.Namespace, Trace: v.Trace, Data: data})
	e.tellParent(l)
}

// moved publishes that the run of a request began to wait or went on; its end is published by ended.
func (e *engine) moved(b *batch, l *live, before api.State) {
	r := l.run
	if r.Request == "" || r.Parent != nil || r.State.Ended() || r.State == api.Running && before != api.Waiting {
		return
	}
	v := r.View()
	v.Inputs, v.Outputs = nil, nil
	data, err := json.Marshal(v)
	if err != nil {
		e.d.Log.Error("event not published", "run", v.ID, "err", err)
		return
	}
	b.records = append(b.records, bus.Record{Type: api.RunMoved.Type(), Subject: string(v.ID), Namespace: v.Namespace, Trace: v.Trace, Data: data})
}

func (e *engine) tellParent(l *live) {
	p := l.run.Parent
	if p == nil {
		return
	}
	v := l.run.View()
	e.later = append(e.later, func(b *batch) {
		parent := e.need(b, p.Run)
		if parent == nil {
			return
		}
		for _, at := range []string{p.Task, p.Task + "#undo"} {
			if err := e.step(b, parent, "", func(now int64) ([]core.Event, core.Effects, error) { return parent.run.ChildEnded(now, at, &v) }); err != nil {
				e.d.Log.Error("parent run", "run", p.Run, "err", err)
			}
		}
	})
}

// cancelAttempts tells workers to stop; what no worker has ends at once.
func (e *engine) cancelAttempts(id api.RunID, refs []core.AttemptRef) {
	var queued []core.AttemptRef
	for _, ref := range refs {
		if bug != "cancel is only told" && !e.pools.cancel(id, ref) {
			queued = append(queued, ref)
		}
	}
	if len(queued) == 0 {
		return
	}
	e.post(func(b *batch) {
		l := e.need(b, id)
		if l == nil {
			return
		}
		for _, ref := range queued {
			_ = e.step(b, l, "", func(now int64) ([]core.Event, core.Effects, error) { // over already: so much the better
				return l.run.Report(now, ref, "", "", api.Result{Outcome: api.Interrupted})
			})
		}
	})
}
