package tfe

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"strings"
	"sync"

	"tutti/internal/terraform"
)

// logs copies the log of a plan or an apply while it is written.
type logs struct {
	cancel context.CancelFunc
	done   chan struct{}

	mu   sync.Mutex
	seen bytes.Buffer
}

// maxSeen bounds what is kept of a log to look for errors in.
const maxSeen = 1 << 20

// begin begins to copy, once.
func (l *logs) begin(ctx context.Context, to io.Writer, open func(context.Context) (io.Reader, error)) {
	if l.done != nil {
		return
	}
	ctx, l.cancel = context.WithCancel(ctx)
	l.done = make(chan struct{})
	go func() {
		defer close(l.done)
		from, err := open(ctx)
		if err != nil {
			return // the run's state says what is to be known
		}
		w := &words{to: to}
		_, _ = io.Copy(io.MultiWriter(w, l), from)
		w.flush()
	}()
}

// Write keeps a part of the log.
func (l *logs) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.seen.Len() < maxSeen {
		l.seen.Write(bytes.ReplaceAll(b, []byte{0}, nil))
	}
	return len(b), nil
}

// wait waits until the log has ended.
func (l *logs) wait() {
	if l.done != nil {
		<-l.done
	}
}

// stop ends the copying.
func (l *logs) stop() {
	if l.done != nil {
		l.cancel()
		<-l.done
	}
}

func (l *logs) errors() (string, []terraform.Diagnostic) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return diagnostics(l.seen.String())
}

// words writes a log for people: of lines in JSON their message.
type words struct {
	to   io.Writer
	rest []byte
}

// Write takes a part of the log.
func (w *words) Write(b []byte) (int, error) {
	w.rest = append(w.rest, bytes.ReplaceAll(b, []byte{0}, nil)...)
	for {
		i := bytes.IndexByte(w.rest, '\n')
		if i < 0 {
			return len(b), nil
		}
		w.line(string(w.rest[:i]))
		w.rest = w.rest[i+1:]
	}
}

func (w *words) flush() {
	if len(w.rest) > 0 {
		w.line(string(w.rest))
	}
}

func (w *words) line(s string) {
	s = strings.Trim(s, "\x02\x03\r")
	var l struct {
		Message string `json:"@message"`
	}
	if json.Unmarshal([]byte(s), &l) == nil && l.Message != "" {
		s = l.Message
	}
	_, _ = io.WriteString(w.to, s+"\n")
}
