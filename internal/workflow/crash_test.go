package workflow

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"tutti/api"
	"tutti/bus"
	"tutti/bus/membus"
	"tutti/internal/service"
	"tutti/internal/store"
	"tutti/internal/workflow/checker"
	"tutti/internal/workflow/core"
)

// A scenario is a run whose every write is once the last of its process.
type scenario struct {
	name, text string
	fails      func(task string, attempt int) *api.Failure
	want       api.State
	flags      string
	outputs    string
}

var scenarios = []scenario{
	{name: "chain with retry",
		text: "tasks: {a: {use: noop, retry: {max: 2, wait: 1s}}, b: {use: noop, needs: [a]}, c: {use: noop, needs: [b]}}\noutputs: {n: '${{ tasks.c.out.did }}'}",
		fails: func(task string, attempt int) *api.Failure {
			if task == "a" && attempt < 2 {
				return &api.Failure{Type: "broken", Message: "not yet", Retryable: true}
			}
			return nil
		},
		want: api.Succeeded, outputs: `{"n":"c"}`},
	{name: "items, sub-runs and a limit",
		text: "tasks: {e: {each: {in: '[1,2,3]', parallel: 3}, use: 'workflow:leaf', limit: {key: k, max: 2}}, o: {use: noop, once: the-ip}, z: {use: noop, needs: [e, o]}}\noutputs: {n: '${{ tasks.e.out[2].t.did }}'}",
		want: api.Succeeded, outputs: `{"n":"x"}`},
	{name: "undo",
		text: "onFailure: undo\ntasks: {a: {use: noop, undo: {use: noop}}, s: {use: 'workflow:leaf', needs: [a]}, c: {use: noop, needs: [s]}}",
		fails: func(task string, _ int) *api.Failure {
			if task == "c" {
				return &api.Failure{Type: "broken", Message: "it cannot be done"}
			}
			return nil
		},
		want: api.Failed, flags: "undone"},
}

// TestCrashAtEachWrite ends the engine at its first write, its second, and so on until one passes
// through: once before the store has it, and once after, before anybody heard.
func TestCrashAtEachWrite(t *testing.T) {
	t.Parallel()
	for _, sc := range scenarios {
		for _, stored := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, stored %v", sc.name, stored), func(t *testing.T) {
				t.Parallel()
				for i := 1; ; i++ {
					c := &crashing{t: t, sc: sc, dir: t.TempDir(), at: i, stored: stored}
					synctest.Test(t, func(t *testing.T) { c.t = t; c.all(1) })
					if c.crashes == 0 {
						t.Logf("%d writes", i-1)
						break
					}
					if i > 200 {
						t.Fatal("it writes without end")
					}
				}
			})
		}
		t.Run(sc.name+", again and again", func(t *testing.T) {
			t.Parallel()
			for _, stored := range []bool{false, true} {
				c := &crashing{t: t, sc: sc, dir: t.TempDir(), at: 2, stored: stored}
				synctest.Test(t, func(t *testing.T) { c.t = t; c.all(1000) })
				if c.crashes < 2 {
					t.Errorf("it crashed %d times", c.crashes)
				}
			}
		})
	}
}

// crashing carries a scenario through crashes.
type crashing struct {
	t       *testing.T
	sc      scenario
	dir     string
	at      int
	stored  bool
	crashes int

	id   api.RunID       // once it was acknowledged
	over map[string]bool // tasks whose results were
	dies bool
}

// dying is a ledger whose process ends at a write.
type dying struct {
	ledger
	c    *crashing
	left int
	dead chan struct{} // closed by the write it ends at
	gone chan struct{} // closed once nothing can be heard of it any more
}

var errDead = errors.New("the process is dead")

func (d *dying) commit(ctx context.Context, l store.Lease, b *batch) error {
	if d.left--; d.left == 0 && d.c.dies {
		if d.c.stored {
			if err := d.ledger.commit(ctx, l, b); err != nil {
				d.c.t.Error(err)
			}
		}
		close(d.dead)
	}
	if d.left <= 0 && d.c.dies {
		<-d.gone
		return errDead
	}
	return d.ledger.commit(ctx, l, b)
}

// all runs one process after the other, at most times of which crash, until the run has ended.
func (c *crashing) all(times int) {
	c.over = map[string]bool{}
	for n := 0; ; n++ {
		if n > 300 {
			c.t.Fatal("no progress")
		}
		if c.dies = n < times; c.process() {
			return
		}
		c.crashes++
	}
}

// process is the life of one: it reports whether the run ended in it.
func (c *crashing) process() (finished bool) {
	bs := bus.New(new(membus.Bus), []byte("key"), api.Allow)
	db, err := store.Open(c.t.Context(), store.Config{Dir: c.dir}, "workflow", Migrations)
	if err != nil {
		c.t.Fatal(err)
	}
	defer db.Close()
	ctx, cancel := context.WithCancel(c.t.Context())
	defer cancel()
	deps := service.Deps{Name: "workflow", DB: db, Bus: bs, Log: slog.New(slog.DiscardHandler)}
	built, err := New(Config{Types: []api.TaskType{{Name: "noop"}}})(deps)
	if err != nil {
		c.t.Fatal(err)
	}
	s := built.(*Service)
	lease, err := s.claim(ctx)
	if err != nil {
		c.t.Fatal(err)
	}
	e, err := s.open(ctx, lease)
	if err != nil {
		c.t.Fatal(err)
	}
	d := &dying{ledger: e.ledger, c: c, left: c.at, dead: make(chan struct{}), gone: make(chan struct{})}
	e.ledger = d
	ended := make(chan error, 1)
	go func() { ended <- e.run(ctx) }()
	if err := errors.Join(s.handle(ctx, e), c.leaf(ctx, bs)); err != nil {
		c.t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- c.outside(ctx, bs, d) }()
	select {
	case err := <-done:
		if err != nil {
			c.t.Error(err)
		}
		c.verdict(db)
		finished = true
	case <-d.dead:
	}
	cancel()
	close(d.gone)
	<-ended
	if !finished {
		<-done
	}
	return finished
}

const leafDoc = `{"kind":"Workflow","name":"leaf","outputs":{"t":"${{ tasks.x.out }}"},"tasks":{"x":{"use":"noop","undo":{"use":"noop"}}}}`

func (c *crashing) leaf(ctx context.Context, bs *bus.Bus) error {
	return api.GetDefinition.Handle(ctx, bs, func(context.Context, api.GetDefinitionIn) (api.Definition, error) {
		return api.Definition{Name: "leaf", Kind: api.KindWorkflow, Version: 1, Digest: "leaf", Role: api.Admin, Document: json.RawMessage(leafDoc)}, nil
	})
}

// outside is a client and a worker, until the run has ended or the process has.
func (c *crashing) outside(ctx context.Context, bs *bus.Bus, d *dying) error {
	lives := func() bool {
		select {
		case <-d.dead:
			return false
		default:
			return ctx.Err() == nil
		}
	}
	user := bus.WithCaller(ctx, anna)
	r, err := api.StartRun.Call(user, bs, api.StartRunIn{NS: api.NS{Namespace: "default"}, Key: "key",
		Body: api.StartRunBody{Definition: "kind: Workflow\nname: test\n" + c.sc.text}})
	switch {
	case !lives():
		return nil
	case err != nil:
		return err
	case c.id != "" && c.id != r.ID:
		return fmt.Errorf("the key made %s and %s", c.id, r.ID)
	}
	c.id = r.ID
	var rs []api.Result
	var names []string
	for {
		out, err := api.PollTasks.Call(bus.AsService(ctx, "worker"), bs, api.PollIn{NS: api.NS{Namespace: "*"}, Pool: api.DefaultPool,
			Body: api.PollBody{Worker: "w", Max: 2, Wait: api.Duration(2 * time.Second), Results: rs}})
		switch {
		case !lives():
			return nil
		case err != nil:
			return err
		case len(out.Refused) > 0:
			return fmt.Errorf("refused: %+v", out.Refused)
		}
		for _, name := range names {
			c.over[name] = true
		}
		if rs, names, err = c.work(out.Assignments); err != nil {
			return err
		}
		if len(out.Assignments) > 0 {
			continue
		}
		r, err := api.GetRun.Call(user, bs, api.GetRunIn{NS: api.NS{Namespace: "default"}, ID: c.id})
		if !lives() || err == nil && r.State.Ended() {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// work carries assignments out, and returns the results with the names of what is done for good.
func (c *crashing) work(as []api.Assignment) (rs []api.Result, names []string, err error) {
	for _, a := range as {
		name := string(a.Run) + " " + a.Task
		if c.over[name] {
			return nil, nil, fmt.Errorf("%s starts again after its result was acknowledged", name)
		}
		r := api.Result{Token: a.Token, Outcome: api.Done, Out: json.RawMessage(fmt.Sprintf(`{"did":%q}`, a.Task))}
		if c.sc.fails != nil {
			if f := c.sc.fails(a.Task, a.Attempt); f != nil {
				r = api.Result{Token: a.Token, Outcome: api.FailedTask, Failure: f}
			}
		}
		if r.Outcome == api.Done {
			names = append(names, name)
		}
		rs = append(rs, r)
	}
	return rs, names, nil
}

// verdict judges what is in the store once the run has ended.
func (c *crashing) verdict(db *store.DB) {
	t, ctx := c.t, c.t.Context()
	e := newEngine(service.Deps{Name: "workflow", DB: db, Log: slog.New(slog.DiscardHandler)}, sqlLedger{db}, store.Lease{})
	journal := &checker.Journal{Load: e.graphs.inline}
	ends := 0
	for id, n := range c.runs(db) {
		l, err := e.get("", id)
		if err != nil {
			t.Fatal(err)
		}
		err = readJournal(ctx, db, n, 0, func(seq, _ int64, events []core.Event) error {
			return journal.Add(id, l.run.Graph, checker.Row{Seq: seq, Events: events})
		})
		if err != nil {
			t.Error(err)
		}
		times, _ := journal.Ends(id)
		ends += times
		if id == c.id && (l.run.State != c.sc.want || !strings.Contains(project(l.run).flags, c.sc.flags) || string(l.run.Outputs) != c.sc.outputs) {
			t.Errorf("the run ended as %s %s with %s; want %s %s with %s", l.run.State, project(l.run).flags, l.run.Outputs, c.sc.want, c.sc.flags, c.sc.outputs)
		}
	}
	for _, err := range journal.End() {
		t.Error(err)
	}
	for what, want := range map[string]int{
		`SELECT count(*) FROM workflow_runs WHERE parent = ''`:                 1,
		`SELECT count(*) FROM workflow_keys`:                                   1,
		`SELECT count(*) FROM workflow_places`:                                 0,
		`SELECT count(*) FROM workflow_poison`:                                 0,
		`SELECT count(*) FROM workflow_runs WHERE busy = 1`:                    0,
		`SELECT count(*) FROM workflow_runs WHERE ended = 0`:                   0,
		`SELECT count(*) FROM workflow_outbox WHERE type LIKE '%run.finished'`: ends,
	} {
		var got int
		if err := db.QueryRow(ctx, what).Scan(&got); err != nil || got != want {
			t.Errorf("%s = %d, %v; want %d", what, got, err, want)
		}
	}
}

func (c *crashing) runs(db *store.DB) map[api.RunID]int64 {
	rows, err := db.Query(c.t.Context(), `SELECT id, n FROM workflow_runs`)
	if err != nil {
		c.t.Fatal(err)
	}
	defer rows.Close()
	out := map[api.RunID]int64{}
	for rows.Next() {
		var id api.RunID
		var n int64
		if err := rows.Scan(&id, &n); err != nil {
			c.t.Fatal(err)
		}
		out[id] = n
	}
	if err := rows.Err(); err != nil {
		c.t.Fatal(err)
	}
	return out
}
