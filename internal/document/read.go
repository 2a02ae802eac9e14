package document

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"

	"tutti/errs"
)

// reader turns a file into trees of nodes and gathers what is wrong with it.
type reader struct {
	file     string
	lines    []string
	problems []errs.Problem
	nodes    int
	full     bool // a bound was passed; nothing more is read
}

// maxProblems bounds what one file is told.
const maxProblems = 100

func (r *reader) fail(line, col int, message, hint string) {
	if len(r.problems) >= maxProblems {
		return
	}
	r.problems = append(r.problems, errs.Problem{
		Location: fmt.Sprintf("%s:%d:%d", r.file, line, max(col, 1)), Message: message, Hint: hint,
	})
}

// count pays for one node; it reports whether there is room.
func (r *reader) count(line, col, depth int) bool {
	r.nodes++
	switch {
	case r.full:
		return false
	case r.nodes > MaxNodes:
		r.full = true
		r.fail(line, col, fmt.Sprintf("the file has more than %d values", MaxNodes), "an alias counts each time it is used")
	case depth > MaxDepth:
		r.full = true
		r.fail(line, col, fmt.Sprintf("nested deeper than %d levels", MaxDepth), "")
	}
	return !r.full
}

// read returns the root of each document that could be read.
func (r *reader) read(data []byte) []*node {
	if trimmed := bytes.TrimSpace(data); len(trimmed) > 0 && (trimmed[0] == '{' || trimmed[0] == '[') && json.Valid(data) {
		if n := r.json(data); n != nil {
			return []*node{n}
		}
		return nil
	}
	var roots []*node
	dec := yaml.NewDecoder(bytes.NewReader(data))
	for {
		var y yaml.Node
		err := dec.Decode(&y)
		if errors.Is(err, io.EOF) {
			return roots
		}
		if err != nil {
			r.syntax(err)
			return roots
		}
		if y.Kind != yaml.DocumentNode || len(y.Content) == 0 || empty(y.Content[0]) {
			continue
		}
		before := len(r.problems)
		n := r.yaml(y.Content[0], 0, nil)
		if r.full {
			return roots
		}
		if len(r.problems) == before {
			roots = append(roots, n)
		}
	}
}

// empty says that a document holds nothing: `---` twice, or comments alone.
func empty(y *yaml.Node) bool {
	return y.Kind == yaml.ScalarNode && y.Value == "" && y.Style == 0 && y.ShortTag() == "!!null"
}

var yamlLine = regexp.MustCompile(`line (\d+): (.*)`)

// syntax translates an error of the YAML parser.
func (r *reader) syntax(err error) {
	line, msg := 1, strings.TrimPrefix(err.Error(), "yaml: ")
	if m := yamlLine.FindStringSubmatch(msg); m != nil {
		line, _ = strconv.Atoi(m[1])
		msg = m[2]
	}
	if m := unknownAnchor.FindStringSubmatch(msg); m != nil {
		for i, l := range r.lines {
			if at := strings.Index(l, "*"+m[1]); at >= 0 {
				r.fail(i+1, utf8.RuneCountInString(l[:at])+1, "there is no anchor &"+m[1]+" before this", "quote it if it is text")
				return
			}
		}
	}
	line = max(1, min(line, len(r.lines)))
	// The parser names the line before or after; the one with the expression is meant.
	hint := ""
	for _, l := range []int{line, line + 1, line - 1} {
		if l >= 1 && l <= len(r.lines) && unquotedExpression.MatchString(r.lines[l-1]) {
			line, hint = l, `quote the expression: "${{ … }}"`
			break
		}
	}
	text := r.lines[line-1]
	if hint == "" && strings.HasPrefix(strings.TrimLeft(text, " "), "\t") {
		hint = "indent with spaces, not tabs"
	}
	col := utf8.RuneCountInString(text) - utf8.RuneCountInString(strings.TrimLeft(text, " \t")) + 1
	r.fail(line, col, "not YAML: "+msg, hint)
}

var unknownAnchor = regexp.MustCompile(`unknown anchor '([^']*)' referenced`)

// unquotedExpression finds `${{` that does not stand behind a quote.
var unquotedExpression = regexp.MustCompile(`(^|[\s,:{\[])[^\s"'{,\[]*\$\{\{`)

// yaml converts a node; open holds the anchors around it.
func (r *reader) yaml(y *yaml.Node, depth int, open []*yaml.Node) *node {
	n := &node{line: y.Line, col: y.Column}
	if !r.count(y.Line, y.Column, depth) {
		return n
	}
	if y.Kind == yaml.AliasNode {
		for _, o := range open {
			if o == y.Alias {
				r.fail(y.Line, y.Column, "the alias *"+y.Value+" stands inside of what it names", "")
				return n
			}
		}
		target := r.yaml(y.Alias, depth, open)
		target.line, target.col = y.Line, y.Column
		return target
	}
	if !r.tag(y) {
		return n
	}
	if y.Anchor != "" {
		open = append(open[:len(open):len(open)], y)
	}
	switch y.Kind {
	case yaml.MappingNode:
		n.kind = object
		r.mapping(n, y, depth, open)
	case yaml.SequenceNode:
		n.kind = list
		n.items = make([]*node, 0, len(y.Content))
		for _, c := range y.Content {
			if r.full {
				break
			}
			n.items = append(n.items, r.yaml(c, depth+1, open))
		}
	default:
		n.scalar = r.scalar(y)
	}
	return n
}

// tag refuses tags that JSON has no place for.
func (r *reader) tag(y *yaml.Node) bool {
	if y.Style&yaml.TaggedStyle == 0 {
		return true
	}
	switch y.ShortTag() {
	case "!!str", "!!int", "!!float", "!!bool", "!!null", "!!map", "!!seq":
		return true
	}
	hint := "leave the tag out"
	if strings.HasPrefix(y.Tag, "!") && !strings.HasPrefix(y.Tag, "!!") {
		rest := strings.TrimPrefix(y.Tag, "!")
		hint = "YAML reads a word that begins with ! as a tag: for a condition write not " + rest + ", for text quote it"
	}
	r.fail(y.Line, y.Column, "the YAML tag "+y.Tag+" is not supported", hint)
	return false
}

func (r *reader) mapping(n *node, y *yaml.Node, depth int, open []*yaml.Node) {
	for i := 0; i+1 < len(y.Content) && !r.full; i += 2 {
		k, v := y.Content[i], y.Content[i+1]
		switch {
		case k.Kind != yaml.ScalarNode:
			r.fail(k.Line, k.Column, "a key must be text", "quote it; an expression is never a key")
			continue
		case k.ShortTag() == "!!merge":
			r.fail(k.Line, k.Column, "merge keys (<<) are not supported", "write the keys out, or put what tasks share under defaults")
			continue
		case !r.tag(k):
			continue
		}
		f := field{name: k.Value, line: k.Line, col: k.Column, value: r.yaml(v, depth+1, open)}
		if old := n.add(f); old != nil {
			r.fail(k.Line, k.Column, fmt.Sprintf("%q is given twice", k.Value), fmt.Sprintf("the first is on line %d", old.line))
		}
	}
}

var jsonNumber = regexp.MustCompile(`^-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?$`)

// scalar gives a YAML scalar the type it has in JSON. What programs disagree on is an error.
func (r *reader) scalar(y *yaml.Node) any {
	switch y.ShortTag() {
	case "!!null":
		return nil
	case "!!bool":
		return strings.EqualFold(y.Value, "true")
	case "!!int", "!!float":
		return r.number(y.Value, y.Line, y.Column)
	}
	return y.Value
}

// number reads a number that JSON can hold exactly.
func (r *reader) number(text string, line, col int) any {
	if !jsonNumber.MatchString(text) {
		r.fail(line, col, "programs read "+text+" differently", `quote it if it is text ("`+text+`"), else write it as in JSON: 420, -1.5, 1e3`)
		return nil
	}
	f, err := strconv.ParseFloat(text, 64)
	if err != nil || math.IsInf(f, 0) || f == math.Trunc(f) && math.Abs(f) >= 1<<53 && !strings.ContainsAny(text, "eE.") {
		r.fail(line, col, "the number "+text+" is too large to be kept exactly", "quote it, to have it as text")
		return nil
	}
	if f == 0 {
		f = 0 // -0 is 0
	}
	return f
}

// json reads valid JSON with the places of its values.
func (r *reader) json(data []byte) *node {
	j := &jsonReader{r: r, data: data, dec: json.NewDecoder(bytes.NewReader(data)), line: 1}
	j.dec.UseNumber()
	n := j.value(0)
	if r.full || len(r.problems) > 0 {
		return nil
	}
	return n
}

// jsonReader walks the tokens of valid JSON.
type jsonReader struct {
	r    *reader
	data []byte
	dec  *json.Decoder
	pos  int // where line and start were counted to
	line int
	bol  int // where the line begins
}

// next returns the next token and where it stands.
func (j *jsonReader) next() (tok json.Token, line, col int) {
	at := int(j.dec.InputOffset())
	for at < len(j.data) && strings.IndexByte(" \t\r\n,:", j.data[at]) >= 0 {
		at++
	}
	for ; j.pos < at; j.pos++ {
		if j.data[j.pos] == '\n' {
			j.line++
			j.bol = j.pos + 1
		}
	}
	tok, err := j.dec.Token()
	if err != nil && !j.r.full {
		j.r.full = true
		j.r.fail(j.line, 1, "not JSON: "+err.Error(), "")
	}
	return tok, j.line, utf8.RuneCount(j.data[j.bol:min(at, len(j.data))]) + 1
}

func (j *jsonReader) value(depth int) *node {
	tok, line, col := j.next()
	n := &node{line: line, col: col}
	if !j.r.count(line, col, depth) {
		return n
	}
	switch t := tok.(type) {
	case json.Delim:
		if t == '[' {
			n.kind = list
			for j.dec.More() && !j.r.full {
				n.items = append(n.items, j.value(depth+1))
			}
		} else {
			n.kind = object
			j.object(n, depth)
		}
		j.next()
	case json.Number:
		n.scalar = j.r.number(t.String(), line, col)
	default:
		n.scalar = tok
	}
	return n
}

func (j *jsonReader) object(n *node, depth int) {
	for j.dec.More() && !j.r.full {
		tok, line, col := j.next()
		name, _ := tok.(string)
		if old := n.add(field{name: name, line: line, col: col, value: j.value(depth + 1)}); old != nil {
			j.r.fail(line, col, fmt.Sprintf("%q is given twice", name), fmt.Sprintf("the first is on line %d", old.line))
		}
	}
}
