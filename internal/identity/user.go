package identity

import (
	"context"
	"errors"
	"net/mail"
	"regexp"
	"strings"
	"time"

	"tutti/api"
	"tutti/bus"
	"tutti/errs"
	"tutti/internal/store"
)

// user is a user as it is stored.
type user struct {
	api.User
	hash string // of the password; "" where the user cannot log in
}

var userName = regexp.MustCompile(`^[a-z][a-z0-9._-]{0,62}$`)

func checkName(name string) error {
	if !userName.MatchString(name) {
		return errs.New(errs.Invalid, "%.80q is not a user name", name).WithHint("use lower-case letters, digits and . _ -, beginning with a letter, at most 63")
	}
	return nil
}

func checkMail(address string) error {
	if address == "" {
		return nil
	}
	a, err := mail.ParseAddress(address)
	if err != nil || a.Address != address || len(address) > 200 || strings.ContainsFunc(address, func(r rune) bool { return r <= ' ' }) {
		return errs.New(errs.Invalid, "%.200q is not a mail address", address).WithHint("write it as anna@example.org")
	}
	return nil
}

func (s *Service) listUsers(ctx context.Context, _ api.Nothing) (api.Page[api.User], error) {
	us, err := s.users(ctx)
	return api.Page[api.User]{Items: us}, err
}

// listRoles lists the roles that can be granted.
func listRoles(context.Context, api.Nothing) (p api.Page[api.RoleInfo], err error) {
	for _, name := range api.Roles {
		p.Items = append(p.Items, api.RoleInfo{Name: name, Permissions: api.PermissionsOf(name)})
	}
	return p, nil
}

// createUser makes a user; its creator must hold everything it grants.
func (s *Service) createUser(ctx context.Context, in api.CreateUserIn) (api.User, error) {
	b := in.Body
	c, _ := bus.CallerFrom(ctx)
	if err := errors.Join(checkName(b.Name), checkMail(b.Mail)); err != nil {
		return api.User{}, err
	}
	if err := covers(c.Grants, b.Grants); err != nil {
		return api.User{}, err
	}
	hash, err := s.passwords.hash(ctx, b.Password)
	if err != nil {
		return api.User{}, err
	}
	u := user{User: api.User{Name: b.Name, Mail: b.Mail, Created: time.Now().UTC().Truncate(time.Microsecond)}, hash: hash}
	err = s.db.Tx(ctx, func(tx *store.Tx) error {
		known, err := namespaceSet(tx)
		if err != nil {
			return err
		}
		if u.Grants, err = checkGrants(b.Grants, known); err != nil {
			return err
		}
		if err := insertUser(tx, u); err != nil {
			return err
		}
		return tx.Audit(store.Act{Namespace: everywhere, Action: "user.create", Object: u.Name, Detail: map[string]any{"grants": u.Grants}})
	})
	return u.User, err
}

// updateUser changes a user. A new password, or turning the user off, ends its sessions.
func (s *Service) updateUser(ctx context.Context, in api.UpdateUserIn) (api.User, error) {
	b := in.Body
	hash := ""
	if b.Password != nil {
		var err error
		if hash, err = s.passwords.hash(ctx, *b.Password); err != nil {
			return api.User{}, err
		}
	}
	if b.Mail != nil {
		if err := checkMail(*b.Mail); err != nil {
			return api.User{}, err
		}
	}
	var u user
	err := s.db.Tx(ctx, func(tx *store.Tx) (err error) {
		tx.AfterCommit(s.seen.clear)
		var before user
		if before, err = s.changeable(ctx, tx, in.Name); err != nil {
			return err
		}
		u = before
		detail := map[string]any{}
		if b.Password != nil {
			u.hash, detail["password"] = hash, "changed"
		}
		if b.Mail != nil {
			u.Mail, detail["mail"] = *b.Mail, *b.Mail
		}
		if b.Off != nil {
			u.Off, detail["off"] = *b.Off, *b.Off
		}
		if b.Grants != nil {
			if u.Grants, err = s.grantable(ctx, tx, *b.Grants); err != nil {
				return err
			}
			detail["grants"] = u.Grants
		}
		if err := updateUser(tx, u); err != nil {
			return err
		}
		if err := keepAdministrator(tx, before); err != nil {
			return err
		}
		if b.Password != nil || u.Off {
			if err := endSessions(tx, u.Name); err != nil {
				return err
			}
		}
		return tx.Audit(store.Act{Namespace: everywhere, Action: "user.update", Object: u.Name, Detail: detail})
	})
	return u.User, err
}

// deleteUser removes a user with its sessions and tokens.
func (s *Service) deleteUser(ctx context.Context, in api.UserIn) (api.Nothing, error) {
	return api.Nothing{}, s.db.Tx(ctx, func(tx *store.Tx) error {
		tx.AfterCommit(s.seen.clear)
		u, err := s.changeable(ctx, tx, in.Name)
		if err != nil {
			return err
		}
		if err := removeUser(tx, u.Name); err != nil {
			return err
		}
		if err := keepAdministrator(tx, u); err != nil {
			return err
		}
		return tx.Audit(store.Act{Namespace: everywhere, Action: "user.delete", Object: u.Name})
	})
}

// changeable locks and returns a user whom the caller may change: who holds no more than it does.
// Otherwise a new password would be a way to more.
func (s *Service) changeable(ctx context.Context, tx *store.Tx, name string) (user, error) {
	c, _ := bus.CallerFrom(ctx)
	if err := lockUsers(tx); err != nil {
		return user{}, err
	}
	u, err := lockUser(tx, name)
	if err != nil {
		return u, err
	}
	return u, covers(c.Grants, u.Grants)
}

// grantable checks grants that the caller wants to give.
func (s *Service) grantable(ctx context.Context, tx *store.Tx, gs []api.GrantView) ([]api.GrantView, error) {
	c, _ := bus.CallerFrom(ctx)
	known, err := namespaceSet(tx)
	if err != nil {
		return nil, err
	}
	if gs, err = checkGrants(gs, known); err != nil {
		return nil, err
	}
	return gs, covers(c.Grants, gs)
}

// keepAdministrator refuses the change of an administrator of everything after which none is left who
// can log in.
func keepAdministrator(tx *store.Tx, before user) error {
	if !administers(before.Grants) || before.Off {
		return nil
	}
	us, err := selectUsers(tx)
	if err != nil {
		return err
	}
	for _, u := range us {
		if administers(u.Grants) && !u.Off && u.hash != "" {
			return nil
		}
	}
	return errs.New(errs.Conflict, "%s is the last administrator of the installation", before.Name).WithHint("make another user admin of * first")
}
