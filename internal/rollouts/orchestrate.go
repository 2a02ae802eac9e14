package rollouts

import (
	"context"
	"strconv"

	"tutti/api"
	"tutti/errs"
	"tutti/rollout"
)

// most is how many targets one answer holds: as many as one call may report.
const most = 20_000

// orchestrate takes in reports, runs a step, and answers what the reported targets are to run.
func (s *Service) orchestrate(ctx context.Context, in api.OrchestrateIn) (api.RolloutPlan, error) {
	out := api.RolloutPlan{Targets: []api.RolloutWanted{}}
	key, err := keyOf(in.RolloutIn)
	if err != nil {
		return out, err
	}
	step, err := inputFrom(in.Body)
	if err != nil {
		return out, err
	}
	plan, failures, err := s.step(ctx, key, step)
	out.Failures = failures
	if err != nil {
		return out, public(err, key)
	}
	err = s.engine.View(ctx, key, func(r *rollout.Rollout) {
		out.State = r.Status().State.String()
		add := func(t rollout.TargetState) bool {
			if out.Truncated = len(out.Targets) == most; out.Truncated {
				return false
			}
			out.Targets = append(out.Targets, api.RolloutWanted{Group: t.Group, Name: t.Name, Version: t.Wanted})
			return true
		}
		if in.Body.All {
			for t := range r.Targets() {
				if !add(t) {
					return
				}
			}
			return
		}
		reported := make(map[rollout.Target]bool, len(step.Reports))
		for i := range step.Reports {
			name := step.Reports[i].Target
			if t, ok := r.Target(name); ok && add(t) {
				reported[name] = true
			}
		}
		// What was asked of targets that were not reported now would not be seen otherwise.
		for _, a := range plan.Assignments {
			if t, ok := r.Target(a.Target); ok && !reported[a.Target] && !add(t) {
				return
			}
		}
	})
	if err != nil {
		return out, public(err, key)
	}
	for _, why := range plan.Waiting {
		out.Waiting = append(out.Waiting, why.String())
	}
	for _, q := range plan.Gates {
		out.Gates = append(out.Gates, api.RolloutQuestion{Gate: q.Gate, Wave: q.Wave, Until: q.Until})
	}
	out.Proposed, out.Create, out.Retire, out.Next = namesOf(plan.Proposed), plan.Create, namesOf(plan.Retire), plan.Next
	return out, nil
}

func inputFrom(b api.OrchestrateBody) (rollout.Input, error) {
	in := rollout.Input{Others: b.Others}
	var err error
	if in.Reports, err = reportsFrom(b.Reports); err != nil {
		return in, err
	}
	if in.Chosen, err = reportsFrom(b.Chosen); err != nil {
		return in, err
	}
	for i, a := range b.Answers {
		answer := rollout.Answer{Gate: a.Gate, Wave: a.Wave, Detail: a.Detail}
		if err := answer.Result.UnmarshalText([]byte(a.Result)); err != nil {
			return in, errs.New(errs.Invalid, "answers[%d]: %v", i, err)
		}
		in.Answers = append(in.Answers, answer)
	}
	return in, nil
}

// targets lists the targets of an entity. Its cursor is how many of them came before, so that a page
// may miss one, or show one twice, while targets come and go.
func (s *Service) targets(ctx context.Context, in api.ListRolloutTargetsIn) (api.Page[api.RolloutTarget], error) {
	page := api.Page[api.RolloutTarget]{Items: []api.RolloutTarget{}}
	key, err := keyOf(in.RolloutIn)
	if err != nil {
		return page, err
	}
	after, err := position(in.Cursor)
	if err != nil {
		return page, err
	}
	err = s.engine.View(ctx, key, func(r *rollout.Rollout) {
		var n uint64
		for t := range r.Targets() {
			if n++; n <= after || in.Group != "" && t.Group != in.Group || in.Outcome != "" && t.Outcome.String() != in.Outcome {
				continue
			}
			if len(page.Items) == in.Size() {
				page.Cursor = strconv.FormatUint(n-1, 10)
				return
			}
			page.Items = append(page.Items, targetOf(t))
		}
	})
	return page, public(err, key)
}
