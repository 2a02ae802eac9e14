package cli

import (
	"strings"
	"testing"
	"time"

	"tutti/api"
)

// As of an event, what waits has waited until then.
func TestRunWhyAt(t *testing.T) {
	t.Parallel()
	s := newStandIn(t)
	s.on("GET "+ns+"/runs/run_aaaaaaaaaaaaaaaa/why", api.Why{Run: "run_aaaaaaaaaaaaaaaa", State: api.Running, Items: []api.WhyItem{{Run: "run_aaaaaaaaaaaaaaaa", Task: "rest", State: api.Waiting, Since: day,
		Reasons: []api.Reason{{Kind: "timer", Text: "it waits for a time", Until: day.Add(time.Hour)}}}}})
	s.on("GET "+ns+"/runs/run_aaaaaaaaaaaaaaaa/events", api.Page[api.RunEvent]{Items: []api.RunEvent{{Seq: 7, At: day.Add(20 * time.Minute)}}})
	r := s.cli("run", "why", "run_aaaaaaaaaaaaaaaa", "--at", "7")
	if r.code != 0 || !strings.Contains(r.out, "\t20m\t") || !strings.Contains(r.out, "40m left") {
		t.Errorf("run why --at = %+v; want 20m waited, 40m left", r)
	}
}
