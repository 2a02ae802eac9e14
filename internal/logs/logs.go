// Package logs keeps what tasks write: one log a run, its lines numbered as they arrived.
//
// It owns the tables logs_runs, logs_lines, logs_chunks and logs_seen, and blobs of the store it is
// given, which no other service may delete from. It answers log.read and log.find and, for the engine, log.store; it
// publishes no events, wakes the readers of a run (api.LogChanged), and follows the ends of runs.
//
// Lines of calls that arrive together are committed together, so that thousands of lines a second cost
// a few commits. A while after its run ended the log is packed: compressed in chunks, small ones in
// the database and large ones as blobs. Reading is the same before and after. A line is known by
// task, attempt and number: sent twice, it is stored once.
package logs

import (
	"context"
	"embed"
	"errors"
	"log/slog"
	"time"

	"golang.org/x/sync/errgroup"

	"tutti/api"
	"tutti/bus"
	"tutti/internal/blob"
	"tutti/internal/service"
	"tutti/internal/store"
)

// Migrations are those of the tables above.
//
//go:embed migrations
var Migrations embed.FS

// Config bounds what is kept.
type Config struct {
	// MaxBytes is how much one run may log, in bytes of text and 100 a line; 0 is 128 MiB. Past it
	// lines are dropped; the log says so, and at the end how many.
	MaxBytes int64
}

const defaultMaxBytes = 128 << 20

// Service is the log store.
type Service struct {
	deps  service.Deps
	db    *store.DB
	bus   *bus.Bus
	log   *slog.Logger
	blobs blob.Store
	max   int64
	jobs  chan *job
}

// New returns what builds the service; blobs is a store of its own.
func New(c Config, blobs blob.Store) func(service.Deps) (service.Service, error) {
	return func(d service.Deps) (service.Service, error) {
		s := &Service{deps: d, db: d.DB, bus: d.Bus, log: d.Log, blobs: blobs, max: c.MaxBytes, jobs: make(chan *job)}
		if s.max <= 0 {
			s.max = defaultMaxBytes
		}
		return s, nil
	}
}

// Run answers, writes and packs until ctx ends.
func (s *Service) Run(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	err := errors.Join(
		api.ReadLog.Handle(ctx, s.bus, s.read),
		api.FindLog.Handle(ctx, s.bus, s.find),
		api.StoreLog.Handle(ctx, s.bus, func(call context.Context, in api.StoreLogIn) (api.Nothing, error) {
			return api.Nothing{}, s.submit(call, ctx.Done(), in)
		}),
	)
	if err != nil {
		return err
	}
	g.Go(func() error { return s.write(ctx) })
	g.Go(func() error { return s.pack(ctx) })
	g.Go(func() error {
		return service.Follow(ctx, s.deps, service.On(api.RunFinished, s.finished).Where(s.logging))
	})
	return g.Wait()
}

// packAfter is how long a log is left alone after its run ended: late lines still come cheaply.
const packAfter = 10 * time.Second

// logging keeps the ends of runs that have a log. Most runs of most systems log nothing, and nothing is
// stored of them: whoever reads is told by the engine that they ended.
func (s *Service) logging(ctx context.Context, ends []bus.Record) (out []bus.Record, err error) {
	ids := make([]string, len(ends))
	for i, r := range ends {
		ids[i] = r.Subject
	}
	has, err := s.db.Among(ctx, `SELECT run FROM logs_runs WHERE run IN`, ids)
	if err != nil {
		return nil, err
	}
	for _, r := range ends {
		if has[r.Subject] {
			out = append(out, r)
			continue
		}
		s.bus.Wake(ctx, api.LogChanged(api.RunID(r.Subject)))
	}
	return out, nil
}

// finished notes that a run has ended.
func (s *Service) finished(ctx context.Context, tx *store.Tx, _ bus.Record, r api.Run) error {
	st, err := lockRun(tx, r.Namespace, string(r.ID))
	if err != nil {
		return err
	}
	return s.end(ctx, tx, st)
}

// end notes that the run of st has ended, says how much was dropped, and wakes who reads along.
func (s *Service) end(ctx context.Context, tx *store.Tx, st *run) error {
	if err := st.sayDropped(tx); err != nil {
		return err
	}
	st.ended, st.due = true, 0
	if st.last > st.packed {
		st.due = store.Micros(time.Now().Add(packAfter))
	}
	tx.AfterCommit(func() { s.bus.Wake(context.WithoutCancel(ctx), api.LogChanged(api.RunID(st.id))) })
	return updateRun(tx, st)
}
