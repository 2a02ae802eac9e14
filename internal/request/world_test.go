package request

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"tutti/api"
	"tutti/bus"
	"tutti/bus/membus"
	"tutti/errs"
	"tutti/internal/blob"
	"tutti/internal/blob/dirblob"
	"tutti/internal/service"
	"tutti/internal/store"
)

// world is the service with stand-ins for its neighbours.
type world struct {
	*testing.T
	bus    *bus.Bus
	db     *store.DB
	blobs  blob.Store
	engine *store.DB // its outbox is the engine's

	mu       sync.Mutex
	down     map[string]bool  // methods that nobody answers
	refuse   map[string]error // methods that say no
	runs     map[string]api.Run
	starts   int
	mails    map[string]api.SendIn
	files    map[string]api.AddFileIn
	inputs   map[string]json.RawMessage // of runs, by key
	filing   bool                       // whether resources have files
	canceled []api.CancelRunIn
	// accepted is called when the engine has a run and has not yet said so.
	accepted func(api.Run)
	kill     func() // ends the contexts of the service at once
}

// newWorld opens everything but the service itself. In a bubble it ends before the bubble does.
func newWorld(t *testing.T, c store.Config) *world {
	t.Helper()
	w := &world{T: t, bus: bus.New(&membus.Bus{}, []byte("a key for tests"), api.Allow), down: map[string]bool{}, refuse: map[string]error{},
		runs: map[string]api.Run{}, mails: map[string]api.SendIn{}, files: map[string]api.AddFileIn{}, inputs: map[string]json.RawMessage{}, accepted: func(api.Run) {}}
	w.db = w.open(c, "request", Migrations)
	w.engine = w.open(store.Config{Dir: t.TempDir()}, "workflow", nil)
	var err error
	if w.blobs, err = dirblob.Open(t.TempDir()); err != nil {
		t.Fatal(err)
	}
	w.serve(service.Deps{Name: "workflow", DB: w.engine, Bus: w.bus})
	handle(w, api.ResolveResource, w.resolve)
	handle(w, api.StartRun, w.startRun)
	handle(w, api.FileResources, func(in api.FileRequestIn) (out api.Filed, err error) {
		for _, it := range in.Items {
			out.Items = append(out.Items, api.FiledItem{Source: api.SourceRef{Repository: "vms", Commit: "c0ffee", Path: "resources/" + it.Name + ".json"}, Inputs: json.RawMessage(`{"commit":"c0ffee"}`)})
		}
		return out, nil
	})
	handle(w, api.CancelRun, func(in api.CancelRunIn) (api.Run, error) {
		w.canceled = append(w.canceled, in)
		return api.Run{ID: in.ID}, nil
	})
	handle(w, api.AddFile, func(in api.AddFileIn) (api.File, error) {
		w.files[in.Key] = in
		return api.File{ID: "file_" + in.Key}, nil
	})
	handle(w, api.SendMail, func(in api.SendIn) (api.Message, error) {
		if old, ok := w.mails[in.Key]; ok && old.Text != in.Text {
			return api.Message{}, errs.New(errs.Conflict, "another mail has this key")
		}
		w.mails[in.Key] = in
		return api.Message{}, nil
	})
	handle(w, api.PlanWorkflow, func(in api.PlanWorkflowIn) (api.WorkflowPlan, error) {
		return api.WorkflowPlan{Version: 3, Steps: []api.PlanStep{{Path: "build", Use: string(in.Inputs)}}}, nil
	})
	return w
}

func (w *world) open(c store.Config, name string, m service.Files) *store.DB {
	w.Helper()
	db, err := store.Open(w.Context(), c, name, m)
	if err != nil {
		w.Fatal(err)
	}
	w.Cleanup(func() { db.Close() })
	return db
}

func (w *world) serve(d service.Deps) {
	w.Helper()
	d.Log = slog.New(slog.DiscardHandler)
	if err := service.Serve(w.Context(), d); err != nil {
		w.Fatal(err)
	}
}

// handle answers m with f, unless the world says that m is down or refused.
func handle[In, Out any](w *world, m bus.Method[In, Out], f func(In) (Out, error)) {
	err := m.Handle(w.Context(), w.bus, func(_ context.Context, in In) (out Out, err error) {
		w.mu.Lock()
		defer w.mu.Unlock()
		if w.down[m.Name] {
			return out, errs.New(errs.Unavailable, "%s is down", m.Name)
		}
		if err := w.refuse[m.Name]; err != nil {
			return out, err
		}
		return f(in)
	})
	if err != nil {
		w.Fatal(err)
	}
}

func (w *world) resolve(in api.ResolveIn) (api.Resolved, error) {
	if in.Action == api.ActionDelete {
		return api.Resolved{Action: in.Action, Entry: "small-vm", Type: in.Type, Name: in.Name, Spec: json.RawMessage(`{}`), Workflow: "vm.remove", Inputs: json.RawMessage(`{}`)}, nil
	}
	var p struct{ Name string }
	if err := json.Unmarshal(in.Params, &p); err != nil || in.Entry != "small-vm" {
		return api.Resolved{}, errs.New(errs.NotFound, "no entry %q", in.Entry)
	}
	return api.Resolved{Action: api.ActionCreate, Params: in.Params, Files: w.filing, Version: 2, Entry: in.Entry, Type: "virtual-machine", Name: p.Name, Spec: in.Params, Workflow: "vm.build",
		Inputs: json.RawMessage(`{"spec":` + string(in.Params) + `}`), Notify: []string{"ops@example.com"}}, nil
}

func (w *world) startRun(in api.StartRunIn) (api.Run, error) {
	r, ok := w.runs[in.Key]
	if !ok {
		w.starts++
		r = api.Run{ID: api.RunID(fmt.Sprintf("run_%016d", w.starts)), Namespace: in.Namespace, Request: in.Body.Request, Trace: in.Body.Trace, State: api.Running}
		w.runs[in.Key], w.inputs[in.Key] = r, in.Body.Inputs
	}
	w.mu.Unlock()
	defer w.mu.Lock()
	w.accepted(r)
	return r, nil
}

// run is the run of a request, as the engine has it.
func (w *world) run(requestID string) (api.Run, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	r, ok := w.runs["request/"+requestID]
	return r, ok
}

// set changes what the neighbours do.
func (w *world) set(f func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	f()
}

// finish makes the engine say that a run ended.
func (w *world) finish(r api.Run) {
	w.Helper()
	r.Ended = time.Now().UTC()
	err := w.engine.Tx(w.Context(), func(tx *store.Tx) error {
		return api.RunFinished.Publish(tx, bus.About{Subject: string(r.ID), Namespace: r.Namespace, Trace: r.Trace}, r)
	})
	if err != nil {
		w.Fatal(err)
	}
}

// start runs the service until stop is called or the test ends; stop is a kill for all that the
// service knows.
func (w *world) start() (stop func()) {
	w.Helper()
	ctx, cancel := context.WithCancel(w.Context())
	w.kill = cancel
	d := service.Deps{Name: "request", DB: w.db, Bus: w.bus, Log: slog.New(slog.DiscardHandler)}
	if err := service.Serve(ctx, d); err != nil {
		w.Fatal(err)
	}
	s, err := New(w.blobs, Config{Notify: []string{"desk@example.com"}})(d)
	if err != nil {
		w.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		if err := s.Run(ctx); err != nil {
			w.Errorf("Run = %v; want nil", err)
		}
	}()
	stop = func() {
		cancel()
		<-ended
	}
	w.Cleanup(stop)
	synctest.Wait()
	return stop
}

func (w *world) as(role string) context.Context {
	return bus.WithCaller(w.Context(), bus.Caller{Subject: "user:anna", Grants: []bus.Grant{{Namespace: "default", Role: role}}})
}

var inDefault = api.NS{Namespace: "default"}

func smallVM(name string) api.CreateRequestIn {
	return api.CreateRequestIn{NS: inDefault, Body: api.CreateRequestBody{Entry: "small-vm", Params: json.RawMessage(`{"name":"` + name + `"}`)}}
}

func (w *world) create(in api.CreateRequestIn) api.Request {
	w.Helper()
	r, err := api.CreateRequest.Call(w.as(api.Operator), w.bus, in)
	if err != nil {
		w.Fatalf("create = %v", err)
	}
	return r
}

func (w *world) get(requestID string) api.Request {
	w.Helper()
	r, err := api.GetRequest.Call(w.as(api.Viewer), w.bus, api.RequestIn{NS: inDefault, ID: requestID})
	if err != nil {
		w.Fatalf("get = %v", err)
	}
	return r
}

// settle lets the service do all it has to do within a minute.
func settle() {
	time.Sleep(time.Minute) // sleep: the time of a bubble
	synctest.Wait()
}

// mailKeys are the keys of the mails that were sent for a request, without its ID.
func (w *world) mailKeys(requestID string) []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	var keys []string
	for k := range w.mails {
		if rest, ok := strings.CutPrefix(k, "request/"+requestID+"/"); ok {
			keys = append(keys, rest)
		}
	}
	slices.Sort(keys)
	return keys
}

// acts are who did what to which object, oldest first.
func (w *world) acts() []string {
	w.Helper()
	rows, err := w.db.Acts(w.Context(), "default", 0, 100)
	if err != nil {
		w.Fatal(err)
	}
	var out []string
	for _, a := range slices.Backward(rows) {
		out = append(out, a.Subject+" "+a.Action+" "+a.Object)
	}
	return out
}

func depsOf(w *world) service.Deps {
	return service.Deps{Name: "request", DB: w.db, Bus: w.bus, Log: slog.New(slog.DiscardHandler)}
}
