// Package gateway is the door of Tutti: HTTP in front of the bus. Every method of package api that has a
// route gets it here, by reflection, with its schema, its entry in the OpenAPI document and its
// permission check; beside them stand upload and download of files, the stream of events, the
// session cookie, the health checks and a small page to look at.
//
// It owns no tables and decides nothing: who calls is told by identity, what they may do by the policy
// of the bus, what is so by the services. It answers event.search, audit.list and search itself, by asking the
// services. Every route needs a permission, or New fails; the exceptions are the constants in open.
package gateway

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"tutti/bus"
	"tutti/errs"
	"tutti/internal/blob"
	"tutti/internal/service"
)

// Config says where to listen and what is served.
type Config struct {
	// Listener is where it is served; Run closes it. See Listen.
	Listener net.Listener
	// Secure says that browsers reach it over TLS although Listener is without, behind a proxy: the
	// session cookie is then sent over TLS alone.
	Secure bool
	// Blobs keeps the content of files.
	Blobs blob.Store
	// Repositories is the folder of the git repositories, NAMESPACE/NAME.git; "" serves none.
	Repositories string
	// MaxFile bounds an uploaded file, in bytes; 0 is 256 MiB.
	MaxFile int64
	// Services are the services whose events and audit trail can be read, and that must answer for
	// the server to be ready.
	Services []string
	// Durability says, for people who may know, how what is acknowledged is kept.
	Durability string
}

// Limits of the HTTP server.
const (
	maxHeader     = 32 << 10
	headerTime    = 10 * time.Second
	bodyTime      = 30 * time.Second // to send a JSON body
	leftTime      = 5 * time.Second  // to send what nobody reads
	chunkTime     = 30 * time.Second // to send, or take, a further piece of a file
	answerTime    = 30 * time.Second // to take an answer
	idleTime      = 2 * time.Minute
	graceTime     = 3 * time.Second // that calls may take once the server stops
	stopTime      = 6 * time.Second // after which connections are cut
	maxCalls      = 4096
	maxOpenCalls  = 8 // logging in costs memory on purpose
	maxFileLength = 256 << 20
)

// Listen returns a listener for Config. address is "host:port", such as 127.0.0.1:8080; cert and key
// are the PEM files of a certificate, both or neither. Its errors say which setting is wrong.
func Listen(ctx context.Context, address, cert, key string) (net.Listener, error) {
	if (cert == "") != (key == "") {
		return nil, errs.New(errs.Invalid, "a certificate needs a key, and a key a certificate")
	}
	var config *tls.Config
	if cert != "" {
		pair, err := tls.LoadX509KeyPair(cert, key)
		if err != nil {
			return nil, errs.New(errs.Invalid, "TLS certificate: %w", err)
		}
		config = &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12, NextProtos: []string{"h2", "http/1.1"}}
	}
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", address)
	if err != nil {
		return nil, errs.New(errs.Invalid, "cannot listen on %s: %w", address, err).
			WithHint("is another server running? --listen takes another address, such as 127.0.0.1:0 for any free port")
	}
	if config != nil {
		l = tls.NewListener(l, config)
	}
	return l, nil
}

// Gateway serves the API. It is a service.Service and an http.Handler.
type Gateway struct {
	c      Config
	bus    *bus.Bus
	log    *slog.Logger
	mux    *http.ServeMux
	auth   *authenticator
	schema *schemas
	hub    *hub

	calls   atomic.Int64 // under way
	opening atomic.Int64 // calls without authentication under way
	streams atomic.Int64
	closing chan struct{} // closed when the server stops
}

var _ service.Service = (*Gateway)(nil)

// New returns the gateway. It fails where a method has no permission, a route that does not fit its
// input, or the route of another.
func New(c Config, d service.Deps) (*Gateway, error) {
	if c.MaxFile <= 0 {
		c.MaxFile = maxFileLength
	}
	g := &Gateway{c: c, bus: d.Bus, hub: &hub{bus: d.Bus}, log: d.Log, mux: http.NewServeMux(), schema: newSchemas(), closing: make(chan struct{})}
	g.auth = newAuthenticator(d.Bus)
	if err := g.routes(); err != nil {
		return nil, fmt.Errorf("gateway: %w", err)
	}
	return g, nil
}

// Run answers on the bus and over HTTP until ctx ends, then lets calls finish, for a few seconds, and
// returns nil. It can run once.
func (g *Gateway) Run(ctx context.Context) error {
	if err := g.Answer(ctx); err != nil {
		return err
	}
	base, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	s := &http.Server{
		Handler: g, ReadHeaderTimeout: headerTime, IdleTimeout: idleTime, MaxHeaderBytes: maxHeader,
		BaseContext: func(net.Listener) context.Context { return base },
		ErrorLog:    slog.NewLogLogger(g.log.Handler(), slog.LevelDebug),
	}
	stopped := make(chan error, 1)
	stop := context.AfterFunc(ctx, func() {
		close(g.closing)
		grace := time.AfterFunc(graceTime, cancel)
		defer grace.Stop()
		last, done := context.WithTimeout(base, stopTime)
		defer done()
		err := s.Shutdown(last)
		if err != nil {
			err = s.Close()
		}
		stopped <- err
	})
	err := s.Serve(g.c.Listener)
	if !errors.Is(err, http.ErrServerClosed) {
		stop()
		return fmt.Errorf("serve HTTP: %w", err)
	}
	return <-stopped
}
