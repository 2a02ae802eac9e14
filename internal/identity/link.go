package identity

import (
	"context"
	"net/netip"
	"strings"
	"sync"
	"time"

	"tutti/api"
	"tutti/errs"
	"tutti/internal/store"
)

// linkTTL is how long a link can be followed: long enough to read what a demo says and to click.
const linkTTL = 10 * time.Minute

// maxLinks bounds how many links wait to be followed; past it the oldest ends.
const maxLinks = 20

// links are those that were not followed yet, by the hash of their secret. They live in memory: none is
// meant to outlive the process that made it.
type links struct {
	mu   sync.Mutex
	open map[string]link
}

type link struct {
	user  string
	until time.Time
}

func newLinks() *links { return &links{open: map[string]link{}} }

// put keeps a link.
func (l *links) put(hash string, x link) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.open) >= maxLinks {
		oldest := ""
		for h, y := range l.open {
			if oldest == "" || y.until.Before(l.open[oldest].until) {
				oldest = h
			}
		}
		delete(l.open, oldest)
	}
	l.open[hash] = x
}

// take returns whose link it is and forgets it, so that it is followed once; "" where there is none.
func (l *links) take(hash string, now time.Time) string {
	l.mu.Lock()
	defer l.mu.Unlock()
	x, ok := l.open[hash]
	delete(l.open, hash)
	if !ok || !now.Before(x.until) {
		return ""
	}
	return x.user
}

// loopback reports whether a call came from this machine. From may name a token behind the address.
func loopback(from string) bool {
	address, _, _ := strings.Cut(from, " ")
	ip, err := netip.ParseAddr(address)
	return err == nil && ip.Unmap().IsLoopback()
}

// makeLink makes a link. Only a demo has them: everywhere else people log in with what they know.
func (s *Service) makeLink(ctx context.Context, in api.MakeLinkIn) (api.Link, error) {
	if s.config.AdminToken == "" {
		return api.Link{}, errs.New(errs.Denied, "this server makes no links to log in").WithHint("only `tutti demo` logs its own browser in; log in with a password")
	}
	if !loopback(origin(ctx)) {
		return api.Link{}, errs.New(errs.Denied, "links are made and followed on the server's own machine")
	}
	if _, err := s.user(ctx, in.Body.User); err != nil {
		return api.Link{}, err
	}
	out := api.Link{Secret: newSecret("link_"), Expires: time.Now().UTC().Add(linkTTL)}
	s.links.put(digest(out.Secret), link{in.Body.User, out.Expires})
	return out, s.db.Tx(ctx, func(tx *store.Tx) error {
		return tx.Audit(store.Act{Namespace: everywhere, Action: "identity.makelink", Object: in.Body.User})
	})
}

// followLink opens the session of a link, once. It says the same of one that was followed, of one that
// is over, and of one that never was.
func (s *Service) followLink(ctx context.Context, in api.FollowLinkIn) (api.Session, error) {
	refund, err := s.throttle.take(origin(ctx), "")
	if err != nil {
		return api.Session{}, err
	}
	refused := errs.New(errs.Unauthenticated, "the link was used already, or is over").WithHint("log in with user and password")
	name := ""
	if loopback(origin(ctx)) {
		name = s.links.take(digest(in.Body.Secret), time.Now())
	}
	if name == "" {
		return api.Session{}, refused
	}
	session := newSession(name)
	ctx = asUser(ctx, name)
	err = s.db.Tx(ctx, func(tx *store.Tx) error {
		u, err := lockUser(tx, name)
		if errs.Is(err, errs.NotFound) || err == nil && u.Off {
			return refused
		}
		if err != nil {
			return err
		}
		if err := insertSession(tx, session); err != nil {
			return err
		}
		return tx.Audit(store.Act{Namespace: everywhere, Action: "identity.followlink", Object: name})
	})
	if err != nil {
		return api.Session{}, err
	}
	refund()
	return session, nil
}
