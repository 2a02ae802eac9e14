package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"

	"tutti/bus"
	"tutti/errs"
)

// Tx is a transaction. It must not outlive the function that got it.
type Tx struct {
	db      *DB
	ctx     context.Context // that of the call of DB.Tx, which encloses the life of a Tx
	tx      *sql.Tx
	conn    *sql.Conn  // of PostgreSQL
	queue   *pgx.Batch // of Together, while it lasts
	broken  error      // why nothing more can be sent
	emitted bool
	after   []func()
}

var _ bus.Emitter = (*Tx)(nil)

// AfterCommit calls f once the transaction is committed, before DB.Tx returns. f must not block.
func (tx *Tx) AfterCommit(f func()) { tx.after = append(tx.after, f) }

// Under calls f with the transaction as part of a call with ctx, which must end with the transaction's
// own: what f records has the caller and the trace of ctx.
func (tx *Tx) Under(ctx context.Context, f func(*Tx) error) error {
	before := tx.ctx
	tx.ctx = ctx
	defer func() { tx.ctx = before }()
	return f(tx)
}

// Exec runs a statement.
func (tx *Tx) Exec(q string, args ...any) error {
	return tx.execPrepared(tx.db.rebind(q), args)
}

// Changed runs a statement and returns how many rows it changed.
func (tx *Tx) Changed(q string, args ...any) (int64, error) {
	if err := tx.flush(); err != nil {
		return 0, err
	}
	r, err := tx.run(tx.db.rebind(q), args)
	if err != nil {
		return 0, err
	}
	return r.RowsAffected()
}

// Query reads rows as this transaction sees them.
func (tx *Tx) Query(q string, args ...any) (*sql.Rows, error) {
	if err := tx.flush(); err != nil {
		return nil, err
	}
	return tx.tx.QueryContext(tx.ctx, tx.db.rebind(q), args...)
}

// QueryRow reads one row as this transaction sees it.
func (tx *Tx) QueryRow(q string, args ...any) *sql.Row {
	_ = tx.flush() // the transaction has failed then, which the row says
	if st := tx.statement(q); st != nil {
		return st.QueryRowContext(tx.ctx, args...)
	}
	return tx.tx.QueryRowContext(tx.ctx, tx.db.rebind(q), args...)
}

// next raises a counter of the service by one and returns it. The row stays locked until the commit,
// so the numbers have no gaps and become visible in order on both databases.
func (tx *Tx) next(counter string) (n int64, err error) {
	err = tx.QueryRow(`INSERT INTO `+tx.db.service+`_counters (name, n) VALUES (?, 1)
		ON CONFLICT (name) DO UPDATE SET n = `+tx.db.service+`_counters.n + 1 RETURNING n`, counter).Scan(&n)
	return n, err
}

// MaxEvent bounds the data of one event, in bytes, so that it fits into a message of the bus.
const MaxEvent = 4 << 20

// Emit stores an event in the outbox, numbered, and with the present time where r.At is zero. Data
// over MaxEvent is errs.TooLarge.
func (tx *Tx) Emit(r bus.Record) error {
	if len(r.Data) > MaxEvent {
		return errs.New(errs.TooLarge, "event %s of %s has %d bytes; at most %d are possible", r.Type, r.Subject, len(r.Data), MaxEvent)
	}
	pos, err := tx.next("outbox")
	if err != nil {
		return err
	}
	if r.At.IsZero() {
		r.At = time.Now()
	}
	tx.emitted = true
	return tx.Exec(`INSERT INTO `+tx.db.service+`_outbox (pos, type, subject, namespace, trace, at, data) VALUES (?, ?, ?, ?, ?, ?, ?)`,
		pos, r.Type, r.Subject, r.Namespace, r.Trace, Micros(r.At), string(r.Data))
}

// Events returns up to limit events after a position, in order.
func (db *DB) Events(ctx context.Context, after int64, limit int) ([]bus.Record, error) {
	rows, err := db.Query(ctx, `SELECT pos, type, subject, namespace, trace, at, data FROM `+db.service+`_outbox WHERE pos > ? ORDER BY pos`+literal(limit), after)
	if err != nil {
		return nil, err
	}
	return records(rows)
}

// literal limits a query whose limit is the same each time. As a parameter it would make SQLite prepare the
// statement again for each value, which costs more than running it.
func literal(limit int) string { return " LIMIT " + strconv.Itoa(limit) }

// Act is a row of the audit trail: who did what to which object.
type Act struct {
	Namespace string
	Action    string // a permission's name: "run.cancel"
	Object    string // ID or name of what was acted on
	Detail    any    // what changed, as JSON; never a secret
}

// Audit records that the caller of the transaction's context did act.
func (tx *Tx) Audit(a Act) error {
	detail, err := json.Marshal(a.Detail)
	if err != nil {
		return err
	}
	pos, err := tx.next("audit")
	if err != nil {
		return err
	}
	c, _ := bus.CallerFrom(tx.ctx)
	return tx.Exec(`INSERT INTO `+tx.db.service+`_audit (pos, at, subject, origin, namespace, action, object, trace, detail) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)`,
		pos, Micros(time.Now()), c.Subject, c.From, a.Namespace, a.Action, a.Object, bus.TraceFrom(tx.ctx), string(detail))
}

// AuditRow is an act as it was recorded.
type AuditRow struct {
	Pos       int64
	At        time.Time
	Subject   string
	Origin    string
	Namespace string
	Action    string
	Object    string
	Trace     string
	Detail    json.RawMessage
}

// Acts returns up to limit acts before a position (0 means the end), newest first; namespace "" is all.
func (db *DB) Acts(ctx context.Context, namespace string, before int64, limit int) ([]AuditRow, error) {
	if before <= 0 {
		before = 1 << 62
	}
	rows, err := db.Query(ctx, `SELECT pos, at, subject, origin, namespace, action, object, trace, detail FROM `+db.service+`_audit
		WHERE pos < ? AND (? = '' OR namespace = ?) ORDER BY pos DESC LIMIT ?`, before, namespace, namespace, limit)
	if err != nil {
		return nil, err
	}
	return acts(rows)
}

// Intent is a call the service wants answered, stored with what made it want it.
type Intent struct {
	Key    string // unique in the service; also the idempotency key of the call
	Method string
	In     json.RawMessage
	Trace  string
	Tries  int
	Next   time.Time // when to try (again)
}

// Intend stores the intent to call method with in. Storing the same key again has no effect.
func (tx *Tx) Intend(key, method string, in any) error {
	b, err := json.Marshal(in)
	if err != nil {
		return err
	}
	tx.emitted = true // wakes the relay
	return tx.Exec(`INSERT INTO `+tx.db.service+`_intents (intent, method, input, trace, tries, next_at, error) VALUES (?, ?, ?, ?, 0, ?, '') ON CONFLICT (intent) DO NOTHING`,
		key, method, string(b), bus.TraceFrom(tx.ctx), Micros(time.Now()))
}

// Intents returns the intents due at a time, oldest first.
func (db *DB) Intents(ctx context.Context, due time.Time, limit int) ([]Intent, error) {
	rows, err := db.Query(ctx, `SELECT intent, method, input, trace, tries, next_at FROM `+db.service+`_intents WHERE next_at <= ? ORDER BY next_at, intent`+literal(limit), Micros(due))
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var out []Intent
	for rows.Next() {
		var i Intent
		var next int64
		var in string
		if err := rows.Scan(&i.Key, &i.Method, &in, &i.Trace, &i.Tries, &next); err != nil {
			return nil, err
		}
		i.In, i.Next = json.RawMessage(in), Time(next)
		out = append(out, i)
	}
	return out, rows.Err()
}

// NextIntent returns when the next intent is due, the zero time where there is none.
func (db *DB) NextIntent(ctx context.Context) (time.Time, error) {
	var us int64
	err := db.QueryRow(ctx, `SELECT coalesce(min(next_at), 0) FROM `+db.service+`_intents`).Scan(&us)
	return Time(us), err
}

// Fulfilled removes an intent that was answered. It reports false where another replica of the
// service did so before: what follows from the answer has then been written too.
func (tx *Tx) Fulfilled(key string) (bool, error) {
	n, err := tx.Changed(`DELETE FROM `+tx.db.service+`_intents WHERE intent = ?`, key)
	return n == 1, err
}

// Postpone keeps an intent whose call failed until next.
func (tx *Tx) Postpone(key string, next time.Time, cause error) error {
	return tx.Exec(`UPDATE `+tx.db.service+`_intents SET tries = tries + 1, next_at = ?, error = ? WHERE intent = ?`, Micros(next), cause.Error(), key)
}

// Cursor returns how far the service has followed a source: 0 at first.
func (db *DB) Cursor(ctx context.Context, source string) (pos int64, err error) {
	err = db.QueryRow(ctx, `SELECT pos FROM `+db.service+`_cursors WHERE source = ?`, source).Scan(&pos)
	if errors.Is(err, sql.ErrNoRows) {
		return 0, nil
	}
	return pos, err
}

// Advance moves the cursor of a source, in the transaction that digests the events up to pos. It
// reports false, and moves nothing, where the cursor is there already because another replica of the
// service was faster; until the transaction ends, other replicas wait here.
func (tx *Tx) Advance(source string, pos int64) (bool, error) {
	n, err := tx.Changed(`INSERT INTO `+tx.db.service+`_cursors (source, pos) VALUES (?, ?)
		ON CONFLICT (source) DO UPDATE SET pos = excluded.pos WHERE `+tx.db.service+`_cursors.pos < excluded.pos`, source, pos)
	return n == 1, err
}

// Quarantine keeps a record that the service could not digest, so that it stops nothing else.
func (tx *Tx) Quarantine(source string, r bus.Record, cause error) error {
	b, err := json.Marshal(r)
	if err != nil {
		return err
	}
	return tx.Exec(`INSERT INTO `+tx.db.service+`_quarantine (source, pos, at, record, error) VALUES (?, ?, ?, ?, ?) ON CONFLICT (source, pos) DO NOTHING`,
		source, r.Pos, Micros(time.Now()), string(b), cause.Error())
}

// NoRow turns sql.ErrNoRows into errs.NotFound with the given message, and the error of a database that
// is away into errs.Unavailable; other errors pass.
func NoRow(err error, format string, args ...any) error {
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return errs.New(errs.NotFound, format, args...)
	case err != nil && transient(err):
		return unavailable(err)
	}
	return err
}
