package resource

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"tutti/api"
	"tutti/internal/document"
	"tutti/internal/store"
)

const workflows = "kind: Workflow\nname: vm.build\n---\nkind: Workflow\nname: vm.managed\n"

func TestCheckSound(t *testing.T) {
	t.Parallel()
	w := newWorld(t, store.Config{Dir: t.TempDir()})
	for _, kind := range []string{api.KindResourceType, api.KindPreset} {
		if got := w.ask(kind, example(t, "vm.yaml"), example(t, "small.yaml"), workflows); len(got) > 0 {
			t.Errorf("check.%s = %q; want no problem", kind, got)
		}
	}
	// The same where all was applied before.
	w.define(example(t, "vm.yaml"), example(t, "small.yaml"), workflows)
	for kind, text := range map[string]string{api.KindResourceType: example(t, "vm.yaml"), api.KindPreset: example(t, "small.yaml")} {
		if got := w.ask(kind, text); len(got) > 0 {
			t.Errorf("check.%s alone = %q; want no problem", kind, got)
		}
	}
}

func TestCheckRefuses(t *testing.T) {
	t.Parallel()
	vm, small := example(t, "vm.yaml"), example(t, "small.yaml")
	for name, c := range map[string]struct {
		kind  string
		files []string
		want  []string // beginnings of the problems, sorted
	}{
		"an unknown key":        {api.KindResourceType, []string{swap(t, vm, "handler:", "handlr:"), workflows}, []string{`a.yaml:24:1: `}},
		"a bad schema":          {api.KindResourceType, []string{swap(t, vm, "maximum: 32", "maximum: many"), workflows}, []string{"a.yaml:7:3: "}},
		"a schema of a list":    {api.KindResourceType, []string{swap(t, vm, "type: object", "type: array"), workflows}, []string{"a.yaml:7:9: what is asked must be an object"}},
		"a handler's syntax":    {api.KindResourceType, []string{swap(t, vm, "disk in enumerate", "disk im enumerate"), workflows}, []string{"a.yaml:28:"}},
		"a handler's name":      {api.KindResourceType, []string{swap(t, vm, "def handle(", "def handel("), workflows}, []string{"a.yaml:24:10: the handler has no function handle"}},
		"a condition's syntax":  {api.KindResourceType, []string{swap(t, vm, "spec.cpu <= 16", "spec.cpu <=="), workflows}, []string{"a.yaml:44:22: "}},
		"a condition's names":   {api.KindResourceType, []string{swap(t, vm, "when: spec.managed", "when: spek.managed"), workflows}, []string{`a.yaml:42:11: there is no "spek" here (did you mean spec?`}},
		"a template's names":    {api.KindResourceType, []string{swap(t, vm, "${{ resource.name }}", "${{ tasks.x }}"), workflows}, []string{`a.yaml:48:14: there is no "tasks" here`}},
		"a secret":              {api.KindResourceType, []string{swap(t, vm, "${{ resource.name }}", "${{ secrets.key }}"), workflows}, []string{"a.yaml:48:14: a secret has no place here"}},
		"a choice never used":   {api.KindResourceType, []string{swap(t, vm, "- when: spec.managed\n    use", "- use"), workflows}, []string{"a.yaml:42:5: a choice without when"}},
		"a missing workflow":    {api.KindResourceType, []string{swap(t, vm, "use: vm.build", "use: vm.biuld"), workflows}, []string{`a.yaml:45:10: there is no Workflow "vm.biuld" (did you mean vm.build?)`}},
		"the same among broken": {api.KindResourceType, []string{vm, "kind: Workflow\nname: vm.build\nx: ["}, nil},
		"converge too often":    {api.KindResourceType, []string{vm + "converge: { every: 5s, workflow: vm.build }\n", workflows}, []string{"a.yaml:50:20: it is to be at least 1m"}},
		"converge with what":    {api.KindResourceType, []string{vm + "converge: { every: 1h, workflow: vm.build, inputs: { a: \"${{ spec }}\" } }\n", workflows}, []string{`a.yaml:50:62: there is no "spec" here`}},
		"converge by nothing":   {api.KindResourceType, []string{vm + "converge: { every: 1h, workflow: vm.biuld }\n", workflows}, []string{`a.yaml:50:34: there is no Workflow "vm.biuld"`}},
		"a bad address":         {api.KindResourceType, []string{swap(t, vm, "ops@example.com", "ops"), workflows}, []string{"a.yaml:49:10: "}},
		"an unknown field":      {api.KindPreset, []string{swap(t, small, "set: { cpu", "set: { cpus"), vm}, []string{`a.yaml:5:8: virtual-machine has no field "cpus" (did you mean cpu?`}},
		"a value that is wrong": {api.KindPreset, []string{swap(t, small, "cpu: 2", "cpu: 99"), vm}, []string{"a.yaml:5:8: "}},
		"a default that is":     {api.KindPreset, []string{swap(t, small, "INTRANET_DEV", "INTERNET"), vm}, []string{"a.yaml:6:12: "}},
		"a missing type":        {api.KindPreset, []string{swap(t, small, "of: virtual-machine", "of: virtual-machin"), vm}, []string{`a.yaml:3:5: there is no ResourceType "virtual-machin" (did you mean virtual-machine?)`}},
		"fixed and filled in":   {api.KindPreset, []string{swap(t, small, "network: INTRANET_DEV", "cpu: 3"), vm}, []string{`a.yaml:6:12: "cpu" is under set too`}},
		"the name of a type":    {api.KindPreset, []string{swap(t, small, "name: small-vm", "name: virtual-machine"), vm}, []string{"a.yaml:2:7: there is a ResourceType named"}},
		"the name of a preset":  {api.KindResourceType, []string{swap(t, vm, "name: virtual-machine", "name: small-vm"), small, workflows}, []string{"a.yaml:2:7: there is a Preset named"}},
		"no workflow at all":    {api.KindResourceType, []string{"kind: ResourceType\nname: a\nschema: {}\n"}, []string{"a.yaml:1:1: "}},
	} {
		w := newWorld(t, store.Config{Dir: t.TempDir()})
		got := w.ask(c.kind, c.files...)
		ok := len(got) == len(c.want)
		for i := range min(len(got), len(c.want)) {
			ok = ok && strings.HasPrefix(got[i], c.want[i])
		}
		if !ok {
			t.Errorf("%s: %q; want %q", name, got, c.want)
		}
	}
}

// A change of a type that breaks a preset in the store is refused, unless the preset changes with it.
func TestCheckTypeKeepsPresets(t *testing.T) {
	t.Parallel()
	w := newWorld(t, store.Config{Dir: t.TempDir()})
	vm, small := example(t, "vm.yaml"), example(t, "small.yaml")
	w.define(vm, small, workflows)
	changed := swap(t, vm, "minimum: 1, maximum: 32", "minimum: 4")
	if got := w.ask(api.KindResourceType, changed); len(got) != 1 || !strings.HasPrefix(got[0], "a.yaml:7:3: this breaks the preset small-vm: ") {
		t.Errorf("check = %q; want the preset named", got)
	}
	if got := w.ask(api.KindResourceType, changed, swap(t, small, "cpu: 2", "cpu: 4")); len(got) > 0 {
		t.Errorf("check with the preset = %q; want no problem", got)
	}
}

func TestClosed(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		`{}`:                `{}`,
		`{"properties":{}}`: `{"additionalProperties":false,"properties":{}}`,
		`{"properties":{},"additionalProperties":true}`:    `{"additionalProperties":true,"properties":{}}`,
		`{"properties":{},"allOf":[]}`:                     `{"allOf":[],"properties":{}}`,
		`{"properties":{"a":{"items":{"properties":{}}}}}`: `{"additionalProperties":false,"properties":{"a":{"items":{"additionalProperties":false,"properties":{}}}}}`,
	} {
		var v any
		if err := json.Unmarshal([]byte(in), &v); err != nil {
			t.Fatal(err)
		}
		if got := string(document.Canonical(document.Closed(v))); got != want {
			t.Errorf("closed(%s) = %s; want %s", in, got, want)
		}
		if got := string(document.Canonical(v)); !cmp.Equal(json.RawMessage(in), json.RawMessage(got)) && len(in) != len(got) {
			t.Errorf("closed changed its argument %s to %s", in, got)
		}
	}
}

// The published schemas are schemas, and say of each key what it is for.
func TestSchemas(t *testing.T) {
	t.Parallel()
	for kind, raw := range Schemas() {
		if _, err := document.CompileSchema(raw); err != nil {
			t.Errorf("schema of %s: %v", kind, err)
		}
		var s struct {
			Properties map[string]struct{ Description string }
		}
		if err := json.Unmarshal(raw, &s); err != nil {
			t.Fatal(err)
		}
		for name, p := range s.Properties {
			if p.Description == "" && !slices.Contains([]string{"kind", "labels"}, name) {
				t.Errorf("%s: %s has no description", kind, name)
			}
		}
	}
}
