package core

import (
	"encoding/json"
	"fmt"

	"tutti/api"
	"tutti/errs"
	"tutti/internal/workflow/dag"
	"tutti/internal/workflow/expr"
)

// Acquire asks the shell for a place under a limit, or for the right to be the one who does something
// once. The shell answers with Grant, Deny or Already, at once or when the place is free.
type Acquire struct {
	Path     string // "" for the run itself
	Key      string
	Max      int
	WhenFull string // queue, refuse, replace
	Once     bool
	Priority int
}

// Release gives places back. Out is, for a key of `once`, what came of it; nil where nothing did.
type Release struct {
	Path string
	Key  string
	Once bool
	Out  json.RawMessage
}

// place is one that a task, or the run, has or waits for.
type place struct {
	key     string
	granted bool
	keep    bool // also while the task waits for something else
}

// acquire asks for what n needs before it starts: first its limit, then its `once`. It reports whether
// n may start now.
func (r *Run) acquire(n *node) bool {
	if l := n.task.Limit; l != nil && n.limit == nil && n.undoes == nil {
		env := r.env(n, l.Key.Refs())
		e, a, err := r.limited(l, env)
		if err != nil {
			r.fail(n, expression("limit.key", err))
			return false
		}
		e.Path, a.Path = n.path, n.path
		r.emit(e)
		r.effects.Acquire = append(r.effects.Acquire, a)
		return false
	}
	if o := n.task.Once; o != nil && n.once == nil && n.undoes == nil {
		key, err := text(o, r.env(n, o.Refs()))
		if err != nil {
			r.fail(n, expression("once", err))
			return false
		}
		r.emit(Event{Type: Queued, Path: n.path, Key: key, Once: true, Hold: true, Reason: &api.Reason{Kind: "once", Key: key,
			Text: fmt.Sprintf("somebody else is doing %q", key)}})
		r.effects.Acquire = append(r.effects.Acquire, Acquire{Path: n.path, Key: key, Max: 1, Once: true})
		return false
	}
	return true
}

// queueRun asks for the place of the whole run, where its workflow has a limit.
func (r *Run) queueRun() error {
	l := r.Graph.Limit
	if l == nil {
		return nil
	}
	e, a, err := r.limited(l, r.envIn(r.root, nil, l.Key.Refs()))
	if err != nil {
		return errs.New(errs.Invalid, "limit.key: %w", err)
	}
	r.emit(e)
	r.effects.Acquire = append(r.effects.Acquire, a)
	return nil
}

// Pause lets nothing new start until Resume; what runs goes on.
func (r *Run) Pause(now int64, by string) ([]Event, Effects, error) {
	r.begin(now)
	if r.State.Ended() || r.paused || r.phase != inMain {
		return nil, Effects{}, errs.New(errs.Conflict, "run %s cannot be paused: it is %s", r.ID, r.standing())
	}
	r.emit(Event{Type: PausedRun, By: by})
	r.effects.PauseRuns = r.children()
	ev, ef := r.finish()
	return ev, ef, nil
}

// Resume ends a pause.
func (r *Run) Resume(now int64, by string) ([]Event, Effects, error) {
	r.begin(now)
	if !r.paused {
		return nil, Effects{}, errs.New(errs.Conflict, "run %s is not paused: it is %s", r.ID, r.standing()).
			WithHint("a task that failed and waits for a person (onError: pause) is retried, or the run is cancelled")
	}
	r.emit(Event{Type: Resumed, By: by})
	r.effects.ResumeRuns = r.children()
	r.rouse()
	ev, ef := r.finish()
	return ev, ef, nil
}

// standing is the state of the run in a word for messages.
func (r *Run) standing() string {
	if r.paused {
		return "paused"
	}
	return string(r.State)
}

// children returns the sub-runs that have not ended.
func (r *Run) children() (out []api.RunID) {
	for _, n := range r.order {
		if !n.dead && n.active && n.child != "" {
			out = append(out, n.child)
		}
	}
	return out
}

// limited evaluates a limit.
func (r *Run) limited(l *dag.Limit, env expr.Env) (e Event, a Acquire, err error) {
	key, err := text(l.Key, env)
	if err != nil {
		return e, a, err
	}
	most := max(l.Max, 1)
	e = Event{Type: Queued, Key: key, Hold: most == 1 || l.Hold, Reason: &api.Reason{Kind: "limit", Key: key,
		Text: fmt.Sprintf("it waits for a place under the limit %q (at most %d)", key, most)}}
	return e, Acquire{Key: key, Max: most, WhenFull: l.WhenFull, Priority: r.Graph.Priority}, nil
}

// maxKey bounds the keys of limits and of once, in bytes.
const maxKey = 500

func text(t *expr.Template, env expr.Env) (string, error) {
	s, err := t.Key(env)
	if err != nil {
		return "", err
	}
	if s == "" || len(s) > maxKey {
		return "", fmt.Errorf("a key must have 1 to %d bytes; this one has %d", maxKey, len(s))
	}
	return s, nil
}

// Grant gives a place that was asked for. One that is not wanted any more is given back at once.
func (r *Run) Grant(now int64, path, key string, once bool) ([]Event, Effects, error) {
	r.begin(now)
	p := r.placeOf(path, once)
	if p == nil || p.key != key || p.granted {
		r.effects.Release = append(r.effects.Release, Release{Path: path, Key: key, Once: once})
		return r.emitted, r.effects, nil
	}
	r.emit(Event{Type: Granted, Path: path, Key: key, Once: once})
	if path == "" {
		r.rouse()
	} else {
		r.start(r.nodes[path])
	}
	ev, ef := r.finish()
	return ev, ef, nil
}

// Deny refuses a place because all are taken (whenFull: refuse).
func (r *Run) Deny(now int64, path, key, holder string) ([]Event, Effects, error) {
	r.begin(now)
	if p := r.placeOf(path, false); p == nil || p.key != key || p.granted {
		return nil, Effects{}, nil
	}
	f := api.Failure{Type: "limit", Message: fmt.Sprintf("the limit %q is full: %s has it", key, holder)}
	if path == "" {
		r.emit(Event{Type: Stopping, Cause: "its limit is full and whenFull is refuse", Failure: &f})
	} else {
		r.failed(r.nodes[path], f)
	}
	ev, ef := r.finish()
	return ev, ef, nil
}

// Already ends a task whose `once` key was done before, with what came of it then.
func (r *Run) Already(now int64, path, key string, out json.RawMessage) ([]Event, Effects, error) {
	r.begin(now)
	if p := r.placeOf(path, true); p == nil || p.key != key || p.granted {
		return nil, Effects{}, nil
	}
	r.emit(Event{Type: Done, Path: path, Attempt: r.nodes[path].attempt, Out: out, Cause: "done before"})
	ev, ef := r.finish()
	return ev, ef, nil
}

// Replace stops the holder of a place for one that came later (whenFull: replace).
func (r *Run) Replace(now int64, path, by string) ([]Event, Effects, error) {
	if path == "" {
		if r.State.Ended() {
			return nil, Effects{}, nil
		}
		return r.Cancel(now, "limit", by+" replaced it")
	}
	r.begin(now)
	if n := r.nodes[path]; n != nil && n.active && n.doom == nil {
		r.doom(n, api.Failure{Type: "replaced", Message: by + " replaced it under their limit"})
	}
	ev, ef := r.finish()
	return ev, ef, nil
}

func (r *Run) placeOf(path string, once bool) *place {
	if path == "" {
		return r.limit
	}
	n := r.nodes[path]
	switch {
	case n == nil || !n.active || n.final():
		return nil
	case once:
		return n.once
	default:
		return n.limit
	}
}

// rouse looks again at everything that could have started while the run was held back.
func (r *Run) rouse() {
	for _, n := range r.order {
		switch {
		case n.dead:
		case n.state == api.Pending && n.unmet == 0 && !n.isItem:
			r.ready = append(r.ready, n)
		case n.active && n.body != nil && n.body.items:
			r.touched = append(r.touched, n.body)
		case n.state == api.Waiting && n.reason != nil && n.reason.Kind == "retry" && n.until <= r.now:
			r.start(n)
		}
	}
}

// held says that the run waits for its own limit.
func (r *Run) held() bool { return r.limit != nil && !r.limit.granted }

// release gives back what n holds, all of it at its end, else what is not kept while it waits. It is
// called before the event that ends or parks n is applied.
func (r *Run) release(n *node, ends bool, out json.RawMessage) {
	if p := n.limit; p != nil && (ends || !p.keep && p.granted) {
		r.effects.Release = append(r.effects.Release, Release{Path: n.path, Key: p.key})
	}
	if p := n.once; p != nil && ends {
		r.effects.Release = append(r.effects.Release, Release{Path: n.path, Key: p.key, Once: true, Out: out})
	}
}

// Places returns what the run has or waits for, for the shell to rebuild its tables from.
func (r *Run) Places() (out []Acquire) {
	if r.limit != nil {
		out = append(out, Acquire{Key: r.limit.key})
	}
	for _, n := range r.order {
		if n.dead || n.final() {
			continue
		}
		if n.limit != nil {
			out = append(out, Acquire{Path: n.path, Key: n.limit.key})
		}
		if n.once != nil {
			out = append(out, Acquire{Path: n.path, Key: n.once.key, Once: true})
		}
	}
	return out
}
