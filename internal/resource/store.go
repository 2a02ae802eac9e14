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
	pos                  int64 // of the event that told its end
	entry                string
	ttl                  api.Duration
}

// record stores a change, or how one that is known ended this time.
func record(tx *store.Tx, c change) error {
	undone := 0
	if c.Undone {
		undone = 1
	}
	source, err := sourceText(c.Source)
	if err != nil {
		return err
	}
	return tx.Exec(`INSERT INTO resource_changes (namespace, type, name, request, run, trace, requester, state, undone, pos, at, spec, outputs, known, current, action, entry, ttl, source)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, '', '', 0, 0, ?, ?, ?, ?)
		ON CONFLICT (namespace, type, name, request) DO UPDATE SET run = excluded.run, state = excluded.state, undone = excluded.undone, pos = excluded.pos, at = excluded.at`,
		c.namespace, c.typ, c.name, c.Request, string(c.Run), c.trace, c.By, string(c.State), undone, c.pos, store.Micros(c.At),
		first(c.Action, api.ActionCreate), c.entry, time.Duration(c.ttl).Microseconds(), source)
}

func sourceText(r *api.SourceRef) (string, error) {
	if r == nil {
		return "", nil
	}
	b, err := json.Marshal(r)
	return string(b), err
}

func readSource(text string) (r *api.SourceRef, err error) {
	if text == "" {
		return nil, nil
	}
	return r, json.Unmarshal([]byte(text), &r)
}

// describe stores what a request made of a resource.
func describe(tx *store.Tx, r api.Request, it api.RequestItem) error {
	return tx.Exec(`UPDATE resource_changes SET spec = ?, outputs = ?, params = ?, known = 1 WHERE namespace = ? AND type = ? AND name = ? AND request = ?`,
		string(it.Spec), string(it.Outputs), string(it.Params), r.Namespace, it.Type, it.Name, r.ID)
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
const resourceColumns = `c.namespace, c.type, c.name, c.request, c.run, c.trace, c.at, c.spec, c.outputs, c.entry, c.params, c.source, (
	SELECT f.requester FROM resource_changes f WHERE f.namespace = c.namespace AND f.type = c.type AND f.name = c.name AND f.state = 'succeeded'
	ORDER BY f.pos LIMIT 1), COALESCE((SELECT x.due FROM resource_expiries x WHERE x.namespace = c.namespace AND x.type = c.type AND x.name = c.name), 0)`

func scanResource(row interface{ Scan(...any) error }) (r api.Resource, err error) {
	var at, due int64
	var spec, outputs, params, source string
	if err := row.Scan(&r.Namespace, &r.Type, &r.Name, &r.Request, &r.Run, &r.Trace, &at, &spec, &outputs, &r.Entry, &params, &source, &r.Owner, &due); err != nil {
		return r, err
	}
	r.Updated, r.Spec, r.Outputs, r.Params = store.Time(at), raw(spec), raw(outputs), raw(params)
	if due != 0 {
		r.Expires = store.Time(due)
	}
	r.Source, err = readSource(source)
	return r, err
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
		WHERE c.namespace = ? AND c.current = 1 AND c.action <> 'delete' AND c.type = ? AND c.name = ?`, in.Namespace, in.Type, in.Name))
	return r, store.NoRow(err, "no such resource")
}

// at returns a resource as it was after a request.
func at(ctx context.Context, db *store.DB, in api.ResourceIn, request string) (api.Resource, error) {
	r, err := scanResource(db.QueryRow(ctx, `SELECT `+resourceColumns+` FROM resource_changes c
		WHERE c.namespace = ? AND c.type = ? AND c.name = ? AND c.request = ?`, in.Namespace, in.Type, in.Name, request))
	return r, store.NoRow(err, "no such change")
}

// maxHistory bounds the requests that are told of one resource.
const maxHistory = 200

// past is a change as it is read back.
type past struct {
	api.ResourceChange
	entry  string
	params json.RawMessage
}

// pasts returns the requests for a resource, newest first.
func pasts(ctx context.Context, db *store.DB, in api.ResourceIn) (out []past, err error) {
	rows, err := db.Query(ctx, `SELECT request, run, state, requester, at, action, source, undone, entry, params FROM resource_changes
		WHERE namespace = ? AND type = ? AND name = ? ORDER BY pos DESC LIMIT ?`, in.Namespace, in.Type, in.Name, maxHistory)
	if err != nil {
		return nil, fmt.Errorf("read the history: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var c past
		var at, undone int64
		var source, params string
		if err := rows.Scan(&c.Request, &c.Run, &c.State, &c.By, &at, &c.Action, &source, &undone, &c.entry, &params); err != nil {
			return nil, fmt.Errorf("read the history: %w", err)
		}
		c.At, c.Undone, c.params = store.Time(at), undone != 0, raw(params)
		if c.Source, err = readSource(source); err != nil {
			return nil, fmt.Errorf("read the history: %w", err)
		}
		out = append(out, c)
	}
	return out, rows.Err()
}

// page returns a part of the resources, by type and name, and the cursor of the next.
func page(ctx context.Context, db *store.DB, in api.ListResourcesIn) (items []api.Resource, next string, err error) {
	where, args := `c.namespace = ? AND c.current = 1 AND c.action <> 'delete'`, []any{in.Namespace}
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
		r.Spec, r.Outputs, r.Params = nil, nil, nil
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
	rows, err := db.Query(ctx, `SELECT `+resourceColumns+` FROM resource_changes c WHERE c.namespace = ? AND c.current = 1 AND c.action <> 'delete' AND c.type = ? ORDER BY c.name LIMIT ?`, namespace, typ, limit)
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
