// Package terraformtask has the task types of Terraform, each a single call of a driver of package
// terraform: terraform.workspace, terraform.variables, terraform.upload, terraform.plan, terraform.apply,
// terraform.output and terraform.destroy; and terraform, which expands into them: it reads a resource's
// file at exactly one commit, makes a configuration of it, has the plan approved, applies it and gives
// the outputs.
//
// Whatever dies when, nothing is applied twice: a run's handle follows from the task's key, so that a
// later attempt finds the run of the one before, in whatever state it is, and follows it. An approval is
// bound to the digest of the plan it was shown; where the plan does not fit any more and a new one differs,
// it is asked again.
package terraformtask

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"tutti/api"
	"tutti/internal/task"
	"tutti/internal/terraform"
	"tutti/sdk"
)

// Permission is what a publisher must hold to use the types: a configuration can run any program where
// Terraform runs.
const Permission = "task.terraform"

// Deps is what the task types need.
type Deps struct {
	Drivers terraform.Drivers
	// Source reads files as of a commit.
	Source task.Source
}

// New returns the task types.
func New(d Deps) []sdk.TaskType {
	return []sdk.TaskType{d.workspace(), d.variables(), d.upload(), d.plan(), d.apply(), d.output(), d.destroy(), d.wrapper()}
}

// Place is a workspace of a driver.
type Place struct {
	Backend   terraform.Connection `json:"backend,omitempty" doc:"Where Terraform runs; by default on the server's machine"`
	Workspace string               `json:"workspace" doc:"Name of the workspace: one state and what belongs to it" pattern:"^[A-Za-z0-9][A-Za-z0-9._-]{0,89}$"`
}

// define is task.Define with what all types share.
func define[In, Out any](spec api.TaskType, do func(context.Context, *sdk.Task, In) (Out, error)) sdk.TaskType {
	spec.Perm, spec.Errors = Permission, terraform.Failures()
	return task.Define(spec, func(ctx context.Context, t *sdk.Task, in In) (out Out, err error) {
		if err := ctx.Err(); err != nil {
			return out, err
		}
		return do(ctx, t, in)
	})
}

func (d Deps) open(t *sdk.Task, p Place) (terraform.Driver, error) {
	return d.Drivers.Open(t.Namespace, p.Backend)
}

// message is what people read at a run, where its place shows one.
func message(t *sdk.Task, doing string) string {
	return fmt.Sprintf("Tutti %s: run %s, task %s, for %s, trace %s", doing, t.Run, t.Task, t.Requester, t.Trace)
}

func owner(t *sdk.Task) terraform.Owner {
	return terraform.Owner{Run: string(t.Run), Task: t.Task, Trace: t.Trace}
}

// parting bounds how long it may take to end what a task began, once the task is to end.
const parting = 3 * time.Minute

// settle ends a run whose task was cancelled or took too long, and returns why. Where the worker merely
// stops, or lost the claim, the run goes on: another attempt finds it.
func settle(ctx context.Context, t *sdk.Task, d terraform.Driver, workspace, handle string) error {
	switch context.Cause(ctx) {
	case sdk.ErrStopping, sdk.ErrLost:
		t.Logf("run %s goes on without this worker", handle)
		return ctx.Err()
	}
	t.Logf("stopping run %s: %v", handle, context.Cause(ctx))
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), parting)
	defer cancel()
	if err := d.Cancel(last, workspace, handle); err != nil {
		return fmt.Errorf("stop run %s: %w", handle, err)
	}
	return ctx.Err()
}

// WorkspaceOut is what terraform.workspace gives.
type WorkspaceOut struct {
	Workspace string `json:"workspace" doc:"Its name"`
	ID        string `json:"id" doc:"Its ID in the place where it is"`
	Created   bool   `json:"created" doc:"Whether this attempt made it"`
	URL       string `json:"url,omitempty" doc:"Where people see it"`
}

func (d Deps) workspace() sdk.TaskType {
	return define(api.TaskType{Name: "terraform.workspace", Title: "Have a Terraform workspace", Doc: "Makes a workspace, or finds it."},
		func(ctx context.Context, t *sdk.Task, in Place) (WorkspaceOut, error) {
			driver, err := d.open(t, in)
			if err != nil {
				return WorkspaceOut{}, err
			}
			w, err := driver.Ensure(ctx, in.Workspace)
			return WorkspaceOut{w.Name, w.ID, w.Created, w.URL}, err
		})
}

// Variables is what terraform.variables takes.
type Variables struct {
	Place
	Variables   map[string]json.RawMessage `json:"variables,omitempty" doc:"Input variables of the configuration that are not in its files" maxProperties:"500"`
	Secrets     map[string]string          `json:"secrets,omitempty" doc:"Input variables that are secrets" maxProperties:"200"`
	Environment map[string]string          `json:"environment,omitempty" doc:"Environment of the providers, kept like secrets" maxProperties:"200"`
}

// VariablesOut is what terraform.variables gives.
type VariablesOut struct {
	Count int `json:"count" doc:"How many there are now"`
}

func (d Deps) variables() sdk.TaskType {
	return define(api.TaskType{Name: "terraform.variables", Title: "Set the variables of a workspace", Doc: "Makes these the variables of the workspace; those set before and not among them are removed."},
		func(ctx context.Context, t *sdk.Task, in Variables) (VariablesOut, error) {
			vars, err := in.list()
			if err != nil {
				return VariablesOut{}, err
			}
			driver, err := d.open(t, in.Place)
			if err != nil {
				return VariablesOut{}, err
			}
			return VariablesOut{len(vars)}, driver.PutVariables(ctx, in.Workspace, vars)
		})
}

// UploadOut is what terraform.upload gives.
type UploadOut struct {
	Config string `json:"config" doc:"ID of the configuration in the workspace"`
	Digest string `json:"digest" doc:"Digest of its files"`
	Files  int    `json:"files" doc:"How many files it has"`
}

// Upload is what terraform.upload takes.
type Upload struct {
	Place
	Files  map[string]string `json:"files,omitempty" doc:"The configuration's files by path; instead of resource" maxProperties:"1000"`
	Source *Making           `json:"source,omitempty" doc:"A resource's file and a module, of which the configuration is made; instead of files"`
}

func (d Deps) upload() sdk.TaskType {
	return define(api.TaskType{Name: "terraform.upload", Title: "Upload a configuration", Doc: "Gives a workspace a configuration: files as they are, or made of a resource's file as of a commit."},
		func(ctx context.Context, t *sdk.Task, in Upload) (UploadOut, error) {
			c, err := d.configuration(ctx, t, in)
			if err != nil {
				return UploadOut{}, err
			}
			driver, err := d.open(t, in.Place)
			if err != nil {
				return UploadOut{}, err
			}
			id, err := driver.Upload(ctx, in.Workspace, c)
			return UploadOut{id, c.ID(), len(c.Files)}, err
		})
}

// OutputOut is what terraform.output gives.
type OutputOut struct {
	Values    map[string]json.RawMessage `json:"values" doc:"The outputs that are not sensitive"`
	Sensitive []string                   `json:"sensitive" doc:"Names of the sensitive ones, which are not given"`
	Resources []string                   `json:"resources,omitempty" doc:"Addresses of the managed resources, where the place tells"`
	Serial    int64                      `json:"serial" doc:"Number of the state"`
}

func (d Deps) output() sdk.TaskType {
	return define(api.TaskType{Name: "terraform.output", Title: "Read the outputs of a workspace", Doc: "Gives the outputs of the state, without those that are sensitive."},
		func(ctx context.Context, t *sdk.Task, in Place) (OutputOut, error) {
			driver, err := d.open(t, in)
			if err != nil {
				return OutputOut{}, err
			}
			o, err := driver.Outputs(ctx, in.Workspace)
			return OutputOut{o.Values, o.Sensitive, o.Resources, o.Serial}, err
		})
}
