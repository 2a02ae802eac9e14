package core

import (
	"encoding/json"
	"fmt"
	"strconv"
	"unicode/utf8"
)

// AppendEvents appends events as the journal keeps them: what encoding/json makes of them, written by
// hand, since it is the largest part of what a completion costs. Where events were appended to b before,
// they become one list with these. It refuses raw values that are no JSON.
func AppendEvents(b []byte, events []Event) ([]byte, error) {
	start := len(b)
	if n := len(b); n > 0 && b[n-1] == ']' {
		b[n-1] = ','
	} else {
		b = append(b, '[')
	}
	for i := range events {
		if i > 0 {
			b = append(b, ',')
		}
		var err error
		if b, err = events[i].append(b); err != nil {
			if start > 0 {
				b[start-1] = ']'
			}
			return b[:start], err
		}
	}
	return append(b, ']'), nil
}

// append appends e as a JSON object. The names are those of the tags of Event.
func (e *Event) append(b []byte) (_ []byte, err error) {
	b = append(b, `{"t":`...)
	b = appendText(b, string(e.Type))
	b = appendField(b, `,"p":`, e.Path)
	b = appendNumber(b, `,"a":`, int64(e.Attempt))
	b = appendField(b, `,"by":`, e.By)
	b = appendNumber(b, `,"u":`, e.Until)
	b = appendField(b, `,"c":`, e.Claim)
	b = appendField(b, `,"child":`, e.Child)
	b = appendField(b, `,"s":`, string(e.State))
	b = appendField(b, `,"task":`, e.Task)
	b = appendField(b, `,"why":`, e.Cause)
	b = appendField(b, `,"key":`, e.Key)
	if e.Once {
		b = append(b, `,"once":true`...)
	}
	if e.Hold {
		b = append(b, `,"hold":true`...)
	}
	for _, f := range [...]struct {
		name string
		raw  json.RawMessage
	}{{`,"in":`, e.Input}, {`,"out":`, e.Out}, {`,"items":`, e.Items}, {`,"doc":`, e.Doc}, {`,"inputs":`, e.Inputs}} {
		if len(f.raw) == 0 {
			continue
		}
		if string(f.raw) != "{}" && !json.Valid(f.raw) {
			return b, fmt.Errorf("event %s of %s: %s is not JSON", e.Type, e.Path, f.name[2:len(f.name)-2])
		}
		b = append(append(b, f.name...), f.raw...)
	}
	return e.appendRare(b)
}

// appendRare appends the fields that few events have.
func (e *Event) appendRare(b []byte) (_ []byte, err error) {
	for _, f := range [...]struct {
		name string
		has  bool
		v    any
	}{
		{`,"sec":`, len(e.Secrets) > 0, &e.Secrets}, {`,"f":`, e.Failure != nil, e.Failure}, {`,"r":`, e.Reason != nil, e.Reason},
		{`,"keys":`, len(e.Keys) > 0, &e.Keys}, {`,"vars":`, len(e.Vars) > 0, &e.Vars}, {`,"meta":`, e.Meta != nil, e.Meta},
	} {
		if !f.has {
			continue
		}
		raw, err := json.Marshal(f.v)
		if err != nil {
			return b, err
		}
		b = append(append(b, f.name...), raw...)
	}
	return append(b, '}'), nil
}

func appendField(b []byte, name, s string) []byte {
	if s == "" {
		return b
	}
	return appendText(append(b, name...), s)
}

func appendNumber(b []byte, name string, n int64) []byte {
	if n == 0 {
		return b
	}
	return strconv.AppendInt(append(b, name...), n, 10)
}

// appendText appends s in quotes.
func appendText(b []byte, s string) []byte {
	for i := range len(s) {
		if c := s[i]; c < ' ' || c == '"' || c == '\\' || c >= utf8.RuneSelf {
			raw, _ := json.Marshal(s) // a string always can be
			return append(b, raw...)
		}
	}
	b = append(b, '"')
	b = append(b, s...)
	return append(b, '"')
}
