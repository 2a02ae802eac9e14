package gateway

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"

	"golang.org/x/sync/errgroup"

	"tutti/api"
	"tutti/bus"
	"tutti/errs"
	"tutti/internal/service"
	"tutti/internal/store"
)

// Answer makes the gateway answer its own methods on the bus until ctx ends. Run calls it.
func (g *Gateway) Answer(ctx context.Context) error {
	return errors.Join(
		api.ListAudit.Handle(ctx, g.bus, g.listAudit),
		api.Search.Handle(ctx, g.bus, g.search),
	)
}

// listAudit merges the audit trails of all services, newest first. A service that does not answer is
// an error: a trail with a gap nobody sees is worse than none.
func (g *Gateway) listAudit(ctx context.Context, in api.ListAuditIn) (api.Page[api.Act], error) {
	none := api.Page[api.Act]{}
	names := slices.Sorted(slices.Values(g.c.Services))
	before, err := parseAuditCursor(names, in.Cursor)
	if err != nil {
		return none, err
	}
	ns := in.Namespace
	if ns == "*" {
		ns = ""
	}
	rows := make([][]store.AuditRow, len(names))
	ask, gctx := errgroup.WithContext(bus.AsService(ctx, "gateway"))
	for i, name := range names {
		if before[i] == 1 {
			continue // positions begin at 1: nothing is before it
		}
		ask.Go(func() (err error) {
			rows[i], err = service.Acts(name).Call(gctx, g.bus, service.ReadActs{Namespace: ns, Before: before[i], Limit: in.Size()})
			return err
		})
	}
	if err := ask.Wait(); err != nil {
		return none, err
	}
	page := api.Page[api.Act]{Items: []api.Act{}}
	for len(page.Items) < in.Size() {
		newest := -1
		for i, r := range rows {
			if len(r) > 0 && (newest < 0 || r[0].At.After(rows[newest][0].At)) {
				newest = i
			}
		}
		if newest < 0 {
			return page, nil
		}
		r := rows[newest][0]
		rows[newest], before[newest] = rows[newest][1:], r.Pos
		page.Items = append(page.Items, api.Act{At: r.At, Subject: r.Subject, From: r.Origin, Namespace: r.Namespace,
			Action: r.Action, Object: r.Object, Trace: r.Trace, Detail: r.Detail, Service: names[newest]})
	}
	page.Cursor = auditCursor(names, before)
	return page, nil
}

// found are the kinds of IDs that can be looked up, by what the IDs begin with.
var found = []struct{ prefix, kind string }{{"req_", "request"}, {"run_", "run"}, {"file_", "file"}}

// search asks the services whose IDs the prefix may be. One that does not answer is left out, unless
// nobody found anything.
func (g *Gateway) search(ctx context.Context, in api.SearchIn) (api.Page[api.Found], error) {
	var mu sync.Mutex
	var failed error
	pages := make([][]api.Found, len(found))
	var ask sync.WaitGroup
	for i, f := range found {
		if strings.Contains(in.ID, "_") && !strings.HasPrefix(in.ID, f.prefix) {
			continue
		}
		ask.Go(func() {
			p, err := api.Find(f.kind).Call(ctx, g.bus, api.FindIn{NS: in.NS, Prefix: in.ID})
			if err != nil && !errs.Is(err, errs.NotFound) {
				mu.Lock()
				failed = err
				mu.Unlock()
				return
			}
			pages[i] = p.Items
		})
	}
	ask.Wait()
	page := api.Page[api.Found]{Items: []api.Found{}}
	for _, p := range pages {
		page.Items = append(page.Items, p...)
	}
	if len(page.Items) == 0 && failed != nil {
		return page, failed
	}
	return page, nil
}
