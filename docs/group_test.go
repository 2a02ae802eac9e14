package docs_test

import (
	"os/exec"
	"syscall"
)

// group makes cmd the head of a process group, so that endGroup ends what it started, too.
func group(cmd *exec.Cmd) { cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} }

// endGroup kills cmd and what it started.
func endGroup(cmd *exec.Cmd) { _ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
