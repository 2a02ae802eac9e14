package identity

import (
	"context"
	"time"

	"tutti/api"
	"tutti/bus"
	"tutti/errs"
	"tutti/internal/store"
)

// sessionTTL is how long a session lasts.
const sessionTTL = 12 * time.Hour

func newSession(user string) api.Session {
	return api.Session{Subject: "user:" + user, Secret: newSecret(sessionPrefix), Expires: time.Now().UTC().Add(sessionTTL)}
}

// origin returns where a call comes from; "" where the gateway did not say.
func origin(ctx context.Context) string {
	c, _ := bus.CallerFrom(ctx)
	return c.From
}

// login opens a session. It says and takes the same for an unknown user, for one without a password
// or turned off, and for a wrong password.
func (s *Service) login(ctx context.Context, in api.LoginIn) (api.Session, error) {
	name := in.Body.User
	refund, err := s.throttle.take(origin(ctx), name)
	if err != nil {
		return api.Session{}, err
	}
	u := user{}
	if checkName(name) == nil {
		if u, err = s.user(ctx, name); err != nil && !errs.Is(err, errs.NotFound) {
			return api.Session{}, err
		}
	}
	ok, err := s.passwords.check(ctx, in.Body.Password, u.hash)
	if err != nil {
		refund()
		return api.Session{}, err
	}
	wrong := errs.New(errs.Unauthenticated, "wrong user or password")
	if !ok || u.Off {
		s.log.Info("login refused", "from", origin(ctx))
		return api.Session{}, wrong
	}
	session := newSession(name)
	ctx = asUser(ctx, name)
	err = s.db.Tx(ctx, func(tx *store.Tx) error {
		// Meanwhile the user may have been turned off or got another password.
		now, err := lockUser(tx, name)
		if errs.Is(err, errs.NotFound) || err == nil && (now.Off || now.hash != u.hash) {
			return wrong
		}
		if err != nil {
			return err
		}
		if err := insertSession(tx, session); err != nil {
			return err
		}
		return tx.Audit(store.Act{Namespace: everywhere, Action: "identity.login", Object: name})
	})
	if err != nil {
		return api.Session{}, err
	}
	refund()
	return session, nil
}

// logout ends the session whose secret the call carries; it does nothing where there is none.
func (s *Service) logout(ctx context.Context, in api.LogoutIn) (api.Nothing, error) {
	return api.Nothing{}, s.db.Tx(ctx, func(tx *store.Tx) error {
		tx.AfterCommit(s.seen.clear)
		user, err := endSession(tx, digest(in.Secret))
		if err != nil || user == "" {
			return err
		}
		return tx.Audit(store.Act{Namespace: everywhere, Action: "identity.logout", Object: user})
	})
}
