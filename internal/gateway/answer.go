package gateway

import (
	"context"
	"errors"
	"strings"
	"sync"

	"tutti/api"
	"tutti/errs"
)

// Answer makes the gateway answer its own methods on the bus until ctx ends. Run calls it.
func (g *Gateway) Answer(ctx context.Context) error {
	return errors.Join(
		api.ListAudit.Handle(ctx, g.bus, g.listAudit),
		api.SearchEvents.Handle(ctx, g.bus, g.searchEvents),
		api.Search.Handle(ctx, g.bus, g.search),
	)
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
