// Package specs runs the scripts of testdata against the real binary, each with folders, ports and
// processes of its own: what users were promised, clause by clause (see the numbered pages beside it).
//
// Beside testscript's own commands there are:
//
//	tutti ARGS                     runs the binary; what it prints is checked with stdout, stderr, cmp
//	exits CODE ARGS                the same, with the exit code it must have
//	spawn NAME ARGS                starts it in the background
//	await NAME REGEXP [VARIABLE]   waits until NAME printed a match; the first group goes to VARIABLE
//	signal NAME KILL|INT           sends a signal to NAME and waits for its end
//	ended NAME CODE                waits until NAME has ended, with that exit code
//	server [FLAGS]                 starts `tutti serve` in $WORK/data, again where it was ended, as a
//	                               process named server; the first time it makes the administrator anna
//	demo [FLAGS]                   starts `tutti demo` in $WORK/demo as a process named demo, and waits
//	                               until it serves; calls are Anna's, $OLGA is Olga's token
//	take VARIABLE REGEXP           puts the first group of a match in stdout into VARIABLE
//	until ARGS -- REGEXP           runs the binary again and again until what it prints matches
//	machines [PREFIX*] NAME...     checks which machines the vCenter of the demo holds, by its own API;
//	                               with a prefix only those whose names begin with it count
package specs_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/testscript"

	"tutti/internal/demo/vcenter"
)

// patience bounds every wait: far more than anything takes on a busy machine.
const patience = 2 * time.Minute

func TestScripts(t *testing.T) {
	t.Parallel()
	binary := build(t)
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata",
		RequireUniqueNames:  true,
		RequireExplicitExec: true,
		Setup: func(e *testscript.Env) error {
			home := filepath.Join(e.WorkDir, "home")
			e.Setenv("HOME", home)
			e.Setenv("XDG_CONFIG_HOME", filepath.Join(home, ".config"))
			e.Setenv("PATH", filepath.Dir(binary)+string(os.PathListSeparator)+os.Getenv("PATH"))
			e.Setenv("NO_COLOR", "1")
			w := &world{binary: binary, running: map[string]*process{}}
			e.Values[key{}] = w
			e.Defer(w.end)
			return os.MkdirAll(home, 0o700)
		},
		Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){
			"tutti": run, "exits": exits, "spawn": spawn, "await": await, "signal": signal, "ended": ended,
			"server": server, "demo": demo, "take": take, "until": until, "machines": machines,
		},
	})
}

// build returns the binary under test: that of $TUTTI, or one made of the source.
func build(t *testing.T) string {
	t.Helper()
	if given := os.Getenv("TUTTI"); given != "" {
		return given
	}
	binary, err := built()
	if err != nil {
		t.Fatal(err)
	}
	return binary
}

// buildDir is the variable that says where this process builds.
const buildDir = "TUTTI_TEST_BUILD"

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "tutti-specs-")
	if err == nil {
		err = os.Setenv(buildDir, dir)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	code := m.Run()
	_ = os.RemoveAll(dir) // it is temporary anyway
	os.Exit(code)
}

// built is the binary made of the source, once for all tests of this process.
var built = sync.OnceValues(func() (string, error) {
	binary := filepath.Join(os.Getenv(buildDir), "tutti")
	if out, err := exec.Command("go", "build", "-o", binary, "../cmd/tutti").CombinedOutput(); err != nil {
		return "", fmt.Errorf("go build: %w\n%s", err, out)
	}
	return binary, nil
})

type key struct{}

// world is what a script has running.
type world struct {
	binary  string
	running map[string]*process
}

func of(ts *testscript.TestScript) *world { return ts.Value(key{}).(*world) }

// end ends what still runs, gently first, so that a demo takes its vCenter along.
func (w *world) end() {
	for _, p := range w.running {
		_ = p.cmd.Process.Signal(syscall.SIGINT) // it may have ended
	}
	for _, p := range w.running {
		select {
		case <-p.done:
		case <-time.After(20 * time.Second):
			_ = p.cmd.Process.Kill()
			<-p.done
		}
	}
}

// process is a program in the background.
type process struct {
	cmd  *exec.Cmd
	done chan struct{} // closed when it has ended

	mu      sync.Mutex
	printed bytes.Buffer
	more    chan struct{} // closed and replaced when it printed more
}

// Write takes what the process prints.
func (p *process) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	close(p.more)
	p.more = make(chan struct{})
	return p.printed.Write(b)
}

func (p *process) output() (string, <-chan struct{}) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.printed.String(), p.more
}

// command returns the binary with arguments, as the script would run it.
func command(ctx context.Context, ts *testscript.TestScript, args []string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, of(ts).binary, args...)
	cmd.Dir = ts.MkAbs(".")
	for _, name := range []string{"PATH", "HOME", "XDG_CONFIG_HOME", "NO_COLOR", "TMPDIR", "TUTTI_SERVER", "TUTTI_TOKEN", "TUTTI_NAMESPACE", "TUTTI_CONTEXT"} {
		if v := ts.Getenv(name); v != "" {
			cmd.Env = append(cmd.Env, name+"="+v)
		}
	}
	return cmd
}

// call runs the binary and returns its exit code and what it printed, stdout first.
func call(ts *testscript.TestScript, args []string) (code int, printed string) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	cmd := command(ctx, ts, args)
	var out, problems bytes.Buffer
	in, err := os.ReadFile(ts.MkAbs("stdin"))
	if err == nil { // a script writes it for the command that follows
		cmd.Stdin = bytes.NewReader(in)
		ts.Check(os.Remove(ts.MkAbs("stdin")))
	}
	cmd.Stdout, cmd.Stderr = &out, &problems
	err = cmd.Run()
	_, _ = ts.Stdout().Write(out.Bytes())
	_, _ = ts.Stderr().Write(problems.Bytes())
	printed = out.String() + problems.String()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		return exit.ExitCode(), printed
	}
	ts.Check(err)
	return 0, printed
}

func run(ts *testscript.TestScript, neg bool, args []string) {
	code, _ := call(ts, args)
	if neg != (code != 0) {
		ts.Fatalf("tutti %s: exit code %d", strings.Join(args, " "), code)
	}
}

func exits(ts *testscript.TestScript, neg bool, args []string) {
	need(ts, !neg && len(args) > 1, "exits CODE ARGS")
	if code, _ := call(ts, args[1:]); strconv.Itoa(code) != args[0] {
		ts.Fatalf("tutti %s: exit code %d; want %s", strings.Join(args[1:], " "), code, args[0])
	}
}

func spawn(ts *testscript.TestScript, neg bool, args []string) {
	need(ts, !neg && len(args) > 1, "spawn NAME ARGS")
	start(ts, args[0], args[1:])
}

// start starts a process, in a session of its own.
func start(ts *testscript.TestScript, name string, args []string) *process {
	w := of(ts)
	if old := w.running[name]; old != nil {
		select {
		case <-old.done:
		default:
			ts.Fatalf("%s is running", name)
		}
	}
	p := &process{cmd: command(context.Background(), ts, args), done: make(chan struct{}), more: make(chan struct{})}
	p.cmd.Stdout, p.cmd.Stderr = p, p
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	p.cmd.WaitDelay = time.Second // what it started may hold its output open
	ts.Check(p.cmd.Start())
	w.running[name] = p
	go func() {
		_ = p.cmd.Wait() // ended looks at the exit code
		close(p.done)
	}()
	return p
}

func process1(ts *testscript.TestScript, name string) *process {
	p := of(ts).running[name]
	if p == nil {
		ts.Fatalf("nothing named %s was started", name)
	}
	return p
}

func await(ts *testscript.TestScript, neg bool, args []string) {
	need(ts, !neg && (len(args) == 2 || len(args) == 3), "await NAME REGEXP [VARIABLE]")
	match := process1(ts, args[0]).await(ts, args[0], args[1])
	if len(args) == 3 {
		need(ts, len(match) > 1, "a group in the expression")
		ts.Setenv(args[2], match[1])
	}
}

// await waits until p printed a match of an expression, in which ^ and $ are the ends of lines.
func (p *process) await(ts *testscript.TestScript, name, expr string) []string {
	re, err := regexp.Compile("(?m)" + expr)
	ts.Check(err)
	late := time.After(patience)
	for over := false; ; {
		text, more := p.output()
		if m := re.FindStringSubmatch(text); m != nil {
			return m
		}
		if over {
			ts.Fatalf("%s ended, and did not print %q:\n%s", name, expr, text)
		}
		select {
		case <-more:
		case <-p.done:
			over = true
		case <-late:
			ts.Fatalf("%s did not print %q:\n%s", name, expr, text)
		}
	}
}

func signal(ts *testscript.TestScript, neg bool, args []string) {
	need(ts, !neg && len(args) == 2, "signal NAME KILL|INT")
	sig, ok := map[string]syscall.Signal{"KILL": syscall.SIGKILL, "INT": syscall.SIGINT}[args[1]]
	need(ts, ok, "signal NAME KILL|INT")
	p := process1(ts, args[0])
	ts.Check(p.cmd.Process.Signal(sig))
	p.wait(ts, args[0])
}

func ended(ts *testscript.TestScript, neg bool, args []string) {
	need(ts, !neg && len(args) == 2, "ended NAME CODE")
	p := process1(ts, args[0])
	p.wait(ts, args[0])
	if code := strconv.Itoa(p.cmd.ProcessState.ExitCode()); code != args[1] {
		text, _ := p.output()
		ts.Fatalf("%s ended with exit code %s; want %s:\n%s", args[0], code, args[1], text)
	}
}

func (p *process) wait(ts *testscript.TestScript, name string) {
	select {
	case <-p.done:
	case <-time.After(patience):
		text, _ := p.output()
		ts.Fatalf("%s did not end:\n%s", name, text)
	}
}

func server(ts *testscript.TestScript, neg bool, args []string) {
	need(ts, !neg, "server [FLAGS]")
	data := ts.MkAbs("data")
	p := start(ts, "server", append([]string{"serve", "--data", data, "--listen", "127.0.0.1:0"}, args...))
	ts.Setenv("TUTTI_SERVER", p.await(ts, "server", `ready at (http://\S+)`)[1])
	if ts.Getenv("TUTTI_TOKEN") != "" {
		return
	}
	ts.Check(os.WriteFile(ts.MkAbs("stdin"), []byte("correct horse battery"), 0o600))
	run(ts, false, []string{"login", "--bootstrap", filepath.Join(data, "bootstrap-token"), "--user", "anna"})
	_, out := call(ts, []string{"token", "create", "script", "-o", "json"})
	m := regexp.MustCompile(`"secret": "([^"]+)"`).FindStringSubmatch(out)
	need(ts, m != nil, "a token in "+out)
	ts.Setenv("TUTTI_TOKEN", m[1])
}

func demo(ts *testscript.TestScript, neg bool, args []string) {
	need(ts, !neg, "demo [FLAGS]")
	data := ts.MkAbs("demo")
	p := start(ts, "demo", append([]string{"demo", "--data", data, "--listen", "127.0.0.1:0"}, args...))
	if slices.Contains(args, "--once") {
		return
	}
	p.await(ts, "demo", `^Serving until`)
	for name, file := range map[string]string{"TUTTI_SERVER": "address", "TUTTI_TOKEN": "anna.token", "OLGA": "olga.token"} {
		b, err := os.ReadFile(filepath.Join(data, file))
		ts.Check(err)
		ts.Setenv(name, strings.TrimSpace(string(b)))
	}
}

func take(ts *testscript.TestScript, neg bool, args []string) {
	need(ts, !neg && len(args) == 2, "take VARIABLE REGEXP")
	re, err := regexp.Compile("(?m)" + args[1])
	ts.Check(err)
	m := re.FindStringSubmatch(ts.ReadFile("stdout"))
	if len(m) < 2 {
		ts.Fatalf("no match of %q with a group in stdout", args[1])
	}
	ts.Setenv(args[0], m[1])
}

func until(ts *testscript.TestScript, neg bool, args []string) {
	at := slices.Index(args, "--")
	need(ts, !neg && at > 0 && at == len(args)-2, "until ARGS -- REGEXP")
	re, err := regexp.Compile("(?m)" + args[at+1])
	ts.Check(err)
	late := time.Now().Add(patience)
	for {
		_, out := call(ts, args[:at])
		if re.MatchString(out) {
			return
		}
		if time.Now().After(late) {
			ts.Fatalf("tutti %s never printed %q, at last:\n%s", strings.Join(args[:at], " "), args[at+1], out)
		}
	}
}

func machines(ts *testscript.TestScript, neg bool, args []string) {
	need(ts, !neg, "machines [PREFIX*] NAME...")
	v, err := vcenter.Find(context.Background(), ts.MkAbs("demo/vcenter"))
	ts.Check(err)
	all, err := v.Machines(context.Background())
	ts.Check(err)
	prefix := ""
	if len(args) > 0 && strings.HasSuffix(args[0], "*") {
		prefix, args = strings.TrimSuffix(args[0], "*"), args[1:]
	}
	var got []string
	for _, m := range all {
		if strings.HasPrefix(m.Name, prefix) {
			got = append(got, m.Name)
		}
	}
	slices.Sort(args)
	if diff := cmp.Diff(args, got); diff != "" {
		ts.Fatalf("the vCenter does not hold what it should (-want +got):\n%s", diff)
	}
}

func need(ts *testscript.TestScript, ok bool, format string) {
	if !ok {
		ts.Fatalf("%s", fmt.Sprintf("expected %s", format))
	}
}
