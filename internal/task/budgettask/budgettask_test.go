package budgettask_test

import (
	"context"
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
func setup(t *testing.T) (b *bus.Bus, holders func() map[string]bool) {
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
	return b, func() map[string]bool {
		mu.Lock()
		defer mu.Unlock()
		return held
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

// A place is held in the name of the run, and given back.
func TestHoldAndRelease(t *testing.T) {
	t.Parallel()
	b, holders := setup(t)
	for _, typ := range []bool{true, false} {
		task := budgettask.NewHold(b)
		if !typ {
			task = budgettask.NewRelease(b)
		}
		try := tasktest.NewTry(t, task, map[string]any{"name": "db-1"})
		if _, failure, _ := try.Do(asRun(t.Context()), task); failure != nil {
			t.Fatalf("it failed: %+v", failure)
		}
		n := 0
		for holder := range holders() {
			if n++; !strings.HasPrefix(holder, "run:") || !strings.HasSuffix(holder, ":db-1") {
				t.Errorf("the holder is %q; want it to name run and thing", holder)
			}
		}
		if want := map[bool]int{true: 1, false: 0}[typ]; n != want {
			t.Errorf("%d are held; want %d", n, want)
		}
	}
}
