package core_test

import (
	"encoding/json"
	"slices"
	"testing"

	"tutti/api"
	"tutti/internal/workflow/core"
)

func TestSignals(t *testing.T) {
	t.Parallel()
	w := start(t, "tasks: {s: {use: signal, with: {name: go}}, t: {use: signal, needs: [s], with: {name: again}}}\noutputs: {v: '${{ tasks.t.out.v }}'}", `{}`)
	if w.run.State != api.Waiting || w.run.Reason.Kind != "signal" {
		t.Fatalf("run is %s because %+v", w.run.State, w.run.Reason)
	}
	w.must(w.run.Signal(w.now, "again", json.RawMessage(`{"v":1}`), "user:anna")) // before anybody waits for it
	w.must(w.run.Signal(w.now, "go", nil, "user:anna"))
	w.want(api.Succeeded, "s:succeeded t:succeeded")
	if got := string(w.run.Outputs); got != `{"v":1}` {
		t.Errorf("outputs = %s", got)
	}
	w = start(t, "tasks: {s: {use: signal, timeout: 1m, with: {name: go}}}", `{}`)
	for range 100 {
		w.must(w.run.Signal(w.now, "other", nil, "user:anna"))
	}
	if _, _, err := w.run.Signal(w.now, "other", nil, "user:anna"); err == nil {
		t.Error("signals nobody waits for are kept without bound")
	}
	w.pass()
	w.want(api.Failed, "s:failed")
}

func TestEmit(t *testing.T) {
	t.Parallel()
	w := start(t, "tasks: {e: {use: emit, with: {type: vm.ready, data: {name: x}}}}", `{}`)
	if len(w.effects.Emit) != 1 || w.effects.Emit[0].Type != "vm.ready" || string(w.effects.Emit[0].Data) != `{"name":"x"}` {
		t.Errorf("emitted %+v", w.effects.Emit)
	}
	w.want(api.Succeeded, "e:succeeded")
}

func TestQuorumAndDigest(t *testing.T) {
	t.Parallel()
	w := start(t, "tasks: {ok: {use: approval, with: {quorum: 2, digest: abc}}}\noutputs: {who: '${{ tasks.ok.out.approvers }}'}", `{}`)
	anna, bob := core.Decider{Subject: "user:anna"}, core.Decider{Subject: "user:bob"}
	if _, _, err := w.run.Decide(w.now, "ok", anna, core.Decision{Approve: true, Digest: "other"}); err == nil {
		t.Error("a decision about something else was taken")
	}
	yes := core.Decision{Approve: true, Digest: "abc"}
	w.must(w.run.Decide(w.now, "ok", anna, yes))
	if _, _, err := w.run.Decide(w.now, "ok", anna, yes); err == nil {
		t.Error("one person counted twice")
	}
	w.must(w.run.Decide(w.now, "ok", bob, yes))
	w.want(api.Succeeded, "ok:succeeded")
	if got := string(w.run.Outputs); got != `{"who":["user:anna","user:bob"]}` {
		t.Errorf("outputs = %s", got)
	}
	for want, on := range map[api.State]string{api.Succeeded: "approve", api.Failed: "reject"} {
		w = start(t, "tasks: {ok: {use: approval, timeout: 1h, with: {onExpiry: "+on+"}}}", `{}`)
		w.pass()
		if w.run.State != want {
			t.Errorf("onExpiry %s: run is %s; want %s", on, w.run.State, want)
		}
	}
}

func TestPauseAndResume(t *testing.T) {
	t.Parallel()
	w := start(t, "tasks: {a: {use: noop, retry: {max: 1, wait: 1s}}, b: {use: noop, needs: [a]}, e: {each: {in: '[1,2]', parallel: 1}, use: noop}}", `{}`)
	w.must(w.run.Pause(w.now, "user:anna"))
	first := slices.Clone(w.queue)
	w.queue = nil
	w.must(w.run.Report(w.now, first[0].AttemptRef, "", "w", bad("broken")))
	w.must(w.run.Report(w.now, first[1].AttemptRef, "", "w", ok(first[1])))
	w.now += 2 * second
	w.must(w.run.Fire(w.now))
	if len(w.queue) != 0 {
		t.Fatalf("started while paused: %+v", w.queue)
	}
	if w.run.State != api.Waiting || w.run.Reason.Kind != "paused" {
		t.Errorf("run is %s because %+v; want paused", w.run.State, w.run.Reason)
	}
	w.must(w.run.Resume(w.now, "user:anna"))
	w.work(ok)
	w.want(api.Succeeded, "a:succeeded b:succeeded e:succeeded e[0]:succeeded e[1]:succeeded")
}

// What a person retries has its deadlines anew, and those of before mean nothing, whether the run was
// loaded anew since or not.
func TestRetryRenewsDeadlines(t *testing.T) {
	t.Parallel()
	w := start(t, "deadline: 1m\ntasks: {g: {deadline: 30s, timeout: 20s, tasks: {a: {use: noop}, b: {use: noop, needs: [a]}}}}", `{}`)
	w.now += 10 * second
	w.work(failing("g.a"))
	w.want(api.Failed, "g:failed g.a:failed g.b:skipped")
	w.must(w.run.Retry(w.now, "", nil, "user:anna"))
	if at := w.run.NextTimer(); at != w.now+20*second {
		t.Errorf("the next timer is in %ds; want 20s", (at-w.now)/second)
	}
	w.now += 19 * second // by when the first deadline of the group would have been over
	w.must(w.run.Fire(w.now))
	w.run = w.replay()
	w.must(w.run.Fire(w.now))
	w.want(api.Running, "g:running g.a:running g.b:pending")
}

// The deadline of a group holds also while it is paused.
func TestDeadlineOfPausedGroup(t *testing.T) {
	t.Parallel()
	w := start(t, "tasks: {g: {deadline: 30s, onError: pause, tasks: {a: {use: noop}}}}", `{}`)
	w.work(failing("g.a"))
	w.want(api.Waiting, "g:waiting g.a:failed")
	w.pass()
	w.want(api.Failed, "g:failed g.a:failed")
}

// A run that only paused has its place under its limit still: asking again would let it wait for itself.
func TestRetryOfPausedRunKeepsItsPlace(t *testing.T) {
	t.Parallel()
	w := start(t, "limit: {key: k}\nonFailure: pause\ntasks: {a: {use: noop}}", `{}`)
	w.must(w.run.Grant(w.now, "", "k", false))
	w.work(failing("a"))
	w.must(w.run.Retry(w.now, "", nil, "user:anna"))
	if len(w.effects.Acquire) != 0 {
		t.Errorf("it asks for %+v again", w.effects.Acquire)
	}
	w.work(ok)
	w.want(api.Succeeded, "a:succeeded")
}

// A person retries a paused item, or the whole `each`: what succeeded is kept, and no worker gets the
// `each` itself.
func TestRetryOfPausedItems(t *testing.T) {
	t.Parallel()
	w := start(t, "tasks: {e: {each: {in: '[1,2]'}, onError: pause, tasks: {a: {use: noop}}}}", `{}`)
	w.work(failing("e[1].a"))
	w.want(api.Waiting, "e:running e[0]:succeeded e[0].a:succeeded e[1]:waiting e[1].a:failed")
	w.must(w.run.Retry(w.now, "e[1]", nil, "user:anna"))
	w.work(ok)
	w.want(api.Succeeded, "e:succeeded e[0]:succeeded e[0].a:succeeded e[1]:succeeded e[1].a:succeeded")

	w = start(t, "tasks: {e: {each: {in: '[1,2]', parallel: 1}, onError: pause, deadline: 1m, use: noop}}", `{}`)
	w.must(w.run.Report(w.now, w.queue[0].AttemptRef, "", "w", ok(w.queue[0])))
	w.queue = w.queue[1:]
	w.pass()
	w.must(w.run.Report(w.now, w.cancels[0], "", "w", api.Result{Outcome: api.Interrupted}))
	w.want(api.Waiting, "e:waiting e[0]:succeeded e[1]:cancelled")
	w.queue = nil
	w.must(w.run.Retry(w.now, "e", nil, "user:anna"))
	if len(w.queue) != 1 || w.queue[0].Path != "e[1]" {
		t.Fatalf("queue = %+v; want the item that was cancelled", w.queue)
	}
	w.work(ok)
	w.want(api.Succeeded, "e:succeeded e[0]:succeeded e[1]:succeeded")
}

// The first task that waits is found among many that come and go, also after most of the run was dropped and
// begun again; a signal goes to the first that waits for it.
func TestFirstOfManyThatWait(t *testing.T) {
	t.Parallel()
	w := start(t, "tasks: {g: {retry: {max: 3, wait: 1s}, tasks: {e: {each: {in: '0..99', parallel: 0}, use: signal, timeout: 1h, with: {name: \"${{ item % 2 == 0 ? 'even' : 'odd' }}\"}}, f: {use: noop}}}}", "{}")
	for lap := range 3 {
		signal := func(name, task string) {
			t.Helper()
			w.must(w.run.Signal(w.now, name, nil, "user:anna"))
			if got, err := w.run.Task(task); err != nil || got.State != api.Succeeded {
				t.Fatalf("lap %d: after a signal %s %s is %s, %v; want succeeded", lap, name, task, got.State, err)
			}
		}
		signal("odd", "g.e[1]")
		signal("even", "g.e[0]")
		signal("odd", "g.e[3]")
		signal("even", "g.e[2]")
		w.work(failing("g.f"))
		if lap == 2 {
			break
		}
		w.must(w.run.Cancel(w.now, "enough", "user:anna"))
		w.must(w.run.Retry(w.now, "", nil, "user:anna"))
	}
}
