package request

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"tutti/api"
)

func TestCompare(t *testing.T) {
	t.Parallel()
	change := func(path, before, after string) api.FieldChange {
		c := api.FieldChange{Path: path}
		if before != "" {
			c.Before = json.RawMessage(before)
		}
		if after != "" {
			c.After = json.RawMessage(after)
		}
		return c
	}
	for _, c := range []struct {
		before, after string
		want          []api.FieldChange
	}{
		{`{"a":1}`, `{"a":1}`, []api.FieldChange{}},
		{``, ``, []api.FieldChange{}},
		{`{"a":1,"b":{"c":2,"d":3}}`, `{"a":2,"b":{"c":2,"d":4}}`, []api.FieldChange{change("a", "1", "2"), change("b.d", "3", "4")}},
		{`{"disks":[{"gb":1},{"gb":2}]}`, `{"disks":[{"gb":1},{"gb":3},{"gb":4}]}`, []api.FieldChange{change("disks[1].gb", "2", "3"), change("disks[2]", "", `{"gb":4}`)}},
		{`{"a":{"b":1}}`, `{"a":"text"}`, []api.FieldChange{change("a", `{"b":1}`, `"text"`)}},
		{``, `{"a":null,"b":{"c":1}}`, []api.FieldChange{change("a", "", "null"), change("b", "", `{"c":1}`)}},
		{`{"n":9007199254740993}`, `{"n":9007199254740992}`, []api.FieldChange{change("n", "9007199254740993", "9007199254740992")}},
	} {
		got, err := compare(json.RawMessage(c.before), json.RawMessage(c.after))
		if diff := cmp.Diff(c.want, got); diff != "" || err != nil {
			t.Errorf("compare(%s, %s) %v (-want +got):\n%s", c.before, c.after, err, diff)
		}
	}
}

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
