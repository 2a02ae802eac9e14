package store

import (
	"encoding/base64"
	"strconv"
	"strings"
	"time"

	"tutti/errs"
)

// Mark is where a page of a list ordered by time and ID ends. Marks are stable: rows that come or go
// move nothing. A query continues newest first with
//
//	(created, id) < (?, ?) ORDER BY created DESC, id DESC
//
// and the two values of Args.
type Mark struct {
	At int64 // microseconds
	ID string
}

// String returns the mark as an opaque cursor.
func (m Mark) String() string {
	return base64.RawURLEncoding.EncodeToString([]byte(strconv.FormatInt(m.At, 36) + "." + m.ID))
}

// Args returns the values that a query compares with.
func (m Mark) Args() []any { return []any{m.At, m.ID} }

// Newest is the mark before the first row of a list that is shown newest first.
func Newest() Mark { return Mark{At: 1<<63 - 1} }

// At returns the mark of a row.
func At(t time.Time, id string) Mark { return Mark{Micros(t), id} }

// ParseMark reads a cursor; "" is Newest. What no Mark wrote is errs.Invalid.
func ParseMark(s string) (Mark, error) {
	if s == "" {
		return Newest(), nil
	}
	b, err := base64.RawURLEncoding.DecodeString(s)
	at, id, ok := strings.Cut(string(b), ".")
	n, numErr := strconv.ParseInt(at, 36, 64)
	if err != nil || numErr != nil || !ok || n < 0 || strings.ContainsRune(id, 0) {
		return Mark{}, errs.New(errs.Invalid, "%q is not a cursor", s).WithHint("pass the cursor of the page before, or none to begin")
	}
	return Mark{n, id}, nil
}
