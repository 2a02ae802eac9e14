package rollouttask_test

import (
	"context"
	"sync"
	"testing"

	"tutti/api"
	"tutti/bus"
	"tutti/bus/bustest"
	"tutti/bus/membus"
	"tutti/errs"
	"tutti/internal/task/rollouttask"
	"tutti/internal/task/tasktest"
)

// setup returns a bus with a rollouts service whose entities go from one state to the next with each look.
func setup(t *testing.T, path map[string][]api.Rollout) *bus.Bus {
	t.Helper()
	var mu sync.Mutex
	at := map[string]int{}
	keys := map[string]string{}
	b := bustest.Bus(&membus.Bus{})
	look := func(entity string) (api.Rollout, error) {
		mu.Lock()
		defer mu.Unlock()
		states, ok := path[entity]
		if !ok {
			return api.Rollout{}, errs.New(errs.NotFound, "no rollout %q", entity)
		}
		i := min(at[entity], len(states)-1)
		at[entity]++
		return states[i], nil
	}
	err := api.GetRollout.Handle(t.Context(), b, func(_ context.Context, in api.RolloutIn) (api.Rollout, error) { return look(in.Entity) })
	if err == nil {
		err = api.CommandRollout.Handle(t.Context(), b, func(_ context.Context, in api.CommandRolloutIn) (api.Rollout, error) {
			mu.Lock()
			if was, ok := keys[in.Key]; in.Key == "" || in.Verb != "set-version" || ok && was != in.Body.Version {
				t.Errorf("%s of %s with key %q after %q", in.Verb, in.Body.Version, in.Key, was)
			}
			keys[in.Key] = in.Body.Version
			mu.Unlock()
			return look(in.Entity)
		})
	}
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func asRun(ctx context.Context) context.Context {
	return bus.WithCaller(ctx, bus.Caller{Subject: "run:run_1", Grants: []bus.Grant{{Namespace: "default", Role: "operator"}}})
}

func TestSuite(t *testing.T) {
	t.Parallel()
	b := setup(t, map[string][]api.Rollout{"web": {
		{State: "good", Version: "v1", Wanted: "v1", Good: "v1"}, {State: "rolling", Version: "v2", Wanted: "v2", Good: "v1"}, {State: "good", Version: "v2", Wanted: "v2", Good: "v2"},
	}})
	c := func(entity, version string) map[string]any {
		return map[string]any{"entity": entity, "version": version, "every": "1ms"}
	}
	tasktest.Run(t, rollouttask.New(b), tasktest.Cases{
		Context: asRun,
		Good:    []tasktest.Case{{With: c("web", "v2")}},
		Bad:     []tasktest.Case{{With: c("", "v2")}, {With: c("web", "")}, {With: map[string]any{"entity": "web"}}},
	})
}

func TestEnds(t *testing.T) {
	t.Parallel()
	first := api.Rollout{State: "good", Version: "v1", Wanted: "v1", Good: "v1", Entity: "e"}
	rolling := api.Rollout{State: "rolling", Version: "v2", Wanted: "v2", Good: "v1"}
	for name, tc := range map[string]struct {
		last api.Rollout
		want string
	}{
		"good":       {api.Rollout{State: "good", Version: "v2", Wanted: "v2", Good: "v2", Targets: 5, Succeeded: 4, Failed: 1}, ""},
		"bad":        {api.Rollout{State: "reverted", Version: "v2", Wanted: "v2", Good: "v1", Bad: []string{"v2"}}, "rollout.bad"},
		"stopped":    {api.Rollout{State: "stopped", Version: "v2", Wanted: "v2"}, "rollout.stopped"},
		"superseded": {api.Rollout{State: "rolling", Version: "v3", Wanted: "v3", Good: "v1"}, "rollout.superseded"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setup(t, map[string][]api.Rollout{"e": {first, rolling, rolling, tc.last}})
			typ := rollouttask.New(b)
			a := tasktest.NewTry(t, typ, map[string]any{"entity": "e", "version": "v2", "every": "1ms"})
			res, failure, _ := a.Do(asRun(t.Context()), typ)
			got := ""
			if failure != nil {
				got = failure.Type
			}
			if got != tc.want {
				t.Errorf("it ended with %q %s; want %q", got, res.Out, tc.want)
			}
		})
	}
}
