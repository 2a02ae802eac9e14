// Package vcenter is a vCenter for demonstrations: govmomi's simulator, which speaks the real SOAP
// API, in a process of its own on a loopback port. A real vCenter does not end with its clients, so
// neither does this one: it outlives a killed demo, and the next demo finds it, with its machines.
//
// Open starts or finds one, Main is the process itself. It owns the folder it is given: state.json
// (address and process), password (for the folder's owner alone), log, and tmp/ (the files of the
// datastores).
package vcenter

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/vmware/govmomi"

	"tutti/errs"
	"tutti/internal/durable"
)

// User is who logs in.
const User = "tutti@vsphere.local"

// Config says which vCenter is wanted.
type Config struct {
	// Dir is the folder it keeps; it is made where it is missing.
	Dir string
	// Command is the program and the arguments that end up in Main.
	Command []string
	// Lock is a file that names the process of the demo that uses it, and that is gone when the demo's
	// folder is; see Main.
	Lock string
	// Pause is how long it takes to make a machine; 0 is none. It counts when the process is started.
	Pause time.Duration
}

// VCenter is a running vCenter.
type VCenter struct {
	// URL is the address of its API, such as http://127.0.0.1:40123/sdk.
	URL string
	// Password is that of User.
	Password string
	// PID is its process.
	PID int
	// Found says that it ran before; Lost that there was another before, which is gone with its machines.
	Found, Lost bool

	dir string
}

// state is what is written down about the process, so that it is found again.
type state struct {
	URL string `json:"url"`
	PID int    `json:"pid"`
}

const (
	stateName    = "state.json"
	passwordName = "password"
	logName      = "log"
)

// Address returns the host and port of the API.
func (v *VCenter) Address() string {
	u, err := url.Parse(v.URL)
	if err != nil {
		return ""
	}
	return u.Host
}

// Open finds the vCenter of a folder, or starts one.
func Open(ctx context.Context, c Config) (*VCenter, error) {
	v, err := Find(ctx, c.Dir)
	if err == nil {
		return v, nil
	}
	s, _ := readState(c.Dir) // where it was before; anywhere else will do
	_, err = os.Stat(filepath.Join(c.Dir, logName))
	lost := err == nil
	if v, err = start(ctx, c, s.URL); err != nil {
		return nil, fmt.Errorf("start the vCenter: %w", err)
	}
	v.Lost = lost
	return v, nil
}

// Find finds the vCenter of a folder. It returns errs.NotFound where none runs.
func Find(ctx context.Context, dir string) (*VCenter, error) {
	s, err := readState(dir)
	if err != nil || s.PID == 0 {
		return nil, errs.New(errs.NotFound, "no vCenter runs in %s", dir)
	}
	v := &VCenter{URL: s.URL, Password: readPassword(dir), PID: s.PID, Found: true, dir: dir}
	if !v.answers(ctx) {
		return nil, errs.New(errs.NotFound, "the vCenter of %s does not answer", dir)
	}
	return v, nil
}

// answers reports whether v is what it is said to be: somebody who knows the password.
func (v *VCenter) answers(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	return v.visit(ctx, func(*govmomi.Client) error { return nil }) == nil
}

// start starts the process. Its socket is opened here, so that callers may connect at once: they are
// answered as soon as it is there.
func start(ctx context.Context, c Config, before string) (*VCenter, error) {
	tmp := filepath.Join(c.Dir, "tmp") // what an earlier one left there belongs to machines that are gone
	if err := errors.Join(os.RemoveAll(tmp), os.MkdirAll(tmp, 0o700)); err != nil {
		return nil, err
	}
	l, err := listen(ctx, before)
	if err != nil {
		return nil, err
	}
	defer func() { _ = l.Close() }()
	socket, err := l.File()
	if err != nil {
		return nil, err
	}
	defer socket.Close()
	log, err := os.OpenFile(filepath.Join(c.Dir, logName), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return nil, err
	}
	defer log.Close()
	v := &VCenter{URL: "http://" + l.Addr().String() + "/sdk", Password: readPassword(c.Dir), dir: c.Dir}
	if v.Password == "" {
		v.Password = rand.Text()
	}
	first, err := json.Marshal(orders{Dir: c.Dir, Lock: c.Lock, URL: v.URL, Password: v.Password, Pause: c.Pause})
	if err != nil {
		return nil, err
	}
	r, w, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer r.Close()
	defer w.Close()
	cmd := exec.Command(c.Command[0], c.Command[1:]...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = r, log, log
	cmd.ExtraFiles = []*os.File{socket}
	cmd.Env = append(os.Environ(), "TMPDIR="+tmp)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true} // an interrupt of the demo is not for it
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	go func() { _ = cmd.Wait() }() // takes away what is left when it ends before this process
	v.PID = cmd.Process.Pid
	if _, err := w.Write(append(first, '\n')); err != nil {
		return nil, err
	}
	return v, errors.Join(replace(c.Dir, passwordName, []byte(v.Password)), writeState(c.Dir, state{URL: v.URL, PID: v.PID}))
}

// listen opens the socket of the address it had before, or any other.
func listen(ctx context.Context, before string) (*net.TCPListener, error) {
	var config net.ListenConfig
	if u, err := url.Parse(before); err == nil && u.Host != "" {
		if l, err := config.Listen(ctx, "tcp", u.Host); err == nil {
			return tcp(l)
		}
	}
	l, err := config.Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	return tcp(l)
}

func tcp(l net.Listener) (*net.TCPListener, error) {
	t, ok := l.(*net.TCPListener)
	if !ok {
		return nil, errs.New(errs.Internal, "%T is no TCP listener", l)
	}
	return t, nil
}

// Stop ends the process, and with it all machines.
func (v *VCenter) Stop(ctx context.Context) error {
	// Only what proves to be it is ended: the number may be another's by now.
	if v.answers(ctx) {
		if err := syscall.Kill(v.PID, syscall.SIGTERM); err != nil && !errors.Is(err, syscall.ESRCH) {
			return fmt.Errorf("stop the vCenter: %w", err)
		}
	}
	return writeState(v.dir, state{URL: v.URL}) // the next one is found where this one was
}

func readState(dir string) (s state, err error) {
	b, err := os.ReadFile(filepath.Join(dir, stateName))
	if err != nil {
		return s, err
	}
	return s, json.Unmarshal(b, &s)
}

func writeState(dir string, s state) error {
	b, err := json.Marshal(s)
	if err != nil {
		return err
	}
	return replace(dir, stateName, b)
}

// readPassword returns the password of the vCenter, which stays the same; "" where there is none yet.
func readPassword(dir string) string {
	b, err := os.ReadFile(filepath.Join(dir, passwordName))
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(b))
}

// replace writes a file of the folder, for its owner alone, whole or not at all.
func replace(dir, name string, content []byte) error {
	return durable.Replace(filepath.Join(dir, name), append(content, '\n'))
}
