package rollout

import (
	"fmt"
	"slices"
	"time"
)

// Verb is something a person or a system may ask of a rollout.
type Verb string

// The verbs.
const (
	// SetVersion asks for Version. It begins when the one that is going out has become good, or bad and
	// is back; the good version itself is returned to at once. A bad version is refused.
	SetVersion Verb = "set-version"
	// Force asks for Version now: what is going out, or back, is abandoned where it is.
	Force Verb = "force"
	// Operate asks each target to do Version once, such as "restart": the next version is restart@N, N one more
	// than the last, and is done like any other, but there is no way back from it.
	Operate Verb = "operate"
	// Pause holds all assignments. Verdicts go on, and a version that fails still goes back.
	Pause Verb = "pause"
	// Resume ends a pause. After a breach it forgives the failures so far and goes on with the
	// version; a rollback that was stuck tries again.
	Resume Verb = "resume"
	// Abort finds the version that is going out bad: its targets go back.
	Abort Verb = "abort"
	// Skip ends what the wave waits for: its bake and its gates.
	Skip Verb = "skip"
	// Promote gives up the remaining waves, bakes and gates. Batch and limits hold on.
	Promote Verb = "promote"
	// Retry asks for Version although it was bad.
	Retry Verb = "retry"
	// MarkGood declares Version good, by hand.
	MarkGood Verb = "mark-good"
	// MarkBad declares Version bad, by hand: if it is going out its targets go back.
	MarkBad Verb = "mark-bad"
)

// Verbs are all verbs.
func Verbs() []Verb {
	return []Verb{SetVersion, Force, Operate, Pause, Resume, Abort, Skip, Promote, Retry, MarkGood, MarkBad}
}

// Command is a verb with who and why.
type Command struct {
	Verb    Verb   `json:"verb"`
	Version string `json:"version,omitempty"`
	By      string `json:"by,omitempty"`
	Why     string `json:"why,omitempty"`
}

// Refusal is the error of a command that cannot be carried out now.
type Refusal struct {
	Text string // what is wrong
	Hint string // what to do about it, or ""
}

// Error returns the text.
func (e *Refusal) Error() string { return e.Text }

func refuse(hint, format string, args ...any) error {
	return &Refusal{Text: fmt.Sprintf(format, args...), Hint: hint}
}

// Do carries out a command, or returns a *Refusal and changes nothing. What follows from it is
// decided in the next step.
func (r *Rollout) Do(now time.Time, c Command) error {
	r.ready()
	r.clock(now)
	why := Reason{Code: CodeCommand, Name: string(c.Verb), Version: c.Version, Detail: c.Why}
	switch c.Verb {
	case SetVersion, Force, Operate, Retry, MarkGood, MarkBad:
		if c.Version == "" {
			return refuse("name the version", "%s without a version", c.Verb)
		}
	case Pause, Resume, Abort, Skip, Promote:
		why.Version = ""
	default:
		return refuse("", "there is no verb %q", c.Verb)
	}
	switch c.Verb {
	case SetVersion, Retry:
		return r.setVersion(c, why)
	case Force:
		return r.force(c, why)
	case Operate:
		r.head.Generation++
		r.head.Wanted, r.head.Operation = fmt.Sprintf("%s@%d", c.Version, r.head.Generation), true
		r.command(c, why)
		return nil
	case MarkGood:
		return r.markGood(c, why)
	case MarkBad:
		return r.declareBad(c, why)
	case Pause:
		if r.head.Paused != nil {
			return refuse("", "it is paused already, by %s", or2(r.head.Paused.By, "the policy"))
		}
		r.head.Paused = &pause{By: c.By, Why: c.Why, At: r.now}
		r.command(c, why)
		return nil
	case Resume:
		return r.resume(c, why)
	}
	return r.steer(c, why)
}

// command notes a command that changes no state by itself.
func (r *Rollout) command(c Command, why Reason) {
	r.note(Event{At: at(r.now), From: r.head.State, To: r.head.State, Version: or2(c.Version, r.head.Rolling), By: c.By, Reason: why})
}

func (r *Rollout) setVersion(c Command, why Reason) error {
	h := &r.head
	going := h.State == Rolling && h.Rolling == c.Version
	switch bad := slices.Contains(h.Bad, c.Version); {
	case c.Verb == SetVersion && bad && !going:
		return refuse("retry it where it should be tried again", "version %q is known to be bad", c.Version)
	case c.Verb == Retry && going:
		return refuse("", "version %q is going out", c.Version)
	}
	h.Wanted, h.Operation = c.Version, false
	h.Again = !going && c.Version == h.Rolling && (c.Verb == Retry || h.State == Reverted || h.State == Stopped)
	if c.Verb == Retry {
		r.unmarkBad(c.Version)
	}
	if h.State == Rolling && c.Version == h.Good && !going {
		r.revert(c.By, why)
		return nil
	}
	r.command(c, why)
	return nil
}

func (r *Rollout) force(c Command, why Reason) error {
	h := &r.head
	if slices.Contains(h.Bad, c.Version) {
		return refuse("retry it where it should be tried again", "version %q is known to be bad", c.Version)
	}
	if h.State == Rolling && h.Rolling == c.Version {
		return refuse("promote it to give up its waves", "version %q is going out", c.Version)
	}
	h.Wanted, h.Operation, h.Again, h.Paused = c.Version, false, true, nil
	h.Back = false
	r.transition(Idle, c.By, why)
	return nil
}

func (r *Rollout) markGood(c Command, why Reason) error {
	h := &r.head
	switch {
	case h.State == RollingBack:
		return refuse("wait until all are back, or force the version", "targets are going back to %q", h.Good)
	case h.State == Good && c.Version != h.Rolling:
		return refuse("set the version", "version %q is rolled out and good", h.Rolling)
	}
	r.versions.put(&r.good, c.Version)
	h.Good, h.GoodSince = c.Version, r.now
	r.unmarkBad(c.Version)
	if c.Version == h.Rolling && !h.Back && (h.State == Rolling || h.State == Stopped) {
		h.Paused, h.Stopped = nil, nil
		r.transition(Good, c.By, Reason{Code: CodeAccepted, Version: c.Version, Detail: c.Why})
		r.rebuild()
		return nil
	}
	r.command(c, why)
	return nil
}

func (r *Rollout) declareBad(c Command, why Reason) error {
	h := &r.head
	if c.Version == h.Good {
		if h.State == RollingBack {
			return refuse("pause, or force another version", "targets are going back to %q", h.Good)
		}
		r.versions.put(&r.good, "")
		h.Good, h.GoodSince = "", 0
	}
	r.markBad(c.Version)
	switch {
	case h.State == Rolling && c.Version == h.Rolling:
		r.revert(c.By, why)
	case h.State == Good && c.Version == h.Rolling, h.State == Reverted && h.Good == "":
		r.stop(c.By, why)
	default:
		if h.Wanted == c.Version && h.Wanted != h.Rolling {
			h.Wanted = h.Rolling // it was waiting for its turn
		}
		r.command(c, why)
	}
	return nil
}

func (r *Rollout) resume(c Command, why Reason) error {
	h := &r.head
	switch {
	case h.Paused != nil && !h.Paused.Breach:
		h.Paused = nil
		r.command(c, why)
		return nil
	case h.Paused != nil, h.State == Stopped && !h.Back && !slices.Contains([]Code{"", CodeCommand}, h.Stopped.Code):
		h.Paused, h.Stopped = nil, nil
		h.Forgiven = max(0, r.failures()-h.Policy.tolerated(r.size()))
		h.Began = r.now // the deadline runs anew
		for name, g := range h.Gates {
			if g.Result == Fail {
				delete(h.Gates, name)
			}
		}
		r.unmarkBad(h.Rolling)
		r.transition(Rolling, c.By, why)
		r.rebuild()
		return nil
	case h.State == Stopped && h.Back && h.Good != "":
		h.Moved = r.now
		h.Stopped = nil
		r.transition(RollingBack, c.By, why)
		r.rebuild()
		return nil
	case h.State == Stopped:
		return refuse("set, retry or force a version", "it was stopped for good")
	}
	return refuse("", "it is not paused")
}

// steer carries out the verbs about a version that is going out.
func (r *Rollout) steer(c Command, why Reason) error {
	h := &r.head
	stopped := c.Verb == Abort && h.State == Stopped && !h.Back
	if h.State != Rolling && !stopped {
		return refuse("", "no version is going out: it is %s", h.State)
	}
	switch c.Verb {
	case Abort:
		if stopped && (h.Good == "" || h.Good == h.Rolling || h.RollingOperation) {
			return refuse("mark a version good first", "there is no version to go back to")
		}
		r.markBad(h.Rolling)
		r.revert(c.By, why)
		return nil
	case Skip:
		_, waits := r.waits()
		_, watched := r.watching()
		if (h.Settled == 0 || !waits) && !watched {
			return refuse("promote it to give up all waves", "it is not waiting for a bake or a gate")
		}
		h.Skipped = true
	case Promote:
		if h.Promoted {
			return refuse("", "version %q is promoted already", h.Rolling)
		}
		h.Promoted, h.Wave, h.Settled = true, h.Policy.waves()-1, 0
	}
	r.command(c, why)
	return nil
}
