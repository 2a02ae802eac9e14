package workflow

import (
	"cmp"
	"context"
	"maps"
	"slices"

	"tutti/api"
)

// queue says what the pools have to do in a namespace, by name.
func (p *pools) queue(namespace string) []api.PoolQueue {
	p.mu.Lock()
	defer p.mu.Unlock()
	of := map[string]*api.PoolQueue{}
	for key, a := range p.open {
		if a.gone || a.parked || a.meta.Namespace != namespace {
			continue
		}
		name := cmp.Or(a.Pool, api.DefaultPool)
		q := of[name]
		if q == nil {
			q = &api.PoolQueue{Pool: name}
			of[name] = q
		}
		if a.token != "" {
			q.Taken++
			continue
		}
		if q.Queued++; q.Oldest.IsZero() || a.queued.Before(q.Oldest) {
			q.Oldest, q.Run, q.Task = a.queued.UTC(), key.run, key.path
		}
	}
	out := make([]api.PoolQueue, 0, len(of))
	for _, name := range slices.Sorted(maps.Keys(of)) {
		out = append(out, *of[name])
	}
	return out
}

func (s *Service) queue(_ context.Context, e *engine, in api.HomeIn) (api.Page[api.PoolQueue], error) {
	return api.Page[api.PoolQueue]{Items: e.pools.queue(in.Namespace)}, nil
}
