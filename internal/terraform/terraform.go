// Package terraform is the seam between Tutti and what runs Terraform or OpenTofu. A Driver keeps
// workspaces, takes configurations and carries out runs, each a plan and, after somebody agreed, its
// apply. Two implement it: tfcli runs a program on this machine and keeps the states, tfe speaks the API
// of HCP Terraform and Terraform Enterprise. terraformtest is the suite both pass.
//
// Beside the seam it has what is the same for every driver, as pure functions: Render makes a
// configuration of a resource in the common format, ReadPlan makes a structured diff of a plan, with what
// is sensitive masked, and its digest, which an approval is bound to.
//
// Everything a driver starts has a handle that is known before it is waited for, so that whoever waited
// and died is followed by somebody who finds it: to start again under the same key is to attach. A
// driver's errors are *sdk.TaskError of the types in Failures, errs, or the context's.
package terraform

import (
	"context"
	"encoding/json"
	"io"
	"time"

	"tutti/errs"
)

// Driver runs Terraform in the workspaces of one namespace at one place. It is safe for concurrent use.
type Driver interface {
	// Ensure returns the workspace of that name, made where it is missing.
	Ensure(ctx context.Context, name string) (Workspace, error)
	// PutVariables makes vars the variables of the workspace; those that were put before and are not
	// among them are removed.
	PutVariables(ctx context.Context, workspace string, vars []Variable) error
	// Upload stores a configuration for the workspace and returns its ID. Another attempt after a broken
	// one stores it whole.
	Upload(ctx context.Context, workspace string, c Config) (string, error)
	// StartPlan begins a run and returns its handle; under a key that was used, that of the run begun
	// then. It does not wait.
	StartPlan(ctx context.Context, in PlanIn) (handle string, err error)
	// AwaitPlan returns the plan of a run as soon as it is made. log takes what is printed meanwhile,
	// from its beginning.
	AwaitPlan(ctx context.Context, workspace, handle string, log io.Writer) (Plan, error)
	// StartApply begins to apply the plan of a run, or finds that it began. It does not wait.
	StartApply(ctx context.Context, workspace, handle, message string) error
	// AwaitApply returns when the apply of a run has ended.
	AwaitApply(ctx context.Context, workspace, handle string, log io.Writer) (Applied, error)
	// Cancel ends what goes on in a run, in an orderly way, and returns when it has ended. A plan that
	// waits to be applied is discarded. A run that has ended is left alone.
	Cancel(ctx context.Context, workspace, handle string) error
	// Outputs returns the outputs of the workspace's state. Kind NotFound where there is no workspace.
	Outputs(ctx context.Context, workspace string) (Outputs, error)
	// Remove deletes a workspace that manages nothing any more; one that is not there is fine. The error
	// is of type FailConflict where it still manages something.
	Remove(ctx context.Context, workspace string) error
}

// Connection says where Terraform runs.
type Connection struct {
	Driver       string `json:"driver,omitempty" doc:"cli runs a program on the server's machine, which keeps the state; tfe uses HCP Terraform or Terraform Enterprise. By default cli" enum:"cli,tfe"`
	URL          string `json:"url,omitempty" doc:"Address of HCP Terraform or Terraform Enterprise, as https://host; for tfe" maxLength:"2048"`
	Organization string `json:"organization,omitempty" doc:"Organization there; for tfe" maxLength:"200"`
	Project      string `json:"project,omitempty" doc:"Project in which workspaces are made; by default the organization's default project" maxLength:"200"`
	Token        string `json:"token,omitempty" doc:"API token; give a secret. It is sent to the host of url alone" maxLength:"4096"`
}

// Open returns the driver of a connection for a namespace. The error is Invalid where the connection
// lacks something.
type Open func(namespace string, c Connection) (Driver, error)

// Drivers are the ways to open connections, by name.
type Drivers map[string]Open

// Open opens a connection.
func (d Drivers) Open(namespace string, c Connection) (Driver, error) {
	name := c.Driver
	if name == "" {
		name = "cli"
	}
	open := d[name]
	if open == nil {
		return nil, errs.New(errs.Invalid, "with.backend.driver is %q, which this server does not have", name).WithHint("use cli or tfe")
	}
	return open(namespace, c)
}

// Workspace is a state and what belongs to it.
type Workspace struct {
	Name string `json:"name"`
	ID   string `json:"id"`
	// Created says that it was made by this call.
	Created bool `json:"created"`
	// URL is where people see it; "" where there is no such place.
	URL string `json:"url,omitempty"`
}

// Variable is an input of a configuration, or of the environment of providers.
type Variable struct {
	Name  string
	Value json.RawMessage
	// Env says that it is a variable of the environment; its value is text then.
	Env       bool
	Sensitive bool
}

// PlanIn asks for a plan.
type PlanIn struct {
	Workspace string
	// Config is the ID of an uploaded configuration.
	Config string
	// Key makes repeating safe.
	Key string
	// Message says why, for people; it has the trace ID.
	Message string
	// Destroy plans to destroy all; RefreshOnly only looks what changed in the world.
	Destroy, RefreshOnly bool
	// Trial says that the plan is for looking at alone and is never applied: it holds up nothing, and discards
	// no plan that waits.
	Trial bool
	// Owner is who holds the workspace meanwhile, for people who find it locked.
	Owner Owner
}

// Owner is who runs something in a workspace.
type Owner struct {
	Run   string    `json:"run,omitempty"`
	Task  string    `json:"task,omitempty"`
	Trace string    `json:"trace,omitempty"`
	Since time.Time `json:"since,omitzero"`
}

// Applied is what an apply did.
type Applied struct {
	Added, Changed, Destroyed int
	// Serial is the number of the state that came of it; 0 where the driver does not tell.
	Serial int64
}

// Outputs are the outputs of a state.
type Outputs struct {
	// Values are those that are not sensitive.
	Values map[string]json.RawMessage
	// Sensitive are the names of the others, sorted.
	Sensitive []string
	// Resources are the addresses of the managed resources in the state, sorted; nil where the driver
	// does not tell.
	Resources []string
	Serial    int64
}
