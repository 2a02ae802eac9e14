// Package api is the vocabulary of Tutti: the nouns, the methods and the events that services share.
// Read it first. It does no I/O and decides nothing beyond the shape of what is sent; services import
// it and never one another.
//
// One file per domain. A method's In says with path, query and header tags what comes from where over
// HTTP; its Body field is the body. Lists take Limit and an opaque Cursor and return a Page.
package api

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	"tutti/bus"
	"tutti/errs"
)

// NS places an input in a namespace. The gateway fills it from the path and the bus checks the
// caller's grants against it; it never comes from a body.
type NS struct {
	Namespace string `path:"namespace" doc:"Namespace, such as default" pattern:"^([a-z][a-z0-9-]{0,62}|\\*)$"`
}

// Scope returns the namespace; see bus.Scoped.
func (n NS) Scope() string { return n.Namespace }

// Paging asks for a part of a list.
type Paging struct {
	Limit  int    `query:"limit" doc:"How many at most; default 50" minimum:"1" maximum:"1000"`
	Cursor string `query:"cursor" doc:"The cursor of the page before; empty for the first" maxLength:"200"`
}

// Size returns the limit, or the default of 50 where none was given.
func (p Paging) Size() int {
	if p.Limit <= 0 {
		return 50
	}
	return min(p.Limit, 1000)
}

// Page is a part of a list, newest first unless the method says otherwise.
type Page[T any] struct {
	Items []T `json:"items"`
	// Cursor gives the next page; empty at the end.
	Cursor string `json:"cursor,omitempty"`
}

// MarshalJSON writes an empty page with an empty list, never null.
func (p Page[T]) MarshalJSON() ([]byte, error) {
	type plain Page[T]
	if p.Items == nil {
		p.Items = []T{}
	}
	return json.Marshal(plain(p))
}

// Nothing is the In or Out of a method that takes or gives nothing.
type Nothing struct{}

// State is where a run, a task, an attempt or a request stands.
type State string

// The states, in API, UI, CLI and metrics alike. Only the engine's core moves one.
const (
	Pending   State = "pending"
	Running   State = "running"
	Waiting   State = "waiting" // always with a Reason
	Succeeded State = "succeeded"
	Failed    State = "failed"
	Skipped   State = "skipped"
	Cancelled State = "cancelled"
)

// Ended reports whether nothing follows s.
func (s State) Ended() bool {
	return s == Succeeded || s == Failed || s == Skipped || s == Cancelled
}

// Flag says something about a run beside its state.
type Flag string

// The flags.
const (
	Degraded Flag = "degraded" // something that was tolerated failed
	Stopping Flag = "stopping" // a cancel or a failure is being carried out
	Undoing  Flag = "undoing"
	Undone   Flag = "undone"
	Forked   Flag = "forked" // it began with what another run had done
)

// Reason says why something waits, as data.
type Reason struct {
	// Kind is "approval", "timer", "retry", "callback", "signal" (something that has to happen), "limit",
	// "once" (a place that others have), "worker" (nobody has taken it), "run" (its sub-run), "after" (other
	// tasks), "parallel" (other items of its `each`), "paused" (a person stopped it), "stopping" (it is being
	// stopped) or "quarantined" (its journal cannot be carried on).
	Kind string `json:"kind"`
	// Text says it in words.
	Text string `json:"text"`
	// Until is when it will be looked at again by itself; zero where only an event can end it.
	Until time.Time `json:"until,omitzero"`
	// Key, Run, Task and Pool point at what it waits for, where that has a name.
	Key  string `json:"key,omitempty"`
	Run  RunID  `json:"run,omitempty"`
	Task string `json:"task,omitempty"`
	Pool string `json:"pool,omitempty"`
	// Who can end it: those who may approve, or the workers that take from the pool.
	Who []string `json:"who,omitempty"`
	// Holders have the place under the limit, or are doing what is done once.
	Holders []TaskRef `json:"holders,omitempty"`
	// Ahead is how many others wait for the same place before it.
	Ahead int `json:"ahead,omitempty"`
	// Have is how many have approved of the Want who must.
	Have int `json:"have,omitempty"`
	Want int `json:"want,omitempty"`
	// Seen is when a worker that can do it last asked the pool for work.
	Seen time.Time `json:"seen,omitzero"`
}

// Failure says why a task failed.
type Failure struct {
	// Type is a short stable word that `retry.if` and people can test: "timeout", "http.status",
	// "exec.exit", "rejected", "lost", "expression", …
	Type    string `json:"type"`
	Message string `json:"message"`
	// Hint says what to do about it.
	Hint string `json:"hint,omitempty"`
	// Retryable is the task type's word on whether another attempt may help.
	Retryable bool `json:"retryable,omitempty"`
	// Details is what else the task type says; it has no fixed shape.
	Details map[string]any `json:"details,omitempty"`
}

// Duration is a length of time written as in definitions: "500ms", "90s", "15m", "1h30m", "2d".
type Duration time.Duration

// String returns d in the form that ParseDuration reads.
func (d Duration) String() string {
	if d == 0 {
		return "0s"
	}
	t := time.Duration(d)
	var b strings.Builder
	for _, u := range []struct {
		unit time.Duration
		name string
	}{{24 * time.Hour, "d"}, {time.Hour, "h"}, {time.Minute, "m"}, {time.Second, "s"}, {time.Millisecond, "ms"}} {
		if n := t / u.unit; n > 0 {
			fmt.Fprintf(&b, "%d%s", n, u.name)
			t -= n * u.unit
		}
	}
	if b.Len() == 0 {
		return time.Duration(d).String()
	}
	return b.String()
}

// MarshalText returns String.
func (d Duration) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// UnmarshalText is ParseDuration; nothing is 0.
func (d *Duration) UnmarshalText(b []byte) error {
	if len(b) == 0 {
		*d = 0
		return nil
	}
	v, err := ParseDuration(string(b))
	*d = Duration(v)
	return err
}

// ParseDuration reads "500ms", "90s", "15m", "1h30m", "2d": numbers with a unit each, no sign, no
// fraction, at most 100 years. It returns errs.Invalid.
func ParseDuration(s string) (time.Duration, error) {
	bad := func() (time.Duration, error) {
		return 0, errs.New(errs.Invalid, "%q is not a duration", s).WithHint("write a number and a unit of ms, s, m, h or d, such as 90s, 15m or 1h30m")
	}
	const longest = 100 * 365 * 24 * time.Hour
	long := func() (time.Duration, error) {
		return 0, errs.New(errs.Invalid, "%q is longer than a hundred years", s)
	}
	var total time.Duration
	for rest := s; rest != ""; {
		i := strings.IndexFunc(rest, func(r rune) bool { return r < '0' || r > '9' })
		if i <= 0 {
			return bad()
		}
		n, err := strconv.ParseInt(rest[:i], 10, 64)
		if err != nil {
			return bad()
		}
		rest = rest[i:]
		j := strings.IndexFunc(rest, func(r rune) bool { return r >= '0' && r <= '9' })
		if j < 0 {
			j = len(rest)
		}
		unit, ok := map[string]time.Duration{"ms": time.Millisecond, "s": time.Second, "m": time.Minute, "h": time.Hour, "d": 24 * time.Hour}[rest[:j]]
		if !ok {
			return bad()
		}
		if n > int64(longest/unit) {
			return long()
		}
		rest = rest[j:]
		if total += time.Duration(n) * unit; total > longest {
			return long()
		}
	}
	if s == "" {
		return bad()
	}
	return total, nil
}

// Methods lists every method that has a route or that a policy must know, for the gateway, the OpenAPI
// document and the SDK.
var Methods = []bus.Declared{
	StartRun, GetRun, ListRuns, ListTasks, GetTask, RunEvents, RunGraph, CancelRun, PauseRun, ResumeRun, SignalRun, RetryRun, UndoRun, ApproveTask, RejectTask, ListApprovals,
	WorkflowHistory, ListRoles, GraphDefinition, SimulateWorkflow, DefinitionVersions, DiffDefinition, DefinitionUsers, ListVariables, FindLog,
	GetTrace, GetHome, GetCounts, RunQueue, RunStats, WorkflowUses,
	RunWhy, WorkflowDurations, ForkRun, ExportRun,
	PollTasks, Heartbeat, SetVars, AppendLog, CompleteTask, ListTaskTypes,
	ApplyDefinitions, ValidateDefinitions, ListDefinitions, GetDefinition, DeleteDefinition,
	CreateRequest, PlanRequest, GetRequest, ListRequests, CancelRequest, ResubmitRequest, RequestStats, DiffRequests,
	ListEntries, GetEntry, EntryOptions, ListResources, GetResource, ObserveResource, ListCommits, ReadRepository,
	ListViews, GetView, RefreshView, GetMatrix, PermitCells, GetOffer,
	FireTrigger, ListTriggers, GetTrigger,
	ListFiles, GetFile, DeleteFile,
	ReadLog,
	ListMessages,
	ListPresence,
	Bootstrap, AskFirstUse, Login, MakeLink, FollowLink, Logout, WhoAmI, ListUsers, CreateUser, UpdateUser, DeleteUser, ListTokens, CreateToken, RevokeToken, ListNamespaces, CreateNamespace,
	ListSecrets, SetSecret, DeleteSecret,
	ListRollouts, GetRollout, SetRolloutPolicy, SetRolloutHooks, GetRolloutCells, CommandRollout, Orchestrate, ListRolloutTargets, RolloutHistory, DeleteRollout, ListRolloutBudgets, HoldRolloutBudget, ReleaseRolloutBudget, SetRolloutBudgets,
	ListAudit, SearchEvents, Search,
}
