package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"time"

	"tutti/bus"
)

// Trail is one of the two numbered lists that every service keeps.
type Trail string

// The trails.
const (
	Outbox     Trail = "outbox"
	AuditTrail Trail = "audit"
)

// Newest returns the position of the newest row of a trail, 0 where there is none.
func (db *DB) Newest(ctx context.Context, t Trail) (n int64, err error) {
	err = db.QueryRow(ctx, `SELECT n FROM `+db.service+`_counters WHERE name = ?`, string(t)).Scan(&n)
	if errors.Is(err, sql.ErrNoRows) {
		return 0, nil
	}
	return n, err
}

// Reached returns the first position of a trail whose time is at or later: rows are written in the order of
// their times, but for those of one moment, so it is found by halving. Where none is, it is the position
// after the newest.
func (db *DB) Reached(ctx context.Context, t Trail, at time.Time) (int64, error) {
	high, err := db.Newest(ctx, t)
	if err != nil {
		return 0, err
	}
	low := int64(1)
	for high++; low < high; {
		mid := low + (high-low)/2
		var when int64
		err := db.QueryRow(ctx, `SELECT at FROM `+db.service+`_`+string(t)+` WHERE pos >= ? ORDER BY pos LIMIT 1`, mid).Scan(&when)
		switch {
		case errors.Is(err, sql.ErrNoRows), err == nil && when >= Micros(at):
			high = mid
		case err != nil:
			return 0, err
		default:
			low = mid + 1
		}
	}
	return low, nil
}

// TimeAt returns the time of the first row of a trail from a position on; zero where there is none.
func (db *DB) TimeAt(ctx context.Context, t Trail, pos int64) (time.Time, error) {
	var at int64
	err := db.QueryRow(ctx, `SELECT at FROM `+db.service+`_`+string(t)+` WHERE pos >= ? ORDER BY pos LIMIT 1`, pos).Scan(&at)
	if errors.Is(err, sql.ErrNoRows) {
		return time.Time{}, nil
	}
	return Time(at), err
}

// EventsBetween returns the events of a namespace from a position up to before another, newest first.
func (db *DB) EventsBetween(ctx context.Context, namespace string, from, before int64) ([]bus.Record, error) {
	rows, err := db.Query(ctx, `SELECT pos, type, subject, namespace, trace, at, data FROM `+db.service+`_outbox
		WHERE pos >= ? AND pos < ? AND namespace = ? ORDER BY pos DESC`, from, before, namespace)
	if err != nil {
		return nil, err
	}
	return records(rows)
}

// records reads events, and closes rows.
func records(rows *sql.Rows) (out []bus.Record, err error) {
	defer rows.Close()
	for rows.Next() {
		var r bus.Record
		var at int64
		var data string
		if err := rows.Scan(&r.Pos, &r.Type, &r.Subject, &r.Namespace, &r.Trace, &at, &data); err != nil {
			return nil, err
		}
		r.At, r.Data = Time(at), json.RawMessage(data)
		out = append(out, r)
	}
	return out, rows.Err()
}

// ActsBetween returns the acts in a namespace, "" for all, from a position up to before another, newest first.
func (db *DB) ActsBetween(ctx context.Context, namespace string, from, before int64) ([]AuditRow, error) {
	rows, err := db.Query(ctx, `SELECT pos, at, subject, origin, namespace, action, object, trace, detail FROM `+db.service+`_audit
		WHERE pos >= ? AND pos < ? AND (? = '' OR namespace = ?) ORDER BY pos DESC`, from, before, namespace, namespace)
	if err != nil {
		return nil, err
	}
	return acts(rows)
}

// acts reads acts, and closes rows.
func acts(rows *sql.Rows) (out []AuditRow, err error) {
	defer rows.Close()
	for rows.Next() {
		var r AuditRow
		var at int64
		var detail string
		if err := rows.Scan(&r.Pos, &at, &r.Subject, &r.Origin, &r.Namespace, &r.Action, &r.Object, &r.Trace, &detail); err != nil {
			return nil, err
		}
		r.At, r.Detail = Time(at), json.RawMessage(detail)
		out = append(out, r)
	}
	return out, rows.Err()
}
