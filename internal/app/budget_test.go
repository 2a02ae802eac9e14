package app_test

import (
	"fmt"
	"testing"
	"time"

	"tutti/api"
	"tutti/internal/app"
	"tutti/sdk"
)

// servers changes six databases in waves, each while it holds a place in the budgets.
const servers = `
kind: Workflow
name: servers
inputs: {}
tasks:
  servers:
    each: { in: "0..5", as: i, key: string(i), waves: [3], parallel: 3 }
    tasks:
      hold: { use: budget.hold, with: { name: "db-${{ i }}", labels: { service: db } } }
      change: { needs: [hold], use: noop }
      release: { needs: [change], use: budget.release, with: { name: "db-${{ i }}" } }
`

// A rollout of the service and an each with waves draw on one ledger: together they never change more than the budget
// lets them, and both end well.
func TestOneLedger(t *testing.T) {
	t.Parallel()
	d := withTypes(t, app.Config{})
	at := api.RolloutIn{NS: api.NS{Namespace: "default"}, Entity: "db"}
	const most = 2
	if _, err := sdk.Call(t.Context(), d.admin, api.SetRolloutBudgets, api.SetRolloutBudgetsIn{NS: at.NS, Body: api.RolloutBudgets{
		Budgets: []api.RolloutBudget{{Name: "db", Match: map[string]string{"service": "db"}, Max: fmt.Sprint(most)}}}}); err != nil {
		t.Fatal(err)
	}
	command := func(verb, version string) {
		if _, err := sdk.Call(t.Context(), d.admin, api.CommandRollout, api.CommandRolloutIn{RolloutIn: at, Verb: verb, Body: api.RolloutCommand{Version: version}}); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := sdk.Call(t.Context(), d.admin, api.SetRolloutPolicy, api.SetRolloutPolicyIn{RolloutIn: at, Body: api.RolloutPolicy{Batch: "100%"}}); err != nil {
		t.Fatal(err)
	}
	command("mark-good", "v1")
	command("set-version", "v2")
	d.mustApply(servers)
	run := d.run("servers", "{}", 0)

	fleet := make([]api.RolloutReport, 10)
	for i := range fleet {
		fleet[i] = api.RolloutReport{Name: fmt.Sprint("t", i), Version: "v1", Labels: map[string]string{"service": "db"}}
	}
	wanted := map[string]string{} // of the answer before: targets act a moment later
	var state api.State
	both := false // they drew on the budget at the same time
	for began := time.Now(); ; {
		plan, err := sdk.Call(t.Context(), d.admin, api.Orchestrate, api.OrchestrateIn{RolloutIn: at, Body: api.OrchestrateBody{Reports: fleet}})
		if err != nil {
			t.Fatal(err)
		}
		uses, err := sdk.Call(t.Context(), d.admin, api.ListRolloutBudgets, api.ListRolloutBudgetsIn{NS: at.NS})
		if err != nil {
			t.Fatal(err)
		}
		r, err := sdk.Call(t.Context(), d.admin, api.GetRollout, at)
		if err != nil {
			t.Fatal(err)
		}
		for _, u := range uses.Items {
			if u.Changing > most {
				t.Fatalf("%d are changing; the budget is %d", u.Changing, most)
			}
			both = both || u.Changing > r.Pending && r.Pending > 0
		}
		if !state.Ended() {
			now, err := sdk.Call(t.Context(), d.admin, api.GetRun, api.GetRunIn{NS: at.NS, ID: run.ID})
			if err != nil {
				t.Fatal(err)
			}
			if state = now.State; state.Ended() && state != api.Succeeded {
				t.Fatalf("the run is %s: %+v", state, now.Failure)
			}
		}
		if r.State == "good" && state.Ended() {
			break
		}
		if time.Since(began) > 2*time.Minute {
			t.Fatalf("the rollout is %+v, the run is %s", r, state)
		}
		for i := range fleet {
			if v := wanted[fleet[i].Name]; v != "" {
				fleet[i].Version = v
			}
		}
		for _, w := range plan.Targets {
			wanted[w.Name] = w.Version
		}
	}
	t.Logf("seen drawing on the budget at the same time: %t", both)
	uses, err := sdk.Call(t.Context(), d.admin, api.ListRolloutBudgets, api.ListRolloutBudgetsIn{NS: at.NS})
	if err != nil || len(uses.Items) != 1 || uses.Items[0].Changing != 0 {
		t.Errorf("budgets = %+v, %v; want nothing changing at the end", uses, err)
	}
}
