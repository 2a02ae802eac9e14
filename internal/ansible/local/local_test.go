package local_test

import (
	"os"
	"path/filepath"
	"testing"

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
