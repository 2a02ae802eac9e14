package browsertest

import (
	"fmt"

	"tutti/api"
)

// reports are n targets, the first k of which run v2.
func reports(n, k int) []api.RolloutReport {
	all := make([]api.RolloutReport, n)
	for i := range all {
		all[i] = api.RolloutReport{Group: "eu", Name: fmt.Sprintf("web-%04d", i+1), Version: "v1", Labels: map[string]string{"zone": string(rune('a' + i%3))}}
		if i < k {
			all[i].Version = "v2"
		}
	}
	return all
}

// rollOut gives an entity n targets, of which the first 3 have gone from v1 to v2, and 6 are asked.
func (s *Site) rollOut(entity string, n int) {
	s.t.Helper()
	in := api.RolloutIn{NS: api.NS{Namespace: "default"}, Entity: entity}
	Call(s, s.Olga, api.SetRolloutPolicy, api.SetRolloutPolicyIn{RolloutIn: in, Body: api.RolloutPolicy{Waves: []string{"3", "9", "50%"}}})
	Call(s, s.Olga, api.CommandRollout, api.CommandRolloutIn{RolloutIn: in, Verb: "mark-good", Body: api.RolloutCommand{Version: "v1"}})
	Call(s, s.Olga, api.CommandRollout, api.CommandRolloutIn{RolloutIn: in, Verb: "set-version", Body: api.RolloutCommand{Version: "v2"}})
	Call(s, s.Olga, api.Orchestrate, api.OrchestrateIn{RolloutIn: in, Body: api.OrchestrateBody{Reports: reports(n, 0)}})
	Call(s, s.Olga, api.Orchestrate, api.OrchestrateIn{RolloutIn: in, Body: api.OrchestrateBody{Reports: reports(n, 3)}})
}
