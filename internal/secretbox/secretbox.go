// Package secretbox encrypts secrets at rest: envelope encryption under a master key that never
// leaves this process. Each value has a data key of its own, and each sealed value opens only in
// the context (namespace, name, version) it was sealed for, so that a row copied onto another
// row is no way to read it. It owns the key file; where sealed bytes are kept is the caller's.
//
// A sealed value is, in version 1 of the format:
//
//	1 byte   1
//	8 bytes  which master key (a keyed hash, reveals nothing of it)
//	72 bytes the data key: nonce and ciphertext under the master key
//	rest     the value: nonce and ciphertext under the data key
//
// all with XChaCha20-Poly1305, with everything before it and the context as associated data.
package secretbox

import (
	"crypto/cipher"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"

	"golang.org/x/crypto/chacha20poly1305"

	"tutti/errs"
)

const (
	format    = 1
	keySize   = chacha20poly1305.KeySize
	idSize    = 8
	overhead  = chacha20poly1305.NonceSizeX + chacha20poly1305.Overhead
	headSize  = 1 + idSize
	valueFrom = headSize + keySize + overhead
)

// MaxPlain is the largest value Seal takes, in bytes.
const MaxPlain = 1 << 20

// ErrSealed is the error of Unseal for what was not sealed by this key in this context, or was
// altered since; which of them it was cannot be told.
var ErrSealed = errors.New("wrong key, wrong context, or altered")

// Context is what a sealed value belongs to.
type Context struct {
	Namespace, Name string // neither may be empty
	Version         int64
}

// Box seals and opens values. It is safe for concurrent use.
type Box struct {
	keys []key // the first seals
}

type key struct {
	id   [idSize]byte
	aead cipher.AEAD
}

// FromBase64 returns a Box from master keys written in standard base64 of 32 bytes each, separated
// by white space: the first seals, the others only open what they sealed before a rotation.
// The error is Invalid and never quotes a key.
func FromBase64(text string) (*Box, error) {
	b := &Box{}
	for i, field := range strings.Fields(text) {
		raw, err := base64.StdEncoding.Strict().DecodeString(field)
		if err != nil || len(raw) != keySize {
			return nil, errs.New(errs.Invalid, "master key %d is not the base64 form of %d bytes", i+1, keySize).WithHint("make one with: head -c %d /dev/urandom | base64", keySize)
		}
		if slices.Equal(raw, make([]byte, keySize)) {
			return nil, errs.New(errs.Invalid, "master key %d is all zero", i+1).WithHint("make one with: head -c %d /dev/urandom | base64", keySize)
		}
		aead, err := chacha20poly1305.NewX(raw)
		if err != nil {
			return nil, fmt.Errorf("use master key %d: %w", i+1, err)
		}
		k := key{aead: aead}
		mac := hmac.New(sha256.New, raw)
		mac.Write([]byte("tutti secretbox key id"))
		copy(k.id[:], mac.Sum(nil))
		clear(raw)
		b.keys = append(b.keys, k)
	}
	if len(b.keys) == 0 {
		return nil, errs.New(errs.Invalid, "there is no master key")
	}
	return b, nil
}

// Seal encrypts plain, of at most MaxPlain bytes, for c. Two calls never give the same bytes.
func (b *Box) Seal(c Context, plain []byte) ([]byte, error) {
	if c.Namespace == "" || c.Name == "" {
		return nil, errs.New(errs.Internal, "seal: a context needs a namespace and a name, not %+v", c)
	}
	if len(plain) > MaxPlain {
		return nil, errs.New(errs.TooLarge, "the secret %q has %d bytes; at most %d are possible", c.Name, len(plain), MaxPlain)
	}
	dataKey := make([]byte, keySize)
	defer clear(dataKey)
	_, _ = rand.Read(dataKey) // never fails: it ends the process instead
	data, err := chacha20poly1305.NewX(dataKey)
	if err != nil {
		return nil, fmt.Errorf("seal: %w", err)
	}
	k := b.keys[0]
	out := make([]byte, 0, valueFrom+overhead+len(plain))
	out = append(out, format)
	out = append(out, k.id[:]...)
	out = seal(k.aead, out, dataKey, c)
	return seal(data, out, plain, c), nil
}

// Unseal returns what was sealed for c. It fails with ErrSealed where sealed is anything else.
func (b *Box) Unseal(c Context, sealed []byte) ([]byte, error) {
	if len(sealed) < valueFrom+overhead || sealed[0] != format {
		return nil, fmt.Errorf("open secret %q: not a sealed value of format %d: %w", c.Name, format, ErrSealed)
	}
	i := slices.IndexFunc(b.keys, func(k key) bool { return string(k.id[:]) == string(sealed[1:headSize]) })
	if i < 0 {
		return nil, fmt.Errorf("open secret %q: it was sealed with a master key that is not here: %w", c.Name, ErrSealed)
	}
	dataKey, err := open(b.keys[i].aead, sealed[:headSize], sealed[headSize:valueFrom], c)
	if err != nil {
		return nil, fmt.Errorf("open secret %q: %w", c.Name, err)
	}
	defer clear(dataKey)
	data, err := chacha20poly1305.NewX(dataKey)
	if err != nil {
		return nil, fmt.Errorf("open secret %q: %w", c.Name, err)
	}
	plain, err := open(data, sealed[:valueFrom], sealed[valueFrom:], c)
	if err != nil {
		return nil, fmt.Errorf("open secret %q: %w", c.Name, err)
	}
	return plain, nil
}

// Stale reports whether sealed should be opened and sealed again because its master key, or its
// format, is not the current one.
func (b *Box) Stale(sealed []byte) bool {
	return len(sealed) < headSize || sealed[0] != format || string(sealed[1:headSize]) != string(b.keys[0].id[:])
}

// seal appends a nonce and the encryption of plain to head, which it binds together with c.
func seal(a cipher.AEAD, head, plain []byte, c Context) []byte {
	var nonce [chacha20poly1305.NonceSizeX]byte
	_, _ = rand.Read(nonce[:])
	ad := associated(head, c)
	return a.Seal(append(head, nonce[:]...), nonce[:], plain, ad)
}

func open(a cipher.AEAD, head, box []byte, c Context) ([]byte, error) {
	nonce, text := box[:chacha20poly1305.NonceSizeX], box[chacha20poly1305.NonceSizeX:]
	plain, err := a.Open(nil, nonce, text, associated(head, c))
	if err != nil {
		return nil, ErrSealed
	}
	return plain, nil
}

// associated writes each part with its length, so that no two contexts give the same bytes.
func associated(head []byte, c Context) []byte {
	var ad []byte
	for _, part := range []string{string(head), c.Namespace, c.Name} {
		ad = binary.AppendUvarint(ad, uint64(len(part)))
		ad = append(ad, part...)
	}
	return binary.BigEndian.AppendUint64(ad, uint64(c.Version))
}
