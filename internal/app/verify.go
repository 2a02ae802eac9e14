package app

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"tutti/errs"
	"tutti/internal/blob/dirblob"
	"tutti/internal/store"
)

// Finding is something wrong with what is stored.
type Finding struct {
	Service string `json:"service"` // whose it is
	Text    string `json:"text"`
}

// Verify reads everything that the server of c keeps and returns what is wrong with it, service by
// service; nothing is good. The server must not run: errs.Conflict says that it does. What an older
// version left is brought up to date first, as the server would; nothing else is changed.
func Verify(ctx context.Context, c Config) ([]Finding, error) {
	if _, err := os.Stat(filepath.Join(c.Data, lockName)); errors.Is(err, fs.ErrNotExist) {
		return nil, errs.New(errs.NotFound, "%s is not the data folder of a server", c.Data).WithHint("name the folder that `tutti serve --data` was given")
	}
	c = c.withDefaults()
	folder, err := openFolder(c.Data)
	if err != nil {
		return nil, err
	}
	defer folder.close()
	p := &platform{c: c, log: c.Log, stores: map[string]*store.DB{}}
	defer p.close()
	if p.blobs, err = dirblob.Open(p.path("blobs")); err != nil {
		return nil, err
	}
	if p.logBlobs, err = dirblob.Open(p.path("logs")); err != nil {
		return nil, err
	}
	var found []Finding
	for _, x := range p.list() {
		if !x.keeps {
			continue
		}
		wrong, err := p.verify(ctx, x)
		if err != nil {
			return found, fmt.Errorf("service %s: %w", x.Name, err)
		}
		for _, text := range wrong {
			found = append(found, Finding{x.Name, text})
		}
	}
	return found, nil
}

// verify reads what one service keeps. A database that cannot be opened is a finding.
func (p *platform) verify(ctx context.Context, x part) ([]string, error) {
	db, err := store.Open(ctx, store.Config{URL: p.c.DB, Dir: p.c.Data}, x.Name, x.Migrations)
	if err != nil {
		if ctx.Err() != nil || p.c.DB != "" {
			return nil, err
		}
		return []string{"the database cannot be opened: " + err.Error()}, nil
	}
	p.stores[x.Name] = db
	if p.c.DB != "" {
		if err := db.Unused(ctx); err != nil {
			return nil, err
		}
	}
	wrong, err := db.Verify(ctx)
	if err != nil || len(wrong) > 0 || x.verify == nil {
		return wrong, err
	}
	return x.verify(ctx, db)
}
