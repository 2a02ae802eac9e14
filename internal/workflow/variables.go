package workflow

import (
	"context"
	"encoding/json"
	"maps"
	"reflect"
	"slices"
	"strings"

	"tutti/api"
	"tutti/internal/workflow/core"
	"tutti/internal/workflow/dag"
	"tutti/internal/workflow/expr"
)

// maxShown bounds the value of a variable that is shown, in bytes of JSON.
const maxShown = 8 << 10

// variables lists the values of a run: inputs, vars, what tasks gave and keep, secrets.
func (s *Service) variables(ctx context.Context, in api.VariablesIn) (p api.Page[api.Variable], err error) {
	id, err := s.resolve(ctx, in.Namespace, in.ID)
	if err != nil {
		return p, err
	}
	skip := int64(0)
	if in.Cursor != "" {
		if skip, err = readCursor(in.Cursor); err != nil {
			return p, err
		}
	}
	err = s.views.with(ctx, in.Namespace, id, func(r *core.Run) error {
		all := valuesOf(r)
		from := min(int(skip), len(all))
		to := min(from+in.Size(), len(all))
		p.Items = all[from:to]
		if to < len(all) {
			p.Cursor = cursor(int64(to))
		}
		return nil
	})
	return p, err
}

// valuesOf returns the variables of a run, in the order in which they come to be.
func valuesOf(r *core.Run) (out []api.Variable) {
	readers := readersOf(r.Graph)
	add := func(v api.Variable, value json.RawMessage) {
		v.Readers = readers.of(v.Name)
		if v.Size = len(value); v.Size <= maxShown {
			v.Value = value
		}
		out = append(out, v)
	}
	inputs, defaults := object(r.Inputs), defaultsOf(r.Graph.Inputs)
	for _, name := range slices.Sorted(maps.Keys(inputs)) {
		origin := "input"
		if d, ok := defaults[name]; ok && sameJSON(d, inputs[name]) {
			origin = "default"
		}
		add(api.Variable{Name: "inputs." + name, Origin: origin}, inputs[name])
	}
	values := r.VarValues()
	for _, v := range r.Graph.Vars {
		add(api.Variable{Name: "vars." + v.Name, Origin: "var"}, values[v.Name])
	}
	for _, name := range slices.Sorted(maps.Keys(readers)) {
		if strings.HasPrefix(name, "secrets.") {
			out = append(out, api.Variable{Name: name, Origin: "secret", Masked: true, Readers: readers.of(name)})
		}
	}
	for _, t := range r.Tasks() {
		if strings.Contains(t.Path, "[") || strings.HasSuffix(t.Path, "#undo") {
			continue // an each gives what its items gave
		}
		full, err := r.Task(t.Path)
		if err != nil {
			continue
		}
		add(api.Variable{Name: "tasks." + t.Path + ".out", Origin: "output", Task: t.Path, State: t.State}, full.Output)
		kept := object(full.Vars)
		for _, name := range slices.Sorted(maps.Keys(kept)) {
			add(api.Variable{Name: "tasks." + t.Path + ".vars." + name, Origin: "kept", Task: t.Path, State: t.State}, kept[name])
		}
	}
	return out
}

// object returns the members of a JSON object; none of anything else.
func object(raw json.RawMessage) map[string]json.RawMessage {
	var m map[string]json.RawMessage
	if len(raw) == 0 || json.Unmarshal(raw, &m) != nil {
		return nil
	}
	return m
}

// defaultsOf returns what a schema of inputs fills in.
func defaultsOf(schema json.RawMessage) map[string]json.RawMessage {
	out := map[string]json.RawMessage{}
	for name, sub := range object(object(schema)["properties"]) {
		if d, ok := object(sub)["default"]; ok {
			out[name] = d
		}
	}
	return out
}

func sameJSON(a, b json.RawMessage) bool {
	var x, y any
	return json.Unmarshal(a, &x) == nil && json.Unmarshal(b, &y) == nil && reflect.DeepEqual(x, y)
}

// readers are the tasks that mention each name, by the name: inputs.cpu, tasks.net.out, secrets.token.
type readers map[string][]string

// of returns who mentions a name, or a part of it.
func (r readers) of(name string) []string { return r[name] }

func (r readers) note(name, reader string) {
	if !slices.Contains(r[name], reader) {
		r[name] = append(r[name], reader)
	}
}

// readersOf finds who mentions what, in the definition.
func readersOf(g *dag.Graph) readers {
	out := readers{}
	out.template(g.Outputs, "outputs", g.Tasks, "")
	for _, v := range g.Vars {
		out.template(v.Value, "vars."+v.Name, nil, "")
	}
	if g.Limit != nil {
		out.template(g.Limit.Key, "limit", nil, "")
	}
	out.scope(g.Tasks, "")
	out.scope(g.Finally, "finally.")
	return out
}

func (r readers) scope(sc *dag.Scope, prefix string) {
	if sc == nil {
		return
	}
	for _, t := range sc.Tasks {
		path := prefix + t.ID
		templates := []*expr.Template{t.With, t.Once}
		if t.Limit != nil {
			templates = append(templates, t.Limit.Key)
		}
		if t.Undo != nil {
			templates = append(templates, t.Undo.With)
		}
		for _, x := range templates {
			r.template(x, path, sc, prefix)
		}
		programs := []*expr.Program{t.When}
		if t.Each != nil {
			programs = append(programs, t.Each.In, t.Each.Key, t.Each.By)
			if ro := t.Each.Rollout; ro != nil {
				if programs = append(programs, ro.Gate); ro.Checks != nil {
					r.scope(ro.Checks.Body, path+".checks.")
				}
			}
		}
		for _, p := range programs {
			if p != nil {
				r.refs(p.Refs(), path, sc, prefix)
			}
		}
		if t.Body != nil {
			r.template(t.Outputs, path, t.Body, path+".")
			r.scope(t.Body, path+".")
		}
	}
}

func (r readers) template(t *expr.Template, reader string, sc *dag.Scope, prefix string) {
	if t == nil {
		return
	}
	r.refs(t.Refs(), reader, sc, prefix)
	for _, s := range t.Secrets() {
		r.note("secrets."+s.Name, reader)
	}
}

func (r readers) refs(refs []expr.Ref, reader string, sc *dag.Scope, prefix string) {
	for _, ref := range refs {
		if len(ref.Path) < 2 {
			continue
		}
		switch ref.Path[0] {
		case "inputs", "vars", "secrets":
			r.note(ref.Path[0]+"."+ref.Path[1], reader)
		case "tasks":
			if path, ok := seenFrom(sc, prefix, ref.Path[1]); ok {
				r.note("tasks."+path+".out", reader)
			}
		}
	}
}

// seenFrom returns the path of the task that a name means inside a scope: one beside, or of a scope around.
func seenFrom(sc *dag.Scope, prefix, name string) (string, bool) {
	for ; sc != nil; sc = sc.Parent {
		if sc.ByID[name] != nil {
			return prefix + name, true
		}
		if sc.Owner == nil {
			break
		}
		prefix = strings.TrimSuffix(prefix, sc.Owner.ID+".")
	}
	return "", false
}
