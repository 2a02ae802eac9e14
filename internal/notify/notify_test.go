package notify_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/mail"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/emersion/go-smtp"
	"github.com/google/go-cmp/cmp"

	"tutti/api"
	"tutti/bus"
	"tutti/errs"
	"tutti/internal/notify"
	"tutti/internal/service/servicetest"
)

const trace = "0af7651916cd43dd8448eb211c80319c"

// sink is an SMTP server that does what script says about each recipient.
type sink struct {
	addr string
	mu   sync.Mutex
	// script holds what to answer to the next tries for an address; nil takes the mail.
	script map[string][]error
	got    []delivery
	tries  map[string]int
}

type delivery struct {
	to  string
	msg *mail.Message
	raw string
}

// hang is what a server does that never answers.
var hang = &smtp.SMTPError{Code: 1}

func newSink(t *testing.T) *sink {
	t.Helper()
	s := &sink{script: map[string][]error{}, tries: map[string]int{}}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s.addr = l.Addr().String()
	srv := smtp.NewServer(smtp.BackendFunc(func(*smtp.Conn) (smtp.Session, error) { return &session{sink: s, ctx: t.Context()}, nil }))
	srv.Domain = "sink.test"
	done := make(chan struct{})
	go func() { defer close(done); _ = srv.Serve(l) }()
	t.Cleanup(func() { _ = srv.Close(); <-done })
	return s
}

type session struct {
	sink *sink
	ctx  context.Context
	to   string
}

func (s *session) Mail(string, *smtp.MailOptions) error { return nil }
func (s *session) Reset()                               {}
func (s *session) Logout() error                        { return nil }

func (s *session) Rcpt(to string, _ *smtp.RcptOptions) error {
	s.to = to
	s.sink.mu.Lock()
	s.sink.tries[to]++
	var answer error
	if todo := s.sink.script[to]; len(todo) > 0 {
		answer, s.sink.script[to] = todo[0], todo[1:]
	}
	s.sink.mu.Unlock()
	if answer == hang {
		<-s.ctx.Done()
	}
	return answer
}

func (s *session) Data(r io.Reader) error {
	b, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	m, err := mail.ReadMessage(strings.NewReader(string(b)))
	if err != nil {
		return err
	}
	s.sink.mu.Lock()
	defer s.sink.mu.Unlock()
	s.sink.got = append(s.sink.got, delivery{s.to, m, string(b)})
	return nil
}

func (s *sink) deliveries() []delivery {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]delivery{}, s.got...)
}

type world struct {
	*servicetest.Env
	sink *sink
}

func (w *world) config() notify.Config {
	return notify.Config{SMTP: "smtp://" + w.sink.addr, From: "Tutti <tutti@example.org>", Timeout: 10 * time.Second, Retry: 10 * time.Millisecond}
}

func caller(t *testing.T) context.Context {
	return bus.WithTrace(servicetest.As(t, "user:anna", "*", api.Operator), trace)
}

func (w *world) send(t *testing.T, in api.SendIn) (api.Message, error) {
	in.Namespace = "default"
	return api.SendMail.Call(caller(t), w.Deps.Bus, in)
}

func (w *world) mustSend(t *testing.T, key string, to ...string) api.Message {
	t.Helper()
	m, err := w.send(t, api.SendIn{Key: key, To: to, Subject: "Your VM is ready: ä", Text: "line one\n.\nline two"})
	if err != nil {
		t.Fatalf("SendMail: %v", err)
	}
	return m
}

func (w *world) list(t *testing.T) []api.Message {
	t.Helper()
	p, err := api.ListMessages.Call(caller(t), w.Deps.Bus, api.ListMessagesIn{NS: api.NS{Namespace: "default"}})
	if err != nil {
		t.Fatal(err)
	}
	return p.Items
}

// await waits, in real time since it is another machine's turn, until a mail is in a state.
func (w *world) await(t *testing.T, id string, is func(api.Message) bool) api.Message {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); time.Sleep(time.Millisecond) { // sleep: a real SMTP server answers in real time
		for _, m := range w.list(t) {
			if m.ID == id && is(m) {
				return m
			}
		}
	}
	t.Fatalf("mails after 20 s: %+v", w.list(t))
	return api.Message{}
}

func ended(m api.Message) bool { return m.State.Ended() }

func TestSend(t *testing.T) {
	t.Parallel()
	servicetest.Both(t, "notify", notify.Migrations, func(t *testing.T, e *servicetest.Env) {
		w := &world{e, newSink(t)}
		e.Start(t, notify.New(w.config()), api.ListMessages)
		m := w.mustSend(t, "k1", "anna@example.org", "ben@example.org", "anna@example.org")
		if m.State != api.Pending || m.Trace != trace {
			t.Errorf("SendMail = %+v; want it pending", m)
		}
		if again := w.mustSend(t, "k1", "anna@example.org", "ben@example.org"); again.ID != m.ID {
			t.Errorf("the same key gave %s; want %s", again.ID, m.ID)
		}
		if _, err := w.send(t, api.SendIn{Key: "k1", To: []string{"eve@example.org"}, Subject: "x"}); !errs.Is(err, errs.Conflict) {
			t.Errorf("the key for another mail: %v; want conflict", err)
		}
		if got := w.await(t, m.ID, ended); got.State != api.Succeeded || got.Tries != 1 || got.Sent.IsZero() || got.Error != "" {
			t.Errorf("the mail became %+v", got)
		}
		got := w.sink.deliveries()
		if len(got) != 2 || got[0].to != "anna@example.org" || got[1].to != "ben@example.org" {
			t.Fatalf("%d mails came; want one each for anna and ben", len(got))
		}
		h := got[0].msg.Header
		for name, want := range map[string]string{"X-Tutti-Trace": trace, "Message-Id": "<" + m.ID + "@example.org>", "From": `"Tutti" <tutti@example.org>`, "To": "<anna@example.org>", "Auto-Submitted": "auto-generated"} {
			if h.Get(name) != want {
				t.Errorf("%s: %q; want %q", name, h.Get(name), want)
			}
		}
		body, _ := io.ReadAll(got[0].msg.Body)
		if !strings.Contains(string(body), "line one\r\n.\r\nline two") || !strings.HasPrefix(h.Get("Subject"), "=?UTF-8?") {
			t.Errorf("subject %q, body %q", h.Get("Subject"), body)
		}
		if acts := e.Acts(t); len(acts) != 1 || acts[0] != "user:anna mail.send "+m.ID {
			t.Errorf("audit = %q; want one mail.send", acts)
		}
	})
}

func TestServerThatFails(t *testing.T) {
	t.Parallel()
	w := &world{servicetest.SQLite(t, "notify", notify.Migrations), newSink(t)}
	busy := &smtp.SMTPError{Code: 451, EnhancedCode: smtp.EnhancedCode{4, 3, 0}, Message: "try later"}
	gone := &smtp.SMTPError{Code: 550, EnhancedCode: smtp.EnhancedCode{5, 1, 1}, Message: "no such user"}
	w.sink.script = map[string][]error{"busy@example.org": {busy, busy, busy}, "gone@example.org": {gone}}
	w.Start(t, notify.New(w.config()), api.ListMessages)

	if m := w.await(t, w.mustSend(t, "", "busy@example.org").ID, ended); m.State != api.Succeeded || m.Tries != 4 || m.Error != "" {
		t.Errorf("after three 4xx the mail is %+v; want it sent at the fourth try", m)
	}
	if m := w.await(t, w.mustSend(t, "", "gone@example.org").ID, ended); m.State != api.Failed || m.Tries != 1 || !strings.Contains(m.Error, "gone@example.org") || !strings.Contains(m.Error, "no such user") || !m.Sent.IsZero() {
		t.Errorf("after a 5xx the mail is %+v; want it failed at once, with the reason", m)
	}
	// One bad address and one busy one keep the mail from nobody else, and nobody gets it twice.
	w.sink.mu.Lock()
	w.sink.script = map[string][]error{"busy2@example.org": {busy, busy}, "gone@example.org": {gone}}
	w.sink.mu.Unlock()
	m := w.await(t, w.mustSend(t, "", "first@example.org", "gone@example.org", "busy2@example.org", "last@example.org").ID, ended)
	if m.State != api.Failed || strings.Contains(m.Error, "busy2") || m.Sent.IsZero() {
		t.Errorf("a mail with one bad address is %+v", m)
	}
	count := map[string]int{}
	ids := map[string]bool{}
	for _, d := range w.sink.deliveries() {
		count[d.to]++
		ids[d.msg.Header.Get("Message-Id")] = true
	}
	want := map[string]int{"busy@example.org": 1, "first@example.org": 1, "busy2@example.org": 1, "last@example.org": 1}
	if diff := cmp.Diff(want, count); diff != "" {
		t.Errorf("deliveries (-want +got):\n%s", diff)
	}
	if len(ids) != 2 {
		t.Errorf("%d message IDs for 2 mails that came; want one a mail", len(ids))
	}
}

func TestServerThatHangsOrIsAway(t *testing.T) {
	t.Parallel()
	w := &world{servicetest.SQLite(t, "notify", notify.Migrations), newSink(t)}
	w.sink.script["slow@example.org"] = []error{hang}
	c := w.config()
	c.Timeout = 500 * time.Millisecond
	stop := w.Start(t, notify.New(c), api.ListMessages)
	m := w.mustSend(t, "", "slow@example.org")
	if m := w.await(t, m.ID, ended); m.State != api.Succeeded || m.Tries != 2 {
		t.Errorf("after a server that hung the mail is %+v; want it sent at the second try", m)
	}
	stop()

	c.SMTP = "smtp://user:hunter2@" + closedPort(t)
	stop = w.Start(t, notify.New(c), api.ListMessages)
	m = w.mustSend(t, "", "anna@example.org")
	m = w.await(t, m.ID, func(m api.Message) bool { return m.Tries > 1 && m.Error != "" })
	if m.State != api.Pending || strings.Contains(m.Error, "hunter2") {
		t.Errorf("without a server the mail is %+v; want it pending, with the reason and no password", m)
	}
	stop()
	w.Start(t, notify.New(w.config()), api.ListMessages)
	if m := w.await(t, m.ID, ended); m.State != api.Succeeded {
		t.Errorf("once the server is back the mail is %+v", m)
	}
}

// closedPort returns an address that refuses connections until the test ends: its port is taken by a
// socket that does not listen, so that nobody else gets it.
func closedPort(t *testing.T) string {
	t.Helper()
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = syscall.Close(fd) })
	if err := syscall.Bind(fd, &syscall.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		t.Fatal(err)
	}
	a, err := syscall.Getsockname(fd)
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("127.0.0.1:%d", a.(*syscall.SockaddrInet4).Port)
}

func TestRemoteServerNeedsTLS(t *testing.T) {
	t.Parallel()
	w := &world{servicetest.SQLite(t, "notify", notify.Migrations), newSink(t)}
	c := w.config()
	_, port, _ := net.SplitHostPort(w.sink.addr)
	c.SMTP = "smtps://127.0.0.1:" + port
	c.Timeout = 2 * time.Second
	w.Start(t, notify.New(c), api.ListMessages)
	m := w.await(t, w.mustSend(t, "", "anna@example.org").ID, func(m api.Message) bool { return m.Error != "" })
	if m.State != api.Pending || len(w.sink.deliveries()) != 0 {
		t.Errorf("a server without TLS got the mail: %+v", m)
	}
}

func TestNoServer(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := &world{Env: servicetest.SQLite(t, "notify", notify.Migrations)}
		w.Start(t, notify.New(notify.Config{}), api.ListMessages)
		for range 3 {
			w.mustSend(t, "", "anna@example.org")
		}
		time.Sleep(time.Hour)
		got := w.list(t)
		if len(got) != 3 || got[0].State != api.Pending || got[0].Error != "no mail server is configured" {
			t.Errorf("ListMessages = %+v; want 3 that wait for a server", got)
		}
		p, err := api.ListMessages.Call(caller(t), w.Deps.Bus, api.ListMessagesIn{NS: api.NS{Namespace: "default"}, Paging: api.Paging{Limit: 2}, Trace: trace})
		if err != nil || len(p.Items) != 2 || p.Cursor == "" {
			t.Fatalf("a page of 2 = %+v, %v", p, err)
		}
		p, err = api.ListMessages.Call(caller(t), w.Deps.Bus, api.ListMessagesIn{NS: api.NS{Namespace: "default"}, Paging: api.Paging{Limit: 2, Cursor: p.Cursor}})
		if err != nil || len(p.Items) != 1 || p.Cursor != "" || p.Items[0].ID != got[2].ID {
			t.Errorf("the next page = %+v, %v; want the oldest", p, err)
		}
		other, err := api.ListMessages.Call(caller(t), w.Deps.Bus, api.ListMessagesIn{NS: api.NS{Namespace: "other"}})
		if err != nil || len(other.Items) != 0 {
			t.Errorf("mails of another namespace = %+v, %v", other, err)
		}
	})
}

func TestHostileMails(t *testing.T) {
	t.Parallel()
	w := &world{Env: servicetest.SQLite(t, "notify", notify.Migrations)}
	w.Start(t, notify.New(notify.Config{}), api.ListMessages)
	ok := []string{"anna@example.org"}
	var many []string
	for i := range 51 {
		many = append(many, fmt.Sprintf("a%d@b.c", i))
	}
	for name, in := range map[string]api.SendIn{
		"nobody":               {Subject: "x"},
		"too many":             {To: many, Subject: "x"},
		"no address":           {To: []string{"anna"}, Subject: "x"},
		"a name":               {To: []string{"Anna <anna@example.org>"}, Subject: "x"},
		"two in one":           {To: []string{"a@b.c, d@e.f"}, Subject: "x"},
		"a header in address":  {To: []string{"a@b.c\r\nBcc: d@e.f"}, Subject: "x"},
		"an SMTP command":      {To: []string{"a@b.c>\r\nDATA"}, Subject: "x"},
		"quoted":               {To: []string{"\"a b\"@b.c"}, Subject: "x"},
		"no subject":           {To: ok},
		"a header in subject":  {To: ok, Subject: "x\r\nBcc: d@e.f"},
		"a bare line feed":     {To: ok, Subject: "x\nBcc: d@e.f"},
		"a long subject":       {To: ok, Subject: strings.Repeat("x", 501)},
		"NUL":                  {To: ok, Subject: "x", Text: "\x00"},
		"a text beyond bounds": {To: ok, Subject: "x", Text: strings.Repeat("x", 257<<10)},
	} {
		if _, err := w.send(t, in); !errs.Is(err, errs.Invalid) {
			t.Errorf("%s: %v; want invalid", name, err)
		}
	}
	if got := w.list(t); len(got) != 0 {
		t.Errorf("something was stored: %+v", got)
	}
}

func TestConfig(t *testing.T) {
	t.Parallel()
	e := servicetest.SQLite(t, "notify", notify.Migrations)
	for _, c := range []notify.Config{
		{SMTP: "mail.example.org:25", From: "a@b.c"}, {SMTP: "http://mail.example.org", From: "a@b.c"}, {SMTP: "smtp://", From: "a@b.c"},
		{SMTP: "smtp://u:hunter2@h:port", From: "a@b.c"}, {SMTP: "smtp://u:hunter2@h:99999", From: "a@b.c"}, {SMTP: "smtp://u:hunter2%zz@h", From: "a@b.c"},
		{SMTP: "smtp://h", From: ""}, {SMTP: "smtp://h", From: "a@b.c\r\nBcc: x@y.z"},
	} {
		if _, err := notify.New(c)(e.Deps); !errs.Is(err, errs.Invalid) || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("New(%+v) = %v; want invalid without the password", c, err)
		}
	}
}
