package specs_test

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"tutti/api"
	"tutti/bus"
	"tutti/errs"
	"tutti/internal/app"
	"tutti/internal/identity"
	"tutti/sdk"
)

// goldenMake is `make golden`: it makes the store of a version that is about to be released. That of a
// released version is never touched again.
var goldenMake = flag.String("golden.make", "", "make specs/golden/VERSION, such as v0.2.0")

const (
	goldenToken = "tutti_golden0000000000000000000000000000000000"
	goldenPool  = "elsewhere"
	recordName  = "record.json" // beside the folder of the store
)

// goldenDefinitions are what the runs of the store run.
const goldenDefinitions = `
kind: Workflow
name: half
inputs: { type: object, required: [n], properties: { n: { type: integer } } }
tasks:
  a: { use: set, with: { n: "${{ inputs.n / 2 }}" } }
outputs: { n: "${{ tasks.a.out.n }}" }
---
kind: Workflow
name: done
tasks:
  items: { each: { in: "[2, 4, 6]", key: "string(item)" }, use: "workflow:half", with: { n: "${{ item }}" } }
  maybe: { when: "false", use: noop, with: {} }
  tolerated: { use: starlark, onError: continue, with: { code: "def main(args): fail('no matter')" } }
  group:
    after: [maybe, tolerated]
    tasks:
      inner: { use: noop, with: { list: "${{ values(tasks.items.out) }}" } }
    outputs: { list: "${{ tasks.inner.out.list }}" }
outputs: { list: "${{ tasks.group.out.list }}" }
---
kind: Workflow
name: failed
onFailure: undo
tasks:
  a: { use: noop, with: { x: 1 }, undo: { use: noop, with: { back: "${{ out.x }}" } } }
  b: { use: starlark, needs: [a], with: { code: "def main(args): fail('as planned')" } }
finally:
  tell: { use: set, with: { state: "${{ run.status }}" } }
---
kind: Workflow
name: asks
inputs: { type: object, properties: { name: { type: string } } }
tasks:
  a: { use: set, with: { x: 1 } }
  ask: { use: approval, with: { text: "go on?", show: { x: "${{ tasks.a.out.x }}" } } }
  b: { use: set, needs: [ask], with: { by: "${{ tasks.ask.out.by }}" } }
outputs: { by: "${{ tasks.b.out.by }}" }
---
kind: Workflow
name: sleeps
tasks:
  a: { use: wait, with: { for: 10s } }
  b: { use: set, needs: [a], with: { awake: true } }
outputs: { awake: "${{ tasks.b.out.awake }}" }
---
kind: Workflow
name: elsewhere
inputs: { type: object, properties: { why: { type: string } } }
tasks:
  a: { use: noop, pool: elsewhere, with: { why: "${{ inputs.why }}" } }
  b: { use: set, with: { why: "${{ tasks.a.out.why }}" } }
outputs: { why: "${{ tasks.b.out.why }}" }
---
kind: ResourceType
name: thing
schema: { type: object, required: [name], properties: { name: { type: string } } }
workflow: asks
inputs: { name: "${{ spec.name }}" }
`

// golden is what was recorded of a store.
type golden struct {
	Runs  []api.Run                `json:"runs"`
	Tasks map[api.RunID][]api.Task `json:"tasks"`
	// Request is that of the resource; its run waits for an approval, as Asking does.
	Request string `json:"request"`
	// Asking, Queued, Parked and Sleeping are the runs that are not finished.
	Asking, Queued, Parked, Sleeping api.RunID
	// Token ends the attempt that is parked.
	Token string
	// Open are further runs that had not ended: those of examples/language that wait for something. A store
	// of 0.1.0 has none.
	Open []api.RunID
}

// TestGolden carries on copies of the stores of all versions.
func TestGolden(t *testing.T) {
	t.Parallel()
	if v := *goldenMake; v != "" {
		if !regexp.MustCompile(`^v[0-9]+\.[0-9]+\.[0-9]+$`).MatchString(v) {
			t.Fatalf("-golden.make=%s; want a version such as v0.2.0", v)
		}
		dir := filepath.Join("golden", v)
		if _, err := os.Stat(dir); err == nil {
			t.Fatalf("%s is there; what a released version wrote is not written again. Remove it where it was not released", dir)
		}
		makeGolden(t, dir)
	}
	versions, err := filepath.Glob("golden/v*")
	if err != nil || len(versions) == 0 {
		t.Fatalf("no golden stores (%v); make one with make golden VERSION=0.2.0", err)
	}
	for _, dir := range versions {
		t.Run(filepath.Base(dir), func(t *testing.T) {
			t.Parallel()
			replayGolden(t, dir)
		})
	}
}

// house is a server in this process.
type house struct {
	t    *testing.T
	api  *sdk.Client
	stop func()
}

func open(t *testing.T, data string) *house {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	ready, ended := make(chan app.Started, 1), make(chan error, 1)
	go func() {
		ended <- app.Run(ctx, app.Config{Data: data, Listen: "127.0.0.1:0", Identity: identity.Config{AdminToken: goldenToken}, Ready: func(s app.Started) { ready <- s }})
	}()
	h := &house{t: t}
	stopped := false
	h.stop = func() {
		if cancel(); !stopped {
			stopped = true
			if err := <-ended; err != nil {
				t.Errorf("the server ended: %v", err)
			}
		}
	}
	select {
	case s := <-ready:
		c, err := sdk.New(sdk.Config{Server: s.Address, Token: goldenToken})
		if err != nil {
			t.Fatal(err)
		}
		h.api = c
	case err := <-ended:
		t.Fatalf("the server does not start: %v", err)
	}
	t.Cleanup(h.stop)
	return h
}

// do calls a method that must succeed.
func do[In, Out any](h *house, m bus.Method[In, Out], in In) Out {
	h.t.Helper()
	out, err := sdk.Call(h.t.Context(), h.api, m, in)
	if err != nil {
		h.t.Fatalf("%s: %v", m.Name, err)
	}
	return out
}

// ended waits for the end of a run.
func (h *house) ended(id api.RunID, want api.State) api.Run {
	h.t.Helper()
	r := do(h, api.GetRun, api.GetRunIn{ID: id, Wait: api.Duration(time.Minute)})
	if r.State != want {
		h.t.Errorf("run %s of %s is %s (%+v, %+v); want %s", id, r.Workflow, r.State, r.Reason, r.Failure, want)
	}
	return r
}

// waits waits until a run waits for something of a kind, or has a task that does.
func (h *house) waits(id api.RunID, kind string) {
	h.t.Helper()
	for end := time.Now().Add(time.Minute); time.Now().Before(end); {
		for _, x := range do(h, api.ListTasks, api.ListTasksIn{ID: id}).Items {
			if x.Reason != nil && x.Reason.Kind == kind {
				return
			}
		}
	}
	h.t.Fatalf("run %s never waits for a %s", id, kind)
}

func (h *house) start(workflow, inputs string) api.RunID {
	h.t.Helper()
	return do(h, api.StartRun, api.StartRunIn{Body: api.StartRunBody{Workflow: workflow, Inputs: json.RawMessage(inputs)}}).ID
}

// poll takes one attempt of the pool, or reports results.
func (h *house) poll(most int, results ...api.Result) []api.Assignment {
	h.t.Helper()
	out := do(h, api.PollTasks, api.PollIn{Pool: goldenPool, Body: api.PollBody{Worker: "golden", Max: most, Wait: api.Duration(10 * time.Second), Results: results}})
	if len(out.Refused) > 0 {
		h.t.Fatalf("refused: %+v", out.Refused)
	}
	return out.Assignments
}

// makeGolden makes a store in dir, with runs in every state that lasts.
func makeGolden(t *testing.T, dir string) {
	data := filepath.Join(t.TempDir(), "data")
	h := open(t, data)
	do(h, api.ApplyDefinitions, api.ApplyIn{Body: api.ApplyBody{Files: []api.SourceFile{{Name: "golden.yaml", Text: goldenDefinitions}}}})
	h.ended(h.start("done", `{}`), api.Succeeded)
	h.ended(h.start("failed", `{}`), api.Failed)
	var g golden
	g.Asking = h.start("asks", `{}`)
	h.waits(g.Asking, "approval")
	g.Parked = h.start("elsewhere", `{"why":"parked"}`)
	taken := h.poll(1)
	if len(taken) != 1 || taken[0].Run != g.Parked {
		t.Fatalf("took %+v; want the task of %s", taken, g.Parked)
	}
	g.Token = taken[0].Token
	h.poll(0, api.Result{Token: g.Token, Outcome: api.Park, Handle: json.RawMessage(`{"job":42}`)})
	h.waits(g.Parked, "callback")
	g.Queued = h.start("elsewhere", `{"why":"queued"}`)
	r := do(h, api.CreateRequest, api.CreateRequestIn{Body: api.CreateRequestBody{Entry: "thing", Params: json.RawMessage(`{"name":"one"}`)}})
	for r.Run == "" {
		r = do(h, api.GetRequest, api.RequestIn{ID: r.ID})
	}
	h.waits(r.Run, "approval")
	g.Request = r.ID
	g.Sleeping = h.start("sleeps", `{}`)
	h.waits(g.Sleeping, "timer")
	g.Open = h.examples()
	g.Tasks = map[api.RunID][]api.Task{}
	for _, r := range do(h, api.ListRuns, api.ListRunsIn{Paging: api.Paging{Limit: 1000}}).Items {
		g.Runs = append(g.Runs, do(h, api.GetRun, api.GetRunIn{ID: r.ID}))
		g.Tasks[r.ID] = do(h, api.ListTasks, api.ListTasksIn{ID: r.ID}).Items
	}
	h.stop()
	b, err := json.MarshalIndent(g, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range []func() error{
		func() error { return os.RemoveAll(dir) },
		func() error { return os.MkdirAll(dir, 0o755) },
		func() error { return os.Remove(filepath.Join(data, "lock")) },
		func() error { return os.CopyFS(filepath.Join(dir, "data"), os.DirFS(data)) },
		func() error { return prune(filepath.Join(dir, "data")) },
		func() error { return os.WriteFile(filepath.Join(dir, recordName), append(b, '\n'), 0o644) },
	} {
		if err := f(); err != nil {
			t.Fatal(err)
		}
	}
}

// examples runs every workflow of examples/language, which together show every construct, and returns
// those that wait for something that does not come.
func (h *house) examples() (open []api.RunID) {
	files, err := filepath.Glob("../examples/language/*.yaml")
	if err != nil || len(files) == 0 {
		h.t.Fatalf("no examples: %v", err)
	}
	var in api.ApplyIn
	for _, f := range files {
		if strings.HasSuffix(f, ".test.yaml") {
			continue
		}
		text, err := os.ReadFile(f)
		if err != nil {
			h.t.Fatal(err)
		}
		in.Body.Files = append(in.Body.Files, api.SourceFile{Name: filepath.Base(f), Text: string(text)})
	}
	var started []api.RunID
	for _, c := range do(h, api.ApplyDefinitions, in).Changes {
		if c.Kind != api.KindWorkflow {
			continue
		}
		out, err := sdk.Call(h.t.Context(), h.api, api.StartRun, api.StartRunIn{Body: api.StartRunBody{Workflow: c.Name}})
		if err != nil && !errs.Is(err, errs.Invalid) { // some have inputs without a default
			h.t.Fatal(err)
		}
		if err == nil {
			started = append(started, out.ID)
		}
	}
	for _, id := range started {
		if r := do(h, api.GetRun, api.GetRunIn{ID: id, Wait: api.Duration(3 * time.Second)}); !r.State.Ended() {
			open = append(open, id)
		}
	}
	h.t.Logf("%d examples were run, %d of them wait", len(started), len(open))
	return open
}

// prune removes the folders that hold nothing, which git does not keep.
func prune(dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if !e.IsDir() {
			continue
		}
		if err := prune(filepath.Join(dir, e.Name())); err != nil {
			return err
		}
	}
	if entries, err = os.ReadDir(dir); err != nil || len(entries) > 0 {
		return err
	}
	return os.Remove(dir)
}

// replayGolden checks that a copy of a store is read as it was recorded, and that what it left undone is
// done.
func replayGolden(t *testing.T, dir string) {
	b, err := os.ReadFile(filepath.Join(dir, recordName))
	if err != nil {
		t.Fatal(err)
	}
	var g golden
	if err := json.Unmarshal(b, &g); err != nil {
		t.Fatal(err)
	}
	data := copyStore(t, filepath.Join(dir, "data"))
	sound(t, data)
	h := open(t, data)
	for _, want := range g.Runs {
		if want.ID == g.Sleeping || slices.Contains(g.Open, want.ID) || want.Parent != nil && !want.State.Ended() {
			continue // its timer may be due
		}
		same(t, "run "+string(want.ID), do(h, api.GetRun, api.GetRunIn{ID: want.ID}), want)
		same(t, "tasks of "+string(want.ID), do(h, api.ListTasks, api.ListTasksIn{ID: want.ID}).Items, g.Tasks[want.ID])
	}
	if got := do(h, api.ListRuns, api.ListRunsIn{Paging: api.Paging{Limit: 1000}}).Items; !slices.EqualFunc(got, g.Runs, func(a, b api.Run) bool { return a.ID == b.ID }) {
		t.Errorf("the list of runs is %+v; want %+v", got, g.Runs)
	}
	h.ended(g.Sleeping, api.Succeeded)
	do(h, api.ApproveTask, api.DecideIn{ID: g.Asking, Body: api.DecideBody{Task: "ask"}})
	h.ended(g.Asking, api.Succeeded)
	do(h, api.CompleteTask, api.CompleteIn{Body: api.Result{Token: g.Token, Outcome: api.Done, Out: json.RawMessage(`{"why":"it was parked"}`)}})
	if r := h.ended(g.Parked, api.Succeeded); string(r.Outputs) != `{"why":"it was parked"}` {
		t.Errorf("outputs of the parked run = %s", r.Outputs)
	}
	for _, a := range h.poll(10) {
		h.poll(0, api.Result{Token: a.Token, Outcome: api.Done, Out: a.With})
	}
	h.ended(g.Queued, api.Succeeded)
	request := do(h, api.GetRequest, api.RequestIn{ID: g.Request})
	do(h, api.ApproveTask, api.DecideIn{ID: request.Run, Body: api.DecideBody{Task: "ask"}})
	h.ended(request.Run, api.Succeeded)
	if request = do(h, api.GetRequest, api.RequestIn{ID: g.Request, Wait: api.Duration(time.Minute)}); request.State != api.Succeeded {
		t.Errorf("request %s is %s; want it succeeded", request.ID, request.State)
	}
	for _, id := range g.Open {
		_, err := sdk.Call(t.Context(), h.api, api.CancelRun, api.CancelRunIn{ID: id})
		if r := do(h, api.GetRun, api.GetRunIn{ID: id, Wait: api.Duration(time.Minute)}); !r.State.Ended() {
			t.Errorf("run %s of %s is %s after its cancel (%v)", id, r.Workflow, r.State, err)
		}
	}
	h.stop()
	sound(t, data)
}

// sound checks a data folder as `tutti fsck` does.
func sound(t *testing.T, data string) {
	t.Helper()
	found, err := app.Verify(t.Context(), app.Config{Data: data})
	if err != nil || len(found) > 0 {
		t.Errorf("the store is not sound: %v, %v", found, err)
	}
}

// copyStore copies a data folder, with the modes that git does not keep.
func copyStore(t *testing.T, from string) string {
	t.Helper()
	to := filepath.Join(t.TempDir(), "data")
	if err := os.CopyFS(to, os.DirFS(from)); err != nil {
		t.Fatal(err)
	}
	err := filepath.WalkDir(to, func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir():
			return os.Chmod(path, 0o700)
		}
		return os.Chmod(path, 0o600)
	})
	if err == nil {
		err = os.WriteFile(filepath.Join(to, "lock"), nil, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	return to
}

// same reports where got is not what was recorded. A later version may tell more.
func same(t *testing.T, what string, got, want any) {
	t.Helper()
	if where := missing(plain(t, want), plain(t, got), ""); where != "" {
		t.Errorf("%s is not what it was: %s", what, where)
	}
}

// plain returns a value as JSON has it.
func plain(t *testing.T, v any) (out any) {
	t.Helper()
	b, err := json.Marshal(v)
	if err == nil {
		err = json.Unmarshal(b, &out)
	}
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// missing returns the place where got does not hold what want holds; "" where it holds all of it.
func missing(want, got any, at string) string {
	switch want := want.(type) {
	case map[string]any:
		have, _ := got.(map[string]any)
		for name, v := range want {
			if where := missing(v, have[name], at+"."+name); where != "" {
				return where
			}
		}
		return ""
	case []any:
		have, _ := got.([]any)
		if len(have) != len(want) {
			return fmt.Sprintf("%s has %d elements; want %d", at, len(have), len(want))
		}
		for i, v := range want {
			if where := missing(v, have[i], fmt.Sprintf("%s[%d]", at, i)); where != "" {
				return where
			}
		}
		return ""
	}
	if !reflect.DeepEqual(want, got) {
		return fmt.Sprintf("%s = %v; want %v", at, got, want)
	}
	return ""
}
