package tfcli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"tutti/internal/durable"
	"tutti/internal/secretbox"
	"tutti/internal/shim"
	"tutti/internal/terraform"
)

// orders are what a runner reads from its standard input. They hold keys and values, so they are on no
// disk and no command line.
type orders struct {
	Op        string          `json:"op"` // plan or apply
	Dir       string          `json:"dir"`
	Namespace string          `json:"namespace"`
	Workspace string          `json:"workspace"`
	Key       string          `json:"key"`
	DigestKey []byte          `json:"digestKey"`
	Run       string          `json:"run"`
	Result    string          `json:"result"` // name of the file below the run's folder
	Config    string          `json:"config"`
	Program   string          `json:"program"`
	Env       []string        `json:"env"`
	Slots     string          `json:"slots"` // folder of the slots
	SlotCount int             `json:"slotCount"`
	Destroy   bool            `json:"destroy,omitempty"`
	Refresh   bool            `json:"refresh,omitempty"`
	Owner     terraform.Owner `json:"owner"`
}

// result is how a runner's work ended.
type result struct {
	// Type is "" where it went well, or a failure type.
	Type        string                 `json:"type,omitempty"`
	Message     string                 `json:"message,omitempty"`
	Retry       bool                   `json:"retry,omitempty"`
	Diagnostics []terraform.Diagnostic `json:"diagnostics,omitempty"`
	Owner       *terraform.Owner       `json:"owner,omitempty"`
	Resources   []string               `json:"resources,omitempty"`
	Applied     terraform.Applied      `json:"applied"`
}

// runner runs one thing in one workspace.
type runner struct {
	orders
	folder
	box     *secretbox.Box
	scratch string
	held    *os.File // the lock, which the program holds too
	out     io.Writer
	stopped chan os.Signal
	ended   result
}

// Main is the runner, for the hidden command that Config.Runner names. What the program prints goes to
// the standard output, how it ended into the run's folder.
func Main() int {
	r := &runner{out: os.Stdout, stopped: make(chan os.Signal, 8)}
	// The program gets the signal too, and ends in an orderly way; the state is to be kept after that.
	signal.Notify(r.stopped, syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP)
	if err := json.NewDecoder(os.Stdin).Decode(&r.orders); err != nil {
		fmt.Fprintln(os.Stderr, "read the orders:", err)
		return 2
	}
	r.folder = folder{r.Dir, r.Namespace, r.Workspace}
	var err error
	if r.box, err = secretbox.FromBase64(r.Key); err == nil {
		err = r.work()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		r.fail(terraform.FailState, "%v", err)
	}
	b, err := json.Marshal(r.ended)
	if err == nil {
		err = durable.Replace(r.path("runs", r.Run, r.Result), b)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "record how it ended:", err)
		return 2
	}
	if r.ended.Type != "" {
		return 1
	}
	return 0
}

func (r *runner) fail(typ, format string, args ...any) *result {
	r.ended.Type, r.ended.Message = typ, fmt.Sprintf(format, args...)
	return &r.ended
}

// work does it with the lock held. Its error is about our own files; what the program had against it is
// in ended.
func (r *runner) work() error {
	free, err := shim.Slot(r.Slots, r.SlotCount, r.stopped, r.out)
	if err != nil {
		return err
	}
	defer free()
	held, owner, err := r.lock(r.Owner)
	if err != nil {
		return err
	}
	if held == nil {
		r.fail(terraform.FailLocked, "something else runs in workspace %s", r.name).Retry = true
		r.ended.Owner = &owner
		return nil
	}
	defer release(held)
	r.held = held
	if r.scratch, err = r.folder.scratch(r.Key); err != nil {
		return err
	}
	if err := r.recover(); err != nil {
		return err
	}
	if err := r.prepare(); err != nil {
		return err
	}
	if r.Op == "apply" {
		err = r.apply()
	} else {
		err = r.plan()
	}
	if kept := r.keep(); kept != nil {
		return errors.Join(err, kept) // and the scratch stays, for the next one
	}
	return errors.Join(err, os.RemoveAll(r.scratch))
}

func (r *runner) plainState() string { return filepath.Join(r.scratch, "terraform.tfstate") }

// recover keeps the state that a runner which was killed left in memory.
func (r *runner) recover() error {
	left, err := os.ReadFile(r.plainState())
	if errors.Is(err, fs.ErrNotExist) {
		return os.RemoveAll(r.scratch)
	}
	if err != nil {
		return err
	}
	newer := json.Valid(left)
	if newer {
		found, err := readState(left)
		newer = err == nil
		if old, oldErr := r.unseal(r.box, fileState); newer && oldErr == nil {
			was, _ := readState(old)
			newer = was.Lineage == found.Lineage && found.Serial >= was.Serial
		}
	}
	if newer {
		fmt.Fprintln(r.out, "found the state that a killed run left")
		if err := r.keepState(r.box, left); err != nil {
			return err
		}
	}
	return os.RemoveAll(r.scratch)
}

// prepare puts what the program needs into place.
func (r *runner) prepare() error {
	if err := os.Mkdir(r.scratch, 0o700); err != nil {
		return err
	}
	if plain, err := r.unseal(r.box, fileState); err == nil {
		if err := os.WriteFile(r.plainState(), plain, 0o600); err != nil {
			return err
		}
	} else if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	backend := fmt.Sprintf("terraform {\n  backend \"local\" {\n    path = %q\n  }\n}\n", r.plainState())
	if err := os.WriteFile(r.source("tutti_driver_override.tf"), []byte(backend), 0o600); err != nil {
		return err
	}
	// The versions of providers that the workspace chose once are those of each configuration that does
	// not choose itself.
	if _, err := os.Stat(r.source(lockHCL)); errors.Is(err, fs.ErrNotExist) {
		if b, err := os.ReadFile(r.path(lockHCL)); err == nil {
			return os.WriteFile(r.source(lockHCL), b, 0o600)
		}
	}
	return nil
}

const lockHCL = ".terraform.lock.hcl"

func (r *runner) source(elements ...string) string {
	return r.path(append([]string{"configs", r.Config}, elements...)...)
}

func (r *runner) inScratch(name string) string { return filepath.Join(r.scratch, name) }

// plan makes a plan and keeps it.
func (r *runner) plan() error {
	env, file, err := r.variables()
	if err != nil {
		return err
	}
	args := []string{"plan", "-input=false", "-json", "-out=" + r.inScratch("plan")}
	if file != "" {
		args = append(args, "-var-file="+file)
	}
	if r.Destroy {
		args = append(args, "-destroy")
	}
	if r.Refresh {
		args = append(args, "-refresh-only")
	}
	initialised, ok := r.init(env, false)
	if !ok {
		return nil
	}
	code := r.program(env, args...)
	if code != 0 && !initialised && slices.ContainsFunc(r.ended.Diagnostics, uninstalled) {
		r.ended.Diagnostics = nil
		if _, ok := r.init(env, true); !ok {
			return nil
		}
		code = r.program(env, args...)
	}
	if code != 0 {
		r.failed(terraform.FailPlan, "planning")
		return nil
	}
	return r.keepPlan(env)
}

// keepPlan stores what can be shown of a plan, and the plan itself, sealed.
func (r *runner) keepPlan(env []string) error {
	raw, err := r.capture(env, "show", "-json", "-no-color", r.inScratch("plan"))
	if err != nil {
		r.fail(terraform.FailPlan, "the plan cannot be read: %v", err)
		return nil
	}
	p, err := terraform.ReadPlan(raw, r.DigestKey)
	if err != nil {
		r.fail(terraform.FailPlan, "%v", err)
		return nil
	}
	shown, err := json.Marshal(p)
	if err != nil {
		return err
	}
	plan, err := os.ReadFile(r.inScratch("plan"))
	if err != nil {
		return err
	}
	if err := r.seal(r.box, filepath.Join("runs", r.Run, "plan"), plan); err != nil {
		return err
	}
	return durable.Replace(r.path("runs", r.Run, "plan.json"), shown)
}

// apply applies the plan of the run.
func (r *runner) apply() error {
	plan, err := r.unseal(r.box, filepath.Join("runs", r.Run, "plan"))
	if errors.Is(err, fs.ErrNotExist) {
		r.fail(terraform.FailStale, "the plan was discarded")
		return nil
	}
	if err != nil {
		return err
	}
	if err := os.WriteFile(r.inScratch("plan"), plan, 0o600); err != nil {
		return err
	}
	env, _, err := r.variables() // those of the configuration are in the plan
	if err != nil {
		return err
	}
	if _, ok := r.init(env, false); !ok {
		return nil
	}
	done := make(chan struct{})
	var watch sync.WaitGroup
	watch.Go(func() { r.watch(done) })
	code := r.program(env, "apply", "-input=false", "-json", r.inScratch("plan"))
	close(done)
	watch.Wait()
	if code != 0 {
		stale := slices.ContainsFunc(r.ended.Diagnostics, func(d terraform.Diagnostic) bool { return strings.Contains(d.Summary, "plan is stale") })
		if stale {
			r.failed(terraform.FailStale, "applying")
		} else {
			r.failed(terraform.FailApply, "applying")
		}
	}
	if plain, err := os.ReadFile(r.plainState()); err == nil {
		if s, err := readState(plain); err == nil {
			r.ended.Resources, r.ended.Applied.Serial = s.addresses(), s.Serial
		}
	}
	return nil
}

const watchEvery = 50 * time.Millisecond

// watch seals each version of the state as the program writes it, so that no more than a moment is lost
// with the memory of the machine.
func (r *runner) watch(done <-chan struct{}) {
	var seen fs.FileInfo
	t := time.NewTicker(watchEvery)
	defer t.Stop()
	for {
		select {
		case <-done:
			return
		case <-t.C:
		}
		info, err := os.Stat(r.plainState())
		if err != nil || seen != nil && seen.ModTime().Equal(info.ModTime()) && seen.Size() == info.Size() {
			continue
		}
		plain, err := os.ReadFile(r.plainState())
		if err != nil || !json.Valid(plain) {
			continue // it is being written
		}
		if err := r.keepState(r.box, plain); err != nil {
			fmt.Fprintln(os.Stderr, err) // the last one, at the end, has to succeed
			continue
		}
		seen = info
	}
}

// keep seals the state as it is now.
func (r *runner) keep() error {
	plain, err := os.ReadFile(r.plainState())
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	return r.keepState(r.box, plain)
}

// variables returns the environment, and the file of the variables; "" where there are none.
func (r *runner) variables() (env []string, file string, err error) {
	env = append(slices.Clone(r.Env), "HOME="+r.scratch, "TMPDIR="+r.scratch)
	b, err := r.unseal(r.box, fileVariables)
	if errors.Is(err, fs.ErrNotExist) {
		return env, "", nil
	}
	var vars []terraform.Variable
	if err == nil {
		err = json.Unmarshal(b, &vars)
	}
	if err != nil {
		return nil, "", err
	}
	values := map[string]json.RawMessage{}
	for _, v := range vars {
		if !v.Env {
			values[v.Name] = v.Value
			continue
		}
		var text string
		if err := json.Unmarshal(v.Value, &text); err != nil {
			return nil, "", fmt.Errorf("variable %s of the environment: %w", v.Name, err)
		}
		env = append(env, v.Name+"="+text)
	}
	if len(values) == 0 {
		return env, "", nil
	}
	if b, err = json.Marshal(values); err != nil {
		return nil, "", err
	}
	file = r.inScratch("variables.tfvars.json")
	return env, file, os.WriteFile(file, b, 0o600)
}

// failed notes that the program failed, in the words of its first error.
func (r *runner) failed(typ, doing string) {
	select {
	case <-r.stopped:
		r.fail(terraform.FailCancelled, "%s was stopped", doing)
		return
	default:
	}
	words := "the log says more"
	for _, d := range r.ended.Diagnostics {
		if d.Severity == "error" {
			words = d.Summary
			if d.Address != "" {
				words += " (" + d.Address + ")"
			}
			break
		}
	}
	r.fail(typ, "%s failed: %s", doing, words)
}

func (r *runner) command(env []string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(context.Background(), r.Program, args...) // background: the shim ends it
	cmd.Dir, cmd.Env = r.source(), env
	// Not SIGKILL: told to end, it writes down what it made.
	cmd.SysProcAttr, cmd.ExtraFiles = &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM}, []*os.File{r.held}
	return cmd
}

func (r *runner) capture(env []string, args ...string) ([]byte, error) {
	var out, said bytes.Buffer
	cmd := r.command(env, args...)
	cmd.Stdout, cmd.Stderr = &out, &said
	if err := cmd.Run(); err != nil {
		return nil, fmt.Errorf("%w: %s", err, firstLines(said.String(), 6))
	}
	return out.Bytes(), nil
}
