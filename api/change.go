package api

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
)

// FieldChange is a value that differs, by its place: "disks[0].size". One that is not there is left out.
type FieldChange struct {
	Path   string          `json:"path"`
	Before json.RawMessage `json:"before,omitempty"`
	After  json.RawMessage `json:"after,omitempty"`
}

// Compare returns the places at which two JSON values differ, in order, at most limit of them; 0 is no limit.
// No text at all is no value. What both have as an object, or as a list, is compared inside. Numbers are
// compared as numbers: 10 and 10.0 are the same, 9007199254740993 and 9007199254740992 are not.
func Compare(before, after json.RawMessage, limit int) ([]FieldChange, error) {
	a, err := value(before)
	if err != nil {
		return nil, fmt.Errorf("before: %w", err)
	}
	b, err := value(after)
	if err != nil {
		return nil, fmt.Errorf("after: %w", err)
	}
	c := comparison{limit: limit, found: []FieldChange{}}
	c.walk("", a, b, a != nil, b != nil)
	return c.found, nil
}

func value(raw json.RawMessage) (v any, err error) {
	if len(raw) == 0 {
		return nil, nil
	}
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	err = d.Decode(&v)
	return v, err
}

// comparison gathers what differs.
type comparison struct {
	limit int
	found []FieldChange
}

// walk compares two values of which either may not be there.
func (c *comparison) walk(at string, a, b any, inA, inB bool) {
	if c.limit > 0 && len(c.found) >= c.limit {
		return
	}
	am, aMap := a.(map[string]any)
	bm, bMap := b.(map[string]any)
	if aMap && bMap || at == "" && (aMap || !inA) && (bMap || !inB) { // nothing at all is compared as an empty object
		keys := map[string]any{}
		maps.Copy(keys, am)
		maps.Copy(keys, bm)
		for _, k := range slices.Sorted(maps.Keys(keys)) {
			av, hasA := am[k]
			bv, hasB := bm[k]
			place := k
			if at != "" {
				place = at + "." + k
			}
			c.walk(place, av, bv, hasA, hasB)
		}
		return
	}
	al, aList := a.([]any)
	bl, bList := b.([]any)
	if aList && bList {
		for i := range max(len(al), len(bl)) {
			var av, bv any
			if i < len(al) {
				av = al[i]
			}
			if i < len(bl) {
				bv = bl[i]
			}
			c.walk(at+"["+strconv.Itoa(i)+"]", av, bv, i < len(al), i < len(bl))
		}
		return
	}
	if inA == inB && same(a, b) {
		return
	}
	c.found = append(c.found, FieldChange{Path: at, Before: written(a, inA), After: written(b, inB)})
}

// same reports whether two values, of which at most one is an object and at most one a list, are equal.
func same(a, b any) bool {
	x, isX := a.(json.Number)
	y, isY := b.(json.Number)
	if !isX || !isY {
		return bytes.Equal(written(a, true), written(b, true))
	}
	n, errX := x.Int64()
	m, errY := y.Int64()
	if errX == nil && errY == nil {
		return n == m
	}
	if x == y {
		return true
	}
	f, errX := x.Float64()
	g, errY := y.Float64()
	return errX == nil && errY == nil && f == g
}

// written is a value as JSON; nil where it is not there.
func written(v any, there bool) json.RawMessage {
	if !there {
		return nil
	}
	b, _ := json.Marshal(v) // it was JSON
	return b
}
