package workflow

import (
	"context"
	"encoding/base64"
	"errors"
	"strconv"
	"strings"
	"sync"
	"time"

	"tutti/api"
	"tutti/errs"
	"tutti/internal/store"
	"tutti/internal/workflow/core"
)

// views are runs as they stand in the store, kept for those who look at them: each is carried forward
// by the journal rows it has not seen, so looking again costs what happened since, and never disturbs
// the engine.
type views struct {
	db     *store.DB
	graphs *graphs
	mu     sync.Mutex
	of     map[api.RunID]*view
}

type view struct {
	mu      sync.Mutex
	run     *core.Run
	n       int64
	changes changes
	used    time.Time
}

// maxViews bounds the runs kept for lookers.
const maxViews = 128

// with calls f with a run as of its last commit. f must not keep it.
func (v *views) with(ctx context.Context, namespace string, id api.RunID, f func(*core.Run) error) error {
	return v.upTo(ctx, namespace, id, 0, f)
}

// errEnough ends the reading of a journal.
var errEnough = errors.New("enough")

// upTo calls f with a run as it was right after the event numbered seq, or as of its last commit where
// that is 0.
func (v *views) upTo(ctx context.Context, namespace string, id api.RunID, seq int64, f func(*core.Run) error) error {
	return v.looking(ctx, namespace, id, seq, func(w *view) error { return f(w.run) })
}

// looking is upTo, and tells when something last happened to each task.
func (v *views) looking(ctx context.Context, namespace string, id api.RunID, seq int64, f func(*view) error) error {
	s, err := find(ctx, v.db, namespace, id)
	if err != nil {
		return err
	}
	w := v.view(id)
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.run != nil && seq > 0 && w.run.Seq > seq {
		w.run = nil // a run only goes forward
	}
	if w.run == nil {
		g, err := v.graphs.byDigest(ctx, sqlLedger{v.db}, s.digest)
		if err != nil {
			return err
		}
		w.run, w.n, w.changes = core.New(g, v.graphs.inline), s.n, changes{}
	}
	err = readJournal(ctx, v.db, w.n, w.run.Seq, func(last, at int64, events []core.Event) error {
		before := last - int64(len(events)) // the number of the event before the first
		from, to := max(w.run.Seq-before, 0), int64(len(events))
		if seq > 0 {
			to = min(to, seq-before)
		}
		if to <= from {
			return errEnough
		}
		w.changes.note(at, events[from:to])
		return w.run.Replay(at, events[from:to])
	})
	if err != nil && !errors.Is(err, errEnough) {
		w.run = nil // half carried forward
		return err
	}
	if w.run.Seq < seq {
		return errs.New(errs.Invalid, "run %s has no event %d yet: its last is %d", id, seq, w.run.Seq).WithHint("leave `at` out for how it stands now")
	}
	return f(w)
}

// seen returns the views that show a run as of an event: those who look at the past have their own, so
// that they cost nobody who looks at the present a replay.
func (s *Service) seen(at int64) *views {
	if at > 0 {
		return s.past
	}
	return s.views
}

func (v *views) view(id api.RunID) *view {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.of == nil {
		v.of = map[api.RunID]*view{}
	}
	w := v.of[id]
	if w == nil {
		if len(v.of) >= maxViews {
			v.drop()
		}
		w = &view{}
		v.of[id] = w
	}
	w.used = time.Now()
	return w
}

// drop forgets the view that was not looked at for longest.
func (v *views) drop() {
	var oldest api.RunID
	for id, w := range v.of {
		if oldest == "" || w.used.Before(v.of[oldest].used) {
			oldest = id
		}
	}
	delete(v.of, oldest)
}

// resolve turns a unique prefix of a run's ID into the ID.
func (s *Service) resolve(ctx context.Context, namespace string, id api.RunID) (api.RunID, error) {
	if len(id) >= len("run_")+16 {
		return id, nil
	}
	if len(id) < len("run_")+4 {
		return "", errs.New(errs.NotFound, "no run %q", id).WithHint("give the whole ID, or at least 4 characters after run_")
	}
	rs, err := prefixed(ctx, s.d.DB, namespace, string(id), 6)
	switch {
	case err != nil:
		return "", err
	case len(rs) == 0:
		return "", errs.New(errs.NotFound, "no run %q", id)
	case len(rs) > 1:
		names := make([]string, len(rs))
		for i, r := range rs {
			names[i] = string(r.ID)
		}
		return "", errs.New(errs.Conflict, "%q may mean several runs", id).WithHint("one of %s", strings.Join(names, ", "))
	}
	return rs[0].ID, nil
}

// read returns a run as of its last commit, with counts.
func (s *Service) read(ctx context.Context, namespace string, id api.RunID) (r api.Run, err error) {
	err = s.views.with(ctx, namespace, id, func(c *core.Run) error {
		r = c.View()
		r.Counts = c.Counts()
		return nil
	})
	return r, err
}

// longestWait bounds how long a call waits for something to happen.
const longestWait = time.Minute

// await waits until a run has ended, at most d, and returns it as it is then.
func (s *Service) await(ctx context.Context, e *engine, r api.Run, d api.Duration) (api.Run, error) {
	if d <= 0 {
		return r, nil
	}
	ended, forget := e.ends.wait(r.ID)
	defer forget()
	now, err := s.read(ctx, r.Namespace, r.ID)
	if err != nil || now.State.Ended() {
		return now, err
	}
	return s.awaitEnd(ctx, e, now, ended, d)
}

// awaitEnd waits until a run has ended of which ended tells, at most d, and returns it as it is then.
func (s *Service) awaitEnd(ctx context.Context, e *engine, r api.Run, ended <-chan api.Run, d api.Duration) (api.Run, error) {
	t := time.NewTimer(min(time.Duration(d), longestWait))
	defer t.Stop()
	select {
	case now := <-ended:
		return now, nil
	case <-t.C:
	case <-ctx.Done():
		return r, nil
	case <-e.done:
	}
	return s.read(ctx, r.Namespace, r.ID)
}

func (s *Service) get(ctx context.Context, e *engine, in api.GetRunIn) (api.Run, error) {
	id, err := s.resolve(ctx, in.Namespace, in.ID)
	if err != nil {
		return api.Run{}, err
	}
	if in.At > 0 {
		return s.asOf(ctx, in.Namespace, id, in.At)
	}
	r, err := s.read(ctx, in.Namespace, id)
	if err == nil && !r.State.Ended() {
		r, err = s.await(ctx, e, r, in.Wait)
	}
	if err == nil {
		s.expect(ctx, &r)
	}
	return r, err
}

// asOf returns a run as it was right after an event.
func (s *Service) asOf(ctx context.Context, namespace string, id api.RunID, seq int64) (r api.Run, err error) {
	err = s.past.upTo(ctx, namespace, id, seq, func(c *core.Run) error {
		r = c.View()
		r.Counts = c.Counts()
		r.AsOf = time.UnixMicro(c.Clock()).UTC()
		return nil
	})
	return r, err
}

func (s *Service) list(ctx context.Context, in api.ListRunsIn) (p api.Page[api.Run], err error) {
	below := int64(1) << 62
	if in.Cursor != "" {
		if below, err = readCursor(in.Cursor); err != nil {
			return p, err
		}
	}
	runs, numbers, err := listRuns(ctx, s.d.DB, in, below, in.Size()+1)
	if p.Items = runs; len(runs) > in.Size() { // the last only shows that there are more
		p.Items, p.Cursor = runs[:in.Size()], cursor(numbers[in.Size()-1])
	}
	return p, err
}

func cursor(n int64) string {
	return base64.RawURLEncoding.EncodeToString(strconv.AppendInt(nil, n, 36))
}

func readCursor(c string) (int64, error) {
	b, err := base64.RawURLEncoding.DecodeString(c)
	if err == nil {
		var n int64
		if n, err = strconv.ParseInt(string(b), 36, 64); err == nil && n >= 0 {
			return n, nil
		}
	}
	return 0, errs.New(errs.Invalid, "the cursor %q is not one this list gave", c)
}

func (s *Service) tasks(ctx context.Context, in api.ListTasksIn) (p api.Page[api.Task], err error) {
	id, err := s.resolve(ctx, in.Namespace, in.ID)
	if err != nil {
		return p, err
	}
	skip := int64(0)
	if in.Cursor != "" {
		if skip, err = readCursor(in.Cursor); err != nil {
			return p, err
		}
	}
	size := in.Size()
	if in.Limit == 0 {
		size = 1000
	}
	err = s.seen(in.At).looking(ctx, in.Namespace, id, in.At, func(w *view) error {
		i := int64(0)
		all := w.run.Tasks()
		critical := s.critical(ctx, w.run, in.At)
		wanted := newSelection(in, &w.changes, all)
		for _, t := range all {
			if !wanted.has(t) {
				continue
			}
			if i++; i <= skip {
				continue
			}
			if len(p.Items) == size {
				p.Cursor = cursor(i - 1)
				break
			}
			t.Critical = critical[t.Path]
			if in.Attempts {
				t.Attempts = w.run.Tries(t.Path)
			}
			p.Items = append(p.Items, t)
		}
		return nil
	})
	return p, err
}

func (s *Service) task(ctx context.Context, in api.GetTaskIn) (t api.Task, err error) {
	id, err := s.resolve(ctx, in.Namespace, in.ID)
	if err != nil {
		return t, err
	}
	err = s.seen(in.At).upTo(ctx, in.Namespace, id, in.At, func(r *core.Run) error {
		t, err = r.Task(in.Path)
		t.Critical = s.critical(ctx, r, in.At)[in.Path]
		return err
	})
	return t, err
}

func (s *Service) events(ctx context.Context, e *engine, in api.RunEventsIn) (p api.Page[api.RunEvent], err error) {
	id, err := s.resolve(ctx, in.Namespace, in.ID)
	if err != nil {
		return p, err
	}
	f, err := find(ctx, s.d.DB, in.Namespace, id)
	if err != nil {
		return p, err
	}
	limit := in.Limit
	if limit <= 0 {
		limit = 1000
	}
	var timeout <-chan time.Time
	if in.Wait > 0 {
		t := time.NewTimer(min(time.Duration(in.Wait), longestWait))
		defer t.Stop()
		timeout = t.C
	}
	for {
		changed := e.changes.wait(id)
		err = readJournal(ctx, s.d.DB, f.n, in.After, func(last, at int64, events []core.Event) error {
			for i := range events {
				seq := last - int64(len(events)) + 1 + int64(i)
				if seq > in.After && len(p.Items) < limit {
					p.Items = append(p.Items, events[i].Public(seq, at))
				}
			}
			return nil
		})
		if err != nil || len(p.Items) > 0 || timeout == nil {
			return p, err
		}
		select {
		case <-changed:
		case <-timeout:
			return p, nil
		case <-ctx.Done():
			return p, nil
		case <-e.done:
			return p, nil
		}
	}
}

func (s *Service) approvals(ctx context.Context, in api.ListApprovalsIn) (p api.Page[api.Approval], err error) {
	skip := int64(0)
	if in.Cursor != "" {
		if skip, err = readCursor(in.Cursor); err != nil {
			return p, err
		}
	}
	p.Items, err = listApprovals(ctx, s.d.DB, in.Namespace, int(skip), in.Size()+1)
	if err == nil && len(p.Items) > in.Size() {
		p.Items, p.Cursor = p.Items[:in.Size()], cursor(skip+int64(in.Size()))
	}
	return p, err
}

func (s *Service) findRuns(ctx context.Context, in api.FindIn) (p api.Page[api.Found], err error) {
	rs, err := prefixed(ctx, s.d.DB, in.Namespace, in.Prefix, 20)
	for _, r := range rs {
		p.Items = append(p.Items, api.Found{Kind: "run", ID: string(r.ID), Title: r.Workflow, State: r.State})
	}
	return p, err
}
