package service

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"time"

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

// ReadActs asks a service for its audit trail, newest first.
type ReadActs struct {
	Namespace string
	Before    int64
	Limit     int
}

// Events is the method by which the events of a service are read.
func Events(service string) bus.Method[ReadEvents, Page] {
	return bus.Method[ReadEvents, Page]{Name: "outbox." + service, Perm: bus.System, Doc: "Read committed events."}
}

// Acts is the method by which the audit trail of a service is read.
func Acts(service string) bus.Method[ReadActs, []store.AuditRow] {
	return bus.Method[ReadActs, []store.AuditRow]{Name: "audit." + service, Perm: bus.System, Doc: "Read the audit trail."}
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
			return Page{Records: rs, More: len(rs) == limit}, err
		}),
		Acts(d.Name).Handle(ctx, d.Bus, func(ctx context.Context, in ReadActs) ([]store.AuditRow, error) {
			return d.DB.Acts(ctx, in.Namespace, in.Before, min(max(in.Limit, 1), 1000))
		}),
	)
}

// Reaction is what a follower does at events of one type.
type Reaction struct {
	service string
	typ     string
	do      func(context.Context, *store.Tx, bus.Record) error
}

// On makes h the reaction to e. h runs in a transaction of the follower's database that also moves
// its cursor: what it writes there happens exactly once. It must have no other effects; calls to
// others are intents (store.Tx.Intend).
func On[T any](e bus.Event[T], h func(ctx context.Context, tx *store.Tx, r bus.Record, v T) error) Reaction {
	return Reaction{e.Service(), e.Type(), func(ctx context.Context, tx *store.Tx, r bus.Record) error {
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
// and logged; it stops nothing.
func Follow(ctx context.Context, d Deps, reactions ...Reaction) error {
	source := reactions[0].service
	by := map[string]Reaction{}
	for _, r := range reactions {
		if r.service != source {
			return errs.New(errs.Internal, "%s follows %s and %s in one call", d.Name, source, r.service)
		}
		by[r.typ] = r
	}
	wake := make(chan struct{}, 1)
	if err := d.Bus.OnWake(ctx, WakeSubject(source), func() { signal(wake) }); err != nil {
		return err
	}
	ctx = bus.AsService(ctx, d.Name)
	for tries := 0; ctx.Err() == nil; {
		more, err := d.digest(ctx, source, by, tries >= maxTries)
		switch {
		case err != nil && ctx.Err() == nil:
			if !errs.Is(err, errs.Unavailable) {
				tries++
				d.Log.Warn("event not digested yet", "source", source, "tries", tries, "err", err)
			}
			wait(ctx, nil, backoff(tries))
		case more:
			tries = 0
		default:
			tries = 0
			wait(ctx, wake, idle)
		}
	}
	return nil
}

// digest handles one page of events; giveUp quarantines the first that fails.
func (d Deps) digest(ctx context.Context, source string, by map[string]Reaction, giveUp bool) (more bool, err error) {
	after, err := d.DB.Cursor(ctx, source)
	if err != nil {
		return false, err
	}
	page, err := Events(source).Call(ctx, d.Bus, ReadEvents{After: after, Limit: 200})
	if err != nil {
		return false, err
	}
	last := after
	for _, r := range page.Records {
		re, ok := by[r.Type]
		if !ok {
			last = r.Pos
			continue
		}
		ctx := bus.WithTrace(ctx, r.Trace)
		err := d.DB.Tx(ctx, func(tx *store.Tx) error {
			if err := re.do(ctx, tx, r); err != nil {
				return err
			}
			return tx.Advance(source, r.Pos)
		})
		if err != nil && giveUp {
			d.Log.Error("event quarantined", "source", source, "pos", r.Pos, "type", r.Type, "err", err)
			cause := err
			giveUp = false
			err = d.DB.Tx(ctx, func(tx *store.Tx) error {
				if err := tx.Quarantine(source, r, cause); err != nil {
					return err
				}
				return tx.Advance(source, r.Pos)
			})
		}
		if err != nil {
			return false, fmt.Errorf("event %s %d of %s: %w", r.Type, r.Pos, source, err)
		}
		last = r.Pos
	}
	if last > after {
		if err := d.DB.Tx(ctx, func(tx *store.Tx) error { return tx.Advance(source, last) }); err != nil {
			return false, err
		}
	}
	return page.More, nil
}

// Fulfilment is what a service does with the answer to an intent it stored.
type Fulfilment struct {
	method string
	then   func(ctx context.Context, tx *store.Tx, i store.Intent, answer []byte, err error) error
}

// Then makes h what happens once an intent to call m was answered. err is the final refusal of the
// callee, if any; calls that were not answered are repeated instead. h runs in the transaction that
// removes the intent.
func Then[In, Out any](m bus.Method[In, Out], h func(ctx context.Context, tx *store.Tx, key string, in In, out Out, err error) error) Fulfilment {
	return Fulfilment{m.Name, func(ctx context.Context, tx *store.Tx, i store.Intent, answer []byte, refused error) error {
		var in In
		var out Out
		if err := json.Unmarshal(i.In, &in); err != nil {
			return err
		}
		if refused == nil {
			if err := json.Unmarshal(answer, &out); err != nil {
				return err
			}
		}
		return h(ctx, tx, i.Key, in, out, refused)
	}}
}

// Relay gets the stored intents of the service answered, until ctx ends: each call is repeated, with
// back-off, until the callee accepts or finally refuses it. Callees are idempotent by the key in
// their input.
func Relay(ctx context.Context, d Deps, fs ...Fulfilment) error {
	by := map[string]Fulfilment{}
	for _, f := range fs {
		by[f.method] = f
	}
	wake := make(chan struct{}, 1)
	d.DB.OnCommit(func() { signal(wake) })
	ctx = bus.AsService(ctx, d.Name)
	for ctx.Err() == nil {
		n, err := d.relay(ctx, by)
		if err != nil && ctx.Err() == nil {
			d.Log.Error("intents", "err", err)
		}
		if n == 0 || err != nil {
			wait(ctx, wake, idle/4)
		}
	}
	return nil
}

// relay tries the intents that are due once and returns how many were answered.
func (d Deps) relay(ctx context.Context, by map[string]Fulfilment) (answered int, err error) {
	due, err := d.DB.Intents(ctx, time.Now(), 100)
	if err != nil {
		return 0, err
	}
	for _, i := range due {
		ctx := bus.WithTrace(ctx, i.Trace)
		answer, err := d.Bus.Raw(ctx, i.Method, i.In)
		if err != nil && !final(err) {
			if i.Tries%10 == 9 {
				d.Log.Warn("still not answered", "method", i.Method, "key", i.Key, "tries", i.Tries, "err", err)
			}
			err = d.DB.Tx(ctx, func(tx *store.Tx) error { return tx.Postpone(i.Key, time.Now().Add(backoff(i.Tries)), err) })
			if err != nil {
				return answered, err
			}
			continue
		}
		refused := err
		err = d.DB.Tx(ctx, func(tx *store.Tx) error {
			if f, ok := by[i.Method]; ok {
				if err := f.then(ctx, tx, i, answer, refused); err != nil {
					return fmt.Errorf("answer of %s: %w", i.Method, err)
				}
			}
			return tx.Fulfilled(i.Key)
		})
		if err != nil {
			return answered, err
		}
		answered++
	}
	return answered, nil
}

// final reports whether a callee said no, as opposed to not having been able to answer.
func final(err error) bool {
	switch errs.KindOf(err) {
	case errs.Invalid, errs.Denied, errs.NotFound, errs.Conflict, errs.TooLarge, errs.Unauthenticated:
		return true
	}
	return false
}
