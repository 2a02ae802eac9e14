package terraform

import (
	"maps"

	"tutti/internal/task"
)

// The failure types of drivers and task types.
const (
	FailUnreachable = "terraform.unreachable"
	FailDenied      = "terraform.denied"
	FailMissing     = "terraform.missing"
	FailConflict    = "terraform.conflict"
	FailLocked      = "terraform.locked"
	FailLimited     = "terraform.limited"
	FailServer      = "terraform.server"
	FailUpload      = "terraform.upload"
	FailConfig      = "terraform.config"
	FailProgram     = "terraform.program"
	FailPlan        = "terraform.plan"
	FailPolicy      = "terraform.policy"
	FailStale       = "terraform.stale"
	FailApply       = "terraform.apply"
	FailRejected    = "terraform.rejected"
	FailCancelled   = "terraform.cancelled"
	FailLost        = "terraform.lost"
	FailState       = "terraform.state"
	FailKept        = "terraform.kept"
	FailRepository  = "terraform.repository"
)

// Failures explains every failure type, and those a call to a slice may end in.
func Failures() map[string]string {
	return maps.Clone(task.Called(map[string]string{
		FailUnreachable: "the API could not be reached, or broke off; worth another attempt",
		FailDenied:      "the API does not know the token, or does not let it do this",
		FailMissing:     "something named is not there: organization, project, workspace or run",
		FailConflict:    "it contradicts what is there; details say what",
		FailLocked:      "something else runs in the workspace; details.owner names it. Worth another attempt",
		FailLimited:     "the API was asked too much at a time; worth another attempt",
		FailServer:      "the API failed; worth another attempt",
		FailUpload:      "the configuration did not arrive whole; worth another attempt",
		FailConfig:      "the configuration is not valid, or cannot be made of the resource; details.problems list where",
		FailProgram:     "there is no program to run, or it could not be started",
		FailPlan:        "planning failed; details.diagnostics say where and why",
		FailPolicy:      "a policy forbids the plan; details.policies name it",
		FailStale:       "the plan does not fit the state any more, or was discarded, and a new one was not agreed to",
		FailApply:       "applying failed; details.diagnostics say why, details.resources what is in the state now",
		FailRejected:    "the plan was not approved; it was discarded and nothing was changed",
		FailCancelled:   "somebody stopped it outside of Tutti, or it was stopped with its task",
		FailLost:        "the program vanished with its machine or its shim; what it had done is in the state",
		FailState:       "the state cannot be read",
		FailKept:        "not destroyed: the workspace had resources before this run, which are not this run's to destroy",
		FailRepository:  "the repository, the commit or the file cannot be had; worth another attempt where it was the network",
	}))
}

// Diagnostic is what Terraform has to say about something.
type Diagnostic struct {
	Severity string `json:"severity"`
	Summary  string `json:"summary"`
	Detail   string `json:"detail,omitempty"`
	Address  string `json:"address,omitempty"`
	// At is the place in the configuration, as file:line.
	At string `json:"at,omitempty"`
}
