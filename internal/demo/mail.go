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
type letter struct {
	From    string
	To      []string
	Subject string
	Text    string
	File    string // where it is kept
}

// mailbox is a mail server that keeps what it gets, each mail as a file in its folder.
type mailbox struct {
	dir      string
	listener net.Listener

	mu     sync.Mutex
	got    []letter
	listen func(letter) // called with each mail; nil is not called
}

// openMailbox listens on a free port.
func openMailbox(ctx context.Context, dir string) (*mailbox, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("make the mailbox: %w", err)
	}
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("open the mail server: %w", err)
	}
	return &mailbox{dir: dir, listener: l}, nil
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
func (b *mailbox) keep(from string, to []string, raw []byte) error {
	l := read(raw)
	l.From, l.To = from, to
	b.mu.Lock()
	defer b.mu.Unlock()
	l.File = filepath.Join(b.dir, fmt.Sprintf("%s-%03d.eml", time.Now().UTC().Format("20060102-150405"), len(b.got)+1))
	if err := os.WriteFile(l.File, raw, 0o600); err != nil {
		return err
	}
	b.got = append(b.got, l)
	if b.listen != nil {
		b.listen(l)
	}
	return nil
}

// read returns the subject and the text of a mail, as far as they can be read.
func read(raw []byte) (l letter) {
	m, err := mail.ReadMessage(bytes.NewReader(raw))
	if err != nil {
		return l
	}
	l.Subject = m.Header.Get("Subject")
	if s, err := new(mime.WordDecoder).DecodeHeader(l.Subject); err == nil {
		l.Subject = s
	}
	if b, err := io.ReadAll(m.Body); err == nil {
		l.Text = string(b)
	}
	return l
}

// session is one connection.
type session struct {
	box  *mailbox
	from string
	to   []string
}

var _ smtp.Session = (*session)(nil)

// Mail begins a mail.
func (s *session) Mail(from string, _ *smtp.MailOptions) error {
	s.from = from
	return nil
}

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
	return s.box.keep(s.from, s.to, raw)
}

// Reset forgets the mail that was begun.
func (s *session) Reset() { s.from, s.to = "", nil }

// Logout ends the connection.
func (s *session) Logout() error { return nil }

// names lists recipients.
func (l letter) names() string { return strings.Join(l.To, ", ") }
