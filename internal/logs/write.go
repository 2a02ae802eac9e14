package logs

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"tutti/api"
	"tutti/errs"
	"tutti/internal/store"
)

const (
	maxLine   = 64 << 10 // bytes
	maxLines  = 10_000   // of one call
	perLine   = 100      // bytes that a line counts beside its text
	batchSize = 5_000    // lines after which a batch is committed though more wait
	askAfter  = time.Minute
)

// job is a call that waits for its lines to be committed.
type job struct {
	in   api.StoreLogIn
	err  error // set while the batch is written: of this call alone
	done chan error
}

// submit hands lines to the writer and waits until they are durable.
func (s *Service) submit(ctx context.Context, closed <-chan struct{}, in api.StoreLogIn) error {
	if err := clean(&in); err != nil || len(in.Lines) == 0 {
		return err
	}
	j := &job{in: in, done: make(chan error, 1)}
	stopped := errs.New(errs.Unavailable, "the log store is stopping")
	select {
	case s.jobs <- j:
	case <-closed:
		return stopped
	case <-ctx.Done():
		return errs.New(errs.Unavailable, "store log: %w", ctx.Err())
	}
	select {
	case err := <-j.done:
		return err
	case <-closed:
		return stopped
	case <-ctx.Done():
		return errs.New(errs.Unavailable, "store log: %w", ctx.Err())
	}
}

// clean refuses what is no log line and makes the rest fit for the database.
func clean(in *api.StoreLogIn) error {
	switch {
	case in.Run == "" || len(in.Run) > 64 || in.Namespace == "" || in.Namespace == "*":
		return errs.New(errs.Invalid, "log lines need a run and its namespace, not %.64q in %q", in.Run, in.Namespace)
	case len(in.Task) > 1000 || !utf8.ValidString(in.Task) || strings.Contains(in.Task, "\x00") || in.Attempt < 0:
		return errs.New(errs.Invalid, "log lines of no possible task: %.100q, attempt %d", in.Task, in.Attempt)
	case len(in.Lines) > maxLines:
		return errs.New(errs.TooLarge, "%d log lines in one call; at most %d are possible", len(in.Lines), maxLines)
	}
	now := time.Now()
	lines := make([]api.LogLine, len(in.Lines))
	for i, l := range in.Lines {
		if l.Seq < 1 {
			return errs.New(errs.Invalid, "log line %d has the number %d; numbers begin at 1", i+1, l.Seq)
		}
		if l.At.IsZero() || l.At.Year() < 1970 || l.At.Year() > 9999 {
			l.At = now
		}
		if l.Stream != "out" && l.Stream != "err" {
			l.Stream = "log"
		}
		l.Task, l.Attempt, l.At, l.Text = in.Task, in.Attempt, l.At.UTC().Truncate(time.Microsecond), cut(l.Text)
		lines[i] = l
	}
	in.Lines = lines
	return nil
}

// cut returns text as valid UTF-8 without NUL, in at most maxLine bytes; it says where it cut.
func cut(text string) string {
	text = strings.ReplaceAll(strings.ToValidUTF8(strings.TrimRight(text, "\r\n"), "\ufffd"), "\x00", "\ufffd")
	if len(text) <= maxLine {
		return text
	}
	mark := fmt.Sprintf(" … [cut: the line has %d bytes]", len(text))
	return strings.ToValidUTF8(text[:maxLine-len(mark)], "") + mark
}

// write commits what callers submit, everything that waits at once, until ctx ends.
func (s *Service) write(ctx context.Context) error {
	for {
		var batch []*job
		select {
		case <-ctx.Done():
			return nil
		case j := <-s.jobs:
			batch = append(batch, j)
		}
		for n := len(batch[0].in.Lines); n < batchSize; {
			select {
			case j := <-s.jobs:
				batch = append(batch, j)
				n += len(j.in.Lines)
				continue
			default:
			}
			break
		}
		s.commit(ctx, batch)
	}
}

// commit stores a batch and answers its calls. Where it fails for no reason that is the database's,
// each call is tried alone, so that a bad one harms no other.
func (s *Service) commit(ctx context.Context, batch []*job) {
	err := s.db.Tx(ctx, func(tx *store.Tx) error { return s.append(ctx, tx, batch) })
	if err != nil && len(batch) > 1 && !errs.Is(err, errs.Unavailable) {
		for _, j := range batch {
			s.commit(ctx, []*job{j})
		}
		return
	}
	for _, j := range batch {
		if err == nil {
			j.done <- j.err
			continue
		}
		j.done <- err
	}
}

// append adds the lines of jobs to their runs. Runs are locked in the order of their IDs, so that two
// replicas do not lock each other out.
func (s *Service) append(ctx context.Context, tx *store.Tx, jobs []*job) error {
	jobs = slices.Clone(jobs)
	slices.SortStableFunc(jobs, func(a, b *job) int { return cmp.Compare(a.in.Run, b.in.Run) })
	var st *run
	for _, j := range jobs {
		j.err = nil
		if st == nil || st.id != string(j.in.Run) {
			if err := s.save(ctx, tx, st); err != nil {
				return err
			}
			var err error
			if st, err = lockRun(tx, j.in.Namespace, string(j.in.Run)); err != nil {
				return err
			}
		}
		if st.namespace != j.in.Namespace {
			j.err = errs.New(errs.NotFound, "no run %q in namespace %s", j.in.Run, j.in.Namespace)
			continue
		}
		if err := s.appendTo(tx, st, j.in); err != nil {
			return err
		}
	}
	return s.save(ctx, tx, st)
}

// save stores a run that lines were added to.
func (s *Service) save(ctx context.Context, tx *store.Tx, st *run) error {
	if st == nil || !st.changed {
		return nil
	}
	tx.AfterCommit(func() { s.bus.Wake(ctx, api.LogChanged(api.RunID(st.id))) })
	return updateRun(tx, st)
}

// appendTo adds lines of one attempt to a run.
func (s *Service) appendTo(tx *store.Tx, st *run, in api.StoreLogIn) error {
	known, any, err := st.known(tx, in)
	if err != nil {
		return err
	}
	var fresh []api.LogLine
	for _, l := range in.Lines {
		if known(l.Seq) {
			continue
		}
		cost := int64(len(l.Text)) + perLine
		if st.bytes+cost > s.max {
			st.dropped++
			st.changed = true
			if !st.capped {
				st.capped = true
				fresh = append(fresh, st.remark(fmt.Sprintf("the log of this run has reached its limit of %d bytes: what follows is dropped", s.max)))
			}
			continue
		}
		st.bytes += cost
		st.last++
		l.Pos = st.last
		fresh = append(fresh, l)
	}
	if len(fresh) == 0 {
		return nil
	}
	st.changed = true
	if st.last == int64(len(fresh)) && !st.ended { // the first: did the run end before there was a log to end?
		st.due = store.Micros(time.Now().Add(askAfter))
	}
	if st.ended {
		if any { // late lines of an attempt that was heard of
			st.due = store.Micros(time.Now().Add(packAfter))
		} else { // the run is being retried; if it is not, it will not be said again that it ended
			st.ended, st.due = false, store.Micros(time.Now().Add(askAfter))
		}
	}
	return insertLines(tx, st.id, fresh)
}

// remark returns a line of the run itself, which belongs to the log of every task. Its number is
// negative, as no worker's is.
func (st *run) remark(text string) api.LogLine {
	st.last++
	return api.LogLine{Seq: -st.last, At: time.Now().UTC().Truncate(time.Microsecond), Stream: "log", Text: text, Pos: st.last}
}

// sayDropped adds the line that tells how many lines were dropped, if any were.
func (st *run) sayDropped(tx *store.Tx) error {
	if st.dropped == 0 {
		return nil
	}
	l := st.remark(fmt.Sprintf("%d lines past the limit of this log were dropped", st.dropped))
	st.dropped, st.capped, st.changed = 0, false, true
	return insertLines(tx, st.id, []api.LogLine{l})
}

// known returns which numbers of the attempt are stored already, and whether any at all are.
func (st *run) known(tx *store.Tx, in api.StoreLogIn) (has func(int64) bool, any bool, err error) {
	low, high := in.Lines[0].Seq, in.Lines[0].Seq
	for _, l := range in.Lines {
		low, high = min(low, l.Seq), max(high, l.Seq)
	}
	have, err := selectSeqs(tx, in, low, high)
	if err != nil {
		return nil, false, err
	}
	var packed spans
	if st.packed > 0 {
		if packed, err = selectSpans(tx, string(in.Run), in.Task, in.Attempt); err != nil {
			return nil, false, err
		}
	}
	if any = len(have) > 0 || len(packed) > 0; !any && st.ended {
		if any, err = hasLines(tx, in); err != nil {
			return nil, false, err
		}
	}
	return func(seq int64) bool {
		if have[seq] || packed.has(seq) {
			return true
		}
		have[seq] = true // the call itself may hold it twice
		return false
	}, any, nil
}
