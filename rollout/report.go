package rollout

import "time"

// Target names one target of an entity. Group and name together are its identity.
type Target struct {
	Group string `json:"group,omitempty"`
	Name  string `json:"name"`
}

// String returns "group/name", or the name alone where there is no group.
func (t Target) String() string {
	if t.Group == "" {
		return t.Name
	}
	return t.Group + "/" + t.Name
}

// Health is how a target says it is.
type Health uint8

// The healths. Unhealthy may pass: a target that is asked to change has Policy.Limit to become
// healthy. Failed is final for the version it is about. Unsure is a target whose state nobody knows.
const (
	Healthy Health = iota
	Unhealthy
	Failed
	Unsure
)

var healths = []string{"healthy", "unhealthy", "failed", "unsure"}

// String returns "healthy", "unhealthy", "failed" or "unsure".
func (h Health) String() string { return word(healths, int(h)) }

// MarshalText is String.
func (h Health) MarshalText() ([]byte, error) { return []byte(h.String()), nil }

// UnmarshalText reads what String writes.
func (h *Health) UnmarshalText(text []byte) error {
	i, err := index(healths, string(text), "health")
	*h = Health(i)
	return err
}

// Report is what is known of one target at one time. A report may be lost, come twice, or come late: an
// older one than the last is ignored.
type Report struct {
	Target
	// Version is what the target runs now; "" is nothing.
	Version string `json:"version,omitempty"`
	// Attempted is the version that Health is about, where the target could not get as far as
	// running it: an installation that failed leaves Version as it was.
	Attempted string `json:"attempted,omitempty"`
	Health    Health `json:"health,omitempty"`
	// Message is what the target says, for people.
	Message string `json:"message,omitempty"`
	// Labels place the target for limits, spreading and budgets: zone, rack, service. nil leaves
	// them as they were. What is different for each target belongs into its name.
	Labels map[string]string `json:"labels,omitempty"`
	// Priority goes before the order of the policy: the higher, the earlier.
	Priority int32 `json:"priority,omitempty"`
	// At is when this was so; the zero time is the time of the step.
	At time.Time `json:"at,omitzero"`
	// Gone says that the target no longer exists.
	Gone bool `json:"gone,omitempty"`
}

// Answer is what a gate says.
type Answer struct {
	Gate string `json:"gate"`
	// Wave is the wave the question was about, as asked; answers about another are ignored. It
	// means nothing for gates that watch.
	Wave   int    `json:"wave,omitempty"`
	Result Result `json:"result"`
	Detail string `json:"detail,omitempty"`
}

// Result is the result of a gate.
type Result uint8

// The results. Undecided is every failure to find out: it holds the rollout up, and decides nothing.
const (
	Undecided Result = iota
	Pass
	Fail
)

var results = []string{"unknown", "pass", "fail"}

// String returns "unknown", "pass" or "fail".
func (r Result) String() string { return word(results, int(r)) }

// MarshalText is String.
func (r Result) MarshalText() ([]byte, error) { return []byte(r.String()), nil }

// UnmarshalText reads what String writes.
func (r *Result) UnmarshalText(text []byte) error {
	i, err := index(results, string(text), "result")
	*r = Result(i)
	return err
}

// Input is what one step is told.
type Input struct {
	// Now is the time. One that is earlier than that of the step before counts as the same.
	Now time.Time
	// Reports are about any of the targets; those with unknown names are new.
	Reports []Report
	// Others says that the caller knows all targets, and those it does not report are alive and
	// as they were. Without it no word of a target is no word.
	Others bool
	// Answers are those of gates.
	Answers []Answer
	// Chosen are the targets to ask, where Policy.Choose leaves that to the caller. Targets that are
	// not known are created. None beyond what the policy allows now is asked.
	Chosen []Report
	// Ledger, where set, holds the budgets shared with other rollouts. It is updated.
	Ledger *Ledger
	// Entity is the name under which this rollout stands in Ledger.
	Entity string
}
