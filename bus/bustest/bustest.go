// Package bustest is the suite that every bus.Conn passes, and a Bus for tests.
package bustest

import (
	"context"
	"strings"
	"testing"

	"tutti/bus"
	"tutti/errs"
)

type msg struct{ N int }

type scoped struct{ Namespace string }

// Scope returns the namespace.
func (s scoped) Scope() string { return s.Namespace }

var (
	double = bus.Method[msg, msg]{Name: "test.double"}
	enter  = bus.Method[scoped, msg]{Name: "test.enter"}
	who    = bus.Method[msg, string]{Name: "test.who"}
	open   = bus.Method[msg, msg]{Name: "test.open", Perm: bus.Open}
	direct = bus.Method[scoped, msg]{Name: "test.direct", Direct: true}
)

// Bus returns a bus over c in which everybody may do everything in the namespaces it has a grant for.
func Bus(c bus.Conn) *bus.Bus {
	return bus.New(c, []byte("a key for tests"), func(c bus.Caller, perm, ns string) error {
		for _, g := range c.Grants {
			if ns == "" || g.Namespace == "*" || g.Namespace == ns {
				return nil
			}
		}
		return errs.New(errs.Denied, "%s may not %s in %q", c.Subject, perm, ns)
	})
}

// Run runs the suite against carriers that open returns.
func Run(t *testing.T, carrier func(*testing.T) bus.Conn) {
	ctx := func(t *testing.T) context.Context { return bus.AsService(t.Context(), "test") }
	twice := func(_ context.Context, m msg) (msg, error) { return msg{m.N * 2}, nil }

	t.Run("a method is answered", func(t *testing.T) {
		b := Bus(carrier(t))
		must(t, double.Handle(t.Context(), b, twice))
		got, err := double.Call(ctx(t), b, msg{21})
		if err != nil || got.N != 42 {
			t.Fatalf("Call = %v, %v; want 42", got, err)
		}
	})
	t.Run("an error keeps its kind, hint and problems, and loses its cause", func(t *testing.T) {
		b := Bus(carrier(t))
		must(t, double.Handle(t.Context(), b, func(context.Context, msg) (msg, error) {
			return msg{}, errs.New(errs.NotFound, "no run %q", "r1").WithHint("look").WithProblems(errs.Problem{Location: "a:1:2", Message: "x"})
		}))
		_, err := double.Call(ctx(t), b, msg{})
		e := errs.Public(err)
		if errs.KindOf(err) != errs.NotFound || e.Hint != "look" || len(e.Problems) != 1 || e.Problems[0].Location != "a:1:2" {
			t.Fatalf("error = %#v; want not_found with hint and problem", e)
		}
	})
	t.Run("an unclassified error and a panic say nothing", func(t *testing.T) {
		b := Bus(carrier(t))
		must(t, double.Handle(t.Context(), b, func(_ context.Context, m msg) (msg, error) {
			var p *msg
			return *p, nil
		}))
		_, err := double.Call(ctx(t), b, msg{})
		if errs.KindOf(err) != errs.Internal || err == nil {
			t.Fatalf("error = %v; want internal", err)
		}
	})
	t.Run("nobody answers", func(t *testing.T) {
		_, err := double.Call(ctx(t), Bus(carrier(t)), msg{})
		if errs.KindOf(err) != errs.Unavailable {
			t.Fatalf("KindOf(%v) = %q; want unavailable", err, errs.KindOf(err))
		}
	})
	t.Run("a handler ends with its context", func(t *testing.T) {
		b := Bus(carrier(t))
		hctx, cancel := context.WithCancel(t.Context())
		must(t, double.Handle(hctx, b, twice))
		if _, err := double.Call(ctx(t), b, msg{1}); err != nil {
			t.Fatal(err)
		}
		cancel()
		for {
			_, err := double.Call(ctx(t), b, msg{1})
			if errs.Is(err, errs.Unavailable) {
				return
			}
		}
	})
	t.Run("callers are checked", func(t *testing.T) {
		c := carrier(t)
		b := Bus(c)
		must(t, enter.Handle(t.Context(), b, func(context.Context, scoped) (msg, error) { return msg{1}, nil }))
		must(t, open.Handle(t.Context(), b, twice))
		must(t, who.Handle(t.Context(), b, func(ctx context.Context, _ msg) (string, error) {
			return bus.Subject(ctx) + " " + bus.TraceFrom(ctx), nil
		}))
		if _, err := enter.Call(t.Context(), b, scoped{"a"}); !errs.Is(err, errs.Unauthenticated) {
			t.Errorf("a call of nobody: %v; want unauthenticated", err)
		}
		if _, err := open.Call(t.Context(), b, msg{1}); err != nil {
			t.Errorf("an open method refused nobody: %v", err)
		}
		anna := bus.WithCaller(t.Context(), bus.Caller{Subject: "user:anna", Grants: []bus.Grant{{Namespace: "a", Role: "viewer"}}})
		if _, err := enter.Call(anna, b, scoped{"a"}); err != nil {
			t.Errorf("anna in a: %v", err)
		}
		if _, err := enter.Call(anna, b, scoped{"b"}); !errs.Is(err, errs.Denied) {
			t.Errorf("anna in b: %v; want denied", err)
		}
		forged := bus.New(c, []byte("another key"), nil)
		if _, err := enter.Call(anna, forged, scoped{"a"}); !errs.Is(err, errs.Unauthenticated) {
			t.Errorf("a forged caller: %v; want unauthenticated", err)
		}
		if got, err := who.Call(bus.WithTrace(anna, "t1"), b, msg{}); got != "user:anna t1" {
			t.Errorf("handler saw %q, %v; want the caller and the trace", got, err)
		}
	})
	t.Run("a direct method is checked and ends like any other", func(t *testing.T) {
		c := carrier(t)
		b := Bus(c)
		hctx, cancel := context.WithCancel(t.Context())
		must(t, direct.Handle(hctx, b, func(context.Context, scoped) (msg, error) { return msg{7}, nil }))
		anna := bus.WithCaller(t.Context(), bus.Caller{Subject: "user:anna", Grants: []bus.Grant{{Namespace: "a", Role: "viewer"}}})
		far := Bus(c) // as from another process
		for _, from := range []*bus.Bus{b, far} {
			if got, err := direct.Call(anna, from, scoped{"a"}); err != nil || got.N != 7 {
				t.Errorf("Call = %v, %v; want 7", got, err)
			}
			if _, err := direct.Call(anna, from, scoped{"b"}); !errs.Is(err, errs.Denied) {
				t.Errorf("anna in b: %v; want denied", err)
			}
			if _, err := direct.Call(t.Context(), from, scoped{"a"}); !errs.Is(err, errs.Unauthenticated) {
				t.Errorf("a call of nobody: %v; want unauthenticated", err)
			}
		}
		cancel()
		for {
			if _, err := direct.Call(anna, b, scoped{"a"}); errs.Is(err, errs.Unavailable) {
				return
			}
		}
	})
	t.Run("a wake-up reaches each subscriber", func(t *testing.T) {
		b := Bus(carrier(t))
		got := make(chan string, 8)
		must(t, b.OnWake(t.Context(), "wake.a", func() { got <- "exact" }))
		must(t, b.Subscribe(t.Context(), "wake.*", func(s string, _ []byte) { got <- "star " + s }))
		must(t, b.Subscribe(t.Context(), "wake.>", func(s string, _ []byte) { got <- "rest " + s }))
		b.Wake(t.Context(), "wake.a")
		all := []string{<-got, <-got, <-got}
		for _, want := range []string{"exact", "star wake.a", "rest wake.a"} {
			if !strings.Contains(strings.Join(all, ","), want) {
				t.Errorf("got %v; want %s among them", all, want)
			}
		}
	})
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
