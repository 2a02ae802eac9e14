package task

import (
	"time"

	"tutti/api"
)

// Ask says whom to ask for approval.
type Ask struct {
	Text    string       `json:"text,omitempty" doc:"What is asked; by default what would be done" maxLength:"2000"`
	To      []string     `json:"to,omitempty" doc:"Who may decide: role:NAME, user:NAME; by default approvers and admins" maxItems:"50"`
	NotBy   string       `json:"notBy,omitempty" doc:"Who may not" maxLength:"200"`
	Timeout api.Duration `json:"timeout,omitempty" doc:"How long it is waited for; by default 7d"`
}

// askFor is how long an answer is waited for.
const askFor = 7 * 24 * time.Hour

// Approval returns the task that asks, bound to a digest, showing what show has; those two are templates. text
// is asked where a says nothing else; why, unless "", is added to it. The task does not fail its group: what
// follows looks at its status.
func (a Ask) Approval(title, text, why string, digest any, show map[string]any) map[string]any {
	if a.Text != "" {
		text = a.Text
	}
	if why != "" {
		text += " (" + why + ")"
	}
	to := a.To
	if len(to) == 0 {
		to = []string{"role:approver", "role:admin"}
	}
	with := map[string]any{"text": Literal(text), "to": LiteralValue(to), "digest": digest, "show": show}
	if a.NotBy != "" {
		with["notBy"] = Literal(a.NotBy)
	}
	timeout := a.Timeout
	if timeout <= 0 {
		timeout = api.Duration(askFor)
	}
	return map[string]any{"title": title, "use": "approval", "onError": "continue", "timeout": timeout.String(), "with": with}
}
