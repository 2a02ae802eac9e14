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
	e := &engine{
		d: s.d, lease: lease, graphs: &graphs{}, pools: newPools(lease.Epoch), changes: &notifier{},
		inbox: make(chan func(*batch), 256), commits: make(chan *batch), broken: make(chan struct{}), done: make(chan struct{}),
		runs: map[api.RunID]*live{}, armed: map[api.RunID]int64{}, keys: map[string]madeKey{}, keysAge: time.Now(),
		known: map[string]bool{}, onceNew: map[limitKey]string{}, poisoned: map[api.RunID]error{}, evictAt: 2 * maxIdle,
	}
	top, busy, timers, err := outstanding(ctx, s.d.DB)
	if err != nil {
		return nil, err
	}
	e.top = top
	if err := loadLimits(ctx, s.d.DB, &e.limits); err != nil {
		return nil, err
	}
	start := time.Now()
	for _, id := range busy {
		l, err := e.get("", id)
		if err != nil {
			continue // quarantined and logged
		}
		e.resume(l)
	}
	for _, t := range timers {
		e.arm(t.id, t.at)
	}
	if len(busy)+len(timers) > 0 {
		s.d.Log.Info("runs resumed", "busy", len(busy), "sleeping", len(timers), "took", time.Since(start).Round(time.Millisecond))
	}
	return e, nil
}

// resume gives a loaded run's attempts to the pools, and cancels what was to be cancelled.
func (e *engine) resume(l *live) {
	ef := l.run.Pending()
	e.pools.add(&l.run.Meta, ef.Dispatch, l.run.ParkedAttempt)
	for _, d := range ef.Dispatch {
		// Workers inside the server went down with it; where several servers share a database, one
		// of them may live on, and its claim ends by silence.
		if strings.HasPrefix(d.Worker, insidePrefix) && !e.d.DB.Postgres() && !l.run.ParkedAttempt(d.AttemptRef) {
			e.post(func(b *batch) { e.gone(b, l, d) })
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
		e.post(func(b *batch) { e.effect(b, l, rest) })
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
	_, err := submit(ctx, e, func(b *batch) (struct{}, error) {
		l, err := e.get("", a.meta.ID)
		if err != nil {
			return struct{}{}, err
		}
		return struct{}{}, e.step(b, l, "", func(now int64) ([]core.Event, core.Effects, error) {
			return l.run.Lose(now, a.AttemptRef, a.worker)
		})
	})
	return err
}

// gone takes the claim of a worker away that ended with the engine before.
func (e *engine) gone(b *batch, l *live, d core.Dispatch) {
	err := e.step(b, l, "", func(now int64) ([]core.Event, core.Effects, error) { return l.run.Lose(now, d.AttemptRef, d.Worker) })
	if err != nil && !errs.Is(err, errs.Conflict) {
		e.d.Log.Error("take a claim away", "run", l.run.ID, "task", d.Path, "err", err)
	}
}

var _ service.Service = (*Service)(nil)
