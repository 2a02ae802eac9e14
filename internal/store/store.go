// Package store opens the database of one service: a SQLite file of its own, or a schema of its own in
// PostgreSQL. It gives transactions, migrations, and the tables every service has: the outbox of its
// events, the intents it wants others to fulfil, the audit trail, the cursors of what it follows and
// the quarantine of what it could not digest.
//
// SQL is written once for both databases: "?" placeholders, ON CONFLICT, RETURNING, times as
// microseconds in BIGINT, JSON as TEXT. What differs lives here.
package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"
	_ "modernc.org/sqlite" // the SQLite driver

	"tutti/errs"
)

// Config says where the databases are.
type Config struct {
	// URL is "" for SQLite files in Dir, or "postgres://…".
	URL string
	// Dir holds the SQLite files, one a service.
	Dir string
}

// DB is the database of one service.
type DB struct {
	service  string
	postgres bool
	write    *sql.DB // SQLite: one connection, so that writers queue instead of failing
	read     *sql.DB

	mu       sync.Mutex
	onCommit []func()

	inserts           sync.Map // statements of InsertMany, rebound
	prepared, readers sync.Map // *sql.Stmt by statement, of SQLite: for writing and for reading
	statements, reads atomic.Int64
}

var serviceName = regexp.MustCompile(`^[a-z]+$`)

// Open opens the database of service and brings it up to date with migrations (files NNNN_what.sql in
// goose's format; a file NNNN_what.postgres.sql replaces it on PostgreSQL), which may be nil. It
// refuses a database whose settings would not keep what was committed over a power loss.
func Open(ctx context.Context, c Config, service string, migrations fs.FS) (*DB, error) {
	if !serviceName.MatchString(service) {
		return nil, errs.New(errs.Invalid, "no service can be named %q", service)
	}
	db := &DB{service: service}
	var err error
	switch {
	case c.URL == "":
		err = db.openSQLite(filepath.Join(c.Dir, service+".db"))
	case strings.HasPrefix(c.URL, "postgres://"), strings.HasPrefix(c.URL, "postgresql://"):
		db.postgres = true
		err = db.openPostgres(ctx, c.URL)
	default:
		err = errs.New(errs.Invalid, "database URL does not start with postgres://").
			WithHint("leave it empty for SQLite, or use postgres://user@host/database")
	}
	if err == nil {
		err = db.durable(ctx)
	}
	if err == nil {
		err = db.migrate(ctx, migrations)
	}
	if err != nil {
		db.Close()
		return nil, fmt.Errorf("open the database of %s: %w", service, err)
	}
	return db, nil
}

// pragmas make a commit durable (WAL + FULL) and keep readers and the writer out of each other's way.
const pragmas = "?_pragma=busy_timeout(10000)&_pragma=journal_mode(wal)&_pragma=synchronous(full)" +
	"&_pragma=foreign_keys(on)&_pragma=temp_store(memory)&_pragma=wal_autocheckpoint(4000)&_pragma=cache_size(-16000)"

func (db *DB) openSQLite(path string) (err error) {
	dsn := "file:" + (&urlPath{path}).String() + pragmas
	if db.write, err = sql.Open("sqlite", dsn+"&_txlock=immediate"); err != nil {
		return err
	}
	db.write.SetMaxOpenConns(1)
	if db.read, err = sql.Open("sqlite", dsn+"&_pragma=query_only(on)"); err != nil {
		return err
	}
	db.read.SetMaxOpenConns(4)
	db.read.SetMaxIdleConns(4)
	return nil
}

// urlPath escapes what has a meaning in a SQLite URI.
type urlPath struct{ p string }

func (u *urlPath) String() string {
	return strings.NewReplacer("%", "%25", "?", "%3f", "#", "%23").Replace(u.p)
}

func (db *DB) openPostgres(ctx context.Context, url string) error {
	cfg, err := pgx.ParseConfig(url)
	if err != nil {
		return errs.New(errs.Invalid, "database URL: %w", err)
	}
	schema := "tutti_" + db.service
	cfg.RuntimeParams["search_path"] = schema
	cfg.RuntimeParams["application_name"] = schema
	cfg.RuntimeParams["synchronous_commit"] = "on"
	db.write = stdlib.OpenDB(*cfg)
	db.write.SetMaxOpenConns(8)
	db.write.SetMaxIdleConns(4)
	db.read = db.write
	if _, err := db.write.ExecContext(ctx, "CREATE SCHEMA IF NOT EXISTS "+schema); err != nil && !duplicate(err) {
		return errs.New(errs.Unavailable, "PostgreSQL: %w", err)
	}
	return nil
}

// durable refuses settings that lose acknowledged commits.
func (db *DB) durable(ctx context.Context) error {
	if db.postgres {
		for _, name := range []string{"fsync", "full_page_writes", "synchronous_commit"} {
			var v string
			if err := db.write.QueryRowContext(ctx, "SHOW "+name).Scan(&v); err != nil {
				return err
			}
			if v == "off" || name == "synchronous_commit" && v == "local" {
				return errs.New(errs.Invalid, "PostgreSQL runs with %s=%s, which can lose what was acknowledged", name, v).
					WithHint("set %s to on", name)
			}
		}
		return nil
	}
	var mode string
	var sync int
	if err := db.write.QueryRowContext(ctx, "PRAGMA journal_mode").Scan(&mode); err != nil {
		return err
	}
	if err := db.write.QueryRowContext(ctx, "PRAGMA synchronous").Scan(&sync); err != nil {
		return err
	}
	if mode != "wal" || sync < 2 {
		return errs.New(errs.Internal, "SQLite runs with journal_mode=%s synchronous=%d; want wal and 2", mode, sync).
			WithHint("the data folder must be on a local file system")
	}
	return nil
}

// Close closes the database.
func (db *DB) Close() error {
	var err error
	if db.write != nil {
		err = db.write.Close()
	}
	if db.read != nil && db.read != db.write {
		err = errors.Join(err, db.read.Close())
	}
	return err
}

// Service returns the name of the service whose database it is.
func (db *DB) Service() string { return db.service }

// Postgres reports whether the database is PostgreSQL.
func (db *DB) Postgres() bool { return db.postgres }

// OnCommit calls f after each commit that emitted events. f must not block.
func (db *DB) OnCommit(f func()) {
	db.mu.Lock()
	defer db.mu.Unlock()
	db.onCommit = append(db.onCommit, f)
}

// Query reads committed rows.
func (db *DB) Query(ctx context.Context, q string, args ...any) (*sql.Rows, error) {
	var rows *sql.Rows
	var err error
	if st := db.reading(q); st != nil {
		rows, err = st.QueryContext(ctx, args...)
	} else {
		rows, err = db.read.QueryContext(ctx, db.rebind(q), args...)
	}
	if err != nil && transient(err) {
		err = unavailable(err)
	}
	return rows, err
}

// QueryRow reads one committed row.
func (db *DB) QueryRow(ctx context.Context, q string, args ...any) *sql.Row {
	if st := db.reading(q); st != nil {
		return st.QueryRowContext(ctx, args...)
	}
	return db.read.QueryRowContext(ctx, db.rebind(q), args...)
}

// Tx runs f in a transaction that is committed if f returns nil. f may run several times on
// PostgreSQL, where a transaction that lost a race is tried again; it must have no other effects.
//
// An error of the commit itself does not mean that nothing was written: callers repeat with the same
// keys.
func (db *DB) Tx(ctx context.Context, f func(*Tx) error) error {
	for try := 0; ; try++ {
		err := db.once(ctx, f)
		if err == nil || try >= 5 || !serialization(err) {
			return err
		}
	}
}

func (db *DB) once(ctx context.Context, f func(*Tx) error) error {
	tx, end, err := db.begin(ctx)
	if err != nil {
		return unavailable(err)
	}
	defer end()
	if err := f(tx); err != nil {
		if transient(err) {
			return unavailable(err)
		}
		return err
	}
	if err := tx.tx.Commit(); err != nil {
		return unavailable(err)
	}
	if tx.emitted {
		db.mu.Lock()
		hooks := db.onCommit
		db.mu.Unlock()
		for _, h := range hooks {
			h()
		}
	}
	for _, h := range tx.after {
		h()
	}
	return nil
}

func duplicate(err error) bool {
	pe, ok := errors.AsType[*pgconn.PgError](err)
	return ok && (pe.Code == "23505" || pe.Code == "42P06")
}

// rebind turns "?" into "$1", "$2", … for PostgreSQL. Queries hold no "?" in literals.
func (db *DB) rebind(q string) string {
	if !db.postgres || !strings.Contains(q, "?") {
		return q
	}
	b := make([]byte, 0, len(q)+16)
	n := 0
	for i := range len(q) {
		if q[i] != '?' {
			b = append(b, q[i])
			continue
		}
		n++
		b = append(b, '$')
		b = strconv.AppendInt(b, int64(n), 10)
	}
	return string(b)
}

// Micros returns t as the databases keep it: microseconds since 1970, 0 for the zero time.
func Micros(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMicro()
}

// Time returns the UTC time of Micros(t).
func Time(us int64) time.Time {
	if us == 0 {
		return time.Time{}
	}
	return time.UnixMicro(us).UTC()
}
