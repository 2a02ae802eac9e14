// Package ansibletask has the task types of Ansible, each a single call of a driver of package ansible:
// ansible.inputs makes variables and an inventory of resources' files as of a commit, ansible.check looks
// what a playbook would change, ansible.playbook runs it; and ansible, which expands into them, with an
// approval between where one is asked for.
//
// Whatever dies when, no playbook is run twice by itself: a job's handle follows from a key that is stored
// before the job is launched, so that a later attempt finds the job of the one before and follows it. An
// approval is bound to the digest of the check it was shown; where another check, just before the playbook
// runs, says something else, it is asked again.
package ansibletask

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"time"

	"tutti/api"
	"tutti/internal/ansible"
	"tutti/internal/task"
	"tutti/sdk"
)

// Permission is what a publisher must hold to use the types: a playbook can run any program where Ansible
// runs.
const Permission = "task.ansible"

// Deps is what the task types need.
type Deps struct {
	Drivers ansible.Drivers
	// Source reads files as of a commit.
	Source task.Source
}

// New returns the task types.
func New(d Deps) []sdk.TaskType {
	return []sdk.TaskType{d.inputs(), d.check(), d.playbook(), d.wrapper()}
}

// define is task.Define with what all types share.
func define[In, Out any](spec api.TaskType, do func(context.Context, *sdk.Task, In) (Out, error)) sdk.TaskType {
	spec.Perm, spec.Errors = Permission, ansible.Failures()
	return task.Define(spec, func(ctx context.Context, t *sdk.Task, in In) (out Out, err error) {
		if err := ctx.Err(); err != nil {
			return out, err
		}
		return do(ctx, t, in)
	})
}

// JobOut is what a job gives.
type JobOut struct {
	Job     string                     `json:"job" doc:"Handle of the job; its ID in AWX"`
	Changed bool                       `json:"changed" doc:"Whether anything changed, or would change"`
	Digest  string                     `json:"digest" doc:"Identifies what was asked for and what it changes; an approval is bound to it"`
	Summary Summary                    `json:"summary" doc:"How many hosts ended how"`
	Hosts   []ansible.Host             `json:"hosts" doc:"How it went, by host"`
	Changes []ansible.Change           `json:"changes" doc:"What changed, or would change, by host and task, with a diff where the module tells"`
	Values  map[string]json.RawMessage `json:"values" doc:"What the playbook gave with set_stats"`
	Cut     bool                       `json:"cut,omitempty" doc:"Whether not every change is listed"`
}

// Summary counts hosts by their state.
type Summary struct {
	Hosts       int `json:"hosts" doc:"All of them"`
	OK          int `json:"ok" doc:"Nothing to change"`
	Changed     int `json:"changed" doc:"Changed, or would change"`
	Failed      int `json:"failed" doc:"A task failed"`
	Unreachable int `json:"unreachable" doc:"Not reached"`
	Skipped     int `json:"skipped" doc:"Nothing was for it"`
}

func jobOut(job string, r ansible.Result) JobOut {
	out := JobOut{Job: job, Changed: r.Changed, Digest: r.Digest, Hosts: r.Hosts, Changes: r.Changes, Values: r.Values, Cut: r.Cut}
	if out.Values == nil {
		out.Values = map[string]json.RawMessage{}
	}
	out.Summary.Hosts = len(r.Hosts)
	for _, h := range r.Hosts {
		switch h.State {
		case ansible.OK:
			out.Summary.OK++
		case ansible.Changed:
			out.Summary.Changed++
		case ansible.Failed:
			out.Summary.Failed++
		case ansible.Unreachable:
			out.Summary.Unreachable++
		case ansible.Skipped:
			out.Summary.Skipped++
		}
	}
	return out
}

// started is the variable by which an attempt finds the job of the one before.
type started struct {
	// Start counts the jobs of the task, from 1.
	Start int       `json:"start"`
	Since time.Time `json:"since"`
	// Machine is where the job runs, where it runs on the worker's.
	Machine string `json:"machine,omitempty"`
	Job     string `json:"job,omitempty"`
	// Settled says that how it ended was told, so that the next attempt starts anew.
	Settled bool `json:"settled,omitempty"`
}

// The variables that have the jobs of a task.
const (
	varJob   = "job"
	varCheck = "check"
)

// run runs a job, or finds the one that an earlier attempt ran, and follows it.
func (d Deps) run(ctx context.Context, t *sdk.Task, in Job, variable string, check bool) (JobOut, error) {
	driver, err := d.Drivers.Open(t.Namespace, in.Backend)
	if err != nil {
		return JobOut{}, err
	}
	s, err := begun(ctx, t, variable, in.Backend.Name() == ansible.Local)
	if err != nil {
		return JobOut{}, err
	}
	if s.Job == "" {
		job, err := d.job(ctx, t, in)
		if err != nil {
			return JobOut{}, err
		}
		job.Key, job.Since, job.Check = fmt.Sprintf("%s/%s/%d", t.Key, variable, s.Start), s.Since, check
		if s.Job, err = driver.Launch(ctx, job); err != nil {
			return JobOut{}, err
		}
		if err := t.SetVar(ctx, variable, s); err != nil {
			return JobOut{}, err
		}
	} else {
		t.Logf("found job %s, which an earlier attempt began", s.Job)
	}
	log := t.Stdout()
	r, err := driver.Follow(ctx, s.Job, func(e ansible.Event) {
		if line := e.Line(); line != "" {
			fmt.Fprintln(log, line)
		}
	})
	switch {
	case err != nil && ctx.Err() != nil:
		return JobOut{}, settle(ctx, t, driver, variable, s)
	case err != nil && ansible.Final(err):
		s.Settled = true
		return JobOut{}, errors.Join(err, t.SetVar(ctx, variable, s))
	}
	return jobOut(s.Job, r), err
}

// begun returns the job this attempt is about, stored before anything is launched.
func begun(ctx context.Context, t *sdk.Task, variable string, here bool) (s started, err error) {
	machine := ""
	if here {
		if machine, err = os.Hostname(); err != nil {
			return s, fmt.Errorf("name of this machine: %w", err)
		}
	}
	found, err := t.Var(variable, &s)
	if err != nil {
		return s, err
	}
	if found && !s.Settled {
		if s.Machine == machine {
			return s, nil
		}
		s.Settled = true
		lost := sdk.Fail(ansible.FailLost, "the playbook was started on %s, and this is %s, from where it cannot be found", s.Machine, machine).
			WithHint("see on %s whether it still runs before you let it run again", s.Machine)
		return s, errors.Join(lost, t.SetVar(ctx, variable, s))
	}
	s = started{Start: s.Start + 1, Since: time.Now().UTC(), Machine: machine}
	return s, t.SetVar(ctx, variable, s)
}

const (
	// parting bounds how long it may take to end what a task began, once the task is to end.
	parting = 3 * time.Minute
	// storing is how long it may take to store that a job is done with, before it is stopped.
	storing = 2 * time.Second
)

// settle ends a job whose task was cancelled or took too long, and returns why. Where the worker merely
// stops, or lost the claim, the job goes on: another attempt finds it.
func settle(ctx context.Context, t *sdk.Task, d ansible.Driver, variable string, s started) error {
	switch context.Cause(ctx) {
	case sdk.ErrStopping, sdk.ErrLost:
		t.Logf("job %s goes on without this worker", s.Job)
		return ctx.Err()
	}
	t.Logf("stopping job %s: %v", s.Job, context.Cause(ctx))
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), parting)
	defer cancel()
	s.Settled = true
	soon, done := context.WithTimeout(last, storing)
	_ = t.SetVar(soon, variable, s) // where that fails, the next attempt finds a job somebody stopped
	done()
	if err := d.Cancel(last, s.Job); err != nil {
		return fmt.Errorf("stop job %s: %w", s.Job, err)
	}
	return ctx.Err()
}
