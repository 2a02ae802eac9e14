// Package checker judges what engines wrote: it reads journals in the order of their commits and says
// what may not be. It knows the rules from the promises, not from the engine: one table of legal
// transitions, and beside it who may start, who has which place, and what became of sub-runs. The
// simulator, the crash tests, the golden stores and `tutti fsck` share it.
package checker

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"tutti/api"
	"tutti/internal/workflow/core"
	"tutti/internal/workflow/dag"
)

// Row is what one command decided, as the journal has it.
type Row struct {
	Seq    int64 // number of its last event in the run
	Events []core.Event
}

// Journal checks the journals of all runs of an installation. The zero Journal is ready.
type Journal struct {
	// Load compiles the document of an expansion.
	Load core.Loader
	// Limits says that rows are given in the order they were decided in across runs, so that the holders
	// of limits can be counted.
	Limits bool

	runs    map[api.RunID]*run
	holders map[string]map[place]int // by key, with the most each allows
	done    map[string][]byte        // keys of once with what came of them
}

type run struct {
	id     api.RunID
	forked fork
	graph  *dag.Graph
	meta   core.Meta
	seq    int64
	state  state
	end    api.State
	undone bool
	nodes  map[string]*node
	groups map[string]*dag.Scope // of expansions, by path
	limit  queued
	ends   int // how often it ended
}

type node struct {
	state state
	was   state // before it was revived
	child api.RunID
	limit queued
	once  queued
}

type queued struct {
	key  string
	hold bool
	has  bool
}

type place struct {
	run  api.RunID
	path string
}

// Add takes in the next row of a run, and says what is wrong with it.
func (j *Journal) Add(id api.RunID, g *dag.Graph, row Row) error {
	r := j.runs[id]
	if r == nil {
		if j.runs == nil {
			j.runs, j.holders, j.done = map[api.RunID]*run{}, map[string]map[place]int{}, map[string][]byte{}
		}
		r = &run{id: id, graph: g, state: fresh, nodes: map[string]*node{}, groups: map[string]*dag.Scope{}}
		j.runs[id] = r
	}
	if want := r.seq + int64(len(row.Events)); row.Seq != want {
		return fmt.Errorf("run %s: a row ends at event %d; want %d", id, row.Seq, want)
	}
	for i := range row.Events {
		r.seq++
		if e := &row.Events[i]; r.forked == copying || e.Type == core.Created && e.Meta.ForkOf != nil {
			if err := j.copied(r, e); err != nil {
				return fmt.Errorf("run %s, event %d (%s): %w", id, r.seq, e.Type, err)
			}
			continue
		}
		if err := j.event(r, &row.Events[i]); err != nil {
			return fmt.Errorf("run %s, event %d (%s %s): %w", id, r.seq, row.Events[i].Type, row.Events[i].Path, err)
		}
	}
	return nil
}

func (j *Journal) event(r *run, e *core.Event) error {
	if e.Path == "" || e.Type == core.Retried && (r.state == over || r.node(e.Path).state.final()) {
		return j.runEvent(r, e)
	}
	if r.state != going {
		return fmt.Errorf("a task changes while the run is %s", r.state)
	}
	if e.Type == core.Opened && r.isChecks(e.Path) { // once for each wave
		delete(r.nodes, e.Path)
	}
	n := r.node(e.Path)
	was := n.state
	to, legal := tasks[was][e.Type]
	if !legal {
		return fmt.Errorf("it is %s, from where this is not possible", was)
	}
	if err := r.settled(e, was); err != nil {
		return err
	}
	switch e.Type {
	case core.Started:
		n.child = api.RunID(e.Child)
	case core.Opened:
		r.forget(e.Path)
	case core.Expanded:
		r.forget(e.Path)
		if err := r.expanded(j, e); err != nil {
			return err
		}
	case core.Retried:
		if t, _ := r.find(e.Path); t != nil && t.Each != nil && !strings.HasSuffix(e.Path, "]") {
			r.reopen(e.Path)
			to = open
		}
	case core.UndoesItem:
		r.node(e.Path + "#back").state = open
	case core.Abandoned:
		r.abandon(e.Path + ".")
		r.abandon(e.Path + "[")
	case core.Done:
		if err := j.childDone(r, e.Path, n); err != nil {
			return err
		}
	}
	if err := j.places(r, e, n); err != nil {
		return err
	}
	if to != same {
		n.state = to
	}
	return nil
}

// runEvent checks what happens to a run as a whole.
func (j *Journal) runEvent(r *run, e *core.Event) error {
	to, legal := runs[r.state][e.Type]
	if !legal {
		return fmt.Errorf("the run is %s, from where this is not possible", r.state)
	}
	if to != same {
		r.state = to
	}
	switch e.Type {
	case core.Created:
		r.meta = *e.Meta
	case core.Abandoned:
		for path, n := range r.nodes {
			if n.state == fresh && !strings.ContainsAny(path, ".[") {
				n.state = skipped
			}
		}
	case core.Undoing:
		for path := range r.nodes {
			if strings.Contains(path, "#undo") {
				delete(r.nodes, path)
			}
		}
		r.undone = true
	case core.Retried:
		r.revive()
	case core.Ended:
		r.ends++
		r.end = e.State
		j.leave(r, "", &r.limit)
		for path, n := range r.nodes {
			if !n.state.final() && n.state != fresh && n.state != revived && n.state != unknown {
				return fmt.Errorf("%s is still %s", path, n.state)
			}
		}
	case core.Queued:
		if r.limit.key != "" {
			return fmt.Errorf("it asks for a place while it has or wants one under %q", r.limit.key)
		}
		r.limit = queued{key: e.Key, hold: true}
	case core.Granted:
		return j.hold(r, "", &r.limit, r.graph.Limit)
	}
	return nil
}

// revive lets what did not succeed run again.
func (r *run) revive() {
	for path, n := range r.nodes {
		switch {
		case r.undone || strings.HasPrefix(path, "finally.") || strings.Contains(path, "#undo") || r.aside(path):
			delete(r.nodes, path)
		case n.state.final() && n.state != succeeded:
			n.was, n.state = n.state, revived
		case n.state == paused || n.state == backOff:
			if t, _ := r.find(path); t != nil && (t.Body != nil || t.Each != nil || r.groups[path] != nil) {
				n.was, n.state = n.state, revived // it goes on inside
			}
		}
	}
	r.undone = false
}

func (r *run) node(path string) *node {
	n := r.nodes[path]
	if n == nil {
		n = &node{state: fresh}
		if r.forked == parted && !strings.HasPrefix(path, "finally.") {
			n.state = unknown
		}
		r.nodes[path] = n
	}
	return n
}

// forget drops what is inside a group that opens anew.
func (r *run) forget(path string) {
	for p := range r.nodes {
		if strings.HasPrefix(p, path+".") || strings.HasPrefix(p, path+"[") {
			delete(r.nodes, p)
		}
	}
}

func (r *run) abandon(prefix string) {
	for p, n := range r.nodes {
		if strings.HasPrefix(p, prefix) && n.state == fresh {
			n.state = skipped
		}
	}
}

func (r *run) expanded(j *Journal, e *core.Event) error {
	g, err := j.Load(e.Doc)
	if err != nil {
		return err
	}
	r.groups[e.Path] = g.Tasks
	return nil
}

// settled says whether what a task needs has come to its end.
func (r *run) settled(e *core.Event, was state) error {
	if was != fresh || strings.HasSuffix(e.Path, "]") || strings.HasSuffix(e.Path, "#undo") || e.Type == core.CancelledT {
		return nil
	}
	t, prefix := r.find(e.Path)
	if t == nil {
		return fmt.Errorf("the definition has no such task")
	}
	for _, d := range t.Deps {
		m := r.node(prefix + d.On.ID)
		on := m.state
		if on == unknown {
			continue
		}
		if on == revived && (m.was == skipped || m.was == failed && d.On.OnError == dag.Continue) {
			on = m.was // it may have been kept
		}
		if !on.final() {
			return fmt.Errorf("%s, which it waits for, is %s", d.On.ID, on)
		}
		if d.Kind == dag.Succeeded && on != succeeded && e.Type != core.SkippedBy {
			return fmt.Errorf("%s, which it needs, is %s", d.On.ID, on)
		}
	}
	return nil
}

// find returns the task at a path, and the path of its siblings without their names.
func (r *run) find(path string) (t *dag.Task, prefix string) {
	sc := r.graph.Tasks
	if rest, ok := strings.CutPrefix(path, "finally."); ok {
		sc, prefix, path = r.graph.Finally, "finally.", rest
	}
	for sc != nil {
		id, rest, more := strings.Cut(path, ".")
		bare, _, _ := strings.Cut(strings.TrimSuffix(id, "#undo"), "[")
		t = sc.ByID[bare]
		if t == nil || !more {
			return t, prefix
		}
		prefix += id
		if inner, checks := strings.CutPrefix(rest, "checks"); checks && (inner == "" || inner[0] == '.') && id == bare && t.Each != nil && t.Each.Rollout != nil && t.Each.Rollout.Checks != nil {
			if t = t.Each.Rollout.Checks; inner == "" {
				return t, prefix + "."
			}
			prefix, path, sc = prefix+".checks.", inner[1:], t.Body
			continue
		}
		if sc = r.groups[prefix]; sc == nil {
			sc = t.Body
		}
		prefix += "."
		path = rest
	}
	return nil, ""
}

// places follows who has what under limits and once.
func (j *Journal) places(r *run, e *core.Event, n *node) error {
	switch e.Type {
	case core.Queued:
		if e.Once && n.once.key != "" || !e.Once && n.limit.key != "" {
			return fmt.Errorf("it asks for a place while it has or wants one under %q", n.limit.key+n.once.key)
		}
		if e.Once {
			n.once = queued{key: e.Key, hold: true}
		} else {
			n.limit = queued{key: e.Key, hold: e.Hold}
		}
	case core.Granted:
		if e.Once {
			n.once.has = true
			return nil
		}
		t, _ := r.find(e.Path)
		return j.hold(r, e.Path, &n.limit, t.Limit)
	case core.Retrying, core.Paused, core.Parked, core.Waits:
		if !n.limit.hold {
			j.leave(r, e.Path, &n.limit)
		}
	case core.FailedTask, core.SkippedBy, core.CancelledT:
		j.leave(r, e.Path, &n.limit)
		n.once = queued{}
	case core.Done:
		j.leave(r, e.Path, &n.limit)
		return j.onceDone(r, e, n)
	}
	return nil
}

func (j *Journal) onceDone(r *run, e *core.Event, n *node) error {
	if n.once.key == "" {
		return nil
	}
	key := r.meta.Namespace + "\x00" + n.once.key
	before, had := j.done[key]
	has := n.once.has
	n.once = queued{}
	switch {
	case !j.Limits:
	case has && had:
		return fmt.Errorf("what is done once under %q is done again", key)
	case !has && !had:
		return fmt.Errorf("it ends as done before under %q, which nobody has done", key)
	case !has && !bytes.Equal(compact(before), compact(e.Out)):
		return fmt.Errorf("it got %s under %q; want %s", e.Out, key, before)
	}
	if has {
		j.done[key] = append([]byte{}, e.Out...)
	}
	return nil
}

func compact(raw []byte) []byte {
	var b bytes.Buffer
	if json.Compact(&b, raw) != nil {
		return raw
	}
	return b.Bytes()
}

// hold gives a place, where there is one.
func (j *Journal) hold(r *run, path string, q *queued, l *dag.Limit) error {
	if q.key == "" || q.has {
		return fmt.Errorf("a place is given to who has not asked for it")
	}
	q.has = true
	key := r.meta.Namespace + "\x00" + q.key
	if j.holders[key] == nil {
		j.holders[key] = map[place]int{}
	}
	j.holders[key][place{r.id, path}] = max(l.Max, 1)
	if !j.Limits {
		return nil
	}
	for _, most := range j.holders[key] {
		if len(j.holders[key]) > most {
			return fmt.Errorf("%d have a place under %q, which allows %d", len(j.holders[key]), q.key, most)
		}
	}
	return nil
}

func (j *Journal) leave(r *run, path string, q *queued) {
	if q.has {
		delete(j.holders[r.meta.Namespace+"\x00"+q.key], place{r.id, path})
	}
	*q = queued{}
}

// childDone says whether the sub-run of a task that succeeded did.
func (j *Journal) childDone(r *run, path string, n *node) error {
	if n.child == "" || strings.HasSuffix(path, "#undo") || !j.Limits {
		return nil
	}
	if c := j.runs[n.child]; c == nil || c.state != over || c.end != api.Succeeded {
		return fmt.Errorf("it succeeded; its sub-run %s did not", n.child)
	}
	return nil
}

// Ends returns how often a run has ended, and its last state.
func (j *Journal) Ends(id api.RunID) (times int, last api.State) {
	if r := j.runs[id]; r != nil {
		return r.ends, r.end
	}
	return 0, ""
}

// End says what is wrong once all should be over: which runs have not ended, who still has a place,
// and which outcomes of sub-runs their parents have not heard.
func (j *Journal) End() (wrong []error) {
	for id, r := range j.runs {
		if r.state != over {
			wrong = append(wrong, fmt.Errorf("run %s has not ended: it is %s", id, r.state))
		}
		if p := r.meta.Parent; p != nil {
			wrong = append(wrong, j.heard(r, p)...)
		}
	}
	for key, hs := range j.holders {
		for h := range hs {
			wrong = append(wrong, fmt.Errorf("run %s %s still has a place under %q", h.run, h.path, key))
		}
	}
	slices.SortFunc(wrong, func(a, b error) int { return strings.Compare(a.Error(), b.Error()) })
	return wrong
}

func (j *Journal) heard(r *run, p *api.TaskRef) (wrong []error) {
	parent := j.runs[p.Run]
	if parent == nil {
		return []error{fmt.Errorf("run %s has no parent %s", r.id, p.Run)}
	}
	if n := parent.nodes[p.Task]; r.state == over && n != nil && n.child == r.id && !n.state.final() && n.state != fresh && n.state != revived {
		wrong = append(wrong, fmt.Errorf("run %s has %s, and %s of %s is %s", r.id, r.end, p.Task, p.Run, n.state))
	}
	return wrong
}
