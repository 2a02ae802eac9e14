// Package worker is the service that runs task types inside the server: a sdk.Worker over the bus, for
// all namespaces and one pool. Besides the types that are built in it runs those declared in documents,
// in the version an attempt names. It takes attempts from the engine as the service it is; what a task
// calls on the bus, it calls as its run, with the run's grants and trace. It owns no tables, answers
// no methods and publishes no events; it asks definition.get.
package worker

import (
	"cmp"
	"context"
	"time"

	"tutti/api"
	"tutti/bus"
	"tutti/errs"
	"tutti/internal/document"
	"tutti/internal/service"
	"tutti/internal/task"
	"tutti/sdk"
)

// Config is what can be set. The zero Config is useful.
type Config struct {
	// Pool is whose tasks it runs; "" is api.DefaultPool, where tasks run that name no pool.
	Pool string
	// Slots is how many tasks run at the same time; 0 is 2048. Waiting for an answer or a commit takes a slot, so
	// there should be many more than processors.
	Slots int
	// Grace is how long tasks may take to end when the server stops, before they are reported as
	// interrupted; 0 is 10s.
	Grace time.Duration
	// Name says which worker ran an attempt, for people; "" is the host's name and the process's number.
	Name string
}

// DefaultSlots is what Config.Slots 0 means.
const DefaultSlots = 2048

// New returns what builds the service that runs types, and what the drivers carry out.
func New(types []sdk.TaskType, drivers task.Drivers, cfg Config) func(service.Deps) (service.Service, error) {
	return func(d service.Deps) (service.Service, error) {
		return &Service{sdk.Worker{Find: declared(d.Bus, drivers),
			Transport: transport{d.Bus}, Namespace: "*", Pool: cfg.Pool, Name: cfg.Name, Types: types,
			Slots: cmp.Or(max(cfg.Slots, 0), DefaultSlots), Grace: cfg.Grace, Context: asRun, Log: d.Log,
		}}, nil
	}
}

// Service is the worker inside the server.
type Service struct{ worker sdk.Worker }

// Run carries out tasks until ctx ends.
func (s *Service) Run(ctx context.Context) error { return s.worker.Run(bus.AsService(ctx, "worker")) }

// declared returns what finds the types that documents declare.
func declared(b *bus.Bus, drivers task.Drivers) func(context.Context, *api.Assignment) (sdk.TaskType, error) {
	known := &task.Published[sdk.TaskType]{Bus: b, As: "worker", Read: func(def api.Definition) (sdk.TaskType, error) {
		doc, err := document.FromJSON(def.Name, def.Document)
		if err != nil {
			return nil, err
		}
		typ, _, problems := drivers.Compile(doc)
		if len(problems) > 0 {
			return nil, errs.New(errs.Invalid, "task type %s, version %d, cannot be used by this version of Tutti", def.Name, def.Version).WithProblems(problems...)
		}
		return typ, nil
	}}
	return func(ctx context.Context, a *api.Assignment) (sdk.TaskType, error) {
		v, err := known.Get(ctx, a.Namespace, a.Type, a.Version)
		if errs.Is(err, errs.NotFound) {
			return nil, sdk.Fail(sdk.FailUnknown, "there is no task type %q in the server or in namespace %s", a.Type, a.Namespace).
				WithHint("send the task to a pool whose workers have it")
		}
		return v.Type, err
	}
}

// asRun lets a task act on the bus as its run.
func asRun(ctx context.Context, a *api.Assignment) context.Context {
	ctx = bus.WithCaller(ctx, bus.Caller{Subject: "run:" + string(a.Run), Grants: a.Grants})
	return bus.WithTrace(ctx, a.Trace)
}

// transport reaches the engine over the bus. Whoever's context it gets, it is the worker that calls: a
// run may not report for itself.
type transport struct{ bus *bus.Bus }

var _ sdk.Transport = transport{}

// Poll reports results and takes work.
func (t transport) Poll(ctx context.Context, in api.PollIn) (api.PollOut, error) {
	return api.PollTasks.Call(bus.AsService(ctx, "worker"), t.bus, in)
}

// Heartbeat keeps claims alive.
func (t transport) Heartbeat(ctx context.Context, in api.HeartbeatIn) (api.HeartbeatOut, error) {
	return api.Heartbeat.Call(bus.AsService(ctx, "worker"), t.bus, in)
}

// SetVars stores task variables.
func (t transport) SetVars(ctx context.Context, in api.SetVarsIn) error {
	_, err := api.SetVars.Call(bus.AsService(ctx, "worker"), t.bus, in)
	return err
}

// AppendLog stores log lines.
func (t transport) AppendLog(ctx context.Context, in api.AppendLogIn) error {
	_, err := api.AppendLog.Call(bus.AsService(ctx, "worker"), t.bus, in)
	return err
}
