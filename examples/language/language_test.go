package language_test

import (
	"encoding/json"
	"io/fs"
	"maps"
	"slices"
	"strings"
	"testing"

	"tutti/api"
	"tutti/examples/language"
	"tutti/internal/document"
	"tutti/internal/task/all"
	"tutti/internal/workflow"
	"tutti/internal/workflow/definition"
	"tutti/internal/workflow/simulate"
)

// files returns all definitions and tests.
func files(t *testing.T) (out []api.SourceFile) {
	t.Helper()
	names, err := fs.Glob(language.Files, "*.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		data, err := language.Files.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, api.SourceFile{Name: name, Text: string(data)})
	}
	return out
}

// Every test passes, and goes the same way with an engine that forgets everything before each command.
func TestExamples(t *testing.T) {
	t.Parallel()
	types := slices.Concat(workflow.Native(), all.Types(all.Deps{}).Specs())
	l, problems := simulate.Read(simulate.Catalogue{Types: types}, files(t))
	for _, p := range problems {
		t.Errorf("%s: %s (%s)", p.Location, p.Message, p.Hint)
	}
	tested := map[string]bool{}
	for _, test := range l.Tests {
		tested[test.Workflow] = true
		t.Run(test.Name, func(t *testing.T) {
			t.Parallel()
			test.Crash = true
			found, rep := l.Check(test)
			for _, d := range found {
				t.Errorf("%s: %s: want %s, got %s", test.Location, d.Path, d.Want, d.Got)
			}
			if t.Failed() && rep != nil {
				for _, line := range rep.Timeline {
					t.Logf("%8s %-20s %s %s", line.At, line.Task, line.Type, line.Text)
				}
			}
		})
	}
	for _, name := range l.Tops() {
		if !tested[name] {
			t.Errorf("workflow %s has no test", name)
		}
	}
}

// Each key that the schema of workflows knows is used by an example.
func TestEveryConstructHasAnExample(t *testing.T) {
	t.Parallel()
	var schema map[string]any
	if err := json.Unmarshal(definition.Schema(), &schema); err != nil {
		t.Fatal(err)
	}
	used := map[string]bool{}
	for _, f := range files(t) {
		docs, problems := document.Parse(f.Name, []byte(f.Text))
		if len(problems) > 0 {
			t.Fatal(problems)
		}
		for _, d := range docs {
			if d.Kind == api.KindWorkflow {
				mark(schema, schema, d.Value(), "", used)
			}
		}
	}
	known := map[string]bool{}
	list(schema, schema, "", known, 0)
	if len(known) < 40 {
		t.Fatalf("the schema has only the keys %v; this test does not understand it any more", slices.Sorted(maps.Keys(known)))
	}
	for _, key := range slices.Sorted(maps.Keys(known)) {
		if !used[key] {
			t.Errorf("no example uses %s", key)
		}
	}
}

// owner names the part of the schema that a reference points at; "" where there is none.
func owner(schema map[string]any) string {
	ref, _ := schema["$ref"].(string)
	name, _ := strings.CutPrefix(ref, "#/$defs/")
	return name
}

func resolve(root, schema map[string]any) map[string]any {
	if name := owner(schema); name != "" {
		return root["$defs"].(map[string]any)[name].(map[string]any)
	}
	return schema
}

// branches returns the schemas that an object under schema may be read with.
func branches(root, schema map[string]any) []map[string]any {
	out := []map[string]any{resolve(root, schema)}
	if alternatives, ok := out[0]["anyOf"].([]any); ok {
		for _, b := range alternatives {
			out = append(out, resolve(root, b.(map[string]any)))
		}
	}
	return out
}

// list collects every key of the schema as part.key.
func list(root, schema map[string]any, part string, known map[string]bool, depth int) {
	if name := owner(schema); name != "" {
		part = name
	}
	if depth > 6 {
		return
	}
	for _, s := range branches(root, schema) {
		props, _ := s["properties"].(map[string]any)
		for key, v := range props {
			p := v.(map[string]any)
			if d, _ := p["description"].(string); strings.Contains(d, "not available") {
				continue
			}
			known[part+"."+key] = true
			list(root, p, part, known, depth+1)
		}
		patterns, _ := s["patternProperties"].(map[string]any)
		for _, v := range patterns {
			list(root, v.(map[string]any), part, known, depth+1)
		}
	}
}

// mark notes the keys that a value uses.
func mark(root, schema map[string]any, v any, part string, used map[string]bool) {
	m, ok := v.(map[string]any)
	if !ok {
		return
	}
	if name := owner(schema); name != "" {
		part = name
	}
	for _, s := range branches(root, schema) {
		props, _ := s["properties"].(map[string]any)
		for key, below := range m {
			if p, ok := props[key].(map[string]any); ok {
				used[part+"."+key] = true
				mark(root, p, below, part, used)
			}
		}
		patterns, _ := s["patternProperties"].(map[string]any)
		for _, p := range patterns {
			for _, below := range m {
				mark(root, p.(map[string]any), below, part, used)
			}
		}
	}
}
