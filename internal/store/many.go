package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"tutti/bus"
)

// chunks are the numbers of rows that one statement inserts. Few different statements are prepared
// once and used again, which costs less than fewer statements that are all different.
var chunks = []int{256, 32, 4, 1}

// InsertMany inserts rows with few statements: head is "INSERT INTO t (a, b) VALUES ", columns the
// number of its columns (at most 30, for the databases' limits on parameters), and args appends the
// values of a row, each a string, an int or an int64.
func InsertMany[T any](tx *Tx, head string, columns int, rows []T, args func(row T, to []any) []any) error {
	if tx.db.postgres && len(rows) > 1 {
		return tx.insertColumns(head, columns, rows2columns(columns, rows, args))
	}
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

// rows2columns returns the values of rows by column, as arrays that PostgreSQL takes.
func rows2columns[T any](columns int, rows []T, args func(row T, to []any) []any) []any {
	out := make([]any, columns)
	one := make([]any, 0, columns)
	for _, r := range rows {
		one = args(r, one[:0])
		for i, v := range one {
			switch v := v.(type) {
			case string:
				list, _ := out[i].([]string)
				out[i] = append(list, v)
			case int64:
				list, _ := out[i].([]int64)
				out[i] = append(list, v)
			case int:
				list, _ := out[i].([]int64)
				out[i] = append(list, int64(v))
			}
		}
	}
	return out
}

// maxArray is how many rows one statement of PostgreSQL inserts.
const maxArray = 2000

// insertColumns inserts rows given by column with one statement, which costs PostgreSQL half of what as
// many lists of values do. A column of other types than text and numbers was left out by rows2columns: the
// statement is refused then.
func (tx *Tx) insertColumns(head string, columns int, arrays []any) error {
	q, ok := strings.CutSuffix(head, "VALUES ")
	types := make([]string, columns)
	n := 0
	for i, a := range arrays {
		switch a := a.(type) {
		case []string:
			types[i], n = fmt.Sprintf("$%d::text[]", i+1), len(a)
		case []int64:
			types[i], n = fmt.Sprintf("$%d::bigint[]", i+1), len(a)
		default:
			ok = false
		}
	}
	if !ok {
		return fmt.Errorf("%s: not a statement, or not values, of InsertMany", head)
	}
	q += "SELECT * FROM unnest(" + strings.Join(types, ", ") + ")"
	for from := 0; from < n; from += maxArray {
		to := min(from+maxArray, n)
		part := make([]any, columns)
		for i, a := range arrays {
			switch a := a.(type) {
			case []string:
				part[i] = a[from:to]
			case []int64:
				part[i] = a[from:to]
			}
		}
		if err := tx.execPrepared(q, part); err != nil {
			return err
		}
	}
	return nil
}

// Column is a column that UpdateMany sets, or finds rows by.
type Column struct {
	Name string
	// Type is BIGINT or TEXT.
	Type string
}

// UpdateMany sets columns of many rows with few statements. The rows are found by the first column; args
// appends the values of a row in the order of the columns.
func UpdateMany[T any](tx *Tx, table string, columns []Column, rows []T, args func(row T, to []any) []any) error {
	var all []any
	for _, k := range chunks {
		if len(rows) < k {
			continue
		}
		q := tx.db.manyUpdates(table, columns, k)
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

// manyUpdates returns the statement that updates k rows.
func (db *DB) manyUpdates(table string, columns []Column, k int) string {
	key := manyKey{"UPDATE " + table, k}
	if q, ok := db.inserts.Load(key); ok {
		return q.(string)
	}
	var set, one []string
	for i, c := range columns {
		one = append(one, "CAST(? AS "+c.Type+")")
		if i > 0 {
			set = append(set, fmt.Sprintf("%s = v.column%d", c.Name, i+1))
		}
	}
	row := "(" + strings.Join(one, ", ") + ")"
	q := db.rebind("UPDATE " + table + " SET " + strings.Join(set, ", ") + " FROM (VALUES " + row + strings.Repeat(", "+row, k-1) + ") AS v WHERE " + table + "." + columns[0].Name + " = v.column1")
	db.inserts.Store(key, q)
	return q
}

// manyKey names a statement for k rows.
type manyKey struct {
	head string
	k    int
}

// manyRows returns the statement that inserts k rows.
func (db *DB) manyRows(head string, columns, k int) string {
	if q, ok := db.inserts.Load(manyKey{head, k}); ok {
		return q.(string)
	}
	one := "(?" + strings.Repeat(", ?", columns-1) + ")"
	q := db.rebind(head + one + strings.Repeat(", "+one, k-1))
	db.inserts.Store(manyKey{head, k}, q)
	return q
}

// execPrepared runs a rebound statement that comes again and again.
func (tx *Tx) execPrepared(q string, args []any) error {
	_, err := tx.run(q, args)
	return err
}

// run runs a rebound statement. pgx remembers statements by itself; for SQLite those that came before
// are kept prepared, which saves more than half of what a small one costs. A new one is prepared after
// the commit, for the transaction holds the only writing connection.
func (tx *Tx) run(q string, args []any) (sql.Result, error) {
	if st := tx.statement(q); st != nil {
		return st.ExecContext(tx.ctx, args...)
	}
	return tx.tx.ExecContext(tx.ctx, q, args...)
}

// statement returns q prepared, or nil.
func (tx *Tx) statement(q string) *sql.Stmt {
	if tx.db.postgres {
		return nil
	}
	if st, ok := tx.db.prepared.Load(q); ok {
		return tx.tx.StmtContext(tx.ctx, st.(*sql.Stmt))
	}
	if tx.db.statements.Load() < maxPrepared {
		tx.AfterCommit(func() { prepare(&tx.db.prepared, &tx.db.statements, tx.db.write, q) })
	}
	return nil
}

// maxPrepared bounds the statements that are kept of a database; most services have a few dozen.
const maxPrepared = 200

// prepare keeps q prepared.
func prepare(in *sync.Map, count *atomic.Int64, db *sql.DB, q string) *sql.Stmt {
	if st, ok := in.Load(q); ok {
		return st.(*sql.Stmt)
	}
	st, err := db.PrepareContext(context.Background(), q) // background: it serves every later transaction
	if err != nil {
		return nil // it is run unprepared, as before
	}
	if had, ok := in.LoadOrStore(q, st); ok {
		_ = st.Close()
		return had.(*sql.Stmt)
	}
	count.Add(1)
	return st
}

// reading returns q prepared for reading, or nil.
func (db *DB) reading(q string) *sql.Stmt {
	if db.postgres {
		return nil
	}
	if st, ok := db.readers.Load(q); ok {
		return st.(*sql.Stmt)
	}
	if db.reads.Load() >= maxPrepared {
		return nil
	}
	return prepare(&db.readers, &db.reads, db.read, q)
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
