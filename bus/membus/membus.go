// Package membus is a bus inside one process, for tests: it starts no goroutine and touches no
// network, so it works in a synctest bubble.
package membus

import (
	"context"
	"maps"
	"strings"
	"sync"

	"tutti/bus"
	"tutti/errs"
)

// Bus is a bus.Conn. The zero Bus is ready.
type Bus struct {
	mu       sync.Mutex
	handlers map[string]entry
	subs     map[int]sub
	next     int
}

type entry struct {
	id int
	h  bus.Handler
}

type sub struct {
	pattern []string
	h       func(bus.Msg)
}

// Request calls the handler of m's subject on the caller's goroutine.
func (b *Bus) Request(ctx context.Context, m bus.Msg) ([]byte, error) {
	b.mu.Lock()
	e, ok := b.handlers[m.Subject]
	b.mu.Unlock()
	if !ok {
		return nil, errs.New(errs.Unavailable, "nobody answers %s", m.Subject)
	}
	if err := ctx.Err(); err != nil {
		return nil, errs.New(errs.Unavailable, "%s: %w", m.Subject, err)
	}
	// The handler sees nothing of the caller's context but its end, as over a network.
	out, err := e.h(bare{ctx}, m)
	if err != nil {
		return nil, errs.Public(err)
	}
	return out, nil
}

// bare is a context without values.
type bare struct{ context.Context }

func (bare) Value(any) any { return nil }

// Handle makes h the handler of subject until ctx ends; a later one takes over.
func (b *Bus) Handle(ctx context.Context, subject string, h bus.Handler) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.handlers == nil {
		b.handlers = map[string]entry{}
	}
	b.next++
	id := b.next
	b.handlers[subject] = entry{id, h}
	context.AfterFunc(ctx, func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		if b.handlers[subject].id == id {
			delete(b.handlers, subject)
		}
	})
	return nil
}

// Publish calls each subscriber in turn.
func (b *Bus) Publish(_ context.Context, m bus.Msg) error {
	b.mu.Lock()
	subs := maps.Clone(b.subs)
	b.mu.Unlock()
	tokens := strings.Split(m.Subject, ".")
	for _, s := range subs {
		if match(s.pattern, tokens) {
			s.h(m)
		}
	}
	return nil
}

// Subscribe calls h for each message whose subject matches until ctx ends.
func (b *Bus) Subscribe(ctx context.Context, subject string, h func(bus.Msg)) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.subs == nil {
		b.subs = map[int]sub{}
	}
	b.next++
	id := b.next
	b.subs[id] = sub{strings.Split(subject, "."), h}
	context.AfterFunc(ctx, func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		delete(b.subs, id)
	})
	return nil
}

func match(pattern, subject []string) bool {
	for i, p := range pattern {
		if p == ">" {
			return len(subject) > i
		}
		if i >= len(subject) || p != "*" && p != subject[i] {
			return false
		}
	}
	return len(pattern) == len(subject)
}
