package service

import (
	"context"
	"encoding/json"
	"fmt"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"tutti/bus"
	"tutti/errs"
	"tutti/internal/store"
)

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

// callTimeout bounds one call of a stored intent; an unanswered one is repeated.
const callTimeout = 30 * time.Second

// Relay gets the stored intents of the service answered, until ctx ends: each call is repeated, with
// back-off, until the callee accepts or finally refuses it. Callees are idempotent by the key in
// their input. Intents for one method are called in the order they are due; a callee that hangs
// holds up only its own method.
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
		switch {
		case err != nil:
			wait(ctx, wake, idle/4)
		case n == 0:
			wait(ctx, wake, d.untilDue(ctx))
		}
	}
	return nil
}

// untilDue returns how long a relay may wait that found nothing to do. What this process stores wakes it;
// what a replica stored that has died is found within idle.
func (d Deps) untilDue(ctx context.Context) time.Duration {
	next, err := d.DB.NextIntent(ctx)
	if err != nil {
		return idle / 4
	}
	if next.IsZero() {
		return idle
	}
	return min(max(time.Until(next), idle/20), idle)
}

// relay tries the intents that are due once and returns how many were answered.
func (d Deps) relay(ctx context.Context, by map[string]Fulfilment) (int, error) {
	due, err := d.DB.Intents(ctx, time.Now(), 100)
	if err != nil {
		return 0, err
	}
	lanes := map[string][]store.Intent{}
	for _, i := range due {
		lanes[i.Method] = append(lanes[i.Method], i)
	}
	var answered atomic.Int64
	g, ctx := errgroup.WithContext(ctx)
	for _, lane := range lanes {
		g.Go(func() error {
			for _, i := range lane {
				ok, err := d.fulfil(bus.WithTrace(ctx, i.Trace), by, i)
				if err != nil {
					return err
				}
				if ok {
					answered.Add(1)
				}
			}
			return nil
		})
	}
	err = g.Wait()
	return int(answered.Load()), err
}

// fulfil makes the call of one intent and writes down what came of it.
func (d Deps) fulfil(ctx context.Context, by map[string]Fulfilment, i store.Intent) (answered bool, err error) {
	call, cancel := context.WithTimeout(ctx, callTimeout)
	answer, err := d.Bus.Raw(call, i.Method, i.In)
	cancel()
	if err == nil || final(err) {
		refused := err
		if err = d.DB.Tx(ctx, func(tx *store.Tx) error {
			mine, err := tx.Fulfilled(i.Key)
			f, ok := by[i.Method]
			if err != nil || !mine || !ok {
				return err
			}
			return contained(func() error { return f.then(ctx, tx, i, answer, refused) })
		}); err == nil {
			return true, nil
		}
		err = fmt.Errorf("answer of %s: %w", i.Method, err)
	}
	if ctx.Err() != nil {
		return false, nil
	}
	if i.Tries%10 == 9 || !errs.Is(err, errs.Unavailable) && !errs.Is(err, errs.Limited) {
		d.Log.Warn("still not answered", "method", i.Method, "key", i.Key, "tries", i.Tries, "err", err)
	}
	later := time.Now().Add(backoff(i.Tries))
	return false, d.DB.Tx(ctx, func(tx *store.Tx) error { return tx.Postpone(i.Key, later, err) })
}

// final reports whether a callee said no, as opposed to not having been able to answer.
func final(err error) bool {
	switch errs.KindOf(err) {
	case errs.Invalid, errs.Denied, errs.NotFound, errs.Conflict, errs.TooLarge, errs.Unauthenticated:
		return true
	}
	return false
}
