package gitrepo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/go-git/go-git/v5/plumbing"
	"golang.org/x/sys/unix"

	"tutti/errs"
	"tutti/internal/durable"
)

const (
	// lockName is the file our processes lock against each other. The kernel releases it when a
	// process dies, as git's own lock files are not.
	lockName = "tutti.lock"
	// staleRefLock is the age past which git's lock of a branch was left behind by a crash: while
	// we hold our lock it is none of ours, and git holds it for milliseconds.
	staleRefLock = 30 * time.Second
	lockRetry    = 5 * time.Millisecond
)

// lockFile takes the lock, waiting until ctx ends, and returns the function that releases it.
func lockFile(ctx context.Context, path string) (unlock func(), err error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	for {
		err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		if err == nil {
			return func() { f.Close() }, nil
		}
		if !errors.Is(err, unix.EWOULDBLOCK) && !errors.Is(err, unix.EINTR) {
			f.Close()
			return nil, fmt.Errorf("lock %s: %w", path, err)
		}
		select {
		case <-ctx.Done():
			f.Close()
			return nil, fmt.Errorf("wait for another process to finish with %s: %w", filepath.Dir(path), ctx.Err())
		case <-time.After(lockRetry):
		}
	}
}

// setRef points ref at h as git does: through a lock file that becomes the new value. go-git would
// truncate the old value first, and a crash would leave the branch empty.
func setRef(dir string, ref plumbing.ReferenceName, h plumbing.Hash) error {
	path := filepath.Join(dir, filepath.FromSlash(ref.String()))
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	return replaceLocked(path, func(f io.Writer) error {
		_, err := fmt.Fprintln(f, h)
		return err
	})
}

func replaceLocked(path string, write func(io.Writer) error) error {
	lock := path + ".lock"
	for deadline := time.Now().Add(time.Second); ; time.Sleep(lockRetry) { // git takes milliseconds
		err := replace(path, lock, 0o600, write)
		if err == nil {
			return durable.SyncDir(filepath.Dir(path))
		}
		if !errors.Is(err, fs.ErrExist) {
			return err
		}
		if i, err := os.Stat(lock); err == nil && time.Since(i.ModTime()) > staleRefLock {
			_ = os.Remove(lock)
			continue
		}
		if time.Now().After(deadline) {
			return errs.New(errs.Unavailable, "another program is changing the branch (%s)", lock).WithHint("if none is, remove that file")
		}
	}
}
