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
	"tutti/internal/workflow/core"
)

// engine carries the runs of a store on. One goroutine owns their state: it applies commands to it and
// gathers what they decided into a batch. Another commits batches. Whatever arrives during a commit is
// the next batch, so the load itself makes batches larger, and nobody waits for a clock.
//
// The state in memory runs ahead of the store by what is being committed; nobody outside learns of it
// before: a third goroutine lets out what committed batches cause, in their order. When a commit fails, the
// state is dropped and the engine ends; a new one loads what the store has.
type engine struct {
	d      service.Deps
	ledger ledger
	lease  store.Lease
	until  atomic.Pointer[time.Time] // the lease is ours at least so long
	graphs *graphs
	pools  *pools

	inbox   chan func(*batch)
	commits chan *batch
	broken  chan struct{} // closed when a commit failed
	done    chan struct{} // closed when the engine ended
	changes *notifier
	ends    *ends
	now     func() time.Time
	// post hands a command to the loop from the committer, which must not wait for the loop.
	post func(func(*batch))

	committed atomic.Int64 // the last batch that is

	// Owned by the loop:
	runs       map[api.RunID]*live
	top        int64
	timers     timerHeap
	armed      map[api.RunID]int64 // the timer of each run that counts
	keys       map[string]madeKey  // of the last minutes
	oldKeys    map[string]madeKey
	keysBatch  int64           // the last that holds any of oldKeys
	keysStored bool            // it is committed,
	keysAge    time.Time       // since then at least
	known      map[string]bool // digests of definitions that are stored
	poisoned   map[api.RunID]error
	later      []func(*batch) // consequences within the same batch
	failed     error          // of the batch that ends this engine
	limits     limits
	onceNew    map[limitKey]onceDone // results of once that may not be committed yet
	idle       int                   // how many runs are kept that nothing happens in
	evictAt    int
	batches    int64
	scratch    []core.Event
	at         int64 // the time of the command that is applied, and of all that follows from it
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
	b.failed = e.failed
	e.at = e.now().UnixMicro()
	f(b)
	for len(e.later) > 0 && b.failed == nil {
		g := e.later[0]
		e.later = e.later[1:]
		g(b)
	}
	if b.failed != nil { // what is in memory is half done from here on
		e.failed, e.later = b.failed, nil
	}
}

// commitAll commits batches until there are no more. At a failure it abandons that batch and all after.
// What a batch causes is let out while the next one is committed.
func (e *engine) commitAll(ctx context.Context) (failed error) {
	ctx = context.WithoutCancel(ctx) // what was decided when the end came is still committed
	type outcome struct {
		b      *batch
		failed error
	}
	outcomes, settled := make(chan outcome, 1), make(chan struct{})
	go func() {
		defer close(settled)
		for o := range outcomes {
			e.settle(ctx, o.b, o.failed)
		}
	}()
	for b := range e.commits {
		if failed == nil {
			if failed = e.commit(ctx, b); failed != nil {
				close(e.broken)
			}
		}
		outcomes <- outcome{b, failed}
	}
	close(outcomes)
	<-settled
	return failed
}

// settle lets out what a committed batch causes, and then answers those who asked for it; or, where it
// failed, tells them so.
func (e *engine) settle(ctx context.Context, b *batch, failed error) {
	if failed != nil {
		for _, f := range b.abandon {
			f(errs.New(errs.Unavailable, "the engine could not store it and starts again; repeat the call with the same key"))
		}
		return
	}
	e.committed.Store(b.id)
	for _, f := range b.release {
		f()
	}
	for _, f := range b.answers {
		f()
	}
	e.ends.tell(b.ended)
	for id := range b.touched {
		e.changes.notify(id)
		e.d.Bus.Wake(ctx, api.RunChanged(id))
	}
}

func (e *engine) commit(ctx context.Context, b *batch) error {
	if b.failed != nil {
		return b.failed
	}
	if b.empty() {
		return nil
	}
	if err := e.ledger.commit(ctx, e.lease, b); err != nil {
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
	select {
	case e.inbox <- command(f, func(v T, err error) { ch <- result{v, err} }):
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

// command makes f a command whose answer is given once its batch, with all that followed, is committed.
func command[T any](f func(*batch) (T, error), answer func(T, error)) func(*batch) {
	return func(b *batch) {
		var v T
		var err error
		if b.failed == nil {
			v, err = f(b)
		}
		if bug == "ack before commit" {
			answer(v, err)
			return
		}
		b.answers = append(b.answers, func() { answer(v, err) })
		b.abandon = append(b.abandon, func(cause error) {
			var zero T
			answer(zero, cause)
		})
	}
}

// postSoon is post of an engine that runs.
func (e *engine) postSoon(f func(*batch)) {
	go func() {
		select {
		case e.inbox <- f:
		case <-e.done:
		}
	}()
}
