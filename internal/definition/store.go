package definition

import (
	"context"
	"database/sql"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"tutti/api"
	"tutti/errs"
	"tutti/internal/store"
)

// head is where a definition stands.
type head struct {
	there   bool // it exists and was not withdrawn
	version int  // the last that was given, also where it was withdrawn
	digest  string
}

const headQuery = `SELECT version, digest, deleted FROM definition_heads WHERE namespace = ? AND kind = ? AND name = ?`

func headOf(r *sql.Row) (h head, err error) {
	var deleted int64
	err = r.Scan(&h.version, &h.digest, &deleted)
	if errors.Is(err, sql.ErrNoRows) {
		return head{}, nil
	}
	h.there = err == nil && deleted == 0
	return h, err
}

// lockHead returns where a definition stands and keeps others from changing that until the
// transaction ends. It leaves a row for one that does not exist.
func lockHead(tx *store.Tx, namespace, kind, name string) (head, error) {
	err := tx.Exec(`INSERT INTO definition_heads (namespace, kind, name, version, digest, deleted) VALUES (?, ?, ?, 0, '', 1)
		ON CONFLICT (namespace, kind, name) DO UPDATE SET name = excluded.name`, namespace, kind, name)
	if err != nil {
		return head{}, err
	}
	return headOf(tx.QueryRow(headQuery, namespace, kind, name))
}

// insertVersion stores def as the newest version.
func insertVersion(tx *store.Tx, def api.Definition, note string) error {
	labels := ""
	if len(def.Labels) > 0 {
		b, err := json.Marshal(def.Labels)
		if err != nil {
			return err
		}
		labels = string(b)
	}
	err := tx.Exec(`INSERT INTO definition_versions (namespace, kind, name, version, digest, title, labels, document, source, publisher, role, note, applied)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`, def.Namespace, def.Kind, def.Name, def.Version, def.Digest, def.Title, labels,
		string(def.Document), def.Source, def.Publisher, def.Role, note, store.Micros(def.Applied))
	if err != nil {
		return err
	}
	return tx.Exec(`UPDATE definition_heads SET version = ?, digest = ?, deleted = 0 WHERE namespace = ? AND kind = ? AND name = ?`,
		def.Version, def.Digest, def.Namespace, def.Kind, def.Name)
}

func withdraw(tx *store.Tx, namespace, kind, name string) error {
	return tx.Exec(`UPDATE definition_heads SET deleted = 1 WHERE namespace = ? AND kind = ? AND name = ?`, namespace, kind, name)
}

// scan reads a definition; more are places for further columns.
func scan(row interface{ Scan(...any) error }, more ...any) (d api.Definition, err error) {
	var labels string
	var applied int64
	into := append([]any{&d.Namespace, &d.Kind, &d.Name, &d.Version, &d.Digest, &d.Title, &labels, &d.Publisher, &d.Role, &applied}, more...)
	if err := row.Scan(into...); err != nil {
		return d, err
	}
	d.Applied = store.Time(applied)
	if labels != "" {
		err = json.Unmarshal([]byte(labels), &d.Labels)
	}
	return d, err
}

const columns = `v.namespace, v.kind, v.name, v.version, v.digest, v.title, v.labels, v.publisher, v.role, v.applied`

// version returns a version with its text: errs.NotFound where it is not there, or, for the newest,
// where the definition was withdrawn.
func version(ctx context.Context, db *store.DB, in api.GetDefinitionIn) (api.Definition, error) {
	q := `SELECT ` + columns + `, v.document, v.source FROM definition_versions v
		WHERE v.namespace = ? AND v.kind = ? AND v.name = ? AND v.version = ?`
	args := []any{in.Namespace, in.Kind, in.Name, in.Version}
	if in.Version == 0 {
		q = `SELECT ` + columns + `, v.document, v.source FROM definition_heads h JOIN definition_versions v
			ON v.namespace = h.namespace AND v.kind = h.kind AND v.name = h.name AND v.version = h.version
			WHERE h.namespace = ? AND h.kind = ? AND h.name = ? AND h.deleted = 0`
		args = args[:3]
	}
	var text, source string
	d, err := scan(db.QueryRow(ctx, q, args...), &text, &source)
	if err != nil {
		return api.Definition{}, store.NoRow(err, "no such version")
	}
	d.Document, d.Source = json.RawMessage(text), source
	return d, nil
}

// names returns the names of a kind, for suggestions.
func names(ctx context.Context, db *store.DB, namespace, kind string) ([]string, error) {
	rows, err := db.Query(ctx, `SELECT name FROM definition_heads WHERE namespace = ? AND kind = ? AND deleted = 0 ORDER BY name LIMIT 1000`, namespace, kind)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var out []string
	for rows.Next() {
		var n string
		if err := rows.Scan(&n); err != nil {
			return nil, err
		}
		out = append(out, n)
	}
	return out, rows.Err()
}

// page returns a part of the definitions in their newest version, by kind and name, and the cursor of
// the next.
func page(ctx context.Context, db *store.DB, in api.ListDefinitionsIn) (items []api.Definition, next string, err error) {
	where, args := `h.namespace = ? AND h.deleted = 0`, []any{in.Namespace}
	if in.Kind != "" {
		where, args = where+` AND h.kind = ?`, append(args, in.Kind)
	}
	if in.Cursor != "" {
		kind, name, err := readCursor(in.Cursor)
		if err != nil {
			return nil, "", err
		}
		where, args = where+` AND (h.kind > ? OR h.kind = ? AND h.name > ?)`, append(args, kind, kind, name)
	}
	size := in.Size()
	rows, err := db.Query(ctx, `SELECT `+columns+` FROM definition_heads h JOIN definition_versions v
		ON v.namespace = h.namespace AND v.kind = h.kind AND v.name = h.name AND v.version = h.version
		WHERE `+where+` ORDER BY h.kind, h.name LIMIT ?`, append(args, size+1)...)
	if err != nil {
		return nil, "", fmt.Errorf("list definitions: %w", err)
	}
	defer rows.Close()
	items = []api.Definition{}
	for rows.Next() {
		d, err := scan(rows)
		if err != nil {
			return nil, "", fmt.Errorf("list definitions: %w", err)
		}
		items = append(items, d)
	}
	if len(items) > size {
		items = items[:size]
		next = cursor(items[size-1].Kind, items[size-1].Name)
	}
	return items, next, rows.Err()
}

// cursor points behind a definition in the order of lists.
func cursor(kind, name string) string {
	return base64.RawURLEncoding.EncodeToString([]byte(object(kind, name)))
}

func readCursor(c string) (kind, name string, err error) {
	b, err := base64.RawURLEncoding.DecodeString(c)
	kind, name, ok := strings.Cut(string(b), "/")
	if err != nil || !ok {
		return "", "", errs.New(errs.Invalid, "the cursor is not one that a list gave").WithHint("leave it out to begin at the first")
	}
	return kind, name, nil
}

const keyQuery = `SELECT hash, answer FROM definition_keys WHERE namespace = ? AND idem = ?`

// answered returns what was answered under an idempotency key, if it was used. It returns
// errs.Conflict where that was for something else.
func answered(r *sql.Row, key, hash string) (out api.ApplyOut, ok bool, err error) {
	var had, answer string
	err = r.Scan(&had, &answer)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return out, false, nil
	case err != nil:
		return out, false, err
	case had != hash:
		return out, false, errs.New(errs.Conflict, "the Idempotency-Key %.80q was used to apply something else", key).
			WithHint("use a new key for each apply; repeat a key only with the same body")
	}
	return out, true, json.Unmarshal([]byte(answer), &out)
}

// takeKey takes an idempotency key, or returns what was answered under it.
func takeKey(tx *store.Tx, namespace, key, hash string) (out api.ApplyOut, again bool, err error) {
	n, err := tx.Changed(`INSERT INTO definition_keys (namespace, idem, hash, answer) VALUES (?, ?, ?, '') ON CONFLICT (namespace, idem) DO NOTHING`, namespace, key, hash)
	if err != nil || n == 1 {
		return out, false, err
	}
	return answered(tx.QueryRow(keyQuery, namespace, key), key, hash)
}

// keepAnswer stores what is answered under an idempotency key.
func keepAnswer(tx *store.Tx, namespace, key string, out api.ApplyOut) error {
	b, err := json.Marshal(out)
	if err != nil {
		return err
	}
	return tx.Exec(`UPDATE definition_keys SET answer = ? WHERE namespace = ? AND idem = ?`, string(b), namespace, key)
}
