package checker

import "tutti/internal/workflow/core"

// state is what the checkers tell apart in the life of a task or a run.
type state string

const (
	same      state = "" // in the table: it stays as it is
	fresh     state = "not begun"
	queueing  state = "waiting for a place"
	placed    state = "given a place"
	running   state = "running"
	lost      state = "lost"
	parked    state = "parked"
	waiting   state = "waiting"
	backOff   state = "waiting for its next attempt"
	paused    state = "paused"
	open      state = "open"
	revived   state = "retried"
	succeeded state = "succeeded"
	failed    state = "failed"
	skipped   state = "skipped"
	cancelled state = "cancelled"
	unknown   state = "in a state of another run" // of tasks in a fork: what had not succeeded there begins anew or goes on

	going state = "going"
	over  state = "over"
)

func (s state) final() bool {
	return s == succeeded || s == failed || s == skipped || s == cancelled
}

type transitions map[core.Type]state

// begin are the ways into an attempt.
var begin = transitions{
	core.Queued: queueing, core.Started: running, core.Opened: open, core.Waits: waiting,
	core.Done: succeeded, core.FailedTask: failed, core.Retrying: backOff, core.Paused: paused, core.CancelledT: cancelled,
}

// finish are the ways out of one.
var finish = transitions{
	core.Done: succeeded, core.FailedTask: failed, core.CancelledT: cancelled, core.Retrying: backOff, core.Paused: paused,
	core.Stopping: same,
}

// tasks says which event may follow which state of a task, and where it leads. There is no way out of a
// final state but a retry of the run.
var tasks = map[state]transitions{
	fresh:     both(begin, transitions{core.SkippedBy: skipped}),
	queueing:  both(finish, transitions{core.Granted: placed}),
	placed:    begin,
	running:   both(finish, transitions{core.Lost: lost, core.Parked: parked, core.Expanded: open, core.Claimed: same, core.VarsSet: same}),
	lost:      {core.Started: running},
	parked:    both(finish, transitions{core.Lost: lost, core.Parked: parked, core.Expanded: open, core.VarsSet: same, core.Claimed: same}),
	waiting:   both(finish, transitions{core.Voted: same}),
	backOff:   begin,
	paused:    both(begin, transitions{core.Retried: same}),
	open:      both(finish, transitions{core.Abandoned: same, core.Rolled: same}),
	revived:   both(both(begin, finish), transitions{core.SkippedBy: skipped, core.Abandoned: same, core.Retried: same, core.Rolled: same}),
	succeeded: {core.UndoesItem: same},
	failed:    {core.Retried: revived, core.UndoesItem: same},
	skipped:   {core.UndoesItem: same},
	cancelled: {core.Retried: revived, core.UndoesItem: same},
	unknown:   both(both(begin, finish), transitions{core.SkippedBy: skipped, core.Abandoned: same, core.Retried: same, core.Rolled: same, core.UndoesItem: same}),
}

// runs is the same for runs.
var runs = map[state]transitions{
	fresh: {core.Created: going},
	going: {
		core.Stopping: same, core.Undoing: same, core.Finishing: same, core.Ended: over, core.Retried: same, core.Queued: same, core.Granted: same,
		core.PausedRun: same, core.Resumed: same, core.Signalled: same, core.Abandoned: same,
	},
	over: {core.Retried: going, core.Undoing: going},
}

func both(a, b transitions) transitions {
	out := transitions{}
	for _, t := range []transitions{a, b} {
		for k, v := range t {
			out[k] = v
		}
	}
	return out
}
