// Package core decides what happens in a run: a deterministic function of its state, one command and
// the time. It does no I/O, reads no clock and draws no lots, so a simulator can crash, repeat and
// reorder everything around it.
//
// A Run changes only by events. A command (Start, Report, Fire, Cancel, …) decides, emits events and
// applies them at once; the shell stores the events before it lets their effects out. Loading a run is
// applying its stored events again: no expression is evaluated twice, so a newer build with other
// expressions or defaults shows the same past.
package core

import (
	"container/heap"
	"encoding/json"
	"fmt"

	"tutti/api"
	"tutti/errs"
	"tutti/internal/workflow/dag"
	"tutti/internal/workflow/expr"
)

// Run is the state of one run. It is not safe for concurrent use.
type Run struct {
	Meta
	Graph *dag.Graph

	Seq     int64 // number of the last event
	State   api.State
	Flags   []api.Flag
	Failure *api.RunFail
	Reason  *api.Reason
	Inputs  json.RawMessage
	Outputs json.RawMessage
	Created int64
	EndedAt int64

	// Scratch, where set, is where commands put their events: they count until the next command to any
	// run with the same Scratch. It saves making room for them anew each time.
	Scratch *[]Event

	load     Loader
	inputs   any
	vars     map[string]any
	varsJSON map[string]rawJSON
	phase    phase
	outcome  api.State // of the main part, once it is over
	degraded bool
	limit    *place // of the run itself
	deadline int64
	signals  map[string][]json.RawMessage
	paused   bool
	pausedBy string
	stopWhy  string
	stopBy   string
	undone   bool
	begun    int // how often it began again from nothing, after an undo
	retried  int // how often it went on after its end

	root    *scope
	undo    *scope
	finally *scope
	nodes   map[string]*node
	order   []*node        // in the order of their creation; dead ones are skipped
	dead    int            // how many of order are
	tried   map[string]int // the last attempt of tasks that were taken out, by path
	// completed are the tasks that have something to undo, in the order they succeeded.
	completed []*node

	running int // nodes that are running calls
	waiting int // nodes that wait
	waits   waits
	timers  timerHeap

	timersSet int

	now     int64
	emitted []Event
	effects Effects
	ready   []*node
	touched []*scope
}

// Loader compiles the document of an expansion.
type Loader func(doc []byte) (*dag.Graph, error)

type phase uint8

const (
	inMain phase = iota
	inUndo
	inFinally
	atEnd
)

// scope is a set of nodes that end together: the tasks of a map, or the items of an `each`.
type scope struct {
	def       *dag.Scope
	owner     *node // nil for the top scopes
	nodes     []*node
	items     bool // the items of an `each`, or the steps of an undo
	parallel  int  // of items; 0 is no bound
	tolerate  int  // of items
	next      int  // first item not looked at
	unsettled int
	active    int
	failures  int
	failing   bool
	stopping  bool
	closed    bool
	told      bool     // what was active when it was stopped knows
	roll      *rolling // of the items of a rollout
	cause     *node    // whose failure made it fail
}

// node is a task as it runs: a call, a group, an `each` or one item of it.
type node struct {
	task     *dag.Task
	in       *scope
	path     string
	item     any
	isItem   bool
	isEach   bool
	undoes   *node   // the task that this one undoes
	aside    bool    // it is no item, but stands beside those of a rollout: its checks, or the undo of an item
	back     *node   // the item that this one undoes, with all that is inside
	goBack   bool    // of an item: it is to be undone as soon as it has ended
	did      []*node // of an item of a rollout: what was completed in it, itself included
	inWaits  bool    // in the list of those that wait, as far as that knows
	inSignal string  // in the list of those that wait for this signal
	opened   int     // how often an each began from nothing
	key      string
	again    int // which time this is, where what was done the times before is no answer to it
	state    api.State
	unmet    int
	blocker  *node

	attempt int
	fails   int // failed attempts since the start or a person's retry
	losses  int // workers lost in a row
	active  bool
	input   json.RawMessage
	edited  json.RawMessage // input given by a person for the next attempt
	secrets []expr.SecretUse
	out     json.RawMessage
	outAny  any
	outOK   bool
	failure *api.Failure
	reason  *api.Reason
	vars    map[string]rawJSON
	claim   string
	worker  string
	parked  bool
	paused  bool
	asked   int64
	until   int64
	// When the attempt, and when the task as a whole, has to have ended; 0 is never. Timers of other
	// times mean nothing any more.
	timeout  int64
	deadline int64
	limit    *place
	once     *place
	votes    []string     // who approved, of several that must
	why      string       // of a skip
	left     bool         // it never started because something else failed or was stopped
	dead     bool         // another node took its place
	pos      int          // in Run.order
	doom     *api.Failure // what a stopped group failed of
	child    api.RunID
	body     *scope
	undo     api.State
	ready    int64
	started  int64
	ended    int64
	tries    []api.Attempt
}

// Final says that n has its last state.
func (n *node) final() bool { return n.state.Ended() }

// tolerated says that n failed and nobody minds.
func (n *node) tolerated() bool { return n.task.OnError == dag.Continue }

// Effects are what the shell does once the events of a command are stored.
type Effects struct {
	Dispatch []Dispatch
	// CancelAttempts are to be told to their workers; those nobody claimed yet end at once.
	CancelAttempts []AttemptRef
	StartRuns      []StartRun
	CancelRuns     []api.RunID
	UndoRuns       []api.RunID
	RetryRuns      []api.RunID
	// Emit are events for the outside, by name.
	Emit       []Emission
	PauseRuns  []api.RunID
	ResumeRuns []api.RunID
	Acquire    []Acquire
	Release    []Release
	// Ended says that the run reached its final state.
	Ended bool
}

// Emission is an event that a task publishes.
type Emission struct {
	Path string
	Type string
	Data json.RawMessage
}

// AttemptRef points at an attempt.
type AttemptRef struct {
	Path    string
	Attempt int
}

// Dispatch is an attempt that is ready for a worker.
type Dispatch struct {
	AttemptRef
	Use      string
	Pool     string
	Input    json.RawMessage
	Secrets  []expr.SecretUse
	Vars     map[string]json.RawMessage
	Timeout  int64 // microseconds; 0 is none
	Key      string
	Claim    string // set where a worker held it durably before this process started
	Worker   string
	Priority int
}

// StartRun is a sub-run to create.
type StartRun struct {
	ID       api.RunID
	Workflow string
	Path     string
	Input    json.RawMessage
}

// Timer is when something waits to be looked at.
type Timer struct {
	At      int64
	Path    string // "" for the run's deadline
	Kind    timerKind
	Attempt int
	seq     int // orders timers of the same time as they were set
}

type timerKind uint8

const (
	timerRetry timerKind = iota
	timerWait            // a wait task, an approval's expiry, a parked task's deadline
	timerGroup           // timeout of a group or sub-run
	timerDeadline
	timerRun
	timerRollout // something may happen in a rollout by time alone
)

type timerHeap []Timer

func (h timerHeap) Len() int { return len(h) }
func (h timerHeap) Less(i, j int) bool {
	if h[i].At != h[j].At {
		return h[i].At < h[j].At
	}
	return h[i].seq < h[j].seq
}
func (h timerHeap) Swap(i, j int) { h[i], h[j] = h[j], h[i] }

// Push adds a timer.
func (h *timerHeap) Push(x any) { *h = append(*h, x.(Timer)) }

// Pop removes the last timer.
func (h *timerHeap) Pop() any {
	old := *h
	t := old[len(old)-1]
	*h = old[:len(old)-1]
	return t
}

func (r *Run) timer(at int64, n *node, k timerKind) {
	r.timersSet++
	t := Timer{At: at, Kind: k, seq: r.timersSet}
	if n != nil {
		t.Path, t.Attempt = n.path, n.attempt
	}
	heap.Push(&r.timers, t)
}

// NextTimer returns when Fire is due next, or 0.
func (r *Run) NextTimer() int64 {
	for len(r.timers) > 0 {
		if r.live(r.timers[0]) {
			return r.timers[0].At
		}
		heap.Pop(&r.timers)
	}
	return 0
}

// live says that t still means something.
func (r *Run) live(t Timer) bool {
	if r.State.Ended() {
		return false
	}
	if t.Kind == timerRun {
		return r.deadline == t.At && r.phase == inMain && !r.root.stopping
	}
	n := r.nodes[t.Path]
	if n == nil || n.final() || !n.active {
		return false
	}
	switch t.Kind {
	case timerRetry:
		return r.mayBegin() && n.state == api.Waiting && n.until == t.At && n.attempt == t.Attempt
	case timerWait:
		return n.state == api.Waiting && n.until == t.At && n.attempt == t.Attempt
	case timerRollout:
		return r.mayBegin() && n.body != nil && n.body.roll != nil && n.body.roll.next == t.At && !n.paused
	case timerGroup:
		return n.timeout == t.At && n.attempt == t.Attempt && n.doom == nil && n.state == api.Running
	default:
		return n.deadline == t.At && n.doom == nil
	}
}

// New returns a run to which its stored events are applied with Replay.
func New(g *dag.Graph, load Loader) *Run {
	n := 0
	if g != nil && g.Tasks != nil {
		n = len(g.Tasks.Tasks)
	}
	return &Run{Graph: g, load: load, State: api.Pending, nodes: make(map[string]*node, n), order: make([]*node, 0, n)}
}

// Replay applies the stored events of one command, which happened at a time in microseconds.
func (r *Run) Replay(at int64, events []Event) error {
	r.now = at
	for i := range events {
		if err := r.apply(&events[i]); err != nil {
			return err
		}
	}
	r.ready, r.touched = r.ready[:0], r.touched[:0]
	r.settleState()
	return nil
}

// emit decides an event.
func (r *Run) emit(e Event) {
	r.releaseFor(&e)
	if err := r.apply(&e); err != nil {
		panic(err) // the core emitted what it cannot apply: a bug that the shell contains
	}
	r.emitted = append(r.emitted, e)
}

// releaseFor gives back the places of what e ends or lets wait.
func (r *Run) releaseFor(e *Event) {
	switch e.Type {
	case Done, FailedTask, SkippedBy, CancelledT:
		if n := r.nodes[e.Path]; n != nil {
			r.release(n, true, e.Out)
		}
	case Retrying, Paused, Parked, Waits:
		if n := r.nodes[e.Path]; n != nil {
			r.release(n, false, nil)
		}
	case Ended:
		if r.limit != nil {
			r.effects.Release = append(r.effects.Release, Release{Key: r.limit.key})
		}
	}
}

// begin prepares a command at a time.
func (r *Run) begin(now int64) {
	r.now = now
	r.emitted, r.effects = nil, Effects{}
	if r.Scratch != nil {
		r.emitted = (*r.Scratch)[:0]
	}
}

// maxScratch bounds the events that room is kept for.
const maxScratch = 1024

// finish carries the consequences of a command to their end and returns what it changed.
func (r *Run) finish() ([]Event, Effects) {
	r.progress()
	r.settleState()
	events := r.emitted
	if r.Scratch != nil {
		if cap(events) <= maxScratch {
			*r.Scratch = events
		}
		r.emitted = nil
	}
	return events, r.effects
}

func (r *Run) lookup(path string) (*node, error) {
	n := r.nodes[path]
	if n == nil {
		return nil, errs.New(errs.NotFound, "run %s has no task %q", r.ID, path)
	}
	return n, nil
}

// settleState derives the state and flags of the run from its parts.
func (r *Run) settleState() {
	if r.State == api.Pending || r.phase == atEnd {
		r.flags()
		return
	}
	r.State, r.Reason = api.Running, nil
	if r.held() {
		r.State, r.Reason = api.Waiting, r.limitReason()
	} else if r.paused && r.running == 0 {
		r.State = api.Waiting
		r.Reason = &api.Reason{Kind: "paused", Text: "it was paused by " + r.pausedBy}
	} else if r.running == 0 && r.waiting > 0 {
		r.State = api.Waiting
		r.Reason = r.firstReason()
	} else if r.running == 0 && r.phase == inMain && r.root.failing && r.Graph.OnFailure == dag.PauseRun && r.root.active == 0 && !r.root.stopping {
		r.State = api.Waiting
		r.Reason = &api.Reason{Kind: "paused", Text: "a task failed; retry it or cancel the run"}
		if r.root.cause != nil {
			r.Reason.Task = r.root.cause.path
		}
	}
	r.flags()
}

// limitReason says that the whole run waits for its limit.
func (r *Run) limitReason() *api.Reason {
	return &api.Reason{Kind: "limit", Key: r.limit.key, Text: fmt.Sprintf("it waits for a place under the limit %q", r.limit.key)}
}

// firstReason returns why the run waits: the reason of the waiting task that comes first. It is only
// looked for when nothing runs.
func (r *Run) firstReason() *api.Reason {
	n := r.waits.first()
	if n == nil {
		return nil
	}
	c := *n.reason
	if c.Task == "" {
		c.Task = n.path
	}
	return &c
}

func (r *Run) flags() {
	var f []api.Flag
	if r.ForkOf != nil {
		f = append(f, api.Forked)
	}
	if r.degraded {
		f = append(f, api.Degraded)
	}
	if r.phase < inFinally && r.root != nil && (r.root.stopping || r.root.failing) {
		f = append(f, api.Stopping)
	}
	if r.phase == inUndo {
		f = append(f, api.Undoing)
	}
	if r.undone {
		f = append(f, api.Undone)
	}
	r.Flags = f
}
