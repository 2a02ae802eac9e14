package shim

import (
	"errors"
	"os"
	"time"
)

// drainTimeout bounds the wait for the end of the output after all processes are dead: a copy of
// the pipe may have been handed to somebody outside.
const drainTimeout = 2 * time.Second

// output carries one stream of the program into a file, up to a limit.
type output struct {
	file *os.File
	pipe *os.File
	done chan struct{}
	over bool  // more came than the limit; valid after done
	err  error // of the file; valid after done
}

// newOutput returns the output and the end of the pipe that is the program's. It sends to overflow
// once when the limit (0: none) is passed.
func newOutput(path string, limit int64, overflow chan<- struct{}) (*output, *os.File, error) {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return nil, nil, err
	}
	r, w, err := os.Pipe()
	if err != nil {
		return nil, nil, errors.Join(err, f.Close())
	}
	o := &output{file: f, pipe: r, done: make(chan struct{})}
	go o.copy(limit, overflow)
	return o, w, nil
}

// copy reads to the end whatever happens: a full disk or a passed limit must not block the program
// in a write, where it would not see the signal to end.
func (o *output) copy(limit int64, overflow chan<- struct{}) {
	defer close(o.done)
	buf := make([]byte, 64<<10)
	var size int64
	for {
		n, err := o.pipe.Read(buf)
		keep := buf[:n]
		if limit > 0 && size+int64(n) > limit {
			keep = keep[:limit-size]
			if !o.over {
				o.over = true
				overflow <- struct{}{}
			}
		}
		size += int64(len(keep))
		if len(keep) > 0 && o.err == nil {
			_, o.err = o.file.Write(keep)
		}
		if err != nil {
			return
		}
	}
}

// finish waits for the end of the stream, or gives it up, and makes the file durable.
func (o *output) finish() error {
	_ = o.pipe.SetReadDeadline(time.Now().Add(drainTimeout))
	<-o.done
	return errors.Join(o.err, o.file.Sync(), o.file.Close(), o.pipe.Close())
}
