package sdk

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strconv"
	"syscall"
	"time"

	"tutti/errs"
)

// again calls f until it succeeds, fails for good, was tried often enough, or ctx ends. Where repeat is
// false, only what certainly never reached the server is tried again.
func (c *Client) again(ctx context.Context, name string, repeat bool, f func() ([]byte, error)) ([]byte, error) {
	for try := 1; ; try++ {
		b, err := f()
		if err == nil {
			return b, nil
		}
		if try >= c.c.Tries || ctx.Err() != nil || !errs.Is(err, errs.Unavailable) || !repeat && !unsent(err) {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		if !rest(ctx, max(delay(try), retryAfter(err))) {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
	}
}

// unsent reports whether the request of err never reached a server.
func unsent(err error) bool { return errors.Is(err, syscall.ECONNREFUSED) }

// longestWait bounds how long a server can make a client wait between two tries.
const longestWait = 5 * time.Second

// retryAfter returns what the server asked to wait.
func retryAfter(err error) time.Duration {
	if e, ok := errors.AsType[*errs.Error](err); ok {
		return min(e.Retry, longestWait)
	}
	return 0
}

// delay returns how long to wait after a number of failed tries: 100 ms doubling up to 5 s, and half
// of it by chance, so that many clients do not come back together.
func delay(tries int) time.Duration {
	d := min(100*time.Millisecond<<min(tries-1, 10), longestWait)
	return d/2 + rand.N(d/2+1)
}

// rest waits for d; it returns false where ctx ends first.
func rest(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}

// problem reads the error that a server answered with, or makes one of the bare status where it is
// not a problem document, as from a proxy in between.
func (c *Client) problem(resp *http.Response) error {
	var doc struct {
		Kind     string         `json:"kind"`
		Detail   string         `json:"detail"`
		Hint     string         `json:"hint"`
		Problems []errs.Problem `json:"problems"`
		Trace    string         `json:"trace"`
	}
	b, _ := io.ReadAll(io.LimitReader(resp.Body, 1<<20)) // what is missing makes it no document
	e := &errs.Error{}
	if err := json.Unmarshal(b, &doc); err == nil && doc.Kind != "" && doc.Detail != "" {
		e.Kind, e.Msg, e.Hint, e.Problems = errs.Kind(doc.Kind), doc.Detail, doc.Hint, doc.Problems
		if doc.Kind == "internal" {
			e.Kind = errs.Internal
			e.Hint = "the log of the server says more, under trace " + doc.Trace
		}
	} else {
		e = errs.New(kindOf(resp.StatusCode), "%s answered %s", c.c.Server, resp.Status).
			WithHint("this is not the answer of a server of Tutti: is the address right, or is a proxy in between?")
	}
	if s, err := strconv.Atoi(resp.Header.Get("Retry-After")); err == nil && s > 0 {
		e.Retry = time.Duration(s) * time.Second
	}
	return e
}

// kindOf returns the kind of error that a bare HTTP status stands for.
func kindOf(status int) errs.Kind {
	for _, k := range []errs.Kind{errs.Unauthenticated, errs.Denied, errs.NotFound, errs.Conflict, errs.TooLarge, errs.Limited} {
		if k.Status() == status {
			return k
		}
	}
	switch {
	case status == http.StatusBadGateway, status == http.StatusServiceUnavailable, status == http.StatusGatewayTimeout:
		return errs.Unavailable
	case status >= 400 && status < 500, status < 400:
		return errs.Invalid
	}
	return errs.Internal
}
