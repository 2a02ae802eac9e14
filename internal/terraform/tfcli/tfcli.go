// Package tfcli runs tofu or terraform on this machine and keeps the states. It is the driver cli of
// package terraform.
//
// It owns a folder, with a folder for each workspace:
//
//	key          the workspace's own key, sealed with the installation's
//	state        the state, sealed; history/ has the ones before
//	variables    the variables, sealed
//	configs/ID/  configurations as they were uploaded, and where the program runs
//	runs/ID/     a run: plan (sealed), plan.json (masked), and for each program a folder of package shim
//	data/        providers and modules that the program installed
//	lock         held by whoever runs something; it says who
//
// The program runs below a runner (Main), which runs below the shim, so that all of it goes on when the
// server is killed and is found again. The runner alone holds the lock and the state's plain text, which
// lies in memory (/dev/shm) only. Each version of the state that the program writes is sealed to the disk
// at once. Where the runner itself is killed, the program is told to end and does so in an orderly way, still
// holding the lock; the next runner finds what it wrote last. That matters, as OpenTofu writes the state
// every 20 seconds only, and when it ends. What is on the disk is never readable without the key.
package tfcli

import (
	"bytes"
	"cmp"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"tutti/errs"
	"tutti/internal/durable"
	"tutti/internal/secretbox"
	"tutti/internal/terraform"
	"tutti/sdk"
)

// Config says where and how programs run.
type Config struct {
	// Dir is the folder the driver owns, on a disk that survives a restart.
	Dir string
	// Shim is the command line that reaches shim.Main, Runner the one that reaches Main.
	Shim, Runner []string
	// Program is the program, or its path; "" is tofu or terraform, what PATH has first.
	Program string
	// CLIConfig is a CLI configuration file for it, such as one that names a mirror of providers; "" is
	// an empty one.
	CLIConfig string
	// Box seals the keys of workspaces.
	Box *secretbox.Box
	// Slots is how many programs run at a time; 0 is twice the processors.
	Slots int
}

// New returns what opens the driver for a namespace. The connection needs nothing but the driver's name.
func New(c Config) terraform.Open {
	if abs, err := filepath.Abs(c.Dir); err == nil {
		c.Dir = abs
	}
	return func(namespace string, conn terraform.Connection) (terraform.Driver, error) {
		switch {
		case conn.URL != "" || conn.Organization != "" || conn.Token != "" || conn.Project != "":
			return nil, errs.New(errs.Invalid, "with.backend has fields that are for the driver tfe").WithHint("write driver: tfe, or leave them out")
		case c.Box == nil || c.Dir == "" || len(c.Runner) == 0:
			return nil, errs.New(errs.Invalid, "this process cannot run Terraform itself").WithHint("leave the task to the server's own workers, or use the driver tfe")
		case !namespaceForm.MatchString(namespace):
			return nil, errs.New(errs.Invalid, "%.80q is no namespace", namespace)
		}
		return &driver{c, namespace}, nil
	}
}

var (
	namespaceForm = regexp.MustCompile(`^[a-z][a-z0-9-]{0,62}$`)
	workspaceForm = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,89}$`)
	handleForm    = regexp.MustCompile(`^[0-9a-f]{24}$`)
	configForm    = regexp.MustCompile(`^[0-9a-f]{32}$`)
)

type driver struct {
	Config
	namespace string
}

// workspace is one that is there, with its key.
type workspace struct {
	folder
	key string // base64
	box *secretbox.Box
}

// folderOf returns where a workspace is. Its name is a digest: file systems may confuse a and A.
func (d *driver) folderOf(name string) (folder, error) {
	if !workspaceForm.MatchString(name) {
		return folder{}, errs.New(errs.Invalid, "%.100q is no name for a workspace", name).WithHint("use letters, digits, -, _ and ., at most 90")
	}
	sum := sha256.Sum256([]byte(name))
	return folder{dir: filepath.Join(d.Dir, d.namespace, hex.EncodeToString(sum[:12])), namespace: d.namespace, name: name}, nil
}

// open returns a workspace; kind NotFound where it is not there.
func (d *driver) open(name string) (*workspace, error) {
	f, err := d.folderOf(name)
	if err != nil {
		return nil, err
	}
	sealed, err := os.ReadFile(f.path("key"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, errs.New(errs.NotFound, "there is no Terraform workspace %q in namespace %s", name, d.namespace)
	}
	if err != nil {
		return nil, fmt.Errorf("open workspace %s: %w", name, err)
	}
	key, err := d.Box.Unseal(f.keyContext(), sealed)
	if err != nil {
		return nil, sdk.Fail(terraform.FailState, "the key of workspace %s cannot be opened: %v", name, err).
			WithHint("start the server with the master key that the workspace was made with")
	}
	box, err := secretbox.FromBase64(string(key))
	if err != nil {
		return nil, fmt.Errorf("open workspace %s: %w", name, err)
	}
	return &workspace{f, string(key), box}, nil
}

// Ensure returns a workspace, made where it is missing; see terraform.Driver.
func (d *driver) Ensure(_ context.Context, name string) (terraform.Workspace, error) {
	w, err := d.open(name)
	if err == nil {
		return terraform.Workspace{Name: name, ID: filepath.Base(w.dir)}, nil
	}
	if !errs.Is(err, errs.NotFound) {
		return terraform.Workspace{}, err
	}
	f, err := d.folderOf(name)
	if err != nil {
		return terraform.Workspace{}, err
	}
	if err := d.make(f); err != nil {
		return terraform.Workspace{}, fmt.Errorf("make workspace %s: %w", name, err)
	}
	return terraform.Workspace{Name: name, ID: filepath.Base(f.dir), Created: true}, nil
}

// make makes the folder of a workspace; where two do, the first one's key counts.
func (d *driver) make(f folder) error {
	for _, sub := range []string{"configs", "runs", "history", "data"} {
		if err := os.MkdirAll(f.path(sub), 0o700); err != nil {
			return err
		}
	}
	if err := os.WriteFile(f.path("name"), []byte(f.name+"\n"), 0o600); err != nil { // for people
		return err
	}
	raw := make([]byte, 32)
	_, _ = rand.Read(raw)
	sealed, err := d.Box.Seal(f.keyContext(), []byte(base64.StdEncoding.EncodeToString(raw)))
	if err != nil {
		return err
	}
	if err := durable.Create(f.path("key"), sealed); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return nil
}

// PutVariables stores the variables; see terraform.Driver.
func (d *driver) PutVariables(_ context.Context, name string, vars []terraform.Variable) error {
	w, err := d.open(name)
	if err != nil {
		return err
	}
	b, err := json.Marshal(vars)
	if err != nil {
		return fmt.Errorf("store variables: %w", err)
	}
	return w.seal(w.box, fileVariables, b)
}

// Upload stores a configuration; see terraform.Driver.
func (d *driver) Upload(_ context.Context, name string, c terraform.Config) (string, error) {
	if err := c.Check(); err != nil {
		return "", err
	}
	w, err := d.open(name)
	if err != nil {
		return "", err
	}
	id := c.ID()
	to := w.path("configs", id)
	if _, err := os.Stat(to); err == nil {
		return id, nil
	}
	tmp, err := os.MkdirTemp(w.path("configs"), ".new-")
	if err != nil {
		return "", fmt.Errorf("store the configuration: %w", err)
	}
	defer os.RemoveAll(tmp)
	if err := writeTree(tmp, c.Files); err != nil {
		return "", fmt.Errorf("store the configuration: %w", err)
	}
	if err := os.Rename(tmp, to); err != nil && !errors.Is(err, fs.ErrExist) && !errors.Is(err, unix.ENOTEMPTY) {
		return "", fmt.Errorf("store the configuration: %w", err)
	}
	return id, nil
}

func writeTree(dir string, files map[string][]byte) error {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer root.Close()
	for name, text := range files {
		if i := strings.LastIndexByte(name, '/'); i > 0 {
			if err := root.MkdirAll(name[:i], 0o700); err != nil {
				return err
			}
		}
		if err := root.WriteFile(name, text, 0o600); err != nil {
			return err
		}
	}
	return nil
}

// Outputs reads them from the state; see terraform.Driver.
func (d *driver) Outputs(_ context.Context, name string) (terraform.Outputs, error) {
	w, err := d.open(name)
	if err != nil {
		return terraform.Outputs{}, err
	}
	raw, err := w.unseal(w.box, fileState)
	if errors.Is(err, fs.ErrNotExist) {
		return terraform.Outputs{Values: map[string]json.RawMessage{}, Resources: []string{}}, nil
	}
	if err != nil {
		return terraform.Outputs{}, sdk.Fail(terraform.FailState, "the state of workspace %s cannot be read: %v", name, err)
	}
	s, err := readState(raw)
	if err != nil {
		return terraform.Outputs{}, sdk.Fail(terraform.FailState, "the state of workspace %s cannot be read: %v", name, err)
	}
	return s.outputs(), nil
}

// Remove deletes a workspace that manages nothing; see terraform.Driver.
func (d *driver) Remove(ctx context.Context, name string) error {
	w, err := d.open(name)
	if errs.Is(err, errs.NotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	held, owner, err := w.lock(terraform.Owner{Task: "remove"})
	if err != nil {
		return err
	}
	if held == nil {
		return locked(name, owner)
	}
	defer release(held)
	out, err := d.Outputs(ctx, name)
	if err != nil {
		return err
	}
	if n := len(out.Resources); n > 0 {
		return sdk.Fail(terraform.FailConflict, "workspace %s still manages %d resources", name, n).WithDetails(map[string]any{"resources": out.Resources}).
			WithHint("destroy them first")
	}
	// Out of the way at once, then gone: half a workspace must not be found.
	trash := w.dir + ".gone-" + strings.ToLower(rand.Text()[:8])
	if err := os.Rename(w.dir, trash); err != nil {
		return fmt.Errorf("remove workspace %s: %w", name, err)
	}
	return os.RemoveAll(trash)
}

func locked(workspace string, owner terraform.Owner) error {
	return sdk.Fail(terraform.FailLocked, "something else runs in workspace %s (run %s, task %s)", workspace, cmp.Or(owner.Run, "unknown"), cmp.Or(owner.Task, "unknown")).
		Again().WithDetails(map[string]any{"owner": owner}).WithHint("it is tried again; give the tasks of one workspace a limit of their own to have them wait in line")
}

// program returns the path of what is run.
func (d *driver) program() (string, error) {
	names := []string{d.Program}
	if d.Program == "" {
		names = []string{"tofu", "terraform"}
	}
	for _, n := range names {
		if p, err := exec.LookPath(n); err == nil {
			return filepath.Abs(p)
		}
	}
	return "", sdk.Fail(terraform.FailProgram, "there is no %s on this machine", strings.Join(names, " and no ")).
		WithHint("install OpenTofu or Terraform, or name it with --terraform")
}

// environment is what the program gets beside what the workspace's variables say.
func (d *driver) environment(w *workspace) ([]string, error) {
	config := d.CLIConfig
	if config == "" {
		// A real file: with none, or a missing one, programs look into the home of the server's user,
		// or write a warning in between their output.
		config = filepath.Join(d.Dir, "cli.tfrc")
		if err := os.WriteFile(config, nil, 0o600); err != nil {
			return nil, err
		}
	}
	env := []string{"TF_CLI_CONFIG_FILE=" + config, "TF_IN_AUTOMATION=1", "TF_INPUT=0", "CHECKPOINT_DISABLE=1", "LANG=C.UTF-8",
		"TF_DATA_DIR=" + w.path("data"), "PATH=" + cmp.Or(os.Getenv("PATH"), "/usr/local/bin:/usr/bin:/bin")}
	for _, name := range []string{"HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "SSL_CERT_FILE", "SSL_CERT_DIR"} {
		if v := os.Getenv(name); v != "" {
			env = append(env, name+"="+v)
		}
	}
	return env, nil
}

// digestKey returns the key of the digests of plans, which is the same for all of the installation.
func (d *driver) digestKey() ([]byte, error) {
	key, err := d.Box.Kept(filepath.Join(d.Dir, "digest.key"), secretbox.Context{Namespace: "*", Name: "terraform plan digest", Version: 1})
	if err != nil {
		return nil, fmt.Errorf("key of the digests of plans: %w", err)
	}
	return key, nil
}

// state is what is read of a state file. Its form is that of version 4, which both programs write.
type state struct {
	Version int    `json:"version"`
	Serial  int64  `json:"serial"`
	Lineage string `json:"lineage"`
	Outputs map[string]struct {
		Value     json.RawMessage `json:"value"`
		Sensitive bool            `json:"sensitive"`
	} `json:"outputs"`
	Resources []struct {
		Module    string `json:"module"`
		Mode      string `json:"mode"`
		Type      string `json:"type"`
		Name      string `json:"name"`
		Instances []struct {
			Key any `json:"index_key"`
		} `json:"instances"`
	} `json:"resources"`
}

func readState(raw []byte) (s state, err error) {
	if len(bytes.TrimSpace(raw)) == 0 {
		return s, nil
	}
	if err := json.Unmarshal(raw, &s); err != nil {
		return s, err
	}
	if s.Version != 4 {
		return s, fmt.Errorf("it has the form of version %d, and only 4 is known (is it encrypted by the configuration?)", s.Version)
	}
	return s, nil
}

func (s state) outputs() terraform.Outputs {
	out := terraform.Outputs{Values: map[string]json.RawMessage{}, Sensitive: []string{}, Resources: s.addresses(), Serial: s.Serial}
	for name, o := range s.Outputs {
		if o.Sensitive {
			out.Sensitive = append(out.Sensitive, name)
		} else {
			out.Values[name] = o.Value
		}
	}
	slices.Sort(out.Sensitive)
	return out
}

// addresses lists the managed resources.
func (s state) addresses() []string {
	out := []string{}
	for _, r := range s.Resources {
		if r.Mode != "managed" {
			continue
		}
		address := r.Type + "." + r.Name
		if r.Module != "" {
			address = r.Module + "." + address
		}
		for _, i := range r.Instances {
			switch k := i.Key.(type) {
			case string:
				out = append(out, fmt.Sprintf("%s[%q]", address, k))
			case float64:
				out = append(out, fmt.Sprintf("%s[%d]", address, int(k)))
			default:
				out = append(out, address)
			}
		}
	}
	slices.Sort(out)
	return out
}
