// Package sqlstore keeps rollouts in a SQL database: SQLite or PostgreSQL, over any driver that takes
// parameters as $1 (pgx, lib/pq, modernc.org/sqlite, mattn/go-sqlite3). It needs nothing but the *sql.DB
// that it is given, whose settings decide how durable it is.
//
// Tables, all of which begin with the prefix: PREFIX_entities with a row for each entity, which holds the
// revision that every write compares and raises; PREFIX_targets with a row for each target; PREFIX_events
// with the history. A step writes the rows of the targets that changed, in one transaction.
package sqlstore

import (
	"cmp"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"tutti/rollout"
)

// Store is a rollout.Store in a database.
type Store struct {
	db     *sql.DB
	prefix string
}

var prefixes = regexp.MustCompile(`^[a-z][a-z0-9_]{0,40}$`)

// New returns a store whose tables begin with prefix, "rollout" where that is "". Create makes them.
func New(db *sql.DB, prefix string) (*Store, error) {
	if prefix == "" {
		prefix = "rollout"
	}
	if !prefixes.MatchString(prefix) {
		return nil, fmt.Errorf("no table can begin with %q: use lower-case letters, digits and _", prefix)
	}
	return &Store{db: db, prefix: prefix}, nil
}

// schema works on both databases: to SQLite BYTEA is a name like any other.
var schema = []string{
	`CREATE TABLE IF NOT EXISTS @_entities (
		namespace TEXT NOT NULL,
		entity    TEXT NOT NULL,
		revision  BIGINT NOT NULL,
		events    BIGINT NOT NULL,
		head      BYTEA NOT NULL,
		PRIMARY KEY (namespace, entity)
	)`,
	`CREATE TABLE IF NOT EXISTS @_targets (
		namespace TEXT NOT NULL,
		entity    TEXT NOT NULL,
		division  BYTEA NOT NULL,
		name      BYTEA NOT NULL,
		data      BYTEA NOT NULL,
		PRIMARY KEY (namespace, entity, division, name)
	)`,
	`CREATE TABLE IF NOT EXISTS @_events (
		namespace TEXT NOT NULL,
		entity    TEXT NOT NULL,
		seq       BIGINT NOT NULL,
		event     TEXT NOT NULL,
		PRIMARY KEY (namespace, entity, seq)
	)`,
}

// Create makes the tables where they are missing.
func (s *Store) Create(ctx context.Context) error {
	for _, statement := range schema {
		if _, err := s.db.ExecContext(ctx, s.sql(statement)); err != nil {
			return fmt.Errorf("create the tables of rollouts: %w", err)
		}
	}
	return nil
}

// sql puts the prefix in for @.
func (s *Store) sql(statement string) string { return strings.ReplaceAll(statement, "@", s.prefix) }

// Load implements rollout.Store.
func (s *Store) Load(ctx context.Context, key rollout.Key, since uint64) (rollout.Stored, error) {
	var stored rollout.Stored
	var revision uint64
	err := s.db.QueryRowContext(ctx, s.sql(`SELECT revision FROM @_entities WHERE namespace = $1 AND entity = $2`),
		key.Namespace, key.Entity).Scan(&revision)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return stored, nil
	case err != nil:
		return stored, fmt.Errorf("load %s: %w", key, err)
	case revision == since:
		return rollout.Stored{Revision: since}, nil
	}
	// Head and targets are of one moment, whatever is written meanwhile.
	tx, err := s.db.BeginTx(ctx, &sql.TxOptions{Isolation: sql.LevelRepeatableRead, ReadOnly: true})
	if err != nil {
		if tx, err = s.db.BeginTx(ctx, nil); err != nil { // SQLite's transactions are so without being asked
			return stored, fmt.Errorf("load %s: %w", key, err)
		}
	}
	defer func() { _ = tx.Rollback() }() // it only read
	if stored, err = s.load(ctx, tx, key); err != nil {
		return rollout.Stored{}, fmt.Errorf("load %s: %w", key, err)
	}
	return stored, nil
}

func (s *Store) load(ctx context.Context, tx *sql.Tx, key rollout.Key) (rollout.Stored, error) {
	var stored rollout.Stored
	err := tx.QueryRowContext(ctx, s.sql(`SELECT revision, head FROM @_entities WHERE namespace = $1 AND entity = $2`),
		key.Namespace, key.Entity).Scan(&stored.Revision, &stored.Head)
	if errors.Is(err, sql.ErrNoRows) {
		return rollout.Stored{}, nil
	} else if err != nil {
		return stored, err
	}
	rows, err := tx.QueryContext(ctx, s.sql(`SELECT division, name, data FROM @_targets WHERE namespace = $1 AND entity = $2`),
		key.Namespace, key.Entity)
	if err != nil {
		return stored, err
	}
	defer func() { _ = rows.Close() }() // Err says what went wrong
	for rows.Next() {
		var group, name, data []byte
		if err := rows.Scan(&group, &name, &data); err != nil {
			return stored, err
		}
		stored.Targets = append(stored.Targets, rollout.Record{
			Target: rollout.Target{Group: string(group), Name: string(name)}, Data: data})
	}
	return stored, rows.Err()
}

// Save implements rollout.Store.
func (s *Store) Save(ctx context.Context, writes ...rollout.Write) error {
	// In one order, so that two that write the same entities never wait for each other.
	writes = slices.Clone(writes)
	slices.SortFunc(writes, func(a, b rollout.Write) int {
		return cmp.Or(cmp.Compare(a.Key.Namespace, b.Key.Namespace), cmp.Compare(a.Key.Entity, b.Key.Entity))
	})
	tx, err := s.db.BeginTx(ctx, nil)
	if err != nil {
		return fmt.Errorf("save: %w", err)
	}
	for _, w := range writes {
		if err := s.write(ctx, tx, w); err != nil {
			_ = tx.Rollback() // the error that led here says more
			return fmt.Errorf("save %s: %w", w.Key, err)
		}
	}
	if err := tx.Commit(); err != nil {
		return fmt.Errorf("save: %w", err)
	}
	return nil
}

func (s *Store) write(ctx context.Context, tx *sql.Tx, w rollout.Write) error {
	n := len(w.Change.Events)
	var events uint64
	var err error
	if w.Revision == 0 {
		err = tx.QueryRowContext(ctx, s.sql(`INSERT INTO @_entities (namespace, entity, revision, events, head)
			VALUES ($1, $2, 1, $3, $4) ON CONFLICT DO NOTHING RETURNING events`),
			w.Key.Namespace, w.Key.Entity, n, w.Change.Head).Scan(&events)
	} else {
		err = tx.QueryRowContext(ctx, s.sql(`UPDATE @_entities SET revision = revision + 1, events = events + $1, head = $2
			WHERE namespace = $3 AND entity = $4 AND revision = $5 RETURNING events`),
			n, w.Change.Head, w.Key.Namespace, w.Key.Entity, w.Revision).Scan(&events)
	}
	if errors.Is(err, sql.ErrNoRows) {
		return rollout.ErrConflict
	} else if err != nil {
		return err
	}
	if err := s.writeTargets(ctx, tx, w); err != nil {
		return err
	}
	for i, e := range w.Change.Events {
		text, err := json.Marshal(e)
		if err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, s.sql(`INSERT INTO @_events (namespace, entity, seq, event) VALUES ($1, $2, $3, $4)`),
			w.Key.Namespace, w.Key.Entity, events-uint64(n)+uint64(i)+1, string(text)); err != nil {
			return err
		}
	}
	return nil
}

// chunk is how many targets one statement writes.
const chunk = 500

// writeTargets writes the targets, of each the last record only: a statement cannot write a row twice.
func (s *Store) writeTargets(ctx context.Context, tx *sql.Tx, w rollout.Write) error {
	last := make(map[rollout.Target][]byte, len(w.Change.Targets))
	for _, t := range w.Change.Targets {
		last[t.Target] = t.Data
	}
	var args []any
	var values strings.Builder
	flush := func() error {
		if len(args) == 0 {
			return nil
		}
		_, err := tx.ExecContext(ctx, s.sql(`INSERT INTO @_targets (namespace, entity, division, name, data) VALUES `)+values.String()+
			` ON CONFLICT (namespace, entity, division, name) DO UPDATE SET data = excluded.data`, args...)
		args = args[:0]
		values.Reset()
		return err
	}
	for _, t := range w.Change.Targets {
		data, ok := last[t.Target]
		if !ok {
			continue // written already
		}
		delete(last, t.Target)
		if data == nil {
			if _, err := tx.ExecContext(ctx, s.sql(`DELETE FROM @_targets WHERE namespace = $1 AND entity = $2 AND division = $3 AND name = $4`),
				w.Key.Namespace, w.Key.Entity, []byte(t.Group), []byte(t.Name)); err != nil {
				return err
			}
			continue
		}
		if len(args) > 0 {
			values.WriteByte(',')
		}
		n := len(args)
		fmt.Fprintf(&values, "($%d,$%d,$%d,$%d,$%d)", n+1, n+2, n+3, n+4, n+5)
		args = append(args, w.Key.Namespace, w.Key.Entity, []byte(t.Group), []byte(t.Name), data)
		if len(args) == 5*chunk {
			if err := flush(); err != nil {
				return err
			}
		}
	}
	return flush()
}

// Keys implements rollout.Store.
func (s *Store) Keys(ctx context.Context, namespace string) ([]rollout.Key, error) {
	rows, err := s.db.QueryContext(ctx, s.sql(`SELECT namespace, entity FROM @_entities
		WHERE ($1 = '' OR namespace = $1) AND length(head) > 0`), namespace)
	if err != nil {
		return nil, fmt.Errorf("list entities: %w", err)
	}
	defer func() { _ = rows.Close() }() // Err says what went wrong
	var keys []rollout.Key
	for rows.Next() {
		var k rollout.Key
		if err := rows.Scan(&k.Namespace, &k.Entity); err != nil {
			return nil, fmt.Errorf("list entities: %w", err)
		}
		keys = append(keys, k)
	}
	// Not in SQL: there the order depends on the database's language.
	slices.SortFunc(keys, func(a, b rollout.Key) int {
		return cmp.Or(cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Entity, b.Entity))
	})
	return keys, rows.Err()
}

// History implements rollout.Store.
func (s *Store) History(ctx context.Context, key rollout.Key, before uint64, limit int) ([]rollout.Entry, error) {
	if before == 0 {
		before = 1<<63 - 1
	}
	rows, err := s.db.QueryContext(ctx, s.sql(`SELECT seq, event FROM @_events
		WHERE namespace = $1 AND entity = $2 AND seq < $3 ORDER BY seq DESC LIMIT $4`), key.Namespace, key.Entity, before, limit)
	if err != nil {
		return nil, fmt.Errorf("history of %s: %w", key, err)
	}
	defer func() { _ = rows.Close() }() // Err says what went wrong
	var entries []rollout.Entry
	for rows.Next() {
		var e rollout.Entry
		var text string
		if err := rows.Scan(&e.Seq, &text); err != nil {
			return nil, fmt.Errorf("history of %s: %w", key, err)
		}
		if err := json.Unmarshal([]byte(text), &e.Event); err != nil {
			return nil, fmt.Errorf("history of %s: entry %d: %w", key, e.Seq, err)
		}
		entries = append(entries, e)
	}
	return entries, rows.Err()
}

// Delete implements rollout.Store.
func (s *Store) Delete(ctx context.Context, key rollout.Key) error {
	tx, err := s.db.BeginTx(ctx, nil)
	if err != nil {
		return fmt.Errorf("delete %s: %w", key, err)
	}
	for _, statement := range []string{
		`UPDATE @_entities SET revision = revision + 1, head = $3 WHERE namespace = $1 AND entity = $2 AND length(head) > 0`,
		`DELETE FROM @_targets WHERE namespace = $1 AND entity = $2`,
		`DELETE FROM @_events WHERE namespace = $1 AND entity = $2`,
	} {
		args := []any{key.Namespace, key.Entity}
		if strings.Contains(statement, "$3") {
			args = append(args, []byte{})
		}
		if _, err := tx.ExecContext(ctx, s.sql(statement), args...); err != nil {
			_ = tx.Rollback() // the error that led here says more
			return fmt.Errorf("delete %s: %w", key, err)
		}
	}
	return tx.Commit()
}
