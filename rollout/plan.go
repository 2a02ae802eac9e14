package rollout

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// State is how far an entity is.
type State uint8

// The states. Nothing moves in Idle, and in Stopped until a person decides. In Good new and changed
// targets are brought to the good version, in Reverted those that still have the bad one.
const (
	Idle        State = iota // no version has been asked for
	Rolling                  // a version is going out
	RollingBack              // the targets it had reached go back
	Good                     // the version met its criterion
	Reverted                 // the targets it had reached are back, or are given up
	Stopped                  // it failed and there is no way back without a person
)

var states = []string{"idle", "rolling", "rolling back", "good", "reverted", "stopped"}

// String returns the state in words.
func (s State) String() string { return word(states, int(s)) }

// MarshalText is String.
func (s State) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText reads what String writes.
func (s *State) UnmarshalText(text []byte) error {
	i, err := index(states, string(text), "state")
	*s = State(i)
	return err
}

// Plan is what a step decided. Its slices belong to the caller.
type Plan struct {
	// Assignments are the targets that were asked for a version in this step. Where one is there twice, the
	// last holds: it was asked, and in the same step the version was found bad.
	Assignments []Assignment
	// Verdicts are the targets about which something was decided in this step.
	Verdicts []Verdict
	// Waiting is why no more is asked now, the most important first. It is empty where nothing is to do.
	Waiting []Reason
	// Events are the transitions of the rollout in this step, in order.
	Events []Event
	// Gates are the gates that need an answer now.
	Gates []Question
	// Proposed are the targets that may be asked now, with Policy.Choose.
	Proposed []Target
	// Create is how many new targets may be made now, with Policy.Replace.
	Create int
	// Retire are targets that may be removed now, with Policy.Replace. Report them Gone.
	Retire []Target
	// Next is when something may happen by time alone; the zero time is never.
	Next time.Time
}

// Assignment asks one target for a version.
type Assignment struct {
	Target
	Version string
	// Code is why: CodeRollout, CodeRollback, CodeConverge or CodeNewcomer.
	Code Code
}

// Verdict is what was decided about one target.
type Verdict struct {
	Target
	Version string
	Outcome Outcome
	Reason  Reason
}

// Outcome is what a verdict says.
type Outcome uint8

// The outcomes. Silent, Heard and Left are about the target, the others about the version on it.
const (
	Untouched Outcome = iota // not asked by the current rollout
	Pending                  // asked, neither good nor bad yet
	Wavering                 // had succeeded, and is not healthy now
	Succeeded
	Failing // has failed
	Silent  // nothing is known of it any more
	Heard   // it speaks again
	Left    // it no longer exists
)

var outcomes = []string{"untouched", "pending", "wavering", "succeeded", "failed", "silent", "heard", "left"}

// String returns the outcome in words.
func (o Outcome) String() string { return word(outcomes, int(o)) }

// MarshalText is String.
func (o Outcome) MarshalText() ([]byte, error) { return []byte(o.String()), nil }

// Question asks a gate.
type Question struct {
	Gate string
	Wave int
	// Until is when the wait for an answer ends.
	Until time.Time
}

// Event is one transition of a rollout, with who and why.
type Event struct {
	At   time.Time `json:"at"`
	From State     `json:"from"`
	To   State     `json:"to"`
	// Version is the version it is about.
	Version string `json:"version,omitempty"`
	// By is the person or system that asked for it; "" is the planner.
	By     string `json:"by,omitempty"`
	Reason Reason `json:"reason"`
}

// Code names a reason; each has its sentence.
type Code string

// The codes of reasons.
const (
	CodeRollout  Code = "rollout"  // its turn in the rollout of Version
	CodeRollback Code = "rollback" // back to Version
	CodeConverge Code = "converge" // joins the targets that have the good version
	CodeNewcomer Code = "newcomer" // runs nothing yet

	CodeHealthy   Code = "healthy"    // healthy on Version for long enough
	CodeFailed    Code = "failed"     // said so itself
	CodeTooLong   Code = "too long"   // not healthy on Version within the limit
	CodeWavers    Code = "wavers"     // was healthy, and is not
	CodeRecovered Code = "recovered"  // healthy again
	CodeSilent    Code = "silent"     // no word for too long
	CodeHeard     Code = "heard"      // it speaks again
	CodeGone      Code = "gone"       // reported gone
	CodeForgotten Code = "forgotten"  // no word for so long that it no longer exists
	CodeStarted   Code = "started"    // the rollout of Version began
	CodeWave      Code = "wave"       // wave Of begins
	CodeSettled   Code = "settled"    // all of the wave is settled
	CodeMet       Code = "met"        // Version met its criterion
	CodeBreach    Code = "breach"     // Count targets failed, more than tolerated
	CodeGateFail  Code = "gate fail"  // gate Name failed
	CodeGatePass  Code = "gate pass"  // gate Name passed
	CodeDeadline  Code = "deadline"   // Version took too long in all
	CodeNoGood    Code = "no good"    // no version is known good: nothing to go back to
	CodeNoReturn  Code = "no return"  // an operation cannot be undone
	CodeBack      Code = "back"       // every target reached is back
	CodeGivenUp   Code = "given up"   // Count targets did not come back
	CodeStuck     Code = "stuck"      // the rollback cannot go on within the limits
	CodeCommand   Code = "command"    // a person or system asked; Name is the verb
	CodeAccepted  Code = "accepted"   // a person declared Version good
	CodeLimits    Code = "limits"     // a limit keeps Name (Of available of Count) from being asked
	CodeBudget    Code = "budget"     // budget Name is used up: Count of Of
	CodeBatch     Code = "batch"      // Count targets are changing, the batch is Of
	CodePending   Code = "pending"    // Count targets are asked and not settled
	CodeBake      Code = "bake"       // the wave is watched until Until
	CodeUnheard   Code = "unheard"    // the time is up, a report after it is missing
	CodeGate      Code = "gate"       // gate Name has not answered, until Until
	CodePerson    Code = "person"     // gate Name has no answer: a person decides
	CodePaused    Code = "paused"     // paused by Name
	CodeFrozen    Code = "frozen"     // frozen until Until
	CodeNoVersion Code = "no version" // no version has been asked for
	CodeNoTargets Code = "no targets" // there are none
	CodeMissing   Code = "missing"    // Count targets are silent
	CodeChoose    Code = "choose"     // the caller has not chosen targets
	CodeCreate    Code = "create"     // new targets have not appeared
	CodeDecide    Code = "decide"     // stopped: a person decides
)

// Reason is why something was decided, or is not: as data, and in words by String.
type Reason struct {
	Code    Code      `json:"code"`
	Version string    `json:"version,omitempty"`
	Name    string    `json:"name,omitempty"`
	Count   int       `json:"count,omitempty"`
	Of      int       `json:"of,omitempty"`
	Until   time.Time `json:"until,omitzero"`
	// Detail is text from outside: a target's message, a gate's detail, a person's reason.
	Detail string `json:"detail,omitempty"`
}

// String returns the reason as a sentence without its full stop.
func (r Reason) String() string {
	text := r.text()
	if r.Detail != "" {
		text += ": " + r.Detail
	}
	return text
}

// sentences are the words of the codes that need nothing but their fields: {version}, {name},
// {count}, {of}, {until}; {count:target} is the number with its noun.
var sentences = map[Code]string{
	CodeRollout:   "its turn in the rollout of {version}",
	CodeRollback:  "goes back to {version}",
	CodeConverge:  "is brought to {version}, which is good",
	CodeNewcomer:  "runs nothing yet, and gets {version}, which is good",
	CodeHealthy:   "healthy on {version} for as long as it must be",
	CodeFailed:    "reported that {version} failed on it",
	CodeTooLong:   "not healthy on {version} within its time",
	CodeWavers:    "had {version} and is not healthy any more",
	CodeRecovered: "healthy on {version} again",
	CodeSilent:    "no word of it for too long",
	CodeHeard:     "heard of again",
	CodeGone:      "reported gone",
	CodeForgotten: "no word of it for so long that it counts as gone",
	CodeStarted:   "rollout of {version} to {count:target} begins",
	CodeWave:      "wave {of} begins, up to {count:target}",
	CodeSettled:   "wave {of} is settled, {count:target} in all",
	CodeMet:       "{version} is good: {count} of {of} targets have it and are healthy",
	CodeBreach:    "{version} is bad: {count:target} failed, {of} tolerated",
	CodeGateFail:  "gate {name} failed",
	CodeGatePass:  "gate {name} passed",
	CodeDeadline:  "{version} was not out in time",
	CodeNoGood:    "no version is known to be good, so there is nothing to go back to: a person decides",
	CodeNoReturn:  "an operation cannot be undone: a person decides",
	CodeBack:      "{count:target} back on {version}",
	CodeGivenUp:   "rollback ended, {count} of {of} targets did not come back",
	CodeStuck:     "rollback stopped: {count:target} cannot go back within the limits",
	CodeCommand:   "{name} {version}",
	CodeAccepted:  "{version} was declared good",
	CodeLimits:    "too few of {name} are available ({of} of {count}) to ask one more",
	CodeBudget:    "budget {name} is used up: {count} changing, {of} allowed",
	CodeBatch:     "{count:target} changing, the batch is {of}",
	CodePending:   "{count:target} asked and not settled yet",
	CodeBake:      "the wave is watched until {until}",
	CodeUnheard:   "no report yet from after the wait",
	CodeGate:      "gate {name} has not answered, wait until {until}",
	CodePerson:    "gate {name} has no answer: skip, promote or abort",
	CodePaused:    "paused by {name}",
	CodeFrozen:    "frozen until {until}",
	CodeNoVersion: "no version has been asked for",
	CodeNoTargets: "there are no targets",
	CodeMissing:   "{count:target} silent",
	CodeChoose:    "no proposed target has been chosen",
	CodeCreate:    "{count:new target} may be made",
	CodeDecide:    "stopped: a person decides",
}

func (r Reason) text() string {
	sentence, ok := sentences[r.Code]
	if !ok {
		return string(r.Code)
	}
	var b strings.Builder
	for {
		before, rest, found := strings.Cut(sentence, "{")
		b.WriteString(before)
		if !found {
			return strings.TrimSpace(b.String())
		}
		field, after, _ := strings.Cut(rest, "}")
		sentence = after
		field, noun, _ := strings.Cut(field, ":")
		switch field {
		case "version":
			b.WriteString(r.Version)
		case "name":
			b.WriteString(r.Name)
		case "of":
			fmt.Fprint(&b, r.Of)
		case "until":
			b.WriteString(r.Until.UTC().Format("2006-01-02 15:04:05"))
		case "count":
			b.WriteString(plural(r.Count, noun))
		}
	}
}

// plural returns "3 targets", "1 target", or "3" without a noun.
func plural(n int, noun string) string {
	switch {
	case noun == "":
		return fmt.Sprint(n)
	case n == 1:
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

func word(words []string, i int) string {
	if i < len(words) {
		return words[i]
	}
	return fmt.Sprintf("%d", i)
}

func index(words []string, text, kind string) (int, error) {
	if i := slices.Index(words, text); i >= 0 {
		return i, nil
	}
	return 0, fmt.Errorf("there is no %s %q, only %s", kind, text, strings.Join(words, ", "))
}
