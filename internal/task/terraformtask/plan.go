package terraformtask

import (
	"context"

	"tutti/api"
	"tutti/internal/terraform"
	"tutti/sdk"
)

// Plan is what terraform.plan takes.
type Plan struct {
	Place
	Config      string `json:"config" doc:"ID of the configuration, from terraform.upload" minLength:"1" maxLength:"200"`
	Destroy     bool   `json:"destroy,omitempty" doc:"Plan to destroy everything"`
	RefreshOnly bool   `json:"refreshOnly,omitempty" doc:"Only look what changed in the world (drift)"`
	Trial       bool   `json:"trial,omitempty" doc:"The plan is for looking at alone and cannot be applied; at HCP Terraform a plan-only run"`
	Forget      bool   `json:"forget,omitempty" doc:"Remove the workspace after a trial where it manages nothing: for one that was made for the trial"`
}

// PlanOut is what terraform.plan gives: the plan, and the run it belongs to.
type PlanOut struct {
	Run     string `json:"run" doc:"Handle of the run, for terraform.apply"`
	Digest  string `json:"digest" doc:"Identifies what the plan does; an approval is bound to it"`
	Changed bool   `json:"has_changes" doc:"Whether applying it does something"`
	Fresh   bool   `json:"fresh" doc:"Whether the workspace managed nothing before"`

	Summary  terraform.Summary     `json:"summary" doc:"How many resources are added, changed and destroyed"`
	Changes  []terraform.Change    `json:"changes" doc:"The diff, by resource and attribute; what is sensitive is left out"`
	Drift    []terraform.Change    `json:"drift,omitempty" doc:"What changed in the world since the last apply"`
	Outputs  []terraform.Attribute `json:"outputs,omitempty" doc:"The outputs that change"`
	Policies []terraform.Policy    `json:"policies,omitempty" doc:"What policies say of it, where there are some"`
	Cost     *terraform.Cost       `json:"cost,omitempty" doc:"Estimated cost per month, where the place estimates"`
	Cut      bool                  `json:"cut,omitempty" doc:"Whether not everything is listed"`
}

func planOut(run string, p terraform.Plan) PlanOut {
	return PlanOut{run, p.Digest, p.HasChanges, p.Fresh, p.Summary, p.Changes, p.Drift, p.Outputs, p.Policies, p.Cost, p.Cut}
}

// varRun is the variable that has the handle of the run, for people.
const varRun = "run"

func (d Deps) plan() sdk.TaskType {
	return define(api.TaskType{Name: "terraform.plan", Title: "Plan a change", Reattach: true,
		Doc: "Makes a plan and gives it as a structured diff. A repeated attempt finds the same run. A plan that nobody applies changes nothing."},
		func(ctx context.Context, t *sdk.Task, in Plan) (PlanOut, error) {
			driver, err := d.open(t, in.Place)
			if err != nil {
				return PlanOut{}, err
			}
			run, p, err := planned(ctx, t, driver, in, t.Key)
			if err == nil && in.Trial && in.Forget && p.Fresh {
				err = driver.Remove(ctx, in.Workspace)
			}
			return planOut(run, p), err
		})
}

// planned makes a plan under a key, or finds it.
func planned(ctx context.Context, t *sdk.Task, driver terraform.Driver, in Plan, key string) (string, terraform.Plan, error) {
	run, err := driver.StartPlan(ctx, terraform.PlanIn{
		Workspace: in.Workspace, Config: in.Config, Key: key, Message: message(t, "plans"),
		Destroy: in.Destroy, RefreshOnly: in.RefreshOnly, Trial: in.Trial, Owner: owner(t),
	})
	if err != nil {
		return "", terraform.Plan{}, err
	}
	if err := t.SetVar(ctx, varRun, run); err != nil {
		return "", terraform.Plan{}, err
	}
	p, err := driver.AwaitPlan(ctx, in.Workspace, run, t.Stdout())
	if err != nil && ctx.Err() != nil {
		return run, p, settle(ctx, t, driver, in.Workspace, run)
	}
	return run, p, err
}

// applied applies the plan of a run, or finds that it was, or is being, applied.
func applied(ctx context.Context, t *sdk.Task, driver terraform.Driver, workspace, run string) (terraform.Applied, error) {
	if err := t.SetVar(ctx, varRun, run); err != nil {
		return terraform.Applied{}, err
	}
	if err := driver.StartApply(ctx, workspace, run, message(t, "applies")); err != nil {
		return terraform.Applied{}, err
	}
	a, err := driver.AwaitApply(ctx, workspace, run, t.Stdout())
	if err != nil && ctx.Err() != nil {
		return a, settle(ctx, t, driver, workspace, run)
	}
	return a, err
}
