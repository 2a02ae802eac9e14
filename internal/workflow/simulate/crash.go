package simulate

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"tutti/api"
	"tutti/internal/workflow/core"
)

// Crash is what came of losing the memory of the engine before every command.
type Crash struct {
	// Times is how often a run was dropped and loaded from its journal.
	Times int `json:"times"`
	// Difference is the first one that made; empty where there is none.
	Difference string `json:"difference,omitempty"`
}

// Up to so many commands of a run, and so many attempts with workers, everything is done at every
// command; longer ones are dropped, and larger ones compared, at every so manieth.
const (
	everyCommand = 500
	closeLook    = 200
)

// forget drops a run and loads it from its journal.
func (w *world) forget(r *run) {
	c := w.rep.Crash
	if r.commands++; r.commands%(len(r.journal)/everyCommand+1) != 0 {
		return
	}
	c.Times++
	fresh, err := r.replayed()
	if err != nil {
		w.differs(r, "the journal cannot be read: "+err.Error())
		return
	}
	if every := len(r.working)/closeLook + 1; c.Difference == "" && c.Times%every == 0 {
		if d := firstDifference(picture(r.core), picture(fresh)); d != "" {
			w.differs(r, d)
		}
	}
	r.core = fresh
}

// replayed loads a run from its journal.
func (r *run) replayed() (*core.Run, error) {
	fresh := core.New(r.graph, load)
	for _, stored := range r.journal {
		var events []core.Event
		if err := json.Unmarshal(stored.events, &events); err != nil {
			return nil, err
		}
		if err := fresh.Replay(stored.at, events); err != nil {
			return nil, err
		}
	}
	return fresh, nil
}

// sameWork checks that a loaded engine would give workers what they have.
func (w *world) sameWork(r *run) {
	if w.rep.Crash.Difference != "" || len(r.working) > closeLook || len(r.journal) > everyCommand || r.looked == len(r.journal) {
		return
	}
	r.looked = len(r.journal)
	fresh, err := r.replayed()
	if err != nil {
		return // forget tells of it
	}
	var pending []string
	for _, d := range fresh.Pending().Dispatch {
		if !fresh.ParkedAttempt(d.AttemptRef) {
			pending = append(pending, d.Path)
		}
	}
	slices.Sort(pending)
	if working := slices.Sorted(maps.Keys(r.working)); !slices.Equal(pending, working) {
		w.differs(r, fmt.Sprintf("workers have %q, and would be given %q", working, pending))
	}
}

func (w *world) differs(r *run, text string) {
	if w.rep.Crash.Difference != "" {
		return
	}
	where := fmt.Sprintf("before step %d", w.steps)
	if r.name != "" {
		where += " in " + r.name
	}
	w.rep.Crash.Difference = where + ": " + text
}

// snapshot is all that can be seen of a run.
type snapshot struct {
	Run   api.Run
	Tasks []api.Task
	Busy  bool
	Timer int64
	Held  []core.Acquire
}

func picture(r *core.Run) snapshot {
	s := snapshot{Run: r.View(), Busy: r.Busy(), Timer: r.NextTimer(), Held: r.Places()}
	for _, t := range r.Tasks() {
		full, err := r.Task(t.Path)
		if err != nil {
			full = t
		}
		s.Tasks = append(s.Tasks, full)
	}
	return s
}

// firstDifference says where the JSON of two values differs first; "" is nowhere.
func firstDifference(steady, crashed any) string {
	a, errA := decoded(steady)
	b, errB := decoded(crashed)
	if errA != nil || errB != nil {
		return fmt.Sprint(errA, errB)
	}
	d := compare("", a, b, 1)
	if len(d) == 0 {
		return ""
	}
	return fmt.Sprintf("%s is %s after loading, and was %s", strings.TrimPrefix(d[0].Path, "."), d[0].Got, d[0].Want)
}

func decoded(v any) (out any, err error) {
	raw, err := json.Marshal(v)
	if err == nil {
		err = json.Unmarshal(raw, &out)
	}
	return out, err
}

// Difference is one place where something is not as expected.
type Difference struct {
	Path string `json:"path"`
	Want string `json:"want"`
	Got  string `json:"got"`
}

// maxShown bounds a value in a difference, in bytes.
const maxShown = 300

// show writes a value for people.
func show(v any) string {
	raw, err := json.Marshal(v)
	if err != nil {
		return fmt.Sprint(v)
	}
	if len(raw) > maxShown {
		return string(raw[:maxShown]) + "…"
	}
	return string(raw)
}

// nothing stands for a value that is not there.
const nothing = "nothing"

// compare returns where got is not want, at most so many places.
func compare(path string, want, got any, most int) (out []Difference) {
	switch a := want.(type) {
	case map[string]any:
		b, ok := got.(map[string]any)
		if !ok {
			break
		}
		names := slices.Sorted(maps.Keys(a))
		for name := range b {
			if _, ok := a[name]; !ok {
				names = append(names, name)
			}
		}
		slices.Sort(names)
		for _, name := range names {
			x, inA := a[name]
			y, inB := b[name]
			at := path + "." + name
			switch {
			case len(out) >= most:
				return out
			case !inA:
				out = append(out, Difference{at, nothing, show(y)})
			case !inB:
				out = append(out, Difference{at, show(x), nothing})
			default:
				out = append(out, compare(at, x, y, most-len(out))...)
			}
		}
		return out
	case []any:
		b, ok := got.([]any)
		if !ok || len(a) != len(b) {
			break
		}
		for i := range a {
			if len(out) < most {
				out = append(out, compare(fmt.Sprintf("%s[%d]", path, i), a[i], b[i], most-len(out))...)
			}
		}
		return out
	default:
		switch got.(type) {
		case map[string]any, []any:
		default:
			if want == got {
				return nil
			}
		}
	}
	return []Difference{{path, show(want), show(got)}}
}
