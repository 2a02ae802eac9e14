package rollout

import (
	"slices"
	"time"
)

// maxBad is how many bad versions are remembered.
const maxBad = 32

// advance moves the rollout itself on by one transition, and reports whether it did.
func (r *Rollout) advance() bool {
	h := &r.head
	switch h.State {
	case Rolling:
		return r.breached() || r.forward()
	case RollingBack:
		return r.backward()
	}
	if h.Paused != nil || h.Wanted == "" || !h.Again && (h.Wanted == h.Rolling || h.State == Reverted && h.Wanted == h.Good) {
		return false
	}
	r.begin()
	return true
}

// begin starts the turn of the version asked for last.
func (r *Rollout) begin() {
	h := &r.head
	h.Again, h.Back = false, false
	r.versions.put(&r.rolling, h.Wanted)
	h.Rolling, h.RollingOperation = h.Wanted, h.Operation
	h.Began, h.Base = r.now, r.Len()
	r.turn()
	r.transition(Rolling, "", Reason{Code: CodeStarted, Version: h.Rolling, Count: r.Len()})
	r.rebuild()
	if h.Policy.Replace { // those of the new version that are here already count from now on
		for id := range r.targets {
			if t := &r.targets[id]; t.is(flagUsed) && t.version == r.rolling {
				r.ask(uint32(id))
			}
		}
	}
}

// turn begins a turn, forward or back.
func (r *Rollout) turn() {
	h := &r.head
	h.Turn++
	h.Wave, h.Settled, h.Moved, h.Seq = 0, 0, r.now, 0
	h.Promoted, h.Skipped, h.Forgiven, h.Lost = false, false, 0, 0
	h.Gates, h.Stopped = nil, nil
	if h.Back {
		h.Seq = 1 << 31 // those already asked keep their order, and later ones are newer
	}
}

// transition changes the state and notes who wanted it and why.
func (r *Rollout) transition(to State, by string, why Reason) {
	r.note(Event{At: at(r.now), From: r.head.State, To: to, Version: r.head.Rolling, By: by, Reason: why})
	r.head.State = to
}

// note keeps an event for the next Plan and the next Changes.
func (r *Rollout) note(e Event) {
	r.log = append(r.log, e)
	r.changes.note(e)
}

// allowed is how many targets may have failed by now.
func (r *Rollout) allowed() int { return r.head.Policy.tolerated(r.size()) + r.head.Forgiven }

// breached ends the rollout where it must, and reports whether it did.
func (r *Rollout) breached() bool {
	h := &r.head
	if h.Paused != nil && h.Paused.Breach {
		return false // it waits for a person already
	}
	if failed, allowed := r.failures(), r.allowed(); failed > allowed {
		return r.breach(Reason{Code: CodeBreach, Version: h.Rolling, Count: failed, Of: allowed})
	}
	if h.Policy.Deadline > 0 && r.now-h.Began > h.Policy.Deadline.Microseconds() {
		return r.breach(Reason{Code: CodeDeadline, Version: h.Rolling})
	}
	if h.Promoted {
		return false
	}
	for i := range h.Policy.Gates {
		g := &h.Policy.Gates[i]
		answer := h.Gates[g.Name]
		if answer.Result == Fail {
			return r.breach(Reason{Code: CodeGateFail, Name: g.Name, Detail: answer.Detail})
		}
		if g.OnUnknown == OnUnknownBreach && r.overdue(g) {
			return r.breach(Reason{Code: CodeGateFail, Name: g.Name, Detail: "no answer in time"})
		}
	}
	return false
}

// breach does what the policy says about a version that failed.
func (r *Rollout) breach(why Reason) bool {
	h := &r.head
	if h.Policy.OnBreach == OnBreachPause {
		h.Paused = &pause{Why: why.String(), At: r.now, Breach: true}
		r.transition(Rolling, "", why)
		return true
	}
	r.markBad(h.Rolling)
	if h.Policy.OnBreach == OnBreachStop {
		r.stop("", why)
		return true
	}
	r.revert("", why)
	return true
}

// revert starts the way back, or stops where there is none.
func (r *Rollout) revert(by string, why Reason) {
	h := &r.head
	switch {
	case h.RollingOperation:
		r.note(Event{At: at(r.now), From: h.State, To: h.State, Version: h.Rolling, By: by, Reason: why})
		r.stop(by, Reason{Code: CodeNoReturn})
		return
	case h.Good == "" || h.Good == h.Rolling:
		r.note(Event{At: at(r.now), From: h.State, To: h.State, Version: h.Rolling, By: by, Reason: why})
		r.stop(by, Reason{Code: CodeNoGood})
		return
	}
	h.Back, h.Paused = true, nil
	r.turn()
	r.transition(RollingBack, by, why)
	r.rebuild()
}

// stop ends all movement until a person decides.
func (r *Rollout) stop(by string, why Reason) {
	r.head.Paused, r.head.Stopped = nil, &why
	r.transition(Stopped, by, why)
}

// markBad remembers that version failed.
func (r *Rollout) markBad(version string) {
	r.unmarkBad(version)
	r.head.Bad = slices.Insert(r.head.Bad, 0, version)
	r.head.Bad = r.head.Bad[:min(len(r.head.Bad), maxBad)]
}

func (r *Rollout) unmarkBad(version string) {
	r.head.Bad = slices.DeleteFunc(slices.Clone(r.head.Bad), func(v string) bool { return v == version })
}

// last reports whether the wave is the last.
func (r *Rollout) last() bool { return r.head.Wave >= r.head.Policy.waves()-1 }

// full reports whether every target that the wave is for has been asked, and all are settled.
func (r *Rollout) full() bool {
	if r.counts[Pending] > 0 || r.counts[Wavering] > 0 || r.touched() == 0 {
		return false
	}
	if !r.last() {
		return r.touched()+r.head.Lost >= r.size() || r.candidates == 0
	}
	return r.candidates == 0 && r.counts[Succeeded] >= r.needed()
}

// needed is how many targets must succeed for the version to be good. Those that failed and left
// are part of the whole.
func (r *Rollout) needed() int {
	n := r.total()
	if !r.head.Policy.Replace {
		n += r.head.Lost
	}
	return max(1, n-r.head.Policy.tolerated(n)-r.head.Forgiven)
}

// forward takes a wave from full to settled, through its bake and its gates, to the next.
func (r *Rollout) forward() bool {
	h := &r.head
	if !r.full() {
		if h.Settled != 0 {
			h.Settled, h.Skipped, h.Gates = 0, false, r.watched()
			return true
		}
		return false
	}
	if h.Settled == 0 {
		h.Settled = r.now
		r.transition(Rolling, "", Reason{Code: CodeSettled, Of: h.Wave + 1, Count: r.touched()})
		return true
	}
	if h.Paused != nil {
		return false
	}
	if _, waits := r.waits(); waits {
		return false
	}
	if !r.last() {
		h.Wave++
		h.Settled, h.Skipped, h.Gates = 0, false, r.watched()
		r.transition(Rolling, "", Reason{Code: CodeWave, Of: h.Wave + 1, Count: r.size()})
		return true
	}
	r.versions.put(&r.good, h.Rolling)
	h.Good, h.GoodSince = h.Rolling, r.now
	r.unmarkBad(h.Rolling)
	r.transition(Good, "", Reason{Code: CodeMet, Version: h.Rolling, Count: r.counts[Succeeded], Of: r.total()})
	return true
}

// waits returns what the settled wave waits for.
func (r *Rollout) waits() (Reason, bool) {
	h := &r.head
	if h.Promoted || h.Skipped {
		return Reason{}, false
	}
	if bake := h.Policy.bake(h.Wave).Microseconds(); bake > 0 {
		end := h.Settled + bake
		if r.now < end {
			return Reason{Code: CodeBake, Until: at(end), Of: h.Wave + 1}, true
		}
		if h.Heard < end { // nobody has said that all is still well
			return Reason{Code: CodeUnheard}, true
		}
	}
	if why, waits := r.watching(); waits {
		return why, true
	}
	for i := range h.Policy.Gates {
		g := &h.Policy.Gates[i]
		if g.Watch || h.Gates[g.Name].Result == Pass {
			continue
		}
		return r.unanswered(g), true
	}
	return Reason{}, false
}

// watched returns what is kept of the gates from one wave to the next: those that watch.
func (r *Rollout) watched() map[string]gate {
	var kept map[string]gate
	for i := range r.head.Policy.Gates {
		g := &r.head.Policy.Gates[i]
		if answer, ok := r.head.Gates[g.Name]; ok && g.Watch {
			if kept == nil {
				kept = map[string]gate{}
			}
			kept[g.Name] = answer
		}
	}
	return kept
}

// watching returns the watching gate that keeps targets from being asked.
func (r *Rollout) watching() (Reason, bool) {
	if r.head.Skipped {
		return Reason{}, false
	}
	for i := range r.head.Policy.Gates {
		g := &r.head.Policy.Gates[i]
		if g.Watch && (r.head.Gates[g.Name].Result != Pass || r.overdue(g)) {
			return r.unanswered(g), true
		}
	}
	return Reason{}, false
}

// asked is since when an answer of g is missing.
func (r *Rollout) asked(g *Gate) int64 {
	answer := r.head.Gates[g.Name]
	if g.Watch {
		return max(answer.Passed, r.head.Began)
	}
	if answer.Asked == 0 {
		return r.now
	}
	return answer.Asked
}

func (r *Rollout) overdue(g *Gate) bool {
	if !g.Watch && r.head.Gates[g.Name].Result == Pass {
		return false
	}
	return r.now-r.asked(g) > g.deadline().Microseconds()
}

func (r *Rollout) unanswered(g *Gate) Reason {
	detail := r.head.Gates[g.Name].Detail
	if r.overdue(g) {
		return Reason{Code: CodePerson, Name: g.Name, Detail: detail}
	}
	return Reason{Code: CodeGate, Name: g.Name, Until: at(r.asked(g)).Add(g.deadline()), Detail: detail}
}

// answers takes in what gates say.
func (r *Rollout) answers(answers []Answer) {
	h := &r.head
	if h.State != Rolling {
		return
	}
	for _, a := range answers {
		i := slices.IndexFunc(h.Policy.Gates, func(g Gate) bool { return g.Name == a.Gate })
		if i < 0 || !h.Policy.Gates[i].Watch && (a.Wave != h.Wave+1 || h.Gates[a.Gate].Asked == 0) {
			continue // about another wave, or nobody asked
		}
		g := h.Gates[a.Gate]
		if a.Result > Fail {
			a.Result = Undecided
		}
		if g.Result != a.Result && a.Result == Pass && !h.Policy.Gates[i].Watch {
			r.note(Event{At: at(r.now), From: h.State, To: h.State, Version: h.Rolling, Reason: Reason{Code: CodeGatePass, Name: a.Gate, Detail: a.Detail}})
		}
		g.Result, g.Detail = a.Result, a.Detail
		if a.Result == Pass {
			g.Passed = r.now
		}
		if h.Gates == nil {
			h.Gates = map[string]gate{}
		}
		h.Gates[a.Gate] = g
	}
}

// backward ends the way back when there is nothing left to do, or nothing that can be done.
func (r *Rollout) backward() bool {
	h := &r.head
	if r.counts[Pending] > 0 || r.counts[Wavering] > 0 || h.Paused != nil {
		return false
	}
	if r.candidates == 0 {
		why := Reason{Code: CodeBack, Version: h.Good, Count: r.counts[Succeeded]}
		if failed := r.failures(); failed > 0 {
			why = Reason{Code: CodeGivenUp, Count: failed, Of: failed + r.counts[Succeeded]}
		}
		r.transition(Reverted, "", why)
		return true
	}
	if limit := h.Policy.limit().Microseconds(); r.now-h.Moved > limit && h.Heard-h.Moved > limit {
		r.stop("", Reason{Code: CodeStuck, Count: r.candidates})
		return true
	}
	return false
}

// frozenUntil returns the end of the freeze that holds, or the zero time.
func (r *Rollout) frozenUntil() time.Time {
	if why, held := r.held(); held && why.Code == CodeFrozen {
		return why.Until
	}
	return time.Time{}
}
