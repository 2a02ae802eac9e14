package awx

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"tutti/errs"
	"tutti/internal/ansible"
	"tutti/sdk"
)

// maxBody bounds an answer, in bytes.
const maxBody = 64 << 20

// client returns a client that dials through the guard, uses no proxy and follows no redirect.
func client(dial func(context.Context, string, string) (net.Conn, error)) *http.Client {
	return &http.Client{
		Transport: &http.Transport{
			DialContext: dial, TLSHandshakeTimeout: 10 * time.Second, ResponseHeaderTimeout: time.Minute, IdleConnTimeout: 30 * time.Second, ForceAttemptHTTP2: true,
		},
		Timeout:       5 * time.Minute,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// call makes one call. out, unless nil, takes the answer: *[]byte as it is, anything else as JSON.
func (d *driver) call(ctx context.Context, what, verb string, q url.Values, in, out any, elements ...string) error {
	var body io.Reader
	if in != nil {
		b, err := json.Marshal(in)
		if err != nil {
			return fmt.Errorf("%s: %w", what, err)
		}
		body = bytes.NewReader(b)
	}
	req, err := http.NewRequestWithContext(ctx, verb, d.at(q, elements...), body)
	if err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	req.Header.Set("Authorization", "Bearer "+d.token)
	req.Header.Set("User-Agent", "tutti")
	req.Header.Set("Accept", "application/json")
	if in != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	raw, ok := out.(*[]byte)
	if ok {
		req.Header.Set("Accept", "*/*")
	}
	resp, err := d.http.Do(req)
	if err != nil {
		return d.lost(ctx, what, err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(io.LimitReader(resp.Body, maxBody+1))
	switch {
	case err != nil:
		return d.lost(ctx, what, err)
	case len(b) > maxBody:
		return sdk.Fail(ansible.FailServer, "%s: %s answers with more than %d bytes", what, d.base.Host, maxBody)
	case resp.StatusCode < 200 || resp.StatusCode > 299:
		return d.refused(what, resp, b)
	case out == nil:
		return nil
	case ok:
		*raw = b
		return nil
	}
	if err := json.Unmarshal(b, out); err != nil {
		return sdk.Fail(ansible.FailServer, "%s: %s does not answer as AWX does: %v", what, d.base.Host, err).WithHint("check the address")
	}
	return nil
}

// lost is the failure of a call that got no answer.
func (d *driver) lost(ctx context.Context, what string, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if e, ok := errors.AsType[*errs.Error](err); ok { // an address that must not be reached
		return sdk.Fail(ansible.FailDenied, "%s: %s", what, e.Msg).WithHint("%s", e.Hint)
	}
	if u, ok := errors.AsType[*url.Error](err); ok {
		err = u.Err
	}
	return sdk.Fail(ansible.FailUnreachable, "%s at %s: %v", what, d.base.Host, err).Again().WithHint("check the address, and that it is up and trusted")
}

// refused gives an answer that is no success its type.
func (d *driver) refused(what string, resp *http.Response, body []byte) error {
	said := fmt.Sprintf("%s at %s: status %d", what, d.base.Host, resp.StatusCode)
	var details map[string]any
	var answer map[string]any
	if json.Unmarshal(body, &answer) == nil && len(answer) > 0 {
		details = map[string]any{"answer": answer}
		if words, ok := answer["detail"].(string); ok {
			said += ": " + words
		}
	}
	switch s := resp.StatusCode; {
	case s == http.StatusUnauthorized, s == http.StatusForbidden:
		return sdk.Fail(ansible.FailDenied, "%s", said).WithHint("check the secret of the token, that its scope is write, and what its user may run")
	case s == http.StatusNotFound:
		return sdk.Fail(ansible.FailMissing, "%s", said).WithHint("the API says so too of what the token may not see")
	case s == http.StatusBadRequest:
		return sdk.Fail(ansible.FailConfig, "%s", said).WithDetails(details).WithHint("details.answer says which fields it does not take")
	case s == http.StatusTooManyRequests:
		if after, err := strconv.Atoi(resp.Header.Get("Retry-After")); err == nil && after > 0 {
			said += fmt.Sprintf(" (again after %d s)", after)
		}
		return sdk.Fail(ansible.FailLimited, "%s", said).Again()
	case s >= 500:
		return sdk.Fail(ansible.FailServer, "%s", said).Again()
	case s >= 300 && s < 400:
		return sdk.Fail(ansible.FailConfig, "%s: it sends to %s", said, resp.Header.Get("Location")).WithHint("give the address it sends to, if you trust it: the token does not follow")
	}
	return sdk.Fail(ansible.FailConflict, "%s", said).WithDetails(details)
}

// retryable reports whether a call may go better another time.
func retryable(err error) bool {
	f, ok := errors.AsType[*sdk.TaskError](err)
	return ok && f.Retryable
}
