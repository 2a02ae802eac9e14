package rollout

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// naive is the planner as one would write it down first: it keeps plain values, counts by looking at
// all targets, and knows forward, breach, back, waves, soak, limits of the whole, and nothing of order
// but arrival. The real one must decide the same.
type naive struct {
	p                         Policy
	state                     State
	back                      bool
	rolling, good             string
	wave, turn, asks          int
	settled, heard, now, move time.Time
	targets                   []*naiveTarget
}

type naiveTarget struct {
	name, version, wanted string
	health                Health
	since, asked          time.Time
	outcome               Outcome
	turn, seq             int
	held                  bool // asked, and not succeeded since
}

func (n *naive) outcome(t *naiveTarget) Outcome {
	if t.turn != n.turn {
		return Untouched
	}
	return t.outcome
}

func (n *naive) count(o Outcome) (c int) {
	for _, t := range n.targets {
		if n.outcome(t) == o {
			c++
		}
	}
	return c
}

func (n *naive) available(t *naiveTarget) bool {
	o := n.outcome(t)
	return t.health == Healthy && (o == Untouched || o == Succeeded)
}

func pct(p float64, n int) float64 { return p * float64(n) / 100 }

func (n *naive) size(wave int) int {
	if wave >= len(n.p.Waves) {
		return len(n.targets)
	}
	return n.p.size(wave, len(n.targets))
}

func (n *naive) tolerated(m int) int {
	success := n.p.Success
	if success == 0 {
		success = 100
	}
	return m - int(math.Ceil(pct(success, m)-1e-9))
}

// step takes reports of all targets.
func (n *naive) step(now time.Time, versions []string, healths []Health) (asked []string) {
	n.now, n.heard = now, now
	for i, t := range n.targets {
		if t.version != versions[i] || t.health != healths[i] {
			t.since = now
		}
		t.version, t.health = versions[i], healths[i]
		proven := t.version == t.wanted && t.health == Healthy
		switch n.outcome(t) {
		case Pending:
			if t.health == Failed && t.version == t.wanted {
				t.outcome, n.move = Failing, now
			}
		case Succeeded:
			if !proven {
				t.outcome = Failing // no grace here
			}
		case Failing:
			if proven && !now.Before(t.since.Add(n.soak())) {
				t.outcome = Succeeded
			}
		}
	}
	for _, t := range n.targets {
		if o := n.outcome(t); o != Untouched {
			t.held = o != Succeeded
		}
	}
	for n.judge() || n.advance() || n.ask(&asked) {
	}
	return asked
}

func (n *naive) soak() time.Duration {
	if n.back {
		return 0
	}
	return n.p.Soak
}

func (n *naive) judge() bool {
	for _, t := range n.targets {
		if n.outcome(t) != Pending {
			continue
		}
		proven := t.version == t.wanted && t.health == Healthy
		switch {
		case proven && !n.now.Before(t.since.Add(n.soak())):
			t.outcome, t.held = Succeeded, false
		case !proven && !n.now.Before(t.asked.Add(n.p.limit())):
			t.outcome, t.held = Failing, true
		default:
			continue
		}
		n.move = n.now
		return true
	}
	return false
}

func (n *naive) candidates() (c []*naiveTarget) {
	for _, t := range n.targets {
		if n.outcome(t) != Untouched {
			continue
		}
		switch n.state {
		case Rolling:
			c = append(c, t)
		case Good:
			if t.wanted != n.rolling {
				c = append(c, t)
			}
		case RollingBack, Reverted:
			if t.wanted == n.rolling || t.version == n.rolling {
				c = append(c, t)
			}
		}
	}
	forward := n.state == Rolling || n.state == Good
	slices.SortStableFunc(c, func(a, b *naiveTarget) int {
		if x, y := n.available(a), n.available(b); x != y {
			if x == forward {
				return -1
			}
			return 1
		}
		if forward {
			return 0
		}
		if a.held != b.held {
			if a.held {
				return -1
			}
			return 1
		}
		return b.seq - a.seq
	})
	return c
}

func (n *naive) advance() bool {
	busy := n.count(Pending)
	switch n.state {
	case Rolling:
		if n.count(Failing) > n.tolerated(n.size(n.wave)) {
			n.state, n.back = RollingBack, true
			n.turn++
			n.move = n.now
			return true
		}
		touched := len(n.targets) - n.count(Untouched)
		last := n.wave == n.p.waves()-1
		full := busy == 0 && touched > 0 && (!last && touched >= n.size(n.wave) || touched == len(n.targets)) &&
			(!last || n.count(Succeeded) >= len(n.targets)-n.tolerated(len(n.targets)))
		switch {
		case !full:
			changed := !n.settled.IsZero()
			n.settled = time.Time{}
			return changed
		case n.settled.IsZero():
			n.settled = n.now
			return true
		case n.now.Before(n.settled.Add(n.p.bake(n.wave))):
			return false
		case !last:
			n.wave++
			n.settled = time.Time{}
			return true
		}
		n.state, n.good = Good, n.rolling
		return true
	case RollingBack:
		if busy == 0 && len(n.candidates()) == 0 {
			n.state = Reverted
			return true
		}
		if busy == 0 && n.now.Sub(n.move) > n.p.limit() {
			n.state = Stopped
			return true
		}
	}
	return false
}

func (n *naive) ask(asked *[]string) bool {
	total, busy := len(n.targets), n.count(Pending)
	slots := total - busy
	switch n.state {
	case Rolling:
		if !n.settled.IsZero() {
			return false
		}
		slots = min(n.p.batch(total)-busy, n.size(n.wave)-(total-n.count(Untouched)))
	case Good:
		slots = n.p.batch(total) - busy
	case Idle, Stopped:
		return false
	}
	any := false
	for _, t := range n.candidates() {
		if slots <= 0 {
			break
		}
		if n.available(t) && !n.allows() {
			continue
		}
		goal := n.rolling
		if n.state == RollingBack || n.state == Reverted {
			goal = n.good
		}
		n.asks++
		t.turn, t.outcome, t.held, t.seq, t.wanted, t.asked = n.turn, Pending, true, n.asks, goal, n.now
		*asked = append(*asked, t.name+"="+goal)
		n.move = n.now
		slots--
		any = true
	}
	return any
}

func (n *naive) allows() bool {
	available, total := 0, len(n.targets)
	for _, t := range n.targets {
		if n.available(t) {
			available++
		}
	}
	for _, l := range n.p.Limits {
		if l.MinHealthy.set && available-1 < l.MinHealthy.AtLeast(total) {
			return false
		}
		if l.MaxUnavailable.set && total-available+1 > l.MaxUnavailable.Of(total) {
			return false
		}
	}
	if (n.state == RollingBack || n.state == Reverted) && len(n.p.Limits) == 0 {
		return n.count(Pending) < n.p.batch(total)
	}
	return true
}

// The planner decides what the naive one decides.
func TestAgainstReference(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		p := policies.Draw(t, "policy")
		p.RollbackBatch, p.Tolerate, p.Grace, p.Order, p.Spread = Amount{}, Amount{}, 0, OrderArrival, ""
		p.Gates, p.Deadline, p.Freeze, p.OnBreach = nil, 0, nil, OnBreachRollback
		p.Silence, p.Forget = -1, -1
		p.Limits = slices.DeleteFunc(p.Limits, func(l Limit) bool { return l.Per != "" })
		r, err := New(p)
		if err != nil {
			t.Fatal(err)
		}
		ref := &naive{p: p, state: Rolling, rolling: "v2", good: "v1", turn: 1, now: start, move: start}
		var versions []string
		var healths []Health
		for i := range rapid.IntRange(1, 12).Draw(t, "targets") {
			ref.targets = append(ref.targets, &naiveTarget{name: fmt.Sprint("t", i), since: start})
			versions, healths = append(versions, "v1"), append(healths, Healthy)
			ref.targets[i].version = "v1"
		}
		_ = r.Do(start, Command{Verb: MarkGood, Version: "v1"})
		_ = r.Do(start, Command{Verb: SetVersion, Version: "v2"})
		now := start
		for range rapid.IntRange(1, 40).Draw(t, "steps") {
			var reports []Report
			for i, target := range ref.targets {
				reports = append(reports, Report{Target: Target{Name: target.name}, Version: versions[i], Health: healths[i]})
			}
			var got []string
			for _, a := range r.Step(Input{Now: now, Reports: reports}).Assignments {
				got = append(got, a.Name+"="+a.Version)
			}
			want := ref.step(now, versions, healths)
			if strings.Join(got, " ") != strings.Join(want, " ") {
				t.Fatalf("the planner asks %v, the reference %v: %+v", got, want, r.Status())
			}
			outcomes := [outcomesOfTurn]int{}
			for o := range outcomes {
				outcomes[o] = ref.count(Outcome(o))
			}
			if r.head.State != ref.state || r.counts != outcomes || r.head.Good != ref.good {
				t.Fatalf("the planner is %s with %v, good %s; the reference %s with %v, good %s", r.head.State, r.counts, r.head.Good, ref.state, outcomes, ref.good)
			}
			for i, target := range ref.targets {
				switch rapid.IntRange(0, 6).Draw(t, "life") {
				case 0:
					healths[i] = rapid.SampledFrom([]Health{Healthy, Unhealthy, Failed}).Draw(t, "health")
				case 1, 2, 3:
					if target.wanted != "" {
						versions[i], healths[i] = target.wanted, Healthy
					}
				}
			}
			now = now.Add(time.Duration(rapid.IntRange(1, 50).Draw(t, "seconds")) * time.Second)
		}
	})
}
