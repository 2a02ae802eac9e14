package workflow

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"tutti/api"
	"tutti/errs"
	"tutti/internal/service"
	"tutti/internal/store"
)

// engine carries the runs of a store on. One goroutine owns their state: it applies commands to it and
// gathers what they decided into a batch. Another commits batches. Whatever arrives during a commit is
// the next batch, so the load itself makes batches larger, and nobody waits for a clock.
//
// The state in memory runs ahead of the store by what is being committed; nobody outside learns of it
// before. When a commit fails, the state is dropped and the engine ends; a new one loads what the
// store has.
type engine struct {
	d      service.Deps
	lease  store.Lease
	graphs *graphs
	pools  *pools

	inbox   chan func(*batch)
	commits chan *batch
	broken  chan struct{} // closed when a commit failed
	done    chan struct{} // closed when the engine ended
	changes *notifier

	committed atomic.Int64 // the last batch that is

	// Owned by the loop:
	runs     map[api.RunID]*live
	top      int64
	timers   timerHeap
	armed    map[api.RunID]int64 // the timer of each run that counts
	keys     map[string]madeKey  // of the last minutes
	oldKeys  map[string]madeKey
	keysAge  time.Time
	known    map[string]bool // digests of definitions that are stored
	poisoned map[api.RunID]error
	later    []func(*batch) // consequences within the same batch
	limits   limits
	onceNew  map[limitKey]string // results of once that may not be committed yet
	evictAt  int
	batches  int64
}

// maxBatch bounds the commands of one commit, so that none waits long for its answer.
const maxBatch = 4000

// run owns the state until ctx ends or a commit fails.
func (e *engine) run(ctx context.Context) error {
	defer close(e.done)
	committed := make(chan error, 1)
	go func() { committed <- e.commitAll(ctx) }()
	e.loop(ctx)
	close(e.commits)
	return <-committed
}

func (e *engine) loop(ctx context.Context) {
	b := e.newBatch()
	size := 0
	tick := time.NewTimer(0)
	defer tick.Stop()
	for {
		inbox, commits := e.inbox, e.commits
		if size == 0 {
			commits = nil
		}
		if size >= maxBatch {
			inbox = nil
		}
		select {
		case <-ctx.Done():
			e.commits <- b
			return
		case <-e.broken:
			e.commits <- b // to be abandoned
			return
		case f := <-inbox:
			e.do(b, f)
			size++
		case commits <- b:
			b, size = e.newBatch(), 0
			e.evict()
		case <-tick.C:
			if e.fireDue(b) {
				size++
			}
		}
		if next := e.nextTimer(); next > 0 {
			tick.Reset(time.Until(time.UnixMicro(next)))
		} else {
			tick.Reset(time.Hour)
		}
	}
}

// do runs a command and what follows from it in other runs.
func (e *engine) do(b *batch, f func(*batch)) {
	f(b)
	for len(e.later) > 0 {
		g := e.later[0]
		e.later = e.later[1:]
		g(b)
	}
}

// commitAll commits batches until there are no more. At a failure it abandons that batch and all after.
func (e *engine) commitAll(ctx context.Context) (failed error) {
	ctx = context.WithoutCancel(ctx) // what was decided when the end came is still committed
	for b := range e.commits {
		if failed == nil {
			if failed = e.commit(ctx, b); failed != nil {
				close(e.broken)
			}
		}
		if failed != nil {
			for _, f := range b.abandon {
				f(errs.New(errs.Unavailable, "the engine could not store it and starts again; repeat the call with the same key"))
			}
			continue
		}
		e.committed.Store(b.id)
		for _, f := range b.release {
			f()
		}
		for id := range b.touched {
			e.changes.notify(id)
			e.d.Bus.Wake(ctx, api.RunChanged(id))
		}
	}
	return failed
}

func (e *engine) commit(ctx context.Context, b *batch) error {
	if len(b.journal) == 0 && len(b.acts) == 0 {
		return nil
	}
	err := e.d.DB.Tx(ctx, func(tx *store.Tx) error {
		stale, err := tx.Fence(e.lease)
		if err != nil {
			return err
		}
		if stale {
			return errs.New(errs.Unavailable, "another engine owns the runs now (epoch %d is over)", e.lease.Epoch)
		}
		return b.write(tx)
	})
	if err != nil {
		return fmt.Errorf("commit of %d steps: %w", len(b.journal), err)
	}
	return nil
}

// submit hands a command to the loop and returns what it answers, once the batch it went into is
// committed; even a refusal may rest on what was not committed before.
func submit[T any](ctx context.Context, e *engine, f func(b *batch) (T, error)) (T, error) {
	type result struct {
		v   T
		err error
	}
	ch := make(chan result, 1)
	var zero T
	cmd := func(b *batch) {
		v, err := f(b)
		b.release = append(b.release, func() { ch <- result{v, err} })
		b.abandon = append(b.abandon, func(cause error) { ch <- result{zero, cause} })
	}
	select {
	case e.inbox <- cmd:
	case <-e.done:
		return zero, errs.New(errs.Unavailable, "the engine is starting again")
	case <-ctx.Done():
		return zero, errs.New(errs.Unavailable, "gave up waiting for the engine: %w", ctx.Err())
	}
	select {
	case r := <-ch:
		return r.v, r.err
	case <-e.done:
	}
	select {
	case r := <-ch:
		return r.v, r.err
	default:
		return zero, errs.New(errs.Unavailable, "the engine ended before it answered; repeat the call with the same key")
	}
}

// post hands a command to the loop from the committer, which must not wait for the loop.
func (e *engine) post(f func(*batch)) {
	go func() {
		select {
		case e.inbox <- f:
		case <-e.done:
		}
	}()
}
