package rollout

import (
	"fmt"
	"slices"
)

// check counts everything anew, the slow way, and says where the planner's own counts differ.
func check(r *Rollout) error {
	var counts [outcomesOfTurn]int
	unheardOf, candidates, due, n := 0, 0, 0, 0
	parts := map[partKey]part{}
	type cc struct{ n, held int }
	classes := make([]cc, len(r.classes))
	for id := range r.targets {
		t := &r.targets[id]
		if !t.is(flagUsed) {
			continue
		}
		n++
		if got := r.find(r.groupOf(t), t.name); got != uint32(id) {
			return fmt.Errorf("find(%s) = %d; want %d", r.nameOf(t), got, id)
		}
		o := r.outcome(t)
		counts[o]++
		classes[t.class].n++
		if t.is(flagHeld) {
			classes[t.class].held++
		}
		if o == Untouched && t.is(flagSilent) {
			unheardOf++
		}
		c := &r.classes[t.class]
		available := t.health == Healthy && !t.is(flagSilent) && (o == Untouched || o == Succeeded)
		for i, l := range r.head.Policy.Limits {
			name := "the targets"
			if l.Per != "" {
				name = l.Per + " " + r.label(c, l.Per)
			}
			p := parts[partKey{i, name}]
			p.n++
			if available {
				p.available++
			}
			parts[partKey{i, name}] = p
		}
		switch {
		case o == Pending || o == Wavering:
			due++
			if r.due[t.pos] != uint32(id) {
				return fmt.Errorf("%s is not where it is due", t.name)
			}
		case t.pos != none:
			candidates++
			lane := laneUnavailable
			if available {
				lane = laneAvailable
			}
			if c.lanes[lane][t.pos] != uint32(id) {
				return fmt.Errorf("%s is not in its lane", t.name)
			}
		case r.candidate(t):
			return fmt.Errorf("%s may be asked, and is in no lane", t.name)
		}
		if moving := r.head.State != Idle && r.head.State != Stopped; t.pos != none && o == Untouched && moving && !r.candidate(t) {
			return fmt.Errorf("%s is in a lane, and may not be asked in %s", t.name, r.head.State)
		}
	}
	if counts != r.counts || unheardOf != r.unheardOf || candidates != r.candidates || due != len(r.due) || n != r.Len() || n != r.table.n {
		return fmt.Errorf("counts %v, %d silent, %d candidates, %d due, %d known; want %v, %d, %d, %d, %d", r.counts, r.unheardOf, r.candidates, len(r.due), r.table.n,
			counts, unheardOf, candidates, due, n)
	}
	for key, want := range parts {
		if got := r.parts[r.partIDs[key]]; got.n != want.n || got.available != want.available {
			return fmt.Errorf("part %v is %d of %d; want %d of %d", key, got.available, got.n, want.available, want.n)
		}
	}
	for i, want := range classes {
		if got := (cc{r.classes[i].n, r.classes[i].held}); got != want {
			return fmt.Errorf("class %d is %v; want %v", i, got, want)
		}
	}
	return checkOrder(r)
}

// checkOrder checks that heaps are heaps and lists are in order.
func checkOrder(r *Rollout) error {
	isHeap := func(h heap, before less) bool {
		for i := 1; i < len(h); i++ {
			if before(r, h[i], h[(i-1)/2]) {
				return false
			}
		}
		return true
	}
	if !isHeap(r.due, byDue) {
		return fmt.Errorf("what is due is out of order")
	}
	for i := range r.classes {
		for _, h := range r.classes[i].lanes {
			if r.head.State != Idle && !isHeap(h, byTurn) {
				return fmt.Errorf("a lane of class %d is out of order in %s", i, r.head.State)
			}
		}
	}
	seen := 0
	for _, l := range []list{r.loud, r.silent} {
		last, before := none, int64(-1<<63)
		for id := l.first; id != none; id = r.targets[id].newer {
			t := &r.targets[id]
			if t.older != last || t.heard < before || !t.is(flagUsed) {
				return fmt.Errorf("%s is out of order in its list", t.name)
			}
			last, before = id, t.heard
			seen++
		}
		if l.last != last {
			return fmt.Errorf("a list does not end with its last")
		}
	}
	if seen != r.Len() {
		return fmt.Errorf("%d targets are in lists; want %d", seen, r.Len())
	}
	return nil
}

// shadow is what the world has said of a target, kept apart from the planner.
type shadow struct {
	version string
	health  Health
	when    int64
	since   int64 // when version and health became so, as the planner heard it
}

// checkPlan checks what a plan may not do, whatever came before. before is the target states before
// the step, held those that had their place in the budgets.
func checkPlan(r *Rollout, plan Plan, before map[Target]TargetState, l *Ledger, held map[Target]bool) error {
	h, p := &r.head, &r.head.Policy
	forward, asked, given := 0, map[string]bool{}, map[Assignment]bool{}
	for _, a := range plan.Assignments {
		given[Assignment{a.Target, a.Version, ""}] = true
		if a.Version == "" {
			return fmt.Errorf("%s is asked for nothing", a.Target)
		}
		if slices.Contains(h.Bad, a.Version) && a.Version != h.Rolling && a.Version != h.Good {
			return fmt.Errorf("%s is asked for %s, which is bad", a.Target, a.Version)
		}
		s, ok := r.Target(a.Target)
		if !ok {
			return fmt.Errorf("%s is asked, and not known", a.Target)
		}
		switch a.Code {
		case CodeRollout, CodeConverge:
			forward++
		case CodeRollback:
			if b := before[a.Target]; h.Back && !given[Assignment{a.Target, h.Rolling, ""}] && b.Wanted != h.Rolling && b.Version != h.Rolling && s.Version != h.Rolling {
				return fmt.Errorf("%s goes back, and was never on %s", a.Target, h.Rolling)
			}
		}
		if a.Code != CodeNewcomer && s.Health == Healthy && !s.Silent {
			id := r.find(a.Group, a.Name)
			for _, i := range r.classes[r.targets[id].class].parts {
				asked[r.parts[i].name+fmt.Sprint(r.parts[i].limit)] = true
			}
		}
	}
	busy := r.counts[Pending] + r.counts[Wavering]
	if batch := p.batch(r.total()); forward > 0 && h.State == Rolling && (busy > batch || r.touched()+h.Lost > r.size()) && !p.Replace {
		return fmt.Errorf("%d are changing, %d asked; the batch is %d, the wave %d", busy, r.touched(), batch, r.size())
	}
	for i := range r.parts {
		part := &r.parts[i]
		if !asked[part.name+fmt.Sprint(part.limit)] {
			continue
		}
		limit := &p.Limits[part.limit]
		if limit.MinHealthy.set && part.available < limit.MinHealthy.AtLeast(part.n) || limit.MaxUnavailable.set && part.n-part.available > limit.MaxUnavailable.Of(part.n) {
			return fmt.Errorf("of %s only %d of %d are available after a healthy one was asked", part.name, part.available, part.n)
		}
	}
	for _, v := range plan.Verdicts {
		if v.Outcome == Failing || v.Outcome == Wavering {
			held[v.Target] = true // not by being asked
		}
	}
	for _, a := range plan.Assignments {
		id := r.find(a.Group, a.Name)
		if t := &r.targets[id]; a.Code == CodeNewcomer || held[a.Target] || !t.is(flagHeld) {
			continue
		}
		for _, p := range l.places(&r.classes[r.targets[id].class], r) {
			if s := p.cell.sum; s.Changing > p.budget.Max.Of(s.Total) {
				return fmt.Errorf("budget %s (%s) is exceeded: %+v", p.budget.Name, p.value, s)
			}
		}
	}
	return nil
}

// checkGood checks, of each success and when a version was found good, that the world had said so: a
// target that succeeded was told healthy on the version for the soak then in force, and those that make
// a version good still are.
func checkGood(r *Rollout, plan Plan, world map[Target]shadow, turn uint32, lost, forgiven int) error {
	for _, v := range plan.Verdicts {
		s := world[v.Target]
		last, _ := r.Target(v.Target) // later reports of the same step may have said otherwise
		if v.Outcome == Succeeded && last.Outcome == Succeeded && r.head.Turn == turn && (s.version != v.Version || s.health != Healthy || r.now-s.since < r.soak()) {
			return fmt.Errorf("%s succeeded with %s; it said %+v", v.Target, v.Version, s)
		}
	}
	for _, e := range plan.Events {
		if e.Reason.Code != CodeMet || r.head.State != Good {
			continue
		}
		healthy := 0
		for id := range r.targets {
			t := &r.targets[id]
			if s := world[r.nameOf(t)]; t.is(flagUsed) && r.outcome(t) == Succeeded && s.version == e.Reason.Version && s.health == Healthy {
				healthy++
			}
		}
		n := r.Len() + lost
		if need := max(1, n-r.head.Policy.tolerated(n)-forgiven); healthy < need {
			return fmt.Errorf("%s is good with %d of %d healthy on it; want %d", e.Reason.Version, healthy, n, need)
		}
	}
	return nil
}
