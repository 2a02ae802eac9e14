package resource

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os/exec"
	"syscall"
	"time"

	"tutti/errs"
)

// maxAnswer bounds what a handler that is a program prints, in bytes.
const maxAnswer = 1 << 20

// answer is what such a program prints.
type answer struct {
	Spec     map[string]any `json:"spec"`
	Problems []struct {
		Path    string `json:"path"`
		Message string `json:"message"`
		Hint    string `json:"hint"`
	} `json:"problems"`
}

// runProgram has a program make the common format of spec. What it reads it reads from standard input:
// nothing that was asked for is in its arguments or its environment.
func (t *resourceType) runProgram(ctx context.Context, spec, caller map[string]any) (map[string]any, error) {
	in, err := json.Marshal(map[string]any{"spec": spec, "context": caller})
	if err != nil {
		return nil, fmt.Errorf("input of the handler of %s: %w", t.name, err)
	}
	ctx, cancel := context.WithTimeout(ctx, time.Duration(t.program.wall))
	defer cancel()
	cmd := exec.CommandContext(ctx, t.program.argv[0], t.program.argv[1:]...)
	cmd.Env = []string{"PATH=/usr/local/bin:/usr/bin:/bin", "LANG=C.UTF-8"} // not ours, which may hold tokens
	cmd.Dir = "/"
	cmd.Stdin = bytes.NewReader(append(in, '\n'))
	var out, complaint bounded
	cmd.Stdout, cmd.Stderr = &out, &complaint
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) } // and all it started
	cmd.WaitDelay = time.Second
	err = cmd.Run()
	switch {
	case ctx.Err() != nil && errors.Is(ctx.Err(), context.DeadlineExceeded):
		return nil, t.fault(fmt.Sprintf("%s took longer than %s", t.program.argv[0], t.program.wall))
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case err != nil:
		return nil, t.fault(fmt.Sprintf("%s: %v: %.500s", t.program.argv[0], err, bytes.TrimSpace(complaint.text)))
	case out.over:
		return nil, t.fault(fmt.Sprintf("%s printed more than %d bytes", t.program.argv[0], maxAnswer))
	}
	var a answer
	if err := json.Unmarshal(out.text, &a); err != nil {
		return nil, t.fault(fmt.Sprintf("%s did not print an answer in JSON: %v", t.program.argv[0], err))
	}
	var problems []errs.Problem
	for _, p := range a.Problems {
		problems = append(problems, errs.Problem{Location: place(p.Path), Message: p.Message, Hint: p.Hint})
	}
	switch {
	case len(problems) > 0:
		return nil, refuse(t.name, problems)
	case a.Spec == nil:
		return nil, t.fault(t.program.argv[0] + " printed neither spec nor problems")
	}
	return a.Spec, nil
}

// bounded keeps the first maxAnswer bytes of what is written, and knows whether there was more.
type bounded struct {
	text []byte
	over bool
}

// Write takes all of p.
func (b *bounded) Write(p []byte) (int, error) {
	room := min(maxAnswer-len(b.text), len(p))
	b.text, b.over = append(b.text, p[:room]...), b.over || room < len(p)
	return len(p), nil
}
