package openapi

import (
	"bytes"
	"maps"
	"mime"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"tutti/errs"
)

const formType = "application/x-www-form-urlencoded"

// content makes a field of the body.
func (c *call) content(o found) error {
	body, err := c.d.resolve(o.op["requestBody"])
	if err != nil || len(body) == 0 {
		return err
	}
	types := object(body["content"])
	media := pick(types, func(t string) bool { return isJSON(t) || t == formType })
	if media == "" {
		if body["required"] != true {
			c.notes = append(c.notes, "It is called without a body.")
			return nil
		}
		return errs.New(errs.Invalid, "its body is %s; a TaskType sends JSON or a form", strings.Join(slices.Sorted(maps.Keys(types)), " or "))
	}
	s, err := c.with.convert(first(object(types[media])["schema"], map[string]any{}), 0)
	if err != nil {
		return err
	}
	schema, ok := s.(map[string]any)
	if !ok {
		schema = map[string]any{}
	}
	if doc := line(body["description"]); doc != "" && schema["$ref"] == nil && schema["description"] == nil {
		schema["description"] = doc
	}
	value := c.field("body", "content", schema, body["required"] == true)
	if isJSON(media) {
		c.body = value
		if media != "application/json" {
			c.headers["Content-Type"] = media
		}
		return nil
	}
	return c.fields(schema)
}

// fields sends a form, field by field.
func (c *call) fields(schema map[string]any) error {
	if ref, ok := schema["$ref"].(string); ok {
		return errs.New(errs.Invalid, "its form is described elsewhere (%s), which is not imported", ref)
	}
	form := map[string]any{}
	for name := range object(schema["properties"]) {
		if unnamed.MatchString(name) {
			return errs.New(errs.Invalid, "its form has a field %q, which no expression can name", name)
		}
		form[name] = "${{ with.body?." + name + " }}"
	}
	c.form = form
	return nil
}

// pick returns the first media type that fits, application/json before others; "" where none does.
func pick(types map[string]any, fits func(string) bool) (best string) {
	for _, t := range slices.Sorted(maps.Keys(types)) {
		base, _, err := mime.ParseMediaType(t)
		if err != nil || !fits(base) {
			continue
		}
		if base == "application/json" {
			return t
		}
		if best == "" {
			best = t
		}
	}
	return best
}

func isJSON(media string) bool {
	base, _, err := mime.ParseMediaType(media)
	return err == nil && (base == "application/json" || base == "*/*" || strings.HasSuffix(base, "+json"))
}

// input returns the schema of the input.
func (c *call) input() (map[string]any, error) {
	root := map[string]any{"type": "object", "additionalProperties": false, "properties": c.props}
	if len(c.must) > 0 {
		root["required"] = c.must
	}
	return root, c.with.finish(root)
}

// output returns the schema of what a success answers, nil where the description gives none that can
// be used: the output is then anything.
func (c *call) output(o found) map[string]any {
	responses := object(o.op["responses"])
	for _, status := range slices.Sorted(maps.Keys(responses)) {
		if !strings.HasPrefix(status, "2") {
			continue
		}
		r, err := c.d.resolve(responses[status])
		if err != nil {
			continue
		}
		types := object(r["content"])
		media := pick(types, isJSON)
		if media == "" || object(types[media])["schema"] == nil {
			continue
		}
		s := schemas{d: c.d, way: received, defs: map[string]any{}}
		v, err := s.convert(object(types[media])["schema"], 0)
		root, ok := v.(map[string]any)
		if err == nil && ok {
			err = s.finish(root)
		}
		if err != nil {
			c.notes = append(c.notes, "The schema of its answer cannot be used: "+err.Error()+".")
			return nil
		}
		return root
	}
	return nil
}

// about returns the title and the doc.
func (c *call) about(o found) [2]string {
	title := o.Summary
	if title == "" {
		title = line(o.Method + " " + o.Path)
	}
	doc := []string{strings.TrimSpace(text(o.op["description"]))}
	if o.op["deprecated"] == true {
		doc = append(doc, "It is deprecated.")
	}
	doc = append(doc, c.notes...)
	all := strings.TrimSpace(strings.Join(doc, "\n"))
	if len(all) > 4000 {
		all = strings.ToValidUTF8(all[:4000], "") + "…"
	}
	return [2]string{title, all}
}

// rest returns how the call is made, as pairs of key and value in their order.
func (c *call) rest(o found) []any {
	out := []any{"method", o.Method, "url", "${{ with.server }}" + c.path}
	for _, part := range []struct {
		key string
		v   map[string]any
	}{{"query", c.query}, {"headers", c.headers}} {
		if len(part.v) > 0 {
			out = append(out, part.key, part.v)
		}
	}
	if c.body != nil {
		out = append(out, "body", c.body)
	}
	if c.form != nil {
		out = append(out, "form", c.form)
	}
	return out
}

// write returns the document as YAML.
func write(name string, about [2]string, with, out map[string]any, rest []any) ([]byte, error) {
	pairs := []any{"kind", "TaskType", "name", name, "title", about[0]}
	if about[1] != "" {
		pairs = append(pairs, "doc", about[1])
	}
	pairs = append(pairs, "with", with)
	if out != nil {
		pairs = append(pairs, "out", out)
	}
	call, err := ordered(rest)
	if err != nil {
		return nil, err
	}
	root, err := ordered(append(pairs, "rest", call))
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	e := yaml.NewEncoder(&b)
	e.SetIndent(2)
	if err := e.Encode(root); err != nil {
		return nil, errs.New(errs.Invalid, "it cannot be written as YAML: %w", err)
	}
	return b.Bytes(), nil
}

// ordered returns a mapping of pairs in their order; maps among the values are sorted.
func ordered(pairs []any) (*yaml.Node, error) {
	n := &yaml.Node{Kind: yaml.MappingNode}
	for _, p := range pairs {
		e, ok := p.(*yaml.Node)
		if !ok {
			e = new(yaml.Node)
			if err := e.Encode(p); err != nil {
				return nil, errs.New(errs.Invalid, "it cannot be written as YAML: %w", err)
			}
		}
		n.Content = append(n.Content, e)
	}
	return n, nil
}
