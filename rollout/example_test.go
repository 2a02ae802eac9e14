package rollout_test

import (
	"context"
	"fmt"
	"time"

	"tutti/rollout"
)

// A controller reports what its targets run, and brings them to what is wanted: the whole use of
// the package in one loop.
func Example() {
	ctx := context.Background()
	now := time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC)
	clock := func() time.Time { now = now.Add(time.Minute); return now } // mostly time.Now
	engine := rollout.NewEngine(&rollout.Memory{}, clock)
	app := rollout.Key{Namespace: "production", Entity: "app-service"}

	_ = engine.SetPolicy(ctx, app, rollout.Policy{Batch: rollout.Percent(10), Soak: 15 * time.Minute, Limit: time.Hour})
	_ = engine.SetVersion(ctx, app, "v2")

	targets := make([]rollout.Report, 20)
	for i := range targets {
		targets[i] = rollout.Report{Target: rollout.Target{Name: fmt.Sprint("target", i)}, Version: "v1", Message: "running"}
	}
	for {
		wanted, err := engine.Orchestrate(ctx, app, targets...)
		if err != nil {
			fmt.Println(err)
			return
		}
		for i, w := range wanted {
			if w.Version != "" && targets[i].Version != w.Version {
				targets[i].Version = w.Version // here the target is updated, restarted, rolled back
			}
		}
		status, _ := engine.Status(ctx, app)
		if status.Good == "v2" || status.LastBad() == "v2" {
			fmt.Println("good:", status.Good, "bad:", status.Bad)
			return
		}
	}
	// Output: good: v2 bad: []
}

// A canary fails, and the rollout says what it does and why.
func ExampleRollout() {
	now := time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC)
	r, err := rollout.New(rollout.Policy{
		Waves: []rollout.Amount{rollout.Count(1), rollout.Percent(50)},
		Limit: 5 * time.Minute,
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	_ = r.Do(now, rollout.Command{Verb: rollout.MarkGood, Version: "v1", By: "ann"})
	_ = r.Do(now, rollout.Command{Verb: rollout.SetVersion, Version: "v2", By: "ann"})

	web := []rollout.Report{
		{Target: rollout.Target{Name: "web1"}, Version: "v1"},
		{Target: rollout.Target{Name: "web2"}, Version: "v1"},
		{Target: rollout.Target{Name: "web3"}, Version: "v1"},
	}
	show := func(p rollout.Plan) {
		for _, v := range p.Verdicts {
			fmt.Println(v.Target, v.Outcome, "-", v.Reason)
		}
		for _, e := range p.Events {
			fmt.Println(e.To, "-", e.Reason)
		}
		for _, a := range p.Assignments {
			fmt.Println(a.Target, "gets", a.Version)
		}
	}
	show(r.Step(rollout.Input{Now: now, Reports: web}))
	fmt.Println(r.Rule())

	web[0].Version, web[0].Health, web[0].Message = "v2", rollout.Failed, "does not start"
	show(r.Step(rollout.Input{Now: now.Add(time.Minute), Reports: web}))
	// Output:
	// idle - mark-good v1
	// idle - set-version v2
	// rolling - rollout of v2 to 3 targets begins
	// web1 gets v2
	// rolls back at 1 failure, now 0
	// web1 failed - reported that v2 failed on it: does not start
	// rolling back - v2 is bad: 1 target failed, 0 tolerated
	// web1 gets v1
}

// A restart is a rollout too: each target does it once, a few at a time.
func ExampleRollout_operation() {
	now := time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC)
	r, _ := rollout.New(rollout.Policy{Batch: rollout.Count(1), Limits: []rollout.Limit{{MinHealthy: rollout.Count(1)}}})
	_ = r.Do(now, rollout.Command{Verb: rollout.Operate, Version: "restart"})
	done := map[string]string{"db1": "", "db2": ""}
	for r.Status().State != rollout.Good {
		var reports []rollout.Report
		for _, name := range []string{"db1", "db2"} {
			reports = append(reports, rollout.Report{Target: rollout.Target{Name: name}, Version: done[name]})
		}
		for _, a := range r.Step(rollout.Input{Now: now, Reports: reports}).Assignments {
			fmt.Println(a.Target, "does", a.Version)
			done[a.Name] = a.Version
		}
		now = now.Add(time.Minute)
	}
	// Output:
	// db1 does restart@1
	// db2 does restart@1
}

// A gate answers pass, fail, or that it does not know; then a person decides.
func ExampleGate() {
	now := time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC)
	r, _ := rollout.New(rollout.Policy{Gates: []rollout.Gate{{Name: "error-rate", Deadline: 5 * time.Minute}}})
	_ = r.Do(now, rollout.Command{Verb: rollout.SetVersion, Version: "v1"})
	step := func(after time.Duration, answers ...rollout.Answer) {
		plan := r.Step(rollout.Input{Now: now.Add(after), Answers: answers,
			Reports: []rollout.Report{{Target: rollout.Target{Name: "web"}, Version: "v1"}}})
		for _, why := range plan.Waiting {
			fmt.Println(why)
		}
	}
	step(0)
	step(time.Minute, rollout.Answer{Gate: "error-rate", Wave: 1, Result: rollout.Undecided, Detail: "no data"})
	step(6 * time.Minute)
	_ = r.Do(now, rollout.Command{Verb: rollout.Skip, By: "ann", Why: "dashboard looks fine"})
	step(7 * time.Minute)
	fmt.Println(r.Status().State, r.Status().Good)
	// Output:
	// gate error-rate has not answered, wait until 2026-03-02 09:05:00
	// gate error-rate has not answered, wait until 2026-03-02 09:05:00: no data
	// gate error-rate has no answer: skip, promote or abort: no data
	// good v1
}

// Two rollouts share what may change at one time.
func ExampleBudget() {
	now := time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC)
	ledger, _ := rollout.NewLedger(rollout.Budget{Name: "one database per rack", Match: map[string]string{"service": "db"}, Per: "rack", Max: rollout.Count(1)})
	for _, entity := range []string{"postgres", "kernel"} {
		r, _ := rollout.New(rollout.Policy{Batch: rollout.Percent(100)})
		_ = r.Do(now, rollout.Command{Verb: rollout.SetVersion, Version: "v2"})
		plan := r.Step(rollout.Input{Now: now, Ledger: ledger, Entity: entity, Reports: []rollout.Report{
			{Target: rollout.Target{Name: entity + "1"}, Version: "v1", Labels: map[string]string{"service": "db", "rack": "r1"}},
			{Target: rollout.Target{Name: entity + "2"}, Version: "v1", Labels: map[string]string{"service": "db", "rack": "r1"}},
		}})
		fmt.Println(entity, len(plan.Assignments), plan.Waiting)
	}
	// Output:
	// postgres 1 [budget one database per rack (r1) is used up: 1 changing, 1 allowed]
	// kernel 0 [budget one database per rack (r1) is used up: 1 changing, 1 allowed]
}

// An amount is a count or a percentage.
func ExampleAmount() {
	for _, text := range []string{"3", "10%", "0.5%"} {
		a, err := rollout.ParseAmount(text)
		fmt.Println(a, a.Of(50), a.AtLeast(50), err)
	}
	// Output:
	// 3 3 3 <nil>
	// 10% 5 5 <nil>
	// 0.5% 1 1 <nil>
}
