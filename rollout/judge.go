package rollout

// judge looks at every target whose time is up by the clock of reports, and, when the caller has
// vouched for all, at those that only waited for a word.
func (r *Rollout) judge() {
	if r.head.Others == r.now {
		for _, id := range r.postponed {
			if t := &r.targets[id]; (r.outcome(t) == Pending || r.outcome(t) == Wavering) && r.soaked(t) {
				r.settle(id)
			}
		}
		r.postponed = r.postponed[:0]
	}
	for len(r.due) > 0 && r.targets[r.due[0]].due <= r.head.Heard {
		r.settle(r.due[0])
	}
}

// dueOf returns when a pending or wavering target is to be looked at next.
func (r *Rollout) dueOf(t *target) int64 {
	p := &r.head.Policy
	switch {
	case r.proven(t):
		return t.since + r.soak()
	case r.outcome(t) == Wavering:
		return t.since + p.Grace.Microseconds()
	}
	return t.asked + p.limit().Microseconds()
}

// soak is how long a target must be healthy; on the way back not at all.
func (r *Rollout) soak() int64 {
	if r.head.Back {
		return 0
	}
	return r.head.Policy.Soak.Microseconds()
}

// proven reports whether t runs, healthily, what it was asked for.
func (r *Rollout) proven(t *target) bool {
	return t.version == t.wanted && t.version != 0 && t.health == Healthy
}

// soaked reports whether t is proven, and a word of it came after it had been so for long enough.
func (r *Rollout) soaked(t *target) bool {
	return r.proven(t) && !t.is(flagSilent) && r.lastHeard(t) >= t.since+r.soak()
}

// weigh draws the conclusions from a report of the target.
func (r *Rollout) weigh(id uint32, rep *Report) {
	t := &r.targets[id]
	failed := rep.Health == Failed && (t.version == t.wanted || rep.Attempted == r.versions.texts[t.wanted]) && t.wanted != 0
	switch r.outcome(t) {
	case Untouched:
		if r.head.Policy.Replace && r.head.State == Rolling && t.version == r.rolling {
			r.ask(id) // a new target of the new version: it counts from now on
		}
	case Pending:
		if failed {
			r.turnTo(id, Failing, Reason{Code: CodeFailed, Detail: rep.Message})
		} else if r.soaked(t) || t.due <= r.now {
			r.settle(id)
		}
	case Succeeded:
		switch {
		case failed:
			r.turnTo(id, Failing, Reason{Code: CodeFailed, Detail: rep.Message})
		case r.proven(t):
		case r.head.Policy.Grace > 0:
			r.turnTo(id, Wavering, Reason{Code: CodeWavers, Detail: rep.Message})
		default:
			r.turnTo(id, Failing, Reason{Code: CodeWavers, Detail: rep.Message})
		}
	case Wavering:
		switch {
		case failed:
			r.turnTo(id, Failing, Reason{Code: CodeFailed, Detail: rep.Message})
		case r.soaked(t):
			r.turnTo(id, Succeeded, Reason{Code: CodeRecovered})
		case t.due <= r.now:
			r.settle(id)
		}
	case Failing:
		if r.soaked(t) {
			r.turnTo(id, Succeeded, Reason{Code: CodeRecovered})
		}
	}
}

// settle decides about a pending or wavering target whose time is up, or gives it a later time.
func (r *Rollout) settle(id uint32) {
	t := &r.targets[id]
	switch {
	case r.soaked(t) && r.outcome(t) == Wavering:
		r.turnTo(id, Succeeded, Reason{Code: CodeRecovered})
	case r.soaked(t):
		r.turnTo(id, Succeeded, Reason{Code: CodeHealthy})
	case r.outcome(t) == Wavering && !r.proven(t):
		r.turnTo(id, Failing, Reason{Code: CodeWavers, Detail: r.messages.texts[t.message]})
	default:
		last := t.asked
		if r.proven(t) { // it was well when last heard of; that word is too old to count
			last = max(last, r.lastHeard(t))
		}
		if end := last + r.head.Policy.limit().Microseconds(); end > r.head.Heard {
			r.unlink(id)
			t.due = end
			r.link(id, false)
			if r.proven(t) {
				r.postponed = append(r.postponed, id)
			}
			return
		}
		r.turnTo(id, Failing, Reason{Code: CodeTooLong, Detail: r.messages.texts[t.message]})
	}
}

// turnTo gives a target of this turn another outcome.
func (r *Rollout) turnTo(id uint32, o Outcome, why Reason) {
	t := &r.targets[id]
	was := r.outcome(t)
	r.unlink(id)
	t.outcome = o
	r.hold(t, o != Succeeded)
	t.due = r.dueOf(t)
	r.link(id, false)
	r.dirty(id)
	r.verdict(t, o, why)
	if was == Pending {
		r.head.Moved = r.now
		if o == Succeeded && !r.head.Back {
			r.took(r.now - t.asked)
		}
	}
}

// took averages how long targets take, the last dozen weighing most.
func (r *Rollout) took(d int64) {
	if r.head.Took == 0 {
		r.head.Took = max(d, 1)
		return
	}
	r.head.Took += (max(d, 1) - r.head.Took) / 8
}
