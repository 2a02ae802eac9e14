package dirblob_test

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"tutti/internal/blob"
	"tutti/internal/blob/blobtest"
	"tutti/internal/blob/dirblob"
)

func open(t *testing.T, dir string) *dirblob.Store {
	t.Helper()
	s, err := dirblob.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func files(t *testing.T, dir string) (out []string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			out = append(out, p)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
	return out
}

func TestStore(t *testing.T) {
	t.Parallel()
	blobtest.Run(t, func(t *testing.T) (blob.Store, func() int) {
		dir := t.TempDir()
		return open(t, dir), func() int { return len(files(t, dir)) }
	})
}

func TestCorruptionIsFoundAndHealed(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := open(t, dir)
	content := strings.Repeat("tutti ", 100_000)
	put := func() blob.Digest {
		d, _, err := s.Put(t.Context(), strings.NewReader(content), -1)
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	d := put()
	file := files(t, dir)[0]
	for name, damage := range map[string]string{
		"a flipped bit": content[:500] + "X" + content[501:],
		"a short file":  content[:len(content)-1],
		"a long file":   content + "x",
		"an empty file": "",
	} {
		if err := os.WriteFile(file, []byte(damage), 0o600); err != nil {
			t.Fatal(err)
		}
		r, size, err := s.Open(t.Context(), d)
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(r)
		r.Close()
		if !errors.Is(err, blob.ErrCorrupt) || size > 0 && int64(len(b)) >= size {
			t.Errorf("reading %s = %d of %d bytes, %v; want fewer, and ErrCorrupt", name, len(b), size, err)
		}
		put()
		if b, err := os.ReadFile(file); string(b) != content || err != nil {
			t.Errorf("%s was not healed by putting the blob again", name)
		}
	}
}

func TestOpenSweepsOldTemporaries(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	open(t, dir)
	old, young := filepath.Join(dir, "tmp", "old"), filepath.Join(dir, "tmp", "young")
	for _, f := range []string{old, young} {
		if err := os.WriteFile(f, nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	past := time.Now().Add(-25 * time.Hour)
	if err := os.Chtimes(old, past, past); err != nil {
		t.Fatal(err)
	}
	open(t, dir)
	if got := files(t, dir); len(got) != 1 || got[0] != young {
		t.Errorf("after Open: %v; want %s alone", got, young)
	}
}

func TestStaysInside(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := open(t, dir)
	d := blob.Sum([]byte("x"))
	outside := filepath.Join(t.TempDir(), "x")
	if err := os.WriteFile(outside, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(outside, filepath.Join(dir, "sha256", d.Hex()[:2], d.Hex()[2:])); err != nil {
		t.Fatal(err)
	}
	if r, _, err := s.Open(t.Context(), d); err == nil {
		r.Close()
		t.Error("Open followed a link out of the directory")
	}
	if _, _, err := s.Put(t.Context(), strings.NewReader("x"), -1); err != nil {
		t.Fatal(err)
	}
	if r, _, err := s.Open(t.Context(), d); err != nil {
		t.Errorf("Open after Put over the link = %v", err)
	} else {
		r.Close()
	}
}

func BenchmarkPut4K(b *testing.B) {
	s, err := dirblob.Open(b.TempDir())
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	content := strings.Repeat("x", 4096)
	b.SetBytes(4096)
	for b.Loop() {
		if _, _, err := s.Put(b.Context(), strings.NewReader(content), -1); err != nil {
			b.Fatal(err)
		}
	}
}
