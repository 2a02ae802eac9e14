package identity

import (
	"context"
	"crypto/subtle"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"time"

	"tutti/api"
	"tutti/errs"
	"tutti/internal/store"
)

// prepare makes what exists from the start: the namespace default, and a way in.
func (s *Service) prepare(ctx context.Context) error {
	err := s.db.Tx(ctx, func(tx *store.Tx) error {
		if err := ensureNamespace(tx, api.Namespace{Name: "default", Title: "Default", Created: time.Now()}); err != nil {
			return err
		}
		if s.config.AdminToken == "" {
			return deleteToken(tx, demoToken)
		}
		return ensureDemo(tx, digest(s.config.AdminToken), time.Now())
	})
	if err != nil {
		return err
	}
	if s.config.TokenFile == "" || s.config.AdminToken != "" {
		return nil
	}
	if err := s.offerBootstrap(ctx); err != nil {
		return fmt.Errorf("bootstrap token: %w", err)
	}
	return nil
}

// offerBootstrap sees to it that there is a bootstrap token exactly while nobody can log in. The file
// is written before its hash: one that is not the newest is no use and is replaced at the next start.
func (s *Service) offerBootstrap(ctx context.Context) error {
	hash, bootstrapped, err := s.bootstrapState(ctx)
	if err != nil {
		return err
	}
	if bootstrapped {
		return s.withdrawFile()
	}
	if old, err := os.ReadFile(s.config.TokenFile); err == nil && hash != "" && digest(strings.TrimSpace(string(old))) == hash {
		return nil
	}
	if err := s.withdrawFile(); err != nil {
		return err
	}
	token := newSecret("")
	if err := writeSecret(s.config.TokenFile, token); err != nil {
		return err
	}
	s.log.Info("nobody can log in yet; the bootstrap token makes the first administrator", "file", s.config.TokenFile)
	return s.db.Tx(ctx, func(tx *store.Tx) error { return setBootstrap(tx, digest(token)) })
}

func (s *Service) withdrawFile() error {
	if err := os.Remove(s.config.TokenFile); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// writeSecret makes a file that only its owner can read; it never follows or reuses what is there.
func writeSecret(path, secret string) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = f.WriteString(secret + "\n")
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}

// firstUse tells whether the bootstrap token still waits to be used.
func (s *Service) firstUse(ctx context.Context, _ api.Nothing) (api.FirstUse, error) {
	hash, done, err := s.bootstrapState(ctx)
	return api.FirstUse{Open: hash != "" && !done}, err
}

// bootstrap makes the first administrator.
func (s *Service) bootstrap(ctx context.Context, in api.BootstrapIn) (api.Session, error) {
	b := in.Body
	refund, err := s.throttle.take(origin(ctx), "")
	if err != nil {
		return api.Session{}, err
	}
	refused := errs.New(errs.Denied, "the bootstrap token is wrong or was used already").
		WithHint("read it from the file bootstrap-token in the data folder; once there is an administrator, log in instead")
	want, done, err := s.bootstrapState(ctx)
	if err != nil {
		return api.Session{}, err
	}
	if done || !same(want, digest(b.Token)) {
		return api.Session{}, refused
	}
	refund()
	if err := errors.Join(checkName(b.User), checkMail(b.Mail)); err != nil {
		return api.Session{}, err
	}
	hash, err := s.passwords.hash(ctx, b.Password)
	if err != nil {
		return api.Session{}, err
	}
	u := user{User: api.User{Name: b.User, Mail: b.Mail, Created: time.Now().UTC(), Grants: []api.GrantView{{Namespace: everywhere, Role: api.Admin}}}, hash: hash}
	ctx = asUser(ctx, b.User)
	session := newSession(b.User)
	err = s.db.Tx(ctx, func(tx *store.Tx) error {
		won, err := spendBootstrap(tx, want)
		if err != nil {
			return err
		}
		if !won {
			return refused
		}
		if err := insertUser(tx, u); err != nil {
			return err
		}
		if err := insertSession(tx, session); err != nil {
			return err
		}
		return tx.Audit(store.Act{Namespace: everywhere, Action: "identity.bootstrap", Object: u.Name})
	})
	if err != nil {
		return api.Session{}, err
	}
	if err := s.withdrawFile(); err != nil {
		s.log.Warn("the spent bootstrap token is not removed", "err", err)
	}
	return session, nil
}

// same compares two hashes in constant time; an empty one equals nothing.
func same(a, b string) bool {
	return a != "" && subtle.ConstantTimeCompare([]byte(a), []byte(b)) == 1
}
