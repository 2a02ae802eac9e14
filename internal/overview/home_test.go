package overview

import (
	"strings"
	"testing"

	"tutti/api"
)

func TestNewestFailed(t *testing.T) {
	t.Parallel()
	got := newestFailed([]api.Request{
		{ID: "5", Trace: "a", State: api.Running}, {ID: "4", Trace: "b", State: api.Failed}, {ID: "3", Trace: "a", State: api.Failed},
		{ID: "2", Trace: "b", State: api.Failed}, {ID: "1", Trace: "c", State: api.Succeeded},
	})
	if len(got) != 1 || got[0].ID != "4" {
		t.Errorf("newestFailed = %+v; want the newest of b, and nothing of what was submitted again", got)
	}
}

func TestPresent(t *testing.T) {
	t.Parallel()
	up, down := present([]api.Presence{{Name: "a", State: "up"}, {Name: "a", State: "down"}, {Name: "b", State: "down"}, {Name: "b", State: "down"}})
	var names []string
	for _, p := range down {
		names = append(names, p.Name)
	}
	if up != 1 || strings.Join(names, " ") != "b" {
		t.Errorf("present = %d, %v; want one up, and b down once", up, names)
	}
}
