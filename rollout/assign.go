package rollout

import (
	"cmp"
	stdheap "container/heap"
	"math"
	"slices"
)

// slots returns how many more targets may be asked now, before limits and budgets, and what holds
// it at nothing.
func (r *Rollout) slots() (int, Reason) {
	n := r.total()
	busy := r.counts[Pending] + r.counts[Wavering]
	if why, held := r.held(); held {
		return 0, why
	}
	batch := r.head.Policy.batch(n)
	switch r.head.State {
	case Rolling:
		if r.head.Settled != 0 {
			return 0, Reason{}
		}
		batch = min(batch-busy, r.size()-r.touched()-r.head.Lost)
	case Good:
		batch -= busy
	case RollingBack, Reverted:
		batch = n
		if r.head.Policy.RollbackBatch.IsSet() {
			batch = r.head.Policy.RollbackBatch.Of(n)
		}
		batch -= busy
	default:
		return 0, Reason{}
	}
	if batch <= 0 {
		return 0, Reason{Code: CodeBatch, Count: busy, Of: r.head.Policy.batch(n)}
	}
	return batch, Reason{}
}

// size is how many targets the wave goes up to.
func (r *Rollout) size() int { return r.head.Policy.size(r.head.Wave, r.total()) }

// held reports what keeps every target from being asked.
func (r *Rollout) held() (Reason, bool) {
	if p := r.head.Paused; p != nil {
		return Reason{Code: CodePaused, Name: or2(p.By, "the policy"), Detail: p.Why}, true
	}
	if r.head.Back {
		return Reason{}, false // the way to safety is never frozen
	}
	now := at(r.now)
	for i := range r.head.Policy.Freeze {
		w := &r.head.Policy.Freeze[i]
		if until := w.covers(now); !until.IsZero() {
			return Reason{Code: CodeFrozen, Until: until, Detail: w.Why}, true
		}
	}
	if r.head.State == Rolling && !r.head.Promoted {
		if why, waits := r.watching(); waits {
			return why, true
		}
	}
	return Reason{}, false
}

func or2(text, unset string) string {
	if text == "" {
		return unset
	}
	return text
}

// assign asks as many targets as may be asked now, and reports whether there were any.
func (r *Rollout) assign() bool {
	if r.candidates == 0 || r.head.Policy.Replace || r.choosing() {
		return false
	}
	slots, _ := r.slots()
	if slots == 0 {
		return false
	}
	n := r.pick(slots, r.ask, nil)
	return n > 0
}

// choosing reports whether the caller chooses: only for a rollout, never for the way back.
func (r *Rollout) choosing() bool { return r.head.Policy.Choose && r.head.State == Rolling }

// ask gives a target to the turn: it is asked for the turn's goal.
func (r *Rollout) ask(id uint32) {
	t := &r.targets[id]
	code := CodeRollout
	switch r.head.State {
	case Good:
		code = CodeConverge
	case RollingBack, Reverted:
		code = CodeRollback
	}
	r.unlink(id)
	r.head.Seq++
	t.turn, t.outcome, t.seq, t.asked = r.head.Turn, Pending, r.head.Seq, r.now
	goal := r.versions.texts[r.goal()]
	r.versions.put(&t.wanted, goal)
	r.hold(t, true)
	t.due = r.dueOf(t)
	r.link(id, false)
	r.dirty(id)
	r.head.Moved = r.now
	r.plan.Assignments = append(r.plan.Assignments, Assignment{r.nameOf(t), goal, code})
}

// hold counts t as changing, or no longer.
func (r *Rollout) hold(t *target, on bool) {
	if t.is(flagHeld) == on {
		return
	}
	t.set(flagHeld, on)
	if on {
		r.changing(&r.classes[t.class], 1)
	} else {
		r.changing(&r.classes[t.class], -1)
	}
}

// lane is the candidates of one class that are alike to the limits.
type lane struct {
	r     *Rollout
	class uint32
	kind  int
}

func (l lane) heap() []uint32 { return l.r.classes[l.class].lanes[l.kind] }

// before orders lanes by what they would give next. Forward the healthy come first, since one that is
// broken anyway is no judge of a version; backward the broken, since they serve nobody.
func (l lane) before(m lane) bool {
	if l.kind != m.kind {
		return (l.kind == laneAvailable) != l.r.head.Back
	}
	return byTurn(l.r, l.heap()[0], m.heap()[0])
}

// queue is a heap for container/heap.
type queue[T any] struct {
	items  []T
	before func(a, b T) bool
}

func (q *queue[T]) Len() int           { return len(q.items) }
func (q *queue[T]) Less(i, j int) bool { return q.before(q.items[i], q.items[j]) }
func (q *queue[T]) Swap(i, j int)      { q.items[i], q.items[j] = q.items[j], q.items[i] }
func (q *queue[T]) Push(x any)         { q.items = append(q.items, x.(T)) }
func (q *queue[T]) Pop() any {
	n := len(q.items) - 1
	x := q.items[n]
	q.items = q.items[:n]
	return x
}

// zoneLanes are the lanes of one zone.
type zoneLanes struct {
	r     *Rollout
	zone  uint32
	lanes *queue[lane]
}

// before prefers the zone with the smaller part touched, so that a wave is spread evenly.
func (z zoneLanes) before(y zoneLanes) bool {
	a, b := &z.r.zones[z.zone], &z.r.zones[y.zone]
	if c := cmp.Compare(int64(a.touched)*int64(b.n), int64(b.touched)*int64(a.n)); c != 0 {
		return c < 0
	}
	return z.lanes.items[0].before(y.lanes.items[0])
}

// pick takes up to n candidates in their order, within limits and budgets, calls take with each
// (which must make it no candidate any more), and returns how many. Where a limit or a budget leaves
// some out, it appends why to left, unless that is nil.
func (r *Rollout) pick(n int, take func(uint32), left *[]Reason) int {
	zones := r.open()
	taken := 0
	for taken < n && zones.Len() > 0 {
		z := zones.items[0]
		l := z.lanes.items[0]
		if why, blocked := r.blocked(l.class, l.kind, r.targets[l.heap()[0]].is(flagHeld)); blocked {
			if left != nil && !slices.Contains(*left, why) {
				*left = append(*left, why)
			}
			stdheap.Pop(z.lanes)
		} else {
			take(l.heap()[0])
			taken++
			if len(l.heap()) == 0 {
				stdheap.Pop(z.lanes)
			} else {
				stdheap.Fix(z.lanes, 0)
			}
		}
		if z.lanes.Len() == 0 {
			stdheap.Pop(zones)
		} else {
			stdheap.Fix(zones, 0)
		}
	}
	return taken
}

// open returns the zones that have candidates.
func (r *Rollout) open() *queue[zoneLanes] {
	byZone := make([]*queue[lane], len(r.zones))
	for i := range r.classes {
		c := &r.classes[i]
		for kind := range c.lanes {
			if len(c.lanes[kind]) == 0 {
				continue
			}
			if byZone[c.zone] == nil {
				byZone[c.zone] = &queue[lane]{before: lane.before}
			}
			byZone[c.zone].items = append(byZone[c.zone].items, lane{r, uint32(i), kind})
		}
	}
	zones := &queue[zoneLanes]{before: zoneLanes.before}
	for i, lanes := range byZone {
		if lanes != nil {
			stdheap.Init(lanes)
			zones.items = append(zones.items, zoneLanes{r, uint32(i), lanes})
		}
	}
	stdheap.Init(zones)
	return zones
}

// blocked reports whether, and why, a target of the class and kind may not be asked; held says that it
// has its place in the budgets already.
func (r *Rollout) blocked(class uint32, kind int, held bool) (Reason, bool) {
	c := &r.classes[class]
	if kind == laneAvailable {
		for _, i := range c.parts {
			p := &r.parts[i]
			if !p.allows(&r.head.Policy.Limits[p.limit]) {
				return Reason{Code: CodeLimits, Name: p.name, Count: p.n, Of: p.available}, true
			}
		}
		if batch := r.head.Policy.batch(r.Len()); r.head.Back && len(r.head.Policy.Limits) == 0 && r.counts[Pending] >= batch {
			return Reason{Code: CodeBatch, Count: r.counts[Pending], Of: batch}, true
		}
	}
	if held {
		return Reason{}, false
	}
	return c.spent()
}

// propose returns the targets that may be asked now, for the caller to choose from, and puts
// everything back as it was.
func (r *Rollout) propose(n int, left *[]Reason) []Target {
	var ids []uint32
	type was struct {
		turn, seq uint32
		outcome   Outcome
	}
	var olds []was
	r.pick(n, func(id uint32) {
		t := &r.targets[id]
		r.unlink(id)
		ids, olds = append(ids, id), append(olds, was{t.turn, t.seq, t.outcome})
		t.turn, t.outcome, t.due = r.head.Turn, Pending, math.MaxInt64
		r.changing(&r.classes[t.class], 1)
		r.link(id, false)
	}, left)
	names := make([]Target, len(ids))
	for i, id := range ids {
		t := &r.targets[id]
		r.unlink(id)
		t.turn, t.seq, t.outcome = olds[i].turn, olds[i].seq, olds[i].outcome
		r.changing(&r.classes[t.class], -1)
		r.link(id, false)
		names[i] = r.nameOf(t)
	}
	return names
}

// choose asks the targets that the caller chose, as far as the policy lets it.
func (r *Rollout) choose(chosen []Report) {
	if !r.choosing() {
		return
	}
	for i := range chosen {
		if slots, _ := r.slots(); slots == 0 {
			return
		}
		rep := &chosen[i]
		id := r.find(rep.Group, rep.Name)
		if id == none {
			rep := *rep
			rep.Health = Unhealthy // nobody has heard of it yet
			id = r.add(&rep)
		}
		t := &r.targets[id]
		if !r.candidate(t) {
			continue
		}
		kind := laneUnavailable
		if r.available(t) {
			kind = laneAvailable
		}
		if _, blocked := r.blocked(t.class, kind, t.is(flagHeld)); !blocked {
			r.ask(id)
		}
	}
}
