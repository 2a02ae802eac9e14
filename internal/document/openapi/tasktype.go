package openapi

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"tutti/errs"
)

// call is a TaskType in the making.
type call struct {
	d     *Description
	with  schemas
	props map[string]any
	must  []any

	path           string
	query, headers map[string]any
	body           any
	form           any
	notes          []string
}

// TaskType returns the document for an operation, given by its ID or as "METHOD /path". name is what the
// type is to be called; "" makes a name of the API's title and the operation. It returns errs.NotFound
// for an operation that is not there, errs.Invalid for one that no TaskType can make.
func (d *Description) TaskType(operation, name string) ([]byte, error) {
	o, err := d.find(operation)
	if err != nil {
		return nil, err
	}
	c := &call{d: d, with: schemas{d: d, way: sent, defs: map[string]any{}}, props: map[string]any{}, path: o.Path, query: map[string]any{}, headers: map[string]any{}}
	for _, step := range []func(found) error{c.server, c.parameters, c.credential, c.content} {
		if err := step(o); err != nil {
			return nil, errs.New(errs.KindOf(err), "%s: %w", o.ID, err)
		}
	}
	with, err := c.input()
	if err != nil {
		return nil, errs.New(errs.Invalid, "%s: its input: %w", o.ID, err)
	}
	out := c.output(o)
	if name == "" {
		name = d.name(o)
	}
	return write(name, c.about(o), with, out, c.rest(o))
}

// name makes the name of a type.
func (d *Description) name(o found) string {
	api, op := slug(text(object(d.root["info"])["title"]), "-"), slug(o.ID, "-")
	if api == "" || api[0] < 'a' {
		api = "api"
	}
	return strings.Trim(strings.TrimSuffix(api, "-api")+"."+op, ".-")
}

var unnamed = regexp.MustCompile(`[^A-Za-z0-9_]+`)

// field adds a field of the input and returns the expression for it. Names that no expression can name
// are rewritten; one that is taken gets the place it goes to before it.
func (c *call) field(name, place string, schema map[string]any, required bool) string {
	name = strings.Trim(unnamed.ReplaceAllString(name, "_"), "_")
	if name == "" || name[0] >= '0' && name[0] <= '9' {
		name = place + "_" + name
	}
	for c.props[name] != nil {
		name = place + "_" + name
	}
	c.props[name] = schema
	if required {
		c.must = append(c.must, name)
	}
	return "${{ with." + name + " }}"
}

// server makes the base URL a field, by default the description's own.
func (c *call) server(o found) error {
	schema := map[string]any{"type": "string", "format": "uri", "description": "Base URL of the API, such as https://api.example.org"}
	for _, servers := range []any{o.op["servers"], o.item["servers"], c.d.root["servers"]} {
		if l := list(servers); len(l) > 0 {
			u := text(object(l[0])["url"])
			if strings.HasPrefix(u, "http") && !strings.ContainsAny(u, "{}?#") {
				schema["default"] = strings.TrimSuffix(u, "/")
			}
			break
		}
	}
	c.field("server", "base", schema, schema["default"] == nil)
	return nil
}

// parameters makes fields of the parameters, where the operation's own go before those of its path.
func (c *call) parameters(o found) error {
	if strings.Contains(o.Path, "${{") {
		return errs.New(errs.Invalid, "its path holds ${{, which would be an expression")
	}
	seen := map[string]bool{}
	for _, p := range append(slices.Clone(list(o.op["parameters"])), list(o.item["parameters"])...) {
		p, err := c.d.resolve(p)
		if err != nil {
			return err
		}
		name, in := text(p["name"]), text(p["in"])
		if seen[in+" "+name] {
			continue
		}
		seen[in+" "+name] = true
		if err := c.parameter(p, name, in); err != nil {
			return fmt.Errorf("parameter %s: %w", name, err)
		}
	}
	if strings.ContainsAny(unfilled.ReplaceAllString(c.path, ""), "{}") {
		return errs.New(errs.Invalid, "no parameter fills the path %s", o.Path)
	}
	return nil
}

// unfilled matches the places of a path that a field fills.
var unfilled = regexp.MustCompile(`\$\{\{ with\.\w+ \}\}`)

// managed are headers that the call sets by itself.
var managed = []string{"accept", "authorization", "content-type", "content-length", "host", "idempotency-key", "traceparent"}

func (c *call) parameter(p map[string]any, name, in string) error {
	required := p["required"] == true
	s, err := c.with.convert(first(p["schema"], map[string]any{}), 0)
	if err != nil {
		return err
	}
	schema, _ := s.(map[string]any)
	if schema == nil {
		schema = map[string]any{}
	}
	if doc := line(p["description"]); doc != "" && schema["$ref"] == nil {
		schema["description"] = doc
	}
	switch in {
	case "path":
		c.path = strings.ReplaceAll(c.path, "{"+name+"}", c.field(name, in, schema, true))
	case "query":
		value := c.field(name, in, schema, required)
		if p["explode"] == false && schema["type"] == "array" {
			value = "${{ " + commas(value) + " }}"
		}
		c.query[name] = value
	case "header":
		if !slices.Contains(managed, strings.ToLower(name)) {
			c.headers[name] = c.field(name, in, schema, required)
		}
	default: // cookies
		if required {
			return errs.New(errs.Invalid, "it is a cookie, which a TaskType does not send")
		}
		c.notes = append(c.notes, "The cookie "+name+" is not sent.")
	}
	return nil
}

// commas is an expression for a list as one text.
func commas(value string) string {
	field := strings.TrimSuffix(strings.TrimPrefix(value, "${{ "), " }}")
	return field + ` == nil ? nil : join(map(` + field + `, string(#)), ",")`
}

// credential makes fields of what the first scheme wants that a TaskType can give.
func (c *call) credential(o found) error {
	wanted, own := o.op["security"]
	if !own {
		wanted = c.d.root["security"]
	}
	alternatives := list(wanted)
	if len(alternatives) == 0 {
		return nil
	}
	schemes := object(object(c.d.root["components"])["securitySchemes"])
	for _, a := range alternatives {
		names := slices.Sorted(maps.Keys(object(a)))
		if len(names) == 0 {
			return nil // it may be called without any
		}
		if !slices.ContainsFunc(names, func(n string) bool { s, err := c.d.resolve(schemes[n]); return err != nil || !givable(s) }) {
			for _, n := range names {
				s, _ := c.d.resolve(schemes[n])
				c.give(s)
			}
			return nil
		}
	}
	return errs.New(errs.Invalid, "it takes a credential that a TaskType cannot give").
		WithHint("what can be given are bearer tokens, user and password, and keys in a header or the query")
}

func givable(s map[string]any) bool {
	switch text(s["type"]) {
	case "http":
		return slices.Contains([]string{"bearer", "basic"}, strings.ToLower(text(s["scheme"])))
	case "apiKey":
		return text(s["in"]) == "header" || text(s["in"]) == "query"
	}
	return text(s["type"]) == "oauth2" || text(s["type"]) == "openIdConnect"
}

// give sends a credential.
func (c *call) give(s map[string]any) {
	secret := func(doc string) map[string]any { return map[string]any{"type": "string", "description": doc} }
	switch {
	case text(s["type"]) == "apiKey":
		value := c.field(text(s["name"]), "key", secret("Key of the API; a secret"), true)
		if text(s["in"]) == "query" {
			c.query[text(s["name"])] = value
		} else {
			c.headers[text(s["name"])] = value
		}
	case strings.EqualFold(text(s["scheme"]), "basic"):
		c.field("user", "login", secret("User of the API"), true)
		c.field("password", "login", secret("Password of the user; a secret"), true)
		c.headers["Authorization"] = `Basic ${{ b64(with.user + ":" + with.password) }}`
	default:
		c.headers["Authorization"] = "Bearer " + c.field("token", "bearer", secret("Token of the API; a secret"), true)
	}
}

// first returns the first value that is there.
func first(vs ...any) any {
	for _, v := range vs {
		if v != nil {
			return v
		}
	}
	return nil
}
