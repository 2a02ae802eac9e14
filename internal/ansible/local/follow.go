package local

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"tutti/errs"
	"tutti/internal/ansible"
	"tutti/internal/shim"
	"tutti/sdk"
)

// job is one that was launched.
type job struct {
	*shim.Process
	inputs string
}

// find returns a job by its handle.
func (d *driver) find(handle string) (job, error) {
	if !handleForm.MatchString(handle) {
		return job{}, errs.New(errs.Invalid, "%.80q is no job", handle)
	}
	dir := d.folder(handle)
	p, err := shim.Attach(filepath.Join(dir, "shim"))
	if errs.Is(err, errs.NotFound) {
		return job{}, sdk.Fail(ansible.FailMissing, "there is no job %s on this machine", handle).WithHint("jobs are kept for a week")
	}
	var a asked
	var b []byte
	if err == nil {
		b, err = os.ReadFile(filepath.Join(dir, "asked"))
	}
	if err == nil {
		err = json.Unmarshal(b, &a)
	}
	if err != nil {
		return job{}, fmt.Errorf("find job %s: %w", handle, err)
	}
	return job{p, a.Inputs}, nil
}

// Follow follows a job; see ansible.Driver.
func (d *driver) Follow(ctx context.Context, handle string, see func(ansible.Event)) (ansible.Result, error) {
	j, err := d.find(handle)
	if err != nil {
		return ansible.Result{}, err
	}
	key, err := d.digestKey()
	if err != nil {
		return ansible.Result{}, err
	}
	var sum ansible.Tally
	var end *end
	var notes notes
	err = j.lines(ctx, func(l line) {
		if l.End != nil {
			end = l.End
			return
		}
		if l.Kind == ansible.KindNote {
			notes.add(l.Message)
		}
		sum.Add(l.Event)
		see(l.Event)
	})
	if err != nil {
		return ansible.Result{}, err
	}
	exit, err := j.Wait(ctx)
	if err != nil {
		return ansible.Result{}, err
	}
	r := sum.Result(key, j.inputs)
	return r, outcome(exit, end, notes.text(), r)
}

// outcome says how a job ended that is over; nil where all went well.
func outcome(exit shim.Exit, end *end, said string, r ansible.Result) error {
	details := map[string]any{"hosts": r.Hosts}
	switch {
	case exit.Limit == shim.LimitWall:
		return sdk.Fail(ansible.FailTimeout, "the playbook took longer than it may").WithDetails(details).WithHint("raise with.timeout if that is to be expected")
	case exit.Limit != "":
		return sdk.Fail(ansible.FailProgram, "the playbook hit its limit of %s", exit.Limit).WithDetails(details)
	case exit.Stopped:
		return sdk.Fail(ansible.FailCancelled, "the playbook was stopped").WithDetails(details)
	case end != nil && end.Error != "":
		return sdk.Fail(ansible.FailProgram, "the playbook could not be run: %s", end.Error).Again().WithHint("this is about the server's machine: see its log")
	case end != nil && end.Signal == "":
		return ansible.Judge(ansible.Ended{Code: end.Code, Output: said}, r)
	case end == nil && exit.Error != "":
		return sdk.Fail(ansible.FailProgram, "the runner could not be started: %s", exit.Error).Again().WithHint("this is about the server's machine: see its log")
	}
	return sdk.Fail(ansible.FailLost, "the playbook vanished: its machine went down, or somebody ended it or its shim").WithDetails(details).
		WithHint("what it had done is not known; see to it before it runs again, unless it may run twice")
}

// lines yields what the runner tells, until it has ended.
func (j job) lines(ctx context.Context, yield func(line)) error {
	out, err := j.Stdout()
	if errors.Is(err, fs.ErrNotExist) {
		return nil // it never came to run
	}
	if err != nil {
		return err
	}
	defer out.Close()
	var rest []byte
	_, err = j.Tail(ctx, out, 0, func(chunk []byte) error {
		rest = append(rest, chunk...)
		for {
			text, after, whole := bytes.Cut(rest, []byte("\n"))
			if !whole {
				return nil
			}
			var l line
			if json.Unmarshal(text, &l) != nil {
				l = line{Event: ansible.Event{Kind: ansible.KindNote, Message: string(text)}} // the runner broke
			}
			yield(l)
			rest = after
		}
	})
	return err
}

// notes are the last of what was said besides results.
type notes struct{ said []string }

const maxNotes = 40

func (n *notes) add(s string) {
	if n.said = append(n.said, s); len(n.said) > 2*maxNotes {
		n.said = append(n.said[:0], n.said[len(n.said)-maxNotes:]...)
	}
}

func (n *notes) text() string {
	return strings.Join(n.said[max(0, len(n.said)-maxNotes):], "\n")
}

// maxShown bounds what Output returns, in bytes.
const maxShown = 64 << 10

// Output returns what a job printed; see ansible.Driver.
func (d *driver) Output(ctx context.Context, handle string) ([]byte, error) {
	j, err := d.find(handle)
	if err != nil {
		return nil, err
	}
	out, err := j.Stdout()
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer out.Close()
	raw, err := os.ReadFile(out.Name())
	if err != nil {
		return nil, fmt.Errorf("read the output of job %s: %w", handle, err)
	}
	var text bytes.Buffer
	for each := range bytes.Lines(raw) {
		var l line
		if json.Unmarshal(each, &l) == nil && l.Line() != "" {
			text.WriteString(l.Line() + "\n")
		}
	}
	b := text.Bytes()
	return b[max(0, len(b)-maxShown):], ctx.Err()
}

// Cancel ends a job; see ansible.Driver.
func (d *driver) Cancel(ctx context.Context, handle string) error {
	j, err := d.find(handle)
	if err != nil {
		return err
	}
	if err := j.Signal(ctx, grace); err != nil {
		return fmt.Errorf("stop job %s: %w", handle, err)
	}
	return nil
}
