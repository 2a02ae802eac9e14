// Package id makes and checks the identifiers of Tutti: a prefix that says what the thing is and
// 16 random characters (80 bits) of lower-case base32, as in run_7k2m4qzt3c5nw6xd. They carry no
// order; order comes from numbers in the store.
package id

import (
	"crypto/rand"
	"encoding/base32"
	"encoding/binary"
	"encoding/hex"
	"strings"
	"time"
)

// alphabet leaves out letters that are read as digits (i, l, o, u), after Crockford.
const alphabet = "0123456789abcdefghjkmnpqrstvwxyz"

var enc = base32.NewEncoding(alphabet).WithPadding(base32.NoPadding)

// Len is the number of random characters of an ID.
const Len = 16

// New returns a fresh ID with the given prefix: New("run") is like run_7k2m4qzt3c5nw6xd.
func New(prefix string) string {
	var b [10]byte
	_, _ = rand.Read(b[:]) // never fails: it ends the process instead
	return prefix + "_" + enc.EncodeToString(b[:])
}

// Valid reports whether s is an ID with the given prefix.
func Valid(prefix, s string) bool {
	rest, ok := strings.CutPrefix(s, prefix+"_")
	if !ok || len(rest) != Len {
		return false
	}
	for i := range len(rest) {
		if strings.IndexByte(alphabet, rest[i]) < 0 {
			return false
		}
	}
	return true
}

// Trace returns a fresh W3C trace-id: 32 hex digits, of which the first twelve are the time, in milliseconds,
// and the others random. So traces that begin together are together in every index of them, which is then
// written at its end only.
func Trace() string {
	var b [16]byte
	binary.BigEndian.PutUint64(b[:], uint64(time.Now().UnixMilli())<<16)
	_, _ = rand.Read(b[6:])
	b[15] |= 1 // never all zero
	return hex.EncodeToString(b[:])
}

// ValidTrace reports whether s is a W3C trace-id.
func ValidTrace(s string) bool {
	if len(s) != 32 || strings.Trim(s, "0") == "" {
		return false
	}
	return strings.Trim(s, "0123456789abcdef") == ""
}
