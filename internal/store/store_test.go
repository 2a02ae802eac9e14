package store_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"tutti/errs"
	"tutti/internal/store"
	"tutti/internal/store/pgtest"
	"tutti/internal/store/storetest"
)

func TestSQLite(t *testing.T) {
	t.Parallel()
	storetest.Run(t, func(t *testing.T) store.Config { return store.Config{Dir: t.TempDir()} })
}

func TestPostgres(t *testing.T) {
	t.Parallel()
	storetest.Run(t, func(t *testing.T) store.Config { return store.Config{URL: pgtest.URL(t)} })
}

func TestOpenRefuses(t *testing.T) {
	t.Parallel()
	for _, url := range []string{"mysql://x", "sqlite://x", "postgres", "host=x"} {
		if _, err := store.Open(t.Context(), store.Config{URL: url}, "test", nil); !errs.Is(err, errs.Invalid) {
			t.Errorf("Open(%q) = %v; want invalid", url, err)
		}
	}
	_, err := store.Open(t.Context(), store.Config{URL: "postgres://tutti:hunter2@127.0.0.1:1/x?sslmode=disable"}, "test", nil)
	if !errs.Is(err, errs.Unavailable) || strings.Contains(err.Error(), "hunter2") {
		t.Errorf("a server that is not there: %v; want unavailable without the password", err)
	}
	_, err = store.Open(t.Context(), store.Config{URL: "postgres://tutti:hunter2@host:port/x"}, "test", nil)
	if !errs.Is(err, errs.Invalid) || strings.Contains(err.Error(), "hunter2") {
		t.Errorf("a bad URL: %v; want invalid without the password", err)
	}
	if _, err := store.Open(t.Context(), store.Config{URL: pgtest.URL(t) + "&options=-c%20fsync%3Doff"}, "test", nil); err == nil {
		t.Error("Open took a server that is told not to sync")
	}
}

func TestSQLitePathsAreTakenLiterally(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "a?b#c%20d mode=memory")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	db, err := store.Open(t.Context(), store.Config{Dir: dir}, "test", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := os.Stat(filepath.Join(dir, "test.db")); err != nil {
		t.Errorf("the database is not where it was asked for: %v", err)
	}
}

func TestTimes(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 21, 10, 0, 0, 123456789, time.FixedZone("x", 3600))
	if got := store.Time(store.Micros(now)); !got.Equal(now.Truncate(time.Microsecond)) || got.Location() != time.UTC {
		t.Errorf("Time(Micros(%v)) = %v", now, got)
	}
	if got := store.Time(store.Micros(time.Time{})); !got.IsZero() {
		t.Errorf("Time(Micros(zero)) = %v; want zero", got)
	}
}

func FuzzParseMark(f *testing.F) {
	for _, s := range []string{"", "x", store.Mark{At: 1, ID: "run_1"}.String(), store.Newest().String(), "LTEuYQ", "MS4A"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		m, err := store.ParseMark(s)
		if err != nil {
			if !errs.Is(err, errs.Invalid) {
				t.Fatalf("ParseMark(%q) = %v; want invalid", s, err)
			}
			return
		}
		if again, err := store.ParseMark(m.String()); err != nil || again != m || m.At < 0 {
			t.Fatalf("ParseMark(%q) = %+v, which reads as %+v, %v", s, m, again, err)
		}
	})
}

// A database that cannot work now is not the fault of the statement: callers wait and repeat.
func TestDatabaseAway(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		config store.Config
		breaks []string
	}{
		"a full disk":          {store.Config{Dir: t.TempDir()}, []string{`PRAGMA max_page_count = 1`, `CREATE TABLE test_x (v TEXT)`, `INSERT INTO test_x VALUES (hex(zeroblob(100000)))`}},
		"a server that cut us": {store.Config{URL: pgtest.URL(t)}, []string{`SELECT pg_terminate_backend(pg_backend_pid())`, `SELECT 1`}},
		"a read-only server":   {store.Config{URL: pgtest.URL(t)}, []string{`SET TRANSACTION READ ONLY`, `CREATE TABLE x (n BIGINT)`}},
	} {
		db, err := store.Open(t.Context(), c.config, "test", nil)
		if err != nil {
			t.Fatal(err)
		}
		err = db.Tx(t.Context(), func(tx *store.Tx) error {
			for _, q := range c.breaks {
				if err := tx.Exec(q); err != nil {
					return fmt.Errorf("on the way: %w", err)
				}
			}
			return nil
		})
		if !errs.Is(err, errs.Unavailable) {
			t.Errorf("%s: %v; want unavailable", name, err)
		}
		err = db.Tx(t.Context(), func(tx *store.Tx) error { return tx.Exec(`INSERT INTO nonsense VALUES (1)`) })
		if errs.KindOf(err) != errs.Internal || err == nil {
			t.Errorf("%s, and then a wrong statement: %v; want internal", name, err)
		}
		_ = db.Close()
	}
}
