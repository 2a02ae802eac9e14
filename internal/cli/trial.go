package cli

import (
	"cmp"
	"encoding/json"
	"fmt"
	"strings"

	"tutti/api"
	"tutti/internal/cli/output"
)

// tried is what a trial run says of Terraform and of Ansible, of which the rest is left out.
type tried struct {
	Plan *struct {
		Summary struct{ Add, Change, Destroy, Drifted int }
		Changes []struct {
			Address, Action string
			Attributes      []struct {
				Path               string
				Before, After      json.RawMessage
				Unknown, Sensitive bool
			}
		}
		Cost *struct{ Delta string }
	}
	Check *struct {
		Summary struct{ Hosts, Changed, Failed, Unreachable int }
		Changes []struct{ Host, Task, Diff string }
	}
}

// actionSigns are those of Terraform's plans.
var actionSigns = map[string]string{"create": "+", "update": "~", "replace": "±", "delete": "-", "read": "<", "forget": "x", "import": ">"}

// maxTriedLines bounds what is printed of one trial run.
const maxTriedLines = 200

// trialLines are what a trial run says, in lines for a person: its plan and its check for what they are, and
// anything else as JSON.
func trialLines(t api.Preview) (out []string) {
	say := func(format string, args ...any) { out = append(out, output.Clean(fmt.Sprintf(format, args...))) }
	say("trial run %s is %s  %s", t.Run, t.State, t.Failure)
	var got tried
	if json.Unmarshal(t.Outputs, &got) != nil || got.Plan == nil && got.Check == nil {
		if len(t.Outputs) > 0 {
			say("  %s", t.Outputs)
		}
		return out
	}
	if p := got.Plan; p != nil {
		say("  Terraform: %d to add, %d to change, %d to destroy, %d drifted", p.Summary.Add, p.Summary.Change, p.Summary.Destroy, p.Summary.Drifted)
		for _, c := range p.Changes {
			say("    %s %s", cmp.Or(actionSigns[c.Action], c.Action), c.Address)
			for _, a := range c.Attributes {
				say("        %s: %s", a.Path, attribute(a.Before, a.After, a.Unknown, a.Sensitive))
			}
		}
		if p.Cost != nil {
			say("    costs %s a month more", p.Cost.Delta)
		}
	}
	if c := got.Check; c != nil {
		say("  Ansible: %d of %d hosts would change, %d failed, %d unreachable", c.Summary.Changed, c.Summary.Hosts, c.Summary.Failed, c.Summary.Unreachable)
		for _, x := range c.Changes {
			say("    ~ %s: %s", x.Host, x.Task)
			for line := range strings.Lines(x.Diff) {
				say("        %s", strings.TrimRight(line, "\n"))
			}
		}
	}
	if len(out) > maxTriedLines {
		more := len(out) - maxTriedLines
		out = append(out[:maxTriedLines], fmt.Sprintf("  … and %d lines more: tutti run show %s -o json", more, t.Run))
	}
	return out
}

func attribute(before, after json.RawMessage, unknown, sensitive bool) string {
	switch {
	case sensitive:
		return "(sensitive)"
	case unknown && len(before) == 0:
		return "(known after it is applied)"
	case unknown:
		return string(before) + " → (known after it is applied)"
	case len(before) == 0:
		return string(after)
	case len(after) == 0:
		return string(before) + " → none"
	}
	return string(before) + " → " + string(after)
}
