package sdk

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"tutti/api"
	"tutti/errs"
	"tutti/internal/redact"
)

const (
	// flushEvery is how long a line waits for company before it is sent.
	flushEvery = 200 * time.Millisecond
	// flushAt is the size from which lines are sent at once, in bytes.
	flushAt = 64 << 10
	// logBound is the size from which a task that logs has to wait, in bytes.
	logBound = 1 << 20
	// lineMax is where a line is broken, in bytes.
	lineMax = 64 << 10
	// lineCost is what a line counts beside its text, in bytes.
	lineCost = 64
	// maxLines and maxLog bound one call.
	maxLines = 5000
	maxLog   = 512 << 10
	// logPatience is how long the end of a log may take to get through before the result is reported
	// without it.
	logPatience = 10 * time.Second
)

// lines is the log of one attempt on its way: streams are freed of secrets, cut into lines and
// numbered, and one goroutine sends them.
type lines struct {
	red  *redact.Redactor
	kick chan struct{} // there are lines, or they should go at once
	done chan struct{} // closed when the sender has ended
	quit func()        // ends the sender at once

	mu      sync.Mutex
	room    sync.Cond
	streams map[string]*stretch
	unsent  []api.LogLine
	size    int // of unsent, in bytes
	seq     int64
	dropped int
	rushed  bool // the attempt's context ended: drop rather than wait for room
	closed  bool
	dead    bool // nobody takes lines any more
}

// openLog starts a log that p's attempt writes to. ctx is the attempt's, life the session's. The
// caller holds p.mu.
func (p *port) openLog(ctx, life context.Context) *lines {
	l := &lines{red: p.red, kick: make(chan struct{}, 1), done: make(chan struct{}), streams: map[string]*stretch{}}
	l.room.L = &l.mu
	life, end := context.WithCancel(life)
	stop := context.AfterFunc(ctx, l.rush)
	l.quit = func() { stop(); end() }
	go l.send(life, p)
	return l
}

// add takes text of a stream. It waits while too much is unsent.
func (l *lines) add(stream string, text []byte) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for l.size >= logBound && !l.rushed && !l.dead {
		l.room.Wait()
	}
	if l.closed || l.dead {
		return
	}
	st := l.streams[stream]
	if st == nil {
		st = &stretch{name: stream, l: l}
		if l.red != nil {
			st.clean = l.red.Writer(st)
		}
		l.streams[stream] = st
	}
	if st.clean != nil {
		_, _ = st.clean.Write(text) // what it writes to takes everything
		return
	}
	_, _ = st.Write(text)
}

// rush lets a task that waits for room go on.
func (l *lines) rush() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.rushed = true
	l.room.Broadcast()
}

// finish sends what is there to the end, and waits for that.
func (l *lines) finish() {
	l.mu.Lock()
	for _, name := range slices.Sorted(maps.Keys(l.streams)) {
		l.streams[name].flush()
	}
	if l.dropped > 0 {
		l.push("log", fmt.Sprintf("%d lines could not be stored and were dropped", l.dropped))
	}
	l.closed = true
	l.mu.Unlock()
	l.wakeSender()
	t := time.AfterFunc(logPatience, l.quit)
	<-l.done
	t.Stop()
	l.quit()
}

// push adds a line. The caller holds mu.
func (l *lines) push(stream, text string) {
	l.seq++
	l.unsent = append(l.unsent, api.LogLine{Seq: l.seq, At: time.Now(), Stream: stream, Text: text})
	before := l.size
	l.size += len(text) + lineCost
	if before == 0 || before < flushAt && l.size >= flushAt {
		l.wakeSender()
	}
}

func (l *lines) wakeSender() {
	select {
	case l.kick <- struct{}{}:
	default:
	}
}

// send sends lines until the log is finished or ctx ends.
func (l *lines) send(ctx context.Context, p *port) {
	defer close(l.done)
	for {
		select {
		case <-ctx.Done():
			l.kill()
			return
		case <-l.kick:
		}
		if !l.urgent() {
			l.linger(ctx)
		}
		for batch := l.take(); len(batch) > 0; batch = l.take() {
			if !p.store(ctx, batch) {
				l.kill()
				return
			}
		}
		if l.ended() {
			return
		}
	}
}

// linger waits for company for the first line.
func (l *lines) linger(ctx context.Context) {
	t := time.NewTimer(flushEvery)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	case <-l.kick:
	}
}

func (l *lines) urgent() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.closed || l.size >= flushAt
}

func (l *lines) ended() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.closed && len(l.unsent) == 0
}

// take returns unsent lines, as many as one call may carry.
func (l *lines) take() []api.LogLine {
	l.mu.Lock()
	defer l.mu.Unlock()
	n, size := 0, 0
	for n < len(l.unsent) && n < maxLines && size < maxLog {
		size += len(l.unsent[n].Text) + lineCost
		n++
	}
	batch := l.unsent[:n:n]
	l.unsent = l.unsent[n:]
	l.size -= size
	l.room.Broadcast()
	return batch
}

// kill drops everything from now on.
func (l *lines) kill() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.dead, l.unsent, l.size = true, nil, 0
	l.room.Broadcast()
}

// store sends a batch and reports whether the log goes on. It tries again until ctx ends.
func (p *port) store(ctx context.Context, batch []api.LogLine) bool {
	in := api.AppendLogIn{NS: api.NS{Namespace: p.a.Namespace}, Token: p.a.Token, Body: api.AppendLogBody{Lines: batch}}
	for tries := 1; ; tries++ {
		err := call(ctx, func(ctx context.Context) error { return p.s.Transport.AppendLog(ctx, in) })
		switch {
		case err == nil:
			return true
		case errs.Is(err, errs.Conflict):
			p.s.lose(p.a.Token)
			return false
		case ctx.Err() != nil:
			p.s.Log.Warn("log lines were lost", "run", p.a.Run, "task", p.a.Task, "lines", len(batch), "err", err)
			return false
		case !temporary(errs.KindOf(err)):
			p.s.Log.Warn("log lines were refused", "run", p.a.Run, "task", p.a.Task, "lines", len(batch), "err", err)
			return true
		}
		pause(ctx, backoff(tries, err))
	}
}

// stretch is one stream, and of it what is not yet a line. The log's mu guards it.
type stretch struct {
	name  string
	l     *lines
	clean *redact.Writer // in front of it; nil where there are no secrets
	rest  []byte
}

var _ io.Writer = (*stretch)(nil)

// Write takes all of p.
func (st *stretch) Write(p []byte) (int, error) {
	n := len(p)
	for len(p) > 0 {
		part, after, whole := bytes.Cut(p, []byte{'\n'})
		p = after
		st.rest = append(st.rest, part...)
		for len(st.rest) > lineMax {
			at := lineMax
			for at > lineMax-utf8.UTFMax && !utf8.RuneStart(st.rest[at]) {
				at--
			}
			st.line(st.rest[:at])
			st.rest = append(st.rest[:0], st.rest[at:]...)
		}
		if whole {
			st.line(st.rest)
			st.rest = st.rest[:0]
		}
	}
	return n, nil
}

// flush ends the stream: what is left is a line, too.
func (st *stretch) flush() {
	if st.clean != nil {
		_ = st.clean.Flush() // what it writes to takes everything
	}
	if len(st.rest) > 0 {
		st.line(st.rest)
		st.rest = nil
	}
}

// line stores a line, as text that every store takes.
func (st *stretch) line(b []byte) {
	if st.l.rushed && st.l.size >= logBound {
		st.l.dropped++
		return
	}
	text := strings.ToValidUTF8(string(bytes.TrimSuffix(b, []byte{'\r'})), "\uFFFD")
	st.l.push(st.name, strings.ReplaceAll(text, "\x00", "\uFFFD"))
}
