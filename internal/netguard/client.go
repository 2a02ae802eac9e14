package netguard

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net/http"
	"net/url"
	"slices"
	"time"

	"tutti/errs"
)

// Options shape a Client. The zero value is the right choice for most calls.
type Options struct {
	// Timeout limits a whole exchange: dial, redirects and reading the body. 0 means 30 s, a
	// negative value leaves the limit to the request's context.
	Timeout time.Duration
	// Redirects is how many redirects are followed. 0 means 5; a negative value hands the first
	// redirect to the caller as the response.
	Redirects int
	// MaxBody limits the response body in bytes, after decompression; reading past it fails with
	// kind TooLarge. 0 means 16 MiB, a negative value no limit.
	MaxBody int64
	// RootCAs replaces the system's certificate authorities.
	RootCAs *x509.CertPool
	// Certificates are presented to servers that ask for one.
	Certificates []tls.Certificate
	// Insecure accepts any server certificate. Only ever set it from a user's setting whose name
	// says so.
	Insecure bool
}

// Defaults of Options.
const (
	DefaultTimeout   = 30 * time.Second
	DefaultRedirects = 5
	DefaultMaxBody   = 16 << 20
)

// Client returns a client that dials through g, uses no proxy, keeps no cookies, verifies TLS and
// follows few redirects, none of them from https to http. Headers that may carry credentials and
// request bodies are not carried to another host. Make one and keep it: it pools connections,
// which CloseIdleConnections closes.
func (g *Guard) Client(o Options) *http.Client {
	if o.Timeout == 0 {
		o.Timeout = DefaultTimeout
	}
	if o.Redirects == 0 {
		o.Redirects = DefaultRedirects
	}
	if o.MaxBody == 0 {
		o.MaxBody = DefaultMaxBody
	}
	t := &http.Transport{
		Proxy:       nil, // a proxy would connect for us, out of the guard's sight
		DialContext: g.DialContext,
		TLSClientConfig: &tls.Config{
			MinVersion: tls.VersionTLS12, RootCAs: o.RootCAs, Certificates: o.Certificates,
			InsecureSkipVerify: o.Insecure,
		},
		ForceAttemptHTTP2:      true,
		TLSHandshakeTimeout:    10 * time.Second,
		ExpectContinueTimeout:  time.Second,
		IdleConnTimeout:        30 * time.Second,
		MaxIdleConns:           100,
		MaxIdleConnsPerHost:    8,
		MaxResponseHeaderBytes: 256 << 10,
	}
	return &http.Client{
		Transport:     &roundTripper{t, o.MaxBody},
		Timeout:       max(o.Timeout, 0),
		CheckRedirect: redirectPolicy(o.Redirects),
	}
}

// roundTripper limits response bodies and brings a refusal of the guard to the surface.
type roundTripper struct {
	base    *http.Transport
	maxBody int64
}

func (rt *roundTripper) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := rt.base.RoundTrip(r)
	if err != nil {
		if denied, ok := asDenied(err); ok {
			return nil, denied
		}
		return nil, err
	}
	// A switched protocol's body is a connection, which is also written to.
	if rt.maxBody > 0 && resp.StatusCode != http.StatusSwitchingProtocols {
		resp.Body = &limited{resp.Body, rt.maxBody, rt.maxBody}
	}
	return resp, nil
}

// CloseIdleConnections lets http.Client.CloseIdleConnections reach the pool.
func (rt *roundTripper) CloseIdleConnections() { rt.base.CloseIdleConnections() }

// carried are the headers that go along to another host: none that may hold a credential.
var carried = []string{"Accept", "Accept-Encoding", "Accept-Language", "User-Agent", "Traceparent", "Tracestate", "Range", "If-None-Match", "If-Modified-Since"}

func redirectPolicy(limit int) func(*http.Request, []*http.Request) error {
	return func(req *http.Request, via []*http.Request) error {
		if limit < 0 {
			return http.ErrUseLastResponse
		}
		last, first := via[len(via)-1], via[0]
		if len(via) > limit {
			return errs.New(errs.Denied, "%s redirected more than %d times", first.URL.Host, limit)
		}
		if s := req.URL.Scheme; s != "http" && s != "https" {
			return errs.New(errs.Denied, "%s redirected to the scheme %q; only http and https are followed", last.URL.Host, s)
		}
		if last.URL.Scheme == "https" && req.URL.Scheme == "http" {
			return errs.New(errs.Denied, "%s redirected from https to unprotected http", last.URL.Host)
		}
		if sameOrigin(first.URL, req.URL) {
			return nil
		}
		if req.Body != nil && req.Body != http.NoBody {
			return errs.New(errs.Denied, "%s redirected a %s with its body to another host, %s", last.URL.Host, req.Method, req.URL.Host).
				WithHint("call %s directly", req.URL.Host)
		}
		for h := range req.Header {
			if !slices.Contains(carried, h) {
				req.Header.Del(h)
			}
		}
		return nil
	}
}

// sameOrigin reports whether what was meant for a may be sent to b: one host and port, where moving
// from plain http to https on the default ports counts as the same.
func sameOrigin(a, b *url.URL) bool {
	if a.Hostname() != b.Hostname() {
		return false
	}
	pa, pb := port(a), port(b)
	return pa == pb && a.Scheme == b.Scheme || pa == "80" && pb == "443" && a.Scheme == "http" && b.Scheme == "https"
}

func port(u *url.URL) string {
	switch p := u.Port(); {
	case p != "":
		return p
	case u.Scheme == "https":
		return "443"
	default:
		return "80"
	}
}

// limited fails with TooLarge once more than max bytes were read, rather than end early as if
// that were all.
type limited struct {
	io.ReadCloser
	left, max int64
}

func (l *limited) Read(p []byte) (int, error) {
	if l.left < 0 {
		return 0, tooLarge(l.max)
	}
	if int64(len(p)) > l.left+1 {
		p = p[:l.left+1]
	}
	n, err := l.ReadCloser.Read(p)
	l.left -= int64(n)
	if l.left < 0 {
		return n - 1, tooLarge(l.max)
	}
	return n, err
}

// ReadAll reads r to its end, and fails with kind TooLarge when there are more than limit bytes.
func ReadAll(r io.Reader, limit int64) ([]byte, error) {
	return io.ReadAll(&limited{io.NopCloser(r), limit, limit})
}

func tooLarge(limit int64) error {
	return errs.New(errs.TooLarge, "the response is larger than %d bytes", limit)
}

func asDenied(err error) (*errs.Error, bool) {
	e, ok := errors.AsType[*errs.Error](err)
	return e, ok && e.Kind == errs.Denied
}
