package rollout

import "hash/maphash"

// none stands for no target, no position, no entry.
const none = ^uint32(0)

// target is all the planner keeps of one target. It holds one pointer, so that a million of them
// cost the garbage collector little; texts are numbers of interned strings, times microseconds.
type target struct {
	name string

	at    int64 // of the last report, as reported: older ones are ignored
	heard int64 // when the last report arrived
	since int64 // since when version and health are what they are
	asked int64 // when wanted was last set
	due   int64 // when a pending or wavering target is looked at next, by the clock of reports

	older, newer uint32 // neighbours in the list of those heard, or of those silent
	pos          uint32 // its place in a heap: a lane's, or the one of what is due
	class        uint32
	version      uint32
	wanted       uint32
	message      uint32
	arrival      uint32 // the order of first reports
	seq          uint32 // the order of assignments within a turn
	turn         uint32 // the turn that outcome is of; in any other the target is untouched
	priority     int32

	outcome Outcome
	health  Health
	flags   uint8
}

// The flags of a target.
const (
	flagUsed   = 1 << iota // the slot holds a target
	flagSilent             // nothing was heard for too long
	flagHeld               // it counts as changing: asked, and not yet succeeded since
	flagDirty              // it is in changes.dirty
	flagRetire             // named in Plan.Retire and not yet gone
)

func (t *target) is(flag uint8) bool { return t.flags&flag != 0 }
func (t *target) set(flag uint8, on bool) {
	t.flags &^= flag
	if on {
		t.flags |= flag
	}
}

// interner numbers texts, so that a million targets with the same version share one. Number 0 is "".
type interner struct {
	ids   map[string]uint32
	texts []string
	uses  []uint32
	free  []uint32
}

func newInterner() interner {
	return interner{ids: map[string]uint32{"": 0}, texts: []string{""}, uses: []uint32{1}}
}

// take returns the number of text and counts one use of it.
func (n *interner) take(text string) uint32 {
	id, ok := n.ids[text]
	switch {
	case ok:
	case len(n.free) > 0:
		id = n.free[len(n.free)-1]
		n.free = n.free[:len(n.free)-1]
		n.texts[id], n.uses[id], n.ids[text] = text, 0, id
	default:
		id = uint32(len(n.texts))
		n.texts, n.uses, n.ids[text] = append(n.texts, text), append(n.uses, 0), id
	}
	n.uses[id]++
	return id
}

// drop ends one use of id.
func (n *interner) drop(id uint32) {
	if n.uses[id]--; n.uses[id] == 0 && id != 0 {
		delete(n.ids, n.texts[id])
		n.texts[id] = ""
		n.free = append(n.free, id)
	}
}

// put replaces the use of *id by one of text.
func (n *interner) put(id *uint32, text string) {
	if n.texts[*id] == text {
		return
	}
	old := *id
	*id = n.take(text)
	n.drop(old)
}

// table finds targets by group and name: open addressing over slots of the target array, because a
// map of a million keys would weigh more than all else. The hash differs from process to process; only
// the speed depends on it.
type table struct {
	seed  maphash.Seed
	slots []uint32 // number of a target + 1; 0 is empty
	n     int
}

func newTable() table { return table{seed: maphash.MakeSeed(), slots: make([]uint32, 16)} }

func (t *table) hash(group uint32, name string) uint64 {
	h := maphash.String(t.seed, name) + uint64(group)*0x9e3779b97f4a7c15
	return h ^ h>>29
}

// find returns the number of the target, or none.
func (r *Rollout) find(group, name string) uint32 {
	g, ok := r.groups.ids[group]
	if !ok {
		return none
	}
	t := &r.table
	for i := t.hash(g, name); ; i++ {
		slot := t.slots[i&uint64(len(t.slots)-1)]
		if slot == 0 {
			return none
		}
		if c := &r.targets[slot-1]; c.name == name && r.classes[c.class].group == g {
			return slot - 1
		}
	}
}

// insert adds the target to the table, which must not have it.
func (r *Rollout) insert(id uint32) {
	t := &r.table
	if (t.n+1)*4 > len(t.slots)*3 {
		old := t.slots
		t.slots, t.n = make([]uint32, 2*len(old)), 0
		for _, slot := range old {
			if slot != 0 {
				r.place(slot - 1)
			}
		}
	}
	r.place(id)
}

func (r *Rollout) place(id uint32) {
	t := &r.table
	i := r.hashOf(id)
	for t.slots[i&uint64(len(t.slots)-1)] != 0 {
		i++
	}
	t.slots[i&uint64(len(t.slots)-1)] = id + 1
	t.n++
}

func (r *Rollout) hashOf(id uint32) uint64 {
	c := &r.targets[id]
	return r.table.hash(r.classes[c.class].group, c.name)
}

// unplace removes the target from the table and moves back those that it had pushed on.
func (r *Rollout) unplace(id uint32) {
	t := &r.table
	mask := uint64(len(t.slots) - 1)
	i := r.hashOf(id)
	for t.slots[i&mask] != id+1 {
		i++
	}
	t.slots[i&mask] = 0
	t.n--
	for j := i + 1; t.slots[j&mask] != 0; j++ {
		moved := t.slots[j&mask] - 1
		t.slots[j&mask] = 0
		t.n--
		r.place(moved)
	}
}

// list is a list of targets through older and newer, from the longest unheard on.
type list struct{ first, last uint32 }

func (r *Rollout) push(l *list, id uint32) {
	t := &r.targets[id]
	t.older, t.newer = l.last, none
	if l.last == none {
		l.first = id
	} else {
		r.targets[l.last].newer = id
	}
	l.last = id
}

func (r *Rollout) remove(l *list, id uint32) {
	t := &r.targets[id]
	if t.older == none {
		l.first = t.newer
	} else {
		r.targets[t.older].newer = t.newer
	}
	if t.newer == none {
		l.last = t.older
	} else {
		r.targets[t.newer].older = t.older
	}
}

// hearing returns the list that t is in.
func (r *Rollout) hearing(t *target) *list {
	if t.is(flagSilent) {
		return &r.silent
	}
	return &r.loud
}
