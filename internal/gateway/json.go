package gateway

import (
	"bytes"
	"encoding/json"
	"errors"
	"unicode/utf8"

	"tutti/errs"
)

// maxDepth is how deep a body may nest.
const maxDepth = 64

// parse returns the value of a body, or an error that says why it is none that could be checked. What
// two readers of the same text might understand differently is refused: bytes that are not UTF-8, and
// names that come twice.
func parse(b []byte) (any, error) {
	if !utf8.Valid(b) {
		return nil, malformed("the body is not UTF-8")
	}
	if deep(b) {
		return nil, malformed("the body nests deeper than %d", maxDepth)
	}
	var v any
	if err := json.Unmarshal(b, &v); err != nil {
		if e, ok := errors.AsType[*json.SyntaxError](err); ok {
			line, column := place(b, int(e.Offset))
			return nil, malformed("the body is not JSON: line %d, column %d: %s", line, column, e.Error())
		}
		// A number that no float64 holds is JSON, but nothing that a field takes.
		return nil, errs.New(errs.Invalid, "the body holds a number that is too large")
	}
	if name, twice := repeated(b); twice {
		return nil, malformed("the body names %.100q twice in one object", name)
	}
	return v, nil
}

// place returns line and column of an offset, from 1.
func place(b []byte, offset int) (line, column int) {
	b = b[:min(max(offset-1, 0), len(b))]
	line = 1 + bytes.Count(b, []byte("\n"))
	return line, len(b) - bytes.LastIndexByte(b, '\n')
}

// deep reports whether b nests deeper than maxDepth. b need not be JSON.
func deep(b []byte) bool {
	depth := 0
	for i := 0; i < len(b); i++ {
		switch b[i] {
		case '"':
			i = skip(b, i)
		case '{', '[':
			if depth++; depth > maxDepth {
				return true
			}
		case '}', ']':
			depth--
		}
	}
	return false
}

// skip returns where the string that begins at i ends.
func skip(b []byte, i int) int {
	for i++; i < len(b) && b[i] != '"'; i++ {
		if b[i] == '\\' {
			i++
		}
	}
	return i
}

// repeated returns a name that comes twice in one object of b, which is JSON and not deep.
func repeated(b []byte) (name string, twice bool) {
	// By depth, the object in which a name was seen last. Sets are neither made nor cleared for each object,
	// which would take long where a large one is followed by many small ones.
	var seen [maxDepth + 1]map[string]*int
	var object [maxDepth + 1]int // the number of the object at a depth; 0 in arrays
	depth, objects, key := 0, 0, false
	for i := 0; i < len(b); i++ {
		switch b[i] {
		case '{':
			depth++
			objects++
			if seen[depth] == nil {
				seen[depth] = map[string]*int{}
			}
			object[depth], key = objects, true
		case '[':
			depth++
			object[depth], key = 0, false
		case '}', ']':
			depth--
			key = false
		case ',':
			key = object[depth] != 0
		case '"':
			end := skip(b, i)
			if key {
				raw := b[i : end+1]
				if bytes.IndexByte(raw, '\\') >= 0 {
					raw = []byte(`"` + text(raw) + `"`)
				}
				raw = raw[1 : len(raw)-1]
				last := seen[depth][string(raw)]
				if last == nil {
					last = new(int)
					seen[depth][string(raw)] = last
				} else if *last == object[depth] {
					return string(raw), true
				}
				*last, key = object[depth], false
			}
			i = end
		}
	}
	return "", false
}

// text returns the value of a JSON string.
func text(quoted []byte) string {
	if bytes.IndexByte(quoted, '\\') < 0 {
		return string(quoted[1 : len(quoted)-1])
	}
	var s string
	_ = json.Unmarshal(quoted, &s) // it is part of valid JSON
	return s
}
