package terraformtask

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"tutti/api"
	"tutti/errs"
	"tutti/internal/task"
	"tutti/internal/terraform"
	"tutti/sdk"
)

// Apply is what terraform.apply takes.
type Apply struct {
	Place
	Run      string `json:"run" doc:"Handle of the run, from terraform.plan" minLength:"1" maxLength:"200"`
	Digest   string `json:"digest" doc:"Digest of the plan that is to be applied, as it was approved: no other is" minLength:"1" maxLength:"200"`
	Config   string `json:"config,omitempty" doc:"ID of the configuration, to plan anew where the plan does not fit the state any more; without it such a plan fails" maxLength:"200"`
	Destroy  bool   `json:"destroy,omitempty" doc:"Whether the plan was to destroy"`
	Approval string `json:"approval,omitempty" doc:"Status of the task that asked for approval; where it failed, the plan is discarded" maxLength:"40"`
	Ask      *Ask   `json:"ask,omitempty" doc:"How to ask, where a new plan differs from the approved one"`
	Round    int    `json:"round,omitempty" doc:"How often it was asked before" minimum:"0" maximum:"5"`
}

// Ask says whom to ask for approval, and when.
type Ask struct {
	When string `json:"when,omitempty" doc:"When a plan needs approval: always where it has changes (the default), destroys only where it destroys something, never" enum:"always,destroys,never"`
	task.Ask
}

// ApplyOut is what terraform.apply gives.
type ApplyOut struct {
	Run       string `json:"run" doc:"Handle of the run that was applied"`
	Added     int    `json:"added" doc:"Resources added"`
	Changed   int    `json:"changed" doc:"Resources changed"`
	Destroyed int    `json:"destroyed" doc:"Resources destroyed"`
	Serial    int64  `json:"serial" doc:"Number of the state that came of it, where the place tells"`
}

// applier is terraform.apply. It is no task.Define alone, since it may end by asking again.
type applier struct {
	sdk.TaskType
	d Deps
}

func (d Deps) apply() sdk.TaskType {
	return applier{define(api.TaskType{Name: "terraform.apply", Title: "Apply a plan", Reattach: true,
		Doc: "Applies the plan of a run, if it is the one whose digest was approved, once: a repeated attempt finds the apply of the one before. A plan that was not approved is discarded. " +
			"Where the plan does not fit the state any more it plans anew: the same plan is applied, another one is asked for again."}, d.applyOnce), d}
}

// asksAgain is the error by which applyOnce ends where the new plan is another.
type asksAgain struct {
	run  string
	plan terraform.Plan
}

func (asksAgain) Error() string { return "the plan has changed" }

// Do carries out an attempt.
func (a applier) Do(ctx context.Context, t *sdk.Task) (sdk.Result, error) {
	r, err := a.TaskType.Do(ctx, t)
	again, ok := errors.AsType[asksAgain](err)
	if !ok {
		return r, err
	}
	var in Apply
	if err := json.Unmarshal(t.With, &in); err != nil {
		return r, errs.New(errs.Invalid, "input of %s: %w", t.Task, err)
	}
	in.Run, in.Digest, in.Round = again.run, again.plan.Digest, in.Round+1
	t.Logf("the state changed since the plan was approved, and so did the plan: asking again")
	return in.again(t, again.plan)
}

const maxRounds = 5

// again returns the tasks that ask for a new plan and apply it.
func (in Apply) again(t *sdk.Task, p terraform.Plan) (sdk.Result, error) {
	if in.Round > maxRounds {
		return sdk.Result{}, sdk.Fail(terraform.FailStale, "the plan changed %d times while it was being approved", in.Round).WithHint("see what else changes workspace %s", in.Workspace)
	}
	with, err := task.Carried(t, in)
	if err != nil {
		return sdk.Result{}, err
	}
	with["approval"] = "${{ tasks.approve?.status ?? 'skipped' }}"
	tasks := map[string]any{
		"approve": in.Ask.task("asked again, since the plan changed meanwhile", task.Literal(in.Digest), task.LiteralValue(planOut(in.Run, p))),
		"apply":   map[string]any{"use": "terraform.apply", "after": []string{"approve"}, "retry": map[string]any{"max": 0}, "with": with},
	}
	outputs := map[string]any{}
	for _, name := range []string{"run", "added", "changed", "destroyed", "serial"} {
		outputs[name] = "${{ tasks.apply.out." + name + " }}"
	}
	return sdk.Expand(tasks, outputs), nil
}

// task is the approval of a plan. digest and show are templates.
func (a *Ask) task(why string, digest, show any) map[string]any {
	if a == nil {
		a = &Ask{}
	}
	return a.Approval("Approval of the plan", "Apply this Terraform plan?", why, digest, map[string]any{"plan": show})
}

func (d Deps) applyOnce(ctx context.Context, t *sdk.Task, in Apply) (ApplyOut, error) {
	driver, err := d.open(t, in.Place)
	if err != nil {
		return ApplyOut{}, err
	}
	if in.Approval != "" && in.Approval != "succeeded" && in.Approval != "skipped" {
		if err := driver.Cancel(ctx, in.Workspace, in.Run); err != nil {
			return ApplyOut{}, fmt.Errorf("discard the plan: %w", err)
		}
		return ApplyOut{}, sdk.Fail(terraform.FailRejected, "the plan was not approved, and was discarded; nothing was changed").
			WithHint("the approval's task says who decided and why")
	}
	a, err := d.applyRun(ctx, t, driver, in)
	if !isFailure(err, terraform.FailStale) || in.Config == "" {
		return out(in.Run, a), err
	}
	t.Logf("%v; planning anew", err)
	run, p, err := planned(ctx, t, driver, Plan{Place: in.Place, Config: in.Config, Destroy: in.Destroy}, t.Key+".again")
	switch {
	case err != nil:
		return ApplyOut{}, err
	case !p.HasChanges:
		t.Logf("there is nothing left to do")
		return ApplyOut{Run: run}, driver.Cancel(ctx, in.Workspace, run)
	case p.Digest != in.Digest && (in.Approval == "succeeded" || in.Ask.needed(p)):
		return ApplyOut{}, asksAgain{run, p}
	}
	a, err = applied(ctx, t, driver, in.Workspace, run)
	return out(run, a), err
}

// needed reports whether a plan needs approval.
func (a *Ask) needed(p terraform.Plan) bool {
	if a == nil || a.When == "never" {
		return false
	}
	return a.When != "destroys" || p.Destroy > 0
}

func out(run string, a terraform.Applied) ApplyOut {
	return ApplyOut{run, a.Added, a.Changed, a.Destroyed, a.Serial}
}

// applyRun applies the plan of the run, if it is the one that was agreed to.
func (d Deps) applyRun(ctx context.Context, t *sdk.Task, driver terraform.Driver, in Apply) (terraform.Applied, error) {
	p, err := driver.AwaitPlan(ctx, in.Workspace, in.Run, discard{})
	if err != nil {
		if ctx.Err() != nil {
			return terraform.Applied{}, settle(ctx, t, driver, in.Workspace, in.Run)
		}
		return terraform.Applied{}, err
	}
	if p.Digest != in.Digest {
		return terraform.Applied{}, sdk.Fail(terraform.FailStale, "the plan of run %s is not the one that was approved", in.Run).WithDetails(map[string]any{"digest": p.Digest, "approved": in.Digest})
	}
	return applied(ctx, t, driver, in.Workspace, in.Run)
}

// discard is a log nobody reads.
type discard struct{}

func (discard) Write(b []byte) (int, error) { return len(b), nil }

func isFailure(err error, typ string) bool {
	f, ok := errors.AsType[*sdk.TaskError](err)
	return ok && f.Type == typ
}
