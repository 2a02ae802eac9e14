package rollout

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

// Policy says how versions are rolled out to the targets of an entity. Its zero value is a careful
// rollout: batches of 5 %, every target has to succeed, a target has 10 minutes to become healthy, and a
// failure rolls back. A Policy may change while a version is being rolled out; it holds from the
// next step on.
type Policy struct {
	// Waves are the growing numbers of targets, of all there are, at which the rollout stops to look:
	// [1, 10%, 50%, 100%]. A last wave of 100% is added where it is missing. None is one wave.
	Waves []Amount `json:"waves,omitempty"`
	// Batch limits how many targets may be changing at one time. Unset is 5%, with Waves 100%: a wave at a time.
	Batch Amount `json:"batch,omitzero"`
	// Success is the percentage of targets that must succeed, 1 to 100; 0 is 100. It is asked of
	// each wave as well, so that one failed canary is enough.
	Success float64 `json:"success,omitempty"`
	// Tolerate, where set, replaces Success: how many targets may fail. A percentage is of the wave.
	Tolerate Amount `json:"tolerate,omitzero"`
	// Soak is how long a target must be healthy on the version before it has succeeded.
	Soak time.Duration `json:"soak,omitempty"`
	// Limit is how long a target may take to become healthy, and how long a blocked rollback
	// waits before it asks for a person. 0 is 10 minutes.
	Limit time.Duration `json:"limit,omitempty"`
	// Grace is how long a target that had succeeded may be unhealthy before it has failed. 0 is not at all.
	Grace time.Duration `json:"grace,omitempty"`
	// Bake is how long a wave in which all is settled is watched before the next one begins.
	Bake time.Duration `json:"bake,omitempty"`
	// FirstBake replaces Bake after the first wave; 0 is Bake.
	FirstBake time.Duration `json:"firstBake,omitempty"`
	// Gates are asked after each wave has baked, or, those that watch, all the time.
	Gates []Gate `json:"gates,omitempty"`
	// Limits keep targets available, in the whole entity and in its parts.
	Limits []Limit `json:"limits,omitempty"`
	// Order is the order in which targets are asked, after their priority.
	Order Order `json:"order,omitempty"`
	// Spread is a label (or "group") over whose values each wave is spread evenly, such as "zone".
	Spread string `json:"spread,omitempty"`
	// Freeze are the times in which no new target is asked to change, unless to roll back.
	Freeze []Window `json:"freeze,omitempty"`
	// OnBreach is what happens when too many targets have failed, or a gate has.
	OnBreach Breach `json:"onBreach,omitempty"`
	// RollbackBatch limits how many targets may be going back at one time; unset is all. Healthy
	// targets go back within Limits or, without any, within Batch.
	RollbackBatch Amount `json:"rollbackBatch,omitzero"`
	// Deadline is how long a version may take in all; then OnBreach holds. 0 is for ever.
	Deadline time.Duration `json:"deadline,omitempty"`
	// Silence is after how long without a word nothing is known of a target any more: it is not
	// available, not asked, and has not succeeded. 0 is 5 minutes, less than 0 never.
	Silence time.Duration `json:"silence,omitempty"`
	// Forget is after how long without a word, while others report, a target no longer exists. 0
	// is 15 minutes, less than 0 never.
	Forget time.Duration `json:"forget,omitempty"`
	// Choose lets the caller choose: targets are proposed in Plan.Proposed and asked only when
	// Input.Chosen names them (selection and approval from outside).
	Choose bool `json:"choose,omitempty"`
	// Replace is blue/green: no target is changed in place. Plan.Create says how many new ones may
	// be made, Plan.Retire which old ones (or, rolling back, new ones) may go.
	Replace bool `json:"replace,omitempty"`
	// Extra is JSON that the caller keeps with the policy. The planner does not look at it.
	Extra json.RawMessage `json:"extra,omitempty"`
}

// Limit keeps targets available. A target is available while it is healthy, heard of, and not
// changing. Where both are set, both hold. Percentages are of the targets in the part.
type Limit struct {
	// Per divides the targets into parts, each with this limit of its own: a label such as "zone", or
	// "group". "" is the whole entity.
	Per string `json:"per,omitempty"`
	// MaxUnavailable is how many may be unavailable, for whatever reason, for one more to be asked.
	MaxUnavailable Amount `json:"maxUnavailable,omitzero"`
	// MinHealthy is how many must stay available.
	MinHealthy Amount `json:"minHealthy,omitzero"`
}

// Gate is a question with three answers. Until one arrives, and while it is Undecided, the rollout waits;
// after Deadline it waits for a person (Skip, Promote or Abort).
type Gate struct {
	Name string `json:"name"`
	// Deadline is for how long the answer may be missing or unknown. 0 is 10 minutes.
	Deadline time.Duration `json:"deadline,omitempty"`
	// Watch asks all the time instead of once a wave; the last answer holds until the next.
	Watch bool `json:"watch,omitempty"`
	// OnUnknown is what happens at the deadline: nothing but waiting for a person, unless it is
	// OnUnknownBreach.
	OnUnknown Unknown `json:"onUnknown,omitempty"`
}

// Unknown is what to do when a gate has no answer at its deadline.
type Unknown string

// The ways to go on without an answer.
const (
	OnUnknownAsk    Unknown = ""       // wait for a person
	OnUnknownBreach Unknown = "breach" // as if it had failed
)

// Breach is what happens when a version has failed.
type Breach string

// The answers to a breach.
const (
	OnBreachRollback Breach = ""      // back to the last version known to be good
	OnBreachPause    Breach = "pause" // stop, and leave the decision to a person; the version is not marked bad
	OnBreachStop     Breach = "stop"  // stop; the version is bad
)

// Order is the order in which targets of the same priority are asked.
type Order string

// The orders.
const (
	OrderArrival Order = ""        // as they were first reported
	OrderName    Order = "name"    // by group, then name
	OrderShuffle Order = "shuffle" // scattered, differently for each version, the same on each machine
)

// Window is a time in which nothing new is asked: from From until Until once, or, where Every is set,
// each week on those days between Start and End after midnight, Offset east of UTC. An End
// before Start is on the next day.
type Window struct {
	From   time.Time      `json:"from,omitzero"`
	Until  time.Time      `json:"until,omitzero"`
	Every  []time.Weekday `json:"every,omitempty"`
	Start  time.Duration  `json:"start,omitempty"`
	End    time.Duration  `json:"end,omitempty"`
	Offset time.Duration  `json:"offset,omitempty"`
	Why    string         `json:"why,omitempty"`
}

// covers returns until when w keeps t frozen; the zero time where it does not.
func (w *Window) covers(t time.Time) time.Time {
	if len(w.Every) == 0 {
		if !t.Before(w.From) && t.Before(w.Until) {
			return w.Until
		}
		return time.Time{}
	}
	length := w.End - w.Start
	if length <= 0 {
		length += 24 * time.Hour
	}
	midnight := t.UTC().Add(w.Offset).Truncate(24 * time.Hour)
	for _, day := range []time.Time{midnight, midnight.Add(-24 * time.Hour)} {
		for _, d := range w.Every {
			start := day.Add(w.Start - w.Offset)
			if day.Weekday() == d && !t.Before(start) && t.Before(start.Add(length)) {
				return start.Add(length)
			}
		}
	}
	return time.Time{}
}

// Check returns what is wrong with p, every fault on a line of its own, or nil.
func (p *Policy) Check() error {
	var faults []error
	fault := func(format string, args ...any) { faults = append(faults, fmt.Errorf(format, args...)) }
	for i, w := range p.Waves {
		if !w.set || w.n == 0 {
			fault("waves[%d]: a wave has at least one target", i)
		}
		if i > 0 && w.percent == p.Waves[i-1].percent && w.n <= p.Waves[i-1].n {
			fault("waves[%d]: %s is not more than the wave before", i, w)
		}
	}
	for _, a := range []struct {
		name string
		a    Amount
	}{{"batch", p.Batch}, {"rollbackBatch", p.RollbackBatch}} {
		if a.a.set && a.a.n == 0 {
			fault("%s: 0 would never ask any target", a.name)
		}
	}
	if p.Success != 0 && !(p.Success >= 1 && p.Success <= 100) {
		fault("success: %v is not a percentage from 1 to 100", p.Success)
	}
	for _, d := range []struct {
		name string
		d    time.Duration
	}{{"soak", p.Soak}, {"limit", p.Limit}, {"grace", p.Grace}, {"bake", p.Bake}, {"firstBake", p.FirstBake}, {"deadline", p.Deadline}} {
		if d.d < 0 {
			fault("%s: %s is less than nothing", d.name, d.d)
		}
	}
	if p.silence() > 0 && p.forget() > 0 && p.forget() < p.silence() {
		fault("forget: %s is before silence %s", p.forget(), p.silence())
	}
	for i, l := range p.Limits {
		if !l.MaxUnavailable.set && !l.MinHealthy.set {
			fault("limits[%d]: neither maxUnavailable nor minHealthy is set", i)
		}
		if l.MaxUnavailable.set && l.MaxUnavailable.n == 0 {
			fault("limits[%d]: maxUnavailable 0 would never ask a healthy target", i)
		}
	}
	if len(p.Extra) > 0 && !json.Valid(p.Extra) {
		fault("extra: it is no JSON")
	}
	p.checkNames(fault)
	return errors.Join(faults...)
}

// checkNames checks gates, windows and words.
func (p *Policy) checkNames(fault func(string, ...any)) {
	names := map[string]bool{}
	for i, g := range p.Gates {
		switch {
		case g.Name == "":
			fault("gates[%d]: a gate needs a name", i)
		case names[g.Name]:
			fault("gates[%d]: there are two gates %q", i, g.Name)
		case g.Deadline < 0:
			fault("gates[%d]: deadline: %s is less than nothing", i, g.Deadline)
		case g.OnUnknown != OnUnknownAsk && g.OnUnknown != OnUnknownBreach:
			fault("gates[%d]: onUnknown: there is no %q", i, g.OnUnknown)
		}
		names[g.Name] = true
	}
	for i, w := range p.Freeze {
		const day = 24 * time.Hour
		switch {
		case w.From.Year() < 0 || w.From.Year() > 9999 || w.Until.Year() < 0 || w.Until.Year() > 9999:
			fault("freeze[%d]: the year is out of range", i)
		case len(w.Every) == 0 && !w.From.Before(w.Until):
			fault("freeze[%d]: it ends before it begins", i)
		case w.Start < 0 || w.Start >= day || w.End < 0 || w.End > day || w.Offset <= -day || w.Offset >= day:
			fault("freeze[%d]: start, end and offset are within a day", i)
		}
		for _, d := range w.Every {
			if d < time.Sunday || d > time.Saturday {
				fault("freeze[%d]: there is no weekday %d", i, d)
			}
		}
	}
	switch p.Order {
	case OrderArrival, OrderName, OrderShuffle:
	default:
		fault("order: there is no %q", p.Order)
	}
	switch p.OnBreach {
	case OnBreachRollback, OnBreachPause, OnBreachStop:
	default:
		fault("onBreach: there is no %q", p.OnBreach)
	}
}

// The durations in force.
func (p *Policy) limit() time.Duration   { return or(p.Limit, 10*time.Minute) }
func (p *Policy) silence() time.Duration { return orNever(p.Silence, 5*time.Minute) }
func (p *Policy) forget() time.Duration  { return orNever(p.Forget, 15*time.Minute) }
func (g *Gate) deadline() time.Duration  { return or(g.Deadline, 10*time.Minute) }

func or(d, unset time.Duration) time.Duration {
	if d == 0 {
		return unset
	}
	return d
}

// orNever is or with everything less than 0 as a duration that is less than 0 in microseconds too.
func orNever(d, unset time.Duration) time.Duration {
	if d < 0 {
		return -time.Second
	}
	return or(d, unset)
}

// bake returns how long the wave with the given index is watched.
func (p *Policy) bake(wave int) time.Duration {
	if wave == 0 && p.FirstBake > 0 {
		return p.FirstBake
	}
	return p.Bake
}

// batch returns how many of n targets may be changing.
func (p *Policy) batch(n int) int {
	switch {
	case p.Batch.set:
		return p.Batch.Of(n)
	case len(p.Waves) > 0:
		return n
	}
	return Percent(5).Of(n)
}

// waves returns how many waves there are.
func (p *Policy) waves() int {
	n := len(p.Waves)
	if n == 0 || p.Waves[n-1] != Percent(100) {
		n++
	}
	return n
}

// size returns how many of n targets have been asked when the wave is full.
func (p *Policy) size(wave, n int) int {
	if wave >= len(p.Waves) {
		return n
	}
	size := 0
	for _, w := range p.Waves[:wave+1] {
		size = max(size, w.Of(n)) // 1, 10% of 5 targets: the second is as large as the first, never smaller
	}
	return size
}

// tolerated returns how many of n targets may fail. It is never all of them: a version that nothing runs is
// not good, and where the last target could not make it so the rollout would wait for ever.
func (p *Policy) tolerated(n int) int {
	most := max(0, n-1)
	if p.Tolerate.set {
		return min(p.Tolerate.AtMost(n), most)
	}
	if p.Success == 0 {
		return 0
	}
	return min(n-Percent(p.Success).AtLeast(n), most)
}
