package rollout

import (
	"fmt"
	"testing"
	"time"
)

// A fleet rolls out within its limits, one version fails half-way and goes back, the next one is
// good. With -short it is small; otherwise it has 1,000,000 targets.
func TestFleet(t *testing.T) {
	t.Parallel()
	n := 1_000_000
	if testing.Short() {
		n = 20_000
	}
	p := Policy{
		Waves: []Amount{Count(10), Percent(1), Percent(10), Percent(50)}, Batch: Percent(5), Success: 99.9, Bake: 2 * time.Minute,
		Spread: "zone", Limits: []Limit{{MinHealthy: Percent(80)}, {Per: "zone", MaxUnavailable: Percent(20)}}, Silence: -1, Forget: -1,
	}
	r, _ := fleet(t, n, p)
	now := start
	// drive lets every asked target report a minute later, and each nth fail.
	drive := func(version string, nth int) (asked, back int) {
		do(t, r, now, Command{Verb: SetVersion, Version: version})
		var reports []Report
		for range 500 {
			now = now.Add(time.Minute)
			plan := r.Step(Input{Now: now, Reports: reports, Others: true})
			reports = reports[:0]
			for i, a := range plan.Assignments {
				rep := Report{Target: a.Target, Version: a.Version}
				if a.Code == CodeRollback {
					back++
				} else if asked++; nth > 0 && r.Status().Wave > 3 && i%nth == 0 {
					rep.Health = Failed
				}
				reports = append(reports, rep)
			}
			fleetLimits(t, r, n)
			if s := r.head.State; s != Rolling && s != RollingBack {
				return asked, back
			}
		}
		t.Fatalf("after 500 minutes it is %+v", r.Status())
		return 0, 0
	}
	asked, back := drive("v2", 100)
	if got := r.Status(); got.State != Reverted || got.Good != "v1" || back == 0 || back > asked {
		t.Errorf("v2: %d asked, %d went back, %+v; want it reverted", asked, back, got)
	}
	if asked, back = drive("v3", 0); r.Status().Good != "v3" || asked != n || back != 0 {
		t.Errorf("v3: %d asked, %d went back, %+v; want all on v3", asked, back, r.Status())
	}
	t.Logf("%d targets: v2 reached and left some, v3 reached all, in %s of their time", n, now.Sub(start))
}

// outAndBack rolls v2 out over all of n targets, of which so many fail once it has reached the last that it is bad in the end, and
// back over all it reached, and calls check after each step. It returns how many steps that took.
func outAndBack(tb testing.TB, n int, check func(*Rollout)) (steps int) {
	tb.Helper()
	p := Policy{
		Waves: []Amount{Count(10), Percent(1), Percent(10), Percent(50)}, Batch: Percent(5), Success: 99.9, RollbackBatch: Percent(10),
		Spread: "zone", Limits: []Limit{{MinHealthy: Percent(80)}, {Per: "zone", MaxUnavailable: Percent(20)}}, Silence: -1, Forget: -1,
	}
	r, _ := fleet(tb, n, p)
	do(tb, r, start, Command{Verb: SetVersion, Version: "v2"})
	now, asked, back := start, 0, map[Target]bool{}
	var reports []Report
	for steps = 1; steps < 1000; steps++ {
		now = now.Add(time.Minute)
		plan := r.Step(Input{Now: now, Reports: reports, Others: true})
		check(r)
		reports = reports[:0]
		for _, a := range plan.Assignments {
			rep := Report{Target: a.Target, Version: a.Version}
			if a.Code == CodeRollback {
				if back[a.Target] {
					tb.Fatalf("%s was asked to go back twice", a.Target)
				}
				back[a.Target] = true
			} else if asked++; asked > n-n/500 { // the last of all
				rep.Health = Failed
			}
			reports = append(reports, rep)
		}
		if s := r.head.State; s == Reverted {
			if asked < n-n/500 || len(back) != asked || r.head.Good != "v1" || r.counts[Succeeded] != asked {
				tb.Fatalf("%d were asked and %d went back of %d: %+v", asked, len(back), n, r.Status())
			}
			return steps
		} else if s != Rolling && s != RollingBack {
			tb.Fatalf("it is %+v", r.Status())
		}
	}
	tb.Fatalf("it does not end: %+v", r.Status())
	return 0
}

// A version goes out to all, fails on the last, and goes back from all it reached, within every limit at each step.
func TestOutAndBack(t *testing.T) {
	t.Parallel()
	const n = 20_000
	steps := outAndBack(t, n, func(r *Rollout) { fleetLimits(t, r, n) })
	t.Logf("%d targets, out and back in %d steps", n, steps)
}

// BenchmarkOutAndBack has a million go out and back, each step checked against the limits.
func BenchmarkOutAndBack(b *testing.B) {
	for _, n := range sizes[2:] {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			steps := 0
			for b.Loop() {
				steps = outAndBack(b, n, func(r *Rollout) { fleetLimits(b, r, n) })
			}
			b.ReportMetric(float64(steps), "steps")
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(n), "ns/target")
		})
	}
}

func fleetLimits(t testing.TB, r *Rollout, n int) {
	t.Helper()
	if s := r.Status(); s.Pending > s.Batch && s.State == Rolling {
		t.Fatalf("%d are changing; the batch is %d", s.Pending, s.Batch)
	}
	for i := range r.parts {
		part := &r.parts[i]
		if unavailable := part.n - part.available; part.limit == 1 && unavailable > part.n/5 || part.limit == 0 && part.available < n*8/10 {
			t.Fatalf("%s: %d of %d available", part.name, part.available, part.n)
		}
	}
}
