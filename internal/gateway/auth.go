package gateway

import (
	"context"
	"crypto/sha256"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"tutti/api"
	"tutti/bus"
	"tutti/errs"
)

// cookieName is the cookie of a session.
const cookieName = "tutti_session"

const (
	// trusted is how long identity's word is believed: with what identity itself remembers, a secret
	// that was revoked is refused within 5 s.
	trusted = time.Second
	// maxTrusted bounds how many secrets are remembered.
	maxTrusted = 10_000
)

// authenticator tells whose a secret is, and remembers for a moment.
type authenticator struct {
	bus *bus.Bus

	mu    sync.Mutex
	known map[[sha256.Size]byte]known
}

type known struct {
	who   api.Authenticated
	until time.Time
}

func newAuthenticator(b *bus.Bus) *authenticator {
	return &authenticator{bus: b, known: map[[sha256.Size]byte]known{}}
}

// who returns whose secret it is, or errs.Unauthenticated. Refusals are not remembered.
func (a *authenticator) who(ctx context.Context, secret string) (api.Authenticated, error) {
	key := sha256.Sum256([]byte(secret))
	a.mu.Lock()
	k, ok := a.known[key]
	a.mu.Unlock()
	if ok && time.Now().Before(k.until) {
		return k.who, nil
	}
	asked := time.Now()
	who, err := api.Authenticate.Call(bus.AsService(ctx, "gateway"), a.bus, api.AuthenticateIn{Secret: secret})
	if err != nil {
		return who, err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.known) >= maxTrusted {
		clear(a.known) // cheaper than to know which is oldest, and costs a question each
	}
	a.known[key] = known{who, asked.Add(trusted)}
	return who, nil
}

// forget makes the next call with a secret ask again.
func (a *authenticator) forget(secret string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.known, sha256.Sum256([]byte(secret)))
}

// credential is what a request shows of who makes it.
type credential struct {
	secret string
	cookie bool // the browser sent it by itself
}

type credentialKey struct{}

// credentialOf returns the credential that the request of ctx was authenticated with.
func credentialOf(ctx context.Context) credential {
	c, _ := ctx.Value(credentialKey{}).(credential)
	return c
}

// maxSecret bounds a secret, in bytes.
const maxSecret = 512

// credential returns what r shows, or errs.Unauthenticated. The header wins over the cookie.
func (g *Gateway) credential(r *http.Request) (credential, error) {
	if h := r.Header.Get("Authorization"); h != "" {
		scheme, secret, _ := strings.Cut(h, " ")
		secret = strings.TrimSpace(secret)
		if !strings.EqualFold(scheme, "Bearer") || secret == "" || len(secret) > maxSecret {
			return credential{}, errs.New(errs.Unauthenticated, "the Authorization header holds no token").WithHint("send Authorization: Bearer TOKEN")
		}
		return credential{secret: secret}, nil
	}
	if c, err := r.Cookie(cookieName); err == nil && c.Value != "" && len(c.Value) <= maxSecret {
		return credential{c.Value, true}, nil
	}
	return credential{}, errs.New(errs.Unauthenticated, "this needs a token or a session").
		WithHint("`tutti login` opens a session; or send Authorization: Bearer TOKEN")
}

// authenticated makes h see who calls, and refuses who cannot tell.
func (g *Gateway) authenticated(h handler) handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		c, err := g.credential(r)
		if err != nil {
			return err
		}
		if c.cookie && unsafe(r.Method) && !sameOrigin(r, false) {
			return crossSite()
		}
		who, err := g.auth.who(r.Context(), c.secret)
		if err != nil {
			return err
		}
		if c.cookie && !who.Session {
			return errs.New(errs.Unauthenticated, "the cookie is not that of a session").WithHint("send a token as Authorization: Bearer TOKEN")
		}
		if who, err = g.within(r, c.secret, who); err != nil {
			return err
		}
		caller := who.Caller
		caller.From = strings.TrimSpace(remote(r) + " " + caller.From) // identity may name the token
		note(r.Context(), caller.Subject)
		ctx := context.WithValue(bus.WithCaller(r.Context(), caller), credentialKey{}, c)
		return h(w, r.WithContext(ctx))
	}
}

// within refuses a namespace that does not exist to who has a role in all of them; to others their
// roles say what there is. One made a moment ago is asked for once more.
func (g *Gateway) within(r *http.Request, secret string, who api.Authenticated) (api.Authenticated, error) {
	ns := r.PathValue("namespace")
	if ns == "" || ns == everywhere || !inAll(who.Caller) || slices.Contains(who.Namespaces, ns) {
		return who, nil
	}
	g.auth.forget(secret)
	who, err := g.auth.who(r.Context(), secret)
	if err == nil && inAll(who.Caller) && !slices.Contains(who.Namespaces, ns) {
		err = errs.New(errs.NotFound, "no namespace %.80q", ns).WithHint("`tutti namespace list` shows those there are; `tutti namespace create` makes one")
	}
	return who, err
}

// everywhere is the namespace of roles that hold in every namespace, and of what concerns them all.
const everywhere = "*"

// inAll reports whether a caller has a role in every namespace.
func inAll(c bus.Caller) bool {
	return slices.ContainsFunc(c.Grants, func(g bus.Grant) bool { return g.Namespace == everywhere })
}

// unsafe reports whether a method changes something.
func unsafe(method string) bool {
	return method != http.MethodGet && method != http.MethodHead && method != http.MethodOptions
}

// sameOrigin reports whether the browser says that a page of this server made r. A request that says
// nothing of its origin comes from no browser of today; it is answered with other.
func sameOrigin(r *http.Request, other bool) bool {
	if site := r.Header.Get("Sec-Fetch-Site"); site != "" {
		return site == "same-origin"
	}
	origin := r.Header.Get("Origin")
	if origin == "" {
		return other
	}
	u, err := url.Parse(origin)
	return err == nil && u.Host != "" && strings.EqualFold(u.Host, r.Host) && (u.Scheme == "https" || u.Scheme == "http" && r.TLS == nil)
}

func crossSite() error {
	return errs.New(errs.Denied, "the request was made by a page of another site").WithHint("programs send Authorization: Bearer TOKEN instead of the cookie")
}

// setCookie keeps a session in the browser; one with an empty secret removes it.
func (g *Gateway) setCookie(w http.ResponseWriter, r *http.Request, s api.Session) {
	c := &http.Cookie{
		Name: cookieName, Value: s.Secret, Path: "/", Expires: s.Expires,
		HttpOnly: true, SameSite: http.SameSiteStrictMode, Secure: r.TLS != nil || g.c.Secure,
	}
	if s.Secret == "" {
		c.MaxAge = -1
	}
	http.SetCookie(w, c)
}
