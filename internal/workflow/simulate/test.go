package simulate

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"tutti/api"
	"tutti/errs"
	"tutti/internal/document"
	"tutti/internal/workflow/dag"
	"tutti/internal/workflow/expr"
)

// Test is a document of kind Test: a scenario and what must come of it.
type Test struct {
	Scenario
	Name  string `json:"name"`
	Title string `json:"title"`
	// Recorded names a file beside the test; who reads the files puts what it holds into Recording.
	Recorded string `json:"recorded"`
	Expect   Expect `json:"expect"`
	// File and Location say where it stands.
	File     string `json:"-"`
	Location string `json:"-"`

	doc *document.Document
}

// At returns the location of the value at a JSON pointer of the test.
func (t *Test) At(pointer string) string { return t.doc.At(pointer) }

// Expect is what must come of a run. What is nil may be anything.
type Expect struct {
	State    api.State             `json:"state"`
	Flags    *[]api.Flag           `json:"flags"`
	Outputs  json.RawMessage       `json:"outputs"`
	Tasks    map[string]ExpectTask `json:"tasks"`
	Order    []string              `json:"order"`
	Undone   *[]string             `json:"undone"`
	Undoable *[]string             `json:"undoable"`
	Failure  *ExpectFailure        `json:"failure"`
	Reason   *ExpectReason         `json:"reason"`
	Refused  string                `json:"refused"`
	Emitted  *[]Emission           `json:"emitted"`
	Duration *api.Duration         `json:"duration"`
}

// ExpectTask is what must come of a task.
type ExpectTask struct {
	State    api.State       `json:"state"`
	Attempts *int            `json:"attempts"`
	Input    json.RawMessage `json:"input"`
	Out      json.RawMessage `json:"out"`
	Failure  *ExpectFailure  `json:"failure"`
	Undo     api.State       `json:"undo"`
}

// UnmarshalJSON reads a state, or an object with more.
func (e *ExpectTask) UnmarshalJSON(b []byte) error {
	if len(b) > 0 && b[0] == '"' {
		return json.Unmarshal(b, &e.State)
	}
	type plain ExpectTask
	return json.Unmarshal(b, (*plain)(e))
}

// ExpectFailure is what must be known of a failure; Message is a part of it.
type ExpectFailure struct {
	Task    string `json:"task"`
	Type    string `json:"type"`
	Message string `json:"message"`
}

// ExpectReason is what must be known of why a run waits; Text is a part of it.
type ExpectReason struct {
	Kind string `json:"kind"`
	Task string `json:"task"`
	Key  string `json:"key"`
	Text string `json:"text"`
}

// readTest reads a document of kind Test, or says all that is wrong with it.
func (l *Library) readTest(d *document.Document) (*Test, []errs.Problem) {
	schema, err := document.CompileSchema(schemaJSON)
	if err != nil {
		return nil, []errs.Problem{{Location: d.At(""), Message: err.Error()}}
	}
	if problems := d.Validate(schema.Compiled()); len(problems) > 0 {
		return nil, problems
	}
	t := &Test{File: d.File, Location: d.At(""), doc: d}
	if err := json.Unmarshal(d.JSON, t); err != nil {
		return nil, []errs.Problem{{Location: d.At(""), Message: "it cannot be read: " + plainError(err)}}
	}
	var out []errs.Problem
	fail := func(pointer, message, hint string) {
		out = append(out, errs.Problem{Location: d.KeyAt(pointer), Message: message, Hint: hint})
	}
	g := l.graphs[t.Workflow]
	if g == nil {
		if _, err := l.graph(t.Workflow); err != nil {
			e := errs.Public(err)
			out = append(out, errs.Problem{Location: d.At("/workflow"), Message: e.Msg, Hint: e.Hint})
		}
		return nil, out
	}
	paths := l.paths(g)
	for _, at := range []struct {
		pointer string
		names   []string
	}{
		{"/mocks/tasks", sortedKeys(t.Mocks.Tasks)}, {"/fail", sortedKeys(t.Fail)}, {"/approvals", sortedKeys(t.Approvals)}, {"/expect/tasks", sortedKeys(t.Expect.Tasks)},
	} {
		for _, name := range at.names {
			if !paths.has(name) {
				fail(at.pointer+document.Pointer(name), fmt.Sprintf("no task of %s can have the path %q", t.Workflow, name), paths.nearest(name))
			}
		}
	}
	for i, name := range t.Expect.Order {
		if !paths.has(name) {
			fail("/expect/order/"+strconv.Itoa(i), fmt.Sprintf("no task of %s can have the path %q", t.Workflow, name), paths.nearest(name))
		}
	}
	for _, name := range sortedKeys(t.Mocks.Types) {
		if _, ok := l.types[name]; !ok && !strings.HasPrefix(name, "workflow:") {
			hint := ""
			if near := document.Nearest(name, l.names); near != "" {
				hint = "did you mean " + near + "?"
			}
			fail("/mocks/types"+document.Pointer(name), fmt.Sprintf("there is no task type %q", name), hint)
		}
	}
	l.checkOuts(t, fail)
	checkSteps("/mocks/tasks", t.Mocks.Tasks, fail)
	checkSteps("/mocks/types", t.Mocks.Types, fail)
	return t, out
}

// checkSteps refuses mocks of which nobody could say whether they succeed.
func checkSteps(pointer string, mocks map[string]Mock, fail func(pointer, message, hint string)) {
	for _, name := range sortedKeys(mocks) {
		at := pointer + document.Pointer(name)
		check := func(at string, s Step) {
			if len(s.Out) > 0 && s.Failure != nil {
				fail(at+"/failure", "a mock gives out or failure, not both", "leave one out; sequence has several attempts one after the other")
			}
		}
		check(at, mocks[name].Step)
		for i, s := range mocks[name].Sequence {
			check(at+"/sequence/"+strconv.Itoa(i), s)
		}
	}
}

// plainError returns what JSON says of a value, without the name of the Go type.
func plainError(err error) string {
	if e, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
		return e.Field + " cannot be " + e.Value
	}
	return errs.Public(err).Msg
}

// checkOuts tells of outputs of mocks that cannot be computed.
func (l *Library) checkOuts(t *Test, fail func(pointer, message, hint string)) {
	check := func(pointer string, out json.RawMessage) {
		var v any
		if len(out) == 0 || json.Unmarshal(out, &v) != nil {
			return
		}
		tpl, problems := expr.ParseTemplate(v)
		for _, p := range problems {
			fail(pointer+"/out"+p.Pointer, p.Message, p.Hint)
		}
		if len(problems) > 0 {
			return
		}
		for _, ref := range tpl.Refs() {
			if name := ref.Path[0]; name != "with" && name != "attempt" {
				fail(pointer+"/out", fmt.Sprintf("unknown name %q", name), "the output of a mock reads with, the input of the task, and attempt, its number")
			}
		}
	}
	for _, of := range []struct {
		pointer string
		mocks   map[string]Mock
	}{{"/mocks/tasks", t.Mocks.Tasks}, {"/mocks/types", t.Mocks.Types}} {
		for _, name := range sortedKeys(of.mocks) {
			at := of.pointer + document.Pointer(name)
			check(at, of.mocks[name].Out)
			for i, s := range of.mocks[name].Sequence {
				check(at+"/sequence/"+strconv.Itoa(i), s.Out)
			}
		}
	}
}

// paths are those the tasks of a workflow, and of what it calls, can have: without keys.
type paths map[string]bool

// maxPaths bounds them; a workflow that calls itself has paths without end.
const maxPaths = 50_000

func (l *Library) paths(g *dag.Graph) paths {
	p := paths{}
	var walk func(s *dag.Scope, prefix string, depth int)
	walk = func(s *dag.Scope, prefix string, depth int) {
		if s == nil || depth > 5 || len(p) > maxPaths {
			return
		}
		for _, t := range s.Tasks {
			path := prefix + t.ID
			p[path], p[path+"#undo"] = true, true
			walk(t.Body, path+".", depth)
			if t.Each != nil && t.Each.Rollout != nil {
				p[path+"#back"] = true
				if checks := t.Each.Rollout.Checks; checks != nil {
					p[path+".checks"] = true
					walk(checks.Body, path+".checks.", depth)
				}
			}
			uses := []string{t.Use}
			if t.Undo != nil {
				uses = append(uses, t.Undo.Use)
			}
			for i, use := range uses {
				name, _ := strings.CutPrefix(use, "workflow:")
				if sub := l.graphs[name]; sub != nil && name != use {
					call := path + []string{"", "#undo"}[i] + "/"
					walk(sub.Tasks, call, depth+1)
					walk(sub.Finally, call+"finally.", depth+1)
				}
			}
		}
	}
	walk(g.Tasks, "", 0)
	walk(g.Finally, "finally.", 0)
	return p
}

// has says whether some task can have a path that fits a pattern.
func (p paths) has(pattern string) bool {
	bare := unkeyed(pattern)
	if p[bare] || len(p) > maxPaths || strings.Contains(pattern, "**") {
		return true
	}
	if !strings.Contains(bare, "*") {
		return false
	}
	for path := range p {
		if matches(bare, path) {
			return true
		}
	}
	return false
}

// nearest offers the path that was probably meant.
func (p paths) nearest(pattern string) string {
	known := slices.DeleteFunc(sortedKeys(p), func(s string) bool { return strings.Contains(s, "#") })
	if near := document.Nearest(unkeyed(pattern), known); near != "" {
		return "did you mean " + near + "?"
	}
	if len(known) <= 12 {
		return "there are " + strings.Join(known, ", ")
	}
	return ""
}
