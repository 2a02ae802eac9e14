// Package budgettask is the task types budget.hold and budget.release: a place in the budgets that all rollouts of the
// namespace share, for what a workflow changes itself. So rollouts and runs together stay within one blast radius.
package budgettask

import (
	"context"
	"time"

	"tutti/api"
	"tutti/bus"
	"tutti/errs"
	"tutti/internal/task"
	"tutti/sdk"
)

// every is how often it is looked whether there is a place.
const every = 2 * time.Second

type hold struct {
	Name   string            `json:"name" doc:"What is about to change; in a run each name holds one place" minLength:"1" maxLength:"200"`
	Labels map[string]string `json:"labels,omitempty" doc:"Its labels, which say which budgets it counts against"`
}

type release struct {
	Name string `json:"name" doc:"What has changed, as it was held" minLength:"1" maxLength:"200"`
}

type held struct {
	Name string `json:"name" doc:"What is held, or no longer is"`
}

// NewHold returns the task type budget.hold; it calls over b.
func NewHold(b *bus.Bus) sdk.TaskType {
	return task.Define(api.TaskType{
		Name: "budget.hold", Title: "Wait for a place in the budgets",
		Doc:    "Succeeds once the budgets of the namespace let something with these labels change, and counts it as changing until budget.release, or the end of the run. Rollouts count against the same budgets.",
		Errors: task.Called(nil),
	}, func(ctx context.Context, t *sdk.Task, in hold) (held, error) { return wait(ctx, b, t, in) })
}

// NewRelease returns the task type budget.release.
func NewRelease(b *bus.Bus) sdk.TaskType {
	return task.Define(api.TaskType{
		Name: "budget.release", Title: "Give back a place in the budgets",
		Doc:    "Counts what was held as changing no longer. What is not released is, when the run ends: so what failed counts until then.",
		Errors: task.Called(nil),
	}, func(ctx context.Context, t *sdk.Task, in release) (held, error) {
		_, err := api.ReleaseRolloutBudget.Call(ctx, b, holding(t, in.Name, nil))
		return held(in), err
	})
}

func holding(t *sdk.Task, name string, labels map[string]string) api.HoldBudgetIn {
	return api.HoldBudgetIn{NS: api.NS{Namespace: t.Namespace}, Body: api.HoldBudget{Holder: api.RunHolder(t.Run, name), Labels: labels}}
}

func wait(ctx context.Context, b *bus.Bus, t *sdk.Task, in hold) (held, error) {
	tick := time.NewTicker(every)
	defer tick.Stop()
	said := ""
	for {
		got, err := api.HoldRolloutBudget.Call(ctx, b, holding(t, in.Name, in.Labels))
		switch {
		case err != nil && !errs.Is(err, errs.Unavailable) && !errs.Is(err, errs.Limited):
			return held{}, err
		case err == nil && got.Held:
			return held{in.Name}, nil
		case err == nil && got.Why != said:
			said = got.Why
			t.Logf("waiting: %s", said)
		}
		select {
		case <-ctx.Done():
			return held{}, context.Cause(ctx)
		case <-tick.C:
		}
	}
}
