package shim

import (
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// proc is one line of the process table.
type proc struct {
	pid, parent, group int
	zombie             bool
}

// descendants returns all living descendants of the process root. As the shim is a subreaper,
// nothing that its program started can leave that tree.
func descendants(root int) []proc {
	children := map[int][]proc{}
	entries, _ := os.ReadDir("/proc")
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		if p, ok := stat(pid); ok {
			children[p.parent] = append(children[p.parent], p)
		}
	}
	var out []proc
	for next := []int{root}; len(next) > 0; {
		pid := next[len(next)-1]
		next = next[:len(next)-1]
		for _, c := range children[pid] {
			next = append(next, c.pid)
			if !c.zombie {
				out = append(out, c)
			}
		}
		delete(children, pid) // the table is no snapshot: never go in circles
	}
	return out
}

// stat reads /proc/PID/stat. The name in it may contain anything, also spaces and parentheses.
func stat(pid int) (p proc, ok bool) {
	b, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return p, false
	}
	s := string(b)
	f := strings.Fields(s[strings.LastIndexByte(s, ')')+1:])
	if len(f) < 3 {
		return p, false
	}
	p.pid = pid
	p.parent, _ = strconv.Atoi(f[1])
	p.group, _ = strconv.Atoi(f[2])
	p.zombie = f[0] == "Z" || f[0] == "X"
	return p, true
}

// terminate asks everything below root to end: the group of the program with one signal, as a
// terminal would, and each process that left it. Nobody is signalled twice: to some programs a
// second SIGTERM means to give up at once.
func terminate(root, group int) {
	left := descendants(root)
	_ = syscall.Kill(-group, syscall.SIGTERM)
	_ = syscall.Kill(-group, syscall.SIGCONT)
	for _, p := range left {
		if p.group != group {
			_ = syscall.Kill(p.pid, syscall.SIGTERM)
			_ = syscall.Kill(p.pid, syscall.SIGCONT)
		}
	}
}

// killAll kills everything below root, calling reap until nothing is left. Everything found is
// stopped before it is killed, and again, because what still runs may be forking. What may not be
// killed (it changed its user) is let go.
func killAll(root int, reap func()) {
	for pause := time.Millisecond; ; pause = min(2*pause, time.Second/4) {
		stopped := map[int]bool{}
		for grew := true; grew; {
			grew = false
			for _, p := range descendants(root) {
				if !stopped[p.pid] && syscall.Kill(p.pid, syscall.SIGSTOP) == nil {
					stopped[p.pid], grew = true, true
				}
			}
		}
		for pid := range stopped {
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
		reap()
		if len(stopped) == 0 {
			return
		}
		time.Sleep(pause) // for the kernel to end them
	}
}
