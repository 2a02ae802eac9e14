package gateway

import (
	"context"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"tutti/api"
	"tutti/bus"
	"tutti/internal/service"
	"tutti/internal/store"
)

// merged is what the trails of all services have, newest first.
type merged[T any] struct {
	items   []T
	service []string  // of each
	back    time.Time // how far back items are all that match; zero is the beginning
	cursor  string
	parts   []service.Trail[T] // as the services answered
}

// mergeTrails asks every service, and merges the answers into a page. A service that does not answer is an
// error: a trail with a gap nobody sees is worse than none.
func mergeTrails[T any](ctx context.Context, g *Gateway, cursor string, in service.ReadTrail, method func(string) bus.Method[service.ReadTrail, service.Trail[T]]) (m merged[T], err error) {
	names := slices.Sorted(slices.Values(g.c.Services))
	before, err := parseTrailCursor(names, cursor)
	if err != nil {
		return m, err
	}
	m.parts = make([]service.Trail[T], len(names))
	ask, gctx := errgroup.WithContext(bus.AsService(ctx, "gateway"))
	ask.SetLimit(8)
	for i, name := range names {
		if before[i] == 1 { // positions begin at 1: nothing is before it
			m.parts[i].Low = 1
			continue
		}
		one := in
		one.Before = before[i]
		ask.Go(func() (err error) {
			m.parts[i], err = method(name).Call(gctx, g.bus, one)
			return err
		})
	}
	if err := ask.Wait(); err != nil {
		return m, err
	}
	for _, p := range m.parts {
		if p.Low > 1 && p.LowAt.After(m.back) {
			m.back = p.LowAt // before it, that service may have others
		}
	}
	used := make([]int, len(names))
	for len(m.items) < in.Limit {
		newest := -1
		for i, p := range m.parts {
			if used[i] < len(p.Items) && (newest < 0 || p.At[used[i]].After(m.parts[newest].At[used[newest]])) {
				newest = i
			}
		}
		if newest < 0 || m.parts[newest].At[used[newest]].Before(m.back) {
			break
		}
		m.items, m.service = append(m.items, m.parts[newest].Items[used[newest]]), append(m.service, names[newest])
		used[newest]++
	}
	m.cursor, m.back = onward(names, before, used, m)
	return m, nil
}

// onward returns the cursor of the next page, "" where there is none, and how far back this page goes.
func onward[T any](names []string, before []int64, used []int, m merged[T]) (string, time.Time) {
	next := slices.Clone(before)
	more, back := false, m.back
	for i, p := range m.parts {
		switch {
		case used[i] == len(p.Items):
			next[i] = p.Low
		case used[i] > 0:
			next[i] = p.Pos[used[i]-1]
		}
		more = more || next[i] != 1
		if used[i] < len(p.Items) && p.At[used[i]].After(back) {
			back = p.At[used[i]]
		}
	}
	if !more {
		return "", time.Time{}
	}
	return trailCursor(names, next), back
}

// listAudit answers audit.list.
func (g *Gateway) listAudit(ctx context.Context, in api.ListAuditIn) (page api.AuditPage, err error) {
	f, err := api.ParseTrail(in.Query, time.Now())
	if err != nil {
		return page, err
	}
	return g.auditPage(ctx, in, f)
}

// auditPage returns a part of the acts that match f.
func (g *Gateway) auditPage(ctx context.Context, in api.ListAuditIn, f api.TrailFilter) (page api.AuditPage, err error) {
	ns := in.Namespace
	if ns == "*" {
		ns = ""
	}
	m, err := mergeTrails(ctx, g, in.Cursor, service.ReadTrail{Namespace: ns, Filter: f, Limit: in.Size()}, service.FindActs)
	if err != nil {
		return page, err
	}
	page = api.AuditPage{Items: make([]api.Act, len(m.items)), Cursor: m.cursor, Back: m.back}
	for i, r := range m.items {
		page.Items[i] = actOf(m.service[i], r)
	}
	return page, nil
}

func actOf(service string, r store.AuditRow) api.Act {
	return api.Act{At: r.At, Subject: r.Subject, From: r.Origin, Namespace: r.Namespace, Action: r.Action, Object: r.Object, Trace: r.Trace, Detail: r.Detail, Service: service}
}

// histogramSpan is what is counted where the search says no time.
const histogramSpan = 24 * time.Hour

// searchEvents answers event.search.
func (g *Gateway) searchEvents(ctx context.Context, in api.SearchEventsIn) (page api.FoundEvents, err error) {
	now := time.Now()
	f, err := api.ParseTrail(in.Query, now)
	if err != nil {
		return page, err
	}
	read := service.ReadTrail{Namespace: in.Namespace, Filter: f, Limit: in.Size(), Buckets: in.Buckets, From: f.After, To: f.Before}
	if read.To.IsZero() || read.To.After(now) {
		read.To = now
	}
	if read.From.IsZero() {
		read.From = read.To.Add(-histogramSpan)
	}
	if !read.To.After(read.From) {
		read.To = read.From.Add(time.Second)
	}
	m, err := mergeTrails(ctx, g, in.Cursor, read, service.FindEvents)
	if err != nil {
		return page, err
	}
	page = api.FoundEvents{Items: append([]api.FoundEvent{}, m.items...), Cursor: m.cursor, Back: m.back}
	if in.Buckets > 0 {
		page.Histogram = histogram(read, m.parts)
	}
	return page, nil
}

// histogram adds up what the services counted.
func histogram(in service.ReadTrail, parts []service.Trail[api.FoundEvent]) *api.Histogram {
	h := &api.Histogram{From: in.From, To: in.To, Since: in.From, Buckets: make([]map[api.State]int, in.Buckets)}
	for i := range h.Buckets {
		h.Buckets[i] = map[api.State]int{}
	}
	for _, p := range parts {
		if p.Counted.After(h.Since) {
			h.Since = p.Counted
		}
		for i, b := range p.Buckets {
			for state, n := range b {
				h.Buckets[i][state] += n
			}
		}
	}
	return h
}
