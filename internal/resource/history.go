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

// requestFinished writes a request into the life of its resources. What never had a run changed
// nothing. What the event does not carry is asked for, where a resource may stand at it.
func (s *Service) requestFinished(_ context.Context, tx *store.Tx, e bus.Record, r api.Request) error {
	undone, made := slices.Contains(r.Flags, api.Undone), false
	for _, it := range r.Items() {
		if it.Run == "" {
			continue
		}
		c := change{namespace: r.Namespace, typ: it.Type, name: it.Name, trace: r.Trace, pos: e.Pos, entry: it.Entry, ttl: it.TTL,
			ResourceChange: api.ResourceChange{Request: r.ID, Run: it.Run, State: it.State, By: r.Requester, At: r.Ended, Action: it.Action, Source: it.Source, Undone: undone}}
		if err := record(tx, c); err != nil {
			return fmt.Errorf("history of %s %s: %w", it.Type, it.Name, err)
		}
		if it.State == api.Succeeded && !undone {
			made = true
			continue
		}
		if err := s.settled(tx, r, it); err != nil {
			return err
		}
	}
	if !made {
		return release(tx, r.Namespace, r.ID)
	}
	return tx.Intend(fmt.Sprintf("request/%s/%d", r.ID, e.Pos), api.GetRequest.Name, api.RequestIn{NS: api.NS{Namespace: r.Namespace}, ID: r.ID})
}

// requestRead stores what a request made.
func (s *Service) requestRead(_ context.Context, tx *store.Tx, key string, in api.RequestIn, r api.Request, refused error) error {
	if refused != nil {
		s.d.Log.Error("request not read, its resources keep their earlier state", "intent", key, "request", in.ID, "err", refused)
		return release(tx, in.Namespace, in.ID)
	}
	for _, it := range r.Items() {
		if it.State != api.Succeeded {
			continue
		}
		if err := describe(tx, r, it); err != nil {
			return fmt.Errorf("history of %s %s: %w", it.Type, it.Name, err)
		}
		if err := s.settled(tx, r, it); err != nil {
			return err
		}
	}
	return release(tx, r.Namespace, r.ID)
}

// settled marks what a resource stands at after a request, and when it expires.
func (s *Service) settled(tx *store.Tx, r api.Request, it api.RequestItem) error {
	if err := settle(tx, r.Namespace, it.Type, it.Name); err != nil {
		return err
	}
	return schedule(tx, api.ResourceIn{NS: api.NS{Namespace: r.Namespace}, Type: it.Type, Name: it.Name}, r, it)
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
	all, historyErr := pasts(ctx, s.d.DB, in)
	if historyErr != nil {
		return api.Resource{}, historyErr
	}
	if err != nil {
		e := errs.New(errs.NotFound, "no %.127q named %.127q in namespace %s", in.Type, in.Name, in.Namespace)
		if len(all) > 0 {
			e.Hint = fmt.Sprintf("there were requests for it; the last, %s, is %s", all[0].Request, all[0].State)
			if all[0].Action == api.ActionDelete && all[0].State == api.Succeeded {
				e.Hint = fmt.Sprintf("it was deleted by request %s; tutti resource rollback %s %s COMMIT makes it again", all[0].Request, in.Type, in.Name)
			}
		}
		return api.Resource{}, e
	}
	for _, c := range all {
		r.History = append(r.History, c.ResourceChange)
	}
	if r.Pending, err = holderOf(ctx, s.d.DB, in); err != nil {
		return api.Resource{}, err
	}
	if r.Observed, err = s.observed(ctx, in, r); err != nil {
		return api.Resource{}, err
	}
	if def, err := s.definition(ctx, in.NS, api.KindResourceType, in.Type); err == nil { // it may be withdrawn
		if t, err := s.typeOf(def); err == nil {
			r.Actions = t.can()
		}
	}
	return r, nil
}
