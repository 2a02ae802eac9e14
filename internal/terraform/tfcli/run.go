package tfcli

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"time"

	"tutti/errs"
	"tutti/internal/durable"
	"tutti/internal/shim"
	"tutti/internal/terraform"
	"tutti/sdk"
)

const (
	opPlan  = "plan"
	opApply = "apply"
	// grace is how long a program may take to end in an orderly way: what it makes just then, it waits
	// for.
	grace = 2 * time.Minute
	// keepRuns is how long the folder of a run is kept.
	keepRuns = 30 * 24 * time.Hour
	// maxOutput bounds what a program prints.
	maxOutput = 64 << 20
)

// asked is what a run was begun with.
type asked struct {
	Config  string          `json:"config"`
	Destroy bool            `json:"destroy,omitempty"`
	Refresh bool            `json:"refresh,omitempty"`
	Owner   terraform.Owner `json:"owner"`
	Message string          `json:"message,omitempty"`
}

// StartPlan begins a run; see terraform.Driver.
func (d *driver) StartPlan(ctx context.Context, in terraform.PlanIn) (string, error) {
	w, err := d.open(in.Workspace)
	if err != nil {
		return "", err
	}
	if !configForm.MatchString(in.Config) {
		return "", errs.New(errs.Invalid, "%.80q is no configuration", in.Config)
	}
	if _, err := os.Stat(w.path("configs", in.Config)); err != nil {
		return "", sdk.Fail(terraform.FailMissing, "workspace %s has no configuration %s", in.Workspace, in.Config).WithHint("upload it first")
	}
	sum := sha256.Sum256([]byte(in.Key))
	handle := hex.EncodeToString(sum[:12])
	if err := os.MkdirAll(w.path("runs", handle), 0o700); err != nil {
		return "", fmt.Errorf("begin a run: %w", err)
	}
	a := asked{Config: in.Config, Destroy: in.Destroy, Refresh: in.RefreshOnly, Owner: in.Owner, Message: in.Message}
	b, err := json.Marshal(a)
	if err != nil {
		return "", err
	}
	if err := durable.Create(w.path("runs", handle, "asked"), b); err != nil && !errors.Is(err, fs.ErrExist) {
		return "", fmt.Errorf("begin a run: %w", err)
	}
	w.sweep(time.Now())
	return handle, d.start(ctx, w, handle, opPlan)
}

// StartApply begins to apply; see terraform.Driver.
func (d *driver) StartApply(ctx context.Context, name, handle, _ string) error {
	w, err := d.run(name, handle)
	if err != nil {
		return err
	}
	return d.start(ctx, w, handle, opApply)
}

// run returns the workspace of a run that is there.
func (d *driver) run(name, handle string) (*workspace, error) {
	w, err := d.open(name)
	if err != nil {
		return nil, err
	}
	if !handleForm.MatchString(handle) {
		return nil, errs.New(errs.Invalid, "%.80q is no run", handle)
	}
	if _, err := os.Stat(w.path("runs", handle, "asked")); err != nil {
		return nil, sdk.Fail(terraform.FailMissing, "workspace %s has no run %s", name, handle).WithHint("runs are kept for 30 days; plan anew")
	}
	return w, nil
}

// start starts a runner, unless one runs or has ended well. One that never came to do anything, or whose
// plan failed, is followed by another; an apply that began is never begun again.
func (d *driver) start(ctx context.Context, w *workspace, handle, op string) error {
	n, p, err := w.latest(handle, op)
	if err != nil {
		return err
	}
	if p != nil {
		running, err := p.Running()
		if err != nil || running {
			return err
		}
		exit, err := p.Wait(ctx)
		if err != nil {
			return err
		}
		again := exit.Error != ""
		if res, err := w.result(handle, op, n); err == nil {
			again = again || res.Type == terraform.FailLocked || op == opPlan && res.Type != ""
		} else {
			again = again || op == opPlan
		}
		if !again {
			return nil
		}
	}
	return d.launch(w, handle, op, n+1)
}

func (d *driver) launch(w *workspace, handle, op string, n int) error {
	program, err := d.program()
	if err != nil {
		return err
	}
	b, err := os.ReadFile(w.path("runs", handle, "asked"))
	if err != nil {
		return fmt.Errorf("begin a run: %w", err)
	}
	var a asked
	if err := json.Unmarshal(b, &a); err != nil {
		return fmt.Errorf("begin a run: %w", err)
	}
	env, err := d.environment(w)
	if err != nil {
		return fmt.Errorf("begin a run: %w", err)
	}
	digest, err := d.digestKey()
	if err != nil {
		return err
	}
	slots := d.Slots
	if slots <= 0 {
		slots = 2 * runtime.GOMAXPROCS(0)
	}
	o := orders{
		Op: op, Dir: w.dir, Namespace: w.namespace, Workspace: w.name, Key: w.key, DigestKey: digest, Run: handle, Result: resultName(op, n),
		Config: a.Config, Program: program, Env: env, Slots: filepath.Join(d.Dir, "slots"), SlotCount: slots,
		Destroy: a.Destroy, Refresh: a.Refresh, Owner: a.Owner,
	}
	stdin, err := json.Marshal(o)
	if err != nil {
		return err
	}
	_, err = shim.Start(d.Shim, w.shimDir(handle, op, n), shim.Spec{
		Argv: d.Runner, Env: []string{"PATH=" + os.Getenv("PATH")}, Dir: w.path("configs", a.Config), Stdin: stdin, Grace: grace, Linger: grace,
		Limits: shim.Limits{Output: maxOutput},
	})
	if err != nil {
		return sdk.Fail(terraform.FailProgram, "the runner cannot be started: %v", err).Again().WithHint("this is about the server's machine: see its log")
	}
	return nil
}

func resultName(op string, n int) string { return fmt.Sprintf("%s.%d.result", op, n) }

func (w *workspace) shimDir(handle, op string, n int) string {
	return w.path("runs", handle, fmt.Sprintf("%s.%d", op, n))
}

// latest returns the newest program of a run, nil where there is none, and its number.
func (w *workspace) latest(handle, op string) (n int, p *shim.Process, err error) {
	for {
		next, err := shim.Attach(w.shimDir(handle, op, n+1))
		if errs.Is(err, errs.NotFound) {
			return n, p, nil
		}
		if err != nil {
			return n, p, err
		}
		n, p = n+1, next
	}
}

// result reads how a runner's work ended.
func (w *workspace) result(handle, op string, n int) (res result, err error) {
	b, err := os.ReadFile(w.path("runs", handle, resultName(op, n)))
	if err != nil {
		return res, err
	}
	return res, json.Unmarshal(b, &res)
}

// AwaitPlan follows a plan; see terraform.Driver.
func (d *driver) AwaitPlan(ctx context.Context, name, handle string, log io.Writer) (p terraform.Plan, err error) {
	w, err := d.run(name, handle)
	if err != nil {
		return p, err
	}
	if _, err := w.follow(ctx, handle, opPlan, log); err != nil {
		return p, err
	}
	b, err := os.ReadFile(w.path("runs", handle, "plan.json"))
	if err == nil {
		err = json.Unmarshal(b, &p)
	}
	if errors.Is(err, fs.ErrNotExist) {
		return p, sdk.Fail(terraform.FailStale, "the plan was discarded").WithHint("plan anew")
	}
	if err != nil {
		return p, fmt.Errorf("read the plan: %w", err)
	}
	return p, nil
}

// AwaitApply follows an apply; see terraform.Driver.
func (d *driver) AwaitApply(ctx context.Context, name, handle string, log io.Writer) (terraform.Applied, error) {
	w, err := d.run(name, handle)
	if err != nil {
		return terraform.Applied{}, err
	}
	res, err := w.follow(ctx, handle, opApply, log)
	return res.Applied, err
}

// follow waits until a program has ended, and says how.
func (w *workspace) follow(ctx context.Context, handle, op string, log io.Writer) (result, error) {
	n, p, err := w.latest(handle, op)
	if err != nil {
		return result{}, err
	}
	if p == nil {
		return result{}, sdk.Fail(terraform.FailMissing, "run %s was never begun", handle).Again()
	}
	if out, err := p.Stdout(); err == nil {
		defer out.Close()
		if _, err := p.Tail(ctx, out, 0, func(b []byte) error { _, err := log.Write(b); return err }); err != nil {
			return result{}, err
		}
	} else if !errors.Is(err, fs.ErrNotExist) {
		return result{}, err
	}
	exit, err := p.Wait(ctx)
	if err != nil {
		return result{}, err
	}
	res, err := w.result(handle, op, n)
	switch {
	case errors.Is(err, fs.ErrNotExist) && exit.Error != "":
		return res, sdk.Fail(terraform.FailProgram, "the runner could not be started: %s", exit.Error).Again()
	case errors.Is(err, fs.ErrNotExist) && exit.Stopped:
		return res, sdk.Fail(terraform.FailCancelled, "it was stopped before it could say how it stands")
	case errors.Is(err, fs.ErrNotExist):
		return res, lost(op)
	case err != nil:
		return res, fmt.Errorf("read how the run ended: %w", err)
	}
	return res, res.failure(w.name)
}

// lost is the failure of a program that vanished. What a plan had done is nothing.
func lost(op string) error {
	f := sdk.Fail(terraform.FailLost, "the program vanished while it was in %s: its machine went down, or somebody ended it or its shim", op)
	if op == opPlan {
		return f.Again()
	}
	return f.WithHint("what it had done is in the state; plan anew to see what is left to do")
}

// failure returns what went wrong; nil where nothing did.
func (res result) failure(workspace string) error {
	if res.Type == "" {
		return nil
	}
	if res.Type == terraform.FailLocked && res.Owner != nil {
		return locked(workspace, *res.Owner)
	}
	details := map[string]any{}
	if len(res.Diagnostics) > 0 {
		details["diagnostics"] = res.Diagnostics
	}
	if res.Type == terraform.FailApply || res.Type == terraform.FailCancelled {
		details["resources"] = res.Resources
	}
	f := sdk.Fail(res.Type, "workspace %s: %s", workspace, res.Message).WithDetails(details)
	if res.Type == terraform.FailApply {
		f = f.WithHint("what was made is in the state and will be found by the next plan; nothing is lost")
	}
	if res.Retry {
		return f.Again()
	}
	return f
}

// Cancel ends what goes on in a run; see terraform.Driver.
func (d *driver) Cancel(ctx context.Context, name, handle string) error {
	w, err := d.run(name, handle)
	if err != nil {
		return err
	}
	for _, op := range []string{opApply, opPlan} {
		_, p, err := w.latest(handle, op)
		if err != nil {
			return err
		}
		if p == nil {
			continue
		}
		if err := p.Signal(ctx, grace); err != nil {
			return fmt.Errorf("stop the program: %w", err)
		}
		if op == opApply {
			return nil
		}
	}
	for _, file := range []string{"plan", "plan.json"} {
		if err := os.Remove(w.path("runs", handle, file)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("discard the plan: %w", err)
		}
	}
	return nil
}

// sweep removes runs, and configurations, of long ago. What cannot be removed is tried again.
func (w *workspace) sweep(now time.Time) {
	inUse := map[string]bool{}
	runs, _ := os.ReadDir(w.path("runs"))
	for _, e := range runs {
		at := w.path("runs", e.Name())
		info, err := e.Info()
		if err != nil {
			continue
		}
		if now.Sub(info.ModTime()) > keepRuns && !w.running(e.Name()) {
			_ = os.RemoveAll(at)
			continue
		}
		var a asked
		if b, err := os.ReadFile(filepath.Join(at, "asked")); err == nil && json.Unmarshal(b, &a) == nil {
			inUse[a.Config] = true
		}
	}
	configs, _ := os.ReadDir(w.path("configs"))
	for _, e := range configs {
		if info, err := e.Info(); err == nil && !inUse[e.Name()] && now.Sub(info.ModTime()) > keepRuns {
			_ = os.RemoveAll(w.path("configs", e.Name()))
		}
	}
}

func (w *workspace) running(handle string) bool {
	for _, op := range []string{opPlan, opApply} {
		if _, p, err := w.latest(handle, op); err == nil && p != nil {
			if running, err := p.Running(); running || err != nil {
				return true
			}
		}
	}
	return false
}
