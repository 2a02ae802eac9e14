package params

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"go.yaml.in/yaml/v3"

	"tutti/errs"
)

// Object reads a YAML or JSON document that must be an object. name says where it came from.
// It returns errs.Invalid, with the line.
func Object(name string, data []byte) (map[string]any, error) {
	v, err := Document(name, data)
	if err != nil {
		return nil, err
	}
	m, ok := v.(map[string]any)
	if !ok {
		return nil, errs.New(errs.Invalid, "%s: not an object", name).WithHint("write one name: value a line")
	}
	return m, nil
}

// Document reads a YAML or JSON document as JSON has it: what YAML takes for a time stays text, and
// numbers stay as they were written. It returns errs.Invalid, with the line.
func Document(name string, data []byte) (any, error) {
	if v, err := decode(data); err == nil {
		return v, nil
	}
	var n yaml.Node
	if err := yaml.Unmarshal(data, &n); err != nil {
		return nil, errs.New(errs.Invalid, "%s: %w", name, err)
	}
	if n.Kind == 0 {
		return map[string]any{}, nil
	}
	v, err := plain(&n, 0)
	if err != nil {
		return nil, errs.New(errs.Invalid, "%s:%w", name, err)
	}
	return v, nil
}

// decode reads exactly one JSON value.
func decode(data []byte) (any, error) {
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		return nil, err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("more than one value")
	}
	return v, nil
}

const maxDepth = 100

// plain turns a node into what encoding/json would have decoded.
func plain(n *yaml.Node, depth int) (any, error) {
	if depth > maxDepth {
		return nil, fmt.Errorf("%d:%d: nested more than %d deep", n.Line, n.Column, maxDepth)
	}
	switch n.Kind {
	case yaml.DocumentNode:
		return plain(n.Content[0], depth)
	case yaml.AliasNode:
		return nil, fmt.Errorf("%d:%d: aliases are not allowed here", n.Line, n.Column)
	case yaml.SequenceNode:
		list := make([]any, len(n.Content))
		for i, c := range n.Content {
			var err error
			if list[i], err = plain(c, depth+1); err != nil {
				return nil, err
			}
		}
		return list, nil
	case yaml.MappingNode:
		m := map[string]any{}
		for i := 0; i+1 < len(n.Content); i += 2 {
			k := n.Content[i]
			if _, twice := m[k.Value]; twice || k.Kind != yaml.ScalarNode {
				return nil, fmt.Errorf("%d:%d: the key %q is not text, or given twice", k.Line, k.Column, k.Value)
			}
			v, err := plain(n.Content[i+1], depth+1)
			if err != nil {
				return nil, err
			}
			m[k.Value] = v
		}
		return m, nil
	}
	return scalar(n)
}

func scalar(n *yaml.Node) (any, error) {
	switch n.ShortTag() {
	case "!!str", "!!timestamp":
		return n.Value, nil
	case "!!null":
		return nil, nil
	case "!!bool":
		var b bool
		err := n.Decode(&b)
		return b, err
	case "!!int", "!!float":
		if v, err := decode([]byte(n.Value)); err == nil {
			if num, ok := v.(json.Number); ok {
				return num, nil
			}
		}
		var v any
		if err := n.Decode(&v); err != nil {
			return nil, fmt.Errorf("%d:%d: %w", n.Line, n.Column, err)
		}
		if b, err := json.Marshal(v); err == nil {
			return json.Number(b), nil
		}
	}
	return nil, fmt.Errorf("%d:%d: %s has no meaning in JSON", n.Line, n.Column, n.Value)
}
