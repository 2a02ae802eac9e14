package overview

import (
	"context"
	"slices"

	"golang.org/x/sync/errgroup"

	"tutti/api"
	"tutti/bus"
)

// Bounds of what home lists, and counts.
const (
	homeRows  = 8
	homeNeeds = 20
	maxCount  = 1000
)

// home answers home.get.
func (s *Service) home(ctx context.Context, in api.HomeIn) (h api.Home, err error) {
	g, gctx := errgroup.WithContext(ctx)
	g.Go(func() (err error) { h.Approvals, err = s.mine(gctx, in.NS); return err })
	g.Go(func() (err error) { h.Failed, err = s.failed(gctx, in.NS); return err })
	g.Go(func() (err error) { h.Running, h.Counts.Runs, err = s.running(gctx, in.NS); return err })
	g.Go(func() (err error) { h.Health, err = s.health(gctx, in.NS); return err })
	g.Go(func() (err error) { h.Counts.Requests, err = s.going(gctx, in.NS); return err })
	if err := g.Wait(); err != nil {
		return h, err
	}
	h.Counts.Approvals, h.Counts.Failed, h.Counts.Down = len(h.Approvals), len(h.Failed), len(h.Health.Down)
	h.Approvals, h.Failed = h.Approvals[:min(len(h.Approvals), homeNeeds)], h.Failed[:min(len(h.Failed), homeNeeds)]
	return h, nil
}

// counts answers home.counts.
func (s *Service) counts(ctx context.Context, in api.HomeIn) (c api.Counts, err error) {
	g, gctx := errgroup.WithContext(ctx)
	g.Go(func() error { list, err := s.mine(gctx, in.NS); c.Approvals = len(list); return err })
	g.Go(func() error { list, err := s.failed(gctx, in.NS); c.Failed = len(list); return err })
	g.Go(func() (err error) { c.Requests, err = s.going(gctx, in.NS); return err })
	g.Go(func() error {
		page, err := api.ListRuns.Call(gctx, s.bus, api.ListRunsIn{NS: in.NS, Top: true, Active: true, Paging: api.Paging{Limit: maxCount}})
		c.Runs = len(page.Items)
		return err
	})
	g.Go(func() error {
		_, _, down, err := s.alive(gctx)
		c.Down = len(down)
		return err
	})
	return c, g.Wait()
}

// mine returns the approvals that the caller may decide, oldest first.
func (s *Service) mine(ctx context.Context, ns api.NS) ([]api.Approval, error) {
	if s.bus.Allow(ctx, api.ApproveTask.Info().Perm, ns.Namespace) != nil {
		return []api.Approval{}, nil
	}
	c, _ := bus.CallerFrom(ctx)
	var roles []string
	for _, g := range c.Grants {
		if g.Namespace == "*" || g.Namespace == ns.Namespace {
			roles = append(roles, g.Role)
		}
	}
	page, err := api.ListApprovals.Call(ctx, s.bus, api.ListApprovalsIn{NS: ns, Paging: api.Paging{Limit: maxCount}})
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(append([]api.Approval{}, page.Items...), func(a api.Approval) bool { return !a.MayDecide(c.Subject, roles) }), nil
}

// failed returns the caller's requests that failed, newest first: of each trace the newest request counts.
func (s *Service) failed(ctx context.Context, ns api.NS) ([]api.Request, error) {
	page, err := api.ListRequests.Call(ctx, s.bus, api.ListRequestsIn{NS: ns, Requester: bus.Subject(ctx), Paging: api.Paging{Limit: maxCount / 5}})
	if err := unlessDenied(err); err != nil {
		return nil, err
	}
	return newestFailed(page.Items), nil
}

// newestFailed returns those of requests, newest first, that failed and were not followed by another of
// their trace.
func newestFailed(requests []api.Request) []api.Request {
	seen := map[string]bool{}
	out := []api.Request{}
	for _, r := range requests {
		if !seen[r.Trace] && r.State == api.Failed {
			out = append(out, r)
		}
		seen[r.Trace] = true
	}
	return out
}

// going counts the requests that go on.
func (s *Service) going(ctx context.Context, ns api.NS) (int, error) {
	n := 0
	for _, state := range []api.State{api.Pending, api.Running, api.Waiting} {
		page, err := api.ListRequests.Call(ctx, s.bus, api.ListRequestsIn{NS: ns, State: state, Paging: api.Paging{Limit: maxCount}})
		if err := unlessDenied(err); err != nil {
			return 0, err
		}
		n += len(page.Items)
	}
	return min(n, maxCount), nil
}

// running returns the newest runs that go on, and how many there are.
func (s *Service) running(ctx context.Context, ns api.NS) ([]api.Run, int, error) {
	page, err := api.ListRuns.Call(ctx, s.bus, api.ListRunsIn{NS: ns, Top: true, Active: true, Paging: api.Paging{Limit: maxCount}})
	if err != nil {
		return nil, 0, err
	}
	out := []api.Run{}
	for _, r := range page.Items[:min(len(page.Items), homeRows)] {
		full, err := api.GetRun.Call(ctx, s.bus, api.GetRunIn{NS: ns, ID: r.ID})
		if err != nil {
			return nil, 0, err
		}
		full.Inputs, full.Outputs = nil, nil
		out = append(out, full)
	}
	return out, len(page.Items), nil
}

// health says how the installation does.
func (s *Service) health(ctx context.Context, ns api.NS) (h api.Health, err error) {
	if h.Up, h.Total, h.Down, err = s.alive(ctx); err != nil {
		return h, err
	}
	queue, err := api.RunQueue.Call(ctx, s.bus, api.HomeIn{NS: ns})
	if err != nil {
		return h, err
	}
	hours, err := api.RunStats.Call(ctx, s.bus, api.StatsIn{NS: ns})
	h.Queue, h.Hours = append([]api.PoolQueue{}, queue.Items...), hours.Items
	return h, err
}

// alive counts who is there. A service that another instance of has taken over for is not down.
func (s *Service) alive(ctx context.Context) (up, total int, down []api.Presence, err error) {
	page, err := api.ListPresence.Call(ctx, s.bus, api.Nothing{})
	if err != nil {
		return 0, 0, []api.Presence{}, unlessDenied(err)
	}
	up, down = present(page.Items)
	return up, up + len(down), down, nil
}

// present returns how many are up, and the names of which none is, each once.
func present(all []api.Presence) (up int, down []api.Presence) {
	down = []api.Presence{}
	alive := map[string]bool{}
	for _, p := range all {
		if p.State == "up" {
			up++
			alive[p.Name] = true
		}
	}
	for _, p := range all {
		if !alive[p.Name] {
			down = append(down, p)
			alive[p.Name] = true
		}
	}
	return up, down
}
