// Package pgtest gives tests a fresh database in a real PostgreSQL server.
//
// The server is started once per test process, on a Unix socket in a temporary folder, with the
// durability settings that production demands (fsync and synchronous_commit on), and belongs to
// that process: a watcher outside the test holds the read end of a pipe, and when the test ends in
// whatever way, kill -9 included, it stops the server and removes the folder. So callers need
// neither a TestMain nor a clean-up. Only tests import this package.
//
// Two variables of the environment steer it:
//
//   - TUTTI_TEST_POSTGRES=postgres://… makes the databases in that server instead of a new one; its
//     user must be allowed to create databases.
//   - TUTTI_TEST_REQUIRE=1 makes a test fail, not skip, where PostgreSQL is not installed. CI sets it.
package pgtest

import (
	"context"
	"crypto/rand"
	"fmt"
	"net/url"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// patience bounds each conversation with the server: a database is made in tens of milliseconds,
// but the disk of a busy machine can make that seconds.
const patience = 60 * time.Second

// URL makes an empty database and returns its postgres:// address, which the pgx drivers take. The
// database is dropped when t ends, with whatever connections are still open to it.
//
// Where PostgreSQL is not installed it skips t, or fails it under TUTTI_TEST_REQUIRE=1; a server
// that is installed and does not start fails t.
func URL(t testing.TB) string {
	t.Helper()
	admin := serverURL(t)
	name := "t_" + strings.ToLower(rand.Text())
	if err := run(admin, "CREATE DATABASE "+name+" TEMPLATE template0"); err != nil {
		t.Fatalf("make a test database: %v", err)
	}
	t.Cleanup(func() {
		if err := run(admin, "DROP DATABASE "+name+" WITH (FORCE)"); err != nil {
			t.Errorf("drop the test database: %v", err)
		}
	})
	u := *admin
	u.Path = "/" + name
	return u.String()
}

// shared is the server of this test process, started by the first test that needs it.
var shared = sync.OnceValues(start)

// serverURL returns the address of the server to make databases in, or ends t.
func serverURL(t testing.TB) *url.URL {
	t.Helper()
	if given := os.Getenv("TUTTI_TEST_POSTGRES"); given != "" {
		u, err := url.Parse(given)
		if err != nil || u.Scheme != "postgres" && u.Scheme != "postgresql" {
			t.Fatalf("TUTTI_TEST_POSTGRES must be a postgres:// URL")
		}
		return u
	}
	s, err := shared()
	if err != nil {
		t.Fatalf("start PostgreSQL: %v", err)
	}
	if s == nil {
		const missing = "PostgreSQL is not installed (apt-get install postgresql); what this test checks was not checked on PostgreSQL"
		if os.Getenv("TUTTI_TEST_REQUIRE") == "1" {
			t.Fatalf("TUTTI_TEST_REQUIRE=1, but %s", missing)
		}
		t.Skip("SKIPPED: " + missing)
	}
	return s.url
}

// run executes one statement over a connection of its own, so that nothing outlives the call: a
// kept pool would show up in tests that look for leaked goroutines.
func run(server *url.URL, statement string) error {
	ctx, cancel := context.WithTimeout(context.Background(), patience) // background: also runs in clean-up, after t.Context has ended
	defer cancel()
	c, err := pgx.Connect(ctx, server.String())
	if err != nil {
		return err
	}
	if _, err := c.Exec(ctx, statement); err != nil {
		_ = c.Close(ctx)
		return fmt.Errorf("%s: %w", statement, err)
	}
	return c.Close(ctx)
}
