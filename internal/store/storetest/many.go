package storetest

import (
	"fmt"
	"slices"
	"testing"

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
}
