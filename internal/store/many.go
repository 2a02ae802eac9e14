package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
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
		return tx.insertColumns(head, rows2columns(columns, rows, args))
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

// arrayType returns the type that PostgreSQL takes a column of rows2columns as; "" where it is of another
// type than text and numbers, which rows2columns leaves out.
func arrayType(a any) string {
	switch a.(type) {
	case []string:
		return "text[]"
	case []int64:
		return "bigint[]"
	}
	return ""
}

// unnest returns a FROM item with the rows that are given by column.
func unnest(arrays []any) (string, error) {
	parts := make([]string, len(arrays))
	for i, a := range arrays {
		t := arrayType(a)
		if t == "" {
			return "", fmt.Errorf("column %d holds neither text nor numbers", i+1)
		}
		parts[i] = fmt.Sprintf("$%d::%s", i+1, t)
	}
	return "unnest(" + strings.Join(parts, ", ") + ")", nil
}

// insertColumns inserts rows given by column with one statement, which costs PostgreSQL half of what as
// many lists of values do.
func (tx *Tx) insertColumns(head string, arrays []any) error {
	q, ok := strings.CutSuffix(head, "VALUES ")
	from, err := unnest(arrays)
	if !ok {
		err = errors.New("it does not end with VALUES")
	}
	if err != nil {
		return fmt.Errorf("%s: %w", head, err)
	}
	return tx.eachPart(q+"SELECT * FROM "+from, arrays)
}

// eachPart runs a statement for as many rows at a time as it may have.
func (tx *Tx) eachPart(q string, arrays []any) error {
	for from := 0; ; from += maxArray {
		part, n := make([]any, len(arrays)), 0
		for i, a := range arrays {
			switch a := a.(type) {
			case []string:
				part[i], n = a[from:min(from+maxArray, len(a))], len(a)
			case []int64:
				part[i], n = a[from:min(from+maxArray, len(a))], len(a)
			}
		}
		if err := tx.execPrepared(q, part); err != nil {
			return err
		}
		if from+maxArray >= n {
			return nil
		}
	}
}

// updates returns the statement of PostgreSQL that sets columns from the rows of a FROM item.
func updates(table string, columns []Column, from string) string {
	set, names := make([]string, 0, len(columns)), make([]string, len(columns))
	for i, c := range columns {
		names[i] = c.Name
		if i > 0 {
			set = append(set, c.Name+" = v."+c.Name)
		}
	}
	key := columns[0].Name
	return "UPDATE " + table + " SET " + strings.Join(set, ", ") + " FROM " + from + " AS v(" + strings.Join(names, ", ") + ") WHERE " + table + "." + key + " = v." + key
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
	if tx.db.postgres && len(rows) > 1 {
		arrays := rows2columns(len(columns), rows, args)
		from, err := unnest(arrays)
		if err != nil {
			return fmt.Errorf("update %s: %w", table, err)
		}
		return tx.eachPart(updates(table, columns, from), arrays)
	}
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
	if tx.queue != nil {
		return tx.enqueue(q, slices.Clone(args), nil)
	}
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

// number inserts rows that are numbered by a counter of the service: columns names what follows pos. On
// PostgreSQL one statement raises the counter and inserts.
func number[T any](tx *Tx, counter, columns string, rows []T, args func(row T, to []any) []any) error {
	table, n := tx.db.service+"_"+counter, strings.Count(columns, ",")+1
	if tx.db.postgres {
		arrays := rows2columns(n, rows, args)
		from, err := unnest(arrays)
		if err != nil {
			return fmt.Errorf("%s: %w", table, err)
		}
		counters, count := tx.db.service+"_counters", "cardinality($1::"+arrayType(arrays[0])+")"
		return tx.eachPart(`WITH c AS (INSERT INTO `+counters+` (name, n) VALUES ('`+counter+`', `+count+`)
			ON CONFLICT (name) DO UPDATE SET n = `+counters+`.n + excluded.n RETURNING n)
			INSERT INTO `+table+` (pos, `+columns+`) SELECT c.n - `+count+` + v.i, `+columns+` FROM c, `+from+` WITH ORDINALITY AS v(`+columns+`, i)`, arrays)
	}
	pos, err := tx.take(counter, len(rows))
	if err != nil {
		return err
	}
	return InsertMany(tx, `INSERT INTO `+table+` (pos, `+columns+`) VALUES `, n+1, rows, func(r T, to []any) []any {
		to = args(r, append(to, pos))
		pos++
		return to
	})
}

// EmitAll is Emit for many records at once.
func (tx *Tx) EmitAll(rs []bus.Record) error {
	if len(rs) == 0 {
		return nil
	}
	tx.emitted = true
	now := time.Now()
	return number(tx, "outbox", "type, subject, namespace, trace, at, data", rs, func(r bus.Record, to []any) []any {
		if r.At.IsZero() {
			r.At = now
		}
		return append(to, r.Type, r.Subject, r.Namespace, r.Trace, Micros(r.At), string(r.Data))
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
	return number(tx, "audit", "at, subject, origin, namespace, action, object, trace, detail", acts, func(a ActBy, to []any) []any {
		to = append(to, now, a.Caller.Subject, a.Caller.From, a.Namespace, a.Action, a.Object, a.Trace, details[i])
		i++
		return to
	})
}
