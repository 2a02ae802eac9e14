package local

import (
	"bufio"
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
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"tutti/internal/ansible"
	"tutti/internal/redact"
	"tutti/internal/shim"
)

// orders are what a runner reads from its standard input. They hold secrets, so they are on no disk and
// no command line.
type orders struct {
	Dir         string            `json:"dir"`
	Scratch     string            `json:"scratch"`
	Program     string            `json:"program"`
	Playbook    string            `json:"playbook"`
	Inventory   string            `json:"inventory"`
	Vars        string            `json:"vars"`
	Environment map[string]string `json:"environment"`
	Secrets     []string          `json:"secrets"`
	Login       ansible.Login     `json:"login"`
	Limit       string            `json:"limit"`
	Tags        []string          `json:"tags"`
	SkipTags    []string          `json:"skipTags"`
	Forks       int               `json:"forks"`
	Check       bool              `json:"check"`
	Diff        bool              `json:"diff"`
	DigestKey   []byte            `json:"digestKey"`
	Inputs      string            `json:"inputs"`
	Slots       string            `json:"slots"` // folder of the slots
	SlotCount   int               `json:"slotCount"`
}

// line is what the runner tells: an event, or how it ended.
type line struct {
	ansible.Event
	End *end `json:"end,omitempty"`
}

// end is how the program ended; Error says why it could not be run.
type end struct {
	Code   int    `json:"code"`
	Signal string `json:"signal,omitempty"`
	Error  string `json:"error,omitempty"`
}

const pluginName = "tutti_events"

// minSecret is the shortest secret that is looked for; shorter ones occur by accident.
const minSecret = 6

// runner runs one playbook.
type runner struct {
	orders
	red     *redact.Redactor
	stopped chan os.Signal
	mu      sync.Mutex
	out     *json.Encoder
}

// Main is the runner, for the hidden command that Config.Runner names. It tells on the standard output
// what happens, and last how it ended.
func Main() int {
	r := &runner{stopped: make(chan os.Signal, 8), out: json.NewEncoder(os.Stdout)}
	// The program gets the signal too; what lies in memory is to be removed after that.
	signal.Notify(r.stopped, syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP)
	if err := json.NewDecoder(os.Stdin).Decode(&r.orders); err != nil {
		fmt.Fprintln(os.Stderr, "read the orders:", err)
		return 2
	}
	r.red = redact.New(slices.DeleteFunc(r.Secrets, func(s string) bool { return len(s) < minSecret }))
	e, err := r.work()
	if err != nil {
		e = end{Code: -1, Error: err.Error()}
	}
	if err := r.out.Encode(line{End: &e}); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 2
	}
	return 0
}

func (r *runner) work() (e end, err error) {
	free, err := shim.Slot(r.Slots, r.SlotCount, r.stopped, said{r})
	if err != nil {
		return e, err
	}
	defer free()
	defer func() { err = errors.Join(err, os.RemoveAll(r.Scratch)) }()
	if err := r.prepare(); err != nil {
		return e, err
	}
	return r.run()
}

// prepare puts what must not be on a disk into place.
func (r *runner) prepare() error {
	base := filepath.Dir(r.Scratch)
	if err := os.Mkdir(base, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	info, err := os.Lstat(base)
	if err != nil {
		return err
	}
	if st, ok := info.Sys().(*syscall.Stat_t); !ok || !info.IsDir() || info.Mode().Perm()&0o077 != 0 || int(st.Uid) != os.Geteuid() {
		return fmt.Errorf("%s is not a private folder of this user", base)
	}
	if err := errors.Join(os.RemoveAll(r.Scratch), os.Mkdir(r.Scratch, 0o700)); err != nil {
		return err
	}
	for name, text := range map[string]string{
		fileInventory: r.Inventory, fileVars: r.Vars, fileKnown: withNewline(r.Login.KnownHosts), fileKey: withNewline(r.Login.Key),
		fileBecome: r.Login.BecomePassword, fileVault: r.Login.VaultPassword, fileConfig: "[defaults]\n",
	} {
		if err := os.WriteFile(r.at(name), []byte(text), 0o600); err != nil {
			return err
		}
	}
	return nil
}

const (
	fileInventory = "inventory.yml"
	fileVars      = "vars.yml"
	fileKnown     = "known_hosts"
	fileKey       = "key"
	fileBecome    = "become"
	fileVault     = "vault"
	fileConfig    = "ansible.cfg"
)

func (r *runner) at(name string) string { return filepath.Join(r.Scratch, name) }

func withNewline(s string) string {
	if s == "" || strings.HasSuffix(s, "\n") {
		return s
	}
	return s + "\n" // ssh takes no key without one
}

// args is the command line: names of files, and nothing that is secret.
func (r *runner) args() []string {
	out := []string{"-i", r.at(fileInventory), "-e", "@" + r.at(fileVars)}
	add := func(flag, value string) {
		if value != "" {
			out = append(out, flag+"="+value)
		}
	}
	add("--limit", r.Limit)
	add("--tags", strings.Join(r.Tags, ","))
	add("--skip-tags", strings.Join(r.SkipTags, ","))
	add("--user", r.Login.User)
	if r.Login.Key != "" {
		add("--private-key", r.at(fileKey))
	}
	if r.Login.BecomePassword != "" {
		add("--become-password-file", r.at(fileBecome))
	}
	if r.Login.VaultPassword != "" {
		add("--vault-password-file", r.at(fileVault))
	}
	if r.Forks > 0 {
		add("--forks", strconv.Itoa(r.Forks))
	}
	if r.Check {
		out = append(out, "--check")
	}
	if r.Diff {
		out = append(out, "--diff")
	}
	return append(out, "--", r.Playbook)
}

// env is all that the program gets. What the project's own ansible.cfg says counts where this does not.
func (r *runner) env() []string {
	config := filepath.Join(r.Dir, "project", fileConfig)
	if _, err := os.Stat(config); err != nil {
		config = r.at(fileConfig) // a real file: with none, Ansible looks into homes and /etc
	}
	home := filepath.Join(r.Dir, "home")
	set := map[string]string{
		"ANSIBLE_PIPELINING": "True", // halves the time; the environment given may say False
	}
	for name, value := range r.Environment {
		set[name] = value
	}
	for name, value := range map[string]string{
		"PATH": path(), "HOME": home, "LANG": "C.UTF-8", "ANSIBLE_CONFIG": config, "ANSIBLE_HOME": filepath.Join(home, ".ansible"), "ANSIBLE_LOCAL_TEMP": r.at("tmp"),
		"ANSIBLE_STDOUT_CALLBACK": pluginName, "ANSIBLE_CALLBACK_PLUGINS": filepath.Join(r.Dir, "plugins"), "TUTTI_EVENTS": "3",
		"ANSIBLE_INVENTORY_ENABLED": "yaml", "ANSIBLE_RETRY_FILES_ENABLED": "False", "ANSIBLE_NOCOLOR": "1", "PYTHONUNBUFFERED": "1", "PYTHONDONTWRITEBYTECODE": "1",
		"ANSIBLE_HOST_KEY_CHECKING": "True", "ANSIBLE_SSH_CONTROL_PATH_DIR": r.at("c"), "ANSIBLE_SSH_ARGS": "-C -o ControlMaster=auto -o ControlPersist=60s",
		// The user's own files and agent do not count: what is not given is not there.
		"ANSIBLE_SSH_COMMON_ARGS": "-F none -o StrictHostKeyChecking=yes -o UserKnownHostsFile=" + r.at(fileKnown) +
			" -o GlobalKnownHostsFile=none -o IdentityAgent=none -o IdentitiesOnly=yes -o UpdateHostKeys=no",
	} {
		set[name] = value
	}
	out := make([]string, 0, len(set))
	for name, value := range set {
		out = append(out, name+"="+value)
	}
	slices.Sort(out)
	return out
}

// lastWords is how long it is listened to a program that has ended: what it started may hold its ends of
// the pipes open.
const lastWords = 2 * time.Second

// run runs the program and tells what happens.
func (r *runner) run() (e end, err error) {
	// The program is killed when the thread that started it ends.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	cmd := exec.CommandContext(context.Background(), r.Program, r.args()...) // background: the shim ends it
	cmd.Dir, cmd.Env = filepath.Join(r.Dir, "project"), r.env()
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	events, theirs, err := os.Pipe()
	if err != nil {
		return e, err
	}
	printed, prints, err := os.Pipe()
	if err != nil {
		return e, errors.Join(err, events.Close(), theirs.Close())
	}
	cmd.ExtraFiles, cmd.Stdout, cmd.Stderr = []*os.File{theirs}, prints, prints
	err = cmd.Start()
	theirs.Close()
	prints.Close()
	if err != nil {
		return e, errors.Join(err, events.Close(), printed.Close())
	}
	var heard sync.WaitGroup
	heard.Go(func() { r.listen(events, r.hear) })
	heard.Go(func() { r.listen(printed, func(text []byte) { r.note(string(text)) }) })
	_ = cmd.Wait() // the state says it
	deadline := time.Now().Add(lastWords)
	_ = errors.Join(events.SetReadDeadline(deadline), printed.SetReadDeadline(deadline))
	heard.Wait()
	e.Code = cmd.ProcessState.ExitCode()
	if ws, ok := cmd.ProcessState.Sys().(syscall.WaitStatus); ok && ws.Signaled() {
		e.Signal = ws.Signal().String()
	}
	return e, errors.Join(events.Close(), printed.Close())
}

// listen calls hear with each line.
func (r *runner) listen(from io.Reader, hear func([]byte)) {
	lines := bufio.NewReaderSize(from, 64<<10)
	for {
		text, err := lines.ReadBytes('\n')
		if text = bytes.TrimSpace(text); len(text) > 0 {
			hear(text)
		}
		if err != nil {
			return
		}
	}
}

// hear tells an event of the plugin.
func (r *runner) hear(text []byte) {
	var got struct {
		ansible.Event
		Answer ansible.Answer `json:"answer"`
	}
	if err := json.Unmarshal(text, &got); err != nil {
		r.note(string(text))
		return
	}
	e := got.Event
	e.At = strings.TrimPrefix(e.At, filepath.Join(r.Dir, "project")+"/")
	if e.Kind == ansible.KindResult {
		got.Answer.Into(&e, r.DigestKey)
	}
	r.tell(e)
}

func (r *runner) note(text string) {
	r.tell(ansible.Event{Kind: ansible.KindNote, Message: strings.TrimSpace(text)})
}

// said is a writer of notes.
type said struct{ r *runner }

// Write tells b.
func (s said) Write(b []byte) (int, error) {
	s.r.note(string(b))
	return len(b), nil
}

// tell writes an event without secrets.
func (r *runner) tell(e ansible.Event) {
	e.Play, e.Task, e.Message, e.Diff = r.red.String(e.Play), r.red.String(e.Task), r.red.String(e.Message), r.red.String(e.Diff)
	if e.Item != nil {
		item := r.red.String(*e.Item)
		e.Item = &item
	}
	for name, v := range e.Values {
		var value any
		if json.Unmarshal(v, &value) == nil {
			if b, err := json.Marshal(r.red.Value(value)); err == nil {
				e.Values[name] = b
			}
		}
	}
	e.Trim()
	r.mu.Lock()
	defer r.mu.Unlock()
	_ = r.out.Encode(line{Event: e}) // where the disk is full the shim says so
}
