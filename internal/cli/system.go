package cli

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net/http"
	"os"
	"runtime/debug"
	"strings"
	"time"

	"golang.org/x/term"

	"tutti/errs"
)

// System returns the configuration of a command run by a person or a script: the streams, arguments,
// environment and terminal of this process.
func System() Config {
	return Config{
		Args: os.Args[1:], Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr, Env: os.Getenv, Version: version(),
		Terminal: Terminal{
			In: term.IsTerminal(int(os.Stdin.Fd())), Out: term.IsTerminal(int(os.Stdout.Fd())), Err: term.IsTerminal(int(os.Stderr.Fd())),
			Size: terminalSize, Secret: readSecret,
		},
	}
}

// version returns the module version or commit the binary was built from.
func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return ""
	}
	revision, dirty := "", ""
	for _, s := range info.Settings {
		switch {
		case s.Key == "vcs.revision":
			revision = s.Value[:min(12, len(s.Value))]
		case s.Key == "vcs.modified" && s.Value == "true":
			dirty = "+dirty"
		}
	}
	if v := info.Main.Version; v != "" && v != "(devel)" {
		return v
	}
	if revision != "" {
		return "devel-" + revision + dirty
	}
	return ""
}

// terminalSize asks stdout, then stderr, since one of them may be a pipe.
func terminalSize() (int, int) {
	for _, f := range []*os.File{os.Stdout, os.Stderr} {
		if w, h, err := term.GetSize(int(f.Fd())); err == nil {
			return w, h
		}
	}
	return 0, 0
}

// readSecret reads a line from the terminal without showing it. When ctx ends first the terminal is
// put back as it was.
func readSecret(ctx context.Context) (string, error) {
	fd := int(os.Stdin.Fd())
	before, err := term.GetState(fd)
	if err != nil {
		return "", err
	}
	type answer struct {
		line []byte
		err  error
	}
	got := make(chan answer, 1)
	go func() { // ends with the process where ctx ends first: a read of a terminal cannot be stopped
		line, err := term.ReadPassword(fd)
		got <- answer{line, err}
	}()
	select {
	case a := <-got:
		return string(a.line), a.err
	case <-ctx.Done():
		_ = term.Restore(fd, before) // the process is ending
		return "", ctx.Err()
	}
}

// ask reads one line of stdin after a question on stderr.
func (l *line) ask(ctx context.Context, question string) (string, error) {
	fmt.Fprint(l.Stderr, question)
	if l.lines == nil {
		l.lines = bufio.NewReader(l.Stdin)
	}
	type answer struct {
		text string
		err  error
	}
	got := make(chan answer, 1)
	go func() { // as in readSecret
		text, err := l.lines.ReadString('\n')
		got <- answer{text, err}
	}()
	select {
	case a := <-got:
		if a.err != nil && (a.text == "" || a.err != io.EOF) {
			return "", usage("nobody answered: %v", a.err)
		}
		return strings.TrimRight(a.text, "\r\n"), nil
	case <-ctx.Done():
		return "", ctx.Err()
	}
}

// secret reads what must not be shown: on a terminal after a question, else all of stdin without the
// line break at its end.
func (l *line) secret(ctx context.Context, question string) (string, error) {
	if !l.Terminal.In {
		const most = 1 << 20
		b, err := io.ReadAll(io.LimitReader(l.Stdin, most))
		if err != nil {
			return "", fmt.Errorf("read stdin: %w", err)
		}
		return strings.TrimSuffix(strings.TrimSuffix(string(b), "\n"), "\r"), nil
	}
	if l.Terminal.Secret == nil {
		return l.ask(ctx, question)
	}
	fmt.Fprint(l.Stderr, question)
	defer fmt.Fprintln(l.Stderr)
	return l.Terminal.Secret(ctx)
}

// confirm asks before something that cannot be taken back; yes is the flag that answers it. In a
// protected context --yes counts only where --context names it.
func (l *line) confirm(ctx context.Context, yes bool, effect string) error {
	s, err := l.settled()
	if err != nil {
		return err
	}
	if yes && s.Protected && !s.Named {
		return usage("the context %s is protected", s.Name).WithHint("name it: --context %s --yes", s.Name)
	}
	if yes {
		return nil
	}
	if !l.Terminal.In {
		return usage("%s: nobody is here to confirm it", effect).WithHint("give --yes")
	}
	where := s.Server
	if s.Name != "" {
		where = s.Name + " (" + s.Server + ")"
	}
	answer, err := l.ask(ctx, fmt.Sprintf("%s, namespace %s: %s? [y/N] ", where, s.Namespace, effect))
	if err != nil {
		return err
	}
	if a := strings.ToLower(strings.TrimSpace(answer)); a != "y" && a != "yes" {
		return exit{ExitError, errs.New(errs.Invalid, "nothing was done")}
	}
	return nil
}

// traced returns a transport that shows each call on stderr, without credentials.
func (l *line) traced(ca string) (http.RoundTripper, error) {
	t := &http.Transport{ForceAttemptHTTP2: true, TLSClientConfig: &tls.Config{MinVersion: tls.VersionTLS12}}
	if ca != "" {
		pem, err := os.ReadFile(ca)
		if err != nil {
			return nil, errs.New(errs.Invalid, "read the CA file: %w", err)
		}
		t.TLSClientConfig.RootCAs = x509.NewCertPool()
		if !t.TLSClientConfig.RootCAs.AppendCertsFromPEM(pem) {
			return nil, errs.New(errs.Invalid, "no certificate in the CA file %s", ca)
		}
	}
	return roundTrip(func(r *http.Request) (*http.Response, error) {
		start := time.Now()
		resp, err := t.RoundTrip(r)
		took := time.Since(start).Round(100 * time.Microsecond)
		if err != nil {
			l.note("> %s %s: %v (%s)", r.Method, r.URL, err, took)
			return nil, err
		}
		trace := ""
		if v := resp.Header.Get("Traceparent"); v != "" {
			trace = "  " + v
		}
		l.note("> %s %s: %s (%s)%s", r.Method, r.URL, resp.Status, took, trace)
		return resp, nil
	}), nil
}

type roundTrip func(*http.Request) (*http.Response, error)

// RoundTrip calls f.
func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }
