package secretbox_test

import (
	"bytes"
	"encoding/base64"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sys/unix"
	"pgregory.net/rapid"

	"tutti/errs"
	"tutti/internal/secretbox"
)

var (
	keyA = base64.StdEncoding.EncodeToString(bytes.Repeat([]byte{1}, 32))
	keyB = base64.StdEncoding.EncodeToString(bytes.Repeat([]byte{2}, 32))
	here = secretbox.Context{Namespace: "acme", Name: "db", Version: 3}
)

func box(t testing.TB, keys ...string) *secretbox.Box {
	t.Helper()
	b, err := secretbox.FromBase64(strings.Join(keys, "\n"))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func seal(t testing.TB, b *secretbox.Box, c secretbox.Context, plain string) []byte {
	t.Helper()
	sealed, err := b.Seal(c, []byte(plain))
	if err != nil {
		t.Fatal(err)
	}
	return sealed
}

func TestRoundTrip(t *testing.T) {
	t.Parallel()
	b := box(t, keyA)
	rapid.Check(t, func(rt *rapid.T) {
		c := secretbox.Context{Namespace: rapid.StringN(1, 20, -1).Draw(rt, "namespace"), Name: rapid.StringN(1, 20, -1).Draw(rt, "name"), Version: rapid.Int64().Draw(rt, "version")}
		plain := rapid.SliceOf(rapid.Byte()).Draw(rt, "plain")
		sealed, err := b.Seal(c, plain)
		if err != nil {
			rt.Fatal(err)
		}
		if got, err := b.Unseal(c, sealed); err != nil || !bytes.Equal(got, plain) {
			rt.Fatalf("Unseal(Seal(%x)) = %x, %v", plain, got, err)
		}
		if len(plain) > 7 && bytes.Contains(sealed, plain) {
			rt.Fatal("the plain text is in the sealed value")
		}
		again, _ := b.Seal(c, plain)
		if bytes.Equal(sealed, again) {
			rt.Fatal("sealing twice gave the same bytes")
		}
	})
}

func TestUnsealRefuses(t *testing.T) {
	t.Parallel()
	b := box(t, keyA)
	sealed := seal(t, b, here, "hunter2")
	refuse := func(what string, b *secretbox.Box, c secretbox.Context, sealed []byte) {
		t.Helper()
		if got, err := b.Unseal(c, sealed); !errors.Is(err, secretbox.ErrSealed) || got != nil {
			t.Errorf("%s: Unseal = %q, %v; want ErrSealed", what, got, err)
		}
	}
	for _, c := range []secretbox.Context{
		{}, {Namespace: "acme", Name: "db", Version: 2}, {Namespace: "acme", Name: "dc", Version: 3}, {Namespace: "acm", Name: "edb", Version: 3},
		{Namespace: "other", Name: "db", Version: 3}, {Namespace: "", Name: "acmedb", Version: 3}, {Namespace: "db", Name: "acme", Version: 3},
	} {
		refuse("another context", b, c, sealed)
	}
	refuse("another key", box(t, keyB), here, sealed)
	for i := range sealed {
		for _, bit := range []byte{1, 0x80} {
			altered := bytes.Clone(sealed)
			altered[i] ^= bit
			refuse("altered", b, here, altered)
		}
		refuse("cut off", b, here, sealed[:i])
	}
	refuse("longer", b, here, append(bytes.Clone(sealed), 0))
	// The data key of one value with the text of another, in the same context.
	other := seal(t, b, here, "hunter3")
	refuse("spliced", b, here, append(bytes.Clone(sealed[:81]), other[81:]...))
}

func TestRotation(t *testing.T) {
	t.Parallel()
	old := seal(t, box(t, keyA), here, "hunter2")
	b := box(t, keyB, keyA)
	if got, err := b.Unseal(here, old); string(got) != "hunter2" || err != nil || !b.Stale(old) {
		t.Errorf("Unseal after a rotation = %q, %v, stale: %v", got, err, b.Stale(old))
	}
	renewed := seal(t, b, here, "hunter2")
	if got, err := box(t, keyB).Unseal(here, renewed); string(got) != "hunter2" || err != nil || b.Stale(renewed) {
		t.Errorf("Unseal with the new key = %q, %v, stale: %v", got, err, b.Stale(renewed))
	}
}

func TestSealRefuses(t *testing.T) {
	t.Parallel()
	b := box(t, keyA)
	for _, c := range []secretbox.Context{{}, {Namespace: "acme"}, {Name: "db"}} {
		if s, err := b.Seal(c, nil); err == nil {
			t.Errorf("Seal(%+v) = %x; want an error", c, s)
		}
	}
	if _, err := b.Seal(here, make([]byte, secretbox.MaxPlain+1)); !errs.Is(err, errs.TooLarge) {
		t.Errorf("Seal(too much) = %v; want TooLarge", err)
	}
}

func TestFromBase64Refuses(t *testing.T) {
	t.Parallel()
	for _, s := range []string{"", " \n", "x", keyA[:40], keyA + " hunter2", base64.StdEncoding.EncodeToString(make([]byte, 32)), base64.StdEncoding.EncodeToString(make([]byte, 16))} {
		_, err := secretbox.FromBase64(s)
		if !errs.Is(err, errs.Invalid) || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("FromBase64(%q) = %v; want Invalid, and no key in it", s, err)
		}
	}
}

func TestOpen(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "master.key")
	boxes := make([]*secretbox.Box, 8)
	var wg sync.WaitGroup
	for i := range boxes { // all race to make the file; all must agree on its key
		wg.Go(func() {
			b, err := secretbox.Open(path)
			if err != nil {
				t.Error(err)
			}
			boxes[i] = b
		})
	}
	wg.Wait()
	if t.Failed() {
		return
	}
	sealed := seal(t, boxes[0], here, "hunter2")
	for _, b := range boxes {
		if got, err := b.Unseal(here, sealed); string(got) != "hunter2" {
			t.Errorf("Unseal = %q, %v", got, err)
		}
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode() != 0o600 {
		t.Errorf("the key file has mode %v, %v; want 0600", info.Mode(), err)
	}
	if left, _ := os.ReadDir(filepath.Dir(path)); len(left) != 1 {
		t.Errorf("beside the key file there is %v", left)
	}
}

func TestKept(t *testing.T) {
	t.Parallel()
	path, c := filepath.Join(t.TempDir(), "made", "key"), secretbox.Context{Namespace: "*", Name: "test", Version: 1}
	b := box(t, keyA)
	first, err := b.Kept(path, c)
	if err != nil || len(first) != 32 {
		t.Fatalf("Kept = %d bytes, %v; want 32", len(first), err)
	}
	if again, err := b.Kept(path, c); err != nil || !bytes.Equal(again, first) {
		t.Errorf("Kept gives others the second time (%v)", err)
	}
	if on, err := os.ReadFile(path); err != nil || bytes.Contains(on, first) {
		t.Errorf("the file holds what is kept in the open (%v)", err)
	}
	c.Name = "other"
	if _, err := b.Kept(path, c); err == nil {
		t.Error("what is kept for one purpose was given for another")
	}
}

func TestOpenRefuses(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for _, mode := range []os.FileMode{0o640, 0o604, 0o660, 0o644, 0o620, 0o666} {
		path := filepath.Join(dir, "key")
		if err := os.WriteFile(path, []byte(keyA), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		if _, err := secretbox.Open(path); !errs.Is(err, errs.Denied) {
			t.Errorf("Open(mode %o) = %v; want Denied", mode, err)
		}
	}
	empty, pipe := filepath.Join(dir, "empty"), filepath.Join(dir, "pipe")
	if err := errors.Join(os.WriteFile(empty, nil, 0o600), unix.Mkfifo(pipe, 0o600)); err != nil {
		t.Fatal(err)
	}
	if os.Geteuid() == 0 {
		foreign := filepath.Join(dir, "foreign")
		if err := errors.Join(os.WriteFile(foreign, []byte(keyA), 0o600), os.Chown(foreign, 12345, 12345)); err != nil {
			t.Fatal(err)
		}
		if _, err := secretbox.Open(foreign); !errs.Is(err, errs.Denied) {
			t.Errorf("Open(another user's file) = %v; want Denied", err)
		}
	}
	for _, path := range []string{empty, pipe, dir, filepath.Join(dir, "no", "such", "directory")} {
		if _, err := secretbox.Open(path); err == nil {
			t.Errorf("Open(%s) succeeded", path)
		}
	}
	if b, _ := os.ReadFile(empty); len(b) != 0 {
		t.Error("Open wrote into an existing file")
	}
}

func FuzzUnseal(f *testing.F) {
	b := box(f, keyA)
	f.Add(seal(f, b, here, "hunter2"))
	f.Add([]byte{1})
	known := seal(f, b, here, "known")
	f.Add(known)
	f.Fuzz(func(t *testing.T, sealed []byte) {
		if got, err := b.Unseal(here, sealed); err == nil && string(got) != "hunter2" && string(got) != "known" {
			t.Errorf("Unseal(%x) = %q", sealed, got)
		}
	})
}
