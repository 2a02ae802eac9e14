package workflow_test

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"tutti/api"
)

func TestVariables(t *testing.T) {
	inBubble(t, func(t *testing.T, dir string) {
		h := open(t, dir)
		r := h.mustStart("inputs: {type: object, properties: {cpu: {type: integer, default: 2}, name: {type: string, default: x}}}\nvars: {full: '${{ inputs.name }}.example'}\n" +
			"tasks:\n  a: {use: noop, with: {host: '${{ vars.full }}', token: '${{ secrets.pw }}'}}\n  g:\n    tasks: {b: {use: noop, with: {ok: '${{ tasks.a.out.ok }}'}}}\n    when: inputs.cpu > 1\n" +
			"outputs: {x: '${{ tasks.a.out.ok }}'}")
		h.work()
		p, err := api.ListVariables.Call(admin(t.Context()), h.bus, api.VariablesIn{NS: api.NS{Namespace: ns}, ID: r.ID})
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, v := range p.Items {
			got = append(got, fmt.Sprintf("%s %s %s %v", v.Name, v.Origin, v.Value, v.Readers))
		}
		want := []string{
			"inputs.cpu default 2 [g]", `inputs.name default "x" [vars.full]`, `vars.full var "x.example" [a]`, "secrets.pw secret  [a]",
			`tasks.a.out output {"ok":true} [outputs g.b]`, "tasks.g.out output {} []", `tasks.g.b.out output {"ok":true} []`,
		}
		if !slices.Equal(got, want) {
			t.Errorf("variables =\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
		if b, _ := json.Marshal(p); strings.Contains(string(b), "hunter22") {
			t.Error("the value of a secret is shown")
		}
		g, err := api.WorkflowHistory.Call(admin(t.Context()), h.bus, api.HistoryGridIn{NS: api.NS{Namespace: ns}, Name: "test"})
		if err != nil || !slices.Equal(g.Tasks, []string{"a", "g", "g.b"}) || len(g.Runs) != 1 || g.Runs[0].States != "sss" || len(g.Runs[0].Took) != 3 {
			t.Errorf("history = %+v, %v; want one run of three tasks that succeeded", g, err)
		}
	})
}

func TestDraftGraphAndSimulation(t *testing.T) {
	inBubble(t, func(t *testing.T, dir string) {
		h := open(t, dir)
		if err := api.ListDefinitions.Handle(t.Context(), h.bus, func(context.Context, api.ListDefinitionsIn) (p api.Page[api.Definition], err error) { return p, nil }); err != nil {
			t.Fatal(err)
		}
		draft := func(text string) api.DraftGraph {
			t.Helper()
			g, err := api.GraphDefinition.Call(admin(t.Context()), h.bus, api.DraftGraphIn{NS: api.NS{Namespace: ns}, Body: api.DraftGraphBody{Files: []api.SourceFile{{Name: "x.yaml", Text: text}}}})
			if err != nil {
				t.Fatal(err)
			}
			return g
		}
		const sound = "kind: Workflow\nname: x\ntasks:\n  a: {use: noop}\n  b: {use: noop, needs: [a]}\n"
		if g := draft(sound); g.Graph == nil || len(g.Graph.Nodes) != 2 || len(g.Graph.Edges) != 1 || len(g.Problems) != 0 || g.Graph.Nodes[1].X <= g.Graph.Nodes[0].X {
			t.Errorf("draft = %+v; want two nodes, one after the other", g)
		}
		if g := draft(strings.Replace(sound, "needs: [a]", "needs: [c]", 1)); g.Graph != nil || len(g.Problems) != 1 || !strings.HasPrefix(g.Problems[0].Location, "x.yaml:5:") {
			t.Errorf("a draft with an error = %+v; want its line", g)
		}
		play := func(b api.SimulateBody) api.Simulation {
			t.Helper()
			out, err := api.SimulateWorkflow.Call(admin(t.Context()), h.bus, api.SimulateIn{NS: api.NS{Namespace: ns}, Body: b})
			if err != nil {
				t.Fatal(err)
			}
			return out
		}
		files := []api.SourceFile{{Name: "x.yaml", Text: sound}}
		if s := play(api.SimulateBody{Files: files}); s.State != api.Succeeded || len(s.Tasks) != 2 || len(s.Timeline) == 0 {
			t.Errorf("simulation = %+v; want it to succeed", s)
		}
		if s := play(api.SimulateBody{Files: files, Scenario: json.RawMessage(`{"mocks":{"tasks":{"a":{"failure":{"type":"x","message":"no"}}}}}`)}); s.State != api.Failed || s.Failure.Task != "a" {
			t.Errorf("simulation of a failure = %+v; want a to fail", s)
		}
		if s := play(api.SimulateBody{Files: []api.SourceFile{{Name: "x.yaml", Text: strings.Replace(sound, "noop", "nope", 1)}}}); len(s.Problems) == 0 || s.State != "" {
			t.Errorf("simulation of an error = %+v; want the problem", s)
		}
	})
}

func TestGraphOfManyTasks(t *testing.T) {
	inBubble(t, func(t *testing.T, dir string) {
		h := open(t, dir)
		var b strings.Builder
		b.WriteString("tasks:\n  g:\n    tasks:\n")
		for i := range 40 {
			fmt.Fprintf(&b, "      t%d: {use: noop}\n", i)
		}
		b.WriteString("  d: {each: {in: '[1, 2]'}, tasks: {x: {use: noop}}}\n")
		r := h.mustStart(b.String())
		graph := func(open string) api.Graph {
			t.Helper()
			g, err := api.RunGraph.Call(admin(t.Context()), h.bus, api.GraphIn{RunIn: api.RunIn{NS: api.NS{Namespace: ns}, ID: r.ID}, Open: open})
			if err != nil {
				t.Fatal(err)
			}
			return g
		}
		folded := graph("")
		if len(folded.Nodes) != 2 || !folded.Nodes[1].Folded || folded.Nodes[1].Inside != 40 || folded.Nodes[1].Counts[api.Running] != 40 || !folded.Nodes[0].Folded || folded.Nodes[0].Kind != "each" {
			t.Errorf("graph = %+v; want the group and the each folded, with counts", folded.Nodes)
		}
		if open := graph("g"); len(open.Nodes) != 42 {
			t.Errorf("graph with g open has %d nodes; want 42", len(open.Nodes))
		}
	})
}
