package exectask_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"tutti/internal/task"
	"tutti/internal/task/exectask"
	"tutti/internal/task/tasktest"
	"tutti/sdk"
)

func driver(t *testing.T) task.Driver {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return exectask.NewDriver([]string{exe, "shim"}, filepath.Join(t.TempDir(), "work"), nil)
}

// program returns a task type that is a shell script.
func program(t *testing.T, d task.Driver, script string, more ...string) sdk.TaskType {
	t.Helper()
	argv, err := json.Marshal([]string{"/bin/sh", "-c", script})
	if err != nil {
		t.Fatal(err)
	}
	return tasktest.Declare(t, d, "name: test.program\nerrors: {test.full: it is full}\nwith: {type: object, additionalProperties: false, properties: {a: {description: Anything}}}\n"+
		"exec: {argv: "+string(argv)+strings.Join(more, "")+"}\n")
}

func TestDriver(t *testing.T) {
	t.Parallel()
	d := driver(t)
	typ := program(t, d, `read -r line; echo '{"log":"read it"}'; echo '{"vars":{"step":1}}'; echo plain; echo '{"two":1,"keys":2}'; printf '{"result":%s}\n' "$line"`)
	tasktest.Run(t, typ, tasktest.Cases{Good: []tasktest.Case{{With: map[string]any{"a": "${{ 1 }} $(id) \n \""}, Check: func(t *testing.T, out json.RawMessage) {
		var got struct {
			With          struct{ A string }
			Key, Trace    string
			Attempt       int
			Vars          map[string]any
			NothingElseIn any
		}
		if err := json.Unmarshal(out, &got); err != nil || got.With.A != "${{ 1 }} $(id) \n \"" || got.Key == "" || len(got.Trace) != 32 || got.Attempt < 1 || got.Vars["exec"] != nil {
			t.Errorf("the program was told %s, %v", out, err)
		}
	}}}})
	try := tasktest.NewTry(t, typ, map[string]any{})
	try.Out(t.Context(), t, typ, nil)
	if got := try.Logged("out"); got != "read it\nplain\n{\"two\":1,\"keys\":2}\n" || string(try.Vars["step"]) != "1" {
		t.Errorf("it logged %q and stored %s", got, try.Vars)
	}
	slow := program(t, d, "sleep 600")
	tasktest.Run(t, slow, tasktest.Cases{Slow: []tasktest.Case{{With: map[string]any{}}}})
}

func TestDriverFailures(t *testing.T) {
	t.Parallel()
	d := driver(t)
	for _, c := range []struct{ script, typ, message string }{
		{`echo '{"failure":{"type":"test.full","message":"no room","retryable":true}}'; exit 3`, "test.full", "no room"},
		{`echo '{"failure":{"type":"test.other","message":"no room"}}'`, "exec.failure", "no room"},
		{`echo '{"failure":{"type":"test.full"}}'`, "exec.protocol", "without a message"},
		{`echo '{"result":1}'; echo late >&2; exit 3`, "exec.exit", "late"},
		{`echo '{"result":1}'; kill -9 $$`, "exec.signal", "SIGKILL"},
		{`true`, "exec.protocol", "without a result"},
		{`echo '{"vars":[1]}'; sleep 600`, "exec.protocol", "no object"},
		{`echo '{"vars":{"exec":1}}'; sleep 600`, "exec.protocol", "own"},
		{`head -c 1200000 /dev/zero | tr '\0' x; sleep 600`, "exec.protocol", "1114112 bytes"},
	} {
		typ := program(t, d, c.script, ", grace: 1s")
		start := time.Now()
		f := tasktest.NewTry(t, typ, nil).Fails(t.Context(), t, typ)
		if f.Type != c.typ || !strings.Contains(f.Message, c.message) {
			t.Errorf("%s fails with %s: %s; want %s: %s", c.script, f.Type, f.Message, c.typ, c.message)
		}
		tasktest.Declared(t, typ, f)
		if took := time.Since(start); took > 30*time.Second {
			t.Errorf("%s took %v", c.script, took)
		}
	}
	typ := program(t, d, "while :; do echo line; done", ", limits: {outputMB: 1}")
	if f := tasktest.NewTry(t, typ, nil).Fails(t.Context(), t, typ); f.Type != "exec.limit" {
		t.Errorf("a program that prints without end fails with %+v; want exec.limit", f)
	}
}

// A program survives the worker, and the next attempt hears all of it.
func TestDriverReattaches(t *testing.T) {
	t.Parallel()
	d := driver(t)
	folder := t.TempDir()
	typ := program(t, d, `echo x >> `+folder+`/started; echo '{"vars":{"a":1}}'; echo '{"vars":{"b":2}}'; echo '{"result":7}'`)
	one := tasktest.NewTry(t, typ, nil)
	one.CrashAt = 3 // the handle, a, b
	if _, _, crashed := one.Do(t.Context(), typ); !crashed {
		t.Fatal("it did not crash")
	}
	var n int
	two := one.Again()
	two.Out(t.Context(), t, typ, &n)
	started, err := os.ReadFile(filepath.Join(folder, "started"))
	if err != nil || string(started) != "x\n" || n != 7 || string(two.Vars["b"]) != "2" {
		t.Errorf("out = %d, vars = %s, started %q, %v; want one start and all it said", n, two.Vars, started, err)
	}
}

func TestDriverRefuses(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		`exec: {}`:                                     "argv",
		`exec: {argv: [""]}`:                           "empty",
		`exec: {argv: [a], env: {TUTTI_KEY: x}}`:       "TUTTI_",
		`exec: {argv: [a], stdin: x}`:                  "stdin",
		`exec: {argv: [a], grace: soon}`:               "duration",
		"exec: {argv: [a]}\nrest: {url: 'https://x/'}": "rest",
		"errors: {Bad Name: x}\nexec: {argv: [a]}":     "Bad Name",
	} {
		tasktest.Refuses(t, driver(t), "name: a\n"+text, want)
	}
}
