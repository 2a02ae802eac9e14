package rollout

import (
	"iter"
	"time"
)

// Rollout plans the versions of one entity: it holds what is known of its targets, and decides which
// is asked for which version. The zero Rollout has the zero Policy and no targets, and is ready for
// use. It has no clock, starts nothing and asks nobody: Step and Do are told the time and all else, and
// the same calls give the same decisions. It must not be used by two goroutines at one time.
type Rollout struct {
	head head

	targets []target
	unused  []uint32 // free slots of targets
	table   table
	loud    list // targets heard of
	silent  list // targets not heard of for too long

	groups, versions, messages interner

	classes  []class
	classIDs map[string]uint32
	parts    []part
	partIDs  map[partKey]uint32
	zones    []zone
	zoneIDs  map[string]uint32

	rolling, good uint32 // head.Rolling and head.Good as numbers

	// What follows is counted from the targets: rebuild makes it, link and unlink keep it.
	counts     [outcomesOfTurn]int
	unheardOf  int // untouched and silent
	candidates int
	due        heap
	postponed  []uint32 // pending, healthy for long enough, and not heard of since

	now     int64
	plan    *Plan   // of the step that runs
	log     []Event // since the last step
	changes changes

	ledger *Ledger // of the step that runs
	entity string
}

// outcomesOfTurn is the number of outcomes that a target can have in a turn: Untouched to Failing.
const outcomesOfTurn = int(Failing) + 1

// head is the state of the rollout itself, without its targets. It is stored as JSON: fields may
// be added, and mean the same for ever.
type head struct {
	Format int    `json:"format"`
	Policy Policy `json:"policy"`

	State State `json:"state"`
	// Back is the direction of the turn, also while it is stopped.
	Back bool `json:"back,omitempty"`
	// Wanted is the version asked for last, Rolling the one of this turn, which is bad when it goes back.
	Wanted    string `json:"wanted,omitempty"`
	Rolling   string `json:"rolling,omitempty"`
	Good      string `json:"good,omitempty"`
	GoodSince int64  `json:"goodSince,omitempty"`
	// Bad are the versions that failed, the latest first.
	Bad []string `json:"bad,omitempty"`
	// Generation counts operations; Operation and RollingOperation say of Wanted and Rolling that they are one.
	Generation       uint64 `json:"generation,omitempty"`
	Operation        bool   `json:"operation,omitempty"`
	RollingOperation bool   `json:"rollingOperation,omitempty"`
	// Again makes Wanted begin although it is the version of the last turn.
	Again bool `json:"again,omitempty"`

	// Turn counts beginnings, forward or back; what targets went through counts only within one.
	Turn     uint32 `json:"turn,omitempty"`
	Wave     int    `json:"wave,omitempty"`
	Base     int    `json:"base,omitempty"`    // targets at the beginning, for Policy.Replace
	Settled  int64  `json:"settled,omitempty"` // when the wave settled
	Began    int64  `json:"began,omitempty"`
	Moved    int64  `json:"moved,omitempty"` // when a target was last asked or settled
	Promoted bool   `json:"promoted,omitempty"`
	Skipped  bool   `json:"skipped,omitempty"` // this wave waits for nothing more
	Forgiven int    `json:"forgiven,omitempty"`
	Lost     int    `json:"lost,omitempty"` // targets that failed in this turn and then left

	Gates   map[string]gate `json:"gates,omitempty"`
	Paused  *pause          `json:"paused,omitempty"`
	Stopped *Reason         `json:"stopped,omitempty"`

	Now     int64  `json:"now,omitempty"`
	Heard   int64  `json:"heard,omitempty"`  // the last time anything was reported
	Others  int64  `json:"others,omitempty"` // the last time the caller vouched for all
	Seq     uint32 `json:"seq,omitempty"`
	Arrival uint32 `json:"arrival,omitempty"`
	Took    int64  `json:"took,omitempty"` // how long a target takes to succeed, a moving average
}

// gate is what is known of a gate in this wave, or of one that watches.
type gate struct {
	Asked  int64  `json:"asked,omitempty"`
	Passed int64  `json:"passed,omitempty"` // of a watching gate: when it last passed
	Result Result `json:"result,omitempty"`
	Detail string `json:"detail,omitempty"`
}

// pause is who holds the rollout, and since when.
type pause struct {
	By     string `json:"by,omitempty"`
	Why    string `json:"why,omitempty"`
	At     int64  `json:"at,omitempty"`
	Breach bool   `json:"breach,omitempty"` // the planner paused it
}

// New returns a Rollout with the policy p, or an error that says what is wrong with p.
func New(p Policy) (*Rollout, error) {
	r := &Rollout{}
	if err := r.SetPolicy(p); err != nil {
		return nil, err
	}
	return r, nil
}

// ready makes the zero value usable.
func (r *Rollout) ready() {
	if r.classIDs != nil {
		return
	}
	r.table = newTable()
	r.loud, r.silent = list{none, none}, list{none, none}
	r.groups, r.versions, r.messages = newInterner(), newInterner(), newInterner()
	r.classIDs, r.partIDs, r.zoneIDs = map[string]uint32{}, map[partKey]uint32{}, map[string]uint32{}
}

// SetPolicy changes the policy from the next step on, or returns what is wrong with p. It takes time in
// proportion to the number of targets.
func (r *Rollout) SetPolicy(p Policy) error {
	if err := p.Check(); err != nil {
		return err
	}
	r.ready()
	r.head.Policy = p
	r.head.Wave = min(r.head.Wave, p.waves()-1)
	if r.head.Promoted {
		r.head.Wave = p.waves() - 1
	}
	for id := range r.targets { // soak, limit and grace may have changed
		if t := &r.targets[id]; t.is(flagUsed) {
			t.due = r.dueOf(t)
		}
	}
	r.rebuild()
	return nil
}

// Policy returns the policy in force.
func (r *Rollout) Policy() Policy { return r.head.Policy }

// Len returns the number of targets.
func (r *Rollout) Len() int { return len(r.targets) - len(r.unused) }

// TargetState is what is known of one target.
type TargetState struct {
	Target
	Version string            // what it runs
	Wanted  string            // what it is asked to run; "" is nothing yet
	Outcome Outcome           // in the rollout that runs, or ran last
	Health  Health            // as last reported
	Silent  bool              // nothing is known of it any more
	Message string            // as last reported
	Labels  map[string]string // not to be changed
	Heard   time.Time         // when the last report arrived
	Since   time.Time         // since when version and health are so
	Asked   time.Time         // when Wanted was last set
}

// Target returns what is known of a target, and whether there is one.
func (r *Rollout) Target(t Target) (TargetState, bool) {
	if r.classIDs == nil {
		return TargetState{}, false
	}
	id := r.find(t.Group, t.Name)
	if id == none {
		return TargetState{}, false
	}
	return r.state(id), true
}

// Targets returns all targets, in no particular order that is the same while none comes or goes.
func (r *Rollout) Targets() iter.Seq[TargetState] {
	return func(yield func(TargetState) bool) {
		for id := range r.targets {
			if r.targets[id].is(flagUsed) && !yield(r.state(uint32(id))) {
				return
			}
		}
	}
}

func (r *Rollout) state(id uint32) TargetState {
	t := &r.targets[id]
	return TargetState{
		Target: r.nameOf(t), Version: r.versions.texts[t.version], Wanted: r.versions.texts[t.wanted],
		Outcome: r.outcome(t), Health: t.health, Silent: t.is(flagSilent), Message: r.messages.texts[t.message],
		Labels: r.classes[t.class].labels, Heard: at(r.lastHeard(t)), Since: at(t.since), Asked: at(t.asked),
	}
}

func (r *Rollout) groupOf(t *target) string { return r.groups.texts[r.classes[t.class].group] }

func (r *Rollout) nameOf(t *target) Target { return Target{Group: r.groupOf(t), Name: t.name} }

// lastHeard is when t was last known to be as it is: its own report, or the caller's word for all.
func (r *Rollout) lastHeard(t *target) int64 {
	if t.is(flagSilent) {
		return t.heard
	}
	return max(t.heard, r.head.Others)
}

// goal returns the version that the turn brings targets to.
func (r *Rollout) goal() uint32 {
	if r.head.Back {
		return r.good
	}
	return r.rolling
}

// touched is how many targets the turn has asked.
func (r *Rollout) touched() int { return r.Len() - r.counts[Untouched] }

// total is how many targets the rollout is about.
func (r *Rollout) total() int {
	if r.head.Policy.Replace && r.head.Base > 0 {
		return r.head.Base
	}
	return r.Len()
}

// failures is how many targets have failed in this turn, those that left since included.
func (r *Rollout) failures() int { return r.counts[Failing] + r.head.Lost }

// at converts microseconds; 0 is the zero time.
func at(micro int64) time.Time {
	if micro == 0 {
		return time.Time{}
	}
	return time.UnixMicro(micro).UTC()
}
