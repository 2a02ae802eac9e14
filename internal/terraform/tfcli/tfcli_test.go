package tfcli_test

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"tutti/internal/secretbox"
	"tutti/internal/shim"
	"tutti/internal/terraform"
	"tutti/internal/terraform/terraformtest"
	"tutti/internal/terraform/tfcli"
)

// TestMain lets the test's own program be the shim and the runner.
func TestMain(m *testing.M) {
	switch {
	case len(os.Args) > 2 && os.Args[1] == "shim":
		os.Exit(shim.Main(os.Args[2]))
	case len(os.Args) > 1 && os.Args[1] == "runner":
		os.Exit(tfcli.Main())
	}
	os.Exit(m.Run())
}

func config(t testing.TB) tfcli.Config {
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
	return tfcli.Config{
		Dir: filepath.Join(dir, "terraform"), Shim: []string{exe, "shim"}, Runner: []string{exe, "runner"},
		Program: terraformtest.Program(t), Box: box,
	}
}

func open(t testing.TB, c tfcli.Config) terraform.Driver {
	t.Helper()
	d, err := tfcli.New(c)("default", terraform.Connection{})
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestDriver(t *testing.T) {
	t.Parallel()
	terraformtest.Run(t, func(t *testing.T) terraform.Driver { return open(t, config(t)) })
}

const slow = `
variable "word" { sensitive = true }
resource "terraform_data" "first" { input = var.word }
resource "terraform_data" "second" {
  depends_on = [terraform_data.first]
  provisioner "local-exec" { command = "echo $PPID >$RUN/pid; sleep 5" }
}`

// A runner that is killed in the middle of an apply ends its program with it. What was made is in the state
// all the same, also where the program writes it only now and then, and the disk never has it in plain text.
func TestKilledRunner(t *testing.T) {
	t.Parallel()
	c := config(t)
	d := open(t, c)
	note := t.TempDir()
	if _, err := d.Ensure(t.Context(), "w"); err != nil {
		t.Fatal(err)
	}
	err := d.PutVariables(t.Context(), "w", []terraform.Variable{
		{Name: "word", Value: []byte(`"plainly-visible"`), Sensitive: true}, {Name: "RUN", Env: true, Value: []byte(strconv.Quote(note))},
	})
	if err != nil {
		t.Fatal(err)
	}
	id, err := d.Upload(t.Context(), "w", terraformtest.Config(slow))
	if err != nil {
		t.Fatal(err)
	}
	h, err := d.StartPlan(t.Context(), terraform.PlanIn{Workspace: "w", Config: id, Key: "k"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := d.AwaitPlan(t.Context(), "w", h, new(bytes.Buffer)); err != nil {
		t.Fatal(err)
	}
	if err := d.StartApply(t.Context(), "w", h, ""); err != nil {
		t.Fatal(err)
	}
	killer := &killAt{words: "second: Provisioning", t: t, dir: c.Dir}
	_, err = d.AwaitApply(t.Context(), "w", h, killer)
	terraformtest.Fails(t, err, terraform.FailLost, false)

	h, err = d.StartPlan(t.Context(), terraform.PlanIn{Workspace: "w", Config: id, Key: "after"})
	if err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	p, err := d.AwaitPlan(t.Context(), "w", h, &log)
	if err != nil {
		t.Fatalf("%v\n%s", err, &log)
	}
	if p.Fresh || p.Add != 1 && p.Add != 0 || !strings.Contains(log.String(), "found the state that a killed run left") {
		t.Errorf("the plan after a kill is %+v, log %s", p, &log)
	}
	out, err := d.Outputs(t.Context(), "w")
	if err != nil || len(out.Resources) == 0 {
		t.Errorf("Outputs = %+v, %v; want the first resource", out, err)
	}
	plain(t, c.Dir, "plainly-visible")
}

// killAt kills the runner once the log says some words.
type killAt struct {
	words string
	t     *testing.T
	dir   string
	seen  bytes.Buffer
	done  bool
}

func (k *killAt) Write(b []byte) (int, error) {
	k.seen.Write(b)
	if !k.done && strings.Contains(k.seen.String(), k.words) {
		k.done = true
		notes, _ := filepath.Glob(filepath.Join(k.dir, "default", "*", "runs", "*", "apply.1", "program"))
		for _, n := range notes {
			text, _ := os.ReadFile(n)
			var pid int
			if _, err := fmt.Sscanf(string(text[bytes.Index(text, []byte(`"pid":`))+6:]), "%d", &pid); err != nil {
				k.t.Errorf("%s: %v", text, err)
				continue
			}
			if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
				k.t.Error(err)
			}
		}
	}
	return len(b), nil
}

// plain checks that no file below dir has words in it.
func plain(t *testing.T, dir, words string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || !e.Type().IsRegular() {
			return err
		}
		b, err := os.ReadFile(path)
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if bytes.Contains(b, []byte(words)) {
			t.Errorf("%s has %q in plain text", path, words)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}

func TestAnotherKeyOpensNothing(t *testing.T) {
	t.Parallel()
	c := config(t)
	if _, err := open(t, c).Ensure(t.Context(), "w"); err != nil {
		t.Fatal(err)
	}
	box, err := secretbox.Open(filepath.Join(t.TempDir(), "other.key"))
	if err != nil {
		t.Fatal(err)
	}
	c.Box = box
	_, err = open(t, c).Outputs(t.Context(), "w")
	terraformtest.Fails(t, err, terraform.FailState, false)
}
