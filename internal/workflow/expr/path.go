package expr

import (
	"strconv"
)

// path is a reference known before evaluation: it is followed without the machine.
type path struct {
	ref  Ref
	keys []key // after the root
}

type key struct {
	name  string
	index int // where list is set
	list  bool
	soft  bool // null stays null: this key, or one before it, came after `?.`
}

// parsePath returns the path where src is nothing but one (`inputs.cpu`, `tasks.a?.out.x`), else nil.
func parsePath(src string) *path {
	start, end := 0, len(src)
	for start < end && isSpace(src[start]) {
		start++
	}
	for end > start && isSpace(src[end-1]) {
		end--
	}
	root, i := scanName(src, start, end)
	if root == "" || Reserved(root) {
		return nil
	}
	p := &path{ref: Ref{Path: []string{root}, Offset: start}}
	for i < end {
		if src[i] == '?' {
			i++
			if i >= end || src[i] != '.' {
				return nil
			}
			if p.ref.SoftAt == 0 {
				p.ref.Soft, p.ref.SoftAt = true, len(p.ref.Path)
			}
		}
		if src[i] != '.' {
			return nil
		}
		name, next := scanName(src, i+1, end)
		if name == "" {
			return nil
		}
		p.ref.Path = append(p.ref.Path, name)
		p.keys = append(p.keys, key{name: name, soft: p.ref.Soft})
		i = next
	}
	return p
}

func isSpace(c byte) bool { return c == ' ' || c == '\t' || c == '\n' || c == '\r' }

// scanName reads a name of ASCII letters, digits and `_` that starts at i, and tells where it ends.
func scanName(src string, i, end int) (string, int) {
	start := i
	for i < end {
		c := src[i]
		letter := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c == '_'
		if !letter && (i == start || c < '0' || c > '9') {
			break
		}
		i++
	}
	return src[start:i], i
}

// Reserved reports whether a word means something in the language itself (`in`, `nil`, `len`), so that
// an expression cannot read a value by it.
func Reserved(word string) bool {
	if _, ok := functions[word]; ok {
		return true
	}
	switch word {
	case "true", "false", "nil", "null", "not", "in", "and", "or", "let", "if", "else",
		"matches", "contains", "startsWith", "endsWith",
		"all", "none", "any", "one", "filter", "map", "count", "sum", "find", "findIndex", "groupBy", "sortBy", "reduce":
		return true
	}
	return false
}

// fetch follows the path from the values of env.
func (p *path) fetch(env Env) (any, error) {
	v := env[p.ref.Path[0]]
	for i, k := range p.keys {
		if m, ok := v.(map[string]any); ok && !k.list {
			v = m[k.name]
			continue
		}
		if v == nil && k.soft {
			return nil, nil
		}
		next, err := p.step(v, k, i)
		if err != nil {
			return nil, err
		}
		v = next
	}
	return v, nil
}

// step is one key of the path where the value is no object.
func (p *path) step(v any, k key, i int) (any, error) {
	if l, ok := v.([]any); ok && k.list {
		return element(l, k.index)
	}
	at := ""
	for j, part := range p.ref.Path[:i+1] {
		if j > 0 {
			at += "."
		}
		at += part
	}
	name := k.name
	if k.list {
		name = strconv.Itoa(k.index)
	}
	if v == nil {
		return nil, evalErrorf("cannot read %q of %s: it is null", name, at).
			hint("where it may be missing, write ?. as in a?.b, and ?? for another value")
	}
	return nil, evalErrorf("cannot read %q of %s: it is %s", name, at, Describe(v))
}

// element is l[i]; a negative i counts from the end.
func element(l []any, i int) (any, error) {
	at := i
	if at < 0 {
		at += len(l)
	}
	if at < 0 || at >= len(l) {
		return nil, evalErrorf("index %d is outside the list, which has %d elements", i, len(l)).
			hint("get(list, index) gives null instead")
	}
	return l[at], nil
}
