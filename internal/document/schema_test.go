package document_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"tutti/internal/document"
)

const vmSchema = `{
	"type": "object", "required": ["name", "network"], "additionalProperties": false,
	"properties": {
		"name": {"type": "string", "pattern": "^[a-z]+$", "description": "small letters only"},
		"network": {"type": "string", "description": "where it is attached"},
		"cpu": {"type": "integer", "minimum": 1, "maximum": 32, "default": 2},
		"env": {"enum": ["dev", "test", "prod"], "default": "dev"},
		"mail": {"type": "string", "format": "email"},
		"size": {"anyOf": [{"type": "integer", "minimum": 1}, {"type": "string", "pattern": "%$"}]},
		"call": {"type": "object", "oneOf": [{"required": ["use"]}, {"required": ["tasks"]}]},
		"disks": {"type": "array", "maxItems": 2, "uniqueItems": true, "items": {"$ref": "#/$defs/disk"}},
		"net": {"type": "object", "default": {}, "properties": {"mtu": {"type": "integer", "default": 1500}}}
	},
	"$defs": {"disk": {"type": "object", "required": ["gb"], "properties": {"gb": {"type": "integer", "multipleOf": 10}, "tier": {"type": "string", "minLength": 1, "default": "ssd"}}}}
}`

func decode(t testing.TB, src string) any {
	t.Helper()
	var v any
	if err := json.Unmarshal([]byte(src), &v); err != nil {
		t.Fatal(err)
	}
	return v
}

func TestCheckValue(t *testing.T) {
	t.Parallel()
	for _, tc := range [][2]string{
		{`{"name": "a", "network": "n", "size": "5%", "disks": [{"gb": 10}]}`, ""},
		{`3`, "in: the value must be an object, got a number\n"},
		{`{}`, "in: \"name\" is missing (small letters only)\nin: \"network\" is missing (where it is attached)\n"},
		{`{"name": "A1", "netwrok": "n", "cpu": "four", "env": "prd"}`,
			"in: \"network\" is missing (where it is attached)\n" +
				"in.cpu: cpu must be a whole number, got text\n" +
				"in.env: env must be one of dev, test, prod, got \"prd\" (did you mean prod?)\n" +
				"in.name: name has the wrong form: \"A1\" (small letters only)\n" +
				"in.netwrok: unknown key \"netwrok\" (did you mean network?)\n"},
		{`{"name": 1.1, "network": "n", "cpu": 33, "mail": "nobody", "size": 0, "call": {"use": 1, "tasks": 2}}`,
			"in.call: \"use\" and \"tasks\" exclude each other (give only one of them)\n" +
				"in.cpu: cpu must be at most 32, got 33\n" +
				"in.mail: mail is not an email: \"nobody\"\n" +
				"in.name: name must be text, got a number (quote it)\n" +
				"in.size: size must be at least 1, got 0\n"},
		{`{"name": "a", "network": "n", "size": true, "call": {}, "disks": [{"gb": 15, "tier": ""}, {}, {}]}`,
			"in.call: one of \"use\" and \"tasks\" is missing\n" +
				"in.disks: disks has the same element twice, at 2 and 3\n" +
				"in.disks: disks must have at most 2 elements, got 3\n" +
				"in.disks[0].gb: gb must be a multiple of 10, got 15\n" +
				"in.disks[0].tier: tier is empty\n" +
				"in.disks[1]: \"gb\" is missing\n" +
				"in.disks[2]: \"gb\" is missing\n" +
				"in.size: size must be a whole number or text, got true or false\n"},
	} {
		if got := lines(document.CheckValue(json.RawMessage(vmSchema), decode(t, tc[0]), "in")); got != tc[1] {
			t.Errorf("CheckValue(%s) =\n%swant\n%s", tc[0], got, tc[1])
		}
	}
	if ps := document.CheckValue(nil, 3, "in"); len(ps) > 0 {
		t.Errorf("CheckValue without a schema = %v; want nothing", ps)
	}
}

func TestValidate(t *testing.T) {
	t.Parallel()
	s, err := document.CompileSchema(json.RawMessage(`{"type": "object", "additionalProperties": false,
		"properties": {"kind": {}, "name": {}, "timeout": {"type": "string"}}}`))
	if err != nil {
		t.Fatal(err)
	}
	d := one(t, "kind: X\nname: x\ntimeout: 5\ntimeot: 5s\n")
	want := "a.yaml:4:1: unknown key \"timeot\" (did you mean timeout?)\na.yaml:3:10: timeout must be text, got a number (quote it)\n"
	if got := lines(d.Validate(s.Compiled())); got != want {
		t.Errorf("Validate =\n%swant\n%s", got, want)
	}
}

func TestWithDefaults(t *testing.T) {
	t.Parallel()
	in := decode(t, `{"name": "a", "disks": [{"gb": 10}, {"gb": 20, "tier": "hdd"}]}`)
	before := string(document.Canonical(in))
	got := document.WithDefaults(json.RawMessage(vmSchema), in)
	want := decode(t, `{"name": "a", "cpu": 2, "env": "dev", "net": {"mtu": 1500}, "disks": [{"gb": 10, "tier": "ssd"}, {"gb": 20, "tier": "hdd"}]}`)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("WithDefaults: -want +got\n%s", diff)
	}
	if after := string(document.Canonical(in)); after != before {
		t.Errorf("WithDefaults changed its argument: %s; want %s", after, before)
	}
	forever := json.RawMessage(`{"type": "object", "properties": {"x": {"$ref": "#", "default": {}}}}`)
	if document.WithDefaults(forever, map[string]any{}) == nil {
		t.Error("WithDefaults of an endless default = nil; want an object")
	}
}

// Schemas that would load something, or never end, are refused with a reason.
func TestCompileSchemaRefuses(t *testing.T) {
	t.Parallel()
	chain := func(keyword, slot string) string {
		defs := make([]string, 0, 40)
		for i := range 40 {
			ref := fmt.Sprintf(`{"$ref": "#/$defs/d%d"}`, i+1)
			if slot != "" {
				ref = fmt.Sprintf(`{"properties": {"x": %s}}`, ref)
			}
			defs = append(defs, fmt.Sprintf(`"d%d": {"%s": [%s, %s]}`, i, keyword, ref, ref))
		}
		return `{"$ref": "#/$defs/d0", "$defs": {` + strings.Join(defs, ",") + `, "d40": {"type": "string"}}}`
	}
	for _, tc := range [][2]string{
		{`{"type": "strin"}`, "not a JSON Schema: at #/type: "},
		{`{"$ref": "file:///etc/passwd"}`, "nothing is loaded from file:///etc/passwd"},
		{`{"$ref": "https://example.com/x.json"}`, "nothing is loaded from https://example.com/x.json"},
		{`{"$ref": "other.json"}`, "nothing is loaded from"},
		{`{"$schema": "https://example.com/meta"}`, "nothing is loaded from https://example.com/meta"},
		{`{"$ref": "#/$defs/none"}`, "not a JSON Schema"},
		{`{"pattern": "(?<a"}`, "not a JSON Schema"},
		{`{"$ref": "#"}`, "exponential"},
		{chain("allOf", ""), "exponential"},
		{chain("anyOf", "x"), "exponential"},
		{`{"anyOf": [{"items": {"$ref": "#"}}, {"items": {"$ref": "#"}}]}`, "exponential"},
		{`{"minimum": 1e999999999}`, "not JSON"},
		{strings.Repeat(`{"not":`, 80) + "true" + strings.Repeat("}", 80), "nested deeper"},
		{`{`, "not JSON"},
	} {
		_, err := document.CompileSchema(json.RawMessage(tc[0]))
		if err == nil || !strings.Contains(err.Error(), tc[1]) {
			t.Errorf("CompileSchema(%.80s) = %v; want %q", tc[0], err, tc[1])
		}
	}
	for _, good := range []string{
		vmSchema, `true`,
		`{"$defs": {"tree": {"properties": {"l": {"$ref": "#/$defs/tree"}, "r": {"$ref": "#/$defs/tree"}}}}, "$ref": "#/$defs/tree"}`,
		`{"type": "array", "items": {"anyOf": [{"type": "string"}, {"$ref": "#"}]}}`,
	} {
		if _, err := document.CompileSchema(json.RawMessage(good)); err != nil {
			t.Errorf("CompileSchema(%.80s) = %v; want it accepted", good, err)
		}
	}
}

func TestNearest(t *testing.T) {
	t.Parallel()
	known := []string{"when", "with", "needs", "each", "timeout"}
	for word, want := range map[string]string{"whne": "when", "timeot": "timeout", "need": "needs", "xyz": "", "": ""} {
		if got := document.Nearest(word, known); got != want {
			t.Errorf("Nearest(%q) = %q; want %q", word, got, want)
		}
	}
}

func FuzzCheckValue(f *testing.F) {
	f.Add([]byte(vmSchema), []byte(`{"name": "A", "x": 1, "disks": [{}]}`))
	f.Add([]byte(`{"oneOf": [{"const": 1}, {"items": {"$ref": "#"}}]}`), []byte(`[[1]]`))
	f.Fuzz(func(t *testing.T, schema, value []byte) {
		var v any
		if json.Unmarshal(value, &v) != nil {
			return
		}
		document.CheckValue(schema, v, "in")
		document.WithDefaults(schema, v)
	})
}
