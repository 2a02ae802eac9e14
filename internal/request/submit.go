package request

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"tutti/api"
	"tutti/bus"
	"tutti/errs"
	"tutti/id"
	"tutti/internal/store"
)

// submission is what is common to a new request and one that is submitted again.
type submission struct {
	namespace string
	key, hash string // of idempotency; key may be empty
	trace     string
	of        string
	body      api.CreateRequestBody
}

// create accepts a request. It belongs to the trace of the call where that has one, as when a run asks
// for a resource, and to a fresh one otherwise.
func (s *Service) create(ctx context.Context, in api.CreateRequestIn) (api.Request, error) {
	if err := canonical(&in.Body); err != nil {
		return api.Request{}, err
	}
	hash, err := bodyHash("create", in.Body)
	if err != nil {
		return api.Request{}, err
	}
	trace := bus.TraceFrom(ctx)
	if !id.ValidTrace(trace) {
		trace = id.Trace()
	}
	return s.submit(ctx, submission{namespace: in.Namespace, key: in.Key, hash: hash, trace: trace, body: in.Body}, in.Wait)
}

// resubmit accepts a request that repeats one that ended: a new ID in the same trace.
func (s *Service) resubmit(ctx context.Context, in api.ResubmitIn) (api.Request, error) {
	old, err := lookUp(ctx, s.d.DB, in.Namespace, in.ID)
	if err != nil {
		return api.Request{}, err
	}
	body := again(old)
	if len(in.Body.Params) > 0 {
		if len(body.Resources) > 0 {
			return api.Request{}, invalid("the request", []errs.Problem{{Location: "body.params", Message: "the request is for several resources", Hint: "submit a new one with what is to be different"}})
		}
		if in.Body.Params, err = params(in.Body.Params); err != nil {
			return api.Request{}, err
		}
		body.Params = in.Body.Params
	}
	hash, err := bodyHash("resubmit "+old.ID, in.Body)
	if err != nil {
		return api.Request{}, err
	}
	sub := submission{namespace: in.Namespace, key: in.Key, hash: hash, trace: old.Trace, of: old.ID, body: body}
	if r, ok, err := s.repeated(ctx, sub); ok || err != nil {
		return r.Request, err
	}
	if !old.State.Ended() {
		return api.Request{}, errs.New(errs.Conflict, "request %s is still %s", old.ID, old.State).
			WithHint("wait for its end, or cancel it first")
	}
	return s.submit(ctx, sub, 0)
}

// repeated returns the request that the key of sub made before, if any.
func (s *Service) repeated(ctx context.Context, sub submission) (row, bool, error) {
	if sub.key == "" {
		return row{}, false, nil
	}
	made, err := keyOf(ctx, s.d.DB, sub)
	if err != nil || made == "" {
		return row{}, false, err
	}
	r, err := load(ctx, s.d.DB, sub.namespace, made)
	return r, true, err
}

// submit resolves and stores a request with all that is to follow from it.
func (s *Service) submit(ctx context.Context, sub submission, wait api.Duration) (api.Request, error) {
	if bad := badAddresses("body.notify", sub.body.Notify); len(bad) > 0 {
		return api.Request{}, invalid("the request", bad)
	}
	r, again, err := s.repeated(ctx, sub)
	if err != nil {
		return api.Request{}, err
	}
	if !again {
		if r, err = s.accept(bus.WithTrace(ctx, sub.trace), sub); err != nil {
			return api.Request{}, err
		}
	}
	r, err = s.await(ctx, r, wait)
	return r.Request, err
}

// accept makes the request of a submission, or finds the one that another call with its key made
// meanwhile.
func (s *Service) accept(ctx context.Context, sub submission) (row, error) {
	requester := bus.Subject(ctx)
	all, err := s.resolveAll(ctx, sub.namespace, sub.body, requester)
	if err != nil {
		return row{}, err
	}
	r := newRow(sub, all, requester)
	if n := len(list(r.Items)); n > maxItems {
		return row{}, errs.New(errs.TooLarge, "the request has %d bytes with all of its resources, the limit is %d", n, maxItems).WithHint("make several requests of it")
	}
	tell := [][]string{}
	for _, x := range all {
		tell = append(tell, x.Notify)
	}
	r.Tell = recipients(append(tell, s.config.Notify, r.Notify)...)
	file, err := s.storeFile(ctx, r)
	if err != nil {
		return row{}, err
	}
	made := r.ID
	err = s.d.DB.Tx(ctx, func(tx *store.Tx) error {
		if sub.key != "" {
			if made, err = takeKey(tx, sub, r.ID); err != nil || made != r.ID {
				return err
			}
		}
		return s.write(tx, r, file)
	})
	if err != nil {
		return row{}, err
	}
	if made != r.ID {
		return load(ctx, s.d.DB, sub.namespace, made)
	}
	return r, nil
}

// newRow returns the request that sub makes of what it resolved to: one resource or several.
func newRow(sub submission, all []resolved, requester string) row {
	first := all[0]
	r := row{Request: api.Request{
		ID: id.New("req"), Namespace: sub.namespace, Trace: sub.trace, Of: sub.of,
		Type: first.Type, Name: first.Name, Title: sub.body.Title, State: api.Pending, Requester: requester, Notify: sub.body.Notify,
		Created: time.Now().UTC().Truncate(time.Microsecond),
	}}
	r.Filings = filings(all)
	if len(all) > 1 {
		for _, x := range all {
			r.Items = append(r.Items, itemOf(x))
			if x.Type != r.Type {
				r.Type = several
			}
		}
		r.Resources, r.Workflow = r.items(), several
		if r.Title == "" {
			r.Title = headlineOf(all)
		}
		return r
	}
	r.Entry, r.Params, r.Spec, r.Workflow, r.Inputs = first.Entry, first.ask.Params, first.Spec, first.Workflow, first.Inputs
	r.Action, r.Base, r.TTL = first.Action, first.Base, first.ask.TTL
	if r.Action != api.ActionCreate {
		r.Params = first.Resolved.Params // what a change asks for is less than what the resource has
	}
	if r.Title == "" {
		r.Title = r.Type + " " + r.Name
	}
	return r
}

// recipients joins lists of addresses, each address once.
func recipients(lists ...[]string) []string {
	var out []string
	for _, a := range slices.Concat(lists...) {
		if !slices.ContainsFunc(out, func(b string) bool { return strings.EqualFold(a, b) }) {
			out = append(out, a)
		}
	}
	return out
}

// storeFile puts the submission into the blob store, as a file to be recorded.
func (s *Service) storeFile(ctx context.Context, r row) (api.AddFileIn, error) {
	b, err := json.MarshalIndent(r.Request, "", "  ")
	if err != nil {
		return api.AddFileIn{}, fmt.Errorf("request file: %w", err)
	}
	digest, size, err := s.blobs.Put(ctx, bytes.NewReader(b), -1)
	if err != nil {
		return api.AddFileIn{}, fmt.Errorf("store the request file: %w", err)
	}
	return api.AddFileIn{NS: api.NS{Namespace: r.Namespace}, Key: "request/" + r.ID, Name: r.ID + ".json",
		Type: "application/json", Digest: string(digest), Size: size}, nil
}

// write stores the request, who asked for it, and what is to follow.
func (s *Service) write(tx *store.Tx, r row, file api.AddFileIn) error {
	if err := insert(tx, r); err != nil {
		return err
	}
	act := store.Act{Namespace: r.Namespace, Action: api.CreateRequest.Name, Object: r.ID,
		Detail: map[string]any{"entry": r.Entry, "type": r.Type, "name": r.Name, "of": r.Of, "action": r.Action, "resources": len(r.Items)}}
	if err := tx.Audit(act); err != nil {
		return err
	}
	if err := api.RequestReceived.Publish(tx, about(r), eventOf(r)); err != nil {
		return err
	}
	if err := tx.Intend("request/"+r.ID+"/file", api.AddFile.Name, file); err != nil {
		return err
	}
	if err := tx.Intend("request/"+r.ID, launch.Name, launchIn{NS: api.NS{Namespace: r.Namespace}, ID: r.ID}); err != nil {
		return err
	}
	return s.tell(tx, r, receipt(r))
}

// fileAdded stores the ID of the request file.
func (s *Service) fileAdded(_ context.Context, tx *store.Tx, key string, in api.AddFileIn, out api.File, refused error) error {
	if refused != nil {
		s.d.Log.Error("request file not recorded", "intent", key, "digest", in.Digest, "err", refused)
		return nil
	}
	requestID := strings.TrimPrefix(in.Key, "request/")
	return tx.Exec(`UPDATE request_requests SET file = ? WHERE namespace = ? AND id = ?`, out.ID, in.Namespace, requestID)
}
