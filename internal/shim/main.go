package shim

import (
	"bufio"
	"encoding/gob"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"tutti/internal/durable"
)

// Main is the shim. The hidden command that Start's self names calls it with its last argument
// and exits with what it returns.
func Main(dir string) int {
	if dir == execArg {
		return execLimited()
	}
	// The program is killed when the thread that started it ends, so that thread must not.
	runtime.LockOSThread()
	// Whoever started us may be gone; to write to it must not end us.
	signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE, syscall.SIGHUP)
	s, err := begin(dir)
	if err != nil {
		fmt.Println(strings.ReplaceAll(err.Error(), "\n", " "))
		return 1
	}
	s.start()
	fmt.Println(saysBegun)
	s.detach()
	s.loop()
	if err := s.finish(); err != nil {
		fmt.Fprintln(os.Stderr, time.Now().Format(time.RFC3339), err)
		return 1
	}
	return 0
}

// shim is the state of the one loop that runs a program.
type shim struct {
	dir         string
	spec        Spec
	self        []string
	alive       *os.File // held open, never written
	exitFile    *os.File // the prepared file of the record
	signals     chan os.Signal
	orders      chan time.Duration // grace of each stop
	outputs     []*output
	overflow    chan struct{}
	pid         int // 0 when not running
	exit        Exit
	terminating bool
	kill        <-chan time.Time
}

var errBusy = errors.New(saysBusy)

// begin takes possession of dir, or fails with errBusy where it was taken before.
func begin(dir string) (*shim, error) {
	var w wire
	// If whoever started us died meanwhile, this is cut off, and nothing begins.
	if err := gob.NewDecoder(os.Stdin).Decode(&w); err != nil {
		return nil, fmt.Errorf("read what to run: %w", err)
	}
	s := &shim{dir: dir, spec: w.Spec, self: w.Self, signals: make(chan os.Signal, 16), orders: make(chan time.Duration, 16), overflow: make(chan struct{}, 2)}
	if s.spec.Grace == 0 {
		s.spec.Grace = DefaultGrace
	}
	var err error
	if s.alive, err = openFIFO(s.path(fileAlive)); err != nil {
		return nil, err
	}
	control, err := openFIFO(s.path(fileControl))
	if err != nil {
		return nil, err
	}
	// Room for the record of the end is taken now: the disk may be full by then.
	s.exitFile, err = os.OpenFile(s.path(fmt.Sprintf("%s.%d", fileExitTmp, os.Getpid())), os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return nil, err
	}
	if _, err := s.exitFile.Write(make([]byte, 4096)); err != nil {
		return nil, errors.Join(err, os.Remove(s.exitFile.Name()))
	}
	// From here on Attach finds us, and the FIFOs are already held.
	mark, err := os.OpenFile(s.path(fileBegun), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		os.Remove(s.exitFile.Name())
		if errors.Is(err, fs.ErrExist) {
			return nil, errBusy
		}
		return nil, err
	}
	mark.Close()
	// A power loss must not make the directory look unused while the program has done things.
	if err := durable.SyncDir(dir); err != nil {
		return nil, err
	}
	go s.takeOrders(control)
	return s, nil
}

func (s *shim) path(name string) string { return filepath.Join(s.dir, name) }

// openFIFO opens a FIFO, made if missing, for both directions, so that it never ends.
func openFIFO(path string) (*os.File, error) {
	if err := unix.Mkfifo(path, 0o600); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, fmt.Errorf("make %s: %w", path, err)
	}
	return os.OpenFile(path, os.O_RDWR|unix.O_NONBLOCK, 0)
}

// takeOrders passes on the lines of the control FIFO.
func (s *shim) takeOrders(control io.Reader) {
	for lines := bufio.NewScanner(control); lines.Scan(); {
		if ms, ok := strings.CutPrefix(lines.Text(), "stop "); ok {
			if n, err := strconv.ParseInt(ms, 10, 64); err == nil {
				s.orders <- time.Duration(n) * time.Millisecond
			}
		}
	}
}

// start starts the program; a failure becomes the record of its end.
func (s *shim) start() {
	s.exit = Exit{Code: -1, Started: time.Now()}
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		s.fail("become a subreaper: %v", err)
		return
	}
	signal.Notify(s.signals, syscall.SIGCHLD, syscall.SIGTERM, syscall.SIGINT)
	var files []uintptr
	for _, name := range []string{fileStdout, fileStderr} {
		o, w, err := newOutput(s.path(name), s.spec.Limits.Output, s.overflow)
		if err != nil {
			s.fail("open %s: %v", name, err)
			return
		}
		defer w.Close()
		s.outputs = append(s.outputs, o)
		files = append(files, w.Fd())
	}
	in, err := stdin(s.spec.Stdin)
	if err != nil {
		s.fail("open its standard input: %v", err)
		return
	}
	defer in.Close()
	s.pid, err = launch(s.self, s.spec, s.dir, append([]uintptr{in.Fd()}, files...))
	if err != nil {
		s.fail("run %q: %v", s.spec.Argv[0], err)
		return
	}
	note, _ := json.Marshal(map[string]any{"pid": s.pid, "shim": os.Getpid(), "started": s.exit.Started})
	_ = os.WriteFile(s.path(fileProgram), note, 0o600) // for people; nothing depends on it
}

func (s *shim) fail(format string, args ...any) {
	s.exit.Error = fmt.Sprintf("%.1000s", fmt.Sprintf(format, args...))
}

// stdin returns a file that yields b and then ends.
func stdin(b []byte) (*os.File, error) {
	if len(b) == 0 {
		return os.Open(os.DevNull)
	}
	r, w, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	go func() {
		_, _ = w.Write(b) // whether the program reads it is its own affair
		w.Close()
	}()
	return r, nil
}

// detach lets go of the pipes to whoever started us.
func (s *shim) detach() {
	if null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0); err == nil {
		_ = unix.Dup2(int(null.Fd()), 0)
		_ = unix.Dup2(int(null.Fd()), 1)
		null.Close()
	}
}

// loop runs until the program has ended.
func (s *shim) loop() {
	wall, samples := time.NewTimer(time.Hour), time.NewTicker(time.Hour)
	wall.Stop()
	samples.Stop()
	if s.spec.Limits.Wall > 0 {
		wall.Reset(s.spec.Limits.Wall)
	}
	if s.spec.Limits.Procs > 0 {
		samples.Reset(time.Second / 10)
	}
	s.reap()
	for s.pid != 0 {
		select {
		case sig := <-s.signals:
			if sig != syscall.SIGCHLD {
				s.exit.Stopped = true
				s.stop(s.spec.Grace)
			}
			s.reap()
		case grace := <-s.orders:
			s.exit.Stopped = true
			s.stop(grace)
		case <-wall.C:
			s.limit(LimitWall)
		case <-s.overflow:
			s.limit(LimitOutput)
		case <-samples.C:
			if len(descendants(os.Getpid())) > s.spec.Limits.Procs {
				s.limit(LimitProcs)
			}
		case <-s.kill:
			killAll(os.Getpid(), s.reap)
		}
	}
}

func (s *shim) limit(name string) {
	if s.exit.Limit == "" {
		s.exit.Limit = name
	}
	if name == LimitProcs {
		s.stop(0) // it would use any grace to fork
		return
	}
	s.stop(s.spec.Grace)
}

// stop begins to end the program. A later stop can bring SIGKILL forward, not postpone it nor
// repeat SIGTERM.
func (s *shim) stop(grace time.Duration) {
	if grace <= 0 {
		killAll(os.Getpid(), s.reap)
		return
	}
	if s.terminating {
		return
	}
	s.terminating = true
	terminate(os.Getpid(), s.pid)
	s.kill = time.After(grace)
}

// reap collects all children that have ended, ours and those left to us.
func (s *shim) reap() {
	for {
		var ws syscall.WaitStatus
		var use syscall.Rusage
		pid, err := syscall.Wait4(-1, &ws, syscall.WNOHANG, &use)
		if err == syscall.EINTR {
			continue
		}
		if err != nil || pid <= 0 {
			return
		}
		if pid == s.pid {
			s.pid = 0
			s.ended(ws, use)
		}
	}
}

func (s *shim) ended(ws syscall.WaitStatus, use syscall.Rusage) {
	s.exit.Ended = time.Now()
	s.exit.User, s.exit.System = time.Duration(use.Utime.Nano()), time.Duration(use.Stime.Nano())
	s.exit.MaxRSS = use.Maxrss << 10
	if ws.Exited() {
		s.exit.Code = ws.ExitStatus()
		return
	}
	s.exit.Signal = unix.SignalName(ws.Signal())
	cpu := s.spec.Limits.CPU
	switch {
	case s.exit.Limit != "":
	case ws.Signal() == syscall.SIGXCPU, ws.Signal() == syscall.SIGKILL && cpu > 0 && s.exit.User+s.exit.System >= cpu:
		s.exit.Limit = LimitCPU
	case ws.Signal() == syscall.SIGXFSZ:
		s.exit.Limit = LimitFileSize
	}
}

// lingerPoll is how often it is looked whether what lingers has ended.
const lingerPoll = 20 * time.Millisecond

// linger waits for what the program left running, for as long as it may. An order to kill ends that.
func (s *shim) linger() {
	for end := time.Now().Add(s.spec.Linger); time.Now().Before(end) && len(descendants(os.Getpid())) > 0; s.reap() {
		select {
		case grace := <-s.orders:
			if grace <= 0 {
				return
			}
		case <-time.After(lingerPoll):
		}
	}
}

// finish ends what the program left running, takes the rest of the output, and records the end.
func (s *shim) finish() error {
	s.linger()
	killAll(os.Getpid(), s.reap)
	for _, o := range s.outputs {
		if err := o.finish(); err != nil && s.exit.Error == "" {
			s.fail("output is incomplete: %v", err)
		}
		if o.over && s.exit.Limit == "" { // it was quicker than we
			s.exit.Limit = LimitOutput
		}
	}
	if s.exit.Ended.IsZero() {
		s.exit.Ended = time.Now()
	}
	b, err := json.Marshal(s.exit)
	if err != nil {
		return err
	}
	_, err = s.exitFile.WriteAt(b, 0)
	err = errors.Join(err, s.exitFile.Truncate(int64(len(b))), s.exitFile.Sync(), s.exitFile.Close())
	if err == nil {
		err = os.Rename(s.exitFile.Name(), s.path(fileExit))
	}
	if err != nil {
		return fmt.Errorf("record the end: %w", err)
	}
	return durable.SyncDir(s.dir)
}
