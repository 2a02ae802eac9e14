package request

import (
	"context"

	"tutti/api"
	"tutti/bus"
	"tutti/errs"
	"tutti/internal/store"
)

// launch is how the relay of this service starts the run of a request. It is a method so that the
// mark "may have been started" is committed before the engine is asked.
var launch = bus.Method[launchIn, api.Nothing]{Name: "request.launch", Perm: bus.System, Doc: "Start the run of an accepted request."}

type launchIn struct {
	api.NS
	ID string
}

// launch starts the run of a request that is pending; it may be called again at any time.
func (s *Service) launch(ctx context.Context, in launchIn) (api.Nothing, error) {
	var r row
	err := s.d.DB.Tx(ctx, func(tx *store.Tx) (err error) {
		if r, err = lock(tx, in.Namespace, in.ID); err != nil || !mayStart(r) || r.Starting {
			return err
		}
		r.Starting = true
		return update(tx, r)
	})
	if err != nil || !mayStart(r) {
		return api.Nothing{}, err
	}
	if len(r.Filings) > 0 {
		if r, err = s.file(ctx, r); err != nil || !mayStart(r) {
			return api.Nothing{}, err
		}
	}
	start, err := startOf(r)
	if err != nil {
		return api.Nothing{}, err
	}
	run, err := api.StartRun.Call(s.asService(ctx, r.Trace), s.d.Bus, start)
	if err != nil && !final(err) {
		return api.Nothing{}, err // the relay repeats
	}
	return api.Nothing{}, s.d.DB.Tx(ctx, func(tx *store.Tx) error {
		r, txErr := lock(tx, in.Namespace, in.ID)
		switch {
		case txErr != nil:
			return txErr
		case err != nil && mayStart(r):
			return s.end(tx, refused(r, err))
		case err != nil || r.Run != "":
			return nil
		}
		return s.runKnown(tx, started(r, run.ID))
	})
}

// runKnown stores the run of r; one that was cancelled meanwhile gets its run cancelled.
func (s *Service) runKnown(tx *store.Tx, r row) error {
	if err := update(tx, r); err != nil || !r.stopping() {
		return err
	}
	return tx.Intend(cancelKey(r), api.CancelRun.Name, cancelOf(r, "the request was cancelled"))
}

// file has the files of a request committed, and stores where they are and what the run gets of them. A
// request that is refused there ends.
func (s *Service) file(ctx context.Context, r row) (row, error) {
	in := api.FileRequestIn{NS: api.NS{Namespace: r.Namespace}, Request: r.ID, Trace: r.Trace, Requester: r.Requester, Title: r.Title}
	items := r.Request.Items()
	for _, f := range r.Filings {
		it := items[f.Index]
		in.Items = append(in.Items, api.FileItem{Type: it.Type, Name: it.Name, Entry: it.Entry, Action: it.Action, Base: it.Base, Workflow: it.Workflow,
			Version: f.Version, Spec: it.Spec, Params: it.Params})
	}
	filed, err := api.FileResources.Call(s.asService(ctx, r.Trace), s.d.Bus, in)
	if err != nil && !final(err) {
		return r, err // the relay repeats
	}
	txErr := s.d.DB.Tx(ctx, func(tx *store.Tx) (txErr error) {
		if r, txErr = lock(tx, r.Namespace, r.ID); txErr != nil || len(r.Filings) == 0 {
			return txErr
		}
		if err != nil {
			if r = refused(r, err); r.stopping() {
				r.State = api.Cancelled
			}
			return s.end(tx, r)
		}
		r = filedAs(r, filed)
		return update(tx, r)
	})
	return r, txErr
}

// startOf is the call that starts the run of r, the same each time.
func startOf(r row) (api.StartRunIn, error) {
	body := api.StartRunBody{Workflow: r.Workflow, Inputs: r.Inputs, Trace: r.Trace, Title: r.Title, Request: r.ID, Requester: r.Requester}
	if len(r.Items) > 0 {
		var err error
		body.Workflow = ""
		if body.Definition, body.Inputs, err = compose(r); err != nil {
			return api.StartRunIn{}, err
		}
	}
	return api.StartRunIn{NS: api.NS{Namespace: r.Namespace}, Key: "request/" + r.ID, Body: body}, nil
}

// launchAnswered logs what can only be a fault of ours: launch refuses nothing.
func (s *Service) launchAnswered(_ context.Context, _ *store.Tx, key string, _ launchIn, _ api.Nothing, refused error) error {
	if refused != nil {
		s.d.Log.Error("request not launched", "intent", key, "err", refused)
	}
	return nil
}

// final reports whether a callee said no, as opposed to not having been able to answer.
func final(err error) bool {
	switch errs.KindOf(err) {
	case errs.Internal, errs.Limited, errs.Unavailable:
		return false
	}
	return true
}
