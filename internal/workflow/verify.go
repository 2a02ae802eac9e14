package workflow

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"log/slog"
	"maps"
	"slices"

	"tutti/api"
	"tutti/internal/service"
	"tutti/internal/store"
	"tutti/internal/workflow/checker"
	"tutti/internal/workflow/core"
)

// Verify reads every run of a store that no engine works on, and returns what is wrong, in words: each
// journal is judged by the rules of package checker, and what the other tables say of a run is compared
// with what its journal makes of it. It changes nothing. The error is of the reading itself.
func Verify(ctx context.Context, db *store.DB) ([]string, error) {
	v := &verifier{db: db, runs: map[api.RunID]row{}, approvals: map[attemptKey]bool{}, places: map[attemptKey]bool{}}
	v.e = newEngine(service.Deps{Name: "workflow", DB: db, Log: slog.New(slog.DiscardHandler)}, untouched{sqlLedger{db}}, store.Lease{})
	v.journal = &checker.Journal{Load: v.e.graphs.inline}
	for _, step := range []func(context.Context) error{v.rows, v.beside, v.definitions, v.everyRun, v.leftovers} {
		if err := step(ctx); err != nil {
			return v.wrong, err
		}
	}
	return v.wrong, nil
}

// untouched is a ledger that is only read.
type untouched struct{ ledger }

func (untouched) poison(context.Context, api.RunID, error) error { return nil }

// row is what the table of runs says of one.
type row struct {
	n      int64
	parent api.RunID
	projection
}

type verifier struct {
	db      *store.DB
	e       *engine
	journal *checker.Journal
	runs    map[api.RunID]row
	wrong   []string
	// approvals and places are the rows no run has claimed yet.
	approvals, places map[attemptKey]bool
}

func (v *verifier) say(format string, args ...any) {
	v.wrong = append(v.wrong, fmt.Sprintf(format, args...))
}

// rows reads the table of runs.
func (v *verifier) rows(ctx context.Context) error {
	return v.each(ctx, `SELECT n, id, parent, state, flags, reason, failure, ended, busy, wake FROM workflow_runs`, func(scan func(...any) error) error {
		var r row
		var id api.RunID
		err := scan(&r.n, &id, &r.parent, &r.state, &r.flags, &r.reason, &r.failure, &r.ended, &r.busy, &r.wake)
		v.runs[id] = r
		return err
	})
}

// beside reads what is kept of runs outside of their journals.
func (v *verifier) beside(ctx context.Context) error {
	err := v.each(ctx, `SELECT run, task FROM workflow_approvals`, func(scan func(...any) error) error {
		var k attemptKey
		err := scan(&k.run, &k.path)
		v.approvals[k] = true
		return err
	})
	if err != nil {
		return err
	}
	places, err := readPlaces(ctx, v.db)
	for _, p := range places {
		v.places[attemptKey{p.who.Who.run, p.who.Who.path}] = true
	}
	if err != nil {
		return err
	}
	err = v.each(ctx, `SELECT namespace, key, run FROM workflow_keys`, func(scan func(...any) error) error {
		var namespace, key string
		var run api.RunID
		err := scan(&namespace, &key, &run)
		if _, ok := v.runs[run]; !ok && err == nil {
			v.say("key %q of namespace %s was answered with run %s, which is not there", key, namespace, run)
		}
		return err
	})
	if err != nil {
		return err
	}
	return v.each(ctx, `SELECT run, error FROM workflow_poison`, func(scan func(...any) error) error {
		var run, text string
		err := scan(&run, &text)
		v.say("run %s is quarantined: %s", run, text)
		return err
	})
}

// definitions checks that documents are those they were pinned as.
func (v *verifier) definitions(ctx context.Context) error {
	return v.each(ctx, `SELECT digest, document FROM workflow_definitions`, func(scan func(...any) error) error {
		var digest, doc string
		err := scan(&digest, &doc)
		if sum := sha256.Sum256([]byte(doc)); err == nil && hex.EncodeToString(sum[:]) != digest {
			v.say("the definition with digest %s is not what was pinned", digest)
		}
		return err
	})
}

// everyRun judges the journals, one run after the other.
func (v *verifier) everyRun(ctx context.Context) error {
	for _, id := range slices.SortedFunc(maps.Keys(v.runs), func(a, b api.RunID) int { return int(v.runs[a].n - v.runs[b].n) }) {
		if err := ctx.Err(); err != nil {
			return err
		}
		v.run(ctx, id, v.runs[id])
		delete(v.e.runs, id)
	}
	return nil
}

func (v *verifier) run(ctx context.Context, id api.RunID, r row) {
	if _, ok := v.runs[r.parent]; r.parent != "" && !ok {
		v.say("run %s has the parent %s, which is not there", id, r.parent)
	}
	l, err := v.e.get("", id)
	if err != nil {
		v.say("run %s cannot be loaded: %v", id, err)
		return
	}
	err = v.e.ledger.journal(ctx, r.n, 0, func(seq, _ int64, events []core.Event) error {
		return v.journal.Add(id, l.run.Graph, checker.Row{Seq: seq, Events: events})
	})
	if err != nil {
		v.say("%v", err)
	}
	v.compare(l, r)
	for _, t := range l.run.Tasks() {
		k := attemptKey{id, t.Path}
		if asks := t.State == api.Waiting && t.Reason != nil && t.Reason.Kind == "approval"; asks && !v.approvals[k] {
			v.say("task %s of run %s waits for an approval that is not in the inbox", t.Path, id)
		}
		if !t.State.Ended() {
			delete(v.approvals, k)
		}
	}
}

// compare says where the row of a run is not what its journal makes of it.
func (v *verifier) compare(l *live, r row) {
	if want := project(l.run); r.projection != want {
		v.say("the row of run %s says %+v; its journal %+v", l.run.ID, r.projection, want)
	}
	if l.run.State.Ended() {
		for k := range v.places {
			if k.run == l.run.ID {
				v.say("run %s has ended, and keeps a place for %q under a limit", k.run, k.path)
			}
		}
	}
}

// leftovers says what belongs to no run.
func (v *verifier) leftovers(context.Context) error {
	for k := range v.places {
		if _, ok := v.runs[k.run]; !ok {
			v.say("run %s, which is not there, has a place under a limit", k.run)
		}
	}
	for k := range v.approvals {
		v.say("the inbox asks for task %s of run %s, which does not wait for it", k.path, k.run)
	}
	return nil
}

// each calls f for each row of a query.
func (v *verifier) each(ctx context.Context, q string, f func(scan func(...any) error) error) error {
	rows, err := v.db.Query(ctx, q)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		if err := f(rows.Scan); err != nil {
			return err
		}
	}
	return rows.Err()
}
