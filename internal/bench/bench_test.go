package bench

import (
	"math"
	"testing"
	"time"

	"tutti/errs"
	"tutti/internal/document"
	"tutti/internal/task/all"
	"tutti/internal/workflow/definition"
	"tutti/sdk"
)

func TestWorkloads(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]struct{ tasks, steps int }{
		"chain10": {10, 10}, "fan100": {102, 3}, "wide1000": {1000, 1}, "chain1": {1, 1}, "wide10000": {10000, 1},
	} {
		w, err := workloadOf(name)
		if err != nil || w.tasks != want.tasks || w.steps != want.steps {
			t.Errorf("workloadOf(%s) = %d tasks, %d steps, %v; want %d, %d", name, w.tasks, w.steps, err, want.tasks, want.steps)
			continue
		}
		docs, problems := document.Parse("bench", []byte(w.definition("bench.x", "bench", 32)))
		if len(problems) > 0 {
			t.Fatalf("definition of %s: %v", name, problems)
		}
		g, problems := definition.Compile(docs[0], nil)
		if len(problems) > 0 {
			t.Fatalf("definition of %s: %v", name, problems)
		}
		if len(g.Tasks.Tasks) != want.tasks {
			t.Errorf("the definition of %s has %d tasks; want %d", name, len(g.Tasks.Tasks), want.tasks)
		}
	}
	for _, name := range []string{"", "10", "chain", "chain0", "wide10001", "fan9999", "tree3", "chain-1"} {
		if _, err := workloadOf(name); !errs.Is(err, errs.Invalid) {
			t.Errorf("workloadOf(%q) = %v; want an error of kind invalid", name, err)
		}
	}
}

func TestAllowance(t *testing.T) {
	t.Parallel()
	a := allowance{rows: 100_000, syncs: 1000}
	chain10, _ := workloadOf("chain10")
	if got := a.completions(chain10, Saturation); got != 100_000 {
		t.Errorf("at saturation %v; want a row a completion", got)
	}
	// Eleven syncs of 1 ms, and ten rows of 10 µs.
	if got, want := a.completions(chain10, Alone), 10/0.0111; math.Abs(got-want) > 1 {
		t.Errorf("alone %v; want %v", got, want)
	}
	if got := median([]float64{3, 1, 2}); got != 2 {
		t.Errorf("median = %v; want 2", got)
	}
}

// TestRun measures a real server for a moment.
func TestRun(t *testing.T) {
	t.Parallel()
	rows, err := Run(t.Context(), Config{Dir: t.TempDir(), Types: noops(), Workloads: []string{"chain3"}, Window: 200 * time.Millisecond, Rounds: 1, InFlight: 8})
	if err != nil {
		t.Fatal(err)
	}
	if len(rows) != 4 {
		t.Fatalf("%d rows; want one for each of two kinds of workers and two modes", len(rows))
	}
	for _, r := range rows {
		if r.Runs == 0 || r.Completions <= 0 || r.P50 <= 0 || r.P99 < r.P50 || r.Ceiling <= 0 || r.Ratio <= 0 || r.CPU <= 0 || r.Bytes < 32 {
			t.Errorf("row %+v lacks something", r)
		}
	}
}

func noops() (out []sdk.TaskType) {
	for _, t := range all.Types(all.Deps{}).Types() {
		if t.Spec().Name == "noop" {
			out = append(out, t)
		}
	}
	return out
}
