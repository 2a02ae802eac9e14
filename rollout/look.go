package rollout

import (
	"fmt"
	"maps"
	"slices"
	"time"
)

// look fills the parts of the plan that say what is open: why nothing more is done, what is asked
// of the caller, and when time alone may change something.
func (r *Rollout) look(p *Plan) {
	wait := func(why Reason) { p.Waiting = append(p.Waiting, why) }
	h := &r.head
	if why, held := r.held(); held && h.State != Idle && h.State != Stopped {
		wait(why)
	}
	switch h.State {
	case Idle:
		wait(Reason{Code: CodeNoVersion})
	case Stopped:
		wait(Reason{Code: CodeDecide, Detail: h.Stopped.String()})
	case Rolling:
		r.lookForward(p, wait)
	case RollingBack:
		r.lookSlots(p, wait)
		if h.Policy.Replace {
			p.Retire = r.propose(r.candidates, nil)
		}
	case Good:
		if r.candidates > 0 {
			r.lookSlots(p, wait)
		}
	}
	if n := r.silentNow(); n > 0 {
		wait(Reason{Code: CodeMissing, Count: n})
	}
	p.Next = r.next()
}

// lookForward looks at a version that is going out.
func (r *Rollout) lookForward(p *Plan, wait func(Reason)) {
	h := &r.head
	r.question(p)
	switch {
	case r.Len() == 0:
		wait(Reason{Code: CodeNoTargets})
	case h.Settled != 0:
		if why, waits := r.waits(); waits && !slices.Contains(p.Waiting, why) {
			wait(why)
		}
	default:
		r.lookSlots(p, wait)
	}
	slots, _ := r.slots()
	if h.Policy.Replace {
		if p.Create = slots; slots > 0 {
			wait(Reason{Code: CodeCreate, Count: slots})
		}
		if spare := r.counts[Succeeded] + r.counts[Untouched] - h.Base; spare > 0 && h.Paused == nil {
			p.Retire = r.propose(min(spare, r.candidates), nil)
		}
	} else if r.choosing() && slots > 0 {
		var left []Reason
		if p.Proposed = r.propose(slots, &left); len(p.Proposed) > 0 {
			wait(Reason{Code: CodeChoose})
		}
		for _, why := range left {
			wait(why)
		}
	}
}

// lookSlots says what keeps candidates from being asked.
func (r *Rollout) lookSlots(_ *Plan, wait func(Reason)) {
	slots, why := r.slots()
	switch {
	case slots == 0 && why.Code == CodeBatch:
		if busy := r.counts[Pending] + r.counts[Wavering]; r.head.State == Rolling && busy < r.head.Policy.batch(r.total()) {
			wait(Reason{Code: CodePending, Count: busy})
		} else if r.candidates > 0 {
			wait(why)
		} else if busy > 0 {
			wait(Reason{Code: CodePending, Count: busy})
		}
	case slots > 0 && r.candidates > 0 && !r.choosing() && !r.head.Policy.Replace:
		var left []Reason
		r.propose(1, &left)
		for _, why := range left {
			wait(why)
		}
	case r.counts[Pending]+r.counts[Wavering] > 0:
		wait(Reason{Code: CodePending, Count: r.counts[Pending] + r.counts[Wavering]})
	}
}

// question asks the gates: those that watch always, the others when the wave has baked.
func (r *Rollout) question(p *Plan) {
	h := &r.head
	baked := h.Settled != 0 && h.Paused == nil
	if why, waits := r.waits(); waits && (why.Code == CodeBake || why.Code == CodeUnheard) {
		baked = false
	}
	if h.Promoted || h.Skipped {
		return
	}
	for i := range h.Policy.Gates {
		g := &h.Policy.Gates[i]
		if !g.Watch && (!baked || h.Gates[g.Name].Result == Pass) {
			continue
		}
		state := h.Gates[g.Name]
		if state.Asked == 0 {
			if h.Gates == nil {
				h.Gates = map[string]gate{}
			}
			state.Asked = r.now
			h.Gates[g.Name] = state
		}
		p.Gates = append(p.Gates, Question{Gate: g.Name, Wave: h.Wave + 1, Until: at(r.asked(g)).Add(g.deadline())})
	}
}

// silentNow is how many targets are silent and matter: they may yet have to be asked, or judged.
func (r *Rollout) silentNow() int {
	if r.head.State == Idle {
		return 0
	}
	return r.unheardOf
}

// next returns when time alone may change something.
func (r *Rollout) next() time.Time {
	h, p := &r.head, &r.head.Policy
	var first int64
	soonest := func(t int64) {
		if t > r.now && (first == 0 || t < first) {
			first = t
		}
	}
	if len(r.due) > 0 {
		soonest(max(r.targets[r.due[0]].due, r.now+1))
	}
	if silence := p.silence().Microseconds(); silence >= 0 && r.loud.first != none {
		soonest(max(r.targets[r.loud.first].heard, h.Others) + silence + 1)
	}
	if until := r.frozenUntil(); !until.IsZero() {
		soonest(until.UnixMicro())
	}
	switch h.State {
	case Rolling:
		if h.Settled != 0 {
			soonest(h.Settled + p.bake(h.Wave).Microseconds())
		}
		if p.Deadline > 0 {
			soonest(h.Began + p.Deadline.Microseconds() + 1)
		}
		for i := range p.Gates {
			if g := &p.Gates[i]; h.Gates[g.Name].Asked != 0 || g.Watch {
				soonest(r.asked(g) + g.deadline().Microseconds() + 1)
			}
		}
	case RollingBack:
		soonest(h.Moved + p.limit().Microseconds() + 1)
	}
	return at(first)
}

// Rule says when the version that is going out is bad, by the failures of the wave.
type Rule struct {
	// Action is what happens then: "rolls back", "pauses" or "stops"; "" where no version is going out.
	Action string `json:"action,omitempty"`
	At     int    `json:"at"`  // so many failures
	Now    int    `json:"now"` // so many there are
}

// String returns "rolls back at 3 failures, now 1".
func (r Rule) String() string {
	if r.Action == "" {
		return "no version is going out"
	}
	return fmt.Sprintf("%s at %s, now %d", r.Action, plural(r.At, "failure"), r.Now)
}

// Status is a rollout at a glance.
type Status struct {
	State   State  `json:"state"`
	Version string `json:"version,omitempty"` // that is, or was last, going out
	Wanted  string `json:"wanted,omitempty"`  // that was asked for last; it waits while it is not Version
	Good    string `json:"good,omitempty"`    // the last known to be good
	// GoodSince is when Good met its criterion or was declared good.
	GoodSince time.Time `json:"goodSince,omitzero"`
	// Bad are the versions known to be bad, the latest first.
	Bad []string `json:"bad,omitempty"`
	// Operation says that Version is an operation, which cannot be undone.
	Operation bool   `json:"operation,omitempty"`
	PausedBy  string `json:"pausedBy,omitempty"` // "the policy" where the planner did
	Paused    bool   `json:"paused,omitempty"`
	Why       string `json:"why,omitempty"` // it is paused or stopped

	Wave     int  `json:"wave,omitempty"` // from 1
	Waves    int  `json:"waves,omitempty"`
	WaveSize int  `json:"waveSize,omitempty"` // targets up to and with this wave
	Settled  bool `json:"settled,omitempty"`  // the wave is settled, and watched
	Batch    int  `json:"batch,omitempty"`    // how many may be changing at one time
	// Sizes are up to how many targets each wave goes, the last all.
	Sizes []int `json:"sizes,omitempty"`

	Targets   int `json:"targets"`
	Untouched int `json:"untouched"` // by this rollout, or on its way back
	Pending   int `json:"pending"`
	Wavering  int `json:"wavering"`
	Succeeded int `json:"succeeded"`
	Failed    int `json:"failed"` // those that left since included
	Silent    int `json:"silent"` // of the untouched

	Rule  Rule      `json:"rule"`
	Began time.Time `json:"began,omitzero"`
	// Ready is when the version may be good, or the targets back, if all goes as it went so far;
	// the zero time where nobody can say.
	Ready time.Time `json:"ready,omitzero"`
}

// LastBad returns the version found bad last, or "".
func (s Status) LastBad() string {
	if len(s.Bad) == 0 {
		return ""
	}
	return s.Bad[0]
}

// Status returns the rollout at a glance.
func (r *Rollout) Status() Status {
	h := &r.head
	s := Status{
		State: h.State, Version: h.Rolling, Wanted: h.Wanted, Good: h.Good, GoodSince: at(h.GoodSince),
		Bad: slices.Clone(h.Bad), Operation: h.RollingOperation, Targets: r.Len(),
		Untouched: r.counts[Untouched], Pending: r.counts[Pending], Wavering: r.counts[Wavering],
		Succeeded: r.counts[Succeeded], Failed: r.failures(), Silent: r.unheardOf,
		Rule: r.Rule(), Began: at(h.Began), Ready: r.estimate(r.now), Batch: h.Policy.batch(r.total()),
	}
	if h.Paused != nil {
		s.Paused, s.PausedBy, s.Why = true, or2(h.Paused.By, "the policy"), h.Paused.Why
	}
	if h.Stopped != nil && h.State == Stopped {
		s.Why = h.Stopped.String()
	}
	for wave := range h.Policy.waves() {
		s.Sizes = append(s.Sizes, h.Policy.size(wave, r.total()))
	}
	if h.State == Rolling {
		s.Wave, s.Waves, s.WaveSize, s.Settled = h.Wave+1, h.Policy.waves(), r.size(), h.Settled != 0
	}
	return s
}

// Waiting returns why no target is asked at the time of the last step, the most important reason first,
// as Plan.Waiting has it, save for budgets.
func (r *Rollout) Waiting() []Reason {
	if r.classIDs == nil {
		return []Reason{{Code: CodeNoVersion}}
	}
	r.now = r.head.Now
	gates := maps.Clone(r.head.Gates) // to look asks them
	var p Plan
	r.look(&p)
	r.head.Gates = gates
	return p.Waiting
}

// Rule returns the rule by which the version that is going out is bad.
func (r *Rollout) Rule() Rule {
	if r.head.State != Rolling {
		return Rule{}
	}
	rule := Rule{Action: "rolls back", At: r.allowed() + 1, Now: r.failures()}
	switch {
	case r.head.Policy.OnBreach == OnBreachPause:
		rule.Action = "pauses"
	case r.head.Policy.OnBreach == OnBreachStop, r.head.RollingOperation, r.head.Good == "", r.head.Good == r.head.Rolling:
		rule.Action = "stops"
	}
	return rule
}
