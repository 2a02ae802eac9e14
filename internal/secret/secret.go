// Package secret keeps the secrets of namespaces: write-only for people, opened only for a dispatch to
// a trusted worker.
//
// It owns the table secret_secrets and answers secret.list, secret.set, secret.delete and, for
// services, secret.resolve. It publishes no events. Values are sealed (package secretbox) for their
// namespace, name and version, so that no row can stand in for another or for an older self; they
// appear in no log, audit row or error.
package secret

import (
	"context"
	"embed"
	"encoding/base64"
	"errors"
	"log/slog"
	"regexp"
	"strings"
	"time"
	"unicode/utf8"

	"tutti/api"
	"tutti/bus"
	"tutti/errs"
	"tutti/internal/secretbox"
	"tutti/internal/service"
	"tutti/internal/store"
)

// Migrations are those of the table above.
//
//go:embed migrations
var Migrations embed.FS

// Service is the secret service.
type Service struct {
	box *secretbox.Box
	db  *store.DB
	bus *bus.Bus
	log *slog.Logger
}

// New returns what builds the service; box seals and opens the values.
func New(box *secretbox.Box) func(service.Deps) (service.Service, error) {
	return func(d service.Deps) (service.Service, error) {
		return &Service{box: box, db: d.DB, bus: d.Bus, log: d.Log}, nil
	}
}

// Run answers until ctx ends. First it seals anew what is sealed with a master key of before.
func (s *Service) Run(ctx context.Context) error {
	if err := s.rotate(ctx); err != nil {
		return err
	}
	err := errors.Join(
		api.ListSecrets.Handle(ctx, s.bus, s.list),
		api.SetSecret.Handle(ctx, s.bus, s.set),
		api.DeleteSecret.Handle(ctx, s.bus, s.delete),
		api.ResolveSecrets.Handle(ctx, s.bus, s.resolve),
	)
	if err != nil {
		return err
	}
	<-ctx.Done()
	return nil
}

const (
	maxValue = 64 << 10 // bytes
	// maxNames bounds how many secrets one dispatch may need, so that the answer fits into a message.
	maxNames = 64
)

var name = regexp.MustCompile(`^[a-z][a-z0-9_]{0,62}$`)

func checkName(n string) error {
	if !name.MatchString(n) {
		return errs.New(errs.Invalid, "%.80q is not a secret's name", n).WithHint("use lower-case letters, digits and _, beginning with a letter, at most 63")
	}
	return nil
}

// checkNamespace refuses the "*" of who may act everywhere: a secret is in one namespace.
func checkNamespace(ns string) error {
	if ns == "" || ns == "*" {
		return errs.New(errs.Invalid, "a secret is in one namespace, not in %q", ns)
	}
	return nil
}

func (s *Service) list(ctx context.Context, in api.ListSecretsIn) (api.Page[api.SecretInfo], error) {
	all, err := s.selectAll(ctx, in.Namespace)
	return api.Page[api.SecretInfo]{Items: all}, err
}

// set stores a value as the next version of a secret.
func (s *Service) set(ctx context.Context, in api.SetSecretIn) (api.SecretInfo, error) {
	if err := errors.Join(checkNamespace(in.Namespace), checkName(in.Name)); err != nil {
		return api.SecretInfo{}, err
	}
	v := in.Body.Value
	if v == "" || len(v) > maxValue || !utf8.ValidString(v) {
		return api.SecretInfo{}, errs.New(errs.Invalid, "the value of %s has %d bytes; it must be text of 1 to %d bytes", in.Name, len(v), maxValue)
	}
	info := api.SecretInfo{Name: in.Name, By: bus.Subject(ctx), Updated: time.Now().UTC().Truncate(time.Microsecond)}
	err := s.db.Tx(ctx, func(tx *store.Tx) (err error) {
		if info.Version, err = nextVersion(tx, in.Namespace, info); err != nil {
			return err
		}
		sealed, err := s.seal(in.Namespace, info.Name, info.Version, []byte(v))
		if err != nil {
			return err
		}
		if err := setSealed(tx, in.Namespace, info.Name, info.Version, sealed); err != nil {
			return err
		}
		return tx.Audit(store.Act{Namespace: in.Namespace, Action: "secret.set", Object: in.Name, Detail: map[string]any{"version": info.Version}})
	})
	return info, err
}

func (s *Service) delete(ctx context.Context, in api.SecretIn) (api.Nothing, error) {
	return api.Nothing{}, s.db.Tx(ctx, func(tx *store.Tx) error {
		found, err := removeValue(tx, in.Namespace, in.Name, time.Now())
		if err != nil {
			return err
		}
		if !found {
			return unknown(in.Namespace, []string{in.Name})
		}
		return tx.Audit(store.Act{Namespace: in.Namespace, Action: "secret.delete", Object: in.Name})
	})
}

func unknown(namespace string, names []string) error {
	return errs.New(errs.NotFound, "no secret %s in namespace %s", strings.Join(names, ", "), namespace).
		WithHint("`tutti secret list` shows those there are; `tutti secret set NAME` adds one")
}

// resolve returns values. All of the names must be there.
func (s *Service) resolve(ctx context.Context, in api.ResolveSecretsIn) (api.ResolvedSecrets, error) {
	out := api.ResolvedSecrets{Values: map[string]string{}}
	if len(in.Names) > maxNames {
		return out, errs.New(errs.TooLarge, "a task uses %d secrets; at most %d are possible", len(in.Names), maxNames)
	}
	var missing []string
	for _, n := range in.Names {
		version, sealed, err := s.selectOne(ctx, in.Namespace, n)
		if errs.Is(err, errs.NotFound) {
			missing = append(missing, n)
			continue
		}
		if err != nil {
			return api.ResolvedSecrets{}, err
		}
		plain, err := s.open(in.Namespace, n, version, sealed)
		if err != nil {
			s.log.Error("a secret cannot be opened", "namespace", in.Namespace, "secret", n, "version", version, "err", err)
			return api.ResolvedSecrets{}, errs.New(errs.Conflict, "the secret %s cannot be opened with the server's master key", n).
				WithHint("restore the master key file it was stored with, or set the secret again")
		}
		out.Values[n] = string(plain)
	}
	if missing != nil {
		return api.ResolvedSecrets{}, unknown(in.Namespace, missing)
	}
	return out, nil
}

// rotate seals every value anew that is not sealed with the newest master key. One that cannot be
// opened stays as it is.
func (s *Service) rotate(ctx context.Context) error {
	rows, err := s.selectSealed(ctx)
	if err != nil {
		return err
	}
	done := 0
	for _, r := range rows {
		raw, err := base64.StdEncoding.DecodeString(r.sealed)
		if err == nil && !s.box.Stale(raw) {
			continue
		}
		plain, err := s.open(r.namespace, r.name, r.version, r.sealed)
		if err != nil {
			s.log.Error("a secret cannot be opened", "namespace", r.namespace, "secret", r.name, "version", r.version, "err", err)
			continue
		}
		sealed, err := s.seal(r.namespace, r.name, r.version, plain)
		if err != nil {
			return err
		}
		if err := s.db.Tx(ctx, func(tx *store.Tx) error { return setSealed(tx, r.namespace, r.name, r.version, sealed) }); err != nil {
			return err
		}
		done++
	}
	if done > 0 {
		s.log.Info("secrets sealed with the new master key", "count", done)
	}
	return nil
}

func (s *Service) seal(namespace, name string, version int, plain []byte) (string, error) {
	b, err := s.box.Seal(secretbox.Context{Namespace: namespace, Name: name, Version: int64(version)}, plain)
	return base64.StdEncoding.EncodeToString(b), err
}

func (s *Service) open(namespace, name string, version int, sealed string) ([]byte, error) {
	b, err := base64.StdEncoding.DecodeString(sealed)
	if err != nil {
		return nil, err
	}
	return s.box.Unseal(secretbox.Context{Namespace: namespace, Name: name, Version: int64(version)}, b)
}
