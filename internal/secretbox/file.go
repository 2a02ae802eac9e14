package secretbox

import (
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"tutti/errs"
	"tutti/internal/durable"
)

// Open returns the Box whose master keys are in the file at path (see FromBase64). A missing file
// is made, with mode 0600 and a fresh key, and is durable when Open returns. A file that anybody
// but its owner may read or write, or that belongs to another user than this process or root,
// is refused with kind Denied.
func Open(path string) (*Box, error) {
	text, err := read(path)
	if errors.Is(err, fs.ErrNotExist) {
		if err := create(path); err != nil {
			return nil, fmt.Errorf("make the master key file: %w", err)
		}
		text, err = read(path)
	}
	if err != nil {
		return nil, fmt.Errorf("read the master key file: %w", err)
	}
	b, err := FromBase64(text)
	if err != nil {
		return nil, fmt.Errorf("master key file %s: %w", path, err)
	}
	return b, nil
}

func read(path string) (string, error) {
	// Without O_NONBLOCK a named pipe in the file's place would hang the start.
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		return "", err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return "", err
	}
	var st unix.Stat_t
	if err := unix.Fstat(int(f.Fd()), &st); err != nil {
		return "", err
	}
	switch {
	case !info.Mode().IsRegular():
		return "", errs.New(errs.Denied, "%s is no regular file", path)
	case info.Mode().Perm()&0o077 != 0:
		return "", errs.New(errs.Denied, "%s may be used by other users (mode %04o)", path, info.Mode().Perm()).WithHint("chmod 600 %s, and change every secret if others may have read it", path)
	case st.Uid != 0 && int(st.Uid) != os.Geteuid():
		return "", errs.New(errs.Denied, "%s belongs to user %d", path, st.Uid).WithHint("chown it to the user that runs the server")
	}
	b, err := io.ReadAll(io.LimitReader(f, 64<<10))
	return string(b), err
}

// create makes the file all at once: another process that makes it at the same moment either wins,
// and this one uses its key, or loses; none ever sees half a key.
func create(path string) error {
	raw := make([]byte, keySize)
	defer clear(raw)
	_, _ = rand.Read(raw)
	if err := durable.Create(path, []byte(base64.StdEncoding.EncodeToString(raw)+"\n")); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return nil
}

// Kept returns keySize random bytes that are kept in the file at path, sealed for c; they are made where
// there is no file, in a folder that is made too. All who share the file and the master key get the same.
func (b *Box) Kept(path string, c Context) ([]byte, error) {
	sealed, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		raw := make([]byte, keySize)
		_, _ = rand.Read(raw)
		if sealed, err = b.Seal(c, raw); err != nil {
			return nil, err
		}
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			return nil, err
		}
		if err = durable.Create(path, sealed); errors.Is(err, fs.ErrExist) { // another was quicker
			sealed, err = os.ReadFile(path)
		}
	}
	if err != nil {
		return nil, err
	}
	return b.Unseal(c, sealed)
}
