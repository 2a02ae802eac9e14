package sdk_test

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"tutti/api"
	"tutti/errs"
	"tutti/sdk"
)

// engine is a little engine: a queue of attempts, claims with tokens, results, logs and variables. It
// is a Transport.
type engine struct {
	mu      sync.Mutex
	arrived chan struct{}
	queue   []api.Assignment
	claims  map[string]time.Time // token: last sign of life
	results map[string]api.Result
	times   map[string]time.Time // of results
	vars    map[string]map[string]json.RawMessage
	logs    map[string][]api.LogLine
	cancel  map[string]bool
	lost    map[string]bool
	polls   []api.PollBody
	stale   int // heartbeats, logs and variables that came for a claim that is over
	beats   map[string]int
	next    int
	// fault, where set, may fail a call before it is carried out; lose after.
	fault, lose func(call string) error
	// check, where set, may find fault with a report.
	check func(api.PollBody) error
	delay time.Duration // of a call
}

func newEngine() *engine {
	return &engine{arrived: make(chan struct{}, 1), claims: map[string]time.Time{}, results: map[string]api.Result{}, times: map[string]time.Time{},
		vars: map[string]map[string]json.RawMessage{}, logs: map[string][]api.LogLine{}, cancel: map[string]bool{}, lost: map[string]bool{}, beats: map[string]int{}}
}

// add queues an attempt and returns its token.
func (e *engine) add(a api.Assignment) string {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.put(a)
}

// put is add for who holds the lock, so that several arrive at once.
func (e *engine) put(a api.Assignment) string {
	e.next++
	a.Token = fmt.Sprintf("token%d", e.next)
	if a.Task == "" {
		a.Task = fmt.Sprintf("task%d", e.next)
	}
	a.Namespace, a.Key, a.Attempt = "default", "key-"+a.Task, 1
	if a.With == nil {
		a.With = json.RawMessage(`{}`)
	}
	e.queue = append(e.queue, a)
	select {
	case e.arrived <- struct{}{}:
	default:
	}
	return a.Token
}

// call is what every call goes through; f is carried out unless the call fails before.
func (e *engine) call(ctx context.Context, name string, f func() error) error {
	if err := ctx.Err(); err != nil {
		return errs.New(errs.Unavailable, "%s: %w", name, err)
	}
	e.mu.Lock()
	delay := e.delay
	e.mu.Unlock()
	sleep(delay)
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.fault != nil {
		if err := e.fault(name); err != nil {
			return err
		}
	}
	if err := f(); err != nil {
		return err
	}
	if e.lose != nil {
		return e.lose(name)
	}
	return nil
}

func (e *engine) Poll(ctx context.Context, in api.PollIn) (out api.PollOut, err error) {
	name := "poll"
	if len(in.Body.Results) > 0 {
		name = "report"
	}
	err = e.call(ctx, name, func() error {
		e.polls = append(e.polls, in.Body)
		if e.check != nil {
			if err := e.check(in.Body); err != nil {
				return err
			}
		}
		for _, r := range in.Body.Results {
			if !e.valid(r.Token) {
				out.Refused = append(out.Refused, api.Refusal{Token: r.Token, Kind: errs.Conflict, Why: "the claim is over"})
				continue
			}
			delete(e.claims, r.Token)
			e.results[r.Token], e.times[r.Token] = r, time.Now()
		}
		out.Assignments = e.take(in.Body.Max)
		return nil
	})
	if err != nil || len(out.Assignments) > 0 || in.Body.Wait == 0 {
		return out, err
	}
	limit := time.NewTimer(time.Duration(in.Body.Wait))
	defer limit.Stop()
	for {
		select {
		case <-ctx.Done():
			return out, errs.New(errs.Unavailable, "poll: %w", ctx.Err())
		case <-limit.C:
			return out, nil
		case <-e.arrived:
			e.mu.Lock()
			out.Assignments = e.take(in.Body.Max)
			e.mu.Unlock()
			if len(out.Assignments) > 0 {
				return out, nil
			}
		}
	}
}

func (e *engine) take(n int) []api.Assignment {
	n = min(n, len(e.queue))
	out := e.queue[:n:n]
	e.queue = e.queue[n:]
	for _, a := range out {
		e.claims[a.Token] = time.Now()
	}
	return out
}

func (e *engine) valid(token string) bool {
	_, ok := e.claims[token]
	if !ok || e.lost[token] {
		e.stale++
		return false
	}
	return true
}

func (e *engine) Heartbeat(ctx context.Context, in api.HeartbeatIn) (out api.HeartbeatOut, err error) {
	return out, e.call(ctx, "heartbeat", func() error {
		for _, token := range in.Body.Tokens {
			switch e.beats[token]++; {
			case !e.valid(token):
				out.Lost = append(out.Lost, token)
			case e.cancel[token]:
				out.Cancel = append(out.Cancel, token)
			}
		}
		return nil
	})
}

func (e *engine) SetVars(ctx context.Context, in api.SetVarsIn) error {
	return e.call(ctx, "vars", func() error {
		if !e.valid(in.Token) {
			return errs.New(errs.Conflict, "the claim is over")
		}
		if e.vars[in.Token] == nil {
			e.vars[in.Token] = map[string]json.RawMessage{}
		}
		maps.Copy(e.vars[in.Token], in.Body)
		return nil
	})
}

func (e *engine) AppendLog(ctx context.Context, in api.AppendLogIn) error {
	return e.call(ctx, "log", func() error {
		if !e.valid(in.Token) {
			return errs.New(errs.Conflict, "the claim is over")
		}
		seen := int64(len(e.logs[in.Token]))
		for _, l := range in.Body.Lines {
			if l.Seq <= seen {
				continue
			}
			e.logs[in.Token] = append(e.logs[in.Token], l)
		}
		return nil
	})
}

// result returns what was reported for token.
func (e *engine) result(t *testing.T, token string) api.Result {
	t.Helper()
	e.mu.Lock()
	defer e.mu.Unlock()
	r, ok := e.results[token]
	if !ok {
		t.Fatalf("no result for %s", token)
	}
	return r
}

// failure returns the failure that was reported for token.
func (e *engine) failure(t *testing.T, token string) api.Failure {
	t.Helper()
	r := e.result(t, token)
	if r.Outcome != api.FailedTask || r.Failure == nil {
		t.Fatalf("result of %s = %+v; want a failure", token, r)
	}
	return *r.Failure
}

// lock carries f out with the engine's state.
func (e *engine) lock(f func()) {
	e.mu.Lock()
	defer e.mu.Unlock()
	f()
}

// typ is a task type made of a function.
type typ struct {
	name string
	do   func(context.Context, *sdk.Task) (sdk.Result, error)
}

func (t typ) Spec() api.TaskType { return api.TaskType{Name: t.name} }

func (t typ) Do(ctx context.Context, task *sdk.Task) (sdk.Result, error) { return t.do(ctx, task) }

// block does nothing until its context ends.
func block(ctx context.Context, _ *sdk.Task) (sdk.Result, error) {
	<-ctx.Done()
	return sdk.Result{}, ctx.Err()
}

// echo returns its input.
func echo(_ context.Context, t *sdk.Task) (sdk.Result, error) { return sdk.Done(t.With), nil }

// bubble runs f beside a worker with a task type "do" (and "echo") in a bubble, then stops the worker.
func bubble(t *testing.T, do func(context.Context, *sdk.Task) (sdk.Result, error), f func(t *testing.T, e *engine, stop func())) {
	t.Helper()
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		e := newEngine()
		w := &sdk.Worker{Transport: e, Name: "w", Slots: 8, Types: []sdk.TaskType{typ{"echo", echo}, typ{"do", do}}}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- w.Run(ctx) }()
		stop := sync.OnceFunc(func() {
			cancel()
			if err := <-done; err != nil {
				t.Errorf("Run = %v; want nil", err)
			}
		})
		defer stop()
		synctest.Wait()
		f(t, e, stop)
	})
}

// sleep lets virtual time pass.
func sleep(d time.Duration) { time.Sleep(d) } // sleep: only ever called in a bubble
