package resource

import (
	"context"
	"fmt"
	"slices"

	"tutti/api"
	"tutti/bus"
	"tutti/errs"
	"tutti/internal/store"
)

// requestFinished writes a request into the life of its resource. One that never had a run changed
// nothing. What the event does not carry is asked for, where the resource may stand at it.
func (s *Service) requestFinished(_ context.Context, tx *store.Tx, e bus.Record, r api.Request) error {
	if r.Run == "" {
		return nil
	}
	c := change{namespace: r.Namespace, typ: r.Type, name: r.Name, trace: r.Trace, pos: e.Pos, undone: slices.Contains(r.Flags, api.Undone),
		ResourceChange: api.ResourceChange{Request: r.ID, Run: r.Run, State: r.State, By: r.Requester, At: r.Ended}}
	if err := record(tx, c); err != nil {
		return fmt.Errorf("history of %s %s: %w", r.Type, r.Name, err)
	}
	if c.State != api.Succeeded || c.undone {
		return settle(tx, c.namespace, c.typ, c.name)
	}
	return tx.Intend(fmt.Sprintf("request/%s/%d", r.ID, e.Pos), api.GetRequest.Name, api.RequestIn{NS: api.NS{Namespace: r.Namespace}, ID: r.ID})
}

// requestRead stores what a request made.
func (s *Service) requestRead(_ context.Context, tx *store.Tx, key string, in api.RequestIn, r api.Request, refused error) error {
	if refused != nil {
		s.d.Log.Error("request not read, its resource keeps its earlier state", "intent", key, "request", in.ID, "err", refused)
		return nil
	}
	if err := describe(tx, r); err != nil {
		return fmt.Errorf("history of %s %s: %w", r.Type, r.Name, err)
	}
	return settle(tx, r.Namespace, r.Type, r.Name)
}

// list returns resources by type and name, without spec and outputs, which get has.
func (s *Service) list(ctx context.Context, in api.ListResourcesIn) (api.Page[api.Resource], error) {
	items, next, err := page(ctx, s.d.DB, in)
	return api.Page[api.Resource]{Items: items, Cursor: next}, err
}

// get returns a resource with its history.
func (s *Service) get(ctx context.Context, in api.ResourceIn) (api.Resource, error) {
	r, err := current(ctx, s.d.DB, in)
	if err != nil && !errs.Is(err, errs.NotFound) {
		return api.Resource{}, err
	}
	past, historyErr := history(ctx, s.d.DB, in)
	if historyErr != nil {
		return api.Resource{}, historyErr
	}
	if err != nil {
		e := errs.New(errs.NotFound, "no %.127q named %.127q in namespace %s", in.Type, in.Name, in.Namespace)
		if len(past) > 0 {
			e.Hint = fmt.Sprintf("there were requests for it; the last, %s, is %s", past[0].Request, past[0].State)
		}
		return api.Resource{}, e
	}
	r.History = past
	return r, nil
}
