package store

import (
	"context"
	"fmt"
	"hash/fnv"
	"io/fs"
	"strings"

	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/database"
	"github.com/pressly/goose/v3/lock"
)

// common are the tables every service has. They are created outside the numbered migrations, so that
// a service without tables of its own has them too.
const common = `
CREATE TABLE IF NOT EXISTS $_counters (name TEXT PRIMARY KEY, n BIGINT NOT NULL);
CREATE TABLE IF NOT EXISTS $_outbox (pos BIGINT PRIMARY KEY, type TEXT NOT NULL, subject TEXT NOT NULL, namespace TEXT NOT NULL,
	trace TEXT NOT NULL, at BIGINT NOT NULL, data TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS $_audit (pos BIGINT PRIMARY KEY, at BIGINT NOT NULL, subject TEXT NOT NULL, origin TEXT NOT NULL,
	namespace TEXT NOT NULL, action TEXT NOT NULL, object TEXT NOT NULL, trace TEXT NOT NULL, detail TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS $_intents (intent TEXT PRIMARY KEY, method TEXT NOT NULL, input TEXT NOT NULL, trace TEXT NOT NULL,
	tries BIGINT NOT NULL, next_at BIGINT NOT NULL, error TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS $_intents_due ON $_intents (next_at);
CREATE TABLE IF NOT EXISTS $_cursors (source TEXT PRIMARY KEY, pos BIGINT NOT NULL);
CREATE TABLE IF NOT EXISTS $_quarantine (source TEXT NOT NULL, pos BIGINT NOT NULL, at BIGINT NOT NULL, record TEXT NOT NULL,
	error TEXT NOT NULL, PRIMARY KEY (source, pos));
CREATE TABLE IF NOT EXISTS $_leases (name TEXT PRIMARY KEY, holder TEXT NOT NULL, epoch BIGINT NOT NULL, until BIGINT NOT NULL);
`

func (db *DB) migrate(ctx context.Context, migrations fs.FS) error {
	if err := db.Tx(ctx, db.createCommon); err != nil {
		return fmt.Errorf("create the common tables: %w", err)
	}
	if migrations == nil {
		return nil
	}
	files, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return err
	}
	others, err := otherDialect(files, db.postgres)
	if err != nil {
		return err
	}
	opts := []goose.ProviderOption{goose.WithDisableGlobalRegistry(true), goose.WithExcludeNames(others)}
	dialect := goose.DialectSQLite3
	if db.postgres {
		dialect = goose.DialectPostgres
		one, err := lock.NewPostgresSessionLocker(lock.WithLockID(lockID(db.service)), lock.WithLockTimeout(1, 120))
		if err != nil {
			return err
		}
		opts = append(opts, goose.WithSessionLocker(one))
	}
	names, err := database.NewStore(dialect, db.service+"_migrations")
	if err != nil {
		return err
	}
	p, err := goose.NewProvider("", db.write, files, append(opts, goose.WithStore(names))...)
	if err != nil {
		return fmt.Errorf("migrations: %w", err)
	}
	if _, err := p.Up(ctx); err != nil {
		return fmt.Errorf("migrations: %w", err)
	}
	return nil
}

// createCommon creates the common tables that are not there yet. On PostgreSQL replicas that start
// together do so one after the other: there IF NOT EXISTS alone does not keep two of them apart.
func (db *DB) createCommon(tx *Tx) error {
	if db.postgres {
		if err := tx.Exec(`SELECT pg_advisory_xact_lock(?)`, lockID(db.service)); err != nil {
			return err
		}
	}
	for stmt := range strings.SplitSeq(strings.ReplaceAll(common, "$", db.service), ";") {
		if strings.TrimSpace(stmt) == "" {
			continue
		}
		if err := tx.Exec(stmt); err != nil {
			return err
		}
	}
	return nil
}

// lockID keeps replicas of one service that start together from migrating at the same time.
func lockID(service string) int64 {
	h := fnv.New32a()
	_, _ = h.Write([]byte("tutti migrations of " + service))
	return int64(h.Sum32())
}

// otherDialect returns the names of the migrations that are for the other database: X.postgres.sql
// replaces X.sql on PostgreSQL.
func otherDialect(files fs.FS, postgres bool) ([]string, error) {
	names, err := fs.Glob(files, "*.postgres.sql")
	if err != nil || !postgres {
		return names, err
	}
	for i, n := range names {
		names[i] = strings.TrimSuffix(n, ".postgres.sql") + ".sql"
	}
	return names, nil
}
