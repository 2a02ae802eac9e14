package workflow

import (
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
