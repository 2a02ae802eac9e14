package blob_test

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"tutti/errs"
	"tutti/internal/blob"
)

func TestParseDigest(t *testing.T) {
	t.Parallel()
	good := string(blob.Sum(nil))
	if d, err := blob.ParseDigest(good); string(d) != good || err != nil || d.Hex() != good[7:] {
		t.Errorf("ParseDigest(%q) = %q, %v", good, d, err)
	}
	for _, s := range []string{"", "sha256:", good[7:], good + "0", good[:len(good)-1], strings.ToUpper(good), "SHA256:" + good[7:],
		"sha512:" + good[7:], "sha256:../" + good[10:], " " + good, good + "\n", "sha256:" + strings.Repeat("g", 64), "sha256:sha256:" + good[14:]} {
		if d, err := blob.ParseDigest(s); !errs.Is(err, errs.Invalid) {
			t.Errorf("ParseDigest(%q) = %q, %v; want Invalid", s, d, err)
		}
		if h := blob.Digest(s).Hex(); h != "" {
			t.Errorf("Digest(%q).Hex() = %q; want nothing", s, h)
		}
	}
}

func TestVerify(t *testing.T) {
	t.Parallel()
	for _, good := range []string{"", "a", strings.Repeat("tutti", 20_000)} {
		d := blob.Sum([]byte(good))
		for _, tc := range []struct {
			stored string
			size   int
			ok     bool
		}{
			{good, len(good), true},
			{good + "x", len(good) + 1, false},
			{good + "x", len(good), false},
			{good, len(good) + 1, false},
			{flip(good), len(flip(good)), false},
			{good[:len(good)/2], len(good) / 2, good == ""},
			{good[:len(good)/2], len(good), good == ""},
		} {
			for name, wrap := range map[string]func(io.Reader) io.Reader{
				"plain": func(r io.Reader) io.Reader { return r }, "byte by byte": iotest.OneByteReader, "data with EOF": iotest.DataErrReader,
			} {
				b, err := io.ReadAll(blob.Verify(io.NopCloser(wrap(strings.NewReader(tc.stored))), d, int64(tc.size)))
				if tc.ok && (err != nil || string(b) != good) {
					t.Errorf("%s: reading %d good bytes = %d bytes, %v", name, len(good), len(b), err)
				}
				if !tc.ok && (!errors.Is(err, blob.ErrCorrupt) || len(b) >= max(tc.size, 1) && string(b) != good) {
					t.Errorf("%s: reading %d of %d bytes, corrupted = %d bytes, %v; want fewer, and ErrCorrupt", name, tc.size, len(good), len(b), err)
				}
			}
		}
	}
}

func flip(s string) string {
	if s == "" {
		return "\x00"
	}
	b := bytes.Clone([]byte(s))
	b[len(b)/2] ^= 1
	return string(b)
}
