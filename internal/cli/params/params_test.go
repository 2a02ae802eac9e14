package params

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"tutti/errs"
)

const vm = `{
  "type": "object", "additionalProperties": false, "required": ["name", "network"],
  "properties": {
    "name": {"type": "string"},
    "network": {"enum": ["INTRANET_DEV", "INTRANET_PROD", "DMZ"]},
    "cpu": {"type": "integer", "default": 2},
    "ratio": {"type": ["null", "number"]},
    "backup": {"type": "boolean"},
    "tags": {"type": "array", "items": {"type": "string"}},
    "ports": {"type": "array", "items": {"$ref": "#/$defs/port"}},
    "disk": {"type": "object", "properties": {"gb": {"type": "integer"}, "kind": {"enum": ["ssd", "hdd"]}}},
    "a.b": {"type": "string"},
    "labels": {"type": "object", "additionalProperties": {"type": "string"}},
    "any": true
  },
  "$defs": {"port": {"type": "integer"}}
}`

func form(t *testing.T, schema string) *Form {
	t.Helper()
	f, err := New(json.RawMessage(schema), "workflow vm", "tutti workflow schema vm")
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func TestSet(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		pairs []string
		want  string
	}{
		{[]string{"name=web-dev-07", "cpu=4"}, `{"cpu":4,"name":"web-dev-07"}`},
		{[]string{"name=123"}, `{"name":"123"}`},
		{[]string{"name=a=b"}, `{"name":"a=b"}`},
		{[]string{"name="}, `{"name":""}`},
		{[]string{"cpu=9007199254740993"}, `{"cpu":9007199254740993}`},
		{[]string{"ratio=0.5", "backup=yes"}, `{"backup":true,"ratio":0.5}`},
		{[]string{"tags=a, b", "ports=80,443"}, `{"ports":[80,443],"tags":["a","b"]}`},
		{[]string{`tags=["a,b"]`, "ports="}, `{"ports":[],"tags":["a,b"]}`},
		{[]string{"disk.gb=100", "disk.kind=ssd"}, `{"disk":{"gb":100,"kind":"ssd"}}`},
		{[]string{`disk={"gb":100}`, "disk.kind=ssd"}, `{"disk":{"gb":100,"kind":"ssd"}}`},
		{[]string{"a.b=x", "labels.team=web"}, `{"a.b":"x","labels":{"team":"web"}}`},
		{[]string{"any=true", "network=DMZ"}, `{"any":true,"network":"DMZ"}`},
		{[]string{"any=not json"}, `{"any":"not json"}`},
	} {
		v, err := form(t, vm).Set(nil, c.pairs)
		if err != nil {
			t.Errorf("Set(%q): %v", c.pairs, err)
			continue
		}
		got, err := json.Marshal(v)
		if err != nil || string(got) != c.want {
			t.Errorf("Set(%q) = %s, %v; want %s", c.pairs, got, err, c.want)
		}
	}
}

func TestSetRefuses(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		pairs           []string
		message, remedy string
	}{
		{[]string{"netwrok=INTRANET_DEV"}, `workflow vm has no parameter "netwrok"`, "did you mean network? It must be one of INTRANET_DEV, INTRANET_PROD, DMZ.\nit takes a.b, any, "},
		{[]string{"zzz=1"}, `workflow vm has no parameter "zzz"`, "it takes a.b, any, backup, cpu"},
		{[]string{"disk.size=1"}, `workflow vm has no parameter "disk.size"`, "see: tutti workflow schema vm"},
		{[]string{"cpu=two"}, `cpu: "two" is not a whole number`, "see: tutti"},
		{[]string{"cpu=1.5"}, `cpu: "1.5" is not a whole number`, ""},
		{[]string{"ratio=NaN"}, `ratio: "NaN" is not a number`, ""},
		{[]string{"backup=1"}, `backup: "1" is not true or false`, ""},
		{[]string{"network=INTRANET_DVE"}, `network cannot be "INTRANET_DVE"`, "did you mean INTRANET_DEV?\nit must be one of INTRANET_DEV"},
		{[]string{"ports=80,http"}, `ports: "http" is not a whole number`, ""},
		{[]string{"tags=[1"}, `tags: "[1" is not a JSON array`, ""},
		{[]string{"disk=[]"}, `disk: "[]" is not a JSON object`, ""},
		{[]string{"name"}, `"name" is not a parameter`, "write it as name=value"},
		{[]string{"=x"}, `"=x" is not a parameter`, ""},
		{[]string{"cpu=x", "netwrok=y"}, "2 parameters are wrong\n  cpu: \"x\" is not a whole number", ""},
	} {
		_, err := form(t, vm).Set(nil, c.pairs)
		e, ok := errors.AsType[*errs.Error](err)
		if !ok || e.Kind != errs.Invalid || !strings.HasPrefix(e.Error(), c.message) || !strings.Contains(e.Hint, c.remedy) {
			t.Errorf("Set(%q) = %v, hint %q; want %q, hint with %q", c.pairs, err, hint(e), c.message, c.remedy)
		}
	}
}

func hint(e *errs.Error) string {
	if e == nil {
		return ""
	}
	return e.Hint
}

func TestOpenSchema(t *testing.T) {
	t.Parallel()
	for _, schema := range []string{"", "null", `{"type":"object"}`, `{"properties":{"a":{"type":"string"}},"additionalProperties":true}`} {
		f := form(t, schema)
		v, err := f.Set(nil, []string{"b=1"})
		if got, _ := json.Marshal(v); err != nil || string(got) != `{"b":1}` {
			t.Errorf("schema %s: Set(b=1) = %s, %v; want a number", schema, got, err)
		}
		if err := f.Check(map[string]any{"b": 1}); err != nil {
			t.Errorf("schema %s: Check = %v; want nil", schema, err)
		}
	}
	if err := form(t, vm).Check(map[string]any{"name": "x", "nmae": "y"}); !errs.Is(err, errs.Invalid) {
		t.Errorf("Check(nmae) = %v; want errs.Invalid", err)
	}
}

func TestObject(t *testing.T) {
	t.Parallel()
	const doc = "name: web\non: yes\nday: 2026-01-02\nbig: 9007199254740993\nf: 1e3\nlist: [1, {a: null}]\n"
	v, err := Object("p.yaml", []byte(doc))
	if err != nil {
		t.Fatal(err)
	}
	got, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	const want = `{"big":9007199254740993,"day":"2026-01-02","f":1e3,"list":[1,{"a":null}],"name":"web","on":"yes"}`
	if diff := cmp.Diff(want, string(got)); diff != "" {
		t.Errorf("Object (-want +got):\n%s", diff)
	}
	for _, bad := range []string{"- 1", "a: 1\na: 2", "a: [", "a: &x 1\nb: *x", "a: .inf", "[", strings.Repeat("[", 300) + strings.Repeat("]", 300), "a: !!binary aGk="} {
		if v, err := Object("p.yaml", []byte(bad)); !errs.Is(err, errs.Invalid) || !strings.HasPrefix(err.Error(), "p.yaml:") {
			t.Errorf("Object(%.40q) = %v, %v; want errs.Invalid that names the file", bad, v, err)
		}
	}
	if v, err := Object("p.yaml", nil); err != nil || len(v) != 0 {
		t.Errorf("Object(nothing) = %v, %v; want an empty object", v, err)
	}
}

func TestAsk(t *testing.T) {
	t.Parallel()
	answers := map[string][]string{"name": {"", "web"}, "network": {"LAN", "DMZ"}, "cpu": {""}, "backup": {"true"}}
	var asked []string
	values := map[string]any{"tags": []any{}, "ports": []any{}, "disk": map[string]any{}, "labels": map[string]any{}, "any": 1, "a.b": "", "ratio": 1}
	err := form(t, vm).Ask(values, func(q Question, wrong error) (string, error) {
		asked = append(asked, q.Name)
		if (wrong != nil) != (len(answers[q.Name]) == 1 && (q.Name == "name" || q.Name == "network")) {
			t.Errorf("Ask(%s): wrong = %v at answer %q", q.Name, wrong, answers[q.Name])
		}
		if q.Name == "cpu" && q.Default != "2" {
			t.Errorf("Default of cpu = %q; want 2", q.Default)
		}
		a := answers[q.Name][0]
		answers[q.Name] = answers[q.Name][1:]
		return a, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"name", "name", "network", "network", "backup", "cpu"}, asked); diff != "" {
		t.Errorf("asked (-want +got):\n%s", diff)
	}
	if values["name"] != "web" || values["network"] != "DMZ" || values["backup"] != true || values["cpu"] != nil {
		t.Errorf("values = %v; want the answers", values)
	}
	stop := errors.New("stop")
	if err := form(t, vm).Ask(map[string]any{}, func(Question, error) (string, error) { return "", stop }); !errors.Is(err, stop) {
		t.Errorf("Ask = %v; want the error of ask", err)
	}
}

func FuzzDocument(f *testing.F) {
	for _, s := range []string{"", "a: 1", "{", "- *a", "? [x]\n: y", "a: &a [*a]", `{"a":1e999}`, "\x00", "a: 0x1f\nb: 0o7\nc: .nan"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		v, err := Document("x", data)
		if err != nil {
			return
		}
		if _, err := json.Marshal(v); err != nil {
			t.Errorf("Document(%q) = %v, which is no JSON: %v", data, v, err)
		}
	})
}
