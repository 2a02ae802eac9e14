package ansibletask

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"strings"
	"time"

	"tutti/api"
	"tutti/errs"
	"tutti/internal/ansible"
	"tutti/internal/task"
	"tutti/sdk"
)

// Project is a folder of playbooks, roles and what they use.
type Project struct {
	Path       string            `json:"path,omitempty" doc:"Folder in the repository; by default its top" maxLength:"1024"`
	Repository *task.Repository  `json:"repository,omitempty" doc:"Where the project is"`
	Files      map[string]string `json:"files,omitempty" doc:"The project's files by path, instead of a repository" maxProperties:"500"`
}

// Options are how a playbook runs, wherever it does.
type Options struct {
	Backend   ansible.Connection `json:"backend,omitempty" doc:"Where Ansible runs; by default on the server's machine"`
	Playbook  string             `json:"playbook,omitempty" doc:"Path of the playbook in the project; for local" maxLength:"1024"`
	Template  string             `json:"template,omitempty" doc:"Job template, by name or ID; for awx" maxLength:"512"`
	AWX       string             `json:"inventoryName,omitempty" doc:"Inventory in AWX, by name or ID, instead of the template's" maxLength:"512"`
	Branch    string             `json:"branch,omitempty" doc:"Branch, tag or commit of the template's project, instead of its own; for awx" maxLength:"256"`
	Secrets   map[string]string  `json:"secrets,omitempty" doc:"Extra variables that are secrets; give ${{ secrets.NAME }} and nothing else. For local" maxProperties:"200"`
	Env       map[string]string  `json:"environment,omitempty" doc:"Environment of ansible-playbook, kept like secrets; for local" maxProperties:"200"`
	Login     ansible.Login      `json:"login,omitempty" doc:"How hosts are reached over SSH; for local"`
	Limit     string             `json:"limit,omitempty" doc:"Pattern of hosts and groups; by default all" maxLength:"4096"`
	Tags      []string           `json:"tags,omitempty" doc:"Only what has one of these tags" maxItems:"100"`
	SkipTags  []string           `json:"skipTags,omitempty" doc:"Nothing that has one of these tags" maxItems:"100"`
	Forks     int                `json:"forks,omitempty" doc:"How many hosts are worked on at a time; by default 5. For local" minimum:"1" maximum:"1000"`
	Timeout   api.Duration       `json:"timeout,omitempty" doc:"How long the playbook may take; by default 24h"`
	Diff      bool               `json:"diff,omitempty" doc:"Tell changes of files as diffs; a check always does"`
	Variables ansible.Vars       `json:"variables,omitempty" doc:"Extra variables. Their values are data: Ansible does not evaluate them" maxProperties:"500"`
	Inventory ansible.Inventory  `json:"inventory,omitempty" doc:"Hosts and groups; for local"`
}

// Job is what ansible.check takes, and the most of what ansible.playbook does.
type Job struct {
	Options
	Project Project `json:"project,omitempty" doc:"Where the playbook is; for local"`
}

// job makes a driver's job of the input; it reads the project.
func (d Deps) job(ctx context.Context, t *sdk.Task, in Job) (ansible.Job, error) {
	j := ansible.Job{
		Trace: t.Trace, Run: string(t.Run), Task: t.Task, Playbook: in.Playbook, Template: in.Template, InventoryName: in.AWX, Branch: in.Branch,
		Inventory: in.Inventory, Vars: in.Variables, Secrets: in.Secrets, Environment: in.Env, Login: in.Login, Limit: in.Limit, Tags: in.Tags, SkipTags: in.SkipTags,
		Forks: in.Forks, Timeout: time.Duration(in.Timeout), Diff: in.Diff,
	}
	if in.Backend.Name() != ansible.Local {
		if len(in.Project.Files) > 0 || in.Project.Repository != nil || in.Project.Path != "" {
			return j, errs.New(errs.Invalid, "with.project is for the driver local: the template says where its playbook is")
		}
		return j, nil
	}
	var err error
	j.Project, err = d.project(ctx, t, in.Project)
	return j, err
}

func (d Deps) project(ctx context.Context, t *sdk.Task, p Project) (map[string][]byte, error) {
	switch {
	case len(p.Files) > 0 && (p.Repository != nil || p.Path != ""):
		return nil, errs.New(errs.Invalid, "the project is given both as files and as a folder").WithHint("leave one of them out")
	case len(p.Files) > 0:
		out := make(map[string][]byte, len(p.Files))
		for name, text := range p.Files {
			out[name] = []byte(text)
		}
		return out, nil
	case p.Repository == nil:
		return nil, errs.New(errs.Invalid, "with.project does not say where the playbook is").WithHint("give project.repository with repository and commit, or project.files")
	}
	files, err := d.Source.Read(ctx, t, *p.Repository, p.Path)
	if err != nil {
		return nil, err
	}
	if _, file := files[""]; file {
		return nil, errs.New(errs.Invalid, "with.project.path names a file, %.200q", p.Path).WithHint("name the folder of the project")
	}
	return files, nil
}

// Inputs is what ansible.inputs takes.
type Inputs struct {
	task.Repository
	Making
}

// Making says how variables and hosts are made of resources.
type Making struct {
	File      string                 `json:"file,omitempty" doc:"Path of one resource's file: JSON in the common format. It becomes the extra variable resource" maxLength:"1024"`
	Folder    string                 `json:"folder,omitempty" doc:"Folder of the files of many resources, instead of file: each becomes a host" maxLength:"1024"`
	From      map[string]string      `json:"from,omitempty" doc:"Extra variables, by where in the resource of file they are, such as placement.cluster" maxProperties:"200"`
	Hosts     *ansible.FromResources `json:"hosts,omitempty" doc:"How resources become hosts of the inventory; without it a file is none, and each of a folder is one by its name"`
	Variables ansible.Vars           `json:"variables,omitempty" doc:"Extra variables given directly; they go before what the resource has" maxProperties:"500"`
	Inventory ansible.Inventory      `json:"inventory,omitempty" doc:"Other hosts, groups and variables"`
}

// InputsOut is what ansible.inputs gives.
type InputsOut struct {
	Variables ansible.Vars      `json:"variables" doc:"Extra variables"`
	Inventory ansible.Inventory `json:"inventory" doc:"The hosts"`
	Hosts     []string          `json:"hosts" doc:"The names of the hosts, sorted"`
	Commit    string            `json:"commit" doc:"The commit they are as of"`
}

func (d Deps) inputs() sdk.TaskType {
	return define(api.TaskType{Name: "ansible.inputs", Title: "Make variables and an inventory of resources",
		Doc: "Reads a resource's file, or a folder of them, at exactly one commit, and gives extra variables and an inventory for ansible.check and ansible.playbook."}, d.make)
}

func (d Deps) make(ctx context.Context, t *sdk.Task, in Inputs) (out InputsOut, err error) {
	if (in.File == "") == (in.Folder == "") {
		return out, errs.New(errs.Invalid, "either with.file or with.folder says where the resources are")
	}
	files, err := d.Source.Read(ctx, t, in.Repository, in.File+in.Folder)
	if err != nil {
		return out, err
	}
	out = InputsOut{Variables: ansible.Vars{}, Inventory: in.Inventory, Commit: in.Commit}
	hosts := in.Hosts
	if in.File != "" {
		if out.Variables, err = in.variables(files); err != nil {
			return out, err
		}
	} else if _, file := files[""]; file {
		return out, errs.New(errs.Invalid, "with.folder names a file, %.200q", in.Folder).WithHint("call it file")
	} else if hosts == nil {
		hosts = &ansible.FromResources{}
	}
	maps.Copy(out.Variables, in.Variables)
	if hosts != nil {
		if out.Inventory, err = in.Inventory.With(files, *hosts); err != nil {
			return out, err
		}
	}
	if _, err := out.Inventory.YAML(); err != nil { // everything that can be wrong is found here
		return out, err
	}
	out.Hosts = out.Inventory.Names()
	return out, nil
}

// variables are the extra variables of one resource.
func (in Inputs) variables(files map[string][]byte) (ansible.Vars, error) {
	text, ok := files[""]
	if !ok {
		return nil, errs.New(errs.Invalid, "with.file names a folder, %.200q", in.File).WithHint("name the resource's file in it, or call it folder")
	}
	var fields ansible.Vars
	if json.Unmarshal(text, &fields) != nil || fields == nil {
		return nil, sdk.Fail(ansible.FailConfig, "the resource's file %s is no JSON object", in.File).WithHint("the common format is a JSON object")
	}
	out := ansible.Vars{"resource": text}
	for name, from := range in.From {
		v, ok := ansible.Dig(fields, from)
		if !ok {
			return nil, sdk.Fail(ansible.FailConfig, "the resource has nothing at %s", from).WithHint("correct with.from.%s", name)
		}
		if strings.HasPrefix(name, "ansible_") {
			return nil, sdk.Fail(ansible.FailConfig, "with.from has %s, which says how hosts are reached", name).WithHint("with.hosts and with.inventory do that")
		}
		out[name] = v
	}
	return out, nil
}

func (d Deps) check() sdk.TaskType {
	return define(api.TaskType{Name: "ansible.check", Title: "Look what a playbook would change", Reattach: true,
		Doc: "Runs a playbook in check mode with diff, which changes nothing, and gives what it would change, by host and task, with a digest that an approval can be bound to. " +
			"What modules do not predict it does not show: command and shell are skipped."},
		func(ctx context.Context, t *sdk.Task, in Job) (JobOut, error) {
			return d.run(ctx, t, in, varCheck, true)
		})
}

// Play is what ansible.playbook takes.
type Play struct {
	Job
	Digest   string `json:"digest,omitempty" doc:"Digest of the check that was approved: another check is made first, and where it says something else the playbook does not run" maxLength:"200"`
	Approval string `json:"approval,omitempty" doc:"Status of the task that asked for approval; where it failed, nothing is done" maxLength:"40"`
	Ask      *Ask   `json:"ask,omitempty" doc:"How to ask, where the check differs from the approved one"`
	Round    int    `json:"round,omitempty" doc:"How often it was asked before" minimum:"0" maximum:"6"`
}

// Ask says whom to ask for approval, and when.
type Ask struct {
	When string `json:"when,omitempty" doc:"When a playbook needs approval: changed where the check shows changes (the default), or always" enum:"changed,always"`
	task.Ask
}

// player is ansible.playbook. It is no task.Define alone, since it may end by asking again.
type player struct{ sdk.TaskType }

func (d Deps) playbook() sdk.TaskType {
	return player{define(api.TaskType{Name: "ansible.playbook", Title: "Run a playbook", Reattach: true,
		Doc: "Runs a playbook and gives how it went, by host. What happens on each host is in the log as it does. A repeated attempt finds the playbook that runs. " +
			"With the digest of a check that was approved it looks again first: where it would do something else, it asks again."}, d.play)}
}

// asksAgain is the error by which play ends where the check is another.
type asksAgain struct{ check JobOut }

func (asksAgain) Error() string { return "the check has changed" }

func (d Deps) play(ctx context.Context, t *sdk.Task, in Play) (JobOut, error) {
	if in.Approval != "" && in.Approval != "succeeded" && in.Approval != "skipped" {
		return JobOut{}, sdk.Fail(ansible.FailRejected, "what the check showed was not approved; nothing was changed").
			WithHint("the approval's task says who decided and why")
	}
	var s started
	running, err := t.Var(varJob, &s)
	if err != nil {
		return JobOut{}, err
	}
	if in.Digest != "" && !(running && !s.Settled) {
		check, err := d.run(ctx, t, in.Job, varCheck, true)
		if err != nil {
			return JobOut{}, err
		}
		if check.Digest != in.Digest && (in.Ask == nil || in.Ask.When == "always" || check.Changed) {
			return JobOut{}, asksAgain{check}
		}
	}
	return d.run(ctx, t, in.Job, varJob, false)
}

// Do carries out an attempt.
func (p player) Do(ctx context.Context, t *sdk.Task) (sdk.Result, error) {
	r, err := p.TaskType.Do(ctx, t)
	again, ok := errors.AsType[asksAgain](err)
	if !ok {
		return r, err
	}
	var in Play
	if err := json.Unmarshal(task.WithoutNulls(t.With), &in); err != nil {
		return r, errs.New(errs.Invalid, "input of %s: %w", t.Task, err)
	}
	stale := sdk.Fail(ansible.FailStale, "the playbook would not do what was approved any more").WithDetails(map[string]any{"digest": again.check.Digest, "approved": in.Digest})
	if in.Round++; in.Ask == nil || in.Round > maxRounds {
		return r, stale.WithHint("check it again and have it approved; see what else changes these hosts")
	}
	in.Digest = again.check.Digest
	t.Logf("the hosts changed since the check was approved, and so did the check: asking again")
	return in.again(t, again.check)
}

const maxRounds = 5

// again returns the tasks that ask for a new check and run the playbook.
func (in Play) again(t *sdk.Task, check JobOut) (sdk.Result, error) {
	with, err := task.Carried(t, in)
	if err != nil {
		return sdk.Result{}, err
	}
	with["approval"] = "${{ tasks.approve?.status ?? 'skipped' }}"
	return sdk.Expand(map[string]any{
		"approve": in.Ask.task("asked again, since the hosts changed meanwhile", task.Literal(in.Digest), task.LiteralValue(check)),
		"play":    map[string]any{"use": "ansible.playbook", "after": []string{"approve"}, "retry": map[string]any{"max": 0}, "with": with},
	}, outputsOf("play")), nil
}

// outputsOf gives on what a job gives.
func outputsOf(id string) map[string]any {
	out := map[string]any{}
	for _, name := range []string{"job", "changed", "digest", "summary", "hosts", "changes", "values"} {
		out[name] = fmt.Sprintf("${{ tasks.%s.out.%s }}", id, name)
	}
	return out
}

// task is the approval of a check. digest and show are templates.
func (a *Ask) task(why string, digest, show any) map[string]any {
	return a.Approval("Approval of the check", "Run this playbook?", why, digest, map[string]any{"check": show})
}
