// Package redact takes secrets out of text, JSON and streams before they leave the process that
// knows them.
//
// A Redactor finds each secret as it is and in the forms programs commonly print it in: escaped
// for JSON (once or twice), URLs or HTML, mixed as those may be; in hexadecimal; and in base64 of
// either alphabet, wherever in the encoded text it starts, padded or not, broken over lines or
// not. Of a secret with several lines each line of 8 characters or more counts by itself. White
// space around a secret does not hide it.
//
// Secrets shorter than 4 characters are looked for only as they are, not in derived forms: their
// encodings are so short that ordinary text would be full of them. Other encodings, compression
// and encryption are not seen through.
//
// It owns nothing; a Redactor never changes.
package redact

import (
	"strings"
	"unicode/utf8"
)

// Mask stands in the place of every secret.
const Mask = "***"

const (
	minDerived = 4 // characters a secret must have to be looked for in derived forms
	minLine    = 8 // characters a line of a secret must have to count by itself
)

// Redactor replaces a fixed set of secrets by Mask. It is safe for concurrent use.
type Redactor struct{ m machine }

// New returns a Redactor for the given secrets; empty ones are ignored.
func New(secrets []string) *Redactor {
	r := &Redactor{}
	r.m.bigrams = map[uint16][]int32{}
	seen := map[string]bool{"": true}
	add := func(s string) {
		if !seen[s] {
			seen[s] = true
			r.m.add(s, utf8.RuneCountInString(s) >= minDerived)
		}
	}
	for _, s := range secrets {
		add(s)
		add(strings.TrimSpace(s))
		lines := strings.Split(s, "\n")
		for _, l := range lines {
			// The frame of a PEM block is no secret, and hiding it would hide what the block was.
			if l = strings.TrimSpace(l); len(lines) > 1 && utf8.RuneCountInString(l) >= minLine && !strings.HasPrefix(l, "-----") {
				add(l)
			}
		}
	}
	return r
}

// String returns s with every secret replaced; overlapping ones by one Mask.
func (r *Redactor) String(s string) string {
	sc := scan{m: &r.m}
	spans := scanAll(&sc, s)
	if len(spans) == 0 {
		return s
	}
	var b strings.Builder
	at := 0
	for _, sp := range spans {
		b.WriteString(s[at:sp.from])
		b.WriteString(Mask)
		at = int(sp.to)
	}
	b.WriteString(s[at:])
	return b.String()
}

// Bytes is String for bytes. It returns b itself where there is nothing to replace, and never
// changes b.
func (r *Redactor) Bytes(b []byte) []byte {
	sc := scan{m: &r.m}
	spans := scanAll(&sc, b)
	if len(spans) == 0 {
		return b
	}
	out := make([]byte, 0, len(b))
	at := 0
	for _, sp := range spans {
		out = append(out, b[at:sp.from]...)
		out = append(out, Mask...)
		at = int(sp.to)
	}
	return append(out, b[at:]...)
}
