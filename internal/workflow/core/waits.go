package core

import (
	"container/heap"

	"tutti/api"
)

// waits finds the first of the nodes that wait, without going through all nodes. It may hold nodes that
// wait no more, or have left the run: they are taken out when they would come first.
type waits struct {
	all     byPos
	signals map[string]*byPos // those that wait for a signal, by its name
}

// add takes in n, which begins to wait.
func (w *waits) add(n *node) {
	if !n.inWaits {
		n.inWaits = true
		heap.Push(&w.all, n)
	}
	if n.reason == nil || n.reason.Kind != "signal" || n.inSignal == n.reason.Key {
		return
	}
	if w.signals == nil {
		w.signals = map[string]*byPos{}
	}
	h := w.signals[n.reason.Key]
	if h == nil {
		h = &byPos{}
		w.signals[n.reason.Key] = h
	}
	n.inSignal = n.reason.Key
	heap.Push(h, n)
}

// first returns the first node that waits for a reason, or nil.
func (w *waits) first() *node {
	for len(w.all) > 0 {
		n := w.all[0]
		if n.waits() && n.reason != nil {
			return n
		}
		heap.Pop(&w.all)
		n.inWaits = false
	}
	return nil
}

// forSignal returns the first node that waits for the signal of a name, or nil.
func (w *waits) forSignal(name string) *node {
	h := w.signals[name]
	for h != nil && len(*h) > 0 {
		n := (*h)[0]
		if n.waits() && n.reason != nil && n.reason.Kind == "signal" && n.reason.Key == name {
			return n
		}
		heap.Pop(h)
		if n.inSignal == name {
			n.inSignal = ""
		}
	}
	delete(w.signals, name)
	return nil
}

// renumbered is to be called when the positions of nodes have changed: dead ones kept theirs.
func (w *waits) renumbered() {
	w.all.renumbered()
	for name, h := range w.signals {
		if h.renumbered(); len(*h) == 0 {
			delete(w.signals, name)
		}
	}
}

func (n *node) waits() bool { return !n.dead && n.state == api.Waiting }

// byPos is a heap of nodes, the first of the run on top.
type byPos []*node

func (h byPos) Len() int           { return len(h) }
func (h byPos) Less(i, j int) bool { return h[i].pos < h[j].pos }
func (h byPos) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }
func (h *byPos) Push(x any)        { *h = append(*h, x.(*node)) }

func (h *byPos) Pop() any {
	last := len(*h) - 1
	n := (*h)[last]
	(*h)[last], *h = nil, (*h)[:last]
	return n
}

func (h *byPos) renumbered() {
	kept := (*h)[:0]
	for _, n := range *h {
		if !n.dead {
			kept = append(kept, n)
		}
	}
	clear((*h)[len(kept):])
	*h = kept
	heap.Init(h)
}
