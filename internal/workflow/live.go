package workflow

import (
	"context"
	"encoding/json"
	"maps"
	"strings"

	"tutti/api"
	"tutti/errs"
	"tutti/internal/workflow/core"
)

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

// maxIdle is how many runs are kept by default in memory that nothing happens in.
const maxIdle = 2000

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
	s, err := e.ledger.find(ctx, namespace, id)
	if err != nil {
		return nil, readable(err)
	}
	run, err := e.load(ctx, s)
	if errs.Is(err, errs.Unavailable) {
		return nil, err
	}
	if err != nil {
		e.quarantine(id, err)
		return nil, errs.New(errs.Internal, "run %s cannot be loaded: %w", id, err)
	}
	run.Scratch = &e.scratch
	l := &live{run: run, n: s.n}
	l.projected = project(run)
	e.runs[id] = l
	return l, nil
}

// need is get for what follows from a command, which nobody will ask for again: where the store cannot
// be read, the whole batch fails, and the engine after this one starts from what is stored. It returns
// nil for a run that cannot be carried on.
func (e *engine) need(b *batch, id api.RunID) *live {
	if b.failed != nil {
		return nil
	}
	l, err := e.get("", id)
	switch {
	case err == nil:
		return l
	case errs.Is(err, errs.Unavailable):
		b.failed = err
	default:
		e.d.Log.Error("a run cannot be told what follows for it", "run", id, "err", err)
	}
	return nil
}

// quarantine puts a run aside that cannot be carried on, so that it stops nothing else.
func (e *engine) quarantine(id api.RunID, cause error) {
	e.d.Log.Error("run quarantined", "run", id, "err", cause)
	delete(e.runs, id)
	delete(e.armed, id)
	e.poisoned[id] = cause
	go func() {
		if err := e.ledger.poison(context.Background(), id, cause); err != nil { // background: it must be noted whoever asked
			e.d.Log.Error("quarantine not stored", "run", id, "err", err)
		}
	}()
}

// touch keeps l in memory until the batch is committed.
func (e *engine) touch(b *batch, l *live) {
	l.batch = b.id
	b.touched[l.run.ID] = l
}

// evict puts runs aside that nothing happens in; they are loaded again when something does.
func (e *engine) evict() {
	done := e.committed.Load()
	if len(e.onceNew) > e.idle {
		maps.DeleteFunc(e.onceNew, func(_ limitKey, o onceDone) bool { return o.batch <= done })
	}
	if len(e.runs) <= e.evictAt {
		return
	}
	for id, l := range e.runs {
		if l.batch <= done && !l.run.Busy() {
			delete(e.runs, id)
		}
	}
	e.evictAt = 2 * max(e.idle, len(e.runs))
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
	} else {
		p.wake = r.NextTimer()
	}
	return p
}

// project updates the row of a run where it says something else than before, and arms its timer.
func (e *engine) project(b *batch, l *live) {
	p := project(l.run)
	next := l.run.NextTimer()
	if next != 0 {
		e.arm(l.run.ID, next)
	} else {
		delete(e.armed, l.run.ID)
	}
	if p == l.projected {
		return
	}
	before := l.projected
	l.projected = p
	if before.state != p.state || before.reason != p.reason {
		e.moved(b, l, before.state)
	}
	if l.created == b.id {
		b.created[l.row].projection = p
		return
	}
	b.changed[l] = p
}

// load makes a run out of its journal. An error that is not errs.Unavailable lies in what is stored.
func (e *engine) load(ctx context.Context, s stored) (*core.Run, error) {
	g, err := e.graphs.byDigest(ctx, e.ledger, s.digest)
	if err != nil {
		return nil, err
	}
	run := core.New(g, e.graphs.inline)
	var broken error
	err = e.ledger.journal(ctx, s.n, 0, func(_, at int64, events []core.Event) error {
		broken = run.Replay(at, events)
		return broken
	})
	if broken != nil {
		return nil, broken
	}
	return run, readable(err)
}
