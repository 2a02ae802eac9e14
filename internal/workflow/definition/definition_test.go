package definition_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"tutti/errs"
	"tutti/internal/document"
	"tutti/internal/workflow/dag"
	"tutti/internal/workflow/definition"
)

// catalogue is what the documents of these tests may use.
type catalogue map[string]definition.TaskType

func (c catalogue) TaskType(name string) (definition.TaskType, bool) {
	t, ok := c[name]
	return t, ok
}

func (c catalogue) TaskTypeNames() []string {
	var names []string
	for n := range c {
		names = append(names, n)
	}
	return names
}

func (c catalogue) Workflow(name string) (inputs, outputs json.RawMessage, ok bool) {
	switch name {
	case "terraform.apply":
		return json.RawMessage(`{"type": "object", "required": ["workspace"], "properties": {"workspace": {"type": "string"}, "vars": {"type": "object"}}, "additionalProperties": false}`),
			json.RawMessage(`{"type": "object", "properties": {"id": {"type": "string"}}}`), true
	case "terraform.destroy", "literals":
		return nil, nil, true
	}
	return nil, nil, false
}

func types() catalogue {
	out := catalogue{}
	add := func(name, with, result string) {
		out[name] = definition.TaskType{Name: name, With: json.RawMessage(with), Out: json.RawMessage(result), Native: name == "approval"}
	}
	text := `{"type": "object", "properties": {"text": {"type": "string"}}}`
	id := `{"type": "object", "properties": {"id": {"type": "string"}}}`
	add("shell", `{"type": "object", "required": ["run"], "additionalProperties": false, "properties": {"run": {"type": "string", "description": "the command"}, "token": {"type": "string"}, "tries": {"type": "integer", "minimum": 1}}}`, text)
	add("net.take", `{"type": "object", "properties": {"network": {"type": "string"}, "host": {"type": "string"}}}`, `{"type": "object", "properties": {"address": {"type": "string"}, "mask": {"type": "integer"}}}`)
	add("net.free", `{"type": "object", "properties": {"address": {"type": "string"}}}`, "")
	add("wait", "", "")
	add("approval", "", `{"type": "object", "properties": {"by": {"type": "string"}}}`)
	add("vm.disk", `{"type": "object", "properties": {"vm": {"type": "string"}, "gb": {"type": "integer"}}}`, id)
	add("mail", `{"type": "object", "properties": {"to": {}, "body": {"type": "string"}}}`, id)
	for _, n := range []string{"tfe.workspace", "tfe.variable", "tfe.state"} {
		add(n, "", `{"type": "object", "properties": {"id": {"type": "string"}, "values": {"type": "object"}}}`)
	}
	add("tfe.plan", "", `{"type": "object", "properties": {"id": {"type": "string"}, "changes": {"type": "boolean"}}}`)
	add("tfe.apply", "", text)
	return out
}

func lines(ps []errs.Problem) string {
	var b strings.Builder
	for _, p := range ps {
		fmt.Fprintf(&b, "%s: %s\n", p.Location, p.Message)
		if p.Hint != "" {
			fmt.Fprintf(&b, "    %s\n", p.Hint)
		}
	}
	return b.String()
}

func compile(file string, data []byte) (*dag.Graph, *document.Document, []errs.Problem) {
	docs, ps := document.Parse(file, data)
	if len(ps) > 0 {
		return nil, nil, ps
	}
	g, ps := definition.Compile(docs[0], types())
	return g, docs[0], ps
}

func TestGood(t *testing.T) {
	t.Parallel()
	files, _ := filepath.Glob("testdata/good/*.yaml")
	if len(files) == 0 {
		t.Fatal("no test data")
	}
	for _, f := range files {
		data, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		g, doc, ps := compile(filepath.Base(f), data)
		if len(ps) > 0 {
			t.Errorf("Compile(%s):\n%s", f, lines(ps))
			continue
		}
		loaded, err := definition.Load(doc.JSON, doc.Digest)
		if err != nil {
			t.Errorf("Load(%s) = %v", f, err)
			continue
		}
		if diff := cmp.Diff(outline(g), outline(loaded)); diff != "" {
			t.Errorf("Load(%s) differs from Compile:\n%s", f, diff)
		}
		golden(t, strings.TrimSuffix(f, ".yaml")+".txt", outline(g))
	}
}

// Each bad document has, beside it, all that is told of it.
func TestBad(t *testing.T) {
	t.Parallel()
	files, _ := filepath.Glob("testdata/bad/*.yaml")
	if len(files) == 0 {
		t.Fatal("no test data")
	}
	for _, f := range files {
		data, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		_, _, ps := compile(filepath.Base(f), data)
		if len(ps) == 0 {
			t.Errorf("Compile(%s) found nothing wrong", f)
			continue
		}
		golden(t, strings.TrimSuffix(f, ".yaml")+".txt", lines(ps))
	}
}

// golden compares with a file; UPDATE_GOLDEN=1 writes it.
func golden(t *testing.T, file, got string) {
	t.Helper()
	if os.Getenv("UPDATE_GOLDEN") != "" {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s: -want +got\n%s", file, diff)
	}
}

// outline writes what matters of a graph, a line a task.
func outline(g *dag.Graph) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %q onFailure=%s priority=%d deadline=%s limit=%v workflows=%v\n", g.Name, g.Title, g.OnFailure, g.Priority, g.Deadline, g.Limit != nil, g.Workflows)
	for _, v := range g.Vars {
		fmt.Fprintf(&b, "var %s\n", v.Name)
	}
	for _, s := range g.Scopes {
		owner := "-"
		if s.Owner != nil {
			owner = s.Owner.ID
		}
		fmt.Fprintf(&b, "scope %d of %s\n", s.Index, owner)
		for _, t := range s.Tasks {
			fmt.Fprintf(&b, "  %d %s use=%s pool=%s timeout=%s onError=%s", t.Index, t.ID, t.Use, t.Pool, t.Timeout, t.OnError)
			for _, d := range t.Deps {
				fmt.Fprintf(&b, " %s%s", map[dag.DepKind]string{dag.Settled: "~", dag.Succeeded: ""}[d.Kind], d.On.ID)
			}
			if t.Each != nil {
				fmt.Fprintf(&b, " each=%s as=%s parallel=%v tolerate=%v", t.Each.In.Source(), t.Each.As, t.Each.Parallel, t.Each.Tolerate)
			}
			if t.Retry != nil {
				fmt.Fprintf(&b, " retry=%d/%s/%v/%s/%v", t.Retry.Max, t.Retry.Wait, t.Retry.Factor, t.Retry.Cap, t.Retry.Jitter)
			}
			if t.Undo != nil {
				fmt.Fprintf(&b, " undo=%s", t.Undo.Use)
			}
			b.WriteByte('\n')
		}
	}
	return b.String()
}

func TestSchemaIsOne(t *testing.T) {
	t.Parallel()
	s, err := document.CompileSchema(definition.Schema())
	if err != nil {
		t.Fatal(err)
	}
	undescribed(t, "", s.Raw())
}

// undescribed finds keys that an editor could say nothing about.
func undescribed(t *testing.T, at string, v any) {
	m, ok := v.(map[string]any)
	if !ok {
		return
	}
	props, _ := m["properties"].(map[string]any)
	for name, p := range props {
		s, _ := p.(map[string]any)
		if s["description"] == nil && s["$ref"] == nil && s["default"] == nil {
			t.Errorf("%s/%s has no description", at, name)
		}
	}
	for k, c := range m {
		undescribed(t, at+"/"+k, c)
	}
}

// random draws tasks t0…tn-1, each of which may wait for earlier ones, and writes them shuffled.
func random(t *rapid.T, back bool) (src string, cycle []string) {
	n := rapid.IntRange(2, 30).Draw(t, "n")
	waits := make([][]string, n)
	for i := 1; i < n; i++ {
		for range rapid.IntRange(0, 3).Draw(t, "edges") {
			j := rapid.IntRange(0, i-1).Draw(t, "on")
			waits[i] = append(waits[i], fmt.Sprintf(rapid.SampledFrom([]string{"${{ tasks.t%d.out.text }}", "${{ tasks.t%d?.out.text }}", "N%d", "A%d"}).Draw(t, "how"), j))
		}
	}
	if back {
		i := rapid.IntRange(1, n-1).Draw(t, "late")
		j := rapid.IntRange(0, i-1).Draw(t, "early")
		waits[i] = append(waits[i], fmt.Sprintf("N%d", j))
		waits[j] = append(waits[j], fmt.Sprintf("${{ tasks.t%d.out.text }}", i))
		cycle = []string{fmt.Sprintf("t%d", j), fmt.Sprintf("t%d", i)}
	}
	var b strings.Builder
	b.WriteString("kind: Workflow\nname: w\ntasks:\n")
	for _, i := range rapid.Permutation(indices(n)).Draw(t, "order") {
		var needs, after, refs []string
		for _, w := range waits[i] {
			switch w[0] {
			case 'N':
				needs = appendNew(needs, "t"+w[1:])
			case 'A':
				after = appendNew(after, "t"+w[1:])
			default:
				refs = append(refs, w)
			}
		}
		fmt.Fprintf(&b, "  t%d: { use: shell, needs: [%s], after: [%s], with: { run: %q } }\n", i, strings.Join(needs, ", "), strings.Join(after, ", "), "x "+strings.Join(refs, " "))
	}
	return b.String(), cycle
}

func indices(n int) []int {
	out := make([]int, n)
	for i := range out {
		out[i] = i
	}
	return out
}

func appendNew(l []string, s string) []string {
	for _, e := range l {
		if e == s {
			return l
		}
	}
	return append(l, s)
}

func TestRandomGraphs(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		src, _ := random(rt, false)
		g, _, ps := compile("w.yaml", []byte(src))
		if len(ps) > 0 {
			rt.Fatalf("Compile:\n%s\n%s", src, lines(ps))
		}
		for i, task := range g.Tasks.Tasks {
			if task.Index != i {
				rt.Fatalf("task %s at %d has Index %d", task.ID, i, task.Index)
			}
			for _, d := range task.Deps {
				if d.On.Index >= i || d.On.Scope != task.Scope {
					rt.Fatalf("task %s (%d) depends on %s (%d)", task.ID, i, d.On.ID, d.On.Index)
				}
			}
		}
	})
}

func TestRandomCycles(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		src, cycle := random(rt, true)
		_, _, ps := compile("w.yaml", []byte(src))
		for _, p := range ps {
			text, ok := strings.CutPrefix(p.Message, "tasks wait for each other: ")
			if !ok {
				continue
			}
			// What is named must be a cycle, and of the one knot there is.
			ids := strings.Split(text, " -> ")
			if len(ids) < 3 || ids[0] != ids[len(ids)-1] {
				rt.Fatalf("not a cycle: %s", text)
			}
			for i := range len(ids) - 1 {
				if !names(src, ids[i], ids[i+1]) {
					rt.Fatalf("%s does not wait for %s in\n%s", ids[i], ids[i+1], src)
				}
			}
			return
		}
		rt.Fatalf("no cycle was told of, there is %v:\n%s\n%s", cycle, src, lines(ps))
	})
}

// names says that the line of one task mentions another.
func names(src, task, other string) bool {
	for line := range strings.SplitSeq(src, "\n") {
		if strings.HasPrefix(line, "  "+task+":") {
			for _, end := range []string{".", "?", ",", "]"} {
				if strings.Contains(line, other+end) {
					return true
				}
			}
		}
	}
	return false
}

func TestBounds(t *testing.T) {
	t.Parallel()
	var many strings.Builder
	many.WriteString("kind: Workflow\nname: w\ntasks:\n")
	for i := range definition.MaxTasks + 1 {
		fmt.Fprintf(&many, "  t%d: {use: shell, with: {run: x}}\n", i)
	}
	_, _, ps := compile("w", []byte(many.String()))
	if len(ps) != 1 || !strings.Contains(ps[0].Message, "more than 10000 tasks") {
		t.Errorf("10,001 tasks: %.300s; want one problem", lines(ps))
	}
	deep := strings.Repeat(`{"tasks":{"a`, 20)
	for i := range 20 {
		deep = strings.Replace(deep, `a{`, fmt.Sprintf(`a%d":{`, i), 1)
	}
	deep += `":{"use":"shell","with":{"run":"x"}}` + strings.Repeat("}}", 20)
	_, _, ps = compile("w", []byte(`{"kind":"Workflow","name":"w","tasks":{"g":`+deep+`}}`))
	if len(ps) != 1 || !strings.Contains(ps[0].Message, "nested deeper than 16 levels") {
		t.Errorf("20 levels: %.300s; want one problem", lines(ps))
	}
}

// Who starts a run may give what the workflow lists; what a sub-run was given when it was accepted counts.
func TestGivenInputs(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct{ inputs, given, want string }{
		{`{"type":"object","properties":{"a":{"type":"string"}}}`, `{"a":"x"}`, ""},
		{`{"type":"object","properties":{"a":{"type":"string"}}}`, `{"a":"x","b":1}`, "unknown key"},
		{`{"type":"object","properties":{"a":{"type":"object","properties":{"c":{}}}}}`, `{"a":{"b":1}}`, "unknown key"},
		{`{"type":"object","properties":{"a":{}},"additionalProperties":true}`, `{"b":1}`, ""},
		{`{"type":"object"}`, `{"b":1}`, ""},
		{``, `{"b":1}`, "unknown key"},
		{``, ``, ""},
	} {
		g := &dag.Graph{Name: "w"}
		if tc.inputs != "" {
			g.Inputs = json.RawMessage(tc.inputs)
		}
		_, err := definition.GivenInputs(g, json.RawMessage(tc.given))
		if text := problems(err); tc.want == "" && err != nil || !strings.Contains(text, tc.want) {
			t.Errorf("GivenInputs(%s, %s) = %v %s; want %q", tc.inputs, tc.given, err, text, tc.want)
		}
		if _, err := definition.CheckInputs(g, json.RawMessage(tc.given)); err != nil {
			t.Errorf("CheckInputs(%s, %s) = %v; want it taken", tc.inputs, tc.given, err)
		}
	}
}

// problems is all that an error says is wrong.
func problems(err error) string {
	e, ok := errors.AsType[*errs.Error](err)
	if !ok {
		return ""
	}
	return lines(e.Problems)
}

// Without types, what they would say is not asked; everything else is.
func TestCompileWithoutTypes(t *testing.T) {
	t.Parallel()
	docs, _ := document.Parse("f", []byte("kind: Workflow\nname: w\ntasks:\n  a: { use: nobody.knows, timeuot: 5s, with: { x: \"${{ tasks.b.out }} ${{ nope }}\" } }\n"))
	_, ps := definition.Compile(docs[0], nil)
	want := "f:4:27: unknown key \"timeuot\"\n    did you mean timeout?\nf:4:56: there is no task \"b\" here\nf:4:75: unknown name \"nope\"\n    known here are inputs, vars, run, tasks\n"
	if got := lines(ps); got != want {
		t.Errorf("Compile without types =\n%swant\n%s", got, want)
	}
}

func FuzzCompile(f *testing.F) {
	files, _ := filepath.Glob("testdata/*/*.yaml")
	for _, name := range files {
		data, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		start := time.Now()
		docs, _ := document.Parse("f", data)
		for _, d := range docs {
			g, ps := definition.Compile(d, types())
			if (g == nil) == (len(ps) == 0) {
				t.Fatalf("Compile gave a graph: %v, problems: %d; want one of them", g != nil, len(ps))
			}
			loaded, err := definition.Load(d.JSON, d.Digest)
			if g != nil && (err != nil || outline(loaded) != outline(g)) {
				t.Fatalf("Load = %v; want what Compile gave", err)
			}
		}
		if took := time.Since(start); took > 20*time.Second {
			t.Fatalf("took %s", took)
		}
	})
}

func BenchmarkCompile(b *testing.B) {
	for _, n := range []int{10, 100, 1000} {
		var src strings.Builder
		src.WriteString("kind: Workflow\nname: w\ninputs: {type: object, properties: {cpu: {type: integer}}}\ntasks:\n")
		for i := range n {
			fmt.Fprintf(&src, "  t%d:\n    use: shell\n    when: inputs.cpu > %d\n    retry: {max: 3}\n", i, i)
			if i > 0 {
				fmt.Fprintf(&src, "    needs: [t%d]\n    with: { run: \"go ${{ tasks.t%d.out.text }}\", tries: \"${{ inputs.cpu }}\" }\n", i-1, i-1)
			} else {
				src.WriteString("    with: { run: go }\n")
			}
		}
		docs, ps := document.Parse("w.yaml", []byte(src.String()))
		if len(ps) > 0 {
			b.Fatal(lines(ps))
		}
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			for b.Loop() {
				if _, ps := definition.Compile(docs[0], types()); len(ps) > 0 {
					b.Fatal(lines(ps))
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(n), "ns/task")
		})
	}
}
