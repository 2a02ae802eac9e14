// Package definition turns documents of kind Workflow into the graphs that the engine walks, and says
// all that is wrong with them at once, each with its place in the file and a remedy. It is pure.
//
// The rules that authors meet:
//
//   - Dependencies are references, `needs` (must have succeeded) and `after` (must be settled). A
//     reference through `?.` (`tasks.a?.out.x`) waits for the task to be settled; any other needs it
//     to have succeeded. A reference from inside a group to a task outside is a dependency of the
//     group. needs and after name tasks of the same scope.
//   - A task may be missing when it was skipped (it has `when`) or failed and was tolerated
//     (`onError: continue`), or when it needs such a task. A plain reference to it is refused: write
//     `?.`, or say `needs: [a]` to be skipped together with it. `outputs` has no such choice: there a
//     task that may be missing is read with `?.`.
//   - Ids are seen in their scope and the scopes inside it, and are never hidden by another. What is
//     inside a group is seen from outside only through its `outputs`. What a schema with `properties`
//     does not list is not there, unless it says `additionalProperties`.
//   - `finally` sees the tasks of the run through `?.` only, for any of them may never have run; its
//     own tasks it sees as usual. It alone may read run.status and run.failed. Its tasks have no undo.
//   - `when`, `each.in` and `needs` belong to the task as a whole; `with`, `undo`, `once`, `limit`,
//     `retry` and the body of a group are evaluated for each item, and see it. `out` of a task with
//     `each` is a list in the order of the items, or an object where `key` or `by` is given.
//   - `defaults` apply to every call (undo included) but approval, wait, signal and workflow:…, which
//     wait for others. A duration of 0s is none.
//
// A graph does not depend on the order of keys in a document: ties are ordered by id, so that Compile
// and Load give the same indices for a digest, for ever.
package definition

import (
	_ "embed"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"tutti/errs"
	"tutti/internal/document"
	"tutti/internal/workflow/dag"
)

// The bounds of one workflow.
const (
	MaxTasks   = 10_000
	MaxNesting = 16 // groups inside groups
	// maxProblems bounds what one document is told.
	maxProblems = 100
)

//go:embed workflow.schema.json
var schemaJSON []byte

// Schema returns the JSON Schema of kind Workflow, with descriptions for editors.
func Schema() json.RawMessage { return slices.Clone(schemaJSON) }

// TaskType is what a task type says of itself.
type TaskType struct {
	Name      string
	With, Out json.RawMessage // JSON Schemas; nil is anything
	Native    bool            // the engine does it, no worker
}

// Types knows what tasks may use.
type Types interface {
	// TaskType returns a task type by name.
	TaskType(name string) (TaskType, bool)
	// TaskTypeNames returns all names, for "did you mean".
	TaskTypeNames() []string
	// Workflow returns the schemas of what a workflow takes and gives (nil is anything), and whether
	// there is one of that name.
	Workflow(name string) (inputs, outputs json.RawMessage, ok bool)
}

// Compile returns the graph of a document, or all that is wrong with it, by place. Without types (nil)
// what tasks use, take and give is not checked; the rest is.
func Compile(doc *document.Document, types Types) (*dag.Graph, []errs.Problem) {
	c := newCompiler(doc, types)
	c.strict = true
	if doc.Kind != "Workflow" {
		c.fail("/kind", fmt.Sprintf("this is a %s, not a Workflow", doc.Kind), "")
		return nil, c.sorted()
	}
	schema, err := document.CompileSchema(schemaJSON)
	if err != nil {
		return nil, []errs.Problem{{Location: doc.At(""), Message: err.Error()}}
	}
	c.problems = doc.Validate(schema.Compiled())
	c.compile()
	if len(c.problems) > 0 {
		return nil, c.sorted()
	}
	return c.graph, nil
}

// Load returns the graph of a document that Compile accepted before, from its canonical JSON and the
// digest of that. Task types are not asked: a run keeps its definition whatever became of them. The
// error has kind errs.Invalid.
func Load(canonical []byte, digest string) (*dag.Graph, error) {
	doc, err := document.FromJSON("workflow", canonical)
	if err != nil {
		return nil, err
	}
	c := newCompiler(doc, nil)
	c.compile()
	if len(c.problems) > 0 {
		return nil, errs.New(errs.Invalid, "the workflow %q cannot be loaded", doc.Name).WithProblems(c.sorted()...)
	}
	c.graph.Digest = digest
	return c.graph, nil
}

// compiler makes one graph.
type compiler struct {
	doc      *document.Document
	types    Types // nil: not checked
	strict   bool  // check everything, not only what a graph needs to exist
	graph    *dag.Graph
	defaults policy
	problems []errs.Problem

	tasks    map[*dag.Task]*task
	order    []*task // as they were read
	uses     []use   // every reference, to be resolved when all ids are known
	inputs   *shape
	varParts map[string]*varPart
	full     bool // a bound was passed
	cyclic   bool
}

func newCompiler(doc *document.Document, types Types) *compiler {
	return &compiler{
		doc: doc, types: types, tasks: map[*dag.Task]*task{}, varParts: map[string]*varPart{},
		graph: &dag.Graph{Digest: doc.Digest, Name: doc.Name, Title: doc.Title, OnFailure: dag.Drain},
	}
}

// fail tells of a value.
func (c *compiler) fail(pointer, message, hint string) { c.failAt(c.doc.At(pointer), message, hint) }

// failKey tells of a key.
func (c *compiler) failKey(pointer, message, hint string) {
	c.failAt(c.doc.KeyAt(pointer), message, hint)
}

func (c *compiler) failAt(location, message, hint string) {
	if !c.crowded() {
		c.problems = append(c.problems, errs.Problem{Location: location, Message: message, Hint: hint})
	}
}

// crowded says that enough was told: looking for more, and for what was meant, costs time.
func (c *compiler) crowded() bool { return len(c.problems) >= 3*maxProblems }

// sorted returns the problems in the order of the file, each once.
func (c *compiler) sorted() []errs.Problem {
	ps := c.problems
	slices.SortStableFunc(ps, func(a, b errs.Problem) int {
		la, ca := lineColumn(a.Location)
		lb, cb := lineColumn(b.Location)
		if la != lb {
			return la - lb
		}
		return ca - cb
	})
	ps = slices.CompactFunc(ps, func(a, b errs.Problem) bool { return a == b })
	return ps[:min(len(ps), maxProblems)]
}

func lineColumn(location string) (line, col int) {
	parts := strings.Split(location, ":")
	if len(parts) < 3 {
		return 0, 0
	}
	line, _ = strconv.Atoi(parts[len(parts)-2])
	col, _ = strconv.Atoi(parts[len(parts)-1])
	return line, col
}

// compile reads the document, resolves what it names, and checks the rest.
func (c *compiler) compile() {
	root, ok := c.doc.Value().(map[string]any)
	if !ok {
		return
	}
	c.header(root)
	if c.full {
		return
	}
	c.resolve()
	c.graph.Vars = c.sortVars()
	for _, s := range c.graph.Scopes {
		c.sortScope(s)
	}
	if c.strict && !c.full {
		c.check()
	}
	c.graph.Workflows = c.workflows()
}

// workflows returns the names of the workflows that are called, sorted.
func (c *compiler) workflows() []string {
	var names []string
	for _, t := range c.order {
		names = append(names, workflowName(t.def.Use))
		if t.def.Undo != nil {
			names = append(names, workflowName(t.def.Undo.Use))
		}
	}
	slices.Sort(names)
	names = slices.Compact(names)
	return slices.DeleteFunc(names, func(n string) bool { return n == "" })
}

// workflowName returns the name behind `workflow:`, or "".
func workflowName(use string) string {
	name, ok := strings.CutPrefix(use, "workflow:")
	if !ok {
		return ""
	}
	return name
}

// waitsForOthers says that a call is done by the engine and ends when something else does: the
// defaults of ordinary calls are not meant for it.
func waitsForOthers(use string) bool {
	return strings.HasPrefix(use, "workflow:") || use == "approval" || use == "wait" || use == "signal"
}
