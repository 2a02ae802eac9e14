package request

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"tutti/api"
	"tutti/bus"
	"tutti/errs"
)

const (
	// maxTrials is how many resources of a plan have their trial run made.
	maxTrials = 20
	// maxTrialWait bounds how long a plan may take for the sake of trial runs, from its beginning, so that its
	// answer comes before the bus gives up. The gateway takes 60 s, and asks for this.
	maxTrialWait = 55 * time.Second
)

// plan says what a request would do, and does nothing but, where that is asked for, trial runs.
func (s *Service) plan(ctx context.Context, in api.PlanRequestIn) (out api.RequestPlan, err error) {
	until := time.Now().Add(min(time.Duration(in.Preview), maxTrialWait))
	if err := canonical(&in.Body); err != nil {
		return out, err
	}
	if bad := badAddresses("body.notify", in.Body.Notify); len(bad) > 0 {
		return out, invalid("the request", bad)
	}
	requester := bus.Subject(ctx)
	all, err := s.resolveAll(ctx, in.Namespace, in.Body, requester)
	if err != nil {
		return out, err
	}
	if in.Preview > 0 {
		if err := s.d.Bus.Allow(ctx, api.StartRun.Name, in.Namespace); err != nil {
			return out, err
		}
	}
	ctx = s.asService(ctx, bus.TraceFrom(ctx))
	workflows := map[string]api.WorkflowPlan{}
	for i, x := range all {
		w, known := workflows[x.Workflow]
		if !known {
			if w, err = api.PlanWorkflow.Call(ctx, s.d.Bus, api.PlanWorkflowIn{NS: in.NS, Workflow: x.Workflow, Inputs: x.Inputs}); err != nil {
				return out, err
			}
			workflows[x.Workflow] = w
		}
		if i == 0 {
			out = api.RequestPlan{Entry: x.Entry, Type: x.Type, Name: x.Name, Spec: x.Spec, Workflow: x.Workflow, Version: w.Version, Steps: w.Steps, Expected: w.Expected}
		}
		out.Resources = append(out.Resources, planOf(x, w))
	}
	if in.Preview > 0 {
		s.tryOut(ctx, in, until, requester, all, out.Resources)
	}
	out.Open = unknown(all, out)
	return out, nil
}

// planOf is what a request would do to one resource.
func planOf(x resolved, w api.WorkflowPlan) api.ResourcePlan {
	p := api.ResourcePlan{Entry: x.Entry, Type: x.Type, Name: x.Name, Action: x.Action, Base: x.Base, Spec: x.Spec, Workflow: x.Workflow, Version: w.Version,
		TTL: x.ask.TTL, Repository: x.Repository, File: x.Path, Changes: x.Changes, Trial: x.Preview, Expected: w.Expected}
	if p.Changes == nil {
		p.Changes = []api.FieldChange{}
	}
	for _, step := range slices.Backward(w.Steps) {
		if step.Undo != "" {
			p.Undo = append(p.Undo, step.Path+" by "+step.Undo)
		}
	}
	return p
}

// tryOut has the trial runs of the types made, some at a time, and waits for them.
func (s *Service) tryOut(ctx context.Context, in api.PlanRequestIn, until time.Time, requester string, all []resolved, plans []api.ResourcePlan) {
	ctx, cancel := context.WithDeadline(ctx, until.Add(2*time.Second))
	defer cancel()
	var g errgroup.Group
	g.SetLimit(5)
	for i, x := range all {
		if x.Preview == "" || i >= maxTrials {
			continue
		}
		g.Go(func() error {
			p := &api.Preview{}
			run, err := api.StartRun.Call(ctx, s.d.Bus, api.StartRunIn{NS: in.NS, Wait: api.Duration(max(time.Until(until), time.Second)), Body: api.StartRunBody{
				Workflow: x.Preview, Inputs: x.PreviewInputs, Title: clip("Trial: "+x.Action+" "+x.Type+" "+x.Name, 200), Requester: requester}})
			p.Run, p.State, p.Outputs = run.ID, run.State, run.Outputs
			switch {
			case err != nil:
				p.State, p.Failure = api.Failed, errs.Public(err).Error()
			case run.Failure != nil:
				p.Failure = run.Failure.Message
			}
			plans[i].Preview = p
			return nil
		})
	}
	_ = g.Wait() // none of them returns an error
}

// maxTold bounds what one trial run may say that it cannot say.
const maxTold = 20

// told is what a trial run says that nobody can say before it runs: its output open, a list of texts.
func told(outputs json.RawMessage) []string {
	var out struct {
		Open []string `json:"open"`
	}
	if json.Unmarshal(outputs, &out) != nil {
		return nil
	}
	return out.Open[:min(len(out.Open), maxTold)]
}

// unknown says in words what cannot be said before it runs.
func unknown(all []resolved, plan api.RequestPlan) (out []string) {
	say := func(format string, args ...any) {
		if text := fmt.Sprintf(format, args...); !slices.Contains(out, text) {
			out = append(out, text)
		}
	}
	for i, x := range all {
		p := plan.Resources[i]
		switch {
		case x.Preview == "":
			say("what %s does to the systems themselves: %s declares no trial run (actions.preview)", x.Workflow, x.Type)
		case p.Preview == nil && i >= maxTrials:
			say("what %s does to the systems themselves: trial runs are made for the first %d resources", x.Workflow, maxTrials)
		case p.Preview == nil:
			say("what %s does to the systems themselves, until its trial run is made: --preview 50s", x.Workflow)
		case !p.Preview.State.Ended():
			say("what %s does to the systems themselves: the trial run %s has not ended yet (tutti run show %[2]s)", x.Workflow, p.Preview.Run)
		case p.Preview.State != api.Succeeded:
			say("what %s does to the systems themselves: its trial run %s: %s", x.Workflow, p.Preview.State, p.Preview.Failure)
		default:
			for _, text := range told(p.Preview.Outputs) {
				say("%s", clip(text, 500))
			}
		}
		if p.Expected == nil {
			say("how long %s takes: it has not succeeded yet", x.Workflow)
		}
	}
	for _, step := range plan.Steps {
		switch {
		case step.Use == "approval":
			say("how long somebody takes to decide %s", step.Path)
		case step.When != "" && len(all) == 1:
			say("whether %s is done: %s decides", step.Path, step.When)
		}
	}
	return out
}
