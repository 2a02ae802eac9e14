package workflow

import (
	"context"
	"strings"
	"time"

	"tutti/api"
	"tutti/errs"
	"tutti/internal/service"
	"tutti/internal/store"
	"tutti/internal/workflow/core"
)

var errLeaseLost = errs.New(errs.Unavailable, "the lease of the engine was lost")

// open loads what was going on when the engine before ended.
func (s *Service) open(ctx context.Context, lease store.Lease) (*engine, error) {
	e := newEngine(s.d, sqlLedger{s.d.DB}, lease)
	return e, e.recover(ctx)
}

// newEngine returns an engine that knows nothing yet.
func newEngine(d service.Deps, of ledger, lease store.Lease) *engine {
	e := &engine{
		d: d, ledger: of, lease: lease, graphs: &graphs{}, pools: newPools(lease.Epoch), changes: &notifier{}, ends: &ends{}, now: time.Now,
		inbox: make(chan func(*batch), 256), commits: make(chan *batch), broken: make(chan struct{}), done: make(chan struct{}),
		runs: map[api.RunID]*live{}, armed: map[api.RunID]int64{}, keys: map[string]madeKey{},
		known: map[string]bool{}, onceNew: map[limitKey]onceDone{}, poisoned: map[api.RunID]error{}, idle: maxIdle, evictAt: 2 * maxIdle,
	}
	e.post = e.postSoon
	return e
}

// recover loads what is going on from the ledger.
func (e *engine) recover(ctx context.Context) error {
	top, busy, timers, err := e.ledger.outstanding(ctx)
	if err != nil {
		return err
	}
	e.top = top
	places, err := e.ledger.places(ctx)
	if err != nil {
		return err
	}
	e.limits.load(places)
	start := time.Now()
	for _, id := range busy {
		l, err := e.get("", id)
		if errs.Is(err, errs.Unavailable) {
			return err
		}
		if err != nil {
			continue // quarantined and logged
		}
		e.resume(l)
	}
	for _, t := range timers {
		e.arm(t.id, t.at)
	}
	if len(busy)+len(timers) > 0 {
		e.d.Log.Info("runs resumed", "busy", len(busy), "sleeping", len(timers), "took", time.Since(start).Round(time.Millisecond))
	}
	return nil
}

// resume gives a loaded run's attempts to the pools, and cancels what was to be cancelled.
func (e *engine) resume(l *live) {
	ef := l.run.Pending()
	e.pools.add(&l.run.Meta, ef.Dispatch, l.run.ParkedAttempt)
	for _, d := range ef.Dispatch {
		// Workers inside the server went down with it; where several servers share a database, one
		// of them may live on, and its claim ends by silence.
		if strings.HasPrefix(d.Worker, insidePrefix) && !e.ledger.shared() && !l.run.ParkedAttempt(d.AttemptRef) {
			e.post(func(b *batch) { e.gone(b, l.run.ID, d) })
		}
	}
	if next := l.run.NextTimer(); next > 0 {
		e.arm(l.run.ID, next)
	}
	if len(ef.CancelAttempts) > 0 {
		e.cancelAttempts(l.run.ID, ef.CancelAttempts)
	}
	rest := core.Effects{CancelRuns: ef.CancelRuns, UndoRuns: ef.UndoRuns}
	if len(rest.CancelRuns)+len(rest.UndoRuns) > 0 {
		e.post(func(b *batch) {
			if l := e.need(b, l.run.ID); l != nil {
				e.effect(b, l, rest)
			}
		})
	}
}

// reap takes claims away from workers that gave no sign of life.
func (e *engine) reap(ctx context.Context) error {
	t := time.NewTicker(2 * time.Second)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-e.done:
			return nil
		case now := <-t.C:
			for _, a := range e.pools.silent(now) {
				if err := e.lose(ctx, a); err != nil && !errs.Is(err, errs.Conflict) && !errs.Is(err, errs.Unavailable) {
					e.d.Log.Error("take a claim away", "run", a.meta.ID, "task", a.Path, "err", err)
				}
			}
		}
	}
}

func (e *engine) lose(ctx context.Context, a *attempt) error {
	e.d.Log.Warn("worker lost", "worker", a.worker, "run", a.meta.ID, "task", a.Path, "attempt", a.Attempt, "trace", a.meta.Trace)
	_, err := submit(ctx, e, func(b *batch) (struct{}, error) { return struct{}{}, e.lost(b, a) })
	return err
}

func (e *engine) lost(b *batch, a *attempt) error {
	l, err := e.get("", a.meta.ID)
	if err != nil {
		return err
	}
	return e.step(b, l, "", func(now int64) ([]core.Event, core.Effects, error) {
		return l.run.Lose(now, a.AttemptRef, a.worker)
	})
}

// gone takes the claim of a worker away that ended with the engine before.
func (e *engine) gone(b *batch, id api.RunID, d core.Dispatch) {
	l := e.need(b, id)
	if l == nil {
		return
	}
	err := e.step(b, l, "", func(now int64) ([]core.Event, core.Effects, error) { return l.run.Lose(now, d.AttemptRef, d.Worker) })
	if err != nil && !errs.Is(err, errs.Conflict) {
		e.d.Log.Error("take a claim away", "run", id, "task", d.Path, "err", err)
	}
}

var _ service.Service = (*Service)(nil)
