package gitrepo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/format/packfile"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp/capability"
	"github.com/go-git/go-git/v5/plumbing/transport"
	githttp "github.com/go-git/go-git/v5/plumbing/transport/http"
	gitssh "github.com/go-git/go-git/v5/plumbing/transport/ssh"
	"github.com/go-git/go-git/v5/storage/filesystem"
	"golang.org/x/crypto/ssh"
	"golang.org/x/net/proxy"

	"tutti/errs"
	"tutti/id"
)

// fetch brings a commit into store: it alone where the far side gives it, and the branches otherwise.
func (rs *Remotes) fetch(ctx context.Context, store *filesystem.Storage, r Remote, h plumbing.Hash) error {
	l := &line{dial: rs.Dial}
	defer l.end()
	ep, tr, auth, err := l.prepare(r)
	if err != nil {
		return err
	}
	err = l.pull(ctx, tr, ep, auth, store, []plumbing.Hash{h}, 1)
	if err != nil && ctx.Err() == nil && !l.hopeless(err) {
		err = l.pull(ctx, tr, ep, auth, store, nil, 0)
	}
	return l.word(ctx, err)
}

// line is how one repository is reached, once.
type line struct {
	dial     func(ctx context.Context, network, address string) (net.Conn, error)
	refused  atomic.Pointer[errs.Error]
	badHost  atomic.Bool
	received atomic.Int64
	clean    func()
}

// prepare returns the endpoint of a remote and what speaks to it.
func (l *line) prepare(r Remote) (*transport.Endpoint, transport.Transport, transport.AuthMethod, error) {
	u, err := url.Parse(r.URL)
	if err != nil || u.Host == "" || strings.HasPrefix(u.Host, "-") || strings.ContainsAny(u.Path, "\x00\n") {
		return nil, nil, nil, errs.New(errs.Invalid, "the repository's address is not of the form https://host/path or ssh://host/path")
	}
	if _, has := u.User.Password(); has {
		return nil, nil, nil, errs.New(errs.Invalid, "the repository's address has a password in it").WithHint("give it beside the address, as a secret")
	}
	ep, err := transport.NewEndpoint(r.URL)
	if err != nil {
		return nil, nil, nil, errs.New(errs.Invalid, "the repository's address cannot be used: %w", err)
	}
	switch u.Scheme {
	case "https", "http":
		if u.Scheme == "http" && !loopback(u.Hostname()) && r.Password != "" {
			return nil, nil, nil, errs.New(errs.Invalid, "the repository's address is http, over which everybody can read the password").WithHint("use https")
		}
		tr, auth := l.overHTTP(r)
		return ep, tr, auth, nil
	case "ssh":
		auth, err := l.overSSH(r, ep, u.User.Username())
		return ep, gitssh.NewClient(nil), auth, err
	}
	return nil, nil, nil, errs.New(errs.Invalid, "the repository's address begins with %q", u.Scheme+"://").WithHint("use https:// or ssh://")
}

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

func (l *line) overHTTP(r Remote) (transport.Transport, transport.AuthMethod) {
	c := &http.Client{
		Transport: &http.Transport{DialContext: l.connect, TLSHandshakeTimeout: 10 * time.Second, ResponseHeaderTimeout: time.Minute, MaxConnsPerHost: 2, DisableKeepAlives: true},
		CheckRedirect: func(*http.Request, []*http.Request) error {
			return errors.New("it answers with a redirect, which is not followed")
		},
	}
	if r.Password == "" {
		return githttp.NewClient(c), nil
	}
	user := r.User
	if user == "" {
		user = "git" // services that take tokens do not look at it
	}
	return githttp.NewClient(c), &githttp.BasicAuth{Username: user, Password: r.Password}
}

func (l *line) overSSH(r Remote, ep *transport.Endpoint, user string) (transport.AuthMethod, error) {
	if r.Key == "" || r.HostKey == "" {
		return nil, errs.New(errs.Invalid, "a repository over ssh needs a key and the host's public key").WithHint("ssh-keyscan HOST shows the host's keys; compare one with what its operator publishes")
	}
	want, _, _, _, err := ssh.ParseAuthorizedKey([]byte(r.HostKey))
	if err != nil {
		return nil, errs.New(errs.Invalid, "the host's public key cannot be read").WithHint("write it as ssh-ed25519 AAAA…")
	}
	signer, err := ssh.ParsePrivateKey([]byte(r.Key))
	if err != nil {
		return nil, errs.New(errs.Invalid, "the private key cannot be read").WithHint("give a key without a passphrase, in PEM or OpenSSH form")
	}
	if user == "" {
		user = r.User
	}
	if user == "" {
		user = "git"
	}
	auth := &gitssh.PublicKeys{User: user, Signer: signer}
	auth.HostKeyCallback = func(_ string, _ net.Addr, key ssh.PublicKey) error {
		if string(key.Marshal()) != string(want.Marshal()) {
			l.badHost.Store(true)
			return errors.New("it has another host key")
		}
		return nil
	}
	ep.Proxy.URL = l.register() + "guard"
	return pinned{auth, want.Type()}, nil
}

// pinned asks the host for the kind of key that is expected, where it has several.
type pinned struct {
	*gitssh.PublicKeys
	kind string
}

func (p pinned) ClientConfig() (*ssh.ClientConfig, error) {
	c, err := p.PublicKeys.ClientConfig()
	if err == nil {
		c.Timeout = time.Minute
		c.HostKeyAlgorithms = []string{p.kind}
		if p.kind == ssh.KeyAlgoRSA {
			c.HostKeyAlgorithms = []string{ssh.KeyAlgoRSASHA512, ssh.KeyAlgoRSASHA256}
		}
	}
	return c, err
}

// lines are those that the ssh transport may ask for a connection. It dials by itself but through a
// "proxy", which is found by a scheme in a table that is global; ours leads here.
var lines sync.Map

const scheme = "tutti-guard"

var once sync.Once

func (l *line) register() string {
	once.Do(func() {
		proxy.RegisterDialerType(scheme, func(u *url.URL, _ proxy.Dialer) (proxy.Dialer, error) {
			found, ok := lines.Load(u.User.Username())
			if !ok {
				return nil, errors.New("the connection is over")
			}
			return dialer{found.(*line)}, nil
		})
	})
	key := strings.TrimPrefix(id.New("l"), "l_")
	lines.Store(key, l)
	l.clean = func() { lines.Delete(key) }
	return scheme + "://" + key + "@"
}

type dialer struct{ l *line }

func (d dialer) Dial(network, address string) (net.Conn, error) {
	return d.l.connect(context.Background(), network, address) // background: the dial has a time of its own
}

func (d dialer) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	return d.l.connect(ctx, network, address)
}

func (l *line) end() {
	if l.clean != nil {
		l.clean()
	}
}

// connect dials through the guard, and bounds what comes back.
func (l *line) connect(ctx context.Context, network, address string) (net.Conn, error) {
	c, err := l.dial(ctx, network, address)
	if e, ok := errors.AsType[*errs.Error](err); ok {
		l.refused.Store(e)
	}
	if err != nil {
		return nil, err
	}
	return counted{c, l}, nil
}

type counted struct {
	net.Conn
	l *line
}

func (c counted) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if c.l.received.Add(int64(n)) > maxFetch {
		return n, errTooMuch
	}
	return n, err
}

var errTooMuch = errors.New("it sends more than is taken")

// pull fetches wants, or all branches, down to a depth; 0 is everything.
func (l *line) pull(ctx context.Context, tr transport.Transport, ep *transport.Endpoint, auth transport.AuthMethod, store *filesystem.Storage, wants []plumbing.Hash, depth int) error {
	s, err := tr.NewUploadPackSession(ep, auth)
	if err != nil {
		return err
	}
	defer s.Close()
	stop := context.AfterFunc(ctx, func() { _ = s.Close() })
	defer stop()
	refs, err := s.AdvertisedReferencesContext(ctx)
	if err != nil {
		return err
	}
	req := packp.NewUploadPackRequestFromCapabilities(refs.Capabilities)
	// Without progress and messages in between, which nobody would read.
	req.Capabilities.Delete(capability.Sideband)
	req.Capabilities.Delete(capability.Sideband64k)
	if req.Wants = wants; wants == nil {
		for name, h := range refs.References {
			if strings.HasPrefix(name, "refs/heads/") {
				req.Wants = append(req.Wants, h)
			}
		}
	}
	if len(req.Wants) == 0 {
		return transport.ErrEmptyRemoteRepository
	}
	if depth > 0 && refs.Capabilities.Supports(capability.Shallow) {
		if err := req.Capabilities.Set(capability.Shallow); err != nil {
			return err
		}
		req.Depth = packp.DepthCommits(depth)
	}
	resp, err := s.UploadPack(ctx, req)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Close() }() // it was read
	return packfile.UpdateObjectStorage(store, io.Reader(resp))
}

// hopeless reports whether asking in another way would not help.
func (l *line) hopeless(err error) bool {
	return l.refused.Load() != nil || l.badHost.Load() || l.received.Load() > maxFetch ||
		errors.Is(err, transport.ErrAuthenticationRequired) || errors.Is(err, transport.ErrAuthorizationFailed) ||
		errors.Is(err, transport.ErrRepositoryNotFound) || errors.Is(err, transport.ErrEmptyRemoteRepository)
}

// word gives an error its kind.
func (l *line) word(ctx context.Context, err error) error {
	refused := l.refused.Load()
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return errs.New(errs.Unavailable, "it took too long, or was stopped: %w", ctx.Err())
	case refused != nil:
		return refused
	case l.badHost.Load():
		return errs.New(errs.Denied, "the host has another key than the one that is expected").WithHint("do not go on before you know why: somebody may stand in between")
	case l.received.Load() > maxFetch:
		return errs.New(errs.TooLarge, "the repository sends more than %d bytes", maxFetch)
	case errors.Is(err, transport.ErrAuthenticationRequired), errors.Is(err, transport.ErrAuthorizationFailed), strings.Contains(err.Error(), "unable to authenticate"):
		return errs.New(errs.Denied, "the repository refuses the credentials")
	case errors.Is(err, transport.ErrRepositoryNotFound):
		return errs.New(errs.NotFound, "there is no such repository, or the credentials do not show it")
	case errors.Is(err, transport.ErrEmptyRemoteRepository):
		return errs.New(errs.NotFound, "the repository is empty")
	}
	return errs.New(errs.Unavailable, "%v", fmt.Errorf("the repository cannot be read: %w", err))
}
