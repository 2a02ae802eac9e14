package rollout

import (
	"maps"
	"slices"
	"strings"
)

// class holds the targets that no limit, spread or budget tells apart: one group, one set of labels.
type class struct {
	group  uint32
	labels map[string]string
	n      int // targets in it; an empty class stays for those who come
	held   int // targets that count as changing
	// lanes are its candidates: those whose change makes one less available, and the others.
	lanes [2]heap
	parts []uint32 // its part for each of Policy.Limits
	zone  uint32   // its zone, by Policy.Spread
	// places are its cells in the ledger of the step that runs.
	places []place
}

// The lanes of a class.
const (
	laneAvailable = iota
	laneUnavailable
)

// part is what one limit is counted over.
type part struct {
	limit     int // which of Policy.Limits
	name      string
	n         int
	available int
}

// partKey finds a part.
type partKey struct {
	limit int
	name  string
}

// allows reports whether one available target of p may be asked to change.
func (p *part) allows(l *Limit) bool {
	if l.MinHealthy.set && p.available-1 < l.MinHealthy.AtLeast(p.n) {
		return false
	}
	return !l.MaxUnavailable.set || p.n-p.available+1 <= l.MaxUnavailable.Of(p.n)
}

// zone is what a wave is spread over.
type zone struct {
	name       string
	n, touched int
}

// label returns the value of a label, where "group" is the group.
func (r *Rollout) label(c *class, key string) string {
	if key == "group" {
		return r.groups.texts[c.group]
	}
	return c.labels[key]
}

// classOf returns the class for a group and labels, making it where it is new.
func (r *Rollout) classOf(group string, labels map[string]string) uint32 {
	key := classKey(group, labels)
	if id, ok := r.classIDs[key]; ok {
		return id
	}
	id := uint32(len(r.classes))
	c := class{group: r.groups.take(group)}
	if len(labels) > 0 {
		c.labels = maps.Clone(labels)
	}
	r.divide(&c)
	c.places = r.ledger.places(&c, r)
	r.classes = append(r.classes, c)
	r.classIDs[key] = id
	return id
}

// classKey is group and labels as one text, each with its length, so that nothing collides.
func classKey(group string, labels map[string]string) string {
	if len(labels) == 0 {
		return group
	}
	var b strings.Builder
	b.WriteString(group)
	for _, k := range slices.Sorted(maps.Keys(labels)) {
		for _, s := range [...]string{k, labels[k]} {
			b.WriteByte(0)
			for n := len(s); n > 0; n >>= 7 {
				b.WriteByte(byte(n&0x7f | 0x80))
			}
			b.WriteByte(0)
			b.WriteString(s)
		}
	}
	return b.String()
}

// divide places c in the parts of the limits and in its zone.
func (r *Rollout) divide(c *class) {
	c.parts = c.parts[:0]
	for i, l := range r.head.Policy.Limits {
		name := "the targets"
		if l.Per != "" {
			name = l.Per + " " + r.label(c, l.Per)
		}
		at, ok := r.partIDs[partKey{i, name}]
		if !ok {
			at = uint32(len(r.parts))
			r.partIDs[partKey{i, name}] = at
			r.parts = append(r.parts, part{limit: i, name: name})
		}
		c.parts = append(c.parts, at)
	}
	name := ""
	if r.head.Policy.Spread != "" {
		name = r.label(c, r.head.Policy.Spread)
	}
	at, ok := r.zoneIDs[name]
	if !ok {
		at = uint32(len(r.zones))
		r.zoneIDs[name] = at
		r.zones = append(r.zones, zone{name: name})
	}
	c.zone = at
}

// available reports whether t serves now: healthy, heard of, and not changing.
func (r *Rollout) available(t *target) bool {
	if t.health != Healthy || t.is(flagSilent) {
		return false
	}
	o := r.outcome(t)
	return o == Succeeded || o == Untouched
}

// outcome returns how far t is in the turn.
func (r *Rollout) outcome(t *target) Outcome {
	if t.turn != r.head.Turn {
		return Untouched
	}
	return t.outcome
}

// candidate reports whether t may be asked in this turn.
func (r *Rollout) candidate(t *target) bool {
	if r.outcome(t) != Untouched {
		return false
	}
	switch r.head.State {
	case Rolling: // with Replace these are the old ones, which may go; new ones are adopted as they appear
		return !t.is(flagSilent) && !(r.head.Policy.Replace && t.version == r.rolling)
	case Good:
		return !t.is(flagSilent) && t.wanted != r.rolling && !r.head.Policy.Replace
	case RollingBack, Reverted:
		return r.good != 0 && (t.wanted == r.rolling || t.version == r.rolling)
	}
	return false
}

// link counts t wherever it counts and queues it where it waits. append leaves heaps for heapify.
func (r *Rollout) link(id uint32, bulk bool) {
	t := &r.targets[id]
	c := &r.classes[t.class]
	o := r.outcome(t)
	r.counts[o]++
	c.n++
	r.zones[c.zone].n++
	if o != Untouched {
		r.zones[c.zone].touched++
	} else if t.is(flagSilent) {
		r.unheardOf++
	}
	if t.is(flagHeld) {
		c.held++
	}
	available := r.available(t)
	for _, p := range c.parts {
		r.parts[p].n++
		if available {
			r.parts[p].available++
		}
	}
	t.pos = none
	var h *heap
	before := less(byTurn)
	switch {
	case o == Pending || o == Wavering:
		h, before = &r.due, byDue
	case r.candidate(t):
		h = &c.lanes[laneUnavailable]
		if available {
			h = &c.lanes[laneAvailable]
		}
		r.candidates++
	default:
		return
	}
	if bulk {
		*h = append(*h, id)
		t.pos = uint32(len(*h) - 1)
		return
	}
	r.heapPush(h, before, id)
}

// unlink undoes link; between the two anything but the name may change.
func (r *Rollout) unlink(id uint32) {
	t := &r.targets[id]
	c := &r.classes[t.class]
	o := r.outcome(t)
	r.counts[o]--
	c.n--
	r.zones[c.zone].n--
	if o != Untouched {
		r.zones[c.zone].touched--
	} else if t.is(flagSilent) {
		r.unheardOf--
	}
	if t.is(flagHeld) {
		c.held--
	}
	available := r.available(t)
	for _, p := range c.parts {
		r.parts[p].n--
		if available {
			r.parts[p].available--
		}
	}
	if t.pos == none {
		return
	}
	if o == Pending || o == Wavering {
		r.heapRemove(&r.due, byDue, id)
		return
	}
	lane := laneUnavailable
	if available {
		lane = laneAvailable
	}
	r.candidates--
	r.heapRemove(&c.lanes[lane], byTurn, id)
}

// rebuild counts and queues all targets anew: at the start of a turn, after a change of policy, and
// after decoding. It is the one thing that takes time in proportion to all targets.
func (r *Rollout) rebuild() {
	r.postponed = r.postponed[:0]
	r.counts, r.unheardOf, r.candidates = [outcomesOfTurn]int{}, 0, 0
	r.parts, r.zones, r.due = r.parts[:0], r.zones[:0], r.due[:0]
	clear(r.partIDs)
	clear(r.zoneIDs)
	for i := range r.classes {
		c := &r.classes[i]
		c.n, c.held = 0, 0
		c.lanes[0], c.lanes[1] = c.lanes[0][:0], c.lanes[1][:0]
		r.divide(c)
	}
	for id := range r.targets {
		if r.targets[id].is(flagUsed) {
			r.link(uint32(id), true)
		}
	}
	r.heapify(r.due, byDue)
	for i := range r.classes {
		r.heapify(r.classes[i].lanes[0], byTurn)
		r.heapify(r.classes[i].lanes[1], byTurn)
	}
}
