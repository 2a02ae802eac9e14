package core_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"tutti/api"
	"tutti/internal/document"
	"tutti/internal/workflow/core"
	"tutti/internal/workflow/dag"
	"tutti/internal/workflow/definition"
)

const second = int64(time.Second / time.Microsecond)

// world drives a run with a clock of its own and checks, after each command, that applying the stored
// events again gives the same run.
type world struct {
	t       *testing.T
	graph   *dag.Graph
	run     *core.Run
	now     int64
	journal []row
	queue   []core.Dispatch
	cancels []core.AttemptRef
	starts  []core.StartRun
	effects core.Effects
	events  []string
}

type row struct {
	at     int64
	events []byte
}

func load(doc []byte) (*dag.Graph, error) { return definition.Load(doc, "expansion") }

func compile(t testing.TB, text string) *dag.Graph {
	t.Helper()
	docs, problems := document.Parse("test.yaml", []byte("kind: Workflow\nname: test\n"+text))
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	g, err := definition.Load(docs[0].JSON, docs[0].Digest)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

func start(t *testing.T, text, inputs string) *world {
	t.Helper()
	w := &world{t: t, graph: compile(t, text), now: 1_000_000 * second}
	w.run = core.New(w.graph, load)
	m := core.Meta{ID: "run_0000000000000000", Namespace: "default", Workflow: "test", Trace: "t", Requester: "user:anna"}
	w.must(w.run.Start(w.now, m, json.RawMessage(inputs)))
	return w
}

// must applies what a command decided.
func (w *world) must(ev []core.Event, ef core.Effects, err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
	w.take(ev, ef)
}

func (w *world) take(ev []core.Event, ef core.Effects) {
	w.t.Helper()
	w.effects = ef
	w.queue = append(w.queue, ef.Dispatch...)
	w.cancels = append(w.cancels, ef.CancelAttempts...)
	w.starts = append(w.starts, ef.StartRuns...)
	if len(ev) > 0 {
		raw, err := json.Marshal(ev)
		if err != nil {
			w.t.Fatal(err)
		}
		w.journal = append(w.journal, row{w.now, raw})
	}
	for _, e := range ev {
		w.events = append(w.events, strings.TrimSpace(string(e.Type)+" "+e.Path))
	}
	w.checkReplay()
}

func (w *world) replay() *core.Run {
	w.t.Helper()
	again := core.New(w.graph, load)
	for _, r := range w.journal {
		var ev []core.Event
		if err := json.Unmarshal(r.events, &ev); err != nil {
			w.t.Fatal(err)
		}
		if err := again.Replay(r.at, ev); err != nil {
			w.t.Fatal(err)
		}
	}
	return again
}

func (w *world) checkReplay() {
	w.t.Helper()
	if d := cmp.Diff(picture(w.t, w.run), picture(w.t, w.replay())); d != "" {
		w.t.Fatalf("the stored events give another run (-live +replayed):\n%s", d)
	}
	w.checkReason()
}

// checkReason compares why the run waits with the first of its tasks that wait.
func (w *world) checkReason() {
	w.t.Helper()
	first := core.FirstWaits(w.run)
	if w.run.State != api.Waiting || first == "" || w.run.Reason.Kind == "limit" && w.run.Reason.Task == "" || w.run.Reason.Kind == "paused" {
		return
	}
	if t, err := w.run.Task(first); err != nil || w.run.Reason.Text != t.Reason.Text || w.run.Reason.Task != first && w.run.Reason.Task != t.Reason.Task {
		w.t.Fatalf("the run waits for %+v; the first of its tasks that wait is %s, for %+v (%v)", *w.run.Reason, first, t.Reason, err)
	}
}

// fataler is what picture needs of a test.
type fataler interface {
	Helper()
	Fatal(...any)
}

// picture is all that can be seen of a run.
func picture(t fataler, r *core.Run) string {
	t.Helper()
	var all []api.Task
	for _, x := range r.Tasks() {
		full, err := r.Task(x.Path)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, full)
	}
	b, err := json.MarshalIndent(map[string]any{"run": r.View(), "tasks": all, "busy": r.Busy(), "timer": r.NextTimer(), "pending": r.Pending()}, "", " ")
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// work lets f do everything that is ready, until nothing is.
func (w *world) work(f func(d core.Dispatch) api.Result) {
	w.t.Helper()
	for len(w.queue) > 0 {
		d := w.queue[0]
		w.queue = w.queue[1:]
		w.must(w.run.Report(w.now, d.AttemptRef, "", "w", f(d)))
	}
}

func ok(core.Dispatch) api.Result {
	return api.Result{Outcome: api.Done, Out: json.RawMessage(`{"ok":true}`)}
}

func bad(typ string) api.Result {
	return api.Result{Outcome: api.FailedTask, Failure: &api.Failure{Type: typ, Message: "it broke", Retryable: true}}
}

// failing succeeds but for the tasks at paths.
func failing(paths ...string) func(core.Dispatch) api.Result {
	return func(d core.Dispatch) api.Result {
		if slices.Contains(paths, d.Path) {
			return bad("broken")
		}
		return ok(d)
	}
}

// pass lets time pass up to the next timer.
func (w *world) pass() {
	w.t.Helper()
	next := w.run.NextTimer()
	if next == 0 {
		w.t.Fatalf("no timer; run is %s", w.run.State)
	}
	w.now = next
	w.must(w.run.Fire(w.now))
}

func (w *world) want(state api.State, tasks string) {
	w.t.Helper()
	if w.run.State != state {
		w.t.Errorf("run is %s; want %s (failure %+v)", w.run.State, state, w.run.Failure)
	}
	got := []string{}
	for _, t := range w.run.Tasks() {
		got = append(got, t.Path+":"+string(t.State))
	}
	if g := strings.Join(got, " "); g != tasks {
		w.t.Errorf("tasks:\n got %s\nwant %s", g, tasks)
	}
}

func TestChain(t *testing.T) {
	t.Parallel()
	w := start(t, `
inputs: {type: object}
vars: {twice: "${{ inputs.n * 2 }}"}
tasks:
  a: {use: noop, with: {n: "${{ vars.twice }}"}}
  b: {use: noop, with: {from: "${{ tasks.a.out.ok }}"}}
  c: {use: set, with: {all: "${{ tasks.b.status }}"}}
outputs: {last: "${{ tasks.c.out.all }}"}
`, `{"n": 21}`)
	if len(w.queue) != 1 || string(w.queue[0].Input) != `{"n":42}` {
		t.Fatalf("ready: %+v; want a with n=42", w.queue)
	}
	w.work(ok)
	w.want(api.Succeeded, "a:succeeded b:succeeded c:succeeded")
	if got := string(w.run.Outputs); got != `{"last":"succeeded"}` {
		t.Errorf("outputs = %s", got)
	}
}

func TestSkipping(t *testing.T) {
	t.Parallel()
	w := start(t, `
tasks:
  a: {use: noop, when: "false"}
  b: {use: noop, needs: [a]}
  c: {use: noop, after: [a]}
  d: {use: set, with: {was: "${{ tasks.a?.out.x ?? 'none' }}"}}
outputs: {was: "${{ tasks.d.out.was }}"}
`, `{}`)
	w.work(ok)
	w.want(api.Succeeded, "a:skipped b:skipped c:succeeded d:succeeded")
	if got := string(w.run.Outputs); got != `{"was":"none"}` {
		t.Errorf("outputs = %s", got)
	}
}

func TestFailureDrains(t *testing.T) {
	t.Parallel()
	w := start(t, `
tasks:
  a: {use: noop}
  b: {use: noop, needs: [a]}
  c: {use: noop}
  d: {use: noop, needs: [c]}
finally:
  tell: {use: noop, with: {status: "${{ run.status }}", task: "${{ run.failed?.task }}"}}
`, `{}`)
	a, c := w.queue[0], w.queue[1]
	w.queue = nil
	w.must(w.run.Report(w.now, a.AttemptRef, "", "w", bad("broken")))
	w.must(w.run.Report(w.now, c.AttemptRef, "", "w", ok(c)))
	if got := string(w.queue[0].Input); got != `{"status":"failed","task":"a"}` {
		t.Errorf("finally got %s", got)
	}
	w.work(ok)
	w.want(api.Failed, "a:failed b:skipped c:succeeded d:skipped finally.tell:succeeded")
	if f := w.run.Failure; f == nil || f.Task != "a" || f.Type != "broken" {
		t.Errorf("failure = %+v; want a, broken", f)
	}
}

func TestStopCancelsWhatRuns(t *testing.T) {
	t.Parallel()
	w := start(t, "onFailure: stop\ntasks: {a: {use: noop}, b: {use: noop}, c: {use: wait, with: {for: 1h}}}", `{}`)
	a, b := w.queue[0], w.queue[1]
	w.must(w.run.Report(w.now, a.AttemptRef, "", "w", bad("broken")))
	if len(w.cancels) != 1 || w.cancels[0] != b.AttemptRef {
		t.Fatalf("cancels = %v; want b", w.cancels)
	}
	w.must(w.run.Report(w.now, b.AttemptRef, "", "w", api.Result{Outcome: api.Interrupted}))
	w.want(api.Failed, "a:failed b:cancelled c:cancelled")
}

func TestTolerated(t *testing.T) {
	t.Parallel()
	w := start(t, `
tasks:
  a: {use: noop, onError: continue}
  b: {use: noop, needs: [a]}
  c: {use: noop, after: [a], with: {why: "${{ tasks.a?.error.type }}"}}
`, `{}`)
	w.work(failing("a"))
	w.want(api.Succeeded, "a:failed b:skipped c:succeeded")
	if !slices.Contains(w.run.Flags, api.Degraded) {
		t.Errorf("flags = %v; want degraded", w.run.Flags)
	}
}

func TestRetry(t *testing.T) {
	t.Parallel()
	w := start(t, "tasks: {a: {use: noop, retry: {max: 2, wait: 1s, factor: 3}}}", `{}`)
	var waits []int64
	for range 2 {
		d := w.queue[0]
		w.queue = nil
		before := w.now
		w.must(w.run.Report(w.now, d.AttemptRef, "", "w", bad("broken")))
		if w.run.State != api.Waiting || w.run.Reason == nil || w.run.Reason.Kind != "retry" {
			t.Fatalf("run is %s because %+v; want waiting for a retry", w.run.State, w.run.Reason)
		}
		w.pass()
		waits = append(waits, (w.now-before)/second)
	}
	if !slices.Equal(waits, []int64{1, 3}) {
		t.Errorf("waits = %v; want 1 and 3 seconds", waits)
	}
	w.work(failing("a"))
	w.want(api.Failed, "a:failed")
	task, _ := w.run.Task("a")
	if len(task.Attempts) != 3 {
		t.Errorf("attempts = %d; want 3", len(task.Attempts))
	}
}

func TestRetryCondition(t *testing.T) {
	t.Parallel()
	w := start(t, `tasks: {a: {use: noop, retry: {max: 5, wait: 1s, if: error.type == "unreachable"}}}`, `{}`)
	w.work(failing("a"))
	w.want(api.Failed, "a:failed")
}

func TestStaleReport(t *testing.T) {
	t.Parallel()
	w := start(t, "tasks: {a: {use: noop}, b: {use: noop, needs: [a]}}", `{}`)
	a := w.queue[0]
	w.must(w.run.Report(w.now, a.AttemptRef, "", "w", ok(a)))
	if _, _, err := w.run.Report(w.now, a.AttemptRef, "", "w", ok(a)); err == nil {
		t.Error("a second report of the same attempt was taken")
	}
}

func TestGroupRetriesAsAWhole(t *testing.T) {
	t.Parallel()
	w := start(t, `
tasks:
  g:
    retry: {max: 1, wait: 1s, if: "true"}
    tasks: {a: {use: noop}, b: {use: noop, needs: [a]}}
    outputs: {x: "${{ tasks.b.out.ok }}"}
  after: {use: set, needs: [g], with: {x: "${{ tasks.g.out.x }}"}}
`, `{}`)
	first := w.queue[0]
	w.work(failing("g.b"))
	w.pass()
	if again := w.queue[0]; again.Path != first.Path || again.Key == first.Key || again.Attempt == first.Attempt {
		t.Errorf("the group's second attempt starts %+v after %+v; want another key and number, for all of it is done anew", again, first)
	}
	w.work(ok)
	w.want(api.Succeeded, "g:succeeded g.a:succeeded g.b:succeeded after:succeeded")
}

func TestGroupTimeout(t *testing.T) {
	t.Parallel()
	w := start(t, "tasks: {g: {timeout: 5s, tasks: {a: {use: noop}, w: {use: wait, with: {for: 1h}}, b: {use: noop, needs: [a]}}}}", `{}`)
	w.pass()
	if len(w.cancels) != 1 {
		t.Fatalf("cancels = %v; want a's attempt", w.cancels)
	}
	w.must(w.run.Report(w.now, w.cancels[0], "", "w", api.Result{Outcome: api.Interrupted}))
	w.want(api.Failed, "g:failed g.a:cancelled g.b:skipped g.w:cancelled")
	if w.run.Failure.Type != "timeout" {
		t.Errorf("failure = %+v; want timeout", w.run.Failure)
	}
}

func TestEach(t *testing.T) {
	t.Parallel()
	w := start(t, `
inputs: {type: object}
tasks:
  disks:
    each: {in: inputs.disks, as: disk, key: disk.name, parallel: 2}
    use: noop
    with: {gb: "${{ disk.gb }}"}
  list: {each: "inputs.disks", use: set, with: {n: "${{ item.name }}"}}
outputs: {data: "${{ tasks.disks.out.data.ok }}", second: "${{ tasks.list.out[1].n }}"}
`, `{"disks": [{"name":"data","gb":1},{"name":"log","gb":2},{"name":"tmp","gb":3}]}`)
	if len(w.queue) != 2 {
		t.Fatalf("%d items started; want 2", len(w.queue))
	}
	w.work(ok)
	w.want(api.Succeeded, "disks:succeeded disks[data]:succeeded disks[log]:succeeded disks[tmp]:succeeded "+
		"list:succeeded list[0]:succeeded list[1]:succeeded list[2]:succeeded")
	if got := string(w.run.Outputs); got != `{"data":true,"second":"log"}` {
		t.Errorf("outputs = %s", got)
	}
}

func TestEachTolerates(t *testing.T) {
	t.Parallel()
	text := "inputs: {type: object}\ntasks: {x: {each: {in: inputs.l, key: item, tolerate: 1}, tasks: {a: {use: noop}}}}"
	w := start(t, text, `{"l":["a","b","c"]}`)
	w.work(failing("x[a].a"))
	w.want(api.Succeeded, "x:succeeded x[a]:failed x[a].a:failed x[b]:succeeded x[b].a:succeeded x[c]:succeeded x[c].a:succeeded")
	w = start(t, text, `{"l":["a","b","c"]}`)
	w.work(failing("x[a].a", "x[c].a"))
	if w.run.State != api.Failed {
		t.Errorf("run is %s with two failures; want failed", w.run.State)
	}
}

func TestEachOfNothing(t *testing.T) {
	t.Parallel()
	w := start(t, "tasks: {x: {each: '[]', use: noop}}\noutputs: {x: '${{ tasks.x.out }}'}", `{}`)
	w.want(api.Succeeded, "x:succeeded")
	if got := string(w.run.Outputs); got != `{"x":[]}` {
		t.Errorf("outputs = %s", got)
	}
}

func TestUndoNewestFirst(t *testing.T) {
	t.Parallel()
	w := start(t, `
onFailure: undo
tasks:
  a: {use: noop, undo: {use: noop, with: {back: "${{ out.ok }}"}}}
  b: {use: noop, needs: [a], undo: {use: noop}}
  c: {use: noop, needs: [b], undo: {use: noop}}
finally: {tell: {use: noop}}
`, `{}`)
	var done []string
	w.work(func(d core.Dispatch) api.Result {
		done = append(done, d.Path)
		return failing("c")(d)
	})
	if got := strings.Join(done, " "); got != "a b c b#undo a#undo finally.tell" {
		t.Errorf("order = %s", got)
	}
	if w.run.State != api.Failed || !slices.Contains(w.run.Flags, api.Undone) {
		t.Errorf("run is %s %v; want failed, undone", w.run.State, w.run.Flags)
	}
	// A retry starts from nothing, since nothing is left; so other systems must not answer by the keys
	// of what was undone.
	w.must(w.run.Retry(w.now, "", nil, "user:bob"))
	done = nil
	w.work(func(d core.Dispatch) api.Result {
		done = append(done, d.Path)
		if want := "run_0000000000000000/" + d.Path + "~1"; d.Key != want {
			t.Errorf("key of %s = %q; want %q", d.Path, d.Key, want)
		}
		return ok(d)
	})
	if got := strings.Join(done, " "); got != "a b c finally.tell" || w.run.State != api.Succeeded {
		t.Errorf("after the retry: %s, %s", got, w.run.State)
	}
	w.must(w.run.Undo(w.now, "user:bob"))
	done = nil
	w.work(func(d core.Dispatch) api.Result { done = append(done, d.Path); return ok(d) })
	if got := strings.Join(done, " "); got != "c#undo b#undo a#undo" || w.run.State != api.Succeeded || !slices.Contains(w.run.Flags, api.Undone) {
		t.Errorf("undo on demand: %s, %s %v", got, w.run.State, w.run.Flags)
	}
}

func TestRetryKeepsWhatSucceeded(t *testing.T) {
	t.Parallel()
	w := start(t, `
inputs: {type: object}
tasks:
  a: {use: noop}
  g: {needs: [a], tasks: {x: {use: noop}, y: {use: noop, needs: [x]}}}
  each: {needs: [a], each: {in: "['p','q']", key: item}, use: noop}
  z: {use: noop, needs: [g, each]}
finally: {tell: {use: noop}}
`, `{}`)
	w.work(failing("g.y", "each[q]"))
	if w.run.State != api.Failed {
		t.Fatalf("run is %s; want failed", w.run.State)
	}
	w.must(w.run.Retry(w.now, "g.y", json.RawMessage(`{"edited":1}`), "user:bob"))
	var done []string
	w.work(func(d core.Dispatch) api.Result {
		done = append(done, d.Path+string(d.Input))
		// What goes on has its key still; the end is told anew.
		if again := strings.HasSuffix(d.Key, "~1"); again != (d.Path == "finally.tell") {
			t.Errorf("key of %s = %q", d.Path, d.Key)
		}
		return ok(d)
	})
	slices.Sort(done)
	if got := strings.Join(done, " "); got != `each[q]{} finally.tell{} g.y{"edited":1} z{}` {
		t.Errorf("ran again: %s", got)
	}
	if w.run.State != api.Succeeded {
		t.Errorf("run is %s; want succeeded", w.run.State)
	}
}

func TestCancel(t *testing.T) {
	t.Parallel()
	w := start(t, "tasks: {g: {tasks: {a: {use: noop}, b: {use: wait, with: {for: 1h}}}}, c: {use: noop, needs: [g]}}\nfinally: {f: {use: noop}}", `{}`)
	w.must(w.run.Cancel(w.now, "user:anna", "no longer wanted"))
	if len(w.cancels) != 1 || w.cancels[0].Path != "g.a" {
		t.Fatalf("cancels = %v; want g.a", w.cancels)
	}
	w.queue = nil
	w.must(w.run.Report(w.now, w.cancels[0], "", "w", api.Result{Outcome: api.FailedTask}))
	w.work(ok)
	w.want(api.Cancelled, "g:cancelled g.a:cancelled g.b:cancelled c:skipped finally.f:succeeded")
	if _, _, err := w.run.Cancel(w.now, "user:anna", ""); err == nil {
		t.Error("an ended run was cancelled again")
	}
	w.must(w.run.Retry(w.now, "", nil, "user:anna"))
	w.queue = w.queue[:1]
	w.work(ok)
	w.pass()
	w.work(ok)
	w.want(api.Succeeded, "g:succeeded g.a:succeeded g.b:succeeded c:succeeded finally.f:succeeded")
}

func TestApproval(t *testing.T) {
	t.Parallel()
	text := "tasks: {ok: {use: approval, timeout: 1h, with: {notBy: '${{ run.requester }}', to: ['role:approver'], text: please}}, b: {use: noop, needs: [ok]}}"
	w := start(t, text, `{}`)
	if w.run.State != api.Waiting || w.run.Reason.Kind != "approval" || w.run.Reason.Task != "ok" {
		t.Fatalf("run is %s because %+v", w.run.State, w.run.Reason)
	}
	if a := w.run.Approvals(); len(a) != 1 || a[0].Text != "please" {
		t.Fatalf("approvals = %+v", a)
	}
	for _, d := range []core.Decider{{Subject: "user:anna", Roles: []string{"approver"}}, {Subject: "user:carl", Roles: []string{"viewer"}}} {
		if _, _, err := w.run.Decide(w.now, "ok", d, core.Decision{Approve: true, Why: ""}); err == nil {
			t.Errorf("%s could approve", d.Subject)
		}
	}
	bob := core.Decider{Subject: "user:bob", Roles: []string{"approver"}}
	if _, _, err := w.run.Decide(w.now, "ok", bob, core.Decision{Approve: false, Why: ""}); err == nil {
		t.Error("a rejection without a reason was taken")
	}
	w.must(w.run.Decide(w.now, "ok", bob, core.Decision{Approve: true, Why: "fine"}))
	if _, _, err := w.run.Decide(w.now, "ok", bob, core.Decision{Approve: true, Why: ""}); err == nil || !strings.Contains(err.Error(), "is decided already") {
		t.Error("it was approved twice")
	}
	w.work(ok)
	w.want(api.Succeeded, "ok:succeeded b:succeeded")

	w = start(t, text, `{}`)
	w.must(w.run.Decide(w.now, "ok", bob, core.Decision{Approve: false, Why: "too dear"}))
	w.want(api.Failed, "ok:failed b:skipped")
	if w.run.Failure.Type != "rejected" {
		t.Errorf("failure = %+v", w.run.Failure)
	}

	w = start(t, text, `{}`)
	w.pass()
	w.want(api.Failed, "ok:failed b:skipped")
	if w.run.Failure.Type != "expired" {
		t.Errorf("failure = %+v", w.run.Failure)
	}
}

func TestSubRun(t *testing.T) {
	t.Parallel()
	w := start(t, "tasks: {s: {use: 'workflow:other', with: {n: 1}}, b: {use: noop, needs: [s]}}", `{}`)
	if len(w.starts) != 1 || w.starts[0].Workflow != "other" || string(w.starts[0].Input) != `{"n":1}` {
		t.Fatalf("starts = %+v", w.starts)
	}
	child := w.starts[0].ID
	w.must(w.run.ChildEnded(w.now, "s", &api.Run{ID: child, State: api.Failed, Failure: &api.RunFail{Task: "x", Failure: api.Failure{Type: "broken", Message: "no"}}}))
	w.want(api.Failed, "s:failed b:skipped")
	w.must(w.run.Retry(w.now, "", nil, "user:anna"))
	if got := w.effects.RetryRuns; !slices.Equal(got, []api.RunID{child}) {
		t.Fatalf("retries = %v; want the same sub-run", got)
	}
	w.must(w.run.ChildEnded(w.now, "s", &api.Run{ID: child, State: api.Succeeded, Outputs: json.RawMessage(`{"v":7}`)}))
	w.work(ok)
	w.want(api.Succeeded, "s:succeeded b:succeeded")
}

func TestLostWorker(t *testing.T) {
	t.Parallel()
	w := start(t, "tasks: {a: {use: noop}}", `{}`)
	first := w.queue[0]
	w.must(w.run.SetVars(w.now, first.AttemptRef, "nonce", "w", map[string]json.RawMessage{"handle": json.RawMessage(`"job-7"`)}))
	w.queue = nil
	w.must(w.run.Lose(w.now, first.AttemptRef, "w"))
	if _, _, err := w.run.SetVars(w.now, first.AttemptRef, "nonce", "w", nil); err == nil {
		t.Error("the lost worker could still store variables")
	}
	second := w.queue[0]
	if second.Attempt != 2 || string(second.Vars["handle"]) != `"job-7"` || second.Key != first.Key {
		t.Errorf("second attempt = %+v; want number 2 with the variable and the same key", second)
	}
	for range 4 {
		d := w.queue[len(w.queue)-1]
		w.must(w.run.Lose(w.now, d.AttemptRef, "w"))
	}
	w.want(api.Failed, "a:failed")
}

func TestParkAndComplete(t *testing.T) {
	t.Parallel()
	w := start(t, "tasks: {a: {use: noop}}", `{}`)
	d := w.queue[0]
	w.must(w.run.Report(w.now, d.AttemptRef, "nonce", "w", api.Result{Outcome: api.Park, Handle: json.RawMessage(`"x"`), Deadline: api.Duration(time.Hour)}))
	if w.run.Busy() || w.run.State != api.Waiting {
		t.Errorf("run is %s, busy %v; want waiting and not busy", w.run.State, w.run.Busy())
	}
	ref, found := w.replay().ByClaim("nonce")
	if !found || ref != d.AttemptRef {
		t.Fatalf("ByClaim = %v, %v", ref, found)
	}
	w.must(w.run.Report(w.now, ref, "nonce", "w", ok(d)))
	w.want(api.Succeeded, "a:succeeded")
}

func TestExpand(t *testing.T) {
	t.Parallel()
	w := start(t, "tasks: {a: {use: noop}, b: {use: set, needs: [a], with: {v: '${{ tasks.a.out.v }}'}}}", `{}`)
	d := w.queue[0]
	w.queue = nil
	w.must(w.run.Report(w.now, d.AttemptRef, "", "w", api.Result{Outcome: api.Expand,
		Tasks:   json.RawMessage(`{"x":{"use":"noop"},"y":{"use":"noop","with":{"ok":"${{ tasks.x.out.ok }}"}}}`),
		Outputs: json.RawMessage(`{"v":"${{ tasks.y.out.ok }}"}`)}))
	w.work(ok)
	w.want(api.Succeeded, "a:succeeded a.x:succeeded a.y:succeeded b:succeeded")
}

func TestPause(t *testing.T) {
	t.Parallel()
	w := start(t, "tasks: {a: {use: noop, onError: pause}, b: {use: noop, needs: [a]}}", `{}`)
	w.work(failing("a"))
	if w.run.State != api.Waiting || w.run.Reason.Kind != "paused" {
		t.Fatalf("run is %s because %+v; want paused", w.run.State, w.run.Reason)
	}
	w.must(w.run.Retry(w.now, "a", json.RawMessage(`{"fixed":true}`), "user:anna"))
	if got := string(w.queue[0].Input); got != `{"fixed":true}` {
		t.Errorf("input = %s", got)
	}
	w.work(ok)
	w.want(api.Succeeded, "a:succeeded b:succeeded")
}

func TestDeadlines(t *testing.T) {
	t.Parallel()
	w := start(t, "deadline: 10s\ntasks: {a: {use: wait, with: {for: 1h}}}", `{}`)
	w.pass()
	w.want(api.Failed, "a:cancelled")
	if w.run.Failure == nil || w.run.Failure.Type != "deadline" {
		t.Errorf("failure = %+v", w.run.Failure)
	}
	w = start(t, "tasks: {a: {use: noop, deadline: 10s, retry: {max: 100, wait: 3s}}}", `{}`)
	for w.run.State != api.Failed {
		w.work(failing("a"))
		if w.run.State == api.Failed {
			break
		}
		w.pass()
	}
	if got := (w.now - 1_000_000*second) / second; got > 10 {
		t.Errorf("it went on for %d s; want at most 10", got)
	}
}

func ExampleRun() {
	docs, _ := document.Parse("x.yaml", []byte("kind: Workflow\nname: x\ntasks: {hello: {use: set, with: {v: 1}}}"))
	g, _ := definition.Load(docs[0].JSON, docs[0].Digest)
	r := core.New(g, nil)
	events, _, _ := r.Start(0, core.Meta{ID: "run_1"}, json.RawMessage(`{}`))
	for _, e := range events {
		fmt.Println(e.Type)
	}
	// Output:
	// run.created
	// task.succeeded
	// run.ended
}
