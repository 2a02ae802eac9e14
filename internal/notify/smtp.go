package notify

import (
	"context"
	"errors"
	"net"
	netmail "net/mail"
	"net/url"
	"strconv"
	"strings"
	"time"

	gomail "github.com/wneessen/go-mail"

	"tutti/api"
	"tutti/errs"
	"tutti/id"
)

// Config names the mail server. The zero Config has none.
type Config struct {
	// SMTP is "smtp://user:password@host:587", with STARTTLS, which only a server on this machine may
	// do without; or "smtps://user:password@host:465". User and password may be left out.
	SMTP string
	// From is the sender of all mails: "tutti@example.org", or "Tutti <tutti@example.org>".
	From string
	// Timeout bounds the conversation about one mail; 0 is 30 s.
	Timeout time.Duration
	// Retry is how long to wait after the first failed try; it doubles up to an hour. 0 is 5 s.
	Retry time.Duration
}

// server is the mail server to hand mails to.
type server struct {
	host    string
	options []gomail.Option
	from    *netmail.Address
	domain  string // of from, for message IDs
	timeout time.Duration
	retry   time.Duration
}

func newServer(c Config) (*server, error) {
	if c.SMTP == "" {
		return nil, nil
	}
	bad := errs.New(errs.Invalid, "the address of the mail server is not of the form smtp://user:password@host:port").
		WithHint("use smtp:// for STARTTLS or smtps:// for TLS from the start; escape special characters of the password as in URLs")
	u, err := url.Parse(c.SMTP)
	if err != nil || u.Hostname() == "" || u.Scheme != "smtp" && u.Scheme != "smtps" || strings.Trim(u.Path, "/") != "" || u.RawQuery != "" {
		return nil, bad // without the cause, which quotes the password
	}
	s := &server{host: u.Hostname(), timeout: c.Timeout, retry: c.Retry}
	if s.timeout <= 0 {
		s.timeout = 30 * time.Second
	}
	if s.retry <= 0 {
		s.retry = 5 * time.Second
	}
	if s.from, err = netmail.ParseAddress(c.From); err != nil {
		return nil, errs.New(errs.Invalid, "the sender of mails, %q, is not a mail address", c.From).WithHint("write it as tutti@example.org")
	}
	if err := checkAddress(s.from.Address); err != nil {
		return nil, err
	}
	_, s.domain, _ = strings.Cut(s.from.Address, "@")
	port, policy := 587, gomail.TLSMandatory
	if u.Scheme == "smtps" {
		port = 465
		s.options = append(s.options, gomail.WithSSL())
	} else if loopback(s.host) {
		policy = gomail.TLSOpportunistic
	}
	if p := u.Port(); p != "" {
		if port, err = strconv.Atoi(p); err != nil || port < 1 || port > 65535 {
			return nil, bad
		}
	}
	s.options = append(s.options, gomail.WithPort(port), gomail.WithTLSPolicy(policy), gomail.WithTimeout(s.timeout))
	if user := u.User.Username(); user != "" {
		password, _ := u.User.Password()
		s.options = append(s.options, gomail.WithSMTPAuth(gomail.SMTPAuthAutoDiscover), gomail.WithUsername(user), gomail.WithPassword(password))
	}
	return s, nil
}

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// checkAddress refuses all but a bare address.
func checkAddress(a string) error {
	p, err := netmail.ParseAddress(a)
	if err != nil || p.Address != a || p.Name != "" || len(a) > 254 || strings.ContainsFunc(a, func(r rune) bool { return r <= ' ' || r == 0x7f || r == '<' || r == '>' || r == '"' }) {
		return errs.New(errs.Invalid, "%.100q is not a mail address", a).WithHint("write it as anna@example.org")
	}
	return nil
}

// send hands a mail for one recipient to the server.
func (s *server) send(ctx context.Context, m api.Message, to string) error {
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	msg := gomail.NewMsg()
	msg.FromMailAddress(s.from)
	if err := msg.To(to); err != nil {
		return err
	}
	msg.Subject(m.Subject)
	msg.SetDateWithValue(m.Created)
	msg.SetMessageIDWithValue(m.ID + "@" + s.domain) // the same on every try
	msg.SetGenHeader("Auto-Submitted", "auto-generated")
	if id.ValidTrace(m.Trace) {
		msg.SetGenHeader("X-Tutti-Trace", m.Trace)
	}
	msg.SetBodyString(gomail.TypeTextPlain, m.Text)
	c, err := gomail.NewClient(s.host, s.options...)
	if err != nil {
		return err
	}
	err = c.DialAndSendWithContext(ctx, msg)
	if msg.IsDelivered() {
		return nil // the server has it, however badly it said good-bye
	}
	return err
}

// permanent reports whether the server refused the mail for good. A server that does not let us log
// in refuses us, not the mail.
func permanent(err error) bool {
	se, ok := errors.AsType[*gomail.SendError](err)
	if !ok || se.IsTemp() {
		return false
	}
	code := se.ErrorCode()
	return code >= 500 && code < 600 && code != 530 && code != 534 && code != 535 && code != 538
}
