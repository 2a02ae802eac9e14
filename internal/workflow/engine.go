package workflow

import (
	"bytes"
	"container/heap"
	"context"
	"encoding/json"
	"fmt"
	"runtime/debug"
	"strings"
	"sync/atomic"
	"time"

	"tutti/api"
	"tutti/bus"
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
	evictAt  int
	batches  int64
}

// live is a run in memory.
type live struct {
	run       *core.Run
	n         int64
	projected projection
	batch     int64 // the last that holds something of it
	row       int   // of batch.created, while created is that batch's number
	created   int64
}

// projection is what the store's row says of a run beside what never changes.
type projection struct {
	state   api.State
	flags   string
	reason  string
	failure string
	ended   int64
	busy    int
	wake    int64
}

type madeKey struct {
	run  api.RunID
	body string
}

// batch is what is committed together, and what happens then.
type batch struct {
	id          int64
	definitions map[string]string
	created     []createdRow
	journal     []journalRow
	keys        []keyRow
	changed     map[*live]projection
	approvals   []approvalRow
	acts        []store.ActBy
	records     []bus.Record
	touched     map[api.RunID]*live
	release     []func() // after the commit
	abandon     []func(error)
}

func (e *engine) newBatch() *batch {
	e.batches++
	return &batch{id: e.batches, changed: map[*live]projection{}, touched: map[api.RunID]*live{}}
}

// maxBatch bounds the commands of one commit, so that none waits long for its answer.
const maxBatch = 4000

// maxIdle bounds the runs kept in memory that nothing happens in.
const maxIdle = 2000

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

// get returns a run, from memory or from the store; namespace "" finds it in any.
func (e *engine) get(namespace string, id api.RunID) (*live, error) {
	if err := e.poisoned[id]; err != nil {
		return nil, errs.New(errs.Internal, "run %s is quarantined: %w", id, err)
	}
	if l := e.runs[id]; l != nil {
		if namespace != "" && namespace != "*" && l.run.Namespace != namespace {
			return nil, errs.New(errs.NotFound, "no run %q", id)
		}
		return l, nil
	}
	ctx := context.Background() // background: the loop waits for its own store only
	if namespace == "*" {
		namespace = ""
	}
	s, err := find(ctx, e.d.DB, namespace, id)
	if err != nil {
		return nil, err
	}
	run, err := loadRun(ctx, e.d.DB, e.graphs, s)
	if err != nil {
		e.quarantine(id, err)
		return nil, errs.New(errs.Internal, "run %s cannot be loaded: %w", id, err)
	}
	l := &live{run: run, n: s.n}
	l.projected = project(run)
	e.runs[id] = l
	return l, nil
}

// quarantine puts a run aside that cannot be carried on, so that it stops nothing else.
func (e *engine) quarantine(id api.RunID, cause error) {
	e.d.Log.Error("run quarantined", "run", id, "err", cause)
	delete(e.runs, id)
	delete(e.armed, id)
	e.poisoned[id] = cause
	go func() {
		if err := poison(context.Background(), e.d.DB, id, cause); err != nil { // background: it must be noted whoever asked
			e.d.Log.Error("quarantine not stored", "run", id, "err", err)
		}
	}()
}

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
	now := time.Now().UnixMicro()
	events, effects, err := f(now)
	if err != nil || len(events) == 0 {
		return err
	}
	if events[0].By == "" {
		events[0].By = by
	}
	raw, err := encode(events)
	if err != nil {
		panic(err) // events hold what came from JSON
	}
	b.journal = append(b.journal, journalRow{l.n, l.run.Seq, now, raw})
	e.touch(b, l)
	e.follow(b, l, events)
	e.effect(b, l, effects)
	e.project(b, l)
	return nil
}

func encode(events []core.Event) ([]byte, error) {
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(events); err != nil {
		return nil, err
	}
	return bytes.TrimRight(buf.Bytes(), "\n"), nil
}

// touch keeps l in memory until the batch is committed.
func (e *engine) touch(b *batch, l *live) {
	l.batch = b.id
	b.touched[l.run.ID] = l
}

// evict puts runs aside that nothing happens in; they are loaded again when something does.
func (e *engine) evict() {
	if len(e.runs) <= e.evictAt {
		return
	}
	done := e.committed.Load()
	for id, l := range e.runs {
		if l.batch <= done && !l.run.Busy() {
			delete(e.runs, id)
		}
	}
	e.evictAt = max(2*maxIdle, 2*len(e.runs))
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
	if len(ef.Dispatch) > 0 {
		b.release = append(b.release, func() { e.pools.add(&run.Meta, ef.Dispatch, nil) })
	}
	if len(ef.CancelAttempts) > 0 {
		b.release = append(b.release, func() { e.cancelAttempts(run.ID, ef.CancelAttempts) })
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
	if ef.Ended {
		e.ended(b, l)
	}
}

// child applies a command to a sub-run; where that is refused, its parent hears how it stands.
func (e *engine) child(b *batch, id api.RunID, f func(*core.Run, int64) ([]core.Event, core.Effects, error)) {
	c, err := e.get("", id)
	if err != nil {
		e.d.Log.Error("sub-run", "run", id, "err", err)
		return
	}
	err = e.step(b, c, "", func(now int64) ([]core.Event, core.Effects, error) { return f(c.run, now) })
	if errs.Is(err, errs.Conflict) && c.run.State.Ended() {
		e.tellParent(c)
	}
}

// ended publishes the end of a run and tells the run that called it.
func (e *engine) ended(b *batch, l *live) {
	v := l.run.View()
	data, err := json.Marshal(v)
	if err != nil || len(data) > store.MaxEvent {
		v.Outputs, v.Inputs = nil, nil // whoever needs them asks for the run
		data, _ = json.Marshal(v)      // without values it is small and plain
	}
	b.records = append(b.records, bus.Record{Type: api.RunFinished.Type(), Subject: string(v.ID), Namespace: v.Namespace, Trace: v.Trace, Data: data})
	e.tellParent(l)
}

func (e *engine) tellParent(l *live) {
	p := l.run.Parent
	if p == nil {
		return
	}
	v := l.run.View()
	e.later = append(e.later, func(b *batch) {
		parent, err := e.get("", p.Run)
		if err != nil {
			e.d.Log.Error("parent run", "run", p.Run, "err", err)
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
		if !e.pools.cancel(id, ref) {
			queued = append(queued, ref)
		}
	}
	if len(queued) == 0 {
		return
	}
	e.post(func(b *batch) {
		l, err := e.get("", id)
		if err != nil {
			return
		}
		for _, ref := range queued {
			_ = e.step(b, l, "", func(now int64) ([]core.Event, core.Effects, error) { // over already: so much the better
				return l.run.Report(now, ref, "", "", api.Result{Outcome: api.Interrupted})
			})
		}
	})
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

func project(r *core.Run) projection {
	p := projection{state: r.State, ended: 0}
	flags := make([]string, len(r.Flags))
	for i, f := range r.Flags {
		flags[i] = string(f)
	}
	p.flags = strings.Join(flags, " ")
	if r.Reason != nil {
		j, _ := json.Marshal(r.Reason) // plain strings
		p.reason = string(j)
	}
	if r.State.Ended() {
		p.ended = r.EndedAt
		if r.Failure != nil {
			j, _ := json.Marshal(r.Failure) // came from JSON or plain strings
			p.failure = string(j)
		}
	} else if r.Busy() {
		p.busy = 1
	}
	return p
}

// project updates the row of a run where it says something else than before, and arms its timer.
func (e *engine) project(b *batch, l *live) {
	p := project(l.run)
	next := l.run.NextTimer()
	if p.busy == 0 && !l.run.State.Ended() {
		p.wake = next
	}
	if next != 0 {
		e.arm(l.run.ID, next)
	} else {
		delete(e.armed, l.run.ID)
	}
	if p == l.projected {
		return
	}
	l.projected = p
	if l.created == b.id {
		b.created[l.row].projection = p
		return
	}
	b.changed[l] = p
}

// arm makes a time the next at which the timers of a run are looked at.
func (e *engine) arm(id api.RunID, at int64) {
	if e.armed[id] == at {
		return
	}
	e.armed[id] = at
	heap.Push(&e.timers, due{id, at})
}

// fireDue handles the timers that are due and reports whether there were any.
func (e *engine) fireDue(b *batch) bool {
	now := time.Now().UnixMicro()
	fired := false
	for len(e.timers) > 0 && e.timers[0].at <= now {
		t := heap.Pop(&e.timers).(due)
		if e.armed[t.id] != t.at {
			continue
		}
		delete(e.armed, t.id)
		l, err := e.get("", t.id)
		if err != nil {
			e.d.Log.Error("timer", "run", t.id, "err", err)
			continue
		}
		fired = true
		e.do(b, func(b *batch) {
			if err := e.step(b, l, "", l.run.Fire); err != nil {
				e.d.Log.Error("timer", "run", t.id, "err", err)
			}
			e.project(b, l)
		})
	}
	return fired
}

func (e *engine) nextTimer() int64 {
	for len(e.timers) > 0 {
		if t := e.timers[0]; e.armed[t.id] == t.at {
			return t.at
		}
		heap.Pop(&e.timers)
	}
	return 0
}

type timerHeap []due

func (h timerHeap) Len() int           { return len(h) }
func (h timerHeap) Less(i, j int) bool { return h[i].at < h[j].at }
func (h timerHeap) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }

// Push adds a timer.
func (h *timerHeap) Push(x any) { *h = append(*h, x.(due)) }

// Pop removes the last timer.
func (h *timerHeap) Pop() any {
	old := *h
	t := old[len(old)-1]
	*h = old[:len(old)-1]
	return t
}

// loadRun makes a run out of its journal.
func loadRun(ctx context.Context, db *store.DB, gs *graphs, s stored) (*core.Run, error) {
	g, err := gs.byDigest(ctx, db, s.digest)
	if err != nil {
		return nil, err
	}
	run := core.New(g, gs.inline)
	err = readJournal(ctx, db, s.n, 0, func(_, at int64, events []core.Event) error { return run.Replay(at, events) })
	return run, err
}
