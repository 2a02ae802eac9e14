package gateway

import (
	"cmp"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/validation"

	"tutti/api/wire"
	"tutti/errs"
)

// schemas holds the JSON Schemas of all inputs and outputs, and checks inputs against them. After New
// nothing in it changes.
type schemas struct{ reg huma.Registry }

// schemaPrefix is where the OpenAPI document keeps schemas.
const schemaPrefix = "#/components/schemas/"

func newSchemas() *schemas {
	return &schemas{huma.NewMapRegistry(schemaPrefix, huma.DefaultSchemaNamer)}
}

type paramSchema struct {
	wire.Param
	schema *huma.Schema
}

type bodySchema struct{ schema *huma.Schema }

// add gives op the schemas of its input. Tags that make no schema are an error.
func (s *schemas) add(op *operation) (err error) {
	defer func() {
		if p := recover(); p != nil { // how huma refuses a tag
			err = fmt.Errorf("method %s: %v", op.Info.Name, p)
		}
	}()
	for _, p := range op.Params {
		f := huma.SchemaFromField(s.reg, p.Field, p.Name)
		op.params = append(op.params, paramSchema{p, f})
	}
	if op.Body != nil {
		op.body = &bodySchema{s.reg.Schema(op.Body, true, op.Info.Name)}
		s.strict(op.body.schema, map[string]bool{})
	}
	return nil
}

// strict makes the arrays that a body must have refuse null, which huma lets pass for them.
func (s *schemas) strict(x *huma.Schema, seen map[string]bool) {
	if x == nil {
		return
	}
	if x.Ref != "" {
		if seen[x.Ref] {
			return
		}
		seen[x.Ref] = true
		x = s.reg.SchemaFromRef(x.Ref)
	}
	if x.Type == huma.TypeArray {
		x.Nullable = false
	}
	s.strict(x.Items, seen)
	for _, p := range x.Properties {
		s.strict(p, seen)
	}
	if more, ok := x.AdditionalProperties.(*huma.Schema); ok {
		s.strict(more, seen)
	}
}

// checkParams returns what is wrong with the values of the parameters that are set.
func (s *schemas) checkParams(op *operation, in reflect.Value) []errs.Problem {
	var wrong []errs.Problem
	for _, p := range op.params {
		if p.Zero(in) && !p.Required {
			continue
		}
		wrong = append(wrong, s.check(p.schema, p.In+"."+p.Name, p.Get(in))...)
	}
	return wrong
}

// checkBody returns what is wrong with a body, each thing at its place.
func (s *schemas) checkBody(b *bodySchema, v any) []errs.Problem {
	var wrong []errs.Problem
	s.unknown(b.schema, where{name: "body"}, v, &wrong)
	wrong = append(wrong, s.check(b.schema, "body", v)...)
	slices.SortStableFunc(wrong, func(a, b errs.Problem) int { return strings.Compare(a.Location, b.Location) })
	return wrong
}

// check validates v, which is found at a place.
func (s *schemas) check(x *huma.Schema, at string, v any) []errs.Problem {
	var res huma.ValidateResult
	path := huma.NewPathBuffer(make([]byte, 0, 64), 0)
	path.Push(at)
	huma.Validate(s.reg, x, path, huma.ModeWriteToServer, v, &res)
	var wrong []errs.Problem
	for _, err := range res.Errors {
		d, ok := err.(*huma.ErrorDetail)
		if !ok {
			wrong = append(wrong, errs.Problem{Location: at, Message: err.Error()})
			continue
		}
		if d.Message == validation.MsgUnexpectedProperty {
			continue // unknown tells it better
		}
		p := errs.Problem{Location: clip(d.Location), Message: d.Message}
		if before, after, ok := strings.Cut(validation.MsgExpectedRequiredProperty, "%s"); ok {
			if name, ok := strings.CutPrefix(d.Message, before); ok && strings.HasSuffix(name, after) {
				p.Location += "." + strings.TrimSuffix(name, after)
				p.Message = "missing"
			}
		}
		wrong = append(wrong, p)
	}
	return wrong
}

// unknown finds the fields of v that its schema does not have. Names count exactly as they are
// written, since the decoder would take Token for token and a check of token would not see it.
func (s *schemas) unknown(x *huma.Schema, at where, v any, wrong *[]errs.Problem) {
	if x == nil || len(*wrong) > maxProblems {
		return
	}
	if x.Ref != "" {
		x = s.reg.SchemaFromRef(x.Ref)
	}
	switch v := v.(type) {
	case []any:
		for i, e := range v {
			s.unknown(x.Items, where{above: &at, element: i + 1}, e, wrong)
		}
	case map[string]any:
		more, isMap := x.AdditionalProperties.(*huma.Schema)
		anything, _ := x.AdditionalProperties.(bool)
		for name, e := range v {
			p, ok := x.Properties[name]
			switch {
			case ok:
				s.unknown(p, where{above: &at, name: name}, e, wrong)
			case isMap:
				s.unknown(more, where{above: &at, name: name}, e, wrong)
			case x.Type == huma.TypeObject && !anything:
				*wrong = append(*wrong, errs.Problem{Location: clip(at.String() + "." + name), Message: "unknown field", Hint: similar(name, x.Properties)})
			}
		}
	}
}

// where is a place in a body. It is put into words only where something is wrong: most bodies are right, and
// some have many thousand places.
type where struct {
	above   *where
	name    string // of a field
	element int    // from 1; 0 is a field
}

func (w where) String() string {
	switch {
	case w.above == nil:
		return w.name
	case w.element > 0:
		return fmt.Sprintf("%s[%d]", w.above, w.element-1)
	}
	return w.above.String() + "." + w.name
}

// similar names the field that was probably meant, or all there are.
func similar(name string, fields map[string]*huma.Schema) string {
	best, least := "", 3
	var all []string
	for f := range fields {
		all = append(all, f)
		if d := distance(strings.ToLower(clip(name)), strings.ToLower(f)); d < least || d == least && best != "" && f < best {
			best, least = f, d
		}
	}
	slices.Sort(all)
	switch {
	case best != "":
		return fmt.Sprintf("did you mean %s?", best)
	case len(all) == 0:
		return "it takes no fields"
	}
	return "known are " + strings.Join(all, ", ")
}

// distance is how many single changes lead from a to b, after Levenshtein.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			diagonal, row[j+1] = row[j+1], min(diagonal+cost, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}

// clip bounds text that a stranger chose.
func clip(s string) string {
	const most = 200
	if len(s) > most {
		return strings.ToValidUTF8(s[:most], "") + "…"
	}
	return cmp.Or(s, "body")
}
