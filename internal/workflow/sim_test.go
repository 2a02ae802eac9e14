package workflow

import (
	"container/heap"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"hash"
	"hash/fnv"
	"io"
	"log/slog"
	"maps"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"tutti/api"
	"tutti/bus"
	"tutti/bus/membus"
	"tutti/internal/service"
	"tutti/internal/workflow/checker"
)

var (
	simSeeds = flag.Int("sim.seeds", 0, "how many seeds the simulator runs; 0 is a few seconds' worth")
	simFrom  = flag.Uint64("sim.from", 1, "the first seed")
	simTrace = flag.Bool("sim.trace", false, "print what happens; use it with one seed")
)

// sim is an installation in one thread: engines, a store, workers, clients and people, whose every
// message takes a drawn time and may be lost, repeated or late. All time and all chance come from the
// seed.
type sim struct {
	seed    uint64
	r       *rand.Rand
	now     int64 // the true time, in microseconds
	queue   events
	seq     int
	endless bool // faults never end: nothing wrong may happen, and nothing has to come to its end
	calm    bool // no more faults: all must come to its end
	over    bool
	ledger  *memLedger
	nodes   []*node
	workers []*hand
	journal *checker.Journal
	graphs  *graphs
	bus     *bus.Bus
	model   model
	names   int

	fired map[string]int
	trace hash.Hash64
	log   io.Writer
	bad   []string
}

// model is what those outside may rely on.
type model struct {
	accepted  map[string]api.RunID // by key
	bodies    map[string]string
	order     []api.RunID
	cancelled map[api.RunID]bool              // acknowledged, and not retried or undone since
	grants    map[int64]map[attemptKey]string // tokens, by epoch
	vars      map[attemptKey]int              // stored: the next attempt has to find it
	stored    map[string]bool                 // every variable that ever was
	undone    map[api.RunID]bool
	next      map[attemptKey]int    // asked for
	durable   map[attemptKey]string // claims in the journal
	tokens    map[string]string     // the path each was given for
	revived   map[api.RunID]int64
	open      int // submissions without an answer
}

type event struct {
	at  int64
	seq int
	f   func()
}

type events []event

func (h events) Len() int { return len(h) }

func (h events) Less(i, j int) bool {
	return h[i].at < h[j].at || h[i].at == h[j].at && h[i].seq < h[j].seq
}

func (h events) Swap(i, j int) { h[i], h[j] = h[j], h[i] }

// Push adds an event.
func (h *events) Push(x any) { *h = append(*h, x.(event)) }

// Pop removes the last event.
func (h *events) Pop() any {
	old := *h
	e := old[len(old)-1]
	old[len(old)-1] = event{}
	*h = old[:len(old)-1]
	return e
}

// after calls f in a while.
func (s *sim) after(d time.Duration, f func()) {
	s.seq++
	heap.Push(&s.queue, event{s.now + max(d.Microseconds(), 1), s.seq, f})
}

// between draws a duration.
func (s *sim) between(a, b time.Duration) time.Duration {
	return a + time.Duration(s.r.Int64N(int64(b-a)+1))
}

// fault draws whether something goes wrong, and counts it.
func (s *sim) fault(what string, p float64) bool {
	if s.calm || s.r.Float64() >= p {
		return false
	}
	s.fired[what]++
	s.note("fault: %s", what)
	return true
}

// note makes something part of the trace.
func (s *sim) note(format string, args ...any) {
	fmt.Fprintf(s.trace, format, args...)
	if s.log != nil {
		fmt.Fprintf(s.log, "%10.6f "+format+"\n", append([]any{float64(s.now-simStart) / 1e6}, args...)...)
	}
}

func (s *sim) wrong(format string, args ...any) {
	if len(s.bad) < 5 {
		s.bad = append(s.bad, fmt.Sprintf(format, args...))
	}
	s.note("WRONG: "+format, args...)
}

const (
	simStart = int64(1_700_000_000_000_000)
	// chaos is how long faults go on.
	chaos = 90 * time.Second
	// patience is how long all may take to come to its end after that.
	simPatience = 3 * time.Hour
)

func newSim(seed uint64) *sim {
	s := &sim{seed: seed, endless: seed%8 == 0, r: rand.New(rand.NewPCG(seed, 1)), now: simStart, graphs: sharedGraphs(), fired: map[string]int{}, trace: fnv.New64a(),
		bus: bus.New(new(membus.Bus), []byte("key"), api.Allow)}
	s.model = model{accepted: map[string]api.RunID{}, bodies: map[string]string{}, cancelled: map[api.RunID]bool{},
		grants: map[int64]map[attemptKey]string{}, vars: map[attemptKey]int{}, stored: map[string]bool{}, next: map[attemptKey]int{}, durable: map[attemptKey]string{}, tokens: map[string]string{}, revived: map[api.RunID]int64{}, undone: map[api.RunID]bool{}}
	s.journal = &checker.Journal{Load: s.graphs.inline, Limits: true}
	multi := s.r.IntN(2) == 0
	s.ledger = newMemLedger(s, multi)
	for i := range 1 + btoi(multi) {
		n := &node{s: s, id: i}
		s.nodes = append(s.nodes, n)
		s.workers = append(s.workers, &hand{s: s, name: fmt.Sprintf("%sin%d", insidePrefix, i), home: n})
		s.after(s.between(0, time.Second), n.boot)
	}
	for i := range 1 + s.r.IntN(2) {
		s.workers = append(s.workers, &hand{s: s, name: fmt.Sprintf("far%d", i)})
	}
	for _, w := range s.workers {
		s.after(s.between(0, time.Second), w.poll)
		s.after(s.between(0, api.HeartbeatEvery), w.beat)
	}
	span := chaos
	if s.endless {
		span = 2 * chaos
	}
	for i := range 2 + s.r.IntN(6) {
		s.after(s.between(0, span/2), func() { s.submit(fmt.Sprintf("key%d", i)) })
	}
	for range s.r.IntN(10) {
		s.after(s.between(0, span), s.person)
	}
	if s.endless {
		s.after(span, s.halt)
	} else {
		s.after(chaos, s.calmDown)
	}
	return s
}

// sharedGraphs holds every definition from the start, so that no seed depends on another.
var sharedGraphs = sync.OnceValue(func() *graphs {
	g := &graphs{}
	for _, f := range flows() {
		g.keep(f.digest, f.graph)
	}
	for _, f := range calledFlows() {
		g.keep(f.digest, f.graph)
	}
	return g
})

// run lets everything happen, and returns what was wrong.
func (s *sim) run() []string {
	for steps := 0; len(s.queue) > 0 && !s.over && len(s.bad) == 0; steps++ {
		e := heap.Pop(&s.queue).(event)
		s.now = max(s.now, e.at)
		e.f()
		if steps > 500_000 {
			s.wrong("it goes on for ever")
		}
	}
	if !s.over && len(s.bad) == 0 {
		s.wrong("nothing happens any more")
	}
	return s.bad
}

// calmDown ends the faults.
func (s *sim) calmDown() {
	s.calm = true
	s.note("calm")
	for _, n := range s.nodes {
		n.frozen = 0
	}
	for _, w := range s.workers {
		w.frozen = 0
	}
	s.after(5*time.Second, s.drain)
}

// drain does what people have to do until every run has ended.
func (s *sim) drain() {
	if s.finished() {
		s.verdict()
		return
	}
	if s.now > simStart+(chaos+simPatience).Microseconds() {
		for _, id := range s.unfinished() {
			s.wrong("run %s never ends: %s", id, s.picture(id))
		}
		s.wrong("%d submissions without an answer", s.model.open)
		return
	}
	for i, id := range s.unfinished() {
		if i < 4 {
			s.help(id)
		}
	}
	s.after(s.between(3*time.Second, 9*time.Second), s.drain)
}

func (s *sim) unfinished() (out []api.RunID) {
	for _, n := range slices.Sorted(maps.Keys(s.ledger.runs)) {
		if r := s.ledger.runs[n]; !r.state.Ended() {
			out = append(out, r.meta.ID)
		}
	}
	return out
}

func (s *sim) finished() bool {
	if len(s.unfinished()) > 0 || s.model.open > 0 {
		return false
	}
	for _, n := range s.nodes {
		if n.e != nil && (n.committing != nil || n.size > 0) {
			return false
		}
	}
	return true
}

// load makes a run out of what is stored.
func (s *sim) load(id api.RunID) (*live, error) {
	quiet := *s.ledger
	still := *s
	still.calm, quiet.s = true, &still
	e := newEngine(s.deps(), &quiet, s.lease())
	e.graphs = s.graphs
	return e.get("", id)
}

func (s *sim) picture(id api.RunID) string {
	l, err := s.load(id)
	if err != nil {
		return err.Error()
	}
	return portrait(l)
}

// portrait is all that can be seen of a run.
func portrait(l *live) string {
	b, err := json.Marshal(map[string]any{"run": l.run.View(), "tasks": l.run.Tasks(), "places": l.run.Places(), "timer": l.run.NextTimer()})
	if err != nil {
		panic(err)
	}
	return string(b)
}

// halt ends a simulation in the middle of everything.
func (s *sim) halt() {
	s.over = true
	s.fired["halted in the middle of faults"]++
	s.sound()
}

// verdict checks what must hold once all has ended.
func (s *sim) verdict() {
	s.over = true
	s.fired["came to its end after faults"]++
	for _, err := range s.journal.End() {
		s.wrong("%v", err)
	}
	if len(s.ledger.places_)+len(s.ledger.approvals) > 0 {
		s.wrong("places are left: %v; approvals: %v", s.ledger.places_, s.ledger.approvals)
	}
	s.sound()
}

// sound checks what must hold at any time.
func (s *sim) sound() {
	for key, id := range s.model.accepted {
		if s.ledger.byID[id] == nil {
			s.wrong("run %s, accepted under %s, is lost", id, key)
		}
	}
	roots := 0
	for _, r := range s.ledger.byID {
		if r.meta.Parent == nil && r.meta.ForkOf == nil {
			roots++
		}
		if times, _ := s.journal.Ends(r.meta.ID); s.ledger.finished[r.meta.ID] != times {
			s.wrong("run %s ended %d times; %d events say so", r.meta.ID, times, s.ledger.finished[r.meta.ID])
		}
		l, err := s.load(r.meta.ID)
		if err != nil {
			s.wrong("run %s cannot be loaded: %v", r.meta.ID, err)
			continue
		}
		if p := project(l.run); p != r.projection {
			s.wrong("the row of run %s says %+v; want %+v", r.meta.ID, r.projection, p)
		}
	}
	if roots != len(s.ledger.keys) {
		s.wrong("%d runs for %d keys", roots, len(s.ledger.keys))
	}
	for _, n := range s.nodes {
		n.compare()
	}
}

// quietLog turns what the engine logs as an error into a finding.
type quietLog struct {
	slog.Handler
	s *sim
}

func (q quietLog) Enabled(_ context.Context, l slog.Level) bool { return l >= slog.LevelError }

func (q quietLog) Handle(_ context.Context, r slog.Record) error {
	var attrs []string
	r.Attrs(func(a slog.Attr) bool { attrs = append(attrs, a.String()); return true })
	q.s.wrong("the engine logged: %s %s", r.Message, strings.Join(attrs, " "))
	return nil
}

func (s *sim) deps() service.Deps {
	return service.Deps{Name: "workflow", Bus: s.bus, Log: slog.New(quietLog{slog.DiscardHandler, s})}
}

// TestSim runs the engine under seeds, each of them a history of faults of its own.
func TestSim(t *testing.T) {
	t.Parallel()
	n := *simSeeds
	if n == 0 {
		n = 500
		if testing.Short() {
			n = 100
		}
	}
	started := time.Now()
	fired, runs, bad := simulate(t, *simFrom, n)
	for _, text := range bad {
		t.Error(text)
	}
	for _, what := range faults {
		if fired[what] == 0 && n >= 200 && bug == "" {
			t.Errorf("the fault %q never fired in %d seeds", what, n)
		}
	}
	t.Logf("%d seeds, %d runs in %s", n, runs, time.Since(started).Round(time.Millisecond))
	for _, what := range slices.Sorted(maps.Keys(fired)) {
		t.Logf("%9d × %s", fired[what], what)
	}
}

// faults are those that must have fired for a simulation to count.
var faults = []string{
	"a read fails", "a commit fails", "a commit is applied and fails", "a commit is slow", "an engine crashes", "an engine crashes during a commit",
	"an engine stands still", "a clock jumps", "a stale engine was fenced", "a worker crashes", "an answer is lost", "a message is lost",
	"a message comes twice", "a message overtakes another", "a worker stands still", "a report comes twice", "a report comes late", "a run was forked", "a heartbeat is lost", "work is lost on its way",
	"halted in the middle of faults", "came to its end after faults",
}

// simulate runs n seeds on all processors and adds up what happened.
func simulate(t *testing.T, from uint64, n int) (fired map[string]int, runs int, bad []string) {
	fired = map[string]int{}
	var mu sync.Mutex
	var next atomic.Uint64
	var wg sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		wg.Go(func() {
			for t.Context().Err() == nil {
				i := next.Add(1) - 1
				if i >= uint64(n) {
					return
				}
				s := newSim(from + i)
				if *simTrace {
					s.log = t.Output()
				}
				wrong := s.run()
				mu.Lock()
				for what, k := range s.fired {
					fired[what] += k
				}
				runs += len(s.ledger.runs)
				stop := len(bad) >= 5
				if len(wrong) > 0 && !stop {
					bad = append(bad, fmt.Sprintf("seed %d (go test -run TestSim -sim.from=%d -sim.seeds=1 -sim.trace): %s", s.seed, s.seed, strings.Join(wrong, "\n\t")))
				}
				mu.Unlock()
				if stop {
					return
				}
			}
		})
	}
	wg.Wait()
	return fired, runs, bad
}

// TestSimIsDeterministic: the same seed is the same history.
func TestSimIsDeterministic(t *testing.T) {
	t.Parallel()
	for seed := range uint64(20) {
		a, b := newSim(seed), newSim(seed)
		a.run()
		b.run()
		if a.trace.Sum64() != b.trace.Sum64() {
			t.Errorf("seed %d gave the traces %x and %x", seed, a.trace.Sum64(), b.trace.Sum64())
		}
	}
}
