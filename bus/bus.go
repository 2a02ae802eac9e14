// Package bus is how services meet. A Method asks one service and gets one answer; an Event is a fact
// that a service committed, read by whoever follows; a Conn carries the messages.
//
// The bus is never the record: it may lose every message and nothing but time is lost, because
// callers of consequence store their intent first and readers of events keep a cursor (package
// service). membus and natsbus are the carriers; both pass bustest.
package bus

import (
	"context"
	"encoding/json"
	"fmt"
	"reflect"
	"runtime/debug"
	"sync"

	"tutti/errs"
)

// Msg is what a Conn carries.
type Msg struct {
	Subject string
	Header  map[string]string
	Data    []byte
}

// Handler answers a message. Its error crosses the bus as its public part (errs.Public).
type Handler func(context.Context, Msg) ([]byte, error)

// Conn carries messages. Every implementation passes bustest.Run.
type Conn interface {
	// Request sends m to a handler of its subject and waits for the answer. It returns
	// errs.Unavailable where nobody answers.
	Request(ctx context.Context, m Msg) ([]byte, error)
	// Handle makes h a handler of subject until ctx ends. Handlers of one subject in several
	// processes share the load.
	Handle(ctx context.Context, subject string, h Handler) error
	// Publish delivers m at most once to each present subscriber.
	Publish(ctx context.Context, m Msg) error
	// Subscribe calls h for each message of subject until ctx ends. A "*" in subject stands for one
	// token, a final ">" for the rest. h must not block.
	Subscribe(ctx context.Context, subject string, h func(Msg)) error
}

// Policy says what a caller may do. It returns errs.Denied or errs.NotFound where it may not.
type Policy func(c Caller, permission, namespace string) error

// Bus is a Conn with identity: each call carries who makes it, signed, and each handler checks that.
type Bus struct {
	conn  Conn
	seal  sealer
	allow Policy

	mu    sync.RWMutex
	local map[string]any // handlers of direct methods in this process, by name
}

// New returns a bus over conn. key signs callers and is the same in every process of an
// installation; allow decides about permissions.
func New(conn Conn, key []byte, allow Policy) *Bus {
	return &Bus{conn: conn, seal: sealer{key: key}, allow: allow}
}

// Wake publishes a wake-up on subject: no content, no guarantee.
func (b *Bus) Wake(ctx context.Context, subject string) {
	_ = b.conn.Publish(ctx, Msg{Subject: subject}) // a lost wake-up costs latency only
}

// OnWake calls h at each wake-up on subject until ctx ends. h must not block.
func (b *Bus) OnWake(ctx context.Context, subject string, h func()) error {
	return b.conn.Subscribe(ctx, subject, func(Msg) { h() })
}

// Publish sends data to the present subscribers of subject.
func (b *Bus) Publish(ctx context.Context, subject string, data []byte) error {
	return b.conn.Publish(ctx, Msg{Subject: subject, Data: data})
}

// Subscribe calls h with the subject and data of each message until ctx ends. h must not block.
func (b *Bus) Subscribe(ctx context.Context, subject string, h func(subject string, data []byte)) error {
	return b.conn.Subscribe(ctx, subject, func(m Msg) { h(m.Subject, m.Data) })
}

// Permissions that are not granted through roles.
const (
	// Anyone is the permission of methods open to every authenticated caller.
	Anyone = "anyone"
	// System is the permission of methods that only Tutti's own services call.
	System = "system"
	// Open is the permission of the few methods that need no authentication, such as logging in.
	Open = "open"
)

// Method is a call that one service answers. Declare it once, in package api; the route, the OpenAPI
// entry and the SDK call all derive from it. Fields of In tagged path, query or header come from
// there over HTTP; a field named Body is the body.
type Method[In, Out any] struct {
	Name   string // "run.start": noun, dot, verb
	HTTP   string // "POST /v1/namespaces/{namespace}/runs"; empty when it is internal
	Perm   string // the permission it needs; Name where empty
	Status int    // HTTP status of success; 0 is 200
	Doc    string // one sentence
	// Direct says that within one process In and Out are handed over as they are instead of being
	// encoded, for calls of which there are many thousands a second. Neither side may change what it
	// gave or got.
	Direct bool
}

// Info describes a method without its types.
type Info struct {
	Name, HTTP, Perm, Doc string
	Status                int
	In, Out               reflect.Type
}

// Declared is any Method.
type Declared interface{ Info() Info }

// Info describes m.
func (m Method[In, Out]) Info() Info {
	return Info{m.Name, m.HTTP, m.perm(), m.Doc, m.Status, reflect.TypeFor[In](), reflect.TypeFor[Out]()}
}

func (m Method[In, Out]) perm() string {
	if m.Perm == "" {
		return m.Name
	}
	return m.Perm
}

// Scoped is an In that acts in one namespace.
type Scoped interface{ Scope() string }

// Validator is an In that knows what is wrong with itself before anybody handles it.
type Validator interface{ Validate() error }

// Call asks the service that handles m, as the caller in ctx (see WithCaller).
func (m Method[In, Out]) Call(ctx context.Context, b *Bus, in In) (out Out, err error) {
	if m.Direct {
		if h := m.near(b); h != nil {
			return h(ctx, in)
		}
	}
	data, err := json.Marshal(in)
	if err != nil {
		return out, fmt.Errorf("%s: %w", m.Name, err)
	}
	data, err = b.Raw(ctx, m.Name, data)
	if err != nil {
		return out, err
	}
	if err := json.Unmarshal(data, &out); err != nil {
		return out, fmt.Errorf("%s: answer: %w", m.Name, err)
	}
	return out, nil
}

// Raw calls a method by name with In as JSON, and returns Out as JSON.
func (b *Bus) Raw(ctx context.Context, method string, in []byte) ([]byte, error) {
	h, err := b.seal.header(ctx)
	if err != nil {
		return nil, err
	}
	return b.conn.Request(ctx, Msg{Subject: "rpc." + method, Header: h, Data: in})
}

// Handle answers m with h until ctx ends. h runs only for callers that hold m's permission in the
// namespace of In, and finds them in its context. A panic in h is an internal error to the caller.
func (m Method[In, Out]) Handle(ctx context.Context, b *Bus, h func(context.Context, In) (Out, error)) error {
	if m.Direct {
		m.stay(ctx, b, h)
	}
	return b.conn.Handle(ctx, "rpc."+m.Name, func(ctx context.Context, msg Msg) ([]byte, error) {
		ctx, c, err := b.seal.open(ctx, msg.Header)
		if err != nil && m.perm() != Open {
			return nil, err
		}
		var in In
		if err := json.Unmarshal(msg.Data, &in); err != nil {
			return nil, errs.New(errs.Invalid, "%s: %w", m.Name, err)
		}
		out, err := m.answer(ctx, b, c, in, h)
		if err != nil {
			return nil, err
		}
		return json.Marshal(out)
	})
}

// answer lets h answer a caller that may ask.
func (m Method[In, Out]) answer(ctx context.Context, b *Bus, c Caller, in In, h func(context.Context, In) (Out, error)) (out Out, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = errs.New(errs.Internal, "%s: panic: %v\n%s", m.Name, r, debug.Stack())
		}
	}()
	if m.perm() != Open {
		ns := ""
		if s, ok := any(in).(Scoped); ok {
			ns = s.Scope()
		}
		if err := b.allow(c, m.perm(), ns); err != nil {
			return out, err
		}
	}
	if v, ok := any(in).(Validator); ok {
		if err := v.Validate(); err != nil {
			return out, err
		}
	}
	return h(ctx, in)
}

type handlerOf[In, Out any] struct {
	call func(context.Context, In) (Out, error)
}

// stay keeps h for calls from this process until ctx ends.
func (m Method[In, Out]) stay(ctx context.Context, b *Bus, h func(context.Context, In) (Out, error)) {
	mine := &handlerOf[In, Out]{func(cctx context.Context, in In) (out Out, err error) {
		c, ok := CallerFrom(cctx)
		if !ok && m.perm() != Open {
			return out, errs.New(errs.Unauthenticated, "the call carries no valid subject")
		}
		return m.answer(cctx, b, c, in, h)
	}}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.local == nil {
		b.local = map[string]any{}
	}
	b.local[m.Name] = mine
	context.AfterFunc(ctx, func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		if b.local[m.Name] == any(mine) {
			delete(b.local, m.Name)
		}
	})
}

// Near calls a direct method by name where it is answered in this process, as Method.Call does: in points
// to its In, and out is its Out. It reports ok=false, and does nothing, where the call has to go over the
// carrier (see Raw).
func (b *Bus) Near(ctx context.Context, method string, in any) (out any, ok bool, err error) {
	b.mu.RLock()
	h, ok := b.local[method].(interface {
		callAny(context.Context, any) (any, error)
	})
	b.mu.RUnlock()
	if !ok {
		return nil, false, nil
	}
	out, err = h.callAny(ctx, in)
	return out, true, err
}

func (h *handlerOf[In, Out]) callAny(ctx context.Context, in any) (any, error) {
	p, ok := in.(*In)
	if !ok {
		return nil, errs.New(errs.Internal, "a %T was given for a %T", in, p)
	}
	return h.call(ctx, *p)
}

// near returns the handler in this process, or nil.
func (m Method[In, Out]) near(b *Bus) func(context.Context, In) (Out, error) {
	b.mu.RLock()
	defer b.mu.RUnlock()
	if h, ok := b.local[m.Name].(*handlerOf[In, Out]); ok {
		return h.call
	}
	return nil
}

// Allow reports, as an error, that the caller in ctx may not use permission in namespace; handlers
// use it for what their own permission does not cover.
func (b *Bus) Allow(ctx context.Context, permission, namespace string) error {
	c, ok := CallerFrom(ctx)
	if !ok {
		return errs.New(errs.Unauthenticated, "no caller")
	}
	return b.allow(c, permission, namespace)
}
