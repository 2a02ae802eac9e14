package core

import (
	"cmp"
	"container/heap"
	"slices"
)

// Line is who has the places under one limit, and who waits for one. Coming, leaving and moving up cost
// O(log n) in those who are in it. The zero Line is empty.
type Line[W comparable] struct {
	of      map[W]*Claimant[W]
	holders int
	mosts   map[int]int // how many holders allow so many
	queue   queue[W]
}

// Claimant is somebody in a Line.
type Claimant[W comparable] struct {
	Who W
	// Most is how many may have a place at the same time, in its opinion; of all who have one or come
	// next, the smallest holds.
	Most int
	// Priority orders those who wait, the highest first; Place, which is everyone's own, orders those of
	// the same priority, and holders.
	Priority int
	Place    int64
	// Granted says that it has a place.
	Granted bool

	at int // in the queue
}

// Enter lets c wait for a place, or, where it is granted, have it.
func (l *Line[W]) Enter(c Claimant[W]) {
	if l.of == nil {
		l.of, l.mosts = map[W]*Claimant[W]{}, map[int]int{}
	}
	l.Leave(c.Who)
	l.of[c.Who] = &c
	if c.Granted {
		l.hold(&c)
	} else {
		heap.Push(&l.queue, &c)
	}
}

func (l *Line[W]) hold(c *Claimant[W]) {
	c.Granted = true
	l.holders++
	l.mosts[c.Most]++
}

// MoveUp gives the places there are to those who come next, and returns these.
func (l *Line[W]) MoveUp() (granted []Claimant[W]) {
	for len(l.queue) > 0 {
		most := l.queue[0].Most
		for m := range l.mosts {
			most = min(most, m)
		}
		if l.holders >= most {
			break
		}
		c := heap.Pop(&l.queue).(*Claimant[W])
		l.hold(c)
		granted = append(granted, *c)
	}
	return granted
}

// Leave takes somebody out, and reports whether it was in.
func (l *Line[W]) Leave(who W) bool {
	c := l.of[who]
	if c == nil {
		return false
	}
	delete(l.of, who)
	if !c.Granted {
		heap.Remove(&l.queue, c.at)
		return true
	}
	l.holders--
	if l.mosts[c.Most]--; l.mosts[c.Most] == 0 {
		delete(l.mosts, c.Most)
	}
	return true
}

// Holders returns how many have a place.
func (l *Line[W]) Holders() int { return l.holders }

// Len returns how many are in the line.
func (l *Line[W]) Len() int { return len(l.of) }

// All returns who has a place, and then who waits, in their orders.
func (l *Line[W]) All() (all []Claimant[W]) {
	for _, c := range l.of {
		all = append(all, *c)
	}
	slices.SortFunc(all, func(a, b Claimant[W]) int {
		switch {
		case a.Granted != b.Granted && a.Granted:
			return -1
		case a.Granted != b.Granted:
			return 1
		case a.Granted:
			return cmp.Compare(a.Place, b.Place)
		}
		return before(&a, &b)
	})
	return all
}

// SendAway takes out all who wait, and returns them in their order.
func (l *Line[W]) SendAway() (waited []Claimant[W]) {
	for len(l.queue) > 0 {
		c := heap.Pop(&l.queue).(*Claimant[W])
		delete(l.of, c.Who)
		waited = append(waited, *c)
	}
	return waited
}

// before orders those who wait.
func before[W comparable](a, b *Claimant[W]) int {
	return cmp.Or(cmp.Compare(b.Priority, a.Priority), cmp.Compare(a.Place, b.Place))
}

// queue is a heap of those who wait.
type queue[W comparable] []*Claimant[W]

func (q queue[W]) Len() int           { return len(q) }
func (q queue[W]) Less(i, j int) bool { return before(q[i], q[j]) < 0 }
func (q queue[W]) Swap(i, j int) {
	q[i], q[j] = q[j], q[i]
	q[i].at, q[j].at = i, j
}

func (q *queue[W]) Push(x any) {
	c := x.(*Claimant[W])
	c.at = len(*q)
	*q = append(*q, c)
}

func (q *queue[W]) Pop() any {
	last := len(*q) - 1
	c := (*q)[last]
	(*q)[last], *q = nil, (*q)[:last]
	return c
}
