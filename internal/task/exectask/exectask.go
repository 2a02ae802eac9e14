// Package exectask is the task type exec: a program on the worker's machine, given as a list of
// arguments and never as a line for a shell. The program runs under package shim in a session of its
// own, so that it survives a restart of the server, and the attempt that follows finds it again by the
// handle stored before it was started.
//
// It owns a folder of work, in which each start of a program has a folder of its own: shim/ with the
// record and the output, work/ where it runs. Those of a week ago are removed.
package exectask

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"tutti/api"
	"tutti/errs"
	"tutti/internal/shim"
	"tutti/internal/task"
	"tutti/sdk"
)

// Permission is what a publisher must hold to use the type.
const Permission = "task.exec"

// The failure types.
const (
	failExit   = "exec.exit"
	failSignal = "exec.signal"
	failLimit  = "exec.limit"
	failStart  = "exec.start"
	failLost   = "exec.lost"
)

const (
	defaultPath   = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
	defaultWall   = 24 * time.Hour
	defaultOutput = 64 << 20
	defaultProcs  = 512
	defaultGrace  = 5 * time.Second
	// tempFail is the exit status by which programs say that they may succeed later (EX_TEMPFAIL).
	tempFail = 75
)

type with struct {
	Argv   []string          `json:"argv" doc:"The program and its arguments; no shell is between" minItems:"1" maxItems:"4096"`
	Env    map[string]string `json:"env,omitempty" doc:"Environment beside PATH, HOME, LANG and TUTTI_*; the place for secrets"`
	Dir    string            `json:"dir,omitempty" doc:"Directory to run in, within the program's own work folder; it is made" maxLength:"1024"`
	Stdin  json.RawMessage   `json:"stdin,omitempty" doc:"Standard input: text as it is, anything else as JSON"`
	Limits limits            `json:"limits,omitempty" doc:"What the program may use"`
	Grace  api.Duration      `json:"grace,omitempty" doc:"Time between SIGTERM and SIGKILL when it is cancelled; by default 5s"`
}

type limits struct {
	Wall     api.Duration `json:"wall,omitempty" doc:"How long it may run, also without a server; by default 1d"`
	CPU      api.Duration `json:"cpu,omitempty" doc:"CPU time of each process, in whole seconds; by default no limit"`
	MemoryMB int64        `json:"memoryMB,omitempty" doc:"Address space of each process; by default no limit" minimum:"1" maximum:"16777216"`
	OutputMB int64        `json:"outputMB,omitempty" doc:"Size of stdout, and of stderr; by default 64" minimum:"1" maximum:"4096"`
	Procs    int          `json:"procs,omitempty" doc:"Processes at one time; by default 512" minimum:"1" maximum:"100000"`
}

type out struct {
	ExitCode   int             `json:"exitCode" doc:"Exit status; 0, or the task would have failed"`
	Stdout     string          `json:"stdout" doc:"Standard output, of more than 64 KiB the end"`
	Stderr     string          `json:"stderr" doc:"Standard error, of more than 64 KiB the end"`
	DurationMs int64           `json:"durationMs" doc:"How long it ran, in milliseconds"`
	JSON       json.RawMessage `json:"json,omitempty" doc:"The standard output as a value, where it is JSON of at most 512 KiB"`
}

// handle is the variable by which an attempt finds the program of the one before.
type handle struct {
	Host  string `json:"host"`
	Start int    `json:"start"` // counts the starts of this task, from 1
	// Settled says that how it ended was told the engine, so that the next attempt starts anew.
	Settled bool `json:"settled,omitempty"`
}

const variable = "exec"

// New returns the task type. self is the command line that reaches shim.Main; work is the folder it owns;
// places bound how many programs run.
func New(self []string, work string, places Places) sdk.TaskType {
	p := newPrograms(self, work, places)
	return task.Define(api.TaskType{
		Name: "exec", Title: "Run a program", Doc: "Runs a program on the worker's machine and logs what it prints. It survives a restart of the server.",
		Perm: Permission, Reattach: true,
		Errors: map[string]string{
			failExit:   "the program ended with a status other than 0; details.code is the status. Worth another attempt for 75 (EX_TEMPFAIL)",
			failSignal: "the program was ended by a signal; details.signal names it",
			failLimit:  "the program hit a limit; details.limit names it",
			failStart:  "the program could not be started",
			failLost:   "the program vanished, with its machine or its shim; what it had done is not known. Worth another attempt where it may run twice",
		},
	}, p.do)
}

type programs struct {
	self   []string
	work   string
	places Places
	swept  sweeper
}

func newPrograms(self []string, work string, places Places) *programs {
	if abs, err := filepath.Abs(work); err == nil {
		work = abs
	}
	return &programs{self: self, work: work, places: places}
}

func (p *programs) do(ctx context.Context, t *sdk.Task, in with) (out, error) {
	if err := check(in); err != nil {
		return out{}, err
	}
	if err := ctx.Err(); err != nil {
		return out{}, err
	}
	p.swept.sweep(p.work, time.Now())
	free, err := p.place(ctx, t)
	if err != nil {
		return out{}, err
	}
	defer free()
	h, err := p.handle(ctx, t)
	if err != nil {
		return out{}, err
	}
	proc, err := p.start(t, in, h)
	if err != nil {
		return out{}, err
	}
	exit, err := p.follow(ctx, t, proc, h, grace(in), t.Stdout())
	if err != nil {
		return out{}, err
	}
	result, err := results(t, in.Argv[0], proc, exit)
	if err != nil {
		h.Settled = true
		return out{}, errors.Join(err, t.SetVar(ctx, variable, h))
	}
	// The record stays, for an attempt after a crash in this very moment; the files are done with.
	_ = os.RemoveAll(filepath.Join(p.folder(t, h), "work"))
	return result, nil
}

// check refuses what the schema cannot.
func check(in with) error {
	if in.Argv[0] == "" {
		return errs.New(errs.Invalid, "with.argv[0] is empty: it names the program")
	}
	for name, value := range in.Env {
		if !regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`).MatchString(name) || strings.HasPrefix(name, "TUTTI_") {
			return errs.New(errs.Invalid, "with.env has the name %q", name).WithHint("write letters, digits and _, and leave TUTTI_… to the server")
		}
		if strings.ContainsRune(value, 0) {
			return errs.New(errs.Invalid, "with.env.%s contains a NUL byte, which no environment can", name)
		}
	}
	for i, arg := range in.Argv {
		if strings.ContainsRune(arg, 0) {
			return errs.New(errs.Invalid, "with.argv[%d] contains a NUL byte, which no argument can", i)
		}
	}
	if in.Dir != "" && (!filepath.IsLocal(in.Dir) || strings.ContainsRune(in.Dir, 0)) {
		return errs.New(errs.Invalid, "with.dir is %q, which leads out of the work folder", in.Dir).WithHint("write a relative path without ..")
	}
	return nil
}

func grace(in with) time.Duration { return cmp.Or(time.Duration(in.Grace), defaultGrace) }

// handle returns the handle of the program this attempt is about, stored before anything is started.
func (p *programs) handle(ctx context.Context, t *sdk.Task) (handle, error) {
	host, err := os.Hostname()
	if err != nil {
		return handle{}, fmt.Errorf("name of this machine: %w", err)
	}
	var h handle
	found, err := t.Var(variable, &h)
	if err != nil {
		return h, err
	}
	if found && !h.Settled {
		if h.Host == host {
			return h, nil
		}
		if _, err := shim.Attach(filepath.Join(p.folder(t, h), "shim")); err == nil {
			return h, nil // the folder is shared between the machines, or this one was renamed
		}
		was := h.Host
		h.Settled = true
		lost := sdk.Fail(failLost, "the program was started on %s, and this is %s, from where it cannot be found", was, host).Again().
			WithHint("see on %s whether it still runs before you let it run again", was)
		return h, errors.Join(lost, t.SetVar(ctx, variable, h))
	}
	h = handle{Host: host, Start: h.Start + 1}
	return h, t.SetVar(ctx, variable, h)
}

// folder returns the folder of a start. Its name is a digest: no name that others chose becomes a path.
func (p *programs) folder(t *sdk.Task, h handle) string {
	sum := sha256.Sum256([]byte(t.Namespace + "\x00" + t.Key))
	return filepath.Join(p.work, hex.EncodeToString(sum[:16])+"."+strconv.Itoa(h.Start))
}

// start starts the program, or finds it started.
func (p *programs) start(t *sdk.Task, in with, h handle) (*shim.Process, error) {
	folder := p.folder(t, h)
	if proc, err := shim.Attach(filepath.Join(folder, "shim")); err == nil {
		t.Logf("found %s, which was started by an earlier attempt", in.Argv[0])
		return proc, nil
	}
	failed := func(err error) error {
		return sdk.Fail(failStart, "start %s: %v", in.Argv[0], err).Again().WithHint("this is about the worker's machine, not the program: see its log")
	}
	home := filepath.Join(folder, "work")
	if err := os.MkdirAll(home, 0o700); err != nil {
		return nil, failed(err)
	}
	root, err := os.OpenRoot(home)
	if err != nil {
		return nil, failed(err)
	}
	defer root.Close()
	if in.Dir != "" {
		if err := root.MkdirAll(in.Dir, 0o700); err != nil {
			return nil, failed(err)
		}
	}
	l := in.Limits
	proc, err := shim.Start(p.self, filepath.Join(folder, "shim"), shim.Spec{
		Argv: in.Argv, Env: environment(t, in.Env, home), Dir: filepath.Join(home, in.Dir), Stdin: stdin(in.Stdin), Grace: grace(in),
		Limits: shim.Limits{
			Wall: cmp.Or(time.Duration(l.Wall), defaultWall), CPU: time.Duration(l.CPU), Memory: l.MemoryMB << 20,
			Output: cmp.Or(l.OutputMB<<20, defaultOutput), Procs: cmp.Or(l.Procs, defaultProcs),
		},
	})
	if err != nil {
		return nil, failed(err)
	}
	return proc, nil
}

// environment returns all that the program gets.
func environment(t *sdk.Task, given map[string]string, home string) []string {
	env := map[string]string{
		"PATH": cmp.Or(os.Getenv("PATH"), defaultPath), "HOME": home, "LANG": "C.UTF-8",
		"TUTTI_KEY": t.Key, "TUTTI_TRACE": t.Trace, "TUTTI_RUN": string(t.Run), "TUTTI_TASK": t.Task,
		"TUTTI_ATTEMPT": strconv.Itoa(t.Attempt), "TUTTI_FENCE": strconv.FormatInt(t.Fence, 10),
	}
	for name, value := range given {
		env[name] = value
	}
	list := make([]string, 0, len(env))
	for name, value := range env {
		list = append(list, name+"="+value)
	}
	slices.Sort(list)
	return list
}

func stdin(raw json.RawMessage) []byte {
	var text string
	if len(raw) > 0 && raw[0] == '"' && json.Unmarshal(raw, &text) == nil {
		return []byte(text)
	}
	return raw
}
