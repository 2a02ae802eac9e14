package rollout

import (
	"fmt"
	"testing"
	"time"
)

// However many entities an engine has seen, it keeps a bounded number, and knows them all.
func TestEngineForgetsWhatIsNotUsed(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	e := NewEngine(&Memory{}, func() time.Time { return time.Unix(1, 0) })
	const n = maxEntries + maxEntries/5
	for i := range n {
		if err := e.SetVersion(ctx, Key{"ns", fmt.Sprint(i)}, "v1"); err != nil {
			t.Fatal(err)
		}
		if len(e.entries) > maxEntries {
			t.Fatalf("%d entries after %d entities; at most %d are kept", len(e.entries), i+1, maxEntries)
		}
	}
	for _, i := range []int{0, 1, n - 1} {
		if s, err := e.Status(ctx, Key{"ns", fmt.Sprint(i)}); err != nil || s.Wanted != "v1" {
			t.Errorf("entity %d is %+v, %v; want it as it was", i, s, err)
		}
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	sum := 0
	for _, entry := range e.entries {
		sum += entry.size
	}
	if sum != e.targets {
		t.Errorf("the entries have %d targets, counted are %d", sum, e.targets)
	}
}

// The history in memory is bounded, and its numbers go on.
func TestMemoryForgetsOldEvents(t *testing.T) {
	t.Parallel()
	var m Memory
	key := Key{"ns", "e"}
	const writes = 3 * maxHistory
	for i := range uint64(writes) {
		if err := m.Save(t.Context(), Write{key, i, Change{Head: []byte("{}"), Events: []Event{{Version: fmt.Sprint(i + 1)}}}}); err != nil {
			t.Fatal(err)
		}
	}
	if n := len(m.rows[key].events); n > maxHistory+maxHistory/10 {
		t.Errorf("%d events are kept; at most %d and a tenth", n, maxHistory)
	}
	last, err := m.History(t.Context(), key, 0, 2)
	if err != nil || len(last) != 2 || last[0].Seq != writes || last[0].Event.Version != fmt.Sprint(writes) || last[1].Seq != writes-1 {
		t.Errorf("History = %+v, %v; want the last two with their numbers", last, err)
	}
	if old, err := m.History(t.Context(), key, 10, 5); err != nil || len(old) != 0 {
		t.Errorf("History of the oldest = %+v, %v; want none", old, err)
	}
}
