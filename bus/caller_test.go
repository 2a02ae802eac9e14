package bus_test

import (
	"context"
	"encoding/base64"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"tutti/bus"
	"tutti/bus/membus"
	"tutti/errs"
)

// tap is a carrier that keeps what the last call carried.
type tap struct {
	bus.Conn
	last bus.Msg
}

func (c *tap) Request(ctx context.Context, m bus.Msg) ([]byte, error) {
	c.last = m
	return c.Conn.Request(ctx, m)
}

type asks struct{ Namespace string }

func (a asks) Scope() string { return a.Namespace }

var look = bus.Method[asks, string]{Name: "thing.look", Doc: "Look at a thing."}

// Whoever can reach the carrier can send a message; a handler runs only for one with a subject that this
// installation signed a moment ago, unchanged.
func TestSubjectOfCalls(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := &tap{Conn: &membus.Bus{}}
		b := bus.New(c, []byte("the key"), func(bus.Caller, string, string) error { return nil })
		ran := 0
		if err := look.Handle(t.Context(), b, func(context.Context, asks) (string, error) { ran++; return "seen", nil }); err != nil {
			t.Fatal(err)
		}
		anna := bus.WithCaller(t.Context(), bus.Caller{Subject: "user:anna", Grants: []bus.Grant{{Namespace: "a", Role: "viewer"}}})
		if _, err := look.Call(anna, b, asks{"a"}); err != nil || ran != 1 {
			t.Fatalf("Call = %v, and the handler ran %d times; want once", err, ran)
		}
		good := c.last
		payload, mac, _ := strings.Cut(good.Header["Caller"], ".")
		raw, err := base64.RawURLEncoding.DecodeString(payload)
		if err != nil {
			t.Fatal(err)
		}
		encode := func(s string) string { return base64.RawURLEncoding.EncodeToString([]byte(s)) }
		other := &tap{Conn: &membus.Bus{}}
		_, _ = look.Call(anna, bus.New(other, []byte("another key"), nil), asks{"a"}) // nobody answers there
		for name, header := range map[string]map[string]string{
			"none":                      nil,
			"empty":                     {"Caller": ""},
			"no signature":              {"Caller": payload},
			"an empty signature":        {"Caller": payload + "."},
			"another subject":           {"Caller": encode(strings.Replace(string(raw), "user:anna", "user:olga", 1)) + "." + mac},
			"more rights":               {"Caller": encode(strings.Replace(string(raw), "viewer", "system", 1)) + "." + mac},
			"a later end":               {"Caller": encode(strings.Replace(string(raw), `"e":`, `"e":9`, 1)) + "." + mac},
			"signed with another key":   {"Caller": other.last.Header["Caller"]},
			"nothing that can be read":  {"Caller": "%%%." + mac},
			"the signature of the text": {"Caller": mac + "." + payload},
		} {
			if _, err := c.Conn.Request(t.Context(), bus.Msg{Subject: good.Subject, Header: header, Data: good.Data}); !errs.Is(err, errs.Unauthenticated) {
				t.Errorf("a call with %s = %v; want it refused as unauthenticated", name, err)
			}
		}
		if _, err := c.Conn.Request(t.Context(), good); err != nil || ran != 2 {
			t.Errorf("the same call at once = %v after %d calls of the handler; want it answered", err, ran)
		}
		time.Sleep(3 * time.Minute)
		if _, err := c.Conn.Request(t.Context(), good); !errs.Is(err, errs.Unauthenticated) || ran != 2 {
			t.Errorf("the same call 3 minutes later = %v after %d calls of the handler; want it refused as unauthenticated", err, ran)
		}
	})
}
