package resource

import (
	"context"
	"database/sql"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"tutti/api"
	"tutti/errs"
	"tutti/internal/store"
)

// change is a request in the life of a resource, as it is stored.
type change struct {
	api.ResourceChange
	namespace, typ, name string
	trace                string
	undone               bool
	pos                  int64 // of the event that told its end
}

// record stores a change, or how one that is known ended this time.
func record(tx *store.Tx, c change) error {
	undone := 0
	if c.undone {
		undone = 1
	}
	return tx.Exec(`INSERT INTO resource_changes (namespace, type, name, request, run, trace, requester, state, undone, pos, at, spec, outputs, known, current)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, '', '', 0, 0)
		ON CONFLICT (namespace, type, name, request) DO UPDATE SET run = excluded.run, state = excluded.state, undone = excluded.undone, pos = excluded.pos, at = excluded.at`,
		c.namespace, c.typ, c.name, c.Request, string(c.Run), c.trace, c.By, string(c.State), undone, c.pos, store.Micros(c.At))
}

// describe stores what a request made.
func describe(tx *store.Tx, r api.Request) error {
	return tx.Exec(`UPDATE resource_changes SET spec = ?, outputs = ?, known = 1 WHERE namespace = ? AND type = ? AND name = ? AND request = ?`,
		string(r.Spec), string(r.Outputs), r.Namespace, r.Type, r.Name, r.ID)
}

// settle marks the change that a resource stands at: the last that succeeded and was not undone.
func settle(tx *store.Tx, namespace, typ, name string) error {
	// This also keeps others from doing the same until the transaction ends.
	if err := tx.Exec(`UPDATE resource_changes SET current = 0 WHERE namespace = ? AND type = ? AND name = ?`, namespace, typ, name); err != nil {
		return err
	}
	return tx.Exec(`UPDATE resource_changes SET current = 1 WHERE namespace = ? AND type = ? AND name = ? AND request = (
		SELECT request FROM resource_changes WHERE namespace = ? AND type = ? AND name = ? AND state = 'succeeded' AND undone = 0 AND known = 1
		ORDER BY pos DESC LIMIT 1)`, namespace, typ, name, namespace, typ, name)
}

// resourceColumns are those of a resource; the owner is who had it made first.
const resourceColumns = `c.namespace, c.type, c.name, c.request, c.run, c.trace, c.at, c.spec, c.outputs, (
	SELECT f.requester FROM resource_changes f WHERE f.namespace = c.namespace AND f.type = c.type AND f.name = c.name AND f.state = 'succeeded'
	ORDER BY f.pos LIMIT 1)`

func scanResource(row interface{ Scan(...any) error }) (r api.Resource, err error) {
	var at int64
	var spec, outputs string
	if err := row.Scan(&r.Namespace, &r.Type, &r.Name, &r.Request, &r.Run, &r.Trace, &at, &spec, &outputs, &r.Owner); err != nil {
		return r, err
	}
	r.Updated, r.Spec, r.Outputs = store.Time(at), raw(spec), raw(outputs)
	return r, nil
}

func raw(s string) json.RawMessage {
	if s == "" {
		return nil
	}
	return json.RawMessage(s)
}

// current returns a resource without its history.
func current(ctx context.Context, db *store.DB, in api.ResourceIn) (api.Resource, error) {
	r, err := scanResource(db.QueryRow(ctx, `SELECT `+resourceColumns+` FROM resource_changes c
		WHERE c.namespace = ? AND c.current = 1 AND c.type = ? AND c.name = ?`, in.Namespace, in.Type, in.Name))
	return r, store.NoRow(err, "no such resource")
}

// maxHistory bounds the requests that are told of one resource.
const maxHistory = 200

// history returns the requests for a resource, newest first.
func history(ctx context.Context, db *store.DB, in api.ResourceIn) (out []api.ResourceChange, err error) {
	rows, err := db.Query(ctx, `SELECT request, run, state, requester, at FROM resource_changes
		WHERE namespace = ? AND type = ? AND name = ? ORDER BY pos DESC LIMIT ?`, in.Namespace, in.Type, in.Name, maxHistory)
	if err != nil {
		return nil, fmt.Errorf("read the history: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var c api.ResourceChange
		var at int64
		if err := rows.Scan(&c.Request, &c.Run, &c.State, &c.By, &at); err != nil {
			return nil, fmt.Errorf("read the history: %w", err)
		}
		c.At = store.Time(at)
		out = append(out, c)
	}
	return out, rows.Err()
}

// page returns a part of the resources, by type and name, and the cursor of the next.
func page(ctx context.Context, db *store.DB, in api.ListResourcesIn) (items []api.Resource, next string, err error) {
	where, args := `c.namespace = ? AND c.current = 1`, []any{in.Namespace}
	if in.Type != "" {
		where, args = where+` AND c.type = ?`, append(args, in.Type)
	}
	if in.Cursor != "" {
		typ, name, err := readCursor(in.Cursor)
		if err != nil {
			return nil, "", err
		}
		where, args = where+` AND (c.type, c.name) > (?, ?)`, append(args, typ, name)
	}
	size := in.Size()
	rows, err := db.Query(ctx, `SELECT `+resourceColumns+` FROM resource_changes c WHERE `+where+` ORDER BY c.type, c.name LIMIT ?`, append(args, size+1)...)
	if err != nil {
		return nil, "", fmt.Errorf("list resources: %w", err)
	}
	defer rows.Close()
	items = []api.Resource{}
	for rows.Next() {
		r, err := scanResource(rows)
		if err != nil {
			return nil, "", fmt.Errorf("list resources: %w", err)
		}
		r.Spec, r.Outputs = nil, nil
		items = append(items, r)
	}
	if len(items) > size {
		items = items[:size]
		next = base64.RawURLEncoding.EncodeToString([]byte(items[size-1].Type + "/" + items[size-1].Name))
	}
	return items, next, rows.Err()
}

// resourcesOf returns the resources of a type as they are, by name, up to a limit.
func resourcesOf(ctx context.Context, db *store.DB, namespace, typ string, limit int) (items []api.Resource, err error) {
	rows, err := db.Query(ctx, `SELECT `+resourceColumns+` FROM resource_changes c WHERE c.namespace = ? AND c.current = 1 AND c.type = ? ORDER BY c.name LIMIT ?`, namespace, typ, limit)
	if err != nil {
		return nil, fmt.Errorf("list resources: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		r, err := scanResource(rows)
		if err != nil {
			return nil, fmt.Errorf("list resources: %w", err)
		}
		items = append(items, r)
	}
	return items, rows.Err()
}

func readCursor(c string) (typ, name string, err error) {
	b, err := base64.RawURLEncoding.DecodeString(c)
	typ, name, ok := strings.Cut(string(b), "/")
	if err != nil || !ok {
		return "", "", errs.New(errs.Invalid, "the cursor is not one that a list gave").WithHint("leave it out to begin at the first")
	}
	return typ, name, nil
}

// intent is a commit that was asked for under a key; revision is empty until it is known to be made.
type intent struct {
	revision string
	at       time.Time
}

// intend stores that a commit is to be made, or returns what is known of it. It returns errs.Conflict
// where the key was used for something else.
func intend(tx *store.Tx, in api.CommitIn, hash string) (i intent, err error) {
	i.at = time.Now().UTC().Truncate(time.Second) // as git keeps it
	n, err := tx.Changed(`INSERT INTO resource_commits (namespace, idem, hash, repository, revision, at) VALUES (?, ?, ?, ?, '', ?) ON CONFLICT (namespace, idem) DO NOTHING`,
		in.Namespace, in.Key, hash, in.Repository, store.Micros(i.at))
	if err != nil || n == 1 {
		return i, err
	}
	var had string
	var at int64
	err = tx.QueryRow(`SELECT hash, revision, at FROM resource_commits WHERE namespace = ? AND idem = ?`, in.Namespace, in.Key).Scan(&had, &i.revision, &at)
	switch {
	case errors.Is(err, sql.ErrNoRows): // another call with the key was refused just now
		return i, errs.New(errs.Unavailable, "the commit is being made by another call")
	case err != nil:
		return i, err
	case had != hash:
		return i, errs.New(errs.Conflict, "the key %.80q was used for another commit", in.Key).WithHint("use a new key for each commit; repeat a key only with the same content")
	}
	i.at = store.Time(at)
	return i, nil
}

// made stores the revision of a commit; first is false where that was known.
func made(tx *store.Tx, in api.CommitIn, revision string) (first bool, err error) {
	n, err := tx.Changed(`UPDATE resource_commits SET revision = ? WHERE namespace = ? AND idem = ? AND revision = ''`, revision, in.Namespace, in.Key)
	return n == 1, err
}

// forget takes back the intent of a commit that was refused.
func forget(tx *store.Tx, in api.CommitIn) error {
	return tx.Exec(`DELETE FROM resource_commits WHERE namespace = ? AND idem = ? AND revision = ''`, in.Namespace, in.Key)
}
