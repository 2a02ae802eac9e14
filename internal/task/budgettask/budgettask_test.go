package budgettask_test

import (
	"context"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"

	"tutti/api"
	"tutti/bus"
	"tutti/bus/bustest"
	"tutti/bus/membus"
	"tutti/internal/task/budgettask"
	"tutti/internal/task/tasktest"
)

// setup returns a bus with budgets that have no place at first, and who holds one.
func setup(t *testing.T) (b *bus.Bus, holders func() []string) {
	t.Helper()
	var mu sync.Mutex
	held, tries := map[string]bool{}, 0
	b = bustest.Bus(&membus.Bus{})
	err := api.HoldRolloutBudget.Handle(t.Context(), b, func(_ context.Context, in api.HoldBudgetIn) (api.HeldBudget, error) {
		mu.Lock()
		defer mu.Unlock()
		if tries++; tries%2 == 1 { // it waits once
			return api.HeldBudget{Why: "the budget is used up"}, nil
		}
		held[in.Body.Holder] = true
		return api.HeldBudget{Held: true}, nil
	})
	if err == nil {
		err = api.ReleaseRolloutBudget.Handle(t.Context(), b, func(_ context.Context, in api.HoldBudgetIn) (api.HeldBudget, error) {
			mu.Lock()
			defer mu.Unlock()
			delete(held, in.Body.Holder)
			return api.HeldBudget{}, nil
		})
	}
	if err != nil {
		t.Fatal(err)
	}
	return b, func() []string {
		mu.Lock()
		defer mu.Unlock()
		return slices.Sorted(maps.Keys(held))
	}
}

func asRun(ctx context.Context) context.Context {
	return bus.WithCaller(ctx, bus.Caller{Subject: "run:run_1", Grants: []bus.Grant{{Namespace: "default", Role: "operator"}}})
}

func TestSuite(t *testing.T) {
	t.Parallel()
	b, _ := setup(t)
	good := tasktest.Cases{
		Context: asRun,
		Good:    []tasktest.Case{{With: map[string]any{"name": "db-1", "labels": map[string]any{"rack": "r1"}}}},
		Bad:     []tasktest.Case{{With: map[string]any{"name": ""}}, {With: map[string]any{}}},
	}
	tasktest.Run(t, budgettask.NewHold(b), good)
	good.Good = []tasktest.Case{{With: map[string]any{"name": "db-1"}}}
	tasktest.Run(t, budgettask.NewRelease(b), good)
}

// A place is held in the name of the run, and of the thing.
func TestHolder(t *testing.T) {
	t.Parallel()
	b, holders := setup(t)
	task := budgettask.NewHold(b)
	try := tasktest.NewTry(t, task, map[string]any{"name": "db-1"})
	if _, failure, _ := try.Do(asRun(t.Context()), task); failure != nil {
		t.Fatalf("it failed: %+v", failure)
	}
	if got := holders(); len(got) != 1 || !strings.HasPrefix(got[0], "run:") || !strings.HasSuffix(got[0], ":db-1") {
		t.Errorf("the holders are %q; want one that names run and thing", got)
	}
}
