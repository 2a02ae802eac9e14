package simulate

import (
	"encoding/json"

	"tutti/internal/workflow/core"
)

// places says who has, and who waits for, the places under each limit and the right to do something
// once. It follows the rules of the engine's own table, in memory.
type places struct {
	of   map[placeKey]*line
	done map[string]json.RawMessage // what came of keys of once
	next int64
}

type placeKey struct {
	key  string
	once bool
}

// claim says who has or wants a place: a task, a run (path "") or, without a run, somebody outside the
// simulation.
type claim struct {
	run  *run
	path string
}

type line = core.Line[claim]

func (p *places) get(k placeKey) *line {
	if p.of == nil {
		p.of = map[placeKey]*line{}
	}
	if p.of[k] == nil {
		p.of[k] = &line{}
	}
	return p.of[k]
}

// enter lets somebody wait for a place.
func (p *places) enter(k placeKey, who claim, most, priority int) {
	p.next++
	p.get(k).Enter(core.Claimant[claim]{Who: who, Most: most, Priority: priority, Place: p.next})
}

// who names it for messages.
func (c claim) who() string {
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
	if x.Holders() > 0 && x.Holders() >= a.Max {
		switch a.WhenFull {
		case "refuse":
			holder := x.All()[0].Who.who()
			w.then(func() {
				w.step(r, func(c *core.Run, now int64) ([]core.Event, core.Effects, error) {
					return c.Deny(now, a.Path, a.Key, holder)
				})
			})
			return
		case "replace":
			for _, old := range x.All() {
				w.then(func() { w.replace(k, old.Who, r) })
			}
		}
	}
	w.places.enter(k, claim{r, a.Path}, max(a.Max, 1), a.Priority)
	w.grant(k)
}

// replace stops the holder of a place for a newer one.
func (w *world) replace(k placeKey, old claim, by *run) {
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
	for _, c := range w.places.get(k).MoveUp() {
		w.then(func() {
			w.step(c.Who.run, func(r *core.Run, now int64) ([]core.Event, core.Effects, error) {
				return r.Grant(now, c.Who.path, k.key, k.once)
			})
		})
	}
}

// free gives a place back; out, unless nil, is what came of a key of once.
func (w *world) free(k placeKey, r *run, path string, out json.RawMessage) {
	x := w.places.get(k)
	if !x.Leave(claim{r, path}) {
		return
	}
	if k.once && out != nil {
		if w.places.done == nil {
			w.places.done = map[string]json.RawMessage{}
		}
		w.places.done[k.key] = out
		for _, c := range x.SendAway() {
			w.then(func() { w.step(c.Who.run, already(c.Who.path, k.key, out)) })
		}
	}
	w.grant(k)
}
