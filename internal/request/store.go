package request

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"tutti/api"
	"tutti/errs"
	"tutti/id"
	"tutti/internal/store"
)

// row is a request as it is stored.
type row struct {
	api.Request
	Inputs   json.RawMessage // of the run
	Tell     []string        // all addresses to tell
	Items    []item          // the resources of a request for several
	Filings  []filing        // what is still to be filed before the run
	Starting bool            // run.start may have been called
	Endings  int             // how often it ended: a run can be retried
}

func (r row) stopping() bool { return slices.Contains(r.Flags, api.Stopping) }

const columns = `id, namespace, trace, resubmits, entry, type, name, title, params, spec, workflow, inputs, run, file, state, reason, flags,
	failure, outputs, requester, notify, tell, starting, endings, created, ended, action, base, ttl, items, files, source`

// querier is what DB and Tx have in common, with the context bound.
type querier func(q string, args ...any) (*sql.Rows, error)

func reading(ctx context.Context, db *store.DB) querier {
	return func(q string, args ...any) (*sql.Rows, error) { return db.Query(ctx, q, args...) }
}

// rowsOf returns the requests that a query of columns selects.
func rowsOf(q querier, query string, args ...any) ([]row, error) {
	rows, err := q(query, args...)
	if err != nil {
		return nil, fmt.Errorf("read requests: %w", err)
	}
	defer rows.Close()
	var out []row
	for rows.Next() {
		r, err := scan(rows)
		if err != nil {
			return nil, fmt.Errorf("read requests: %w", err)
		}
		out = append(out, r)
	}
	return out, rows.Err()
}

func scan(rows *sql.Rows) (r row, err error) {
	var params, spec, inputs, reason, flags, failure, outputs, notify, tell, items, files, source string
	var created, ended, starting, ttl int64
	err = rows.Scan(&r.ID, &r.Namespace, &r.Trace, &r.Of, &r.Entry, &r.Type, &r.Name, &r.Title, &params, &spec, &r.Workflow, &inputs,
		&r.Run, &r.File, &r.State, &reason, &flags, &failure, &outputs, &r.Requester, &notify, &tell, &starting, &r.Endings, &created, &ended,
		&r.Action, &r.Base, &ttl, &items, &files, &source)
	if err != nil {
		return r, err
	}
	r.Params, r.Spec, r.Inputs, r.Outputs = raw(params), raw(spec), raw(inputs), raw(outputs)
	r.Starting, r.TTL = starting != 0, api.Duration(time.Duration(ttl)*time.Microsecond)
	r.Created, r.Ended = store.Time(created), store.Time(ended)
	for _, f := range []struct {
		text string
		into any
	}{{reason, &r.Reason}, {flags, &r.Flags}, {failure, &r.Failure}, {notify, &r.Notify}, {tell, &r.Tell}, {items, &r.Items}, {files, &r.Filings}, {source, &r.Source}} {
		if f.text == "" {
			continue
		}
		if err := json.Unmarshal([]byte(f.text), f.into); err != nil {
			return r, fmt.Errorf("request %s: %w", r.ID, err)
		}
	}
	r.Resources = r.items()
	return r, nil
}

func raw(s string) json.RawMessage {
	if s == "" {
		return nil
	}
	return json.RawMessage(s)
}

// list writes texts as they are stored; none is "".
func list[T any](v []T) string {
	if len(v) == 0 {
		return ""
	}
	b, _ := json.Marshal(v) // strings always marshal
	return string(b)
}

func failureText(f *api.RunFail) (string, error) {
	if f == nil {
		return "", nil
	}
	b, err := json.Marshal(f)
	return string(b), err
}

func flag(b bool) int64 {
	if b {
		return 1
	}
	return 0
}

func insert(tx *store.Tx, r row) error {
	return tx.Exec(`INSERT INTO request_requests (`+columns+`) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, '', '', ?, '', '', '', '', ?, ?, ?, 0, 0, ?, 0, ?, ?, ?, ?, ?, '')`,
		r.ID, r.Namespace, r.Trace, r.Of, r.Entry, r.Type, r.Name, r.Title, string(r.Params), string(r.Spec), r.Workflow, string(r.Inputs),
		string(r.State), r.Requester, list(r.Notify), list(r.Tell), store.Micros(r.Created),
		r.Action, r.Base, time.Duration(r.TTL).Microseconds(), list(r.Items), list(r.Filings))
}

// lock returns a request that nobody else changes until the transaction ends.
func lock(tx *store.Tx, namespace, requestID string) (row, error) {
	n, err := tx.Changed(`UPDATE request_requests SET id = id WHERE namespace = ? AND id = ?`, namespace, requestID)
	if err != nil {
		return row{}, err
	}
	if n == 0 {
		return row{}, notFound(requestID)
	}
	return one(tx.Query, requestID, `namespace = ? AND id = ?`, namespace, requestID)
}

// byRun locks and returns the request of a run.
func byRun(tx *store.Tx, namespace string, run api.RunID) (row, error) {
	r, err := one(tx.Query, string(run), `namespace = ? AND run = ?`, namespace, string(run))
	if err != nil {
		return r, err
	}
	return lock(tx, namespace, r.ID)
}

// load returns a request by its whole ID.
func load(ctx context.Context, db *store.DB, namespace, requestID string) (row, error) {
	return one(reading(ctx, db), requestID, `namespace = ? AND id = ?`, namespace, requestID)
}

func one(q querier, what, where string, args ...any) (row, error) {
	rows, err := rowsOf(q, `SELECT `+columns+` FROM request_requests WHERE `+where, args...)
	if err != nil {
		return row{}, err
	}
	if len(rows) == 0 {
		return row{}, notFound(what)
	}
	return rows[0], nil
}

func notFound(what string) error {
	return errs.New(errs.NotFound, "no request %.80q", what).WithHint("`tutti request list` shows those of the namespace")
}

// update stores what of a request changes.
func update(tx *store.Tx, r row) error {
	failure, err := failureText(r.Failure)
	if err != nil {
		return err
	}
	reason := ""
	if r.Reason != nil {
		b, err := json.Marshal(r.Reason)
		if err != nil {
			return err
		}
		reason = string(b)
	}
	source := ""
	if r.Source != nil {
		b, err := json.Marshal(r.Source)
		if err != nil {
			return err
		}
		source = string(b)
	}
	return tx.Exec(`UPDATE request_requests SET run = ?, state = ?, reason = ?, flags = ?, failure = ?, outputs = ?, starting = ?, endings = ?, ended = ?,
		inputs = ?, items = ?, files = ?, source = ? WHERE namespace = ? AND id = ?`,
		string(r.Run), string(r.State), reason, list(r.Flags), failure, string(r.Outputs), flag(r.Starting), r.Endings, store.Micros(r.Ended),
		string(r.Inputs), list(r.Items), list(r.Filings), source, r.Namespace, r.ID)
}

// endedOf returns which of the requests have ended.
func endedOf(ctx context.Context, db *store.DB, ids []string) ([]string, error) {
	args := make([]any, len(ids))
	for i, v := range ids {
		args[i] = v
	}
	rows, err := db.Query(ctx, `SELECT id FROM request_requests WHERE ended <> 0 AND id IN (?`+strings.Repeat(`, ?`, len(ids)-1)+`)`, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var out []string
	for rows.Next() {
		var v string
		if err := rows.Scan(&v); err != nil {
			return nil, err
		}
		out = append(out, v)
	}
	return out, rows.Err()
}

// minPrefix is how many random characters of an ID have to be given.
const minPrefix = 4

// idRange returns the first and the last ID that begins with prefix, whose "req_" may be left out.
func idRange(prefix string) (low, high string, ok bool) {
	random := strings.TrimPrefix(prefix, "req_")
	missing := id.Len - len(random)
	if len(random) < minPrefix || missing < 0 {
		return "", "", false
	}
	low = "req_" + random + strings.Repeat("0", missing)
	return low, "req_" + random + strings.Repeat("z", missing), id.Valid("req", low)
}

// between returns the requests of a namespace by a range of IDs.
func between(ctx context.Context, db *store.DB, namespace, low, high string, limit int) ([]row, error) {
	return rowsOf(reading(ctx, db), `SELECT `+columns+` FROM request_requests WHERE namespace = ? AND id >= ? AND id <= ? ORDER BY id LIMIT ?`, namespace, low, high, limit)
}

// lookUp returns the request with the given ID, or the only one whose ID begins so.
func lookUp(ctx context.Context, db *store.DB, namespace, prefix string) (row, error) {
	low, high, ok := idRange(prefix)
	if !ok {
		return row{}, notFound(prefix)
	}
	rows, err := between(ctx, db, namespace, low, high, 10)
	switch {
	case err != nil:
		return row{}, err
	case len(rows) == 0:
		return row{}, notFound(prefix)
	case len(rows) > 1:
		return row{}, ambiguous(prefix, rows)
	}
	return rows[0], nil
}

// page returns a part of the requests that a filter selects, newest first, and the cursor of the next.
func page(ctx context.Context, db *store.DB, in api.ListRequestsIn) (rows []row, next string, err error) {
	where, args := []string{`namespace = ?`}, []any{in.Namespace}
	for _, f := range []struct{ column, value string }{
		{"state", string(in.State)}, {"trace", in.Trace}, {"requester", in.Requester}, {"type", in.Type},
	} {
		if f.value != "" {
			where, args = append(where, f.column+` = ?`), append(args, f.value)
		}
	}
	mark, err := store.ParseMark(in.Cursor)
	if err != nil {
		return nil, "", err
	}
	where, args = append(where, `(created, id) < (?, ?)`), append(args, mark.Args()...)
	size := in.Size()
	rows, err = rowsOf(reading(ctx, db), `SELECT `+columns+` FROM request_requests WHERE `+strings.Join(where, ` AND `)+
		` ORDER BY created DESC, id DESC LIMIT ?`, append(args, size+1)...)
	if err != nil || len(rows) <= size {
		return rows, "", err
	}
	rows = rows[:size]
	last := rows[size-1]
	return rows, store.At(last.Created, last.ID).String(), nil
}

// takeKey gives an idempotency key to a new request, and returns the ID of the request that has it.
// It returns errs.Conflict where that asked for something else.
func takeKey(tx *store.Tx, sub submission, requestID string) (string, error) {
	n, err := tx.Changed(`INSERT INTO request_keys (namespace, idem, hash, request) VALUES (?, ?, ?, ?) ON CONFLICT (namespace, idem) DO NOTHING`,
		sub.namespace, sub.key, sub.hash, requestID)
	if err != nil || n == 1 {
		return requestID, err
	}
	return readKey(tx.QueryRow(keyQuery, sub.namespace, sub.key), sub)
}

const keyQuery = `SELECT hash, request FROM request_keys WHERE namespace = ? AND idem = ?`

// keyOf returns the ID of the request that was made with the key of sub, or "".
func keyOf(ctx context.Context, db *store.DB, sub submission) (string, error) {
	made, err := readKey(db.QueryRow(ctx, keyQuery, sub.namespace, sub.key), sub)
	if errs.Is(err, errs.NotFound) {
		return "", nil
	}
	return made, err
}

func readKey(r *sql.Row, sub submission) (made string, err error) {
	var hash string
	if err := r.Scan(&hash, &made); err != nil {
		return "", store.NoRow(err, "no such key")
	}
	if hash != sub.hash {
		return "", errs.New(errs.Conflict, "the Idempotency-Key %.80q was used for another request, %s", sub.key, made).
			WithHint("use a new key for each request; repeat a key only with the same body")
	}
	return made, nil
}
