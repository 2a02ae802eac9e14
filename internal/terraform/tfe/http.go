package tfe

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync"
	"time"

	api "github.com/hashicorp/go-tfe"

	"tutti/errs"
	"tutti/internal/terraform"
	"tutti/sdk"
)

// refusal is what a driver's connections met last: why an address was refused, and the last status that
// was no success. The library tells neither.
type refusal struct {
	mu     sync.Mutex
	err    *errs.Error
	status int
}

func (r *refusal) get() *errs.Error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.err
}

func (d *driver) status() int {
	d.refused.mu.Lock()
	defer d.refused.mu.Unlock()
	return d.refused.status
}

// http returns a client that dials through the guard and uses no proxy.
func (d *driver) http() *http.Client {
	t := &http.Transport{
		DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			c, err := d.Dial(ctx, network, address)
			if e, ok := errors.AsType[*errs.Error](err); ok {
				d.refused.mu.Lock()
				d.refused.err = e
				d.refused.mu.Unlock()
			}
			return c, err
		},
		TLSHandshakeTimeout: 10 * time.Second, ResponseHeaderTimeout: time.Minute, IdleConnTimeout: 30 * time.Second, ForceAttemptHTTP2: true,
	}
	return &http.Client{Transport: noting{t, d.refused}, Timeout: 5 * time.Minute}
}

// noting notes how calls are answered.
type noting struct {
	base http.RoundTripper
	to   *refusal
}

// maxBody bounds an answer, in bytes.
const maxBody = 256 << 20

// RoundTrip makes one call.
func (n noting) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := n.base.RoundTrip(r)
	n.to.mu.Lock()
	defer n.to.mu.Unlock()
	if n.to.status = 0; err == nil && resp.StatusCode >= 400 {
		n.to.status = resp.StatusCode
	}
	if err == nil {
		resp.Body = http.MaxBytesReader(nil, resp.Body, maxBody)
	}
	return resp, err
}

// failure gives an error of the library its type.
func (d *driver) failure(what string, err error) error {
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	if f, ok := errors.AsType[*sdk.TaskError](err); ok {
		return f
	}
	if e := d.refused.get(); e != nil {
		return sdk.Fail(terraform.FailDenied, "%s: %s", what, e.Msg).WithHint("%s", e.Hint)
	}
	said := fmt.Sprintf("%s at %s: %v", what, d.host, err)
	switch s := d.status(); {
	case s == http.StatusUnauthorized, s == http.StatusForbidden, errors.Is(err, api.ErrUnauthorized):
		return sdk.Fail(terraform.FailDenied, "%s", said).WithHint("check the secret of the token, and what its team may do in the workspace")
	case s == http.StatusNotFound, errors.Is(err, api.ErrResourceNotFound):
		return sdk.Fail(terraform.FailMissing, "%s", said).WithHint("the API says so too of what the token may not see")
	case s == http.StatusConflict:
		return sdk.Fail(terraform.FailConflict, "%s", said)
	case s == http.StatusTooManyRequests:
		return sdk.Fail(terraform.FailLimited, "%s", said).Again()
	case s >= 500:
		return sdk.Fail(terraform.FailServer, "%s (status %d)", said, s).Again()
	case s >= 400:
		return sdk.Fail(terraform.FailConflict, "%s (status %d)", said, s)
	}
	return sdk.Fail(terraform.FailUnreachable, "%s", said).Again().WithHint("check the address, and that it is up and trusted")
}
