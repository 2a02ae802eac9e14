package core

import (
	"encoding/json"
	"slices"

	"tutti/api"
	"tutti/errs"
	"tutti/internal/workflow/dag"
	"tutti/internal/workflow/expr"
)

// expand lets tasks run in the place of n.
func (r *Run) expand(n *node, res api.Result) {
	doc, err := json.Marshal(map[string]any{"kind": "Workflow", "name": "expanded", "tasks": res.Tasks, "outputs": json.RawMessage(orEmpty(res.Outputs))})
	var g *dag.Graph
	if err == nil {
		g, err = r.load(doc)
	}
	if err == nil {
		err = gains(g.Tasks, n.secrets)
	}
	if err != nil {
		r.failed(n, api.Failure{Type: "expand", Message: "the tasks it expanded to are not valid: " + err.Error()})
		return
	}
	r.emit(Event{Type: Expanded, Path: n.path, Attempt: n.attempt, Doc: doc})
}

// gains returns an error where the tasks of s name a secret that the task they stand for did not have:
// whoever expands, maybe a worker that is not trusted with secrets, must not choose others.
func gains(s *dag.Scope, had []expr.SecretUse) error {
	check := func(t *expr.Template) error {
		if t == nil {
			return nil
		}
		for _, u := range t.Secrets() {
			if !slices.ContainsFunc(had, func(h expr.SecretUse) bool { return h.Name == u.Name }) {
				return errs.New(errs.Denied, "they use the secret %s, which the task itself does not", u.Name)
			}
		}
		return nil
	}
	for _, t := range s.Tasks {
		if err := check(t.With); err != nil {
			return err
		}
		if t.Undo != nil {
			if err := check(t.Undo.With); err != nil {
				return err
			}
		}
		if t.Body != nil {
			if err := gains(t.Body, had); err != nil {
				return err
			}
		}
	}
	return nil
}
