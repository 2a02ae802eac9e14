package storetest

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"tutti/errs"
	"tutti/internal/store"
)

// manyRows inserts and updates rows in numbers around those that one statement takes.
func manyRows(t *testing.T, c store.Config) {
	db := open(t, c)
	next := 1
	var want []string
	for _, n := range []int{0, 1, 2, 37, 256, 300, 2001} {
		// Twice, because statements that came before are prepared.
		for range 2 {
			ns := make([]int, n)
			for i := range ns {
				ns[i] = next
				want = append(want, fmt.Sprintf("it's %d\n{\"a\":[1]}", next))
				next++
			}
			must(t, "Tx", db.Tx(t.Context(), func(tx *store.Tx) error {
				return store.InsertMany(tx, `INSERT INTO test_rows (n, v) VALUES `, 2, ns, func(n int, to []any) []any {
					return append(to, n, want[n-1])
				})
			}))
		}
	}
	if got := rows(t, db); !slices.Equal(got, want) {
		t.Fatalf("%d rows are there; want %d, as they were inserted", len(got), len(want))
	}
	var changed []int64
	for i := range want {
		if i%3 == 0 {
			changed = append(changed, int64(i)+1)
			want[i] = fmt.Sprintf("changed %d", i+1)
		}
	}
	must(t, "Tx", db.Tx(t.Context(), func(tx *store.Tx) error {
		columns := []store.Column{{Name: "n", Type: "BIGINT"}, {Name: "v", Type: "TEXT"}}
		return store.UpdateMany(tx, "test_rows", columns, append(changed, 1<<40), func(n int64, to []any) []any {
			return append(to, n, fmt.Sprintf("changed %d", n))
		})
	}))
	if got := rows(t, db); !slices.Equal(got, want) {
		t.Error("after UpdateMany the rows are not what was written")
	}
	for _, n := range []int{0, 1, 99, 100, 101, 250} {
		keys, there := make([]string, n), 0
		for i := range keys {
			if keys[i] = fmt.Sprintf("no row %d", i); i%2 == 0 {
				keys[i], there = want[i], there+1
			}
		}
		found, err := db.Among(t.Context(), `SELECT v FROM test_rows WHERE v IN`, keys)
		if err != nil || len(found) != there || there > 0 && !found[keys[0]] {
			t.Errorf("Among %d keys found %d, %v; want %d", n, len(found), err, there)
		}
	}
}

// together sends statements at once: all of them count, or none, and reads between them see what was
// written before.
func together(t *testing.T, c store.Config) {
	db := open(t, c)
	l, ok, err := db.Claim(t.Context(), "lease", "me", time.Minute)
	must(t, "Claim", err)
	if !ok {
		t.Fatal("Claim = false; want the lease")
	}
	write := func(l store.Lease, from, to int) func(*store.Tx) error {
		return func(tx *store.Tx) error {
			return tx.Together(func() error {
				if err := tx.Hold(l); err != nil {
					return err
				}
				for n := from; n <= to; n++ {
					if err := tx.Exec(`INSERT INTO test_rows (n, v) VALUES (?, ?)`, n, "v"); err != nil {
						return err
					}
				}
				var n int
				if err := tx.QueryRow(`SELECT count(*) FROM test_rows WHERE n BETWEEN ? AND ?`, from, to).Scan(&n); err != nil || n != to-from+1 {
					t.Errorf("between two statements %d rows of %d to %d are there, %v", n, from, to, err)
				}
				acts := []store.ActBy{{Act: store.Act{Action: "a"}}, {Act: store.Act{Action: "b"}}}
				return errors.Join(tx.Exec(`UPDATE test_rows SET v = ? WHERE n = ?`, "w", to), tx.AuditAll(acts))
			})
		}
	}
	must(t, "Tx", db.Tx(t.Context(), write(l, 1, 3)))
	must(t, "Tx", db.Tx(t.Context(), write(l, 4, 4)))
	want := []string{"v", "v", "w", "w"}
	if got := rows(t, db); !slices.Equal(got, want) {
		t.Errorf("the rows are %q; want %q", got, want)
	}
	if acts, err := db.Acts(t.Context(), "", 0, 10); err != nil || len(acts) != 4 || acts[0].Pos != 4 || acts[0].Action != "b" || acts[3].Pos != 1 {
		t.Errorf("the acts are %+v, %v; want four, numbered from 1", acts, err)
	}

	stale := l
	stale.Epoch--
	err = db.Tx(t.Context(), func(tx *store.Tx) error {
		return tx.Together(func() error {
			return errors.Join(tx.Hold(stale), tx.Exec(`INSERT INTO test_rows (n, v) VALUES (?, ?)`, 9, "v"))
		})
	})
	if !errs.Is(err, errs.Unavailable) {
		t.Errorf("a write with a stale lease = %v; want an error of kind unavailable", err)
	}
	err = db.Tx(t.Context(), func(tx *store.Tx) error {
		return tx.Together(func() error {
			return errors.Join(tx.Hold(l), tx.Exec(`INSERT INTO test_rows (n, v) VALUES (?, ?)`, 9, "v"), tx.Exec(`INSERT INTO test_rows (n, v) VALUES (?, ?)`, 1, "twice"))
		})
	})
	if err == nil {
		t.Error("a write with a number twice was committed")
	}
	if got := rows(t, db); !slices.Equal(got, want) {
		t.Errorf("after writes that failed the rows are %q; want %q", got, want)
	}
}
