package rollout

import (
	"fmt"
	"slices"
	"testing"
	"time"
)

// act is one thing that can happen in the small world of TestEveryInterleaving.
type act struct {
	name string
	do   func(r *Rollout, now time.Time) (Input, error)
}

// acts are all things that can happen to n targets: each reports any of four states, time passes,
// somebody vouches for all, and the commands that interfere with a rollout.
func acts(n int) []act {
	var all []act
	for i := range n {
		target := Target{Name: string(rune('a' + i))}
		for name, rep := range map[string]Report{
			"is well on v1": {Version: "v1"}, "is well on v2": {Version: "v2"},
			"is ill on v2": {Version: "v2", Health: Unhealthy}, "failed on v2": {Version: "v2", Health: Failed}, "leaves": {Gone: true},
		} {
			rep.Target = target
			all = append(all, act{target.Name + " " + name, func(*Rollout, time.Time) (Input, error) { return Input{Reports: []Report{rep}}, nil }})
		}
	}
	all = append(all, act{"all as they were", func(*Rollout, time.Time) (Input, error) { return Input{Others: true}, nil }})
	for _, verb := range []Verb{Abort, Pause, Resume, Promote} {
		all = append(all, act{string(verb), func(r *Rollout, now time.Time) (Input, error) { return Input{}, r.Do(now, Command{Verb: verb}) }})
	}
	slices.SortFunc(all, func(a, b act) int { return slices.Compare([]byte(a.name), []byte(b.name)) })
	return all
}

// Every order in which anything can happen to two, three or four targets, up to a depth, keeps every
// invariant. States that were seen are not gone into again.
func TestEveryInterleaving(t *testing.T) {
	t.Parallel()
	cases := []struct {
		targets, depth int
		policy         Policy
	}{
		{2, 5, Policy{Batch: Count(1), Limits: []Limit{{MinHealthy: Count(1)}}, Limit: 2 * time.Minute}},
		{3, 4, Policy{Batch: Count(2), Success: 60, Soak: time.Minute, Limit: 2 * time.Minute, Limits: []Limit{{MaxUnavailable: Count(2)}}}},
		{4, 3, Policy{Waves: []Amount{Count(1), Percent(50)}, Tolerate: Count(1), Limit: 2 * time.Minute}},
	}
	for _, c := range cases {
		t.Run(fmt.Sprint(c.targets, " targets"), func(t *testing.T) {
			t.Parallel()
			depth := c.depth
			if testing.Short() {
				depth--
			}
			explore(t, c.policy, c.targets, depth)
		})
	}
}

func explore(t *testing.T, p Policy, n, depth int) {
	r, err := New(p)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []Command{{Verb: MarkGood, Version: "v1"}, {Verb: SetVersion, Version: "v2"}} {
		do(t, r, start, c)
	}
	var reports []Report
	for i := range n {
		reports = append(reports, Report{Target: Target{Name: string(rune('a' + i))}, Version: "v1"})
	}
	r.Step(Input{Now: start, Reports: reports})
	type node struct {
		data []byte
		path []string
	}
	first, _ := r.MarshalBinary()
	level, steps, all := []node{{data: first}}, 0, acts(n)
	seen := map[string]bool{string(first): true}
	for d := range depth {
		now := start.Add(time.Duration(d+1) * 45 * time.Second)
		var next []node
		for _, from := range level {
			for _, a := range all {
				r := &Rollout{}
				if err := r.UnmarshalBinary(from.data); err != nil {
					t.Fatal(err)
				}
				steps++
				in, err := a.do(r, now)
				if err != nil {
					continue // refused
				}
				path := append(slices.Clone(from.path), a.name)
				if err := transition(r, in, now); err != nil {
					t.Fatalf("%q: %v", path, err)
				}
				data, _ := r.MarshalBinary()
				if !seen[string(data)] {
					seen[string(data)] = true
					next = append(next, node{data, path})
				}
			}
		}
		level = next
	}
	t.Logf("%d steps, %d different states", steps, len(seen))
}

// transition runs one step and checks what must hold of it.
func transition(r *Rollout, in Input, now time.Time) error {
	in.Now = now
	before, held := map[Target]TargetState{}, map[Target]bool{}
	for s := range r.Targets() {
		before[s.Target] = s
	}
	good := r.head.Good
	plan := r.Step(in)
	if err := check(r); err != nil {
		return err
	}
	if err := checkPlan(r, plan, before, &Ledger{}, held); err != nil {
		return err
	}
	if r.head.Good != good { // only ever by its criterion: nobody declares anything here
		n := r.Len() + r.head.Lost
		proven := 0
		for s := range r.Targets() {
			if s.Version == r.head.Good && s.Health == Healthy && s.Outcome == Succeeded {
				proven++
			}
		}
		if proven < 1 || proven < n-r.head.Policy.tolerated(n)-r.head.Forgiven {
			return fmt.Errorf("%s is good with %d of %d", r.head.Good, proven, n)
		}
	}
	for _, bad := range r.head.Bad {
		if bad == r.head.Good {
			return fmt.Errorf("%s is both good and bad", bad)
		}
	}
	if r.head.State == Reverted {
		for s := range r.Targets() {
			if s.Wanted == r.head.Rolling {
				return fmt.Errorf("all are back, and %s is still to have %s", s.Target, s.Wanted)
			}
		}
	}
	return nil
}
