package rollouts

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"tutti/api"
	"tutti/bus"
	"tutti/errs"
	"tutti/internal/netguard"
)

// The types of failures of a hook: none is an answer, and none decides anything.
const (
	failTimeout     = "timeout"
	failUnreachable = "unreachable"
	failDenied      = "denied" // the address must not be called
	failStatus      = "status" // an HTTP status other than 200
	failAnswer      = "answer" // not the JSON that was asked for
	failSecret      = "secret" // it could not be had
)

// failure is a hook that gave no proper answer.
type failure struct{ kind, text string }

// Error returns what went wrong, in words.
func (f *failure) Error() string { return f.text }

func failed(kind, format string, args ...any) error {
	return &failure{kind, fmt.Sprintf(format, args...)}
}

// maxAnswer bounds what a hook may answer, in bytes.
const maxAnswer = 4 << 20

// caller makes the calls of hooks.
type caller struct {
	http *http.Client
	bus  *bus.Bus

	mu    sync.Mutex
	asked map[string]time.Time // when each monitor was last asked
}

func newCaller(g *netguard.Guard, b *bus.Bus) *caller {
	// Redirects are not followed: a credential, and the names of targets, are for one host.
	return &caller{http: g.Client(netguard.Options{Timeout: -1, Redirects: -1, MaxBody: maxAnswer}), bus: b, asked: map[string]time.Time{}}
}

// due reports whether a monitor may be asked again, and notes that it is asked now.
func (c *caller) due(what string, every time.Duration, now time.Time) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if last, ok := c.asked[what]; ok && now.Sub(last) < every && !now.Before(last) {
		return false
	}
	if len(c.asked) > 10_000 { // of rollouts that are long over
		clear(c.asked)
	}
	c.asked[what] = now
	return true
}

// post sends in to a hook and decodes its answer into out. Its errors are failures.
func (c *caller) post(ctx context.Context, ns string, call api.RolloutCall, in, out any) error {
	body, err := json.Marshal(in)
	if err != nil {
		return failed(failAnswer, "the question cannot be written: %v", err)
	}
	return c.exchange(ctx, ns, call, http.MethodPost, body, out)
}

// exchange makes one call, with its credential, within its time.
func (c *caller) exchange(ctx context.Context, ns string, call api.RolloutCall, method string, body []byte, out any) error {
	limit := callTime
	if call.Timeout > 0 {
		limit = time.Duration(call.Timeout)
	}
	within, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	r, err := http.NewRequestWithContext(within, method, call.URL, bytes.NewReader(body))
	if err != nil {
		return failed(failAnswer, "the URL cannot be called")
	}
	r.Header.Set("Accept", "application/json")
	r.Header.Set("User-Agent", "tutti")
	if body != nil {
		r.Header.Set("Content-Type", "application/json")
	}
	if err := c.authorize(ctx, ns, call, r); err != nil {
		return err
	}
	where := shown(r.URL)
	resp, err := c.http.Do(r)
	if err != nil {
		return broken(within, where, limit, err)
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	switch {
	case err != nil && errs.Is(err, errs.TooLarge):
		return failed(failAnswer, "%s answered more than %d bytes", where, maxAnswer)
	case err != nil:
		return broken(within, where, limit, err)
	case resp.StatusCode != http.StatusOK:
		return failed(failStatus, "%s answered %s", where, resp.Status)
	}
	if err := json.Unmarshal(raw, out); err != nil {
		return failed(failAnswer, "%s answered no JSON of the form that was asked for", where)
	}
	return nil
}

// authorize gives the request its credential.
func (c *caller) authorize(ctx context.Context, ns string, call api.RolloutCall, r *http.Request) error {
	if call.Secret == "" {
		return nil
	}
	if err := checkCall(call.URL, call.Secret, call.Timeout); err != nil {
		return failed(failSecret, "%v", err)
	}
	got, err := api.ResolveSecrets.Call(bus.AsService(ctx, "rollouts"), c.bus, api.ResolveSecretsIn{NS: api.NS{Namespace: ns}, Names: []string{call.Secret}})
	value := got.Values[call.Secret]
	if err != nil || value == "" || strings.ContainsAny(value, "\r\n\x00") {
		return failed(failSecret, "the secret %s cannot be had, or fits into no header", call.Secret)
	}
	r.Header.Set("Authorization", "Bearer "+value)
	return nil
}

// broken types the error of an exchange that did not end.
func broken(ctx context.Context, where string, limit time.Duration, err error) error {
	switch {
	case errs.Is(err, errs.Denied):
		return failed(failDenied, "%s must not be called from here", where)
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		return failed(failTimeout, "%s did not answer within %s", where, limit)
	}
	return failed(failUnreachable, "%s cannot be reached", where)
}

// shown is a URL without what may be secret in it.
func shown(u *url.URL) string { return u.Scheme + "://" + u.Host + u.Path }

// verdictOf is what monitoring hooks answer.
type verdictOf struct {
	Status  string `json:"status"`
	Message string `json:"message"`
}

// ok reports whether the answer is a yes. One without a status is no answer.
func (v verdictOf) ok() (bool, error) {
	if v.Status == "" {
		return false, failed(failAnswer, "the answer has no status")
	}
	return strings.EqualFold(v.Status, "ok"), nil
}

// said is what a hook said, in words.
func (v verdictOf) said() string { return strings.TrimSpace(v.Status + " " + v.Message) }
