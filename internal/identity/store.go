package identity

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"time"

	"tutti/api"
	"tutti/errs"
	"tutti/internal/store"
)

type row interface{ Scan(...any) error }

const userColumns = `u.name, u.password, u.mail, u.grants, u.off, u.created`

// scanUser reads userColumns after what more holds.
func scanUser(r row, more ...any) (u user, err error) {
	var grants string
	var off, created int64
	if err := r.Scan(append(more, &u.Name, &u.hash, &u.Mail, &grants, &off, &created)...); err != nil {
		return user{}, err
	}
	u.Off, u.Created = off != 0, store.Time(created)
	return u, json.Unmarshal([]byte(grants), &u.Grants)
}

func scanUsers(rows *sql.Rows, err error) ([]user, error) {
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var us []user
	for rows.Next() {
		u, err := scanUser(rows)
		if err != nil {
			return nil, err
		}
		us = append(us, u)
	}
	return us, rows.Err()
}

const byName = `SELECT ` + userColumns + ` FROM identity_users u WHERE u.name = ?`

func (s *Service) user(ctx context.Context, name string) (user, error) {
	u, err := scanUser(s.db.QueryRow(ctx, byName, name))
	return u, store.NoRow(err, "no user %q", name)
}

func (s *Service) users(ctx context.Context) ([]api.User, error) {
	us, err := scanUsers(s.db.Query(ctx, `SELECT `+userColumns+` FROM identity_users u ORDER BY u.name`))
	out := []api.User{}
	for _, u := range us {
		out = append(out, u.User)
	}
	return out, err
}

func selectUsers(tx *store.Tx) ([]user, error) {
	return scanUsers(tx.Query(`SELECT ` + userColumns + ` FROM identity_users u`))
}

// lockUsers makes changes of users wait for one another until the transaction ends: who is the last
// administrator must not change while it is asked.
func lockUsers(tx *store.Tx) error {
	return tx.Exec(`UPDATE identity_state SET id = id WHERE id = 1`)
}

// lockUser returns a user that nobody else changes until the transaction ends.
func lockUser(tx *store.Tx, name string) (user, error) {
	if err := tx.Exec(`UPDATE identity_users SET name = name WHERE name = ?`, name); err != nil {
		return user{}, err
	}
	u, err := scanUser(tx.QueryRow(byName, name))
	return u, store.NoRow(err, "no user %q", name)
}

func insertUser(tx *store.Tx, u user) error {
	grants, err := json.Marshal(sorted(u.Grants))
	if err != nil {
		return err
	}
	n, err := tx.Changed(`INSERT INTO identity_users (name, password, mail, grants, off, created) VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (name) DO NOTHING`,
		u.Name, u.hash, u.Mail, string(grants), flag(u.Off), store.Micros(u.Created))
	if err == nil && n == 0 {
		return errs.New(errs.Conflict, "there is a user %s already", u.Name)
	}
	return err
}

func updateUser(tx *store.Tx, u user) error {
	grants, err := json.Marshal(sorted(u.Grants))
	if err != nil {
		return err
	}
	return tx.Exec(`UPDATE identity_users SET password = ?, mail = ?, grants = ?, off = ? WHERE name = ?`, u.hash, u.Mail, string(grants), flag(u.Off), u.Name)
}

// removeUser deletes a user; its sessions and tokens go with it.
func removeUser(tx *store.Tx, name string) error {
	return tx.Exec(`DELETE FROM identity_users WHERE name = ?`, name)
}

func flag(b bool) int64 {
	if b {
		return 1
	}
	return 0
}

// bootstrapState returns the hash of the bootstrap token, and whether somebody can log in.
func (s *Service) bootstrapState(ctx context.Context) (hash string, done bool, err error) {
	var n int64
	err = s.db.QueryRow(ctx, `SELECT s.bootstrap, (SELECT count(*) FROM identity_users WHERE password <> '') FROM identity_state s WHERE s.id = 1`).Scan(&hash, &n)
	return hash, n > 0, err
}

func setBootstrap(tx *store.Tx, hash string) error {
	return tx.Exec(`UPDATE identity_state SET bootstrap = ? WHERE id = 1`, hash)
}

// spendBootstrap forgets the bootstrap token; it reports false where another was faster.
func spendBootstrap(tx *store.Tx, hash string) (bool, error) {
	n, err := tx.Changed(`UPDATE identity_state SET bootstrap = '' WHERE id = 1 AND bootstrap = ?`, hash)
	return n == 1, err
}

// demoToken is the ID of the token of Config.AdminToken.
const demoToken = "tok_demo"

// ensureDemo makes the user demo, and its token with the given hash.
func ensureDemo(tx *store.Tx, hash string, now time.Time) error {
	grants, err := json.Marshal([]api.GrantView{{Namespace: everywhere, Role: api.Admin}})
	if err != nil {
		return err
	}
	err = tx.Exec(`INSERT INTO identity_users (name, password, mail, grants, off, created) VALUES ('demo', '', '', ?, 0, ?)
		ON CONFLICT (name) DO UPDATE SET grants = excluded.grants, off = 0`, string(grants), store.Micros(now))
	if err != nil {
		return err
	}
	return tx.Exec(`INSERT INTO identity_tokens (id, hash, name, owner, grants, expires, used, created) VALUES (?, ?, 'demo', 'demo', '', ?, 0, ?)
		ON CONFLICT (id) DO UPDATE SET hash = excluded.hash, expires = excluded.expires`, demoToken, hash, store.Micros(now.Add(maxTokenTTL)), store.Micros(now))
}

func insertSession(tx *store.Tx, v api.Session) error {
	return tx.Exec(`INSERT INTO identity_sessions (hash, owner, expires) VALUES (?, ?, ?)`, digest(v.Secret), v.Subject[len("user:"):], store.Micros(v.Expires))
}

// endSession removes a session and returns whose it was; "" where there was none.
func endSession(tx *store.Tx, hash string) (owner string, err error) {
	err = tx.QueryRow(`DELETE FROM identity_sessions WHERE hash = ? RETURNING owner`, hash).Scan(&owner)
	if errors.Is(err, sql.ErrNoRows) {
		return "", nil
	}
	return owner, err
}

func endSessions(tx *store.Tx, owner string) error {
	return tx.Exec(`DELETE FROM identity_sessions WHERE owner = ?`, owner)
}

// sessionUser returns the user of a session, and its end. A user who is turned off has none.
func (s *Service) sessionUser(ctx context.Context, hash string) (user, time.Time, error) {
	var expires int64
	u, err := scanUser(s.db.QueryRow(ctx, `SELECT s.expires, `+userColumns+`
		FROM identity_sessions s JOIN identity_users u ON u.name = s.owner WHERE s.hash = ? AND u.off = 0`, hash), &expires)
	return u, store.Time(expires), store.NoRow(err, "no such session")
}

const tokenColumns = `t.id, t.name, t.owner, t.grants, t.expires, t.used, t.created`

// tokenRow is where a row of tokenColumns is read to.
type tokenRow struct {
	token
	grants                 string
	expires, used, created int64
}

func (r *tokenRow) into() []any {
	return []any{&r.ID, &r.Name, &r.User, &r.grants, &r.expires, &r.used, &r.created}
}

func (r *tokenRow) done() (token, error) {
	t := r.token
	t.Expires, t.Used, t.Created, t.scoped = store.Time(r.expires), store.Time(r.used), store.Time(r.created), r.grants != ""
	if !t.scoped {
		return t, nil
	}
	return t, json.Unmarshal([]byte(r.grants), &t.Grants)
}

// tokenUser returns a token and its user, who must not be turned off.
func (s *Service) tokenUser(ctx context.Context, hash string) (token, user, error) {
	var r tokenRow
	u, err := scanUser(s.db.QueryRow(ctx, `SELECT `+tokenColumns+`, `+userColumns+`
		FROM identity_tokens t JOIN identity_users u ON u.name = t.owner WHERE t.hash = ? AND u.off = 0`, hash), r.into()...)
	if err != nil {
		return token{}, user{}, store.NoRow(err, "no such token")
	}
	t, err := r.done()
	return t, u, err
}

// tokens lists the tokens of an owner, newest first; "" is everybody.
func (s *Service) tokens(ctx context.Context, owner string) ([]api.Token, error) {
	rows, err := s.db.Query(ctx, `SELECT `+tokenColumns+`, `+userColumns+` FROM identity_tokens t JOIN identity_users u ON u.name = t.owner
		WHERE ? = '' OR t.owner = ? ORDER BY t.created DESC, t.id DESC LIMIT 5000`, owner, owner)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	out := []api.Token{}
	for rows.Next() {
		var r tokenRow
		u, err := scanUser(rows, r.into()...)
		if err != nil {
			return nil, err
		}
		t, err := r.done()
		if err != nil {
			return nil, err
		}
		if t.Grants = intersect(t.Grants, u.Grants); !t.scoped {
			t.Grants = u.Grants
		}
		out = append(out, t.Token)
	}
	return out, rows.Err()
}

func insertToken(tx *store.Tx, t token) error {
	grants := ""
	if t.scoped {
		b, err := json.Marshal(t.Grants)
		if err != nil {
			return err
		}
		grants = string(b)
	}
	return tx.Exec(`INSERT INTO identity_tokens (id, hash, name, owner, grants, expires, used, created) VALUES (?, ?, ?, ?, ?, ?, 0, ?)`,
		t.ID, t.hash, t.Name, t.User, grants, store.Micros(t.Expires), store.Micros(t.Created))
}

func tokenOwner(tx *store.Tx, id string) (owner string, err error) {
	err = tx.QueryRow(`SELECT owner FROM identity_tokens WHERE id = ?`, id).Scan(&owner)
	return owner, store.NoRow(err, "no token %q", id)
}

func countTokens(tx *store.Tx, owner string) (n int, err error) {
	err = tx.QueryRow(`SELECT count(*) FROM identity_tokens WHERE owner = ?`, owner).Scan(&n)
	return n, err
}

func deleteToken(tx *store.Tx, id string) error {
	return tx.Exec(`DELETE FROM identity_tokens WHERE id = ?`, id)
}

func setUsed(tx *store.Tx, id string, now time.Time) error {
	return tx.Exec(`UPDATE identity_tokens SET used = ? WHERE id = ?`, store.Micros(now), id)
}

// removeExpired deletes sessions that are over, and tokens a month after.
func (s *Service) removeExpired(ctx context.Context, now time.Time) error {
	return s.db.Tx(ctx, func(tx *store.Tx) error {
		if err := tx.Exec(`DELETE FROM identity_sessions WHERE expires < ?`, store.Micros(now)); err != nil {
			return err
		}
		return tx.Exec(`DELETE FROM identity_tokens WHERE expires < ?`, store.Micros(now.Add(-30*24*time.Hour)))
	})
}

func (s *Service) namespaces(ctx context.Context) ([]api.Namespace, error) {
	rows, err := s.db.Query(ctx, `SELECT name, title, created FROM identity_namespaces ORDER BY name`)
	return scanNamespaces(rows, err)
}

func namespaceSet(tx *store.Tx) (map[string]bool, error) {
	rows, err := tx.Query(`SELECT name, title, created FROM identity_namespaces`)
	ns, err := scanNamespaces(rows, err)
	m := map[string]bool{}
	for _, n := range ns {
		m[n.Name] = true
	}
	return m, err
}

func scanNamespaces(rows *sql.Rows, err error) ([]api.Namespace, error) {
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	out := []api.Namespace{}
	for rows.Next() {
		var n api.Namespace
		var created int64
		if err := rows.Scan(&n.Name, &n.Title, &created); err != nil {
			return nil, err
		}
		n.Created = store.Time(created)
		out = append(out, n)
	}
	return out, rows.Err()
}

func insertNamespace(tx *store.Tx, n api.Namespace) error {
	changed, err := addNamespace(tx, n)
	if err == nil && changed == 0 {
		return errs.New(errs.Conflict, "there is a namespace %s already", n.Name)
	}
	return err
}

func ensureNamespace(tx *store.Tx, n api.Namespace) error {
	_, err := addNamespace(tx, n)
	return err
}

func addNamespace(tx *store.Tx, n api.Namespace) (int64, error) {
	return tx.Changed(`INSERT INTO identity_namespaces (name, title, created) VALUES (?, ?, ?) ON CONFLICT (name) DO NOTHING`, n.Name, n.Title, store.Micros(n.Created))
}
