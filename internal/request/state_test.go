package request

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"tutti/api"
	"tutti/errs"
)

func at(state api.State, run api.RunID, starting bool, flags ...api.Flag) row {
	return row{Request: api.Request{ID: "req_1", Namespace: "default", State: state, Run: run, Flags: flags}, Starting: starting}
}

func TestCancelling(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		row   row
		step  cancelStep
		state api.State
		kind  errs.Kind
	}{
		{at(api.Pending, "", false), cancelHere, api.Cancelled, ""},
		{at(api.Pending, "", true), cancelLater, api.Pending, ""},
		{at(api.Pending, "", true, api.Stopping), cancelNothing, api.Pending, ""},
		{at(api.Running, "run_1", true), cancelRun, api.Running, ""},
		{at(api.Running, "run_1", true, api.Stopping), cancelNothing, api.Running, ""},
		{at(api.Cancelled, "", false), cancelNothing, api.Cancelled, ""},
		{at(api.Succeeded, "run_1", true), cancelNothing, api.Succeeded, errs.Conflict},
		{at(api.Failed, "run_1", true), cancelNothing, api.Failed, errs.Conflict},
	} {
		got, step, err := cancelling(c.row)
		if got.State != c.state || step != c.step || errs.KindOf(err) != c.kind {
			t.Errorf("cancelling(%s, run %q, starting %v) = %s, %d, %v; want %s, %d, kind %q", c.row.State, c.row.Run, c.row.Starting, got.State, step, err, c.state, c.step, c.kind)
		}
		if wants := step == cancelLater || step == cancelRun; wants && !got.stopping() {
			t.Errorf("cancelling(%s) has no flag stopping", c.row.State)
		}
	}
}

func TestBelongs(t *testing.T) {
	t.Parallel()
	run := api.Run{ID: "run_1", Namespace: "default", Request: "req_1"}
	for name, c := range map[string]struct {
		row  row
		run  func(*api.Run)
		want bool
	}{
		"the run":                  {at(api.Running, "run_1", true), func(*api.Run) {}, true},
		"one not yet heard of":     {at(api.Pending, "", true), func(*api.Run) {}, true},
		"another run":              {at(api.Running, "run_2", true), func(*api.Run) {}, false},
		"a run inside it":          {at(api.Pending, "", true), func(r *api.Run) { r.Parent = &api.TaskRef{} }, false},
		"one of another request":   {at(api.Pending, "", true), func(r *api.Run) { r.Request = "req_2" }, false},
		"one of another namespace": {at(api.Pending, "", true), func(r *api.Run) { r.Namespace = "other" }, false},
	} {
		r := run
		c.run(&r)
		if got := belongs(c.row, r); got != c.want {
			t.Errorf("belongs(%s) = %v; want %v", name, got, c.want)
		}
	}
}

func TestStarted(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ row, want row }{
		{at(api.Pending, "", true), at(api.Running, "run_1", true)},
		{at(api.Pending, "", true, api.Stopping), at(api.Running, "run_1", true, api.Stopping)},
		{at(api.Succeeded, "run_1", true), at(api.Succeeded, "run_1", true)},
	} {
		if diff := cmp.Diff(c.want, started(c.row, "run_1")); diff != "" {
			t.Errorf("started(%s) (-want +got):\n%s", c.row.State, diff)
		}
	}
}
