package rollouts

import (
	"cmp"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"slices"
	"strings"

	"tutti/api"
	"tutti/bus"
	"tutti/internal/store"
	"tutti/rollout"
)

// sqlStore is a rollout.Store in the service's database. It writes the audit row of the act in ctx and
// publishes transitions in the transaction that makes them true.
type sqlStore struct {
	db  *store.DB
	bus *bus.Bus // to announce changes; nil announces none
}

// actKey is where a context carries the act that a write is.
type actKey struct{}

// act is what somebody does, and the idempotency key of the call with the hash of what it asked.
type act struct {
	store.Act
	key, hash string
}

// acting returns ctx with the act that the next write is.
func acting(ctx context.Context, a act) context.Context {
	return context.WithValue(ctx, actKey{}, a)
}

// Load implements rollout.Store.
func (s sqlStore) Load(ctx context.Context, key rollout.Key, since uint64) (rollout.Stored, error) {
	var revision uint64
	err := s.db.QueryRow(ctx, `SELECT revision FROM rollouts_entities WHERE namespace = ? AND entity = ?`, key.Namespace, key.Entity).Scan(&revision)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return rollout.Stored{}, nil
	case err != nil:
		return rollout.Stored{}, err
	case revision == since:
		return rollout.Stored{Revision: since}, nil
	}
	var stored rollout.Stored
	// In a transaction that locks the row, so that head and targets are of one moment.
	err = s.db.Tx(ctx, func(tx *store.Tx) error {
		stored = rollout.Stored{}
		var head string
		if err := tx.QueryRow(`UPDATE rollouts_entities SET events = events WHERE namespace = ? AND entity = ? RETURNING revision, head`,
			key.Namespace, key.Entity).Scan(&stored.Revision, &head); err != nil {
			return err
		}
		if head != "" {
			stored.Head = []byte(head)
		}
		rows, err := tx.Query(`SELECT division, name, data FROM rollouts_targets WHERE namespace = ? AND entity = ?`, key.Namespace, key.Entity)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var group, name, data []byte
			if err := rows.Scan(&group, &name, &data); err != nil {
				return err
			}
			stored.Targets = append(stored.Targets, rollout.Record{Target: rollout.Target{Group: string(group), Name: string(name)}, Data: data})
		}
		return rows.Err()
	})
	return stored, err
}

// Save implements rollout.Store.
func (s sqlStore) Save(ctx context.Context, writes ...rollout.Write) error {
	// In one order, so that two that write the same entities never wait for each other.
	writes = slices.Clone(writes)
	slices.SortFunc(writes, func(a, b rollout.Write) int {
		return cmp.Or(cmp.Compare(a.Key.Namespace, b.Key.Namespace), cmp.Compare(a.Key.Entity, b.Key.Entity))
	})
	err := s.db.Tx(ctx, func(tx *store.Tx) error {
		for _, w := range writes {
			if err := write(tx, w); err != nil {
				return err
			}
		}
		return record(ctx, tx)
	})
	if err == nil && s.bus != nil {
		for _, w := range writes {
			s.bus.Wake(ctx, api.RolloutChanged(w.Key.Namespace, w.Key.Entity))
		}
	}
	return err
}

// record writes the audit row, and takes the idempotency key, of the act in ctx.
func record(ctx context.Context, tx *store.Tx) error {
	a, ok := ctx.Value(actKey{}).(act)
	if !ok {
		return nil
	}
	if err := takeKey(tx, a.Namespace, a.key, a.hash); err != nil {
		return err
	}
	return tx.Audit(a.Act)
}

func write(tx *store.Tx, w rollout.Write) error {
	n := len(w.Change.Events)
	var events uint64
	var err error
	if w.Revision == 0 {
		err = tx.QueryRow(`INSERT INTO rollouts_entities (namespace, entity, revision, events, head) VALUES (?, ?, 1, ?, ?)
			ON CONFLICT DO NOTHING RETURNING events`, w.Key.Namespace, w.Key.Entity, n, string(w.Change.Head)).Scan(&events)
	} else {
		err = tx.QueryRow(`UPDATE rollouts_entities SET revision = revision + 1, events = events + ?, head = ?
			WHERE namespace = ? AND entity = ? AND revision = ? RETURNING events`,
			n, string(w.Change.Head), w.Key.Namespace, w.Key.Entity, w.Revision).Scan(&events)
	}
	if errors.Is(err, sql.ErrNoRows) {
		return rollout.ErrConflict
	} else if err != nil {
		return err
	}
	if err := writeTargets(tx, w); err != nil {
		return err
	}
	for i, e := range w.Change.Events {
		if err := writeEvent(tx, w.Key, rollout.Entry{Seq: events - uint64(n) + uint64(i) + 1, Event: e}); err != nil {
			return err
		}
	}
	return nil
}

func writeEvent(tx *store.Tx, key rollout.Key, e rollout.Entry) error {
	text, err := json.Marshal(e.Event)
	if err != nil {
		return err
	}
	if err := tx.Exec(`INSERT INTO rollouts_events (namespace, entity, seq, event) VALUES (?, ?, ?, ?)`, key.Namespace, key.Entity, e.Seq, string(text)); err != nil {
		return err
	}
	return api.RolloutMoved.Publish(tx, bus.About{Subject: key.Entity, Namespace: key.Namespace},
		api.RolloutTransition{Namespace: key.Namespace, Entity: key.Entity, RolloutEntry: entryOf(e)})
}

// chunk is how many targets one statement writes.
const chunk = 500

// writeTargets writes the targets, of each the last record only: a statement cannot write a row twice.
func writeTargets(tx *store.Tx, w rollout.Write) error {
	last := make(map[rollout.Target][]byte, len(w.Change.Targets))
	for _, t := range w.Change.Targets {
		last[t.Target] = t.Data
	}
	var args []any
	flush := func() error {
		if len(args) == 0 {
			return nil
		}
		values := strings.TrimSuffix(strings.Repeat("(?, ?, ?, ?, ?), ", len(args)/5), ", ")
		err := tx.Exec(`INSERT INTO rollouts_targets (namespace, entity, division, name, data) VALUES `+values+`
			ON CONFLICT (namespace, entity, division, name) DO UPDATE SET data = excluded.data`, args...)
		args = args[:0]
		return err
	}
	for _, t := range w.Change.Targets {
		data, ok := last[t.Target]
		if !ok {
			continue // written already
		}
		delete(last, t.Target)
		if data == nil {
			if err := tx.Exec(`DELETE FROM rollouts_targets WHERE namespace = ? AND entity = ? AND division = ? AND name = ?`,
				w.Key.Namespace, w.Key.Entity, []byte(t.Group), []byte(t.Name)); err != nil {
				return err
			}
			continue
		}
		if args = append(args, w.Key.Namespace, w.Key.Entity, []byte(t.Group), []byte(t.Name), data); len(args) == 5*chunk {
			if err := flush(); err != nil {
				return err
			}
		}
	}
	return flush()
}

// Keys implements rollout.Store.
func (s sqlStore) Keys(ctx context.Context, namespace string) ([]rollout.Key, error) {
	rows, err := s.db.Query(ctx, `SELECT namespace, entity FROM rollouts_entities WHERE (? = '' OR namespace = ?) AND head <> ''`, namespace, namespace)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var keys []rollout.Key
	for rows.Next() {
		var k rollout.Key
		if err := rows.Scan(&k.Namespace, &k.Entity); err != nil {
			return nil, err
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
func (s sqlStore) History(ctx context.Context, key rollout.Key, before uint64, limit int) ([]rollout.Entry, error) {
	if before == 0 {
		before = 1<<63 - 1
	}
	rows, err := s.db.Query(ctx, `SELECT seq, event FROM rollouts_events WHERE namespace = ? AND entity = ? AND seq < ? ORDER BY seq DESC LIMIT ?`,
		key.Namespace, key.Entity, before, limit)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var entries []rollout.Entry
	for rows.Next() {
		var e rollout.Entry
		var text string
		if err := rows.Scan(&e.Seq, &text); err != nil {
			return nil, err
		}
		if err := json.Unmarshal([]byte(text), &e.Event); err != nil {
			return nil, err
		}
		entries = append(entries, e)
	}
	return entries, rows.Err()
}

// Delete implements rollout.Store.
func (s sqlStore) Delete(ctx context.Context, key rollout.Key) error {
	return s.db.Tx(ctx, func(tx *store.Tx) error {
		for _, statement := range []string{
			`UPDATE rollouts_entities SET revision = revision + 1, head = '' WHERE namespace = ? AND entity = ? AND head <> ''`,
			`DELETE FROM rollouts_targets WHERE namespace = ? AND entity = ?`,
			`DELETE FROM rollouts_events WHERE namespace = ? AND entity = ?`,
		} {
			if err := tx.Exec(statement, key.Namespace, key.Entity); err != nil {
				return err
			}
		}
		return record(ctx, tx)
	})
}
