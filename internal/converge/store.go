package converge

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"tutti/api"
	"tutti/internal/store"
)

// slot is the last time that was due for a type, and the last run.
type slot struct {
	due time.Time
	run api.RunID
}

// read returns the slot of a type; found is false before its first.
func read(ctx context.Context, db *store.DB, d api.Definition) (s slot, found bool, err error) {
	var due int64
	err = db.QueryRow(ctx, `SELECT due, run FROM converge_slots WHERE namespace = ? AND type = ?`, d.Namespace, d.Name).Scan(&due, &s.run)
	if errors.Is(err, sql.ErrNoRows) {
		return s, false, nil
	}
	if err != nil {
		return s, false, fmt.Errorf("read when %s was due: %w", d.Name, err)
	}
	s.due = store.Time(due)
	return s, true, nil
}

// remember stores the first slot of a type.
func remember(tx *store.Tx, d api.Definition, due time.Time) error {
	return tx.Exec(`INSERT INTO converge_slots (namespace, type, due, key, run) VALUES (?, ?, ?, '', '') ON CONFLICT (namespace, type) DO NOTHING`, d.Namespace, d.Name, store.Micros(due))
}

// advance goes from one slot to a later one; first is false where another process did.
func advance(tx *store.Tx, d api.Definition, from, to time.Time) (first bool, err error) {
	n, err := tx.Changed(`UPDATE converge_slots SET due = ?, key = ? WHERE namespace = ? AND type = ? AND due = ?`,
		store.Micros(to), fmt.Sprintf("converge/%s/%d", d.Name, to.Unix()), d.Namespace, d.Name, store.Micros(from))
	return n == 1, err
}

// noteRun stores the run that was started under a key.
func noteRun(tx *store.Tx, namespace, key string, run api.RunID) error {
	return tx.Exec(`UPDATE converge_slots SET run = ? WHERE namespace = ? AND key = ?`, string(run), namespace, key)
}
