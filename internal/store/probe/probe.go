// Package probe asks a database how fast it is by itself, and how large: what an engine on it is compared
// with. It owns the table ceiling_rows, in a database or schema that is made for it.
package probe

import (
	"context"
	"testing/fstest"

	"tutti/internal/store"
)

// SQLiteSize asks SQLite how many bytes a database has, with what is committed and not yet in its file.
const SQLiteSize = `SELECT page_count * page_size FROM pragma_page_count, pragma_page_size`

// PostgresSize asks PostgreSQL the same.
const PostgresSize = `SELECT pg_database_size(current_database())`

// ceilingTable is the table of the engine's journal, by another name.
const ceilingTable = `-- +goose Up
CREATE TABLE ceiling_rows (
	run    BIGINT NOT NULL,
	seq    BIGINT NOT NULL,
	at     BIGINT NOT NULL,
	events TEXT NOT NULL,
	PRIMARY KEY (run, seq)
);`

// Open opens a database whose table is that of the engine's journal.
func Open(ctx context.Context, c store.Config) (*store.DB, error) {
	return store.Open(ctx, c, "ceiling", fstest.MapFS{
		"migrations/0001_rows.sql": {Data: []byte(ceilingTable)},
	})
}

// Insert commits a row of a run for each of the numbers.
func Insert(ctx context.Context, db *store.DB, run int64, numbers []int64, text string) error {
	return db.Tx(ctx, func(tx *store.Tx) error {
		return store.InsertMany(tx, `INSERT INTO ceiling_rows (run, seq, at, events) VALUES `, 4, numbers, func(i int64, to []any) []any {
			return append(to, run, i, i, text)
		})
	})
}

// Drop removes the table, and all else of its schema in PostgreSQL.
func Drop(ctx context.Context, db *store.DB) error {
	return db.Tx(ctx, func(tx *store.Tx) error { return tx.Exec(`DROP SCHEMA tutti_ceiling CASCADE`) })
}
