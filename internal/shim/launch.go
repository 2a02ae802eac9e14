package shim

import (
	"encoding/gob"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// execArg, in place of a directory, makes Main set limits and then become the program.
const execArg = "@exec"

// launch starts the program with stdio in a session of its own and returns its process number.
func launch(self []string, spec Spec, dir string, stdio []uintptr) (int, error) {
	if spec.Dir == "" {
		spec.Dir = dir
	}
	path, err := lookup(spec.Argv[0], spec.Dir, spec.Env)
	if err != nil {
		return 0, err
	}
	attr := &syscall.ProcAttr{
		Dir: spec.Dir, Env: append([]string{}, spec.Env...), Files: stdio,
		Sys: &syscall.SysProcAttr{Setsid: true, Pdeathsig: syscall.SIGKILL},
	}
	l := spec.Limits
	if l.CPU <= 0 && l.Memory <= 0 && l.FileSize <= 0 {
		return syscall.ForkExec(path, spec.Argv, attr)
	}
	return launchLimited(self, limited{path, spec.Argv, l}, attr)
}

// limited is what the second stage reads from its descriptor 3; errors go to descriptor 4.
type limited struct {
	Path   string
	Argv   []string
	Limits Limits
}

// launchLimited goes through a second stage of this binary that sets the limits and then becomes
// the program: to set them from outside would leave it a moment without.
func launchLimited(self []string, l limited, attr *syscall.ProcAttr) (int, error) {
	orders, w, err := os.Pipe()
	if err != nil {
		return 0, err
	}
	defer orders.Close()
	r, report, err := os.Pipe()
	if err != nil {
		w.Close()
		return 0, err
	}
	defer r.Close()
	attr.Files = append(attr.Files, orders.Fd(), report.Fd())
	// The file of this process, even if it was replaced by a newer version since.
	pid, err := syscall.ForkExec("/proc/self/exe", append(append([]string{}, self...), execArg), attr)
	report.Close()
	if err == nil {
		err = gob.NewEncoder(w).Encode(l)
	}
	err = errors.Join(err, w.Close())
	if err == nil {
		var message []byte
		if message, err = io.ReadAll(r); len(message) > 0 {
			err = errors.New(string(message))
		}
	}
	if err != nil && pid > 0 {
		_ = syscall.Kill(pid, syscall.SIGKILL) // reaped with whatever else is left
		return 0, err
	}
	return pid, err
}

// execLimited is the second stage. It returns only when it fails.
func execLimited() int {
	orders, report := os.NewFile(3, "orders"), os.NewFile(4, "report")
	unix.CloseOnExec(3)
	unix.CloseOnExec(4)
	var l limited
	err := gob.NewDecoder(orders).Decode(&l)
	if err == nil {
		err = setLimits(l.Limits)
	}
	if err == nil {
		err = syscall.Exec(l.Path, l.Argv, os.Environ())
	}
	fmt.Fprint(report, err)
	return 127
}

func setLimits(l Limits) error {
	set := func(what int, n, slack int64) error {
		if n <= 0 {
			return nil
		}
		return unix.Setrlimit(what, &unix.Rlimit{Cur: uint64(n), Max: uint64(n + slack)})
	}
	seconds := int64((l.CPU + time.Second - 1) / time.Second)
	return errors.Join(
		set(unix.RLIMIT_CPU, seconds, 1), // SIGXCPU, and a second later SIGKILL
		set(unix.RLIMIT_FSIZE, l.FileSize, 0),
		set(unix.RLIMIT_AS, l.Memory, 0), // last: from here on this process can hardly allocate
	)
}

// lookup finds the program as a shell would, in the PATH of env.
func lookup(name, dir string, env []string) (string, error) {
	if strings.Contains(name, "/") {
		return name, nil // relative to dir, where exec will look for it
	}
	path := ""
	for _, e := range env {
		if v, ok := strings.CutPrefix(e, "PATH="); ok {
			path = v
		}
	}
	for _, d := range filepath.SplitList(path) {
		if !filepath.IsAbs(d) {
			continue // the working directory is no place to find programs by accident
		}
		p := filepath.Join(d, name)
		if i, err := os.Stat(p); err == nil && i.Mode().IsRegular() && unix.Access(p, unix.X_OK) == nil {
			return p, nil
		}
	}
	return "", fmt.Errorf("no such program in PATH (%q)", path)
}
