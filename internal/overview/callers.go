package overview

import (
	"context"
	"sync"

	"tutti/api"
	"tutti/bus"
)

// callers remembers which task called a sub-run: that never changes.
type callers struct {
	mu    sync.Mutex
	known map[api.RunID]api.TaskRef
}

// maxCallers bounds how many are remembered; when there are more, it begins anew.
const maxCallers = 20_000

// of returns the task that called a run, as whoever is in ctx may see it.
func (c *callers) of(ctx context.Context, b *bus.Bus, ns api.NS, run api.RunID) (api.TaskRef, error) {
	c.mu.Lock()
	ref, ok := c.known[run]
	c.mu.Unlock()
	if ok {
		return ref, nil
	}
	r, err := api.GetRun.Call(ctx, b, api.GetRunIn{NS: ns, ID: run})
	if err != nil || r.Parent == nil {
		return api.TaskRef{}, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.known == nil || len(c.known) >= maxCallers {
		c.known = map[api.RunID]api.TaskRef{}
	}
	c.known[run] = *r.Parent
	return *r.Parent, nil
}
