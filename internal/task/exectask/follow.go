package exectask

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"golang.org/x/sync/errgroup"

	"tutti/errs"
	"tutti/internal/shim"
	"tutti/sdk"
)

const (
	// tail is how much of its output a task gives, and tailShown how much a failure shows, in bytes.
	tail      = 64 << 10
	tailShown = 4 << 10
	// maxJSON is up to which size the output is given as a value.
	maxJSON = 512 << 10
	// killed is how long it may take beyond the grace until all processes are gone.
	killed = 10 * time.Second
	// storing is how long it may take to store that a program is done with, before it is stopped.
	storing = 2 * time.Second
)

// follow logs what the program complains about, and writes what it prints to stdout, until it has
// ended. When ctx ends before, it ends the program;
// but not when the worker merely stops or lost the claim: then another attempt finds it.
func (p *programs) follow(ctx context.Context, t *sdk.Task, proc *shim.Process, h handle, grace time.Duration, stdout io.Writer) (shim.Exit, error) {
	fctx, cancel := context.WithCancel(ctx)
	defer cancel()
	g, gctx := errgroup.WithContext(fctx)
	g.Go(func() error { return tailed(gctx, proc, proc.Stderr, t.Stderr()) })
	var exit shim.Exit
	g.Go(func() (err error) {
		exit, err = proc.Wait(gctx)
		return err
	})
	// On this goroutine, for what is printed may be something to do for the task.
	heard := tailed(gctx, proc, proc.Stdout, stdout)
	if heard != nil {
		cancel()
	}
	err := g.Wait()
	if heard != nil && (err == nil || errors.Is(err, context.Canceled)) {
		err = heard
	}
	if ctx.Err() == nil {
		if err != nil {
			err = fmt.Errorf("follow the program: %w", err)
		}
		return exit, err
	}
	switch context.Cause(ctx) {
	case sdk.ErrStopping, sdk.ErrLost:
		t.Logf("the program goes on without this worker")
		return exit, ctx.Err()
	}
	return exit, p.stop(ctx, t, proc, h, grace)
}

// tailed writes an output of the program to a writer as it comes, until the program has ended.
func tailed(ctx context.Context, proc *shim.Process, open func() (*os.File, error), to io.Writer) error {
	f, err := open()
	if errors.Is(err, os.ErrNotExist) {
		return nil // it never came to run
	}
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = proc.Tail(ctx, f, 0, func(chunk []byte) error {
		_, err := to.Write(chunk)
		return err
	})
	return err
}

// stop ends the program and all it started, though ctx has ended, and returns why.
func (p *programs) stop(ctx context.Context, t *sdk.Task, proc *shim.Process, h handle, grace time.Duration) error {
	t.Logf("stopping the program: %v", context.Cause(ctx))
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), grace+killed)
	defer cancel()
	// The next attempt, if there is one, is not about this program. To store that must not take long;
	// where it fails, that attempt finds a program somebody stopped.
	h.Settled = true
	soon, done := context.WithTimeout(last, storing)
	err := t.SetVar(soon, variable, h)
	done()
	if errs.Is(err, errs.Conflict) && context.Cause(ctx) == sdk.ErrTimeout {
		return ctx.Err() // the claim was lost besides: another attempt may have found the program by now
	}
	if err := proc.Signal(last, grace); err != nil {
		return fmt.Errorf("stop the program: %w", err)
	}
	return ctx.Err()
}

// results translates how the program ended.
func results(t *sdk.Task, name string, proc *shim.Process, e shim.Exit) (out, error) {
	stdout, size := ending(proc.Stdout, tail)
	stderr, _ := ending(proc.Stderr, tail)
	took := e.Ended.Sub(e.Started)
	details := map[string]any{"stderr": last(stderr, tailShown), "stdout": last(stdout, tailShown)}
	switch {
	case e.Error != "" && e.Code < 0 && e.Signal == "" && !e.Lost:
		return out{}, sdk.Fail(failStart, "start %s: %s", name, e.Error).WithHint("check that the program is installed on the worker's machine and may be executed")
	case e.Limit != "":
		details["limit"] = e.Limit
		return out{}, sdk.Fail(failLimit, "%s hit its limit of %s after %s", name, e.Limit, took.Round(time.Millisecond)).WithDetails(details).
			WithHint("raise limits.%s (in with, or in the document of the task type) if that is to be expected", setting(e.Limit))
	case e.Lost, e.Stopped: // not by us, or this attempt would not be about it
		return out{}, sdk.Fail(failLost, "%s vanished: its machine went down, or somebody ended it or its shim", name).Again().WithDetails(details).
			WithHint("what it had done is not known; see to it before it runs again, unless it may run twice")
	case e.Signal != "":
		details["signal"] = e.Signal
		return out{}, sdk.Fail(failSignal, "%s was ended by %s%s", name, e.Signal, because(stderr)).WithDetails(details)
	case e.Code != 0:
		details["code"] = e.Code
		f := sdk.Fail(failExit, "%s ended with status %d%s", name, e.Code, because(stderr)).WithDetails(details).WithHint("see the task's log for all it printed")
		if e.Code == tempFail {
			return out{}, f.Again()
		}
		return out{}, f
	}
	if e.Error != "" {
		t.Logf("the output is incomplete: %s", e.Error)
	}
	o := out{Stdout: stdout, Stderr: stderr, DurationMs: took.Milliseconds()}
	if size > 0 && size <= maxJSON {
		if whole, _ := ending(proc.Stdout, maxJSON); json.Valid([]byte(whole)) {
			o.JSON = json.RawMessage(whole)
		}
	}
	return o, nil
}

// setting returns the field of with.limits for a limit of the shim.
func setting(limit string) string {
	if limit == shim.LimitOutput {
		return "outputMB"
	}
	return limit
}

// because returns the last line of stderr as the end of a sentence.
func because(stderr string) string {
	lines := strings.Split(strings.TrimSpace(stderr), "\n")
	if line := strings.TrimSpace(lines[len(lines)-1]); line != "" {
		return ": " + last(line, 500)
	}
	return ""
}

// ending returns the last n bytes of an output as text, and the size of all.
func ending(open func() (*os.File, error), n int64) (text string, size int64) {
	f, err := open()
	if err != nil {
		return "", 0
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return "", 0
	}
	size = info.Size()
	b := make([]byte, min(n, size))
	read, _ := f.ReadAt(b, size-int64(len(b))) // what cannot be read is not there
	return strings.ToValidUTF8(last(string(b[:read]), int(n)), "\uFFFD"), size
}

// last returns the end of s, of at most n bytes, from the beginning of a character.
func last(s string, n int) string {
	if len(s) > n {
		s = s[len(s)-n:]
	}
	for i := 0; i < len(s) && i < utf8.UTFMax; i++ {
		if utf8.RuneStart(s[i]) {
			return s[i:]
		}
	}
	return s
}

const (
	sweepEvery = time.Hour
	keepFor    = 7 * 24 * time.Hour
)

// sweeper removes folders of programs that ended long ago.
type sweeper struct {
	mu   sync.Mutex
	next time.Time
}

// sweep looks once an hour. What cannot be removed is tried again.
func (s *sweeper) sweep(work string, now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if now.Before(s.next) {
		return
	}
	s.next = now.Add(sweepEvery)
	entries, err := os.ReadDir(work)
	if err != nil {
		return // nothing was started yet
	}
	for _, e := range entries {
		folder := filepath.Join(work, e.Name())
		info, err := os.Stat(filepath.Join(folder, "shim"))
		if err != nil {
			info, err = os.Stat(folder)
		}
		if err != nil || now.Sub(info.ModTime()) < keepFor {
			continue
		}
		if proc, err := shim.Attach(filepath.Join(folder, "shim")); err == nil {
			if running, err := proc.Running(); running || err != nil {
				continue
			}
		}
		_ = os.RemoveAll(folder)
	}
}
