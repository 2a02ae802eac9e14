package workflow

import (
	"context"
	"encoding/json"
	"slices"
	"strings"

	"tutti/api"
	"tutti/errs"
	"tutti/internal/document"
	"tutti/internal/workflow/dag"
	"tutti/internal/workflow/definition"
	player "tutti/internal/workflow/simulate"
)

// draftGraph checks workflows that need not be applied, and lays one out.
func (s *Service) draftGraph(ctx context.Context, in api.DraftGraphIn) (api.DraftGraph, error) {
	out := api.DraftGraph{Problems: []errs.Problem{}, Workflows: []string{}}
	docs := map[string]*document.Document{}
	var mine []*document.Document
	for _, f := range in.Body.Files {
		ds, problems := document.Parse(f.Name, []byte(f.Text))
		out.Problems = append(out.Problems, problems...)
		for _, d := range ds {
			docs[d.Kind+"/"+d.Name] = d
			if d.Kind == api.KindWorkflow {
				mine = append(mine, d)
			}
		}
	}
	known := s.known(ctx, in.Namespace, docs)
	var drawn *dag.Graph
	for _, d := range mine {
		g, problems := definition.Compile(d, known)
		out.Problems = append(out.Problems, problems...)
		if g == nil {
			continue
		}
		out.Workflows = append(out.Workflows, g.Name)
		if drawn == nil && (in.Body.Workflow == "" || in.Body.Workflow == g.Name) {
			drawn = g
		}
	}
	if drawn != nil {
		plan := layOut(drawn, in.Body.Open)
		out.Graph = &plan
	}
	return out, nil
}

const (
	// maxCalled bounds how many published workflows a simulation brings in.
	maxCalled = 50
	// maxPlayed bounds how many simulations are played at once: they take processor time alone.
	maxPlayed = 2
	// maxPlaySteps bounds one that is played on the server.
	maxPlaySteps = 20_000
	// maxMoments bounds the timeline of an answer.
	maxMoments = 5_000
)

// simulate plays a workflow on a clock of its own.
func (s *Service) simulate(ctx context.Context, in api.SimulateIn) (out api.Simulation, err error) {
	out.Tasks, out.Timeline = []api.SimulatedTask{}, []api.SimulatedMoment{}
	if len(in.Body.Files) == 0 && in.Body.Workflow == "" {
		return out, errs.New(errs.Invalid, "the body names no workflow").WithHint("give workflow (a published name) or files")
	}
	select {
	case s.playing <- struct{}{}:
		defer func() { <-s.playing }()
	case <-ctx.Done():
		return out, errs.New(errs.Unavailable, "too many simulations are played: %w", ctx.Err())
	}
	types, err := s.listTypes(ctx, api.ListTaskTypesIn{NS: in.NS})
	if err != nil {
		return out, err
	}
	files, err := s.withCalled(ctx, in)
	if err != nil {
		return out, err
	}
	lib, problems := player.Read(player.Catalogue{Types: types.Items, Declare: s.declare}, files)
	if len(problems) > 0 {
		out.Problems = problems
		return out, nil
	}
	sc := player.Scenario{MaxSteps: maxPlaySteps}
	if len(in.Body.Scenario) > 0 {
		if err := json.Unmarshal(in.Body.Scenario, &sc); err != nil {
			return out, errs.New(errs.Invalid, "body.scenario: %w", err).WithHint("it is what a document of kind Test has: mocks, fail, approvals, signals, cancel")
		}
	}
	sc.Workflow = in.Body.Workflow
	if sc.Workflow == "" {
		tops := lib.Tops()
		if len(tops) == 0 {
			return out, errs.New(errs.Invalid, "the files hold no workflow")
		}
		sc.Workflow = tops[0]
	}
	if len(in.Body.Inputs) > 0 {
		sc.Inputs = in.Body.Inputs
	}
	rep, err := lib.Run(sc)
	if err != nil {
		return out, err
	}
	return simulation(rep)
}

// declare reads a task type that the files declare.
func (s *Service) declare(d *document.Document) (api.TaskType, []errs.Problem) {
	t, err := s.cfg.Drivers.Spec(d.JSON)
	if err == nil {
		return t, nil
	}
	e := errs.Public(err)
	if len(e.Problems) > 0 {
		return t, e.Problems
	}
	return t, []errs.Problem{{Location: d.At(""), Message: e.Msg, Hint: e.Hint}}
}

// withCalled returns the files and, behind them, the published workflows that are to be played or called and
// are not among them.
func (s *Service) withCalled(ctx context.Context, in api.SimulateIn) ([]api.SourceFile, error) {
	files := slices.Clone(in.Body.Files)
	have, want := map[string]bool{}, []string{}
	need := func(doc any) {
		callsIn(doc, func(name string) { want = append(want, name) })
	}
	for _, f := range files {
		docs, _ := document.Parse(f.Name, []byte(f.Text)) // what is wrong is told when they are read
		for _, d := range docs {
			if d.Kind == api.KindWorkflow {
				have[d.Name] = true
				need(d.Value())
			}
		}
	}
	if in.Body.Workflow != "" {
		want = append(want, in.Body.Workflow)
	}
	for fetched := 0; len(want) > 0; {
		name := want[0]
		want = want[1:]
		if have[name] {
			continue
		}
		have[name] = true
		def, err := s.fetch(ctx, in.Namespace, name)
		if errs.Is(err, errs.NotFound) {
			continue // told as a problem of who calls it
		}
		if err != nil {
			return nil, err
		}
		if fetched++; fetched > maxCalled {
			return nil, errs.New(errs.TooLarge, "more than %d published workflows are called", maxCalled)
		}
		files = append(files, api.SourceFile{Name: name, Text: string(def.Document)})
		var v any
		if err := json.Unmarshal(def.Document, &v); err == nil {
			need(v)
		}
	}
	return files, nil
}

// callsIn calls f with the names of the workflows that a document calls.
func callsIn(v any, f func(string)) {
	switch v := v.(type) {
	case map[string]any:
		if use, ok := v["use"].(string); ok {
			if name, ok := strings.CutPrefix(use, "workflow:"); ok {
				f(name)
			}
		}
		for _, e := range v {
			callsIn(e, f)
		}
	case []any:
		for _, e := range v {
			callsIn(e, f)
		}
	}
}

// simulation is a report as the API gives it.
func simulation(rep *player.Report) (out api.Simulation, err error) {
	rep.Timeline = rep.Timeline[:min(len(rep.Timeline), maxMoments)]
	faults := rep.Problems
	rep.Problems = nil
	b, err := json.Marshal(rep)
	if err != nil {
		return out, err
	}
	err = json.Unmarshal(b, &out) // it has the same fields
	out.Faults = faults
	return out, err
}
