package bench

import (
	"bufio"
	"bytes"
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"tutti/api"
	"tutti/errs"
	"tutti/sdk"
)

// child is a server in a process of its own, `tutti serve` on a folder, so that it can be killed and its
// memory be looked at.
type child struct {
	command []string // of this program
	dir, db string
	log     io.Writer

	cmd    *exec.Cmd
	client *sdk.Client
	secret string
	// ready is how long it took from the start of the process until it took calls.
	ready time.Duration
}

// patience bounds how long a server may take to start.
const patience = 2 * time.Minute

// start starts the server, or starts it again, and waits until it takes calls.
func (c *child) start(ctx context.Context) error {
	args := append(append([]string{}, c.command[1:]...), "serve", "--data", c.dir, "--listen", "127.0.0.1:0", "--log-level", "error")
	if c.db != "" {
		args = append(args, "--db", c.db)
	}
	c.cmd = exec.CommandContext(ctx, c.command[0], args...)
	c.cmd.Stderr = c.log
	out, err := c.cmd.StdoutPipe()
	if err != nil {
		return err
	}
	began := time.Now()
	if err := c.cmd.Start(); err != nil {
		return errs.New(errs.Internal, "start %s: %w", c.command[0], err)
	}
	line := make(chan string, 1)
	go func() {
		s, _ := bufio.NewReader(out).ReadString('\n') // "" says that it ended
		line <- s
	}()
	select {
	case s := <-line:
		c.ready = time.Since(began)
		_, rest, _ := strings.Cut(s, " at ")
		address, _, _ := strings.Cut(strings.TrimSpace(rest), " ")
		if !strings.HasPrefix(address, "http") {
			c.kill()
			return errs.New(errs.Internal, "the server did not start")
		}
		return c.login(ctx, address)
	case <-time.After(patience):
		c.kill()
		return errs.New(errs.Unavailable, "the server did not start within %s", patience)
	}
}

// login makes the administrator at the first start, and reaches the server as that one from then on.
func (c *child) login(ctx context.Context, address string) (err error) {
	if c.secret == "" {
		token, err := os.ReadFile(filepath.Join(c.dir, "bootstrap-token"))
		if err != nil {
			return err
		}
		nobody, err := sdk.New(sdk.Config{Server: address})
		if err != nil {
			return err
		}
		s, err := sdk.Call(ctx, nobody, api.Bootstrap, api.BootstrapIn{Body: api.BootstrapBody{
			Token: string(bytes.TrimSpace(token)), User: "bench", Password: rand.Text()}})
		if err != nil {
			return fmt.Errorf("log in: %w", err)
		}
		c.secret = s.Secret
	}
	c.client, err = sdk.New(sdk.Config{Server: address, Token: c.secret, Agent: "tutti-bench"})
	return err
}

// kill ends the server at once, as a crash does.
func (c *child) kill() {
	if c.cmd == nil || c.cmd.Process == nil {
		return
	}
	_ = c.cmd.Process.Kill() // it may have ended
	_ = c.cmd.Wait()
	c.cmd = nil
}

// stop ends the server as an operator does.
func (c *child) stop() {
	if c.cmd == nil || c.cmd.Process == nil {
		return
	}
	_ = c.cmd.Process.Signal(syscall.SIGTERM)
	_ = c.cmd.Wait()
	c.cmd = nil
}

// memory returns the resident memory of the server, in bytes.
func (c *child) memory() (int64, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", c.cmd.Process.Pid))
	if err != nil {
		return 0, errs.New(errs.Unavailable, "what the server uses can be read on Linux only: %w", err)
	}
	for l := range strings.Lines(string(b)) {
		if f := strings.Fields(l); len(f) > 1 && f[0] == "VmRSS:" {
			kb, err := strconv.ParseInt(f[1], 10, 64)
			return kb << 10, err
		}
	}
	return 0, errs.New(errs.Internal, "no VmRSS in the status of the server")
}

// ticks is how many units of processor time /proc counts in a second.
const ticks = 100

// spent returns the processor time of the server since its start.
func (c *child) spent() (time.Duration, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", c.cmd.Process.Pid))
	if err != nil {
		return 0, err
	}
	f := strings.Fields(string(b[bytes.LastIndexByte(b, ')')+1:])) // after the name, which may hold anything
	if len(f) < 13 {
		return 0, errs.New(errs.Internal, "the stat of the server is short")
	}
	user, err := strconv.ParseInt(f[11], 10, 64)
	if err != nil {
		return 0, err
	}
	system, err := strconv.ParseInt(f[12], 10, 64)
	return time.Duration(user+system) * time.Second / ticks, err
}

// publish applies a definition.
func (c *child) publish(ctx context.Context, definition string) error {
	return (&target{client: c.client}).publish(ctx, definition)
}
