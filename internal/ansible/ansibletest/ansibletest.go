// Package ansibletest is the suite that every driver of package ansible passes: Run. It works on the real
// program, with hosts that are this machine.
package ansibletest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"tutti/internal/ansible"
	"tutti/sdk"
)

// Program returns the path of ansible-playbook, or skips the test, loudly, where there is none.
// TUTTI_TEST_REQUIRE makes it a failure.
func Program(t testing.TB) string {
	t.Helper()
	p, err := exec.LookPath("ansible-playbook")
	if err != nil {
		Missing(t, "ansible-playbook is not here: install ansible-core")
	}
	return p
}

// Missing skips a test that cannot run here, or fails it where nothing may be skipped.
func Missing(t testing.TB, why string) {
	t.Helper()
	if os.Getenv("TUTTI_TEST_REQUIRE") != "" {
		t.Fatal(why)
	}
	t.Skip(why)
}

// patience bounds each wait.
const patience = 4 * time.Minute

// Place is where a driver works. Prepare makes a job one that the place knows, such as by making its
// template there; nil leaves it as it is.
type Place struct {
	ansible.Driver
	Prepare func(ansible.Job) ansible.Job
	// Again returns another driver of the same place, as after a restart.
	Again func() ansible.Driver
}

// Run runs the suite. open returns a place of its own.
func Run(t *testing.T, open func(t *testing.T) Place) {
	for name, f := range map[string]func(*testing.T, world){
		"life": life, "hosts": hosts, "attach": attach, "cancel": cancelled, "offline": offline, "invalid": invalid, "secret": secret, "timeout": timeout, "missing": missing,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f(t, world{open(t), t.TempDir()})
		})
	}
}

type world struct {
	Place
	dir string // where playbooks leave traces
}

// Local is an inventory of hosts that are this machine.
func Local(names ...string) ansible.Inventory {
	v := ansible.Inventory{Hosts: map[string]ansible.Vars{}, Vars: ansible.Vars{
		"ansible_connection": Text("local"), "ansible_python_interpreter": Text("/usr/bin/python3"),
	}}
	for _, n := range names {
		v.Hosts[n] = nil
	}
	return v
}

// Text is a text as a JSON value.
func Text(s string) json.RawMessage { b, _ := json.Marshal(s); return b }

func (w world) job(key, playbook string, names ...string) ansible.Job {
	return ansible.Job{
		Key: key, Since: time.Now().Add(-time.Hour), Trace: "trc_test", Run: "run_test", Task: "play", Project: map[string][]byte{"site.yml": []byte(playbook)}, Playbook: "site.yml",
		Inventory: Local(names...), Vars: ansible.Vars{"dir": Text(w.dir)},
	}
}

// try launches a job where the place knows it.
func (w world) try(t *testing.T, j ansible.Job) (string, error) {
	if w.Prepare != nil {
		j = w.Prepare(j)
	}
	return w.Launch(t.Context(), j)
}

func (w world) launch(t *testing.T, j ansible.Job) string {
	t.Helper()
	h, err := w.try(t, j)
	if err != nil {
		t.Fatalf("Launch = %v %s", err, details(err))
	}
	return h
}

// follow follows a job to its end and returns all events as text besides.
func (w world) follow(t *testing.T, handle string) (r ansible.Result, log string, err error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	r, err = w.Follow(ctx, handle, func(e ansible.Event) {
		b, _ := json.Marshal(e)
		log += e.Line() + "\n" + string(b) + "\n"
	})
	return r, log, err
}

func (w world) succeeds(t *testing.T, j ansible.Job) (ansible.Result, string) {
	t.Helper()
	r, log, err := w.follow(t, w.launch(t, j))
	if err != nil {
		t.Fatalf("Follow = %v %s\n%s", err, details(err), log)
	}
	return r, log
}

func details(err error) string {
	if f, ok := errors.AsType[*sdk.TaskError](err); ok {
		return fmt.Sprintf("%s %v", f.Type, f.Details)
	}
	return ""
}

// Fails checks that err is a failure of a type.
func Fails(t *testing.T, err error, typ string, retryable bool) sdk.TaskError {
	t.Helper()
	f, ok := errors.AsType[*sdk.TaskError](err)
	if !ok {
		t.Fatalf("the error is %v; want a failure of type %s", err, typ)
	}
	if f.Type != typ || f.Retryable != retryable {
		t.Fatalf("the failure is %s (%s, retryable %t) %v; want %s, retryable %t", f.Type, f.Message, f.Retryable, f.Details, typ, retryable)
	}
	return *f
}

const lifePlay = `
- name: Configure
  hosts: all
  gather_facts: false
  tasks:
    - name: Write the greeting
      copy: { dest: "{{ dir }}/greeting", content: "{{ words }}\nsecond line\n" }
    - name: Make folders
      file: { path: "{{ dir }}/{{ item }}", state: directory }
      loop: [a]
      tags: [folders]
    - name: Not here
      command: "false"
      when: false
    - name: Say it
      debug: { msg: "the words are {{ words }}" }
    - name: Give it
      set_stats: { data: { greeting: "{{ words }}", count: 2 } }
`

func life(t *testing.T, w world) {
	const words = "hello {{ lookup('pipe', 'id') }} {% raw %} äöü \"'"
	with := func(key string, check bool) ansible.Job {
		j := w.job(key, lifePlay, "web-01")
		j.Vars["words"], j.Check, j.Diff = Text(words), check, true
		return j
	}
	plan, log := w.succeeds(t, with("check", true))
	if !plan.Changed || len(plan.Changes) != 2 || plan.Digest == "" || !strings.Contains(plan.Changes[0].Diff, "+second line") {
		t.Errorf("the check is %+v, log\n%s", plan, log)
	}
	if left, _ := os.ReadDir(w.dir); len(left) != 0 {
		t.Errorf("the check made %v; want nothing", left)
	}
	if twin, _ := w.succeeds(t, with("twin", true)); twin.Digest != plan.Digest {
		t.Errorf("a second check of the same has digest %s; want %s", twin.Digest, plan.Digest)
	}
	r, log := w.succeeds(t, with("run", false))
	want := ansible.Counts{OK: 4, Changed: 2, Skipped: 1}
	if len(r.Hosts) != 1 || r.Hosts[0].Host != "web-01" || r.Hosts[0].State != ansible.Changed || r.Hosts[0].Counts != want {
		t.Errorf("hosts = %+v; want web-01 changed with %+v\n%s", r.Hosts, want, log)
	}
	for _, said := range []string{"PLAY Configure", "TASK Write the greeting", "web-01: changed Write the greeting", "[a]", "web-01: skipped Not here", "web-01: ok Say it: the words are hello {{", "web-01: ok=4 changed=2"} {
		if !strings.Contains(log, said) {
			t.Errorf("the log lacks %q:\n%s", said, log)
		}
	}
	if got, err := os.ReadFile(filepath.Join(w.dir, "greeting")); err != nil || string(got) != words+"\nsecond line\n" {
		t.Errorf("the file has %q, %v; want %q: data is not evaluated", got, err, words)
	}
	var value string
	if err := json.Unmarshal(r.Values["greeting"], &value); err != nil || value != words || string(r.Values["count"]) != "2" {
		t.Errorf("values = %s, %v", r.Values, err)
	}
	done := with("again", true)
	done.Tags = []string{"folders"}
	again, _ := w.succeeds(t, done)
	if again.Changed || len(again.Changes) != 0 || again.Hosts[0].State != ansible.OK || again.Digest == plan.Digest {
		t.Errorf("a check of what is done is %+v", again)
	}
	other := with("other", true)
	other.Vars["words"] = Text("other")
	if r, _ := w.succeeds(t, other); r.Digest == plan.Digest || !strings.Contains(r.Changes[0].Diff, "-hello") {
		t.Errorf("a check of something else is %+v", r)
	}
	out, err := w.Output(t.Context(), w.launch(t, with("run", false)))
	if err != nil || !strings.Contains(string(out), "Write the greeting") {
		t.Errorf("Output = %q, %v", out, err)
	}
}

// once notes that it ran.
const once = `
- hosts: all
  gather_facts: false
  tasks:
    - { name: Note, shell: "echo {{ inventory_hostname }} >> {{ dir }}/ran" }
`

func (w world) ran(t *testing.T) int {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(w.dir, "ran"))
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	return strings.Count(string(b), "\n")
}

func hosts(t *testing.T, w world) {
	j := w.job("k", once+`
    - { name: Break, command: "sh -c 'echo it is broken >&2; exit 3'", when: inventory_hostname == "bad" }
    - { name: Ignored, command: "false", ignore_errors: true }
`, "bad", "good")
	h := w.launch(t, j)
	r, log, err := w.follow(t, h)
	f := Fails(t, err, ansible.FailHosts, false)
	if !strings.Contains(f.Message, "bad") || !strings.Contains(f.Message, "Break") || !strings.Contains(f.Message, "it is broken") || f.Details["hosts"] == nil {
		t.Errorf("the failure says %q %v", f.Message, f.Details)
	}
	if len(r.Hosts) != 2 || r.Hosts[0].State != ansible.Failed || r.Hosts[0].Task != "Break" || r.Hosts[1].State != ansible.Changed || r.Hosts[1].Ignored != 1 {
		t.Errorf("hosts = %+v\n%s", r.Hosts, log)
	}
	if again := w.launch(t, j); again != h {
		t.Errorf("Launch under the same key = %s; want %s", again, h)
	}
	_, _, err = w.follow(t, h)
	Fails(t, err, ansible.FailHosts, false)
	if n := w.ran(t); n != 2 {
		t.Errorf("the playbook ran on %d hosts; want 2: once each", n)
	}
	limited := w.job("limited", once, "bad", "good")
	limited.Limit = "good"
	if r, _ := w.succeeds(t, limited); len(r.Hosts) != 1 || r.Hosts[0].Host != "good" {
		t.Errorf("with a limit hosts = %+v", r.Hosts)
	}
}

// slow notes that it ran and waits for a file.
const slow = once + `
    - { name: Wait, command: "sh -c 'until test -e {{ dir }}/go; do sleep 0.1; done'", changed_when: false }
`

func attach(t *testing.T, w world) {
	j := w.job("k", slow, "web-01")
	h := w.launch(t, j)
	gone, cancel := context.WithCancel(t.Context())
	_, err := w.Follow(gone, h, func(e ansible.Event) {
		if e.Task == "Wait" {
			cancel()
		}
	})
	if !errors.Is(err, context.Canceled) {
		t.Fatalf("Follow with an ended context = %v", err)
	}
	w.Driver = w.Again()
	if again := w.launch(t, j); again != h {
		t.Errorf("Launch under the same key = %s; want %s", again, h)
	}
	if err := os.WriteFile(filepath.Join(w.dir, "go"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	r, log, err := w.follow(t, h)
	if err != nil || len(r.Hosts) != 1 || r.Hosts[0].OK != 2 || !strings.Contains(log, "TASK Note") {
		t.Errorf("the job found again = %+v, %v\n%s", r, err, log)
	}
	if n := w.ran(t); n != 1 {
		t.Errorf("the playbook ran %d times; want once", n)
	}
}

func cancelled(t *testing.T, w world) {
	h := w.launch(t, w.job("k", slow, "web-01"))
	waits, ended := make(chan struct{}), make(chan error, 1)
	go func() {
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		var told bool
		_, err := w.Follow(ctx, h, func(e ansible.Event) {
			if e.Kind == ansible.KindTask && e.Task == "Wait" && !told {
				told = true
				close(waits)
			}
		})
		ended <- err
	}()
	select {
	case <-waits:
	case err := <-ended:
		t.Fatalf("Follow = %v before it was cancelled", err)
	}
	for range 2 {
		if err := w.Cancel(t.Context(), h); err != nil {
			t.Fatalf("Cancel = %v", err)
		}
	}
	Fails(t, <-ended, ansible.FailCancelled, false)
}

func offline(t *testing.T, w world) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := l.Addr().(*net.TCPAddr).Port
	l.Close()
	j := w.job("k", once, "near")
	j.Inventory.Hosts["far"] = ansible.Vars{"ansible_connection": Text("ssh"), "ansible_host": Text("127.0.0.1"), "ansible_port": json.RawMessage(fmt.Sprint(port))}
	r, log, err := w.follow(t, w.launch(t, j))
	Fails(t, err, ansible.FailOffline, true)
	if len(r.Hosts) != 2 || r.Hosts[0].State != ansible.Unreachable || r.Hosts[1].State != ansible.Changed {
		t.Errorf("hosts = %+v\n%s", r.Hosts, log)
	}
}

func invalid(t *testing.T, w world) {
	_, log, err := w.follow(t, w.launch(t, w.job("syntax", "- hosts: all\n  tasks:\n    - no_such_module_anywhere: {}\n", "web-01")))
	f := Fails(t, err, ansible.FailConfig, false)
	if !strings.Contains(f.Message, "no_such_module_anywhere") {
		t.Errorf("the failure says %q %v; want what Ansible said\n%s", f.Message, f.Details, log)
	}
	for name, change := range map[string]func(*ansible.Job){
		"limit":     func(j *ansible.Job) { j.Limit = "@/etc/passwd" },
		"tag":       func(j *ansible.Job) { j.Tags = []string{"--help"} },
		"variable":  func(j *ansible.Job) { j.Vars["not a name"] = Text("x") },
		"steering":  func(j *ansible.Job) { j.Vars["ansible_ssh_common_args"] = Text("-o ProxyCommand=id") },
		"tutti_key": func(j *ansible.Job) { j.Vars["tutti_key"] = Text("x") },
	} {
		j := w.job("invalid "+name, once, "web-01")
		change(&j)
		_, err := w.try(t, j)
		Fails(t, err, ansible.FailConfig, false)
	}
	if n := w.ran(t); n != 0 {
		t.Errorf("%d of the invalid jobs ran", n)
	}
}

func secret(t *testing.T, w world) {
	j := w.job("k", `
- hosts: all
  gather_facts: false
  tasks:
    - { name: Hidden, copy: { dest: "{{ dir }}/hidden", content: "a-very-hidden-text\n" }, no_log: true }
    - { name: Many, command: "echo {{ item }}", loop: [a-very-hidden-text], no_log: true }
    - { name: Shown, debug: { msg: shown } }
`, "web-01")
	j.Diff = true
	r, log := w.succeeds(t, j)
	all := fmt.Sprint(r) + log
	if strings.Contains(all, "a-very-hidden-text") || !strings.Contains(all, "shown") {
		t.Errorf("what no_log hides is told: %s", all)
	}
	if !slices.ContainsFunc(r.Changes, func(c ansible.Change) bool { return c.Task == "Hidden" && c.Diff == "" }) {
		t.Errorf("changes = %+v; want the hidden one without its diff", r.Changes)
	}
}

func timeout(t *testing.T, w world) {
	j := w.job("k", slow, "web-01")
	j.Timeout = 3 * time.Second
	_, _, err := w.follow(t, w.launch(t, j))
	Fails(t, err, ansible.FailTimeout, false)
}

func missing(t *testing.T, w world) {
	for _, h := range []string{"0123456789abcdef01234567", "999999", "../x"} {
		if _, err := w.Follow(t.Context(), h, func(ansible.Event) {}); err == nil {
			t.Errorf("Follow of no job %q succeeded", h)
		}
		if err := w.Cancel(t.Context(), h); err == nil {
			t.Errorf("Cancel of no job %q succeeded", h)
		}
	}
}
