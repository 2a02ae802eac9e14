package local_test

import (
	"bytes"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"tutti/errs"
	"tutti/internal/ansible"
	"tutti/internal/ansible/ansibletest"
	"tutti/internal/ansible/local"
	"tutti/internal/secretbox"
	"tutti/internal/shim"
)

// TestMain lets the test's own program be the shim and the runner.
func TestMain(m *testing.M) {
	switch {
	case len(os.Args) > 2 && os.Args[1] == "shim":
		os.Exit(shim.Main(os.Args[2]))
	case len(os.Args) > 1 && os.Args[1] == "runner":
		os.Exit(local.Main())
	}
	os.Exit(m.Run())
}

func config(t testing.TB) local.Config {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	box, err := secretbox.Open(filepath.Join(dir, "master.key"))
	if err != nil {
		t.Fatal(err)
	}
	return local.Config{Dir: filepath.Join(dir, "ansible"), Shim: []string{exe, "shim"}, Runner: []string{exe, "runner"}, Program: ansibletest.Program(t), Box: box}
}

func open(t testing.TB, c local.Config) ansible.Driver {
	t.Helper()
	d, err := local.New(c)("default", ansible.Connection{})
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestDriver(t *testing.T) {
	t.Parallel()
	ansibletest.Run(t, func(t *testing.T) ansibletest.Place {
		c := config(t)
		return ansibletest.Place{Driver: open(t, c), Again: func() ansible.Driver { return open(t, c) }}
	})
}

// job is one over SSH to a real server.
func job(s ansibletest.SSHD, key, playbook string) ansible.Job {
	return ansible.Job{
		Key: key, Project: map[string][]byte{"site.yml": []byte(playbook)}, Playbook: "site.yml",
		Inventory: ansible.Inventory{Hosts: map[string]ansible.Vars{"web-01": {
			"ansible_host": ansibletest.Text("127.0.0.1"), "ansible_port": json.RawMessage(strconv.Itoa(s.Port)), "ansible_python_interpreter": ansibletest.Text("/usr/bin/python3"),
		}}},
		Login: ansible.Login{User: s.User, Key: s.Key, KnownHosts: s.KnownHosts},
	}
}

func launch(t *testing.T, d ansible.Driver, j ansible.Job, see func(ansible.Event)) (ansible.Result, string, error) {
	t.Helper()
	h, err := d.Launch(t.Context(), j)
	if err != nil {
		t.Fatalf("Launch = %v", err)
	}
	log := ""
	r, err := d.Follow(t.Context(), h, func(e ansible.Event) {
		log += e.Line() + "\n"
		if see != nil {
			see(e)
		}
	})
	return r, log, err
}

const overSSH = `
- hosts: all
  gather_facts: false
  vars_files: [hidden.yml]
  tasks:
    - { name: Write, copy: { dest: "{{ home }}/note", content: "{{ word }} {{ vaulted }}\n" } }
    - { name: Tell, debug: { msg: "the word is {{ word }}" } }
    - { name: Wait, command: "sh -c 'sleep 2'", changed_when: false }
`

// Over a real SSH server: keys and secrets are used, and are neither told nor on the disk, also while it runs.
func TestSecretsOverSSH(t *testing.T) {
	t.Parallel()
	c, s := config(t), ansibletest.NewSSHD(t)
	j := job(s, "k", overSSH)
	j.Secrets, j.Vars = map[string]string{"word": "plainly-visible"}, ansible.Vars{"home": ansibletest.Text(s.Home)}
	j.Login.VaultPassword = "the-password-of-the-vault"
	j.Project["hidden.yml"] = vaulted(t, j.Login.VaultPassword, "vaulted: was-vaulted\n")
	j.Diff = true
	looked := false
	r, log, err := launch(t, open(t, c), j, func(e ansible.Event) {
		if !looked && e.Task == "Wait" {
			looked = true
			plain(t, c.Dir, "plainly-visible", "the-password-of-the-vault", "PRIVATE KEY")
		}
	})
	if err != nil {
		t.Fatalf("Follow = %v\n%s", err, log)
	}
	if b, err := os.ReadFile(filepath.Join(s.Home, "note")); err != nil || string(b) != "plainly-visible was-vaulted\n" {
		t.Errorf("the host has %q, %v", b, err)
	}
	if all := fmt.Sprint(r) + log; strings.Contains(all, "plainly-visible") || !strings.Contains(all, "was-vaulted") || !strings.Contains(all, "the word is ") {
		t.Errorf("what is told is %s", all)
	}
	if !looked {
		t.Error("nobody looked while it ran")
	}
	plain(t, c.Dir, "plainly-visible", "the-password-of-the-vault", "PRIVATE KEY")
}

// vaulted encrypts text with ansible-vault.
func vaulted(t *testing.T, password, text string) []byte {
	t.Helper()
	file := filepath.Join(t.TempDir(), "password")
	if err := os.WriteFile(file, []byte(password), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(strings.Replace(ansibletest.Program(t), "ansible-playbook", "ansible-vault", 1), "encrypt", "--vault-password-file", file, "--output", "-")
	cmd.Stdin = strings.NewReader(text)
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// plain checks that no file below dir has any of some words in it.
func plain(t *testing.T, dir string, words ...string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || !e.Type().IsRegular() {
			return nil // it went away
		}
		b, err := os.ReadFile(path)
		for _, w := range words {
			if err == nil && bytes.Contains(b, []byte(w)) {
				t.Errorf("%s has %q in plain text", path, w)
			}
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

// A host with another key than the known one, or with none that is known, gets nothing.
func TestHostKeys(t *testing.T) {
	t.Parallel()
	c, s := config(t), ansibletest.NewSSHD(t)
	_, public := ansibletest.NewKey(t)
	for name, known := range map[string]string{"none": "", "another": fmt.Sprintf("[127.0.0.1]:%d %s", s.Port, public)} {
		j := job(s, name, "- hosts: all\n  gather_facts: false\n  tasks:\n    - raw: touch ~/was-here\n")
		j.Login.KnownHosts = known
		_, log, err := launch(t, open(t, c), j, nil)
		if f := ansibletest.Fails(t, err, ansible.FailHostKey, false); !strings.Contains(f.Hint, "knownHosts") {
			t.Errorf("%s: the failure is %+v\n%s", name, f, log)
		}
	}
	if left, _ := os.ReadDir(s.Home); len(left) > 0 {
		t.Errorf("the host was reached: %v", left)
	}
}

// A runner that is killed takes its program with it; it is not begun again, and what lay in memory goes.
func TestKilledRunner(t *testing.T) {
	t.Parallel()
	c := config(t)
	j := ansible.Job{Key: "k", Project: map[string][]byte{"site.yml": []byte("- hosts: all\n  gather_facts: false\n  tasks:\n    - { name: Wait, command: sleep 600 }\n")}, Playbook: "site.yml", Inventory: ansibletest.Local("a"),
		Secrets: map[string]string{"word": "of-the-killed-" + rand.Text()}}
	killed := false
	see := func(e ansible.Event) {
		if killed || e.Task != "Wait" {
			return
		}
		killed = true
		notes, _ := filepath.Glob(filepath.Join(c.Dir, "default", "*", "shim", "program"))
		if len(notes) != 1 {
			t.Fatalf("programs = %v; want one", notes)
		}
		var note struct{ Pid int }
		if b, err := os.ReadFile(notes[0]); err != nil || json.Unmarshal(b, &note) != nil || note.Pid <= 1 {
			t.Fatalf("%s, %v", b, err)
		}
		if err := syscall.Kill(note.Pid, syscall.SIGKILL); err != nil {
			t.Error(err)
		}
	}
	_, _, err := launch(t, open(t, c), j, see)
	ansibletest.Fails(t, err, ansible.FailLost, false)
	_, _, err = launch(t, open(t, c), j, nil)
	ansibletest.Fails(t, err, ansible.FailLost, false)
	// The next driver clears away what it left.
	j.Key, j.Project["site.yml"] = "next", []byte("- hosts: all\n  gather_facts: false\n  tasks: []\n")
	if _, _, err := launch(t, open(t, c), j, nil); err != nil {
		t.Fatal(err)
	}
	left, _ := filepath.Glob(fmt.Sprintf("/dev/shm/tutti-ansible-%d/*/vars.yml", os.Geteuid()))
	for _, file := range left {
		if b, err := os.ReadFile(file); err == nil && bytes.Contains(b, []byte(j.Secrets["word"])) {
			t.Errorf("%s is left", file)
		}
	}
}

func TestNewRefuses(t *testing.T) {
	t.Parallel()
	box, err := secretbox.Open(filepath.Join(t.TempDir(), "master.key"))
	if err != nil {
		t.Fatal(err)
	}
	whole := local.Config{Dir: t.TempDir(), Runner: []string{"x"}, Shim: []string{"x"}, Box: box, Program: "no-such-program"}
	if _, err := local.New(whole)("default", ansible.Connection{URL: "https://awx.example"}); !errs.Is(err, errs.Invalid) {
		t.Errorf("New with an address = %v; want invalid", err)
	}
	if _, err := local.New(local.Config{})("default", ansible.Connection{}); !errs.Is(err, errs.Invalid) {
		t.Errorf("New where nothing can run = %v; want invalid", err)
	}
	if _, err := local.New(whole)("../x", ansible.Connection{}); !errs.Is(err, errs.Invalid) {
		t.Errorf("New for a strange namespace = %v; want invalid", err)
	}
	d, err := local.New(whole)("default", ansible.Connection{})
	if err != nil {
		t.Fatal(err)
	}
	_, err = d.Launch(t.Context(), ansible.Job{Key: "k", Playbook: "a.yml", Project: map[string][]byte{"a.yml": nil}})
	ansibletest.Fails(t, err, ansible.FailProgram, false)
	if _, err := d.Launch(t.Context(), ansible.Job{Key: "k", Template: "x"}); !errs.Is(err, errs.Invalid) {
		t.Errorf("Launch of a template = %v; want invalid", err)
	}
}
