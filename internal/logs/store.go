package logs

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"tutti/api"
	"tutti/errs"
	"tutti/internal/store"
)

// run is what is known of the log of a run.
type run struct {
	id, namespace string
	last, packed  int64
	bytes         int64
	dropped       int64
	capped, ended bool
	due           int64
	changed       bool // in this transaction
}

const runColumns = `run, namespace, last, packed, bytes, dropped, capped, ended, due`

func scanRun(r interface{ Scan(...any) error }) (*run, error) {
	st := &run{}
	var capped, ended int64
	err := r.Scan(&st.id, &st.namespace, &st.last, &st.packed, &st.bytes, &st.dropped, &capped, &ended, &st.due)
	st.capped, st.ended = capped != 0, ended != 0
	return st, err
}

// lockRun returns a run, new if it has no log yet, that nobody else changes until the transaction ends.
func lockRun(tx *store.Tx, namespace, id string) (*run, error) {
	return scanRun(tx.QueryRow(`INSERT INTO logs_runs (run, namespace, last, packed, bytes, dropped, capped, ended, due) VALUES (?, ?, 0, 0, 0, 0, 0, 0, 0)
		ON CONFLICT (run) DO UPDATE SET last = logs_runs.last RETURNING `+runColumns, id, namespace))
}

func updateRun(tx *store.Tx, st *run) error {
	return tx.Exec(`UPDATE logs_runs SET last = ?, packed = ?, bytes = ?, dropped = ?, capped = ?, ended = ?, due = ? WHERE run = ?`,
		st.last, st.packed, st.bytes, st.dropped, flag(st.capped), flag(st.ended), st.due, st.id)
}

func flag(b bool) int64 {
	if b {
		return 1
	}
	return 0
}

func (s *Service) selectRun(ctx context.Context, namespace, id string) (*run, error) {
	st, err := scanRun(s.db.QueryRow(ctx, `SELECT `+runColumns+` FROM logs_runs WHERE run = ? AND namespace = ?`, id, namespace))
	return st, store.NoRow(err, "no log of run %q", id)
}

// due returns runs to look at.
func (s *Service) due(ctx context.Context, now time.Time, limit int) ([]*run, error) {
	rows, err := s.db.Query(ctx, `SELECT `+runColumns+` FROM logs_runs WHERE due > 0 AND due <= ? ORDER BY due LIMIT `+strconv.Itoa(limit), store.Micros(now)) // no parameter: see store.DB.Events
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var out []*run
	for rows.Next() {
		st, err := scanRun(rows)
		if err != nil {
			return nil, err
		}
		out = append(out, st)
	}
	return out, rows.Err()
}

// insertLines stores lines, many in a statement.
func insertLines(tx *store.Tx, run string, lines []api.LogLine) error {
	const most = 500
	for len(lines) > 0 {
		n := min(len(lines), most)
		args := make([]any, 0, 8*n)
		for _, l := range lines[:n] {
			args = append(args, run, l.Pos, l.Task, l.Attempt, l.Seq, store.Micros(l.At), l.Stream, l.Text)
		}
		err := tx.Exec(`INSERT INTO logs_lines (run, pos, task, attempt, seq, at, stream, line) VALUES `+
			strings.TrimSuffix(strings.Repeat("(?, ?, ?, ?, ?, ?, ?, ?),", n), ","), args...)
		if err != nil {
			return err
		}
		lines = lines[n:]
	}
	return nil
}

// selectSeqs returns which numbers from low to high of an attempt are stored as rows.
func selectSeqs(tx *store.Tx, in api.StoreLogIn, low, high int64) (map[int64]bool, error) {
	rows, err := tx.Query(`SELECT seq FROM logs_lines WHERE run = ? AND task = ? AND attempt = ? AND seq BETWEEN ? AND ?`, string(in.Run), in.Task, in.Attempt, low, high)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	have := map[int64]bool{}
	for rows.Next() {
		var n int64
		if err := rows.Scan(&n); err != nil {
			return nil, err
		}
		have[n] = true
	}
	return have, rows.Err()
}

// hasLines reports whether any line of an attempt is stored as a row.
func hasLines(tx *store.Tx, in api.StoreLogIn) (bool, error) {
	var one int
	err := tx.QueryRow(`SELECT 1 FROM logs_lines WHERE run = ? AND task = ? AND attempt = ? LIMIT 1`, string(in.Run), in.Task, in.Attempt).Scan(&one)
	if errors.Is(err, sql.ErrNoRows) {
		return false, nil
	}
	return err == nil, err
}

// selectSpans returns which numbers of an attempt are packed.
func selectSpans(tx *store.Tx, run, task string, attempt int) (spans, error) {
	var text string
	err := tx.QueryRow(`SELECT spans FROM logs_seen WHERE run = ? AND task = ? AND attempt = ?`, run, task, attempt).Scan(&text)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var s spans
	return s, json.Unmarshal([]byte(text), &s)
}

// replaceLines stores a chunk in the place of its lines.
func replaceLines(tx *store.Tx, st *run, c chunk, lines []api.LogLine) error {
	n, err := tx.Changed(`DELETE FROM logs_lines WHERE run = ? AND pos BETWEEN ? AND ?`, st.id, c.first, c.last)
	if err != nil {
		return err
	}
	if n != int64(len(lines)) {
		return errs.New(errs.Internal, "pack log of %s: %d lines are stored, not %d", st.id, n, len(lines))
	}
	err = tx.Exec(`INSERT INTO logs_chunks (run, first, last, digest, data) VALUES (?, ?, ?, ?, ?)`, st.id, c.first, c.last, string(c.digest), c.data)
	if err != nil {
		return err
	}
	type attempt struct {
		task   string
		number int
	}
	seqs := map[attempt][]int64{}
	for _, l := range lines {
		if l.Seq > 0 {
			a := attempt{l.Task, l.Attempt}
			seqs[a] = append(seqs[a], l.Seq)
		}
	}
	for a, ns := range seqs {
		had, err := selectSpans(tx, st.id, a.task, a.number)
		if err != nil {
			return err
		}
		text, err := json.Marshal(had.with(ns...))
		if err != nil {
			return err
		}
		err = tx.Exec(`INSERT INTO logs_seen (run, task, attempt, spans) VALUES (?, ?, ?, ?) ON CONFLICT (run, task, attempt) DO UPDATE SET spans = excluded.spans`,
			st.id, a.task, a.number, string(text))
		if err != nil {
			return err
		}
	}
	st.packed = c.last
	return updateRun(tx, st)
}

// chunks returns the chunks that hold lines after a position, in order.
func (s *Service) chunks(ctx context.Context, run string, after int64) ([]chunk, error) {
	rows, err := s.db.Query(ctx, `SELECT first, last, digest, data FROM logs_chunks WHERE run = ? AND last > ? ORDER BY first`, run, after)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var out []chunk
	for rows.Next() {
		var c chunk
		if err := rows.Scan(&c.first, &c.last, &c.digest, &c.data); err != nil {
			return nil, err
		}
		out = append(out, c)
	}
	return out, rows.Err()
}

// unbounded is past every position.
const unbounded = 1 << 62

// query asks for rows of a run between two positions, both excluded. It narrows by task and attempt;
// what else is wanted is for the caller to see to.
type query struct {
	run string
	wanted
	after, before int64
	limit         int
	backward      bool
}

// selectLines calls f with the lines until it returns false.
func (s *Service) selectLines(ctx context.Context, q query, f func(api.LogLine) bool) error {
	where, args := `run = ? AND pos > ? AND pos < ?`, []any{q.run, q.after, q.before}
	if q.task != "" {
		n := utf8.RuneCountInString(q.task) + 1
		where += ` AND (task = '' OR task = ? OR substr(task, 1, ` + fmt.Sprint(n) + `) IN (?, ?))`
		args = append(args, q.task, q.task+".", q.task+"[")
	}
	if q.attempt != 0 {
		where += ` AND (task = '' OR attempt = ?)`
		args = append(args, q.attempt)
	}
	order := `pos`
	if q.backward {
		order = `pos DESC`
	}
	rows, err := s.db.Query(ctx, `SELECT pos, task, attempt, seq, at, stream, line FROM logs_lines WHERE `+where+` ORDER BY `+order+` LIMIT ?`, append(args, q.limit)...)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var l api.LogLine
		var at int64
		if err := rows.Scan(&l.Pos, &l.Task, &l.Attempt, &l.Seq, &at, &l.Stream, &l.Text); err != nil {
			return err
		}
		l.At = store.Time(at)
		if !f(l) {
			return nil
		}
	}
	return rows.Err()
}
