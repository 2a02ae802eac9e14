package sdk

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"reflect"
	"strings"
	"sync"
	"time"

	"tutti/api"
	"tutti/api/wire"
	"tutti/bus"
	"tutti/errs"
	"tutti/id"
)

// DefaultServer is the address `tutti serve` listens on.
const DefaultServer = "http://127.0.0.1:8080"

// DefaultNamespace exists in every installation.
const DefaultNamespace = "default"

// Config says which server to talk to, and as whom. The zero value is the server on this machine,
// as nobody.
type Config struct {
	// Server is its address, such as https://tutti.example.org; empty is DefaultServer.
	Server string
	// Token is an API token, or the secret of a session; empty calls as nobody, which is enough to log in.
	Token string
	// Namespace is where calls act whose input names none; empty is DefaultNamespace.
	Namespace string
	// CA is a file of PEM certificates to trust instead of the system's.
	CA string
	// Tries bounds how often a call that is safe to repeat is made before its error is returned: 0 is 4.
	Tries int
	// Lost is called by Stream each time it loses the server, with the reason, before it connects
	// again; nil is not called.
	Lost func(err error)
	// Agent names the program, for the server's log; empty is "tutti-sdk".
	Agent string
	// Transport makes the requests; nil is a pool of connections of its own, without proxies.
	Transport http.RoundTripper
}

// Client calls the API of a server. It is safe for concurrent use, and keeps connections open
// between calls: make one and share it.
type Client struct {
	c      Config
	http   *http.Client
	routes sync.Map // of method names to *wire.Route
}

// New returns a client. It does not connect; errors are of kind errs.Invalid and say which setting is
// wrong.
func New(c Config) (*Client, error) {
	if c.Server == "" {
		c.Server = DefaultServer
	}
	if c.Namespace == "" {
		c.Namespace = DefaultNamespace
	}
	if c.Tries <= 0 {
		c.Tries = 4
	}
	if c.Agent == "" {
		c.Agent = "tutti-sdk"
	}
	u, err := url.Parse(c.Server)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return nil, errs.New(errs.Invalid, "%q is not the address of a server", c.Server).WithHint("write it like %s", DefaultServer)
	}
	c.Server = strings.TrimRight(c.Server, "/")
	if strings.ContainsFunc(c.Token, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return nil, errs.New(errs.Invalid, "the token holds a character that no token has").WithHint("was it copied with a line break?")
	}
	if c.Transport == nil {
		if c.Transport, err = transport(c.CA); err != nil {
			return nil, err
		}
	}
	return &Client{c: c, http: &http.Client{
		Transport: c.Transport,
		// A server of Tutti never redirects a call; following one could carry the token elsewhere.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}, nil
}

func transport(ca string) (*http.Transport, error) {
	t := &http.Transport{
		MaxIdleConnsPerHost: 64, IdleConnTimeout: 90 * time.Second, TLSHandshakeTimeout: 10 * time.Second,
		ForceAttemptHTTP2: true, TLSClientConfig: &tls.Config{MinVersion: tls.VersionTLS12},
	}
	if ca == "" {
		return t, nil
	}
	pem, err := os.ReadFile(ca)
	if err != nil {
		return nil, errs.New(errs.Invalid, "read the CA file: %w", err)
	}
	t.TLSClientConfig.RootCAs = x509.NewCertPool()
	if !t.TLSClientConfig.RootCAs.AppendCertsFromPEM(pem) {
		return nil, errs.New(errs.Invalid, "no certificate in the CA file %s", ca).WithHint("it must be PEM: -----BEGIN CERTIFICATE-----")
	}
	return t, nil
}

// Server returns the address of the server.
func (c *Client) Server() string { return c.c.Server }

// Namespace returns where calls act whose input names no namespace.
func (c *Client) Namespace() string { return c.c.Namespace }

// With returns a client with another token and namespace, where they are not empty, that shares the
// connections of c.
func (c *Client) With(token, namespace string) *Client {
	other := &Client{c: c.c, http: c.http}
	if token != "" {
		other.c.Token = token
	}
	if namespace != "" {
		other.c.Namespace = namespace
	}
	return other
}

// Close closes the connections that are not in use.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// Call calls a method of package api. Where in names no namespace it acts in the client's; where m
// takes an idempotency key and in has none it draws one, so that the call can be repeated.
//
// Errors of the server come back as *errs.Error, with kind, hint and problems. A server that cannot be
// reached, or does not answer, is errs.Unavailable; calls that are safe to repeat were then tried a
// few times, for as long as ctx allows. Where ctx ended, the error wraps its error.
func Call[In, Out any](ctx context.Context, c *Client, m bus.Method[In, Out], in In) (Out, error) {
	var out Out
	err := c.call(ctx, m, &in, &out)
	return out, err
}

// call is Call without its types: in and out are pointers.
func (c *Client) call(ctx context.Context, m bus.Declared, in, out any) error {
	r, err := c.route(m)
	if err != nil {
		return err
	}
	p, name := reflect.ValueOf(in), m.Info().Name
	if ns, ok := r.Param("path", "namespace"); ok && ns.Zero(p) {
		if err := ns.Set(p, c.c.Namespace); err != nil {
			return err
		}
	}
	repeat := r.Verb == http.MethodGet || r.Verb == http.MethodPut || r.Verb == http.MethodDelete
	if key, ok := r.Param("header", "Idempotency-Key"); ok {
		repeat = true
		if key.Zero(p) {
			if err := key.Set(p, id.New("key")); err != nil {
				return err
			}
		}
	}
	body, err := c.again(ctx, name, repeat, func() ([]byte, error) {
		req, err := r.Request(ctx, c.c.Server, p)
		if err != nil {
			return nil, err
		}
		return c.answer(req)
	})
	if err != nil {
		return err
	}
	if err := json.Unmarshal(body, out); err != nil {
		return errs.New(errs.Unavailable, "%s: %s did not answer as a server of Tutti: %w", name, c.c.Server, err)
	}
	return nil
}

func (c *Client) route(m bus.Declared) (*wire.Route, error) {
	i := m.Info()
	if r, ok := c.routes.Load(i.Name); ok {
		return r.(*wire.Route), nil
	}
	r, err := wire.New(i)
	if err != nil {
		return nil, errs.New(errs.Invalid, "%w", err).WithHint("only methods with an HTTP route can be called from outside")
	}
	c.routes.Store(i.Name, r)
	return r, nil
}

// maxAnswer bounds an answer, in bytes: what the bus carries, and a margin.
const maxAnswer = 32 << 20

// answer makes req and returns the body of its success.
func (c *Client) answer(req *http.Request) ([]byte, error) {
	resp, err := c.do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	if err != nil {
		return nil, c.lost(req.Context(), err)
	}
	if len(b) > maxAnswer {
		return nil, errs.New(errs.TooLarge, "the answer is larger than %d bytes", maxAnswer)
	}
	return b, nil
}

// do makes req as the client's subject and returns the answer of a success, whose body the caller
// closes.
func (c *Client) do(req *http.Request) (*http.Response, error) {
	if c.c.Token != "" {
		req.Header.Set("Authorization", "Bearer "+c.c.Token)
	}
	req.Header.Set("User-Agent", c.c.Agent)
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, c.lost(req.Context(), err)
	}
	if resp.StatusCode < 200 || resp.StatusCode > 299 {
		defer resp.Body.Close()
		return nil, c.problem(resp)
	}
	return resp, nil
}

// Raw makes a request of any kind, as the client's subject: path begins with /, header may be nil, and
// body may be nil. The answer is returned whatever its status; the caller closes its body. Errors are
// those of a server that cannot be reached. It is never repeated.
func (c *Client) Raw(ctx context.Context, verb, path string, header http.Header, body io.Reader) (*http.Response, error) {
	if !strings.HasPrefix(path, "/") {
		return nil, errs.New(errs.Invalid, "the path %q does not begin with /", path)
	}
	req, err := http.NewRequestWithContext(ctx, verb, c.c.Server+path, body)
	if err != nil {
		return nil, errs.New(errs.Invalid, "request: %w", err)
	}
	for k, v := range header {
		req.Header[http.CanonicalHeaderKey(k)] = v
	}
	if c.c.Token != "" {
		req.Header.Set("Authorization", "Bearer "+c.c.Token)
	}
	req.Header.Set("User-Agent", c.c.Agent)
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, c.lost(ctx, err)
	}
	return resp, nil
}

// lost turns the error of a request that got no answer into one for people.
func (c *Client) lost(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return fmt.Errorf("call %s: %w", c.c.Server, context.Cause(ctx))
	}
	if u, ok := errors.AsType[*url.Error](err); ok {
		err = u.Err // without the URL, whose query is none of a log's business
	}
	e := errs.New(errs.Unavailable, "cannot reach %s: %w", c.c.Server, err)
	if _, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return e.WithHint("its certificate is not trusted: give the CA that signed it")
	}
	return e.WithHint("is the server running at %s? `tutti serve` starts one; TUTTI_SERVER or --server names another", c.c.Server)
}

// Upload is a file to upload.
type Upload struct {
	// Namespace is where it goes; empty is the client's.
	Namespace string
	// Name is what it is called, without folders.
	Name string
	// Type is its media type; empty is application/octet-stream.
	Type string
	// Key makes repeating safe: the same key gives the same file.
	Key string
	// Body is its content.
	Body io.Reader
}

// Upload stores a file. It is not repeated, since a reader can be read but once.
func (c *Client) Upload(ctx context.Context, u Upload) (api.File, error) {
	var f api.File
	path, err := c.files(u.Namespace, "")
	if err != nil {
		return f, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, path+"?"+url.Values{"name": {u.Name}}.Encode(), u.Body)
	if err != nil {
		return f, errs.New(errs.Invalid, "upload: %w", err)
	}
	if u.Type == "" {
		u.Type = "application/octet-stream"
	}
	req.Header.Set("Content-Type", u.Type)
	if u.Key != "" {
		req.Header.Set("Idempotency-Key", u.Key)
	}
	b, err := c.answer(req)
	if err != nil {
		return f, fmt.Errorf("upload %s: %w", u.Name, err)
	}
	if err := json.Unmarshal(b, &f); err != nil {
		return f, errs.New(errs.Unavailable, "upload %s: %s did not answer as a server of Tutti: %w", u.Name, c.c.Server, err)
	}
	return f, nil
}

// Download returns the content of a file, by its ID or sha256:… digest, in the client's namespace
// where namespace is empty. The caller closes it. A connection that breaks is an error of its Read.
func (c *Client) Download(ctx context.Context, namespace, file string) (io.ReadCloser, error) {
	path, err := c.files(namespace, file)
	if err != nil {
		return nil, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, path, nil)
	if err != nil {
		return nil, errs.New(errs.Invalid, "download: %w", err)
	}
	resp, err := c.do(req)
	if err != nil {
		return nil, fmt.Errorf("download %s: %w", file, err)
	}
	return resp.Body, nil
}

// ExportAudit returns the acts of the client's namespace that match query, newest first, in a format: "jsonl"
// or "csv". The caller closes it. A connection that breaks is an error of its Read.
func (c *Client) ExportAudit(ctx context.Context, query, format string) (io.ReadCloser, error) {
	path := c.c.Server + "/v1/namespaces/" + url.PathEscape(c.c.Namespace) + "/audit/export?" + url.Values{"q": {query}, "format": {format}}.Encode()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, path, nil)
	if err != nil {
		return nil, errs.New(errs.Invalid, "export: %w", err)
	}
	resp, err := c.do(req)
	if err != nil {
		return nil, fmt.Errorf("export the audit trail: %w", err)
	}
	return resp.Body, nil
}

// files returns the address of a file's content, or of the collection.
func (c *Client) files(namespace, file string) (string, error) {
	if namespace == "" {
		namespace = c.c.Namespace
	}
	path := c.c.Server + "/v1/namespaces/" + url.PathEscape(namespace) + "/files"
	if file == "" {
		return path, nil
	}
	if file == "." || file == ".." {
		return "", errs.New(errs.Invalid, "%q is no file ID", file)
	}
	return path + "/" + url.PathEscape(file) + "/content", nil
}
