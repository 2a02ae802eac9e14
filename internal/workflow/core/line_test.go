package core_test

import (
	"cmp"
	"fmt"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	gocmp "github.com/google/go-cmp/cmp"

	"tutti/internal/workflow/core"
)

// A Line is what two lists would be that are gone through from end to end.
func TestLine(t *testing.T) {
	t.Parallel()
	type claimant = core.Claimant[string]
	rapid.Check(t, func(rt *rapid.T) {
		var line core.Line[string]
		var holders, waiting []claimant
		leave := func(who string) bool {
			n := len(holders) + len(waiting)
			is := func(c claimant) bool { return c.Who == who }
			holders, waiting = slices.DeleteFunc(holders, is), slices.DeleteFunc(waiting, is)
			return len(holders)+len(waiting) < n
		}
		moveUp := func() (out []claimant) {
			for len(waiting) > 0 {
				most := waiting[0].Most
				for _, h := range holders {
					most = min(most, h.Most)
				}
				if len(holders) >= most {
					break
				}
				c := waiting[0]
				c.Granted, waiting = true, waiting[1:]
				holders, out = append(holders, c), append(out, c)
			}
			return out
		}
		same := func(what string, got, want []claimant) {
			if d := gocmp.Diff(want, got, cmpopts.IgnoreUnexported(claimant{}), cmpopts.EquateEmpty()); d != "" {
				rt.Fatalf("%s (-want +got):\n%s", what, d)
			}
		}
		for step := range rapid.IntRange(1, 60).Draw(rt, "steps") {
			who := fmt.Sprint("w", rapid.IntRange(0, 9).Draw(rt, "who"))
			switch rapid.IntRange(0, 5).Draw(rt, "do") {
			case 0, 1, 2:
				c := claimant{Who: who, Most: rapid.IntRange(1, 3).Draw(rt, "most"), Priority: rapid.IntRange(0, 2).Draw(rt, "priority"), Place: int64(step)}
				line.Enter(c)
				leave(who)
				waiting = append(waiting, c)
				slices.SortStableFunc(waiting, func(a, b claimant) int { return cmp.Compare(b.Priority, a.Priority) })
			case 3:
				same("MoveUp", line.MoveUp(), moveUp())
			case 4:
				if got, want := line.Leave(who), leave(who); got != want {
					rt.Fatalf("Leave(%s) = %t; want %t", who, got, want)
				}
			case 5:
				if rapid.IntRange(0, 5).Draw(rt, "rarely") == 0 {
					same("SendAway", line.SendAway(), waiting)
					waiting = nil
				}
			}
			slices.SortFunc(holders, func(a, b claimant) int { return cmp.Compare(a.Place, b.Place) })
			same("All", line.All(), slices.Concat(holders, waiting))
			if line.Holders() != len(holders) || line.Len() != len(holders)+len(waiting) {
				rt.Fatalf("%d holders of %d; want %d of %d", line.Holders(), line.Len(), len(holders), len(holders)+len(waiting))
			}
		}
	})
}

// BenchmarkLine is a place that is handed on while so many wait for it.
func BenchmarkLine(b *testing.B) {
	for _, n := range []int{10, 1000, 100_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			var line core.Line[int]
			for i := range n {
				line.Enter(core.Claimant[int]{Who: i, Most: 1, Place: int64(i)})
			}
			line.MoveUp()
			at := 0
			for b.Loop() {
				line.Leave(at)
				line.Enter(core.Claimant[int]{Who: at + n, Most: 1, Place: int64(at + n)})
				line.MoveUp()
				at++
			}
		})
	}
}
