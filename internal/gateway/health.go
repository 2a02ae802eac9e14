package gateway

import (
	"context"
	"net/http"
	"sync"
	"time"

	"tutti/bus"
	"tutti/internal/service"
)

// healthz answers that the process lives.
func (g *Gateway) healthz(w http.ResponseWriter, _ *http.Request) error {
	return writeJSON(w, http.StatusOK, map[string]bool{"ok": true})
}

// readiness is what readyz answers.
type readiness struct {
	Ready bool `json:"ready"`
	// Durable says that the databases keep what was acknowledged over a power loss: they would not
	// have been opened otherwise.
	Durable bool `json:"durable"`
	// Durability and Services are for callers who are known.
	Durability string            `json:"durability,omitempty"`
	Services   map[string]string `json:"services,omitempty"`
}

// patience is how long a service may take to show that it answers.
const patience = 2 * time.Second

// readyz answers whether every service does: 200, or 503.
func (g *Gateway) readyz(w http.ResponseWriter, r *http.Request) error {
	state := g.Probe(r.Context())
	out := readiness{Ready: true, Durable: true}
	for _, s := range state {
		out.Ready = out.Ready && s == "up"
	}
	if c, err := g.credential(r); err == nil {
		if _, err := g.auth.who(r.Context(), c.secret); err == nil {
			out.Durability, out.Services = g.c.Durability, state
		}
	}
	status := http.StatusOK
	if !out.Ready {
		status = http.StatusServiceUnavailable
		w.Header().Set("Retry-After", "1")
	}
	return writeJSON(w, status, out)
}

// Probe returns "up" or "down" for each service: whether it answers for its events.
func (g *Gateway) Probe(ctx context.Context) map[string]string {
	ctx, cancel := context.WithTimeout(bus.AsService(ctx, "gateway"), patience)
	defer cancel()
	state := make(map[string]string, len(g.c.Services))
	var mu sync.Mutex
	var ask sync.WaitGroup
	for _, name := range g.c.Services {
		ask.Go(func() {
			s := "up"
			if _, err := service.Events(name).Call(ctx, g.bus, service.ReadEvents{After: end, Limit: 1}); err != nil {
				s = "down"
			}
			mu.Lock()
			state[name] = s
			mu.Unlock()
		})
	}
	ask.Wait()
	return state
}

// end is a position after which no store has an event.
const end = 1 << 62
