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
	run, err := api.StartRun.Call(s.asService(ctx, r.Trace), s.d.Bus, startOf(r))
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

// startOf is the call that starts the run of r, the same each time.
func startOf(r row) api.StartRunIn {
	return api.StartRunIn{NS: api.NS{Namespace: r.Namespace}, Key: "request/" + r.ID, Body: api.StartRunBody{
		Workflow: r.Workflow, Inputs: r.Inputs, Trace: r.Trace, Title: r.Title, Request: r.ID, Requester: r.Requester,
	}}
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
