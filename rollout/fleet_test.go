package rollout

import (
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

func fleetLimits(t *testing.T, r *Rollout, n int) {
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
