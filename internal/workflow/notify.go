package workflow

import (
	"slices"
	"sync"

	"tutti/api"
)

// notifier wakes those who wait for something to be committed of a run.
type notifier struct {
	mu    sync.Mutex
	waits map[api.RunID]chan struct{}
}

// wait returns a channel that is closed at the next commit of something of the run. Ask for it before
// looking at the run.
func (n *notifier) wait(id api.RunID) <-chan struct{} {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.waits == nil {
		n.waits = map[api.RunID]chan struct{}{}
	}
	c := n.waits[id]
	if c == nil {
		c = make(chan struct{})
		n.waits[id] = c
	}
	return c
}

func (n *notifier) notify(id api.RunID) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if c := n.waits[id]; c != nil {
		close(c)
		delete(n.waits, id)
	}
}

// ends tells those who wait for the end of a run how it ended, so that they need not look at what
// happens before.
type ends struct {
	mu    sync.Mutex
	waits map[api.RunID][]chan api.Run
}

// wait returns a channel that gets the run once an end of it is committed, and what forgets it. Ask for
// it before looking at the run.
func (n *ends) wait(id api.RunID) (ended <-chan api.Run, forget func()) {
	c := make(chan api.Run, 1)
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.waits == nil {
		n.waits = map[api.RunID][]chan api.Run{}
	}
	n.waits[id] = append(n.waits[id], c)
	return c, func() {
		n.mu.Lock()
		defer n.mu.Unlock()
		left := slices.DeleteFunc(n.waits[id], func(other chan api.Run) bool { return other == c })
		if n.waits[id] = left; len(left) == 0 {
			delete(n.waits, id)
		}
	}
}

// tell says that runs have ended.
func (n *ends) tell(runs []api.Run) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, r := range runs {
		for _, c := range n.waits[r.ID] {
			c <- r // it has room for one, and is forgotten with it
		}
		delete(n.waits, r.ID)
	}
}
