package demo

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"context"

	"tutti/errs"
	"tutti/internal/app"
	"tutti/internal/durable"
)

const (
	lockName    = "lock"
	addressName = "address"
)

// folder is the folder of a demo, in use.
type folder struct {
	dir  string
	lock *os.File
}

// openFolder makes dir the folder of a demo, and locks it.
func openFolder(dir string) (*folder, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, errs.New(errs.Invalid, "make the folder of the demo: %w", err)
	}
	dir, err := filepath.Abs(dir) // the vCenter's process is told where it is
	if err != nil {
		return nil, fmt.Errorf("find the folder of the demo: %w", err)
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, errs.New(errs.Invalid, "read the folder of the demo: %w", err)
	}
	f := &folder{dir: dir}
	if len(entries) > 0 && (!exists(f.path(lockName)) || exists(f.path("cluster.key"))) {
		return nil, errs.New(errs.Invalid, "the folder %s holds things that are not of a demo, such as %s", dir, entries[0].Name()).
			WithHint("give a folder of its own as --data; it is made where it is missing")
	}
	if f.lock, err = os.OpenFile(f.path(lockName), os.O_RDWR|os.O_CREATE|syscall.O_NOFOLLOW, 0o600); err != nil {
		return nil, errs.New(errs.Invalid, "lock the folder of the demo: %w", err)
	}
	if err := syscall.Flock(int(f.lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		pid, _ := os.ReadFile(f.path(lockName)) // for people, who may do without
		f.lock.Close()
		return nil, errs.New(errs.Conflict, "another demo uses the folder %s (process %s)", dir, strings.TrimSpace(string(pid))).
			WithHint("stop it, or give another folder as --data")
	}
	err = f.lock.Truncate(0)
	if err == nil {
		_, err = f.lock.WriteAt([]byte(strconv.Itoa(os.Getpid())+"\n"), 0)
	}
	if err != nil {
		f.lock.Close()
		return nil, fmt.Errorf("lock the folder of the demo: %w", err)
	}
	return f, nil
}

// close unlocks the folder.
func (f *folder) close() { f.lock.Close() }

// path returns where something is in the folder.
func (f *folder) path(name string) string { return filepath.Join(f.dir, name) }

// read returns a line kept in the folder; "" where there is none.
func (f *folder) read(name string) string {
	b, err := os.ReadFile(f.path(name))
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(b))
}

// write keeps a line in the folder, for its owner alone, whole or not at all.
func (f *folder) write(name, line string) error {
	if err := durable.Replace(f.path(name), []byte(line+"\n")); err != nil {
		return fmt.Errorf("keep %s: %w", name, err)
	}
	return nil
}

// secret returns a password kept in the folder, a new one where there is none.
func (f *folder) secret(name string) (secret string, made bool, err error) {
	if s := f.read(name); s != "" {
		return s, false, nil
	}
	s := strings.ToLower(rand.Text()[:20])
	return s, true, f.write(name, s)
}

// forget removes what was kept under a name.
func (f *folder) forget(name string) error {
	if err := os.Remove(f.path(name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("forget %s: %w", name, err)
	}
	return nil
}

// ports is how many are tried after the usual one before any is taken.
const ports = 20

// listen returns the address for the server: the one asked for, the one it had before, the usual one,
// or one nearby.
func (d *demo) listen(ctx context.Context) (string, error) {
	if d.Listen != "" {
		return d.Listen, nil // if it is taken, the server says so
	}
	host, first, err := net.SplitHostPort(app.DefaultListen)
	if err != nil {
		return "", err
	}
	port, err := strconv.Atoi(first)
	if err != nil {
		return "", err
	}
	try := []string{}
	if before := strings.TrimPrefix(d.folder.read(addressName), "http://"); before != "" {
		try = append(try, before)
	}
	for i := range ports {
		try = append(try, net.JoinHostPort(host, strconv.Itoa(port+i)))
	}
	taken := false
	for _, address := range try {
		if l, err := new(net.ListenConfig).Listen(ctx, "tcp", address); err == nil {
			l.Close()
			if taken {
				d.say("%s is taken: serving on %s instead.", app.DefaultListen, address)
			}
			return address, nil
		}
		taken = taken || address == app.DefaultListen
	}
	d.say("%s and those after it are taken: serving on any port.", app.DefaultListen)
	return net.JoinHostPort(host, "0"), nil
}
