package id_test

import (
	"fmt"
	"testing"
	"time"

	"tutti/id"
)

func TestNew(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for range 1000 {
		s := id.New("run")
		if !id.Valid("run", s) || seen[s] {
			t.Fatalf("New = %q; want a fresh valid ID", s)
		}
		seen[s] = true
	}
	for _, bad := range []string{"", "run_", "run_short", "req_7k2m4qzt3c5nw6xd", "run_7K2M4QZT3C5NW6XD", "run_7k2m4qzt3c5nw6xd0"} {
		if id.Valid("run", bad) {
			t.Errorf("Valid(%q) = true", bad)
		}
	}
}

func TestTrace(t *testing.T) {
	t.Parallel()
	before := fmt.Sprintf("%012x", time.Now().UnixMilli())
	first, second := id.Trace(), id.Trace()
	after := fmt.Sprintf("%012x", time.Now().UnixMilli())
	if !id.ValidTrace(first) || !id.ValidTrace(second) || first == second || first[:12] < before || second[:12] > after || second[:12] < first[:12] {
		t.Errorf("Trace = %q, then %q; want different ones of 32 hex digits that begin with the time from %s to %s", first, second, before, after)
	}
	for _, bad := range []string{"", "00000000000000000000000000000000", "xyz", "4BF92F3577B34DA6A3CE929D0E0E4736"} {
		if id.ValidTrace(bad) {
			t.Errorf("ValidTrace(%q) = true", bad)
		}
	}
}
