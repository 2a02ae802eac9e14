package store

import (
	"context"
	"encoding/json"
	"fmt"

	"tutti/errs"
)

// Verify reads all that every service keeps in the same way and returns what is wrong with it, in words:
// pages that SQLite finds damaged, numbers that are missing from the outbox or the audit trail, events
// and intents that are not JSON, events that a follower could not apply. It changes nothing. The error
// is of the reading itself.
func (db *DB) Verify(ctx context.Context) (wrong []string, err error) {
	if !db.postgres {
		if wrong, err = db.integrity(ctx); err != nil || len(wrong) > 0 {
			return wrong, err // what is read from damaged pages says nothing
		}
	}
	for counter, table := range map[string]string{"outbox": "_outbox", "audit": "_audit"} {
		w, err := db.numbered(ctx, counter, db.service+table)
		if err != nil {
			return wrong, err
		}
		wrong = append(wrong, w...)
	}
	w, err := db.readable(ctx)
	return append(wrong, w...), err
}

// integrity is what SQLite says of its own pages and indexes.
func (db *DB) integrity(ctx context.Context) (wrong []string, err error) {
	rows, err := db.Query(ctx, `PRAGMA integrity_check(20)`)
	if err != nil {
		return []string{"the database cannot be read: " + err.Error()}, nil
	}
	defer rows.Close()
	for rows.Next() {
		var text string
		if err := rows.Scan(&text); err != nil {
			return nil, err
		}
		if text != "ok" {
			wrong = append(wrong, "the database is damaged: "+text)
		}
	}
	if err := rows.Err(); err != nil {
		wrong = append(wrong, "the database cannot be read: "+err.Error())
	}
	return wrong, nil
}

// numbered says whether a table has every number up to the counter's.
func (db *DB) numbered(ctx context.Context, counter, table string) (wrong []string, err error) {
	var n, last, most int64
	q := `SELECT count(*), coalesce(max(pos), 0), (SELECT coalesce(max(n), 0) FROM ` + db.service + `_counters WHERE name = ?) FROM ` + table
	if err := db.QueryRow(ctx, q, counter).Scan(&n, &last, &most); err != nil {
		return nil, err
	}
	if n != last || last != most {
		wrong = append(wrong, fmt.Sprintf("%s has %d rows, the last of them number %d, and %d were given numbers", table, n, last, most))
	}
	return wrong, nil
}

// readable reads what others are to be told.
func (db *DB) readable(ctx context.Context) (wrong []string, err error) {
	const page = 1000
	for after := int64(0); ; {
		rs, err := db.Events(ctx, after, page)
		if err != nil {
			return wrong, err
		}
		for _, r := range rs {
			if !json.Valid(r.Data) {
				wrong = append(wrong, fmt.Sprintf("event %d (%s of %s) is not JSON", r.Pos, r.Type, r.Subject))
			}
			after = r.Pos
		}
		if len(rs) < page {
			break
		}
	}
	rows, err := db.Query(ctx, `SELECT intent, method, input, '' FROM `+db.service+`_intents UNION ALL SELECT source, '', '', error FROM `+db.service+`_quarantine`)
	if err != nil {
		return wrong, err
	}
	defer rows.Close()
	for rows.Next() {
		var key, method, input, failure string
		if err := rows.Scan(&key, &method, &input, &failure); err != nil {
			return wrong, err
		}
		switch {
		case method == "":
			wrong = append(wrong, fmt.Sprintf("an event of %s could not be applied and is put aside: %s", key, failure))
		case !json.Valid([]byte(input)):
			wrong = append(wrong, fmt.Sprintf("the intent %s to call %s is not JSON", key, method))
		}
	}
	return wrong, rows.Err()
}

// Unused returns errs.Conflict where somebody holds a lease of the service that has not run out: a
// server that uses the database.
func (db *DB) Unused(ctx context.Context) error {
	return db.Tx(ctx, func(tx *Tx) error {
		now, err := tx.now()
		if err != nil {
			return err
		}
		var n int
		if err := tx.QueryRow(`SELECT count(*) FROM `+db.service+`_leases WHERE until > ?`, now).Scan(&n); err != nil || n == 0 {
			return err
		}
		return errs.New(errs.Conflict, "a server uses the database of service %s", db.service).WithHint("stop it; one that was killed counts as gone after a few seconds")
	})
}
