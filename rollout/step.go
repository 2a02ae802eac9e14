package rollout

import (
	"maps"
	"slices"
	"time"
)

// Step takes in what is known at in.Now, decides, and returns what it decided. A time earlier than
// that of the last call counts as the same time, and what is decided by time alone is decided by the time
// of the last report: while nobody reports, nothing succeeds or fails.
//
// It takes time in proportion to the reports and decisions (times the logarithm of the number of targets)
// and to the number of different groups and labels; a step that begins a rollout or a rollback, in
// proportion to all targets.
func (r *Rollout) Step(in Input) Plan {
	r.ready()
	var plan Plan
	r.plan, r.ledger, r.entity = &plan, in.Ledger, in.Entity
	r.clock(in.Now)
	if in.Others || len(in.Reports) > 0 {
		r.head.Heard = r.now
	}
	if in.Others {
		r.head.Others = r.now
		r.wakeAll()
	}
	for i := range in.Reports {
		r.receive(&in.Reports[i])
	}
	r.answers(in.Answers)
	r.hush()
	r.forget()
	plan.Assignments = slices.DeleteFunc(plan.Assignments, func(a Assignment) bool {
		return r.find(a.Group, a.Name) == none // it came and went at once
	})
	r.publish()
	r.judge()
	r.choose(in.Chosen)
	for r.advance() || r.assign() {
		r.judge()
	}
	r.look(&plan)
	r.publish()
	r.ledger.tidy()
	for i := range r.classes {
		r.classes[i].places = nil
	}
	plan.Events, r.log = r.log, nil
	r.plan, r.ledger, r.entity = nil, nil, ""
	return plan
}

// latest is the last time there is: what follows no format of time can hold.
var latest = time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC).UnixMicro()

// clock moves the time on; it never goes back.
func (r *Rollout) clock(now time.Time) {
	if micro := min(now.UnixMicro(), latest); micro > r.head.Now {
		r.head.Now = micro
	}
	r.now = r.head.Now
}

// receive takes in one report.
func (r *Rollout) receive(rep *Report) {
	id := r.find(rep.Group, rep.Name)
	if id == none {
		if !rep.Gone {
			r.welcome(rep)
		}
		return
	}
	t := &r.targets[id]
	when := r.now
	if !rep.At.IsZero() {
		when = min(when, rep.At.UnixMicro())
	}
	if when < t.at {
		return // late: something newer is known
	}
	if rep.Gone {
		r.leave(id, CodeGone)
		return
	}
	r.hear(id, when)
	health := rep.Health
	if health > Unsure {
		health = Unsure
	}
	relabel := rep.Labels != nil && !maps.Equal(rep.Labels, r.classes[t.class].labels)
	version, message := r.versions.texts[t.version], r.messages.texts[t.message]
	if version == rep.Version && t.health == health && message == rep.Message && t.priority == rep.Priority && !relabel {
		r.weigh(id, rep)
		return
	}
	r.unlink(id)
	if version != rep.Version || t.health != health {
		t.since = r.now
	}
	t.health, t.priority = health, rep.Priority
	r.versions.put(&t.version, rep.Version)
	r.messages.put(&t.message, rep.Message)
	if relabel {
		t.class = r.classOf(rep.Group, rep.Labels)
	}
	t.due = r.dueOf(t)
	r.link(id, false)
	r.dirty(id)
	r.weigh(id, rep)
}

// hear notes a word of a target.
func (r *Rollout) hear(id uint32, when int64) {
	t := &r.targets[id]
	if f := r.head.Policy.forget().Microseconds() / 4; f > 0 && t.heard/f != r.now/f {
		r.dirty(id) // so that no target is forgotten because a stored word of it is old
	}
	r.remove(r.hearing(t), id)
	if t.is(flagSilent) {
		r.unlink(id)
		t.set(flagSilent, false)
		r.link(id, false)
		r.dirty(id)
		r.verdict(t, Heard, Reason{Code: CodeHeard})
	}
	t.at, t.heard = when, r.now
	r.push(&r.loud, id)
}

// wakeAll hears of every silent target.
func (r *Rollout) wakeAll() {
	for r.silent.first != none {
		r.hear(r.silent.first, r.targets[r.silent.first].at)
	}
}

// welcome takes in a target that was not known. One that runs nothing gets the good version at
// once: it serves nobody yet, so nothing can be lost by it.
func (r *Rollout) welcome(rep *Report) {
	id := r.add(rep)
	if t := &r.targets[id]; rep.Version == "" && r.good != 0 && !r.head.Policy.Replace {
		r.unlink(id)
		r.versions.put(&t.wanted, r.head.Good)
		t.asked = r.now
		r.link(id, false)
		r.plan.Assignments = append(r.plan.Assignments, Assignment{r.nameOf(t), r.head.Good, CodeNewcomer})
	}
	r.weigh(id, rep)
}

// add makes room for a target that was not known, and returns its number.
func (r *Rollout) add(rep *Report) uint32 {
	id := uint32(len(r.targets))
	if n := len(r.unused); n > 0 {
		id, r.unused = r.unused[n-1], r.unused[:n-1]
	} else {
		r.targets = append(r.targets, target{})
	}
	r.head.Arrival++
	t := &r.targets[id]
	when := r.now
	if !rep.At.IsZero() {
		when = min(when, rep.At.UnixMicro())
	}
	*t = target{
		name: rep.Name, at: when, heard: r.now, since: r.now, arrival: r.head.Arrival,
		class: r.classOf(rep.Group, rep.Labels), priority: rep.Priority, health: min(rep.Health, Unsure),
		version: r.versions.take(rep.Version), message: r.messages.take(rep.Message), pos: none, flags: flagUsed,
	}
	r.push(&r.loud, id)
	r.insert(id)
	r.link(id, false)
	r.dirty(id)
	return id
}

// leave forgets a target.
func (r *Rollout) leave(id uint32, code Code) {
	t := &r.targets[id]
	if r.outcome(t) == Failing {
		r.head.Lost++ // or a fleet that replaces what fails would never fail
	}
	r.verdict(t, Left, Reason{Code: code})
	r.unlink(id)
	r.hold(t, false)
	r.remove(r.hearing(t), id)
	r.unplace(id)
	r.changes.remove(r.nameOf(t))
	for _, v := range [...]uint32{t.version, t.wanted} {
		r.versions.drop(v)
	}
	r.messages.drop(t.message)
	dirty := t.flags & flagDirty // its place in changes is skipped by the used flag
	*t = target{pos: none, flags: dirty}
	r.unused = append(r.unused, id)
	if r.head.Policy.Replace {
		r.head.Moved = r.now
	}
}

// hush marks the targets of which nothing was heard for too long.
func (r *Rollout) hush() {
	silence := r.head.Policy.silence().Microseconds()
	if silence < 0 || r.now-r.head.Others <= silence {
		return
	}
	for id := r.loud.first; id != none && r.now-r.targets[id].heard > silence; id = r.loud.first {
		t := &r.targets[id]
		r.unlink(id)
		r.remove(&r.loud, id)
		t.set(flagSilent, true)
		r.push(&r.silent, id)
		r.link(id, false)
		r.dirty(id)
		r.verdict(t, Silent, Reason{Code: CodeSilent})
	}
}

// forget lets go of targets that others have outlived, by the clock of reports: when nobody
// reports, nobody is forgotten.
func (r *Rollout) forget() {
	forget := r.head.Policy.forget().Microseconds()
	if forget < 0 || r.head.Heard-r.head.Others <= forget {
		return
	}
	for _, l := range []*list{&r.silent, &r.loud} {
		for l.first != none && r.head.Heard-r.targets[l.first].heard > forget {
			r.leave(l.first, CodeForgotten)
		}
	}
}

// verdict notes what was decided about t.
func (r *Rollout) verdict(t *target, o Outcome, why Reason) {
	why.Version = r.versions.texts[t.wanted]
	r.plan.Verdicts = append(r.plan.Verdicts, Verdict{r.nameOf(t), why.Version, o, why})
}
