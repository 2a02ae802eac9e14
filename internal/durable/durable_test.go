package durable_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"

	"tutti/internal/durable"
)

func TestFiles(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := filepath.Join(dir, "a")
	if err := durable.Create(path, []byte("one")); err != nil {
		t.Fatal(err)
	}
	if err := durable.Create(path, []byte("two")); !errors.Is(err, fs.ErrExist) {
		t.Errorf("Create over a file = %v; want %v", err, fs.ErrExist)
	}
	if b, err := os.ReadFile(path); string(b) != "one" {
		t.Errorf("the file holds %q, %v; want what was first", b, err)
	}
	if err := durable.Replace(path, []byte("three")); err != nil {
		t.Fatal(err)
	}
	if b, err := os.ReadFile(path); string(b) != "three" {
		t.Errorf("the file holds %q, %v; want what replaced it", b, err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode is %v, %v; want 0600", info.Mode(), err)
	}
	if err := durable.Replace(filepath.Join(dir, "none", "a"), nil); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("Replace in no folder = %v; want %v", err, fs.ErrNotExist)
	}
	if err := durable.Replace(dir, []byte("x")); err == nil {
		t.Error("a folder was replaced by a file")
	}
	if left, err := filepath.Glob(filepath.Join(dir, ".*")); len(left) > 0 || err != nil {
		t.Errorf("%v are left over, %v; want nothing", left, err)
	}
}

// Of many who make one file at the same time one wins, and it is whole.
func TestCreateAtTheSameTime(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "a")
	var won atomic.Int32
	var all sync.WaitGroup
	for i := range 20 {
		all.Go(func() {
			switch err := durable.Create(path, []byte{byte(i), byte(i)}); {
			case err == nil:
				won.Add(1)
			case !errors.Is(err, fs.ErrExist):
				t.Error(err)
			}
		})
	}
	all.Wait()
	if b, err := os.ReadFile(path); won.Load() != 1 || err != nil || len(b) != 2 || b[0] != b[1] {
		t.Errorf("%d won, and the file holds %v, %v; want one, whole", won.Load(), b, err)
	}
}
