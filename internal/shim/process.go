package shim

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"tutti/errs"
)

// Process is a program that was started in a directory, now or long ago, by this process or by
// another. It holds nothing open and needs no closing; it is safe for concurrent use.
type Process struct{ dir string }

// Attach returns the program of dir; kind NotFound where nothing was ever started.
func Attach(dir string) (*Process, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, fmt.Errorf("attach: %w", err)
	}
	if _, err := os.Lstat(filepath.Join(dir, fileBegun)); errors.Is(err, fs.ErrNotExist) {
		return nil, errs.New(errs.NotFound, "no program was started in %s", dir)
	} else if err != nil {
		return nil, fmt.Errorf("attach: %w", err)
	}
	return &Process{dir}, nil
}

// Wait returns how the program ended, as soon as it has, or the error of ctx.
func (p *Process) Wait(ctx context.Context) (Exit, error) {
	if e, ok, err := p.exit(); ok || err != nil {
		return e, err
	}
	if err := p.untilDead(ctx); err != nil {
		return Exit{}, fmt.Errorf("wait for the program in %s: %w", p.dir, err)
	}
	e, ok, err := p.exit()
	if !ok && err == nil {
		return Exit{Code: -1, Lost: true}, nil
	}
	return e, err
}

// exit reads the record of the end; ok says whether there is one.
func (p *Process) exit() (e Exit, ok bool, err error) {
	b, err := os.ReadFile(filepath.Join(p.dir, fileExit))
	if errors.Is(err, fs.ErrNotExist) {
		return e, false, nil
	}
	if err == nil {
		err = json.Unmarshal(b, &e)
	}
	if err != nil {
		return e, false, fmt.Errorf("read how the program in %s ended: %w", p.dir, err)
	}
	return e, true, nil
}

// untilDead returns when the shim has ended. It blocks in the poller, on no thread of its own.
func (p *Process) untilDead(ctx context.Context) error {
	f, err := os.OpenFile(filepath.Join(p.dir, fileAlive), os.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	stop := context.AfterFunc(ctx, func() { _ = f.SetReadDeadline(time.Unix(1, 0)) })
	defer stop()
	_, err = f.Read(make([]byte, 1)) // nobody ever writes
	switch {
	case err == io.EOF:
		return nil
	case ctx.Err() != nil:
		return ctx.Err()
	default:
		return fmt.Errorf("%s: %w", fileAlive, err)
	}
}

// Running reports whether the program has not ended yet.
func (p *Process) Running() (bool, error) {
	if _, ok, err := p.exit(); ok || err != nil {
		return false, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), 0) // background: ends at once
	defer cancel()
	err := p.untilDead(ctx)
	if errors.Is(err, context.DeadlineExceeded) {
		return true, nil
	}
	return false, err
}

// resend is how often an order is repeated: one might be read from the FIFO by something else.
const resend = time.Second

// Signal ends the program: SIGTERM to its process group and to descendants that left it, and after
// grace SIGKILL to all of them; without a positive grace SIGKILL at once. It returns nil when
// all are gone, also when they were before, and otherwise the error of ctx; the order holds
// nevertheless. How it ended is Wait's to say.
func (p *Process) Signal(ctx context.Context, grace time.Duration) error {
	order := fmt.Appendf(nil, "stop %d\n", max(grace, 0).Milliseconds())
	for {
		f, err := os.OpenFile(filepath.Join(p.dir, fileControl), os.O_WRONLY|unix.O_NONBLOCK, 0)
		switch {
		case errors.Is(err, unix.ENXIO): // nobody takes orders any more
		case err != nil:
			return fmt.Errorf("stop the program in %s: %w", p.dir, err)
		default:
			_, _ = f.Write(order)
			f.Close()
		}
		once, cancel := context.WithTimeout(ctx, resend)
		_, err = p.Wait(once)
		cancel()
		if err == nil || ctx.Err() != nil {
			return ctx.Err()
		}
		if !errors.Is(err, context.DeadlineExceeded) {
			return err
		}
	}
}

// Stdout opens what the program wrote to its standard output so far. The caller closes it.
func (p *Process) Stdout() (*os.File, error) { return p.open(fileStdout) }

// Stderr is Stdout for the standard error.
func (p *Process) Stderr() (*os.File, error) { return p.open(fileStderr) }

func (p *Process) open(name string) (*os.File, error) {
	f, err := os.Open(filepath.Join(p.dir, name))
	if err != nil {
		return nil, fmt.Errorf("open the output of a program: %w", err)
	}
	return f, nil
}

// The interval of Tail's looks at the file: short while output flows, longer while none comes.
const (
	tailMin = 20 * time.Millisecond
	tailMax = 500 * time.Millisecond
)

// Tail calls yield with what f, of Stdout or Stderr, has from offset on, in order and as it comes,
// until the program has ended and all was yielded. It returns the offset behind the last chunk
// that yield took without an error, to go on from, and the error of yield, ctx or reading.
func (p *Process) Tail(ctx context.Context, f io.ReaderAt, offset int64, yield func(chunk []byte) error) (int64, error) {
	buf := make([]byte, 64<<10)
	pause := tailMin
	for {
		running, err := p.Running() // before reading: what is read after its end is all
		if err != nil {
			return offset, err
		}
		for {
			n, err := f.ReadAt(buf, offset)
			if n > 0 {
				pause = tailMin
				if yerr := yield(buf[:n]); yerr != nil {
					return offset, yerr
				}
				offset += int64(n)
			}
			if ctx.Err() != nil {
				return offset, ctx.Err()
			}
			if err == io.EOF {
				break
			}
			if err != nil {
				return offset, fmt.Errorf("read the output of a program: %w", err)
			}
		}
		if !running {
			return offset, nil
		}
		once, cancel := context.WithTimeout(ctx, pause)
		_, err = p.Wait(once)
		cancel()
		if err != nil && ctx.Err() == nil && !errors.Is(err, context.DeadlineExceeded) {
			return offset, err
		}
		pause = min(2*pause, tailMax)
	}
}
