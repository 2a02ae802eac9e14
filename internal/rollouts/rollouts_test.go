package rollouts

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"tutti/api"
	"tutti/errs"
	"tutti/internal/service/servicetest"
	"tutti/rollout"
	"tutti/rollout/rollouttest"
)

func TestStore(t *testing.T) {
	t.Parallel()
	t.Run("sqlite", func(t *testing.T) {
		t.Parallel()
		rollouttest.Run(t, func(t *testing.T) rollout.Store {
			return sqlStore{servicetest.SQLite(t, "rollouts", Migrations).Deps.DB, nil}
		})
	})
	t.Run("postgres", func(t *testing.T) {
		t.Parallel()
		rollouttest.Run(t, func(t *testing.T) rollout.Store {
			return sqlStore{servicetest.Postgres(t, "rollouts", Migrations).Deps.DB, nil}
		})
	})
}

var app = api.RolloutIn{NS: api.NS{Namespace: "default"}, Entity: "my.app"}

func command(ctx context.Context, e *servicetest.Env, verb, version string) (api.Rollout, error) {
	return api.CommandRollout.Call(ctx, e.Deps.Bus, api.CommandRolloutIn{RolloutIn: app, Verb: verb, Body: api.RolloutCommand{Version: version, Why: "it's time"}})
}

func orchestrate(ctx context.Context, e *servicetest.Env, body api.OrchestrateBody) (api.RolloutPlan, error) {
	return api.Orchestrate.Call(ctx, e.Deps.Bus, api.OrchestrateIn{RolloutIn: app, Body: body})
}

func fleet(n int, version string) []api.RolloutReport {
	all := make([]api.RolloutReport, n)
	for i := range all {
		all[i] = api.RolloutReport{Group: "g", Name: fmt.Sprint("t", i), Version: version, Labels: map[string]string{"zone": fmt.Sprint(i % 2)}}
	}
	return all
}

// A controller's whole life: policy, version, reports, a failure, the way back, and who did what.
func TestRollout(t *testing.T) {
	t.Parallel()
	servicetest.Both(t, "rollouts", Migrations, func(t *testing.T, e *servicetest.Env) {
		stop := e.Start(t, New(nil), api.SetRolloutBudgets)
		olga := servicetest.As(t, "user:olga", "default", api.Operator)
		if _, err := api.GetRollout.Call(olga, e.Deps.Bus, app); !errs.Is(err, errs.NotFound) {
			t.Errorf("GetRollout of nothing = %v; want not found", err)
		}
		policy := api.RolloutPolicy{Waves: []string{"1", "50%"}, Limits: []api.RolloutLimit{{Per: "zone", MaxUnavailable: "50%"}}, Limit: api.Duration(time.Minute)}
		got, err := api.SetRolloutPolicy.Call(olga, e.Deps.Bus, api.SetRolloutPolicyIn{RolloutIn: app, Body: policy})
		if err != nil || got.Policy == nil || !slices.Equal(got.Policy.Waves, policy.Waves) || got.Policy.Limit != policy.Limit {
			t.Fatalf("SetRolloutPolicy = %+v, %v", got, err)
		}
		for _, c := range [][2]string{{"mark-good", "v1"}, {"set-version", "v2"}} {
			if _, err := command(olga, e, c[0], c[1]); err != nil {
				t.Fatalf("%s: %v", c[0], err)
			}
		}
		all := fleet(6, "v1")
		plan, err := orchestrate(olga, e, api.OrchestrateBody{Reports: all})
		if err != nil || plan.State != "rolling" || len(plan.Targets) != 6 || plan.Targets[0].Version != "v2" || plan.Targets[1].Version != "" {
			t.Fatalf("Orchestrate = %+v, %v; want the first to get v2", plan, err)
		}
		stop()
		e.Start(t, New(nil), api.SetRolloutBudgets) // a process that starts again knows all of it
		all[0].Attempted, all[0].Health, all[0].Message = "v2", "failed", "it's broken"
		plan, err = orchestrate(olga, e, api.OrchestrateBody{Reports: all[:1], Others: true})
		if err != nil || plan.State != "rolling back" || len(plan.Targets) != 1 || plan.Targets[0].Version != "v1" {
			t.Fatalf("Orchestrate = %+v, %v; want the way back", plan, err)
		}
		all[0].Attempted, all[0].Health = "", ""
		plan, err = orchestrate(olga, e, api.OrchestrateBody{Reports: all[:1], Others: true, All: true})
		if err != nil || plan.State != "reverted" || len(plan.Targets) != 6 {
			t.Fatalf("Orchestrate = %+v, %v; want all back", plan, err)
		}
		if _, err := command(olga, e, "set-version", "v2"); !errs.Is(err, errs.Conflict) || !strings.Contains(err.Error(), "known to be bad") {
			t.Errorf("set-version of a bad version = %v; want a conflict", err)
		}
		history, err := api.RolloutHistory.Call(olga, e.Deps.Bus, api.RolloutHistoryIn{RolloutIn: app, Paging: api.Paging{Limit: 2}})
		if err != nil || len(history.Items) != 2 || history.Items[0].To != "reverted" || history.Items[1].Text != "v2 is bad: 1 target failed, 0 tolerated" {
			t.Errorf("RolloutHistory = %+v, %v", history, err)
		}
		rest, err := api.RolloutHistory.Call(olga, e.Deps.Bus, api.RolloutHistoryIn{RolloutIn: app, Paging: api.Paging{Cursor: history.Cursor}})
		if err != nil || len(rest.Items) != 3 || rest.Items[2].By != "user:olga" || rest.Items[2].Text != "mark-good v1: it's time" {
			t.Errorf("the rest of the history = %+v, %v", rest, err)
		}
		page, err := api.ListRolloutTargets.Call(olga, e.Deps.Bus, api.ListRolloutTargetsIn{RolloutIn: app, Paging: api.Paging{Limit: 4}})
		if err != nil || len(page.Items) != 4 || page.Items[0].Outcome != "succeeded" || page.Cursor == "" {
			t.Errorf("ListRolloutTargets = %+v, %v", page, err)
		}
		if _, err := api.DeleteRollout.Call(olga, e.Deps.Bus, app); err != nil {
			t.Error(err)
		}
		want := []string{"user:olga rollout.policy my.app", "user:olga rollout.mark-good my.app", "user:olga rollout.set-version my.app", "user:olga rollout.delete my.app"}
		if got := e.Acts(t); !slices.Equal(got, want) {
			t.Errorf("acts are %q; want %q", got, want)
		}
		events, err := e.Deps.DB.Events(t.Context(), 0, 100)
		if err != nil || len(events) != 5 || events[0].Type != "tutti.rollouts.rollout.moved" || events[0].Subject != "my.app" || events[0].Namespace != "default" {
			t.Errorf("%d events, %v; want five transitions of my.app", len(events), err)
		}
	})
}

// Two processes and many callers never ask for more than a batch.
func TestBatchOverProcesses(t *testing.T) {
	t.Parallel()
	servicetest.Both(t, "rollouts", Migrations, func(t *testing.T, e *servicetest.Env) {
		e.Start(t, New(nil), api.SetRolloutBudgets)
		other := rollout.NewEngine(sqlStore{e.Deps.DB, nil}, time.Now) // another process
		olga := servicetest.As(t, "user:olga", "default", api.Operator)
		policy := api.RolloutPolicy{Batch: "2"}
		if _, err := api.SetRolloutPolicy.Call(olga, e.Deps.Bus, api.SetRolloutPolicyIn{RolloutIn: app, Body: policy}); err != nil {
			t.Fatal(err)
		}
		if _, err := command(olga, e, "set-version", "v2"); err != nil {
			t.Fatal(err)
		}
		var wg sync.WaitGroup
		for i := range 4 {
			wg.Go(func() {
				for range 3 {
					var err error
					if i%2 == 0 {
						_, err = orchestrate(olga, e, api.OrchestrateBody{Reports: fleet(10, "v1")})
					} else {
						_, err = other.Step(t.Context(), rollout.Key{Namespace: "default", Entity: app.Entity}, rollout.Input{Others: true})
					}
					if err != nil {
						t.Errorf("orchestrate: %v", err)
					}
				}
			})
		}
		wg.Wait()
		got, err := api.GetRollout.Call(olga, e.Deps.Bus, app)
		if err != nil || got.Pending != 2 || got.Untouched != 8 {
			t.Errorf("GetRollout = %+v, %v; want 2 pending, the batch", got, err)
		}
	})
}

func TestRefusals(t *testing.T) {
	t.Parallel()
	e := servicetest.SQLite(t, "rollouts", Migrations)
	e.Start(t, New(nil), api.SetRolloutBudgets)
	olga, vera := servicetest.As(t, "user:olga", "default", api.Operator), servicetest.As(t, "user:vera", "default", api.Viewer)
	for name, c := range map[string]struct {
		kind errs.Kind
		call func() error
	}{
		"a viewer": {errs.Denied, func() error { _, err := command(vera, e, "set-version", "v2"); return err }},
		"another namespace": {errs.NotFound, func() error {
			_, err := command(servicetest.As(t, "user:eve", "other", api.Admin), e, "set-version", "v2")
			return err
		}},
		"every namespace": {errs.Invalid, func() error {
			_, err := api.GetRollout.Call(servicetest.As(t, "user:root", "*", api.Admin), e.Deps.Bus, api.RolloutIn{NS: api.NS{Namespace: "*"}, Entity: "a"})
			return err
		}},
		"no version":        {errs.Conflict, func() error { _, err := command(olga, e, "set-version", ""); return err }},
		"pause of nothing":  {errs.NotFound, func() error { _, err := command(olga, e, "pause", ""); return err }},
		"report to nothing": {errs.NotFound, func() error { _, err := orchestrate(olga, e, api.OrchestrateBody{Reports: fleet(1, "v1")}); return err }},
		"options out of range": {errs.Invalid, func() error {
			_, err := api.SetRolloutPolicy.Call(olga, e.Deps.Bus, api.SetRolloutPolicyIn{RolloutIn: app, Body: api.RolloutPolicy{Batch: "-50", Success: 500}})
			return err
		}},
		"health": {errs.Invalid, func() error {
			_, err := orchestrate(olga, e, api.OrchestrateBody{Reports: []api.RolloutReport{{Name: "a", Health: "fine"}}})
			return err
		}},
		"budget": {errs.Invalid, func() error {
			_, err := api.SetRolloutBudgets.Call(olga, e.Deps.Bus, api.SetRolloutBudgetsIn{NS: app.NS, Body: api.RolloutBudgets{Budgets: []api.RolloutBudget{{Name: "a", Max: "0"}}}})
			return err
		}},
	} {
		if err := c.call(); !errs.Is(err, c.kind) {
			t.Errorf("%s: %v; want %s", name, err, c.kind)
		}
	}
	if page, err := api.ListRollouts.Call(vera, e.Deps.Bus, api.ListRolloutsIn{NS: app.NS}); err != nil || len(page.Items) != 0 {
		t.Errorf("ListRollouts = %+v, %v; want nothing: what was refused makes nothing", page, err)
	}
}

func TestPolicyRoundTrip(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC)
	want := api.RolloutPolicy{
		Waves: []string{"1", "10%", "0.5%"}[:2], Batch: "3", Success: 99.5, Tolerate: "2%", Soak: 1e9, Limit: 2e9, Grace: 3e9, Bake: 4e9, FirstBake: 5e9, Deadline: 6e9,
		Silence: 7e9, Forget: 8e9, Gates: []api.RolloutGate{{Name: "slo", Deadline: 9e9, Watch: true, Breach: true}},
		Limits: []api.RolloutLimit{{Per: "zone", MaxUnavailable: "1", MinHealthy: "90%"}}, Order: "shuffle", Spread: "zone",
		Freeze: []api.RolloutFreeze{{From: at, Until: at.Add(time.Hour), Why: "sale"}}, OnBreach: "pause", RollbackBatch: "50%", Choose: true, Replace: true,
	}
	p, err := policyFrom(want)
	if err != nil {
		t.Fatal(err)
	}
	if got := policyOf(p); fmt.Sprintf("%+v", *got) != fmt.Sprintf("%+v", want) {
		t.Errorf("policyOf(policyFrom(p)) = %+v; want %+v", *got, want)
	}
}
