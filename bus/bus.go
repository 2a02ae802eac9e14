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
	local map[string]*answerer // of direct methods in this process, by name
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
	err = b.call(ctx, m.Name, m.Direct, &in, &out)
	return out, err
}

// call is Method.Call without its types, of which there are more than a hundred: in and out are pointers.
func (b *Bus) call(ctx context.Context, name string, direct bool, in, out any) error {
	if direct {
		if a := b.near(name); a != nil && a.fits(in) {
			return a.answer(ctx, in, out)
		}
	}
	data, err := json.Marshal(in)
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	if data, err = b.Raw(ctx, name, data); err != nil {
		return err
	}
	if err := json.Unmarshal(data, out); err != nil {
		return fmt.Errorf("%s: answer: %w", name, err)
	}
	return nil
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
	return b.handle(ctx, m.Direct, &answerer{bus: b, name: m.Name, perm: m.perm(), in: reflect.TypeFor[In](), out: reflect.TypeFor[Out](),
		do: func(ctx context.Context, in, out any) (err error) {
			*out.(*Out), err = h(ctx, *in.(*In))
			return err
		}})
}

// answerer is what answers a method, without its types: in points to its In, out to its Out.
type answerer struct {
	bus        *Bus
	name, perm string
	in, out    reflect.Type
	do         func(ctx context.Context, in, out any) error
}

func (b *Bus) handle(ctx context.Context, direct bool, a *answerer) error {
	if direct {
		b.stay(ctx, a)
	}
	return b.conn.Handle(ctx, "rpc."+a.name, func(ctx context.Context, msg Msg) ([]byte, error) {
		ctx, c, err := b.seal.open(ctx, msg.Header)
		if err != nil && a.perm != Open {
			return nil, err
		}
		in, out := reflect.New(a.in).Interface(), reflect.New(a.out).Interface()
		if err := json.Unmarshal(msg.Data, in); err != nil {
			return nil, errs.New(errs.Invalid, "%s: %w", a.name, err)
		}
		if err := a.allowed(ctx, c, in, out); err != nil {
			return nil, err
		}
		return json.Marshal(out)
	})
}

// allowed lets the handler answer a caller that may ask.
func (a *answerer) allowed(ctx context.Context, c Caller, in, out any) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = errs.New(errs.Internal, "%s: panic: %v\n%s", a.name, r, debug.Stack())
		}
	}()
	if a.perm != Open {
		ns := ""
		if s, ok := in.(Scoped); ok {
			ns = s.Scope()
		}
		if err := a.bus.allow(c, a.perm, ns); err != nil {
			return err
		}
	}
	if v, ok := in.(Validator); ok {
		if err := v.Validate(); err != nil {
			return err
		}
	}
	return a.do(ctx, in, out)
}

// answer answers a call from this process.
func (a *answerer) answer(ctx context.Context, in, out any) error {
	c, ok := CallerFrom(ctx)
	if !ok && a.perm != Open {
		return errs.New(errs.Unauthenticated, "the call carries no valid subject")
	}
	return a.allowed(ctx, c, in, out)
}

// fits reports whether in points to the method's In.
func (a *answerer) fits(in any) bool {
	t := reflect.TypeOf(in)
	return t != nil && t.Kind() == reflect.Pointer && t.Elem() == a.in
}

// stay keeps a for calls from this process until ctx ends.
func (b *Bus) stay(ctx context.Context, a *answerer) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.local == nil {
		b.local = map[string]*answerer{}
	}
	b.local[a.name] = a
	context.AfterFunc(ctx, func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		if b.local[a.name] == a {
			delete(b.local, a.name)
		}
	})
}

// near returns what answers a direct method in this process, or nil.
func (b *Bus) near(name string) *answerer {
	b.mu.RLock()
	defer b.mu.RUnlock()
	return b.local[name]
}

// Near calls a direct method by name where it is answered in this process, as Method.Call does: in points
// to its In, and out is its Out. It reports ok=false, and does nothing, where the call has to go over the
// carrier (see Raw).
func (b *Bus) Near(ctx context.Context, method string, in any) (out any, ok bool, err error) {
	a := b.near(method)
	if a == nil {
		return nil, false, nil
	}
	if !a.fits(in) {
		return nil, true, errs.New(errs.Internal, "a %T was given for a *%s", in, a.in)
	}
	p := reflect.New(a.out)
	err = a.answer(ctx, in, p.Interface())
	return p.Elem().Interface(), true, err
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
