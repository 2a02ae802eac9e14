package shim

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

// slotPoll is how often a place is looked for.
const slotPoll = 100 * time.Millisecond

// Slot waits until fewer than n programs of all that use the folder dir run, and returns what gives the
// place back; the kernel does it for a process that dies. It says on out that it waits. It fails where
// something comes on stop.
func Slot(dir string, n int, stop <-chan os.Signal, out io.Writer) (free func(), err error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	for said := false; ; said = true {
		for i := range n {
			f, err := os.OpenFile(filepath.Join(dir, fmt.Sprint(i)), os.O_RDWR|os.O_CREATE|syscall.O_CLOEXEC, 0o600)
			if err != nil {
				return nil, err
			}
			if syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) == nil {
				return func() { f.Close() }, nil
			}
			f.Close()
		}
		if !said {
			fmt.Fprintf(out, "waiting: %d programs run already\n", n)
		}
		select {
		case <-stop:
			return nil, errors.New("stopped while it waited for a place")
		case <-time.After(slotPoll):
		}
	}
}
