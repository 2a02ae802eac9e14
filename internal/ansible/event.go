package ansible

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"strings"
)

// Event is something that happened in a job.
type Event struct {
	Kind string `json:"kind"`
	// Play and Task are the names of what goes on, Action the module; At is the place of the task, as
	// file:line.
	Play   string `json:"play,omitempty"`
	Task   string `json:"task,omitempty"`
	Action string `json:"action,omitempty"`
	At     string `json:"at,omitempty"`
	// Host and Status are those of a result.
	Host   string `json:"host,omitempty"`
	Status string `json:"status,omitempty"`
	// Item is one of a loop; Loop says that the result sums up items that were told before.
	Item *string `json:"item,omitempty"`
	Loop bool    `json:"loop,omitempty"`
	// Ignored says that the playbook does not mind the failure.
	Ignored bool   `json:"ignored,omitempty"`
	Message string `json:"message,omitempty"`
	// Diff is what changes, as a unified diff, of a long one the beginning; Mark identifies the whole of
	// it, secrets included, without giving them away.
	Diff string `json:"diff,omitempty"`
	Mark string `json:"mark,omitempty"`
	// Counts are by host, and Values are what the playbook gave with set_stats; of KindStats.
	Counts map[string]Counts          `json:"counts,omitempty"`
	Values map[string]json.RawMessage `json:"values,omitempty"`
}

// The kinds of events.
const (
	KindPlay   = "play"   // a play begins
	KindTask   = "task"   // a task begins
	KindResult = "result" // a task, or an item of its loop, ended on a host
	KindNote   = "note"   // a warning, or anything else that is said
	KindStats  = "stats"  // all is done
)

// The statuses of results.
const (
	OK          = "ok"
	Changed     = "changed"
	Failed      = "failed"
	Unreachable = "unreachable"
	Skipped     = "skipped"
)

// Counts are how many tasks ended how on a host, as Ansible counts: ok includes changed.
type Counts struct {
	OK          int `json:"ok"`
	Changed     int `json:"changed"`
	Failed      int `json:"failed"`
	Unreachable int `json:"unreachable"`
	Skipped     int `json:"skipped"`
	Rescued     int `json:"rescued,omitempty"`
	Ignored     int `json:"ignored,omitempty"`
}

// Line returns an event as a line of a log, or several where there is a diff; "" where there is nothing
// to say.
func (e Event) Line() string {
	switch e.Kind {
	case KindPlay:
		return "PLAY " + e.Play
	case KindTask:
		return "TASK " + e.Task
	case KindNote:
		return e.Message
	case KindResult:
		return e.resultLine()
	case KindStats:
		var out []string
		for _, host := range sorted(e.Counts) {
			c := e.Counts[host]
			out = append(out, fmt.Sprintf("%s: ok=%d changed=%d unreachable=%d failed=%d skipped=%d rescued=%d ignored=%d", host, c.OK, c.Changed, c.Unreachable, c.Failed, c.Skipped, c.Rescued, c.Ignored))
		}
		return strings.Join(out, "\n")
	}
	return ""
}

func (e Event) resultLine() string {
	out := e.Host + ": " + e.Status
	if e.Ignored {
		out += " (ignored)"
	}
	if e.Task != "" {
		out += " " + e.Task
	}
	if e.Item != nil {
		out += " [" + oneLine(*e.Item, 200) + "]"
	}
	if m := strings.TrimSpace(e.Message); m != "" {
		out += ": " + m
	}
	if e.Diff != "" {
		out += "\n" + strings.TrimRight(e.Diff, "\n")
	}
	return out
}

// Answer is what a module answered, as far as anybody is told.
type Answer struct {
	Changed bool            `json:"changed"`
	Msg     json.RawMessage `json:"msg,omitempty"`
	Stderr  string          `json:"stderr,omitempty"`
	// ModuleStderr is what a module printed that broke.
	ModuleStderr string          `json:"module_stderr,omitempty"`
	Reason       json.RawMessage `json:"reason,omitempty"`
	SkipReason   json.RawMessage `json:"skip_reason,omitempty"`
	Diff         json.RawMessage `json:"diff,omitempty"`
	// Dest and Path are the file it is about, where it is about one.
	Dest json.RawMessage `json:"dest,omitempty"`
	Path json.RawMessage `json:"path,omitempty"`
}

const (
	maxMessage = 4 << 10
	maxDiff    = 16 << 10
)

// Into completes the event of a result: message, diff and mark. key goes into the mark.
func (a Answer) Into(e *Event, key []byte) {
	switch {
	case e.Status == Skipped:
		e.Message = words(a.SkipReason)
	case e.Status == Failed || e.Status == Unreachable || strings.TrimPrefix(e.Action, "ansible.builtin.") == "debug":
		e.Message = words(a.Msg)
		for _, more := range []string{words(a.Reason), a.Stderr, a.ModuleStderr} {
			if m := strings.TrimSpace(more); m != "" && !strings.Contains(e.Message, m) {
				e.Message = strings.TrimSpace(e.Message + "\n" + m)
			}
		}
	}
	if text := diffText(a.Diff, cmp.Or(words(a.Dest), words(a.Path))); text != "" {
		e.Mark, e.Diff = mark(key, text), text
	}
}

// Trim cuts what is too long to be told. Secrets are to be taken out before: half of one would not be found.
func (e *Event) Trim() {
	e.Message, e.Diff = cut(e.Message, maxMessage), cut(e.Diff, maxDiff)
}

// words returns what a module says, which may be more than text.
func words(raw json.RawMessage) string {
	var s string
	if json.Unmarshal(raw, &s) == nil {
		return s
	}
	if raw = bytes.TrimSpace(raw); len(raw) == 0 || string(raw) == "null" {
		return ""
	}
	return string(raw)
}
