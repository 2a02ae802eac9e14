package workflow

import (
	"context"
	"errors"

	"tutti/api"
	"tutti/errs"
	"tutti/internal/store"
	"tutti/internal/workflow/core"
)

// ledger is what an engine keeps, and finds again when it starts. The simulator has one of its own, in
// which everything goes wrong that can.
type ledger interface {
	definitions
	// commit stores a batch whole, or not at all where it says so; errs.Unavailable where another engine
	// has claimed the lease since.
	commit(ctx context.Context, l store.Lease, b *batch) error
	outstanding(ctx context.Context) (top int64, busy []api.RunID, timers []due, err error)
	places(ctx context.Context) ([]placeRow, error)
	find(ctx context.Context, namespace string, id api.RunID) (stored, error)
	journal(ctx context.Context, n, after int64, f func(seq, at int64, events []core.Event) error) error
	onceOf(ctx context.Context, k limitKey) (out string, done bool, err error)
	poison(ctx context.Context, id api.RunID, cause error) error
	// shared says that engines in several processes may work on it.
	shared() bool
}

// definitions gives the documents that runs are pinned to.
type definitions interface {
	definition(ctx context.Context, digest string) (doc string, err error)
}

// sqlLedger is the ledger in the database of the service.
type sqlLedger struct{ db *store.DB }

func (s sqlLedger) commit(ctx context.Context, l store.Lease, b *batch) error {
	return s.db.Tx(ctx, func(tx *store.Tx) error {
		return tx.Together(func() error {
			if err := tx.Hold(l); err != nil {
				return err
			}
			return b.write(tx)
		})
	})
}

func (s sqlLedger) outstanding(ctx context.Context) (top int64, busy []api.RunID, timers []due, err error) {
	return outstanding(ctx, s.db)
}

func (s sqlLedger) places(ctx context.Context) ([]placeRow, error) { return readPlaces(ctx, s.db) }

func (s sqlLedger) find(ctx context.Context, namespace string, id api.RunID) (stored, error) {
	return find(ctx, s.db, namespace, id)
}

func (s sqlLedger) journal(ctx context.Context, n, after int64, f func(seq, at int64, events []core.Event) error) error {
	return readJournal(ctx, s.db, n, after, f)
}

func (s sqlLedger) definition(ctx context.Context, digest string) (doc string, err error) {
	return definitionOf(ctx, s.db, digest)
}

func (s sqlLedger) onceOf(ctx context.Context, k limitKey) (out string, done bool, err error) {
	return readOnce(ctx, s.db, k)
}

func (s sqlLedger) poison(ctx context.Context, id api.RunID, cause error) error {
	return poison(ctx, s.db, id, cause)
}

func (s sqlLedger) shared() bool { return s.db.Postgres() }

// readable gives the error of a read its kind: what was not found, and what was found and is broken,
// have theirs; anything else is a store that may answer the next time.
func readable(err error) error {
	if _, has := errors.AsType[*errs.Error](err); has || err == nil {
		return err
	}
	return errs.New(errs.Unavailable, "the store could not be read: %w", err)
}
