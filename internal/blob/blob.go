// Package blob is the seam for large, immutable bytes: files, rendered scripts, values over the
// inline limit. They are stored and found by the SHA-256 of their content, so the same bytes are
// stored once, a name can never point at other bytes, and every read is checked. Who refers to a
// digest, and when nobody does any more, is the business of the slice that stored it.
package blob

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"strings"

	"tutti/errs"
)

// Store keeps blobs. Implementations are safe for concurrent use and pass blobtest.Run.
type Store interface {
	// Put stores what r yields, up to limit bytes (below zero: any number), and returns its
	// digest and size once it would survive a power loss. Putting the same bytes again is fine.
	// More than limit bytes fail with kind TooLarge; after any error nothing is left behind.
	Put(ctx context.Context, r io.Reader, limit int64) (Digest, int64, error)

	// Open returns the blob and its size in bytes; the caller closes it. The reader never yields
	// the end of a blob whose bytes do not have the digest: it fails with ErrCorrupt instead. An
	// unknown digest is of kind NotFound.
	Open(ctx context.Context, d Digest) (io.ReadCloser, int64, error)

	// Delete removes a blob for good; one that is not there is no error. Readers that are open
	// read on. A Put of the same bytes at the same time may or may not survive.
	Delete(ctx context.Context, d Digest) error
}

// ErrCorrupt is the error of reading a blob whose stored bytes are not those that were put.
var ErrCorrupt = errors.New("the stored bytes do not have their digest")

const prefix = "sha256:"

// Digest names a blob: "sha256:" and 64 lower-case hexadecimal digits.
type Digest string

// ParseDigest returns s as a Digest, or an error of kind Invalid where it is not exactly one.
func ParseDigest(s string) (Digest, error) {
	if !Digest(s).Valid() {
		return "", errs.New(errs.Invalid, "%.100q is not a digest", s).WithHint("a digest is %s and 64 lower-case hexadecimal digits", prefix)
	}
	return Digest(s), nil
}

// Sum returns the digest of b.
func Sum(b []byte) Digest {
	sum := sha256.Sum256(b)
	return Digest(prefix + hex.EncodeToString(sum[:]))
}

// SumOf returns the digest that h, a SHA-256, has reached.
func SumOf(h hash.Hash) Digest { return Digest(prefix + hex.EncodeToString(h.Sum(nil))) }

// Valid reports whether d has the form of a digest.
func (d Digest) Valid() bool {
	digits, ok := strings.CutPrefix(string(d), prefix)
	return ok && len(digits) == 2*sha256.Size && strings.Trim(digits, "0123456789abcdef") == ""
}

// Hex returns the 64 digits, or "" where d is not valid, so that it may be part of a path.
func (d Digest) Hex() string {
	if !d.Valid() {
		return ""
	}
	return string(d)[len(prefix):]
}

// NotFound returns the error of a Store that has no d.
func NotFound(d Digest) error { return errs.New(errs.NotFound, "no blob %s", d) }

// Verify returns a reader of r's size bytes that hands out the last of them only when all together
// have the digest d, and fails with ErrCorrupt otherwise. So even a consumer that counts bytes
// and overlooks the error cannot take a bad blob for a good one.
func Verify(r io.ReadCloser, d Digest, size int64) io.ReadCloser {
	return &verifier{ReadCloser: r, want: d, left: size, hash: sha256.New()}
}

type verifier struct {
	io.ReadCloser
	want Digest
	left int64 // bytes still to come
	hash hash.Hash
	err  error // sticks
}

func (v *verifier) Read(p []byte) (int, error) {
	if v.err != nil || len(p) == 0 {
		return 0, v.err
	}
	n, err := v.ReadCloser.Read(p)
	v.hash.Write(p[:n])
	v.left -= int64(n)
	done := v.left == 0 && (n > 0 || err == io.EOF)
	switch {
	case v.left < 0, v.left > 0 && err == io.EOF, done && SumOf(v.hash) != v.want:
		v.err = fmt.Errorf("read blob %s: %w", v.want, ErrCorrupt)
		return 0, v.err
	case err != nil:
		v.err = err
	}
	return n, err
}
