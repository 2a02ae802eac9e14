package gateway

import (
	"encoding/base64"
	"encoding/binary"
	"hash/crc32"
	"slices"
	"strconv"
	"strings"

	"tutti/errs"
)

// cursor says how far a stream has got: the number of the last event seen, by topic or service.
type cursor map[string]int64

// cursorVersion begins every cursor, so that what follows can change.
const cursorVersion = "1;"

// maxCursor bounds a cursor as text, in bytes.
const maxCursor = 8 << 10

// String returns c as clients keep it: opaque to them.
func (c cursor) String() string { return string(c.append(nil)) }

// append adds String to a text.
func (c cursor) append(text []byte) []byte {
	keys := make([]string, 0, 8)
	for k := range c {
		keys = append(keys, k)
	}
	if len(keys) > 1 {
		slices.Sort(keys)
	}
	b := make([]byte, 0, 256)
	b = append(b, cursorVersion...)
	for _, k := range keys {
		b = append(b, k...)
		b = append(b, '=')
		b = strconv.AppendInt(b, c[k], 10)
		b = append(b, ';')
	}
	return base64.RawURLEncoding.AppendEncode(text, b)
}

// parseCursor reads String; "" is an empty cursor. It returns errs.Invalid.
func parseCursor(s string) (cursor, error) {
	c := cursor{}
	if s == "" {
		return c, nil
	}
	bad := errs.New(errs.Invalid, "the cursor is not one that this server gave").WithHint("leave it out to start afresh")
	if len(s) > maxCursor {
		return nil, bad
	}
	b, err := base64.RawURLEncoding.DecodeString(s)
	rest, ok := strings.CutPrefix(string(b), cursorVersion)
	if err != nil || !ok {
		return nil, bad
	}
	for rest != "" {
		var item string
		if item, rest, ok = strings.Cut(rest, ";"); !ok {
			return nil, bad
		}
		k, v, _ := strings.Cut(item, "=")
		n, err := strconv.ParseInt(v, 10, 64)
		if err != nil || n < 0 || k == "" {
			return nil, bad
		}
		c[k] = n
	}
	return c, nil
}

// trailCursor says which rows of each service's trail, in the order of names, were listed already: those
// from a position on. It is short, since page cursors are bounded.
func trailCursor(names []string, before []int64) string {
	b := binary.BigEndian.AppendUint32([]byte{1}, crc32.ChecksumIEEE([]byte(strings.Join(names, ","))))
	for _, n := range before {
		b = binary.AppendUvarint(b, uint64(n))
	}
	return base64.RawURLEncoding.EncodeToString(b)
}

// parseTrailCursor reads trailCursor; "" is the position 0 of each service, which is the end.
func parseTrailCursor(names []string, s string) ([]int64, error) {
	before := make([]int64, len(names))
	if s == "" {
		return before, nil
	}
	bad := errs.New(errs.Invalid, "the cursor is not one that this server gave").WithHint("leave it out to start afresh")
	head := trailCursor(names, nil)
	b, err := base64.RawURLEncoding.DecodeString(s)
	if want, _ := base64.RawURLEncoding.DecodeString(head); err != nil || !strings.HasPrefix(string(b), string(want)) {
		return nil, bad
	}
	b = b[5:]
	for i := range before {
		n, size := binary.Uvarint(b)
		if size <= 0 || n >= 1<<62 {
			return nil, bad
		}
		before[i], b = int64(n), b[size:]
	}
	if len(b) > 0 {
		return nil, bad
	}
	return before, nil
}
