// Package storetest is the suite that the store passes on every database it opens.
package storetest

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"tutti/bus"
	"tutti/errs"
	"tutti/internal/store"
)

// Run runs the suite. config returns where a fresh, empty database is; it is opened several times.
func Run(t *testing.T, config func(*testing.T) store.Config) {
	for name, f := range map[string]func(*testing.T, store.Config){
		"transactions":        transactions,
		"events":              events,
		"events under load":   eventsUnderLoad,
		"audit":               audit,
		"intents":             intents,
		"cursors":             cursors,
		"quarantine":          quarantine,
		"leases":              leases,
		"leases under load":   leasesUnderLoad,
		"no row":              noRow,
		"migrations":          migrations,
		"services are apart":  apart,
		"reopening keeps all": reopening,
		"pages":               pages,
		"many rows":           manyRows,
		"together":            together,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f(t, config(t))
		})
	}
}

// files are the migrations of the service test.
var files = fstest.MapFS{
	"migrations/0001_rows.sql": {Data: []byte("-- +goose Up\nCREATE TABLE test_rows (n BIGINT PRIMARY KEY, v TEXT NOT NULL);\n")},
	"migrations/0002_dialect.sql": {Data: []byte(`-- +goose Up
INSERT INTO test_rows (n, v) VALUES (0, 'sqlite');
`)},
	"migrations/0002_dialect.postgres.sql": {Data: []byte(`-- +goose Up
INSERT INTO test_rows (n, v) VALUES (0, 'postgres');
`)},
}

func open(t *testing.T, c store.Config) *store.DB {
	t.Helper()
	return openAs(t, c, "test")
}

func openAs(t *testing.T, c store.Config, service string) *store.DB {
	t.Helper()
	var migrations fs.FS
	if service == "test" {
		migrations = files
	}
	db, err := store.Open(t.Context(), c, service, migrations)
	if err != nil {
		t.Fatalf("Open: %v", err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return db
}

func must(t *testing.T, what string, err error) {
	t.Helper()
	if err != nil {
		t.Fatalf("%s: %v", what, err)
	}
}

func insert(tx *store.Tx, n int, v string) error {
	return tx.Exec(`INSERT INTO test_rows (n, v) VALUES (?, ?)`, n, v)
}

// rows returns the values of the rows from 1 on.
func rows(t *testing.T, db *store.DB) (out []string) {
	t.Helper()
	r, err := db.Query(t.Context(), `SELECT v FROM test_rows WHERE n > ? ORDER BY n`, 0)
	must(t, "Query", err)
	defer r.Close()
	for r.Next() {
		var v string
		must(t, "Scan", r.Scan(&v))
		out = append(out, v)
	}
	must(t, "Query", r.Err())
	return out
}

func transactions(t *testing.T, c store.Config) {
	db := open(t, c)
	const hostile = "it's \"quoted\" $1 ? \u00e4 \u2028 \n; DROP TABLE test_rows; --"
	done := 0
	must(t, "Tx", db.Tx(t.Context(), func(tx *store.Tx) error {
		tx.AfterCommit(func() { done++ })
		return insert(tx, 1, hostile)
	}))
	if got := rows(t, db); len(got) != 1 || got[0] != hostile || done != 1 {
		t.Fatalf("rows = %q, AfterCommit ran %d times; want the text as it was, and once", got, done)
	}
	failed := errors.New("on purpose")
	err := db.Tx(t.Context(), func(tx *store.Tx) error {
		tx.AfterCommit(func() { done++ })
		if err := insert(tx, 2, "x"); err != nil {
			return err
		}
		var n int
		if err := tx.QueryRow(`SELECT count(*) FROM test_rows WHERE n = ?`, 2).Scan(&n); err != nil || n != 1 {
			return fmt.Errorf("a transaction sees %d of its own rows: %w", n, err)
		}
		return fmt.Errorf("wrapped: %w", failed)
	})
	if !errors.Is(err, failed) || errs.KindOf(err) != errs.Internal || done != 1 {
		t.Errorf("Tx = %v, AfterCommit ran %d times; want the error of f as it is, and no call", err, done)
	}
	func() {
		defer func() { _ = recover() }()
		_ = db.Tx(t.Context(), func(tx *store.Tx) error {
			_ = insert(tx, 3, "x")
			panic("on purpose")
		})
	}()
	if err := db.Tx(t.Context(), func(tx *store.Tx) error { return insert(tx, 1, "again") }); err == nil {
		t.Error("a second row of the same key was taken")
	}
	if got := rows(t, db); len(got) != 1 {
		t.Errorf("rows = %q; want nothing of what was rolled back", got)
	}
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	if err := db.Tx(gone, func(tx *store.Tx) error { return insert(tx, 4, "x") }); !errs.Is(err, errs.Unavailable) {
		t.Errorf("Tx of a caller who is gone = %v; want unavailable", err)
	}
	if n, err := changed(t, db, `UPDATE test_rows SET v = ? WHERE n >= ?`, "y", 0); err != nil || n != 2 {
		t.Errorf("Changed = %d, %v; want 2", n, err)
	}
}

func changed(t *testing.T, db *store.DB, q string, args ...any) (n int64, err error) {
	err = db.Tx(t.Context(), func(tx *store.Tx) error {
		n, err = tx.Changed(q, args...)
		return err
	})
	return n, err
}

func emit(tx *store.Tx, subject string) error {
	return tx.Emit(bus.Record{Type: "tutti.test.thing.done", Subject: subject, Namespace: "default", Trace: "t", Data: []byte(`{"a": 1}`)})
}

func events(t *testing.T, c store.Config) {
	db := open(t, c)
	woken := 0
	db.OnCommit(func() { woken++ })
	must(t, "Tx", db.Tx(t.Context(), func(tx *store.Tx) error { return errors.Join(emit(tx, "a"), emit(tx, "b")) }))
	_ = db.Tx(t.Context(), func(tx *store.Tx) error { return errors.Join(emit(tx, "lost"), errors.New("on purpose")) })
	must(t, "Tx", db.Tx(t.Context(), func(tx *store.Tx) error { return insert(tx, 1, "no event") }))
	must(t, "Tx", db.Tx(t.Context(), func(tx *store.Tx) error { return emit(tx, "c") }))
	if woken != 2 {
		t.Errorf("OnCommit ran %d times; want 2", woken)
	}
	got, err := db.Events(t.Context(), 0, 10)
	must(t, "Events", err)
	var names []string
	for i, r := range got {
		names = append(names, r.Subject)
		if r.Pos != int64(i)+1 || string(r.Data) != `{"a": 1}` || r.Namespace != "default" || r.Trace != "t" || time.Since(r.At) > time.Minute {
			t.Errorf("event %d = %+v", i+1, r)
		}
	}
	if strings.Join(names, "") != "abc" {
		t.Errorf("events are %v; want a, b, c, numbered without a gap", names)
	}
	if got, err := db.Events(t.Context(), 1, 1); err != nil || len(got) != 1 || got[0].Subject != "b" {
		t.Errorf("Events(after 1, limit 1) = %v, %v; want b", got, err)
	}
	err = db.Tx(t.Context(), func(tx *store.Tx) error {
		return tx.Emit(bus.Record{Type: "x", Data: []byte(strings.Repeat("1", store.MaxEvent+1))})
	})
	if !errs.Is(err, errs.TooLarge) {
		t.Errorf("an event over MaxEvent: %v; want too large", err)
	}
}

// eventsUnderLoad has a reader follow while writers commit and roll back: it must never see a number
// before one that appears later, which is what `id > last` gets wrong on a naive sequence.
func eventsUnderLoad(t *testing.T, c store.Config) {
	db := open(t, c)
	const writers, each = 8, 40
	var wg sync.WaitGroup
	stop := make(chan struct{})
	for w := range writers {
		wg.Go(func() {
			for i := range each {
				err := db.Tx(t.Context(), func(tx *store.Tx) error {
					if err := emit(tx, fmt.Sprint(w, " ", i)); err != nil {
						return err
					}
					if i%5 == 4 {
						return sql.ErrTxDone // anything
					}
					return nil
				})
				if i%5 != 4 && err != nil {
					t.Errorf("Tx: %v", err)
				}
			}
		})
	}
	go func() { wg.Wait(); close(stop) }()
	last, next := int64(0), map[string]int{}
	for ended := false; ; {
		rs, err := db.Events(t.Context(), last, 7)
		must(t, "Events", err)
		for _, r := range rs {
			if last++; r.Pos != last {
				t.Fatalf("event %d came where %d was due", r.Pos, last)
			}
			var w string
			var i int
			_, _ = fmt.Sscanf(r.Subject, "%s %d", &w, &i)
			if i < next[w] {
				t.Fatalf("writer %s: event %d came after %d", w, i, next[w])
			}
			next[w] = i
		}
		if len(rs) == 0 && ended {
			break
		}
		select {
		case <-stop:
			ended = true
		default:
		}
	}
	if want := int64(writers * each * 4 / 5); last != want {
		t.Errorf("%d events; want %d", last, want)
	}
}

func audit(t *testing.T, c store.Config) {
	db := open(t, c)
	ctx := bus.WithTrace(bus.WithCaller(t.Context(), bus.Caller{Subject: "user:anna", From: "192.0.2.1"}), "trace")
	for _, ns := range []string{"a", "b", "a"} {
		must(t, "Audit", db.Tx(ctx, func(tx *store.Tx) error {
			return tx.Audit(store.Act{Namespace: ns, Action: "run.cancel", Object: "run_1", Detail: map[string]any{"why": "it's time"}})
		}))
	}
	_ = db.Tx(ctx, func(tx *store.Tx) error {
		return errors.Join(tx.Audit(store.Act{Namespace: "a", Action: "never"}), errors.New("on purpose"))
	})
	got, err := db.Acts(t.Context(), "a", 0, 10)
	must(t, "Acts", err)
	if len(got) != 2 || got[0].Pos != 3 || got[1].Pos != 1 {
		t.Fatalf("Acts = %+v; want those of a, newest first", got)
	}
	if r := got[0]; r.Subject != "user:anna" || r.Origin != "192.0.2.1" || r.Trace != "trace" || r.Action != "run.cancel" || r.Object != "run_1" || string(r.Detail) != `{"why":"it's time"}` || r.At.IsZero() {
		t.Errorf("act = %+v", r)
	}
	if got, err = db.Acts(t.Context(), "", 3, 1); err != nil || len(got) != 1 || got[0].Namespace != "b" {
		t.Errorf("Acts(all, before 3, limit 1) = %+v, %v; want that of b", got, err)
	}
}

func intents(t *testing.T, c store.Config) {
	db := open(t, c)
	woken := 0
	db.OnCommit(func() { woken++ })
	ctx := bus.WithTrace(t.Context(), "trace")
	for _, key := range []string{"k1", "k2", "k1", "k3"} {
		must(t, "Intend", db.Tx(ctx, func(tx *store.Tx) error { return tx.Intend(key, "run.start", map[string]string{"for": key}) }))
	}
	keys := func(due time.Time) (out string) {
		t.Helper()
		is, err := db.Intents(t.Context(), due, 10)
		must(t, "Intents", err)
		for _, i := range is {
			out += i.Key
		}
		return out
	}
	now := time.Now().Add(time.Second)
	if got := keys(now); got != "k1k2k3" || woken != 4 {
		t.Errorf("due are %s after %d wake-ups; want k1k2k3, each once", got, woken)
	}
	is, _ := db.Intents(t.Context(), now, 1)
	if len(is) != 1 || is[0].Method != "run.start" || string(is[0].In) != `{"for":"k1"}` || is[0].Trace != "trace" || is[0].Tries != 0 {
		t.Errorf("intent = %+v", is)
	}
	must(t, "Postpone", db.Tx(ctx, func(tx *store.Tx) error { return tx.Postpone("k1", now.Add(time.Hour), errors.New("not now")) }))
	if got := keys(now); got != "k2k3" {
		t.Errorf("after k1 was postponed %s are due; want k2k3", got)
	}
	if got := keys(now.Add(2 * time.Hour)); got != "k2k3k1" {
		t.Errorf("later %s are due; want k2k3k1", got)
	}
	for _, want := range []bool{true, false} {
		must(t, "Fulfilled", db.Tx(ctx, func(tx *store.Tx) error {
			if mine, err := tx.Fulfilled("k2"); err != nil || mine != want {
				return fmt.Errorf("the intent was fulfilled: %v, %w; want %v", mine, err, want)
			}
			return nil
		}))
	}
	if got := keys(now); got != "k3" {
		t.Errorf("after k2 was fulfilled %s are due; want k3", got)
	}
}

func cursors(t *testing.T, c store.Config) {
	db := open(t, c)
	for _, step := range []struct {
		source string
		to     int64
		moved  bool
		at     int64
	}{{"a", 3, true, 3}, {"a", 3, false, 3}, {"a", 2, false, 3}, {"b", 1, true, 1}, {"a", 7, true, 7}} {
		must(t, "Advance", db.Tx(t.Context(), func(tx *store.Tx) error {
			moved, err := tx.Advance(step.source, step.to)
			if moved != step.moved {
				t.Errorf("Advance(%s, %d) = %v; want %v", step.source, step.to, moved, step.moved)
			}
			return err
		}))
		if at, err := db.Cursor(t.Context(), step.source); err != nil || at != step.at {
			t.Errorf("Cursor(%s) = %d, %v; want %d", step.source, at, err, step.at)
		}
	}
	if at, err := db.Cursor(t.Context(), "unknown"); err != nil || at != 0 {
		t.Errorf("Cursor of a source never followed = %d, %v; want 0", at, err)
	}
	// Replicas digest the same event at once: one of them does.
	var wg sync.WaitGroup
	var mu sync.Mutex
	won := 0
	for range 8 {
		wg.Go(func() {
			err := db.Tx(t.Context(), func(tx *store.Tx) error {
				moved, err := tx.Advance("race", 1)
				if err == nil && moved {
					tx.AfterCommit(func() { mu.Lock(); won++; mu.Unlock() })
				}
				return err
			})
			if err != nil {
				t.Errorf("Advance: %v", err)
			}
		})
	}
	wg.Wait()
	if won != 1 {
		t.Errorf("%d of 8 digested the event; want 1", won)
	}
}

func quarantine(t *testing.T, c store.Config) {
	db := open(t, c)
	for range 2 {
		must(t, "Quarantine", db.Tx(t.Context(), func(tx *store.Tx) error {
			return tx.Quarantine("workflow", bus.Record{Pos: 5, Type: "x", Data: []byte(`"poison"`)}, errors.New("it's bad"))
		}))
	}
	var n int
	var record, cause string
	must(t, "quarantine", db.QueryRow(t.Context(), `SELECT count(*), max(record), max(error) FROM test_quarantine WHERE source = ? AND pos = ?`, "workflow", 5).Scan(&n, &record, &cause))
	if n != 1 || !strings.Contains(record, "poison") || cause != "it's bad" {
		t.Errorf("quarantine holds %d: %s because of %q", n, record, cause)
	}
}

func fence(t *testing.T, db *store.DB, l store.Lease) (stale bool) {
	t.Helper()
	must(t, "Fence", db.Tx(t.Context(), func(tx *store.Tx) (err error) {
		stale, err = tx.Fence(l)
		return err
	}))
	return stale
}

func leases(t *testing.T, c store.Config) {
	db := open(t, c)
	claim := func(holder string, ttl time.Duration) (store.Lease, bool) {
		t.Helper()
		l, ok, err := db.Claim(t.Context(), "shard", holder, ttl)
		must(t, "Claim", err)
		return l, ok
	}
	a, ok := claim("a", time.Hour)
	if !ok || a.Epoch != 1 || fence(t, db, a) {
		t.Fatalf("the first claim = %+v, %v; want epoch 1, not stale", a, ok)
	}
	if _, ok := claim("b", time.Hour); ok {
		t.Error("b took what a holds")
	}
	if again, ok := claim("a", -time.Second); !ok || again.Epoch != 1 {
		t.Errorf("a renewing = %+v, %v; want the same epoch", again, ok)
	}
	if fence(t, db, a) {
		t.Error("a lease that expired is stale though nobody took it")
	}
	b, ok := claim("b", time.Hour)
	if !ok || b.Epoch != 2 || !fence(t, db, a) || fence(t, db, b) {
		t.Errorf("b taking over = %+v, %v; want epoch 2, and a stale", b, ok)
	}
	if _, ok := claim("a", time.Hour); ok {
		t.Error("a renewed what b holds")
	}
	must(t, "Release", db.Release(t.Context(), a))
	if _, ok := claim("c", time.Hour); ok {
		t.Error("a released what b holds")
	}
	must(t, "Release", db.Release(t.Context(), b))
	if l, ok := claim("c", time.Hour); !ok || l.Epoch != 3 {
		t.Errorf("c after the release = %+v, %v; want epoch 3", l, ok)
	}
	must(t, "Expire", db.Expire(t.Context()))
	if l, ok := claim("d", time.Hour); !ok || l.Epoch != 4 {
		t.Errorf("d after all leases expired = %+v, %v; want epoch 4", l, ok)
	}
	if l, ok, err := db.Claim(t.Context(), "other", "", time.Hour); err != nil || !ok || l.Holder == "" || l.Epoch != 1 {
		t.Errorf("another lease = %+v, %v, %v", l, ok, err)
	}
}

func leasesUnderLoad(t *testing.T, c store.Config) {
	db := open(t, c)
	var wg sync.WaitGroup
	var mu sync.Mutex
	holders := map[int64]string{}
	for w := range 8 {
		wg.Go(func() {
			for range 10 {
				holder := fmt.Sprint("w", w)
				l, ok, err := db.Claim(t.Context(), "shard", holder, -time.Second)
				if err != nil {
					t.Errorf("Claim: %v", err)
				}
				if !ok {
					continue
				}
				mu.Lock()
				if had, taken := holders[l.Epoch]; taken && had != holder {
					t.Errorf("epoch %d has two holders, %s and %s", l.Epoch, had, holder)
				}
				holders[l.Epoch] = holder
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	if len(holders) == 0 {
		t.Error("nobody got the lease")
	}
}

func noRow(t *testing.T, c store.Config) {
	db := open(t, c)
	var v string
	err := store.NoRow(db.QueryRow(t.Context(), `SELECT v FROM test_rows WHERE n = ?`, 99).Scan(&v), "no row %d", 99)
	if !errs.Is(err, errs.NotFound) || err.Error() != "no row 99" {
		t.Errorf("NoRow = %v; want not found", err)
	}
	if err := store.NoRow(nil, "x"); err != nil {
		t.Errorf("NoRow(nil) = %v", err)
	}
	if err := store.NoRow(db.QueryRow(t.Context(), `SELECT nonsense`).Scan(&v), "x"); err == nil || errs.Is(err, errs.NotFound) {
		t.Errorf("NoRow of another error = %v; want it as it is", err)
	}
}

func migrations(t *testing.T, c store.Config) {
	db := open(t, c)
	want := "sqlite"
	if db.Postgres() {
		want = "postgres"
		// Replicas that start together.
		var wg sync.WaitGroup
		for range 3 {
			wg.Go(func() {
				other, err := store.Open(t.Context(), c, "together", fstest.MapFS{
					"migrations/0001_x.sql": {Data: []byte("-- +goose Up\nCREATE TABLE together_x (n BIGINT);\n")}})
				if err != nil {
					t.Errorf("Open at once: %v", err)
					return
				}
				_ = other.Close()
			})
		}
		wg.Wait()
	}
	for range 2 {
		var n int
		var v string
		must(t, "migrated row", db.QueryRow(t.Context(), `SELECT count(*), max(v) FROM test_rows`).Scan(&n, &v))
		if n != 1 || v != want {
			t.Errorf("%d rows of %q; want the migration for %s, once", n, v, want)
		}
		_ = db.Close()
		db = open(t, c)
	}
	_ = db.Close()
	bad := fstest.MapFS{"migrations/0001_rows.sql": files["migrations/0001_rows.sql"], "migrations/0002_dialect.sql": files["migrations/0002_dialect.sql"],
		"migrations/0003_bad.sql": {Data: []byte("-- +goose Up\nCREATE TABLE test_half (n BIGINT);\nNONSENSE;\n")}}
	if _, err := store.Open(t.Context(), c, "test", bad); err == nil {
		t.Error("a migration that fails was taken")
	}
	db = open(t, c)
	var n int
	if err := db.QueryRow(t.Context(), `SELECT count(*) FROM test_half`).Scan(&n); err == nil {
		t.Error("half of a failed migration is there")
	}
	for _, name := range []string{"", "A", "a-b", "a b", "../x", "x;"} {
		if _, err := store.Open(t.Context(), c, name, nil); !errs.Is(err, errs.Invalid) {
			t.Errorf("Open(%q) = %v; want invalid", name, err)
		}
	}
}

func apart(t *testing.T, c store.Config) {
	a, b := open(t, c), openAs(t, c, "other")
	must(t, "Tx", a.Tx(t.Context(), func(tx *store.Tx) error { return emit(tx, "a") }))
	if got, err := b.Events(t.Context(), 0, 10); err != nil || len(got) != 0 {
		t.Errorf("events of another service = %v, %v; want none", got, err)
	}
	var n int
	if err := b.QueryRow(t.Context(), `SELECT count(*) FROM test_rows`).Scan(&n); err == nil {
		t.Error("a service reads the tables of another by name")
	}
}

func reopening(t *testing.T, c store.Config) {
	db := open(t, c)
	must(t, "Tx", db.Tx(t.Context(), func(tx *store.Tx) error {
		_, err := tx.Advance("x", 5)
		return errors.Join(err, insert(tx, 1, "kept"), emit(tx, "a"), tx.Intend("k", "m", nil), tx.Audit(store.Act{Action: "a"}))
	}))
	_, _, err := db.Claim(t.Context(), "l", "me", time.Hour)
	must(t, "Claim", err)
	must(t, "Close", db.Close())
	db = open(t, c)
	at, _ := db.Cursor(t.Context(), "x")
	is, _ := db.Intents(t.Context(), time.Now().Add(time.Second), 9)
	as, _ := db.Acts(t.Context(), "", 0, 9)
	if got := rows(t, db); len(got) != 1 || at != 5 || len(is) != 1 || len(as) != 1 {
		t.Errorf("after reopening: %d rows, cursor %d, %d intents, %d acts; want 1, 5, 1, 1", len(got), at, len(is), len(as))
	}
	must(t, "Tx", db.Tx(t.Context(), func(tx *store.Tx) error { return emit(tx, "b") }))
	if got, err := db.Events(t.Context(), 0, 9); err != nil || len(got) != 2 || got[1].Pos != 2 {
		t.Errorf("events = %v, %v; want the numbers to go on", got, err)
	}
	if _, ok, err := db.Claim(t.Context(), "l", "you", time.Hour); err != nil || ok {
		t.Errorf("Claim = %v, %v; want the lease still held", ok, err)
	}
}

// pages walks a list by marks on rows that share their time.
func pages(t *testing.T, c store.Config) {
	db := open(t, c)
	must(t, "Tx", db.Tx(t.Context(), func(tx *store.Tx) error {
		for i := 1; i <= 10; i++ {
			if err := insert(tx, i, string(rune('a'+i))); err != nil {
				return err
			}
		}
		return nil
	}))
	at := store.Newest()
	got := ""
	for {
		// The rows' time is the same for three of them each.
		r, err := db.Query(t.Context(), `SELECT n / 3, v FROM test_rows WHERE n > 0 AND (n / 3, v) < (?, ?) ORDER BY n / 3 DESC, v DESC LIMIT 2`, at.Args()...)
		must(t, "Query", err)
		n := 0
		for r.Next() {
			var m store.Mark
			must(t, "Scan", r.Scan(&m.At, &m.ID))
			got += m.ID
			n++
			if at, err = store.ParseMark(m.String()); err != nil || at != m {
				t.Fatalf("ParseMark(%s) = %v, %v; want %v", m, at, err, m)
			}
		}
		must(t, "Query", errors.Join(r.Err(), r.Close()))
		if n == 0 {
			break
		}
	}
	if got != "kjihgfedcb" {
		t.Errorf("pages give %s; want each row once, newest first", got)
	}
}
