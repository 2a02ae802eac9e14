package ansible

import (
	"cmp"
	"encoding/json"
	"maps"
	"slices"
)

// Host is how a job went on a host.
type Host struct {
	Host string `json:"host"`
	// State is the worst that happened: unreachable, failed, changed, ok or skipped.
	State  string `json:"state"`
	Counts `json:"counts"`
	// Task and Message are those of the failure, where there is one that was not ignored.
	Task    string `json:"task,omitempty"`
	Message string `json:"message,omitempty"`
}

// Change is what a task changed on a host, or would change.
type Change struct {
	Host   string `json:"host"`
	Task   string `json:"task"`
	Action string `json:"action,omitempty"`
	Item   string `json:"item,omitempty"`
	// Diff is a unified diff, where the module tells; of a long one the beginning.
	Diff string `json:"diff,omitempty"`
}

// Result is what a job did.
type Result struct {
	// Hosts are sorted by name.
	Hosts []Host `json:"hosts"`
	// Changes are by host, in the order they were made. Of very many the first are listed.
	Changes []Change `json:"changes"`
	Changed bool     `json:"changed"`
	// Digest identifies what the job was asked for and what it changed: two checks of one digest would do
	// the same. An approval is bound to it.
	Digest string `json:"digest"`
	// Values are what the playbook gave with set_stats.
	Values map[string]json.RawMessage `json:"values,omitempty"`
	// Cut says that not all changes are listed.
	Cut bool `json:"cut,omitempty"`
}

const (
	maxChanges = 500
	maxChanged = 128 << 10 // bytes of diffs
)

// Tally sums up the events of a job. The zero value is ready.
type Tally struct {
	hosts  map[string]*tallied
	counts map[string]Counts
	values map[string]json.RawMessage
}

type tallied struct {
	Host
	changes []Change
	marks   []string
}

// Add takes the next event.
func (t *Tally) Add(e Event) {
	switch e.Kind {
	case KindStats:
		t.counts, t.values = e.Counts, e.Values
		for name := range e.Counts {
			t.host(name)
		}
	case KindResult:
		if e.Host != "" {
			t.result(t.host(e.Host), e)
		}
	}
}

func (t *Tally) host(name string) *tallied {
	if t.hosts == nil {
		t.hosts = map[string]*tallied{}
	}
	h := t.hosts[name]
	if h == nil {
		h = &tallied{Host: Host{Host: name}}
		t.hosts[name] = h
	}
	return h
}

func (t *Tally) result(h *tallied, e Event) {
	item := ""
	if e.Item != nil {
		item = *e.Item
	}
	// Modules may fail after they changed something.
	if e.Status == Changed && !e.Loop {
		h.marks = append(h.marks, e.Task, e.Action, item, e.Mark)
		h.changes = append(h.changes, Change{Host: e.Host, Task: e.Task, Action: e.Action, Item: item, Diff: e.Diff})
	}
	if (e.Status == Failed || e.Status == Unreachable) && !e.Ignored && (h.Message == "" || e.Item != nil) {
		h.Task, h.Message = e.Task, e.Message
	}
	if e.Item != nil {
		return // the task's own result follows
	}
	switch c := &h.Counts; {
	case e.Status == Changed:
		c.OK++
		c.Changed++
	case e.Status == OK:
		c.OK++
	case e.Ignored:
		c.OK++
		c.Ignored++
	case e.Status == Failed:
		c.Failed++
	case e.Status == Unreachable:
		c.Unreachable++
	case e.Status == Skipped:
		c.Skipped++
	}
}

// Result returns the sum. inputs is what the job was asked for; key goes into the digest.
func (t *Tally) Result(key []byte, inputs ...string) Result {
	out := Result{Hosts: []Host{}, Changes: []Change{}, Values: t.values}
	marks := inputs
	size := 0
	for _, name := range sorted(t.hosts) {
		h := t.hosts[name]
		if c, ok := t.counts[name]; ok {
			h.Counts = c // Ansible's own; ours where it died before it counted
		}
		if h.Failed == 0 && h.Unreachable == 0 {
			h.Task, h.Message = "", "" // it was rescued
		}
		h.State = stateOf(h.Counts)
		out.Hosts = append(out.Hosts, h.Host)
		out.Changed = out.Changed || h.Counts.Changed > 0 || len(h.changes) > 0
		marks = append(append(marks, "host "+name), h.marks...)
		for _, c := range h.changes {
			if size += len(c.Diff); len(out.Changes) >= maxChanges || size > maxChanged {
				out.Cut = true
				break
			}
			out.Changes = append(out.Changes, c)
		}
	}
	out.Digest = mark(key, marks...)
	return out
}

func stateOf(c Counts) string {
	switch {
	case c.Unreachable > 0:
		return Unreachable
	case c.Failed > 0:
		return Failed
	case c.Changed > 0:
		return Changed
	case c.OK > 0 || c.Skipped == 0:
		return OK
	}
	return Skipped
}

func sorted[V any](m map[string]V) []string {
	return slices.SortedFunc(maps.Keys(m), cmp.Compare)
}
