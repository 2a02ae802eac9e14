package request

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"tutti/api"
	"tutti/bus"
	"tutti/errs"
	"tutti/id"
	"tutti/internal/blob"
	"tutti/internal/store"
)

// inBubble runs f in a bubble with the neighbours, and the service not yet started.
func inBubble(t *testing.T, f func(w *world)) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) { f(newWorld(t, store.Config{Dir: t.TempDir()})) })
}

func TestRequest(t *testing.T) {
	inBubble(t, func(w *world) {
		w.start()
		in := smallVM("web-01")
		in.Body.Notify = []string{"anna@example.com", "OPS@example.com"}
		r := w.create(in)
		if !id.Valid("req", r.ID) || !id.ValidTrace(r.Trace) || r.State != api.Pending || r.Requester != "user:anna" || r.Title != "virtual-machine web-01" {
			w.Errorf("create = %+v", r)
		}
		settle()
		run, _ := w.run(r.ID)
		got := w.get(r.ID)
		if got.State != api.Running || got.Run != run.ID || run.Trace != r.Trace || got.File == "" {
			w.Errorf("after the start the request is %+v; want it running as %s, with a file", got, run.ID)
		}
		file, _, err := w.blobs.Open(w.Context(), blob.Digest(w.files["request/"+r.ID].Digest))
		if err != nil {
			w.Fatal(err)
		}
		text, err := io.ReadAll(file)
		file.Close()
		if err != nil || !strings.Contains(string(text), r.Trace) || !strings.Contains(string(text), "web-01") {
			w.Errorf("the request file is %s, %v", text, err)
		}
		mail := w.mails["request/"+r.ID+"/received"]
		if diff := cmp.Diff([]string{"ops@example.com", "desk@example.com", "anna@example.com"}, mail.To); diff != "" {
			w.Errorf("recipients (-want +got):\n%s", diff)
		}
		run.State, run.Outputs = api.Succeeded, json.RawMessage(`{"address":"10.0.0.7"}`)
		w.finish(run)
		settle()
		got = w.get(r.ID)
		if got.State != api.Succeeded || string(got.Outputs) != `{"address":"10.0.0.7"}` || got.Ended.IsZero() {
			w.Errorf("after the end the request is %+v", got)
		}
		if diff := cmp.Diff([]string{"finished", "received"}, w.mailKeys(r.ID)); diff != "" {
			w.Errorf("mails (-want +got):\n%s", diff)
		}
		if diff := cmp.Diff([]string{"user:anna request.create " + r.ID}, w.acts()); diff != "" {
			w.Errorf("audit (-want +got):\n%s", diff)
		}
		events, err := w.db.Events(w.Context(), 0, 10)
		if err != nil || len(events) != 2 || events[0].Type != api.RequestReceived.Type() || events[1].Type != api.RequestFinished.Type() || events[1].Trace != r.Trace {
			w.Errorf("events = %v, %v; want received and finished", events, err)
		}
	})
}

func TestWait(t *testing.T) {
	inBubble(t, func(w *world) {
		w.start()
		begun := time.Now()
		in := smallVM("web-01")
		in.Wait = api.Duration(30 * time.Second)
		r := w.create(in)
		if took := time.Since(begun); r.State != api.Running || took != 30*time.Second {
			w.Errorf("create with a wait answered %s after %v; want running after 30s", r.State, took)
		}
		go func() {
			time.Sleep(10 * time.Second) // sleep: the time of a bubble
			run, _ := w.run(r.ID)
			run.State = api.Failed
			w.finish(run)
		}()
		begun = time.Now()
		var wg sync.WaitGroup
		for range 20 {
			wg.Go(func() {
				r, err := api.GetRequest.Call(w.as(api.Viewer), w.bus, api.RequestIn{NS: inDefault, ID: r.ID, Wait: api.Duration(time.Hour)})
				if took := time.Since(begun); err != nil || r.State != api.Failed || took < 10*time.Second || took > 12*time.Second {
					w.Errorf("get with a wait = %s, %v after %v; want failed after 10s", r.State, err, took)
				}
			})
		}
		wg.Wait()
	})
}

func TestWaitEndsWithTheService(t *testing.T) {
	inBubble(t, func(w *world) {
		stop := w.start()
		r := w.create(smallVM("web-01"))
		go func() {
			time.Sleep(time.Second) // sleep: the time of a bubble
			stop()
		}()
		begun := time.Now()
		if _, err := api.GetRequest.Call(w.as(api.Viewer), w.bus, api.RequestIn{NS: inDefault, ID: r.ID, Wait: api.Duration(30 * time.Second)}); err != nil {
			w.Errorf("get = %v", err)
		}
		if took := time.Since(begun); took > 2*time.Second {
			w.Errorf("a wait outlived the service by %v", took)
		}
	})
}

func TestIdempotencyKey(t *testing.T) {
	inBubble(t, func(w *world) {
		w.start()
		in := smallVM("web-01")
		in.Key = "k"
		first := w.create(in)
		in.Body.Params = json.RawMessage(` { "name" : "web-01" } `)
		w.set(func() { w.refuse[api.ResolveResource.Name] = errs.New(errs.Invalid, "the type changed meanwhile") })
		if again := w.create(in); again.ID != first.ID {
			w.Errorf("the same key gave %s and %s", first.ID, again.ID)
		}
		w.set(func() { delete(w.refuse, api.ResolveResource.Name) })
		in.Body.Params = json.RawMessage(`{"name":"web-02"}`)
		if _, err := api.CreateRequest.Call(w.as(api.Operator), w.bus, in); !errs.Is(err, errs.Conflict) || !strings.Contains(err.Error(), first.ID) {
			w.Errorf("the same key with another body: %v; want a conflict naming %s", err, first.ID)
		}
		settle()
		if w.starts != 1 {
			w.Errorf("one key started %d runs", w.starts)
		}
	})
}

// The service is killed between any two steps; there is one run and one mail of each kind.
func TestCrashes(t *testing.T) {
	inBubble(t, func(w *world) {
		w.set(func() {
			for _, m := range []string{api.StartRun.Name, api.SendMail.Name, api.AddFile.Name} {
				w.down[m] = true
			}
		})
		stop := w.start()
		r := w.create(smallVM("web-01"))
		stop() // before anything was answered
		w.set(func() { clear(w.down) })
		// The engine accepts the run, and the service does not live to hear of it.
		w.accepted = func(api.Run) { w.kill() }
		stop = w.start()
		settle()
		stop()
		w.accepted = func(api.Run) {}
		if run, ok := w.run(r.ID); !ok || run.State != api.Running {
			w.Fatalf("the engine has %v, %v; want the run", run, ok)
		}
		w.start()
		settle()
		run, _ := w.run(r.ID)
		if got := w.get(r.ID); w.starts != 1 || got.Run != run.ID || got.State != api.Running || got.File == "" {
			w.Errorf("after the crashes: %d runs, request %+v; want one run, running", w.starts, got)
		}
		if diff := cmp.Diff([]string{"received"}, w.mailKeys(r.ID)); diff != "" {
			w.Errorf("mails (-want +got):\n%s", diff)
		}
	})
}

// The end of a run may be heard of before its start was answered.
func TestEndBeforeStartAnswered(t *testing.T) {
	inBubble(t, func(w *world) {
		w.start()
		w.accepted = func(run api.Run) {
			run.State = api.Succeeded
			w.finish(run)
			time.Sleep(10 * time.Second) // sleep: the time of a bubble
		}
		r := w.create(smallVM("web-01"))
		settle()
		if got := w.get(r.ID); got.State != api.Succeeded || got.Run == "" {
			w.Errorf("the request is %s, run %s; want succeeded", got.State, got.Run)
		}
	})
}

func TestRefusedStart(t *testing.T) {
	inBubble(t, func(w *world) {
		w.start()
		w.set(func() {
			w.refuse[api.StartRun.Name] = errs.New(errs.Invalid, "inputs do not fit").WithProblems(errs.Problem{Location: "inputs.cpu", Message: "too many"})
		})
		r := w.create(smallVM("web-01"))
		settle()
		got := w.get(r.ID)
		if got.State != api.Failed || got.Failure == nil || got.Failure.Type != "start" || !strings.Contains(got.Failure.Message, "inputs.cpu: too many") {
			w.Errorf("the request is %s, %+v; want failed with the reason", got.State, got.Failure)
		}
		if diff := cmp.Diff([]string{"finished", "received"}, w.mailKeys(r.ID)); diff != "" {
			w.Errorf("mails (-want +got):\n%s", diff)
		}
	})
}

// A run that failed and was retried ends again: so does the request, and a second mail says so.
func TestEndsAgain(t *testing.T) {
	inBubble(t, func(w *world) {
		w.start()
		r := w.create(smallVM("web-01"))
		settle()
		run, _ := w.run(r.ID)
		run.State, run.Failure = api.Failed, &api.RunFail{Task: "build", Failure: api.Failure{Message: "no room"}}
		w.finish(run)
		sub := run
		sub.ID, sub.State, sub.Parent = "run_0000000000000008", api.Cancelled, &api.TaskRef{Run: run.ID}
		w.finish(sub)
		settle()
		if got := w.get(r.ID); got.State != api.Failed || got.Failure.Task != "build" {
			w.Errorf("the request is %s, %+v; want failed in build", got.State, got.Failure)
		}
		run.State, run.Failure = api.Succeeded, nil
		w.finish(run)
		settle()
		if got := w.get(r.ID); got.State != api.Succeeded || got.Failure != nil {
			w.Errorf("the request is %s, %+v; want succeeded", got.State, got.Failure)
		}
		if diff := cmp.Diff([]string{"finished", "finished/2", "received"}, w.mailKeys(r.ID)); diff != "" {
			w.Errorf("mails (-want +got):\n%s", diff)
		}
	})
}

func cancelCall(w *world, requestID string) (api.Request, error) {
	return api.CancelRequest.Call(w.as(api.Operator), w.bus, api.CancelRequestIn{NS: inDefault, ID: requestID, Body: api.CancelBody{Reason: "not needed"}})
}

func TestCancelRunning(t *testing.T) {
	inBubble(t, func(w *world) {
		w.start()
		r := w.create(smallVM("web-01"))
		settle()
		got, err := cancelCall(w, r.ID)
		if err != nil || got.State != api.Running || !cmp.Equal(got.Flags, []api.Flag{api.Stopping}) {
			w.Errorf("cancel = %s %v, %v; want running and stopping", got.State, got.Flags, err)
		}
		if len(w.canceled) == 0 || w.canceled[0].Body.Reason != "cancelled by user:anna: not needed" {
			w.Errorf("run.cancel got %+v; want it before the answer, with who and why", w.canceled)
		}
		run, _ := w.run(r.ID)
		run.State = api.Cancelled
		w.finish(run)
		settle()
		if got, err = cancelCall(w, r.ID); err != nil || got.State != api.Cancelled || len(got.Flags) > 0 {
			w.Errorf("cancel again = %s %v, %v; want cancelled", got.State, got.Flags, err)
		}
		if acts := w.acts(); len(acts) != 2 || acts[1] != "user:anna request.cancel "+r.ID {
			w.Errorf("audit = %q; want one cancel", acts)
		}
	})
}

func TestCancelOfWhatEnded(t *testing.T) {
	inBubble(t, func(w *world) {
		w.start()
		r := w.create(smallVM("web-01"))
		settle()
		// The run has ended, and the service has not heard of it yet.
		w.set(func() { w.refuse[api.CancelRun.Name] = errs.New(errs.Conflict, "it has ended") })
		got, err := cancelCall(w, r.ID)
		if err != nil || got.State != api.Running || len(got.Flags) > 0 {
			w.Errorf("cancel = %s %v, %v; want running, not stopping", got.State, got.Flags, err)
		}
		run, _ := w.run(r.ID)
		run.State = api.Succeeded
		w.finish(run)
		settle()
		if _, err := cancelCall(w, r.ID); !errs.Is(err, errs.Conflict) {
			w.Errorf("cancel of a request that succeeded = %v; want conflict", err)
		}
	})
}

// A request whose run was never asked for is cancelled on the spot, and never has one.
func TestCancelBeforeStart(t *testing.T) {
	inBubble(t, func(w *world) {
		stop := w.start()
		stop()
		s := &Service{d: depsOf(w), blobs: w.blobs, wait: newWaiters()}
		if err := s.handle(w.Context()); err != nil { // without the relay
			w.Fatal(err)
		}
		r := w.create(smallVM("web-01"))
		got, err := cancelCall(w, r.ID)
		if err != nil || got.State != api.Cancelled || got.Ended.IsZero() {
			w.Errorf("cancel = %+v, %v; want cancelled", got, err)
		}
		w.start()
		settle()
		if w.starts != 0 || w.get(r.ID).State != api.Cancelled {
			w.Errorf("after the cancel %d runs were started", w.starts)
		}
	})
}

// A request whose run may have been asked for is cancelled as soon as the engine answers.
func TestCancelWhileStarting(t *testing.T) {
	inBubble(t, func(w *world) {
		w.set(func() { w.down[api.StartRun.Name] = true })
		w.start()
		r := w.create(smallVM("web-01"))
		settle()
		got, err := cancelCall(w, r.ID)
		if err != nil || got.State != api.Pending || !cmp.Equal(got.Flags, []api.Flag{api.Stopping}) {
			w.Errorf("cancel = %s %v, %v; want pending and stopping", got.State, got.Flags, err)
		}
		w.set(func() { clear(w.down) })
		settle()
		run, _ := w.run(r.ID)
		if len(w.canceled) != 1 || w.canceled[0].ID != run.ID {
			w.Errorf("run.cancel got %+v; want %s", w.canceled, run.ID)
		}
	})
}

func TestResubmit(t *testing.T) {
	inBubble(t, func(w *world) {
		w.start()
		r := w.create(smallVM("web-01"))
		again := api.ResubmitIn{NS: inDefault, ID: r.ID, Key: "again"}
		if _, err := api.ResubmitRequest.Call(w.as(api.Operator), w.bus, again); !errs.Is(err, errs.Conflict) {
			w.Errorf("resubmit of a request that goes on = %v; want conflict", err)
		}
		settle()
		run, _ := w.run(r.ID)
		run.State = api.Failed
		w.finish(run)
		settle()
		got, err := api.ResubmitRequest.Call(w.as(api.Operator), w.bus, again)
		if err != nil || got.ID == r.ID || got.Trace != r.Trace || got.Of != r.ID || string(got.Params) != string(r.Params) {
			w.Errorf("resubmit = %+v, %v; want a new ID and the same trace", got, err)
		}
		if same, err := api.ResubmitRequest.Call(w.as(api.Operator), w.bus, again); err != nil || same.ID != got.ID {
			w.Errorf("resubmit with the same key = %s, %v; want %s", same.ID, err, got.ID)
		}
		again.Key, again.Body.Params = "", json.RawMessage(`{"name":"web-02"}`)
		if other, err := api.ResubmitRequest.Call(w.as(api.Operator), w.bus, again); err != nil || other.Name != "web-02" {
			w.Errorf("resubmit with other params = %+v, %v", other, err)
		}
		page, err := api.ListRequests.Call(w.as(api.Viewer), w.bus, api.ListRequestsIn{NS: inDefault, Trace: r.Trace})
		if err != nil || len(page.Items) != 3 {
			w.Errorf("the trace has %d requests, %v; want 3", len(page.Items), err)
		}
	})
}

// A request made inside of a trace stays in it.
func TestTraceOfTheCaller(t *testing.T) {
	inBubble(t, func(w *world) {
		w.start()
		trace := id.Trace()
		for given, want := range map[string]bool{trace: true, "nonsense": false} {
			r, err := api.CreateRequest.Call(bus.WithTrace(w.as(api.Operator), given), w.bus, smallVM("web-01"))
			if err != nil || (r.Trace == given) != want || !id.ValidTrace(r.Trace) {
				w.Errorf("create in trace %q = trace %q, %v", given, r.Trace, err)
			}
		}
	})
}

func TestPlan(t *testing.T) {
	inBubble(t, func(w *world) {
		w.start()
		plan, err := api.PlanRequest.Call(w.as(api.Operator), w.bus, api.PlanRequestIn{NS: inDefault, Body: smallVM("web-01").Body})
		plan.Resources, plan.Open = nil, nil // TestPlanOfSeveral looks at them
		want := api.RequestPlan{Entry: "small-vm", Type: "virtual-machine", Name: "web-01", Spec: json.RawMessage(`{"name":"web-01"}`), Workflow: "vm.build", Version: 3,
			Steps: []api.PlanStep{{Path: "build", Use: `{"spec":{"name":"web-01"}}`}}}
		if diff := cmp.Diff(want, plan); err != nil || diff != "" {
			w.Errorf("plan = %v (-want +got):\n%s", err, diff)
		}
		if page, err := api.ListRequests.Call(w.as(api.Viewer), w.bus, api.ListRequestsIn{NS: inDefault}); err != nil || len(page.Items) > 0 {
			w.Errorf("after a plan there are %v, %v", page.Items, err)
		}
	})
}

func TestCreateRefuses(t *testing.T) {
	inBubble(t, func(w *world) {
		w.start()
		huge := smallVM(strings.Repeat("x", maxParams))
		deep := smallVM("")
		deep.Body.Params = json.RawMessage(strings.Repeat(`{"a":`, 2000) + "1" + strings.Repeat("}", 2000))
		list := smallVM("")
		list.Body.Params = json.RawMessage(`[1]`)
		mails := smallVM("a")
		mails.Body.Notify = []string{"ok@example.com", "Anna <anna@example.com>", "x@example.com\r\nBcc: y@example.com"}
		unknown := smallVM("a")
		unknown.Body.Entry = "moon"
		foreign := smallVM("a")
		foreign.Namespace = "other"
		for name, c := range map[string]struct {
			role string
			in   api.CreateRequestIn
			kind errs.Kind
			want string
		}{
			"huge params":         {api.Operator, huge, errs.TooLarge, "limit"},
			"deep params":         {api.Operator, deep, errs.Invalid, "body.params: nested deeper"},
			"params are a list":   {api.Operator, list, errs.Invalid, "body.params: not an object"},
			"bad addresses":       {api.Operator, mails, errs.Invalid, "body.notify[2]"},
			"an unknown entry":    {api.Operator, unknown, errs.NotFound, "moon"},
			"a viewer":            {api.Viewer, smallVM("a"), errs.Denied, "operator"},
			"a foreign namespace": {api.Admin, foreign, errs.NotFound, "other"},
		} {
			_, err := api.CreateRequest.Call(w.as(c.role), w.bus, c.in)
			if errs.KindOf(err) != c.kind || err == nil || !strings.Contains(err.Error(), c.want) {
				w.Errorf("%s: %v (%q); want %q with %q", name, err, errs.KindOf(err), c.kind, c.want)
			}
		}
		settle()
		if w.starts > 0 || len(w.mails) > 0 || len(w.acts()) > 0 {
			w.Errorf("refusals left %d runs, %d mails, acts %v", w.starts, len(w.mails), w.acts())
		}
	})
}

// A thousand requests that are waited for cost one query a second, not a thousand.
func TestManyWaiters(t *testing.T) {
	t.Parallel()
	w := newWaiters()
	for i := range 1000 {
		w.add(fmt.Sprint(i % 100))
	}
	if got := len(w.waited()); got != 100 {
		t.Errorf("waited for %d requests; want 100", got)
	}
	w.release(w.waited())
	if got := len(w.waited()); got != 0 {
		t.Errorf("after the release %d are waited for", got)
	}
}
