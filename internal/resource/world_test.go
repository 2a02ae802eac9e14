package resource

import (
	"cmp"
	"context"
	"encoding/json"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"tutti/api"
	"tutti/bus"
	"tutti/bus/membus"
	"tutti/errs"
	"tutti/internal/document"
	"tutti/internal/service"
	"tutti/internal/store"
)

// world is the service with stand-ins for its neighbours.
type world struct {
	testing.TB
	*Service
	bus      *bus.Bus
	db       *store.DB
	requests *store.DB // its outbox is that of the service request

	mu      sync.Mutex
	defs    map[[2]string]api.Definition
	gets    int
	details map[string]api.Request // what request.get answers
	down    bool                   // whether request.get is
}

func newWorld(t testing.TB, c store.Config) *world {
	t.Helper()
	w := &world{TB: t, bus: bus.New(&membus.Bus{}, []byte("a key for tests"), api.Allow), defs: map[[2]string]api.Definition{}, details: map[string]api.Request{}}
	w.db = w.open(c, "resource", Migrations)
	d := service.Deps{Name: "resource", DB: w.db, Bus: w.bus, Log: slog.New(slog.DiscardHandler)}
	s, err := New(Config{Dir: t.TempDir()})(d)
	if err != nil {
		t.Fatal(err)
	}
	w.Service = s.(*Service)
	if err := w.Service.handle(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := api.GetDefinition.Handle(t.Context(), w.bus, w.getDefinition); err != nil {
		t.Fatal(err)
	}
	if err := api.ListDefinitions.Handle(t.Context(), w.bus, w.listDefinitions); err != nil {
		t.Fatal(err)
	}
	return w
}

func (w *world) open(c store.Config, name string, m service.Files) *store.DB {
	w.Helper()
	db, err := store.Open(w.Context(), c, name, m)
	if err != nil {
		w.Fatal(err)
	}
	w.Cleanup(func() { db.Close() })
	return db
}

func (w *world) getDefinition(_ context.Context, in api.GetDefinitionIn) (api.Definition, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.gets++
	d, ok := w.defs[[2]string{in.Kind, in.Name}]
	if !ok || in.Namespace != d.Namespace {
		return d, errs.New(errs.NotFound, "no %s %q", in.Kind, in.Name)
	}
	return d, nil
}

func (w *world) listDefinitions(_ context.Context, in api.ListDefinitionsIn) (out api.Page[api.Definition], err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, d := range w.defs {
		if d.Kind == in.Kind && d.Namespace == in.Namespace {
			d.Document = nil
			out.Items = append(out.Items, d)
		}
	}
	slices.SortFunc(out.Items, func(a, b api.Definition) int { return cmp.Compare(a.Name, b.Name) })
	return out, nil
}

// define publishes documents without a check.
func (w *world) define(texts ...string) {
	w.Helper()
	for _, text := range texts {
		docs, problems := document.Parse("f.yaml", []byte(text))
		if len(problems) > 0 {
			w.Fatalf("define: %v", problems)
		}
		for _, d := range docs {
			w.defs[[2]string{d.Kind, d.Name}] = api.Definition{Kind: d.Kind, Name: d.Name, Namespace: "default", Title: d.Title, Digest: d.Digest, Document: d.JSON}
		}
	}
}

// ask asks the owner of a kind about documents, one a file, and returns the problems in words.
func (w *world) ask(kind string, texts ...string) (problems []string) {
	w.Helper()
	in := api.CheckIn{NS: inDefault}
	for i, text := range texts {
		in.Files = append(in.Files, api.SourceFile{Name: string(rune('a'+i)) + ".yaml", Text: text})
	}
	out, err := api.CheckKind(kind).Call(bus.AsService(w.Context(), "definition"), w.bus, in)
	if err != nil {
		w.Fatalf("check.%s = %v", kind, err)
	}
	for _, p := range out.Problems {
		problems = append(problems, p.Location+": "+p.Message+" ("+p.Hint+")")
	}
	slices.Sort(problems)
	return problems
}

func (w *world) resolveVM(entry, params string) (api.Resolved, error) {
	return api.ResolveResource.Call(bus.AsService(w.Context(), "request"), w.bus,
		api.ResolveIn{NS: inDefault, Ask: api.Ask{Entry: entry, Params: json.RawMessage(params)}, Requester: "user:anna"})
}

func (w *world) as(role string) context.Context {
	return bus.WithCaller(w.Context(), bus.Caller{Subject: "user:anna", Grants: []bus.Grant{{Namespace: "default", Role: role}}})
}

// start runs the service, in a bubble, with a stand-in for the service request.
func (w *world) start() (stop func()) {
	w.Helper()
	if w.requests == nil {
		w.requests = w.open(store.Config{Dir: w.TempDir()}, "request", nil)
		if err := service.Serve(w.Context(), service.Deps{Name: "request", DB: w.requests, Bus: w.bus}); err != nil {
			w.Fatal(err)
		}
		err := api.GetRequest.Handle(w.Context(), w.bus, func(_ context.Context, in api.RequestIn) (api.Request, error) {
			w.mu.Lock()
			defer w.mu.Unlock()
			if w.down {
				return api.Request{}, errs.New(errs.Unavailable, "request is down")
			}
			return w.details[in.ID], nil
		})
		if err != nil {
			w.Fatal(err)
		}
	}
	ctx, cancel := context.WithCancel(w.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		if err := w.Service.Run(ctx); err != nil {
			w.Errorf("Run = %v; want nil", err)
		}
	}()
	stop = func() {
		cancel()
		<-ended
	}
	w.Cleanup(stop)
	synctest.Wait()
	return stop
}

var inDefault = api.NS{Namespace: "default"}

// example returns a document of testdata.
func example(t *testing.T, name string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// swap returns text with old, which it must hold, replaced.
func swap(t *testing.T, text, old, by string) string {
	t.Helper()
	if !strings.Contains(text, old) {
		t.Fatalf("the example does not hold %q", old)
	}
	return strings.Replace(text, old, by, 1)
}
