package request

import (
	"slices"

	"tutti/api"
	"tutti/errs"
)

// The decisions about where a request stands, as functions of what is stored and what happened.

// mayStart reports whether run.start is to be called for r: for the first time or, where the answer
// was lost, again.
func mayStart(r row) bool { return r.State == api.Pending && r.Run == "" }

// started is r once its run is known. The end of the run may have been heard of before: that stays.
func started(r row, run api.RunID) row {
	if r.Run == "" {
		r.Run = run
	}
	if r.State == api.Pending {
		r.State = api.Running
	}
	return r
}

// belongs reports whether run is the one that carries out r, and not a run inside it or a copy.
func belongs(r row, run api.Run) bool {
	return run.Parent == nil && run.Namespace == r.Namespace && run.Request == r.ID && (r.Run == "" || r.Run == run.ID)
}

// moved is r after its run began to wait, or went on.
func moved(r row, run api.Run) row {
	r.Run, r.State, r.Reason = run.ID, run.State, run.Reason
	return r
}

// finished is r after its run ended. A run that was retried or undone ends again, and so does r.
func finished(r row, run api.Run) row {
	r.Run, r.State, r.Flags, r.Reason = run.ID, run.State, run.Flags, nil
	r.Failure, r.Outputs, r.Ended = run.Failure, run.Outputs, run.Ended
	r.Endings++
	return r
}

// refused is r after run.start was refused for good.
func refused(r row, err error) row {
	e := errs.Public(err)
	f := api.Failure{Type: "start", Message: "the run was not started: " + e.Error(), Hint: e.Hint}
	if f.Hint == "" {
		f.Hint = "tell the author of workflow " + r.Workflow + ", or submit the request again"
	}
	r.State, r.Flags, r.Reason, r.Failure = api.Failed, nil, nil, &api.RunFail{Failure: f}
	r.Endings++
	return r
}

// cancelStep is what cancelling a request takes.
type cancelStep int

const (
	cancelNothing cancelStep = iota // it is cancelled, or being cancelled
	cancelHere                      // no run was asked for: it ends here
	cancelLater                     // a run was asked for: it is cancelled as soon as it is known
	cancelRun                       // the run has to be cancelled
)

// cancelling decides how r is cancelled. It returns errs.Conflict where it ended in another way.
func cancelling(r row) (row, cancelStep, error) {
	switch {
	case r.State == api.Cancelled:
		return r, cancelNothing, nil
	case r.State.Ended():
		return r, 0, errs.New(errs.Conflict, "request %s has already %s", r.ID, r.State).
			WithHint("what it did can be undone: tutti run undo %s", r.Run)
	case slices.Contains(r.Flags, api.Stopping):
		return r, cancelNothing, nil
	case r.Run == "" && !r.Starting:
		r.State = api.Cancelled
		r.Endings++
		return r, cancelHere, nil
	}
	r.Flags = append(slices.Clone(r.Flags), api.Stopping)
	if r.Run == "" {
		return r, cancelLater, nil
	}
	return r, cancelRun, nil
}

// itemFinished is r after the run of one of its resources ended; changed is false where it is none of them.
func itemFinished(r row, run api.Run) (out row, changed bool) {
	if run.Parent == nil || r.Run != "" && run.Parent.Run != r.Run {
		return r, false
	}
	i := indexOf(run.Parent.Task)
	if i < 0 || i >= len(r.Items) {
		return r, false
	}
	r.Items = slices.Clone(r.Items)
	it := &r.Items[i]
	it.Run, it.State, it.Failure, it.Outputs = run.ID, run.State, run.Failure, run.Outputs
	return r, true
}

// itemsEnded is r after its run ended: resources without a run of their own have not been made.
func itemsEnded(r row) row {
	r.Items = slices.Clone(r.Items)
	for i := range r.Items {
		it := &r.Items[i]
		if it.State.Ended() {
			continue
		}
		it.State = api.Cancelled
		if r.Failure != nil && (r.Failure.Task == taskOf(i) || r.Failure.Task == "") {
			it.State, it.Failure = api.Failed, r.Failure
		}
	}
	return r
}

// filedAs is r once its files are committed.
func filedAs(r row, filed api.Filed) row {
	r.Items = slices.Clone(r.Items)
	for i, f := range r.Filings {
		if i >= len(filed.Items) {
			break
		}
		got := filed.Items[i]
		var source *api.SourceRef
		if got.Source.Commit != "" {
			source = &got.Source
		}
		if len(r.Items) == 0 {
			r.Inputs, r.Source = got.Inputs, source
			continue
		}
		r.Items[f.Index].Inputs, r.Items[f.Index].Source = got.Inputs, source
	}
	r.Filings, r.Resources = nil, r.items()
	return r
}
