package cli

import (
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"tutti/api"
	"tutti/internal/workflow/simulate"
)

const machine = `kind: Workflow
name: machine
inputs: {type: object, required: [name], properties: {name: {type: string}, cpu: {type: integer, default: 2}}}
tasks:
  create: {use: noop, with: {id: "vm-${{ inputs.name }}", cpu: "${{ inputs.cpu }}"}, retry: {max: 1}, undo: {use: noop}}
  ok: {use: approval, needs: [create]}
outputs: {id: "${{ tasks.create.out.id }}"}
`

// offline runs a command without a server, in a folder of files.
func offline(t *testing.T, files map[string]string, args ...string) result {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		write(t, dir, name, text)
	}
	for i, a := range args {
		args[i] = strings.ReplaceAll(a, "DIR", dir)
	}
	var out, errOut strings.Builder
	code := Main(t.Context(), Config{
		Args: args, Stdout: &out, Stderr: &errOut, Specs: []api.TaskType{{Name: "noop"}, {Name: "approval", Native: true}, {Name: "set", Native: true}},
		Schemas: map[string]json.RawMessage{"Preset": json.RawMessage(`{"type":"object","required":["of"]}`)},
	})
	return result{code, strings.ReplaceAll(out.String(), dir, "DIR"), strings.ReplaceAll(errOut.String(), dir, "DIR")}
}

func TestValidate(t *testing.T) {
	t.Parallel()
	files := map[string]string{"machine.yaml": machine, "sub/p.yaml": "kind: Preset\nname: p\nof: x\n", ".hidden.yaml": "no",
		"machine.test.yaml": "kind: Test\nname: t\nworkflow: machine\ninputs: {name: a}\nexpect: {state: succeeded}\n"}
	for _, args := range [][]string{{"DIR"}, {"-f", "DIR"}, {"DIR/machine.yaml", "DIR/machine.test.yaml", "DIR/sub"}} {
		if r := offline(t, files, append([]string{"workflow", "validate"}, args...)...); r.code != 0 || r.out != "" || r.errOut != "3 documents in 3 files are valid.\n" {
			t.Errorf("validate %q = %+v", args, r)
		}
	}
	files["z.yaml"] = "kind: Workflow\nname: z\ntasks:\n  a: {use: nop}\n---\nkind: Prest\nname: y\n---\nkind: Preset\nname: x\n"
	r := offline(t, files, "workflow", "validate", "DIR")
	want := `error: 3 problems
  DIR/z.yaml:4:12: there is no task type "nop"
    did you mean noop?
  DIR/z.yaml:6:7: there is no kind "Prest"
    did you mean Preset? the kinds are Workflow, ResourceType, Preset, TaskType, View, Trigger, Test
  DIR/z.yaml:9:1: "of" is missing
  what is only on a server is not known here; to ask one: tutti plan -f PATH
`
	if diff := cmp.Diff(want, r.errOut); diff != "" || r.code != ExitRefused {
		t.Errorf("validate: exit code %d (-want +got):\n%s", r.code, diff)
	}
	var v validation
	r = offline(t, files, "workflow", "validate", "DIR", "-o", "json")
	if err := json.Unmarshal([]byte(r.out), &v); err != nil || v.Valid || len(v.Problems) != 3 || r.code != ExitRefused {
		t.Errorf("validate -o json = %+v, %v", r, err)
	}
	if r := offline(t, nil, "workflow", "validate"); r.code != ExitUsage {
		t.Errorf("validate of nothing = %+v", r)
	}
}

func TestSimulate(t *testing.T) {
	t.Parallel()
	files := map[string]string{"machine.yaml": machine, "two.yaml": "kind: Workflow\nname: caller\ntasks: {m: {use: 'workflow:machine', with: {name: x}}}\n",
		"s.test.yaml": "kind: Test\nname: rejected\nworkflow: machine\ninputs: {name: b}\napprovals: {ok: {decide: reject, by: anna, reason: no}}\nexpect: {state: failed}\n" +
			"---\nkind: Test\nname: nobody\nworkflow: machine\ninputs: {name: b}\nautomatic: false\nexpect: {state: waiting}\n",
		"old.run.json": `{"workflow":"machine","inputs":{"name":"r"},"definition":` + quoted(machine) + `,"tasks":[{"path":"create","output":{"id":"vm-old"},"started":"2026-01-01T00:00:00Z","ended":"2026-01-01T00:01:00Z"}]}`}
	for _, c := range []struct {
		args string
		code int
		want string
	}{
		{"DIR/machine.yaml -p name=a", 0, "\nstate     succeeded\ntook      2s, 3 steps\noutputs   {\"id\":\"vm-a\"}\nundoable  create\n"},
		{"DIR -p name=a --workflow machine --fail create=1 --crash everywhere", 0, "took      4s, 5 steps\n"},
		{"DIR", 0, "\nundoable  m/create, m\n"},
		{"DIR/machine.yaml -p name=a --fail create=2", 5, "\nfailure   create: attempt 2 is made to fail (simulated)\n"},
		{"DIR/machine.yaml -p name=a --cancel-at 1500ms", 5, "\nstate     cancelled\n"},
		{"DIR/machine.yaml -p name=a --cancel-at 2", 5, "\nstate     cancelled\n"},
		{"DIR/machine.yaml -p name=a --undo", 0, "\nundone    create\n"},
		{"--scenario DIR/s.test.yaml", 5, "user:anna rejected it: no (rejected)"},
		{"--scenario DIR/s.test.yaml --test nobody -p name=c", 7, "\nwaits     it waits for an approval\n"},
		{"--recorded DIR/old.run.json", 0, "took      1m1s, 3 steps\noutputs   {\"id\":\"vm-old\"}\n"},
	} {
		r := offline(t, files, append([]string{"workflow", "simulate"}, strings.Fields(c.args)...)...)
		if r.code != c.code || !strings.Contains(r.out, c.want) {
			t.Errorf("simulate %s: exit code %d, want %d; %s%s\nwant %q", c.args, r.code, c.code, r.out, r.errOut, c.want)
		}
	}
	for _, c := range []struct {
		args string
		code int
		want string
	}{
		{"", 2, "which files?"},
		{"DIR/none.yaml", 3, "no such file"},
		{"DIR/machine.yaml", 3, `"name" is missing`},
		{"DIR/machine.yaml -p nme=a", 3, "did you mean name?"},
		{"DIR/machine.yaml -p name=a --fail crate=1", 2, `no task of machine can have the path "crate"`},
		{"DIR/machine.yaml -p name=a --fail create", 2, "is not TASK=N"},
		{"DIR/machine.yaml -p name=a --crash often", 2, "--crash takes everywhere"},
		{"DIR/machine.yaml -p name=a --cancel-at soon", 2, "neither a number of steps nor a duration"},
		{"DIR/machine.yaml --workflow machines", 3, `did you mean machine?`},
		{"--scenario DIR/s.test.yaml --test none", 3, "there are rejected, nobody"},
		{"--recorded DIR/two.yaml", 3, "is not a recorded run"},
	} {
		r := offline(t, files, append([]string{"workflow", "simulate"}, strings.Fields(c.args)...)...)
		if r.code != c.code || !strings.Contains(r.errOut, c.want) {
			t.Errorf("simulate %s = %+v; want exit code %d and %q", c.args, r, c.code, c.want)
		}
	}
	a := offline(t, files, "workflow", "simulate", "DIR", "-o", "json", "--seed", "7")
	b := offline(t, files, "workflow", "simulate", "DIR", "-o", "json", "--seed", "7")
	var rep simulate.Report
	if err := json.Unmarshal([]byte(a.out), &rep); err != nil || a.out != b.out || rep.State != api.Succeeded || len(rep.Timeline) == 0 || rep.Seed != 7 {
		t.Errorf("simulate -o json = %+v, %v; want a report, twice the same", a, err)
	}
}

func quoted(s string) string { b, _ := json.Marshal(s); return string(b) }

func TestWorkflowTest(t *testing.T) {
	t.Parallel()
	files := map[string]string{
		"a/machine.yaml": machine,
		"a/m.test.yaml":  "kind: Test\nname: good\nworkflow: machine\ninputs: {name: a}\nexpect: {state: succeeded}\n---\nkind: Test\nname: bad\nworkflow: machine\ninputs: {name: a}\nexpect: {outputs: {id: vm-b}, tasks: {ok: skipped}}\n",
		// A folder of its own may have a workflow of the same name.
		"b/machine.yaml": "kind: Workflow\nname: machine\ntasks: {s: {use: set, with: {x: 1}}}\n",
		"b/r.test.yaml":  "kind: Test\nname: recorded\nworkflow: machine\nrecorded: old.run.json\nexpect: {state: succeeded}\n",
		"b/old.run.json": `{"tasks":[{"path":"s","output":{}}]}`,
		"notes.yaml":     "this: is no definition\n",
	}
	r := offline(t, files, "workflow", "test", "DIR")
	want := `ok    good  DIR/a/m.test.yaml
FAIL  bad  DIR/a/m.test.yaml:7:1
      outputs.id
        want  "vm-b"
        got   "vm-a"
      tasks.ok.state
        want  skipped
        got   succeeded
ok    recorded  DIR/b/r.test.yaml
`
	if diff := cmp.Diff(want, r.out); diff != "" || r.code != ExitBad || r.errOut != "2 passed, 1 failed.\n" {
		t.Errorf("test: %+v (-want +got):\n%s", r, diff)
	}
	if r := offline(t, files, "workflow", "test", "DIR/a/m.test.yaml", "--run", "go*", "--crash", "everywhere"); r.code != 0 || r.errOut != "1 passed, 0 failed.\n" {
		t.Errorf("test --run = %+v", r)
	}
	if r := offline(t, files, "workflow", "test", "DIR/a", "--timeline"); !strings.Contains(r.out, "task.succeeded") {
		t.Errorf("test --timeline = %+v", r)
	}
	var all tally
	r = offline(t, files, "workflow", "test", "DIR", "-o", "json")
	if err := json.Unmarshal([]byte(r.out), &all); err != nil || all.Passed != 2 || all.Failed != 1 || len(all.Tests) != 3 || r.code != ExitBad {
		t.Errorf("test -o json = %+v, %v", r, err)
	}
	for _, c := range []struct {
		more map[string]string
		args string
		code int
		want string
	}{
		{nil, "DIR/a/machine.yaml", 3, "is not a file of tests"},
		{nil, "DIR/b/none", 3, "no such file"},
		{map[string]string{"d/x.yaml": ""}, "DIR/d", 3, "no *.test.yaml in"},
		{nil, "DIR --run x", 3, "no test fits"},
		{nil, "DIR --run [", 2, "is not a pattern"},
		{nil, "DIR --crash here", 2, "--crash takes everywhere"},
		{map[string]string{"a/broken.test.yaml": "kind: Test\nname: [\n"}, "DIR", 3, "DIR/a/broken.test.yaml:"},
		{map[string]string{"b/r.test.yaml": "kind: Test\nname: t\nworkflow: machine\nrecorded: ../a/run.json\nexpect: {state: failed}\n"}, "DIR", 3, "must name a file beside"},
		{map[string]string{"b/r.test.yaml": "kind: Test\nname: t\nworkflow: machine\nrecorded: none.run.json\nexpect: {state: failed}\n"}, "DIR", 3, "r.test.yaml:4:11: read "},
		{map[string]string{"b/r.test.yaml": "kind: Test\nname: t\nworkflow: machine\nmocks: {types: {noop: {out: 1, failure: {type: no, message: no}}}}\nexpect: {state: failed}\n"}, "DIR", 3, "r.test.yaml:4:"},
		{map[string]string{"b/r.test.yaml": "kind: Test\nname: t\nworkflow: machine\nmocks: {types: {noop: {sequence: [{out: 1, failure: {type: no, message: no}}]}}}\nexpect: {state: failed}\n"}, "DIR", 3, "a mock gives out or failure, not both"},
		{map[string]string{"c/c.test.yaml": "kind: Test\nname: t\nworkflow: machine\nexpect: {state: failed}\n"}, "DIR/c", 3, `there is no workflow "machine"`},
		{map[string]string{"c/c.test.yaml": "kind: Test\nname: t\nworkflow: machine\nexpect: {state: succeeded}\n"}, "DIR/c -f DIR/b/machine.yaml", 0, "1 passed"},
	} {
		all := map[string]string{}
		for _, m := range []map[string]string{files, c.more} {
			for k, v := range m {
				all[k] = v
			}
		}
		r := offline(t, all, append([]string{"workflow", "test"}, strings.Fields(c.args)...)...)
		if r.code != c.code || !strings.Contains(r.errOut, c.want) {
			t.Errorf("test %s = %+v; want exit code %d and %q", c.args, r, c.code, c.want)
		}
	}
}

// Tests are not applied.
func TestApplyLeavesTestsOut(t *testing.T) {
	t.Parallel()
	s := newStandIn(t)
	s.on("POST "+ns+"/definitions", api.ApplyOut{})
	dir := t.TempDir()
	for name, text := range map[string]string{"w.yaml": "W", "w.test.yaml": "T", "sub/x.test.yml": "T", "y.test.json": "T", "old.run.json": "R", "test.yaml": "W"} {
		write(t, dir, name, text)
	}
	if r := s.cli("apply", "-f", dir); r.code != 0 {
		t.Fatalf("apply = %+v", r)
	}
	var sent api.ApplyBody
	if err := json.Unmarshal([]byte(s.body("POST "+ns+"/definitions")), &sent); err != nil {
		t.Fatal(err)
	}
	if want := []api.SourceFile{{Name: dir + "/test.yaml", Text: "W"}, {Name: dir + "/w.yaml", Text: "W"}}; !cmp.Equal(want, sent.Files) {
		t.Errorf("apply sent %+v; want %+v", sent.Files, want)
	}
	if r := s.cli("apply", "-f", filepath.Join(dir, "w.test.yaml")); r.code != 3 || !strings.Contains(r.errOut, "run them: tutti workflow test") {
		t.Errorf("apply of tests = %+v", r)
	}
}

func TestTaskImport(t *testing.T) {
	t.Parallel()
	files := map[string]string{"api.json": `{"openapi":"3.1.0","info":{"title":"Pets"},"paths":{"/pets":{"get":{"operationId":"listPets","summary":"List pets"}}}}`, "no.yaml": "swagger: '2.0'"}
	for _, c := range []struct {
		args, out, errOut string
		code              int
	}{
		{"DIR/api.json", "listPets", "", 0},
		{"DIR/api.json listPets", "name: pets.list-pets\n", "", 0},
		{"DIR/api.json listPets --name my.pets", "name: my.pets\n", "", 0},
		{"DIR/api.json listPet", "", "did you mean listPets?", ExitRefused},
		{"DIR/no.yaml", "", "DIR/no.yaml: it is no OpenAPI description", ExitRefused},
		{"", "", "FILE", ExitUsage},
	} {
		r := offline(t, files, append([]string{"task", "import"}, strings.Fields(c.args)...)...)
		if r.code != c.code || !strings.Contains(r.out, c.out) || !strings.Contains(r.errOut, c.errOut) {
			t.Errorf("task import %s = %+v; want exit code %d, %q and %q", c.args, r, c.code, c.out, c.errOut)
		}
	}
}
