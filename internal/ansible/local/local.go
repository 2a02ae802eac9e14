// Package local runs ansible-playbook on this machine. It is the driver local of package ansible.
//
// It owns a folder, with a folder for each job, NAMESPACE/HANDLE:
//
//	asked     what identifies the job's inputs
//	project/  the files of the playbook, where it runs
//	plugins/  our callback plugin, which tells what happens
//	home/     the program's home
//	shim/     the record of package shim; its standard output is events, a JSON object a line
//
// The program runs below a runner (Main), which runs below the shim, so that all of it goes on when the
// server is killed and is found again. Extra variables, the inventory, keys and passwords lie in memory
// alone (/dev/shm) and only while the program runs; the runner takes secrets out of events before they
// reach the disk. Folders of jobs are removed after a week.
package local

import (
	"cmp"
	"context"
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"sync"
	"time"

	"tutti/errs"
	"tutti/internal/ansible"
	"tutti/internal/secretbox"
	"tutti/internal/shim"
	"tutti/sdk"
)

// Config says where and how programs run.
type Config struct {
	// Dir is the folder the driver owns, on a disk that survives a restart.
	Dir string
	// Shim is the command line that reaches shim.Main, Runner the one that reaches Main.
	Shim, Runner []string
	// Program is ansible-playbook, or its path; "" is what PATH has.
	Program string
	// Box seals the key of digests.
	Box *secretbox.Box
	// Slots is how many programs run at a time; 0 is twice the processors.
	Slots int
}

// New returns what opens the driver for a namespace. The connection needs nothing but the driver's name.
func New(c Config) ansible.Open {
	if abs, err := filepath.Abs(c.Dir); err == nil {
		c.Dir = abs
	}
	swept := &sweeper{}
	return func(namespace string, conn ansible.Connection) (ansible.Driver, error) {
		switch {
		case conn.URL != "" || conn.Token != "":
			return nil, errs.New(errs.Invalid, "with.backend has fields that are for the driver awx").WithHint("write driver: awx, or leave them out")
		case c.Box == nil || c.Dir == "" || len(c.Runner) == 0:
			return nil, errs.New(errs.Invalid, "this process cannot run Ansible itself").WithHint("leave the task to the server's own workers, or use the driver awx")
		case !namespaceForm.MatchString(namespace):
			return nil, errs.New(errs.Invalid, "%.80q is no namespace", namespace)
		}
		return &driver{c, namespace, swept}, nil
	}
}

var (
	namespaceForm = regexp.MustCompile(`^[a-z][a-z0-9-]{0,62}$`)
	handleForm    = regexp.MustCompile(`^[0-9a-f]{24}$`)
)

type driver struct {
	Config
	namespace string
	swept     *sweeper
}

// plugin is the callback plugin.
//
//go:embed events.py
var plugin []byte

const (
	// grace is how long a program may take to end once it is told to.
	grace = 20 * time.Second
	// maxOutput bounds what is told of a job, in bytes.
	maxOutput = 256 << 20
)

// asked is what is kept of what a job was asked for.
type asked struct {
	Inputs string `json:"inputs"`
}

func (d *driver) folder(handle string) string { return filepath.Join(d.Dir, d.namespace, handle) }

// Launch begins a job; see ansible.Driver.
func (d *driver) Launch(_ context.Context, j ansible.Job) (string, error) {
	if j.Template != "" || j.InventoryName != "" || j.Branch != "" {
		return "", errs.New(errs.Invalid, "a template, the name of an inventory and a branch are for the driver awx").WithHint("write backend: { driver: awx, … }, or leave them out")
	}
	handle := j.KeyTag()
	dir := d.folder(handle)
	if _, err := shim.Attach(filepath.Join(dir, "shim")); err == nil {
		return handle, nil
	}
	if err := errors.Join(j.Validate(), j.ValidateProject()); err != nil {
		return "", err
	}
	d.swept.sweep(d.Config, time.Now())
	program, err := d.program()
	if err != nil {
		return "", err
	}
	o, err := d.orders(j, handle, program)
	if err != nil {
		return "", err
	}
	if err := d.lay(dir, j, o.Inputs); err != nil {
		return "", sdk.Fail(ansible.FailProgram, "the job's folder cannot be made: %v", err).Again().WithHint("this is about the server's machine: see its log")
	}
	stdin, err := json.Marshal(o)
	if err != nil {
		return "", fmt.Errorf("launch a job: %w", err)
	}
	_, err = shim.Start(d.Shim, filepath.Join(dir, "shim"), shim.Spec{
		Argv: d.Runner, Env: []string{"PATH=" + path()}, Dir: dir, Stdin: stdin, Grace: grace,
		Limits: shim.Limits{Wall: cmp.Or(j.Timeout, ansible.DefaultTimeout), Output: maxOutput},
	})
	if err != nil {
		return "", sdk.Fail(ansible.FailProgram, "the runner cannot be started: %v", err).Again().WithHint("this is about the server's machine: see its log")
	}
	return handle, nil
}

func path() string { return cmp.Or(os.Getenv("PATH"), "/usr/local/bin:/usr/bin:/bin") }

// program returns the path of what is run.
func (d *driver) program() (string, error) {
	name := cmp.Or(d.Program, "ansible-playbook")
	p, err := exec.LookPath(name)
	if err == nil {
		p, err = filepath.Abs(p)
	}
	if err != nil {
		return "", sdk.Fail(ansible.FailProgram, "there is no %s on this machine", name).WithHint("install ansible-core, or name the program with --ansible")
	}
	return p, nil
}

// orders are what the runner is told.
func (d *driver) orders(j ansible.Job, handle, program string) (o orders, err error) {
	key, err := d.digestKey()
	if err != nil {
		return o, err
	}
	inventory, err := j.Inventory.YAML()
	if err != nil {
		return o, err
	}
	vars, err := j.ExtraVars()
	if err != nil {
		return o, err
	}
	inputs, err := j.Inputs(key)
	if err != nil {
		return o, err
	}
	slots := d.Slots
	if slots <= 0 {
		slots = 2 * runtime.GOMAXPROCS(0)
	}
	return orders{
		Dir: d.folder(handle), Scratch: scratch(d.Dir, d.namespace, handle), Program: program, Playbook: j.Playbook, Inventory: string(inventory), Vars: string(vars),
		Environment: j.Environment, Secrets: secrets(j), Login: j.Login, Limit: j.Limit, Tags: j.Tags, SkipTags: j.SkipTags, Forks: j.Forks,
		Check: j.Check, Diff: j.Diff || j.Check, DigestKey: key, Inputs: inputs, Slots: filepath.Join(d.Dir, "slots"), SlotCount: slots,
	}, nil
}

// secrets are the texts that must not be told.
func secrets(j ansible.Job) (out []string) {
	for _, s := range j.Secrets {
		out = append(out, s)
	}
	for _, s := range j.Environment {
		out = append(out, s)
	}
	return append(out, j.Login.BecomePassword, j.Login.VaultPassword, j.Login.Key)
}

// lay makes the folder of a job that was not started yet, anew if need be.
func (d *driver) lay(dir string, j ansible.Job, inputs string) error {
	for _, sub := range []string{"project", "plugins", "home"} {
		if err := errors.Join(os.RemoveAll(filepath.Join(dir, sub)), os.MkdirAll(filepath.Join(dir, sub), 0o700)); err != nil {
			return err
		}
	}
	root, err := os.OpenRoot(filepath.Join(dir, "project"))
	if err != nil {
		return err
	}
	defer root.Close()
	for name, text := range j.Project {
		if i := strings.LastIndexByte(name, '/'); i > 0 {
			if err := root.MkdirAll(name[:i], 0o700); err != nil {
				return err
			}
		}
		if err := root.WriteFile(name, text, 0o600); err != nil {
			return err
		}
	}
	b, err := json.Marshal(asked{Inputs: inputs})
	if err != nil {
		return err
	}
	return errors.Join(
		os.WriteFile(filepath.Join(dir, "plugins", pluginName+".py"), plugin, 0o600),
		os.WriteFile(filepath.Join(dir, "asked"), b, 0o600),
	)
}

// digestKey returns the key of digests, which is the same for all of the installation.
func (d *driver) digestKey() ([]byte, error) {
	key, err := d.Box.Kept(filepath.Join(d.Dir, "digest.key"), secretbox.Context{Namespace: "*", Name: "ansible digest", Version: 1})
	if err != nil {
		return nil, fmt.Errorf("key of the digests of checks: %w", err)
	}
	return key, nil
}

// scratch is where the plain text of a job lies while it runs. It is short: the paths of sockets are.
func scratch(dir, namespace, handle string) string {
	place, job := sha256.Sum256([]byte(dir)), sha256.Sum256([]byte(namespace+"/"+handle))
	return filepath.Join(scratches(), fmt.Sprintf("%x-%s", place[:4], hex.EncodeToString(job[:10])))
}

func scratches() string {
	base := "/dev/shm"
	if _, err := os.Stat(base); err != nil {
		base = os.TempDir()
	}
	return filepath.Join(base, fmt.Sprintf("tutti-ansible-%d", os.Geteuid()))
}

const (
	sweepEvery = time.Hour
	keepFor    = 7 * 24 * time.Hour
)

// sweeper removes what jobs left that ended long ago, and the plain text that killed ones left.
type sweeper struct {
	mu   sync.Mutex
	next time.Time
}

// sweep looks once an hour. What cannot be removed is tried again.
func (s *sweeper) sweep(c Config, now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if now.Before(s.next) {
		return
	}
	s.next = now.Add(sweepEvery)
	jobs, _ := filepath.Glob(filepath.Join(c.Dir, "*", "*", "shim"))
	for _, at := range jobs {
		proc, err := shim.Attach(at)
		if err != nil {
			continue
		}
		if running, err := proc.Running(); running || err != nil {
			continue
		}
		dir := filepath.Dir(at)
		_ = os.RemoveAll(scratch(c.Dir, filepath.Base(filepath.Dir(dir)), filepath.Base(dir)))
		if info, err := os.Stat(at); err == nil && now.Sub(info.ModTime()) > keepFor {
			_ = os.RemoveAll(dir)
		}
	}
}
