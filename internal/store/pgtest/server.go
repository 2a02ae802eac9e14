package pgtest

import (
	"bytes"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"
	"time"
)

// server is a running PostgreSQL that ends with this process.
type server struct {
	url *url.URL // of its database "postgres"
	dir string   // all it has: data, log, socket
	// alive is the write end of the watcher's standard input. Nothing is ever written to it: it
	// closes when this process ends, and must therefore stay reachable until then.
	alive *os.File
}

// watch runs as the server's parent, in a session of its own so that an interrupt at the terminal
// does not reach it. It reads its standard input until that ends, which is when the test process
// has; then it stops the server at once, without a checkpoint, and removes everything.
const watch = `
"$1/postgres" -D "$2/data" -k "$2" -c listen_addresses= \
	-c fsync=on -c synchronous_commit=on -c full_page_writes=on \
	-c max_connections=200 -c shared_buffers=64MB -c log_min_messages=warning >"$2/log" 2>&1 </dev/null &
server=$!
cat >/dev/null
kill -QUIT $server
wait $server
rm -rf "$2"
`

// startup bounds the time from starting the server to its first answer: 0.2 s on an idle machine.
const startup = 30 * time.Second

// start makes a cluster in a temporary folder and runs a server on it.
//
// It returns nil without an error where PostgreSQL is not installed.
func start() (*server, error) {
	bin, ok := find(os.Getenv("PATH"), debian)
	if !ok {
		return nil, nil
	}
	owner, err := account()
	if err != nil {
		return nil, err
	}
	dir, err := folder(owner)
	if err != nil {
		return nil, err
	}
	s, err := launch(bin, dir, owner)
	if err != nil {
		_ = os.RemoveAll(dir)
		return nil, err
	}
	return s, nil
}

// launch initialises the cluster in dir and starts it. When it fails, nothing is left running.
func launch(bin, dir string, owner *syscall.Credential) (*server, error) {
	// What initdb writes need not be synced: only what the server writes later is ever tested.
	initdb := exec.Command(filepath.Join(bin, "initdb"), "-D", filepath.Join(dir, "data"),
		"-U", "tutti", "--auth=trust", "--encoding=UTF8", "--locale=C", "--no-sync", "--no-instructions")
	initdb.Dir = dir
	initdb.SysProcAttr = &syscall.SysProcAttr{Credential: owner}
	if out, err := initdb.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("initdb: %w\n%s", err, out)
	}

	stdin, alive, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer stdin.Close()
	watcher := exec.Command("/bin/sh", "-c", watch, "tutti-pgtest", bin, dir)
	watcher.Dir = dir
	watcher.Stdin = stdin
	watcher.SysProcAttr = &syscall.SysProcAttr{Credential: owner, Setsid: true}
	if err := watcher.Start(); err != nil {
		alive.Close()
		return nil, err
	}
	s := &server{
		url:   &url.URL{Scheme: "postgres", User: url.User("tutti"), Path: "/postgres", RawQuery: url.Values{"host": {dir}}.Encode()},
		dir:   dir,
		alive: alive,
	}
	if err := s.awaitReady(); err != nil {
		alive.Close()
		_ = watcher.Wait()
		return nil, err
	}
	return s, nil
}

// awaitReady returns once the server says in its pid file that it takes connections.
func (s *server) awaitReady() error {
	for deadline := time.Now().Add(startup); time.Now().Before(deadline); {
		// The eighth line is the state; the file appears before it is whole.
		if pid, err := os.ReadFile(filepath.Join(s.dir, "data", "postmaster.pid")); err == nil {
			if lines := bytes.Split(pid, []byte("\n")); len(lines) > 7 && bytes.HasPrefix(lines[7], []byte("ready")) {
				return nil
			}
		}
		time.Sleep(10 * time.Millisecond) // sleep: another process starts up, and tells only this file
	}
	log, _ := os.ReadFile(filepath.Join(s.dir, "log"))
	return fmt.Errorf("not ready after %v; its log says:\n%s", startup, log)
}

// debian is where Debian's packages put the server's programs, which are not on PATH.
const debian = "/usr/lib/postgresql/*/bin"

// find returns the folder of initdb and postgres: the first on path, or the newest of those that
// match the pattern packaged.
func find(path, packaged string) (bin string, ok bool) {
	versions, _ := filepath.Glob(packaged)
	slices.SortFunc(versions, func(a, b string) int { return version(b) - version(a) })
	for _, dir := range append(filepath.SplitList(path), versions...) {
		if filepath.IsAbs(dir) && executable(dir, "initdb") && executable(dir, "postgres") {
			return dir, true
		}
	}
	return "", false
}

// version reads the 15 of /usr/lib/postgresql/15/bin; 0 where there is no number.
func version(bin string) int {
	n, _ := strconv.Atoi(filepath.Base(filepath.Dir(bin)))
	return n
}

func executable(dir, name string) bool {
	info, err := os.Stat(filepath.Join(dir, name))
	return err == nil && info.Mode().IsRegular() && info.Mode()&0o111 != 0
}

// account returns who the server runs as: nil for the caller itself, and, since PostgreSQL refuses
// to run as root, the user postgres (or nobody, where the packages made no such user) for root.
func account() (*syscall.Credential, error) {
	if os.Geteuid() != 0 {
		return nil, nil
	}
	u, err := user.Lookup("postgres")
	if err != nil {
		if u, err = user.Lookup("nobody"); err != nil {
			return nil, fmt.Errorf("PostgreSQL refuses to run as root, and there is neither a user postgres nor nobody: %w", err)
		}
	}
	uid, err := strconv.ParseUint(u.Uid, 10, 32)
	if err != nil {
		return nil, err
	}
	gid, err := strconv.ParseUint(u.Gid, 10, 32)
	if err != nil {
		return nil, err
	}
	return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, nil
}

// folder makes the server's folder where its owner can reach it: below the first candidate whose
// parents everybody may pass through, and whose path leaves room for a socket's name (107 bytes).
func folder(owner *syscall.Credential) (string, error) {
	for _, parent := range []string{os.TempDir(), "/tmp", "/var/tmp"} {
		if owner != nil && !passable(parent) || len(parent) > 60 {
			continue
		}
		dir, err := os.MkdirTemp(parent, "tutti-pg-")
		if err != nil {
			continue
		}
		if owner != nil {
			if err := os.Chown(dir, int(owner.Uid), int(owner.Gid)); err != nil {
				_ = os.RemoveAll(dir)
				return "", err
			}
		}
		return dir, nil
	}
	return "", fmt.Errorf("no temporary folder that PostgreSQL can use; tried %s, /tmp and /var/tmp", os.TempDir())
}

// passable reports whether every user may enter dir.
func passable(dir string) bool {
	for dir = filepath.Clean(dir); ; dir = filepath.Dir(dir) {
		info, err := os.Stat(dir)
		if err != nil || info.Mode().Perm()&0o001 == 0 {
			return false
		}
		if dir == "/" {
			return true
		}
	}
}
