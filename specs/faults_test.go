package specs_test

import (
	"database/sql"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	_ "github.com/jackc/pgx/v5/stdlib" // the driver of disconnect
)

// fault is what happens to a server from outside. After it the server runs.
type fault struct {
	name   string
	inject func()
}

// faults returns what can be done to the server on this machine, and logs what cannot.
func (x *torture) faults() []fault {
	fs := []fault{
		{"killed", func() { x.kill(); x.start(); x.ready() }},
		{"killed while it starts", func() {
			x.kill()
			x.start()
			x.sleep(500 * time.Millisecond)
			x.kill()
			x.start()
			x.ready()
		}},
		{"stands still", func() { x.freeze(); x.thaw() }},
		{"killed while it stands still", func() { x.freeze(); x.kill(); x.start(); x.ready() }},
	}
	if x.small && x.db == "" {
		fs = append(fs, fault{"the disk is full", x.fill}, fault{"killed while the disk is full", func() { x.fillWhile(x.kill); x.start(); x.ready() }})
	} else if x.db == "" {
		x.t.Log("not injected here: a full disk (mounting a small file system takes root)")
	}
	if x.db != "" {
		fs = append(fs, fault{"the database drops its connections", x.disconnect})
	}
	x.t.Log("never injected: power loss, a disk that loses or changes what it acknowledged, clocks that step, a network that splits")
	return fs
}

// sleep lets up to some time pass.
func (x *torture) sleep(most time.Duration) {
	time.Sleep(time.Duration(x.r.Int64N(int64(most)))) // sleep: real time passes in another process
}

// freeze stops the process of the server for a while, as a hypervisor does: connections stay, nothing
// is answered.
func (x *torture) freeze() {
	if err := x.server.Process.Signal(syscall.SIGSTOP); err != nil {
		x.t.Fatal(err)
	}
	x.sleep(3 * time.Second)
}

func (x *torture) thaw() {
	if err := x.server.Process.Signal(syscall.SIGCONT); err != nil {
		x.t.Fatal(err)
	}
	x.ready()
}

// folder is the data folder of the server.
func (x *torture) folder() string { return filepath.Join(x.data, "server") }

// smallDisk is the size of the file system that is filled, in bytes.
const smallDisk = 256 << 20

// mount puts a small file system under the data folder, where this process may.
func (x *torture) mount() bool {
	if err := unix.Mount("tmpfs", x.data, "tmpfs", 0, fmt.Sprintf("size=%d,mode=700", smallDisk)); err != nil {
		return false
	}
	x.t.Cleanup(func() {
		x.kill()
		if err := unix.Unmount(x.data, unix.MNT_DETACH); err != nil {
			x.t.Errorf("unmount: %v", err)
		}
	})
	return true
}

// fill leaves no room on the disk for a while, until something was not answered for it.
func (x *torture) fill() {
	before := x.unanswered.Load()
	x.fillWhile(func() {
		for began := time.Now(); x.unanswered.Load() == before && time.Since(began) < 20*time.Second; {
			time.Sleep(50 * time.Millisecond) // sleep: real time passes in another process
		}
	})
	if x.unanswered.Load() == before {
		x.t.Error("the disk was full, and everything was answered")
	}
	x.ready()
}

// fillWhile calls f while no byte is left on the disk.
func (x *torture) fillWhile(f func()) {
	balloon := filepath.Join(x.data, "balloon")
	b, err := os.Create(balloon)
	if err != nil {
		x.t.Fatal(err)
	}
	defer func() {
		if err := errors.Join(b.Close(), os.Remove(balloon)); err != nil {
			x.t.Error(err)
		}
	}()
	chunk := make([]byte, 1<<20)
	for size := len(chunk); size > 0; {
		if _, err := b.Write(chunk[:size]); errors.Is(err, unix.ENOSPC) {
			size /= 2
		} else if err != nil {
			x.t.Fatal(err)
		}
	}
	f()
}

// disconnect makes PostgreSQL end every connection to the database.
func (x *torture) disconnect() {
	db, err := sql.Open("pgx", x.db)
	if err != nil {
		x.t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.ExecContext(x.t.Context(), `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()`); err != nil {
		x.t.Fatal(err)
	}
	x.ready()
}

// fsck stops the server and checks what it kept.
func (x *torture) fsck() {
	x.t.Helper()
	if err := x.server.Process.Signal(syscall.SIGINT); err != nil {
		x.t.Fatal(err)
	}
	if err := x.server.Wait(); err != nil {
		x.t.Errorf("the server ended: %v\n%s", err, x.log)
	}
	if out, err := exec.CommandContext(x.t.Context(), x.bin, "fsck", "--data", x.folder(), "--db", x.db).CombinedOutput(); err != nil {
		x.t.Errorf("tutti fsck: %v\n%s", err, out)
	}
}
