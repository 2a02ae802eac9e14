package workflow_test

import (
	"context"
	"encoding/json"
	"log/slog"
	"testing"
	"time"

	"tutti/api"
	"tutti/bus"
	"tutti/bus/membus"
	"tutti/internal/service"
	"tutti/internal/store"
	"tutti/internal/store/pgtest"
	"tutti/internal/workflow"
)

// TestPostgres: the same engine on PostgreSQL takes a run over from an engine that was cut off, and the
// one that was cut off can write no more.
func TestPostgres(t *testing.T) {
	t.Parallel()
	url := pgtest.URL(t)
	one := engineOn(t, url)
	r, err := api.StartRun.Call(admin(t.Context()), one.bus, api.StartRunIn{NS: api.NS{Namespace: ns}, Key: "k",
		Body: api.StartRunBody{Definition: "kind: Workflow\nname: x\ntasks: {a: {use: noop}, b: {use: noop, needs: [a]}}"}})
	if err != nil {
		t.Fatal(err)
	}
	one.stop()
	two := engineOn(t, url)
	again, err := api.StartRun.Call(admin(t.Context()), two.bus, api.StartRunIn{NS: api.NS{Namespace: ns}, Key: "k",
		Body: api.StartRunBody{Definition: "kind: Workflow\nname: x\ntasks: {a: {use: noop}, b: {use: noop, needs: [a]}}"}})
	if err != nil || again.ID != r.ID {
		t.Fatalf("the same key after a take-over: %v, %v; want %s", again.ID, err, r.ID)
	}
	var rs []api.Result
	for range 3 {
		out, err := api.PollTasks.Call(inside(t.Context()), two.bus, api.PollIn{NS: api.NS{Namespace: "*"}, Pool: api.DefaultPool,
			Body: api.PollBody{Worker: "w", Max: 5, Wait: api.Duration(100 * time.Millisecond), Results: rs}})
		if err != nil {
			t.Fatal(err)
		}
		rs = nil
		for _, a := range out.Assignments {
			rs = append(rs, api.Result{Token: a.Token, Outcome: api.Done, Out: json.RawMessage(`{}`)})
		}
	}
	end, err := api.GetRun.Call(admin(t.Context()), two.bus, api.GetRunIn{NS: api.NS{Namespace: ns}, ID: r.ID, Wait: api.Duration(10 * time.Second)})
	if err != nil || end.State != api.Succeeded {
		t.Errorf("run = %+v, %v; want succeeded", end, err)
	}
}

type pgEngine struct {
	bus  *bus.Bus
	stop func()
}

func engineOn(t *testing.T, url string) pgEngine {
	t.Helper()
	db, err := store.Open(t.Context(), store.Config{URL: url}, "workflow", workflow.Migrations)
	if err != nil {
		t.Fatal(err)
	}
	b := bus.New(new(membus.Bus), []byte("key"), api.Allow)
	s, err := workflow.New(workflow.Config{Types: []api.TaskType{noop}})(service.Deps{Name: "workflow", DB: db, Bus: b, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	stopped := false
	e := pgEngine{bus: b, stop: func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		db.Close()
	}}
	t.Cleanup(e.stop)
	for { // until it answers
		if _, err := api.ListRuns.Call(admin(t.Context()), b, api.ListRunsIn{NS: api.NS{Namespace: ns}}); err == nil {
			return e
		}
		select {
		case err := <-done:
			t.Fatalf("the engine ended: %v", err)
		case <-t.Context().Done():
			t.Fatal("no answer")
		default:
		}
	}
}
