// Package service says what a service is: something New builds from Deps and Run runs until its
// context ends. It also holds what every service does the same way: following the events of another
// (Follow), getting calls answered that were stored as intents (Relay), and showing its own events
// and audit trail (Serve).
package service

import (
	"context"
	"log/slog"
	"time"

	"tutti/bus"
	"tutti/internal/store"
)

// Service is one part of Tutti that can run alone in a process.
type Service interface {
	// Run serves until ctx ends, then returns nil. Any other return restarts it with back-off.
	Run(ctx context.Context) error
}

// Deps is all that a service may hold of the platform; never another service. Others are reached
// through Bus. What only some services need (blobs, the secret box, the dialer) their own New takes.
type Deps struct {
	Name string // of the service
	DB   *store.DB
	Bus  *bus.Bus
	Log  *slog.Logger
}

// Def names a service and says how to build it.
type Def struct {
	Name string
	// New builds the service. It may use the database but starts nothing.
	New func(Deps) (Service, error)
	// Migrations holds the service's migrations in a folder "migrations"; see store.Open.
	Migrations Files
}

// idle is how long followers and relays wait for a wake-up that may have been lost.
const idle = 2 * time.Second

// wait sleeps until a wake-up, d, or the end of ctx; it reports whether ctx still lives.
func wait(ctx context.Context, wake <-chan struct{}, d time.Duration) bool {
	woken(ctx, wake, d)
	return ctx.Err() == nil
}

// woken is wait that reports whether a wake-up came.
func woken(ctx context.Context, wake <-chan struct{}, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-wake:
		return true
	case <-t.C:
	}
	return false
}

// signal wakes a waiter; it never blocks.
func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// backoff returns the wait after a number of failed tries: 100 ms doubling up to 30 s.
func backoff(tries int) time.Duration {
	if tries > 8 {
		return 30 * time.Second
	}
	return 100 * time.Millisecond << tries
}
