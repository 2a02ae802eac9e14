package workflow_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"tutti/api"
	"tutti/bus"
	"tutti/bus/membus"
	"tutti/errs"
	"tutti/internal/service"
	"tutti/internal/store"
	"tutti/internal/workflow"
)

var noop = api.TaskType{Name: "noop"}

// house is an engine on a bus, with its neighbours played by the test.
type house struct {
	t    *testing.T
	dir  string
	bus  *bus.Bus
	db   *store.DB
	stop func()
	defs map[string]api.Definition

	mu    sync.Mutex
	lines []string
}

const ns = "default"

// open starts an engine on the data in dir.
func open(t *testing.T, dir string) *house {
	t.Helper()
	h := &house{t: t, dir: dir, bus: bus.New(new(membus.Bus), []byte("key"), api.Allow), defs: map[string]api.Definition{}}
	var err error
	h.db, err = store.Open(t.Context(), store.Config{Dir: dir}, "workflow", workflow.Migrations)
	if err != nil {
		t.Fatal(err)
	}
	d := service.Deps{Name: "workflow", DB: h.db, Bus: h.bus, Log: slog.New(slog.DiscardHandler)}
	cfg := workflow.Config{Types: []api.TaskType{noop, {Name: "exec", Perm: "task.exec"}}}
	s, err := workflow.New(cfg)(d)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	h.neighbours(ctx, d)
	h.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run = %v", err)
		}
		h.db.Close()
	})
	t.Cleanup(h.stop)
	synctest.Wait()
	return h
}

func (h *house) neighbours(ctx context.Context, d service.Deps) {
	err := errors.Join(
		service.Serve(ctx, d),
		api.GetDefinition.Handle(ctx, h.bus, func(_ context.Context, in api.GetDefinitionIn) (api.Definition, error) {
			def, ok := h.defs[in.Name]
			if !ok {
				return def, errs.New(errs.NotFound, "no workflow %q", in.Name)
			}
			return def, nil
		}),
		api.StoreLog.Handle(ctx, h.bus, func(_ context.Context, in api.StoreLogIn) (api.Nothing, error) {
			h.mu.Lock()
			defer h.mu.Unlock()
			for _, l := range in.Lines {
				h.lines = append(h.lines, in.Task+": "+l.Text)
			}
			return api.Nothing{}, nil
		}),
		api.ResolveSecrets.Handle(ctx, h.bus, func(_ context.Context, in api.ResolveSecretsIn) (api.ResolvedSecrets, error) {
			return api.ResolvedSecrets{Values: map[string]string{"pw": "hunter22"}}, nil
		}),
	)
	if err != nil {
		h.t.Fatal(err)
	}
}

func admin(ctx context.Context) context.Context {
	return bus.WithCaller(ctx, bus.Caller{Subject: "user:anna", Grants: []bus.Grant{{Namespace: ns, Role: api.Admin}}})
}

func inside(ctx context.Context) context.Context { return bus.AsService(ctx, "worker") }

func (h *house) start(text, key string) (api.Run, error) {
	return api.StartRun.Call(admin(h.t.Context()), h.bus, api.StartRunIn{NS: api.NS{Namespace: ns}, Key: key,
		Body: api.StartRunBody{Definition: "kind: Workflow\nname: test\n" + text}})
}

func (h *house) mustStart(text string) api.Run {
	h.t.Helper()
	r, err := h.start(text, "")
	if err != nil {
		h.t.Fatal(err)
	}
	return r
}

func (h *house) poll(max int, rs ...api.Result) api.PollOut {
	h.t.Helper()
	out, err := api.PollTasks.Call(inside(h.t.Context()), h.bus, api.PollIn{NS: api.NS{Namespace: "*"}, Pool: api.DefaultPool,
		Body: api.PollBody{Worker: "w", Max: max, Results: rs}})
	if err != nil {
		h.t.Fatal(err)
	}
	return out
}

// work does all that is ready until nothing is.
func (h *house) work() (did []string) {
	h.t.Helper()
	var rs []api.Result
	for {
		out := h.poll(10, rs...)
		if len(out.Refused) > 0 {
			h.t.Fatalf("refused: %+v", out.Refused)
		}
		rs = nil
		if len(out.Assignments) == 0 {
			return did
		}
		for _, a := range out.Assignments {
			did = append(did, a.Task)
			rs = append(rs, api.Result{Token: a.Token, Outcome: api.Done, Out: json.RawMessage(`{"ok":true}`)})
		}
	}
}

func (h *house) run(id api.RunID) api.Run {
	h.t.Helper()
	r, err := api.GetRun.Call(admin(h.t.Context()), h.bus, api.GetRunIn{NS: api.NS{Namespace: ns}, ID: id})
	if err != nil {
		h.t.Fatal(err)
	}
	return r
}

func (h *house) want(id api.RunID, s api.State) api.Run {
	h.t.Helper()
	r := h.run(id)
	if r.State != s {
		h.t.Errorf("run is %s (%+v); want %s", r.State, r.Failure, s)
	}
	return r
}

// inBubble runs f with virtual time.
func inBubble(t *testing.T, f func(t *testing.T, dir string)) {
	t.Helper()
	t.Parallel()
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) { f(t, dir) })
}

func TestRunToTheEnd(t *testing.T) {
	inBubble(t, func(t *testing.T, dir string) {
		h := open(t, dir)
		r := h.mustStart("tasks: {a: {use: noop}, b: {use: noop, needs: [a]}}\noutputs: {x: '${{ tasks.b.out.ok }}'}")
		if got := h.work(); !slices.Equal(got, []string{"a", "b"}) {
			t.Errorf("did %v", got)
		}
		end := h.want(r.ID, api.Succeeded)
		if string(end.Outputs) != `{"x":true}` || end.Counts[api.Succeeded] != 2 {
			t.Errorf("run = %+v", end)
		}
		p, err := api.RunEvents.Call(admin(t.Context()), h.bus, api.RunEventsIn{NS: api.NS{Namespace: ns}, ID: r.ID, After: 2})
		if err != nil || len(p.Items) == 0 || p.Items[0].Seq != 3 || p.Items[len(p.Items)-1].Type != "run.ended" || p.Items[len(p.Items)-1].Seq != end.Seq {
			t.Errorf("events = %+v, %v", p.Items, err)
		}
		l, err := api.ListRuns.Call(admin(t.Context()), h.bus, api.ListRunsIn{NS: api.NS{Namespace: ns}, State: api.Succeeded})
		if err != nil || len(l.Items) != 1 || l.Items[0].ID != r.ID {
			t.Errorf("list = %+v, %v", l, err)
		}
		acts, err := h.db.Acts(t.Context(), ns, 0, 10)
		if err != nil || len(acts) != 1 || acts[0].Action != "run.start" || acts[0].Subject != "user:anna" {
			t.Errorf("audit = %+v, %v", acts, err)
		}
		evs, err := h.db.Events(t.Context(), 0, 10)
		if err != nil || len(evs) != 1 || evs[0].Type != "tutti.workflow.run.finished" {
			t.Errorf("events = %+v, %v", evs, err)
		}
	})
}

func TestRestartContinues(t *testing.T) {
	inBubble(t, func(t *testing.T, dir string) {
		h := open(t, dir)
		r := h.mustStart("tasks: {a: {use: noop}, b: {use: noop, needs: [a]}, w: {use: wait, needs: [b], with: {for: 1h}}, c: {use: noop, needs: [w]}}")
		first := h.poll(1).Assignments[0]
		h.stop()

		h = open(t, dir)
		if out := h.poll(0, api.Result{Token: first.Token, Outcome: api.Done}); len(out.Refused) != 1 {
			t.Errorf("a claim that was not durable survived the restart: %+v", out)
		}
		if got := h.work(); !slices.Equal(got, []string{"a", "b"}) {
			t.Errorf("did %v", got)
		}
		h.want(r.ID, api.Waiting)
		h.stop()

		h = open(t, dir)
		time.Sleep(time.Hour + time.Second) // sleep: virtual time
		synctest.Wait()
		if got := h.work(); !slices.Equal(got, []string{"c"}) {
			t.Errorf("did %v", got)
		}
		h.want(r.ID, api.Succeeded)
	})
}

func TestDurableClaimSurvivesRestart(t *testing.T) {
	inBubble(t, func(t *testing.T, dir string) {
		h := open(t, dir)
		far := bus.WithCaller(t.Context(), bus.Caller{Subject: "token:far", Grants: []bus.Grant{{Namespace: ns, Role: api.Worker}}})
		r := h.mustStart("tasks: {a: {use: noop, pool: far}, b: {use: noop}}")
		take := func(ctx context.Context, pool string, rs ...api.Result) api.PollOut {
			out, err := api.PollTasks.Call(ctx, h.bus, api.PollIn{NS: api.NS{Namespace: ns}, Pool: pool, Body: api.PollBody{Worker: "w", Max: 5, Results: rs}})
			if err != nil {
				t.Fatal(err)
			}
			return out
		}
		a, b := take(far, "far").Assignments[0], take(inside(t.Context()), api.DefaultPool).Assignments[0]
		for _, x := range []struct {
			ctx   context.Context
			token string
		}{{far, a.Token}, {inside(t.Context()), b.Token}} {
			if _, err := api.SetVars.Call(x.ctx, h.bus, api.SetVarsIn{NS: api.NS{Namespace: ns}, Token: x.token, Body: map[string]json.RawMessage{"job": json.RawMessage(`7`)}}); err != nil {
				t.Fatal(err)
			}
		}
		h.stop()
		h = open(t, dir)
		if out := take(far, "far"); len(out.Assignments) != 0 {
			t.Fatalf("given out again while its worker may live: %+v", out)
		}
		if out := take(far, "far", api.Result{Token: a.Token, Outcome: api.Done}); len(out.Refused) != 0 {
			t.Errorf("refused: %+v", out.Refused)
		}
		// The worker inside the server went down with it: its task goes on at once, with its variables.
		again := take(inside(t.Context()), api.DefaultPool).Assignments
		if len(again) != 1 || again[0].Attempt != 2 || string(again[0].Vars["job"]) != "7" {
			t.Fatalf("inside: %+v; want attempt 2 with the variable", again)
		}
		take(inside(t.Context()), api.DefaultPool, api.Result{Token: again[0].Token, Outcome: api.Done})
		h.want(r.ID, api.Succeeded)
	})
}

func TestSilentWorkerLosesItsClaim(t *testing.T) {
	inBubble(t, func(t *testing.T, dir string) {
		h := open(t, dir)
		h.mustStart("tasks: {a: {use: noop}}")
		a := h.poll(1).Assignments[0]
		time.Sleep(api.ClaimTTL - 5*time.Second) // sleep: virtual time
		hb, err := api.Heartbeat.Call(inside(t.Context()), h.bus, api.HeartbeatIn{NS: api.NS{Namespace: "*"}, Pool: api.DefaultPool, Body: api.HeartbeatBody{Worker: "w", Tokens: []string{a.Token}}})
		if err != nil || len(hb.Lost) != 0 {
			t.Fatalf("heartbeat = %+v, %v", hb, err)
		}
		time.Sleep(api.ClaimTTL + 5*time.Second) // sleep: virtual time
		again := h.poll(1).Assignments
		if len(again) != 1 || again[0].Attempt != 2 || again[0].Key != a.Key || again[0].Fence <= a.Fence {
			t.Fatalf("after the silence: %+v; want attempt 2 with the same key and a higher fence", again)
		}
		if out := h.poll(0, api.Result{Token: a.Token, Outcome: api.Done}); len(out.Refused) != 1 || out.Refused[0].Kind != errs.Conflict {
			t.Errorf("the stale result was not refused: %+v", out)
		}
		_, err = api.AppendLog.Call(inside(t.Context()), h.bus, api.AppendLogIn{NS: api.NS{Namespace: "*"}, Token: a.Token, Body: api.AppendLogBody{Lines: []api.LogLine{{Seq: 1, Text: "x"}}}})
		if !errs.Is(err, errs.Conflict) {
			t.Errorf("a stale log line: %v; want conflict", err)
		}
	})
}

func TestIdempotencyKey(t *testing.T) {
	inBubble(t, func(t *testing.T, dir string) {
		h := open(t, dir)
		var wg sync.WaitGroup
		ids := make([]api.RunID, 20)
		for i := range ids {
			wg.Go(func() {
				r, err := h.start("tasks: {a: {use: noop}}", "k1")
				if err != nil {
					t.Error(err)
				}
				ids[i] = r.ID
			})
		}
		wg.Wait()
		slices.Sort(ids)
		if len(slices.Compact(ids)) != 1 {
			t.Errorf("one key made the runs %v", ids)
		}
		if _, err := h.start("tasks: {b: {use: noop}}", "k1"); !errs.Is(err, errs.Conflict) {
			t.Errorf("the same key with another body: %v; want conflict", err)
		}
		h.stop()
		h = open(t, dir)
		if r, err := h.start("tasks: {a: {use: noop}}", "k1"); err != nil || r.ID != ids[0] {
			t.Errorf("after a restart: %v, %v; want %s", r.ID, err, ids[0])
		}
	})
}

func TestSubRuns(t *testing.T) {
	inBubble(t, func(t *testing.T, dir string) {
		h := open(t, dir)
		h.defs["leaf"] = api.Definition{Name: "leaf", Kind: api.KindWorkflow, Version: 3, Digest: "d1", Role: api.Operator,
			Document: json.RawMessage(`{"inputs":{"properties":{"n":{"default":5,"type":"integer"}},"type":"object"},"kind":"Workflow","name":"leaf","outputs":{"n":"${{ inputs.n }}"},"tasks":{"x":{"use":"noop"}}}`)}
		r := h.mustStart("tasks: {s: {use: 'workflow:leaf'}, e: {each: {in: '[1,2]'}, use: 'workflow:leaf', with: {n: '${{ item }}'}}}\noutputs: {n: '${{ tasks.s.out.n + tasks.e.out[1].n }}'}")
		h.work()
		end := h.want(r.ID, api.Succeeded)
		if string(end.Outputs) != `{"n":7}` {
			t.Errorf("outputs = %s", end.Outputs)
		}
		l, err := api.ListRuns.Call(admin(t.Context()), h.bus, api.ListRunsIn{NS: api.NS{Namespace: ns}, Parent: r.ID})
		if err != nil || len(l.Items) != 3 || l.Items[0].Trace != r.Trace {
			t.Errorf("sub-runs = %+v, %v", l.Items, err)
		}
	})
}

func TestCancelRefusesLateResults(t *testing.T) {
	inBubble(t, func(t *testing.T, dir string) {
		h := open(t, dir)
		r := h.mustStart("tasks: {a: {use: noop}, b: {use: noop}}")
		a := h.poll(1).Assignments[0]
		_, err := api.CancelRun.Call(admin(t.Context()), h.bus, api.CancelRunIn{NS: api.NS{Namespace: ns}, ID: r.ID, Body: api.CancelBody{Reason: "enough"}})
		if err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if out := h.poll(5); len(out.Assignments) != 0 {
			t.Errorf("an attempt started after the cancel was acknowledged: %+v", out.Assignments)
		}
		hb, err := api.Heartbeat.Call(inside(t.Context()), h.bus, api.HeartbeatIn{NS: api.NS{Namespace: "*"}, Pool: api.DefaultPool, Body: api.HeartbeatBody{Worker: "w", Tokens: []string{a.Token}}})
		if err != nil || !slices.Equal(hb.Cancel, []string{a.Token}) {
			t.Errorf("heartbeat = %+v, %v; want to cancel", hb, err)
		}
		h.poll(0, api.Result{Token: a.Token, Outcome: api.Interrupted})
		h.want(r.ID, api.Cancelled)
	})
}

func TestSecretsReachOnlyTheWorker(t *testing.T) {
	inBubble(t, func(t *testing.T, dir string) {
		h := open(t, dir)
		r := h.mustStart("tasks: {a: {use: noop, with: {auth: 'Basic ${{ secrets.pw }}!'}}}")
		as := h.poll(1).Assignments[0]
		if string(as.With) != `{"auth":"Basic hunter22!"}` || !slices.Equal(as.Secrets, []string{"hunter22"}) {
			t.Errorf("assignment = %s, %v", as.With, as.Secrets)
		}
		task, err := api.GetTask.Call(admin(t.Context()), h.bus, api.GetTaskIn{NS: api.NS{Namespace: ns}, ID: r.ID, Path: "a"})
		if err != nil || !strings.Contains(string(task.Input), "${{ secrets.pw }}") {
			t.Errorf("shown input = %s, %v", task.Input, err)
		}
		outside := bus.WithCaller(t.Context(), bus.Caller{Subject: "token:far", Grants: []bus.Grant{{Namespace: ns, Role: api.Worker}}})
		h.mustStart("tasks: {a: {use: noop, pool: far, with: {auth: '${{ secrets.pw }}'}}}")
		out, err := api.PollTasks.Call(outside, h.bus, api.PollIn{NS: api.NS{Namespace: ns}, Pool: "far", Body: api.PollBody{Worker: "w", Max: 1}})
		if err != nil || len(out.Assignments) != 0 {
			t.Errorf("an untrusted pool got %+v, %v", out, err)
		}
	})
}

func TestPermissions(t *testing.T) {
	inBubble(t, func(t *testing.T, dir string) {
		h := open(t, dir)
		r := h.mustStart("tasks: {a: {use: noop}}")
		foreign := bus.WithCaller(t.Context(), bus.Caller{Subject: "user:eve", Grants: []bus.Grant{{Namespace: "other", Role: api.Admin}}})
		if _, err := api.GetRun.Call(foreign, h.bus, api.GetRunIn{NS: api.NS{Namespace: ns}, ID: r.ID}); !errs.Is(err, errs.NotFound) {
			t.Errorf("a foreigner in the namespace: %v; want not found", err)
		}
		if _, err := api.GetRun.Call(foreign, h.bus, api.GetRunIn{NS: api.NS{Namespace: "other"}, ID: r.ID}); !errs.Is(err, errs.NotFound) {
			t.Errorf("a foreign run by its ID: %v; want not found", err)
		}
		author := bus.WithCaller(t.Context(), bus.Caller{Subject: "user:al", Grants: []bus.Grant{{Namespace: ns, Role: api.Author}}})
		_, err := api.StartRun.Call(author, h.bus, api.StartRunIn{NS: api.NS{Namespace: ns}, Body: api.StartRunBody{Definition: "kind: Workflow\nname: x\ntasks: {a: {use: exec}}"}})
		if !errs.Is(err, errs.Denied) {
			t.Errorf("an author runs programs: %v; want denied", err)
		}
		_, err = api.StartRun.Call(author, h.bus, api.StartRunIn{NS: api.NS{Namespace: ns}, Body: api.StartRunBody{Definition: "kind: Workflow\nname: x\ntasks: {a: {use: noop}}", Requester: "user:anna"}})
		if !errs.Is(err, errs.Invalid) {
			t.Errorf("a forged requester: %v; want invalid", err)
		}
	})
}

func TestBadDefinitionsAreRefusedWhole(t *testing.T) {
	inBubble(t, func(t *testing.T, dir string) {
		h := open(t, dir)
		for _, text := range []string{"tasks: {}", "tasks: {a: {use: nope}}", "tasks: {a: {use: noop, needs: [b]}}", "{", "tasks: {a: {use: 'workflow:nothere'}}"} {
			_, err := h.start(text, "")
			if !errs.Is(err, errs.Invalid) {
				t.Errorf("%q: %v; want invalid", text, err)
			}
		}
		l, err := api.ListRuns.Call(admin(t.Context()), h.bus, api.ListRunsIn{NS: api.NS{Namespace: ns}})
		if err != nil || len(l.Items) != 0 {
			t.Errorf("something was left behind: %+v, %v", l, err)
		}
	})
}

func TestManyRuns(t *testing.T) {
	inBubble(t, func(t *testing.T, dir string) {
		h := open(t, dir)
		var wg sync.WaitGroup
		for i := range 200 {
			wg.Go(func() {
				if _, err := h.start(fmt.Sprintf("title: t%d\ntasks: {a: {use: noop}, b: {each: {in: '[1,2,3]'}, needs: [a], use: noop}}", i), fmt.Sprint(i)); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if got := len(h.work()); got != 800 {
			t.Errorf("did %d tasks; want 800", got)
		}
		seen := 0
		in := api.ListRunsIn{NS: api.NS{Namespace: ns}, Paging: api.Paging{Limit: 70}, State: api.Succeeded}
		for {
			p, err := api.ListRuns.Call(admin(t.Context()), h.bus, in)
			if err != nil {
				t.Fatal(err)
			}
			seen += len(p.Items)
			if in.Cursor = p.Cursor; p.Cursor == "" {
				break
			}
		}
		if seen != 200 {
			t.Errorf("listed %d runs; want 200", seen)
		}
	})
}

func TestEditingAnInputTakesTheRightsOfAnAuthor(t *testing.T) {
	inBubble(t, func(t *testing.T, dir string) {
		h := open(t, dir)
		r := h.mustStart("tasks: {x: {use: exec, onError: pause}, ok: {use: approval, timeout: 1s, with: {to: ['user:boss']}}}")
		a := h.poll(1).Assignments[0]
		h.poll(0, api.Result{Token: a.Token, Outcome: api.FailedTask, Failure: &api.Failure{Type: "exec.exit", Message: "1"}})
		time.Sleep(2 * time.Second) // sleep: virtual time
		synctest.Wait()
		h.want(r.ID, api.Waiting)
		retry := func(role, task, input string) error {
			c := bus.WithCaller(t.Context(), bus.Caller{Subject: "user:x", Grants: []bus.Grant{{Namespace: ns, Role: role}}})
			_, err := api.RetryRun.Call(c, h.bus, api.RetryRunIn{NS: api.NS{Namespace: ns}, ID: r.ID, Body: api.RetryBody{Task: task, Input: json.RawMessage(input)}})
			return err
		}
		for _, tc := range []struct {
			role, task, input string
			want              errs.Kind
		}{
			{api.Operator, "x", `{"argv":["id"]}`, errs.Denied},
			{api.Author, "x", `{"argv":["id"]}`, errs.Denied}, // exec is for who may publish it
			{api.Admin, "ok", `{"to":["user:x"]}`, errs.Denied},
			{api.Admin, "x", `{"argv":["${{ secrets.pw }}"]}`, errs.Invalid},
			{api.Admin, "nope", `{}`, errs.NotFound},
		} {
			if err := retry(tc.role, tc.task, tc.input); errs.KindOf(err) != tc.want || err == nil {
				t.Errorf("%s edits %s to %s: %v; want %s", tc.role, tc.task, tc.input, err, tc.want)
			}
		}
		if err := retry(api.Admin, "x", `{"argv":["true"]}`); err != nil {
			t.Errorf("an admin edits: %v", err)
		}
	})
}
