package definition_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"tutti/api"
	"tutti/internal/document"
	"tutti/internal/task/all"
	"tutti/internal/workflow/definition"
)

// editor returns what an editor would have against a workflow.
func editor(t *testing.T, types []api.TaskType, text string) []string {
	t.Helper()
	schema, err := document.CompileSchema(definition.EditorSchema(types))
	if err != nil {
		t.Fatal(err)
	}
	docs, problems := document.Parse("w.yaml", []byte(text))
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	var out []string
	for _, d := range docs {
		if d.Kind != api.KindWorkflow {
			continue
		}
		for _, p := range d.Validate(schema.Compiled()) {
			out = append(out, p.Location+": "+p.Message)
		}
	}
	return out
}

func TestEditorSchema(t *testing.T) {
	t.Parallel()
	types := []api.TaskType{{Name: "noop"}, {Name: "vm.create", Title: "Create a machine", With: json.RawMessage(`{"type":"object","additionalProperties":false,"required":["name"],
		"properties":{"name":{"type":"string","pattern":"^[a-z]+$"},"disks":{"type":"array","items":{"$ref":"#/$defs/disk"}},"size":{"oneOf":[{"type":"integer"},{"enum":["small"]}]}},
		"$defs":{"disk":{"type":"object","required":["gb"],"properties":{"gb":{"type":"integer"}}}}}`)}}
	for with, want := range map[string]string{
		`{name: web}`: "",
		`{name: "${{ inputs.name }}", disks: [{gb: "${{ inputs.gb }}"}, "${{ inputs.disk }}"], size: "${{ inputs.size }}"}`: "",
		`"${{ inputs }}"`:              "",
		`{}`:                           "name",
		`{nam: web}`:                   "nam",
		`{name: web, disks: [{}]}`:     "gb",
		`{name: web, disks: "${ x }"}`: "disks",
		`{name: WEB}`:                  "name",
	} {
		got := strings.Join(editor(t, types, "kind: Workflow\nname: w\ntasks:\n  a: {use: vm.create, with: "+with+"}\n  b: {use: noop, with: 3}\n  c: {use: jira.issue}\n"), "\n")
		if (got == "") != (want == "") {
			t.Errorf("with %s: %q; want %q", with, got, want)
		}
	}
}

// What the examples show, no editor underlines.
func TestEditorTakesExamples(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("../../../examples/language/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatal("no examples", err)
	}
	types := all.Types(all.Deps{}).Specs()
	for _, f := range files {
		text, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		if got := editor(t, types, string(text)); got != nil {
			t.Errorf("%s: %s", f, strings.Join(got, "\n"))
		}
	}
}
