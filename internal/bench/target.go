package bench

import (
	"context"
	"database/sql"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"runtime/pprof"

	_ "github.com/jackc/pgx/v5/stdlib" // to ask PostgreSQL how large the database is

	"tutti/api"
	"tutti/bus"
	"tutti/errs"
	"tutti/internal/app"
	"tutti/internal/identity"
	"tutti/internal/store/probe"
	"tutti/sdk"
)

// target is the server that is measured.
type target struct {
	store   string
	client  *sdk.Client // over HTTP
	bus     *bus.Bus    // of a server in this process; nil of a running one
	db      *sql.DB     // to see how large its database is; nil of a running one
	count   string      // the query that says so
	ceiling *ceiling
	undo    []func()
}

// open starts a server, or takes the running one.
func open(ctx context.Context, c Config) (t *target, err error) {
	t = &target{store: "sqlite", client: c.Client}
	if c.DB != "" {
		t.store = "postgres"
	}
	defer func() {
		if err != nil {
			t.close()
			t = nil
		}
	}()
	dir, err := os.MkdirTemp(c.Dir, "tutti-bench-")
	if err != nil {
		return t, errs.New(errs.Invalid, "make a folder to measure in: %w", err)
	}
	t.later(func() { _ = os.RemoveAll(dir) })
	if t.client == nil {
		if err := t.serve(ctx, c, filepath.Join(dir, "server")); err != nil {
			return t, fmt.Errorf("start a server: %w", err)
		}
	}
	t.ceiling, err = openCeiling(ctx, c.DB, filepath.Join(dir, "ceiling"))
	if err == nil {
		t.later(t.ceiling.close)
	}
	return t, err
}

func (t *target) later(f func()) { t.undo = append(t.undo, f) }

func (t *target) close() {
	for len(t.undo) > 0 {
		f := t.undo[len(t.undo)-1]
		t.undo = t.undo[:len(t.undo)-1]
		f()
	}
}

// serve runs a server as `tutti serve` does, on a free port.
func (t *target) serve(ctx context.Context, c Config, data string) error {
	token := identity.NewToken()
	ready, ended := make(chan app.Started, 1), make(chan error, 1)
	ctx, stop := context.WithCancel(ctx)
	t.later(stop)
	go func() {
		ended <- app.Run(ctx, app.Config{
			Data: data, Listen: "127.0.0.1:0", DB: c.DB, Log: c.Log,
			Identity: identity.Config{AdminToken: token},
			Ready:    func(s app.Started) { ready <- s },
		})
		close(ended)
	}()
	t.later(func() {
		stop()
		for range ended { // until it is closed
		}
	})
	select {
	case s := <-ready:
		t.bus = s.Bus
		var err error
		if t.client, err = sdk.New(sdk.Config{Server: s.Address, Token: token, Agent: "tutti-bench"}); err != nil {
			return err
		}
	case err := <-ended:
		if err == nil {
			err = errs.New(errs.Internal, "it ended by itself")
		}
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
	driver, source := "sqlite", "file:"+filepath.Join(data, "workflow.db")+"?mode=ro"
	t.count = probe.SQLiteSize
	if c.DB != "" {
		driver, source, t.count = "pgx", c.DB, probe.PostgresSize
	}
	var err error
	if t.db, err = sql.Open(driver, source); err == nil {
		t.later(func() { _ = t.db.Close() })
	}
	return err
}

// size returns how many bytes the database has, 0 where that cannot be seen.
func (t *target) size(ctx context.Context) (n int64, err error) {
	if t.db != nil {
		err = t.db.QueryRowContext(ctx, t.count).Scan(&n)
	}
	return n, err
}

// publish applies a definition.
func (t *target) publish(ctx context.Context, definition string) error {
	_, err := sdk.Call(ctx, t.client, api.ApplyDefinitions, api.ApplyIn{Body: api.ApplyBody{Files: []api.SourceFile{{Name: "bench.yaml", Text: definition}}}})
	return err
}

// caller is who starts runs on the bus: an administrator, as over HTTP.
func caller(ctx context.Context) context.Context {
	return bus.WithCaller(ctx, bus.Caller{Subject: "user:bench", Grants: []bus.Grant{{Namespace: sdk.DefaultNamespace, Role: api.Admin}}})
}

// start makes the call run.start: on the bus of a server in this process, else over HTTP.
func (t *target) start(ctx context.Context, in api.StartRunIn) (api.Run, error) {
	if t.bus != nil {
		return api.StartRun.Call(caller(ctx), t.bus, in)
	}
	return sdk.Call(ctx, t.client, api.StartRun, in)
}

// get makes the call run.get.
func (t *target) get(ctx context.Context, in api.GetRunIn) (api.Run, error) {
	if t.bus != nil {
		return api.GetRun.Call(caller(ctx), t.bus, in)
	}
	return sdk.Call(ctx, t.client, api.GetRun, in)
}

// profile writes what pprof sees until stop is called into files of dir; "" writes nothing.
func profile(dir, name string) (stop func(), err error) {
	if dir == "" {
		return func() {}, nil
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, errs.New(errs.Invalid, "make the folder of the profiles: %w", err)
	}
	f, err := os.Create(filepath.Join(dir, name+".cpu.pprof"))
	if err != nil {
		return nil, errs.New(errs.Invalid, "write a profile: %w", err)
	}
	runtime.SetBlockProfileRate(10_000)
	if err := pprof.StartCPUProfile(f); err != nil {
		return nil, errs.New(errs.Conflict, "profile: %w", err)
	}
	return func() {
		pprof.StopCPUProfile()
		_ = f.Close() // a profile that is cut off shows when it is read
		runtime.SetBlockProfileRate(0)
		for _, kind := range []string{"allocs", "block"} {
			if f, err := os.Create(filepath.Join(dir, name+"."+kind+".pprof")); err == nil {
				_ = pprof.Lookup(kind).WriteTo(f, 0)
				_ = f.Close()
			}
		}
	}, nil
}
