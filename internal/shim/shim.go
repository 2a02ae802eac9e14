// Package shim runs a local program so that it survives the process that started it.
//
// Start makes a small process, the shim, in a session of its own; the shim runs the program, takes
// its output into files and records how it ended, all in one directory. Whoever knows the
// directory can Attach, now or after a crash, and wait, read and stop. A directory runs one
// program once: to Start in it again is to Attach.
//
// The package owns that directory and these files in it:
//
//	begun    made once, by the shim that goes on to run the program; never removed
//	alive    a FIFO the shim holds open for writing: its end of file is the shim's death
//	control  a FIFO the shim takes orders from
//	program  the program's process number and start time, as JSON
//	stdout, stderr, shim.log
//	exit     how it ended, as JSON; appears at once and complete
//
// Environment and standard input travel through a pipe and are on no disk and no command line.
// The server's service manager must not kill the whole group of the service when it stops it
// (systemd: KillMode=process), or it kills the shims too.
//
// Linux only: it relies on child subreapers and /proc.
package shim

import (
	"bufio"
	"bytes"
	"encoding/gob"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"tutti/errs"
)

// Spec says what to run.
type Spec struct {
	// Argv is the program and its arguments. Without a slash the program is looked up in the
	// PATH of Env.
	Argv []string
	// Env is the complete environment, as "NAME=value": the program inherits nothing.
	Env []string
	// Dir is the working directory; empty means the shim's directory.
	Dir    string
	Stdin  []byte
	Limits Limits
	// Grace is the time between SIGTERM and SIGKILL when a limit ends the program or the system
	// shuts the shim down. 0 means 5 s, a negative value SIGKILL at once.
	Grace time.Duration
	// Linger is how long what the program started may go on once the program itself has ended, such as one
	// that ends in an orderly way when its parent dies. What is left then is killed; 0 is at once.
	Linger time.Duration
}

// DefaultGrace is what a zero Spec.Grace means.
const DefaultGrace = 5 * time.Second

// Limits bound a program. 0 means none.
type Limits struct {
	Wall     time.Duration // of the whole
	CPU      time.Duration // of each process, in whole seconds, rounded up
	Memory   int64         // bytes of address space of each process (allocation fails; it is not seen as a limit hit)
	Output   int64         // bytes of stdout, and of stderr; what goes beyond is dropped and ends the program
	FileSize int64         // bytes of each file it writes
	Procs    int           // processes at one time, the program included; sampled 10 times a second
}

// The values of Exit.Limit.
const (
	LimitWall     = "wall"
	LimitCPU      = "cpu"
	LimitOutput   = "output"
	LimitFileSize = "fileSize"
	LimitProcs    = "procs"
)

// Exit is how a program ended.
type Exit struct {
	Code   int    `json:"code"`             // the exit status; -1 where there is none
	Signal string `json:"signal,omitempty"` // the signal that ended it, such as "SIGKILL"
	Limit  string `json:"limit,omitempty"`  // the limit it hit, first if several
	// Stopped says that it was told to stop, by Signal or by a signal to the shim, before it ended.
	Stopped bool `json:"stopped,omitempty"`
	// Lost says that the shim vanished without recording an end: it was killed, or the machine
	// went down. The program itself was killed with it; what it had done is not known.
	Lost bool `json:"lost,omitempty"`
	// Error says why the program could not be started, or why its output is incomplete.
	Error   string        `json:"error,omitempty"`
	Started time.Time     `json:"started"`
	Ended   time.Time     `json:"ended"`
	User    time.Duration `json:"user"`   // CPU time of the program and the children it waited for
	System  time.Duration `json:"system"` // likewise, in the kernel
	MaxRSS  int64         `json:"maxRSS"` // bytes, of the largest of them
}

// OK reports whether the program ran and ended by itself with status 0.
func (e Exit) OK() bool {
	return e.Code == 0 && e.Signal == "" && e.Limit == "" && !e.Lost && e.Error == ""
}

// startTimeout bounds how long a shim may take until the program runs.
const startTimeout = 30 * time.Second

// Start runs spec under a shim in dir, which is made if missing, unless something was started in
// dir before: then it is as Attach. self is the command line that reaches Main, to which dir is
// appended. When Start returns, the program has been started or the reason why it could not is
// recorded as its Exit. After an error nothing was started.
func Start(self []string, dir string, spec Spec) (*Process, error) {
	if len(self) == 0 || len(spec.Argv) == 0 || spec.Argv[0] == "" {
		return nil, errs.New(errs.Invalid, "start a program: there is no command")
	}
	for _, s := range append(append([]string{spec.Dir}, spec.Argv...), spec.Env...) {
		if strings.ContainsRune(s, 0) {
			return nil, errs.New(errs.Invalid, "start a program: a NUL byte in its command line, directory or environment")
		}
	}
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, fmt.Errorf("start a program: %w", err)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("start a program: %w", err)
	}
	if p, err := Attach(dir); !errs.Is(err, errs.NotFound) {
		return p, err
	}
	if err := spawn(self, dir, spec); err != nil {
		return nil, fmt.Errorf("start a program in %s: %w", dir, err)
	}
	return Attach(dir)
}

// spawn starts a shim, hands it spec and waits for its word.
func spawn(self []string, dir string, spec Spec) error {
	var body bytes.Buffer // not JSON, which would spoil bytes that are no UTF-8
	if err := gob.NewEncoder(&body).Encode(wire{spec, self}); err != nil {
		return err
	}
	log, err := os.OpenFile(filepath.Join(dir, fileLog), os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	defer log.Close()
	orders, w, err := os.Pipe()
	if err != nil {
		return err
	}
	defer w.Close()
	r, report, err := os.Pipe()
	if err != nil {
		orders.Close()
		return err
	}
	defer r.Close()
	cmd := exec.Command(self[0], append(append([]string{}, self[1:]...), dir)...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = orders, report, log
	cmd.Env = []string{} // nothing of ours may be read from the shim's /proc/PID/environ
	cmd.Dir = "/"
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	err = cmd.Start()
	orders.Close()
	report.Close()
	if err != nil {
		return err
	}
	// The only use of this is to reap the shim should it end before this process does.
	go func() { _ = cmd.Wait() }()

	deadline := time.Now().Add(startTimeout)
	_ = errors.Join(w.SetWriteDeadline(deadline), r.SetReadDeadline(deadline))
	_, werr := w.Write(body.Bytes())
	werr = errors.Join(werr, w.Close())
	line, rerr := bufio.NewReader(r).ReadString('\n')
	switch line = strings.TrimSpace(line); {
	case line == saysBegun, line == saysBusy:
		return nil
	case line != "":
		return errors.New(line)
	}
	// Silence: make sure that it does not begin later, behind the back of whoever sees this error.
	_ = cmd.Process.Kill()
	if _, err := Attach(dir); err == nil {
		return nil // it had begun; how that ended is for Wait to say
	}
	return fmt.Errorf("the shim gave no answer (%s says more): %w", fileLog, errors.Join(werr, rerr))
}

// wire is what a shim reads from its standard input.
type wire struct {
	Spec Spec
	Self []string
}

const (
	fileBegun   = "begun"
	fileAlive   = "alive"
	fileControl = "control"
	fileProgram = "program"
	fileStdout  = "stdout"
	fileStderr  = "stderr"
	fileLog     = "shim.log"
	fileExit    = "exit"
	fileExitTmp = "exit.tmp"

	saysBegun = "begun"
	saysBusy  = "busy"
)
