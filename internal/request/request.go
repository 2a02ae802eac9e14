// Package request takes what people and systems ask for and sees it through: a request is resolved to
// a valid resource and a workflow, stored with its file, carried out by a run, and ended with it.
//
// It owns the tables request_requests, request_keys and request_firings, and the kind Trigger. It answers
// request.create, .plan, .get, .list, .cancel and .resubmit, trigger.fire, .list and .get, check.Trigger
// and find.request; it publishes request.request.received, .moved and .finished, and follows
// workflow.run.finished and .moved. It asks resource.resolve and .file, run.start, run.cancel,
// workflow.plan, definition.get and .list, file.add and notify.send.
//
// Nothing is asked of others before the intent is stored. A request stays pending until its run is
// known; before run.start is called for the first time a mark is committed, so that a cancel knows
// whether there can be a run: without the mark it ends the request there and then.
package request

import (
	"context"
	"embed"
	"errors"

	"golang.org/x/sync/errgroup"

	"tutti/api"
	"tutti/bus"
	"tutti/internal/blob"
	"tutti/internal/service"
)

// Migrations are those of the slice's tables.
//
//go:embed migrations
var Migrations embed.FS

// Config are the settings of the slice.
type Config struct {
	// Notify are the mail addresses told of every request's receipt and completion; default none.
	Notify []string
}

// Service answers for requests.
type Service struct {
	d      service.Deps
	blobs  blob.Store
	config Config
	wait   *waiters
}

var _ service.Service = (*Service)(nil)

// New returns how to build the service: blobs keeps the request files.
func New(blobs blob.Store, c Config) func(service.Deps) (service.Service, error) {
	return func(d service.Deps) (service.Service, error) {
		if bad := badAddresses("notify", c.Notify); len(bad) > 0 {
			return nil, invalid("the addresses of request.notify", bad)
		}
		return &Service{d: d, blobs: blobs, config: c, wait: newWaiters()}, nil
	}
}

// Run serves until ctx ends, then returns nil.
func (s *Service) Run(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	if err := s.handle(ctx); err != nil {
		return err
	}
	g.Go(func() error { return s.wait.run(ctx, s) })
	g.Go(func() error { return s.reverse(ctx) })
	g.Go(func() error {
		return service.Follow(ctx, s.d, service.On(api.RunFinished, s.runFinished).Where(ofRequests), service.On(api.RunMoved, s.runMoved))
	})
	g.Go(func() error {
		return service.Relay(ctx, s.d,
			service.Then(api.AddFile, s.fileAdded),
			service.Then(api.CancelRun, s.cancelAnswered),
			service.Then(api.SendMail, s.mailAccepted),
			service.Then(launch, s.launchAnswered))
	})
	return g.Wait()
}

// handle answers the methods until ctx ends.
func (s *Service) handle(ctx context.Context) error {
	b := s.d.Bus
	return errors.Join(
		api.CreateRequest.Handle(ctx, b, s.create),
		api.PlanRequest.Handle(ctx, b, s.plan),
		api.GetRequest.Handle(ctx, b, s.get),
		api.ListRequests.Handle(ctx, b, s.list),
		api.RequestStats.Handle(ctx, b, s.stats),
		api.DiffRequests.Handle(ctx, b, s.diff),
		api.CancelRequest.Handle(ctx, b, s.cancel),
		api.ResubmitRequest.Handle(ctx, b, s.resubmit),
		api.Find("request").Handle(ctx, b, s.find),
		launch.Handle(ctx, b, s.launch),
		api.CheckKind(api.KindTrigger).Handle(ctx, b, s.checkTriggers),
		api.FireTrigger.Handle(ctx, b, s.fire),
		api.ListTriggers.Handle(ctx, b, s.listTriggers),
		api.GetTrigger.Handle(ctx, b, s.getTrigger),
	)
}

// asService returns ctx with the service itself as caller, in a trace.
func (s *Service) asService(ctx context.Context, trace string) context.Context {
	return bus.WithTrace(bus.AsService(ctx, s.d.Name), trace)
}
