package docs_test

import (
	"encoding/json"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"tutti/api"
	"tutti/sdk"
)

// The workers of guides/workers.md, in Python and in shell, do the tasks of a real server; one that
// fails says why.
func TestWorkersInOtherLanguages(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name    string
		command []string
		needs   []string
	}{
		{"python", []string{"python3", "../examples/workers/worker.py"}, []string{"python3"}},
		{"shell", []string{"sh", "../examples/workers/worker.sh"}, []string{"sh", "curl", "jq"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			for _, program := range c.needs {
				if _, err := exec.LookPath(program); err != nil {
					t.Skipf("SKIPPED: %s is not installed: the worker in %s is NOT tested", program, c.name)
				}
			}
			admin, _ := server(t)
			runWorker(t, admin, c.name, c.command)
			tryWorker(t, admin, c.name)
		})
	}
}

// runWorker runs a worker of the pool until the test ends, with a token that can do nothing else.
func runWorker(t *testing.T, admin *sdk.Client, pool string, command []string) {
	t.Helper()
	token, err := sdk.Call(t.Context(), admin, api.CreateToken, api.CreateTokenIn{Body: api.CreateTokenBody{
		Name: pool, Grants: []api.GrantView{{Namespace: "default", Role: api.Worker}}}})
	if err != nil {
		t.Fatal(err)
	}
	var said strings.Builder
	cmd := exec.Command(command[0], append(command[1:], pool)...)
	cmd.Env = append(cmd.Environ(), "TUTTI_SERVER="+admin.Server(), "TUTTI_TOKEN="+token.Secret)
	cmd.Stdout, cmd.Stderr = &said, &said
	group(cmd)
	cmd.WaitDelay = 5 * time.Second // a child of the shell may hold the pipe
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		endGroup(cmd)
		_ = cmd.Wait() // it was killed
		if t.Failed() {
			t.Logf("the worker said: %s", said.String())
		}
	})
}

func tryWorker(t *testing.T, admin *sdk.Client, pool string) {
	t.Helper()
	start := func(text any) api.Run {
		raw, err := json.Marshal(map[string]any{"kind": "Workflow", "name": "count", "outputs": map[string]any{"words": "${{ tasks.a.out.words }}"},
			"tasks": map[string]any{"a": map[string]any{"use": "noop", "pool": pool, "with": map[string]any{"text": text}}}})
		if err != nil {
			t.Fatal(err)
		}
		run, err := sdk.Call(t.Context(), admin, api.StartRun, api.StartRunIn{Wait: api.Duration(30 * time.Second), Body: api.StartRunBody{Definition: string(raw)}})
		if err != nil {
			t.Fatal(err)
		}
		return run
	}
	const hostile = `one "two" $(three) 'fö' \n`
	if run := start(hostile); run.State != api.Succeeded || string(run.Outputs) != `{"words":5}` {
		t.Errorf("run = %s with %s, %+v; want 5 words", run.State, run.Outputs, run.Failure)
	}
	if run := start([]int{7}); run.State != api.Failed || run.Failure == nil || !strings.HasPrefix(run.Failure.Type, pool+".") {
		t.Errorf("run = %s, %+v; want a failure of the worker's own type", run.State, run.Failure)
	}
}

// The page shows the programs as they are.
func TestWorkersAsShown(t *testing.T) {
	t.Parallel()
	shown := map[string]string{}
	for _, b := range blocks(t, "guides/workers.md") {
		shown[b.info] = b.text
	}
	for lang, file := range map[string]string{"python": "../examples/workers/worker.py", "sh": "../examples/workers/worker.sh"} {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if shown[lang] != string(text) {
			t.Errorf("the %s block of guides/workers.md is not %s", lang, file)
		}
	}
}
