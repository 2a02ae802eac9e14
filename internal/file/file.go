// Package file keeps what is known of files: their names, types and owners. Their bytes are in the blob
// store, by digest; the gateway and the workers put and get them there.
//
// It owns the tables file_files and file_blobs, and the blobs of the store it is given, which no other
// service may delete from. It answers file.add, file.get, file.list, file.delete and find.file, and
// publishes no events. A blob goes when the last file of any namespace that refers to it is deleted.
package file

import (
	"context"
	"embed"
	"errors"
	"log/slog"
	"time"

	"tutti/api"
	"tutti/bus"
	"tutti/internal/blob"
	"tutti/internal/service"
	"tutti/internal/store"
)

// Migrations are those of the tables above.
//
//go:embed migrations
var Migrations embed.FS

// Service is the file service.
type Service struct {
	db    *store.DB
	bus   *bus.Bus
	log   *slog.Logger
	blobs blob.Store
	freed chan struct{} // wakes the sweeper
}

// New returns what builds the service; blobs is a store that holds nothing but files.
func New(blobs blob.Store) func(service.Deps) (service.Service, error) {
	return func(d service.Deps) (service.Service, error) {
		return &Service{db: d.DB, bus: d.Bus, log: d.Log, blobs: blobs, freed: make(chan struct{}, 1)}, nil
	}
}

// Run answers, and deletes blobs that no file refers to, until ctx ends.
func (s *Service) Run(ctx context.Context) error {
	err := errors.Join(
		api.AddFile.Handle(ctx, s.bus, s.add),
		api.GetFile.Handle(ctx, s.bus, s.get),
		api.ListFiles.Handle(ctx, s.bus, s.list),
		api.DeleteFile.Handle(ctx, s.bus, s.delete),
		api.Find("file").Handle(ctx, s.bus, s.find),
	)
	if err != nil {
		return err
	}
	return s.sweep(ctx)
}

// sweepEvery is how often unused blobs are looked for that a crash left behind.
const sweepEvery = time.Minute

// sweep deletes unused blobs until ctx ends.
func (s *Service) sweep(ctx context.Context) error {
	for {
		if err := s.deleteUnused(ctx); err != nil && ctx.Err() == nil {
			s.log.Warn("unused blobs not deleted", "err", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-s.freed:
		case <-time.After(sweepEvery):
		}
	}
}

// deleteUnused deletes the blobs that no file refers to. Each is deleted while its row is locked: an
// add of the same bytes happens wholly before, and keeps the blob, or wholly after, and finds it gone.
func (s *Service) deleteUnused(ctx context.Context) error {
	ds, err := s.selectUnused(ctx, 1000)
	for _, d := range ds {
		err = errors.Join(err, s.db.Tx(ctx, func(tx *store.Tx) error {
			unused, err := takeUnused(tx, d)
			if err != nil || !unused {
				return err
			}
			return s.blobs.Delete(ctx, d)
		}))
	}
	return err
}
