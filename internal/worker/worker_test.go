package worker_test

import (
	"context"
	"encoding/json"
	"log/slog"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"

	"tutti/api"
	"tutti/bus"
	"tutti/bus/bustest"
	"tutti/bus/membus"
	"tutti/bus/natsbus"
	"tutti/internal/service"
	"tutti/internal/task/nooptask"
	"tutti/internal/worker"
	"tutti/sdk"
)

// spy is a task type that calls, stores and logs, and says who it was.
type spy struct{ b *bus.Bus }

func (spy) Spec() api.TaskType { return api.TaskType{Name: "spy"} }

func (s spy) Do(ctx context.Context, t *sdk.Task) (sdk.Result, error) {
	t.Logf("hello")
	if err := t.SetVar(ctx, "a", 1); err != nil {
		return sdk.Result{}, err
	}
	m, err := api.SendMail.Call(ctx, s.b, api.SendIn{NS: api.NS{Namespace: t.Namespace}})
	return sdk.Done(m.ID), err
}

func TestActsAsTheRun(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := bustest.Bus(&membus.Bus{})
		var mu sync.Mutex
		var got []string
		var result api.Result
		note := func(ctx context.Context, what string) {
			mu.Lock()
			defer mu.Unlock()
			got = append(got, what+" by "+bus.Subject(ctx)+" in "+bus.TraceFrom(ctx))
		}
		assigned := false
		handle(t, api.PollTasks.Handle(t.Context(), b, func(ctx context.Context, in api.PollIn) (out api.PollOut, err error) {
			mu.Lock()
			if in.Namespace != "*" || in.Pool != "default" || bus.Subject(ctx) != "service:worker" {
				t.Errorf("poll of %s/%s by %s; want */default by service:worker", in.Namespace, in.Pool, bus.Subject(ctx))
			}
			if len(in.Body.Results) > 0 {
				result = in.Body.Results[0]
			}
			first := !assigned
			assigned = true
			mu.Unlock()
			if first {
				out.Assignments = []api.Assignment{{Token: "t", Run: "run_1", Namespace: "lab", Task: "a", Type: "spy", Trace: "trace1",
					Grants: []bus.Grant{{Namespace: "lab", Role: "author"}}}}
			} else if in.Body.Wait > 0 {
				<-ctx.Done()
			}
			return out, nil
		}))
		handle(t, api.SetVars.Handle(t.Context(), b, func(ctx context.Context, in api.SetVarsIn) (api.Nothing, error) {
			note(ctx, "vars of "+in.Namespace)
			return api.Nothing{}, nil
		}))
		handle(t, api.AppendLog.Handle(t.Context(), b, func(ctx context.Context, in api.AppendLogIn) (api.Nothing, error) {
			note(ctx, "log of "+in.Namespace)
			return api.Nothing{}, nil
		}))
		handle(t, api.SendMail.Handle(t.Context(), b, func(ctx context.Context, in api.SendIn) (api.Message, error) {
			note(ctx, "mail of "+in.Namespace)
			c, _ := bus.CallerFrom(ctx)
			if diff := cmp.Diff([]bus.Grant{{Namespace: "lab", Role: "author"}}, c.Grants); diff != "" {
				t.Errorf("grants (-want +got):\n%s", diff)
			}
			return api.Message{ID: "m1"}, nil
		}))
		run(t, []sdk.TaskType{spy{b}}, b, func() {
			synctest.Wait()
			mu.Lock()
			defer mu.Unlock()
			if result.Outcome != api.Done || string(result.Out) != `"m1"` {
				t.Errorf("result = %+v; want m1", result)
			}
			if diff := cmp.Diff([]string{"vars of lab by service:worker in trace1", "mail of lab by run:run_1 in trace1", "log of lab by service:worker in "}, got); diff != "" {
				t.Errorf("calls (-want +got):\n%s", diff)
			}
		})
	})
}

func handle(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// run runs the service around f.
func run(t testing.TB, types []sdk.TaskType, b *bus.Bus, f func()) {
	t.Helper()
	s, err := worker.New(types, nil, worker.Config{})(service.Deps{Name: "worker", Bus: b, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	f()
	cancel()
	if err := <-done; err != nil {
		t.Errorf("Run = %v; want nil", err)
	}
}

// BenchmarkNoop carries out attempts that do nothing over a bus, for an engine that does nothing else.
func BenchmarkNoop(b *testing.B) {
	for name, open := range map[string]func(b *testing.B) bus.Conn{
		"membus": func(*testing.B) bus.Conn { return &membus.Bus{} },
		"natsbus": func(b *testing.B) bus.Conn {
			c, err := natsbus.Open("", slog.New(slog.DiscardHandler))
			handle(b, err)
			b.Cleanup(c.Close)
			return c
		},
	} {
		b.Run(name, func(b *testing.B) {
			bs := bustest.Bus(open(b))
			var mu sync.Mutex
			left, pending, done := b.N, b.N, make(chan struct{})
			a := api.Assignment{Run: "run_0123456789abcdef", Namespace: "default", Workflow: "bench", Task: "build.apply", Type: "noop", Attempt: 1,
				Key: "0123456789abcdef", With: json.RawMessage(`{"a":1}`), Trace: "0123456789abcdef0123456789abcdef", Requester: "user:anna"}
			handle(b, api.PollTasks.Handle(b.Context(), bs, func(ctx context.Context, in api.PollIn) (out api.PollOut, err error) {
				mu.Lock()
				n := min(left, in.Body.Max)
				left -= n
				first := left
				if pending -= len(in.Body.Results); pending == 0 && len(in.Body.Results) > 0 {
					close(done)
				}
				mu.Unlock()
				if n == 0 && in.Body.Wait > 0 {
					<-ctx.Done()
				}
				out.Assignments = make([]api.Assignment, n)
				a := a
				for i := range n {
					a.Token = "attempt_" + string(rune('a'+(first+i)%26)) + string(rune('a'+(first+i)/26%26)) + string(rune('a'+(first+i)/676%26)) + string(rune('a'+(first+i)/17576%26))
					out.Assignments[i] = a
				}
				return out, nil
			}))
			b.ResetTimer()
			run(b, []sdk.TaskType{nooptask.New()}, bs, func() { <-done; b.StopTimer() })
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "attempts/s")
		})
	}
}
