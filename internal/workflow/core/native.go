package core

import (
	"crypto/sha256"
	"encoding/base32"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"tutti/api"
)

// childID names the sub-run of a task. It is derived, so that repeating the start finds the same run.
func (r *Run) childID(n *node) api.RunID {
	h := sha256.Sum256(fmt.Appendf(nil, "%s\x00%s\x00%d", r.ID, n.path, r.Seq))
	const alphabet = "0123456789abcdefghjkmnpqrstvwxyz"
	return api.RunID("run_" + base32.NewEncoding(alphabet).WithPadding(base32.NoPadding).EncodeToString(h[:10]))
}

func (r *Run) startRun(n *node, e Event, workflow string) {
	e.Type = Started
	id := r.childID(n)
	e.Child, e.Until = string(id), r.after(n.task.Timeout)
	r.emit(e)
	r.effects.StartRuns = append(r.effects.StartRuns, StartRun{ID: id, Workflow: workflow, Path: n.path, Input: n.input})
}

// waitInput is the input of a `wait` task.
type waitInput struct {
	For   string `json:"for"`
	Until string `json:"until"`
}

func (r *Run) startWait(n *node, e Event) {
	var in waitInput
	var at int64
	err := json.Unmarshal(e.Input, &in)
	switch {
	case err != nil:
	case in.For != "" && in.Until == "":
		var d time.Duration
		if d, err = api.ParseDuration(in.For); err == nil {
			at = r.now + d.Microseconds()
		}
	case in.Until != "" && in.For == "":
		var t time.Time
		if t, err = time.Parse(time.RFC3339, in.Until); err == nil {
			at = max(t.UnixMicro(), r.now)
		}
	default:
		err = fmt.Errorf("give either for (a duration) or until (a time as in RFC 3339)")
	}
	if err != nil {
		r.fail(n, api.Failure{Type: "invalid", Message: "wait: " + err.Error()})
		return
	}
	e.Type, e.Until = Waits, at
	e.Reason = &api.Reason{Kind: "timer", Text: "it waits for a time", Until: micros(at)}
	r.emit(e)
}

// approvalInput is the input of an `approval` task.
type approvalInput struct {
	Text  string `json:"text"`
	To    list   `json:"to"`
	NotBy list   `json:"notBy"`
	Show  any    `json:"show"`
}

// list accepts one text in place of a list of texts.
type list []string

// UnmarshalJSON reads a text, a list of texts or null.
func (l *list) UnmarshalJSON(b []byte) error {
	var one string
	if err := json.Unmarshal(b, &one); err == nil {
		if one != "" {
			*l = list{one}
		}
		return nil
	}
	return json.Unmarshal(b, (*[]string)(l))
}

func (r *Run) startApproval(n *node, e Event) {
	var in approvalInput
	if err := json.Unmarshal(e.Input, &in); err != nil {
		r.fail(n, api.Failure{Type: "invalid", Message: "approval: " + err.Error()})
		return
	}
	e.Type, e.Until = Waits, r.after(n.task.Timeout)
	e.Reason = &api.Reason{Kind: "approval", Text: "it waits for an approval"}
	if e.Until > 0 {
		e.Reason.Until = micros(e.Until)
	}
	r.emit(e)
}

// Approvals returns the approvals that wait, oldest first.
func (r *Run) Approvals() []api.Approval {
	var out []api.Approval
	for _, n := range r.order {
		if a := r.approval(n); a != nil && !n.dead {
			out = append(out, *a)
		}
	}
	slices.SortStableFunc(out, func(a, b api.Approval) int { return a.Asked.Compare(b.Asked) })
	return out
}

// Approval returns what the task at path asks, or nil.
func (r *Run) Approval(path string) *api.Approval {
	n := r.nodes[path]
	if n == nil {
		return nil
	}
	return r.approval(n)
}

func (r *Run) approval(n *node) *api.Approval {
	if n.task.Use != "approval" || n.state != api.Waiting || n.reason == nil || n.reason.Kind != "approval" {
		return nil
	}
	var in approvalInput
	_ = json.Unmarshal(n.input, &in) // it was read when it was asked
	a := &api.Approval{Run: r.ID, Task: n.path, Namespace: r.Namespace, Workflow: r.Workflow, Trace: r.Trace, Requester: r.Requester,
		Text: in.Text, To: in.To, NotBy: in.NotBy, Show: in.Show, Asked: micros(n.asked)}
	if n.until > 0 {
		a.Expires = micros(n.until)
	}
	return a
}
