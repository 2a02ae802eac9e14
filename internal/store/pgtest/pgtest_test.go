package pgtest

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

func TestURLGivesFreshDatabases(t *testing.T) {
	t.Parallel()
	first, second := connect(t, URL(t)), connect(t, URL(t))
	if _, err := first.Exec(t.Context(), "CREATE TABLE x (n int)"); err != nil {
		t.Fatal(err)
	}
	var there bool
	if err := second.QueryRow(t.Context(), "SELECT to_regclass('x') IS NOT NULL").Scan(&there); err != nil {
		t.Fatal(err)
	}
	if there {
		t.Error("a table made in one test database is in another; want each to be empty")
	}
}

func TestURLDropsTheDatabaseWithTheTest(t *testing.T) {
	t.Parallel()
	var name string
	ok := t.Run("inner", func(t *testing.T) {
		// A connection left open must not keep the database alive.
		c, err := pgx.Connect(t.Context(), URL(t))
		if err != nil {
			t.Fatal(err)
		}
		if err := c.QueryRow(t.Context(), "SELECT current_database()").Scan(&name); err != nil {
			t.Fatal(err)
		}
	})
	if !ok || name == "" {
		t.SkipNow() // the inner test has said why
	}
	var n int
	query := "SELECT count(*) FROM pg_database WHERE datname = $1"
	if err := connect(t, URL(t)).QueryRow(t.Context(), query, name).Scan(&n); err != nil {
		t.Fatal(err)
	}
	if n != 0 {
		t.Errorf("database %s is still there after its test", name)
	}
}

func TestServerIsDurable(t *testing.T) {
	t.Parallel()
	c := connect(t, URL(t))
	for setting, want := range map[string]string{"fsync": "on", "synchronous_commit": "on", "full_page_writes": "on", "server_encoding": "UTF8"} {
		var got string
		if err := c.QueryRow(t.Context(), "SELECT current_setting($1)", setting).Scan(&got); err != nil {
			t.Fatal(err)
		}
		if os.Getenv("TUTTI_TEST_POSTGRES") == "" && got != want {
			t.Errorf("%s = %q; want %q", setting, got, want)
		}
	}
}

// TestServerEndsWithItsProcess runs this test binary again, kills it in ways that run no deferred
// function, and waits for its server to be gone.
func TestServerEndsWithItsProcess(t *testing.T) {
	t.Parallel()
	if os.Getenv("TUTTI_TEST_POSTGRES") != "" {
		t.Skip("TUTTI_TEST_POSTGRES is set: the server is not ours")
	}
	URL(t) // skips where there is no PostgreSQL
	for _, end := range []string{"panic", "kill", "exit"} {
		t.Run(end, func(t *testing.T) {
			t.Parallel()
			child := exec.Command(os.Args[0], "-test.run=^TestChild$")
			child.Env = append(os.Environ(), "PGTEST_CHILD="+end)
			out, err := child.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := child.Start(); err != nil {
				t.Fatal(err)
			}
			var pid int
			var dir string
			for lines := bufio.NewScanner(out); lines.Scan(); {
				_, _ = fmt.Sscanf(lines.Text(), "server %d %s", &pid, &dir)
			}
			if err := child.Wait(); err == nil {
				t.Errorf("the child ended by %s with success; want it to have died", end)
			}
			if pid == 0 {
				t.Fatal("the child did not say where its server is")
			}
			waitUntil(t, fmt.Sprintf("server %d is gone", pid), func() bool { return errors.Is(syscall.Kill(pid, 0), syscall.ESRCH) })
			waitUntil(t, dir+" is removed", func() bool { _, err := os.Stat(dir); return errors.Is(err, os.ErrNotExist) })
		})
	}
}

// TestChild is the process that TestServerEndsWithItsProcess ends; alone it does nothing.
func TestChild(t *testing.T) {
	end := os.Getenv("PGTEST_CHILD")
	if end == "" {
		return
	}
	c := connect(t, URL(t))
	s, err := shared()
	if err != nil {
		t.Fatal(err)
	}
	pidFile, err := os.ReadFile(s.dir + "/data/postmaster.pid")
	if err != nil {
		t.Fatal(err)
	}
	first, _, _ := strings.Cut(string(pidFile), "\n")
	pid, err := strconv.Atoi(first)
	if err != nil {
		t.Fatal(err)
	}
	fmt.Printf("server %d %s\n", pid, s.dir)
	if _, err := c.Exec(t.Context(), "BEGIN; CREATE TABLE x (n int)"); err != nil { // an open transaction must not delay the end
		t.Fatal(err)
	}
	switch end {
	case "panic":
		panic("as asked")
	case "kill":
		_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
		select {}
	case "exit":
		os.Exit(3)
	}
}

func TestFind(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	install := func(dir string, names ...string) string {
		dir = filepath.Join(root, dir)
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		for _, name := range names {
			if err := os.WriteFile(filepath.Join(dir, name), nil, 0o755); err != nil {
				t.Fatal(err)
			}
		}
		return dir
	}
	both := install("both", "initdb", "postgres")
	client := install("client", "initdb")
	install("packages/9.6/bin", "initdb", "postgres")
	install("packages/9/bin", "initdb", "postgres")
	newest := install("packages/15/bin", "initdb", "postgres")
	packaged := filepath.Join(root, "packages/*/bin")

	for _, c := range []struct {
		name, path, packaged, want string
	}{
		{"nowhere", "", "", ""},
		{"on PATH", client + ":" + both, packaged, both},
		{"newest package", client, packaged, newest},
		{"half installed", client, "", ""},
		{"relative PATH", ".", "", ""},
	} {
		got, ok := find(c.path, c.packaged)
		if got != c.want || ok != (c.want != "") {
			t.Errorf("%s: find(%q, %q) = %q, %v; want %q", c.name, c.path, c.packaged, got, ok, c.want)
		}
	}
}

func connect(t *testing.T, url string) *pgx.Conn {
	t.Helper()
	c, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close(context.WithoutCancel(t.Context())) })
	return c
}

func waitUntil(t *testing.T, what string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(20 * time.Second)
	for !ok() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("after 20 s it is not so that %s", what)
		}
	}
}
