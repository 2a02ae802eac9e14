// Package ansible is the seam between Tutti and what runs Ansible playbooks. A Driver launches jobs and
// follows them. Two implement it: local runs ansible-playbook on this machine, awx speaks the API of AWX
// and Automation Controller. ansibletest is the suite both pass.
//
// Beside the seam it has what is the same for every driver, as pure functions: inventories and extra
// variables as Ansible reads them (with values that it never evaluates), events, and Tally, which makes a
// table of hosts, a diff and a digest of them.
//
// A job has a handle that is known before it is waited for: to launch again under the same key is to find
// the job that was launched then. A driver's errors are *sdk.TaskError of the types in Failures, errs, or
// the context's.
package ansible

import (
	"context"
	"encoding/json"
	"time"

	"tutti/errs"
)

// Driver runs playbooks for one namespace at one place. It is safe for concurrent use.
type Driver interface {
	// Launch begins a job and returns its handle; under a key that was used, that of the job begun then,
	// in whatever state it is. It does not wait.
	Launch(ctx context.Context, j Job) (handle string, err error)
	// Follow tells see all events of a job in order, from the first, as they come, and returns when the
	// job has ended. Where it ended badly the error says how, and the result what was done until then.
	Follow(ctx context.Context, handle string, see func(Event)) (Result, error)
	// Output returns what the job printed so far, as people know it from Ansible; of much the end.
	Output(ctx context.Context, handle string) ([]byte, error)
	// Cancel ends a job and returns when it has ended. One that had ended is left alone.
	Cancel(ctx context.Context, handle string) error
}

// Job is a playbook to run.
type Job struct {
	// Key makes repeating safe.
	Key string
	// Since is when the key was first used, or earlier: no job of the key is older.
	Since time.Time
	// Trace, Run and Task say why, in the variables tutti_trace, tutti_run and tutti_task.
	Trace, Run, Task string

	// Project are the files the playbook is in, by path; Playbook is its path among them. For local.
	Project  map[string][]byte
	Playbook string
	// Inventory are the hosts. For local.
	Inventory Inventory
	// Environment is what ansible-playbook gets beside what the driver sets. For local.
	Environment map[string]string
	// Secrets are extra variables that are nowhere in plain text on a disk, nor shown. For local.
	Secrets map[string]string
	// Login is how the hosts are reached. For local.
	Login Login
	// Forks is how many hosts are worked on at a time; 0 is Ansible's default, 5. For local.
	Forks int

	// Template is the job template, by name or ID. For awx.
	Template string
	// InventoryName is an inventory there, by name or ID, instead of the template's. For awx.
	InventoryName string
	// Branch is the branch, tag or commit of the template's project, instead of its own. For awx.
	Branch string

	// Vars are extra variables. Their values are data: Ansible does not evaluate them.
	Vars map[string]json.RawMessage
	// Limit is a pattern of hosts; "" is all of the playbook's.
	Limit string
	// Tags are the only ones to run, SkipTags those not to run.
	Tags, SkipTags []string
	// Check only looks what would change. Diff tells changes of files, too.
	Check, Diff bool
	// Timeout bounds the job; 0 is a day.
	Timeout time.Duration
}

// Login is how hosts are reached over SSH.
type Login struct {
	User           string `json:"user,omitempty" doc:"User to log in as, where the inventory does not say (ansible_user)" maxLength:"100"`
	Key            string `json:"key,omitempty" doc:"Private key in OpenSSH or PEM form; give a secret" maxLength:"32768"`
	KnownHosts     string `json:"knownHosts,omitempty" doc:"The hosts' public keys, as lines of a known_hosts file: no other host is spoken to" maxLength:"1048576"`
	BecomePassword string `json:"becomePassword,omitempty" doc:"Password for sudo and the like; give a secret" maxLength:"4096"`
	VaultPassword  string `json:"vaultPassword,omitempty" doc:"Password of vaulted files in the project; give a secret" maxLength:"4096"`
}

// DefaultTimeout is what Job.Timeout 0 means.
const DefaultTimeout = 24 * time.Hour

// Connection says where Ansible runs.
type Connection struct {
	Driver string `json:"driver,omitempty" doc:"local runs ansible-playbook on the server's machine; awx uses AWX or Automation Controller. By default local" enum:"local,awx"`
	URL    string `json:"url,omitempty" doc:"Address of AWX, as https://host, with the path of its API where that is not /api/v2; for awx" maxLength:"2048"`
	Token  string `json:"token,omitempty" doc:"OAuth2 token there; give a secret. It is sent to the host of url alone" maxLength:"4096"`
}

// Open returns the driver of a connection for a namespace. The error is Invalid where the connection
// lacks something.
type Open func(namespace string, c Connection) (Driver, error)

// Drivers are the ways to open connections, by name.
type Drivers map[string]Open

// Open opens a connection.
func (d Drivers) Open(namespace string, c Connection) (Driver, error) {
	name := c.Name()
	open := d[name]
	if open == nil {
		return nil, errs.New(errs.Invalid, "with.backend.driver is %q, which this server does not have", name).WithHint("use local or awx")
	}
	return open(namespace, c)
}

// Name is the driver's name.
func (c Connection) Name() string {
	if c.Driver == "" {
		return Local
	}
	return c.Driver
}

// The names of the drivers.
const (
	Local = "local"
	AWX   = "awx"
)
