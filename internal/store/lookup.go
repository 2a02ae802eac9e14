package store

import (
	"context"
	"maps"
	"runtime"
	"slices"
	"strings"
	"sync"

	"tutti/errs"
)

// Lookup gathers what many callers look up at the same time into few queries, so that a flood of small
// calls does not cost a query each. An answer comes from a query that began after the call, so it is as
// fresh as that of a query of one's own; a caller that is alone waits for nobody.
type Lookup[K comparable, V any] struct {
	// Find answers for several different keys; what it leaves out has the zero V.
	Find func(ctx context.Context, keys []K) (map[K]V, error)

	mu   sync.Mutex
	busy bool         // a query is under way
	next *round[K, V] // asked for meanwhile
}

// round is what one query answers.
type round[K comparable, V any] struct {
	keys  map[K]bool
	found map[K]V
	err   error
	done  chan struct{}
}

// Get returns what Find finds for k. The error is that of the query, or errs.Unavailable where ctx ends
// before it is answered.
func (l *Lookup[K, V]) Get(ctx context.Context, k K) (v V, err error) {
	l.mu.Lock()
	r := l.next
	if r == nil {
		r = &round[K, V]{keys: map[K]bool{}, done: make(chan struct{})}
		l.next = r
	}
	r.keys[k] = true
	alone := !l.busy
	l.busy = true
	l.mu.Unlock()
	if alone {
		runtime.Gosched() // those who are about to ask too go along
		l.answer(ctx)
	}
	select {
	case <-r.done:
		return r.found[k], r.err
	case <-ctx.Done():
		return v, errs.New(errs.Unavailable, "gave up waiting for the store: %w", ctx.Err())
	}
}

// answer makes the query for those who have asked so far, and sees to it that somebody makes the next.
func (l *Lookup[K, V]) answer(ctx context.Context) {
	l.mu.Lock()
	r := l.next
	l.next = nil
	l.mu.Unlock()
	ctx = context.WithoutCancel(ctx) // others wait for it too
	defer func() {
		close(r.done)
		l.mu.Lock()
		l.busy = l.next != nil
		more := l.busy
		l.mu.Unlock()
		if more {
			go l.answer(ctx)
		}
	}()
	r.err = errs.New(errs.Internal, "the query did not end") // only where it panics
	r.found, r.err = l.Find(ctx, slices.Collect(maps.Keys(r.keys)))
}

// amongAtOnce is how many keys one statement of Among takes.
const amongAtOnce = 100

// Among returns which of keys q finds, a SELECT of one text column that ends with "IN": what follows is added.
func (db *DB) Among(ctx context.Context, q string, keys []string) (found map[string]bool, err error) {
	found = map[string]bool{}
	for part := range slices.Chunk(keys, amongAtOnce) {
		if err := db.among(ctx, q, part, found); err != nil {
			return nil, err
		}
	}
	return found, nil
}

func (db *DB) among(ctx context.Context, q string, keys []string, found map[string]bool) error {
	args := make([]any, amongAtOnce) // always as many, so that the statement is prepared once
	for i := range args {
		args[i] = keys[min(i, len(keys)-1)]
	}
	rows, err := db.Query(ctx, q+" (?"+strings.Repeat(", ?", amongAtOnce-1)+")", args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var key string
		if err := rows.Scan(&key); err != nil {
			return err
		}
		found[key] = true
	}
	return rows.Err()
}
