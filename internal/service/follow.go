package service

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"runtime/debug"
	"slices"

	"tutti/api"
	"tutti/bus"
	"tutti/errs"
	"tutti/internal/store"
)

// Files is a file system of migrations; nil is none.
type Files = fs.FS

// Page is a part of a service's events.
type Page struct {
	Records []bus.Record
	// More says that the service had others after the last.
	More bool
}

// ReadEvents asks a service for its events after a position.
type ReadEvents struct {
	After int64
	Limit int
}

// Events is the method by which the events of a service are read.
func Events(service string) bus.Method[ReadEvents, Page] {
	return bus.Method[ReadEvents, Page]{Name: "outbox." + service, Perm: bus.System, Direct: true, Doc: "Read committed events."}
}

// WakeSubject is where a service announces that it committed events.
func WakeSubject(service string) string { return "wake." + service }

// Serve answers for the events and the audit trail of the service until ctx ends, and wakes its
// followers after each commit. app calls it for every service.
func Serve(ctx context.Context, d Deps) error {
	d.DB.OnCommit(func() { d.Bus.Wake(ctx, WakeSubject(d.Name)) })
	return errors.Join(
		Events(d.Name).Handle(ctx, d.Bus, func(ctx context.Context, in ReadEvents) (Page, error) {
			limit := min(max(in.Limit, 1), 1000)
			rs, err := d.DB.Events(ctx, in.After, limit)
			n := fitting(rs)
			return Page{Records: rs[:n], More: n < len(rs) || n == limit}, err
		}),
		FindEvents(d.Name).Handle(ctx, d.Bus, func(ctx context.Context, in ReadTrail) (Trail[api.FoundEvent], error) {
			return findEvents(ctx, d.Name, d.DB, in)
		}),
		FindActs(d.Name).Handle(ctx, d.Bus, func(ctx context.Context, in ReadTrail) (Trail[store.AuditRow], error) {
			return findActs(ctx, d.Name, d.DB, in)
		}),
	)
}

// maxPage bounds the data of a page of events, in bytes: with one more event it still fits into a
// message of the bus.
const maxPage = 2 << 20

// fitting returns how many of the records make a page: at least one, if there is one.
func fitting(rs []bus.Record) int {
	size := 0
	for i, r := range rs {
		if size += len(r.Data); size > maxPage {
			return max(i, 1)
		}
	}
	return len(rs)
}

// Reaction is what a follower does at events of one type.
type Reaction struct {
	service  string
	typ      string
	do       func(context.Context, *store.Tx, bus.Record) error
	concerns func(context.Context, []bus.Record) ([]bus.Record, error) // nil: all do
}

// Where leaves the reaction out for events that concern the service in nothing, before they cost it a
// transaction: keep gets the events of the reaction's type of a page and returns, in order, those that
// are to be reacted to. It may read the service's own database; an error repeats the page.
func (r Reaction) Where(keep func(ctx context.Context, rs []bus.Record) ([]bus.Record, error)) Reaction {
	r.concerns = keep
	return r
}

// On makes h the reaction to e. h runs in a transaction of the follower's database that also moves
// its cursor: what it writes there happens exactly once. It must have no other effects; calls to
// others are intents (store.Tx.Intend).
func On[T any](e bus.Event[T], h func(ctx context.Context, tx *store.Tx, r bus.Record, v T) error) Reaction {
	return Reaction{service: e.Service(), typ: e.Type(), do: func(ctx context.Context, tx *store.Tx, r bus.Record) error {
		var v T
		if err := json.Unmarshal(r.Data, &v); err != nil {
			return errs.New(errs.Invalid, "event %s %d: %w", r.Type, r.Pos, err)
		}
		return h(ctx, tx, r, v)
	}}
}

// maxTries is how often a follower tries to digest an event before it quarantines it.
const maxTries = 8

// Follow reads the events of one other service, in order, and applies the reactions, until ctx ends.
// All reactions are to events of the same service. An event that cannot be digested is quarantined
// and logged; it stops nothing. Several replicas of a service may follow at once.
func Follow(ctx context.Context, d Deps, reactions ...Reaction) error {
	f := follower{Deps: d, by: map[string]Reaction{}}
	for i, r := range reactions {
		if i > 0 && r.service != f.source {
			return errs.New(errs.Internal, "%s follows %s and %s in one call", d.Name, f.source, r.service)
		}
		f.source, f.by[r.typ] = r.service, r
	}
	wake := make(chan struct{}, 1)
	if err := d.Bus.OnWake(ctx, WakeSubject(f.source), func() { signal(wake) }); err != nil {
		return err
	}
	ctx = bus.AsService(ctx, d.Name)
	for failed := 0; ctx.Err() == nil; {
		more, err := f.digest(ctx)
		switch {
		case err != nil:
			failed++
			wait(ctx, nil, backoff(min(failed, 4))) // at most 1.6 s: the source may be back any time
		case more:
			failed = 0
		default:
			failed = 0
			if !woken(ctx, wake, idle) {
				f.note(ctx)
			}
		}
	}
	return nil
}

// follower is one call of Follow.
type follower struct {
	Deps
	source string
	by     map[string]Reaction
	// at is how far it has come, where known; stored is what the cursor in the store says of that. They
	// differ by events that concerned the service in nothing.
	at, stored int64
	known      bool
	// stuck is the event that failed last, and tries how often.
	stuck int64
	tries int
}

// maxAhead bounds the events that are looked at again after a restart, though they concern nobody.
const maxAhead = 5000

// digest handles one page of events and reports whether there is another.
func (f *follower) digest(ctx context.Context) (more bool, err error) {
	if !f.known {
		if f.at, err = f.DB.Cursor(ctx, f.source); err != nil {
			return false, f.complain(ctx, err)
		}
		f.stored = f.at
	}
	f.known = false // until all of the page is done
	page, err := Events(f.source).Call(ctx, f.Bus, ReadEvents{After: f.at, Limit: 200})
	if err != nil {
		return false, f.complain(ctx, err)
	}
	if len(page.Records) == 0 {
		f.known = true
		return page.More, nil
	}
	rs, err := f.concerning(ctx, page.Records)
	if err != nil {
		return false, f.complain(ctx, err)
	}
	last := page.Records[len(page.Records)-1].Pos
	whole, mine := f.whole(ctx, rs, last)
	for _, r := range rs {
		if whole {
			break
		}
		mine, err = f.react(bus.WithTrace(ctx, r.Trace), f.by[r.Type], r)
		if err != nil {
			return false, f.complain(ctx, fmt.Errorf("event %s %d: %w", r.Type, r.Pos, err))
		}
		if !mine {
			break
		}
		f.stored = r.Pos
	}
	if len(rs) > 0 && !mine { // another replica is ahead: see how far
		return true, nil
	}
	if whole {
		f.stored = last
	}
	if f.at, f.known = last, true; f.at-f.stored >= maxAhead {
		f.note(ctx)
	}
	return page.More, nil
}

// concerning returns those of a page that there is something to do about.
func (f *follower) concerning(ctx context.Context, page []bus.Record) (out []bus.Record, err error) {
	of := map[string][]bus.Record{}
	for _, r := range page {
		if _, ok := f.by[r.Type]; ok {
			of[r.Type] = append(of[r.Type], r)
		}
	}
	for typ, rs := range of {
		if keep := f.by[typ].concerns; keep != nil {
			if err := contained(func() error { rs, err = keep(ctx, rs); return err }); err != nil {
				return nil, err
			}
		}
		out = append(out, rs...)
	}
	slices.SortFunc(out, func(a, b bus.Record) int { return cmp.Compare(a.Pos, b.Pos) })
	return out, nil
}

// note stores how far the follower has come over events that concern nobody here. That costs a commit
// and may be late: events between would only be looked at again.
func (f *follower) note(ctx context.Context) {
	if !f.known || f.at == f.stored || ctx.Err() != nil {
		return
	}
	at := f.at
	err := f.DB.Tx(ctx, func(tx *store.Tx) error {
		_, err := tx.Advance(f.source, at) // false: another replica is ahead, the better
		return err
	})
	if err == nil {
		f.stored = at
	}
	_ = f.complain(ctx, err)
}

// whole digests a page in one transaction, since one commit for many events is what lets a follower
// keep up with a service that is busy; rs are those that concern it, up to last. It reports false where
// that cannot be: then each event is digested alone, so that one with a fault is found. mine is false
// where another replica is ahead.
func (f *follower) whole(ctx context.Context, rs []bus.Record, last int64) (ok, mine bool) {
	if len(rs) < 2 || f.tries > 0 && f.stuck >= rs[0].Pos {
		return false, true
	}
	at := int64(0)
	err := f.DB.Tx(ctx, func(tx *store.Tx) (err error) {
		// The cursor first, see react. It was before the first event, so all of them are ours.
		if mine, err = tx.Advance(f.source, rs[0].Pos); err != nil || !mine {
			return err
		}
		for _, r := range rs {
			at = r.Pos
			ctx := bus.WithTrace(ctx, r.Trace)
			if err := tx.Under(ctx, func(tx *store.Tx) error { return contained(func() error { return f.by[r.Type].do(ctx, tx, r) }) }); err != nil {
				return err
			}
		}
		_, err = tx.Advance(f.source, last)
		return err
	})
	if err != nil && !errs.Is(err, errs.Unavailable) {
		f.stuck, f.tries = at, 1 // a try as any other
	}
	return err == nil, mine
}

// complain logs an error that is more than the source, or the own database, being away for a moment.
func (f *follower) complain(ctx context.Context, err error) error {
	if err != nil && ctx.Err() == nil && !errs.Is(err, errs.Unavailable) {
		f.Log.Warn("event not digested yet", "source", f.source, "tries", f.tries, "err", err)
	}
	return err
}

// react applies a reaction and moves the cursor, in one transaction; mine is false where another
// replica did. An event that failed maxTries times, by its own fault, goes to the quarantine instead.
func (f *follower) react(ctx context.Context, re Reaction, r bus.Record) (mine bool, err error) {
	err = f.DB.Tx(ctx, func(tx *store.Tx) (err error) {
		// The cursor first: a second replica waits here, before it has done anything.
		if mine, err = tx.Advance(f.source, r.Pos); err != nil || !mine {
			return err
		}
		return contained(func() error { return re.do(ctx, tx, r) })
	})
	if err == nil || errs.Is(err, errs.Unavailable) {
		return mine, err
	}
	if f.stuck != r.Pos {
		f.stuck, f.tries = r.Pos, 0
	}
	if f.tries++; f.tries < maxTries {
		return false, err
	}
	cause := err
	err = f.DB.Tx(ctx, func(tx *store.Tx) (err error) {
		if mine, err = tx.Advance(f.source, r.Pos); err != nil || !mine {
			return err
		}
		return tx.Quarantine(f.source, r, cause)
	})
	if err == nil && mine {
		f.Log.Error("event quarantined", "source", f.source, "pos", r.Pos, "type", r.Type, "err", cause)
	}
	return mine, err
}

// contained runs f and turns a panic into an error, so that one bad row cannot end the process.
func contained(f func() error) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = errs.New(errs.Internal, "panic: %v\n%s", r, debug.Stack())
		}
	}()
	return f()
}
