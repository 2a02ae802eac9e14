// Package overview answers what is seen only by putting together what several services know: a trace as
// one timeline, what needs the caller and what runs, and how the installation is.
//
// It owns no tables and keeps nothing that counts. It answers trace.get, home.get and home.counts,
// and asks the owners as whoever calls, so that nobody sees here what its owner would not show.
package overview

import (
	"context"
	"errors"

	"tutti/api"
	"tutti/bus"
	"tutti/internal/service"
)

// Service puts together what others know.
type Service struct {
	bus     *bus.Bus
	callers callers
}

var _ service.Service = (*Service)(nil)

// New builds the service.
func New(d service.Deps) (service.Service, error) { return &Service{bus: d.Bus}, nil }

// Run answers until ctx ends, then returns nil.
func (s *Service) Run(ctx context.Context) error {
	err := errors.Join(
		api.GetTrace.Handle(ctx, s.bus, s.trace),
		api.GetHome.Handle(ctx, s.bus, s.home),
		api.GetCounts.Handle(ctx, s.bus, s.counts),
	)
	if err != nil {
		return err
	}
	<-ctx.Done()
	return nil
}
