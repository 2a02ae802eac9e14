package workflow

import (
	"cmp"
	"context"
	"slices"
	"sync"
	"time"

	"tutti/api"
	"tutti/errs"
	"tutti/internal/store"
	"tutti/internal/workflow/core"
)

// history knows how long workflows and their tasks usually take, from the newest runs that succeeded. It is
// read from their rows and journals when somebody asks, within bounds, and kept for a while: the engine pays
// nothing for it.
type history struct {
	db     *store.DB
	graphs *graphs
	mu     sync.Mutex
	of     map[historyKey]*lasted
}

type historyKey struct{ namespace, workflow string }

// lasted is what is known of one workflow.
type lasted struct {
	mu    sync.Mutex
	runs  reading[*api.Expected]
	tasks reading[map[string]api.Expected] // by path in the definition
}

// reading is something that was read a while ago.
type reading[T any] struct {
	v  T
	at time.Time
}

// old says that what was read of a workflow serves no more; e is what its runs say.
func (r reading[T]) old(e *api.Expected) bool {
	age := time.Since(r.at)
	return age > historyAge || age > youngAge && (e == nil || e.Runs < fewRuns)
}

const (
	historyAge = 30 * time.Second // how long a reading serves,
	youngAge   = 2 * time.Second  // and one of fewer than fewRuns
	fewRuns    = 10
	// A workflow's expectation comes from up to historyRuns that succeeded among its newest historyLooks;
	// those of its tasks from the newest of these, up to taskRuns and taskEvents in all.
	historyRuns  = 50
	historyLooks = 1000
	taskRuns     = 20
	taskEvents   = 20_000
	maxHistories = 500
)

// run returns how long a workflow usually takes, or nil where nothing says so.
func (h *history) run(ctx context.Context, namespace, workflow string) *api.Expected {
	l := h.lasted(namespace, workflow)
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.runs.old(l.runs.v) {
		if rs, err := h.recent(ctx, namespace, workflow); err == nil { // else what was known before
			l.runs = reading[*api.Expected]{expected(rs), time.Now()}
		}
	}
	return l.runs.v
}

// tasks returns how long the tasks of a workflow usually take, by their path in the definition.
func (h *history) tasks(ctx context.Context, namespace, workflow string) map[string]api.Expected {
	l := h.lasted(namespace, workflow)
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.tasks.old(l.runs.v) {
		if m, err := h.recentTasks(ctx, namespace, workflow); err == nil {
			l.tasks = reading[map[string]api.Expected]{m, time.Now()}
		}
	}
	return l.tasks.v
}

func (h *history) lasted(namespace, workflow string) *lasted {
	h.mu.Lock()
	defer h.mu.Unlock()
	k := historyKey{namespace, workflow}
	l := h.of[k]
	if l == nil {
		if h.of == nil || len(h.of) >= maxHistories {
			h.of = map[historyKey]*lasted{}
		}
		l = &lasted{}
		h.of[k] = l
	}
	return l
}

// past is a run that succeeded.
type past struct {
	n      int64
	digest string
	took   time.Duration
}

// recent returns the newest runs of a workflow that succeeded.
func (h *history) recent(ctx context.Context, namespace, workflow string) (out []past, err error) {
	rows, err := h.db.Query(ctx, `SELECT n, digest, created, ended FROM
		(SELECT n, digest, created, ended, state, flags FROM workflow_runs WHERE namespace = ? AND workflow = ? ORDER BY n DESC LIMIT ?) AS newest
		WHERE state = ? AND flags NOT LIKE '%undo%' AND flags NOT LIKE '%forked%' ORDER BY n DESC LIMIT ?`, namespace, workflow, historyLooks, string(api.Succeeded), historyRuns)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var p past
		var created, ended int64
		if err := rows.Scan(&p.n, &p.digest, &created, &ended); err != nil {
			return nil, err
		}
		p.took = time.Duration(ended-created) * time.Microsecond
		out = append(out, p)
	}
	return out, rows.Err()
}

func expected(rs []past) *api.Expected {
	if len(rs) == 0 {
		return nil
	}
	took := make([]time.Duration, len(rs))
	for i, r := range rs {
		took[i] = r.took
	}
	e := usual(took)
	return &e
}

// usual returns what of some lengths, in any order, is usual.
func usual(took []time.Duration) api.Expected {
	slices.Sort(took)
	at := func(percent int) api.Duration { // the nearest rank
		return api.Duration(took[max(0, (len(took)*percent+99)/100-1)].Round(time.Millisecond))
	}
	return api.Expected{P50: at(50), P90: at(90), Runs: len(took)}
}

// recentTasks replays the newest runs of a workflow that succeeded and gathers how long their tasks took. The
// items of an `each` count together; tasks that did not succeed, or that a person or a time ended, not at all.
func (h *history) recentTasks(ctx context.Context, namespace, workflow string) (map[string]api.Expected, error) {
	rs, err := h.recent(ctx, namespace, workflow)
	if err != nil {
		return nil, err
	}
	took := map[string][]time.Duration{}
	left := int64(taskEvents)
	for _, p := range rs[:min(len(rs), taskRuns)] {
		run, err := h.replay(ctx, p, left)
		if errs.Is(err, errs.Unavailable) || ctx.Err() != nil {
			return nil, err
		}
		if err != nil {
			continue // it is too long to read for this, or its journal is broken, which others report
		}
		left -= run.Seq
		for _, t := range run.Tasks() {
			if t.State == api.Succeeded && !t.Started.IsZero() && t.Kind != "item" {
				path := core.Plan(t.Path)
				took[path] = append(took[path], t.Ended.Sub(t.Ready))
			}
		}
	}
	out := make(map[string]api.Expected, len(took))
	for path, list := range took {
		out[path] = usual(list)
	}
	return out, nil
}

// replay returns a run of at most some events.
func (h *history) replay(ctx context.Context, p past, most int64) (*core.Run, error) {
	g, err := h.graphs.byDigest(ctx, sqlLedger{h.db}, p.digest)
	if err != nil {
		return nil, err
	}
	run := core.New(g, h.graphs.inline)
	err = readJournal(ctx, h.db, p.n, 0, func(last, at int64, events []core.Event) error {
		if last > most {
			return errEnough
		}
		return run.Replay(at, events)
	})
	return run, err
}

// expect says of a run how long it usually takes, and, while it goes on, when it will have ended.
func (s *Service) expect(ctx context.Context, r *api.Run) {
	e := s.history.run(ctx, r.Namespace, r.Workflow)
	if e == nil {
		return
	}
	c := *e
	r.Expected = &c
	if r.State.Ended() {
		return
	}
	tasks := s.history.tasks(ctx, r.Namespace, r.Workflow)
	if len(tasks) == 0 {
		return
	}
	_ = s.views.with(ctx, r.Namespace, r.ID, func(c *core.Run) error { // it was there a moment ago
		_, end := c.Critical(time.Now().UnixMicro(), usually(tasks))
		r.Expected.Ends = time.UnixMicro(end).UTC().Truncate(time.Millisecond)
		return nil
	})
}

// usually gives Critical what tasks usually take.
func usually(tasks map[string]api.Expected) func(string) int64 {
	return func(path string) int64 { return time.Duration(tasks[path].P50).Microseconds() }
}

// critical returns the tasks that the length of a run comes from, as of an event; 0 is now.
func (s *Service) critical(ctx context.Context, r *core.Run, at int64) map[string]bool {
	now, tasks := time.Now().UnixMicro(), map[string]api.Expected(nil)
	if at > 0 {
		now = r.Clock()
	}
	if !r.State.Ended() {
		tasks = s.history.tasks(ctx, r.Namespace, r.Workflow)
	}
	on, _ := r.Critical(now, usually(tasks))
	return on
}

func (s *Service) durations(ctx context.Context, in api.DurationsIn) (out api.Durations, err error) {
	out = api.Durations{Workflow: in.Name, Expected: s.history.run(ctx, in.Namespace, in.Name)}
	for path, e := range s.history.tasks(ctx, in.Namespace, in.Name) {
		out.Tasks = append(out.Tasks, api.TaskDuration{Path: path, Expected: e})
	}
	slices.SortFunc(out.Tasks, func(a, b api.TaskDuration) int { return cmp.Compare(a.Path, b.Path) })
	if out.Expected == nil {
		if _, err := s.fetch(ctx, in.Namespace, in.Name); err != nil {
			return out, err // there is no such workflow
		}
	}
	return out, nil
}
