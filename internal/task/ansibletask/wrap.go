package ansibletask

import (
	"context"
	"encoding/json"
	"maps"

	"tutti/api"
	"tutti/errs"
	"tutti/internal/ansible"
	"tutti/internal/task"
	"tutti/sdk"
)

// Wrapper is what ansible takes.
type Wrapper struct {
	task.Repository
	Options
	File    string                 `json:"file,omitempty" doc:"Path of the resource's file: JSON in the common format. It becomes the extra variable resource" maxLength:"1024"`
	Folder  string                 `json:"folder,omitempty" doc:"Folder of the files of many resources, instead of file: each becomes a host" maxLength:"1024"`
	From    map[string]string      `json:"from,omitempty" doc:"Extra variables, by where in the resource of file they are, such as placement.cluster" maxProperties:"200"`
	Hosts   *ansible.FromResources `json:"hosts,omitempty" doc:"How resources become hosts of the inventory; without it a file is none, and each of a folder is one by its name"`
	Project Project                `json:"project,omitempty" doc:"Where the playbook is; by default the top of the resource's repository, at the same commit. For local"`
	Approve *Ask                   `json:"approve,omitempty" doc:"Have what the playbook would change checked and approved first; without it the playbook runs at once"`
	Trial   bool                   `json:"trial,omitempty" doc:"Only check, and give what the playbook would change: nothing is asked, and nothing runs"`
	Undo    *Undo                  `json:"undo,omitempty" doc:"What takes back what the playbook did, also where it did but half of it"`
}

// Undo names what takes a playbook back.
type Undo struct {
	Playbook string `json:"playbook,omitempty" doc:"Another playbook of the project, run with the same variables and hosts" maxLength:"1024"`
	Template string `json:"template,omitempty" doc:"Another job template, for awx" maxLength:"512"`
}

type wrapper struct {
	sdk.TaskType
	d Deps
}

func (d Deps) wrapper() sdk.TaskType {
	return wrapper{define(api.TaskType{Name: "ansible", Title: "Configure a resource with Ansible", Reattach: true,
		Doc: "Reads a resource's file, or a folder of them, at exactly one commit, makes extra variables and an inventory of them, and runs a playbook as tasks of its own: inputs, check, approval, playbook. " +
			"It gives hosts, changed, values, digest and commit; a trial gives check instead of values. Its undo runs another playbook."},
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

func (in Wrapper) making() Inputs {
	return Inputs{in.Repository, Making{File: in.File, Folder: in.Folder, From: in.From, Hosts: in.Hosts, Variables: in.Variables, Inventory: in.Inventory}}
}

// Do checks the resource and gives the tasks that configure it.
func (w wrapper) Do(ctx context.Context, t *sdk.Task) (sdk.Result, error) {
	if _, err := w.TaskType.Do(ctx, t); err != nil {
		return sdk.Result{}, err
	}
	var in Wrapper
	if err := json.Unmarshal(task.WithoutNulls(t.With), &in); err != nil {
		return sdk.Result{}, errs.New(errs.Invalid, "input of %s: %w", t.Task, err)
	}
	if in.Trial {
		in.Approve, in.Undo = nil, nil
	}
	tasks, err := in.tasks(t)
	if err != nil {
		return sdk.Result{}, err
	}
	if in.Trial {
		return in.trial(tasks), nil
	}
	outputs := outputsOf("play")
	delete(outputs, "changes")
	through := map[string]any{}
	for name := range outputs {
		through[name] = "${{ tasks.steps.out." + name + " }}"
	}
	through["commit"] = in.Commit
	return sdk.Expand(map[string]any{"steps": map[string]any{"title": "Ansible: " + task.Literal(in.Playbook+in.Template), "tasks": tasks, "outputs": outputs}}, through), nil
}

// trial ends with the check.
func (in Wrapper) trial(tasks map[string]any) sdk.Result {
	check := tasks["play"].(map[string]any)
	check["use"] = "ansible.check"
	delete(check, "needs")
	return sdk.Expand(map[string]any{"steps": map[string]any{
		"title": "Ansible check: " + task.Literal(in.Playbook+in.Template), "tasks": map[string]any{"inputs": tasks["inputs"], "check": check},
		"outputs": map[string]any{"check": "${{ tasks.check.out }}"},
	}}, map[string]any{
		"check": "${{ tasks.steps.out.check }}", "hosts": "${{ tasks.steps.out.check.hosts }}", "changed": "${{ tasks.steps.out.check.changed }}",
		"summary": "${{ tasks.steps.out.check.summary }}", "digest": "${{ tasks.steps.out.check.digest }}", "job": "${{ tasks.steps.out.check.job }}", "commit": in.Commit,
	})
}

// tasks are the single calls.
func (in Wrapper) tasks(t *sdk.Task) (map[string]any, error) {
	if in.Undo != nil && (in.Undo.Playbook == "") == (in.Undo.Template == "") {
		return nil, errs.New(errs.Invalid, "with.undo names either a playbook or a template")
	}
	with, err := task.Carried(t, in)
	if err != nil {
		return nil, err
	}
	local := in.Backend.Name() == ansible.Local
	if local && in.Project.Repository == nil && len(in.Project.Files) == 0 {
		project := pick(with, "repository", "commit", "user", "password", "key", "hostKey")
		path := in.Project.Path
		with["project"] = map[string]any{"repository": project, "path": task.Literal(path)}
	}
	job := pick(with, "backend", "playbook", "template", "inventoryName", "branch", "secrets", "environment", "login", "limit", "tags", "skipTags", "forks", "timeout", "diff", "project")
	job["variables"] = "${{ tasks.inputs.out.variables }}"
	if local {
		job["inventory"] = "${{ tasks.inputs.out.inventory }}"
	}
	timeout := ansible.DefaultTimeout.String()
	if in.Timeout > 0 {
		timeout = (2 * in.Timeout).String() // the playbook's own is shorter, and says more
	}
	// A playbook that failed is not run again by itself; where the place was merely not reached it was not
	// run, or goes on and is found again. Nor is a host waited for that is away: it may be so for days.
	retry := map[string]any{"max": 4, "wait": "1s", "factor": 3, "cap": "30s", "jitter": 0.2, "if": "error.retryable && error.type != '" + ansible.FailOffline + "'"}
	call := func(typ string, with map[string]any) map[string]any {
		return map[string]any{"use": "ansible." + typ, "retry": retry, "timeout": timeout, "with": with}
	}
	play := call("playbook", job)
	begin := map[string]any{"title": "Begin", "use": "noop", "needs": []string{"inputs"}}
	tasks := map[string]any{
		"inputs": call("inputs", pick(with, "repository", "commit", "user", "password", "key", "hostKey", "file", "folder", "from", "hosts", "variables", "inventory")),
		"begin":  begin, "play": play,
	}
	play["needs"] = []string{"begin"}
	if in.Approve != nil {
		tasks["check"] = call("check", job)
		in.approval(tasks, begin, play, with["approve"])
	}
	if in.Undo != nil {
		back := maps.Clone(job)
		delete(back, "template")
		delete(back, "playbook")
		maps.Copy(back, task.LiteralValue(in.Undo).(map[string]any))
		begin["undo"] = call("playbook", back)
	}
	return tasks, nil
}

// approval adds the task that asks. Nothing begins, so that nothing is taken back, without a yes.
func (in Wrapper) approval(tasks, begin, play map[string]any, ask any) {
	approve := in.Approve.task("", "${{ tasks.check.out.digest }}", "${{ tasks.check.out }}")
	approve["needs"] = []string{"check"}
	if in.Approve.When != "always" {
		approve["when"] = "tasks.check.out.changed"
	}
	tasks["approve"] = approve
	const status = "${{ tasks.approve?.status ?? 'skipped' }}"
	begin["after"], begin["when"] = []string{"approve"}, "(tasks.approve?.status ?? 'skipped') in ['succeeded', 'skipped']"
	with := maps.Clone(play["with"].(map[string]any))
	with["digest"], with["approval"], with["ask"] = "${{ tasks.check.out.digest }}", status, ask
	delete(play, "needs")
	play["after"], play["with"] = []string{"begin", "approve"}, with
}

// pick returns some members of an object.
func pick(from map[string]any, names ...string) map[string]any {
	out := map[string]any{}
	for _, name := range names {
		if v, ok := from[name]; ok {
			out[name] = v
		}
	}
	return out
}
