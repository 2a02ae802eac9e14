package request

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"tutti/api"
)

func TestCounter(t *testing.T) {
	t.Parallel()
	c := counter{states: map[api.State]int{}, uses: map[string]*api.EntryUse{}, took: map[string][]time.Duration{}}
	at := time.Unix(1_800_000_000, 0)
	for i, state := range []api.State{api.Succeeded, api.Succeeded, api.Failed, api.Running} {
		c.add("vm", state, at.Add(time.Duration(i)*time.Hour), at.Add(time.Duration(i)*time.Hour+time.Duration(i+1)*time.Minute))
	}
	c.add("dns", api.Pending, at, time.Time{})
	want := api.RequestCounts{
		States: map[api.State]int{api.Succeeded: 2, api.Failed: 1, api.Running: 1, api.Pending: 1},
		Entries: []api.EntryUse{{Entry: "dns", Requests: 1, Last: at},
			{Entry: "vm", Requests: 4, Succeeded: 2, Failed: 1, Last: at.Add(3 * time.Hour), P50: api.Duration(time.Minute), P90: api.Duration(2 * time.Minute)}},
	}
	if diff := cmp.Diff(want, c.counts()); diff != "" {
		t.Errorf("counts (-want +got):\n%s", diff)
	}
}
