package rollout

import (
	"fmt"
	"runtime"
	"testing"
	"time"
)

// start is when the tests begin.
var start = time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC)

// sizes is the curve that the benchmarks show.
var sizes = []int{100, 1_000, 10_000, 100_000, 1_000_000}

// fleet returns a rollout that runs v2 over n targets in ten zones, and the reports of all.
func fleet(tb testing.TB, n int, p Policy) (*Rollout, []Report) {
	tb.Helper()
	r, err := New(p)
	if err != nil {
		tb.Fatal(err)
	}
	reports := make([]Report, n)
	zones := make([]map[string]string, 10)
	for i := range zones {
		zones[i] = map[string]string{"zone": fmt.Sprint("z", i)}
	}
	for i := range reports {
		reports[i] = Report{Target: Target{Group: fmt.Sprint("g", i%4), Name: fmt.Sprintf("target-%07d", i)}, Version: "v1", Labels: zones[i%10]}
	}
	do(tb, r, start, Command{Verb: MarkGood, Version: "v1"})
	r.Step(Input{Now: start, Reports: reports})
	for i := range reports {
		reports[i].Labels = nil
	}
	return r, reports
}

func do(tb testing.TB, r *Rollout, now time.Time, c Command) {
	tb.Helper()
	if err := r.Do(now, c); err != nil {
		tb.Fatalf("%s: %v", c.Verb, err)
	}
}

// policy is that of the benchmarks: limits, spread and soak all at work.
var benchPolicy = Policy{
	Batch: Percent(20), Success: 99, Soak: time.Minute, Spread: "zone",
	Limits: []Limit{{MinHealthy: Percent(50)}, {Per: "zone", MaxUnavailable: Percent(50)}},
}

// A report of 1,000 changed targets, in the middle of a rollout.
func BenchmarkStepChanged(b *testing.B) {
	for _, n := range sizes {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			r, reports := fleet(b, n, benchPolicy)
			do(b, r, start, Command{Verb: SetVersion, Version: "v2"})
			now := start.Add(time.Second)
			r.Step(Input{Now: now, Others: true})
			changed := make([]Report, min(n, 1000))
			k := 0
			for b.Loop() {
				for i := range changed {
					c := &reports[k%n]
					if k++; c.Health == Healthy {
						c.Health = Unhealthy
					} else {
						c.Health = Healthy
					}
					changed[i] = *c
				}
				now = now.Add(time.Millisecond)
				r.Step(Input{Now: now, Reports: changed, Others: true})
			}
		})
	}
}

// A rollout that goes on: each step reports the assigned of the step before.
func BenchmarkStepRolling(b *testing.B) {
	for _, n := range sizes {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			p := benchPolicy
			p.Soak, p.Batch = 0, Count(1000)
			r, _ := fleet(b, n, p)
			now := start
			var changed []Report
			version := 1
			for b.Loop() {
				if r.head.State != Rolling {
					version++
					do(b, r, now, Command{Verb: SetVersion, Version: fmt.Sprint("v", version)})
				}
				now = now.Add(time.Second)
				plan := r.Step(Input{Now: now, Reports: changed, Others: true})
				changed = changed[:0]
				for _, a := range plan.Assignments {
					changed = append(changed, Report{Target: a.Target, Version: a.Version})
				}
			}
		})
	}
}

// A report of all targets, at most 100,000, of which nothing changed.
func BenchmarkStepFull(b *testing.B) {
	for _, n := range sizes {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			r, reports := fleet(b, n, benchPolicy)
			do(b, r, start, Command{Verb: SetVersion, Version: "v2"})
			now := start
			k := 0
			for b.Loop() {
				now = now.Add(time.Millisecond)
				part := min(n, 100_000)
				r.Step(Input{Now: now, Reports: reports[k : k+part]})
				k = (k + part) % n
			}
		})
	}
}

// The beginning of a rollout, which looks at every target once.
func BenchmarkBegin(b *testing.B) {
	for _, n := range sizes {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			r, _ := fleet(b, n, benchPolicy)
			now := start
			version := 1
			for b.Loop() {
				version++
				do(b, r, now, Command{Verb: Force, Version: fmt.Sprint("v", version)})
				r.Step(Input{Now: now, Others: true})
			}
		})
	}
}

// The memory of a million targets, names and labels included.
func BenchmarkMemory(b *testing.B) {
	for _, n := range sizes {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			for b.Loop() {
				b.ReportMetric(bytesPerTarget(b, n), "B/target")
			}
		})
	}
}

func bytesPerTarget(tb testing.TB, n int) float64 {
	heap := func() uint64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	before := heap()
	r, err := New(benchPolicy)
	if err != nil {
		tb.Fatal(err)
	}
	do(tb, r, start, Command{Verb: MarkGood, Version: "v1"})
	do(tb, r, start, Command{Verb: SetVersion, Version: "v2"})
	zones := map[string]string{"zone": "a"}
	for i := 0; i < n; i += 1000 {
		var reports []Report
		for j := i; j < min(n, i+1000); j++ {
			reports = append(reports, Report{Target: Target{Group: "g", Name: fmt.Sprintf("target-%07d", j)}, Version: "v1", Labels: zones})
		}
		r.Step(Input{Now: start, Reports: reports})
	}
	after := heap()
	if r.Len() != n {
		tb.Fatalf("Len() = %d; want %d", r.Len(), n)
	}
	return float64(after-before) / float64(n)
}
