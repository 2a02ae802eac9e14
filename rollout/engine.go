package rollout

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode/utf8"
)

// Engine runs the rollouts of a Store: each call loads the entity, decides, and saves what was decided
// with compare-and-swap, again from the start where somebody else was faster. So any number of
// engines and callers, in one process or many, stay within one batch. What it loaded it keeps, and loads
// again only what others changed. It may be used by any number of goroutines.
type Engine struct {
	store Store
	clock func() time.Time

	mu      sync.Mutex
	entries map[Key]*entry
	seq     uint64 // counts uses
	targets int    // of all entries
}

// entry is an entity as it was at a revision.
type entry struct {
	mu       sync.Mutex
	revision uint64
	rollout  *Rollout // nil where it is to be loaded

	// The engine's mutex guards these.
	used uint64 // when, by Engine.seq
	size int    // targets, by which Engine.targets was raised
}

// What an engine keeps in memory: beyond either it forgets what was not used for longest, and loads it again
// when it is used.
const (
	maxEntries = 10_000
	maxTargets = 5_000_000
)

// tries is how often a call starts again before it gives up. Each time somebody else succeeded.
const tries = 1000

// NewEngine returns an engine over a store, which takes the time from clock: mostly time.Now.
func NewEngine(store Store, clock func() time.Time) *Engine {
	return &Engine{store: store, clock: clock, entries: map[Key]*entry{}}
}

// ErrNotFound is what is returned about an entity that is not there.
var ErrNotFound = errors.New("there is no such entity")

// SetPolicy sets the policy of an entity, which it creates where there is none.
func (e *Engine) SetPolicy(ctx context.Context, key Key, p Policy) error {
	return e.update(ctx, key, true, func(r *Rollout, _ *Ledger, _ time.Time) error { return r.SetPolicy(p) })
}

// ChangePolicy sets the policy that change makes of the one in force, in one step, so that two callers who
// change different parts of it lose nothing. It creates the entity where there is none, from the zero Policy.
// change may be called more than once; its error is returned, and changes nothing.
func (e *Engine) ChangePolicy(ctx context.Context, key Key, change func(Policy) (Policy, error)) error {
	return e.update(ctx, key, true, func(r *Rollout, _ *Ledger, _ time.Time) error {
		p, err := change(r.Policy())
		if err != nil {
			return err
		}
		return r.SetPolicy(p)
	})
}

// SetVersion asks for a version, and creates the entity where there is none.
func (e *Engine) SetVersion(ctx context.Context, key Key, version string) error {
	return e.Do(ctx, key, Command{Verb: SetVersion, Version: version})
}

// Do carries out a command; see Rollout.Do. SetVersion, Operate and MarkGood create the entity
// where there is none; what is refused creates nothing.
func (e *Engine) Do(ctx context.Context, key Key, c Command) error {
	create := c.Verb == SetVersion || c.Verb == Operate || c.Verb == MarkGood
	return e.update(ctx, key, create, func(r *Rollout, _ *Ledger, now time.Time) error { return r.Do(now, c) })
}

// Step runs one step of an entity; see Rollout.Step. It fills in Now, Ledger and Entity.
func (e *Engine) Step(ctx context.Context, key Key, in Input) (Plan, error) {
	var plan Plan
	err := e.update(ctx, key, false, func(r *Rollout, l *Ledger, now time.Time) error {
		in.Now, in.Ledger, in.Entity = now, l, key.Entity
		plan = r.Step(in)
		return nil
	})
	return plan, err
}

// Wanted is what a target is to run.
type Wanted struct {
	Target
	Version string // "" is nothing, yet
}

// Orchestrate reports targets, runs one step, and returns what the reported targets, with
// none all targets, are to run.
func (e *Engine) Orchestrate(ctx context.Context, key Key, reports ...Report) ([]Wanted, error) {
	var wanted []Wanted
	err := e.update(ctx, key, false, func(r *Rollout, l *Ledger, now time.Time) error {
		r.Step(Input{Now: now, Reports: reports, Ledger: l, Entity: key.Entity})
		wanted = make([]Wanted, 0, max(len(reports), r.Len()))
		if len(reports) == 0 {
			for t := range r.Targets() {
				wanted = append(wanted, Wanted{t.Target, t.Wanted})
			}
		}
		for i := range reports {
			if t, ok := r.Target(reports[i].Target); ok {
				wanted = append(wanted, Wanted{t.Target, t.Wanted})
			}
		}
		return nil
	})
	return wanted, err
}

// Status returns an entity at a glance.
func (e *Engine) Status(ctx context.Context, key Key) (Status, error) {
	var s Status
	err := e.View(ctx, key, func(r *Rollout) { s = r.Status() })
	return s, err
}

// View calls look with the entity as it is stored now. look must not change it, nor keep it.
func (e *Engine) View(ctx context.Context, key Key, look func(*Rollout)) error {
	entry := e.entry(key)
	entry.mu.Lock()
	defer e.done(key, entry)
	if err := e.load(ctx, key, entry); err != nil {
		return err
	}
	if entry.rollout == nil {
		return fmt.Errorf("%s: %w", key, ErrNotFound)
	}
	look(entry.rollout)
	return nil
}

// Namespaces returns the namespaces that have entities, sorted.
func (e *Engine) Namespaces(ctx context.Context) ([]string, error) {
	keys, err := e.store.Keys(ctx, "")
	var names []string
	for _, k := range keys {
		if k.Entity != "" {
			names = append(names, k.Namespace)
		}
	}
	return slices.Compact(names), err
}

// Entities returns the entities of a namespace, sorted.
func (e *Engine) Entities(ctx context.Context, namespace string) ([]string, error) {
	keys, err := e.store.Keys(ctx, namespace)
	var names []string
	for _, k := range keys {
		if k.Entity != "" && k.Namespace == namespace {
			names = append(names, k.Entity)
		}
	}
	return names, err
}

// History returns up to limit transitions of an entity, the latest first, before the entry with the
// number before unless that is 0.
func (e *Engine) History(ctx context.Context, key Key, before uint64, limit int) ([]Entry, error) {
	return e.store.History(ctx, key, before, limit)
}

// Delete removes an entity, its history, and what it used of the budgets.
func (e *Engine) Delete(ctx context.Context, key Key) error {
	if err := e.store.Delete(ctx, key); err != nil {
		return err
	}
	e.mu.Lock()
	e.drop(key)
	e.mu.Unlock()
	return e.retry(ctx, func() error {
		l, w, err := e.ledger(ctx, key.Namespace)
		if l == nil || err != nil {
			return err
		}
		l.Drop(key.Entity)
		if w.Change.Head, err = l.MarshalBinary(); err != nil {
			return err
		}
		return e.store.Save(ctx, w)
	})
}

// update loads, calls f, and saves, until nobody else was faster. f changes nothing where it returns an
// error.
func (e *Engine) update(ctx context.Context, key Key, create bool, f func(*Rollout, *Ledger, time.Time) error) error {
	if err := checkKey(key); err != nil {
		return err
	}
	entry := e.entry(key)
	entry.mu.Lock()
	defer e.done(key, entry)
	return e.retry(ctx, func() error {
		if err := e.load(ctx, key, entry); err != nil {
			return err
		}
		l, ledger, err := e.ledger(ctx, key.Namespace)
		if err != nil {
			return err
		}
		r := entry.rollout
		if r == nil && !create {
			return fmt.Errorf("%s: %w", key, ErrNotFound)
		} else if r == nil {
			r = &Rollout{}
		}
		if err := f(r, l, e.clock()); err != nil {
			return err
		}
		entry.rollout = nil // what is in memory counts only once it is stored
		writes := []Write{{key, entry.revision, r.Changes()}}
		if l != nil {
			was := ledger.Change.Head
			if ledger.Change.Head, err = l.MarshalBinary(); err != nil {
				return err
			}
			if !bytes.Equal(was, ledger.Change.Head) {
				writes = append(writes, ledger)
			}
		}
		if err := e.store.Save(ctx, writes...); err != nil {
			return err
		}
		entry.revision++
		entry.rollout = r
		return nil
	})
}

func (e *Engine) retry(ctx context.Context, f func() error) error {
	for range tries {
		if err := f(); !errors.Is(err, ErrConflict) {
			return err
		}
		if err := ctx.Err(); err != nil {
			return err
		}
	}
	return ErrConflict
}

// entry returns the place of an entity.
func (e *Engine) entry(key Key) *entry {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.entries[key] == nil {
		e.entries[key] = &entry{}
	}
	e.seq++
	e.entries[key].used = e.seq
	return e.entries[key]
}

// done ends the use of an entry, and forgets others where there are too many.
func (e *Engine) done(key Key, done *entry) {
	size := 0
	if done.rollout != nil {
		size = done.rollout.Len()
	}
	done.mu.Unlock()
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.entries[key] != done {
		return // it was forgotten meanwhile
	}
	e.targets += size - done.size
	done.size = size
	if len(e.entries) > maxEntries || e.targets > maxTargets {
		e.forget(key)
	}
}

// forget drops what was not used for longest, a tenth more than it must, but never keep. One that is in use is
// only forgotten here: whoever uses it saves it with compare-and-swap, like any other engine.
func (e *Engine) forget(keep Key) {
	keys := slices.SortedFunc(maps.Keys(e.entries), func(a, b Key) int { return cmp.Compare(e.entries[a].used, e.entries[b].used) })
	for _, key := range keys {
		if len(e.entries) <= maxEntries*9/10 && e.targets <= maxTargets*9/10 {
			return
		}
		if key != keep {
			e.drop(key)
		}
	}
}

// drop forgets an entry. The caller holds e.mu.
func (e *Engine) drop(key Key) {
	if entry := e.entries[key]; entry != nil {
		e.targets -= entry.size
		delete(e.entries, key)
	}
}

// load brings an entry to what is stored.
func (e *Engine) load(ctx context.Context, key Key, entry *entry) error {
	since := entry.revision
	if entry.rollout == nil {
		since = 0
	}
	s, err := e.store.Load(ctx, key, since)
	if err != nil {
		return err
	}
	if s.Revision == since && since != 0 {
		return nil
	}
	entry.revision, entry.rollout = s.Revision, nil
	if len(s.Head) == 0 {
		return nil
	}
	if entry.rollout, err = Load(Change{Head: s.Head, Targets: s.Targets}); err != nil {
		return fmt.Errorf("%s: %w", key, err)
	}
	return nil
}

// checkKey refuses names that not every store can hold.
func checkKey(key Key) error {
	for _, part := range []struct{ what, name string }{{"namespace", key.Namespace}, {"entity", key.Entity}} {
		if part.name == "" {
			return refuse("", "the %s has no name", part.what)
		}
		if !utf8.ValidString(part.name) || strings.ContainsRune(part.name, 0) {
			return refuse("", "the %s's name %q is no text", part.what, part.name)
		}
	}
	return nil
}
