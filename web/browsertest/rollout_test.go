package browsertest

import "testing"

// A person watches a rollout, pauses it, goes on, and rolls it back; a large fleet is painted.
func TestRolloutBoard(t *testing.T) {
	t.Parallel()
	b := Open(t)
	s := Serve(t)
	s.rollOut("app-service", 40)
	s.rollOut("edge", 5000)
	tab := b.Tab(t, s.Server, s.Session("olga"))
	tab.Resize(1440, 900, "light")
	tab.Go("/rollouts")
	tab.See("app-service")
	tab.Go("/rollouts/app-service")
	tab.See("rolls back at 1 failure, now 0")
	tab.See("Wave 2")
	tab.Until("a cell for each target that was asked", `document.querySelectorAll('.cells i').length === 9`)
	tab.Click("Pause p")
	tab.See("Paused")
	tab.Click("Resume p")
	tab.Gone("paused by")
	tab.Click("Abort and roll back…")
	tab.See("Only the targets it has reached go back to v1")
	tab.Click("Roll back 9 targets to v1")
	tab.See("Rolling back")
	tab.Go("/rollouts/edge")
	tab.See("3 of 5,000")
	tab.Until("the waves that have begun to be painted", `document.querySelectorAll('.painted canvas').length === 2`)
}
