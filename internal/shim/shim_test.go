package shim_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"tutti/errs"
	"tutti/internal/shim"
)

func TestMain(m *testing.M) {
	if len(os.Args) > 2 {
		switch os.Args[1] {
		case "shim":
			os.Exit(shim.Main(os.Args[2]))
		case "starter": // starts a shell script, says so, and hangs
			_, err := shim.Start(self(), os.Args[2], shim.Spec{Argv: []string{"/bin/sh", "-c", os.Args[3]}})
			fmt.Println("started", err)
			select {}
		}
	}
	os.Exit(m.Run())
}

func self() []string {
	exe, err := os.Executable()
	if err != nil {
		panic(err)
	}
	return []string{exe, "shim"}
}

var path = "PATH=" + os.Getenv("PATH")

func sh(script string) shim.Spec {
	return shim.Spec{Argv: []string{"sh", "-c", script}, Env: []string{path}}
}

// start starts spec and makes sure that it is gone after the test.
func start(t *testing.T, dir string, spec shim.Spec) *shim.Process {
	t.Helper()
	p, err := shim.Start(self(), dir, spec)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Signal(context.Background(), 0); err != nil {
			t.Errorf("Signal = %v", err)
		}
	})
	return p
}

func wait(t *testing.T, p *shim.Process) shim.Exit {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	e, err := p.Wait(ctx)
	if err != nil {
		t.Fatalf("Wait = %v", err)
	}
	return e
}

func output(t *testing.T, open func() (*os.File, error)) string {
	t.Helper()
	f, err := open()
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	b, err := io.ReadAll(f)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// until waits for a condition on the outside world, which no clock can fake.
func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(20 * time.Second); !ok(); <-tick.C {
		if time.Now().After(deadline) {
			t.Fatalf("not within 20 s: %s", what)
		}
	}
}

func exists(path string) func() bool {
	return func() bool { _, err := os.Stat(path); return err == nil }
}

func TestRunsOnceAndRecords(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	spec := sh(`echo "out $A"; echo err >&2; cat; pwd; env | grep -v ^PATH; echo x >>count; exit 7`)
	spec.Env = append(spec.Env, "A=\xff b", "TOKEN=t")
	spec.Stdin = []byte("from stdin\n")
	spec.Dir = dir
	p := start(t, dir, spec)
	e := wait(t, p)
	if e.Code != 7 || e.Signal != "" || e.Limit != "" || e.Stopped || e.Lost || e.Error != "" || e.Ended.Before(e.Started) || e.MaxRSS == 0 || e.OK() {
		t.Errorf("Wait = %+v; want code 7", e)
	}
	// The shell adds PWD by itself, and some add more; what matters is that nothing is ours.
	got := output(t, p.Stdout)
	for _, line := range []string{"out \xff b\n", "from stdin\n", dir + "\n", "TOKEN=t\n"} {
		if !strings.Contains(got, line) {
			t.Errorf("stdout = %q; want %q in it", got, line)
		}
	}
	if strings.Contains(got, "HOME=") {
		t.Errorf("the program inherited the environment: %q", got)
	}
	if got := output(t, p.Stderr); got != "err\n" {
		t.Errorf("stderr = %q", got)
	}

	again := start(t, dir, sh("echo x >>count"))
	if e2 := wait(t, again); e2 != e {
		t.Errorf("starting again gave %+v; want %+v", e2, e)
	}
	if b, _ := os.ReadFile(filepath.Join(dir, "count")); string(b) != "x\n" {
		t.Errorf("the program ran %d times", len(b)/2)
	}
	// Neither the environment nor the input may be on the disk.
	files, _ := os.ReadDir(dir)
	for _, f := range files {
		if f.Type().IsRegular() && f.Name() != "stdout" {
			if b, _ := os.ReadFile(filepath.Join(dir, f.Name())); bytes.Contains(b, []byte("TOKEN")) || bytes.Contains(b, []byte("from stdin")) {
				t.Errorf("%s has secrets: %q", f.Name(), b)
			}
		}
		if i, err := f.Info(); err == nil && f.Name() != "count" && i.Mode().Perm() != 0o600 {
			t.Errorf("%s has mode %v", f.Name(), i.Mode())
		}
	}
}

func TestConcurrentStartsRunOne(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "new", "dir")
	var wg sync.WaitGroup
	for range 6 {
		wg.Go(func() {
			p, err := shim.Start(self(), dir, sh("echo x >>count"))
			if err != nil {
				t.Error(err)
				return
			}
			if e, err := p.Wait(t.Context()); !e.OK() || err != nil {
				t.Errorf("Wait = %+v, %v", e, err)
			}
		})
	}
	wg.Wait()
	if b, _ := os.ReadFile(filepath.Join(dir, "count")); string(b) != "x\n" {
		t.Errorf("the program ran %d times", len(b)/2)
	}
}

func TestCannotStart(t *testing.T) {
	t.Parallel()
	for name, spec := range map[string]shim.Spec{
		"unknown":         {Argv: []string{"no-such-program"}, Env: []string{path}},
		"no path":         {Argv: []string{"sh"}},
		"relative path":   {Argv: []string{"sh"}, Env: []string{"PATH=.:bin"}},
		"missing":         {Argv: []string{"/no/such/program"}},
		"missing limited": {Argv: []string{"/no/such/program"}, Limits: shim.Limits{CPU: time.Second}},
		"a directory":     {Argv: []string{"/"}},
		"bad directory":   {Argv: []string{"/bin/true"}, Dir: "/no/such/dir"},
	} {
		p := start(t, t.TempDir(), spec)
		if e := wait(t, p); e.Error == "" || e.OK() || e.Lost || e.Code != -1 {
			t.Errorf("%s: Wait = %+v; want an Error", name, e)
		}
	}
	for name, spec := range map[string]shim.Spec{"empty": {}, "empty name": {Argv: []string{""}}, "nul": {Argv: []string{"a\x00b"}}, "nul in env": {Argv: []string{"a"}, Env: []string{"A=\x00"}}} {
		dir := t.TempDir()
		if _, err := shim.Start(self(), dir, spec); !errs.Is(err, errs.Invalid) {
			t.Errorf("%s: Start = %v; want Invalid", name, err)
		}
		if _, err := shim.Attach(dir); !errs.Is(err, errs.NotFound) {
			t.Errorf("%s: Attach after it = %v; want NotFound", name, err)
		}
	}
	dir := t.TempDir()
	if _, err := shim.Start([]string{"/bin/false"}, dir, sh("true")); err == nil {
		t.Error("Start with a shim that does nothing succeeded")
	}
	start(t, dir, sh("true")) // the failed start must not have used the directory up
}

func TestSurvivesItsStarter(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	release := filepath.Join(dir, "release")
	starter := exec.Command(self()[0], "starter", dir, "echo before; while [ ! -e "+release+" ]; do sleep 0.02; done; echo after; exit 3")
	starter.Env = []string{path}
	out, err := starter.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := starter.Start(); err != nil {
		t.Fatal(err)
	}
	line := make([]byte, 64)
	n, _ := out.Read(line)
	if got := string(line[:n]); got != "started <nil>\n" {
		t.Fatalf("starter said %q", got)
	}
	// The whole group, as an impatient service manager or Ctrl-C would.
	if err := errors.Join(starter.Process.Signal(syscall.SIGINT), starter.Process.Kill()); err != nil {
		t.Fatal(err)
	}
	_ = starter.Wait()

	p, err := shim.Attach(dir)
	if err != nil {
		t.Fatal(err)
	}
	if running, err := p.Running(); !running || err != nil {
		t.Fatalf("Running = %v, %v; want true", running, err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Millisecond)
	defer cancel()
	if _, err := p.Wait(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Wait of a running program = %v; want its deadline", err)
	}
	if err := os.WriteFile(release, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if e := wait(t, p); e.Code != 3 || output(t, p.Stdout) != "before\nafter\n" {
		t.Errorf("Wait = %+v, stdout %q", e, output(t, p.Stdout))
	}
	if running, err := p.Running(); running || err != nil {
		t.Errorf("Running after the end = %v, %v; want false", running, err)
	}
}

func TestLost(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	p := start(t, dir, sh("echo $$ >pid; echo $PPID >shim; mv pid ready; exec sleep 1000"))
	until(t, "the program runs", exists(filepath.Join(dir, "ready")))
	pid, shimPID := readPID(t, filepath.Join(dir, "ready")), readPID(t, filepath.Join(dir, "shim"))
	if err := syscall.Kill(shimPID, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	if e := wait(t, p); !e.Lost || e.Code != -1 || e.OK() {
		t.Errorf("Wait = %+v; want Lost", e)
	}
	until(t, "the program is killed with its shim", func() bool { return !alive(pid) })
	again := start(t, dir, sh("true"))
	if e := wait(t, again); !e.Lost {
		t.Errorf("starting again gave %+v; want Lost", e)
	}
}

func readPID(t *testing.T, file string) int {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(b)))
	if err != nil {
		t.Fatal(err)
	}
	return pid
}

// alive reports whether pid is a process that is not a zombie.
func alive(pid int) bool {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	return err == nil && !strings.Contains(string(b), ") Z ")
}

func TestSignal(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name, script string
		grace        time.Duration
		code         int
		signal       string
		out          string
	}{
		{"graceful", `trap 'echo bye; exit 4' TERM; echo ready; while :; do sleep 0.02; done`, 20 * time.Second, 4, "", "ready\nbye\n"},
		{"default", `echo ready; exec sleep 1000`, 20 * time.Second, -1, "SIGTERM", "ready\n"},
		{"stubborn", `trap '' TERM; echo ready; while :; do sleep 0.02; done`, 50 * time.Millisecond, -1, "SIGKILL", "ready\n"},
		{"at once", `trap 'echo bye' TERM; echo ready; while :; do sleep 0.02; done`, 0, -1, "SIGKILL", "ready\n"},
		{"stopped", `echo ready; kill -STOP $$; exit 9`, 20 * time.Second, -1, "SIGTERM", "ready\n"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			p := start(t, t.TempDir(), sh(tc.script))
			until(t, "the program is ready", func() bool { return output(t, p.Stdout) != "" })
			for range 2 { // the second finds it gone
				if err := p.Signal(t.Context(), tc.grace); err != nil {
					t.Errorf("Signal = %v", err)
				}
			}
			if e := wait(t, p); e.Code != tc.code || e.Signal != tc.signal || !e.Stopped || output(t, p.Stdout) != tc.out {
				t.Errorf("Wait = %+v, stdout %q; want code %d, signal %q, stdout %q", e, output(t, p.Stdout), tc.code, tc.signal, tc.out)
			}
		})
	}
}

func TestSignalReachesAllDescendants(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	// A tree of processes that ignore SIGTERM, some in sessions of their own and orphaned, that
	// keep making more.
	script := `trap '' TERM
spawn() { while :; do setsid sh -c 'trap "" TERM; echo $$ >>pids; sleep 1000 & wait' & sleep 0.05; done; }
spawn & (setsid sh -c 'trap "" TERM; echo $$ >>pids; sleep 1000; :' &) ; echo $$ >>pids; wait`
	p := start(t, dir, sh(script))
	pids := func() []string {
		b, _ := os.ReadFile(filepath.Join(dir, "pids"))
		return strings.Fields(string(b))
	}
	until(t, "there are some processes", func() bool { return len(pids()) > 8 })
	if err := p.Signal(t.Context(), 100*time.Millisecond); err != nil {
		t.Fatal(err)
	}
	for _, s := range pids() {
		if pid, _ := strconv.Atoi(s); alive(pid) {
			t.Errorf("process %d is still there", pid)
		}
	}
	if e := wait(t, p); e.Signal != "SIGKILL" {
		t.Errorf("Wait = %+v; want SIGKILL", e)
	}
}

func TestLeftoversAreKilled(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	p := start(t, dir, sh(`setsid sleep 1000 & echo $! >left; exit 0`))
	if e := wait(t, p); !e.OK() {
		t.Errorf("Wait = %+v; want OK", e)
	}
	if pid := readPID(t, filepath.Join(dir, "left")); alive(pid) {
		t.Errorf("process %d outlived the program", pid)
	}
}

// What may linger ends by itself; an order to kill, and the end of its time, end it.
func TestLinger(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	spec := sh(`(until test -e go; do sleep 0.05; done; touch late) & exit 0`)
	spec.Linger = time.Minute
	p := start(t, dir, spec)
	if running, err := p.Running(); !running || err != nil {
		t.Errorf("Running = %v, %v while something lingers; want true", running, err)
	}
	if err := os.WriteFile(filepath.Join(dir, "go"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if e := wait(t, p); !e.OK() || !exists(filepath.Join(dir, "late"))() {
		t.Errorf("exit = %+v; want what lingered to have ended by itself", e)
	}
	dir = t.TempDir()
	spec = sh(`(sleep 1000) & exit 0`)
	spec.Linger = time.Hour
	p = start(t, dir, spec)
	if err := p.Signal(t.Context(), 0); err != nil {
		t.Errorf("Signal = %v", err)
	}
	spec.Linger = time.Millisecond
	if e := wait(t, start(t, t.TempDir(), spec)); !e.OK() {
		t.Errorf("exit = %+v", e)
	}
}

func TestLimits(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name, script string
		limits       shim.Limits
		want         string
	}{
		{"wall", "exec sleep 1000", shim.Limits{Wall: 100 * time.Millisecond}, shim.LimitWall},
		{"cpu", "while :; do :; done", shim.Limits{CPU: time.Second}, shim.LimitCPU},
		{"output", "exec cat /dev/zero", shim.Limits{Output: 100_000}, shim.LimitOutput},
		{"stderr", "exec cat /dev/zero >&2", shim.Limits{Output: 100_000}, shim.LimitOutput},
		{"quick output", "head -c 200000 /dev/zero", shim.Limits{Output: 100_000}, shim.LimitOutput},
		{"file size", "exec head -c 1000000 /dev/zero >file", shim.Limits{FileSize: 100_000}, shim.LimitFileSize},
		{"procs", "while :; do sleep 1000 & done", shim.Limits{Procs: 20}, shim.LimitProcs},
		{"none", "head -c 100000 /dev/zero", shim.Limits{Output: 100_000, Wall: time.Minute, CPU: time.Minute, FileSize: 1, Procs: 5, Memory: 1 << 30}, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			spec := sh(tc.script)
			spec.Limits = tc.limits
			p := start(t, dir, spec)
			if e := wait(t, p); e.Limit != tc.want || e.OK() != (tc.want == "") {
				t.Errorf("Wait = %+v; want limit %q", e, tc.want)
			}
			for _, name := range []string{"stdout", "stderr", "file"} {
				if i, err := os.Stat(filepath.Join(dir, name)); err == nil && i.Size() > 100_000 {
					t.Errorf("%s has %d bytes", name, i.Size())
				}
			}
		})
	}
}

func TestMemoryLimitAndExactEnvironment(t *testing.T) {
	t.Parallel()
	spec := shim.Spec{Argv: []string{"/usr/bin/env"}, Env: []string{"A=1", "B=\xff"}, Limits: shim.Limits{Memory: 1 << 30}}
	p := start(t, t.TempDir(), spec)
	if e := wait(t, p); !e.OK() || output(t, p.Stdout) != "A=1\nB=\xff\n" {
		t.Errorf("Wait = %+v, stdout %q; want the environment as given", e, output(t, p.Stdout))
	}
	spec = sh("ulimit -v; ulimit -H -v")
	spec.Limits.Memory = 64 << 20
	p = start(t, t.TempDir(), spec)
	if e := wait(t, p); !e.OK() || output(t, p.Stdout) != "65536\n65536\n" {
		t.Errorf("Wait = %+v, limits %q; want 65536 twice", e, output(t, p.Stdout))
	}
}

func TestTail(t *testing.T) {
	t.Parallel()
	const size = 3_000_000
	dir := t.TempDir()
	p := start(t, dir, sh(fmt.Sprintf("yes tutti | head -c %d; while [ ! -e go ]; do sleep 0.02; done; echo end", size)))
	f, err := p.Stdout()
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	full := errors.New("full")
	var got bytes.Buffer
	offset, err := p.Tail(t.Context(), f, 0, func(b []byte) error {
		if got.Len() > size/2 {
			return full
		}
		got.Write(b)
		return nil
	})
	if !errors.Is(err, full) || offset != int64(got.Len()) {
		t.Fatalf("Tail = %d, %v; want %d and its own error", offset, err, got.Len())
	}
	offset, err = p.Tail(t.Context(), f, offset, func(b []byte) error {
		got.Write(b)
		if got.Len() == size {
			return os.WriteFile(filepath.Join(dir, "go"), nil, 0o600)
		}
		return nil
	})
	want := strings.Repeat("tutti\n", size/6) + "end\n"
	if err != nil || offset != int64(len(want)) || got.String() != want {
		t.Errorf("Tail = %d, %v and %d bytes; want %d", offset, err, got.Len(), len(want))
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := p.Tail(ctx, f, 0, func([]byte) error { return nil }); !errors.Is(err, context.Canceled) {
		t.Errorf("Tail(cancelled) = %v; want context.Canceled", err)
	}
}

func TestAttachToNothing(t *testing.T) {
	t.Parallel()
	for _, dir := range []string{t.TempDir(), filepath.Join(t.TempDir(), "missing")} {
		if _, err := shim.Attach(dir); !errs.Is(err, errs.NotFound) {
			t.Errorf("Attach = %v; want NotFound", err)
		}
	}
}

func BenchmarkStartWait(b *testing.B) {
	root := b.TempDir()
	for i := 0; b.Loop(); i++ {
		p, err := shim.Start(self(), filepath.Join(root, strconv.Itoa(i)), shim.Spec{Argv: []string{"/bin/true"}})
		if err != nil {
			b.Fatal(err)
		}
		if e, err := p.Wait(b.Context()); !e.OK() || err != nil {
			b.Fatalf("Wait = %+v, %v", e, err)
		}
	}
}
