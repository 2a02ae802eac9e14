package view

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	"tutti/api"
	"tutti/errs"
	"tutti/internal/store"
)

func itoa(n int) string { return strconv.Itoa(n) }

// knowledge is what is stored of a system.
type knowledge struct {
	at, tried time.Time
	failure   string
	content   api.ViewContent
}

// due has a system read at the next look.
func due(tx *store.Tx, namespace, name string) error {
	return tx.Exec(`INSERT INTO view_systems (namespace, name, due, tried, at, failure, content) VALUES (?, ?, 0, 0, 0, '', '')
		ON CONFLICT (namespace, name) DO UPDATE SET due = 0`, namespace, name)
}

func postpone(tx *store.Tx, in api.ViewIn, next time.Time) error {
	return tx.Exec(`INSERT INTO view_systems (namespace, name, due, tried, at, failure, content) VALUES (?, ?, ?, 0, 0, '', '')
		ON CONFLICT (namespace, name) DO UPDATE SET due = excluded.due`, in.Namespace, in.Name, store.Micros(next))
}

// allDue returns the systems that are to be read.
func allDue(ctx context.Context, db *store.DB, now time.Time) (out []api.ViewIn, err error) {
	rows, err := db.Query(ctx, `SELECT namespace, name FROM view_systems WHERE due <= ? ORDER BY due LIMIT 50`, store.Micros(now))
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var in api.ViewIn
		if err := rows.Scan(&in.Namespace, &in.Name); err != nil {
			return nil, err
		}
		out = append(out, in)
	}
	return out, rows.Err()
}

// seen stores what was read, or why nothing was: then what was known before stays.
func seen(tx *store.Tx, in api.ViewIn, tried, next time.Time, c api.ViewContent, failed error) error {
	if failed != nil {
		e := errs.Public(failed)
		text := e.Error()
		if e.Hint != "" {
			text += ": " + e.Hint
		}
		return tx.Exec(`UPDATE view_systems SET due = ?, tried = ?, failure = ? WHERE namespace = ? AND name = ?`, store.Micros(next), store.Micros(tried), text, in.Namespace, in.Name)
	}
	b, err := json.Marshal(c)
	if err != nil {
		return err
	}
	return tx.Exec(`UPDATE view_systems SET due = ?, tried = ?, at = ?, failure = '', content = ? WHERE namespace = ? AND name = ?`,
		store.Micros(next), store.Micros(tried), store.Micros(tried), string(b), in.Namespace, in.Name)
}

// load returns what is known of a system; nothing where it was never read.
func load(ctx context.Context, db *store.DB, in api.ViewIn) (k knowledge, err error) {
	var at, tried int64
	var content string
	err = db.QueryRow(ctx, `SELECT tried, at, failure, content FROM view_systems WHERE namespace = ? AND name = ?`, in.Namespace, in.Name).Scan(&tried, &at, &k.failure, &content)
	if errors.Is(err, sql.ErrNoRows) {
		return k, nil
	}
	if err != nil {
		return k, fmt.Errorf("read view %s: %w", in.Name, err)
	}
	if tried != 0 {
		k.tried = store.Time(tried)
	}
	if content == "" {
		return k, nil
	}
	k.at = store.Time(at)
	return k, json.Unmarshal([]byte(content), &k.content)
}

func cells(ctx context.Context, db *store.DB, in api.ViewIn) (out []api.Cell, err error) {
	rows, err := db.Query(ctx, `SELECT datacenter, cluster, storage, permitted, decider, at FROM view_cells WHERE namespace = ? AND name = ?`, in.Namespace, in.Name)
	if err != nil {
		return nil, fmt.Errorf("read the matrix of %s: %w", in.Name, err)
	}
	defer rows.Close()
	for rows.Next() {
		var c api.Cell
		var permitted, at int64
		if err := rows.Scan(&c.Datacenter, &c.Cluster, &c.Storage, &permitted, &c.By, &at); err != nil {
			return nil, fmt.Errorf("read the matrix of %s: %w", in.Name, err)
		}
		c.Permitted, c.At = permitted != 0, store.Time(at)
		out = append(out, c)
	}
	return out, rows.Err()
}

func putCell(tx *store.Tx, in api.ViewIn, c api.Cell) error {
	permitted := 0
	if c.Permitted {
		permitted = 1
	}
	return tx.Exec(`INSERT INTO view_cells (namespace, name, datacenter, cluster, storage, permitted, decider, at) VALUES (?, ?, ?, ?, ?, ?, ?, ?)
		ON CONFLICT (namespace, name, datacenter, cluster, storage) DO UPDATE SET permitted = excluded.permitted, decider = excluded.decider, at = excluded.at`,
		in.Namespace, in.Name, c.Datacenter, c.Cluster, c.Storage, permitted, c.By, store.Micros(c.At))
}
