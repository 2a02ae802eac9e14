package workflow

import (
	"fmt"
	"strings"
	"testing"

	"tutti/api"
	"tutti/internal/document"
	"tutti/internal/workflow/dag"
	"tutti/internal/workflow/definition"
)

// wide returns the plan of a workflow with n tasks in layers of 40, each needing two of the layer before.
func wide(t testing.TB, n int) *dag.Graph {
	t.Helper()
	var b strings.Builder
	b.WriteString("kind: Workflow\nname: wide\ntasks:\n")
	for i := range n {
		fmt.Fprintf(&b, "  t%d: {use: noop", i)
		if i >= 40 {
			fmt.Fprintf(&b, ", needs: [t%d, t%d]", i-40, i-40-i%40+(i*7)%40)
		}
		b.WriteString("}\n")
	}
	docs, problems := document.Parse("wide", []byte(strings.ReplaceAll(b.String(), "[t0, t0]", "[t0]")))
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	g, err := definition.Load(docs[0].JSON, "digest")
	if err != nil {
		t.Fatal(err)
	}
	return g
}

func TestLayOutKeepsApart(t *testing.T) {
	t.Parallel()
	plan := layOut(wide(t, 400), "")
	at := map[string]api.GraphNode{}
	for i, a := range plan.Nodes {
		at[a.ID] = a
		if a.X < 0 || a.Y < 0 || a.X+a.W > plan.Width || a.Y+a.H > plan.Height {
			t.Fatalf("%+v lies outside of %d x %d", a, plan.Width, plan.Height)
		}
		for _, b := range plan.Nodes[:i] {
			if a.X < b.X+b.W && b.X < a.X+a.W && a.Y < b.Y+b.H && b.Y < a.Y+a.H {
				t.Fatalf("%+v lies on %+v", a, b)
			}
		}
	}
	for _, e := range plan.Edges {
		if at[e.From].X+at[e.From].W >= at[e.To].X {
			t.Fatalf("%s is not left of %s", e.From, e.To)
		}
	}
}

func BenchmarkLayOut2000(b *testing.B) {
	g := wide(b, 2000)
	for b.Loop() {
		layOut(g, "")
	}
}
