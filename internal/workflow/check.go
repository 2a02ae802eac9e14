package workflow

import (
	"context"
	"encoding/json"
	"slices"

	"tutti/api"
	"tutti/bus"
	"tutti/internal/document"
	"tutti/internal/workflow/dag"
	"tutti/internal/workflow/definition"
)

// check says what is wrong with workflow documents, and what their publisher must hold.
func (s *Service) check(ctx context.Context, in api.CheckIn) (out api.CheckOut, err error) {
	docs := map[string]*document.Document{} // workflows and task types, by kind and name
	var mine []*document.Document
	for _, f := range in.Files {
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
	for _, d := range mine {
		g, problems := definition.Compile(d, known)
		out.Problems = append(out.Problems, problems...)
		if g == nil {
			continue
		}
		for _, p := range known.permissions(g) {
			if !slices.Contains(out.Needs, p) {
				out.Needs = append(out.Needs, p)
			}
		}
	}
	return out, nil
}

// known finds workflows and task types among docs first, then among what was applied.
func (s *Service) known(ctx context.Context, namespace string, docs map[string]*document.Document) known {
	return known{s.types, func(name string) (api.TaskType, bool) {
		if d := docs[api.KindTaskType+"/"+name]; d != nil {
			t, err := s.cfg.Drivers.Spec(d.JSON)
			return t, err == nil // its own problems are reported where it stands
		}
		v, err := s.declared.Get(ctx, namespace, name, 0)
		return v.Type, err == nil
	}, func() []string {
		names, err := s.declared.Names(ctx, namespace)
		if err != nil {
			return nil // they are for a hint
		}
		for _, d := range docs {
			if d.Kind == api.KindTaskType {
				names = append(names, d.Name)
			}
		}
		return names
	}, func(name string) (inputs, outputs json.RawMessage, ok bool) {
		var raw []byte
		if d := docs[api.KindWorkflow+"/"+name]; d != nil {
			raw = d.JSON
		} else {
			def, err := s.fetch(ctx, namespace, name)
			if err != nil {
				return nil, nil, false
			}
			raw = def.Document
		}
		inputs, outputs = definition.Contract(raw)
		return inputs, outputs, true
	}}
}

// fetch gets a published workflow, as the engine.
func (s *Service) fetch(ctx context.Context, namespace, name string) (api.Definition, error) {
	return api.GetDefinition.Call(bus.AsService(ctx, s.d.Name), s.d.Bus, api.GetDefinitionIn{NS: api.NS{Namespace: namespace}, Kind: api.KindWorkflow, Name: name})
}

// each calls f with every task of g.
func each(g *dag.Graph, f func(*dag.Task)) {
	for _, sc := range g.Scopes {
		for _, t := range sc.Tasks {
			f(t)
		}
	}
}

// plan says what a run would do.
func (s *Service) plan(ctx context.Context, in api.PlanWorkflowIn) (out api.WorkflowPlan, err error) {
	def, err := s.fetch(ctx, in.Namespace, in.Workflow)
	if err != nil {
		return out, err
	}
	g, err := definition.Load(def.Document, def.Digest)
	if err != nil {
		return out, err
	}
	if _, err := definition.CheckInputs(g, in.Inputs); err != nil {
		return out, err
	}
	out.Version = def.Version
	out.Expected = s.history.run(ctx, in.Namespace, in.Workflow)
	var walk func(sc *dag.Scope, prefix string)
	walk = func(sc *dag.Scope, prefix string) {
		if sc == nil {
			return
		}
		for _, t := range sc.Tasks {
			step := api.PlanStep{Path: prefix + t.ID, Title: t.Title, Use: t.Use}
			if t.Undo != nil {
				step.Undo = t.Undo.Use
			}
			if t.When != nil {
				step.When = t.When.Source()
			}
			out.Steps = append(out.Steps, step)
			walk(t.Body, step.Path+".")
		}
	}
	walk(g.Tasks, "")
	walk(g.Finally, "finally.")
	return out, nil
}
