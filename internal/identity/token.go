package identity

import (
	"context"
	"time"

	"tutti/api"
	"tutti/bus"
	"tutti/errs"
	"tutti/id"
	"tutti/internal/store"
)

const (
	tokenTTL    = 90 * 24 * time.Hour
	maxTokenTTL = 1000 * 24 * time.Hour
	maxTokens   = 1000 // of one user
)

// token is an API token as it is stored. Without scope it may do what its user may, always.
type token struct {
	api.Token
	hash   string
	scoped bool
}

// listTokens shows the caller's tokens, and all of them to who may manage users.
func (s *Service) listTokens(ctx context.Context, _ api.Nothing) (api.Page[api.Token], error) {
	owner := self(ctx)
	if s.bus.Allow(ctx, "user.read", "") == nil {
		owner = ""
	} else if owner == "" {
		return api.Page[api.Token]{Items: []api.Token{}}, nil
	}
	ts, err := s.tokens(ctx, owner)
	return api.Page[api.Token]{Items: ts}, err
}

// createToken makes a token. It never exceeds what its user, or what the caller, may do.
func (s *Service) createToken(ctx context.Context, in api.CreateTokenIn) (api.Token, error) {
	b := in.Body
	owner := b.User
	if owner == "" {
		owner = self(ctx)
	}
	if owner == "" {
		return api.Token{}, errs.New(errs.Invalid, "the token needs a user").WithHint("give user")
	}
	if owner != self(ctx) {
		if err := s.bus.Allow(ctx, "token.write", ""); err != nil {
			return api.Token{}, err
		}
	}
	if err := checkText("the name of the token", b.Name, 1, 100); err != nil {
		return api.Token{}, err
	}
	ttl := time.Duration(b.Expires)
	if ttl == 0 {
		ttl = tokenTTL
	}
	if ttl < 0 || ttl > maxTokenTTL {
		return api.Token{}, errs.New(errs.Invalid, "a token can last at most 1000d, not %s", b.Expires)
	}
	secret, now := NewToken(), time.Now().UTC().Truncate(time.Microsecond)
	t := token{hash: digest(secret), scoped: len(b.Grants) > 0, Token: api.Token{
		ID: id.New("tok"), Name: b.Name, User: owner, Created: now, Expires: now.Add(ttl).Truncate(time.Microsecond)}}
	err := s.db.Tx(ctx, func(tx *store.Tx) (err error) {
		if t.Grants, err = s.scope(ctx, tx, owner, b.Grants); err != nil {
			return err
		}
		if err := insertToken(tx, t); err != nil {
			return err
		}
		return tx.Audit(store.Act{Namespace: everywhere, Action: "token.create", Object: t.ID,
			Detail: map[string]any{"name": t.Name, "user": owner, "grants": t.Grants, "scoped": t.scoped, "expires": t.Expires}})
	})
	t.Secret = secret
	if err != nil {
		return api.Token{}, err
	}
	return t.Token, nil
}

// scope returns the grants of a token for owner: those asked for, or the user's where none are.
func (s *Service) scope(ctx context.Context, tx *store.Tx, owner string, asked []api.GrantView) ([]api.GrantView, error) {
	u, err := lockUser(tx, owner)
	if err != nil {
		return nil, err
	}
	if u.Off {
		return nil, errs.New(errs.Conflict, "user %s is turned off", owner)
	}
	n, err := countTokens(tx, owner)
	if err != nil {
		return nil, err
	}
	if n >= maxTokens {
		return nil, errs.New(errs.Conflict, "user %s has %d tokens already", owner, n).WithHint("revoke some that are not used any more")
	}
	if len(asked) == 0 {
		// A token with less than its user may do makes none that may do it all.
		c, _ := bus.CallerFrom(ctx)
		return u.Grants, covers(c.Grants, u.Grants)
	}
	gs, err := s.grantable(ctx, tx, asked)
	if err != nil {
		return nil, err
	}
	if covers(grantsOf(u.Grants), gs) != nil {
		return nil, errs.New(errs.Denied, "the token would exceed what user %s may do", owner).WithHint("ask for less, or grant the user more first")
	}
	return gs, nil
}

// revokeToken ends a token of the caller, or, for who may manage tokens, of anybody.
func (s *Service) revokeToken(ctx context.Context, in api.TokenIn) (api.Nothing, error) {
	unknown := errs.New(errs.NotFound, "no token %q", in.ID).WithHint("`tutti token list` shows them")
	if !id.Valid("tok", in.ID) && in.ID != demoToken {
		return api.Nothing{}, unknown
	}
	return api.Nothing{}, s.db.Tx(ctx, func(tx *store.Tx) error {
		tx.AfterCommit(s.seen.clear)
		owner, err := tokenOwner(tx, in.ID)
		if errs.Is(err, errs.NotFound) || err == nil && owner != self(ctx) && s.bus.Allow(ctx, "token.write", "") != nil {
			return unknown
		}
		if err != nil {
			return err
		}
		if err := deleteToken(tx, in.ID); err != nil {
			return err
		}
		return tx.Audit(store.Act{Namespace: everywhere, Action: "token.revoke", Object: in.ID, Detail: map[string]any{"user": owner}})
	})
}
