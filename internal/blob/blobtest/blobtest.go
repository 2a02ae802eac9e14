// Package blobtest is the conformance suite of the blob seam: what every driver must do.
package blobtest

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math"
	"strings"
	"sync"
	"testing"
	"testing/iotest"

	"tutti/errs"
	"tutti/internal/blob"
)

// Run checks a driver. open returns a new, empty store; files returns how many objects, whole or
// partial, the driver keeps at the moment, to find what it leaves behind.
func Run(t *testing.T, open func(t *testing.T) (s blob.Store, files func() int)) {
	t.Run("round trip", func(t *testing.T) { roundTrip(t, open) })
	t.Run("limit", func(t *testing.T) { limit(t, open) })
	t.Run("failing source", func(t *testing.T) { failingSource(t, open) })
	t.Run("cancelled", func(t *testing.T) { cancelled(t, open) })
	t.Run("unknown and malformed", func(t *testing.T) { unknown(t, open) })
	t.Run("delete", func(t *testing.T) { remove(t, open) })
	t.Run("concurrent", func(t *testing.T) { concurrent(t, open) })
}

type opener = func(t *testing.T) (blob.Store, func() int)

func roundTrip(t *testing.T, open opener) {
	t.Parallel()
	s, files := open(t)
	if n := files(); n != 0 {
		t.Fatalf("a new store has %d files", n)
	}
	contents := []string{"", "a", "tutti", strings.Repeat("\x00\xff", 1<<19)}
	for range 2 { // the second time everything is there already
		for _, c := range contents {
			put(t, s, c)
			check(t, s, c)
		}
	}
	if n := files(); n != len(contents) {
		t.Errorf("%d files after putting %d contents twice", n, len(contents))
	}
}

func limit(t *testing.T, open opener) {
	t.Parallel()
	s, files := open(t)
	for _, tc := range []struct {
		size  int
		limit int64
		ok    bool
	}{{10, 9, false}, {1, 0, false}, {1 << 20, 1 << 10, false}, {0, 0, true}, {10, 10, true}, {10, math.MaxInt64, true}, {10, -1, true}} {
		before := files()
		c := strings.Repeat("x", tc.size)
		d, n, err := s.Put(t.Context(), strings.NewReader(c), tc.limit)
		if tc.ok && (err != nil || n != int64(tc.size) || d != blob.Sum([]byte(c))) {
			t.Errorf("Put(%d bytes, limit %d) = %s, %d, %v", tc.size, tc.limit, d, n, err)
		}
		if !tc.ok && (!errs.Is(err, errs.TooLarge) || d != "") {
			t.Errorf("Put(%d bytes, limit %d) = %s, %v; want TooLarge", tc.size, tc.limit, d, err)
		}
		if !tc.ok && files() != before {
			t.Errorf("Put(%d bytes, limit %d) left something behind", tc.size, tc.limit)
		}
	}
	// An endless source must be given up at the limit.
	if _, _, err := s.Put(t.Context(), endless{}, 1<<20); !errs.Is(err, errs.TooLarge) {
		t.Errorf("Put(endless) = %v; want TooLarge", err)
	}
}

func failingSource(t *testing.T, open opener) {
	t.Parallel()
	s, files := open(t)
	broken := errors.New("broken pipe")
	r := io.MultiReader(strings.NewReader("half"), iotest.ErrReader(broken))
	if d, _, err := s.Put(t.Context(), r, -1); !errors.Is(err, broken) || d != "" {
		t.Errorf("Put(failing) = %s, %v; want its error", d, err)
	}
	if n := files(); n != 0 {
		t.Errorf("%d files after a failed Put", n)
	}
}

func cancelled(t *testing.T, open opener) {
	t.Parallel()
	s, files := open(t)
	ctx, cancel := context.WithCancel(t.Context())
	r := io.MultiReader(strings.NewReader("half"), readerFunc(func(p []byte) (int, error) { cancel(); return len(p), nil }))
	if d, _, err := s.Put(ctx, r, -1); !errors.Is(err, context.Canceled) || d != "" {
		t.Errorf("Put(cancelled) = %s, %v; want context.Canceled", d, err)
	}
	if n := files(); n != 0 {
		t.Errorf("%d files after a cancelled Put", n)
	}
}

func unknown(t *testing.T, open opener) {
	t.Parallel()
	s, _ := open(t)
	if _, _, err := s.Open(t.Context(), blob.Sum([]byte("never put"))); !errs.Is(err, errs.NotFound) {
		t.Errorf("Open(unknown) = %v; want NotFound", err)
	}
	for _, d := range []blob.Digest{"", "sha256:", "../../etc/passwd", "sha256:../../../../etc/passwd", blob.Digest("sha256:" + strings.Repeat("A", 64))} {
		if _, _, err := s.Open(t.Context(), d); !errs.Is(err, errs.Invalid) {
			t.Errorf("Open(%q) = %v; want Invalid", d, err)
		}
		if err := s.Delete(t.Context(), d); !errs.Is(err, errs.Invalid) {
			t.Errorf("Delete(%q) = %v; want Invalid", d, err)
		}
	}
}

func remove(t *testing.T, open opener) {
	t.Parallel()
	s, files := open(t)
	big := strings.Repeat("x", 1<<20)
	d := put(t, s, big)
	r, _, err := s.Open(t.Context(), d)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	for range 2 {
		if err := s.Delete(t.Context(), d); err != nil {
			t.Errorf("Delete = %v", err)
		}
	}
	if _, _, err := s.Open(t.Context(), d); !errs.Is(err, errs.NotFound) {
		t.Errorf("Open(deleted) = %v; want NotFound", err)
	}
	if b, err := io.ReadAll(r); string(b) != big || err != nil {
		t.Errorf("an open reader read %d bytes, %v after Delete; want all", len(b), err)
	}
	if n := files(); n != 0 {
		t.Errorf("%d files after Delete", n)
	}
	put(t, s, big)
	check(t, s, big)
}

func concurrent(t *testing.T, open opener) {
	t.Parallel()
	s, files := open(t)
	var wg sync.WaitGroup
	for i := range 16 {
		wg.Go(func() {
			c := strings.Repeat(string(rune('a'+i%4)), 10_000)
			if d, _, err := s.Put(t.Context(), strings.NewReader(c), -1); err != nil || d != blob.Sum([]byte(c)) {
				t.Errorf("Put = %s, %v", d, err)
				return
			}
			check(t, s, c)
		})
	}
	wg.Wait()
	if n := files(); n != 4 {
		t.Errorf("%d files; want 4", n)
	}
}

func put(t *testing.T, s blob.Store, c string) blob.Digest {
	t.Helper()
	d, n, err := s.Put(t.Context(), iotest.HalfReader(strings.NewReader(c)), int64(len(c)))
	if err != nil || n != int64(len(c)) || d != blob.Sum([]byte(c)) {
		t.Fatalf("Put(%d bytes) = %s, %d, %v", len(c), d, n, err)
	}
	return d
}

func check(t *testing.T, s blob.Store, c string) {
	t.Helper()
	r, n, err := s.Open(t.Context(), blob.Sum([]byte(c)))
	if err != nil {
		t.Errorf("Open(%d bytes) = %v", len(c), err)
		return
	}
	defer r.Close()
	b, err := io.ReadAll(r)
	if err != nil || n != int64(len(c)) || !bytes.Equal(b, []byte(c)) {
		t.Errorf("Open(%d bytes) said %d and yielded %d, %v", len(c), n, len(b), err)
	}
}

type endless struct{}

func (endless) Read(p []byte) (int, error) { return len(p), nil }

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }
