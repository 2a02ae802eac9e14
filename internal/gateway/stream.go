package gateway

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"tutti/bus"
	"tutti/errs"
)

const (
	maxStreams = 1000
	maxTopics  = 20
	// streamPage is how many events are read of a topic at once.
	streamPage = 500
	// heartbeatEvery keeps proxies from closing a quiet stream, and shows the client that it lives.
	heartbeatEvery = 15 * time.Second
	// recheckEvery is how often it is asked whether the credential still holds: with what is
	// remembered of it, within 5 s.
	recheckEvery = 3 * time.Second
	// lookEvery finds what a lost wake-up did not announce.
	lookEvery = 5 * time.Second
	// takeTime is how long a client may take to read what is sent.
	takeTime = 10 * time.Second
)

// item is one message of a topic.
type item struct {
	pos  int64
	typ  string
	data any // nil moves the cursor without telling the client
}

// source reads one topic, or one service of the topic "events", from a position.
type source struct {
	topic string // as the client names it
	key   string // in the cursor
	// share names what is read, the same for all who follow it.
	share string
	wakes []string // the subjects that announce more
	// heard, if any, is told the subject of each wake-up, and says whether it counts.
	heard func(subject string) bool
	// every is how long to wait between two readings.
	every time.Duration
	// snapshot topics say how something is; each message replaces the one before, and a position is no
	// more than a sum over it.
	snapshot bool
	// live topics say only what comes: what came before is a gap to whoever resumes.
	live bool
	// read returns what comes after a position, whether there is more, and whether the topic ended. It is
	// called by one reader for all who follow.
	read func(ctx context.Context, after int64) (items []item, more, ended bool, err error)
	// behind, if any, reads for one who is further behind than what is kept; default read.
	behind func(ctx context.Context, after int64) (items []item, more, ended bool, err error)
	// last returns where it begins that is not told otherwise; nil is the start.
	last func(ctx context.Context) (int64, error)

	shared *shared
	fresh  bool        // the client told no position
	dirty  atomic.Bool // something may have come
	ended  bool
}

// stream is one client that follows.
type stream struct {
	g       *Gateway
	w       http.ResponseWriter
	c       *http.ResponseController
	secret  string
	sources []*source
	at      cursor
	woken   chan struct{}
	said    time.Time // when something was last sent
	text    []byte    // room to write messages in
}

// errGone says that the client no longer takes what is sent.
var errGone = errors.New("the client has gone")

// stream answers with server-sent events until the client leaves, its credential no longer holds,
// every topic has ended, or the server stops.
func (g *Gateway) stream(w http.ResponseWriter, r *http.Request) error {
	defer g.streams.Add(-1)
	if g.streams.Add(1) > maxStreams {
		e := errs.New(errs.Limited, "the server has %d streams, the most it takes", maxStreams).WithHint("follow several topics in one stream")
		e.Retry = 5 * time.Second
		return e
	}
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	s := &stream{g: g, w: w, c: http.NewResponseController(w), secret: credentialOf(ctx).secret, woken: make(chan struct{}, 1)}
	if err := s.open(ctx, r); err != nil {
		return err
	}
	h := w.Header()
	h.Set("Content-Type", "text/event-stream")
	h.Set("X-Accel-Buffering", "no")
	w.WriteHeader(http.StatusOK)
	if r.Method == http.MethodHead || s.send(": here\n\n") != nil {
		return nil
	}
	if err := s.run(ctx); err != nil && !errors.Is(err, errGone) && ctx.Err() == nil {
		p := document(err, bus.TraceFrom(ctx))
		b, _ := json.Marshal(p) // strings and numbers
		_ = s.send(fmt.Sprintf("event: error\ndata: %s\n\n", b))
	}
	return nil
}

// open finds the topics of r, checks that the caller may follow them, and where each begins.
func (s *stream) open(ctx context.Context, r *http.Request) error {
	query, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return malformed("the query is malformed")
	}
	for name := range query {
		if name != "topic" && name != "after" {
			return errs.New(errs.Invalid, "one thing is wrong with the request").
				WithProblems(errs.Problem{Location: "query." + clip(name), Message: "unknown parameter", Hint: "known are topic, after"})
		}
	}
	starts, err := parseTopics(query["topic"])
	if err != nil {
		return err
	}
	after := query.Get("after")
	if last := r.Header.Get("Last-Event-ID"); last != "" {
		after = last // a browser repeats the address it began with, and adds where it got to
	}
	resumed, err := parseCursor(after)
	if err != nil {
		return err
	}
	ns, err := s.g.namespace(r, "run.read")
	if err != nil {
		return err
	}
	s.at = cursor{}
	for _, st := range starts {
		sources, err := s.topic(ctx, ns, st.topic)
		if err != nil {
			return err
		}
		for _, src := range sources {
			pos, ok := resumed[src.key]
			switch {
			case ok:
			case st.pos >= 0:
				pos = st.pos
			case src.last != nil:
				src.fresh = true
				if pos, err = src.last(ctx); err != nil {
					return err
				}
			}
			s.at[src.key] = pos
		}
		s.sources = append(s.sources, sources...)
	}
	return s.listen(ctx)
}

// start is a topic, and the number after which it was asked to begin; -1 where none was.
type start struct {
	topic string
	pos   int64
}

// parseTopics reads topics such as "run:ID" and "run:ID@12".
func parseTopics(topics []string) ([]start, error) {
	if len(topics) == 0 || len(topics) > maxTopics {
		return nil, errs.New(errs.Invalid, "a stream has 1 to %d topics, not %d", maxTopics, len(topics)).WithHint(topicHint)
	}
	var all []start
	for _, t := range topics {
		st := start{pos: -1}
		var from string
		var given bool
		if st.topic, from, given = strings.Cut(t, "@"); given {
			n, err := strconv.ParseInt(from, 10, 64)
			if err != nil || n < 0 {
				return nil, errs.New(errs.Invalid, "the topic %q starts at no number", clip(t))
			}
			st.pos = n
		}
		if slices.ContainsFunc(all, func(x start) bool { return x.topic == st.topic }) {
			return nil, errs.New(errs.Invalid, "the topic %q is given twice", clip(st.topic))
		}
		all = append(all, st)
	}
	return all, nil
}

// listen joins those who follow the same.
func (s *stream) listen(ctx context.Context) error {
	for _, src := range s.sources {
		src.dirty.Store(true)
		sh, err := s.g.hub.follow(ctx, src.share, src, s.at[src.key], func() {
			src.dirty.Store(true)
			select {
			case s.woken <- struct{}{}:
			default:
			}
		})
		if err != nil {
			return err
		}
		src.shared = sh
		if src.live && src.fresh {
			s.at[src.key] = max(s.at[src.key], sh.begun)
		}
	}
	return nil
}

// run sends what comes until the stream has to end; nil where nothing more is to be said.
func (s *stream) run(ctx context.Context) error {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	checked := time.Now()
	for {
		busy, err := s.round(ctx)
		if err != nil {
			return err
		}
		if s.over() {
			return nil
		}
		if time.Since(checked) >= recheckEvery {
			if _, err := s.g.auth.who(ctx, s.secret); err != nil && !errs.Is(err, errs.Unavailable) {
				return err
			}
			checked = time.Now()
		}
		if time.Since(s.said) >= heartbeatEvery {
			if err := s.send(": still here\n\n"); err != nil {
				return err
			}
		}
		if busy {
			continue
		}
		select {
		case <-ctx.Done():
			return nil
		case <-s.g.closing:
			return nil
		case <-s.woken:
		case <-tick.C:
		}
	}
}

// over reports whether every topic has ended.
func (s *stream) over() bool {
	for _, src := range s.sources {
		if !src.ended {
			return false
		}
	}
	return true
}

// round sends a page of each source that may have something; busy says that there is more.
func (s *stream) round(ctx context.Context) (busy bool, err error) {
	for _, src := range s.sources {
		if src.ended || !src.dirty.Swap(false) {
			continue
		}
		frames, more, ended, err := s.next(ctx, src)
		if errs.Is(err, errs.Unavailable) {
			src.dirty.Store(true)
			continue // it is looked at again; the client sees heartbeats until then
		}
		if err != nil {
			return false, err
		}
		if ended {
			pos := s.at[src.key]
			if len(frames) > 0 {
				pos = frames[len(frames)-1].pos
			}
			src.ended = true
			end, err := framed(src, []item{{pos, "end", json.RawMessage("null")}})
			if err != nil {
				return false, err
			}
			frames = append(frames, end...)
		}
		if err := s.deliver(src, frames); err != nil {
			return false, err
		}
		if more {
			src.dirty.Store(true)
			busy = true
		}
	}
	return busy, nil
}

// next returns what comes next of a source: from what all who follow it share, or, for one that is
// further behind, read for itself.
func (s *stream) next(ctx context.Context, src *source) (frames []frame, more, ended bool, err error) {
	at := s.at[src.key]
	frames, behind, ended, err := src.shared.after(at)
	if !behind || err != nil {
		return frames, false, ended, err
	}
	if src.live {
		now, err := src.last(ctx)
		if err != nil {
			return nil, false, false, err
		}
		frames, err = framed(src, []item{{now, "gap", json.RawMessage("null")}})
		return frames, true, false, err
	}
	read := src.read
	if src.behind != nil {
		read = src.behind
	}
	items, _, ended, err := read(ctx, at)
	if err != nil {
		return nil, false, false, err
	}
	frames, err = framed(src, items)
	return frames, len(items) > 0, ended, err
}

// deliver sends frames of a source, each with the cursor to continue after it.
func (s *stream) deliver(src *source, frames []frame) error {
	b := s.text[:0]
	for _, f := range frames {
		s.at[src.key] = f.pos
		if f.data == nil {
			continue
		}
		b = append(b, "id: "...)
		b = s.at.append(b)
		b = append(b, "\nevent: "...)
		b = append(b, f.typ...)
		b = append(b, "\ndata: "...)
		b = append(b, f.data...)
		b = append(b, "\n\n"...)
		if len(b) > 256<<10 {
			if err := s.sendBytes(b); err != nil {
				return err
			}
			b = b[:0]
		}
	}
	if s.text = b; len(b) == 0 {
		return nil
	}
	return s.sendBytes(b)
}

// send writes text to the client.
func (s *stream) send(text string) error { return s.sendBytes([]byte(text)) }

// sendBytes writes to the client, who has takeTime to take it.
func (s *stream) sendBytes(text []byte) error {
	_ = s.c.SetWriteDeadline(time.Now().Add(takeTime)) // where there is a connection
	s.said = time.Now()
	if _, err := s.w.Write(text); err != nil {
		return errGone
	}
	if err := s.c.Flush(); err != nil {
		return errGone
	}
	return nil
}
