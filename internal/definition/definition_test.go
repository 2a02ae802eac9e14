package definition

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"tutti/api"
	"tutti/bus"
	"tutti/bus/membus"
	"tutti/errs"
	"tutti/internal/document"
	"tutti/internal/service"
	"tutti/internal/store"
	"tutti/internal/store/pgtest"
)

// house is the service with stand-ins for the owners of the kinds.
type house struct {
	*bus.Bus
	db *store.DB
}

// onBoth runs f with the service on each database.
func onBoth(t *testing.T, f func(t *testing.T, h house)) {
	t.Parallel()
	t.Run("sqlite", func(t *testing.T) {
		t.Parallel()
		f(t, setup(t, store.Config{Dir: t.TempDir()}))
	})
	t.Run("postgres", func(t *testing.T) {
		t.Parallel()
		f(t, setup(t, store.Config{URL: pgtest.URL(t)}))
	})
}

func setup(t *testing.T, c store.Config) house {
	t.Helper()
	db, err := store.Open(t.Context(), c, "definition", Migrations)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	h := house{bus.New(&membus.Bus{}, []byte("a key for tests"), api.Allow), db}
	d := service.Deps{Name: "definition", DB: db, Bus: h.Bus, Log: slog.New(slog.DiscardHandler)}
	if err := service.Serve(t.Context(), d); err != nil {
		t.Fatal(err)
	}
	s, err := New(d)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.(*Service).handle(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, kind := range api.Kinds {
		if err := api.CheckKind(kind).Handle(t.Context(), h.Bus, owner(kind)); err != nil {
			t.Fatal(err)
		}
	}
	return h
}

// owner stands in for the owner of a kind: `bad` is a problem, `exec` takes a permission.
func owner(kind string) func(context.Context, api.CheckIn) (api.CheckOut, error) {
	return func(_ context.Context, in api.CheckIn) (out api.CheckOut, err error) {
		for _, f := range in.Files {
			docs, _ := document.Parse(f.Name, []byte(f.Text))
			for _, d := range docs {
				v, _ := d.Value().(map[string]any)
				if d.Kind != kind {
					continue
				}
				if v["bad"] != nil {
					out.Problems = append(out.Problems, errs.Problem{Location: d.KeyAt("/bad"), Message: "bad is bad"})
				}
				if v["exec"] != nil {
					out.Needs = append(out.Needs, "task.exec")
				}
			}
		}
		return out, nil
	}
}

// as is a context whose calls are made by somebody with a role in the namespace default.
func as(t *testing.T, role string) context.Context {
	return bus.WithCaller(t.Context(), bus.Caller{Subject: "user:" + role, Grants: []bus.Grant{{Namespace: "default", Role: role}}})
}

var inDefault = api.NS{Namespace: "default"}

func files(texts ...string) api.ApplyIn {
	in := api.ApplyIn{NS: inDefault}
	for i, text := range texts {
		in.Body.Files = append(in.Body.Files, api.SourceFile{Name: fmt.Sprintf("f%d.yaml", i), Text: text})
	}
	return in
}

// apply applies and returns the actions in words: "create Workflow a 1".
func (h house) apply(ctx context.Context, in api.ApplyIn) (actions []string, err error) {
	out, err := api.ApplyDefinitions.Call(ctx, h.Bus, in)
	for _, c := range out.Changes {
		actions = append(actions, fmt.Sprintf("%s %s %s %d", c.Action, c.Kind, c.Name, c.Version))
	}
	return actions, err
}

func TestApply(t *testing.T) {
	onBoth(t, func(t *testing.T, h house) {
		author := as(t, api.Author)
		const two = "kind: Workflow\nname: b\ntitle: B\nlabels: {a: x}\n---\nkind: Preset # of b\nname: a\n"
		for _, step := range []struct {
			text   string
			dryRun bool
			want   []string
		}{
			{two, true, []string{"create Workflow b 1", "create Preset a 1"}},
			{two, false, []string{"create Workflow b 1", "create Preset a 1"}},
			{two, false, []string{"unchanged Workflow b 1", "unchanged Preset a 1"}},
			{strings.Replace(two, "title: B", "title: C", 1), true, []string{"update Workflow b 2", "unchanged Preset a 1"}},
			{strings.Replace(two, "title: B", "title: C", 1), false, []string{"update Workflow b 2", "unchanged Preset a 1"}},
			{"# new words\n" + strings.Replace(two, "title: B", "title:   C", 1), false, []string{"unchanged Workflow b 2", "unchanged Preset a 1"}},
		} {
			in := files(step.text)
			in.Body.DryRun = step.dryRun
			got, err := h.apply(author, in)
			if diff := cmp.Diff(step.want, got); err != nil || diff != "" {
				t.Fatalf("apply(%q, dry %v) = %v (-want +got):\n%s", step.text, step.dryRun, err, diff)
			}
		}
		got, err := api.GetDefinition.Call(author, h.Bus, api.GetDefinitionIn{NS: inDefault, Kind: "Workflow", Name: "b", Version: 1})
		if err != nil || got.Source != "kind: Workflow\nname: b\ntitle: B\nlabels: {a: x}\n" || got.Publisher != "user:author" || got.Role != api.Author ||
			string(got.Document) != `{"kind":"Workflow","labels":{"a":"x"},"name":"b","title":"B"}` || got.Labels["a"] != "x" || got.Title != "B" {
			t.Errorf("GetDefinition(b, 1) = %+v, %v", got, err)
		}
		newest, err := api.GetDefinition.Call(author, h.Bus, api.GetDefinitionIn{NS: inDefault, Kind: "Workflow", Name: "b"})
		if err != nil || newest.Version != 2 || newest.Digest == got.Digest {
			t.Errorf("GetDefinition(b) = %+v, %v; want version 2", newest, err)
		}
		events, err := h.db.Events(t.Context(), 0, 10)
		if err != nil || len(events) != 3 || strings.Contains(string(events[0].Data), "document") || events[2].Subject != "Workflow/b" {
			t.Errorf("events = %v, %v; want three without text", events, err)
		}
		acts, err := h.db.Acts(t.Context(), "default", 0, 10)
		if err != nil || len(acts) != 3 || acts[0].Subject != "user:author" || acts[0].Object != "Workflow/b" || acts[0].Action != "definition.apply" {
			t.Errorf("acts = %+v, %v; want three by the author", acts, err)
		}
	})
}

func TestApplyRefuses(t *testing.T) {
	t.Parallel()
	h := setup(t, store.Config{Dir: t.TempDir()})
	deep := "kind: Workflow\nname: a\nx: " + strings.Repeat("[", 5000) + strings.Repeat("]", 5000)
	for _, c := range []struct {
		name string
		role string
		in   api.ApplyIn
		kind errs.Kind
		want []string // in the text of the error, in this order
	}{
		{"all problems of all files", api.Author, files("kind: Workflow\nname: a\nbad: 1\n", "kind: Presett\nname: b\n---\nkind: Preset\nname: B\n", "a: [", "kind: Preset\nname: c\nbad: 1"), errs.Invalid,
			[]string{"f0.yaml:3:1: bad", `f1.yaml:1:7: there is no kind "Presett" (did you mean Preset?`, `f1.yaml:5:7: "B" is not a name`, "f2.yaml:1", "f3.yaml:3:1: bad"}},
		{"the same name twice", api.Author, files("kind: Workflow\nname: a\n---\nkind: Preset\nname: a", "kind: Workflow\nname: a"), errs.Invalid, []string{`f1.yaml:2:7: Workflow "a" is given twice (the first is at f0.yaml:1:1`}},
		{"a permission the author lacks", api.Author, files("kind: Workflow\nname: a", "kind: Workflow\nname: b\nexec: 1"), errs.Denied, []string{"Workflow b (f1.yaml:1:1) needs the permission task.exec"}},
		{"deep nesting", api.Author, files(deep), errs.Invalid, []string{"nested"}},
		{"a large file", api.Author, files(strings.Repeat("#", 1<<20+1)), errs.TooLarge, []string{"f0.yaml"}},
		{"much in all", api.Author, files(strings.Split(strings.Repeat(strings.Repeat("#", 1<<20)+"|", 5), "|")...), errs.TooLarge, []string{"f4.yaml"}},
		{"many documents", api.Author, files(strings.Repeat("kind: Preset\nname: a\n---\n", 1001)), errs.TooLarge, []string{"1000"}},
		{"no document", api.Author, files("# nothing"), errs.Invalid, []string{"f0.yaml:1:1"}},
		{"every namespace", bus.SystemRole, api.ApplyIn{NS: api.NS{Namespace: "*"}, Body: files("kind: Workflow\nname: a").Body}, errs.Invalid, []string{"one namespace"}},
		{"a viewer", api.Viewer, files("kind: Workflow\nname: a"), errs.Denied, []string{"author"}},
		{"a foreign namespace", api.Admin, api.ApplyIn{NS: api.NS{Namespace: "other"}, Body: files("kind: Workflow\nname: a").Body}, errs.NotFound, []string{"other"}},
	} {
		ctx := as(t, c.role)
		if c.role == bus.SystemRole {
			ctx = bus.AsService(t.Context(), "test")
		}
		_, err := h.apply(ctx, c.in)
		rest := ""
		if err != nil {
			rest = err.Error()
		}
		for _, w := range c.want {
			_, after, found := strings.Cut(rest, w)
			if rest = after; !found {
				t.Errorf("%s: error %v; want %q in it, in order", c.name, err, w)
			}
		}
		if errs.KindOf(err) != c.kind {
			t.Errorf("%s: kind %q; want %q", c.name, errs.KindOf(err), c.kind)
		}
	}
	page, err := api.ListDefinitions.Call(as(t, api.Viewer), h.Bus, api.ListDefinitionsIn{NS: inDefault})
	if err != nil || len(page.Items) != 0 {
		t.Errorf("after refusals there are %v, %v; want nothing stored", page.Items, err)
	}
}

func TestValidate(t *testing.T) {
	t.Parallel()
	h := setup(t, store.Config{Dir: t.TempDir()})
	out, err := api.ValidateDefinitions.Call(as(t, api.Viewer), h.Bus, files("kind: Workflow\nname: a\nexec: 1"))
	if err != nil || len(out.Changes) != 1 || out.Changes[0].Action != "create" {
		t.Errorf("validate = %v, %v; want what would change, for a viewer too", out, err)
	}
	if events, err := h.db.Events(t.Context(), 0, 1); err != nil || len(events) > 0 {
		t.Errorf("validate left %v, %v", events, err)
	}
}

func TestIdempotencyKey(t *testing.T) {
	onBoth(t, func(t *testing.T, h house) {
		author := as(t, api.Author)
		in := files("kind: Workflow\nname: a")
		in.Key = "k1"
		first, err := h.apply(author, in)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := h.apply(author, files("kind: Workflow\nname: a\ntitle: other")); err != nil {
			t.Fatal(err)
		}
		again, err := h.apply(author, in)
		if diff := cmp.Diff(first, again); err != nil || diff != "" {
			t.Errorf("the same key again: %v (-first +again):\n%s", err, diff)
		}
		in.Body.Note = "other"
		if _, err := h.apply(author, in); !errs.Is(err, errs.Conflict) {
			t.Errorf("the same key with another body: %v; want conflict", err)
		}
	})
}

// Applies at the same time make one version each, and none is lost.
func TestConcurrentApplies(t *testing.T) {
	onBoth(t, func(t *testing.T, h house) {
		const n = 8
		var wg sync.WaitGroup
		for i := range n {
			wg.Go(func() {
				docs := []string{fmt.Sprintf("kind: Workflow\nname: a\ntitle: t%d", i), fmt.Sprintf("kind: Preset\nname: a\ntitle: t%d", i)}
				if i%2 == 0 {
					docs[0], docs[1] = docs[1], docs[0]
				}
				if _, err := h.apply(as(t, api.Author), files(docs...)); err != nil {
					t.Errorf("apply %d: %v", i, err)
				}
			})
		}
		wg.Wait()
		for _, kind := range []string{"Workflow", "Preset"} {
			d, err := api.GetDefinition.Call(as(t, api.Viewer), h.Bus, api.GetDefinitionIn{NS: inDefault, Kind: kind, Name: "a"})
			if err != nil || d.Version != n {
				t.Errorf("after %d applies %s has version %d, %v", n, kind, d.Version, err)
			}
		}
	})
}

func TestDelete(t *testing.T) {
	onBoth(t, func(t *testing.T, h house) {
		author := as(t, api.Author)
		if _, err := h.apply(author, files("kind: Workflow\nname: vm.build")); err != nil {
			t.Fatal(err)
		}
		name := api.GetDefinitionIn{NS: inDefault, Kind: "Workflow", Name: "vm.build"}
		stale := name
		stale.Version = 7
		if _, err := api.DeleteDefinition.Call(author, h.Bus, stale); !errs.Is(err, errs.Conflict) {
			t.Errorf("delete of version 7 = %v; want conflict", err)
		}
		if _, err := api.DeleteDefinition.Call(author, h.Bus, name); err != nil {
			t.Fatal(err)
		}
		for call, err := range map[string]error{
			"get":          second(api.GetDefinition.Call(author, h.Bus, name)),
			"delete again": second(api.DeleteDefinition.Call(author, h.Bus, name)),
		} {
			if !errs.Is(err, errs.NotFound) {
				t.Errorf("%s of what was withdrawn: %v; want not found", call, err)
			}
		}
		pinned := name
		pinned.Version = 1
		if d, err := api.GetDefinition.Call(author, h.Bus, pinned); err != nil || d.Version != 1 {
			t.Errorf("version 1 after the withdrawal = %v, %v", d, err)
		}
		got, err := h.apply(author, files("kind: Workflow\nname: vm.build"))
		if diff := cmp.Diff([]string{"create Workflow vm.build 2"}, got); err != nil || diff != "" {
			t.Errorf("apply again: %v (-want +got):\n%s", err, diff)
		}
		events, err := h.db.Events(t.Context(), 0, 10)
		if err != nil || len(events) != 3 || events[1].Type != api.DefinitionDeleted.Type() {
			t.Errorf("events = %v, %v; want applied, deleted, applied", events, err)
		}
	})
}

func second[T any](_ T, err error) error { return err }

func TestGetMissing(t *testing.T) {
	t.Parallel()
	h := setup(t, store.Config{Dir: t.TempDir()})
	if _, err := h.apply(as(t, api.Author), files("kind: Workflow\nname: vm.build")); err != nil {
		t.Fatal(err)
	}
	for in, hint := range map[api.GetDefinitionIn]string{
		{NS: inDefault, Kind: "Workflow", Name: "vm.biuld"}:             "vm.build",
		{NS: inDefault, Kind: "Workflw", Name: "vm.build"}:              "Workflow",
		{NS: inDefault, Kind: "Workflow", Name: "vm.build", Version: 9}: "",
	} {
		_, err := api.GetDefinition.Call(as(t, api.Viewer), h.Bus, in)
		if !errs.Is(err, errs.NotFound) || !strings.Contains(errs.Public(err).Hint, hint) {
			t.Errorf("GetDefinition(%v) = %v; want not found, hinting at %q", in, err, hint)
		}
	}
}

// Pages neither repeat nor skip what is there, whatever is added meanwhile.
func TestListPages(t *testing.T) {
	onBoth(t, func(t *testing.T, h house) {
		author := as(t, api.Author)
		var docs []string
		for i := range 5 {
			docs = append(docs, fmt.Sprintf("kind: Workflow\nname: w%d", i), fmt.Sprintf("kind: Preset\nname: p%d", i))
		}
		if _, err := h.apply(author, files(docs...)); err != nil {
			t.Fatal(err)
		}
		var got []string
		in := api.ListDefinitionsIn{NS: inDefault, Paging: api.Paging{Limit: 3}}
		for {
			page, err := api.ListDefinitions.Call(author, h.Bus, in)
			if err != nil {
				t.Fatal(err)
			}
			for _, d := range page.Items {
				got = append(got, d.Name)
			}
			if in.Cursor = page.Cursor; in.Cursor == "" {
				break
			}
			if _, err := h.apply(author, files(fmt.Sprintf("kind: Preset\nname: a%d", len(got)))); err != nil {
				t.Fatal(err)
			}
		}
		if want := strings.Fields("p0 p1 p2 p3 p4 w0 w1 w2 w3 w4"); !cmp.Equal(want, got) {
			t.Errorf("pages hold %v; want %v", got, want)
		}
		in.Cursor = "nonsense!"
		if _, err := api.ListDefinitions.Call(author, h.Bus, in); !errs.Is(err, errs.Invalid) {
			t.Errorf("a cursor made up: %v; want invalid", err)
		}
	})
}

func TestSourceOf(t *testing.T) {
	t.Parallel()
	const text = "# head\nkind: A\nname: a\n--- # next\nkind: B\nname: b\nx: |\n  ---\n--- \nkind: C\nname: c"
	docs, problems := document.Parse("f.yaml", []byte(text))
	if len(problems) > 0 || len(docs) != 3 {
		t.Fatalf("Parse = %v, %v", docs, problems)
	}
	for i, want := range []string{"# head\nkind: A\nname: a\n", "kind: B\nname: b\nx: |\n  ---\n", "kind: C\nname: c"} {
		if got := sourceOf(text, docs[i]); got != want {
			t.Errorf("sourceOf(%d) = %q; want %q", i, got, want)
		}
	}
}
