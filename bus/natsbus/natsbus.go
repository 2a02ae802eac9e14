// Package natsbus carries the bus over NATS: a server inside this process by default, or a cluster
// elsewhere. Callers cannot tell which. JetStream is not used: NATS is never the record.
package natsbus

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"tutti/bus"
	"tutti/errs"
)

// MaxPayload bounds one message, in bytes. Larger values travel by digest.
const MaxPayload = 8 << 20

// callTimeout bounds a call; it is longer than the longest wait that a method may be asked for (60 s).
const callTimeout = 75 * time.Second

// Bus is a bus.Conn.
type Bus struct {
	nc  *nats.Conn
	srv *server.Server
	log *slog.Logger
}

// Open connects to url, or, where url is empty, starts a server in this process that listens on no
// port. Close releases both.
func Open(url string, log *slog.Logger) (*Bus, error) {
	b := &Bus{log: log}
	opts := []nats.Option{nats.Name("tutti"), nats.MaxReconnects(-1), nats.RetryOnFailedConnect(url != ""), nats.IgnoreAuthErrorAbort()}
	if url == "" {
		srv, err := server.NewServer(&server.Options{DontListen: true, NoSigs: true, MaxPayload: MaxPayload, NoSystemAccount: true})
		if err != nil {
			return nil, fmt.Errorf("embedded NATS: %w", err)
		}
		srv.Start()
		if !srv.ReadyForConnections(10 * time.Second) {
			return nil, errs.New(errs.Unavailable, "the embedded NATS server did not start")
		}
		b.srv = srv
		opts = append(opts, nats.InProcessServer(srv))
	}
	nc, err := nats.Connect(url, opts...)
	if err != nil {
		b.Close()
		return nil, errs.New(errs.Unavailable, "connect to NATS: %w", err)
	}
	b.nc = nc
	return b, nil
}

// Close disconnects, and stops the server where Open started one.
func (b *Bus) Close() {
	if b.nc != nil {
		b.nc.Close()
	}
	if b.srv != nil {
		b.srv.Shutdown()
		b.srv.WaitForShutdown()
	}
}

const headerError = "Error"

// Request sends m to one handler of its subject and waits for the answer.
func (b *Bus) Request(ctx context.Context, m bus.Msg) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	r, err := b.nc.RequestMsgWithContext(ctx, message(m))
	switch {
	case errors.Is(err, nats.ErrNoResponders):
		return nil, errs.New(errs.Unavailable, "nobody answers %s", m.Subject)
	case errors.Is(err, nats.ErrMaxPayload):
		return nil, errs.New(errs.TooLarge, "%s: the message is larger than %d bytes", m.Subject, MaxPayload)
	case err != nil:
		return nil, errs.New(errs.Unavailable, "%s: %w", m.Subject, err)
	}
	if h := r.Header.Get(headerError); h != "" {
		e := &errs.Error{}
		if err := json.Unmarshal([]byte(h), e); err != nil {
			return nil, fmt.Errorf("%s: error answer: %w", m.Subject, err)
		}
		return nil, e
	}
	return r.Data, nil
}

func message(m bus.Msg) *nats.Msg {
	out := nats.NewMsg(m.Subject)
	out.Data = m.Data
	for k, v := range m.Header {
		out.Header[k] = []string{v}
	}
	return out
}

func header(h nats.Header) map[string]string {
	out := make(map[string]string, len(h))
	for k, v := range h {
		if len(v) > 0 {
			out[k] = v[0]
		}
	}
	return out
}

// Handle answers subject with h, each message on a goroutine of its own, until ctx ends.
func (b *Bus) Handle(ctx context.Context, subject string, h bus.Handler) error {
	sub, err := b.nc.QueueSubscribe(subject, "service", func(m *nats.Msg) {
		go b.answer(ctx, m, h)
	})
	if err != nil {
		return fmt.Errorf("handle %s: %w", subject, err)
	}
	// What was on its way here when ctx ended is told so: dropped, its caller would wait for callTimeout.
	context.AfterFunc(ctx, func() { _ = sub.Drain() })
	return b.nc.Flush()
}

func (b *Bus) answer(ctx context.Context, m *nats.Msg, h bus.Handler) {
	var out []byte
	err := error(errs.New(errs.Unavailable, "nobody answers %s any more", m.Subject))
	if ctx.Err() == nil {
		out, err = h(ctx, bus.Msg{Subject: m.Subject, Header: header(m.Header), Data: m.Data})
	}
	r := nats.NewMsg(m.Reply)
	r.Data = out
	if err == nil && len(out) > MaxPayload {
		err = errs.New(errs.TooLarge, "the answer of %s is larger than %d bytes", m.Subject, MaxPayload)
	}
	if err != nil {
		if errs.KindOf(err) == errs.Internal {
			b.log.Error("call failed", "subject", m.Subject, "err", err)
		}
		j, _ := json.Marshal(errs.Public(err))
		r.Data, r.Header[headerError] = nil, []string{string(j)}
	}
	if err := b.nc.PublishMsg(r); err != nil && !errors.Is(err, nats.ErrConnectionClosed) {
		b.log.Warn("answer not sent", "subject", m.Subject, "err", err)
	}
}

// Publish sends m to whoever listens. The server in this process knows whether anybody does, and is asked
// first: an engine announces each change of thousands of runs, of which few are watched.
func (b *Bus) Publish(_ context.Context, m bus.Msg) error {
	if b.srv != nil && !b.srv.GlobalAccount().SubscriptionInterest(m.Subject) {
		return nil
	}
	return b.nc.PublishMsg(message(m))
}

// Subscribe calls h for each message of subject until ctx ends.
func (b *Bus) Subscribe(ctx context.Context, subject string, h func(bus.Msg)) error {
	sub, err := b.nc.Subscribe(subject, func(m *nats.Msg) {
		h(bus.Msg{Subject: m.Subject, Header: header(m.Header), Data: m.Data})
	})
	if err != nil {
		return fmt.Errorf("subscribe %s: %w", subject, err)
	}
	context.AfterFunc(ctx, func() { _ = sub.Unsubscribe() })
	return b.nc.Flush()
}
