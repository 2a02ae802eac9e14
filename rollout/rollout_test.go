package rollout

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

// sim is a small fleet that does what it is told, unless the test says otherwise.
type sim struct {
	t    *testing.T
	r    *Rollout
	now  time.Time
	all  []Report
	plan Plan
	in   Input // given to the next step as well
	ill  map[string]bool
	mute map[string]bool
}

// setup returns a fleet of n targets on v1, which is good.
func setup(t *testing.T, n int, p Policy) *sim {
	t.Helper()
	r, err := New(p)
	if err != nil {
		t.Fatal(err)
	}
	s := &sim{t: t, r: r, now: start, ill: map[string]bool{}, mute: map[string]bool{}}
	for i := range n {
		s.all = append(s.all, Report{Target: Target{Name: fmt.Sprint("t", i)}, Version: "v1"})
	}
	s.do(Command{Verb: MarkGood, Version: "v1"})
	return s
}

func (s *sim) do(c Command) {
	s.t.Helper()
	do(s.t, s.r, s.now, c)
}

// step lets a minute pass, in which every target does what it was asked and reports, and checks.
func (s *sim) step() Plan {
	s.t.Helper()
	s.now = s.now.Add(time.Minute)
	in := s.in
	in.Now = s.now
	for i := range s.all {
		rep := &s.all[i]
		if w, ok := s.r.Target(rep.Target); ok && w.Wanted != "" {
			rep.Version = w.Wanted
		}
		rep.Health = Healthy
		if s.ill[rep.Name+"@"+rep.Version] || s.ill[rep.Name] {
			rep.Health = Failed
		}
		if !s.mute[rep.Name] {
			in.Reports = append(in.Reports, *rep)
		}
	}
	s.plan = s.r.Step(in)
	s.in = Input{}
	if err := check(s.r); err != nil {
		s.t.Fatal(err)
	}
	return s.plan
}

// until steps until the state, at most n times.
func (s *sim) until(want State, n int) int {
	s.t.Helper()
	for i := range n {
		if s.r.Status().State == want {
			return i
		}
		s.step()
	}
	if s.r.Status().State != want {
		s.t.Fatalf("after %d minutes it is %+v; want %s", n, s.r.Status(), want)
	}
	return n
}

// waiting returns the codes of what it waits for.
func (s *sim) waiting() string {
	var codes []string
	for _, why := range s.plan.Waiting {
		codes = append(codes, string(why.Code))
	}
	return strings.Join(codes, ", ")
}

func (s *sim) refused(c Command) {
	s.t.Helper()
	data, _ := s.r.MarshalBinary()
	var refusal *Refusal
	if err := s.r.Do(s.now, c); !errors.As(err, &refusal) || refusal.Text == "" {
		s.t.Errorf("Do(%+v) = %v; want it refused", c, err)
	}
	if after, _ := s.r.MarshalBinary(); string(after) != string(data) {
		s.t.Errorf("Do(%+v) was refused and changed something", c)
	}
}

func set(version string) Command { return Command{Verb: SetVersion, Version: version} }

func wanted(s *sim, version string) (names []string) {
	for t := range s.r.Targets() {
		if t.Wanted == version {
			names = append(names, t.Name)
		}
	}
	slices.Sort(names)
	return names
}

func TestNoTargetsAreNoSuccess(t *testing.T) {
	t.Parallel()
	s := setup(t, 0, Policy{})
	s.do(set("v2"))
	for range 5 {
		s.in.Others = true
		s.step()
	}
	if got := s.r.Status(); got.State != Rolling || got.Good != "v1" || s.waiting() != "no targets" {
		t.Errorf("Status = %+v, waiting %q; want v2 to wait for targets", got, s.waiting())
	}
}

func TestFirstRolloutWithoutGoodStops(t *testing.T) {
	t.Parallel()
	s := setup(t, 4, Policy{})
	s.r = &Rollout{} // nothing is known good
	s.do(set("v2"))
	s.ill["t0@v2"] = true
	s.until(Stopped, 5)
	if got := s.r.Status(); got.LastBad() != "v2" || !strings.Contains(got.Why, "no version is known to be good") {
		t.Errorf("Status = %+v; want it to say that there is nothing to go back to", got)
	}
	s.refused(Command{Verb: Abort})
	s.do(Command{Verb: MarkGood, Version: "v1"})
	s.do(Command{Verb: Abort, By: "ann"})
	s.until(Reverted, 5)
	if got := wanted(s, "v1"); !slices.Equal(got, []string{"t0"}) {
		t.Errorf("%v are asked for v1; want t0, the only one touched", got)
	}
}

// The number of failures that are tolerated is what the percentage says: no more, no less.
func TestToleratedFailures(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		n, failing int
		p          Policy
		want       State
	}{
		{10, 2, Policy{Success: 80}, Good},
		{10, 3, Policy{Success: 80}, Reverted},
		{2, 1, Policy{Success: 50}, Good},
		{10, 0, Policy{}, Good},
		{10, 1, Policy{}, Reverted},
		{10, 1, Policy{Tolerate: Count(1)}, Good},
		{10, 2, Policy{Tolerate: Percent(19)}, Reverted},
		{10, 1, Policy{Success: 80, Waves: []Amount{Count(1)}}, Reverted}, // the canary
	} {
		c.p.Batch = Percent(20)
		s := setup(t, c.n, c.p)
		for i := range c.failing {
			s.ill[fmt.Sprintf("t%d@v2", i)] = true
		}
		s.do(set("v2"))
		s.until(c.want, 30)
	}
}

func TestSilenceIsNoSuccess(t *testing.T) {
	t.Parallel()
	s := setup(t, 3, Policy{Batch: Count(3), Soak: 2 * time.Minute, Limit: time.Hour})
	s.step()
	s.do(set("v2"))
	s.step()
	s.step() // now all have v2
	s.mute["t1"] = true
	for range 8 {
		s.step()
	}
	if got := s.r.Status(); got.State != Rolling || got.Succeeded != 2 || got.Pending != 1 {
		t.Fatalf("Status = %+v; want t1 to be pending: nobody heard of it after its soak", got)
	}
	s.mute["t1"] = false
	s.until(Good, 2)
}

func TestSilentTargets(t *testing.T) {
	t.Parallel()
	s := setup(t, 3, Policy{Batch: Count(3)})
	s.step()
	s.mute["t1"] = true
	for range 6 {
		s.step()
	}
	s.do(set("v2"))
	s.step()
	s.step()
	if got := s.r.Status(); got.State != Rolling || got.Silent != 1 || got.Succeeded != 2 || s.waiting() != "missing" {
		t.Errorf("Status = %+v, waiting %q; want to wait for the silent one", got, s.waiting())
	}
	s.until(Good, 12)
	if s.r.Len() != 2 {
		t.Errorf("%d targets; want the silent one forgotten", s.r.Len())
	}
}

// While nobody reports nothing is judged, and nobody is forgotten.
func TestNobodyReports(t *testing.T) {
	t.Parallel()
	s := setup(t, 3, Policy{Batch: Count(3)})
	s.step()
	s.do(set("v2"))
	s.step()
	before := s.r.Status()
	for _, name := range []string{"t0", "t1", "t2"} {
		s.mute[name] = true
	}
	for range 100 {
		s.step()
	}
	if got := s.r.Status(); got.State != Rolling || got.Targets != 3 || got.Failed != 0 || got.Pending != before.Pending {
		t.Errorf("Status = %+v; want nothing decided", got)
	}
	clear(s.mute)
	s.until(Good, 3)
}

func TestQueueForceAndRetry(t *testing.T) {
	t.Parallel()
	s := setup(t, 4, Policy{Batch: Count(1)})
	s.do(set("v2"))
	s.step()
	s.do(set("v3"))
	s.step()
	if got := s.r.Status(); got.Version != "v2" || got.Wanted != "v3" {
		t.Errorf("Status = %+v; want v3 to wait for v2", got)
	}
	s.do(Command{Verb: Force, Version: "v4"})
	s.until(Good, 20)
	if got := s.r.Status(); got.Good != "v4" || len(got.Bad) != 0 {
		t.Errorf("Status = %+v; want v4 good and nothing bad", got)
	}
	s.ill["t2@v5"] = true
	s.do(set("v5"))
	s.until(Reverted, 20)
	s.refused(set("v5"))
	s.refused(Command{Verb: Force, Version: "v5"})
	clear(s.ill)
	s.do(Command{Verb: Retry, Version: "v5", By: "ann"})
	s.until(Good, 20)
	if got := s.r.Status(); got.Good != "v5" || slices.Contains(got.Bad, "v5") {
		t.Errorf("Status = %+v; want v5 good at last", got)
	}
}

// The good version is returned to at once, not after the one that is going out.
func TestSettingTheGoodVersionGoesBack(t *testing.T) {
	t.Parallel()
	s := setup(t, 4, Policy{Batch: Count(1)})
	s.do(set("v2"))
	s.step()
	s.do(set("v1"))
	s.step()
	s.until(Reverted, 3)
	if got := s.r.Status(); len(got.Bad) != 0 || len(wanted(s, "v2")) != 0 {
		t.Errorf("Status = %+v; want all back and nothing bad", got)
	}
	s.step()
	s.do(set("v2")) // it was never found bad
	s.until(Good, 20)
}

func TestPauseResumeSkipPromote(t *testing.T) {
	t.Parallel()
	s := setup(t, 10, Policy{Waves: []Amount{Count(1), Percent(50)}, Bake: time.Hour})
	s.refused(Command{Verb: Resume})
	s.refused(Command{Verb: Skip})
	s.do(set("v2"))
	s.do(Command{Verb: Pause, By: "ann", Why: "lunch"})
	s.refused(Command{Verb: Pause})
	s.step()
	if got := s.r.Status(); got.State != Idle || !got.Paused || got.PausedBy != "ann" || got.Why != "lunch" {
		t.Errorf("Status = %+v; want nothing begun while paused", got)
	}
	s.do(Command{Verb: Resume})
	s.step()
	s.step()
	if s.waiting() != "bake" {
		t.Fatalf("waiting %q; want the bake of the first wave", s.waiting())
	}
	s.do(Command{Verb: Skip, By: "ann"})
	if got := s.step(); len(got.Assignments) != 4 {
		t.Errorf("%d asked after Skip; want 4, the second wave", len(got.Assignments))
	}
	s.do(Command{Verb: Promote, By: "ann"})
	s.refused(Command{Verb: Promote})
	s.until(Good, 5)
}

func TestBreachPausesAndResumeForgives(t *testing.T) {
	t.Parallel()
	s := setup(t, 6, Policy{Batch: Count(2), OnBreach: OnBreachPause})
	s.do(set("v2"))
	s.ill["t0@v2"] = true
	s.step()
	s.step()
	if got := s.r.Status(); got.State != Rolling || !got.Paused || got.PausedBy != "the policy" || got.Failed != 1 {
		t.Fatalf("Status = %+v; want it paused by the policy", got)
	}
	if got := s.r.Rule().String(); got != "pauses at 1 failure, now 1" {
		t.Errorf("Rule() = %q", got)
	}
	s.do(Command{Verb: Resume, By: "ann"})
	s.until(Good, 10)
}

func TestFreezeHoldsTheWayForwardOnly(t *testing.T) {
	t.Parallel()
	s := setup(t, 4, Policy{Batch: Count(1), Freeze: []Window{{From: start.Add(2 * time.Minute), Until: start.Add(30 * time.Minute), Why: "sale"}}})
	s.do(set("v2"))
	s.step() // one is asked
	s.ill["t0@v2"] = true
	s.mute["t0"] = true
	s.step()
	if s.waiting() != "frozen, pending" || !strings.Contains(s.plan.Waiting[0].String(), "frozen until 2026-03-02 09:30:00: sale") {
		t.Errorf("waiting %v; want the freeze", s.plan.Waiting)
	}
	s.mute["t0"] = false
	if got := s.step(); len(got.Assignments) != 1 || got.Assignments[0].Code != CodeRollback {
		t.Errorf("Assignments = %+v; want the way back, freeze or not", got.Assignments)
	}
}

func TestWindows(t *testing.T) {
	t.Parallel()
	weekend := Window{Every: []time.Weekday{time.Friday}, Start: 18 * time.Hour, End: 6 * time.Hour, Offset: 2 * time.Hour}
	for text, want := range map[string]string{
		"2026-03-06T15:59:59Z": "", "2026-03-06T16:00:00Z": "2026-03-07T04:00:00Z",
		"2026-03-07T03:59:59Z": "2026-03-07T04:00:00Z", "2026-03-07T04:00:00Z": "", "2026-03-05T17:00:00Z": "",
	} {
		at, err := time.Parse(time.RFC3339, text)
		if err != nil {
			t.Fatal(err)
		}
		got := ""
		if until := weekend.covers(at); !until.IsZero() {
			got = until.UTC().Format(time.RFC3339)
		}
		if got != want {
			t.Errorf("covers(%s) = %q; want %q", text, got, want)
		}
	}
}

func TestSpreadPriorityAndLimits(t *testing.T) {
	t.Parallel()
	s := setup(t, 9, Policy{Waves: []Amount{Count(3)}, Spread: "zone", Limits: []Limit{{Per: "zone", MaxUnavailable: Count(2)}}})
	for i := range s.all {
		s.all[i].Labels = map[string]string{"zone": fmt.Sprint("z", i/3)}
	}
	s.all[8].Priority = 1
	s.step()
	s.do(set("v2"))
	s.step()
	if got := wanted(s, "v2"); !slices.Equal(got, []string{"t0", "t3", "t8"}) {
		t.Errorf("the first wave is %v; want one of each zone, and in z2 the one with priority", got)
	}
	s.step() // settled, and the next wave begins
	if got := wanted(s, "v2"); len(got) != 9 {
		t.Errorf("%d asked in the last wave; want all: two of each zone", len(got))
	}
}

func TestStuckRollbackStops(t *testing.T) {
	t.Parallel()
	s := setup(t, 4, Policy{Waves: []Amount{Percent(50)}, Bake: time.Hour, Limits: []Limit{{MinHealthy: Count(2)}}, Limit: 5 * time.Minute})
	s.do(set("v2"))
	s.step()
	s.step() // t0, t1 have v2
	s.ill["t2"], s.ill["t3"] = true, true
	s.step()
	s.do(Command{Verb: Abort})
	s.until(Stopped, 10)
	if got := s.r.Status(); !strings.Contains(got.Why, "2 targets cannot go back within the limits") {
		t.Errorf("Why = %q", got.Why)
	}
	clear(s.ill)
	s.do(Command{Verb: Resume})
	s.until(Reverted, 10)
}

func TestFailedTargetsThatLeaveStillCount(t *testing.T) {
	t.Parallel()
	s := setup(t, 10, Policy{Batch: Count(2), Tolerate: Count(1)})
	s.do(set("v2"))
	s.step()
	s.ill["t0@v2"] = true
	s.step()
	s.in.Reports = []Report{{Target: Target{Name: "t0"}, Gone: true}}
	s.all = s.all[1:]
	s.ill["t5@v2"] = true
	s.until(Reverted, 20)
}

func TestNewcomers(t *testing.T) {
	t.Parallel()
	s := setup(t, 4, Policy{Batch: Count(1)})
	s.step()
	s.all = append(s.all, Report{Target: Target{Name: "empty"}}, Report{Target: Target{Name: "old"}, Version: "v0"})
	if got := s.step(); len(got.Assignments) != 1 || got.Assignments[0] != (Assignment{Target{Name: "empty"}, "v1", CodeNewcomer}) {
		t.Errorf("Assignments = %+v; want the empty one to get v1, and the other left alone", got.Assignments)
	}
	s.do(set("v2"))
	s.until(Good, 20)
	s.all = append(s.all, Report{Target: Target{Name: "late"}, Version: "v1"})
	if got := s.step(); len(got.Assignments) != 1 || got.Assignments[0].Code != CodeConverge {
		t.Errorf("Assignments = %+v; want the late one brought to v2", got.Assignments)
	}
}

func TestBlueGreen(t *testing.T) {
	t.Parallel()
	s := setup(t, 4, Policy{Replace: true, Batch: Count(2)})
	s.step()
	s.do(set("v2"))
	made := 0
	for range 20 {
		plan := s.step()
		if len(plan.Assignments) > 0 && plan.Assignments[0].Version != "v2" {
			t.Fatalf("Assignments = %+v; want none in place", plan.Assignments)
		}
		for _, gone := range plan.Retire {
			s.all = slices.DeleteFunc(s.all, func(r Report) bool { return r.Target == gone })
			s.in.Reports = append(s.in.Reports, Report{Target: gone, Gone: true})
		}
		for range plan.Create {
			made++
			s.all = append(s.all, Report{Target: Target{Name: fmt.Sprint("new", made)}, Version: "v2"})
		}
		if len(s.all)-made < 4-s.r.counts[Succeeded] {
			t.Fatalf("only %d old ones and %d new ones serve", len(s.all)-made, s.r.counts[Succeeded])
		}
		if s.r.Status().State == Good {
			break
		}
	}
	if got := s.r.Status(); got.State != Good || got.Targets != 4 || made != 4 {
		t.Errorf("Status = %+v after %d new ones; want four new targets and nothing else", got, made)
	}
}

func TestBlueGreenGoesBack(t *testing.T) {
	t.Parallel()
	s := setup(t, 4, Policy{Replace: true, Batch: Count(2)})
	s.step()
	s.do(set("v2"))
	s.step()
	s.ill["new@v2"] = true
	s.all = append(s.all, Report{Target: Target{Name: "new"}, Version: "v2"})
	s.step()
	s.step()
	if got := s.r.Status(); got.State != RollingBack || !slices.Equal(s.plan.Retire, []Target{{Name: "new"}}) {
		t.Fatalf("Status = %+v, Retire = %v; want the new one to go", got, s.plan.Retire)
	}
	s.all = s.all[:4]
	s.in.Reports = []Report{{Target: Target{Name: "new"}, Gone: true}}
	s.step()
	s.until(Reverted, 2)
}

func TestChoose(t *testing.T) {
	t.Parallel()
	s := setup(t, 5, Policy{Choose: true, Batch: Count(2)})
	s.do(set("v2"))
	s.step()
	if len(s.plan.Assignments) != 0 || !slices.Equal(s.plan.Proposed, []Target{{Name: "t0"}, {Name: "t1"}}) || s.waiting() != "choose" {
		t.Fatalf("plan = %+v; want two proposed and none asked", s.plan)
	}
	s.in.Chosen = []Report{{Target: Target{Name: "t4"}}, {Target: Target{Name: "made"}}, {Target: Target{Name: "t1"}}}
	s.step()
	if got := wanted(s, "v2"); !slices.Equal(got, []string{"made", "t4"}) {
		t.Errorf("%v are asked; want t4 and the new one, and nothing beyond the batch", got)
	}
}

func TestGateFailureRollsBack(t *testing.T) {
	t.Parallel()
	s := setup(t, 4, Policy{Waves: []Amount{Count(1)}, Bake: time.Hour, Gates: []Gate{{Name: "slo", Watch: true, Deadline: 3 * time.Minute}}})
	s.do(set("v2"))
	if s.step(); s.waiting() != "gate" || len(s.plan.Gates) != 1 {
		t.Fatalf("waiting %q; want the gate before anything is asked", s.waiting())
	}
	s.in.Answers = []Answer{{Gate: "slo", Result: Pass}}
	if got := s.step(); len(got.Assignments) != 1 {
		t.Fatalf("Assignments = %+v; want the canary", got.Assignments)
	}
	for range 5 { // nobody answers any more
		s.step()
	}
	if s.waiting() != "person, bake" {
		t.Errorf("waiting %q; want a person", s.waiting())
	}
	s.in.Answers = []Answer{{Gate: "slo", Result: Fail, Detail: "errors at 7%"}}
	s.step()
	if got := s.plan.Events[len(s.plan.Events)-1]; got.To != RollingBack || got.Reason.String() != "gate slo failed: errors at 7%" {
		t.Errorf("event = %+v", got)
	}
}

func TestDeadlineGraceAndOperation(t *testing.T) {
	t.Parallel()
	s := setup(t, 3, Policy{Batch: Count(1), Deadline: 10 * time.Minute, Bake: time.Hour})
	s.do(set("v2"))
	s.until(Reverted, 20)
	s.do(Command{Verb: Operate, Version: "restart"})
	if got := s.r.Status().Wanted; got != "restart@1" {
		t.Errorf("Wanted = %q; want restart@1", got)
	}
	s.step()
	s.ill["t0"] = true
	s.until(Stopped, 5)
	if got := s.r.Status(); !strings.Contains(got.Why, "cannot be undone") {
		t.Errorf("Why = %q; want that there is no way back", got.Why)
	}

	s = setup(t, 3, Policy{Batch: Count(3), Bake: 10 * time.Minute, Grace: 3 * time.Minute})
	s.do(set("v2"))
	s.step()
	s.step()
	for _, want := range []Outcome{Wavering, Succeeded} {
		health := Unhealthy
		if want == Succeeded {
			health = Healthy
		}
		s.now = s.now.Add(time.Minute)
		s.r.Step(Input{Now: s.now, Reports: []Report{{Target: Target{Name: "t0"}, Version: "v2", Health: health}}})
		if got, _ := s.r.Target(Target{Name: "t0"}); got.Outcome != want {
			t.Errorf("t0 is %s; want %s", got.Outcome, want)
		}
	}
	s.until(Good, 20)
}

func TestStaleReportsChangeNothing(t *testing.T) {
	t.Parallel()
	r := &Rollout{}
	name := Target{Group: "g", Name: "t"}
	r.Step(Input{Now: start, Reports: []Report{{Target: name, Version: "v2", At: start}}})
	r.Step(Input{Now: start.Add(time.Minute), Reports: []Report{
		{Target: name, Version: "v1", Health: Failed, At: start.Add(-time.Second)}, {Target: name, Gone: true, At: start.Add(-time.Second)}}})
	if got, ok := r.Target(name); !ok || got.Version != "v2" || got.Health != Healthy {
		t.Errorf("Target = %+v, %v; want what the newer report said", got, ok)
	}
	r.Step(Input{Now: start.Add(-time.Hour), Reports: []Report{{Target: name, Version: "v3"}}}) // the clock went back
	if got, _ := r.Target(name); got.Version != "v3" || !got.Since.Equal(start.Add(time.Minute)) {
		t.Errorf("Target = %+v; want v3 since the latest time known", got)
	}
}

func TestPolicyCheck(t *testing.T) {
	t.Parallel()
	for want, p := range map[string]Policy{
		"":              {},
		"waves[1]":      {Waves: []Amount{Percent(50), Percent(10)}},
		"waves[0]":      {Waves: []Amount{{}}},
		"batch: 0":      {Batch: Count(0)},
		"success":       {Success: 500},
		"soak":          {Soak: -1},
		"forget":        {Silence: time.Hour, Forget: time.Minute},
		"limits[0]":     {Limits: []Limit{{Per: "zone"}}},
		"two gates":     {Gates: []Gate{{Name: "a"}, {Name: "a"}}},
		"needs a name":  {Gates: []Gate{{}}},
		"freeze[0]":     {Freeze: []Window{{}}},
		"weekday 9":     {Freeze: []Window{{Every: []time.Weekday{9}}}},
		"order":         {Order: "x"},
		"onBreach":      {OnBreach: "x"},
		"onUnknown":     {Gates: []Gate{{Name: "a", OnUnknown: "x"}}},
		"rollbackBatch": {RollbackBatch: Count(0)},
	} {
		if err := p.Check(); (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("Check(%+v) = %v; want %q", p, err, want)
		}
	}
}

// Every code has its words, and none is left with a hole.
func TestReasonsAreSentences(t *testing.T) {
	t.Parallel()
	for code, sentence := range sentences {
		r := Reason{Code: code, Version: "v2", Name: "slo", Count: 2, Of: 3, Until: start}
		if got := r.String(); got == "" || strings.ContainsAny(got, "{}") || got == sentence && strings.Contains(sentence, "{") {
			t.Errorf("Reason{%q} = %q", code, got)
		}
	}
	if got := (Reason{Code: "unheard of", Detail: "d"}).String(); got != "unheard of: d" {
		t.Errorf("a reason of a later version reads %q", got)
	}
}

func TestEstimate(t *testing.T) {
	t.Parallel()
	s := setup(t, 10, Policy{Batch: Count(2), Soak: time.Minute})
	s.do(set("v2"))
	for s.r.Status().State != Rolling || s.r.Status().Succeeded < 4 {
		s.step()
	}
	ready := s.r.Status().Ready
	s.until(Good, 30)
	if off := s.now.Sub(ready).Abs(); off > 4*time.Minute {
		t.Errorf("Ready was %s, it was good at %s", ready, s.now)
	}
}
