package store

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"tutti/bus"
)

// maxParams bounds the parameters of one statement, below the limits of both databases.
const maxParams = 8000

// InsertMany inserts rows with as few statements as possible: head is "INSERT INTO t (a, b) VALUES ",
// columns the number of its columns, and args appends the values of a row.
func InsertMany[T any](tx *Tx, head string, columns int, rows []T, args func(row T, to []any) []any) error {
	one := "(?" + strings.Repeat(", ?", columns-1) + ")"
	for len(rows) > 0 {
		k := min(len(rows), maxParams/columns)
		all := make([]any, 0, k*columns)
		for _, r := range rows[:k] {
			all = args(r, all)
		}
		if err := tx.Exec(head+one+strings.Repeat(", "+one, k-1), all...); err != nil {
			return err
		}
		rows = rows[k:]
	}
	return nil
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
