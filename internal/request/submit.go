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
	var err error
	if in.Body.Params, err = params(in.Body.Params); err != nil {
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
	body := api.CreateRequestBody{Entry: old.Entry, Params: old.Params, Title: old.Title, Notify: old.Notify}
	if len(in.Body.Params) > 0 {
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
	res, err := s.resolve(ctx, sub.namespace, sub.body, requester)
	if err != nil {
		return row{}, err
	}
	r := newRow(sub, res, requester)
	r.Tell = recipients(res.Notify, s.config.Notify, r.Notify)
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

// resolve asks what the entry with its params becomes.
func (s *Service) resolve(ctx context.Context, namespace string, body api.CreateRequestBody, requester string) (api.Resolved, error) {
	return api.ResolveResource.Call(s.asService(ctx, bus.TraceFrom(ctx)), s.d.Bus,
		api.ResolveIn{NS: api.NS{Namespace: namespace}, Entry: body.Entry, Params: body.Params, Requester: requester})
}

// newRow returns the request that sub makes.
func newRow(sub submission, res api.Resolved, requester string) row {
	r := row{Request: api.Request{
		ID: id.New("req"), Namespace: sub.namespace, Trace: sub.trace, Of: sub.of,
		Entry: res.Entry, Type: res.Type, Name: res.Name, Title: sub.body.Title,
		Params: sub.body.Params, Spec: res.Spec, Workflow: res.Workflow,
		State: api.Pending, Requester: requester, Notify: sub.body.Notify,
		Created: time.Now().UTC().Truncate(time.Microsecond),
	}, Inputs: res.Inputs}
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
		Detail: map[string]any{"entry": r.Entry, "type": r.Type, "name": r.Name, "of": r.Of}}
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
