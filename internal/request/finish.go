package request

import (
	"bytes"
	"context"
	"time"

	"tutti/api"
	"tutti/bus"
	"tutti/errs"
	"tutti/internal/store"
)

// maxEventOutputs bounds the outputs that an event carries, in bytes: followers read many events in
// one message. Larger ones are read with request.get.
const maxEventOutputs = 16 << 10

// ofRequests keeps the events of runs that may belong to a request: the others have no such member, and
// most runs of a busy engine are others.
func ofRequests(_ context.Context, rs []bus.Record) (out []bus.Record, _ error) {
	for _, r := range rs {
		if bytes.Contains(r.Data, []byte(`"request"`)) {
			out = append(out, r)
		}
	}
	return out, nil
}

// runFinished ends the request whose run ended.
func (s *Service) runFinished(_ context.Context, tx *store.Tx, _ bus.Record, run api.Run) error {
	if run.Request == "" {
		return nil
	}
	if run.Parent != nil && indexOf(run.Parent.Task) < 0 {
		return nil // deep inside
	}
	r, err := lock(tx, run.Namespace, run.Request)
	if errs.Is(err, errs.NotFound) {
		return nil // a run of something else that calls itself a request
	}
	if err != nil {
		return err
	}
	if run.Parent != nil {
		if r, changed := itemFinished(r, run); changed {
			return update(tx, r)
		}
		return nil
	}
	if !belongs(r, run) {
		return nil
	}
	return s.end(tx, finished(r, run))
}

// runMoved stores that the run of a request waits, or goes on. One that a person retried goes on after
// its end.
func (s *Service) runMoved(_ context.Context, tx *store.Tx, _ bus.Record, run api.Run) error {
	if run.Request == "" || run.Parent != nil {
		return nil
	}
	r, err := lock(tx, run.Namespace, run.Request)
	if errs.Is(err, errs.NotFound) {
		return nil
	}
	if err != nil || !belongs(r, run) {
		return err
	}
	if err := update(tx, moved(r, run)); err != nil {
		return err
	}
	return api.RequestMoved.Publish(tx, about(r), eventOf(moved(r, run)))
}

// end stores that r ended and tells everybody.
func (s *Service) end(tx *store.Tx, r row) error {
	if r.Ended.IsZero() {
		r.Ended = time.Now().UTC().Truncate(time.Microsecond)
	}
	r = itemsEnded(r)
	if err := update(tx, r); err != nil {
		return err
	}
	if err := api.RequestFinished.Publish(tx, about(r), eventOf(r)); err != nil {
		return err
	}
	return s.tell(tx, r, completion(r))
}

// tell stores the intent to send m to whoever is to be told of r.
func (s *Service) tell(tx *store.Tx, r row, m letter) error {
	if len(r.Tell) == 0 {
		return nil
	}
	key := "request/" + r.ID + "/" + m.key
	return tx.Intend(key, api.SendMail.Name, api.SendIn{NS: api.NS{Namespace: r.Namespace}, Key: key, To: r.Tell, Subject: m.subject, Text: m.text})
}

// mailAccepted logs a mail that was refused for good; nothing depends on it.
func (s *Service) mailAccepted(_ context.Context, _ *store.Tx, key string, _ api.SendIn, _ api.Message, refused error) error {
	if refused != nil {
		s.d.Log.Warn("mail refused", "intent", key, "err", refused)
	}
	return nil
}

// about says which object an event of r is about.
func about(r row) bus.About {
	return bus.About{Subject: r.ID, Namespace: r.Namespace, Trace: r.Trace}
}

// eventOf is r as events carry it: without what may be large.
func eventOf(r row) api.Request {
	e := r.Request
	e.Params, e.Spec, e.Resources = nil, nil, r.brief()
	if len(e.Outputs) > maxEventOutputs {
		e.Outputs = nil
	}
	return e
}

// brief are the resources without what may be large.
func (r row) brief() (out []api.RequestItem) {
	for _, it := range r.items() {
		it.Params, it.Spec, it.Outputs = nil, nil, nil
		out = append(out, it)
	}
	return out
}
