package workflow

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"tutti/api"
	"tutti/internal/workflow/core"
)

// maxWhy bounds the tasks of one answer.
const maxWhy = 1000

// why says of every task that waits, in a run and in its sub-runs, what it waits for.
func (s *Service) why(ctx context.Context, e *engine, in api.RunIn) (out api.Why, err error) {
	id, err := s.resolve(ctx, in.Namespace, in.ID)
	if err != nil {
		return out, err
	}
	out.Items = []api.WhyItem{}
	w := whyer{Service: s, e: e, namespace: in.Namespace, at: in.At}
	if cause, err := w.quarantined(ctx, id); err != nil || cause != nil {
		out.Run, out.State, out.Reason = id, api.Waiting, cause
		return out, err
	}
	return out, w.run(ctx, id, &out, 0)
}

// whyer adds to what runs know of themselves what only the engine around them knows.
type whyer struct {
	*Service
	e         *engine
	namespace string
	at        int64 // the event it is asked of; 0 is now. What was around the run then nobody knows
}

// run adds what the tasks of a run wait for to out.
func (w whyer) run(ctx context.Context, id api.RunID, out *api.Why, depth int) error {
	var items []api.WhyItem
	err := w.seen(w.at).upTo(ctx, w.namespace, id, w.at, func(r *core.Run) error {
		if depth == 0 {
			out.Run, out.State, out.Flags, out.Reason = r.ID, r.State, r.Flags, r.Reason
		}
		var more bool
		items, more = r.Why(maxWhy - len(out.Items))
		out.More = out.More || more
		return nil
	})
	if err != nil {
		return err
	}
	if w.at == 0 && depth == 0 && out.Reason != nil {
		own := *out.Reason
		if err := w.complete(ctx, &own, id, ""); err != nil {
			return err
		}
		out.Reason = &own
	}
	for i := range items {
		if w.at > 0 {
			out.Items = append(out.Items, items[i])
			continue
		}
		if err := w.item(ctx, items[i], out, depth); err != nil {
			return err
		}
	}
	return nil
}

// item adds a task that waits, and what waits in its sub-run; not one that a worker has.
func (w whyer) item(ctx context.Context, it api.WhyItem, out *api.Why, depth int) error {
	var sub api.RunID
	rs := it.Reasons[:0]
	for _, r := range it.Reasons {
		if r.Kind == "worker" {
			if w.e.pools.claimed(it.Run, it.Task) {
				continue
			}
			w.pollers.complete(&r, w.namespace, it.Use)
		}
		if err := w.complete(ctx, &r, it.Run, it.Task); err != nil {
			return err
		}
		if r.Kind == "run" {
			sub = r.Run
		}
		rs = append(rs, r)
	}
	if it.Reasons = rs; len(rs) == 0 {
		return nil
	}
	if len(out.Items) >= maxWhy {
		out.More = true
		return nil
	}
	out.Items = append(out.Items, it)
	if sub == "" || depth >= maxDepth {
		return nil
	}
	return w.run(ctx, sub, out, depth+1)
}

// complete says who has the place that a reason is about.
func (w whyer) complete(ctx context.Context, r *api.Reason, run api.RunID, path string) error {
	if r.Kind != "limit" && r.Kind != "once" {
		return nil
	}
	path = cmp.Or(path, r.Task) // the reason of a whole run names the task it is of
	rows, err := w.d.DB.Query(ctx, `SELECT run, path, granted FROM workflow_places WHERE namespace = ? AND key = ? AND once = ? ORDER BY granted DESC, priority DESC, place`,
		w.namespace, r.Key, btoi(r.Kind == "once"))
	if err != nil {
		return err
	}
	defer rows.Close()
	var holders []string
	for mine := false; rows.Next(); {
		var by api.RunID
		var task string
		var granted int
		if err := rows.Scan(&by, &task, &granted); err != nil {
			return err
		}
		switch {
		case granted == 1:
			r.Holders = append(r.Holders, api.TaskRef{Run: by, Task: task})
			holders = append(holders, strings.TrimSpace("run "+string(by)+" "+task))
		case by == run && task == path:
			mine = true
		case !mine:
			r.Ahead++
		}
	}
	if len(holders) > 0 {
		r.Text += ": " + strings.Join(holders[:min(len(holders), 3)], ", ") + " has it"
		if n := len(holders) - 3; n > 0 {
			r.Text += fmt.Sprintf(", and %d more", n)
		}
	}
	if r.Ahead > 0 {
		r.Text += fmt.Sprintf("; %d wait before it", r.Ahead)
	}
	return rows.Err()
}

// quarantined says that a run was put aside because it cannot be carried on.
func (w whyer) quarantined(ctx context.Context, id api.RunID) (*api.Reason, error) {
	var cause string
	err := w.d.DB.QueryRow(ctx, `SELECT p.error FROM workflow_poison p JOIN workflow_runs r ON r.id = p.run WHERE p.run = ? AND r.namespace = ?`, string(id), w.namespace).Scan(&cause)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	line, _, _ := strings.Cut(cause, "\n")
	return &api.Reason{Kind: "quarantined", Run: id, Text: "it was put aside because it cannot be carried on: " + line}, nil
}

// claimed says that a worker has the attempt of a task.
func (p *pools) claimed(run api.RunID, path string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	a := p.open[attemptKey{run, path}]
	return a != nil && a.token != ""
}

// pollers remember which workers asked for work, for what and when. They are hints for people; nothing
// is decided by them.
type pollers struct {
	since time.Time
	mu    sync.Mutex
	of    map[pollerKey]*poller
}

type pollerKey struct{ pool, namespace, worker string }

type poller struct {
	types []string // none is any
	seen  time.Time
	there int // polls that wait for work
}

// maxPollers bounds the workers remembered; the one not seen for longest makes room.
const maxPollers = 2000

// asks notes that a worker asks for work, until what it returns is called.
func (p *pollers) asks(in api.PollIn, worker string) (done func()) {
	k := pollerKey{in.Pool, in.Namespace, worker}
	p.mu.Lock()
	defer p.mu.Unlock()
	w := p.of[k]
	if w == nil {
		if p.of == nil {
			p.of = map[pollerKey]*poller{}
		}
		if len(p.of) >= maxPollers {
			p.forget()
		}
		w = &poller{}
		p.of[k] = w
	}
	w.types, w.seen = in.Body.Types, time.Now()
	w.there++
	return func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		w.there--
		w.seen = time.Now()
	}
}

// beats notes that a worker that may have no time to ask for work is alive.
func (p *pollers) beats(in api.HeartbeatIn, worker string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if w := p.of[pollerKey{in.Pool, in.Namespace, worker}]; w != nil {
		w.seen = time.Now()
	}
}

func (p *pollers) forget() {
	var oldest pollerKey
	for k, w := range p.of {
		if o := p.of[oldest]; w.there == 0 && (o == nil || w.seen.Before(o.seen)) {
			oldest = k
		}
	}
	delete(p.of, oldest)
}

// present is how long after its last poll a worker that is busy is still held to be there.
const present = api.ClaimTTL + time.Minute

// complete says of an attempt that waits for a worker who could take it, and when they last asked.
func (p *pollers) complete(r *api.Reason, namespace, use string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	var fit, other, gone []string
	for k, w := range p.of {
		if k.pool != r.Pool {
			continue
		}
		there := w.there > 0 || now.Sub(w.seen) < present
		able := (k.namespace == "*" || k.namespace == namespace) && (len(w.types) == 0 || slices.Contains(w.types, use))
		name := strings.TrimPrefix(k.worker, insidePrefix)
		switch {
		case able:
			if w.seen.After(r.Seen) {
				r.Seen = w.seen
			}
			if there {
				fit = append(fit, name)
			} else {
				gone = append(gone, name)
			}
		case there:
			other = append(other, name)
		}
	}
	slices.Sort(fit)
	slices.Sort(other)
	slices.Sort(gone)
	r.Seen = r.Seen.UTC()
	age := func() string { return api.Duration(now.Sub(r.Seen).Truncate(time.Second)).String() }
	switch {
	case len(fit) > 0:
		r.Who = fit
		r.Text = fmt.Sprintf("it is queued in pool %s; its workers (%s) are busy, or will take it at once", r.Pool, some(fit))
	case len(gone) > 0:
		r.Text = fmt.Sprintf("no worker takes %s from pool %s any more; %s last asked %s ago", use, r.Pool, some(gone), age())
	case len(other) > 0:
		r.Text = fmt.Sprintf("no worker of pool %s takes %s in namespace %s; those there (%s) take other types or namespaces", r.Pool, use, namespace, some(other))
	default:
		r.Text = fmt.Sprintf("no worker has asked pool %s for work since the engine started %s ago", r.Pool, api.Duration(now.Sub(p.since).Truncate(time.Second)))
	}
}

// some lists the first of some names.
func some(names []string) string {
	const most = 3
	if len(names) <= most {
		return strings.Join(names, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(names[:most], ", "), len(names)-most)
}
