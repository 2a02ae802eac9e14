// Package durable writes small files so that a crash, of the process or of the machine, leaves the old
// content or the new one and never a part: a file of its own is written and synced, then takes the name.
// Files are for their owner alone (mode 0600). It keeps no state.
package durable

import (
	"errors"
	"os"
	"path/filepath"
)

// Create makes the file at path; it is there after a crash when Create returns. The error is fs.ErrExist
// where something has the name already, also where another process was quicker.
func Create(path string, content []byte) error {
	return write(path, content, os.Link)
}

// Replace writes the file at path, whether there is one or not; it is there after a crash when Replace
// returns.
func Replace(path string, content []byte) error {
	return write(path, content, os.Rename)
}

func write(path string, content []byte, name func(from, to string) error) error {
	dir := filepath.Dir(path)
	f, err := os.CreateTemp(dir, ".new-") // with mode 0600
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	_, err = f.Write(content)
	if err == nil {
		err = f.Sync()
	}
	if err := errors.Join(err, f.Close()); err != nil {
		return err
	}
	if err := name(f.Name(), path); err != nil {
		return err
	}
	return SyncDir(dir)
}

// SyncDir makes the names in a folder durable: of files that were made, renamed or removed there.
func SyncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
