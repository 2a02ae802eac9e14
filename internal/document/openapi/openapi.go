// Package openapi turns one operation of an OpenAPI description (3.0 or 3.1, JSON or YAML) into a
// document of kind TaskType that makes the call: its parameters, body and credentials become the
// input, the body of its success the output. The description is data from elsewhere: nothing is
// fetched, and what cannot be said in a TaskType is an error or, where the call works without it, a
// line of the type's doc.
//
// The format: OpenAPI Specification 3.0.4 and 3.1.1, https://spec.openapis.org/oas/.
package openapi

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"tutti/errs"
	"tutti/internal/document"
)

// MaxSize bounds a description, in bytes.
const MaxSize = 16 << 20

// Operation is one that a description has.
type Operation struct {
	ID      string // operationId; where there is none, "METHOD /path"
	Method  string // such as GET
	Path    string
	Summary string
}

// Description is what a file says of an API.
type Description struct {
	root map[string]any
	old  bool // 3.0, whose schemas are of a dialect of their own
	ops  []found
}

// found is an operation with what the description says of it.
type found struct {
	Operation
	item, op map[string]any
}

// verbs are the methods a TaskType can use, as a description writes them.
var verbs = []string{"get", "put", "post", "delete", "options", "head", "patch"}

// Read reads a description. It returns errs.Invalid for what is none, or of another version.
func Read(data []byte) (*Description, error) {
	if len(data) > MaxSize {
		return nil, errs.New(errs.TooLarge, "the description has %d bytes; the limit is %d", len(data), MaxSize)
	}
	var v any
	if err := yaml.Unmarshal(data, &v); err != nil {
		return nil, errs.New(errs.Invalid, "it is neither JSON nor YAML: %w", err)
	}
	root, _ := plain(v).(map[string]any)
	version := text(root["openapi"])
	if !strings.HasPrefix(version, "3.0") && !strings.HasPrefix(version, "3.1") {
		e := errs.New(errs.Invalid, "it is no OpenAPI description of version 3.0 or 3.1")
		if text(root["swagger"]) != "" {
			return nil, e.WithHint("it is of Swagger %s; convert it to OpenAPI 3 first", text(root["swagger"]))
		}
		return nil, e.WithHint("it has to begin with a field openapi, such as openapi: 3.1.0")
	}
	d := &Description{root: root, old: strings.HasPrefix(version, "3.0")}
	paths := object(root["paths"])
	for _, path := range slices.Sorted(maps.Keys(paths)) {
		item := object(paths[path])
		for _, verb := range verbs {
			op, ok := item[verb].(map[string]any)
			if !ok || !strings.HasPrefix(path, "/") {
				continue
			}
			o := Operation{ID: text(op["operationId"]), Method: strings.ToUpper(verb), Path: path, Summary: line(op["summary"])}
			if o.ID == "" {
				o.ID = o.Method + " " + o.Path
			}
			d.ops = append(d.ops, found{o, item, op})
		}
	}
	if len(d.ops) == 0 {
		return nil, errs.New(errs.Invalid, "the description has no operations")
	}
	return d, nil
}

// Operations returns what can be imported, in the order of the paths.
func (d *Description) Operations() (out []Operation) {
	for _, o := range d.ops {
		out = append(out, o.Operation)
	}
	return out
}

// find returns the operation with an ID, or of a "METHOD /path".
func (d *Description) find(id string) (found, error) {
	var ids []string
	for _, o := range d.ops {
		if o.ID == id || o.Method+" "+o.Path == id {
			return o, nil
		}
		ids = append(ids, o.ID)
	}
	e := errs.New(errs.NotFound, "the description has no operation %q", id)
	if near := document.Nearest(id, ids); near != "" {
		return found{}, e.WithHint("did you mean %s?", near)
	}
	return found{}, e.WithHint("leave the operation out to list all %d", len(ids))
}

// resolve follows a local reference of anything but a schema.
func (d *Description) resolve(v any) (map[string]any, error) {
	m := object(v)
	for range 8 {
		ref, ok := m["$ref"].(string)
		if !ok {
			return m, nil
		}
		to, err := d.at(ref)
		if err != nil {
			return nil, err
		}
		m = object(to)
	}
	return nil, errs.New(errs.Invalid, "a reference leads to too many others")
}

// at returns what a local reference names.
func (d *Description) at(ref string) (any, error) {
	pointer, ok := strings.CutPrefix(ref, "#/")
	if !ok {
		return nil, errs.New(errs.Invalid, "the description refers to %q, which is elsewhere", ref).
			WithHint("bundle the description into one file first")
	}
	var v any = d.root
	for _, part := range strings.Split(pointer, "/") {
		if v, ok = object(v)[document.Unescape(part)]; !ok {
			return nil, errs.New(errs.Invalid, "the description refers to %q, which it does not have", ref)
		}
	}
	return v, nil
}

// plain returns what YAML was decoded to as JSON has it: text keys, and dates as they were written.
func plain(v any) any {
	switch v := v.(type) {
	case map[string]any:
		for k, e := range v {
			v[k] = plain(e)
		}
	case map[any]any: // the statuses of responses may be written as numbers
		m := make(map[string]any, len(v))
		for k, e := range v {
			m[fmt.Sprint(k)] = plain(e)
		}
		return m
	case []any:
		for i, e := range v {
			v[i] = plain(e)
		}
	case time.Time:
		return v.Format(time.DateOnly)
	case float64:
		if i := int64(v); float64(i) == v && i < 1<<53 && i > -1<<53 {
			return int(i)
		}
	}
	return v
}

func object(v any) map[string]any {
	m, _ := v.(map[string]any)
	return m
}

func text(v any) string {
	s, _ := v.(string)
	return s
}

// line is text in one line, such as fits a title.
func line(v any) string {
	s := strings.Join(strings.Fields(text(v)), " ")
	if len(s) > 200 {
		s = strings.ToValidUTF8(s[:197], "") + "…"
	}
	return s
}

var (
	humps   = regexp.MustCompile(`([a-z0-9])([A-Z])`)
	strange = regexp.MustCompile(`[^a-z0-9]+`)
)

// slug returns words of a name in small letters with sep between them; "" where none is left.
func slug(s, sep string) string {
	s = strings.ToLower(humps.ReplaceAllString(s, "$1 $2"))
	return strings.Trim(strange.ReplaceAllString(s, sep), sep)
}
