// Package simulate carries out workflows without a server: the real core, on a clock of its own, with
// mocks in the place of workers, people and other runs. It is pure and deterministic: the same
// documents and the same scenario give the same report, byte for byte.
//
// A Library holds the documents of some files. Run plays a scenario for one of its workflows and
// reports what happened; Check plays a document of kind Test and says where it went otherwise than
// expected. With Scenario.Crash the engine loses its memory before every single command and goes on
// from its journal, and the first difference that makes is reported.
//
// Nothing here is asked of the world: a task gives what a mock says, what a recorded run gave, or else
// values made from the `out` schema of its type. Sub-workflows are run too, from the same documents.
package simulate

import (
	"cmp"
	_ "embed"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"tutti/api"
	"tutti/errs"
	"tutti/internal/document"
	"tutti/internal/workflow/dag"
	"tutti/internal/workflow/definition"
)

// KindTest is the kind of the documents that test workflows. They are never applied to a server.
const KindTest = "Test"

//go:embed test.schema.json
var schemaJSON []byte

// Schema returns the JSON Schema of kind Test, with descriptions for editors.
func Schema() json.RawMessage { return slices.Clone(schemaJSON) }

// Library is what can be simulated: the workflows and tests of some files, and the task types that
// they may use.
type Library struct {
	// Tests are the sound documents of kind Test, in the order of the files.
	Tests []*Test
	// Others are the documents of further kinds, which are not looked at here.
	Others []*document.Document
	// Declared is how many sound documents declare task types.
	Declared int

	types  map[string]api.TaskType
	names  []string // of types, sorted
	docs   map[string]*document.Document
	order  []string // of the workflows, as they stand in the files
	graphs map[string]*dag.Graph
}

// Catalogue is what tasks may use.
type Catalogue struct {
	// Types are the task types, those of the engine itself included.
	Types []api.TaskType
	// Declare returns the task type that a document of kind TaskType declares, or all that is wrong with
	// it. nil leaves those documents to others.
	Declare func(*document.Document) (api.TaskType, []errs.Problem)
}

// Read takes files in and returns what they hold, with everything that is wrong in them, in the order
// of the files.
func Read(c Catalogue, files []api.SourceFile) (*Library, []errs.Problem) {
	l := &Library{types: map[string]api.TaskType{}, docs: map[string]*document.Document{}, graphs: map[string]*dag.Graph{}}
	for _, t := range c.Types {
		l.types[t.Name] = t
	}
	found := make([][]errs.Problem, len(files))
	where := map[*document.Document]int{}
	var workflows, tests []*document.Document
	first := map[string]*document.Document{}
	for i, f := range files {
		docs, problems := document.Parse(f.Name, []byte(f.Text))
		found[i] = problems
		for _, d := range docs {
			where[d] = i
			id := d.Kind + " " + d.Name
			if other := first[id]; other != nil {
				found[i] = append(found[i], errs.Problem{Location: d.At("/name"), Message: fmt.Sprintf("%s %q is given twice", d.Kind, d.Name), Hint: "the first is at " + other.At("")})
				continue
			}
			first[id] = d
			switch {
			case d.Kind == api.KindTaskType && c.Declare != nil:
				t, problems := c.Declare(d)
				if len(problems) > 0 {
					found[i] = append(found[i], problems...)
					break
				}
				l.Declared++
				if _, builtin := l.types[t.Name]; !builtin {
					l.types[t.Name] = t
				}
			case d.Kind == api.KindWorkflow:
				l.docs[d.Name] = d
				l.order = append(l.order, d.Name)
				workflows = append(workflows, d)
			case d.Kind == KindTest:
				tests = append(tests, d)
			default:
				l.Others = append(l.Others, d)
			}
		}
	}
	l.names = slices.Sorted(maps.Keys(l.types))
	for _, d := range workflows {
		g, problems := definition.Compile(d, known{l})
		found[where[d]] = append(found[where[d]], problems...)
		if g != nil {
			l.graphs[d.Name] = g
		}
	}
	for _, d := range tests {
		t, problems := l.readTest(d)
		found[where[d]] = append(found[where[d]], problems...)
		if len(problems) == 0 {
			l.Tests = append(l.Tests, t)
		}
	}
	for _, problems := range found {
		slices.SortStableFunc(problems, func(a, b errs.Problem) int {
			lineA, colA := place(a.Location)
			lineB, colB := place(b.Location)
			return cmp.Or(lineA-lineB, colA-colB)
		})
	}
	return l, slices.Concat(found...)
}

// place returns the line and column of a location such as vm.yaml:12:9.
func place(location string) (line, col int) {
	parts := strings.Split(location, ":")
	if len(parts) < 3 {
		return 0, 0
	}
	line, _ = strconv.Atoi(parts[len(parts)-2])
	col, _ = strconv.Atoi(parts[len(parts)-1])
	return line, col
}

// Workflows returns the names of the workflows, in the order of the files.
func (l *Library) Workflows() []string { return slices.Clone(l.order) }

// Tops returns the names of the workflows that no other workflow of the library calls, in the order of
// the files.
func (l *Library) Tops() []string {
	called := map[string]bool{}
	for _, g := range l.graphs {
		for _, name := range g.Workflows {
			if name != g.Name {
				called[name] = true
			}
		}
	}
	return slices.DeleteFunc(l.Workflows(), func(n string) bool { return called[n] })
}

// Inputs returns the JSON Schema of a workflow's inputs; nil where it has none, or there is no such
// workflow.
func (l *Library) Inputs(name string) json.RawMessage {
	if g := l.graphs[name]; g != nil {
		return g.Inputs
	}
	return nil
}

// HasTask reports whether a task of a workflow, or of what it calls, can have a path that fits a pattern.
func (l *Library) HasTask(workflow, pattern string) bool {
	g := l.graphs[workflow]
	return g != nil && l.paths(g).has(pattern)
}

// graph returns a workflow of the library, or errs.NotFound.
func (l *Library) graph(name string) (*dag.Graph, error) {
	switch g := l.graphs[name]; {
	case g != nil:
		return g, nil
	case l.docs[name] != nil:
		return nil, errs.New(errs.Invalid, "the workflow %s is not sound", name).WithHint("tutti workflow validate says what is wrong with it")
	}
	e := errs.New(errs.NotFound, "there is no workflow %q in these files", name)
	if near := document.Nearest(name, l.order); near != "" {
		return nil, e.WithHint("did you mean %s?", near)
	}
	if len(l.order) == 0 {
		return nil, e.WithHint("give the file, or the folder, that holds it")
	}
	return nil, e.WithHint("there are %s", strings.Join(l.order, ", "))
}

// known answers the compiler of workflows.
type known struct{ l *Library }

// TaskType returns a task type by name.
func (k known) TaskType(name string) (definition.TaskType, bool) {
	t, ok := k.l.types[name]
	return definition.TaskType{Name: t.Name, With: t.With, Out: t.Out, Native: t.Native}, ok
}

// TaskTypeNames returns all names.
func (k known) TaskTypeNames() []string { return k.l.names }

// Workflow returns what a workflow takes and gives.
func (k known) Workflow(name string) (inputs, outputs json.RawMessage, ok bool) {
	d := k.l.docs[name]
	if d == nil {
		return nil, nil, false
	}
	inputs, outputs = definition.Contract(d.JSON)
	return inputs, outputs, true
}
