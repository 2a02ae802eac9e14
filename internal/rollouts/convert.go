package rollouts

import (
	"errors"
	"fmt"
	"time"

	"tutti/api"
	"tutti/errs"
	"tutti/rollout"
)

// policyFrom reads a policy, or says everything that is wrong with it.
func policyFrom(p api.RolloutPolicy) (rollout.Policy, error) {
	var faults []error
	amount := func(where, text string) rollout.Amount {
		a, err := rollout.ParseAmount(text)
		if err != nil {
			faults = append(faults, fmt.Errorf("%s: %w", where, err))
		}
		return a
	}
	out := rollout.Policy{
		Batch: amount("batch", p.Batch), Success: p.Success, Tolerate: amount("tolerate", p.Tolerate),
		Soak: time.Duration(p.Soak), Limit: time.Duration(p.Limit), Grace: time.Duration(p.Grace),
		Bake: time.Duration(p.Bake), FirstBake: time.Duration(p.FirstBake), Deadline: time.Duration(p.Deadline),
		Silence: time.Duration(p.Silence), Forget: time.Duration(p.Forget),
		Order: rollout.Order(p.Order), Spread: p.Spread, OnBreach: rollout.Breach(p.OnBreach),
		RollbackBatch: amount("rollbackBatch", p.RollbackBatch), Choose: p.Choose, Replace: p.Replace,
	}
	for i, w := range p.Waves {
		out.Waves = append(out.Waves, amount(fmt.Sprintf("waves[%d]", i), w))
	}
	for _, g := range p.Gates {
		gate := rollout.Gate{Name: g.Name, Deadline: time.Duration(g.Deadline), Watch: g.Watch}
		if g.Breach {
			gate.OnUnknown = rollout.OnUnknownBreach
		}
		out.Gates = append(out.Gates, gate)
	}
	for i, l := range p.Limits {
		out.Limits = append(out.Limits, rollout.Limit{Per: l.Per,
			MaxUnavailable: amount(fmt.Sprintf("limits[%d].maxUnavailable", i), l.MaxUnavailable),
			MinHealthy:     amount(fmt.Sprintf("limits[%d].minHealthy", i), l.MinHealthy)})
	}
	for i, f := range p.Freeze {
		w, err := windowFrom(f)
		if err != nil {
			faults = append(faults, fmt.Errorf("freeze[%d]: %w", i, err))
		}
		out.Freeze = append(out.Freeze, w)
	}
	if err := errors.Join(append(faults, out.Check())...); err != nil {
		return out, errs.New(errs.Invalid, "policy: %v", err)
	}
	return out, nil
}

// policyOf is what policyFrom read.
func policyOf(p rollout.Policy) *api.RolloutPolicy {
	out := &api.RolloutPolicy{
		Batch: p.Batch.String(), Success: p.Success, Tolerate: p.Tolerate.String(),
		Soak: api.Duration(p.Soak), Limit: api.Duration(p.Limit), Grace: api.Duration(p.Grace),
		Bake: api.Duration(p.Bake), FirstBake: api.Duration(p.FirstBake), Deadline: api.Duration(p.Deadline),
		Silence: api.Duration(p.Silence), Forget: api.Duration(p.Forget),
		Order: string(p.Order), Spread: p.Spread, OnBreach: string(p.OnBreach),
		RollbackBatch: p.RollbackBatch.String(), Choose: p.Choose, Replace: p.Replace,
	}
	for _, w := range p.Waves {
		out.Waves = append(out.Waves, w.String())
	}
	for _, g := range p.Gates {
		out.Gates = append(out.Gates, api.RolloutGate{Name: g.Name, Deadline: api.Duration(g.Deadline), Watch: g.Watch, Breach: g.OnUnknown == rollout.OnUnknownBreach})
	}
	for _, l := range p.Limits {
		out.Limits = append(out.Limits, api.RolloutLimit{Per: l.Per, MaxUnavailable: l.MaxUnavailable.String(), MinHealthy: l.MinHealthy.String()})
	}
	for _, w := range p.Freeze {
		out.Freeze = append(out.Freeze, freezeOf(w))
	}
	return out
}

// viewOf is a rollout as the API shows it.
func viewOf(key rollout.Key, s rollout.Status) api.Rollout {
	r := api.Rollout{
		Namespace: key.Namespace, Entity: key.Entity, State: s.State.String(), Version: s.Version, Wanted: s.Wanted,
		Good: s.Good, GoodSince: s.GoodSince, Bad: s.Bad, Paused: s.Paused, PausedBy: s.PausedBy, Why: s.Why,
		Wave: s.Wave, Waves: s.Waves, WaveSize: s.WaveSize, Batch: s.Batch,
		Targets: s.Targets, Untouched: s.Untouched, Pending: s.Pending, Wavering: s.Wavering,
		Succeeded: s.Succeeded, Failed: s.Failed, Silent: s.Silent, Began: s.Began, Ready: s.Ready,
	}
	r.Sizes, r.Operation, r.Settled = s.Sizes, s.Operation, s.Settled
	if s.Rule.Action != "" {
		r.Rule, r.Action, r.Allowed = s.Rule.String(), s.Rule.Action, s.Rule.At-1
	}
	return r
}

func targetOf(t rollout.TargetState) api.RolloutTarget {
	return api.RolloutTarget{
		Group: t.Group, Name: t.Name, Version: t.Version, Wanted: t.Wanted, Outcome: t.Outcome.String(), Health: t.Health.String(),
		Silent: t.Silent, Message: t.Message, Labels: t.Labels, Heard: t.Heard, Asked: t.Asked, Since: t.Since,
	}
}

func entryOf(e rollout.Entry) api.RolloutEntry {
	return api.RolloutEntry{
		Seq: e.Seq, At: e.Event.At, From: e.Event.From.String(), To: e.Event.To.String(), Version: e.Event.Version,
		By: e.Event.By, Code: string(e.Event.Reason.Code), Text: e.Event.Reason.String(),
	}
}

// reportsFrom reads reports. A later time than now counts as now, in the planner.
func reportsFrom(in []api.RolloutReport) ([]rollout.Report, error) {
	out := make([]rollout.Report, len(in))
	for i, r := range in {
		out[i] = rollout.Report{
			Target: rollout.Target{Group: r.Group, Name: r.Name}, Version: r.Version, Attempted: r.Attempted,
			Message: r.Message, Labels: r.Labels, Priority: r.Priority, At: r.At, Gone: r.Gone,
		}
		if r.Name == "" {
			return nil, errs.New(errs.Invalid, "reports[%d]: the target has no name", i)
		}
		if len(r.Labels) > 20 {
			return nil, errs.New(errs.Invalid, "reports[%d]: %d labels; at most 20 place a target", i, len(r.Labels))
		}
		if r.Health != "" {
			if err := out[i].Health.UnmarshalText([]byte(r.Health)); err != nil {
				return nil, errs.New(errs.Invalid, "reports[%d]: %v", i, err)
			}
		}
	}
	return out, nil
}

func namesOf(in []rollout.Target) []api.RolloutTargetName {
	var out []api.RolloutTargetName
	for _, t := range in {
		out = append(out, api.RolloutTargetName{Group: t.Group, Name: t.Name})
	}
	return out
}
