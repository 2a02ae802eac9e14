package converge

import (
	"context"
	"encoding/json"
	"log/slog"
	"strings"
	"testing"
	"time"

	"tutti/api"
	"tutti/bus"
	"tutti/bus/membus"
	"tutti/errs"
	"tutti/internal/service"
	"tutti/internal/store"
	"tutti/internal/store/pgtest"
)

// world is the service with stand-ins for its neighbours.
type world struct {
	*Service
	t         *testing.T
	ctx       context.Context
	doc       string // the resource type
	resources map[string]string
	run       api.Run // what run.get answers
	starts    []api.StartRunIn
}

func newWorld(t *testing.T, c store.Config) *world {
	t.Helper()
	b := bus.New(&membus.Bus{}, []byte("a key for tests"), api.Allow)
	db, err := store.Open(t.Context(), c, "converge", Migrations)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	s, err := New(service.Deps{Name: "converge", DB: db, Bus: b, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	w := &world{Service: s.(*Service), t: t, ctx: bus.AsService(t.Context(), "converge"), resources: map[string]string{"web-01": `{"name": "web-01", "cpu": 2}`}}
	def := func() api.Definition {
		return api.Definition{Kind: api.KindResourceType, Name: "vm", Namespace: "default", Digest: w.doc, Publisher: "user:ann"}
	}
	err = api.ListNamespaces.Handle(t.Context(), b, func(context.Context, api.Nothing) (api.Page[api.Namespace], error) {
		return api.Page[api.Namespace]{Items: []api.Namespace{{Name: "default"}}}, nil
	})
	w.must(err)
	w.must(api.ListDefinitions.Handle(t.Context(), b, func(_ context.Context, in api.ListDefinitionsIn) (api.Page[api.Definition], error) {
		return api.Page[api.Definition]{Items: []api.Definition{def()}}, nil
	}))
	w.must(api.GetDefinition.Handle(t.Context(), b, func(context.Context, api.GetDefinitionIn) (api.Definition, error) {
		d := def()
		d.Document = json.RawMessage(w.doc)
		return d, nil
	}))
	w.must(api.ListResources.Handle(t.Context(), b, func(_ context.Context, in api.ListResourcesIn) (out api.Page[api.Resource], err error) {
		for name := range w.resources {
			out.Items = append(out.Items, api.Resource{Namespace: "default", Type: in.Type, Name: name})
		}
		return out, nil
	}))
	w.must(api.GetResource.Handle(t.Context(), b, func(_ context.Context, in api.ResourceIn) (api.Resource, error) {
		spec, ok := w.resources[in.Name]
		if !ok {
			return api.Resource{}, errs.New(errs.NotFound, "no such resource")
		}
		return api.Resource{Type: in.Type, Name: in.Name, Spec: json.RawMessage(spec)}, nil
	}))
	w.must(api.GetRun.Handle(t.Context(), b, func(context.Context, api.GetRunIn) (api.Run, error) { return w.run, nil }))
	return w
}

func (w *world) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

// at lets the service look at a time, and returns the starts it intends.
func (w *world) at(now time.Time) (keys []string) {
	w.t.Helper()
	w.must(w.tick(w.ctx, now))
	rows, err := w.d.DB.Query(w.ctx, `SELECT intent, input FROM converge_intents ORDER BY intent`)
	w.must(err)
	defer rows.Close()
	w.starts = nil
	for rows.Next() {
		var key, input string
		w.must(rows.Scan(&key, &input))
		var in api.StartRunIn
		w.must(json.Unmarshal([]byte(input), &in))
		keys, w.starts = append(keys, key), append(w.starts, in)
	}
	w.must(rows.Err())
	return keys
}

const hourly = `{"kind": "ResourceType", "name": "vm", "converge": {"every": "1h", "workflow": "vm.converge"}}`

func TestDueOnce(t *testing.T) {
	t.Parallel()
	for name, config := range map[string]func(*testing.T) store.Config{
		"sqlite":   func(t *testing.T) store.Config { return store.Config{Dir: t.TempDir()} },
		"postgres": func(t *testing.T) store.Config { return store.Config{URL: pgtest.URL(t)} },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, config(t))
			w.doc = hourly
			noon := time.Date(2026, 11, 28, 12, 0, 0, 0, time.UTC)
			for _, now := range []time.Time{noon.Add(10 * time.Minute), noon.Add(59 * time.Minute)} {
				if got := w.at(now); len(got) != 0 {
					t.Fatalf("at %v runs are started: %v; want the first at the next full hour", now, got)
				}
			}
			for range 3 { // as often as it is looked, and whoever looks
				if got := w.at(noon.Add(time.Hour)); len(got) != 1 {
					t.Fatalf("at 13:00 the runs are %v; want one", got)
				}
			}
			in := w.starts[0].Body
			if in.Workflow != "vm.converge" || in.Requester != "user:ann" || !strings.Contains(string(in.Inputs), `"resources":[{"name":"web-01"`) || !strings.Contains(string(in.Inputs), `"cpu":2`) {
				t.Errorf("the run is %+v %s", in, in.Inputs)
			}
			// Hours without a server are one run.
			if got := w.at(noon.Add(9*time.Hour + time.Minute)); len(got) != 2 {
				t.Errorf("after a rest the runs are %v; want one more", got)
			}
			// One goes on: the next does not begin beside it.
			w.must(w.d.DB.Tx(w.ctx, func(tx *store.Tx) error {
				return w.started(w.ctx, tx, w.starts[1].Key, w.starts[1], api.Run{ID: "run_1"}, nil)
			}))
			w.run = api.Run{ID: "run_1", State: api.Running}
			if got := w.at(noon.Add(10 * time.Hour)); len(got) != 2 {
				t.Errorf("while a run goes on the runs are %v; want none more", got)
			}
			w.run.State = api.Succeeded
			if got := w.at(noon.Add(11 * time.Hour)); len(got) != 3 {
				t.Errorf("after it ended the runs are %v; want one more", got)
			}
			w.resources = nil
			if got := w.at(noon.Add(12 * time.Hour)); len(got) != 3 {
				t.Errorf("without resources the runs are %v; want none more", got)
			}
			w.doc, w.resources = `{"kind": "ResourceType", "name": "vm"}`, map[string]string{"a": "{}"}
			if got := w.at(noon.Add(13 * time.Hour)); len(got) != 3 {
				t.Errorf("without converge the runs are %v; want none more", got)
			}
		})
	}
}

func TestInputs(t *testing.T) {
	t.Parallel()
	for doc, want := range map[string]string{
		`{"converge": {"every": "1d", "workflow": "w", "inputs": {"names": "${{ map(resources, #.name) }}", "when": "${{ due }}", "of": "${{ resource.type }}"}}}`: `{"names":["a"],"of":"vm","when":"2026-11-28T00:00:00Z"}`,
		`{"converge": {"every": "1d", "workflow": "w"}}`: `{"resources":[{"name":"a","outputs":null,"source":null,"spec":{}}]}`,
	} {
		w := newWorld(t, store.Config{Dir: t.TempDir()})
		w.doc, w.resources = doc, map[string]string{"a": "{}"}
		day := time.Date(2026, 11, 28, 0, 0, 5, 0, time.UTC)
		w.at(day.Add(-time.Hour))
		if w.at(day); len(w.starts) != 1 || string(w.starts[0].Body.Inputs) != want {
			t.Errorf("%s: starts = %+v; want inputs %s", doc, w.starts, want)
		}
	}
}
