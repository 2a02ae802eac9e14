package store_test

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"testing/fstest"

	"tutti/bus"
	"tutti/internal/store"
	"tutti/internal/store/pgtest"
)

// killed names the environment variable that makes the test binary the victim: "dir PATH" or "url URL".
const killed = "TUTTI_TEST_KILLED"

func TestMain(m *testing.M) {
	if where := os.Getenv(killed); where != "" {
		fmt.Fprintln(os.Stderr, writeForEver(where))
		os.Exit(1)
	}
	os.Exit(m.Run())
}

var killFiles = fstest.MapFS{
	"migrations/0001_numbers.sql": {Data: []byte("-- +goose Up\nCREATE TABLE victim_numbers (n BIGINT PRIMARY KEY, pad TEXT NOT NULL);\n")},
}

func where(text string) store.Config {
	if dir, ok := strings.CutPrefix(text, "dir "); ok {
		return store.Config{Dir: dir}
	}
	return store.Config{URL: strings.TrimPrefix(text, "url ")}
}

// writeForEver commits one number after another, and prints each once its commit is acknowledged.
func writeForEver(text string) error {
	ctx := context.Background()
	db, err := store.Open(ctx, where(text), "victim", killFiles)
	if err != nil {
		return err
	}
	var n int64
	if err := db.QueryRow(ctx, `SELECT coalesce(max(n), 0) FROM victim_numbers`).Scan(&n); err != nil {
		return err
	}
	for {
		n++
		err := db.Tx(ctx, func(tx *store.Tx) error {
			if err := tx.Exec(`INSERT INTO victim_numbers (n, pad) VALUES (?, ?)`, n, strings.Repeat("x", 500)); err != nil {
				return err
			}
			return tx.Emit(bus.Record{Type: "n", Subject: fmt.Sprint(n)})
		})
		if err != nil {
			return err
		}
		fmt.Println(n)
	}
}

func TestKillSQLite(t *testing.T) {
	t.Parallel()
	kill(t, "dir "+t.TempDir())
}

func TestKillPostgres(t *testing.T) {
	t.Parallel()
	kill(t, "url "+pgtest.URL(t))
}

// kill ends a writer with SIGKILL in the middle, several times: what it said is committed must be
// there, whole and in order.
func kill(t *testing.T, where string) {
	for _, lines := range []int{1, 40, 170} {
		said := killAfter(t, where, lines)
		check(t, where, said)
	}
}

// killAfter runs the victim until it has said a number of lines, and returns the last number it said.
func killAfter(t *testing.T, where string, lines int) (said int64) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), killed+"="+where)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	// All that it managed to say counts, also what was in the pipe when it died.
	for s := bufio.NewScanner(out); s.Scan(); {
		if n, err := strconv.ParseInt(s.Text(), 10, 64); err == nil {
			said = n
		}
		if lines--; lines == 0 {
			if err := cmd.Process.Kill(); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := cmd.Wait(); err == nil || lines > 0 {
		t.Fatalf("the writer ended by itself: %v", err)
	}
	return said
}

func check(t *testing.T, text string, said int64) {
	t.Helper()
	db, err := store.Open(t.Context(), where(text), "victim", killFiles)
	if err != nil {
		t.Fatalf("open after the kill: %v", err)
	}
	defer db.Close()
	// On PostgreSQL the server may still be committing what the dead client sent last.
	var high, count, events int64
	err = db.QueryRow(t.Context(), `SELECT max(n), count(*), (SELECT count(*) FROM victim_outbox) FROM victim_numbers`).Scan(&high, &count, &events)
	if err != nil {
		t.Fatal(err)
	}
	if high < said || high > said+1 || count != high || events != high {
		t.Errorf("acknowledged %d; there are %d numbers up to %d and %d events", said, count, high, events)
	}
}
