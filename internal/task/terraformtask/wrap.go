package terraformtask

import (
	"context"
	"encoding/json"
	"maps"
	"slices"

	"tutti/api"
	"tutti/errs"
	"tutti/internal/task"
	"tutti/sdk"
)

// Wrapper is what terraform takes.
type Wrapper struct {
	Place
	task.Repository
	File        string                     `json:"file" doc:"Path of the resource's file: JSON in the common format" minLength:"1" maxLength:"1024"`
	Module      Module                     `json:"module" doc:"The Terraform module that makes such a resource"`
	From        map[string]string          `json:"from,omitempty" doc:"Where in the resource the values of the module's variables are, such as placement.cluster; others come from the field of their name, and the variable resource is the whole" maxProperties:"500"`
	Variables   map[string]json.RawMessage `json:"variables,omitempty" doc:"Variables of the module given directly" maxProperties:"500"`
	Secrets     map[string]string          `json:"secrets,omitempty" doc:"Variables of the module that are secrets; give ${{ secrets.NAME }} and nothing else" maxProperties:"200"`
	Environment map[string]string          `json:"environment,omitempty" doc:"Environment of the providers; for what is secret give ${{ secrets.NAME }} and nothing else" maxProperties:"200"`
	Approve     *Ask                       `json:"approve,omitempty" doc:"Who approves the plan, and when; by default approvers, where it has changes"`
	Destroy     bool                       `json:"destroy,omitempty" doc:"Destroy the resource instead of making it"`
	Trial       bool                       `json:"trial,omitempty" doc:"Only plan, and give the plan: nothing is asked and nothing is applied"`
	Timeout     api.Duration               `json:"timeout,omitempty" doc:"How long a plan or an apply may take; by default 2h"`
}

type wrapper struct {
	sdk.TaskType
	d Deps
}

func (d Deps) wrapper() sdk.TaskType {
	return wrapper{define(api.TaskType{Name: "terraform", Title: "Make a resource with Terraform", Reattach: true,
		Doc: "Reads a resource's file at exactly one commit, makes a Terraform configuration of it and a module, and runs it as tasks of its own: workspace, variables, upload, plan, approval, apply, outputs. " +
			"It gives values (the outputs), changed, run, digest and commit; a trial gives plan instead of values. Its undo destroys what it made, unless the workspace had resources before."},
		func(ctx context.Context, t *sdk.Task, in Wrapper) (Wrapper, error) {
			// Everything that can be wrong with the resource is found here, before anything is done.
			_, err := d.make(ctx, t, in.making())
			return in, err
		}), d}
}

// Spec describes the type; what it gives is what the tasks in its place give.
func (w wrapper) Spec() api.TaskType {
	s := w.TaskType.Spec()
	s.Out = nil
	return s
}

func (in Wrapper) making() Making {
	return Making{Repository: in.Repository, File: in.File, Module: in.Module, From: in.From, Values: in.Variables, Outside: slices.Sorted(maps.Keys(in.Secrets))}
}

// Do checks the resource and gives the tasks that make it.
func (w wrapper) Do(ctx context.Context, t *sdk.Task) (sdk.Result, error) {
	if _, err := w.TaskType.Do(ctx, t); err != nil {
		return sdk.Result{}, err
	}
	var in Wrapper
	if err := json.Unmarshal(task.WithoutNulls(t.With), &in); err != nil {
		return sdk.Result{}, errs.New(errs.Invalid, "input of %s: %w", t.Task, err)
	}
	tasks, err := in.tasks(t)
	if err != nil {
		return sdk.Result{}, err
	}
	if in.Trial {
		return in.trial(t, tasks), nil
	}
	return sdk.Expand(map[string]any{"steps": map[string]any{
		"title": "Terraform in workspace " + task.Literal(in.Workspace),
		"limit": in.limit(t),
		"tasks": tasks,
		"outputs": map[string]any{
			"values": "${{ tasks.output.out.values }}", "changed": "${{ tasks.plan.out.has_changes }}", "run": "${{ tasks.plan.out.run }}",
			"digest": "${{ tasks.plan.out.digest }}", "workspace": task.Literal(in.Workspace), "resources": "${{ tasks.output.out.resources ?? [] }}",
		},
	}}, map[string]any{
		"values": "${{ tasks.steps.out.values }}", "changed": "${{ tasks.steps.out.changed }}", "run": "${{ tasks.steps.out.run }}", "digest": "${{ tasks.steps.out.digest }}",
		"workspace": "${{ tasks.steps.out.workspace }}", "resources": "${{ tasks.steps.out.resources }}", "commit": in.Commit,
	}), nil
}

// trial ends with the plan. A workspace that it had to make goes again.
func (in Wrapper) trial(t *sdk.Task, tasks map[string]any) sdk.Result {
	for _, name := range []string{"apply", "approve", "output"} {
		delete(tasks, name)
	}
	plan := tasks["plan"].(map[string]any)
	delete(plan, "undo")
	with := plan["with"].(map[string]any)
	with["trial"], with["forget"] = true, "${{ tasks.workspace.out.created }}"
	return sdk.Expand(map[string]any{"steps": map[string]any{
		"title": "Terraform plan in workspace " + task.Literal(in.Workspace), "limit": in.limit(t), "tasks": tasks,
		"outputs": map[string]any{"plan": "${{ tasks.plan.out }}"},
	}}, map[string]any{
		"plan": "${{ tasks.steps.out.plan }}", "changed": "${{ tasks.steps.out.plan.has_changes }}", "digest": "${{ tasks.steps.out.plan.digest }}",
		"run": "${{ tasks.steps.out.plan.run }}", "workspace": task.Literal(in.Workspace), "commit": in.Commit,
	})
}

// limit lets one at a time into a workspace.
func (in Wrapper) limit(t *sdk.Task) map[string]any {
	return map[string]any{"key": "terraform/" + task.Literal(t.Namespace+"/"+in.Backend.Driver+"/"+in.Workspace)}
}

// tasks are the single calls.
func (in Wrapper) tasks(t *sdk.Task) (map[string]any, error) {
	with, err := task.Carried(t, in)
	if err != nil {
		return nil, err
	}
	timeout := "2h"
	if in.Timeout > 0 {
		timeout = in.Timeout.String()
	}
	retry := map[string]any{"max": 4, "wait": "1s", "factor": 3, "cap": "30s", "jitter": 0.2, "if": "error.retryable"}
	call := func(typ string, needs []string, more map[string]any) map[string]any {
		out := map[string]any{"use": "terraform." + typ, "retry": retry, "timeout": timeout}
		place := map[string]any{"workspace": with["workspace"]}
		if with["backend"] != nil {
			place["backend"] = with["backend"]
		}
		maps.Copy(place, more)
		if out["with"] = place; len(needs) > 0 {
			out["needs"] = needs
		}
		return out
	}
	pick := func(names ...string) map[string]any {
		out := map[string]any{}
		for _, name := range names {
			if v, ok := with[name]; ok {
				out[name] = v
			}
		}
		return out
	}
	source := pick("repository", "commit", "user", "password", "key", "hostKey", "file", "module", "from")
	if with["variables"] != nil {
		source["values"] = with["variables"]
	}
	if names := slices.Sorted(maps.Keys(in.Secrets)); len(names) > 0 {
		source["outside"] = task.LiteralValue(names)
	}
	const config, run, digest = "${{ tasks.upload.out.config }}", "${{ tasks.plan.out.run }}", "${{ tasks.plan.out.digest }}"
	plan := call("plan", []string{"variables"}, map[string]any{"config": config, "destroy": in.Destroy})
	if !in.Destroy {
		plan["undo"] = map[string]any{"use": "terraform.destroy", "timeout": timeout, "retry": retry,
			"with": call("", nil, map[string]any{"config": config, "run": "${{ out.run }}", "fresh": "${{ out.fresh }}"})["with"]}
	}
	apply := call("apply", nil, map[string]any{"config": config, "run": run, "digest": digest, "destroy": in.Destroy})
	// An apply that failed is not done again as it is: the state has changed. Where the place was merely
	// not reached, nothing was done, or it goes on and is found again.
	apply["when"] = "tasks.plan.out.has_changes"
	tasks := map[string]any{
		"workspace": call("workspace", nil, nil),
		"variables": call("variables", []string{"workspace"}, pick("secrets", "environment")),
		"upload":    call("upload", []string{"workspace"}, map[string]any{"source": source}),
		"plan":      plan, "apply": apply,
		"output": call("output", nil, nil),
	}
	tasks["output"].(map[string]any)["after"] = []string{"apply"}
	in.approval(tasks, apply)
	return tasks, nil
}

// approval adds the task that asks, where it is to be asked.
func (in Wrapper) approval(tasks, apply map[string]any) {
	when := "tasks.plan.out.has_changes"
	if in.Approve != nil {
		switch in.Approve.When {
		case "never":
			return
		case "destroys":
			when = "tasks.plan.out.summary.destroy > 0"
		}
	}
	ask := in.Approve.task("", "${{ tasks.plan.out.digest }}", "${{ tasks.plan.out }}")
	ask["when"] = when
	tasks["approve"] = ask
	apply["after"] = []string{"approve"}
	with := apply["with"].(map[string]any)
	with["approval"] = "${{ tasks.approve?.status ?? 'skipped' }}"
	if in.Approve != nil {
		with["ask"] = task.LiteralValue(in.Approve)
	} else {
		with["ask"] = map[string]any{"when": "always"}
	}
}
