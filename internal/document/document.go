// Package document reads the documents that people apply: YAML or JSON, several in one file, of
// every kind. It knows what all kinds share (kind, name, format, title, labels), the canonical JSON
// with its digest, and where each value stands in the file, so that whatever is wrong with it can be
// told as file:line:column with a remedy. It also checks plain values (a request's inputs) against
// JSON Schemas that users wrote.
//
// YAML here is the JSON subset people think it is: `y`, `on` and `no` are text, so are dates; numbers
// that programs read differently (0644, 0x1f, 1_000) must be quoted; duplicate keys, merge keys and
// tags are errors with a hint; anchors and aliases are resolved, within the same bounds as the rest.
// Nothing is ever fetched: a schema refers to itself or to nothing.
package document

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"tutti/errs"
)

// The bounds of one file.
const (
	MaxSize  = 1 << 20 // bytes
	MaxDepth = 64      // levels of nesting
	MaxNodes = 100_000 // values, those of resolved aliases included
)

// Document is one document: what all kinds have in common, and the rest as JSON.
type Document struct {
	Kind   string
	Name   string
	Format int // 1 where it is not given
	Title  string
	Labels map[string]string
	File   string // as given to Parse

	JSON   []byte // canonical: sorted keys, no spaces
	Digest string // SHA-256 of JSON, in hex

	value any
	root  *node
	lines []string
}

// Value returns the document as decoded JSON (map[string]any, []any, string, float64, bool, nil). It
// is shared: it must not be changed.
func (d *Document) Value() any { return d.value }

// At returns where the value at a JSON pointer stands, as "vm.yaml:12:9"; where there is none, where
// the nearest value around it stands.
func (d *Document) At(pointer string) string {
	n, _ := d.find(pointer)
	return d.location(n.line, n.col)
}

// KeyAt returns where the key stands whose value is at a JSON pointer; for the element of a list and
// the document itself it is At.
func (d *Document) KeyAt(pointer string) string {
	n, f := d.find(pointer)
	if f != nil {
		return d.location(f.line, f.col)
	}
	return d.location(n.line, n.col)
}

// Inside returns where the byte at offset of the text at a JSON pointer stands. Where escapes or
// folding hide that, it is At.
func (d *Document) Inside(pointer string, offset int) string {
	n, _ := d.find(pointer)
	s, ok := n.scalar.(string)
	if !ok || offset < 0 || offset > len(s) {
		return d.location(n.line, n.col)
	}
	// The text stands as it is on its line, or after the quote, or, in a block, on the lines below.
	before := s[:offset]
	row := strings.Count(before, "\n")
	first := before[strings.LastIndexByte(before, '\n')+1:]
	whole, _, _ := strings.Cut(s[offset-len(first):], "\n")
	for _, line := range []int{n.line + row, n.line + row + 1} {
		if line < 1 || line > len(d.lines) || row == 0 && line == n.line && strings.Contains(s, "\n") {
			continue
		}
		text, skip := d.lines[line-1], 0
		if line == n.line {
			skip = min(byteColumn(text, n.col), len(text))
		}
		if i := strings.Index(text[skip:], whole); i >= 0 && whole != "" {
			return d.location(line, utf8.RuneCountInString(text[:skip+i+len(first)])+1)
		}
	}
	return d.location(n.line, n.col)
}

// byteColumn turns a column, which counts characters from 1, into an offset in bytes.
func byteColumn(line string, col int) int {
	off := 0
	for ; col > 1 && off < len(line); col-- {
		_, n := utf8.DecodeRuneInString(line[off:])
		off += n
	}
	return off
}

func (d *Document) location(line, col int) string {
	if col < 1 {
		col = 1
	}
	return d.File + ":" + strconv.Itoa(line) + ":" + strconv.Itoa(col)
}

// find returns the node at a pointer, or the nearest around it, and the key it stands under.
func (d *Document) find(pointer string) (*node, *field) {
	n := d.root
	if pointer == "" {
		return n, nil
	}
	var under *field
	for _, part := range strings.Split(strings.TrimPrefix(pointer, "/"), "/") {
		part = Unescape(part)
		var next *node
		switch n.kind {
		case object:
			if f := n.field(part); f != nil {
				next, under = f.value, f
			}
		case list:
			if i, err := strconv.Atoi(part); err == nil && i >= 0 && i < len(n.items) {
				next, under = n.items[i], nil
			}
		}
		if next == nil {
			return n, under
		}
		n = next
	}
	return n, under
}

var (
	escaper   = strings.NewReplacer("~", "~0", "/", "~1")
	unescaper = strings.NewReplacer("~1", "/", "~0", "~")
)

// Pointer joins the parts of a JSON pointer.
func Pointer(parts ...string) string {
	var b strings.Builder
	for _, p := range parts {
		b.WriteByte('/')
		if strings.ContainsAny(p, "~/") {
			p = escaper.Replace(p)
		}
		b.WriteString(p)
	}
	return b.String()
}

// Unescape returns the key that one part of a JSON pointer stands for.
func Unescape(part string) string {
	if !strings.Contains(part, "~") {
		return part
	}
	return unescaper.Replace(part)
}

// Parse reads the documents of a file and returns those that are sound, with everything that is wrong
// with the others. Locations are "file:line:column".
func Parse(file string, data []byte) ([]*Document, []errs.Problem) {
	fail := func(format string, args ...any) ([]*Document, []errs.Problem) {
		return nil, []errs.Problem{{Location: file + ":1:1", Message: fmt.Sprintf(format, args...)}}
	}
	if len(data) > MaxSize {
		return fail("the file has %d bytes, the limit is %d", len(data), MaxSize)
	}
	if !utf8.Valid(data) {
		return fail("the file is not UTF-8 text")
	}
	data = bytes.TrimPrefix(data, []byte("\uFEFF"))
	r := &reader{file: file, lines: strings.Split(string(data), "\n")}
	roots := r.read(data)
	if len(roots) == 0 && len(r.problems) == 0 {
		return fail("the file has no document")
	}
	var docs []*Document
	for _, root := range roots {
		if d := r.document(root); d != nil {
			docs = append(docs, d)
		}
	}
	return docs, r.problems
}

// FromJSON reads one document from its canonical JSON, as Parse gave it. The error has kind
// errs.Invalid and lists what is wrong.
func FromJSON(file string, canonical []byte) (*Document, error) {
	docs, problems := Parse(file, canonical)
	if len(problems) > 0 || len(docs) != 1 {
		return nil, errs.New(errs.Invalid, "%s does not hold one sound document", file).WithProblems(problems...)
	}
	return docs[0], nil
}

var namePattern = regexp.MustCompile(`^[a-z][a-z0-9.-]{0,126}$`)

// document reads what all kinds share. It returns nil, and leaves problems, where that is not sound.
func (r *reader) document(root *node) *Document {
	before := len(r.problems)
	if root.kind != object {
		r.fail(root.line, root.col, "a document is an object with kind and name, this is "+root.describe(), "")
		return nil
	}
	d := &Document{File: r.file, Format: 1, root: root, lines: r.lines}
	d.Kind = r.text(root, "kind", true)
	d.Name = r.text(root, "name", true)
	d.Title = r.text(root, "title", false)
	if f := root.field("name"); d.Name != "" && !namePattern.MatchString(d.Name) {
		r.fail(f.value.line, f.value.col, fmt.Sprintf("%q is not a name", d.Name),
			"a name begins with a small letter and has small letters, digits, dots and dashes, 127 at most")
	}
	if f := root.field("format"); f != nil && f.value.scalar != 1.0 {
		r.fail(f.value.line, f.value.col, "format must be 1, got "+f.value.describe(), "this version knows format 1 only")
	}
	r.labels(root, d)
	if len(r.problems) > before {
		return nil
	}
	d.value = root.decode()
	d.JSON = Canonical(d.value)
	sum := sha256.Sum256(d.JSON)
	d.Digest = hex.EncodeToString(sum[:])
	return d
}

// text reads a key whose value must be text.
func (r *reader) text(root *node, key string, required bool) string {
	f := root.field(key)
	if f == nil {
		if required {
			r.fail(root.line, root.col, strconv.Quote(key)+" is missing", "every document has kind and name")
		}
		return ""
	}
	s, ok := f.value.scalar.(string)
	if !ok || required && s == "" {
		r.fail(f.value.line, f.value.col, key+" must be text, got "+f.value.describe(), "")
	}
	return s
}

func (r *reader) labels(root *node, d *Document) {
	f := root.field("labels")
	if f == nil {
		return
	}
	if f.value.kind != object {
		r.fail(f.value.line, f.value.col, "labels must be an object, got "+f.value.describe(), "")
		return
	}
	d.Labels = make(map[string]string, len(f.value.fields))
	for i := range f.value.fields {
		l := &f.value.fields[i]
		s, ok := l.value.scalar.(string)
		if !ok {
			r.fail(l.value.line, l.value.col, "label "+l.name+" must be text, got "+l.value.describe(), "quote it")
			continue
		}
		d.Labels[l.name] = s
	}
}

// Canonical returns the JSON of a decoded value with sorted keys and without spaces or escapes for
// HTML. It panics on what is not JSON-shaped.
func Canonical(v any) []byte {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		panic("document: not a JSON value: " + err.Error())
	}
	return slices.Clone(bytes.TrimSuffix(b.Bytes(), []byte("\n")))
}
