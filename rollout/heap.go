package rollout

// heap is a binary heap of target numbers; each target knows its place, so that one whose key
// changed, or that left, is found at once.
type heap []uint32

// less orders two targets in a heap; it must be a total order.
type less func(r *Rollout, a, b uint32) bool

func (r *Rollout) heapPush(h *heap, before less, id uint32) {
	*h = append(*h, id)
	r.targets[id].pos = uint32(len(*h) - 1)
	r.up(*h, before, len(*h)-1)
}

func (r *Rollout) heapRemove(h *heap, before less, id uint32) {
	i, last := int(r.targets[id].pos), len(*h)-1
	r.targets[id].pos = none
	if i != last {
		moved := (*h)[last]
		(*h)[i] = moved
		r.targets[moved].pos = uint32(i)
	}
	*h = (*h)[:last]
	if i != last && !r.down(*h, before, i) {
		r.up(*h, before, i)
	}
}

// heapify makes a heap of targets in any order, in linear time.
func (r *Rollout) heapify(h heap, before less) {
	for i := len(h)/2 - 1; i >= 0; i-- {
		r.down(h, before, i)
	}
}

func (r *Rollout) up(h heap, before less, i int) {
	for i > 0 {
		parent := (i - 1) / 2
		if !before(r, h[i], h[parent]) {
			return
		}
		r.swap(h, i, parent)
		i = parent
	}
}

// down reports whether it moved anything.
func (r *Rollout) down(h heap, before less, i int) bool {
	from := i
	for {
		child := 2*i + 1
		if child >= len(h) {
			break
		}
		if child+1 < len(h) && before(r, h[child+1], h[child]) {
			child++
		}
		if !before(r, h[child], h[i]) {
			break
		}
		r.swap(h, i, child)
		i = child
	}
	return i > from
}

func (r *Rollout) swap(h heap, i, j int) {
	h[i], h[j] = h[j], h[i]
	r.targets[h[i]].pos, r.targets[h[j]].pos = uint32(i), uint32(j)
}

// byDue orders pending targets by when they are looked at next.
func byDue(r *Rollout, a, b uint32) bool {
	if x, y := r.targets[a].due, r.targets[b].due; x != y {
		return x < y
	}
	return r.targets[a].arrival < r.targets[b].arrival
}

// byTurn orders candidates: forward by the policy, backward the newest first.
func byTurn(r *Rollout, a, b uint32) bool {
	x, y := &r.targets[a], &r.targets[b]
	if r.head.Back {
		if x.is(flagHeld) != y.is(flagHeld) { // those need no new place in a budget
			return x.is(flagHeld)
		}
		if x.seq != y.seq {
			return x.seq > y.seq
		}
		return x.arrival > y.arrival
	}
	if x.priority != y.priority {
		return x.priority > y.priority
	}
	switch r.head.Policy.Order {
	case OrderName:
		g, h := r.groupOf(x), r.groupOf(y)
		if g != h {
			return g < h
		}
		return x.name < y.name
	case OrderShuffle:
		if g, h := r.scatter(x), r.scatter(y); g != h {
			return g < h
		}
	}
	return x.arrival < y.arrival
}

// scatter returns a number for t that looks like chance and is the same on every machine.
func (r *Rollout) scatter(t *target) uint64 {
	const prime = 1099511628211 // FNV-1a
	h := uint64(14695981039346656037)
	for _, s := range [...]string{r.head.Rolling, r.groupOf(t), t.name} {
		for i := range len(s) {
			h = (h ^ uint64(s[i])) * prime
		}
		h = (h ^ 0xff) * prime
	}
	h ^= h >> 31 // its last bytes reach the high bits only here
	return h * 0x9e3779b97f4a7c15
}
