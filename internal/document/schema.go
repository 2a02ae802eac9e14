package document

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"strings"
	"sync"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"tutti/errs"
)

// MaxSchema bounds a JSON Schema that a user wrote, in bytes.
const MaxSchema = 256 << 10

const schemaURL = "https://tutti.invalid/schema.json"

// nowhere is the loader of schemas: there is nothing to load.
type nowhere struct{}

func (nowhere) Load(url string) (any, error) {
	return nil, fmt.Errorf("nothing is loaded from %s: a schema refers to itself (#/…) only", url)
}

// Schema is a JSON Schema ready to check values and to fill in what they leave out. It is safe for
// concurrent use.
type Schema struct {
	compiled    *jsonschema.Schema
	raw         any  // decoded, for defaults
	conditional bool // a part of it holds or not depending on a value elsewhere
}

// Compiled returns the library's form, for Document.Validate.
func (s *Schema) Compiled() *jsonschema.Schema { return s.compiled }

// Raw returns the decoded schema. It must not be changed.
func (s *Schema) Raw() any { return s.raw }

// CompileSchema returns the compiled form of a JSON Schema (draft 2020-12 unless it says otherwise;
// formats are checked). Nothing is fetched; schemas whose check could take exponential time are
// refused. Results are kept, by digest, in a bounded cache. The error is for the schema's author.
func CompileSchema(schema json.RawMessage) (*Schema, error) {
	key := sha256.Sum256(schema)
	if c, ok := schemas.get(key); ok {
		return c.schema, c.err
	}
	s, err := compileSchema(schema)
	schemas.put(key, compiled{s, err})
	return s, err
}

func compileSchema(schema json.RawMessage) (*Schema, error) {
	if len(schema) > MaxSchema {
		return nil, fmt.Errorf("the schema has %d bytes, the limit is %d", len(schema), MaxSchema)
	}
	// Plain numbers: json.Number would let 1e999999999 become an exact number of that size.
	var raw any
	if err := json.Unmarshal(schema, &raw); err != nil {
		return nil, fmt.Errorf("the schema is not JSON: %w", err)
	}
	if d := depthOf(raw, 0); d > MaxDepth {
		return nil, fmt.Errorf("the schema is nested deeper than %d levels", MaxDepth)
	}
	c := jsonschema.NewCompiler()
	c.DefaultDraft(jsonschema.Draft2020)
	c.AssertFormat()
	c.UseLoader(nowhere{})
	if err := c.AddResource(schemaURL, raw); err != nil {
		return nil, schemaError(err)
	}
	s, err := c.Compile(schemaURL)
	if err != nil {
		return nil, schemaError(err)
	}
	if err := affordable(s); err != nil {
		return nil, err
	}
	return &Schema{compiled: s, raw: raw, conditional: conditional(s)}, nil
}

// depthOf returns how deep v nests, or MaxDepth+1 where it is deeper.
func depthOf(v any, depth int) int {
	deepest := depth
	if depth > MaxDepth {
		return depth
	}
	switch v := v.(type) {
	case []any:
		for _, e := range v {
			deepest = max(deepest, depthOf(e, depth+1))
		}
	case map[string]any:
		for _, e := range v {
			deepest = max(deepest, depthOf(e, depth+1))
		}
	}
	return deepest
}

// schemaError puts what the library says of a schema into one line.
func schemaError(err error) error {
	if sv, ok := err.(*jsonschema.SchemaValidationError); ok {
		if ve, ok := sv.Err.(*jsonschema.ValidationError); ok {
			t := translator{}
			t.walk(ve)
			if len(t.found) > 0 {
				t.sort()
				f := t.found[0]
				return fmt.Errorf("not a JSON Schema: at %s: %s", "#"+Pointer(f.at...), f.message)
			}
		}
	}
	msg := strings.ReplaceAll(err.Error(), schemaURL, "")
	msg = strings.ReplaceAll(msg, "jsonschema: ", "")
	return fmt.Errorf("not a JSON Schema: %s", strings.Join(strings.Fields(msg), " "))
}

// CheckValue checks a decoded JSON value against a JSON Schema and returns all that is wrong, located
// below at: "body.inputs" gives "body.inputs.disks[0].gb". A nil schema accepts anything; a schema
// that cannot be compiled is a problem of its own.
func CheckValue(schema json.RawMessage, v any, at string) []errs.Problem {
	if len(bytes.TrimSpace(schema)) == 0 {
		return nil
	}
	s, err := CompileSchema(schema)
	if err != nil {
		return []errs.Problem{{Location: at, Message: err.Error()}}
	}
	return s.Check(v, at)
}

// Check is CheckValue with the schema at hand.
func (s *Schema) Check(v any, at string) []errs.Problem {
	var out []errs.Problem
	for _, f := range findings(s.compiled, v) {
		out = append(out, errs.Problem{Location: dotted(at, v, f.at), Message: f.message, Hint: f.hint})
	}
	return out
}

// CheckPartial checks a value some of whose texts, at the pointers holes, stand for values that are
// not known yet: it tells of what is wrong whatever they will be. where returns the location of a
// pointer, or of the key there.
func (s *Schema) CheckPartial(v any, holes []string, where func(pointer string, key bool) string) []errs.Problem {
	if len(holes) > 0 && s.conditional {
		return nil
	}
	var out []errs.Problem
	for _, f := range findings(s.compiled, v, holes...) {
		out = append(out, errs.Problem{Location: where(Pointer(f.at...), f.key), Message: f.message, Hint: f.hint})
	}
	return out
}

func conditional(s *jsonschema.Schema) bool {
	g := graph{ids: map[*jsonschema.Schema]int{}}
	g.add(s)
	for p := range g.ids {
		if p.If != nil || len(p.DependentSchemas) > 0 || len(p.Dependencies) > 0 || p.UnevaluatedProperties != nil || p.UnevaluatedItems != nil {
			return true
		}
	}
	return false
}

// dotted writes an instance location as people write it: a.b[0]["x y"].
func dotted(prefix string, v any, parts []string) string {
	var b strings.Builder
	b.WriteString(prefix)
	for _, p := range parts {
		switch c := v.(type) {
		case []any:
			b.WriteString("[" + p + "]")
			v = nil
			var i int
			if _, err := fmt.Sscan(p, &i); err == nil && i >= 0 && i < len(c) {
				v = c[i]
			}
			continue
		case map[string]any:
			v = c[p]
		}
		if b.Len() > 0 {
			b.WriteByte('.')
		}
		b.WriteString(p)
	}
	return b.String()
}

// Validate checks the document against a compiled schema and returns all that is wrong, located in
// its file.
func (d *Document) Validate(schema *jsonschema.Schema) []errs.Problem {
	var out []errs.Problem
	for _, f := range findings(schema, d.value) {
		ptr := Pointer(f.at...)
		where := d.At(ptr)
		if f.key {
			where = d.KeyAt(ptr)
		}
		out = append(out, errs.Problem{Location: where, Message: f.message, Hint: f.hint})
	}
	return out
}

type compiled struct {
	schema *Schema
	err    error
}

// cache keeps the schemas used last: two halves, the older of which is dropped when the younger is
// full.
type cache struct {
	mu         sync.Mutex
	young, old map[[32]byte]compiled
}

const cacheHalf = 256

// schemas is shared by the process: what it holds depends on nothing but the key.
var schemas = cache{young: map[[32]byte]compiled{}}

func (c *cache) get(key [32]byte) (compiled, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if s, ok := c.young[key]; ok {
		return s, true
	}
	s, ok := c.old[key]
	if ok {
		c.add(key, s)
	}
	return s, ok
}

func (c *cache) put(key [32]byte, s compiled) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.add(key, s)
}

func (c *cache) add(key [32]byte, s compiled) {
	if len(c.young) >= cacheHalf {
		c.old, c.young = c.young, make(map[[32]byte]compiled, cacheHalf)
	}
	c.young[key] = s
}
