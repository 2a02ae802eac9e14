// Package dirblob keeps blobs as files of one directory: sha256/<2 digits>/<62 digits>, and tmp/
// for those being written. It owns that directory and everything in it; several processes may
// share it.
package dirblob

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"time"

	"tutti/errs"
	"tutti/id"
	"tutti/internal/blob"
)

const (
	tmp     = "tmp"
	objects = "sha256"
	// abandoned is the age past which a temporary file is nobody's: no Put takes this long.
	abandoned = 24 * time.Hour
)

// Store is a blob.Store in a directory.
type Store struct{ root *os.Root }

var _ blob.Store = (*Store)(nil)

// Open returns the store in dir, which is made (with mode 0700) if missing, and removes what
// writers left there a day or longer ago. The caller closes it.
func Open(dir string) (*Store, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("make the blob directory: %w", err)
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, fmt.Errorf("open the blob directory: %w", err)
	}
	s := &Store{root}
	if err := s.prepare(); err != nil {
		root.Close()
		return nil, fmt.Errorf("prepare the blob directory %s: %w", dir, err)
	}
	return s, nil
}

// prepare makes all directories at once and durable, so that no Put has to make one: two Puts
// racing for a directory could not tell whether the other has synced it yet.
func (s *Store) prepare() error {
	for _, d := range []string{tmp, objects} {
		if err := s.mkdir(d); err != nil {
			return err
		}
	}
	have, err := fs.ReadDir(s.root.FS(), objects)
	if err != nil {
		return err
	}
	if len(have) < 256 {
		for i := range 256 {
			if err := s.mkdir(fmt.Sprintf("%s/%02x", objects, i)); err != nil {
				return err
			}
		}
		for _, d := range []string{objects, "."} {
			if err := s.sync(d); err != nil {
				return err
			}
		}
	}
	old, err := fs.ReadDir(s.root.FS(), tmp)
	if err != nil {
		return err
	}
	for _, e := range old {
		if i, err := e.Info(); err == nil && time.Since(i.ModTime()) > abandoned {
			_ = s.root.Remove(tmp + "/" + e.Name()) // tried again at the next start
		}
	}
	return nil
}

func (s *Store) mkdir(name string) error {
	if err := s.root.Mkdir(name, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return nil
}

func (s *Store) sync(dir string) error {
	f, err := s.root.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

// Close releases the directory.
func (s *Store) Close() error { return s.root.Close() }

// Put implements blob.Store. A blob that is there already is replaced all the same, which heals
// it should it be damaged.
func (s *Store) Put(ctx context.Context, r io.Reader, limit int64) (blob.Digest, int64, error) {
	name := tmp + "/" + id.New("blob")
	f, err := s.root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return "", 0, fmt.Errorf("store blob: %w", err)
	}
	d, n, err := write(ctx, f, r, limit)
	if err == nil {
		err = f.Sync()
	}
	err = errors.Join(err, f.Close())
	if err == nil {
		err = s.root.Rename(name, path(d))
	}
	if err != nil {
		_ = s.root.Remove(name) // what remains despite that is swept by a later Open
		return "", 0, fmt.Errorf("store blob: %w", err)
	}
	if err := s.sync(dir(d)); err != nil {
		return "", 0, fmt.Errorf("store blob: %w", err)
	}
	return d, n, nil
}

// write copies r to w and returns the digest and size, or fails with TooLarge past limit.
func write(ctx context.Context, w io.Writer, r io.Reader, limit int64) (blob.Digest, int64, error) {
	h := sha256.New()
	buf := make([]byte, 64<<10)
	var size int64
	for {
		if err := ctx.Err(); err != nil {
			return "", 0, err
		}
		n, err := r.Read(buf)
		size += int64(n)
		if limit >= 0 && size > limit {
			return "", 0, errs.New(errs.TooLarge, "more than %d bytes", limit)
		}
		h.Write(buf[:n])
		if _, werr := w.Write(buf[:n]); werr != nil {
			return "", 0, werr
		}
		if err == io.EOF {
			return blob.SumOf(h), size, nil
		}
		if err != nil {
			return "", 0, err
		}
	}
}

// Open implements blob.Store.
func (s *Store) Open(ctx context.Context, d blob.Digest) (io.ReadCloser, int64, error) {
	if _, err := blob.ParseDigest(string(d)); err != nil {
		return nil, 0, err
	}
	if err := ctx.Err(); err != nil {
		return nil, 0, err
	}
	f, err := s.root.Open(path(d))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, 0, blob.NotFound(d)
	}
	if err != nil {
		return nil, 0, fmt.Errorf("open blob: %w", err)
	}
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = fmt.Errorf("%s is no regular file", path(d))
	}
	if err != nil {
		f.Close()
		return nil, 0, fmt.Errorf("open blob: %w", err)
	}
	return blob.Verify(f, d, info.Size()), info.Size(), nil
}

// Delete implements blob.Store.
func (s *Store) Delete(_ context.Context, d blob.Digest) error {
	if _, err := blob.ParseDigest(string(d)); err != nil {
		return err
	}
	if err := s.root.Remove(path(d)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("delete blob: %w", err)
	}
	return nil
}

func dir(d blob.Digest) string  { return objects + "/" + d.Hex()[:2] }
func path(d blob.Digest) string { return dir(d) + "/" + d.Hex()[2:] }
