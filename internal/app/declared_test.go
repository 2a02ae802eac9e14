package app_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"tutti/api"
	"tutti/errs"
	"tutti/internal/app"
	"tutti/internal/identity"
	"tutti/internal/shim"
	"tutti/sdk"
)

// TestMain lets the test's own program be the shim of programs that tasks run.
func TestMain(m *testing.M) {
	if len(os.Args) > 2 && os.Args[1] == "shim" {
		os.Exit(shim.Main(os.Args[2]))
	}
	os.Exit(m.Run())
}

func shimOf(t *testing.T) []string {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return []string{exe, "shim"}
}

// declared is a server with task types that documents declare, and clients of its admin and an author.
type declared struct {
	t             *testing.T
	admin, author *sdk.Client
}

func withTypes(t *testing.T, c app.Config) declared {
	t.Helper()
	token := identity.NewToken()
	c.Data, c.Identity = filepath.Join(t.TempDir(), "data"), identity.Config{AdminToken: token}
	s, _ := start(t, c)
	d := declared{t: t, admin: client(t, s.Address, token)}
	made, err := sdk.Call(t.Context(), d.admin, api.CreateToken, api.CreateTokenIn{Body: api.CreateTokenBody{Name: "author", Grants: []api.GrantView{{Namespace: "default", Role: api.Author}}}})
	if err != nil {
		t.Fatal(err)
	}
	d.author = d.admin.With(made.Secret, "")
	return d
}

func (d declared) apply(c *sdk.Client, text string) error {
	_, err := sdk.Call(d.t.Context(), c, api.ApplyDefinitions, api.ApplyIn{Body: api.ApplyBody{Files: []api.SourceFile{{Name: "f.yaml", Text: text}}}})
	return err
}

func (d declared) mustApply(text string) {
	d.t.Helper()
	if err := d.apply(d.admin, text); err != nil {
		d.t.Fatalf("apply: %v %+v", err, errs.Public(err).Problems)
	}
}

func (d declared) run(workflow, inputs string, wait time.Duration) api.Run {
	d.t.Helper()
	r, err := sdk.Call(d.t.Context(), d.admin, api.StartRun, api.StartRunIn{Wait: api.Duration(wait), Body: api.StartRunBody{Workflow: workflow, Inputs: json.RawMessage(inputs)}})
	if err != nil {
		d.t.Fatalf("start %s: %v", workflow, err)
	}
	return r
}

const greet = `
kind: TaskType
name: demo.greet
title: Greet
with: {type: object, additionalProperties: false, required: [name], properties: {name: {type: string}}}
out: {type: object, additionalProperties: false, required: [text], properties: {text: {type: string}}}
starlark: {code: "def main(args): return {'text': 'GREETING ' + args['name']}"}
`

// A task type that a document declares is checked, carried out and listed like those built in, and a
// run keeps the version it began with.
func TestDeclaredTaskTypes(t *testing.T) {
	t.Parallel()
	world := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprintf(w, `{"path": %q, "auth": %q}`, r.URL.EscapedPath(), r.Header.Get("Authorization"))
	}))
	defer world.Close()
	d := withTypes(t, app.Config{AllowDial: []string{world.Listener.Addr().String()}})
	if _, err := sdk.Call(t.Context(), d.admin, api.SetSecret, api.SetSecretIn{Name: "token", Body: api.SetSecretBody{Value: "very-secret"}}); err != nil {
		t.Fatal(err)
	}
	const calls = `
kind: Workflow
name: calls
inputs: {type: object, properties: {id: {type: string}}}
tasks:
  ask: {use: demo.ask, with: {id: "${{ inputs.id }}", token: "${{ secrets.token }}"}}
  greet: {use: demo.greet, with: {name: "${{ tasks.ask.out.path }}"}}
outputs: {text: "${{ tasks.greet.out.text }}", auth: "${{ tasks.ask.out.auth }}"}
`
	ask := `
kind: TaskType
name: demo.ask
title: Ask
with: {type: object, additionalProperties: false, properties: {id: {type: string}, token: {type: string}}}
out: {type: object, properties: {path: {type: string}, auth: {type: string}}}
rest: {url: "` + world.URL + `/things/${{ with.id }}", headers: {Authorization: "Bearer ${{ with.token }}"}}
`
	// All at once: the workflow uses what comes with it.
	d.mustApply(calls + "---" + ask + "---" + strings.Replace(greet, "GREETING", "Hello", 1))
	r := d.run("calls", `{"id": "../${{ x }}"}`, 20*time.Second)
	if r.State != api.Succeeded || !strings.Contains(string(r.Outputs), `"text":"Hello /things/..%2F$%7B%7B%20x%20%7D%7D"`) || strings.Contains(string(r.Outputs), "very-secret") {
		t.Errorf("run = %s with %s, %+v; want the greeting, and no secret", r.State, r.Outputs, r.Failure)
	}
	for text, want := range map[string]string{
		"tasks: {a: {use: demo.gret, with: {name: x}}}":                                          "did you mean",
		"tasks: {a: {use: demo.greet, with: {nam: x}}}":                                          "nam",
		"tasks: {a: {use: demo.greet, with: {name: x}}}\noutputs: {x: '${{ tasks.a.out.txt }}'}": "txt",
	} {
		err := d.apply(d.author, "kind: Workflow\nname: bad\n"+text)
		if p := errs.Public(err).Problems; err == nil || !strings.Contains(fmt.Sprint(p), want) {
			t.Errorf("apply %s = %v %v; want a problem with %s", text, err, p, want)
		}
	}
	types, err := sdk.Call(t.Context(), d.author, api.ListTaskTypes, api.ListTaskTypesIn{})
	if err != nil || !slices.ContainsFunc(types.Items, func(x api.TaskType) bool { return x.Name == "demo.greet" && x.Errors["starlark.fail"] != "" }) {
		t.Errorf("the list of types, %v, lacks demo.greet", err)
	}
	d.pinned()
	if _, err := sdk.Call(t.Context(), d.admin, api.DeleteDefinition, api.GetDefinitionIn{Kind: api.KindTaskType, Name: "demo.greet"}); err != nil {
		t.Fatal(err)
	}
	_, err = sdk.Call(t.Context(), d.admin, api.StartRun, api.StartRunIn{Body: api.StartRunBody{Workflow: "calls"}})
	if !errs.Is(err, errs.Invalid) || !strings.Contains(err.Error(), "demo.greet") {
		t.Errorf("start of a workflow whose task type was withdrawn = %v; want that said", err)
	}
}

// pinned changes a task type under a run that waits.
func (d declared) pinned() {
	t := d.t
	t.Helper()
	d.mustApply(`
kind: Workflow
name: waits
tasks:
  ok: {use: approval, timeout: 1h}
  sub: {use: "workflow:greets", needs: [ok]}
outputs: {text: "${{ tasks.sub.out.text }}"}
---
kind: Workflow
name: greets
tasks: {a: {use: demo.greet, with: {name: Anna}}}
outputs: {text: "${{ tasks.a.out.text }}"}
`)
	old := d.run("waits", "{}", 0)
	d.mustApply(strings.Replace(greet, "GREETING", "Bye", 1))
	fresh := d.run("waits", "{}", 0)
	for r, want := range map[api.RunID]string{old.ID: `{"text":"Hello Anna"}`, fresh.ID: `{"text":"Bye Anna"}`} {
		if _, err := sdk.Call(t.Context(), d.admin, api.ApproveTask, api.DecideIn{ID: r, Body: api.DecideBody{Task: "ok"}}); err != nil {
			t.Fatal(err)
		}
		end, err := sdk.Call(t.Context(), d.admin, api.GetRun, api.GetRunIn{ID: r, Wait: api.Duration(20 * time.Second)})
		if err != nil || string(end.Outputs) != want {
			t.Errorf("run = %s with %s, %+v, %v; want %s", end.State, end.Outputs, end.Failure, err, want)
		}
	}
}

// Programs are the admin's to publish; who may use them, the document says. A folder is applied by the
// server itself.
func TestDeclaredPrograms(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	const program = `
kind: TaskType
name: demo.program
title: A program
exec: {argv: [/bin/sh, -c, "read -r line; printf '{\"result\":%s}\\n' \"$line\""]}
`
	if err := os.WriteFile(filepath.Join(dir, "program.yaml"), []byte(program), 0o600); err != nil {
		t.Fatal(err)
	}
	d := withTypes(t, app.Config{TaskTypes: dir, Shim: shimOf(t)})
	for end := time.Now().Add(20 * time.Second); ; {
		_, err := sdk.Call(t.Context(), d.author, api.GetDefinition, api.GetDefinitionIn{Kind: api.KindTaskType, Name: "demo.program"})
		if err == nil {
			break
		}
		if time.Now().After(end) {
			t.Fatalf("the folder was not applied: %v", err)
		}
	}
	if err := d.apply(d.author, strings.Replace(program, "demo.program", "demo.own", 1)); !errs.Is(err, errs.Denied) || !strings.Contains(err.Error(), "task.exec") {
		t.Errorf("an author publishes a program: %v; want it denied", err)
	}
	d.mustApply(strings.Replace(program, "demo.program\n", "demo.guarded\nperm: task.exec\n", 1))
	if err := d.apply(d.author, "kind: Workflow\nname: guarded\ntasks: {a: {use: demo.guarded}}"); !errs.Is(err, errs.Denied) {
		t.Errorf("an author uses a program that needs task.exec: %v; want it denied", err)
	}
	if err := d.apply(d.author, "kind: Workflow\nname: open\ntasks: {a: {use: demo.program, with: {n: [1]}}}\noutputs: {got: '${{ tasks.a.out.with.n }}'}"); err != nil {
		t.Fatalf("an author uses a program: %v", err)
	}
	if r := d.run("open", "{}", 20*time.Second); string(r.Outputs) != `{"got":[1]}` {
		t.Errorf("run = %s with %s, %+v; want what the program was told", r.State, r.Outputs, r.Failure)
	}
}
