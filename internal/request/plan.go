package request

import (
	"context"

	"tutti/api"
	"tutti/bus"
)

// plan says what a request would do, and does nothing.
func (s *Service) plan(ctx context.Context, in api.CreateRequestIn) (api.RequestPlan, error) {
	p, err := params(in.Body.Params)
	if err != nil {
		return api.RequestPlan{}, err
	}
	in.Body.Params = p
	if bad := badAddresses("body.notify", in.Body.Notify); len(bad) > 0 {
		return api.RequestPlan{}, invalid("the request", bad)
	}
	res, err := s.resolve(ctx, in.Namespace, in.Body, bus.Subject(ctx))
	if err != nil {
		return api.RequestPlan{}, err
	}
	plan, err := api.PlanWorkflow.Call(s.asService(ctx, bus.TraceFrom(ctx)), s.d.Bus,
		api.PlanWorkflowIn{NS: in.NS, Workflow: res.Workflow, Inputs: res.Inputs})
	if err != nil {
		return api.RequestPlan{}, err
	}
	return api.RequestPlan{Entry: res.Entry, Type: res.Type, Name: res.Name, Spec: res.Spec,
		Workflow: res.Workflow, Version: plan.Version, Steps: plan.Steps, Expected: plan.Expected}, nil
}
