package core

import (
	"encoding/json"
	"fmt"
	"strings"

	"tutti/api"
	"tutti/rollout"
)

// ask puts the question after a wave: it begins its checks, and, when they have ended, asks the gate.
func (r *Run) ask(t *turn, plan rollout.Plan, gate *gateState) {
	if len(plan.Gates) == 0 || len(t.input.Reports) > 0 {
		return
	}
	q, checks := plan.Gates[0], t.s.roll.checks
	if q.Wave != gate.Wave {
		*gate = gateState{Wave: q.Wave}
	}
	switch {
	case gate.Again > r.now:
		return
	case checks != nil && !gate.Open:
		gate.Open, t.checks = true, true
		return
	case checks != nil && (t.checks || checks.active):
		return
	}
	result, detail := r.gate(t.s, q.Wave)
	gate.Open = false
	if result == rollout.Undecided {
		gate.Again = r.now + gateAgain.Microseconds()
	}
	t.input.Answers = append(t.input.Answers, rollout.Answer{Gate: gateName, Wave: q.Wave, Result: result, Detail: detail})
}

// gate evaluates the gate of a rollout. What is neither true nor false is unknown, and so is what cannot be computed.
func (r *Run) gate(s *scope, wave int) (rollout.Result, string) {
	ro := s.owner.task.Each.Rollout
	checks := map[string]any{}
	passed := true
	if c := s.roll.checks; c != nil && c.body != nil {
		for _, n := range c.body.nodes {
			checks[n.task.ID] = n.asTask()
			passed = passed && (n.state == api.Succeeded || n.state == api.Skipped)
		}
	}
	if ro.Gate == nil {
		if passed {
			return rollout.Pass, ""
		}
		return rollout.Fail, "a check failed"
	}
	status := s.roll.planner.Status()
	env := r.env(s.owner, ro.Gate.Refs())
	env["checks"] = checks
	env["wave"] = map[string]any{
		"number": wave, "of": status.Waves, "size": status.WaveSize, "total": status.Targets, "succeeded": status.Succeeded, "failed": status.Failed,
	}
	v, err := ro.Gate.Eval(env)
	switch yes, ok := v.(bool); {
	case err != nil:
		return rollout.Undecided, err.Error()
	case !ok:
		return rollout.Undecided, "it gives neither true nor false"
	case yes:
		return rollout.Pass, ""
	}
	return rollout.Fail, ro.Gate.Source() + " is false"
}

// rolledOn ends a rollout, or lets a person decide, once nothing of it is active any more.
func (r *Run) rolledOn(s *scope, p *rollout.Rollout, plan rollout.Plan) {
	status := p.Status()
	n := s.owner
	if s.active > 0 || len(s.roll.news) > 0 {
		return
	}
	why := s.roll.gate.Why
	switch status.State {
	case rollout.Good:
		r.close(s)
	case rollout.Stopped, rollout.Reverted:
		if n := len(s.roll.backs); n > 0 {
			words := "items were"
			if n == 1 {
				words = "item was"
			}
			why += fmt.Sprintf("; %d %s undone", n, words)
			if status.Failed > 0 {
				why += fmt.Sprintf(", %d of them not wholly", status.Failed)
			}
		}
		r.endRollout(s, api.Failure{Type: "breach", Message: itemWords(why)})
	case rollout.Rolling:
		unknown := ""
		for _, w := range plan.Waiting {
			if w.Code == rollout.CodePerson {
				unknown = "the gate has no answer: " + w.Detail
			}
		}
		if !status.Paused && unknown == "" {
			return
		}
		if unknown != "" {
			why = unknown
		}
		f := api.Failure{Type: "breach", Message: itemWords(why)}
		if s.unsettled > 0 {
			r.emit(Event{Type: Abandoned, Path: n.path, Cause: "the rollout was paused"})
		}
		r.emit(Event{Type: Paused, Path: n.path, Failure: &f, Reason: &api.Reason{Kind: "paused", Text: f.Message + "; retry " + n.path + " to go on, or cancel the run"}})
	}
}

// itemWords words what the planner says of a version as what it means for items.
func itemWords(text string) string {
	return strings.NewReplacer(versionAfter+" is bad: ", "", "target", "item", "gate "+gateName, "the gate").Replace(text)
}

// endRollout makes a rollout fail, once what is active has ended.
func (r *Run) endRollout(s *scope, f api.Failure) {
	doc, err := json.Marshal(rolled{Head: json.RawMessage("null"), Gate: s.roll.gate})
	if err != nil {
		panic(err) // a few texts
	}
	if p := s.roll.planner; p != nil {
		e := r.rolledEvent(s, p, rollout.Plan{}, s.roll.gate, nil)
		doc = e.Doc
	}
	r.emit(Event{Type: Rolled, Path: s.owner.path, Doc: doc, Failure: &f})
}

// rolloutReasons says why an item of s has not begun.
func (r *Run) rolloutReasons(s *scope) []api.Reason {
	text := "its turn in the rollout has not come"
	if why := s.owner.reason; why != nil && !s.failing {
		text += ": " + why.Text
	}
	return []api.Reason{{Kind: "rollout", Task: s.owner.path, Text: text}}
}
