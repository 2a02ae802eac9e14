package demo

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"mime"
	"net"
	"net/mail"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/emersion/go-smtp"
)

// maxMail bounds a mail, in bytes.
const maxMail = 1 << 20

// letter is a mail that arrived.
type letter struct{ To, Subject, Trace string }

// delivered is the header that says who got a mail; it is the mailbox that writes it.
const delivered = "Delivered-To"

// mailbox is a mail server that keeps what it gets, each mail as a file in its folder.
type mailbox struct {
	dir      string
	listener net.Listener

	mu     sync.Mutex
	got    []letter
	listen func(letter) // called with each mail; nil is not called
}

// openMailbox listens on a free port, and finds what arrived before.
func openMailbox(ctx context.Context, dir string) (*mailbox, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("make the mailbox: %w", err)
	}
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("open the mail server: %w", err)
	}
	b := &mailbox{dir: dir, listener: l}
	files, err := filepath.Glob(filepath.Join(dir, "*.eml"))
	if err != nil {
		return nil, fmt.Errorf("read the mailbox: %w", err)
	}
	for _, name := range files { // in the order they came, by their names
		raw, err := os.ReadFile(name)
		if err != nil {
			return nil, fmt.Errorf("read the mailbox: %w", err)
		}
		b.got = append(b.got, read(raw))
	}
	return b, nil
}

// url is where mail is taken.
func (b *mailbox) url() string { return "smtp://" + b.listener.Addr().String() }

// run takes mail until ctx ends.
func (b *mailbox) run(ctx context.Context) error {
	s := smtp.NewServer(smtp.BackendFunc(func(*smtp.Conn) (smtp.Session, error) { return &session{box: b}, nil }))
	s.Domain, s.MaxMessageBytes, s.MaxRecipients = "demo.localhost", maxMail, 100
	s.ReadTimeout, s.WriteTimeout = time.Minute, time.Minute
	s.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError) // a client that went away is no news here
	stop := context.AfterFunc(ctx, func() { _ = s.Close() })             // whoever sends will send again
	defer stop()
	if err := s.Serve(b.listener); err != nil && !errors.Is(err, smtp.ErrServerClosed) && ctx.Err() == nil {
		return fmt.Errorf("mail server: %w", err)
	}
	return nil
}

// onMail has f called with each mail from now on.
func (b *mailbox) onMail(f func(letter)) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.listen = f
}

// letters returns what arrived, oldest first.
func (b *mailbox) letters() []letter {
	b.mu.Lock()
	defer b.mu.Unlock()
	return append([]letter{}, b.got...)
}

// keep stores a mail.
func (b *mailbox) keep(to []string, raw []byte) error {
	raw = append([]byte(delivered+": "+strings.Join(to, ", ")+"\r\n"), raw...)
	l := read(raw)
	b.mu.Lock()
	defer b.mu.Unlock()
	name := fmt.Sprintf("%s-%04d.eml", time.Now().UTC().Format("20060102-150405"), len(b.got)+1)
	if err := os.WriteFile(filepath.Join(b.dir, name), raw, 0o600); err != nil {
		return err
	}
	b.got = append(b.got, l)
	if b.listen != nil {
		b.listen(l)
	}
	return nil
}

// read returns a mail that was kept, as far as it can be read.
func read(raw []byte) (l letter) {
	m, err := mail.ReadMessage(bytes.NewReader(raw))
	if err != nil {
		return l
	}
	l.To, l.Subject, l.Trace = m.Header.Get(delivered), m.Header.Get("Subject"), m.Header.Get("X-Tutti-Trace")
	if s, err := new(mime.WordDecoder).DecodeHeader(l.Subject); err == nil {
		l.Subject = s
	}
	return l
}

// session is one connection.
type session struct {
	box *mailbox
	to  []string
}

var _ smtp.Session = (*session)(nil)

// Mail begins a mail.
func (s *session) Mail(string, *smtp.MailOptions) error { return nil }

// Rcpt adds a recipient.
func (s *session) Rcpt(to string, _ *smtp.RcptOptions) error {
	s.to = append(s.to, to)
	return nil
}

// Data takes the mail.
func (s *session) Data(r io.Reader) error {
	raw, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	return s.box.keep(s.to, raw)
}

// Reset forgets the mail that was begun.
func (s *session) Reset() { s.to = nil }

// Logout ends the connection.
func (s *session) Logout() error { return nil }
