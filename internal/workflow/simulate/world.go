package simulate

import (
	"container/heap"
	"crypto/sha256"
	"encoding/base32"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"tutti/api"
	"tutti/errs"
	"tutti/internal/workflow/core"
	"tutti/internal/workflow/dag"
	"tutti/internal/workflow/definition"
)

// MaxSteps bounds a simulation: a run that goes on longer is given up.
const MaxSteps = 100_000

// answerTime is how long a task or a person takes that nobody said anything about.
const answerTime = time.Second

// world is one simulation: a run with its sub-runs, and everything around them.
type world struct {
	lib   *Library
	s     Scenario
	start int64 // microseconds since 1970
	now   int64
	runs  []*run // in the order of their creation
	byID  map[api.RunID]*run
	fakes map[api.RunID]*fake

	agenda agenda
	set    int // entries ever put on the agenda
	later  []func()
	places places
	asked  map[string]int // decisions taken, by path of the approval
	steps  int
	cancel bool // still to come
	rep    *Report
	failed error
}

// run is a run of the core, with what its shell would store.
type run struct {
	core    *core.Run
	graph   *dag.Graph
	name    string // path of the task that called it; "" for the root
	journal []row  // kept where the engine is to lose its memory
	// working are the attempts that are with workers, by path.
	working map[string]*entry
	// commands counts those given to it; looked is how long the journal was when its work was compared.
	commands, looked int
}

// row is what one command stored.
type row struct {
	at     int64
	events []byte
}

// path returns the path of a task as reports show it.
func (r *run) path(task string) string {
	switch {
	case r.name == "":
		return task
	case task == "":
		return r.name
	}
	return r.name + "/" + task
}

// command is one call of the core.
type command = func(*core.Run, int64) ([]core.Event, core.Effects, error)

// entry is something that will happen.
type entry struct {
	at  int64
	seq int
	do  func()
	off bool
}

type agenda []*entry

func (a agenda) Len() int { return len(a) }
func (a agenda) Less(i, j int) bool {
	if a[i].at != a[j].at {
		return a[i].at < a[j].at
	}
	return a[i].seq < a[j].seq
}
func (a agenda) Swap(i, j int) { a[i], a[j] = a[j], a[i] }

// Push adds an entry.
func (a *agenda) Push(x any) { *a = append(*a, x.(*entry)) }

// Pop removes the last entry.
func (a *agenda) Pop() any {
	old := *a
	e := old[len(old)-1]
	*a = old[:len(old)-1]
	return e
}

// plan puts something on the agenda.
func (w *world) plan(after time.Duration, do func()) *entry {
	w.set++
	e := &entry{at: w.now + after.Microseconds(), seq: w.set, do: do}
	heap.Push(&w.agenda, e)
	return e
}

// then does something as a consequence of the same command.
func (w *world) then(do func()) { w.later = append(w.later, do) }

// Run plays a scenario. It returns errs.NotFound for a workflow that the library lacks, and errs.Invalid
// where the inputs do not fit or the scenario cannot be played.
func (l *Library) Run(s Scenario) (*Report, error) {
	steady, err := l.play(s, false)
	if err != nil || !s.Crash {
		return steady, err
	}
	crashed, err := l.play(s, true)
	if err != nil {
		return steady, err
	}
	c := crashed.Crash
	crashed.Crash, steady.Crash = nil, nil
	if c.Difference == "" {
		c.Difference = firstDifference(steady, crashed)
	}
	steady.Crash = c
	return steady, nil
}

// play plays a scenario once.
func (l *Library) play(s Scenario, crash bool) (rep *Report, err error) {
	g, err := l.graph(s.Workflow)
	if err != nil {
		return nil, err
	}
	inputs, err := definition.GivenInputs(g, s.Inputs)
	if err != nil {
		return nil, err
	}
	if s.Requester == "" {
		s.Requester = "user:tester"
	}
	if s.Start.IsZero() {
		s.Start = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	}
	w := &world{lib: l, s: s, start: s.Start.UnixMicro(), byID: map[api.RunID]*run{}, fakes: map[api.RunID]*fake{}, asked: map[string]int{}, cancel: s.Cancel != nil,
		rep: &Report{Workflow: g.Name, Digest: g.Digest, Seed: s.Seed, Inputs: inputs}}
	w.now = w.start
	if crash {
		w.rep.Crash = &Crash{}
	}
	defer func() {
		if p := recover(); p != nil { // a fault of the engine, not of the workflow
			rep, err = nil, errs.New(errs.Internal, "the engine broke at step %d, after %s: %v", w.steps, offset(w.now-w.start), p)
		}
	}()
	seed := sha256.Sum256(fmt.Appendf(nil, "%s\x00%d", g.Name, s.Seed))
	meta := core.Meta{ID: api.RunID("run_" + idEncoding.EncodeToString(seed[:10])), Namespace: "default", Workflow: g.Name, Digest: g.Digest, Title: g.Title,
		Trace: hex.EncodeToString(seed[16:]), Requester: s.Requester, Role: "operator"}
	w.external()
	w.steps++
	if err := w.create(&run{graph: g}, meta, inputs); err != nil {
		return nil, err
	}
	w.consequences()
	w.live()
	if w.failed != nil {
		return nil, w.failed
	}
	w.finish()
	return w.rep, nil
}

var idEncoding = base32.NewEncoding("0123456789abcdefghjkmnpqrstvwxyz").WithPadding(base32.NoPadding)

// load compiles the tasks that an expansion gives.
func load(doc []byte) (*dag.Graph, error) { return definition.Load(doc, "expansion") }

// external puts what the scenario lets happen by itself on the agenda.
func (w *world) external() {
	for _, key := range sortedKeys(w.s.Held) {
		k := placeKey{key: key}
		w.places.enter(k, claim{}, 1<<30, 0)
		w.places.get(k).MoveUp()
		w.plan(time.Duration(w.s.Held[key]), func() { w.free(k, nil, "", nil) })
	}
	w.places.done = map[string]json.RawMessage{}
	for key, out := range w.s.Done {
		w.places.done[key] = out
	}
	for _, sig := range w.s.Signals {
		w.plan(time.Duration(sig.After), func() { w.signal(sig) })
	}
	if c := w.s.Cancel; c != nil && c.Step == 0 {
		w.plan(time.Duration(c.After), w.doCancel)
	}
	if p := w.s.Pause; p != nil {
		w.plan(time.Duration(p.After), func() {
			w.step(w.runs[0], func(r *core.Run, now int64) ([]core.Event, core.Effects, error) { return r.Pause(now, w.s.Requester) })
		})
		if p.For > 0 {
			w.plan(time.Duration(p.After)+time.Duration(p.For), func() {
				w.step(w.runs[0], func(r *core.Run, now int64) ([]core.Event, core.Effects, error) { return r.Resume(now, w.s.Requester) })
			})
		}
	}
}

func (w *world) doCancel() {
	w.cancel = false
	w.step(w.runs[0], func(r *core.Run, now int64) ([]core.Event, core.Effects, error) {
		return r.Cancel(now, w.s.Requester, "cancelled by the scenario")
	})
}

// create starts a run.
func (w *world) create(r *run, m core.Meta, inputs json.RawMessage) error {
	r.core, r.working = core.New(r.graph, load), map[string]*entry{}
	w.runs = append(w.runs, r)
	w.byID[m.ID] = r
	events, effects, err := r.core.Start(w.now, m, inputs)
	if err != nil {
		w.runs = w.runs[:len(w.runs)-1]
		delete(w.byID, m.ID)
		return err
	}
	w.took(r, events, effects)
	return nil
}

// live lets one thing happen after the other until nothing is left to happen.
func (w *world) live() {
	for w.failed == nil {
		if w.runs[0].core.State.Ended() {
			if !w.again(true) {
				return
			}
			continue
		}
		if most := w.mostSteps(); w.steps >= most {
			w.failed = errs.New(errs.TooLarge, "the run has not ended after %d steps", most).WithHint("it may wait for itself, or retry for ever; give mocks or bounds")
			return
		}
		if c := w.s.Cancel; w.cancel && c.Step > 0 && w.steps >= c.Step {
			w.advance(w.now, w.doCancel)
			continue
		}
		if !w.next() && !w.again(false) {
			return
		}
	}
}

func (w *world) mostSteps() int {
	if w.s.MaxSteps > 0 {
		return min(w.s.MaxSteps, MaxSteps)
	}
	return MaxSteps
}

// next lets the earliest thing happen, or says that there is none.
func (w *world) next() bool {
	for len(w.agenda) > 0 && w.agenda[0].off {
		heap.Pop(&w.agenda)
	}
	var due *run
	at := int64(0)
	for _, r := range w.runs {
		if t := r.core.NextTimer(); t != 0 && (due == nil || t < at) {
			due, at = r, t
		}
	}
	switch {
	case len(w.agenda) > 0 && (due == nil || w.agenda[0].at <= at):
		e := heap.Pop(&w.agenda).(*entry)
		w.advance(e.at, e.do)
	case due != nil:
		w.advance(at, func() {
			w.step(due, func(r *core.Run, now int64) ([]core.Event, core.Effects, error) { return r.Fire(now) })
		})
	default:
		return false
	}
	return true
}

// advance does one thing at its time, and all that follows from it at once.
func (w *world) advance(at int64, do func()) {
	w.now = max(w.now, at)
	w.steps++
	if w.rep.Crash != nil {
		for _, r := range w.runs {
			w.sameWork(r)
		}
	}
	do()
	w.consequences()
}

func (w *world) consequences() {
	for len(w.later) > 0 {
		do := w.later[0]
		w.later = w.later[1:]
		do()
	}
}

// again does what the scenario keeps for when the run has ended, or is stuck.
func (w *world) again(ended bool) bool {
	root := w.runs[0]
	switch {
	case w.s.Retry != nil && root.core.State != api.Succeeded:
		re := *w.s.Retry
		w.s.Retry = nil
		w.advance(w.now, func() {
			w.step(root, func(r *core.Run, now int64) ([]core.Event, core.Effects, error) {
				return r.Retry(now, re.Task, re.Input, w.s.Requester)
			})
		})
		return true
	case w.s.Undo && ended:
		w.s.Undo = false
		w.advance(w.now, func() {
			w.step(root, func(r *core.Run, now int64) ([]core.Event, core.Effects, error) { return r.Undo(now, w.s.Requester) })
		})
		return true
	}
	return false
}

// step gives a command to a run, and says whether it was taken. One that is refused is noted: who gave
// it would have been told.
func (w *world) step(r *run, f command) bool {
	if w.rep.Crash != nil {
		w.forget(r)
	}
	events, effects, err := f(r.core, w.now)
	if err != nil {
		w.note(r, "", "refused: "+errs.Public(err).Msg)
		return false
	}
	w.took(r, events, effects)
	return true
}

// took stores what a command decided, and sees to its effects.
func (w *world) took(r *run, events []core.Event, ef core.Effects) {
	if len(events) > 0 && w.rep.Crash != nil {
		raw, err := json.Marshal(events)
		if err != nil {
			panic(err) // events hold what came from JSON
		}
		r.journal = append(r.journal, row{w.now, raw})
	}
	for i := range events {
		w.happened(r, &events[i])
	}
	for _, x := range ef.Release {
		w.free(placeKey{x.Key, x.Once}, r, x.Path, x.Out)
	}
	for _, a := range ef.Acquire {
		w.acquire(r, a)
	}
	for _, s := range ef.StartRuns {
		w.then(func() { w.startChild(r, s) })
	}
	w.children(r, ef)
	for _, e := range ef.Emit {
		w.rep.Emitted = append(w.rep.Emitted, Emission{Task: r.path(e.Path), Type: e.Type, Data: e.Data})
	}
	for _, d := range ef.Dispatch {
		w.dispatch(r, d)
	}
	for _, ref := range ef.CancelAttempts {
		w.interrupt(r, ref)
	}
	if ef.Ended {
		w.tellParent(r)
	}
}

func (w *world) signal(sig Signal) {
	i := slices.IndexFunc(w.runs, func(r *run) bool { return r.name == sig.To })
	if i < 0 {
		w.note(w.runs[0], sig.To, fmt.Sprintf("the signal %q found no run", sig.Name))
		return
	}
	w.step(w.runs[i], func(r *core.Run, now int64) ([]core.Event, core.Effects, error) {
		return r.Signal(now, sig.Name, sig.Data, w.s.Requester)
	})
}

// happened notes an event, and lets people answer what it asks.
func (w *world) happened(r *run, e *core.Event) {
	switch e.Type {
	case core.Done, core.FailedTask, core.CancelledT, core.Retrying, core.Paused, core.Lost, core.Expanded, core.Parked:
		if old := r.working[e.Path]; old != nil {
			old.off = true
			delete(r.working, e.Path)
		}
	case core.Waits:
		path, reason := e.Path, e.Reason
		w.then(func() {
			switch {
			case reason == nil:
			case reason.Kind == "approval":
				w.ask(r, path)
			case reason.Kind == "signal":
				w.answerSignal(r, path, reason.Key)
			}
		})
	}
	if e.Type == core.Done && strings.HasSuffix(e.Path, "#undo") {
		w.rep.Undone = append(w.rep.Undone, r.path(strings.TrimSuffix(e.Path, "#undo")))
	}
	w.rep.Timeline = append(w.rep.Timeline, Line{At: offset(w.now - w.start), Step: w.steps, Task: r.path(e.Path), Type: string(e.Type), Attempt: e.Attempt, Text: describe(e)})
}

// note puts a line into the timeline that is no event of the engine.
func (w *world) note(r *run, task, text string) {
	w.rep.Timeline = append(w.rep.Timeline, Line{At: offset(w.now - w.start), Step: w.steps, Task: r.path(task), Type: "note", Text: text})
}
