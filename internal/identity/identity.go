// Package identity knows who may do what: local users with passwords (argon2id), the sessions they
// open, the API tokens that act for them, the namespaces there are, and the one-time token by which
// the first administrator is made.
//
// It owns the tables identity_users, identity_sessions, identity_tokens, identity_namespaces and
// identity_state, and answers the methods of api/identity.go. It publishes no events.
//
// A session and a token act as their user: the subject is "user:anna" for both, so that a rule such as
// "not by the requester" holds whichever she uses. Secrets are kept as SHA-256 only; passwords,
// secrets and their hashes appear in no answer but the one that makes them, no log and no audit row.
package identity

import (
	"context"
	"embed"
	"errors"
	"log/slog"
	"strings"
	"time"

	"tutti/api"
	"tutti/bus"
	"tutti/errs"
	"tutti/internal/service"
	"tutti/internal/store"
)

// Migrations are those of the tables above.
//
//go:embed migrations
var Migrations embed.FS

// Config says how the first administrator comes to be. The zero Config makes none.
type Config struct {
	// TokenFile is where the one-time bootstrap token is written, with mode 0600, as long as no user
	// has a password. It is removed when the first administrator was made.
	TokenFile string
	// AdminToken, "tutti_" and at least 32 characters, is made an API token of the user demo, who
	// administers everything and has no password. It ends at the next start without it. For
	// `tutti demo` and tests only: NewToken draws one.
	AdminToken string
}

// Service is the identity service.
type Service struct {
	config    Config
	db        *store.DB
	bus       *bus.Bus
	log       *slog.Logger
	passwords *passwords
	throttle  *throttle
	links     *links
	seen      *cache
}

// New returns what builds the service.
func New(c Config) func(service.Deps) (service.Service, error) {
	return func(d service.Deps) (service.Service, error) {
		if t := c.AdminToken; t != "" && (!strings.HasPrefix(t, tokenPrefix) || len(t) < len(tokenPrefix)+32) {
			return nil, errs.New(errs.Invalid, "the administrator's token is not %s and at least 32 characters", tokenPrefix)
		}
		return &Service{config: c, db: d.DB, bus: d.Bus, log: d.Log, passwords: newPasswords(), throttle: newThrottle(), links: newLinks(), seen: &cache{}}, nil
	}
}

// Run answers until ctx ends.
func (s *Service) Run(ctx context.Context) error {
	if err := s.prepare(bus.AsService(ctx, "identity")); err != nil {
		return err
	}
	err := errors.Join(
		api.Bootstrap.Handle(ctx, s.bus, s.bootstrap),
		api.AskFirstUse.Handle(ctx, s.bus, s.firstUse),
		api.Login.Handle(ctx, s.bus, s.login),
		api.MakeLink.Handle(ctx, s.bus, s.makeLink),
		api.FollowLink.Handle(ctx, s.bus, s.followLink),
		api.Logout.Handle(ctx, s.bus, s.logout),
		api.Authenticate.Handle(ctx, s.bus, s.authenticate),
		api.WhoAmI.Handle(ctx, s.bus, s.whoAmI),
		api.ListUsers.Handle(ctx, s.bus, s.listUsers),
		api.CreateUser.Handle(ctx, s.bus, s.createUser),
		api.UpdateUser.Handle(ctx, s.bus, s.updateUser),
		api.DeleteUser.Handle(ctx, s.bus, s.deleteUser),
		api.ListTokens.Handle(ctx, s.bus, s.listTokens),
		api.CreateToken.Handle(ctx, s.bus, s.createToken),
		api.RevokeToken.Handle(ctx, s.bus, s.revokeToken),
		api.ListNamespaces.Handle(ctx, s.bus, s.listNamespaces),
		api.ListRoles.Handle(ctx, s.bus, listRoles),
		api.CreateNamespace.Handle(ctx, s.bus, s.createNamespace),
	)
	if err != nil {
		return err
	}
	return s.sweep(ctx)
}

// sweepEvery is how often what has expired is removed.
const sweepEvery = time.Hour

// sweep removes expired sessions and tokens until ctx ends. They are refused from the moment they
// expire; this only saves room.
func (s *Service) sweep(ctx context.Context) error {
	for {
		if err := s.removeExpired(ctx, time.Now()); err != nil && ctx.Err() == nil {
			s.log.Warn("expired sessions not removed", "err", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(sweepEvery):
		}
	}
}

// everywhere is the namespace of acts that concern the whole installation.
const everywhere = "*"

// self returns the name of the user whom the call is made for, or "".
func self(ctx context.Context) string {
	name, _ := strings.CutPrefix(bus.Subject(ctx), "user:")
	return name
}

// asUser returns ctx with the user as its caller, for acts of somebody who is only now known.
func asUser(ctx context.Context, name string) context.Context {
	c, _ := bus.CallerFrom(ctx)
	return bus.WithCaller(ctx, bus.Caller{Subject: "user:" + name, From: c.From})
}
