// Package workflow is the engine: it carries runs of workflows, durably. The decisions are package
// core's; this package stores them, gives attempts to workers, keeps timers and answers for all of it.
//
// It owns the tables workflow_*, answers run.*, task.*, approval.list, workflow.plan, workflow.durations and check.Workflow,
// and publishes workflow.run.finished. One engine at a time owns the runs of a store, by lease; every
// write carries the lease's epoch, so an engine that lost it changes nothing.
package workflow

import (
	"context"
	"embed"
	"time"

	"golang.org/x/sync/errgroup"

	"tutti/api"
	"tutti/internal/service"
	"tutti/internal/store"
	"tutti/internal/task"
)

// Migrations are the tables of the engine.
//
//go:embed migrations
var Migrations embed.FS

// Config is what the engine can be told.
type Config struct {
	// Types are the task types that definitions may use beside the native ones; from task.Registry.
	Types []api.TaskType
	// Drivers read the task types that are declared in documents.
	Drivers task.Drivers
	// TrustedPools are the pools whose workers get secrets, beside those inside the server.
	TrustedPools []string
}

// Service is the engine.
type Service struct {
	d        service.Deps
	types    *types
	declared *task.Published[api.TaskType]
	cfg      Config
	views    *views
	past     *views // of runs as of an earlier event
	history  *history
	pollers  *pollers
	keys     store.Lookup[keyID, madeKey]
	// geometries are where the steps of definitions are drawn; playing has a place for each simulation.
	geometries geometries
	playing    chan struct{}
}

// New returns the engine.
func New(cfg Config) func(service.Deps) (service.Service, error) {
	return func(d service.Deps) (service.Service, error) {
		read := func(def api.Definition) (api.TaskType, error) { return cfg.Drivers.Spec(def.Document) }
		g := &graphs{}
		s := &Service{d: d, types: newTypes(cfg.Types), cfg: cfg, playing: make(chan struct{}, maxPlayed), views: &views{db: d.DB, graphs: g}, past: &views{db: d.DB, graphs: g},
			history: &history{db: d.DB, graphs: g}, pollers: &pollers{since: time.Now()},
			declared: &task.Published[api.TaskType]{Bus: d.Bus, As: d.Name, Read: read}}
		s.keys.Find = func(ctx context.Context, keys []keyID) (map[keyID]madeKey, error) { return keysOf(ctx, d.DB, keys) }
		return s, nil
	}
}

const (
	leaseName  = "engine"
	leaseTTL   = 10 * time.Second
	leaseRenew = 3 * time.Second
)

// Run waits until the runs of the store are free, carries them, and answers until ctx ends.
func (s *Service) Run(ctx context.Context) error {
	lease, err := s.claim(ctx)
	if err != nil || ctx.Err() != nil {
		return err
	}
	defer func() { _ = s.d.DB.Release(context.WithoutCancel(ctx), lease) }() // else it expires
	asked := time.Now()
	e, err := s.open(ctx, lease)
	if err != nil {
		return err
	}
	e.ownedFrom(asked)
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return e.run(ctx) })
	g.Go(func() error { return s.renew(ctx, e) })
	g.Go(func() error { return e.reap(ctx) })
	g.Go(func() error {
		if err := s.handle(ctx, e); err != nil {
			return err
		}
		<-ctx.Done()
		return nil
	})
	return g.Wait()
}

// claim waits for the lease.
func (s *Service) claim(ctx context.Context) (store.Lease, error) {
	for {
		l, ok, err := s.d.DB.Claim(ctx, leaseName, "", leaseTTL)
		if err != nil || ok {
			return l, err
		}
		s.d.Log.Info("another engine owns the runs; standing by")
		select {
		case <-ctx.Done():
			return l, nil
		case <-time.After(leaseRenew):
		}
	}
}

// renew keeps the lease; losing it ends the engine.
func (s *Service) renew(ctx context.Context, e *engine) error {
	l := e.lease
	t := time.NewTicker(leaseRenew)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-t.C:
		}
		asked := time.Now()
		_, ok, err := s.d.DB.Claim(ctx, l.Name, l.Holder, leaseTTL)
		switch {
		case err == nil && !ok:
			return errLeaseLost
		case err == nil:
			e.ownedFrom(asked)
		}
	}
}

// ownedFrom notes that the lease was asked for at a time, and given.
func (e *engine) ownedFrom(asked time.Time) {
	until := asked.Add(leaseTTL)
	e.until.Store(&until)
}
