// Package rollouttest is the suite that every rollout.Store passes.
package rollouttest

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"sync"
	"testing"
	"time"

	"tutti/rollout"
)

// Run runs the suite. open returns an empty store.
func Run(t *testing.T, open func(*testing.T) rollout.Store) {
	for name, f := range map[string]func(*testing.T, rollout.Store){
		"load and save": loadAndSave,
		"conflicts":     conflicts,
		"targets":       targets,
		"history":       history,
		"delete":        deletion,
		"keys":          keys,
		"one winner":    oneWinner,
		"many callers":  manyCallers,
		"budgets":       budgets,
		"holders":       holders,
		"new budgets":   newBudgets,
		"engine":        engine,
		"reload":        reload,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f(t, open(t))
		})
	}
}

var (
	app   = rollout.Key{Namespace: "production", Entity: "app"}
	start = time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC)
)

// odd are names that would break a store that builds its keys or statements from them.
var odd = []string{"a", "A", "a/b", "a'b", `a"b`, "a%", "a_", "", "ä\u2028", "$1", "\x00", "\xff", "; DROP TABLE rollout_entities"}

func must(t *testing.T, what string, err error) {
	t.Helper()
	if err != nil {
		t.Fatalf("%s: %v", what, err)
	}
}

func save(t *testing.T, s rollout.Store, revision uint64, c rollout.Change) {
	t.Helper()
	must(t, "Save", s.Save(t.Context(), rollout.Write{Key: app, Revision: revision, Change: c}))
}

func load(t *testing.T, s rollout.Store, since uint64) rollout.Stored {
	t.Helper()
	stored, err := s.Load(t.Context(), app, since)
	must(t, "Load", err)
	return stored
}

func head(text string) rollout.Change { return rollout.Change{Head: []byte(text)} }

func loadAndSave(t *testing.T, s rollout.Store) {
	if got := load(t, s, 0); got.Revision != 0 || got.Head != nil {
		t.Errorf("Load of nothing = %+v; want revision 0", got)
	}
	save(t, s, 0, head("one"))
	first := load(t, s, 0)
	if string(first.Head) != "one" || first.Revision == 0 {
		t.Errorf("Load = %+v; want one", first)
	}
	if got := load(t, s, first.Revision); got.Head != nil || got.Revision != first.Revision {
		t.Errorf("Load since the revision = %+v; want the revision only", got)
	}
	save(t, s, first.Revision, head("two"))
	if got := load(t, s, first.Revision); string(got.Head) != "two" || got.Revision != first.Revision+1 {
		t.Errorf("Load since the revision before = %+v; want two at %d", got, first.Revision+1)
	}
}

func conflicts(t *testing.T, s rollout.Store) {
	save(t, s, 0, head("one"))
	other := rollout.Key{Namespace: app.Namespace, Entity: "other"}
	for _, revision := range []uint64{0, 2} {
		err := s.Save(t.Context(),
			rollout.Write{Key: other, Change: head("must not be")},
			rollout.Write{Key: app, Revision: revision, Change: head("must not be")})
		if !errors.Is(err, rollout.ErrConflict) {
			t.Errorf("Save at revision %d = %v; want a conflict", revision, err)
		}
	}
	if got, err := s.Load(t.Context(), other, 0); err != nil || got.Revision != 0 {
		t.Errorf("after a conflict the other write is there: %+v, %v", got, err)
	}
	must(t, "Save", s.Save(t.Context(), rollout.Write{Key: app, Revision: 1, Change: head("two")}, rollout.Write{Key: other, Change: head("new")}))
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.Save(gone, rollout.Write{Key: app, Revision: 7, Change: head("x")}); err == nil {
		t.Error("Save for a caller who is gone, at a wrong revision, succeeded")
	}
}

func targets(t *testing.T, s rollout.Store) {
	want := map[rollout.Target]string{}
	var records []rollout.Record
	for i, group := range odd {
		for j, name := range odd {
			record := rollout.Record{Target: rollout.Target{Group: group, Name: name}, Data: []byte(fmt.Sprint(i, "\x00", j))}
			records = append(records, record)
			want[record.Target] = string(record.Data)
		}
	}
	for i := range 1100 { // more than one statement holds
		record := rollout.Record{Target: rollout.Target{Name: fmt.Sprint("many", i)}, Data: []byte{1}}
		records = append(records, record)
		want[record.Target] = string(record.Data)
	}
	check := func(what string) {
		t.Helper()
		got := map[rollout.Target]string{}
		for _, r := range load(t, s, 0).Targets {
			got[r.Target] = string(r.Data)
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %d targets are stored; want %d", what, len(got), len(want))
		}
	}
	save(t, s, 0, rollout.Change{Head: []byte("h"), Targets: records})
	check("all new")
	first, second, third := records[0].Target, records[1].Target, records[2].Target
	want[first], want[third] = "changed", "came back"
	delete(want, second)
	save(t, s, 1, rollout.Change{Head: []byte("h"), Targets: []rollout.Record{
		{Target: second}, {Target: third}, {Target: rollout.Target{Name: "never was"}},
		{Target: third, Data: []byte("came back")}, {Target: first, Data: []byte("changed")}}})
	check("changed, left and come back")
}

func history(t *testing.T, s rollout.Store) {
	var events []rollout.Event
	for i := range 5 {
		events = append(events, rollout.Event{At: start.Add(time.Duration(i) * time.Second), From: rollout.Rolling, To: rollout.RollingBack, By: "it's\x00me",
			Version: fmt.Sprint("v", i), Reason: rollout.Reason{Code: rollout.CodeBreach, Count: i, Until: start}})
	}
	save(t, s, 0, rollout.Change{Head: []byte("h"), Events: events[:2]})
	save(t, s, 1, rollout.Change{Head: []byte("h")})
	save(t, s, 2, rollout.Change{Head: []byte("h"), Events: events[2:]})
	for _, c := range []struct {
		before uint64
		limit  int
		want   []uint64
	}{{0, 10, []uint64{5, 4, 3, 2, 1}}, {0, 2, []uint64{5, 4}}, {4, 2, []uint64{3, 2}}, {1, 10, nil}, {99, 1, []uint64{5}}} {
		entries, err := s.History(t.Context(), app, c.before, c.limit)
		must(t, "History", err)
		var got []uint64
		for _, e := range entries {
			got = append(got, e.Seq)
			if !reflect.DeepEqual(e.Event, events[e.Seq-1]) {
				t.Errorf("entry %d = %+v; want %+v", e.Seq, e.Event, events[e.Seq-1])
			}
		}
		if !reflect.DeepEqual(got, c.want) {
			t.Errorf("History(before %d, limit %d) = %v; want %v", c.before, c.limit, got, c.want)
		}
	}
}

func deletion(t *testing.T, s rollout.Store) {
	must(t, "Delete of nothing", s.Delete(t.Context(), app))
	save(t, s, 0, rollout.Change{Head: []byte("old"), Targets: []rollout.Record{{Target: rollout.Target{Name: "a"}, Data: []byte("x")}}, Events: make([]rollout.Event, 2)})
	must(t, "Delete", s.Delete(t.Context(), app))
	got := load(t, s, 1)
	if len(got.Head) != 0 || len(got.Targets) != 0 || got.Revision <= 1 {
		t.Errorf("Load after Delete = %+v; want nothing but a later revision", got)
	}
	if entries, err := s.History(t.Context(), app, 0, 10); err != nil || len(entries) != 0 {
		t.Errorf("History after Delete = %v, %v; want none", entries, err)
	}
	if keys, err := s.Keys(t.Context(), ""); err != nil || len(keys) != 0 {
		t.Errorf("Keys after Delete = %v, %v; want none", keys, err)
	}
	save(t, s, got.Revision, rollout.Change{Head: []byte("new"), Events: make([]rollout.Event, 1)})
	if got := load(t, s, 1); string(got.Head) != "new" || len(got.Targets) != 0 {
		t.Errorf("Load of the new entity = %+v", got)
	}
	if entries, err := s.History(t.Context(), app, 0, 10); err != nil || len(entries) != 1 || entries[0].Seq != 3 {
		t.Errorf("History of the new entity = %v, %v; want one entry, 3", entries, err)
	}
}

func keys(t *testing.T, s rollout.Store) {
	var want []rollout.Key
	for _, ns := range []string{"a", "a/b", "ab"} {
		for _, entity := range []string{"", "a.b", "b/c", "it's", "z%"} {
			key := rollout.Key{Namespace: ns, Entity: entity}
			want = append(want, key)
			must(t, "Save", s.Save(t.Context(), rollout.Write{Key: key, Change: head("h")}))
		}
	}
	for ns, want := range map[string][]rollout.Key{"": want, "a": want[:5], "ab": want[10:], "b": nil, "%": nil} {
		got, err := s.Keys(t.Context(), ns)
		must(t, "Keys", err)
		if len(got) != len(want) || len(want) > 0 && !reflect.DeepEqual(got, want) {
			t.Errorf("Keys(%q) = %v; want %v", ns, got, want)
		}
	}
}

// oneWinner has many save at one revision.
func oneWinner(t *testing.T, s rollout.Store) {
	save(t, s, 0, head("h"))
	for revision := uint64(1); revision <= 5; revision++ {
		var wg sync.WaitGroup
		var mu sync.Mutex
		won := 0
		for range 8 {
			wg.Go(func() {
				err := s.Save(t.Context(), rollout.Write{Key: app, Revision: revision, Change: head("h")})
				mu.Lock()
				defer mu.Unlock()
				if err == nil {
					won++
				} else if !errors.Is(err, rollout.ErrConflict) {
					t.Errorf("Save: %v; want a conflict", err)
				}
			})
		}
		wg.Wait()
		if won != 1 {
			t.Fatalf("%d of 8 won revision %d; want one", won, revision)
		}
	}
}

// replicas returns engines over one store, each with a memory of its own.
func replicas(s rollout.Store, n int) []*rollout.Engine {
	engines := make([]*rollout.Engine, n)
	for i := range engines {
		engines[i] = rollout.NewEngine(s, func() time.Time { return start })
	}
	return engines
}

func reports(n int, version string) []rollout.Report {
	all := make([]rollout.Report, n)
	for i := range all {
		all[i] = rollout.Report{Target: rollout.Target{Name: fmt.Sprint("t", i)}, Version: version}
	}
	return all
}

// manyCallers calls two replicas at one time from many sides: together they never ask for more than a
// batch, and lose no command.
func manyCallers(t *testing.T, s rollout.Store) {
	engines := replicas(s, 2)
	must(t, "SetPolicy", engines[0].SetPolicy(t.Context(), app, rollout.Policy{Batch: rollout.Count(3)}))
	must(t, "MarkGood", engines[1].Do(t.Context(), app, rollout.Command{Verb: rollout.MarkGood, Version: "v1"}))
	if _, err := engines[0].Orchestrate(t.Context(), app, reports(20, "v1")...); err != nil {
		t.Fatal(err)
	}
	must(t, "SetVersion", engines[1].SetVersion(t.Context(), app, "v2"))
	var wg sync.WaitGroup
	var mu sync.Mutex
	asked := map[string]int{}
	for i := range 8 {
		wg.Go(func() {
			e := engines[i%2]
			for range 5 {
				plan, err := e.Step(t.Context(), app, rollout.Input{Reports: reports(20, "v1")})
				if err != nil {
					t.Errorf("Step: %v", err)
					return
				}
				mu.Lock()
				for _, a := range plan.Assignments {
					asked[a.Name]++
				}
				mu.Unlock()
			}
			if i == 7 {
				if err := e.SetVersion(t.Context(), app, "v3"); err != nil {
					t.Errorf("SetVersion: %v", err)
				}
			}
		})
	}
	wg.Wait()
	if len(asked) != 3 {
		t.Errorf("%d targets were asked; want 3, the batch", len(asked))
	}
	for name, n := range asked {
		if n != 1 {
			t.Errorf("%s was asked %d times; want once", name, n)
		}
	}
	for i, e := range engines {
		got, err := e.Status(t.Context(), app)
		if err != nil || got.Pending != 3 || got.Wanted != "v3" || got.Version != "v2" {
			t.Errorf("engine %d: Status = %+v, %v; want 3 pending on v2, and v3 waiting", i, got, err)
		}
	}
}

// budgets are shared by entities that are driven at the same time.
func budgets(t *testing.T, s rollout.Store) {
	engines := replicas(s, 2)
	must(t, "SetBudgets", engines[0].SetBudgets(t.Context(), app.Namespace, rollout.Budget{Name: "db", Match: map[string]string{"service": "db"}, Max: rollout.Count(2)}))
	var wg sync.WaitGroup
	for i := range 4 {
		key := rollout.Key{Namespace: app.Namespace, Entity: fmt.Sprint("e", i)}
		wg.Go(func() {
			e := engines[i%2]
			all := reports(4, "v1")
			for j := range all {
				all[j].Labels = map[string]string{"service": "db"}
			}
			err := errors.Join(
				e.Do(t.Context(), key, rollout.Command{Verb: rollout.MarkGood, Version: "v1"}),
				e.SetPolicy(t.Context(), key, rollout.Policy{Batch: rollout.Percent(100)}),
				e.SetVersion(t.Context(), key, "v2"))
			for range 3 {
				_, stepErr := e.Orchestrate(t.Context(), key, all...)
				err = errors.Join(err, stepErr)
			}
			if err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	uses, err := engines[1].Budgets(t.Context(), app.Namespace)
	if want := []rollout.BudgetUse{{Budget: "db", Changing: 2, Max: 2, Total: 16}}; err != nil || !reflect.DeepEqual(uses, want) {
		t.Errorf("Budgets = %+v, %v; want %+v", uses, err, want)
	}
	for i := range 4 {
		must(t, "Delete", engines[0].Delete(t.Context(), rollout.Key{Namespace: app.Namespace, Entity: fmt.Sprint("e", i)}))
	}
	if uses, err := engines[1].Budgets(t.Context(), app.Namespace); err != nil || len(uses) != 0 && uses[0].Changing != 0 {
		t.Errorf("Budgets after all are deleted = %+v, %v; want none in use", uses, err)
	}
}

// databases are n reports of targets that count against the budget of service db.
func databases(n int) []rollout.Report {
	all := reports(n, "v1")
	for i := range all {
		all[i].Labels = map[string]string{"service": "db"}
	}
	return all
}

// db is a budget of n databases.
func db(n int) rollout.Budget {
	return rollout.Budget{Name: "db", Match: map[string]string{"service": "db"}, Max: rollout.Count(n)}
}

// goingOut makes an entity that asks all its targets at once, if it may.
func goingOut(t *testing.T, e *rollout.Engine, key rollout.Key) {
	t.Helper()
	must(t, "MarkGood", e.Do(t.Context(), key, rollout.Command{Verb: rollout.MarkGood, Version: "v1"}))
	must(t, "SetPolicy", e.SetPolicy(t.Context(), key, rollout.Policy{Batch: rollout.Percent(100)}))
	must(t, "SetVersion", e.SetVersion(t.Context(), key, "v2"))
}

// holders and a rollout draw on one budget, over several engines at the same time.
func holders(t *testing.T, s rollout.Store) {
	const most = 3
	engines := replicas(s, 2)
	must(t, "SetBudgets", engines[0].SetBudgets(t.Context(), app.Namespace, db(most)))
	goingOut(t, engines[0], app)
	var wg sync.WaitGroup
	var mu sync.Mutex
	granted := map[string]bool{}
	for i := range 6 {
		e := engines[i%2]
		wg.Go(func() {
			if i < 2 {
				if _, err := e.Orchestrate(t.Context(), app, databases(8)...); err != nil {
					t.Error(err)
				}
				return
			}
			holder := fmt.Sprint("run:1:", i)
			_, ok, err := e.Hold(t.Context(), app.Namespace, holder, map[string]string{"service": "db"})
			if err != nil {
				t.Error(err)
			}
			mu.Lock()
			granted[holder] = ok
			mu.Unlock()
		})
	}
	wg.Wait()
	held := 0
	for holder, ok := range granted {
		again, is, err := engines[0].Hold(t.Context(), app.Namespace, holder, map[string]string{"service": "db"})
		if err != nil || is != ok || !ok && again.String() == "" {
			t.Errorf("Hold of %s again = %v, %t, %v; want %t as before, with why not", holder, again, is, err, ok)
		}
		if ok {
			held++
		}
	}
	status, err := engines[0].Status(t.Context(), app)
	if err != nil || status.Pending+held != most {
		t.Errorf("%d targets are pending and %d are held, %v; want %d in all", status.Pending, held, err, most)
	}
	if why, ok, err := engines[1].Hold(t.Context(), app.Namespace, "other", map[string]string{"service": "web"}); err != nil || !ok {
		t.Errorf("Hold of what no budget is about = %v, %t, %v; want it held", why, ok, err)
	}
	n, err := engines[1].Release(t.Context(), app.Namespace, func(holder string) bool { return holder != "other" })
	if err != nil || n != held {
		t.Errorf("Release = %d, %v; want %d", n, err, held)
	}
	if _, err := engines[0].Step(t.Context(), app, rollout.Input{Others: true}); err != nil {
		t.Fatal(err)
	}
	if status, err = engines[1].Status(t.Context(), app); err != nil || status.Pending != most {
		t.Errorf("%d are pending, %v; want %d, now that nothing is held", status.Pending, err, most)
	}
	if left, err := engines[0].Holders(t.Context(), app.Namespace); err != nil || !reflect.DeepEqual(left, []string{"other"}) {
		t.Errorf("Holders = %q, %v; want other", left, err)
	}
}

// newBudgets count what was changing before there were any.
func newBudgets(t *testing.T, s rollout.Store) {
	e, other := replicas(s, 2)[0], rollout.Key{Namespace: app.Namespace, Entity: "other"}
	goingOut(t, e, app)
	if _, err := e.Orchestrate(t.Context(), app, databases(2)...); err != nil {
		t.Fatal(err)
	}
	if _, ok, err := e.Hold(t.Context(), app.Namespace, "run:1:a", map[string]string{"service": "db"}); err != nil || !ok {
		t.Fatalf("Hold without budgets = %t, %v; want it held", ok, err)
	}
	must(t, "SetBudgets", e.SetBudgets(t.Context(), app.Namespace, db(3)))
	goingOut(t, e, other)
	if _, err := e.Orchestrate(t.Context(), other, databases(4)...); err != nil {
		t.Fatal(err)
	}
	uses, err := e.Budgets(t.Context(), app.Namespace)
	if want := []rollout.BudgetUse{{Budget: "db", Changing: 3, Max: 3, Total: 6}}; err != nil || !reflect.DeepEqual(uses, want) {
		t.Errorf("Budgets = %+v, %v; want %+v", uses, err, want)
	}
	if status, err := e.Status(t.Context(), other); err != nil || status.Pending != 0 {
		t.Errorf("%d of the other are pending, %v; want none", status.Pending, err)
	}
}

// engine checks what an engine says of what is not there and of what is refused.
func engine(t *testing.T, s rollout.Store) {
	e := replicas(s, 1)[0]
	if _, err := e.Status(t.Context(), app); !errors.Is(err, rollout.ErrNotFound) {
		t.Errorf("Status of nothing = %v; want ErrNotFound", err)
	}
	if _, err := e.Orchestrate(t.Context(), app); !errors.Is(err, rollout.ErrNotFound) {
		t.Errorf("Orchestrate of nothing = %v; want ErrNotFound", err)
	}
	var refusal *rollout.Refusal
	for _, key := range []rollout.Key{{}, {Namespace: "a"}, {Namespace: "a\x00", Entity: "b"}, {Namespace: "a", Entity: "\xff"}} {
		if err := e.SetVersion(t.Context(), key, "v1"); !errors.As(err, &refusal) {
			t.Errorf("SetVersion(%q) = %v; want a refusal", key, err)
		}
	}
	if err := e.SetVersion(t.Context(), app, ""); !errors.As(err, &refusal) {
		t.Errorf(`SetVersion("") = %v; want a refusal`, err)
	}
	if names, err := e.Namespaces(t.Context()); err != nil || len(names) != 0 {
		t.Errorf("Namespaces = %v, %v; want none: what was refused creates nothing", names, err)
	}
	must(t, "SetVersion", e.SetVersion(t.Context(), app, "v1"))
	must(t, "SetBudgets", e.SetBudgets(t.Context(), "other"))
	names, err := e.Namespaces(t.Context())
	if err != nil || !reflect.DeepEqual(names, []string{app.Namespace}) {
		t.Errorf("Namespaces = %v, %v; want %s", names, err, app.Namespace)
	}
	names, err = e.Entities(t.Context(), app.Namespace)
	if err != nil || !reflect.DeepEqual(names, []string{app.Entity}) {
		t.Errorf("Entities = %v, %v; want %s", names, err, app.Entity)
	}
}

// reload drives one entity by a new engine each time, as a process that restarts after each step would.
func reload(t *testing.T, s rollout.Store) {
	now := start
	fresh := func() *rollout.Engine { return rollout.NewEngine(s, func() time.Time { return now }) }
	must(t, "SetPolicy", fresh().SetPolicy(t.Context(), app, rollout.Policy{Batch: rollout.Count(2), Soak: time.Minute}))
	must(t, "MarkGood", fresh().Do(t.Context(), app, rollout.Command{Verb: rollout.MarkGood, Version: "v1", By: "ann"}))
	must(t, "SetVersion", fresh().SetVersion(t.Context(), app, "v2"))
	all := reports(5, "v1")
	for range 20 {
		wanted, err := fresh().Orchestrate(t.Context(), app, all...)
		must(t, "Orchestrate", err)
		changing := 0
		for i, w := range wanted {
			if all[i].Version == "v1" && w.Version == "v2" {
				changing++
				all[i].Version = "v2"
			}
		}
		if changing > 2 {
			t.Fatalf("%d targets were asked at one time; want at most 2", changing)
		}
		now = now.Add(30 * time.Second)
	}
	got, err := fresh().Status(t.Context(), app)
	if err != nil || got.State != rollout.Good || got.Good != "v2" {
		t.Errorf("Status = %+v, %v; want v2 to be good", got, err)
	}
	entries, err := fresh().History(t.Context(), app, 0, 100)
	must(t, "History", err)
	var words []string
	for i := len(entries) - 1; i >= 0; i-- {
		words = append(words, string(entries[i].Event.Reason.Code))
	}
	want := []string{"command", "command", "started", "settled", "met"}
	if !reflect.DeepEqual(words, want) {
		t.Errorf("history is %v; want %v", words, want)
	}
}
