// Package servicetest runs one service in a test: on a bus in memory, under the real policy, with a
// database of its own. It works inside a synctest bubble (with SQLite) and outside of one.
package servicetest

import (
	"context"
	"io/fs"
	"log/slog"
	"sync"
	"testing"

	"tutti/api"
	"tutti/bus"
	"tutti/bus/membus"
	"tutti/internal/service"
	"tutti/internal/store"
	"tutti/internal/store/pgtest"
)

// Env is what a service in a test lives in. It can be started, stopped and started again.
type Env struct {
	Deps   service.Deps
	Config store.Config
	conn   *conn
	files  fs.FS
}

// SQLite returns an environment whose database is in a folder of the test.
func SQLite(t *testing.T, name string, migrations fs.FS) *Env {
	t.Helper()
	return open(t, name, migrations, store.Config{Dir: t.TempDir()})
}

// Postgres returns an environment with a fresh PostgreSQL database, or skips t; see pgtest.
func Postgres(t *testing.T, name string, migrations fs.FS) *Env {
	t.Helper()
	return open(t, name, migrations, store.Config{URL: pgtest.URL(t)})
}

// Both runs f as two parallel tests, on SQLite and on PostgreSQL.
func Both(t *testing.T, name string, migrations fs.FS, f func(*testing.T, *Env)) {
	t.Run("sqlite", func(t *testing.T) {
		t.Parallel()
		f(t, SQLite(t, name, migrations))
	})
	t.Run("postgres", func(t *testing.T) {
		t.Parallel()
		f(t, Postgres(t, name, migrations))
	})
}

func open(t *testing.T, name string, migrations fs.FS, c store.Config) *Env {
	t.Helper()
	db, err := store.Open(t.Context(), c, name, migrations)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	carrier := &conn{handled: map[string]chan struct{}{}}
	return &Env{
		Deps:   service.Deps{Name: name, DB: db, Bus: bus.New(carrier, []byte("a key for tests"), api.Allow), Log: slog.New(slog.DiscardHandler)},
		Config: c, conn: carrier, files: migrations,
	}
}

// Start builds and runs the service, waits until it answers method, and returns a function that stops
// it. It is also stopped at the end of t.
func (e *Env) Start(t *testing.T, build func(service.Deps) (service.Service, error), method bus.Declared) (stop func()) {
	t.Helper()
	s, err := build(e.Deps)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	ready := e.conn.await("rpc." + method.Info().Name)
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("Run = %v; want nil after its context ended", err)
		}
	})
	t.Cleanup(stop)
	select {
	case <-ready:
	case err := <-ended:
		ended <- nil
		t.Fatalf("Run = %v before it answered", err)
	}
	return stop
}

// As returns a context whose calls are made by subject with role in namespace.
func As(t *testing.T, subject, namespace, role string) context.Context {
	return bus.WithCaller(t.Context(), bus.Caller{Subject: subject, Grants: []bus.Grant{{Namespace: namespace, Role: role}}, From: "192.0.2.1"})
}

// System returns a context whose calls are made by a service.
func System(t *testing.T) context.Context { return bus.AsService(t.Context(), "test") }

// Acts returns the actions and objects of the audit trail as "who action object", oldest first.
func (e *Env) Acts(t *testing.T) []string {
	t.Helper()
	rows, err := e.Deps.DB.Acts(t.Context(), "", 0, 1000)
	if err != nil {
		t.Fatal(err)
	}
	out := make([]string, len(rows))
	for i, r := range rows {
		out[len(rows)-1-i] = r.Subject + " " + r.Action + " " + r.Object
	}
	return out
}

// conn is a bus in memory that tells when a subject is handled.
type conn struct {
	membus.Bus
	mu      sync.Mutex
	handled map[string]chan struct{}
}

func (c *conn) await(subject string) <-chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.handled[subject] = make(chan struct{})
	return c.handled[subject]
}

// Handle implements bus.Conn.
func (c *conn) Handle(ctx context.Context, subject string, h bus.Handler) error {
	err := c.Bus.Handle(ctx, subject, h)
	c.mu.Lock()
	defer c.mu.Unlock()
	if ready, ok := c.handled[subject]; ok {
		close(ready)
		delete(c.handled, subject)
	}
	return err
}
