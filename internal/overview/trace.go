package overview

import (
	"context"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"tutti/api"
	"tutti/errs"
	"tutti/id"
)

// Bounds of one trace.
const (
	maxRequests  = 200
	maxRuns      = 300
	maxTasks     = 20_000 // of a run, that are looked at
	defaultTasks = 500    // of a run, that are shown
	maxDetails   = 60     // tasks that are read one by one, for what they made or who decided
	maxExtras    = 200    // files and mails
	// overlap is how long before its answer a trace says it was read: what is decided is seen once it is
	// committed.
	overlap = 5 * time.Second
)

// parts are what the services know of one trace.
type parts struct {
	trace    string
	since    time.Time
	requests []api.Request // oldest first
	runs     []api.Run     // oldest first
	parents  map[api.RunID]api.TaskRef
	tasks    map[api.RunID][]api.Task
	details  map[api.RunID]map[string]api.Task
	cut      map[api.RunID]bool // more tasks than were looked at
	files    []api.File
	mails    []api.Message
	more     bool
}

// trace answers trace.get.
func (s *Service) trace(ctx context.Context, in api.GetTraceIn) (api.TraceView, error) {
	if in.Under != "" {
		return s.under(ctx, in)
	}
	trace, err := s.traceID(ctx, in.NS, in.Trace)
	if err != nil {
		return api.TraceView{}, err
	}
	now := time.Now()
	p := &parts{trace: trace, since: in.Since, parents: map[api.RunID]api.TaskRef{}, tasks: map[api.RunID][]api.Task{}, details: map[api.RunID]map[string]api.Task{}, cut: map[api.RunID]bool{}}
	if err := s.gather(ctx, in.NS, p); err != nil {
		return api.TraceView{}, err
	}
	if len(p.requests) == 0 && len(p.runs) == 0 {
		return api.TraceView{}, errs.New(errs.NotFound, "nothing in namespace %s belongs to trace %s", in.Namespace, trace)
	}
	limit := in.Limit
	if limit <= 0 {
		limit = defaultTasks
	}
	v := p.view(limit)
	v.Seq = now.Add(-overlap).UnixMicro()
	return v, nil
}

// traceID returns the trace that a request, a run or the ID of the trace itself names.
func (s *Service) traceID(ctx context.Context, ns api.NS, name string) (string, error) {
	switch {
	case strings.HasPrefix(name, "req_"):
		r, err := api.GetRequest.Call(ctx, s.bus, api.RequestIn{NS: ns, ID: name})
		return r.Trace, err
	case strings.HasPrefix(name, "run_"):
		r, err := api.GetRun.Call(ctx, s.bus, api.GetRunIn{NS: ns, ID: api.RunID(name)})
		return r.Trace, err
	case id.ValidTrace(name):
		return name, nil
	}
	return "", errs.New(errs.Invalid, "%.80q names no trace", name).WithHint("give 32 hex digits, or the ID of a request or of a run")
}

// gather asks the services for what they know.
func (s *Service) gather(ctx context.Context, ns api.NS, p *parts) error {
	g, gctx := errgroup.WithContext(ctx)
	g.Go(func() (err error) { return s.gatherRequests(gctx, ns, p) })
	g.Go(func() (err error) { return s.gatherRuns(gctx, ns, p) })
	g.Go(func() error {
		page, err := api.ListFiles.Call(gctx, s.bus, api.ListFilesIn{NS: ns, Trace: p.trace, Paging: api.Paging{Limit: maxExtras}})
		p.files = backward(page.Items)
		return unlessDenied(err)
	})
	g.Go(func() error {
		page, err := api.ListMessages.Call(gctx, s.bus, api.ListMessagesIn{NS: ns, Trace: p.trace, Paging: api.Paging{Limit: maxExtras}})
		p.mails = backward(page.Items)
		return unlessDenied(err)
	})
	return g.Wait()
}

// unlessDenied leaves out what the caller may not see, and what a service that is away would add.
func unlessDenied(err error) error {
	if errs.Is(err, errs.Denied) || errs.Is(err, errs.Unavailable) {
		return nil
	}
	return err
}

func (s *Service) gatherRequests(ctx context.Context, ns api.NS, p *parts) error {
	page, err := api.ListRequests.Call(ctx, s.bus, api.ListRequestsIn{NS: ns, Trace: p.trace, Paging: api.Paging{Limit: maxRequests}})
	p.requests = backward(page.Items)
	if page.Cursor != "" {
		p.more = true
	}
	return unlessDenied(err)
}

// gatherRuns reads the runs and their tasks.
func (s *Service) gatherRuns(ctx context.Context, ns api.NS, p *parts) error {
	page, err := api.ListRuns.Call(ctx, s.bus, api.ListRunsIn{NS: ns, Trace: p.trace, Paging: api.Paging{Limit: maxRuns}})
	if err != nil {
		return err
	}
	p.runs = backward(page.Items)
	if page.Cursor != "" {
		p.more = true
	}
	var mu sync.Mutex
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(4)
	for _, r := range p.runs {
		if over(r, p.since) {
			continue
		}
		g.Go(func() error {
			tasks, cut, err := s.tasksOf(ctx, api.ListTasksIn{NS: ns, ID: r.ID, Fold: true, Attempts: true, Since: p.since}, maxTasks)
			if err != nil {
				return err
			}
			details, err := s.details(ctx, ns, r.ID, tasks)
			if err != nil {
				return err
			}
			var parent api.TaskRef
			if r.Parent != nil {
				if parent, err = s.callers.of(ctx, s.bus, ns, r.ID); err != nil {
					return err
				}
			}
			mu.Lock()
			defer mu.Unlock()
			p.tasks[r.ID], p.cut[r.ID], p.details[r.ID], p.parents[r.ID] = tasks, cut, details, parent
			return nil
		})
	}
	return g.Wait()
}

// over says that nothing happened to a run since a time.
func over(r api.Run, since time.Time) bool {
	return !since.IsZero() && r.State.Ended() && r.Ended.Before(since)
}

// tasksOf lists tasks, up to a number; cut says that there are others.
func (s *Service) tasksOf(ctx context.Context, in api.ListTasksIn, most int) (all []api.Task, cut bool, err error) {
	in.Limit = min(most, 1000)
	for {
		page, err := api.ListTasks.Call(ctx, s.bus, in)
		if err != nil {
			return nil, false, err
		}
		all = append(all, page.Items...)
		if in.Cursor = page.Cursor; in.Cursor == "" || len(all) >= most {
			return all, in.Cursor != "", nil
		}
	}
}

// details reads the tasks whose output says what they made, or who decided.
func (s *Service) details(ctx context.Context, ns api.NS, run api.RunID, tasks []api.Task) (map[string]api.Task, error) {
	out := map[string]api.Task{}
	for _, t := range tasks {
		if !telling(t) {
			continue
		}
		if len(out) == maxDetails {
			return out, nil
		}
		full, err := api.GetTask.Call(ctx, s.bus, api.GetTaskIn{NS: ns, ID: run, Path: t.Path})
		if errs.Is(err, errs.NotFound) {
			continue // the run went on meanwhile
		}
		if err != nil {
			return nil, err
		}
		out[t.Path] = full
	}
	return out, nil
}

// telling reports whether the output of a task belongs into the trace.
func telling(t api.Task) bool {
	return t.State == api.Succeeded && (t.Use == "git.commit" || t.Use == "approval" || t.Use == "file.put")
}

// under answers for what is inside one row.
func (s *Service) under(ctx context.Context, in api.GetTraceIn) (api.TraceView, error) {
	name, path, _ := strings.Cut(in.Under, "/")
	run := api.RunID(name)
	if path != "" {
		t, err := api.GetTask.Call(ctx, s.bus, api.GetTaskIn{NS: in.NS, ID: run, Path: path})
		if err != nil {
			return api.TraceView{}, err
		}
		if t.Run != "" {
			run, path = t.Run, "" // what it does is what its sub-run does
		}
	}
	limit := in.Limit
	if limit <= 0 {
		limit = defaultTasks
	}
	page, err := api.ListTasks.Call(ctx, s.bus, api.ListTasksIn{NS: in.NS, ID: run, Under: path, Fold: true, Attempts: true,
		Since: in.Since, Paging: api.Paging{Limit: min(limit, 1000), Cursor: in.Cursor}})
	if err != nil {
		return api.TraceView{}, err
	}
	details, err := s.details(ctx, in.NS, run, page.Items)
	if err != nil {
		return api.TraceView{}, err
	}
	v := api.TraceView{Trace: in.Trace, Run: run, Cursor: page.Cursor, More: page.Cursor != "", Rows: []api.TraceRow{}}
	for _, t := range page.Items {
		v.Rows = append(v.Rows, taskRows(run, in.Under, t, details[t.Path])...)
	}
	return v, nil
}

func backward[T any](list []T) []T {
	out := make([]T, len(list))
	for i, v := range list {
		out[len(list)-1-i] = v
	}
	return out
}
