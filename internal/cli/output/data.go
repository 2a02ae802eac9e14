package output

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/itchyny/gojq"
	"go.yaml.in/yaml/v3"

	"tutti/errs"
)

// compile returns the program of a jq filter, or errs.Invalid. It has no access to files, modules
// or the environment.
func compile(filter string) (*gojq.Code, error) {
	q, err := gojq.Parse(filter)
	if err == nil {
		var c *gojq.Code
		if c, err = gojq.Compile(q); err == nil {
			return c, nil
		}
	}
	return nil, errs.New(errs.Invalid, "--jq %q: %w", filter, err).WithHint("see what it filters with -o json")
}

// jq prints each result of the filter: text as it is, anything else as JSON on a line.
func (p *Printer) jq(object any) error {
	code, err := compile(p.JQ)
	if err != nil {
		return err
	}
	v, err := generic(object)
	if err != nil {
		return err
	}
	for it := code.Run(v); ; {
		r, ok := it.Next()
		if !ok {
			return nil
		}
		if err, ok := r.(error); ok {
			if halt, ok := errors.AsType[*gojq.HaltError](err); ok && halt.Value() == nil {
				return nil
			}
			return errs.New(errs.Invalid, "--jq: %w", err).WithHint("see what it filters with -o json")
		}
		if s, ok := r.(string); ok {
			if p.Terminal {
				s = Lines(s)
			}
			_, err = fmt.Fprintln(p.W, s)
		} else {
			var b []byte
			if b, err = gojq.Marshal(r); err == nil {
				_, err = fmt.Fprintf(p.W, "%s\n", b)
			}
		}
		if err != nil {
			return err
		}
	}
}

// generic returns object as decoded JSON, with numbers as they were written.
func generic(object any) (any, error) {
	b, err := json.Marshal(object)
	if err != nil {
		return nil, err
	}
	d := json.NewDecoder(bytes.NewReader(b))
	d.UseNumber()
	var v any
	err = d.Decode(&v)
	return v, err
}

// find returns what is at a dotted path of the JSON of object.
func find(object any, path string) (any, bool) {
	v, err := generic(object)
	if err != nil {
		return nil, false
	}
	for _, name := range strings.Split(path, ".") {
		m, ok := v.(map[string]any)
		if !ok {
			return nil, false
		}
		if v, ok = m[name]; !ok {
			return nil, false
		}
	}
	return v, true
}

// project keeps only the chosen fields of an object, or of each item of a list.
func (p *Printer) project(object any) (any, error) {
	if len(p.Fields) == 0 {
		return object, nil
	}
	v, err := generic(object)
	if err != nil {
		return nil, err
	}
	m, ok := v.(map[string]any)
	if !ok {
		return v, nil
	}
	items, ok := m["items"].([]any)
	if !ok {
		return p.pick(v), nil
	}
	for i := range items {
		items[i] = p.pick(items[i])
	}
	return m, nil
}

func (p *Printer) pick(v any) map[string]any {
	out := map[string]any{}
	for _, f := range p.Fields {
		if x, ok := find(v, f); ok {
			out[f] = x
		}
	}
	return out
}

// writeYAML writes the JSON of v as YAML, its fields in the same order.
func writeYAML(w io.Writer, v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return err
	}
	d := json.NewDecoder(bytes.NewReader(b))
	d.UseNumber()
	n, err := yamlNode(d)
	if err != nil {
		return err
	}
	e := yaml.NewEncoder(w)
	e.SetIndent(2)
	if err := e.Encode(n); err != nil {
		return err
	}
	return e.Close()
}

// yamlNode reads the next JSON value of d.
func yamlNode(d *json.Decoder) (*yaml.Node, error) {
	t, err := d.Token()
	if err != nil {
		return nil, err
	}
	switch t := t.(type) {
	case json.Delim:
		n := &yaml.Node{Kind: yaml.MappingNode, Tag: "!!map"}
		if t == '[' {
			n = &yaml.Node{Kind: yaml.SequenceNode, Tag: "!!seq"}
		}
		for d.More() {
			c, err := yamlNode(d) // a key counts as a value: both are text to the decoder
			if err != nil {
				return nil, err
			}
			n.Content = append(n.Content, c)
		}
		if len(n.Content) == 0 {
			n.Style = yaml.FlowStyle // {} and [], for there is no other way to write them
		}
		_, err := d.Token()
		return n, err
	case string:
		n := &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: t}
		if strings.Contains(t, "\n") && !strings.ContainsFunc(t, func(r rune) bool { return r != '\n' && r != '\t' && Unsafe(r) }) {
			n.Style = yaml.LiteralStyle
		}
		if slices.Contains([]string{"y", "n", "yes", "no", "on", "off"}, strings.ToLower(t)) {
			n.Style = yaml.DoubleQuotedStyle // older readers take them for booleans
		}
		return n, nil
	case json.Number:
		n := &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!int", Value: t.String()}
		if strings.ContainsAny(n.Value, ".eE") {
			n.Tag = "!!float"
		}
		return n, nil
	case bool:
		return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!bool", Value: fmt.Sprint(t)}, nil
	default:
		return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!null", Value: "null"}, nil
	}
}
