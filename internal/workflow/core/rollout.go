package core

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"tutti/api"
	"tutti/internal/workflow/dag"
	"tutti/rollout"
)

// An each with waves asks the planner of package rollout which of its items begin. To the planner an item is a
// target that runs the version before, and is asked to run the version after: it does so when it succeeded, and
// fails when it failed. On a breach with onBreach: undo the planner asks for the version before again, and what
// was done for the item is undone.
//
// What the planner decided is in the event Rolled, with the state it decided it in. So loading a run asks no
// planner, and a later one goes on from where an earlier one was.

// The versions of an item.
const (
	versionBefore = "before"
	versionAfter  = "after"
)

// gateName is the one gate of a rollout of items.
const gateName = "gate"

const (
	// gateAgain is after how long a gate that knew no answer is asked again, gateDeadline for how long.
	gateAgain    = time.Minute
	gateDeadline = 10 * time.Minute
	// never is a time that no rollout waits for.
	never = 50 * 365 * 24 * time.Hour
)

// rolling is the rollout of the items of an each.
type rolling struct {
	planner *rollout.Rollout // nil where it is still to be made of what is stored
	head    json.RawMessage
	records map[string][]byte

	checks *node   // nil where there are none
	backs  []*node // the undos of items
	news   []*node // what settled since the planner was asked last
	gate   gateState
	next   int64 // when something may happen by time alone
	breach *api.Failure
}

// gateState is how far the question after a wave is.
type gateState struct {
	Wave  int    `json:"wave,omitempty"`
	Open  bool   `json:"open,omitempty"`  // its checks were begun
	Again int64  `json:"again,omitempty"` // when it is asked again
	Why   string `json:"why,omitempty"`   // the rollout went wrong
}

// rolled is what the event Rolled keeps.
type rolled struct {
	Head    json.RawMessage   `json:"head"`
	Targets map[string][]byte `json:"targets,omitempty"`
	Gate    gateState         `json:"gate,omitzero"`
}

// all returns the items of s and what stands beside them.
func (s *scope) all() []*node {
	if s.roll == nil || s.roll.checks == nil && len(s.roll.backs) == 0 {
		return s.nodes
	}
	out := append(append([]*node{}, s.nodes...), s.roll.backs...)
	if s.roll.checks != nil {
		out = append(out, s.roll.checks)
	}
	return out
}

// undone reports whether items of s were undone.
func (s *scope) undone() bool { return s.roll != nil && len(s.roll.backs) > 0 }

// beginRollout begins the waves of s, maybe anew: items that have succeeded count at once then.
func (r *Run) beginRollout(s *scope) {
	if old := s.roll; old != nil {
		s.roll = nil
		aside := &scope{nodes: old.backs}
		if old.checks != nil {
			aside.nodes = append(aside.nodes, old.checks)
		}
		r.drop(aside)
	}
	s.roll = &rolling{}
	s.parallel = 0
	for _, n := range s.nodes {
		n.goBack = false
	}
	if t := s.owner.task.Each.Rollout.Checks; t != nil {
		n := &node{task: t, in: s, path: s.owner.path + "." + t.ID, state: api.Pending, aside: true}
		s.roll.checks = n
		r.add(n)
	}
}

// settleRolled notes that an item, its undo, or the checks ended.
func (r *Run) settleRolled(n *node) {
	s := n.in
	if !n.aside {
		s.unsettled--
		if n.state == api.Failed {
			s.failures++
			r.degraded = true
		}
	}
	if !n.aside || n.back != nil {
		s.roll.news = append(s.roll.news, n)
	}
	if n.back != nil {
		n.back.undo = n.state
	}
}

// applyRolled makes what the planner decided part of the state.
func (r *Run) applyRolled(n *node, e *Event) error {
	var d rolled
	if err := json.Unmarshal(e.Doc, &d); err != nil || n.body == nil || n.body.roll == nil {
		return fmt.Errorf("event %d: the state of a rollout: %v", r.Seq, err)
	}
	s := n.body
	ro := s.roll
	ro.news, ro.gate, ro.next = nil, d.Gate, e.Until
	n.reason = e.Reason
	if ro.planner == nil {
		ro.head = d.Head
		if ro.records == nil {
			ro.records = make(map[string][]byte, len(d.Targets))
		}
		for name, data := range d.Targets {
			ro.records[name] = data
		}
	}
	for _, key := range e.Keys {
		if item := r.nodes[n.path+"["+key+"]"]; item != nil {
			item.goBack = true
		}
	}
	if e.Until > 0 {
		r.timer(e.Until, n, timerRollout)
	}
	if e.Failure != nil {
		ro.breach, s.failing = e.Failure, true
		r.touched = append(r.touched, s)
	}
	return nil
}

// policy is the policy of the planner.
func (ea *rolloutOf) policy() rollout.Policy {
	p := rollout.Policy{
		Batch: rollout.Percent(100), Bake: ea.Bake, FirstBake: ea.FirstBake, Limit: 2 * never, Silence: -1, Forget: -1,
	}
	if ea.each.Parallel.N > 0 {
		p.Batch = amountOf(ea.each.Parallel)
	}
	p.RollbackBatch = p.Batch
	if ea.each.Tolerate.N > 0 {
		p.Tolerate = amountOf(ea.each.Tolerate)
	}
	for _, w := range ea.Waves {
		p.Waves = append(p.Waves, amountOf(w))
	}
	if ea.Checks != nil || ea.Gate != nil {
		p.Gates = []rollout.Gate{{Name: gateName, Deadline: gateDeadline}}
	}
	switch ea.OnBreach {
	case dag.BreachPause:
		p.OnBreach = rollout.OnBreachPause
	case dag.BreachUndo:
	default:
		p.OnBreach = rollout.OnBreachStop
	}
	return p
}

// rolloutOf is a rollout with the each it is of.
type rolloutOf struct {
	*dag.Rollout
	each *dag.Each
}

func amountOf(a dag.Amount) rollout.Amount {
	if a.Percent {
		return rollout.Percent(float64(a.N))
	}
	return rollout.Count(a.N)
}

// plannerOf returns the planner of s: the one that is there, the one that is stored, or a new one with the
// reports of all items.
func (r *Run) plannerOf(s *scope) (*rollout.Rollout, []rollout.Report, error) {
	ro := s.roll
	if ro.planner != nil {
		return ro.planner, nil, nil
	}
	if ro.head != nil {
		c := rollout.Change{Head: ro.head}
		for name, data := range ro.records {
			c.Targets = append(c.Targets, rollout.Record{Target: rollout.Target{Name: name}, Data: data})
		}
		p, err := rollout.Load(c)
		ro.planner, ro.head, ro.records = p, nil, nil
		return p, nil, err
	}
	ea := rolloutOf{s.owner.task.Each.Rollout, s.owner.task.Each}
	p, err := rollout.New(ea.policy())
	if err != nil {
		return nil, nil, err
	}
	if ea.OnBreach == dag.BreachUndo {
		err = p.Do(micros(r.now), rollout.Command{Verb: rollout.MarkGood, Version: versionBefore})
	}
	if err == nil {
		err = p.Do(micros(r.now), rollout.Command{Verb: rollout.SetVersion, Version: versionAfter})
	}
	reports := make([]rollout.Report, len(s.nodes))
	for i, n := range s.nodes {
		reports[i] = rollout.Report{Target: rollout.Target{Name: n.key}, Version: versionBefore}
	}
	ro.planner = p
	return p, reports, err
}

// turn is one decision about a rollout: what is to begin.
type turn struct {
	s      *scope
	input  rollout.Input
	starts map[string]*node
	order  []string // of starts
	undos  []*node
	back   []string // items that still run, and are to be undone
	checks bool
}

// roll asks the planner, and begins what it decided: items, undos of items, the checks of a wave.
func (r *Run) roll(s *scope) {
	n := s.owner
	if n.paused || !r.mayBegin() {
		return
	}
	if len(s.nodes) == 0 {
		r.close(s)
		return
	}
	p, reports, err := r.plannerOf(s)
	if err != nil {
		r.endRollout(s, api.Failure{Type: "rollout", Message: err.Error()})
		return
	}
	t := &turn{s: s, starts: map[string]*node{}, input: rollout.Input{Reports: reports}}
	for _, m := range s.roll.news {
		t.tell(r, m)
	}
	gate := s.roll.gate
	plan := rollout.Plan{}
	for {
		t.input.Now, t.input.Others = micros(r.now), true
		plan = p.Step(t.input)
		t.input = rollout.Input{}
		for _, e := range plan.Events {
			switch e.Reason.Code {
			case rollout.CodeBreach, rollout.CodeGateFail, rollout.CodeDeadline:
				gate.Why = e.Reason.String()
			}
		}
		t.assigned(r, plan.Assignments)
		r.ask(t, plan, &gate)
		if len(t.input.Reports)+len(t.input.Answers) == 0 {
			break
		}
	}
	r.emit(r.rolledEvent(s, p, plan, gate, t.back))
	for _, item := range t.undos {
		r.emit(Event{Type: UndoesItem, Path: item.path})
	}
	for _, key := range t.order {
		if item := t.starts[key]; item != nil {
			r.start(item)
		}
	}
	if t.checks {
		r.emit(Event{Type: Opened, Path: s.roll.checks.path, Attempt: s.roll.checks.attempt + 1})
	}
	r.rolledOn(s, p, plan)
}

// rolledEvent is what the planner decided, with the state it is in now.
func (r *Run) rolledEvent(s *scope, p *rollout.Rollout, plan rollout.Plan, gate gateState, back []string) Event {
	c := p.Changes()
	d := rolled{Head: c.Head, Gate: gate, Targets: make(map[string][]byte, len(c.Targets))}
	for _, rec := range c.Targets {
		d.Targets[rec.Name] = rec.Data
	}
	doc, err := json.Marshal(d)
	if err != nil {
		panic(err) // texts and bytes
	}
	e := Event{Type: Rolled, Path: s.owner.path, Doc: doc, Keys: back}
	if next := plan.Next.UnixMicro(); !plan.Next.IsZero() && next-r.now < never.Microseconds() {
		e.Until = next
	}
	if gate.Again > r.now && (e.Until == 0 || gate.Again < e.Until) {
		e.Until = gate.Again
	}
	status := p.Status()
	var why []string
	for _, w := range plan.Waiting {
		why = append(why, itemWords(w.String()))
	}
	text := fmt.Sprintf("wave %d of %d, %d of %d items succeeded", status.Wave, status.Waves, status.Succeeded, status.Targets)
	if status.State != rollout.Rolling {
		text = fmt.Sprintf("the rollout is %s", status.State)
	}
	if len(why) > 0 {
		text += ": " + strings.Join(why, "; ")
	}
	e.Reason = &api.Reason{Kind: "rollout", Text: text}
	if e.Until > 0 {
		e.Reason.Until = micros(e.Until)
	}
	return e
}

// tell reports to the planner how n, an item or the undo of one, ended.
func (t *turn) tell(r *Run, n *node) {
	rep := rollout.Report{Target: rollout.Target{Name: n.key}, Version: versionAfter}
	switch {
	case n.back != nil:
		rep.Name = n.back.key
		if n.state == api.Succeeded {
			rep.Version = versionBefore
		} else {
			rep.Attempted, rep.Health = versionBefore, rollout.Failed
		}
	case n.goBack:
		t.undo(n)
		return
	case n.state != api.Succeeded:
		rep.Health = rollout.Failed
	}
	if n.failure != nil {
		rep.Message = n.failure.Type
	}
	t.input.Reports = append(t.input.Reports, rep)
}

// undo begins the undo of an item that has ended. Where there is nothing to undo it is as it was before.
func (t *turn) undo(item *node) {
	if len(undoableOf(item.did)) > 0 {
		t.undos = append(t.undos, item)
		return
	}
	t.input.Reports = append(t.input.Reports, rollout.Report{Target: rollout.Target{Name: item.key}, Version: versionBefore})
}

// assigned takes in what the planner asked of items. Of one that is there twice the last holds.
func (t *turn) assigned(r *Run, list []rollout.Assignment) {
	last := make(map[string]int, len(list))
	for i, a := range list {
		last[a.Name] = i
	}
	for i, a := range list {
		item := r.nodes[t.s.owner.path+"["+a.Name+"]"]
		if last[a.Name] != i || item == nil {
			continue
		}
		switch {
		case a.Version == versionAfter && item.state == api.Succeeded: // before the waves began anew
			t.input.Reports = append(t.input.Reports, rollout.Report{Target: a.Target, Version: versionAfter})
		case a.Version == versionAfter && item.final(): // retried with the rest, it ended before its wave came
			t.input.Reports = append(t.input.Reports, rollout.Report{Target: a.Target, Version: versionAfter, Health: rollout.Failed})
		case a.Version == versionAfter && item.active: // it was retried with the rest
		case a.Version == versionAfter:
			t.starts[a.Name] = item
			t.order = append(t.order, a.Name)
			// From now on it is neither as before nor as after.
			t.input.Reports = append(t.input.Reports, rollout.Report{Target: a.Target, Version: versionAfter, Health: rollout.Unhealthy})
		case item.active:
			t.back = append(t.back, a.Name)
		default:
			delete(t.starts, a.Name)
			t.undo(item)
		}
	}
}

// applyUndoesItem makes the steps by which what was done for an item is undone: one after the other, going on
// when one fails.
func (r *Run) applyUndoesItem(item *node) {
	s := item.in
	task := &dag.Task{ID: item.task.ID, Title: "undo " + item.path, OnError: dag.Continue, Scope: item.task.Scope}
	n := &node{task: task, in: s, path: item.path + "#back", state: api.Pending, aside: true, back: item}
	s.roll.backs = append(s.roll.backs, n)
	r.add(n)
	r.activate(n)
	n.state, n.started = api.Running, r.now
	n.body = r.undoSteps(undoableOf(item.did))
	n.body.owner = n
	r.touched = append(r.touched, n.body)
}
