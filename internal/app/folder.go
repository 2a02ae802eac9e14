package app

import (
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"tutti/errs"
	"tutti/internal/durable"
)

// lockName marks a folder as a data folder, and keeps a second server out.
const lockName = "lock"

// folder is a data folder in use.
type folder struct{ lock *os.File }

// openFolder makes dir a data folder that nobody else may look into, and locks it. It refuses a folder
// that holds other things, since it would be closed to everybody else, and one that a server uses.
func openFolder(dir string) (*folder, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, errs.New(errs.Invalid, "make the data folder: %w", err)
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, errs.New(errs.Invalid, "read the data folder: %w", err)
	}
	_, err = os.Lstat(filepath.Join(dir, lockName))
	if errors.Is(err, fs.ErrNotExist) && len(entries) > 0 {
		return nil, errs.New(errs.Invalid, "the folder %s holds things that are not Tutti's, such as %s", dir, entries[0].Name()).
			WithHint("give a folder of its own as --data; it is made where it is missing")
	}
	if err := os.Chmod(dir, 0o700); err != nil {
		return nil, errs.New(errs.Invalid, "close the data folder to others: %w", err)
	}
	f, err := os.OpenFile(filepath.Join(dir, lockName), os.O_RDWR|os.O_CREATE|unix.O_NOFOLLOW, 0o600)
	if err != nil {
		return nil, errs.New(errs.Invalid, "lock the data folder: %w", err)
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		pid := make([]byte, 20)
		n, _ := f.Read(pid) // for people, who may do without
		f.Close()
		return nil, errs.New(errs.Conflict, "another server uses the data folder %s (process %s)", dir, strings.TrimSpace(string(pid[:n]))).
			WithHint("stop it, or give another folder as --data")
	}
	err = errors.Join(f.Truncate(0), second(f.WriteAt([]byte(strconv.Itoa(os.Getpid())+"\n"), 0)))
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("lock the data folder: %w", err)
	}
	return &folder{f}, nil
}

func second[T any](_ T, err error) error { return err }

// close unlocks the folder.
func (f *folder) close() { f.lock.Close() }

// clusterKey returns the key that signs callers on the bus, from a file that only its owner may read;
// it is made where it is missing. Every process of an installation has the same.
func clusterKey(path string) ([]byte, error) {
	err := makeKey(path)
	if err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, fmt.Errorf("make the cluster key: %w", err)
	}
	info, err := os.Lstat(path)
	if err != nil {
		return nil, fmt.Errorf("read the cluster key: %w", err)
	}
	if !info.Mode().IsRegular() || info.Mode().Perm()&0o077 != 0 {
		return nil, errs.New(errs.Denied, "the cluster key %s may be read by other users (%v)", path, info.Mode()).
			WithHint("chmod 600 %s; if others may have read it, remove it: the next start makes another", path)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read the cluster key: %w", err)
	}
	key, err := base64.StdEncoding.DecodeString(strings.TrimSpace(string(text)))
	if err != nil || len(key) < 32 {
		return nil, errs.New(errs.Invalid, "the cluster key %s does not hold 32 bytes in base64", path).
			WithHint("copy it whole from the other servers; where there are none, remove it")
	}
	return key, nil
}

// makeKey writes a fresh key to path, whole or not at all; one that is there stays.
func makeKey(path string) error {
	if _, err := os.Lstat(path); err == nil {
		return fs.ErrExist
	}
	var key [32]byte
	_, _ = rand.Read(key[:]) // never fails: it ends the process instead
	return durable.Create(path, []byte(base64.StdEncoding.EncodeToString(key[:])+"\n"))
}
