package sdk_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"tutti/api"
	"tutti/errs"
	"tutti/sdk"
)

func TestWorkerNeedsTransportAndDistinctTypes(t *testing.T) {
	t.Parallel()
	if err := (&sdk.Worker{}).Run(t.Context()); !errs.Is(err, errs.Invalid) {
		t.Errorf("Run without transport = %v; want invalid", err)
	}
	w := &sdk.Worker{Transport: newEngine(), Types: []sdk.TaskType{typ{"a", echo}, typ{"a", echo}}}
	if err := w.Run(t.Context()); !errs.Is(err, errs.Invalid) {
		t.Errorf("Run with two types of a name = %v; want invalid", err)
	}
}

func TestWorkerCarriesOut(t *testing.T) {
	bubble(t, nil, func(t *testing.T, e *engine, _ func()) {
		token := e.add(api.Assignment{Type: "echo", With: json.RawMessage(`{"a":1}`)})
		synctest.Wait()
		if got := e.result(t, token); got.Outcome != api.Done || string(got.Out) != `{"a":1}` {
			t.Errorf("result = %+v; want the input", got)
		}
		if e.times[token].After(time.Now()) || len(e.beats) > 0 {
			t.Errorf("a short attempt took time or heartbeats: %v", e.beats)
		}
	})
}

// A chain of tasks costs one exchange a task: the report of one takes the next.
func TestWorkerReportTakesWork(t *testing.T) {
	bubble(t, nil, func(t *testing.T, e *engine, _ func()) {
		const n = 50
		left := n
		e.lock(func() {
			e.fault = func(call string) error {
				if call == "report" && left > 0 {
					left--
					e.next++
					e.queue = append(e.queue, api.Assignment{Token: fmt.Sprintf("chain%d", left), Task: "t", Type: "echo", With: json.RawMessage(`1`)})
				}
				return nil
			}
		})
		e.add(api.Assignment{Type: "echo"})
		synctest.Wait()
		if len(e.results) != n+1 {
			t.Fatalf("%d results; want %d", len(e.results), n+1)
		}
		if len(e.polls) > n+4 {
			t.Errorf("%d exchanges for a chain of %d tasks; want about one each", len(e.polls), n+1)
		}
	})
}

func TestWorkerNeverTakesMoreThanSlots(t *testing.T) {
	running, most := 0, 0
	gate := make(chan struct{}, 1)
	gate <- struct{}{}
	bubble(t, func(ctx context.Context, _ *sdk.Task) (sdk.Result, error) {
		<-gate
		running++
		most = max(most, running)
		gate <- struct{}{}
		sleep(time.Millisecond)
		<-gate
		running--
		gate <- struct{}{}
		return sdk.Done(nil), nil
	}, func(t *testing.T, e *engine, _ func()) {
		e.lock(func() {
			e.delay = 5 * time.Millisecond // what finishes meanwhile is reported together
			for range 100 {
				e.put(api.Assignment{Type: "do"})
			}
		})
		sleep(20 * time.Second)
		synctest.Wait()
		if len(e.results) != 100 || most != 8 {
			t.Errorf("%d results, at most %d at a time; want 100 and 8", len(e.results), most)
		}
		// 100 tasks on 8 slots are 13 rounds; each may take a few exchanges, not one a task.
		if len(e.polls) > 60 {
			t.Errorf("%d exchanges; want batches", len(e.polls))
		}
	})
}

func TestWorkerCancel(t *testing.T) {
	cause := make(chan error, 1)
	bubble(t, func(ctx context.Context, _ *sdk.Task) (sdk.Result, error) {
		<-ctx.Done()
		cause <- context.Cause(ctx)
		return sdk.Result{}, ctx.Err()
	}, func(t *testing.T, e *engine, _ func()) {
		token := e.add(api.Assignment{Type: "do"})
		sleep(time.Minute)
		synctest.Wait()
		e.lock(func() {
			if len(e.results) != 0 || e.beats[token] != 12 {
				t.Errorf("after a minute: %d results, %d heartbeats; want 0 and 12", len(e.results), e.beats[token])
			}
			e.cancel[token] = true
		})
		sleep(api.HeartbeatEvery)
		synctest.Wait()
		if f := e.failure(t, token); f.Type != sdk.FailCancelled || f.Retryable {
			t.Errorf("failure = %+v; want cancelled, not retryable", f)
		}
		if err := <-cause; !errors.Is(err, sdk.ErrCancelled) {
			t.Errorf("cause = %v; want %v", err, sdk.ErrCancelled)
		}
	})
}

func TestWorkerLost(t *testing.T) {
	bubble(t, func(ctx context.Context, task *sdk.Task) (sdk.Result, error) {
		<-ctx.Done()
		if err := context.Cause(ctx); !errors.Is(err, sdk.ErrLost) {
			return sdk.Result{}, err
		}
		return sdk.Done("too late"), nil
	}, func(t *testing.T, e *engine, _ func()) {
		token := e.add(api.Assignment{Type: "do"})
		synctest.Wait()
		e.lock(func() { e.lost[token] = true })
		sleep(time.Minute)
		synctest.Wait()
		for _, p := range e.polls {
			if len(p.Results) > 0 {
				t.Errorf("a lost claim was reported: %+v", p.Results)
			}
		}
		if e.beats[token] != 1 {
			t.Errorf("%d heartbeats; want 1", e.beats[token])
		}
	})
}

func TestWorkerTimeout(t *testing.T) {
	bubble(t, block, func(t *testing.T, e *engine, _ func()) {
		start := time.Now()
		token := e.add(api.Assignment{Type: "do", Task: "build.apply", Timeout: api.Duration(90 * time.Second)})
		sleep(2 * time.Minute)
		synctest.Wait()
		f := e.failure(t, token)
		if f.Type != sdk.FailTimeout || !f.Retryable || f.Message != "build.apply did not end within 1m30s" {
			t.Errorf("failure = %+v; want a retryable timeout that says how long", f)
		}
		if took := e.times[token].Sub(start); took != 90*time.Second {
			t.Errorf("reported after %v; want 90s", took)
		}
	})
}

func TestWorkerFailures(t *testing.T) {
	bubble(t, func(_ context.Context, task *sdk.Task) (sdk.Result, error) {
		switch string(task.With) {
		case `"panic"`:
			panic("the password is hunter22")
		case `"large"`:
			return sdk.Done(strings.Repeat("x", sdk.MaxOutput)), nil
		case `"own"`:
			return sdk.Result{}, sdk.Fail("http.status", "it said hunter22").Again().WithDetails(map[string]any{"status": 503, "body": "hunter22"})
		case `"details"`:
			return sdk.Result{}, sdk.Fail("x", "%s", strings.Repeat("ä", 1<<20)).WithDetails(map[string]any{"f": func() {}})
		case `"kind"`:
			return sdk.Result{}, fmt.Errorf("look: %w", errs.New(errs.Unavailable, "down").WithHint("wait"))
		case `"channel"`:
			return sdk.Done(make(chan int)), nil
		}
		return sdk.Result{}, nil
	}, func(t *testing.T, e *engine, _ func()) {
		fail := func(typ, with string) api.Failure {
			token := e.add(api.Assignment{Type: typ, With: json.RawMessage(`"` + with + `"`), Secrets: []string{"hunter22"}})
			synctest.Wait()
			return e.failure(t, token)
		}
		for _, c := range []struct {
			typ, with string
			want      api.Failure
		}{
			{"do", "panic", api.Failure{Type: "panic", Message: "the task type do panicked: the password is ***"}},
			{"do", "own", api.Failure{Type: "http.status", Message: "it said ***", Retryable: true, Details: map[string]any{"status": 503, "body": "***"}}},
			{"do", "kind", api.Failure{Type: "unavailable", Message: "look: down", Hint: "wait", Retryable: true}},
			{"do", "nothing", api.Failure{Type: "internal", Message: "the task type returned no result"}},
			{"do", "channel", api.Failure{Type: "internal", Message: "json: unsupported type: chan int"}},
			{"other", "", api.Failure{Type: "unknown_type", Message: `worker w has no task type "other"`}},
		} {
			got := fail(c.typ, c.with)
			if c.want.Hint == "" {
				got.Hint = ""
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("failure of %s %q (-want +got):\n%s", c.typ, c.with, diff)
			}
		}
		if f := fail("do", "large"); f.Type != "too_large" || !strings.HasPrefix(f.Message, "output too large") {
			t.Errorf("failure = %+v; want output too large", f)
		}
		if f := fail("do", "details"); len(f.Message) > 33<<10 || f.Details["omitted"] == nil {
			t.Errorf("failure has %d bytes and details %v; want both cut", len(f.Message), f.Details)
		}
	})
}

func TestWorkerResendsUntilAnswered(t *testing.T) {
	bubble(t, nil, func(t *testing.T, e *engine, _ func()) {
		down, answers := 0, 0
		e.lock(func() {
			e.fault = func(call string) error {
				if down++; call == "report" && down <= 5 {
					return errs.New(errs.Unavailable, "down")
				}
				return nil
			}
			// The first report that gets through is carried out, but its answer is lost.
			e.lose = func(call string) error {
				if answers++; call == "report" && answers == 1 {
					return errs.New(errs.Unavailable, "gone")
				}
				return nil
			}
		})
		var tokens []string
		for range 5 {
			tokens = append(tokens, e.add(api.Assignment{Type: "echo"}))
		}
		sleep(time.Minute)
		synctest.Wait()
		for _, token := range tokens {
			if r := e.result(t, token); r.Outcome != api.Done {
				t.Errorf("result = %+v; want done", r)
			}
		}
		e.lock(func() { e.polls = nil })
		sleep(time.Minute)
		synctest.Wait()
		for _, p := range e.polls {
			if len(p.Results) > 0 {
				t.Errorf("sent again after the answer: %+v", p.Results)
			}
		}
	})
}

// One result the engine finds fault with must hold up neither the others nor itself.
func TestWorkerContainsPoison(t *testing.T) {
	bubble(t, func(_ context.Context, task *sdk.Task) (sdk.Result, error) {
		sleep(time.Second)
		return sdk.Done(task.With), nil
	}, func(t *testing.T, e *engine, _ func()) {
		bad := e.add(api.Assignment{Type: "do", With: json.RawMessage(`"bad"`)})
		good := e.add(api.Assignment{Type: "do", With: json.RawMessage(`"good"`)})
		e.lock(func() {
			e.check = func(in api.PollBody) error {
				for _, r := range in.Results {
					if string(r.Out) == `"bad"` {
						return errs.New(errs.Invalid, "bad")
					}
				}
				return nil
			}
		})
		sleep(time.Minute)
		synctest.Wait()
		if r := e.result(t, good); r.Outcome != api.Done {
			t.Errorf("the good result = %+v; want done", r)
		}
		if f := e.failure(t, bad); f.Type != sdk.FailInternal {
			t.Errorf("the bad result = %+v; want an internal failure", f)
		}
	})
}

func TestWorkerDrain(t *testing.T) {
	for _, c := range []struct {
		name string
		do   func(context.Context, *sdk.Task) (sdk.Result, error)
		want api.Outcome
		took time.Duration
	}{
		{"ends at once", block, api.Interrupted, 0},
		{"finishes within the grace", func(ctx context.Context, _ *sdk.Task) (sdk.Result, error) {
			<-ctx.Done()
			sleep(3 * time.Second)
			return sdk.Done("well"), nil
		}, api.Done, 3 * time.Second},
		{"takes longer", func(ctx context.Context, _ *sdk.Task) (sdk.Result, error) {
			<-ctx.Done()
			sleep(time.Minute)
			return sdk.Done("late"), nil
		}, api.Interrupted, 10 * time.Second},
	} {
		t.Run(c.name, func(t *testing.T) {
			bubble(t, c.do, func(t *testing.T, e *engine, stop func()) {
				token := e.add(api.Assignment{Type: "do"})
				sleep(time.Second)
				start := time.Now()
				stop()
				if got := e.result(t, token).Outcome; got != c.want {
					t.Errorf("outcome = %s; want %s", got, c.want)
				}
				if took := e.times[token].Sub(start); took != c.took {
					t.Errorf("reported after %v; want %v", took, c.took)
				}
				later := e.add(api.Assignment{Type: "echo"})
				sleep(time.Minute)
				if _, ok := e.claims[later]; ok {
					t.Error("a stopped worker took work")
				}
			})
		})
	}
}

func TestWorkerDrainGivesUp(t *testing.T) {
	bubble(t, block, func(t *testing.T, e *engine, stop func()) {
		e.add(api.Assignment{Type: "do"})
		synctest.Wait()
		e.lock(func() { e.fault = func(string) error { return errs.New(errs.Unavailable, "down") } })
		start := time.Now()
		stop()
		if took := time.Since(start); took != 15*time.Second {
			t.Errorf("Run ended %v after its context; want 15s", took)
		}
	})
}

func TestWorkerVariables(t *testing.T) {
	bubble(t, func(ctx context.Context, task *sdk.Task) (sdk.Result, error) {
		if err := task.SetVar(ctx, "handle", map[string]any{"id": 7}); err != nil {
			return sdk.Result{}, err
		}
		var got struct{ ID int }
		if ok, err := task.Var("handle", &got); !ok || err != nil || got.ID != 7 {
			return sdk.Result{}, fmt.Errorf("Var = %v, %v, %v", ok, err, got)
		}
		err := task.SetVar(ctx, "pw", "the hunter22")
		return sdk.Done(map[string]any{"refused": errs.Is(err, errs.Invalid)}), nil
	}, func(t *testing.T, e *engine, _ func()) {
		down := 3
		e.lock(func() {
			e.fault = func(call string) error {
				if down--; call == "vars" && down > 0 {
					return errs.New(errs.Unavailable, "down")
				}
				return nil
			}
		})
		token := e.add(api.Assignment{Type: "do", Secrets: []string{"hunter22"}})
		sleep(time.Minute)
		synctest.Wait()
		if got := string(e.result(t, token).Out); got != `{"refused":true}` {
			t.Errorf("out = %s; want the variable with the secret refused", got)
		}
		if got := e.vars[token]; len(got) != 1 || string(got["handle"]) != `{"id":7}` {
			t.Errorf("variables = %s; want the handle alone", got)
		}
	})
}

func TestWorkerVariableOfLostClaim(t *testing.T) {
	bubble(t, func(ctx context.Context, task *sdk.Task) (sdk.Result, error) {
		sleep(time.Second)
		err := task.SetVar(ctx, "a", 1)
		if !errs.Is(err, errs.Conflict) || !errors.Is(context.Cause(ctx), sdk.ErrLost) {
			panic(fmt.Sprintf("SetVar = %v, cause %v; want conflict and lost", err, context.Cause(ctx)))
		}
		return sdk.Result{}, err
	}, func(t *testing.T, e *engine, _ func()) {
		token := e.add(api.Assignment{Type: "do"})
		synctest.Wait()
		e.lock(func() { e.lost[token] = true })
		sleep(time.Minute)
		synctest.Wait()
		if len(e.results) > 0 || e.stale != 1 {
			t.Errorf("%d results and %d stale calls; want none and one", len(e.results), e.stale)
		}
	})
}

func TestWorkerContext(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		type key struct{}
		e := newEngine()
		token := e.add(api.Assignment{Type: "do", Trace: "t1"})
		ctx, cancel := context.WithCancel(context.WithValue(t.Context(), key{}, "base"))
		w := &sdk.Worker{Transport: e, Types: []sdk.TaskType{typ{"do", func(ctx context.Context, _ *sdk.Task) (sdk.Result, error) {
			return sdk.Done(ctx.Value(key{})), nil
		}}}, Context: func(ctx context.Context, a *api.Assignment) context.Context {
			return context.WithValue(ctx, key{}, fmt.Sprint(ctx.Value(key{}), " ", a.Trace))
		}}
		done := make(chan error)
		go func() { done <- w.Run(ctx) }()
		synctest.Wait()
		cancel()
		<-done
		if got := string(e.result(t, token).Out); got != `"base t1"` {
			t.Errorf("value = %s; want that of the base and the assignment", got)
		}
	})
}
