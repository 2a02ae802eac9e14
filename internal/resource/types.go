package resource

import (
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"tutti/api"
	"tutti/errs"
	"tutti/internal/document"
	"tutti/internal/script"
	"tutti/internal/workflow/expr"
)

//go:embed schemas
var schemaFiles embed.FS

// Schemas returns the JSON Schemas of the kinds ResourceType and Preset, by kind.
func Schemas() map[string]json.RawMessage {
	out := map[string]json.RawMessage{}
	for kind, file := range map[string]string{api.KindResourceType: "resource-type.json", api.KindPreset: "preset.json"} {
		b, err := schemaFiles.ReadFile("schemas/" + file)
		if err != nil {
			panic(err) // impossible: it is embedded
		}
		out[kind] = b
	}
	return out
}

// resourceType is a ResourceType ready to be used. It is immutable.
type resourceType struct {
	name, title, description string
	version                  int // of the definition; 0 where it is only checked
	tags, notify             []string
	schema                   map[string]any   // as it was written, closed
	check                    *document.Schema // the same, compiled
	nameFrom                 *expr.Template
	handler                  *script.Module // nil where there is none
	options                  []optionSource
	converge                 []choice // the workflow that keeps all of them as they were ordered, if any
	program                  *program // the handler, where it is a program
	course                            // to create
	courses                  map[string]course
	repository               string // "" where no files are kept
	os                       *expr.Template
	views                    []string
	placement                *placement
}

// course is how something is done to a resource.
type course struct {
	workflows []choice
	inputs    *expr.Template
}

// placement is where a resource goes, in a view of an end system.
type placement struct {
	view                                  string
	datacenter, cluster, storage, network *expr.Template // the first and the last may be nil
}

// choice is a workflow and when it is used; a nil when is always.
type choice struct {
	when *expr.Program
	use  string
	at   string // JSON pointer of use
}

// preset is a Preset ready to be used. It is immutable.
type preset struct {
	name, of, title, description string
	tags                         []string
	set, defaults                map[string]any
}

// The names that templates and conditions may read.
var (
	readsSpec     = []string{"spec", "params", "requester"}
	readsConverge = []string{"resource", "due", "resources"}
	readsResource = []string{"spec", "params", "requester", "resource", "action", "current"}
	readsSource   = append(slices.Clone(readsResource), "source")
)

// parser turns a document into a type or a preset and gathers what is wrong with it.
type parser struct {
	d        *document.Document
	problems []errs.Problem
}

func (p *parser) fail(at, message, hint string) {
	p.problems = append(p.problems, errs.Problem{Location: at, Message: message, Hint: hint})
}

// shape checks the document against the schema of its kind and reports whether it fits.
func (p *parser) shape() bool {
	s, err := document.CompileSchema(Schemas()[p.d.Kind])
	if err != nil {
		p.fail(p.d.At(""), err.Error(), "")
		return false
	}
	p.problems = append(p.problems, p.d.Validate(s.Compiled())...)
	return len(p.problems) == 0
}

// parseType compiles a ResourceType. The type is nil where there are problems.
func parseType(d *document.Document) (*resourceType, []errs.Problem) {
	p := &parser{d: d}
	if !p.shape() {
		return nil, p.problems
	}
	v, _ := d.Value().(map[string]any)
	t := &resourceType{name: d.Name, title: d.Title, description: text(v["description"]), tags: texts(v["tags"]), notify: texts(v["notify"])}
	t.schema, _ = document.Closed(v["schema"]).(map[string]any)
	check, err := document.CompileSchema(document.Canonical(t.schema))
	if err != nil {
		p.fail(d.At("/schema"), err.Error(), "")
	}
	t.check = check
	if kind, ok := t.schema["type"]; ok && kind != "object" {
		p.fail(d.At("/schema/type"), "what is asked must be an object", "write type: object, and the fields under properties")
	}
	t.nameFrom = p.template("/nameFrom", orElse(v["nameFrom"], "${{ spec.name }}"), readsSpec)
	t.repository = text(v["repository"])
	t.course = course{p.workflows("/workflow", v["workflow"]), p.template("/inputs", orElse(v["inputs"], defaultInputs), t.reads())}
	p.actions(t, v)
	t.os = p.optional("/os", v["os"])
	t.views = texts(v["views"])
	p.placement(t, v["placement"])
	if h, ok := v["handler"].(map[string]any); ok {
		t.program = p.program(h)
	}
	t.handler = p.handler(v["handler"])
	t.converge = p.converge(v["converge"])
	t.options = p.optionSources("/schema", "", t.schema)
	if len(p.problems) > 0 {
		return nil, p.problems
	}
	return t, nil
}

// parsePreset reads a Preset by itself; whether it fits its type is a question of its own (fits).
func parsePreset(d *document.Document) (*preset, []errs.Problem) {
	p := &parser{d: d}
	if !p.shape() {
		return nil, p.problems
	}
	v, _ := d.Value().(map[string]any)
	out := &preset{name: d.Name, of: text(v["of"]), title: d.Title, description: text(v["description"]), tags: texts(v["tags"])}
	out.set, _ = v["set"].(map[string]any)
	out.defaults, _ = v["default"].(map[string]any)
	for _, key := range slices.Sorted(maps.Keys(out.defaults)) {
		if _, both := out.set[key]; both {
			p.fail(d.KeyAt(document.Pointer("default", key)), fmt.Sprintf("%q is under set too", key), "a field is fixed, or filled in, not both")
		}
	}
	if len(p.problems) > 0 {
		return nil, p.problems
	}
	return out, nil
}

// template parses a template that may read some names.
func (p *parser) template(at string, v any, reads []string) *expr.Template {
	t, wrong := expr.ParseTemplate(v)
	for _, e := range wrong {
		p.fail(p.d.Inside(at+e.Pointer, e.Offset), e.Message, e.Hint)
	}
	if t == nil {
		return nil
	}
	for _, use := range t.Secrets() {
		p.fail(p.d.Inside(at+use.Pointer, use.Offset), "a secret has no place here", "the workflow's tasks can use it: with: { … ${{ secrets."+use.Name+" }} }")
	}
	for _, x := range t.Exprs() {
		p.names(at+x.Pointer, x.Offset, x.Program, reads)
	}
	return t
}

// names complains of what an expression reads and cannot.
func (p *parser) names(at string, offset int, program *expr.Program, reads []string) {
	for _, ref := range program.Refs() {
		if ref.Path[0] == "secrets" || slices.Contains(reads, ref.Path[0]) {
			continue
		}
		hint := "there are " + strings.Join(reads, ", ")
		if near := document.Nearest(ref.Path[0], reads); near != "" {
			hint = "did you mean " + near + "? " + hint
		}
		p.fail(p.d.Inside(at, offset+ref.Offset), fmt.Sprintf("there is no %q here", ref.Path[0]), hint)
	}
}

func (p *parser) workflows(under string, v any) (out []choice) {
	if use, ok := v.(string); ok {
		return []choice{{use: use, at: under}}
	}
	list, _ := v.([]any)
	for i, e := range list {
		at := under + document.Pointer(strconv.Itoa(i))
		m, _ := e.(map[string]any)
		c := choice{use: text(m["use"]), at: at + "/use"}
		if when, ok := m["when"].(string); ok {
			c.when = p.condition(at+"/when", when)
		} else if i < len(list)-1 {
			p.fail(p.d.At(at), "a choice without when always matches; those below are never used", "give it a condition, or move it to the end")
		}
		out = append(out, c)
	}
	return out
}

// converge checks what is to be done with all resources of the type again and again.
func (p *parser) converge(v any) []choice {
	m, _ := v.(map[string]any)
	if m == nil {
		return nil
	}
	if m["inputs"] != nil {
		p.template("/converge/inputs", m["inputs"], readsConverge)
	}
	var every api.Duration
	if err := every.UnmarshalText([]byte(text(m["every"]))); err != nil || time.Duration(every) < time.Minute {
		p.fail(p.d.At("/converge/every"), "it is to be at least 1m", "write 1h, or 1d")
	}
	return []choice{{use: text(m["workflow"]), at: "/converge/workflow"}}
}

func (p *parser) condition(at, source string) *expr.Program {
	return p.expression(at, source, readsSpec)
}

// expression compiles an expression that may read some names.
func (p *parser) expression(at, source string, reads []string) *expr.Program {
	program, err := expr.Compile(source)
	if e, ok := errors.AsType[*expr.SyntaxError](err); ok {
		p.fail(p.d.Inside(at, e.Offset), e.Message, e.Hint)
		return nil
	}
	if err != nil {
		p.fail(p.d.At(at), err.Error(), "")
		return nil
	}
	p.names(at, 0, program, reads)
	return program
}

// handlerFile is how a handler is called in its own messages.
const handlerFile = "handler"

func (p *parser) handler(v any) *script.Module {
	source, ok := v.(string)
	if !ok {
		return nil
	}
	m, err := script.Compile(handlerFile, source, script.Options{})
	if err != nil {
		p.handlerError(source, err)
		return nil
	}
	if !m.Has("handle") {
		p.fail(p.d.At("/handler"), "the handler has no function handle", "write def handle(spec, context): … return spec")
	}
	return m
}

// handlerError puts what is wrong with a handler to where it stands in the document.
func (p *parser) handlerError(source string, err error) {
	e := errs.Public(err)
	problems := e.Problems
	if wrong, ok := errors.AsType[*script.Error](err); ok && len(problems) == 0 {
		problems = []errs.Problem{{Location: fmt.Sprintf("%s:%d:%d", handlerFile, wrong.Line, wrong.Col), Message: wrong.Msg}}
	}
	if len(problems) == 0 {
		problems = []errs.Problem{{Message: e.Msg, Hint: e.Hint}}
	}
	for _, q := range problems {
		at := p.d.At("/handler")
		var line, col int
		if n, _ := fmt.Sscanf(q.Location, handlerFile+":%d:%d", &line, &col); n == 2 && line > 0 {
			at = p.d.Inside("/handler", offsetOf(source, line, col))
		}
		p.fail(at, q.Message, q.Hint)
	}
}

// offsetOf returns where a line and column of a text are, in bytes; columns count characters.
func offsetOf(text string, line, col int) int {
	off := 0
	for ; line > 1; line-- {
		i := strings.IndexByte(text[off:], '\n')
		if i < 0 {
			return len(text)
		}
		off += i + 1
	}
	for _, c := range text[off:] {
		if col--; col < 1 || c == '\n' {
			break
		}
		off += len(string(c))
	}
	return off
}

// fits returns what is wrong with a preset as one of t; at gives the places of its fields.
func (b *preset) fits(t *resourceType, at func(pointer string) string) (problems []errs.Problem) {
	props, _ := t.schema["properties"].(map[string]any)
	_, open := t.schema["additionalProperties"]
	open = open && t.schema["additionalProperties"] != false
	for under, fields := range map[string]map[string]any{"set": b.set, "default": b.defaults} {
		for name, v := range fields {
			ptr := document.Pointer(under, name)
			sub, known := props[name]
			switch {
			case !known && len(props) > 0 && !open:
				hint := "its fields are " + strings.Join(slices.Sorted(maps.Keys(props)), ", ")
				if near := document.Nearest(name, slices.Collect(maps.Keys(props))); near != "" {
					hint = "did you mean " + near + "? " + hint
				}
				problems = append(problems, errs.Problem{Location: at(ptr), Message: fmt.Sprintf("%s has no field %q", t.name, name), Hint: hint})
			case known:
				for _, q := range t.checkField(name, sub, v) {
					problems = append(problems, errs.Problem{Location: at(ptr), Message: q.Message, Hint: q.Hint})
				}
			}
		}
	}
	slices.SortFunc(problems, func(a, b errs.Problem) int { return strings.Compare(a.Location+a.Message, b.Location+b.Message) })
	return problems
}

// checkField checks the value of one field, by a schema that asks for nothing else.
func (t *resourceType) checkField(name string, sub, v any) []errs.Problem {
	one := map[string]any{"properties": map[string]any{name: sub}}
	for _, defs := range []string{"$defs", "definitions", "$schema"} {
		if d, ok := t.schema[defs]; ok {
			one[defs] = d
		}
	}
	return document.CheckValue(document.Canonical(one), map[string]any{name: v}, "")
}

func text(v any) string {
	s, _ := v.(string)
	return s
}

func texts(v any) (out []string) {
	list, _ := v.([]any)
	for _, e := range list {
		out = append(out, text(e))
	}
	return out
}

func orElse(v, otherwise any) any {
	if v == nil {
		return otherwise
	}
	return v
}
