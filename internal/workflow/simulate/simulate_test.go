package simulate_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"tutti/api"
	"tutti/errs"
	"tutti/internal/document"
	"tutti/internal/workflow/simulate"
)

// catalogue is what the workflows of these tests may use.
var catalogue = simulate.Catalogue{Types: []api.TaskType{
	{Name: "noop"}, {Name: "set", Native: true}, {Name: "wait", Native: true}, {Name: "approval", Native: true}, {Name: "signal", Native: true}, {Name: "emit", Native: true},
	{Name: "vm", With: json.RawMessage(`{"type":"object","required":["name"],"properties":{"name":{"type":"string"},"cpu":{"type":"integer"}}}`),
		Out: json.RawMessage(`{"type":"object","required":["id","cpu"],"properties":{"id":{"type":"string","pattern":"^vm-[0-9a-f]+$","examples":["vm-0"]},"cpu":{"type":"integer","minimum":2},"ip":{"type":"string","format":"ipv4"}}}`)},
}, Declare: func(d *document.Document) (api.TaskType, []errs.Problem) {
	var t api.TaskType
	if err := json.Unmarshal(d.JSON, &t); err != nil || t.Title == "" {
		return t, []errs.Problem{{Location: d.At(""), Message: "no title"}}
	}
	return t, nil
}}

func read(t testing.TB, texts ...string) *simulate.Library {
	t.Helper()
	l, problems := simulate.Read(catalogue, files(texts...))
	if len(problems) > 0 {
		t.Fatalf("Read: %+v", problems)
	}
	return l
}

func files(texts ...string) (out []api.SourceFile) {
	for i, text := range texts {
		out = append(out, api.SourceFile{Name: string(rune('a'+i)) + ".yaml", Text: text})
	}
	return out
}

func play(t testing.TB, l *simulate.Library, s simulate.Scenario) *simulate.Report {
	t.Helper()
	if s.Workflow == "" {
		s.Workflow = "w"
	}
	s.Crash = true
	rep, err := l.Run(s)
	if err != nil {
		t.Fatal(err)
	}
	if rep.Crash.Difference != "" || rep.Crash.Times == 0 {
		t.Errorf("crash = %+v; want no difference", rep.Crash)
	}
	return rep
}

func outcome(rep *simulate.Report) string {
	var b strings.Builder
	b.WriteString(string(rep.State) + " " + rep.Duration.String() + " " + string(rep.Outputs))
	for _, t := range rep.Tasks {
		b.WriteString(" " + t.Path + ":" + string(t.State))
	}
	return b.String()
}

const two = `kind: Workflow
name: w
tasks:
  a: {use: vm, with: {name: x}, retry: {max: 2, wait: 1s}}
  b: {use: noop, with: {id: "${{ tasks.a.out.id }}"}}
outputs: {id: "${{ tasks.b.out.id }}"}
`

func TestRun(t *testing.T) {
	t.Parallel()
	dur := func(d time.Duration) *api.Duration { x := api.Duration(d); return &x }
	for name, c := range map[string]struct {
		s    simulate.Scenario
		want string
	}{
		"samples":            {simulate.Scenario{}, `succeeded 2s {"id":"vm-0"} a:succeeded b:succeeded`},
		"a mock by path":     {simulate.Scenario{Mocks: simulate.Mocks{Tasks: map[string]simulate.Mock{"a": {Step: simulate.Step{Out: json.RawMessage(`{"id":"vm-7","cpu":2}`), Duration: dur(time.Minute)}}}}}, `succeeded 1m1s {"id":"vm-7"} a:succeeded b:succeeded`},
		"a mock by type":     {simulate.Scenario{Mocks: simulate.Mocks{Types: map[string]simulate.Mock{"vm": {Step: simulate.Step{Failure: &api.Failure{Type: "full"}}}}}}, `failed 1s  a:failed b:skipped`},
		"failing twice":      {simulate.Scenario{Fail: map[string]int{"a": 2}}, `succeeded 6s {"id":"vm-0"} a:succeeded b:succeeded`},
		"failing too often":  {simulate.Scenario{Fail: map[string]int{"*": 3}}, `failed 5s  a:failed b:skipped`},
		"cancelled by step":  {simulate.Scenario{Cancel: &simulate.Cancel{Step: 1}}, `cancelled 0s  a:cancelled b:skipped`},
		"cancelled in time":  {simulate.Scenario{Cancel: &simulate.Cancel{After: api.Duration(1500 * time.Millisecond)}}, `cancelled 1s500ms  a:succeeded b:cancelled`},
		"retried":            {simulate.Scenario{Fail: map[string]int{"b": 1}, Retry: &simulate.Retry{}}, `succeeded 3s {"id":"vm-0"} a:succeeded b:succeeded`},
		"nothing to undo":    {simulate.Scenario{Undo: true}, `succeeded 2s {"id":"vm-0"} a:succeeded b:succeeded`},
		"paused for ever":    {simulate.Scenario{Pause: &simulate.Pause{After: api.Duration(time.Millisecond)}}, `waiting 1s  a:succeeded b:pending`},
		"one that is paused": {simulate.Scenario{Pause: &simulate.Pause{For: api.Duration(5 * time.Second)}}, `succeeded 6s {"id":"vm-0"} a:succeeded b:succeeded`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := outcome(play(t, read(t, two), c.s)); got != c.want {
				t.Errorf("outcome = %s; want %s", got, c.want)
			}
		})
	}
}

func TestRunRefuses(t *testing.T) {
	t.Parallel()
	l := read(t, two, "kind: Workflow\nname: v\ninputs: {type: object, required: [x]}\ntasks: {a: {use: noop}}")
	for workflow, want := range map[string]errs.Kind{"": errs.NotFound, "x": errs.NotFound, "v": errs.Invalid} {
		if _, err := l.Run(simulate.Scenario{Workflow: workflow}); !errs.Is(err, want) {
			t.Errorf("Run(%q) = %v; want kind %s", workflow, err, want)
		}
	}
	l = read(t, "kind: Workflow\nname: w\ntasks: {a: {use: noop, retry: {max: 1000, wait: 0s}, each: '1..300'}}")
	if _, err := l.Run(simulate.Scenario{Workflow: "w", Fail: map[string]int{"**": 1000}}); !errs.Is(err, errs.TooLarge) {
		t.Errorf("Run of what does not end = %v; want it given up", err)
	}
}

// The same scenario gives the same report; another seed another one.
func TestDeterministic(t *testing.T) {
	t.Parallel()
	l := read(t, "kind: Workflow\nname: w\ntasks: {e: {each: '1..20', use: vm, with: {name: x}, retry: {max: 2, jitter: 0.5}}}\noutputs: {e: '${{ tasks.e.out }}'}")
	text := func(seed int64) string {
		s := simulate.Scenario{Seed: seed, Fail: map[string]int{"e[1*]": 1}}
		raw, err := json.Marshal(play(t, l, s))
		if err != nil {
			t.Fatal(err)
		}
		return string(raw)
	}
	if a, b := text(7), text(7); a != b {
		t.Errorf("two reports differ:\n%s", cmp.Diff(a, b))
	}
	if text(7) == text(8) {
		t.Error("another seed gives the same report")
	}
}

func TestInputsAreChecked(t *testing.T) {
	t.Parallel()
	l := read(t, "kind: Workflow\nname: w\ninputs: {type: object, properties: {cpu: {}}}\ntasks: {a: {use: vm, with: {name: x, cpu: '${{ inputs.cpu }}'}}}")
	rep := play(t, l, simulate.Scenario{Inputs: json.RawMessage(`{"cpu":"many"}`)})
	if f := rep.Failure; rep.State != api.Failed || f == nil || f.Type != "invalid" || !strings.Contains(f.Message, "with.cpu") {
		t.Errorf("run %s: %+v; want the input refused", rep.State, f)
	}
	if rep := play(t, l, simulate.Scenario{Inputs: json.RawMessage(`{}`)}); rep.State != api.Succeeded {
		t.Errorf("run %s: %+v; want null left out", rep.State, rep.Failure)
	}
}

func TestOutputsAreChecked(t *testing.T) {
	t.Parallel()
	for out, want := range map[string]string{
		`{"id":"x","cpu":2}`:                       "mocks.tasks.a is nothing that vm gives: out.id",
		`{"id":"vm-1","cpu":"${{ attempt }}"}`:     "out.cpu",
		`{"id":"vm-1","cpu":"${{ with.no.way }}"}`: "out",
		`{"id":"vm-1","cpu":4}`:                    "",
	} {
		rep := play(t, read(t, two), simulate.Scenario{Mocks: simulate.Mocks{Tasks: map[string]simulate.Mock{"a": {Step: simulate.Step{Out: json.RawMessage(out)}}}}})
		if got := strings.Join(rep.Problems, "\n"); (want == "") != (got == "") || !strings.Contains(got, want) {
			t.Errorf("mock %s: problems %q; want %q", out, got, want)
		}
	}
}

func TestRecording(t *testing.T) {
	t.Parallel()
	rec, err := simulate.ReadRecording([]byte(`{"workflow": "w", "more": 1, "inputs": {}, "definition": ` + quote(two) + `, "tasks": [
		{"path": "a", "state": "succeeded", "output": {"id": "vm-9", "cpu": 4}, "started": "2026-05-01T10:00:00Z", "ended": "2026-05-01T10:00:30Z", "attempts": [
			{"number": 1, "state": "failed", "failure": {"type": "lost", "message": "gone", "retryable": true}, "started": "2026-05-01T10:00:00Z", "ended": "2026-05-01T10:00:10Z"},
			{"number": 2, "state": "succeeded", "started": "2026-05-01T10:00:11Z", "ended": "2026-05-01T10:00:31Z"}]},
		{"path": "b", "output": {"id": "vm-9"}, "started": "2026-05-01T10:00:30Z", "ended": "2026-05-01T10:01:30Z"}]}`))
	if err != nil {
		t.Fatal(err)
	}
	files := rec.Files()
	if len(files) != 1 {
		t.Fatalf("the recording has %d definitions; want one", len(files))
	}
	rep := play(t, read(t, files[0].Text), simulate.Scenario{Recording: rec})
	if got, want := outcome(rep), `succeeded 1m41s {"id":"vm-9"} a:succeeded b:succeeded`; got != want { // 10s, 1s of retry.wait, 30s, 60s
		t.Errorf("outcome = %s; want %s", got, want)
	}
	for _, bad := range []string{`[]`, `{}`, `{"tasks": [{"path": 1}]}`, ``} {
		if _, err := simulate.ReadRecording([]byte(bad)); !errs.Is(err, errs.Invalid) {
			t.Errorf("ReadRecording(%s) = %v; want it refused", bad, err)
		}
	}
}

func quote(s string) string { b, _ := json.Marshal(s); return string(b) }

func TestPeople(t *testing.T) {
	t.Parallel()
	doc := `kind: Workflow
name: w
tasks:
  ok: {use: approval, timeout: 1d, with: {to: "role:approver", notBy: "user:approver1", quorum: 2, form: {type: object, required: [n], properties: {n: {type: integer, minimum: 3}}}}}
  s: {use: signal, needs: [ok], with: {name: go}}
outputs: {form: "${{ tasks.ok.out.form }}", who: "${{ tasks.ok.out.approvers }}", s: "${{ tasks.s.out }}"}
`
	no := false
	for name, c := range map[string]struct {
		s    simulate.Scenario
		want string
	}{
		"by itself": {simulate.Scenario{}, `succeeded 3s {"form":{"n":3},"s":{},"who":["user:approver2","user:approver3"]} ok:succeeded s:succeeded`},
		"by nobody": {simulate.Scenario{Automatic: &no}, `failed 1d  ok:failed s:skipped`},
		"without the role": {simulate.Scenario{Approvals: map[string]simulate.Decisions{"ok": {{By: "user:eve", Roles: []string{"viewer"}}}}},
			`failed 1d  ok:failed s:skipped`},
		"a form that does not fit": {simulate.Scenario{Approvals: map[string]simulate.Decisions{"ok": {{Form: json.RawMessage(`{"n":1}`)}}}}, `failed 1d  ok:failed s:skipped`},
		"no signal":                {simulate.Scenario{Automatic: &no, Approvals: map[string]simulate.Decisions{"**": {{}, {}}}}, `waiting 2s  ok:succeeded s:waiting`},
		"an early signal": {simulate.Scenario{Signals: []simulate.Signal{{Name: "go", Data: json.RawMessage(`{"x":1}`)}, {Name: "go", To: "nowhere"}}},
			`succeeded 2s {"form":{"n":3},"s":{"x":1},"who":["user:approver2","user:approver3"]} ok:succeeded s:succeeded`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := outcome(play(t, read(t, doc), c.s)); got != c.want {
				t.Errorf("outcome = %s; want %s", got, c.want)
			}
		})
	}
}

// A sub-run that a mock stands in for can be cancelled, retried and undone like any other.
func TestMockedSubRun(t *testing.T) {
	t.Parallel()
	l := read(t, `kind: Workflow
name: w
onFailure: stop
tasks:
  call: {use: "workflow:sub", with: {x: 1}}
  other: {use: noop}
---
kind: Workflow
name: sub
inputs: {type: object, properties: {x: {type: integer}}}
tasks: {t: {use: noop}}
outputs: {id: "${{ tasks.t.out.id }}"}
`)
	long := api.Duration(time.Hour)
	mock := simulate.Mocks{Types: map[string]simulate.Mock{"workflow:sub": {Step: simulate.Step{Out: json.RawMessage(`{"id":"${{ with.x }}"}`), Duration: &long}}}}
	for name, c := range map[string]struct {
		s    simulate.Scenario
		want string
	}{
		"done":      {simulate.Scenario{Mocks: mock}, `succeeded 1h  call:succeeded other:succeeded`},
		"cancelled": {simulate.Scenario{Mocks: mock, Fail: map[string]int{"other": 1}}, `failed 1s  call:cancelled other:failed`},
		"retried":   {simulate.Scenario{Fail: map[string]int{"call": 1}, Retry: &simulate.Retry{}}, `succeeded 2s  call:succeeded other:succeeded`},
		"undone":    {simulate.Scenario{Mocks: mock, Undo: true}, `succeeded 1h  call:succeeded other:succeeded call#undo:succeeded`},
		"real":      {simulate.Scenario{}, `succeeded 1s  call:succeeded other:succeeded call/t:succeeded`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := outcome(play(t, l, c.s)); got != c.want {
				t.Errorf("outcome = %s; want %s", got, c.want)
			}
		})
	}
}

func TestReadTellsAll(t *testing.T) {
	t.Parallel()
	_, problems := simulate.Read(catalogue, files(two, `kind: Workflow
name: w
tasks: {a: {use: noop}}
---
kind: Workflow
name: v
tasks: {a: {use: vn}}
---
kind: TaskType
name: mine
`, `kind: Test
name: t
workflow: w
mocks:
  tasks: {c: {}, "a[*]": {out: "${{ inputs.x }}"}, b: {out: "${{ 1 + }}"}}
  types: {wm: {}, "workflow:v": {}}
fail: {"a.*": 1}
expect: {order: [a, x], tasks: {b/c: failed}}
---
kind: Test
name: u
workflow: ww
expect: {state: succeeded}
---
kind: Test
name: v
workflow: w
expects: {state: succeeded}
---
kind: Test
name: w
workflow: v
expect: {state: failed}
---
kind: Test
name: x
workflow: w
expect: {state: done}
`))
	var got []string
	for _, p := range problems {
		got = append(got, p.Location+": "+p.Message)
	}
	want := []string{
		`b.yaml:2:7: Workflow "w" is given twice`,
		`b.yaml:7:18: there is no task type "vn"`,
		`b.yaml:9:1: no title`,
		`c.yaml:5:11: no task of w can have the path "c"`,
		`c.yaml:5:27: unknown name "inputs"`,
		`c.yaml:5:56: the expression ends too early`,
		`c.yaml:6:11: there is no task type "wm"`,
		`c.yaml:7:8: no task of w can have the path "a.*"`,
		`c.yaml:8:21: no task of w can have the path "x"`,
		`c.yaml:8:33: no task of w can have the path "b/c"`,
		`c.yaml:12:11: there is no workflow "ww"`,
		`c.yaml:15:1: "expect" is missing`,
		`c.yaml:18:1: unknown key "expects"`,
		`c.yaml:22:11: the workflow v is not sound`,
		`c.yaml:28:17: state must be one of`,
	}
	for i, w := range want {
		if len(got) != len(want) || !strings.HasPrefix(got[i], w) {
			t.Fatalf("problems:\n%s\nwant them to begin with\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
	}
}

func TestCheck(t *testing.T) {
	t.Parallel()
	l := read(t, two+`---
kind: Test
name: t
workflow: w
fail: {a: 1}
expect:
  state: failed
  flags: [degraded]
  outputs: {id: vm-1, more: 1}
  tasks: {a: {state: skipped, attempts: 1, out: {cpu: 2}, failure: {type: x}}, b: {input: {id: vm-0}, undo: succeeded}}
  order: [b, a]
  undone: [a]
  undoable: []
  failure: {task: a, message: no}
  reason: {kind: paused}
  refused: never
  emitted: [{type: x}]
  duration: 1s
`)
	found, rep := l.Check(l.Tests[0])
	if rep == nil {
		t.Fatal("Check gave no report")
	}
	var got []string
	for _, d := range found {
		got = append(got, d.Path+" "+d.Want+" | "+d.Got)
	}
	want := []string{
		`refused a refusal with "never" | a run, which succeeded`,
		`state failed | succeeded`,
		`flags ["degraded"] | []`,
		`outputs.id "vm-1" | "vm-0"`,
		`outputs.more 1 | nothing`,
		`tasks.a.state skipped | succeeded`,
		`tasks.a.attempts 1 | 2`,
		`tasks.a.out.id nothing | "vm-0"`,
		`tasks.a.out.ip nothing | "192.0.2.1"`,
		`tasks.a.failure.type x | nothing`,
		`tasks.b.undo succeeded | nothing`,
		`order[1] a begins after b | it began before`,
		`undone ["a"] | []`,
		`failure.task a | nothing`,
		`failure.message a text with "no" | nothing`,
		`reason.kind paused | nothing`,
		`emitted 1 events | []`,
		`duration 1s | 4s`,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("differences (-want +got):\n%s", diff)
	}
}

func TestCheckRefused(t *testing.T) {
	t.Parallel()
	l := read(t, "kind: Workflow\nname: w\ninputs: {type: object, required: [x]}\ntasks: {a: {use: noop}}\n"+
		"---\nkind: Test\nname: good\nworkflow: w\nexpect: {refused: 'inputs'}\n---\nkind: Test\nname: bad\nworkflow: w\nexpect: {refused: 'outputs'}\n---\nkind: Test\nname: worse\nworkflow: w\nexpect: {state: failed}\n")
	for i, want := range []int{0, 1, 1} {
		if found, _ := l.Check(l.Tests[i]); len(found) != want {
			t.Errorf("Check(%s) = %+v; want %d differences", l.Tests[i].Name, found, want)
		}
	}
}

func TestDeclaredTypes(t *testing.T) {
	t.Parallel()
	l := read(t, "kind: Workflow\nname: w\ntasks: {a: {use: mine}}\noutputs: {x: '${{ tasks.a.out.x }}'}\n---\nkind: TaskType\nname: mine\ntitle: Mine\nout: {type: object, properties: {x: {const: 5}}}")
	if got, want := outcome(play(t, l, simulate.Scenario{})), `succeeded 1s {"x":5} a:succeeded`; got != want {
		t.Errorf("outcome = %s; want %s", got, want)
	}
}

const rich = `kind: Workflow
name: w
onFailure: undo
limit: {key: x}
tasks:
  a: {use: vm, with: {name: x}, retry: {max: 2, wait: 1s}, undo: {use: noop}}
  b: {use: approval, timeout: 1h, with: {quorum: 2, notBy: "user:tester"}, onError: continue}
  c: {needs: [a], each: "1..4", tasks: {d: {use: noop, limit: {key: y, max: 2}}, e: {use: signal, with: {name: s}, timeout: 5m}}}
  d1: {use: "workflow:sub", after: [b], once: "y", timeout: 10m, onError: pause}
finally: {z: {use: noop}}
---
kind: Workflow
name: sub
tasks: {t: {use: noop, undo: {use: noop}}, u: {use: wait, with: {for: 3s}, limit: {key: x}, retry: {max: 1}}}
`

// FuzzTest reads and plays whatever looks like a test: nothing may panic or differ after a crash.
func FuzzTest(f *testing.F) {
	for _, seed := range []string{
		"kind: Test\nname: t\nworkflow: w\nexpect: {state: succeeded}",
		"kind: Test\nname: t\nworkflow: w\nmocks: {tasks: {'*': {out: {id: 'vm-${{ attempt }}', cpu: 2}, sequence: [{}, {failure: {type: x, retryable: true}}]}}}\nfail: {a: 1}\ncancel: {step: 3}\nundo: true\nretry: {task: d1, input: {}}\nexpect: {order: [a, d1/t], tasks: {'**': succeeded}}",
		"kind: Test\nname: t\nworkflow: w\napprovals: {b: [{decide: reject}]}\nsignals: [{name: s, to: d1}]\nheld: {x: 1s}\ndone: {y: null}\npause: {after: 1s, for: 1ms}\nseed: 3\nexpect: {outputs: null, duration: 0s, emitted: []}",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		l, _ := simulate.Read(catalogue, files(rich, text))
		for _, test := range l.Tests {
			test.Crash = true
			found, _ := l.Check(test)
			for _, d := range found {
				if d.Path == "crash" || strings.Contains(d.Got, "the engine broke") {
					t.Errorf("%+v", d)
				}
			}
		}
	})
}
