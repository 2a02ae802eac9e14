// Package notify sends mail. A mail is accepted when it is stored, and sent after: each recipient
// once, again and again until the mail server takes or finally refuses it.
//
// It owns the table notify_mails, answers notify.send and notify.list, and publishes no events. After
// a crash a recipient may get a mail twice; both have the same Message-ID, by which mail programs show
// one. Without a mail server mails stay pending and say so.
package notify

import (
	"context"
	"embed"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"tutti/api"
	"tutti/bus"
	"tutti/errs"
	"tutti/id"
	"tutti/internal/service"
	"tutti/internal/store"
)

// Migrations are those of the table above.
//
//go:embed migrations
var Migrations embed.FS

// Service is the notification service.
type Service struct {
	db     *store.DB
	bus    *bus.Bus
	log    *slog.Logger
	server *server // nil without a mail server
	added  chan struct{}
}

// New returns what builds the service, or an error about c that never quotes its password.
func New(c Config) func(service.Deps) (service.Service, error) {
	return func(d service.Deps) (service.Service, error) {
		srv, err := newServer(c)
		return &Service{db: d.DB, bus: d.Bus, log: d.Log, server: srv, added: make(chan struct{}, 1)}, err
	}
}

// Run answers and sends until ctx ends.
func (s *Service) Run(ctx context.Context) error {
	err := errors.Join(
		api.SendMail.Handle(ctx, s.bus, s.send),
		api.ListMessages.Handle(ctx, s.bus, s.list),
	)
	if err != nil {
		return err
	}
	if s.server == nil {
		<-ctx.Done()
		return nil
	}
	return s.deliverAll(ctx)
}

const (
	maxRecipients = 50
	maxSubject    = 500       // characters
	maxText       = 256 << 10 // bytes
	// maxAnswer bounds the texts of a page, so that it fits into a message of the bus.
	maxAnswer = 4 << 20
)

// mail is a message as it is stored.
type mail struct {
	api.Message
	rest    []string // recipients still to be tried
	refused []string // "address: why"
	next    int64
}

// noServer is why mails wait where there is no mail server.
const noServer = "no mail server is configured"

// send stores a mail. The same key gives the same mail.
func (s *Service) send(ctx context.Context, in api.SendIn) (api.Message, error) {
	if err := check(&in); err != nil {
		return api.Message{}, err
	}
	now := time.Now().UTC().Truncate(time.Microsecond)
	m := mail{Message: api.Message{ID: id.New("mail"), Namespace: in.Namespace, To: in.To, Subject: in.Subject, Text: in.Text,
		Trace: bus.TraceFrom(ctx), State: api.Pending, Created: now}, rest: in.To, next: store.Micros(now)}
	if s.server == nil {
		m.Error = noServer
	}
	err := s.db.Tx(ctx, func(tx *store.Tx) error {
		added, err := insertMail(tx, m, in.Key, bus.Subject(ctx))
		if err != nil {
			return err
		}
		if !added {
			had, err := selectByKey(tx, in.Namespace, in.Key)
			if err == nil && (had.Subject != m.Subject || had.Text != m.Text || !slices.Equal(had.To, m.To)) {
				return errs.New(errs.Conflict, "the idempotency key %q was used for another mail, %s", in.Key, had.ID)
			}
			m = had
			return err
		}
		tx.AfterCommit(func() {
			select {
			case s.added <- struct{}{}:
			default:
			}
		})
		return tx.Audit(store.Act{Namespace: in.Namespace, Action: "mail.send", Object: m.ID, Detail: map[string]any{"to": m.To}})
	})
	if err != nil {
		return api.Message{}, err
	}
	return m.Message, nil
}

// check refuses what cannot be a mail, and anything that could smuggle a header in.
func check(in *api.SendIn) error {
	if in.Namespace == "" || in.Namespace == "*" {
		return errs.New(errs.Invalid, "a mail is of one namespace, not of %q", in.Namespace)
	}
	if len(in.To) == 0 || len(in.To) > maxRecipients {
		return errs.New(errs.Invalid, "the mail has %d recipients; it needs 1 to %d", len(in.To), maxRecipients)
	}
	var to []string
	for _, a := range in.To {
		if err := checkAddress(a); err != nil {
			return err
		}
		if !slices.Contains(to, a) {
			to = append(to, a)
		}
	}
	in.To = to
	if n := utf8.RuneCountInString(in.Subject); n == 0 || n > maxSubject || !utf8.ValidString(in.Subject) || strings.ContainsFunc(in.Subject, unicode.IsControl) {
		return errs.New(errs.Invalid, "the subject of the mail must be one line of 1 to %d characters", maxSubject)
	}
	if len(in.Text) > maxText || !utf8.ValidString(in.Text) || strings.Contains(in.Text, "\x00") {
		return errs.New(errs.Invalid, "the text of the mail has %d bytes; it must be text of at most %d", len(in.Text), maxText)
	}
	if len(in.Key) > 200 || !utf8.ValidString(in.Key) || strings.Contains(in.Key, "\x00") {
		return errs.New(errs.Invalid, "the idempotency key must be at most 200 bytes of text")
	}
	return nil
}

// list shows mails, newest first.
func (s *Service) list(ctx context.Context, in api.ListMessagesIn) (api.Page[api.Message], error) {
	p := api.Page[api.Message]{Items: []api.Message{}}
	from, err := store.ParseMark(in.Cursor)
	if err != nil {
		return p, err
	}
	size := 0
	err = s.selectPage(ctx, in.Namespace, in.Trace, from, in.Size()+1, func(m mail) bool {
		size += 2*len(m.Text) + 1000
		if n := len(p.Items); n > 0 && (n == in.Size() || size > maxAnswer) {
			last := p.Items[n-1]
			p.Cursor = store.At(last.Created, last.ID).String()
			return false
		}
		p.Items = append(p.Items, m.Message)
		return true
	})
	return p, err
}
