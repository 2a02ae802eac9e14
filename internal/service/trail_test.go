package service_test

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"tutti/api"
	"tutti/bus"
	"tutti/internal/service"
	"tutti/internal/store"
	"tutti/internal/store/pgtest"
)

func TestFindEvents(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]func() store.Config{
		"sqlite":   func() store.Config { return store.Config{Dir: t.TempDir()} },
		"postgres": func() store.Config { return store.Config{URL: pgtest.URL(t)} },
	} {
		t.Run(name, func(t *testing.T) { findEvents(t, c()) })
	}
}

// findEvents looks among 1,200 events, one a minute, every third of which is in another namespace.
func findEvents(t *testing.T, c store.Config) {
	w := newWorld(t, c)
	start := time.Date(2026, 5, 4, 0, 0, 0, 0, time.UTC)
	at := func(i int) time.Time { return start.Add(time.Duration(i) * time.Minute) }
	var all []bus.Record
	for i := range 1200 {
		r := bus.Record{Type: "tutti.source.thing.happened", Subject: fmt.Sprintf("run_%d", i), Namespace: "default", Trace: fmt.Sprintf("%032x", i%7), At: at(i), Data: json.RawMessage(`{"state":"succeeded","requester":"user:anna","title":"Disk ` + fmt.Sprint(i) + `"}`)}
		if i%3 == 2 {
			r.Namespace = "other"
		}
		if i%100 == 0 {
			r.Data = json.RawMessage(`{"state":"failed","by":"user:bob","run":"run_x"}`)
		}
		all = append(all, r)
	}
	if err := w.source.DB.Tx(t.Context(), func(tx *store.Tx) error { return tx.EmitAll(all) }); err != nil {
		t.Fatal(err)
	}
	find := func(in service.ReadTrail) service.Trail[api.FoundEvent] {
		t.Helper()
		in.Namespace = "default"
		got, err := service.FindEvents("source").Call(bus.AsService(t.Context(), "gateway"), w.bus, in)
		if err != nil {
			t.Fatal(err)
		}
		return got
	}
	subjects := func(f api.TrailFilter, limit int) (out []string) {
		for before := int64(0); before != 1; {
			got := find(service.ReadTrail{Filter: f, Limit: limit, Before: before})
			for _, e := range got.Items {
				out = append(out, e.Subject)
			}
			before = got.Low
		}
		return out
	}
	if got := subjects(api.TrailFilter{}, 7); len(got) != 800 || got[0] != "run_1198" || got[799] != "run_0" {
		t.Errorf("all by seven = %d, from %s; want those of the namespace, newest first", len(got), got[0])
	}
	for _, c := range []struct {
		name string
		f    api.TrailFilter
		want []string
	}{
		{"a word", api.TrailFilter{Words: []string{"disk 1", "run_19"}}, []string{"run_199", "run_198", "run_196", "run_195", "run_193", "run_192", "run_190", "run_19"}},
		{"a state", api.TrailFilter{State: api.Failed, After: at(500)}, []string{"run_1000", "run_900", "run_700", "run_600"}},
		{"between times", api.TrailFilter{After: at(100), Before: at(104)}, []string{"run_103", "run_102", "run_100"}},
		{"a person", api.TrailFilter{By: "bob", Before: at(200)}, []string{"run_100", "run_0"}},
		{"an object", api.TrailFilter{Object: "run_119", Type: "source.thing"}, []string{"run_1198", "run_1197", "run_1195", "run_1194", "run_1192", "run_1191", "run_118"}[:6]},
		{"another type", api.TrailFilter{Type: "request"}, nil},
		{"another service", api.TrailFilter{Service: "workflow"}, nil},
	} {
		got := subjects(c.f, 3)
		if c.name == "an object" {
			got = got[:min(len(got), 6)]
		}
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", c.name, diff)
		}
	}
	counted := find(service.ReadTrail{Limit: 1, Buckets: 4, From: at(0), To: at(400)})
	want := []map[api.State]int{{api.Succeeded: 66, api.Failed: 1}, {api.Succeeded: 66, api.Failed: 1}, {api.Succeeded: 66}, {api.Succeeded: 66, api.Failed: 1}}
	if diff := cmp.Diff(want, counted.Buckets); diff != "" || len(counted.Items) != 1 || !counted.Counted.IsZero() {
		t.Errorf("counts until %v (-want +got):\n%s", counted.Counted, diff)
	}
	if e := find(service.ReadTrail{Limit: 1, Filter: api.TrailFilter{State: api.Failed}}).Items[0]; e.By != "user:bob" || e.Run != "run_x" || e.ID != "source/1001" {
		t.Errorf("found %+v; want what its data tells", e)
	}
}
