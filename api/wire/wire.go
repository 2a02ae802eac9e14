// Package wire is the mapping between the In of an api method and an HTTP request, both ways: the
// gateway decodes with it what the sdk encodes with it. It reads the path, query and header tags of
// the In and its Body field (see package api), does no I/O, and checks only what it must understand:
// what else a schema asks for is the gateway's business.
package wire

import (
	"bytes"
	"context"
	"encoding"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"tutti/bus"
	"tutti/errs"
)

// Route is the HTTP form of one method. It is immutable, and safe for concurrent use.
type Route struct {
	Info bus.Info
	Verb string // GET
	Path string // /v1/namespaces/{namespace}/runs
	// Params are the fields of In that travel outside the body, in the order they are declared.
	Params []Param
	// Body is the type of the body; nil where the method takes none.
	Body reflect.Type

	body []int // index of the Body field
}

// Param is a field of In that travels in the path, the query or a header.
type Param struct {
	Name string
	// In is "path", "query" or "header".
	In string
	// Required parameters cannot be left out: those of the path, and those tagged so.
	Required bool
	// Field is the field of In, with its tags.
	Field reflect.StructField

	index []int
}

var (
	unmarshaler = reflect.TypeFor[encoding.TextUnmarshaler]()
	marshaler   = reflect.TypeFor[encoding.TextMarshaler]()
)

// New returns the route of a method. It fails where the method has none, or one that does not fit the
// tags of its In.
func New(i bus.Info) (*Route, error) {
	verb, path, ok := strings.Cut(i.HTTP, " ")
	if !ok || !strings.HasPrefix(path, "/") {
		return nil, fmt.Errorf("method %s has no route such as \"GET /v1/things\": %q", i.Name, i.HTTP)
	}
	if i.In.Kind() != reflect.Struct {
		return nil, fmt.Errorf("method %s: its In is a %s, not a struct", i.Name, i.In.Kind())
	}
	r := &Route{Info: i, Verb: verb, Path: path}
	if err := r.collect(i.In, nil); err != nil {
		return nil, fmt.Errorf("method %s: %w", i.Name, err)
	}
	names := placeholders(path)
	for _, p := range r.Params {
		if p.In == "path" && !slices.Contains(names, p.Name) {
			return nil, fmt.Errorf("method %s: the route %s has no {%s}", i.Name, path, p.Name)
		}
	}
	for _, n := range names {
		if _, ok := r.param("path", n); !ok {
			return nil, fmt.Errorf("method %s: no field of its In is tagged path:%q", i.Name, n)
		}
	}
	if r.Body != nil && (verb == http.MethodGet || verb == http.MethodDelete) {
		return nil, fmt.Errorf("method %s: a %s takes no body", i.Name, verb)
	}
	return r, nil
}

// collect adds what the fields of t say, t being at index within In. Fields that are neither tagged
// nor the Body do not travel over HTTP.
func (r *Route) collect(t reflect.Type, index []int) error {
	for i := range t.NumField() {
		f := t.Field(i)
		at := append(slices.Clone(index), i)
		if f.Anonymous && f.Type.Kind() == reflect.Struct {
			if err := r.collect(f.Type, at); err != nil {
				return err
			}
			continue
		}
		if !f.IsExported() {
			continue
		}
		if f.Name == "Body" {
			r.Body, r.body = f.Type, at
			continue
		}
		for _, in := range []string{"path", "query", "header"} {
			name, ok := f.Tag.Lookup(in)
			if !ok {
				continue
			}
			if !scalar(f.Type) {
				return fmt.Errorf("field %s of type %s cannot be a %s parameter", f.Name, f.Type, in)
			}
			r.Params = append(r.Params, Param{Name: name, In: in, Required: in == "path" || f.Tag.Get("required") == "true", Field: f, index: at})
		}
	}
	return nil
}

func scalar(t reflect.Type) bool {
	if reflect.PointerTo(t).Implements(unmarshaler) && t.Implements(marshaler) {
		return true
	}
	switch t.Kind() {
	case reflect.String, reflect.Int, reflect.Int64, reflect.Bool:
		return true
	}
	return false
}

func placeholders(path string) (names []string) {
	for s := range strings.SplitSeq(path, "/") {
		if strings.HasPrefix(s, "{") && strings.HasSuffix(s, "}") {
			names = append(names, s[1:len(s)-1])
		}
	}
	return names
}

func (r *Route) param(in, name string) (Param, bool) {
	i := slices.IndexFunc(r.Params, func(p Param) bool { return p.In == in && p.Name == name })
	if i < 0 {
		return Param{}, false
	}
	return r.Params[i], true
}

// Param returns the parameter that travels in the given place under a name.
func (r *Route) Param(in, name string) (Param, bool) { return r.param(in, name) }

// In returns a pointer to a fresh In of the method.
func (r *Route) In() reflect.Value { return reflect.New(r.Info.In) }

// Of returns the parameter's field of the In that in points at, which can be set.
func (p Param) Of(in reflect.Value) reflect.Value { return in.Elem().FieldByIndex(p.index) }

// Get returns the value of the parameter in the In that in points at: a string, an int64, a bool, or
// the text of a type that has one.
func (p Param) Get(in reflect.Value) any {
	v := p.Of(in)
	if m, ok := v.Interface().(encoding.TextMarshaler); ok {
		b, err := m.MarshalText()
		if err != nil {
			return ""
		}
		return string(b)
	}
	switch v.Kind() {
	case reflect.Int, reflect.Int64:
		return v.Int()
	case reflect.Bool:
		return v.Bool()
	default:
		return v.String()
	}
}

// Zero reports whether the parameter is not set in the In that in points at.
func (p Param) Zero(in reflect.Value) bool { return p.Of(in).IsZero() }

// Set sets the parameter in the In that in points at. It returns errs.Invalid where text is no value
// of its type.
func (p Param) Set(in reflect.Value, text string) error {
	v := p.Of(in)
	if u, ok := v.Addr().Interface().(encoding.TextUnmarshaler); ok {
		err := u.UnmarshalText([]byte(text))
		if _, isTime := u.(*time.Time); isTime && err != nil {
			return errs.New(errs.Invalid, "%.50q is not a time", text).WithHint("write times like 2026-01-31T09:30:00Z")
		}
		return err
	}
	switch v.Kind() {
	case reflect.Int, reflect.Int64:
		n, err := strconv.ParseInt(text, 10, v.Type().Bits())
		if err != nil {
			return errs.New(errs.Invalid, "%.50q is not a whole number", text)
		}
		v.SetInt(n)
	case reflect.Bool:
		b, err := strconv.ParseBool(text)
		if err != nil {
			return errs.New(errs.Invalid, "%.50q is neither true nor false", text)
		}
		v.SetBool(b)
	default:
		v.SetString(text)
	}
	return nil
}

// BodyOf returns the Body field of the In that in points at; only where Body is not nil.
func (r *Route) BodyOf(in reflect.Value) reflect.Value { return in.Elem().FieldByIndex(r.body) }

// Request returns the HTTP request of a call with the In that in points at. base is the address of
// the server, such as http://127.0.0.1:8080. It returns errs.Invalid where a part of the path is empty.
func (r *Route) Request(ctx context.Context, base string, in reflect.Value) (*http.Request, error) {
	path, query, header := r.Path, url.Values{}, http.Header{}
	for _, p := range r.Params {
		text := fmt.Sprint(p.Get(in))
		switch {
		case p.In == "path":
			if text == "" || text == "." || text == ".." {
				return nil, errs.New(errs.Invalid, "%s: %q is no %s", r.Info.Name, text, p.Name)
			}
			path = strings.Replace(path, "{"+p.Name+"}", url.PathEscape(text), 1)
		case p.Zero(in):
		case p.In == "query":
			query.Set(p.Name, text)
		default:
			header.Set(p.Name, text)
		}
	}
	if len(query) > 0 {
		path += "?" + query.Encode()
	}
	var body io.Reader
	if r.Body != nil {
		b, err := json.Marshal(r.BodyOf(in).Interface())
		if err != nil {
			return nil, errs.New(errs.Invalid, "%s: body: %w", r.Info.Name, err)
		}
		body = bytes.NewReader(b)
		header.Set("Content-Type", "application/json")
	}
	req, err := http.NewRequestWithContext(ctx, r.Verb, strings.TrimSuffix(base, "/")+path, body)
	if err != nil {
		return nil, errs.New(errs.Invalid, "%s: %w", r.Info.Name, err)
	}
	for k, v := range header {
		req.Header[k] = v
	}
	return req, nil
}

// Decode sets the parameters of the In that in points at from req, whose path values are known, and
// returns everything wrong with them: what is missing, is no value of its type, is given twice, or is
// unknown in the query. It does not read the body.
func (r *Route) Decode(req *http.Request, in reflect.Value) []errs.Problem {
	var wrong []errs.Problem
	query, err := url.ParseQuery(req.URL.RawQuery)
	if err != nil {
		return []errs.Problem{{Location: "query", Message: "the query is malformed", Hint: "escape what is not a letter or a digit as %XX"}}
	}
	for name := range query {
		if _, ok := r.param("query", name); !ok {
			wrong = append(wrong, errs.Problem{Location: "query." + clip(name), Message: "unknown parameter", Hint: r.known()})
		}
	}
	slices.SortFunc(wrong, func(a, b errs.Problem) int { return strings.Compare(a.Location, b.Location) })
	for _, p := range r.Params {
		text, given := p.text(req, query)
		at := p.In + "." + p.Name
		switch {
		case given > 1:
			wrong = append(wrong, errs.Problem{Location: at, Message: "given more than once"})
		case given == 0 && p.Required:
			wrong = append(wrong, errs.Problem{Location: at, Message: "missing", Hint: p.Field.Tag.Get("doc")})
		case given == 1:
			if err := p.Set(in, text); err != nil {
				e := errs.Public(err)
				wrong = append(wrong, errs.Problem{Location: at, Message: e.Msg, Hint: e.Hint})
			}
		}
	}
	return wrong
}

// text returns how the parameter is given in req, and how often.
func (p Param) text(req *http.Request, query url.Values) (text string, given int) {
	var values []string
	switch p.In {
	case "path":
		return req.PathValue(p.Name), 1
	case "query":
		values = query[p.Name]
	default:
		values = req.Header.Values(p.Name)
	}
	if len(values) == 0 {
		return "", 0
	}
	return values[0], len(values)
}

// known names the query parameters, as a hint.
func (r *Route) known() string {
	var names []string
	for _, p := range r.Params {
		if p.In == "query" {
			names = append(names, p.Name)
		}
	}
	if len(names) == 0 {
		return "it takes no query parameters"
	}
	return "known are " + strings.Join(names, ", ")
}

// clip bounds text that a stranger chose.
func clip(s string) string {
	if len(s) > 100 {
		return strings.ToValidUTF8(s[:100], "") + "…"
	}
	return s
}
