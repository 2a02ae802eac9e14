package api

import (
	"time"

	"tutti/bus"
)

// RolloutPolicy says how versions are rolled out to the targets of an entity; what is left out has the
// default of package rollout. Amounts are counts or percentages: 3, 10%.
type RolloutPolicy struct {
	Waves         []string        `json:"waves,omitempty" maxItems:"100" doc:"Growing numbers of targets at which the rollout stops to look: 1, 10%, 50%; the last is 100%"`
	Batch         string          `json:"batch,omitempty" maxLength:"12" doc:"How many may be changing at one time; default 5%, with waves 100%"`
	Success       float64         `json:"success,omitempty" minimum:"0" maximum:"100" doc:"Percentage that must succeed; default 100"`
	Tolerate      string          `json:"tolerate,omitempty" maxLength:"12" doc:"How many may fail, instead of success"`
	Soak          Duration        `json:"soak,omitempty" doc:"How long a target must be healthy to have succeeded"`
	Limit         Duration        `json:"limit,omitempty" doc:"How long a target may take to become healthy; default 10m"`
	Grace         Duration        `json:"grace,omitempty" doc:"How long one that had succeeded may be unhealthy"`
	Bake          Duration        `json:"bake,omitempty" doc:"How long a settled wave is watched"`
	FirstBake     Duration        `json:"firstBake,omitempty" doc:"The same of the first wave"`
	Deadline      Duration        `json:"deadline,omitempty" doc:"How long a version may take in all"`
	Silence       Duration        `json:"silence,omitempty" doc:"After how long without a word nothing is known of a target; default 5m"`
	Forget        Duration        `json:"forget,omitempty" doc:"After how long without a word a target no longer exists; default 15m"`
	Gates         []RolloutGate   `json:"gates,omitempty" maxItems:"50"`
	Limits        []RolloutLimit  `json:"limits,omitempty" maxItems:"20"`
	Order         string          `json:"order,omitempty" enum:"name,shuffle,"`
	Spread        string          `json:"spread,omitempty" maxLength:"63" doc:"A label, or group, over whose values waves are spread evenly"`
	Freeze        []RolloutFreeze `json:"freeze,omitempty" maxItems:"100"`
	OnBreach      string          `json:"onBreach,omitempty" enum:"pause,stop," doc:"What follows when too many failed; default is to roll back"`
	RollbackBatch string          `json:"rollbackBatch,omitempty" maxLength:"12" doc:"How many may be going back at one time; default all, healthy ones within the limits"`
	Choose        bool            `json:"choose,omitempty" doc:"The controller chooses among the targets that are proposed"`
	Replace       bool            `json:"replace,omitempty" doc:"Blue/green: new targets are made and old ones retired"`
}

// RolloutGate is a question that is answered pass, fail or unknown.
type RolloutGate struct {
	Name     string   `json:"name" minLength:"1" maxLength:"63"`
	Deadline Duration `json:"deadline,omitempty" doc:"For how long the answer may be missing; default 10m"`
	Watch    bool     `json:"watch,omitempty" doc:"Asked all the time instead of once a wave"`
	Breach   bool     `json:"breach,omitempty" doc:"No answer in time is a failure, instead of waiting for a person"`
}

// RolloutLimit keeps targets available.
type RolloutLimit struct {
	Per            string `json:"per,omitempty" maxLength:"63" doc:"A label, or group, each value of which has this limit; default is all targets"`
	MaxUnavailable string `json:"maxUnavailable,omitempty" maxLength:"12"`
	MinHealthy     string `json:"minHealthy,omitempty" maxLength:"12"`
}

// RolloutFreeze is a time in which no new target is asked: from From until Until once, or each week on
// the days of Every between Start and End.
type RolloutFreeze struct {
	From   time.Time `json:"from,omitzero"`
	Until  time.Time `json:"until,omitzero"`
	Every  []string  `json:"every,omitempty" maxItems:"7" enum:"mon,tue,wed,thu,fri,sat,sun" doc:"Days of the week, instead of from and until"`
	Start  string    `json:"start,omitempty" pattern:"^([01][0-9]|2[0-3]):[0-5][0-9]$" doc:"Time of day at which it begins, such as 22:00; default 00:00"`
	End    string    `json:"end,omitempty" pattern:"^([01][0-9]|2[0-3]):[0-5][0-9]$" doc:"Time of day at which it ends, on the next day where it is not after start; default 00:00, the end of the day"`
	Offset string    `json:"offset,omitempty" pattern:"^[+-][0-2][0-9]:[0-5][0-9]$" doc:"How far the times of day are from UTC, such as +02:00; default UTC"`
	Why    string    `json:"why,omitempty" maxLength:"200"`
}

// RolloutCall is a POST with JSON that the server makes, through the guarded dialer.
type RolloutCall struct {
	URL     string   `json:"url" pattern:"^https?://" maxLength:"2000"`
	Timeout Duration `json:"timeout,omitempty" doc:"How long the whole exchange may take, at most 30s; default 5s"`
	Secret  string   `json:"secret,omitempty" maxLength:"63" doc:"Name of a secret of the namespace that is sent as bearer token, to the host of url alone and only over TLS or to this machine"`
}

// RolloutQuery asks a Prometheus server for one number.
type RolloutQuery struct {
	URL     string   `json:"url" pattern:"^https?://" maxLength:"2000" doc:"Address of the server, without /api/v1/query"`
	Query   string   `json:"query" minLength:"1" maxLength:"4000" doc:"An instant query that gives a scalar or one series; {version} and {entity} stand for those of the rollout, quoted for use within a string"`
	Pass    string   `json:"pass" pattern:"^(<|<=|>|>=|==|!=) ?-?[0-9.]+(e-?[0-9]+)?$" doc:"When it passes, such as < 0.01"`
	Fail    string   `json:"fail,omitempty" pattern:"^(<|<=|>|>=|==|!=) ?-?[0-9.]+(e-?[0-9]+)?$" doc:"When it fails; default whenever it does not pass. What is neither is unknown"`
	Timeout Duration `json:"timeout,omitempty" doc:"How long the whole exchange may take, at most 30s; default 5s"`
	Secret  string   `json:"secret,omitempty" maxLength:"63" doc:"As in a call"`
}

// RolloutMonitor answers a gate: one of the two is set.
type RolloutMonitor struct {
	HTTP       *RolloutCall  `json:"http,omitempty" doc:"Gets the targets asked so far; status ok is a pass, any other a fail, and no proper answer unknown"`
	Prometheus *RolloutQuery `json:"prometheus,omitempty"`
	Every      Duration      `json:"every,omitempty" doc:"How often it is asked at most; default 10s"`
}

// RolloutHooks are the calls by which others have a say in a rollout. What is left out is not asked.
type RolloutHooks struct {
	Selection  *RolloutCall `json:"selection,omitempty" doc:"Gets {targets, count} that may be asked, and answers {targets} to ask"`
	Approval   *RolloutCall `json:"approval,omitempty" doc:"Gets {targets} that were selected, and answers {targets} that are approved"`
	Removal    *RolloutCall `json:"removal,omitempty" doc:"Gets {targets, count} that may go, and answers {targets} that are gone"`
	Monitoring *RolloutCall `json:"monitoring,omitempty" doc:"Gets {target} that runs the version, and answers {status, message}: any status but ok is a failure of it"`
	// External watches the rollout as a whole: it is the gate "external".
	External *RolloutExternal `json:"external,omitempty"`
	// Gates answer gates of the policy, by name.
	Gates map[string]RolloutMonitor `json:"gates,omitempty"`
}

// RolloutExternal is a monitor that is asked all the time, and what follows when it has no answer.
type RolloutExternal struct {
	RolloutMonitor
	Deadline Duration `json:"deadline,omitempty" doc:"For how long its answer may be missing or unknown; default 2m"`
	Wait     bool     `json:"wait,omitempty" doc:"No answer in time waits for a person; default is the policy's onBreach, which rolls back"`
}

// SetRolloutHooksIn replaces the hooks of an entity.
type SetRolloutHooksIn struct {
	RolloutIn
	Key  string `header:"Idempotency-Key" doc:"Makes repeating the call safe" maxLength:"200"`
	Body RolloutHooks
}

// RolloutFailure is a hook that gave no proper answer.
type RolloutFailure struct {
	Hook    string `json:"hook"`             // selection, approval, removal, monitoring, or gate NAME
	Type    string `json:"type"`             // timeout, unreachable, denied, status, answer, secret
	Message string `json:"message"`          // in words
	Target  string `json:"target,omitempty"` // group/name that monitoring was asked about
}

// Rollout is an entity and how far its version is.
type Rollout struct {
	Namespace string    `json:"namespace"`
	Entity    string    `json:"entity"`
	State     string    `json:"state"` // idle, rolling, rolling back, good, reverted, stopped
	Version   string    `json:"version,omitempty"`
	Wanted    string    `json:"wanted,omitempty"` // asked for last; it waits while it is not the version
	Good      string    `json:"good,omitempty"`
	GoodSince time.Time `json:"goodSince,omitzero"`
	Bad       []string  `json:"bad,omitempty"` // the latest first
	Paused    bool      `json:"paused,omitempty"`
	PausedBy  string    `json:"pausedBy,omitempty"`
	Why       string    `json:"why,omitempty"` // it is paused or stopped
	Wave      int       `json:"wave,omitempty"`
	Waves     int       `json:"waves,omitempty"`
	WaveSize  int       `json:"waveSize,omitempty"`
	Batch     int       `json:"batch,omitempty"`
	Targets   int       `json:"targets"`
	Untouched int       `json:"untouched"`
	Pending   int       `json:"pending"`
	Wavering  int       `json:"wavering"`
	Succeeded int       `json:"succeeded"`
	Failed    int       `json:"failed"`
	Silent    int       `json:"silent"`
	Rule      string    `json:"rule,omitempty"` // rolls back at 3 failures, now 1
	Began     time.Time `json:"began,omitzero"`
	Ready     time.Time `json:"ready,omitzero"` // when it may be done, if all goes as it went so far
	// Sizes are up to how many targets each wave goes, the last all; Action says what a breach leads to.
	Sizes     []int  `json:"sizes,omitempty"`
	Action    string `json:"action,omitempty"`
	Allowed   int    `json:"allowed,omitempty"` // failures
	Operation bool   `json:"operation,omitempty"`
	Settled   bool   `json:"settled,omitempty"` // the wave is settled, and watched
	// Waiting is why no more is asked now, in words. Like Policy and Hooks it is left out of lists and events.
	Waiting []string       `json:"waiting,omitempty"`
	Policy  *RolloutPolicy `json:"policy,omitempty"`
	Hooks   *RolloutHooks  `json:"hooks,omitempty"`
}

// RolloutCells are all targets of an entity, a letter each, in the order in which they were asked: s
// succeeded, f failed, p pending, w wavering, u untouched, and x silent.
type RolloutCells struct {
	Cells string `json:"cells"`
	// Truncated says that there are more targets than letters.
	Truncated bool `json:"truncated,omitempty"`
}

// RolloutTarget is what is known of a target.
type RolloutTarget struct {
	Group   string            `json:"group,omitempty"`
	Name    string            `json:"name"`
	Version string            `json:"version,omitempty"`
	Wanted  string            `json:"wanted,omitempty"`
	Outcome string            `json:"outcome"` // untouched, pending, wavering, succeeded, failed
	Health  string            `json:"health"`
	Silent  bool              `json:"silent,omitempty"`
	Message string            `json:"message,omitempty"`
	Labels  map[string]string `json:"labels,omitempty"`
	Heard   time.Time         `json:"heard,omitzero"`
	Asked   time.Time         `json:"asked,omitzero"`
	Since   time.Time         `json:"since,omitzero"` // version and health are so
}

// RolloutReport is what a controller says of a target.
type RolloutReport struct {
	Group     string            `json:"group,omitempty" maxLength:"200"`
	Name      string            `json:"name" minLength:"1" maxLength:"200"`
	Version   string            `json:"version,omitempty" maxLength:"200"`
	Attempted string            `json:"attempted,omitempty" maxLength:"200" doc:"The version that health is about, where the target could not get as far as running it"`
	Health    string            `json:"health,omitempty" enum:"healthy,unhealthy,failed,unsure," doc:"Default healthy"`
	Message   string            `json:"message,omitempty" maxLength:"2000"`
	Labels    map[string]string `json:"labels,omitempty" doc:"Places the target: zone, rack, service"`
	Priority  int32             `json:"priority,omitempty" doc:"The higher, the earlier"`
	At        time.Time         `json:"at,omitzero" doc:"When this was so; default now"`
	Gone      bool              `json:"gone,omitempty"`
}

// RolloutAnswer is what a gate says.
type RolloutAnswer struct {
	Gate   string `json:"gate" maxLength:"63"`
	Wave   int    `json:"wave,omitempty" doc:"As asked"`
	Result string `json:"result" enum:"pass,fail,unknown"`
	Detail string `json:"detail,omitempty" maxLength:"2000"`
}

// RolloutQuestion asks a gate.
type RolloutQuestion struct {
	Gate  string    `json:"gate"`
	Wave  int       `json:"wave"`
	Until time.Time `json:"until"`
}

// RolloutTargetName names a target.
type RolloutTargetName struct {
	Group string `json:"group,omitempty"`
	Name  string `json:"name"`
}

// RolloutWanted is what a target is to run.
type RolloutWanted struct {
	Group   string `json:"group,omitempty"`
	Name    string `json:"name"`
	Version string `json:"version,omitempty"` // empty is nothing yet
}

// RolloutPlan is what a step decided.
type RolloutPlan struct {
	State   string          `json:"state"`
	Targets []RolloutWanted `json:"targets"`
	// Truncated says that more were asked than the answer holds: those pending are listed, and whoever reports is told.
	Truncated bool `json:"truncated,omitempty"`

	Waiting  []string            `json:"waiting,omitempty"`  // why nothing more is asked, in words
	Gates    []RolloutQuestion   `json:"gates,omitempty"`    // that need an answer now
	Proposed []RolloutTargetName `json:"proposed,omitempty"` // to choose from
	Create   int                 `json:"create,omitempty"`   // new targets that may be made now
	Retire   []RolloutTargetName `json:"retire,omitempty"`   // targets that may go now
	Next     time.Time           `json:"next,omitzero"`      // when something may happen by time alone
	Failures []RolloutFailure    `json:"failures,omitempty"` // of hooks, in this call
}

// RolloutEntry is one transition, with who and why.
type RolloutEntry struct {
	Seq     uint64    `json:"seq"`
	At      time.Time `json:"at"`
	From    string    `json:"from"`
	To      string    `json:"to"`
	Version string    `json:"version,omitempty"`
	By      string    `json:"by,omitempty"` // empty is the planner
	Code    string    `json:"code"`
	Text    string    `json:"text"` // the reason in words
}

// RolloutIn names an entity.
type RolloutIn struct {
	NS
	Entity string `path:"entity" maxLength:"100" pattern:"^[A-Za-z0-9][A-Za-z0-9._-]*$" doc:"Entity: what is rolled out"`
}

// ListRolloutsIn asks for the entities of a namespace.
type ListRolloutsIn struct {
	NS
	Paging
}

// SetRolloutPolicyIn sets a policy.
type SetRolloutPolicyIn struct {
	RolloutIn
	Key  string `header:"Idempotency-Key" doc:"Makes repeating the call safe" maxLength:"200"`
	Body RolloutPolicy
}

// CommandRolloutIn asks something of a rollout.
type CommandRolloutIn struct {
	RolloutIn
	Verb string `path:"verb" enum:"set-version,force,operate,pause,resume,abort,skip,promote,retry,mark-good,mark-bad"`
	Key  string `header:"Idempotency-Key" doc:"Makes repeating the call safe: one key is one command" maxLength:"200"`
	Body RolloutCommand
}

// RolloutCommand holds the version a verb is about, and why.
type RolloutCommand struct {
	Version string `json:"version,omitempty" maxLength:"200"`
	Why     string `json:"why,omitempty" maxLength:"1000"`
}

// OrchestrateIn reports targets and asks what they are to run.
type OrchestrateIn struct {
	RolloutIn
	Body OrchestrateBody
}

// OrchestrateBody holds the reports.
type OrchestrateBody struct {
	Reports []RolloutReport `json:"reports,omitempty" maxItems:"20000"`
	Others  bool            `json:"others,omitempty" doc:"The targets that are not reported are alive and as they were"`
	Answers []RolloutAnswer `json:"answers,omitempty" maxItems:"50"`
	Chosen  []RolloutReport `json:"chosen,omitempty" maxItems:"20000" doc:"The targets to ask, where the policy leaves the choice to the controller"`
	All     bool            `json:"all,omitempty" doc:"Answer with all targets, at most 20000, not only those reported"`
}

// ListRolloutTargetsIn asks for the targets of an entity.
type ListRolloutTargetsIn struct {
	RolloutIn
	Paging
	Group   string `query:"group" maxLength:"200" doc:"Only of this group"`
	Outcome string `query:"outcome" enum:"untouched,pending,wavering,succeeded,failed," doc:"Only with this outcome"`
}

// RolloutHistoryIn asks for the transitions of an entity.
type RolloutHistoryIn struct {
	RolloutIn
	Paging
}

// RolloutBudget limits what may be changing over all rollouts of a namespace.
type RolloutBudget struct {
	Name     string            `json:"name" minLength:"1" maxLength:"63"`
	Match    map[string]string `json:"match,omitempty" doc:"Labels that targets must have to count"`
	Per      string            `json:"per,omitempty" maxLength:"63" doc:"A label, each value of which has a budget of this size"`
	Max      string            `json:"max" maxLength:"12" doc:"A count or a percentage"`
	Value    string            `json:"value,omitempty" readOnly:"true"`
	Changing int               `json:"changing" readOnly:"true" required:"false"`
	Total    int               `json:"total" readOnly:"true" required:"false"`
}

// ListRolloutBudgetsIn asks for budgets.
type ListRolloutBudgetsIn struct{ NS }

// SetRolloutBudgetsIn replaces the budgets.
type SetRolloutBudgetsIn struct {
	NS
	Key  string `header:"Idempotency-Key" doc:"Makes repeating the call safe" maxLength:"200"`
	Body RolloutBudgets
}

// RolloutBudgets are the budgets of a namespace.
type RolloutBudgets struct {
	Budgets []RolloutBudget `json:"budgets" maxItems:"100"`
}

// HoldBudgetIn counts something as changing against the budgets, or no longer.
type HoldBudgetIn struct {
	NS
	Body HoldBudget
}

// HoldBudget names what is changing.
type HoldBudget struct {
	Holder string            `json:"holder" minLength:"1" maxLength:"300" doc:"Who holds the place, each name one; run:ID:TASK is released when that run ends"`
	Labels map[string]string `json:"labels,omitempty" doc:"Of what is changing, which say which budgets it counts against"`
}

// RunHolder is the holder of a name in a run, which is released when the run ends.
func RunHolder(run RunID, name string) string { return "run:" + string(run) + ":" + name }

// RolloutChanged announces on the bus, without guarantee, that an entity is no longer as it was.
func RolloutChanged(namespace, entity string) string {
	return "changed.rollout." + namespace + "." + entity
}

// HeldBudget says whether a place is held.
type HeldBudget struct {
	Held bool   `json:"held"`
	Why  string `json:"why,omitempty"` // it is not
}

// The rollout methods.
var (
	ListRollouts         = bus.Method[ListRolloutsIn, Page[Rollout]]{Name: "rollout.list", HTTP: "GET /v1/namespaces/{namespace}/rollouts", Perm: "rollout.read", Doc: "List entities with their rollouts, by name."}
	GetRollout           = bus.Method[RolloutIn, Rollout]{Name: "rollout.get", HTTP: "GET /v1/namespaces/{namespace}/rollouts/{entity}", Perm: "rollout.read", Doc: "Get a rollout with its policy."}
	SetRolloutPolicy     = bus.Method[SetRolloutPolicyIn, Rollout]{Name: "rollout.policy", HTTP: "PUT /v1/namespaces/{namespace}/rollouts/{entity}/policy", Perm: "rollout.control", Doc: "Set the policy of an entity, and make it where there is none."}
	SetRolloutHooks      = bus.Method[SetRolloutHooksIn, Rollout]{Name: "rollout.hooks", HTTP: "PUT /v1/namespaces/{namespace}/rollouts/{entity}/hooks", Perm: "rollout.hooks", Doc: "Set the calls by which others have a say in a rollout, and make the entity where there is none."}
	GetRolloutCells      = bus.Method[RolloutIn, RolloutCells]{Name: "rollout.cells", HTTP: "GET /v1/namespaces/{namespace}/rollouts/{entity}/cells", Perm: "rollout.read", Doc: "Get how all targets of an entity are, a letter each."}
	CommandRollout       = bus.Method[CommandRolloutIn, Rollout]{Name: "rollout.command", HTTP: "POST /v1/namespaces/{namespace}/rollouts/{entity}/{verb}", Perm: "rollout.control", Doc: "Set a version, pause, resume, abort, skip, promote, retry or mark."}
	Orchestrate          = bus.Method[OrchestrateIn, RolloutPlan]{Name: "rollout.orchestrate", HTTP: "POST /v1/namespaces/{namespace}/rollouts/{entity}/orchestrate", Perm: "rollout.report", Direct: true, Doc: "Report targets, and get what they are to run."}
	ListRolloutTargets   = bus.Method[ListRolloutTargetsIn, Page[RolloutTarget]]{Name: "rollout.targets", HTTP: "GET /v1/namespaces/{namespace}/rollouts/{entity}/targets", Perm: "rollout.read", Doc: "List the targets of an entity."}
	RolloutHistory       = bus.Method[RolloutHistoryIn, Page[RolloutEntry]]{Name: "rollout.history", HTTP: "GET /v1/namespaces/{namespace}/rollouts/{entity}/history", Perm: "rollout.read", Doc: "List what happened to a rollout, who wanted it and why, newest first."}
	DeleteRollout        = bus.Method[RolloutIn, Nothing]{Name: "rollout.delete", HTTP: "DELETE /v1/namespaces/{namespace}/rollouts/{entity}", Perm: "rollout.control", Doc: "Forget an entity, its targets and its history."}
	ListRolloutBudgets   = bus.Method[ListRolloutBudgetsIn, Page[RolloutBudget]]{Name: "rollout.budgets", HTTP: "GET /v1/namespaces/{namespace}/rollout-budgets", Perm: "rollout.read", Doc: "List how much of each budget is used."}
	HoldRolloutBudget    = bus.Method[HoldBudgetIn, HeldBudget]{Name: "rollout.hold", HTTP: "POST /v1/namespaces/{namespace}/rollout-budgets/hold", Perm: "rollout.report", Doc: "Count something as changing, where the budgets that all rollouts share let it change now."}
	ReleaseRolloutBudget = bus.Method[HoldBudgetIn, HeldBudget]{Name: "rollout.release", HTTP: "POST /v1/namespaces/{namespace}/rollout-budgets/release", Perm: "rollout.report", Doc: "Count something as changing no longer."}
	SetRolloutBudgets    = bus.Method[SetRolloutBudgetsIn, Page[RolloutBudget]]{Name: "rollout.setbudgets", HTTP: "PUT /v1/namespaces/{namespace}/rollout-budgets", Perm: "rollout.control", Doc: "Set the budgets that the rollouts of a namespace share."}
)

// RolloutMoved says that a rollout began, went on to a wave, went back, stopped, or became good.
var RolloutMoved = bus.Event[RolloutTransition]{Name: "rollouts.rollout.moved", Doc: "A rollout moved on, or a person asked something of it."}

// RolloutTransition is a transition of one entity.
type RolloutTransition struct {
	Namespace string `json:"namespace"`
	Entity    string `json:"entity"`
	RolloutEntry
}
