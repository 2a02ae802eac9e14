package identity

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"tutti/api"
	"tutti/bus"
	"tutti/errs"
	"tutti/internal/store"
)

// The beginnings of secrets, by which people and scanners know what they found.
const (
	tokenPrefix   = "tutti_"
	sessionPrefix = "session_"
)

// NewToken draws the secret of an API token: "tutti_" and 43 characters, 256 bits.
func NewToken() string { return newSecret(tokenPrefix) }

func newSecret(prefix string) string {
	var b [32]byte
	_, _ = rand.Read(b[:]) // never fails: it ends the process instead
	return prefix + base64.RawURLEncoding.EncodeToString(b[:])
}

// digest is how secrets are stored. They have 256 random bits, so a fast hash without salt is enough.
func digest(secret string) string {
	sum := sha256.Sum256([]byte(secret))
	return hex.EncodeToString(sum[:])
}

const (
	// cacheTTL bounds how long another replica may take a revoked secret; in this one it ends at once.
	cacheTTL = 5 * time.Second
	// usedEvery is how exactly the last use of a token is known.
	usedEvery = time.Minute
)

// authenticate tells whose a secret is. From of a token's caller is the token's ID, so that the
// gateway can show both it and the address in the audit trail.
func (s *Service) authenticate(ctx context.Context, in api.AuthenticateIn) (api.Authenticated, error) {
	hash, now := digest(in.Secret), time.Now()
	if a, ok := s.seen.get(hash, now); ok {
		return a, nil
	}
	gen := s.seen.generation()
	var a api.Authenticated
	var expires time.Time
	var err error
	switch {
	case strings.HasPrefix(in.Secret, tokenPrefix):
		a, expires, err = s.byToken(ctx, hash, now)
	case strings.HasPrefix(in.Secret, sessionPrefix):
		a, expires, err = s.bySession(ctx, hash)
	default:
		err = errs.New(errs.NotFound, "neither a token nor a session")
	}
	if errs.Is(err, errs.NotFound) || err == nil && !now.Before(expires) {
		return a, errs.New(errs.Unauthenticated, "the token or session is not known, or is over").WithHint("log in again, or use another token")
	}
	if err != nil {
		return api.Authenticated{}, err
	}
	if slices.ContainsFunc(a.Caller.Grants, func(g bus.Grant) bool { return g.Namespace == everywhere }) {
		if a.Namespaces, err = s.names(ctx); err != nil {
			return api.Authenticated{}, err
		}
	}
	if end := now.Add(cacheTTL); expires.After(end) {
		expires = end
	}
	s.seen.put(gen, hash, a, expires)
	return a, nil
}

func (s *Service) bySession(ctx context.Context, hash string) (a api.Authenticated, expires time.Time, err error) {
	u, expires, err := s.sessionUser(ctx, hash)
	return api.Authenticated{Caller: bus.Caller{Subject: "user:" + u.Name, Grants: grantsOf(u.Grants)}, Session: true}, expires, err
}

func (s *Service) byToken(ctx context.Context, hash string, now time.Time) (a api.Authenticated, expires time.Time, err error) {
	t, u, err := s.tokenUser(ctx, hash)
	if err != nil {
		return a, expires, err
	}
	if now.Sub(t.Used) >= usedEvery && now.Before(t.Expires) {
		if err := s.db.Tx(ctx, func(tx *store.Tx) error { return setUsed(tx, t.ID, now) }); err != nil {
			s.log.Warn("use of a token not noted", "token", t.ID, "err", err)
		}
	}
	have := u.Grants
	if t.scoped {
		have = intersect(t.Grants, u.Grants)
	}
	return api.Authenticated{Caller: bus.Caller{Subject: "user:" + u.Name, Grants: grantsOf(have), From: t.ID}}, t.Expires, nil
}

// whoAmI tells who the caller is and what it may do.
func (s *Service) whoAmI(ctx context.Context, _ api.Nothing) (api.Me, error) {
	c, _ := bus.CallerFrom(ctx)
	return api.Me{Subject: c.Subject, Grants: viewsOf(c.Grants), Permissions: permissions(c.Grants)}, nil
}

// cache remembers callers by the hash of their secret. The zero cache is ready.
type cache struct {
	mu      sync.Mutex
	gen     int
	entries map[string]entry
}

type entry struct {
	a     api.Authenticated
	until time.Time
}

// maxCached bounds the cache; past it everything is looked up anew.
const maxCached = 10_000

func (c *cache) get(hash string, now time.Time) (api.Authenticated, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	e, ok := c.entries[hash]
	return e.a, ok && now.Before(e.until)
}

func (c *cache) generation() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.gen
}

// put keeps what was read since gen; if anything was revoked meanwhile, it may be stale and is not kept.
func (c *cache) put(gen int, hash string, a api.Authenticated, until time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if gen != c.gen {
		return
	}
	if len(c.entries) >= maxCached {
		now := time.Now()
		maps.DeleteFunc(c.entries, func(_ string, e entry) bool { return !now.Before(e.until) })
		if len(c.entries) >= maxCached {
			clear(c.entries)
		}
	}
	if c.entries == nil {
		c.entries = map[string]entry{}
	}
	c.entries[hash] = entry{a, until}
}

// clear forgets everybody, after a change of what anybody may do.
func (c *cache) clear() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.gen++
	clear(c.entries)
}
