package bus

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"strings"
	"time"

	"tutti/errs"
)

// Caller is who makes a call and what it may do.
type Caller struct {
	// Subject is "user:anna", "token:ci", "service:request" or "run:run_…".
	Subject string `json:"s"`
	// Grants are the roles it holds, per namespace.
	Grants []Grant `json:"g,omitempty"`
	// From is the network address it came from, for the audit log; empty inside.
	From string `json:"f,omitempty"`
}

// Grant is a role held in a namespace; namespace "*" is every one.
type Grant struct {
	Namespace string `json:"n"`
	Role      string `json:"r"`
}

// SystemRole is the role of Tutti's own services.
const SystemRole = "system"

type callerKey struct{}
type traceKey struct{}

// WithCaller returns a context whose calls are made by c.
func WithCaller(ctx context.Context, c Caller) context.Context {
	return context.WithValue(ctx, callerKey{}, c)
}

// AsService returns a context whose calls are made by one of Tutti's own services.
func AsService(ctx context.Context, name string) context.Context {
	return WithCaller(ctx, Caller{Subject: "service:" + name, Grants: []Grant{{Namespace: "*", Role: SystemRole}}})
}

// CallerFrom returns who makes calls with ctx.
func CallerFrom(ctx context.Context) (Caller, bool) {
	c, ok := ctx.Value(callerKey{}).(Caller)
	return c, ok
}

// Subject returns the subject of the caller in ctx, or "".
func Subject(ctx context.Context) string {
	c, _ := CallerFrom(ctx)
	return c.Subject
}

// WithTrace returns a context whose calls and log lines carry the trace ID t.
func WithTrace(ctx context.Context, t string) context.Context {
	return context.WithValue(ctx, traceKey{}, t)
}

// TraceFrom returns the trace ID of ctx, or "".
func TraceFrom(ctx context.Context) string {
	t, _ := ctx.Value(traceKey{}).(string)
	return t
}

const (
	headerCaller = "Caller"
	headerTrace  = "Trace"
	// sealTTL bounds how long a captured header is of use; calls take seconds.
	sealTTL = 2 * time.Minute
)

// sealer signs callers with HMAC-SHA-256: base64url(JSON) "." base64url(MAC).
type sealer struct{ key []byte }

type sealed struct {
	Caller
	Expires int64 `json:"e"` // Unix seconds
}

func (s sealer) header(ctx context.Context) (map[string]string, error) {
	h := map[string]string{}
	if t := TraceFrom(ctx); t != "" {
		h[headerTrace] = t
	}
	c, ok := CallerFrom(ctx)
	if !ok {
		return h, nil // only Open methods answer
	}
	b, err := json.Marshal(sealed{c, time.Now().Add(sealTTL).Unix()})
	if err != nil {
		return nil, err
	}
	p := base64.RawURLEncoding.EncodeToString(b)
	h[headerCaller] = p + "." + s.mac(p)
	return h, nil
}

func (s sealer) mac(p string) string {
	m := hmac.New(sha256.New, s.key)
	m.Write([]byte(p))
	return base64.RawURLEncoding.EncodeToString(m.Sum(nil))
}

// open puts what h says into ctx, or returns errs.Unauthenticated.
func (s sealer) open(ctx context.Context, h map[string]string) (context.Context, Caller, error) {
	if t := h[headerTrace]; t != "" {
		ctx = WithTrace(ctx, t)
	}
	p, mac, ok := strings.Cut(h[headerCaller], ".")
	if !ok || !hmac.Equal([]byte(mac), []byte(s.mac(p))) {
		return ctx, Caller{}, errs.New(errs.Unauthenticated, "the call carries no valid subject")
	}
	b, err := base64.RawURLEncoding.DecodeString(p)
	if err != nil {
		return ctx, Caller{}, errs.New(errs.Unauthenticated, "the call carries no valid subject")
	}
	var c sealed
	if err := json.Unmarshal(b, &c); err != nil || time.Now().Unix() > c.Expires {
		return ctx, Caller{}, errs.New(errs.Unauthenticated, "the subject of the call has expired")
	}
	return WithCaller(ctx, c.Caller), c.Caller, nil
}
