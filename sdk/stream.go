package sdk

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/http"
	"net/url"
	"strings"
	"time"

	"tutti/errs"
)

// Event is one message of a stream.
type Event struct {
	// Cursor resumes the stream after this event, of all its topics.
	Cursor string
	// Topic is the one it belongs to: "run:run_…", "log:run_…" or "events".
	Topic string
	// Type is "run" (Data is an api.RunEvent), "log" (an api.LogLine), "event" (a CloudEvent) or "end": the
	// topic has ended and nothing of it follows.
	Type string
	Data json.RawMessage
}

// silence is how long a stream may say nothing, heartbeats included, before it counts as lost.
const silence = 45 * time.Second

// Stream follows topics of the client's namespace: "run:ID" is what happens in a run, "log:ID" its log,
// "events" what is committed anywhere in the namespace. after is the Cursor of the last event seen;
// without one, runs and logs come from their start and "events" from now. A topic may carry its own
// start: "run:ID@12" continues after event 12, which is where a Run with Seq 12 was read.
//
// A connection that is lost is made again, from the last event, for as long as ctx lives: no event is
// missed and none comes twice. The sequence ends when ctx does, when every topic has ended, or with
// an error that connecting again would not mend, which is its last element.
func (c *Client) Stream(ctx context.Context, topics []string, after string) iter.Seq2[Event, error] {
	return func(yield func(Event, error) bool) {
		for failed := 0; ctx.Err() == nil; {
			err := c.follow(ctx, topics, &after, func(e Event) bool {
				failed = 0
				return yield(e, nil)
			})
			switch {
			case err == nil, ctx.Err() != nil:
				return
			case !errs.Is(err, errs.Unavailable) && !errs.Is(err, errs.Limited):
				yield(Event{}, fmt.Errorf("stream: %w", err))
				return
			}
			failed++
			if c.c.Lost != nil {
				c.c.Lost(err)
			}
			if !rest(ctx, max(delay(failed), retryAfter(err))) {
				return
			}
		}
	}
}

// errStop ends a stream whose reader has had enough.
var errStop = errors.New("stop")

// follow reads one connection. It returns nil where nothing more is wanted or to come.
func (c *Client) follow(ctx context.Context, topics []string, after *string, yield func(Event) bool) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	query := url.Values{"topic": topics}
	if *after != "" {
		query.Set("after", *after)
	}
	address := c.c.Server + "/v1/namespaces/" + url.PathEscape(c.c.Namespace) + "/stream?" + query.Encode()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return errs.New(errs.Invalid, "%w", err)
	}
	req.Header.Set("Accept", "text/event-stream")
	watchdog := time.AfterFunc(silence, cancel)
	defer watchdog.Stop()
	resp, err := c.do(req)
	if err == nil {
		defer resp.Body.Close()
		if t := resp.Header.Get("Content-Type"); !strings.HasPrefix(t, "text/event-stream") {
			return errs.New(errs.Invalid, "%s answered with %s, not with a stream", c.c.Server, t)
		}
		open := len(topics)
		err = readEvents(resp.Body, func() { watchdog.Reset(silence) }, func(e Event) error {
			*after = e.Cursor
			if e.Type == "end" {
				open--
			}
			if !yield(e) || open == 0 {
				return errStop
			}
			return nil
		})
	}
	switch {
	case errors.Is(err, errStop):
		return nil
	case err == nil, errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, context.Canceled):
		// The caller looks at its own context; here it can only have been the watchdog or the server.
		return errs.New(errs.Unavailable, "the stream of %s was lost", c.c.Server)
	}
	return err
}

// maxLine bounds one line of a stream, in bytes.
const maxLine = 16 << 20

// readEvents reads server-sent events from r until its end; alive is called at each line.
func readEvents(r io.Reader, alive func(), got func(Event) error) error {
	lines := bufio.NewScanner(r)
	lines.Buffer(make([]byte, 0, 64<<10), maxLine)
	var e Event
	var data []byte
	for lines.Scan() {
		alive()
		line := lines.Bytes()
		if len(line) == 0 {
			if data != nil {
				if err := e.fill(data); err != nil {
					return err
				}
				if err := got(e); err != nil {
					return err
				}
			}
			e, data = Event{Cursor: e.Cursor}, nil
			continue
		}
		name, value, _ := bytes.Cut(line, []byte(":"))
		value = bytes.TrimPrefix(value, []byte(" "))
		switch string(name) {
		case "id":
			e.Cursor = string(value)
		case "event":
			e.Type = string(value)
		case "data":
			if data != nil {
				data = append(data, '\n')
			}
			data = append(data, value...)
		}
	}
	if err := lines.Err(); err != nil {
		if errors.Is(err, bufio.ErrTooLong) {
			return errs.New(errs.TooLarge, "an event is larger than %d bytes", maxLine)
		}
		return errs.New(errs.Unavailable, "the stream was lost: %w", err)
	}
	return nil
}

// fill takes topic and data from the JSON of an event.
func (e *Event) fill(b []byte) error {
	var doc struct {
		Topic string          `json:"topic"`
		Data  json.RawMessage `json:"data"`
		// Of an error that ends the stream.
		Kind   errs.Kind `json:"kind"`
		Detail string    `json:"detail"`
		Hint   string    `json:"hint"`
	}
	if err := json.Unmarshal(b, &doc); err != nil {
		return errs.New(errs.Unavailable, "the stream holds what is no event: %w", err)
	}
	if e.Type == "error" {
		return errs.New(doc.Kind, "%s", doc.Detail).WithHint("%s", doc.Hint)
	}
	e.Topic, e.Data = doc.Topic, doc.Data
	return nil
}
