package rollouts

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"tutti/api"
	"tutti/rollout"
)

// Limits of what hooks are asked in one call of orchestrate.
const (
	askTime       = 20 * time.Second // for all of them
	rounds        = 4                // questions that follow from answers
	maxMonitored  = 1000             // targets whose monitoring is asked
	maxHookTarget = 10_000           // targets in one question
	atOnce        = 16
)

// hookTarget is a target as hooks see it.
type hookTarget struct {
	Name    string            `json:"name"`
	Group   string            `json:"group,omitempty"`
	Tags    map[string]string `json:"tags,omitempty"`
	Version string            `json:"version,omitempty"`
	Message string            `json:"message,omitempty"`
	IsError bool              `json:"isError,omitempty"`
}

func hookTargetOf(t rollout.TargetState) hookTarget {
	return hookTarget{
		Name: t.Name, Group: t.Group, Tags: t.Labels, Version: t.Version, Message: t.Message,
		IsError: t.Outcome == rollout.Failing || t.Health == rollout.Failed || t.Health == rollout.Unhealthy,
	}
}

// asking is one call of orchestrate with the hooks of its rollout.
type asking struct {
	s     *Service
	key   rollout.Key
	hooks *api.RolloutHooks

	answered map[string]int // the wave in which each gate was asked in this call

	mu       sync.Mutex
	failures []api.RolloutFailure
}

// step runs a step and asks the hooks, if there are any: first what monitoring says of the targets that run
// the version, then what the step leaves open. Hooks are asked outside of every transaction; what they
// said is an input of the next step, which judges anew whether it still fits.
func (s *Service) step(ctx context.Context, key rollout.Key, in rollout.Input) (rollout.Plan, []api.RolloutFailure, error) {
	var hooks *api.RolloutHooks
	var asked []monitored
	var watching []rollout.Question
	err := s.engine.View(ctx, key, func(r *rollout.Rollout) {
		p := r.Policy()
		if len(p.Extra) == 0 {
			return
		}
		hooks = extraOf(p).Hooks
		if hooks != nil && hooks.Monitoring != nil {
			asked = toMonitor(r, in)
		}
		if r.Status().State == rollout.Rolling {
			watching = watched(p)
		}
	})
	if err != nil {
		return rollout.Plan{}, nil, err
	}
	if hooks == nil {
		plan, err := s.engine.Step(ctx, key, in)
		return plan, nil, err
	}
	a := &asking{s: s, key: key, hooks: hooks, answered: map[string]int{}}
	within, cancel := context.WithTimeout(ctx, askTime)
	defer cancel()
	in.Reports = a.monitor(within, in.Reports, asked)
	// What watches is asked before the step, so that it never judges by an answer of long ago.
	before, err := a.next(within, rollout.Plan{Gates: watching})
	if err != nil {
		return rollout.Plan{}, nil, err
	}
	in.Answers = append(before.Answers, in.Answers...)
	plan, err := s.engine.Step(ctx, key, in)
	s.watch(key, err == nil && len(plan.Gates) > 0)
	for round := 0; err == nil && round < rounds; round++ {
		next, err := a.next(within, plan)
		if err != nil {
			return plan, a.failures, err
		}
		if len(next.Answers)+len(next.Chosen)+len(next.Reports) == 0 {
			break
		}
		more, err := s.engine.Step(ctx, key, next)
		if err != nil {
			return plan, a.failures, err
		}
		plan = merge(plan, more)
	}
	return plan, a.failures, err
}

// watched returns the questions of the gates that are asked all the time.
func watched(p rollout.Policy) []rollout.Question {
	var out []rollout.Question
	for _, g := range p.Gates {
		if g.Watch {
			out = append(out, rollout.Question{Gate: g.Name})
		}
	}
	return out
}

// merge returns what two steps decided as one.
func merge(first, second rollout.Plan) rollout.Plan {
	second.Assignments = append(first.Assignments, second.Assignments...)
	second.Verdicts = append(first.Verdicts, second.Verdicts...)
	second.Events = append(first.Events, second.Events...)
	return second
}

// monitored is a target whose monitoring is asked.
type monitored struct {
	rollout.Report
	at        int  // its place in the reports of the call; -1 where it is not among them
	succeeded bool // it was found well before
}

// toMonitor returns the targets whose monitoring is to be asked: those that run the version of the turn and
// say that they are well, the undecided first. A target that succeeded is asked only when it is reported.
func toMonitor(r *rollout.Rollout, in rollout.Input) []monitored {
	status := r.Status()
	if status.State != rollout.Rolling {
		return nil
	}
	var first, rest []monitored
	reported := map[rollout.Target]bool{}
	for i, rep := range in.Reports {
		reported[rep.Target] = true
		t, known := r.Target(rep.Target)
		if !known || rep.Gone || rep.Health != rollout.Healthy || rep.Attempted != "" || rep.Version != status.Version || t.Wanted != status.Version {
			continue
		}
		if m := (monitored{rep, i, t.Outcome == rollout.Succeeded}); m.succeeded {
			rest = append(rest, m)
		} else {
			first = append(first, m)
		}
	}
	if in.Others && status.Pending+status.Wavering > 0 {
		for t := range r.Targets() {
			if (t.Outcome == rollout.Pending || t.Outcome == rollout.Wavering) && !reported[t.Target] && !t.Silent && t.Version == status.Version && t.Health != rollout.Failed {
				first = append(first, monitored{Report: rollout.Report{Target: t.Target, Version: t.Version, Message: t.Message}, at: -1})
			}
		}
	}
	return append(first, rest...)
}

// monitor asks the monitoring of targets, and returns reports with what it says of them. A target about which
// nothing can be found out has not succeeded, but where it had it has not failed either.
func (a *asking) monitor(ctx context.Context, reports []rollout.Report, asked []monitored) []rollout.Report {
	if n := len(asked); n > maxMonitored { // others come first in the next call
		from := int(a.s.turn.Add(maxMonitored)-maxMonitored) % n
		asked = append(slices.Clone(asked[from:]), asked[:from]...)
	}
	var g errgroup.Group
	g.SetLimit(atOnce)
	for i := range asked {
		m := &asked[i]
		if i >= maxMonitored {
			m.unsure("monitoring was not asked yet")
			continue
		}
		g.Go(func() error {
			a.monitorOne(ctx, m)
			return nil
		})
	}
	_ = g.Wait() // nothing returns an error
	reports = slices.Clone(reports)
	for _, m := range asked {
		if m.at < 0 {
			reports = append(reports, m.Report)
		} else {
			reports[m.at] = m.Report
		}
	}
	return reports
}

// unsure says that nobody knows how the target is, unless it was found well before.
func (m *monitored) unsure(why string) {
	if !m.succeeded {
		m.Health, m.Message = rollout.Unsure, why
	}
}

func (a *asking) monitorOne(ctx context.Context, m *monitored) {
	var v verdictOf
	question := map[string]any{"target": hookTarget{Name: m.Name, Group: m.Group, Tags: m.Labels, Version: m.Version, Message: m.Message}}
	err := a.s.caller.post(ctx, a.key.Namespace, *a.hooks.Monitoring, question, &v)
	ok := false
	if err == nil {
		ok, err = v.ok()
	}
	switch {
	case err != nil:
		a.note("monitoring", m.Target.String(), err)
		m.unsure("monitoring: " + err.Error())
	case !ok:
		m.Health, m.Message = rollout.Failed, "monitoring: "+v.said()
	}
}

// note keeps the failure of a hook for the answer, and logs it.
func (a *asking) note(hook, target string, err error) {
	var f *failure
	if !errors.As(err, &f) {
		f = &failure{failUnreachable, "it could not be asked"}
	}
	a.mu.Lock()
	a.failures = append(a.failures, api.RolloutFailure{Hook: hook, Type: f.kind, Message: f.text, Target: target})
	a.mu.Unlock()
	a.s.log.Warn("a hook of a rollout gave no answer", "namespace", a.key.Namespace, "entity", a.key.Entity, "hook", hook, "type", f.kind, "error", f.text)
}

// next asks the hooks what a plan leaves open, and returns their answers.
func (a *asking) next(ctx context.Context, plan rollout.Plan) (rollout.Input, error) {
	var in rollout.Input
	gates := a.gates(plan)
	choosing := len(plan.Proposed) > 0 && (a.hooks.Selection != nil || a.hooks.Approval != nil)
	retiring := len(plan.Retire) > 0 && a.hooks.Removal != nil
	if len(gates) == 0 && !choosing && !retiring {
		return in, nil
	}
	var status rollout.Status
	var inTurn, candidates, old []hookTarget
	err := a.s.engine.View(ctx, a.key, func(r *rollout.Rollout) {
		status = r.Status()
		if len(gates) > 0 || choosing && a.hooks.Selection != nil {
			for t := range r.Targets() {
				if t.Outcome != rollout.Untouched && len(inTurn) < maxHookTarget {
					inTurn = append(inTurn, hookTargetOf(t))
				} else if t.Outcome == rollout.Untouched && !t.Silent && len(candidates) < maxHookTarget {
					candidates = append(candidates, hookTargetOf(t))
				}
			}
		}
		if a.hooks.Selection == nil {
			candidates = statesOf(r, plan.Proposed)
		}
		old = statesOf(r, plan.Retire)
	})
	if err != nil {
		return in, err
	}
	for _, q := range gates {
		result, detail, err := a.s.caller.answer(ctx, a.key, a.monitorOf(q.Gate), status.Version, inTurn)
		if err != nil {
			a.note("gate "+q.Gate, "", err)
			detail = err.Error()
		}
		in.Answers = append(in.Answers, rollout.Answer{Gate: q.Gate, Wave: q.Wave, Result: result, Detail: detail})
	}
	if choosing {
		in.Chosen = a.chosen(ctx, candidates, len(plan.Proposed))
	}
	if retiring {
		for _, t := range a.targets(ctx, "removal", a.hooks.Removal, old, len(old), true) {
			in.Reports = append(in.Reports, rollout.Report{Target: rollout.Target{Group: t.Group, Name: t.Name}, Gone: true})
		}
	}
	return in, nil
}

// monitorOf returns what answers a gate.
func (a *asking) monitorOf(gate string) api.RolloutMonitor {
	if gate == external && a.hooks.External != nil {
		return a.hooks.External.RolloutMonitor
	}
	return a.hooks.Gates[gate]
}

// gates returns the questions of a plan that hooks answer, and that it is time to ask.
func (a *asking) gates(plan rollout.Plan) []rollout.Question {
	now := time.Now()
	return slices.DeleteFunc(slices.Clone(plan.Gates), func(q rollout.Question) bool {
		m := a.monitorOf(q.Gate)
		if m.HTTP == nil && m.Prometheus == nil {
			return true
		}
		if wave, ok := a.answered[q.Gate]; ok && (wave == q.Wave || wave == 0) {
			return true
		}
		wave := q.Wave
		if q.Gate == external {
			wave = 0 // it is not about a wave
		}
		if !a.s.caller.due(fmt.Sprintf("%s\x00%s\x00%d", a.key, q.Gate, wave), every(m), now) {
			return true
		}
		a.answered[q.Gate] = wave
		return false
	})
}

// chosen returns the targets that selection and approval let through: at most n.
func (a *asking) chosen(ctx context.Context, candidates []hookTarget, n int) []rollout.Report {
	if a.hooks.Selection != nil {
		candidates = a.targets(ctx, "selection", a.hooks.Selection, candidates, n, false)
	}
	candidates = candidates[:min(n, len(candidates))]
	if a.hooks.Approval != nil && len(candidates) > 0 {
		candidates = a.targets(ctx, "approval", a.hooks.Approval, candidates, 0, true)
	}
	var out []rollout.Report
	for _, t := range candidates {
		out = append(out, rollout.Report{Target: rollout.Target{Group: t.Group, Name: t.Name}, Version: t.Version, Labels: t.Tags})
	}
	return out
}

// targets asks a hook for some of the targets, or where not known is set maybe others. A hook that fails
// lets nobody through.
func (a *asking) targets(ctx context.Context, name string, call *api.RolloutCall, sent []hookTarget, count int, known bool) []hookTarget {
	question := map[string]any{"targets": sent}
	if count > 0 {
		question["count"] = count
	}
	var answer struct {
		Targets []*hookTarget `json:"targets"`
	}
	if err := a.s.caller.post(ctx, a.key.Namespace, *call, question, &answer); err != nil {
		a.note(name, "", err)
		return nil
	}
	var out []hookTarget
	for _, t := range answer.Targets {
		if t == nil || t.Name == "" {
			continue
		}
		if i := find(sent, *t); i >= 0 {
			out = append(out, sent[i])
		} else if !known {
			out = append(out, *t)
		}
	}
	return out
}

// find returns which of sent t is: by group and name, or, where it names no group, by a name that only one has.
func find(sent []hookTarget, t hookTarget) int {
	found := -1
	for i, s := range sent {
		if s.Name != t.Name {
			continue
		}
		if s.Group == t.Group {
			return i
		}
		if t.Group == "" {
			if found >= 0 {
				return -1
			}
			found = i
		}
	}
	return found
}

// statesOf returns targets as hooks see them.
func statesOf(r *rollout.Rollout, names []rollout.Target) []hookTarget {
	var out []hookTarget
	for _, name := range names {
		if t, ok := r.Target(name); ok {
			out = append(out, hookTargetOf(t))
		}
	}
	return out
}
