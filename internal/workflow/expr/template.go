package expr

import (
	"sort"
	"strconv"
	"strings"
	"unicode/utf8"
)

// TemplateError says what is wrong with one string of a template.
type TemplateError struct {
	Pointer string // JSON pointer of the string (or of the object, for a bad key)
	Offset  int    // in bytes, from the start of the string
	Message string
	Hint    string // what to do about it; may be empty
}

// Error returns where it is, the message and its hint.
func (e TemplateError) Error() string { return withHint(e.Message, e.Hint) }

// Placed is an expression of a template and where it stands.
type Placed struct {
	Pointer string // JSON pointer of the string it stands in
	Offset  int    // of the expression in that string, in bytes, behind the `${{`
	Whole   bool   // the string is nothing else, so the value keeps its type
	Program *Program
}

// Template is a JSON value some of whose strings hold `${{ … }}`. It is immutable and safe for
// concurrent use.
type Template struct {
	root    node
	refs    []Ref
	exprs   []Placed
	secrets []SecretUse
}

// node is a part of a template; exactly one of its forms is set.
type node struct {
	pointer   string
	static    bool
	unescaped bool     // static, and not what it was parsed from
	value     any      // where static
	whole     *Program // `${{ e }}` alone
	parts     []part   // text with something inside
	list      []node   // a list, not static
	fields    []field  // an object, not static, in the order of its keys
}

type field struct {
	name string
	node node
}

// part is a piece of text: literal, computed, or the place of a secret.
type part struct {
	text    string
	program *Program
	secret  string
}

// maxTemplateDepth bounds the nesting of a value that holds templates.
const maxTemplateDepth = 64

// ParseTemplate parses a JSON value whose strings may hold `${{ … }}`; `$${{` stands for the three
// characters themselves. The value is kept and must not be changed. All errors are found at once; the
// template is nil where there are any.
func ParseTemplate(v any) (*Template, []TemplateError) {
	p := templateParser{t: &Template{}}
	p.t.root = p.value("", v, 0)
	if len(p.errs) > 0 {
		return nil, p.errs
	}
	return p.t, nil
}

// Refs returns every mention of a name, secrets included, in the order of the sorted keys. It must
// not be changed. Offsets are those of the expression a mention stands in; Exprs tells which.
func (t *Template) Refs() []Ref { return t.refs }

// Exprs returns the expressions of the template with their places. It must not be changed.
func (t *Template) Exprs() []Placed { return t.exprs }

// Secrets returns the places that hold secrets; offsets are those in the source.
func (t *Template) Secrets() []SecretUse { return t.secrets }

// Static reports whether the value never changes: no expression and no secret.
func (t *Template) Static() bool { return t.root.static }

// Eval returns the value, and where secrets belong in it. The value shares parts with the template
// and with env: none may be changed. The error is an *EvalError.
func (t *Template) Eval(env Env) (any, []SecretUse, error) {
	if t.root.static {
		return t.root.value, nil, nil
	}
	var uses []SecretUse
	v, err := t.root.eval(env, &uses)
	if err != nil {
		return nil, nil, err
	}
	return v, uses, nil
}

func (n *node) eval(env Env, uses *[]SecretUse) (any, error) {
	switch {
	case n.static:
		return n.value, nil
	case n.whole != nil:
		return n.whole.Eval(env)
	case n.list != nil:
		out := make([]any, len(n.list))
		for i := range n.list {
			v, err := n.list[i].eval(env, uses)
			if err != nil {
				return nil, err
			}
			out[i] = v
		}
		return out, nil
	case n.fields != nil:
		out := make(map[string]any, len(n.fields))
		for i := range n.fields {
			v, err := n.fields[i].node.eval(env, uses)
			if err != nil {
				return nil, err
			}
			out[n.fields[i].name] = v
		}
		return out, nil
	}
	return n.evalText(env, uses)
}

// evalText joins the parts. What a part yields is text and is never looked at again.
func (n *node) evalText(env Env, uses *[]SecretUse) (any, error) {
	var b strings.Builder
	for _, p := range n.parts {
		switch {
		case p.secret != "":
			*uses = append(*uses, SecretUse{Pointer: n.pointer, Offset: b.Len(), Name: p.secret})
		case p.program != nil:
			v, err := p.program.Eval(env)
			if err != nil {
				return nil, err
			}
			b.WriteString(text(v))
		default:
			b.WriteString(p.text)
		}
		if b.Len() > maxMemory {
			return nil, evalErrorf("the text is longer than %d MiB", maxMemory>>20)
		}
	}
	return b.String(), nil
}

type templateParser struct {
	t    *Template
	errs []TemplateError
}

func (p *templateParser) fail(pointer string, offset int, message, hint string) {
	p.errs = append(p.errs, TemplateError{Pointer: pointer, Offset: offset, Message: message, Hint: hint})
}

func (p *templateParser) value(pointer string, v any, depth int) node {
	if depth > maxTemplateDepth {
		p.fail(pointer, 0, "the value is nested deeper than "+strconv.Itoa(maxTemplateDepth)+" levels", "")
		return node{}
	}
	switch v := v.(type) {
	case string:
		return p.text(pointer, v)
	case []any:
		return p.list(pointer, v, depth)
	case map[string]any:
		return p.object(pointer, v, depth)
	}
	return node{static: true, value: v}
}

func (p *templateParser) list(pointer string, l []any, depth int) node {
	n := node{list: make([]node, len(l)), static: true}
	for i, e := range l {
		n.list[i] = p.value(pointer+"/"+strconv.Itoa(i), e, depth+1)
		n.static = n.static && n.list[i].static
	}
	if n.static {
		return p.settle(n, l)
	}
	return n
}

func (p *templateParser) object(pointer string, m map[string]any, depth int) node {
	n := node{fields: make([]field, 0, len(m)), static: true}
	for _, k := range sortedKeys(m) {
		if strings.Contains(k, "${{") {
			p.fail(pointer, 0, "the key "+strconv.Quote(k)+" holds an expression",
				"keys are never computed; write the whole object as one: ${{ fromPairs([[k, v]]) }}")
			continue
		}
		f := field{name: k, node: p.value(pointer+"/"+escapePointer(k), m[k], depth+1)}
		n.fields = append(n.fields, f)
		n.static = n.static && f.node.static
	}
	if n.static {
		return p.settle(n, m)
	}
	return n
}

// settle makes a container without expressions a value: the one it was parsed from, or a copy where a
// text in it had `$${{`.
func (p *templateParser) settle(n node, v any) node {
	changed := false
	for i := range n.list {
		changed = changed || n.list[i].unescaped
	}
	for i := range n.fields {
		changed = changed || n.fields[i].node.unescaped
	}
	if changed {
		n.static = false
		v, _ = n.eval(nil, nil)
	}
	return node{static: true, unescaped: changed, value: v}
}

// text parses one string.
func (p *templateParser) text(pointer, s string) node {
	if !strings.Contains(s, "${{") {
		return node{static: true, value: s}
	}
	n := node{pointer: pointer}
	var lit strings.Builder
	flush := func() {
		if lit.Len() > 0 {
			n.parts = append(n.parts, part{text: lit.String()})
			lit.Reset()
		}
	}
	for i := 0; i < len(s); {
		j := strings.Index(s[i:], "${{")
		if j < 0 {
			lit.WriteString(s[i:])
			break
		}
		open := i + j
		if open > i && s[open-1] == '$' {
			lit.WriteString(s[i : open-1])
			lit.WriteString("${{")
			i = open + 3
			continue
		}
		lit.WriteString(s[i:open])
		end := closing(s, open+3)
		if end < 0 {
			p.fail(pointer, open, "${{ is never closed by }}", "write $${{ for the characters themselves")
			return node{static: true, value: s}
		}
		flush()
		n.parts = append(n.parts, p.expression(pointer, s, open+3, end))
		i = end + 2
	}
	flush()
	return p.shape(n)
}

// shape tells a lone expression and plain text from mixed text.
func (p *templateParser) shape(n node) node {
	if len(n.parts) == 1 {
		one := n.parts[0]
		switch {
		case one.program != nil:
			p.t.exprs[len(p.t.exprs)-1].Whole = true
			return node{pointer: n.pointer, whole: one.program}
		case one.program == nil && one.secret == "":
			return node{static: true, unescaped: true, value: one.text}
		}
	}
	return n
}

// closing returns where the `}}` stands that ends the expression which begins at i, or -1. Braces
// and quotes of the expression are skipped.
func closing(s string, i int) int {
	depth := 0
	for i < len(s) {
		switch c := s[i]; c {
		case '"', '\'', '`':
			i++
			for i < len(s) && s[i] != c {
				if s[i] == '\\' && c != '`' {
					i++
				}
				i++
			}
		case '{':
			depth++
		case '}':
			if depth == 0 {
				if strings.HasPrefix(s[i:], "}}") {
					return i
				}
				return -1
			}
			depth--
		}
		i++
	}
	return -1
}

// expression compiles s[from:to].
func (p *templateParser) expression(pointer, s string, from, to int) part {
	src := s[from:to]
	if name, ok := secretName(src); ok {
		at := from + strings.Index(src, "secrets")
		p.t.refs = append(p.t.refs, Ref{Path: []string{"secrets", name}, Offset: at - from})
		p.t.secrets = append(p.t.secrets, SecretUse{Pointer: pointer, Offset: at, Name: name})
		return part{secret: name}
	}
	prog, err := Compile(src)
	if err != nil {
		se := err.(*SyntaxError)
		p.fail(pointer, from+se.Offset, se.Message, se.Hint)
		return part{text: "?"}
	}
	for _, r := range prog.Refs() {
		if r.Path[0] == "secrets" {
			p.fail(pointer, from+r.Offset, "a secret cannot be computed with",
				"write ${{ secrets.name }} and nothing else between the braces; text may stand around them")
			return part{text: "?"}
		}
	}
	p.t.refs = append(p.t.refs, prog.Refs()...)
	p.t.exprs = append(p.t.exprs, Placed{Pointer: pointer, Offset: from, Program: prog})
	return part{program: prog}
}

var pointerEscaper = strings.NewReplacer("~", "~0", "/", "~1")

func escapePointer(key string) string {
	if strings.ContainsAny(key, "~/") {
		return pointerEscaper.Replace(key)
	}
	return key
}

var pointerUnescaper = strings.NewReplacer("~1", "/", "~0", "~")

// SecretUse says that the value of a secret belongs into the string at Pointer, before the byte at
// Offset. The string holds nothing there.
type SecretUse struct {
	Pointer string `json:"pointer"`
	Offset  int    `json:"offset"`
	Name    string `json:"name"`
}

// Fill returns v with the secrets that uses name put in. Nothing of v is changed; what holds no
// secret is shared. Values of secrets are text and are not looked at. The error is lookup's, or says
// that a use does not fit v.
func Fill(v any, uses []SecretUse, lookup func(name string) (string, error)) (any, error) {
	byPointer := map[string][]SecretUse{}
	var pointers []string
	for _, u := range uses {
		if len(byPointer[u.Pointer]) == 0 {
			pointers = append(pointers, u.Pointer)
		}
		byPointer[u.Pointer] = append(byPointer[u.Pointer], u)
	}
	for _, ptr := range pointers {
		var keys []string
		if ptr != "" {
			keys = strings.Split(strings.TrimPrefix(ptr, "/"), "/")
		}
		var err error
		if v, err = fillAt(v, keys, ptr, byPointer[ptr], lookup); err != nil {
			return nil, err
		}
	}
	return v, nil
}

func fillAt(v any, keys []string, ptr string, uses []SecretUse, lookup func(string) (string, error)) (any, error) {
	if len(keys) == 0 {
		s, ok := v.(string)
		if !ok {
			return nil, evalErrorf("no text at %q to put a secret in", ptr)
		}
		return fillText(s, ptr, uses, lookup)
	}
	key := pointerUnescaper.Replace(keys[0])
	switch c := v.(type) {
	case map[string]any:
		inner, ok := c[key]
		if !ok {
			break
		}
		filled, err := fillAt(inner, keys[1:], ptr, uses, lookup)
		if err != nil {
			return nil, err
		}
		out := make(map[string]any, len(c))
		for k, e := range c {
			out[k] = e
		}
		out[key] = filled
		return out, nil
	case []any:
		i, err := strconv.Atoi(key)
		if err != nil || i < 0 || i >= len(c) {
			break
		}
		filled, err := fillAt(c[i], keys[1:], ptr, uses, lookup)
		if err != nil {
			return nil, err
		}
		out := append([]any(nil), c...)
		out[i] = filled
		return out, nil
	}
	return nil, evalErrorf("nothing at %q to put a secret in", ptr)
}

func fillText(s, ptr string, uses []SecretUse, lookup func(string) (string, error)) (any, error) {
	uses = append([]SecretUse(nil), uses...)
	sort.SliceStable(uses, func(i, j int) bool { return uses[i].Offset < uses[j].Offset })
	var b strings.Builder
	last := 0
	for _, u := range uses {
		if u.Offset < last || u.Offset > len(s) || u.Offset < len(s) && !utf8.RuneStart(s[u.Offset]) {
			return nil, evalErrorf("a secret does not fit the text at %q", ptr)
		}
		value, err := lookup(u.Name)
		if err != nil {
			return nil, err
		}
		b.WriteString(s[last:u.Offset])
		b.WriteString(value)
		last = u.Offset
	}
	b.WriteString(s[last:])
	return b.String(), nil
}

// TextAt returns the text at a JSON pointer; "" where there is none.
func TextAt(v any, pointer string) string {
	for _, key := range strings.Split(pointer, "/")[1:] {
		switch c := v.(type) {
		case map[string]any:
			v = c[pointerUnescaper.Replace(key)]
		case []any:
			i, err := strconv.Atoi(key)
			if err != nil || i < 0 || i >= len(c) {
				return ""
			}
			v = c[i]
		default:
			return ""
		}
	}
	s, _ := v.(string)
	return s
}

// secretName returns the name where src is `secrets.name` and nothing else.
func secretName(src string) (string, bool) {
	name, ok := strings.CutPrefix(strings.TrimSpace(src), "secrets.")
	if !ok || name == "" || len(name) > 127 {
		return "", false
	}
	for i := range len(name) {
		c := name[i]
		letter := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
		inner := c >= '0' && c <= '9' || c == '_' || c == '-' || c == '.'
		if !letter && (i == 0 || !inner) {
			return "", false
		}
	}
	return name, true
}
