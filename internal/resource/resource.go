// Package resource knows what can be ordered and what came of it: the kinds ResourceType and Preset,
// the catalogue they make, the resources that requests built with their history, and the git
// repositories their files are kept in, one commit a request.
//
// It owns the tables resource_changes, resource_commits, resource_holds, resource_expiries and
// resource_observations, and the folder of the repositories. It answers check.ResourceType,
// check.Preset, resource.catalogue, .entry, .options, .resolve, .file, .observe, .list and .get, and
// repository.commit, .log, .tree and .read; it follows request.request.finished and
// workflow.run.finished. It asks definition.get and .list, request.get and .create, run.start and .get,
// and view.offer.
//
// A request holds the resources it changes from just before its run until its outcome is written here,
// so that one at a time changes a resource, each on top of what it was shown.
//
// Definitions are asked for at each use, so that a change counts at once; their compiled form is kept
// by digest.
package resource

import (
	"context"
	"embed"
	"errors"

	"golang.org/x/sync/errgroup"

	"tutti/api"
	"tutti/errs"
	"tutti/internal/service"
)

// Migrations are those of the slice's tables.
//
//go:embed migrations
var Migrations embed.FS

// Config are the settings of the slice.
type Config struct {
	// Dir is the folder of the git repositories: NAMESPACE/NAME.git. It has no default.
	Dir string
}

// Service answers for resources.
type Service struct {
	d     service.Deps
	known compiled
	repos repositories
}

var _ service.Service = (*Service)(nil)

// New returns how to build the service.
func New(c Config) func(service.Deps) (service.Service, error) {
	return func(d service.Deps) (service.Service, error) {
		if c.Dir == "" {
			return nil, errs.New(errs.Invalid, "no folder is configured for the git repositories")
		}
		return &Service{d: d, repos: repositories{dir: c.Dir}}, nil
	}
}

// Run serves until ctx ends, then returns nil.
func (s *Service) Run(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	if err := s.handle(ctx); err != nil {
		return err
	}
	g.Go(func() error { return service.Follow(ctx, s.d, service.On(api.RequestFinished, s.requestFinished)) })
	g.Go(func() error {
		return service.Follow(ctx, s.d, service.On(api.RunFinished, s.runFinished).Where(s.looking))
	})
	g.Go(func() error {
		return service.Relay(ctx, s.d, service.Then(api.GetRequest, s.requestRead), service.Then(api.CreateRequest, s.expiryFiled))
	})
	g.Go(func() error { return s.expire(ctx) })
	return g.Wait()
}

// handle answers the methods until ctx ends.
func (s *Service) handle(ctx context.Context) error {
	b := s.d.Bus
	return errors.Join(
		api.CheckKind(api.KindResourceType).Handle(ctx, b, s.checkTypes),
		api.CheckKind(api.KindPreset).Handle(ctx, b, s.checkPresets),
		api.ListEntries.Handle(ctx, b, s.listEntries),
		api.GetEntry.Handle(ctx, b, s.getEntry),
		api.EntryOptions.Handle(ctx, b, s.options),
		api.ResolveResource.Handle(ctx, b, s.resolve),
		api.ListResources.Handle(ctx, b, s.list),
		api.GetResource.Handle(ctx, b, s.get),
		api.FileResources.Handle(ctx, b, s.fileRequest),
		api.ObserveResource.Handle(ctx, b, s.observe),
		api.CommitFiles.Handle(ctx, b, s.commit),
		api.ListCommits.Handle(ctx, b, s.commits),
		api.ListTree.Handle(ctx, b, s.tree),
		api.ReadRepository.Handle(ctx, b, s.read),
	)
}
