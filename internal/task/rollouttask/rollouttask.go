// Package rollouttask is the task type rollout: it sets the version of an entity of the rollouts service and waits
// until the version is good, or bad and back. So rollouts are tasks that depend on one another, under the budgets
// of their namespace.
package rollouttask

import (
	"context"
	"slices"
	"time"

	"tutti/api"
	"tutti/bus"
	"tutti/errs"
	"tutti/internal/task"
	"tutti/sdk"
)

// The failure types.
const (
	failBad        = "rollout.bad"
	failStopped    = "rollout.stopped"
	failSuperseded = "rollout.superseded"
)

// defaultEvery is how often the rollout is looked at.
const defaultEvery = 5 * time.Second

type with struct {
	Entity  string       `json:"entity" doc:"What is rolled out, as in tutti rollout list" minLength:"1" maxLength:"100"`
	Version string       `json:"version" doc:"The version its targets are to run" minLength:"1" maxLength:"200"`
	Every   api.Duration `json:"every,omitempty" doc:"How often it is looked at; by default 5s"`
}

type out struct {
	Entity    string `json:"entity" doc:"What was rolled out"`
	Version   string `json:"version" doc:"The version, which is good now"`
	Before    string `json:"before" doc:"The version that was good before; empty where none was. An undo goes back to it"`
	Targets   int    `json:"targets" doc:"How many targets there are"`
	Succeeded int    `json:"succeeded" doc:"How many have the version and are healthy"`
	Failed    int    `json:"failed" doc:"How many failed, and were tolerated"`
}

// New returns the task type; it calls over b.
func New(b *bus.Bus) sdk.TaskType {
	return task.Define(api.TaskType{
		Name: "rollout", Title: "Roll out a version",
		Doc: "Sets the version of an entity and succeeds once it is good. Its targets are those that controllers report. When it is cancelled the rollout goes on.",
		Errors: task.Called(map[string]string{
			failBad:        "the version is bad: too many targets failed, or a gate did; its targets are back, or were given up",
			failStopped:    "it stopped, and a person decides",
			failSuperseded: "another version was set meanwhile",
		}),
	}, roller{b}.do)
}

type roller struct{ bus *bus.Bus }

// beforeVar keeps which version was good before, over attempts.
const beforeVar = "before"

func (r roller) do(ctx context.Context, t *sdk.Task, in with) (out, error) {
	at := api.RolloutIn{NS: api.NS{Namespace: t.Namespace}, Entity: in.Entity}
	var before string
	if known, err := t.Var(beforeVar, &before); err != nil {
		return out{}, err
	} else if !known {
		now, err := api.GetRollout.Call(ctx, r.bus, at)
		if err != nil && !errs.Is(err, errs.NotFound) {
			return out{}, err
		}
		before = now.Good
		if err := t.SetVar(ctx, beforeVar, before); err != nil {
			return out{}, err
		}
	}
	// With the task's key it is set once, however often this is tried.
	now, err := api.CommandRollout.Call(ctx, r.bus, api.CommandRolloutIn{RolloutIn: at, Verb: "set-version", Key: t.Key, Body: api.RolloutCommand{Version: in.Version, Why: "run " + string(t.Run) + ", task " + t.Task}})
	if err != nil {
		return out{}, err
	}
	t.Logf("%s is to run %s; %s was good before", in.Entity, in.Version, before)
	every := time.Duration(in.Every)
	if every <= 0 {
		every = defaultEvery
	}
	tick := time.NewTicker(every)
	defer tick.Stop()
	shown := ""
	for {
		if ended, err := judge(now, in.Version); err != nil || ended {
			return out{in.Entity, in.Version, before, now.Targets, now.Succeeded, now.Failed}, err
		}
		if text := line(now); text != shown {
			t.Logf("%s", text)
			shown = text
		}
		select {
		case <-ctx.Done():
			return out{}, context.Cause(ctx)
		case <-tick.C:
		}
		if now, err = api.GetRollout.Call(ctx, r.bus, at); err != nil {
			if errs.Is(err, errs.Unavailable) || errs.Is(err, errs.Limited) {
				continue
			}
			return out{}, err
		}
	}
}

// judge says whether the rollout of version has ended well, or returns how it ended.
func judge(r api.Rollout, version string) (ended bool, err error) {
	going := r.Version == version
	switch {
	case going && r.State == "good", r.Good == version && r.State == "reverted" && r.Wanted == version:
		return true, nil
	case slices.Contains(r.Bad, version) && r.State != "rolling back":
		return true, sdk.Fail(failBad, "version %s is bad; %s runs %s again", version, r.Entity, r.Good).WithHint("tutti rollout history %s says why", r.Entity)
	case going && r.State == "stopped":
		return true, sdk.Fail(failStopped, "the rollout of %s stopped: %s", version, r.Why).WithHint("tutti rollout history %s says why", r.Entity)
	case r.Wanted != version && !slices.Contains(r.Bad, version):
		return true, sdk.Fail(failSuperseded, "%s is to run %s by now", r.Entity, r.Wanted)
	}
	return false, nil
}

// line is how far a rollout is, in words.
func line(r api.Rollout) string {
	text := r.State + ", " + r.Rule
	for _, why := range r.Waiting {
		text += "; " + why
	}
	return text
}
