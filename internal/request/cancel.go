package request

import (
	"context"

	"tutti/api"
	"tutti/bus"
	"tutti/errs"
	"tutti/internal/store"
)

// cancel ends a request that has no run, or cancels its run. When it answers, the run accepts no new
// attempt, or, with the flag stopping, will be cancelled as soon as it can be reached.
func (s *Service) cancel(ctx context.Context, in api.CancelRequestIn) (api.Request, error) {
	r, err := lookUp(ctx, s.d.DB, in.Namespace, in.ID)
	if err != nil {
		return api.Request{}, err
	}
	ctx = bus.WithTrace(ctx, r.Trace)
	why := "cancelled by " + bus.Subject(ctx)
	if in.Body.Reason != "" {
		why += ": " + in.Body.Reason
	}
	step := cancelNothing
	err = s.d.DB.Tx(ctx, func(tx *store.Tx) (err error) {
		if r, err = lock(tx, r.Namespace, r.ID); err != nil {
			return err
		}
		if r, step, err = cancelling(r); err != nil || step == cancelNothing {
			return err
		}
		act := store.Act{Namespace: r.Namespace, Action: api.CancelRequest.Name, Object: r.ID, Detail: map[string]any{"reason": in.Body.Reason}}
		if err := tx.Audit(act); err != nil {
			return err
		}
		switch step {
		case cancelHere:
			return s.end(tx, r)
		case cancelRun:
			if err := tx.Intend(cancelKey(r), api.CancelRun.Name, cancelOf(r, why)); err != nil {
				return err
			}
		}
		return update(tx, r)
	})
	if err == nil && step == cancelRun {
		err = s.cancelNow(ctx, r, why)
	}
	if err != nil {
		return api.Request{}, err
	}
	r, err = load(ctx, s.d.DB, r.Namespace, r.ID)
	return r.Request, err
}

// cancelNow cancels the run of r before the caller is answered, as was stored. Where the engine cannot
// be reached the relay goes on trying.
func (s *Service) cancelNow(ctx context.Context, r row, why string) error {
	in := cancelOf(r, why)
	out, err := api.CancelRun.Call(s.asService(ctx, r.Trace), s.d.Bus, in)
	if err != nil && !final(err) {
		return nil
	}
	return s.d.DB.Tx(ctx, func(tx *store.Tx) error {
		mine, txErr := tx.Fulfilled(cancelKey(r))
		if txErr != nil || !mine {
			return txErr
		}
		return s.cancelAnswered(ctx, tx, cancelKey(r), in, out, err)
	})
}

// cancelAnswered takes the flag back where the engine refused: the run ended in another way, of which
// an event tells.
func (s *Service) cancelAnswered(_ context.Context, tx *store.Tx, _ string, in api.CancelRunIn, _ api.Run, refused error) error {
	if refused == nil {
		return nil
	}
	s.d.Log.Info("run not cancelled", "run", in.ID, "err", refused)
	r, err := byRun(tx, in.Namespace, in.ID)
	if errs.Is(err, errs.NotFound) || err == nil && (r.State.Ended() || !r.stopping()) {
		return nil
	}
	if err != nil {
		return err
	}
	r.Flags = nil
	return update(tx, r)
}

func cancelKey(r row) string { return "request/" + r.ID + "/cancel" }

// cancelOf is the call that cancels the run of r.
func cancelOf(r row, why string) api.CancelRunIn {
	return api.CancelRunIn{NS: api.NS{Namespace: r.Namespace}, ID: r.Run, Body: api.CancelBody{Reason: clip(why, 1000)}}
}
