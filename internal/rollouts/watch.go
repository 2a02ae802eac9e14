package rollouts

import (
	"context"
	"maps"
	"slices"
	"time"

	"tutti/bus"
	"tutti/errs"
	"tutti/rollout"
)

// askAgain is how often the gates of rollouts are looked at for which nobody reports.
const askAgain = 5 * time.Second

// watch notes whether the gates of a rollout are to be asked although nobody reports.
func (s *Service) watch(key rollout.Key, on bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if on {
		s.watching[key] = true
	} else {
		delete(s.watching, key)
	}
}

// keepAsking asks the gates of the rollouts that this process has seen, until ctx ends, so that a monitor
// that fails is heard, and one that is silent runs out of time, also while no controller reports.
func (s *Service) keepAsking(ctx context.Context) {
	tick := time.NewTicker(askAgain)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		s.mu.Lock()
		keys := slices.Collect(maps.Keys(s.watching))
		s.mu.Unlock()
		for _, key := range keys {
			if _, _, err := s.step(bus.AsService(ctx, "rollouts"), key, rollout.Input{}); err != nil && ctx.Err() == nil {
				s.watch(key, false)
				if !errs.Is(public(err, key), errs.NotFound) {
					s.log.Warn("the gates of a rollout cannot be asked", "namespace", key.Namespace, "entity", key.Entity, "error", err)
				}
			}
		}
	}
}
