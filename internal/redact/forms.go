package redact

import (
	"fmt"
	"slices"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// escaped returns secret as it is and, where derived is set, with each character also as JSON, URL
// and HTML encoders may write it.
func escaped(secret string, derived bool) []element {
	var out []element
	for i := 0; i < len(secret); {
		r, n := utf8.DecodeRuneInString(secret[i:])
		e := element{secret[i : i+n]}
		if derived {
			e = append(e, alternatives(r, secret[i:i+n])...)
		}
		slices.Sort(e)
		out = append(out, slices.Compact(e))
		i += n
	}
	return out
}

// short are the escapes of JSON other than \u.
var short = map[rune]string{'"': `\"`, '\\': `\\`, '/': `\/`, '\b': `\b`, '\f': `\f`, '\n': `\n`, '\r': `\r`, '\t': `\t`}

var html = map[rune][]string{'&': {"&amp;", "&#38;"}, '<': {"&lt;", "&#60;"}, '>': {"&gt;", "&#62;"}, '"': {"&quot;", "&#34;"}, '\'': {"&#39;", "&apos;", "&#x27;"}, '+': {"&#43;"}}

// alternatives returns the ways to write the character r, whose bytes are raw.
func alternatives(r rune, raw string) (out []string) {
	if r < utf8.RuneSelf && alphanumeric(byte(r)) {
		return nil // nobody escapes these
	}
	out = append(percent(raw), unicodeEscape(r)...)
	out = append(out, html[r]...)
	if s, ok := short[r]; ok {
		out = append(out, s, strings.ReplaceAll(strings.ReplaceAll(s, `\`, `\\`), `"`, `\"`))
	}
	switch {
	case r == ' ':
		out = append(out, "+")
	case r == '\n':
		out = append(out, "\r\n", `\r\n`, "%0D%0A", "%0d%0a")
	case r == utf8.RuneError && len(raw) == 1:
		out = append(out, string(utf8.RuneError)) // what encoders make of a stray byte
	}
	return out
}

func percent(raw string) []string {
	var up, low strings.Builder
	for i := range len(raw) {
		fmt.Fprintf(&up, "%%%02X", raw[i])
		fmt.Fprintf(&low, "%%%02x", raw[i])
	}
	return []string{up.String(), low.String()}
}

func unicodeEscape(r rune) []string {
	units := []rune{r}
	if r > 0xffff {
		a, b := utf16.EncodeRune(r)
		units = []rune{a, b}
	}
	var up, low strings.Builder
	for _, u := range units {
		fmt.Fprintf(&up, `\u%04X`, u)
		fmt.Fprintf(&low, `\u%04x`, u)
	}
	// The backslash itself is doubled where JSON is inside JSON.
	return []string{up.String(), low.String(), strings.ReplaceAll(up.String(), `\`, `\\`), strings.ReplaceAll(low.String(), `\`, `\\`)}
}

func alphanumeric(b byte) bool {
	return '0' <= b && b <= '9' || 'a' <= b && b <= 'z' || 'A' <= b && b <= 'Z'
}

func hexadecimal(secret string) []element {
	out := make([]element, 0, 2*len(secret))
	for i := range len(secret) {
		for _, nibble := range []byte{secret[i] >> 4, secret[i] & 15} {
			c := "0123456789abcdef"[nibble : nibble+1]
			e := element{c}
			if nibble > 9 {
				e = append(e, strings.ToUpper(c))
			}
			out = append(out, e)
		}
	}
	return out
}

const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"

// base64Forms returns secret as it appears in base64 when offset bytes (0 to 2) come before it in
// its group of three, and the padding that may follow. A character that also holds bits of a
// neighbour stands for all its possible values.
func base64Forms(secret string, offset int) (out, padding []element) {
	bits := 8 * len(secret)
	for at := -8 * offset; at < bits; at += 6 {
		var value, known byte // six bits each
		for i := range 6 {
			if p := at + i; p >= 0 && p < bits {
				bit := secret[p/8] >> (7 - p%8) & 1
				value |= bit << (5 - i)
				known |= 1 << (5 - i)
			}
		}
		if known == 0 {
			continue // all of it belongs to what comes before
		}
		var e element
		for c := range byte(64) {
			if c&known == value {
				e = append(e, digit(c)...)
			}
		}
		if len(out) > 0 {
			e = wrapped(e)
		}
		out = append(out, e)
	}
	for range (3 - (offset+len(secret))%3) % 3 {
		padding = append(padding, wrapped(append(element{"="}, append(percent("="), unicodeEscape('=')...)...)))
	}
	return out, padding
}

// digit returns the ways to write one digit of base64, in both alphabets and escaped.
func digit(c byte) element {
	switch s := alphabet[c : c+1]; s {
	case "+":
		return element{"+", "-", "%2B", "%2b", `\u002b`, `\u002B`, "&#43;"}
	case "/":
		return element{"/", "_", "%2F", "%2f", `\/`}
	default:
		return element{s}
	}
}

// wrapped allows a line break before each alternative.
func wrapped(e element) element {
	out := slices.Clone(e)
	for _, s := range e {
		out = append(out, "\n"+s, "\r\n"+s)
	}
	return out
}
