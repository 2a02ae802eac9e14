package simulate

import (
	"encoding/json"
	"strconv"
	"time"

	"tutti/api"
	"tutti/errs"
)

// Scenario is what a simulated run meets. Its JSON is a part of the documents of kind Test. Tasks are
// named by patterns of their paths (see matches).
type Scenario struct {
	Workflow string          `json:"workflow"`
	Inputs   json.RawMessage `json:"inputs"`
	// Start is when the run starts; zero is the first second of 2026.
	Start     time.Time `json:"start"`
	Requester string    `json:"requester"` // default user:tester
	// Seed draws other sample values; one that is not 0 also draws how long tasks take, from 1s to 10s,
	// and so in which order they end.
	Seed  int64 `json:"seed"`
	Mocks Mocks `json:"mocks"`
	// Fail says how many first attempts of a task fail, as retryable.
	Fail map[string]int `json:"fail"`
	// Approvals are decided in the order of each list. Those that are not named are approved, unless
	// Automatic is false.
	Approvals map[string]Decisions `json:"approvals"`
	Signals   []Signal             `json:"signals"`
	Automatic *bool                `json:"automatic"`
	// Held are keys of limits of which somebody else has a place, and for how long.
	Held map[string]api.Duration `json:"held"`
	// Done are keys of once that were done before, with what came of it.
	Done   map[string]json.RawMessage `json:"done"`
	Cancel *Cancel                    `json:"cancel"`
	Pause  *Pause                     `json:"pause"`
	// Retry retries the run when it has ended badly or waits for somebody to do that.
	Retry *Retry `json:"retry"`
	// Undo undoes the run when it has ended.
	Undo bool `json:"undo"`

	// Recording is a recorded run that stands in for mocks that are not given.
	Recording *Recording `json:"-"`
	// MaxSteps bounds the run, where it is less than the MaxSteps of all; 0 is that.
	MaxSteps int `json:"-"`
	// Crash lets the engine lose its memory before every command.
	Crash bool `json:"-"`
}

// Mocks stand in for what tasks do: by the path of a task, else by its type.
type Mocks struct {
	Tasks map[string]Mock `json:"tasks"`
	Types map[string]Mock `json:"types"`
}

// Mock is what the attempts of a task come to. Sequence has one step for each; the last goes on.
type Mock struct {
	Step
	Sequence []Step `json:"sequence"`
}

// Step is what one attempt comes to: Failure, else Out, else a sample of the type's output.
type Step struct {
	// Out may hold ${{ expressions }} over `with`, the input, and `attempt`, its number.
	Out     json.RawMessage `json:"out"`
	Failure *api.Failure    `json:"failure"`
	// Duration is how long it takes; nil is 1s.
	Duration *api.Duration `json:"duration"`
}

// step returns what an attempt, from 1, comes to.
func (m Mock) step(attempt int) Step {
	if len(m.Sequence) == 0 {
		return m.Step
	}
	s := m.Sequence[min(attempt, len(m.Sequence))-1]
	if s.Duration == nil {
		s.Duration = m.Duration
	}
	return s
}

// Decisions are what people say to an approval, in order.
type Decisions []Decision

// UnmarshalJSON reads a decision or a list of them.
func (d *Decisions) UnmarshalJSON(b []byte) error {
	if len(b) > 0 && b[0] == '{' {
		*d = make(Decisions, 1)
		return json.Unmarshal(b, &(*d)[0])
	}
	return json.Unmarshal(b, (*[]Decision)(d))
}

// Decision is what somebody says to an approval.
type Decision struct {
	Decide string          `json:"decide"` // approve (default), reject, never
	By     string          `json:"by"`     // default somebody who may
	Roles  []string        `json:"roles"`  // what By is, beside a person; default what is asked for
	Reason string          `json:"reason"`
	Form   json.RawMessage `json:"form"` // default a sample of what is asked
	Digest *string         `json:"digest"`
	After  *api.Duration   `json:"after"` // from when it is asked; default 1s
}

// Signal is one that is sent.
type Signal struct {
	Name  string          `json:"name"`
	Data  json.RawMessage `json:"data"`
	After api.Duration    `json:"after"` // from the start of the run
	To    string          `json:"to"`    // the task whose sub-run gets it; default the run itself
}

// Cancel says when somebody cancels the run: after so many steps, or so long after its start.
type Cancel struct {
	Step  int          `json:"step"`
	After api.Duration `json:"after"`
}

// Pause says when somebody pauses the run and for how long; 0 is for ever.
type Pause struct {
	After api.Duration `json:"after"`
	For   api.Duration `json:"for"`
}

// Retry says what is retried: a task with another input, or, without one, all that failed.
type Retry struct {
	Task  string          `json:"task"`
	Input json.RawMessage `json:"input"`
}

// Recording is a run that took place, as its export gives it. Fields it does not know are ignored.
type Recording struct {
	// Definition is the workflow, as a document or as the text of one.
	Definition json.RawMessage `json:"definition"`
	// Called are the workflows that it called, as Definition is given.
	Called   []json.RawMessage `json:"called,omitempty"`
	Workflow string            `json:"workflow"`
	Inputs   json.RawMessage   `json:"inputs"`
	Tasks    []Recorded        `json:"tasks"`
}

// Recorded is a task of a recorded run. Tasks of sub-runs have paths such as call/task.
type Recorded struct {
	Path    string          `json:"path"`
	Use     string          `json:"use"`
	State   api.State       `json:"state"`
	Input   json.RawMessage `json:"input"`
	Output  json.RawMessage `json:"output"`
	Failure *api.Failure    `json:"failure"`
	Started time.Time       `json:"started"`
	Ended   time.Time       `json:"ended"`
	// Attempts are its tries; without them there was one.
	Attempts []api.Attempt `json:"attempts"`
}

// ReadRecording reads a recorded run from JSON. It returns errs.Invalid.
func ReadRecording(data []byte) (*Recording, error) {
	var r Recording
	if err := json.Unmarshal(data, &r); err != nil {
		return nil, errs.New(errs.Invalid, "this is not a recorded run: %w", err)
	}
	if len(r.Tasks) == 0 {
		return nil, errs.New(errs.Invalid, "this is not a recorded run: it has no tasks").WithHint("it is JSON with definition, inputs and tasks: [{path, output, failure, started, ended}]")
	}
	return &r, nil
}

// Files returns the definitions as files, where the recording has them.
func (r *Recording) Files() (files []api.SourceFile) {
	if r == nil {
		return nil
	}
	for i, raw := range append([]json.RawMessage{r.Definition}, r.Called...) {
		if len(raw) == 0 || string(raw) == "null" {
			continue
		}
		var text string
		if json.Unmarshal(raw, &text) != nil {
			text = string(raw)
		}
		name := "recording"
		if i > 0 {
			name += "/" + strconv.Itoa(i)
		}
		files = append(files, api.SourceFile{Name: name, Text: text})
	}
	return files
}

// mock returns what a task did in the recorded run.
func (r *Recording) mock(path string) (Mock, bool) {
	if r == nil {
		return Mock{}, false
	}
	for i := range r.Tasks {
		t := &r.Tasks[i]
		if t.Path != path || t.Failure == nil && len(t.Output) == 0 && t.Ended.IsZero() {
			continue
		}
		last := Step{Out: t.Output, Failure: t.Failure, Duration: between(t.Started, t.Ended)}
		if len(last.Out) == 0 && last.Failure == nil {
			last.Out = json.RawMessage("{}")
		}
		if len(t.Attempts) < 2 {
			return Mock{Step: last}, true
		}
		var m Mock
		for _, a := range t.Attempts {
			s := Step{Failure: a.Failure, Duration: between(a.Started, a.Ended)}
			if a.Failure == nil {
				s = last
			}
			m.Sequence = append(m.Sequence, s)
		}
		return m, true
	}
	return Mock{}, false
}

// below says whether a recorded run has tasks below a call.
func (r *Recording) below(call string) bool {
	if r == nil {
		return false
	}
	for i := range r.Tasks {
		if len(r.Tasks[i].Path) > len(call) && r.Tasks[i].Path[:len(call)+1] == call+"/" {
			return true
		}
	}
	return false
}

func between(from, to time.Time) *api.Duration {
	if from.IsZero() || to.Before(from) {
		return nil
	}
	d := api.Duration(to.Sub(from))
	return &d
}
