package workflow

import (
	"container/heap"

	"tutti/api"
)

// arm makes a time the next at which the timers of a run are looked at.
func (e *engine) arm(id api.RunID, at int64) {
	if e.armed[id] == at {
		return
	}
	e.armed[id] = at
	heap.Push(&e.timers, due{id, at})
}

// fireDue handles the timers that are due and reports whether there were any.
func (e *engine) fireDue(b *batch) bool {
	now := e.now().UnixMicro()
	fired := false
	for len(e.timers) > 0 && e.timers[0].at <= now {
		t := heap.Pop(&e.timers).(due)
		if e.armed[t.id] != t.at {
			continue
		}
		delete(e.armed, t.id)
		fired = true
		e.do(b, func(b *batch) {
			l := e.need(b, t.id)
			if l == nil {
				return
			}
			if err := e.step(b, l, "", l.run.Fire); err != nil {
				e.d.Log.Error("timer", "run", t.id, "err", err)
			}
			e.project(b, l)
		})
	}
	return fired
}

func (e *engine) nextTimer() int64 {
	for len(e.timers) > 0 {
		if t := e.timers[0]; e.armed[t.id] == t.at {
			return t.at
		}
		heap.Pop(&e.timers)
	}
	return 0
}

type timerHeap []due

func (h timerHeap) Len() int { return len(h) }

func (h timerHeap) Less(i, j int) bool { return h[i].at < h[j].at }

func (h timerHeap) Swap(i, j int) { h[i], h[j] = h[j], h[i] }

// Push adds a timer.
func (h *timerHeap) Push(x any) { *h = append(*h, x.(due)) }

// Pop removes the last timer.
func (h *timerHeap) Pop() any {
	old := *h
	t := old[len(old)-1]
	*h = old[:len(old)-1]
	return t
}
