package mailtask_test

import (
	"context"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"tutti/api"
	"tutti/bus"
	"tutti/bus/bustest"
	"tutti/bus/membus"
	"tutti/errs"
	"tutti/internal/task/mailtask"
	"tutti/internal/task/tasktest"
)

// notify is a service that keeps mails by key.
type notify struct {
	mu    sync.Mutex
	mails map[string]api.SendIn
}

func setup(t *testing.T) (*notify, *bus.Bus) {
	t.Helper()
	n, b := &notify{mails: map[string]api.SendIn{}}, bustest.Bus(&membus.Bus{})
	if err := api.SendMail.Handle(t.Context(), b, func(_ context.Context, in api.SendIn) (api.Message, error) {
		n.mu.Lock()
		defer n.mu.Unlock()
		if in.Key == "" {
			return api.Message{}, errs.New(errs.Invalid, "no key")
		}
		n.mails[in.Key] = in
		return api.Message{ID: "mail_" + in.Key}, nil
	}); err != nil {
		t.Fatal(err)
	}
	return n, b
}

func asRun(ctx context.Context) context.Context {
	return bus.WithCaller(ctx, bus.Caller{Subject: "run:run_1", Grants: []bus.Grant{{Namespace: "default", Role: "operator"}}})
}

func TestSuite(t *testing.T) {
	t.Parallel()
	_, b := setup(t)
	m := func(to, subject any) map[string]any {
		return map[string]any{"to": to, "subject": subject, "text": "hello"}
	}
	tasktest.Run(t, mailtask.New(b), tasktest.Cases{
		Context: asRun,
		Good:    []tasktest.Case{{With: m("a@example.com", "Hi")}, {With: m([]string{"a@example.com", "Anna B <b@example.com>"}, "Hi")}},
		Bad: []tasktest.Case{
			{With: m("", "Hi")}, {With: m([]string{}, "Hi")}, {With: m("nobody", "Hi")}, {With: m(7, "Hi")}, {With: m("a@example.com,", "Hi")},
			{With: m("a@example.com\r\nBcc: x@example.com", "Hi")}, {With: m("a@example.com", "Hi\r\nBcc: x@example.com")}, {With: m("a@example.com", "")},
		},
	})
}

func TestSends(t *testing.T) {
	t.Parallel()
	n, b := setup(t)
	typ := mailtask.New(b)
	a := tasktest.NewTry(t, typ, map[string]any{"to": "a@example.com, Anna <b@example.com>,a@example.com", "subject": "Grüße", "text": "hello"})
	a.Out(asRun(t.Context()), t, typ, nil)
	want := api.SendIn{NS: api.NS{Namespace: "default"}, Key: a.Key, To: []string{"a@example.com", "b@example.com"}, Subject: "Grüße", Text: "hello"}
	if diff := cmp.Diff(want, n.mails[a.Key]); diff != "" {
		t.Errorf("mail (-want +got):\n%s", diff)
	}
	elsewhere := bus.WithCaller(t.Context(), bus.Caller{Subject: "run:run_2", Grants: []bus.Grant{{Namespace: "other", Role: "operator"}}})
	f := tasktest.NewTry(t, typ, map[string]any{"to": "a@example.com", "subject": "Hi"}).Fails(elsewhere, t, typ)
	tasktest.Declared(t, typ, f)
	if f.Type != "denied" {
		t.Errorf("failure = %+v; want denied", f)
	}
}
