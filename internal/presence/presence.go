// Package presence knows which processes of Tutti, and which workers, are alive. It is a hint for
// people: nothing decides safety by it.
//
// It owns no tables: beats are kept in memory, for none would be worth an fsync, and after a restart
// everybody has beaten again within api.BeatEvery. So exactly one process of an installation runs it;
// the others reach it over the bus. It answers presence.beat and presence.list and publishes no events.
package presence

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"tutti/api"
	"tutti/bus"
	"tutti/errs"
	"tutti/internal/service"
)

const (
	// forgetAfter is how long something that is down is still shown.
	forgetAfter = 10 * time.Minute
	// most bounds how many are known at once.
	most = 20_000
)

// Service is the presence service.
type Service struct {
	bus *bus.Bus

	mu    sync.Mutex
	seen  map[string]api.Presence // by ID
	swept time.Time               // when what is long gone was last forgotten
}

// New builds the service.
func New(d service.Deps) (service.Service, error) {
	return &Service{bus: d.Bus, seen: map[string]api.Presence{}}, nil
}

// Run answers until ctx ends.
func (s *Service) Run(ctx context.Context) error {
	err := errors.Join(
		api.Beat.Handle(ctx, s.bus, s.beat),
		api.ListPresence.Handle(ctx, s.bus, s.list),
	)
	if err != nil {
		return err
	}
	<-ctx.Done()
	return nil
}

// beat notes a sign of life, by the clock of this process. One with the state down is the last.
func (s *Service) beat(_ context.Context, p api.Presence) (api.Nothing, error) {
	for _, text := range []string{p.ID, p.Name, p.Host, p.Version, p.Platform} {
		if len(text) > 200 || !utf8.ValidString(text) {
			return api.Nothing{}, errs.New(errs.Invalid, "a beat of %.40q says too much", p.ID)
		}
	}
	if p.ID == "" || p.Name == "" || len(p.Load) > 50 {
		return api.Nothing{}, errs.New(errs.Invalid, "a beat needs an ID and a name, and at most 50 figures")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now().UTC()
	if now.Sub(s.swept) > api.BeatEvery {
		s.swept = now
		maps.DeleteFunc(s.seen, func(_ string, p api.Presence) bool { return now.Sub(p.Seen) > forgetAfter })
	}
	if _, known := s.seen[p.ID]; !known && len(s.seen) >= most {
		return api.Nothing{}, errs.New(errs.Limited, "%d processes and workers are known already", most)
	}
	p.Seen = now
	s.seen[p.ID] = p
	return api.Nothing{}, nil
}

// list shows everything that lived in the last minutes, by name and then the newest first.
func (s *Service) list(context.Context, api.Nothing) (api.Page[api.Presence], error) {
	s.mu.Lock()
	all := slices.Collect(maps.Values(s.seen))
	s.mu.Unlock()
	now := time.Now()
	all = slices.DeleteFunc(all, func(p api.Presence) bool { return now.Sub(p.Seen) > forgetAfter })
	for i := range all {
		if all[i].State != "down" {
			all[i].State = "up"
		}
		if now.Sub(all[i].Seen) > api.BeatTTL {
			all[i].State = "down"
		}
	}
	slices.SortFunc(all, func(a, b api.Presence) int {
		return cmp.Or(strings.Compare(a.Name, b.Name), b.Started.Compare(a.Started), strings.Compare(a.ID, b.ID))
	})
	return api.Page[api.Presence]{Items: append([]api.Presence{}, all...)}, nil
}
