package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"tutti/bus"
)

// chunks are the numbers of rows that one statement inserts. Few different statements are prepared
// once and used again, which costs less than fewer statements that are all different.
var chunks = []int{256, 32, 4, 1}

// InsertMany inserts rows with few statements: head is "INSERT INTO t (a, b) VALUES ", columns the
// number of its columns (at most 30, for the databases' limits on parameters), and args appends the
// values of a row.
func InsertMany[T any](tx *Tx, head string, columns int, rows []T, args func(row T, to []any) []any) error {
	var all []any
	for _, k := range chunks {
		if len(rows) < k {
			continue
		}
		q := tx.db.manyRows(head, columns, k)
		for len(rows) >= k {
			all = all[:0]
			for _, r := range rows[:k] {
				all = args(r, all)
			}
			if err := tx.execPrepared(q, all); err != nil {
				return err
			}
			rows = rows[k:]
		}
	}
	return nil
}

// manyRows returns the statement that inserts k rows.
func (db *DB) manyRows(head string, columns, k int) string {
	type key struct {
		head string
		k    int
	}
	if q, ok := db.inserts.Load(key{head, k}); ok {
		return q.(string)
	}
	one := "(?" + strings.Repeat(", ?", columns-1) + ")"
	q := db.rebind(head + one + strings.Repeat(", "+one, k-1))
	db.inserts.Store(key{head, k}, q)
	return q
}

// execPrepared runs a rebound statement that comes again and again. pgx remembers statements by
// itself; for SQLite they are kept here. A new one is prepared after the commit, for the transaction
// holds the only writing connection.
func (tx *Tx) execPrepared(q string, args []any) error {
	if st, ok := tx.db.prepared.Load(q); ok {
		_, err := tx.tx.StmtContext(tx.ctx, st.(*sql.Stmt)).ExecContext(tx.ctx, args...)
		return err
	}
	if !tx.db.postgres {
		q := q
		tx.AfterCommit(func() { tx.db.prepare(q) })
	}
	_, err := tx.tx.ExecContext(tx.ctx, q, args...)
	return err
}

func (db *DB) prepare(q string) {
	if _, ok := db.prepared.Load(q); ok {
		return
	}
	st, err := db.write.PrepareContext(context.Background(), q) // background: it serves every later transaction
	if err != nil {
		return // it is run unprepared, as before
	}
	if _, had := db.prepared.LoadOrStore(q, st); had {
		_ = st.Close()
	}
}

// take raises a counter of the service by k and returns the first of the numbers taken.
func (tx *Tx) take(counter string, k int) (first int64, err error) {
	err = tx.QueryRow(`INSERT INTO `+tx.db.service+`_counters (name, n) VALUES (?, ?)
		ON CONFLICT (name) DO UPDATE SET n = `+tx.db.service+`_counters.n + excluded.n RETURNING n`, counter, k).Scan(&first)
	return first - int64(k) + 1, err
}

// EmitAll is Emit for many records at once.
func (tx *Tx) EmitAll(rs []bus.Record) error {
	if len(rs) == 0 {
		return nil
	}
	pos, err := tx.take("outbox", len(rs))
	if err != nil {
		return err
	}
	tx.emitted = true
	now := time.Now()
	return InsertMany(tx, `INSERT INTO `+tx.db.service+`_outbox (pos, type, subject, namespace, trace, at, data) VALUES `, 7, rs, func(r bus.Record, to []any) []any {
		if r.At.IsZero() {
			r.At = now
		}
		to = append(to, pos, r.Type, r.Subject, r.Namespace, r.Trace, Micros(r.At), string(r.Data))
		pos++
		return to
	})
}

// ActBy is an act with who did it, for writers that gather the acts of several callers.
type ActBy struct {
	Act
	Caller bus.Caller
	Trace  string
}

// AuditAll records acts of several callers.
func (tx *Tx) AuditAll(acts []ActBy) error {
	if len(acts) == 0 {
		return nil
	}
	pos, err := tx.take("audit", len(acts))
	if err != nil {
		return err
	}
	now := Micros(time.Now())
	details := make([]string, len(acts))
	for i, a := range acts {
		b, err := json.Marshal(a.Detail)
		if err != nil {
			return fmt.Errorf("detail of %s: %w", a.Action, err)
		}
		details[i] = string(b)
	}
	i := 0
	return InsertMany(tx, `INSERT INTO `+tx.db.service+`_audit (pos, at, subject, origin, namespace, action, object, trace, detail) VALUES `, 9, acts, func(a ActBy, to []any) []any {
		to = append(to, pos, now, a.Caller.Subject, a.Caller.From, a.Namespace, a.Action, a.Object, a.Trace, details[i])
		pos++
		i++
		return to
	})
}
