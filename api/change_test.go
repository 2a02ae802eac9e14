package api

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestCompare(t *testing.T) {
	t.Parallel()
	change := func(path, before, after string) FieldChange {
		c := FieldChange{Path: path}
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
		want          []FieldChange
	}{
		{`{"a":1}`, `{"a":1}`, []FieldChange{}},
		{``, ``, []FieldChange{}},
		{`{"a":1,"b":{"c":2,"d":3}}`, `{"a":2,"b":{"c":2,"d":4}}`, []FieldChange{change("a", "1", "2"), change("b.d", "3", "4")}},
		{`{"disks":[{"gb":1},{"gb":2}]}`, `{"disks":[{"gb":1},{"gb":3},{"gb":4}]}`, []FieldChange{change("disks[1].gb", "2", "3"), change("disks[2]", "", `{"gb":4}`)}},
		{`{"a":{"b":1}}`, `{"a":"text"}`, []FieldChange{change("a", `{"b":1}`, `"text"`)}},
		{``, `{"a":null,"b":{"c":1}}`, []FieldChange{change("a", "", "null"), change("b", "", `{"c":1}`)}},
		{`{"n":9007199254740993}`, `{"n":9007199254740992}`, []FieldChange{change("n", "9007199254740993", "9007199254740992")}},
		{`{"n":10,"m":-0}`, `{"n":10.0,"m":0}`, []FieldChange{}},
		{`{"n":null}`, `{}`, []FieldChange{change("n", "null", "")}},
		{`{"n":[]}`, `{"n":{}}`, []FieldChange{change("n", "[]", "{}")}},
		{`{"n":"1"}`, `{"n":1}`, []FieldChange{change("n", `"1"`, "1")}},
	} {
		got, err := Compare(json.RawMessage(c.before), json.RawMessage(c.after), 0)
		if diff := cmp.Diff(c.want, got); diff != "" || err != nil {
			t.Errorf("Compare(%s, %s) %v (-want +got):\n%s", c.before, c.after, err, diff)
		}
	}
	if got, err := Compare(json.RawMessage(`{"a":1,"b":[1,2],"c":3}`), nil, 2); len(got) != 2 || err != nil {
		t.Errorf("Compare(…, 2) = %v, %v; want two changes", got, err)
	}
	if _, err := Compare(json.RawMessage(`{`), nil, 0); err == nil {
		t.Error("Compare of what is no JSON gives no error")
	}
}
