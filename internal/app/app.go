// Package app is Tutti as one process: it opens the data folder, the bus and the databases, runs the
// services of the list in services.go, and ends them again. It decides nothing else; it and the lists
// named all are the only places that know implementations.
//
// It owns the data folder: lock, cluster.key (signs callers on the bus), master.key (seals secrets),
// bootstrap-token (until the first administrator is made), a .db file for each service where no
// PostgreSQL is given, blobs/, logs/, repositories/, work/ (of programs that tasks run) and terraform/ (workspaces with their sealed states)
// and ansible/ (playbooks that run, and how they went).
package app

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"tutti/api"
	"tutti/bus"
	"tutti/bus/natsbus"
	"tutti/errs"
	"tutti/internal/blob/dirblob"
	"tutti/internal/gateway"
	"tutti/internal/netguard"
	"tutti/internal/secretbox"
	"tutti/internal/service"
	"tutti/internal/store"
	"tutti/internal/task"
)

// DefaultListen is where the API is served unless told otherwise: for this machine alone.
const DefaultListen = "127.0.0.1:8080"

// Started says what Run made.
type Started struct {
	// Address is that of the API, such as http://127.0.0.1:8080; "" where the gateway runs elsewhere.
	Address string
	// BootstrapToken is the file that holds the one-time token as long as there is no administrator.
	BootstrapToken string
	// Bus is that of the server, for a program that runs one inside itself.
	Bus *bus.Bus
	// Took is the time from the call of Run.
	Took time.Duration
}

// Run is the server until ctx ends; it then stops within 10 s and returns nil. Errors of kind
// errs.Invalid say which setting is wrong, of kind errs.Conflict that another server uses the folder.
func Run(ctx context.Context, c Config) error {
	c = c.withDefaults()
	clock := &stopwatch{started: time.Now()}
	if err := c.check(); err != nil {
		return err
	}
	folder, err := openFolder(c.Data)
	if err != nil {
		return err
	}
	defer folder.close()
	clock.lap("folder")
	p, err := open(ctx, c, clock)
	if err != nil {
		return err
	}
	defer p.close()
	return p.run(ctx, clock)
}

// platform is what the services stand on.
type platform struct {
	c        Config
	log      *slog.Logger
	listener net.Listener // nil where the gateway runs elsewhere
	conn     *natsbus.Bus
	bus      *bus.Bus
	blobs    *dirblob.Store // files and large values
	logBlobs *dirblob.Store // of the log store alone
	box      *secretbox.Box
	guard    *netguard.Guard
	tasks    task.Registry
	drivers  task.Drivers // of declared task types
	stores   map[string]*store.DB
	parts    []part
	built    []service.Service // of parts, in their order
	version  string
}

// open opens everything, all that takes time at once. What was opened is closed again after an error.
func open(ctx context.Context, c Config, clock *stopwatch) (*platform, error) {
	p := &platform{c: c, log: c.Log, stores: map[string]*store.DB{}, version: version()}
	if err := p.open(ctx, clock); err != nil {
		p.close()
		return nil, err
	}
	return p, nil
}

func (p *platform) open(ctx context.Context, clock *stopwatch) (err error) {
	c := p.c
	if p.guard, err = netguard.Parse(c.AllowDial); err != nil {
		return fmt.Errorf("allowed addresses: %w", err)
	}
	if slices.Contains(c.Services, "gateway") {
		if p.listener, err = gateway.Listen(ctx, c.Listen, c.Cert, c.Key); err != nil {
			return err
		}
	}
	key, err := clusterKey(p.path("cluster.key"))
	if err != nil {
		return err
	}
	if p.box, err = secretbox.Open(p.path("master.key")); err != nil {
		return err
	}
	if p.parts, err = p.chosen(); err != nil {
		return err
	}
	clock.lap("keys")
	if err = p.openBus(key); err != nil {
		return err
	}
	clock.lap("bus and blobs")
	if p.tasks, p.drivers, err = p.types(); err != nil {
		return err
	}
	if err = p.build(ctx); err != nil {
		return err
	}
	clock.lap("databases and services")
	return nil
}

// openBus opens the bus and the blob stores, at once.
func (p *platform) openBus(key []byte) error {
	var g errgroup.Group
	g.Go(func() (err error) {
		if p.conn, err = natsbus.Open(p.c.NATS, p.log.With("service", "bus")); err == nil {
			p.bus = bus.New(p.conn, key, api.Allow)
		}
		return err
	})
	g.Go(func() (err error) {
		p.blobs, err = dirblob.Open(p.path("blobs"))
		return err
	})
	g.Go(func() (err error) {
		p.logBlobs, err = dirblob.Open(p.path("logs"))
		return err
	})
	return g.Wait()
}

// build opens the databases and builds the services, all at once: some wait for the disk while others
// use the processor.
func (p *platform) build(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	p.built = make([]service.Service, len(p.parts))
	var mu sync.Mutex // guards stores
	for i, x := range p.parts {
		g.Go(func() (err error) {
			started := time.Now()
			d := service.Deps{Name: x.Name, Bus: p.bus, Log: p.log.With("service", x.Name)}
			if x.keeps {
				if d.DB, err = store.Open(ctx, store.Config{URL: p.c.DB, Dir: p.c.Data}, x.Name, x.Migrations); err != nil {
					return err
				}
				mu.Lock()
				p.stores[x.Name] = d.DB
				mu.Unlock()
				if p.c.DB == "" { // the lock on the folder says that whoever held a lease has died
					if err := d.DB.Expire(ctx); err != nil {
						return fmt.Errorf("service %s: %w", x.Name, err)
					}
				}
			}
			opened := time.Now()
			if p.built[i], err = x.New(d); err != nil {
				return fmt.Errorf("service %s: %w", x.Name, err)
			}
			p.log.Debug("built", "service", x.Name, "database", opened.Sub(started).String(), "service", time.Since(opened).String())
			return nil
		})
	}
	return g.Wait()
}

// close releases what open opened.
func (p *platform) close() {
	if p.listener != nil {
		_ = p.listener.Close() // the gateway may have closed it already
	}
	if p.conn != nil {
		p.conn.Close()
	}
	for name, db := range p.stores {
		if err := db.Close(); err != nil {
			p.log.Warn("close the database", "service", name, "err", err)
		}
	}
	for _, b := range []*dirblob.Store{p.blobs, p.logBlobs} {
		if b != nil {
			_ = b.Close() // nothing is kept in memory
		}
	}
}

// chosen returns the parts that this process runs.
func (p *platform) chosen() ([]part, error) {
	all := p.list()
	var out []part
	var names []string
	for _, x := range all {
		names = append(names, x.Name)
		if slices.Contains(p.c.Services, x.Name) {
			out = append(out, x)
		}
	}
	for _, want := range p.c.Services {
		if !slices.Contains(names, want) {
			return nil, errs.New(errs.Invalid, "there is no service %q", want).WithHint("there are %s", strings.Join(names, ", "))
		}
	}
	return out, nil
}

// address returns how the API is reached.
func (p *platform) address() string {
	if p.listener == nil {
		return ""
	}
	scheme := "http://"
	if p.c.Cert != "" {
		scheme = "https://"
	}
	return scheme + p.listener.Addr().String()
}

// deps returns what a part may hold.
func (p *platform) deps(name string) service.Deps {
	return service.Deps{Name: name, DB: p.stores[name], Bus: p.bus, Log: p.log.With("service", name)}
}

// durability says how what is acknowledged is kept; store.Open refuses anything weaker.
func (c Config) durability() string {
	if c.DB == "" {
		return "SQLite: journal_mode=WAL, synchronous=FULL"
	}
	return "PostgreSQL: fsync=on, full_page_writes=on, synchronous_commit=on"
}

// tokenFile is where the one-time bootstrap token is.
func (p *platform) tokenFile() string { return p.path("bootstrap-token") }

// bootstrapToken is the file of the bootstrap token, "" where there is none any more.
func (p *platform) bootstrapToken() string {
	if _, err := os.Stat(p.tokenFile()); err != nil {
		return ""
	}
	return p.tokenFile()
}

// path returns where something is in the data folder.
func (p *platform) path(name string) string { return filepath.Join(p.c.Data, name) }
