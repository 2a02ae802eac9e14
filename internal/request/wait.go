package request

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"tutti/api"
	"tutti/internal/service"
)

const (
	// longestWait is a little less than what a call on the bus may take.
	longestWait = 58 * time.Second
	// lookEvery is how often requests that are waited for are looked at without a wake-up, which can
	// be lost.
	lookEvery = time.Second
)

// waiters are the calls that wait for a request to end. One goroutine looks for all of them, with one
// query however many there are.
type waiters struct {
	wake chan struct{}

	mu  sync.Mutex
	ids map[string]*waiter
}

type waiter struct {
	calls int
	ended chan struct{} // closed once the request ended
}

func newWaiters() *waiters {
	return &waiters{wake: make(chan struct{}, 1), ids: map[string]*waiter{}}
}

// until returns once the request ended, d passed or ctx ended.
func (w *waiters) until(ctx context.Context, id string, d time.Duration) {
	x := w.add(id)
	defer w.remove(id, x)
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-x.ended:
	case <-t.C:
	case <-ctx.Done():
	}
}

func (w *waiters) add(id string) *waiter {
	w.mu.Lock()
	defer w.mu.Unlock()
	x := w.ids[id]
	if x == nil {
		x = &waiter{ended: make(chan struct{})}
		w.ids[id] = x
	}
	x.calls++
	w.signal() // it may have ended between the caller's look and now
	return x
}

func (w *waiters) remove(id string, x *waiter) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if x.calls--; x.calls == 0 && w.ids[id] == x {
		delete(w.ids, id)
	}
}

func (w *waiters) signal() {
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

func (w *waiters) waited() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Collect(maps.Keys(w.ids))
}

func (w *waiters) release(ids []string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, id := range ids {
		if x := w.ids[id]; x != nil {
			close(x.ended)
			delete(w.ids, id)
		}
	}
}

// run releases the calls whose requests ended, until ctx ends; then it releases all.
func (w *waiters) run(ctx context.Context, s *Service) error {
	if err := s.d.Bus.OnWake(ctx, service.WakeSubject(s.d.Name), w.signal); err != nil {
		return fmt.Errorf("listen for changes: %w", err)
	}
	t := time.NewTicker(lookEvery)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			w.release(w.waited())
			return nil
		case <-w.wake:
		case <-t.C:
		}
		for ids := range slices.Chunk(w.waited(), 500) {
			ended, err := endedOf(ctx, s.d.DB, ids)
			if err != nil {
				if ctx.Err() == nil {
					s.d.Log.Warn("requests waited for were not read", "err", err)
				}
				break
			}
			w.release(ended)
		}
	}
}

// await returns r, or what became of it once it ended or d passed.
func (s *Service) await(ctx context.Context, r row, d api.Duration) (row, error) {
	if d <= 0 || r.State.Ended() {
		return r, nil
	}
	s.wait.until(ctx, r.ID, min(time.Duration(d), longestWait))
	return load(ctx, s.d.DB, r.Namespace, r.ID)
}
