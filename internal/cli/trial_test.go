package cli

import (
	"encoding/json"
	"strings"
	"testing"

	"tutti/api"
)

func TestTrialLines(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ outputs, want string }{
		"terraform": {`{"plan": {"summary": {"add": 1, "change": 1}, "changes": [{"address": "vm.a", "action": "create", "attributes": [{"path": "cpu", "after": 2}, {"path": "id", "unknown": true}]},
			{"address": "vm.b", "action": "update", "attributes": [{"path": "cpu", "before": 2, "after": 4}, {"path": "key", "sensitive": true}]}]}, "check": null}`,
			"Terraform: 1 to add, 1 to change, 0 to destroy, 0 drifted|+ vm.a|cpu: 2|id: (known after it is applied)|~ vm.b|cpu: 2 → 4|key: (sensitive)"},
		"ansible": {`{"check": {"summary": {"hosts": 2, "changed": 1}, "changes": [{"host": "web", "task": "Install", "diff": "-a\n+b\n"}]}}`,
			"Ansible: 1 of 2 hosts would change, 0 failed, 0 unreachable|~ web: Install|-a|+b"},
		"other":       {`{"text": "fine"}`, `{"text": "fine"}`},
		"other shape": {`{"plan": "none"}`, `{"plan": "none"}`},
		"nothing":     {``, ``},
	} {
		var got []string
		for _, line := range trialLines(api.Preview{Run: "run_1", State: api.Succeeded, Outputs: json.RawMessage(c.outputs)})[1:] {
			got = append(got, strings.TrimSpace(line))
		}
		if s := strings.Join(got, "|"); s != c.want {
			t.Errorf("%s: trialLines = %s; want %s", name, s, c.want)
		}
	}
}
