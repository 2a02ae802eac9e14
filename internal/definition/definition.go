// Package definition keeps the documents that say what Tutti does: workflows, resource types, presets.
// It stores every version of each by its digest; what a kind means is the business of its owner,
// who is asked what is wrong with the documents of the kind before anything is stored.
//
// It owns the tables definition_heads, definition_versions and definition_keys. It answers
// definition.apply, .validate, .list, .get and .delete, publishes definition.definition.applied and
// .deleted, and asks check.<kind> of the owners of the kinds.
package definition

import (
	"context"
	"embed"
	"errors"

	"tutti/api"
	"tutti/internal/service"
	"tutti/internal/store"
)

// Migrations are those of the slice's tables.
//
//go:embed migrations
var Migrations embed.FS

// Service answers for definitions.
type Service struct {
	d     service.Deps
	asked store.Lookup[api.GetDefinitionIn, versionFound]
}

// versionFound is a version, or why there is none.
type versionFound struct {
	def api.Definition
	err error
}

var _ service.Service = (*Service)(nil)

// New builds the service.
func New(d service.Deps) (service.Service, error) {
	s := &Service{d: d}
	s.asked.Find = func(ctx context.Context, ins []api.GetDefinitionIn) (map[api.GetDefinitionIn]versionFound, error) {
		found := map[api.GetDefinitionIn]versionFound{}
		for _, in := range ins { // thousands may ask for the same at once, few for different ones
			def, err := version(ctx, d.DB, in)
			found[in] = versionFound{def, err}
		}
		return found, nil
	}
	return s, nil
}

// Run serves until ctx ends, then returns nil.
func (s *Service) Run(ctx context.Context) error {
	if err := s.handle(ctx); err != nil {
		return err
	}
	<-ctx.Done()
	return nil
}

// handle answers the methods until ctx ends.
func (s *Service) handle(ctx context.Context) error {
	b := s.d.Bus
	return errors.Join(
		api.ApplyDefinitions.Handle(ctx, b, s.apply),
		api.ValidateDefinitions.Handle(ctx, b, s.validate),
		api.ListDefinitions.Handle(ctx, b, s.list),
		api.GetDefinition.Handle(ctx, b, s.get),
		api.DeleteDefinition.Handle(ctx, b, s.remove),
		api.DefinitionVersions.Handle(ctx, b, s.versions),
		api.DiffDefinition.Handle(ctx, b, s.diff),
		api.DefinitionUsers.Handle(ctx, b, s.users),
	)
}
