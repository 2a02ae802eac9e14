package simulate

import (
	"encoding/json"
	"slices"

	"tutti/internal/workflow/core"
)

// places says who has, and who waits for, the places under each limit and the right to do something
// once. It follows the rules of the engine's own table, in memory.
type places struct {
	of   map[placeKey]*line
	done map[string]json.RawMessage // what came of keys of once
	next int
}

type placeKey struct {
	key  string
	once bool
}

type line struct {
	holders []*claimant
	waiting []*claimant // by priority, then in the order they asked
}

// claimant is a task, a run (path "") or, without a run, somebody outside the simulation.
type claimant struct {
	run      *run
	path     string
	most     int
	priority int
	place    int
}

func (p *places) get(k placeKey) *line {
	if p.of == nil {
		p.of = map[placeKey]*line{}
	}
	if p.of[k] == nil {
		p.of[k] = &line{}
	}
	return p.of[k]
}

// enter puts a claimant in its place in the queue.
func (p *places) enter(k placeKey, c *claimant) {
	p.next++
	c.place = p.next
	x := p.get(k)
	at, _ := slices.BinarySearchFunc(x.waiting, c, func(a, b *claimant) int {
		if a.priority != b.priority {
			return b.priority - a.priority
		}
		return a.place - b.place
	})
	x.waiting = slices.Insert(x.waiting, at, c)
}

// grantable takes out of the queue whoever has room now: of all that have or want a place, the one who
// allows the fewest decides.
func (x *line) grantable() (out []*claimant) {
	for len(x.waiting) > 0 {
		c := x.waiting[0]
		most := c.most
		for _, h := range x.holders {
			most = min(most, h.most)
		}
		if len(x.holders) >= most {
			return out
		}
		x.waiting = x.waiting[1:]
		x.holders = append(x.holders, c)
		out = append(out, c)
	}
	return out
}

// leave takes a claimant out, wherever it is.
func (x *line) leave(r *run, path string) (found bool) {
	is := func(c *claimant) bool { return c.run == r && c.path == path }
	n := len(x.holders) + len(x.waiting)
	x.holders, x.waiting = slices.DeleteFunc(x.holders, is), slices.DeleteFunc(x.waiting, is)
	return len(x.holders)+len(x.waiting) < n
}

// who names a claimant for messages.
func (c *claimant) who() string {
	switch {
	case c.run == nil:
		return "another run"
	case c.path == "":
		return "run " + string(c.run.core.ID)
	}
	return c.run.path(c.path)
}

// acquire handles the asking for a place.
func (w *world) acquire(r *run, a core.Acquire) {
	k := placeKey{a.Key, a.Once}
	if out, done := w.places.done[a.Key]; a.Once && done {
		w.then(func() { w.step(r, already(a.Path, a.Key, out)) })
		return
	}
	x := w.places.get(k)
	if len(x.holders) > 0 && len(x.holders) >= a.Max {
		switch a.WhenFull {
		case "refuse":
			holder := x.holders[0].who()
			w.then(func() {
				w.step(r, func(c *core.Run, now int64) ([]core.Event, core.Effects, error) {
					return c.Deny(now, a.Path, a.Key, holder)
				})
			})
			return
		case "replace":
			for _, old := range slices.Concat(x.holders, x.waiting) {
				w.then(func() { w.replace(k, old, r) })
			}
		}
	}
	w.places.enter(k, &claimant{run: r, path: a.Path, most: max(a.Max, 1), priority: a.Priority})
	w.grant(k)
}

// replace stops the holder of a place for a newer one.
func (w *world) replace(k placeKey, old *claimant, by *run) {
	if old.run == nil {
		w.free(k, nil, "", nil)
		return
	}
	w.step(old.run, func(c *core.Run, now int64) ([]core.Event, core.Effects, error) {
		return c.Replace(now, old.path, "run "+string(by.core.ID))
	})
}

func already(path, key string, out json.RawMessage) command {
	return func(c *core.Run, now int64) ([]core.Event, core.Effects, error) {
		return c.Already(now, path, key, out)
	}
}

// grant gives free places to those who wait.
func (w *world) grant(k placeKey) {
	for _, c := range w.places.get(k).grantable() {
		w.then(func() {
			w.step(c.run, func(r *core.Run, now int64) ([]core.Event, core.Effects, error) {
				return r.Grant(now, c.path, k.key, k.once)
			})
		})
	}
}

// free gives a place back; out, unless nil, is what came of a key of once.
func (w *world) free(k placeKey, r *run, path string, out json.RawMessage) {
	x := w.places.get(k)
	if !x.leave(r, path) {
		return
	}
	if k.once && out != nil {
		if w.places.done == nil {
			w.places.done = map[string]json.RawMessage{}
		}
		w.places.done[k.key] = out
		for _, c := range x.waiting {
			w.then(func() { w.step(c.run, already(c.path, k.key, out)) })
		}
		x.waiting = nil
	}
	w.grant(k)
}
