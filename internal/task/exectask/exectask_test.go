package exectask_test

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"tutti/internal/shim"
	"tutti/internal/task/exectask"
	"tutti/internal/task/tasktest"
	"tutti/sdk"
)

func TestMain(m *testing.M) {
	if len(os.Args) > 2 && os.Args[1] == "shim" {
		os.Exit(shim.Main(os.Args[2]))
	}
	os.Exit(m.Run())
}

// setup returns the type and its folder.
func setup(t *testing.T) (sdk.TaskType, string) {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	work := filepath.Join(t.TempDir(), "work")
	return exectask.New([]string{exe, "shim"}, work, nil), work
}

func sh(script string, more ...any) map[string]any {
	out := map[string]any{"argv": []string{"/bin/sh", "-c", script}}
	for i := 0; i < len(more); i += 2 {
		out[more[i].(string)] = more[i+1]
	}
	return out
}

type output struct {
	ExitCode       int
	Stdout, Stderr string
	JSON           json.RawMessage
}

func TestSuite(t *testing.T) {
	t.Parallel()
	typ, _ := setup(t)
	env := func(name string) map[string]any { return sh("true", "env", map[string]string{name: "x"}) }
	tasktest.Run(t, typ, tasktest.Cases{
		Good: []tasktest.Case{{With: sh("echo hello")}},
		Bad: []tasktest.Case{
			{With: map[string]any{}}, {With: map[string]any{"argv": []string{}}}, {With: map[string]any{"argv": "ls -l"}}, {With: map[string]any{"argv": []string{""}}},
			{With: map[string]any{"argv": []string{"ls\x00"}}}, {With: env("a b")}, {With: env("A=B")}, {With: env("TUTTI_KEY")}, {With: sh("true", "env", map[string]string{"A": "\x00"})},
			{With: sh("true", "dir", "../x")}, {With: sh("true", "dir", "/etc")}, {With: sh("true", "dir", "a/../../b")}, {With: sh("true", "limits", map[string]any{"procs": 0.5})},
			{With: sh("true", "limits", map[string]any{"memory": 1})}, {With: sh("true", "grace", "x")},
		},
		Slow: []tasktest.Case{{With: sh("sleep 600")}, {Name: "deaf", With: sh("trap '' TERM; sleep 600 & wait; sleep 600", "grace", "300ms")}},
	})
}

func TestRuns(t *testing.T) {
	t.Parallel()
	typ, _ := setup(t)
	for _, c := range []struct {
		name string
		with map[string]any
		want output
	}{
		{"output", sh("echo out; echo err >&2"), output{0, "out\n", "err\n", nil}},
		{"JSON", sh("cat", "stdin", map[string]any{"a": []int{1}}), output{0, `{"a":[1]}`, "", json.RawMessage(`{"a":[1]}`)}},
		{"text", sh("cat", "stdin", "$HOME; `id`"), output{0, "$HOME; `id`", "", nil}},
		{"arguments are no shell's", map[string]any{"argv": []string{"/bin/echo", "$HOME; id", "--", "*"}}, output{0, "$HOME; id -- *\n", "", nil}},
		{"directory", sh(`pwd | sed "s,^$HOME/,,"`, "dir", "a/b"), output{0, "a/b\n", "", nil}},
		{"environment", sh(`env | cut -d= -f1 | grep -v -e '^_$' -e PWD -e SHLVL -e OLDPWD | sort | tr '\n' ' '; echo "$X $TUTTI_TASK $TUTTI_ATTEMPT $TUTTI_FENCE"`, "env", map[string]string{"X": "a b"}),
			output{0, "HOME LANG PATH TUTTI_ATTEMPT TUTTI_FENCE TUTTI_KEY TUTTI_RUN TUTTI_TASK TUTTI_TRACE X a b task 1 1\n", "", nil}},
		{"the end of much", sh("yes ä | head -n 100000; echo end"), output{}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			a := tasktest.NewTry(t, typ, c.with)
			var got output
			a.Out(t.Context(), t, typ, &got)
			if c.name == "the end of much" {
				if len(got.Stdout) > 64<<10 || len(got.Stdout) < 64<<10-4 || !strings.HasSuffix(got.Stdout, "ä\nend\n") || strings.Contains(got.Stdout, "\uFFFD") {
					t.Errorf("stdout has %d bytes and ends %q", len(got.Stdout), got.Stdout[len(got.Stdout)-10:])
				}
				if n := strings.Count(a.Logged("out"), "\n"); n != 100001 {
					t.Errorf("%d lines were logged; want 100001", n)
				}
				return
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("output (-want +got):\n%s", diff)
			}
			if a.Logged("out") != got.Stdout || a.Logged("err") != got.Stderr {
				t.Errorf("logged %q and %q", a.Logged("out"), a.Logged("err"))
			}
		})
	}
}

func TestFailures(t *testing.T) {
	t.Parallel()
	typ, _ := setup(t)
	for _, c := range []struct {
		with  map[string]any
		typ   string
		again bool
		says  string
	}{
		{sh("echo so; echo why >&2; exit 3"), "exec.exit", false, "/bin/sh ended with status 3: why"},
		{sh("exit 75"), "exec.exit", true, "75"},
		{sh("kill -9 $$"), "exec.signal", false, "SIGKILL"},
		{map[string]any{"argv": []string{"no-such-program"}}, "exec.start", false, "no-such-program"},
		{map[string]any{"argv": []string{"/etc/passwd"}}, "exec.start", false, "permission denied"},
		{sh("sleep 600", "limits", map[string]any{"wall": "200ms"}), "exec.limit", false, "wall"},
		{sh("yes", "limits", map[string]any{"outputMB": 1}), "exec.limit", false, "output"},
		{sh("for i in 1 2 3 4 5 6; do sleep 600 & done; wait", "limits", map[string]any{"procs": 3}), "exec.limit", false, "procs"},
	} {
		f := tasktest.NewTry(t, typ, c.with).Fails(t.Context(), t, typ)
		tasktest.Declared(t, typ, f)
		if f.Type != c.typ || f.Retryable != c.again || !strings.Contains(f.Message, c.says) {
			t.Errorf("%v = %+v; want %s, retryable %t, that says %q", c.with, f, c.typ, c.again, c.says)
		}
	}
	f := tasktest.NewTry(t, typ, sh("echo so; echo why >&2; exit 3")).Fails(t.Context(), t, typ)
	if diff := cmp.Diff(map[string]any{"code": 3, "stdout": "so\n", "stderr": "why\n"}, f.Details); diff != "" {
		t.Errorf("details (-want +got):\n%s", diff)
	}
}

// counting returns a script that notes each of its starts in a file, and goes on with more.
func counting(t *testing.T, more string) (script string, starts func() int) {
	file := filepath.Join(t.TempDir(), "starts")
	return "echo $$ >>" + file + "; " + more, func() int {
		b, _ := os.ReadFile(file)
		return strings.Count(string(b), "\n")
	}
}

// until waits until a started program has got somewhere.
func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); !ok(); {
		if time.Now().After(end) {
			t.Fatalf("%s: not within 10s", what)
		}
		time.Sleep(10 * time.Millisecond) // sleep: real time passes in another process
	}
}

// A worker that stops, or loses its claim, leaves the program alone; the next attempt finds it.
func TestReattaches(t *testing.T) {
	t.Parallel()
	for _, cause := range []error{sdk.ErrStopping, sdk.ErrLost} {
		typ, _ := setup(t)
		gate := filepath.Join(t.TempDir(), "gate")
		script, starts := counting(t, "echo before; while [ ! -e "+gate+" ]; do sleep 0.02; done; echo after")
		a := tasktest.NewTry(t, typ, sh(script))
		ctx, cancel := context.WithCancelCause(t.Context())
		go func() {
			until(t, "the program runs", func() bool { return strings.Contains(a.Logged("out"), "before") })
			cancel(cause)
		}()
		if f := a.Fails(ctx, t, typ); f.Type != "internal" {
			t.Errorf("failure = %+v; want the context's error", f)
		}
		b := a.Again()
		if err := os.WriteFile(gate, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		var got output
		b.Out(t.Context(), t, typ, &got)
		if got.Stdout != "before\nafter\n" || starts() != 1 {
			t.Errorf("%v: stdout %q after %d starts; want all of it from one", cause, got.Stdout, starts())
		}
		// An attempt that died before its report is made again without running anything.
		b.Again().Out(t.Context(), t, typ, &got)
		if got.Stdout != "before\nafter\n" || starts() != 1 {
			t.Errorf("%v: made again: stdout %q after %d starts", cause, got.Stdout, starts())
		}
	}
}

// A failure that was told is not told again: the next attempt runs the program anew.
func TestRunsAnewAfterFailure(t *testing.T) {
	t.Parallel()
	typ, _ := setup(t)
	script, starts := counting(t, `[ "$TUTTI_ATTEMPT" = 3 ] || exit 1; test -z "$(ls)" && echo empty`)
	a := tasktest.NewTry(t, typ, sh("cd \"$HOME\"; "+script))
	a.CrashAt = 2 // where the failure is noted as told
	if _, _, crashed := a.Do(t.Context(), typ); !crashed {
		t.Fatal("it did not store that the failure was told")
	}
	b := a.Again()
	if f := b.Fails(t.Context(), t, typ); f.Type != "exec.exit" || starts() != 1 {
		t.Errorf("failure = %+v after %d starts; want the one that was not told", f, starts())
	}
	var got output
	b.Again().Out(t.Context(), t, typ, &got)
	if got.Stdout != "empty\n" || starts() != 2 {
		t.Errorf("stdout %q after %d starts; want a second start in a folder of its own", got.Stdout, starts())
	}
}

func TestCancelEndsAllProcesses(t *testing.T) {
	t.Parallel()
	typ, _ := setup(t)
	pids := filepath.Join(t.TempDir(), "pids")
	script := "setsid sh -c 'echo $$ >>" + pids + "; exec sleep 600' & echo $$ >>" + pids + "; sleep 600"
	a := tasktest.NewTry(t, typ, sh(script, "grace", "100ms"))
	ctx, cancel := context.WithCancelCause(t.Context())
	lines := func() []string {
		b, _ := os.ReadFile(pids)
		return strings.Fields(string(b))
	}
	go func() {
		until(t, "both run", func() bool { return len(lines()) == 2 })
		cancel(sdk.ErrCancelled)
	}()
	a.Fails(ctx, t, typ)
	for _, pid := range lines() {
		if _, err := os.Stat("/proc/" + pid); err == nil {
			t.Errorf("process %s still runs", pid)
		}
	}
	// Were the task tried again, the program would start anew.
	if got := string(a.Again().Vars["exec"]); !strings.Contains(got, `"settled":true`) {
		t.Errorf("variable = %s; want it settled", got)
	}
}

func TestLost(t *testing.T) {
	t.Parallel()
	typ, work := setup(t)
	a := tasktest.NewTry(t, typ, sh("echo hello"))
	a.Vars["exec"] = json.RawMessage(`{"host":"elsewhere.invalid","start":4}`)
	f := a.Fails(t.Context(), t, typ)
	tasktest.Declared(t, typ, f)
	if f.Type != "exec.lost" || !f.Retryable || !strings.Contains(f.Message, "elsewhere.invalid") {
		t.Errorf("failure = %+v; want lost, with the machine", f)
	}
	a.Again().Out(t.Context(), t, typ, nil)

	a = tasktest.NewTry(t, typ, sh("kill -9 $PPID; exec sleep 600"))
	f = a.Fails(t.Context(), t, typ)
	if f.Type != "exec.lost" || !f.Retryable {
		t.Errorf("failure = %+v; want lost", f)
	}
	if entries, err := os.ReadDir(work); err != nil || len(entries) != 2 {
		t.Errorf("work folder = %v, %v; want a folder for each start", entries, err)
	}
}

func TestSweep(t *testing.T) {
	t.Parallel()
	typ, work := setup(t)
	a := tasktest.NewTry(t, typ, sh("echo hello"))
	a.Out(t.Context(), t, typ, nil)
	entries, err := os.ReadDir(work)
	if err != nil || len(entries) != 1 {
		t.Fatalf("work folder = %v, %v; want one", entries, err)
	}
	old := time.Now().Add(-8 * 24 * time.Hour)
	if err := os.Chtimes(filepath.Join(work, entries[0].Name(), "shim"), old, old); err != nil {
		t.Fatal(err)
	}
	exe, _ := os.Executable()
	again := exectask.New([]string{exe, "shim"}, work, nil) // as after a restart
	tasktest.NewTry(t, again, sh("echo hello")).Out(t.Context(), t, again, nil)
	if now, err := os.ReadDir(work); err != nil || len(now) != 1 || now[0].Name() == entries[0].Name() {
		t.Errorf("work folder = %v, %v; want only the new one", now, err)
	}
}
