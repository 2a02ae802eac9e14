package rollout

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// amount draws a count, a percentage, or nothing.
func amount(unset bool) *rapid.Generator[Amount] {
	return rapid.Custom(func(t *rapid.T) Amount {
		switch rapid.IntRange(0, 2).Draw(t, "kind") {
		case 0:
			return Count(rapid.IntRange(1, 8).Draw(t, "count"))
		case 1:
			return Percent(float64(rapid.IntRange(1, 100).Draw(t, "percent")))
		}
		if unset {
			return Amount{}
		}
		return Count(1)
	})
}

// policies draws policies of every kind.
var policies = rapid.Custom(func(t *rapid.T) Policy {
	seconds := func(name string, most int) time.Duration {
		return time.Duration(rapid.IntRange(0, most).Draw(t, name)) * time.Second
	}
	p := Policy{
		Batch: amount(true).Draw(t, "batch"), RollbackBatch: amount(true).Draw(t, "rollbackBatch"),
		Soak: seconds("soak", 90), Limit: 30*time.Second + seconds("limit", 120), Grace: seconds("grace", 40),
		Bake: seconds("bake", 60), FirstBake: seconds("firstBake", 100),
		Order:    rapid.SampledFrom([]Order{OrderArrival, OrderName, OrderShuffle}).Draw(t, "order"),
		Spread:   rapid.SampledFrom([]string{"", "zone", "group"}).Draw(t, "spread"),
		OnBreach: rapid.SampledFrom([]Breach{OnBreachRollback, OnBreachRollback, OnBreachPause, OnBreachStop}).Draw(t, "onBreach"),
		Silence:  2*time.Minute + seconds("silence", 60), Forget: 6 * time.Minute,
		Success: rapid.SampledFrom([]float64{0, 100, 90, 60}).Draw(t, "success"),
	}
	if rapid.Bool().Draw(t, "waves") {
		p.Waves = []Amount{Count(1), Percent(30), Percent(70)}
	}
	if rapid.IntRange(0, 3).Draw(t, "tolerate") == 0 {
		p.Tolerate = amount(false).Draw(t, "tolerated")
	}
	for _, per := range []string{"", "zone", "group"} {
		if rapid.IntRange(0, 2).Draw(t, "limit per "+per) == 0 {
			l := Limit{Per: per, MaxUnavailable: amount(true).Draw(t, "max"), MinHealthy: amount(true).Draw(t, "min")}
			if l.MaxUnavailable.set || l.MinHealthy.set {
				p.Limits = append(p.Limits, l)
			}
		}
	}
	if rapid.IntRange(0, 4).Draw(t, "gate") == 0 {
		p.Gates = []Gate{{Name: "slo", Deadline: time.Minute, Watch: rapid.Bool().Draw(t, "watch"),
			OnUnknown: rapid.SampledFrom([]Unknown{OnUnknownAsk, OnUnknownBreach}).Draw(t, "onUnknown")}}
	}
	if rapid.IntRange(0, 4).Draw(t, "deadline") == 0 {
		p.Deadline = 10 * time.Minute
	}
	if rapid.IntRange(0, 6).Draw(t, "freeze") == 0 {
		p.Freeze = []Window{{From: start.Add(2 * time.Minute), Until: start.Add(5 * time.Minute), Why: "sale"}}
	}
	return p
})

// world drives one rollout with whatever may happen to it.
type world struct {
	t      *rapid.T
	r      *Rollout
	l      *Ledger
	now    time.Time
	actual map[Target]shadow // what targets truly are
	said   map[Target]shadow // what the planner was told
	late   []Report          // reports on their way
	gone   int
}

func newWorld(t *rapid.T) *world {
	r, err := New(policies.Draw(t, "policy"))
	if err != nil {
		t.Fatal(err)
	}
	l, err := NewLedger(Budget{Name: "zone a", Match: map[string]string{"zone": "a"}, Max: Count(2)}, Budget{Name: "each", Per: "group", Max: Percent(50)})
	if err != nil {
		t.Fatal(err)
	}
	w := &world{t: t, r: r, l: l, now: start, actual: map[Target]shadow{}, said: map[Target]shadow{}}
	for i := range rapid.IntRange(0, 12).Draw(t, "targets") {
		w.actual[Target{Group: fmt.Sprint("g", i%2), Name: fmt.Sprint("t", i)}] = shadow{version: "v1"}
	}
	return w
}

func (w *world) names() []Target {
	var names []Target
	for name := range w.actual {
		names = append(names, name)
	}
	slices.SortFunc(names, func(a, b Target) int { return strings.Compare(a.String(), b.String()) })
	return names
}

func (w *world) chance(name string, oneIn int) bool {
	return rapid.IntRange(1, oneIn).Draw(w.t, name) == oneIn
}

// live lets targets follow what they are asked, fail, come and go.
func (w *world) live() {
	for _, name := range w.names() {
		a := w.actual[name]
		s, known := w.r.Target(name)
		switch rapid.IntRange(0, 9).Draw(w.t, "life") {
		case 0:
			a.health = rapid.SampledFrom([]Health{Healthy, Unhealthy, Failed, Unsure}).Draw(w.t, "health")
		case 1:
			a.version = rapid.SampledFrom([]string{"v1", "v2", "v3", ""}).Draw(w.t, "drift")
		case 2:
			if w.chance("leave", 5) {
				delete(w.actual, name)
				w.late = append(w.late, Report{Target: name, Gone: true, At: w.now})
				continue
			}
		default:
			if known && s.Wanted != "" {
				a.version, a.health = s.Wanted, Healthy
			}
		}
		w.actual[name] = a
	}
	if w.chance("join", 8) {
		w.gone++
		w.actual[Target{Group: "g0", Name: fmt.Sprint("new", w.gone)}] = shadow{version: rapid.SampledFrom([]string{"", "v1", "v2"}).Draw(w.t, "joins on")}
	}
}

// reports collects what arrives: some lost, some late, some twice.
func (w *world) reports() []Report {
	var out []Report
	for _, name := range w.names() {
		a := w.actual[name]
		zone := "a"
		if len(name.Name)%2 == 0 {
			zone = "b"
		}
		rep := Report{Target: name, Version: a.version, Health: a.health, At: w.now, Message: "m", Labels: map[string]string{"zone": zone}}
		switch rapid.IntRange(0, 7).Draw(w.t, "mail") {
		case 0: // lost
		case 1:
			w.late = append(w.late, rep)
		case 2:
			out = append(out, rep, rep)
		default:
			out = append(out, rep)
		}
	}
	if w.chance("mail arrives", 3) {
		out = append(out, w.late...)
		w.late = nil
	}
	return out
}

// tell notes what the planner is being told, by its own rules for late reports.
func (w *world) tell(reports []Report) {
	for _, rep := range reports {
		s, known := w.said[rep.Target]
		now := max(w.r.head.Now, w.now.UnixMicro())
		when := min(rep.At.UnixMicro(), now)
		if known && when < s.when {
			continue
		}
		if rep.Gone {
			delete(w.said, rep.Target)
			continue
		}
		next := shadow{rep.Version, rep.Health, when, s.since}
		if !known || s.version != rep.Version || s.health != rep.Health {
			next.since = now
		}
		w.said[rep.Target] = next
	}
}

func (w *world) step() {
	w.live()
	reports := w.reports()
	w.tell(reports)
	in := Input{Now: w.now, Reports: reports, Others: w.chance("others", 4), Ledger: w.l, Entity: "e"}
	for _, g := range w.r.head.Policy.Gates {
		if w.chance("answer", 2) {
			in.Answers = append(in.Answers, Answer{Gate: g.Name, Wave: w.r.head.Wave + rapid.IntRange(0, 1).Draw(w.t, "of wave"),
				Result: rapid.SampledFrom([]Result{Pass, Pass, Pass, Undecided, Fail}).Draw(w.t, "result")})
		}
	}
	before := map[Target]TargetState{}
	for s := range w.r.Targets() {
		before[s.Target] = s
	}
	held := map[Target]bool{}
	for id := range w.r.targets {
		if t := &w.r.targets[id]; t.is(flagUsed) && t.is(flagHeld) {
			held[w.r.nameOf(t)] = true
		}
	}
	// A process that dies here and starts again decides the same.
	twin, ledger := clone(w.t, w.r), &Ledger{}
	data, _ := w.l.MarshalBinary()
	if err := ledger.UnmarshalBinary(data); err != nil {
		w.t.Fatal(err)
	}
	turn, lost, forgiven := w.r.head.Turn, w.r.head.Lost, w.r.head.Forgiven
	plan := w.r.Step(in)
	in.Ledger = ledger
	again := twin.Step(in)
	sortPlan(&plan)
	sortPlan(&again)
	if !reflect.DeepEqual(plan, again) {
		w.t.Fatalf("after a restart the plan is\n%+v\nnot\n%+v", again, plan)
	}
	if w.r.head.Lost > lost {
		lost = w.r.head.Lost
	}
	for _, v := range plan.Verdicts {
		if v.Reason.Code == CodeForgotten {
			delete(w.said, v.Target)
		}
	}
	if err := check(w.r); err != nil {
		w.t.Fatal(err)
	}
	if err := checkPlan(w.r, plan, before, w.l, held); err != nil {
		w.t.Fatal(err)
	}
	if err := checkGood(w.r, plan, w.said, turn, lost, forgiven); err != nil {
		w.t.Fatal(err)
	}
	if w.chance("crash", 4) {
		w.r = twin
		w.l = ledger
		if err := check(twin); err != nil {
			w.t.Fatal(err)
		}
	}
}

// sortPlan puts what has no order of meaning into one.
func sortPlan(p *Plan) {
	slices.SortStableFunc(p.Verdicts, func(a, b Verdict) int { return strings.Compare(a.Target.String(), b.Target.String()) })
	if len(p.Events) == 0 {
		p.Events = nil
	}
}

type fataler interface {
	Fatal(args ...any)
}

func clone(t fataler, r *Rollout) *Rollout {
	data, err := r.MarshalBinary()
	if err != nil {
		t.Fatal(err)
	}
	c := &Rollout{}
	if err := c.UnmarshalBinary(data); err != nil {
		t.Fatal(err)
	}
	c.log = slices.Clone(r.log)
	return c
}

// command gives any command at all; most are refused.
func (w *world) command() {
	c := Command{Verb: rapid.SampledFrom(Verbs()).Draw(w.t, "verb"), By: "ann", Version: rapid.SampledFrom([]string{"v1", "v2", "v3", "v4"}).Draw(w.t, "version")}
	data, _ := w.r.MarshalBinary()
	if err := w.r.Do(w.now, c); err != nil {
		after, _ := w.r.MarshalBinary()
		if w.r.head.Now == w.now.UnixMicro() {
			return // only the time moved on
		}
		if string(data) != string(after) {
			w.t.Fatalf("%s was refused (%v) and changed something", c.Verb, err)
		}
	}
	if err := check(w.r); err != nil {
		w.t.Fatalf("after %s: %v", c.Verb, err)
	}
}

// Whatever is reported, lost, doubled, delayed, changed in mid-flight or crashed, and however the clock
// leaps: no limit is broken, nothing unproven is good, and a restart changes no decision.
func TestNothingEverBreaksALimit(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		w := newWorld(t)
		_ = w.r.Do(w.now, Command{Verb: MarkGood, Version: "v1"})
		_ = w.r.Do(w.now, Command{Verb: SetVersion, Version: "v2"})
		for range rapid.IntRange(5, 40).Draw(t, "steps") {
			switch rapid.IntRange(0, 19).Draw(t, "event") {
			case 0:
				if err := w.r.SetPolicy(policies.Draw(t, "policy")); err != nil {
					t.Fatal(err)
				}
			case 1, 2:
				w.command()
			case 3:
				w.now = w.now.Add(time.Duration(rapid.IntRange(-7200, 7200).Draw(t, "leap")) * time.Second)
			}
			w.now = w.now.Add(time.Duration(rapid.IntRange(0, 60).Draw(t, "seconds")) * time.Second)
			w.step()
		}
	})
}

// A rollback ends, whatever its targets do, as long as anything is reported at all.
func TestRollbackEnds(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		w := newWorld(t)
		p := w.r.head.Policy
		p.Deadline, p.Gates, p.Freeze = 0, nil, nil
		if err := w.r.SetPolicy(p); err != nil {
			t.Fatal(err)
		}
		_ = w.r.Do(w.now, Command{Verb: MarkGood, Version: "v1"})
		_ = w.r.Do(w.now, Command{Verb: SetVersion, Version: "v2"})
		for range 10 {
			w.now = w.now.Add(20 * time.Second)
			w.step()
		}
		if w.r.Do(w.now, Command{Verb: Abort}) != nil {
			return
		}
		// Each target may take its limit, one after the other, and then once more for the stuck.
		bound := time.Duration(len(w.actual)+20) * (p.Limit + time.Minute)
		for end := w.now.Add(bound); w.now.Before(end); w.now = w.now.Add(20 * time.Second) {
			w.r.Step(Input{Now: w.now, Reports: w.reports(), Others: true, Ledger: w.l, Entity: "e"})
			if s := w.r.head.State; s != RollingBack {
				return
			}
			if w.chance("moves", 3) {
				w.live()
			}
		}
		t.Fatalf("still rolling back after %s: %+v", bound, w.r.Status())
	})
}
