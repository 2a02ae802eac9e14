package core

import (
	"bytes"
	"encoding/json"
	"fmt"
	"sort"

	"tutti/api"
	"tutti/internal/workflow/expr"
)

// env gives the expressions of n exactly the names they refer to, so that its cost does not grow with
// the run.
func (r *Run) env(n *node, refs []expr.Ref) expr.Env {
	return r.envIn(n.in, n, refs)
}

// envError is env with the failure as `error`.
func (r *Run) envError(n *node, refs []expr.Ref, f api.Failure) expr.Env {
	e := r.env(n, refs)
	e["error"] = failureValue(&f)
	return e
}

func failureValue(f *api.Failure) any {
	if f == nil {
		return nil
	}
	d := f.Details
	if d == nil {
		d = map[string]any{}
	}
	return map[string]any{"type": f.Type, "message": f.Message, "retryable": f.Retryable, "details": d}
}

// envIn gives names as seen from scope s; n, if any, is the task whose expression it is.
func (r *Run) envIn(s *scope, n *node, refs []expr.Ref) expr.Env {
	env := make(expr.Env, 4)
	if n != nil && n.undoes != nil {
		t := n.undoes
		env["out"] = t.value()
		n, s = t, t.in
	}
	var tasks map[string]any
	for _, ref := range refs {
		switch root := ref.Path[0]; root {
		case "inputs":
			env[root] = r.inputs
		case "vars":
			env[root] = r.vars
		case "run":
			if env[root] == nil {
				env[root] = r.info()
			}
		case "tasks":
			if tasks == nil {
				tasks = map[string]any{}
				env[root] = tasks
			}
			if len(ref.Path) > 1 {
				if id := ref.Path[1]; tasks[id] == nil {
					tasks[id] = r.taskValue(s, id)
				}
			}
		case "out", "error", "secrets":
		default:
			if v, ok := itemValue(s, n, root); ok {
				env[root] = v
			}
		}
	}
	return env
}

// itemValue finds the item that a name means, from the inside out.
func itemValue(s *scope, n *node, name string) (any, bool) {
	for {
		if n != nil && n.isItem && n.task.Each != nil {
			as := n.task.Each.As
			if as == "" {
				as = "item"
			}
			if as == name {
				return n.item, true
			}
		}
		if n == nil {
			n = s.owner
		} else {
			n = n.in.owner
		}
		if n == nil {
			return nil, false
		}
	}
}

// taskValue is what `tasks.id` gives, seen from s.
func (r *Run) taskValue(s *scope, id string) any {
	for s != nil {
		if s.def != nil {
			if t := s.def.ByID[id]; t != nil {
				return s.nodes[t.Index].asTask()
			}
		}
		if s.owner == nil {
			break
		}
		s = s.owner.in
	}
	// `finally` reads the tasks of the main part.
	if s == r.finally && r.root != nil {
		if t := r.root.def.ByID[id]; t != nil {
			return r.root.nodes[t.Index].asTask()
		}
	}
	return nil
}

// asTask is what an expression sees of a task. The out of one that did not succeed is empty, so that
// reading through it gives nothing instead of an error.
func (n *node) asTask() any {
	out := n.value()
	if n.state != api.Succeeded || out == nil {
		out = map[string]any{}
	}
	return map[string]any{"status": string(n.state), "out": out, "error": failureValue(n.failure)}
}

// value returns the decoded output.
func (n *node) value() any {
	if !n.outOK {
		n.outAny = nil
		if len(n.out) > 0 {
			_ = json.Unmarshal(n.out, &n.outAny) // it was checked when it was reported
		}
		n.outOK = true
	}
	return n.outAny
}

// info is what expressions see as `run`.
func (r *Run) info() map[string]any {
	status := r.State
	if r.phase >= inUndo {
		status = r.outcome
	}
	m := map[string]any{
		"id": string(r.ID), "name": r.Workflow, "title": r.Title, "namespace": r.Namespace, "trace": r.Trace, "request": r.Request,
		"requester": r.Requester, "started": micros(r.Created).Format("2006-01-02T15:04:05.000Z"), "status": string(status), "failed": nil,
	}
	f := r.Failure
	if f == nil && r.root != nil && r.root.cause != nil {
		c := r.rootCause()
		f = &api.RunFail{Task: c.path}
		if c.failure != nil {
			f.Failure = *c.failure
		}
	}
	if f != nil {
		m["failed"] = map[string]any{"task": f.Task, "type": f.Type, "message": f.Message}
	}
	return m
}

type items struct {
	keys   []string
	values []any
}

// gather makes the items of an `each` out of the value of `in`: a list, or a map in the order of its
// keys, gathered by `by` where that is given, each with a key that no other has.
func (r *Run) gather(n *node, v any) (out items, err error) {
	var list []any
	switch x := v.(type) {
	case nil:
	case []any:
		list = x
	case map[string]any:
		names := make([]string, 0, len(x))
		for k := range x {
			names = append(names, k)
		}
		sort.Strings(names)
		for _, k := range names {
			list = append(list, map[string]any{"key": k, "value": x[k]})
		}
	default:
		return out, fmt.Errorf("in gives %s; it must give a list or an object", expr.Describe(v))
	}
	if len(list) > maxItems {
		return out, fmt.Errorf("in gives %d items; at most %d are allowed", len(list), maxItems)
	}
	ea := n.task.Each
	probe := &node{task: n.task, in: &scope{owner: n}, isItem: true}
	text := func(p *expr.Program, item any, what string) (string, error) {
		probe.item = item
		s, err := p.Text(r.envIn(probe.in, probe, p.Refs()))
		if err != nil {
			return "", fmt.Errorf("%s: %w", what, err)
		}
		return s, nil
	}
	if ea.By != nil {
		at := map[string]int{}
		for _, item := range list {
			k, err := text(ea.By, item, "by")
			if err != nil {
				return out, err
			}
			i, ok := at[k]
			if !ok {
				i = len(out.values)
				at[k] = i
				out.keys, out.values = append(out.keys, k), append(out.values, []any{})
			}
			out.values[i] = append(out.values[i].([]any), item)
		}
		return out, keysFit(out.keys)
	}
	out.values = list
	out.keys = make([]string, len(list))
	for i, item := range list {
		if ea.Key == nil {
			out.keys[i] = fmt.Sprint(i)
			continue
		}
		if out.keys[i], err = text(ea.Key, item, "key"); err != nil {
			return out, err
		}
	}
	return out, keysFit(out.keys)
}

// maxItems bounds an `each`; larger sets are split over sub-workflows.
const maxItems = 100_000

func keysFit(keys []string) error {
	seen := make(map[string]bool, len(keys))
	for _, k := range keys {
		if seen[k] {
			return fmt.Errorf("two items have the key %q; keys must differ", k)
		}
		if k == "" || len(k) > 200 || bytes.ContainsAny([]byte(k), "[]\n\r\t\x00") {
			return fmt.Errorf("%q cannot be the key of an item: it is empty, longer than 200 bytes, or holds brackets or control characters", k)
		}
		seen[k] = true
	}
	return nil
}

// eachOut is the output of an `each`: a list in the order of the items, or, where they have keys, a
// map. An item that did not succeed is null.
func eachOut(n *node) (json.RawMessage, error) {
	keyed := n.task.Each.Key != nil || n.task.Each.By != nil
	var b bytes.Buffer
	b.WriteByte("[{"[btoi(keyed)])
	for i, c := range n.body.nodes {
		if i > 0 {
			b.WriteByte(',')
		}
		if keyed {
			k, err := json.Marshal(c.key)
			if err != nil {
				return nil, err
			}
			b.Write(k)
			b.WriteByte(':')
		}
		if c.state == api.Succeeded && len(c.out) > 0 {
			b.Write(c.out)
		} else {
			b.WriteString("null")
		}
	}
	b.WriteByte("]}"[btoi(keyed)])
	return b.Bytes(), nil
}

func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
}
