package gitrepo

import (
	"context"
	"fmt"
	"io"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/filemode"
	"github.com/go-git/go-git/v5/plumbing/object"
	"github.com/go-git/go-git/v5/plumbing/storer"
)

// Verify reads everything that the branch reaches, all commits with their trees and files, and returns
// an error that names the first object that is missing or damaged. It writes nothing.
func (r *Repo) Verify(ctx context.Context) error {
	seen := map[plumbing.Hash]bool{}
	c, err := r.commit("")
	for err == nil && c != nil {
		if err = ctx.Err(); err != nil {
			return err
		}
		if err = r.verifyTree(ctx, c.TreeHash, seen); err != nil {
			break
		}
		c, err = r.parent(c)
	}
	if err != nil {
		return fmt.Errorf("verify %s: %w", r.dir, err)
	}
	return nil
}

func (r *Repo) verifyTree(ctx context.Context, h plumbing.Hash, seen map[plumbing.Hash]bool) error {
	if seen[h] {
		return nil
	}
	seen[h] = true
	t, err := r.tree(h)
	if err != nil {
		return err
	}
	for _, e := range t.Entries {
		switch {
		case e.Mode == filemode.Dir:
			err = r.verifyTree(ctx, e.Hash, seen)
		case e.Mode != filemode.Submodule && !seen[e.Hash]:
			seen[e.Hash] = true
			err = r.verifyFile(e.Hash)
		}
		if err != nil {
			return fmt.Errorf("%s: %w", e.Name, err)
		}
		if err := ctx.Err(); err != nil {
			return err
		}
	}
	return nil
}

// verifyFile reads a file to its end, and compares it with its hash.
func (r *Repo) verifyFile(h plumbing.Hash) error {
	b, err := load(r, "file", h, func(s storer.EncodedObjectStorer, h plumbing.Hash) (*object.Blob, error) { return object.GetBlob(s, h) })
	if err != nil {
		return err
	}
	in, err := b.Reader()
	if err != nil {
		return fmt.Errorf("read file %s: %w", h, err)
	}
	defer in.Close()
	sum := plumbing.NewHasher(plumbing.BlobObject, b.Size)
	if _, err := io.Copy(sum, in); err != nil {
		return fmt.Errorf("read file %s: %w", h, err)
	}
	if got := sum.Sum(); got != h {
		return fmt.Errorf("the file %s has the hash %s", h, got)
	}
	return nil
}
