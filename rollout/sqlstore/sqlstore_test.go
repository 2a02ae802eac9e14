package sqlstore_test

import (
	"database/sql"
	"path/filepath"
	"testing"

	_ "github.com/jackc/pgx/v5/stdlib"
	_ "modernc.org/sqlite"

	"tutti/internal/store/pgtest"
	"tutti/rollout"
	"tutti/rollout/rollouttest"
	"tutti/rollout/sqlstore"
)

func TestSQLite(t *testing.T) {
	t.Parallel()
	rollouttest.Run(t, func(t *testing.T) rollout.Store {
		file := "file:" + filepath.Join(t.TempDir(), "rollout.db") + "?_pragma=journal_mode(wal)&_pragma=busy_timeout(30000)&_txlock=immediate"
		return create(t, "sqlite", file)
	})
}

func TestPostgreSQL(t *testing.T) {
	t.Parallel()
	rollouttest.Run(t, func(t *testing.T) rollout.Store { return create(t, "pgx", pgtest.URL(t)) })
}

func create(t *testing.T, driver, source string) *sqlstore.Store {
	t.Helper()
	db, err := sql.Open(driver, source)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	db.SetMaxOpenConns(4)
	s, err := sqlstore.New(db, "")
	if err != nil {
		t.Fatal(err)
	}
	for range 2 { // it may be called again
		if err := s.Create(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	return s
}

func TestNewRefusesPrefixes(t *testing.T) {
	t.Parallel()
	for _, prefix := range []string{"A", "1a", "a b", "a;", "a\"b", "é"} {
		if _, err := sqlstore.New(nil, prefix); err == nil {
			t.Errorf("New(%q) succeeded; want it refused", prefix)
		}
	}
}
