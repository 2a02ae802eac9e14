package document

import (
	"strconv"
	"unicode/utf8"
)

type shape uint8

const (
	scalar shape = iota
	list
	object
)

// node is a JSON value and where it stands; lines and columns count from 1, columns in characters.
type node struct {
	kind      shape
	line, col int
	scalar    any // nil, bool, float64, string
	items     []*node
	fields    []field
	index     map[string]int // of fields, where there are many
}

type field struct {
	name      string
	line, col int
	value     *node
}

// field returns the field of that name, or nil.
func (n *node) field(name string) *field {
	if n.index != nil {
		if i, ok := n.index[name]; ok {
			return &n.fields[i]
		}
		return nil
	}
	for i := range n.fields {
		if n.fields[i].name == name {
			return &n.fields[i]
		}
	}
	return nil
}

// add appends a field; it returns the one of that name that is there already, if any.
func (n *node) add(f field) *field {
	if old := n.field(f.name); old != nil {
		return old
	}
	n.fields = append(n.fields, f)
	switch {
	case n.index != nil:
		n.index[f.name] = len(n.fields) - 1
	case len(n.fields) > 16:
		n.index = make(map[string]int, 64)
		for i := range n.fields {
			n.index[n.fields[i].name] = i
		}
	}
	return nil
}

// decode returns the plain JSON value.
func (n *node) decode() any {
	switch n.kind {
	case list:
		out := make([]any, len(n.items))
		for i, e := range n.items {
			out[i] = e.decode()
		}
		return out
	case object:
		out := make(map[string]any, len(n.fields))
		for i := range n.fields {
			out[n.fields[i].name] = n.fields[i].value.decode()
		}
		return out
	}
	return n.scalar
}

// describe names the value in a message.
func (n *node) describe() string { return describe(n.decode()) }

func describe(v any) string {
	switch v := v.(type) {
	case nil:
		return "nothing"
	case bool:
		return strconv.FormatBool(v)
	case float64:
		return "the number " + string(Canonical(v))
	case string:
		if utf8.RuneCountInString(v) > 40 {
			return "a longer text"
		}
		return strconv.Quote(v)
	case []any:
		return "a list"
	case map[string]any:
		return "an object"
	}
	return "a value of no known kind"
}
