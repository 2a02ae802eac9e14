package expr

import "strings"

// Key returns the value as text that names something: text as it is, anything else as JSON. Null is an error,
// also as a part of a text: things that have nothing in common but a value that is missing would share
// a name. The error is an *EvalError.
func (t *Template) Key(env Env) (string, error) {
	v, err := t.root.value, error(nil)
	switch n := &t.root; {
	case n.static:
	case n.parts != nil:
		return n.key(env)
	default:
		v, _, err = t.Eval(env)
	}
	switch {
	case err != nil:
		return "", err
	case v == nil:
		return "", evalErrorf("a key cannot be null")
	}
	return text(v), nil
}

// key joins the parts of a text, none of which may be null.
func (n *node) key(env Env) (string, error) {
	var b strings.Builder
	for _, p := range n.parts {
		if p.program == nil {
			b.WriteString(p.text)
			continue
		}
		v, err := p.program.Eval(env)
		if err != nil {
			return "", err
		}
		if v == nil {
			return "", evalErrorf("a key cannot hold null: %s is null", strings.TrimSpace(p.program.Source()))
		}
		b.WriteString(text(v))
	}
	return b.String(), nil
}
