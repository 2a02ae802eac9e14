package gitrepo

import (
	"compress/zlib"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/go-git/go-git/v5/plumbing"
	"golang.org/x/sync/errgroup"

	"tutti/id"
	"tutti/internal/durable"
)

// writer collects the objects of one commit and writes them as loose objects. go-git's own writer
// does not sync: after a power loss a branch could point at objects that are not there.
type writer struct {
	dir     string
	objects map[plumbing.Hash]*plumbing.MemoryObject
	err     error // of add; reported by flush
}

// add encodes o and returns its hash.
func (w *writer) add(o interface {
	Encode(plumbing.EncodedObject) error
}) plumbing.Hash {
	m := &plumbing.MemoryObject{}
	if err := o.Encode(m); err != nil && w.err == nil {
		w.err = err
	}
	return w.put(m)
}

func (w *writer) addBlob(content []byte) plumbing.Hash {
	m := &plumbing.MemoryObject{}
	m.SetType(plumbing.BlobObject)
	_, _ = m.Write(content) // to memory
	return w.put(m)
}

func (w *writer) put(m *plumbing.MemoryObject) plumbing.Hash {
	if w.objects == nil {
		w.objects = map[plumbing.Hash]*plumbing.MemoryObject{}
	}
	w.objects[m.Hash()] = m
	return m.Hash()
}

// parallel is how many syncs are under way at a time; the file system makes one of many.
const parallel = 16

// flush makes all objects durable. An object that is there already is written again: what a crash
// left under its name may be empty.
func (w *writer) flush() error {
	if w.err != nil {
		return w.err
	}
	var g errgroup.Group
	g.SetLimit(parallel)
	dirs := map[string]bool{}
	for h, m := range w.objects {
		dir := filepath.Join(w.dir, "objects", h.String()[:2])
		if !dirs[dir] {
			dirs[dir] = true
			if err := os.Mkdir(dir, 0o700); err == nil {
				dirs[filepath.Dir(dir)] = true
			} else if !errors.Is(err, fs.ErrExist) {
				return err
			}
		}
		g.Go(func() error { return writeLoose(filepath.Join(dir, h.String()[2:]), m) })
	}
	if err := g.Wait(); err != nil {
		return err
	}
	for dir := range dirs {
		g.Go(func() error { return durable.SyncDir(dir) })
	}
	return g.Wait()
}

func writeLoose(path string, m *plumbing.MemoryObject) error {
	return replace(path, filepath.Join(filepath.Dir(path), "tmp_obj_"+id.New("t")), 0o444, func(f io.Writer) error {
		z, err := zlib.NewWriterLevel(f, zlib.BestSpeed)
		if err != nil {
			return err
		}
		if _, err := fmt.Fprintf(z, "%s %d\x00", m.Type(), m.Size()); err != nil {
			return err
		}
		r, err := m.Reader()
		if err != nil {
			return err
		}
		if _, err := io.Copy(z, r); err != nil {
			return err
		}
		return z.Close()
	})
}

// replace writes a file under the name tmp, which must not exist, and, when it is on the disk,
// renames it to path. On an error nothing is left of it.
func replace(path, tmp string, mode os.FileMode, write func(io.Writer) error) error {
	f, err := os.OpenFile(tmp, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if err != nil {
		return err
	}
	err = write(f)
	if err == nil {
		err = f.Sync()
	}
	err = errors.Join(err, f.Close())
	if err == nil {
		err = os.Rename(tmp, path)
	}
	if err != nil {
		_ = os.Remove(tmp)
	}
	return err
}
