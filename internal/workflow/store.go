package workflow

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"tutti/api"
	"tutti/errs"
	"tutti/internal/store"
	"tutti/internal/workflow/core"
)

// journalRow is what one command decided, or several to the same run at the same time.
type journalRow struct {
	n      int64
	seq    int64
	at     int64
	events []byte
}

// createdRow is a new run.
type createdRow struct {
	n    int64
	meta *core.Meta
	at   int64
	projection
}

// keyRow remembers which run an idempotency key made.
type keyRow struct{ namespace, key, body, run string }

// approvalRow puts an approval into the inbox, or takes it out where ask is nil.
type approvalRow struct {
	run  api.RunID
	task string
	ask  *api.Approval
}

// write stores a batch: all of it, or nothing.
func (b *batch) write(tx *store.Tx) error {
	for digest, doc := range b.definitions {
		if err := tx.Exec(`INSERT INTO workflow_definitions (digest, document) VALUES (?, ?) ON CONFLICT (digest) DO NOTHING`, digest, doc); err != nil {
			return err
		}
	}
	if err := store.InsertMany(tx, `INSERT INTO workflow_runs (n, id, namespace, workflow, version, digest, title, trace, request, requester, parent,
		state, flags, reason, failure, created, ended, busy, wake) VALUES `, 19, b.created, func(c createdRow, args []any) []any {
		m := c.meta
		parent := ""
		if m.Parent != nil {
			parent = string(m.Parent.Run)
		}
		return append(args, c.n, string(m.ID), m.Namespace, m.Workflow, m.Version, m.Digest, m.Title, m.Trace, m.Request, m.Requester, parent,
			string(c.state), c.flags, c.reason, c.failure, c.at, c.ended, c.busy, c.wake)
	}); err != nil {
		return fmt.Errorf("insert runs: %w", err)
	}
	if err := store.InsertMany(tx, `INSERT INTO workflow_journal (run, seq, at, events) VALUES `, 4, b.journal, func(r journalRow, args []any) []any {
		return append(args, r.n, r.seq, r.at, string(r.events))
	}); err != nil {
		return fmt.Errorf("insert journal: %w", err)
	}
	if err := store.InsertMany(tx, `INSERT INTO workflow_keys (namespace, key, body, run) VALUES `, 4, b.keys, func(k keyRow, args []any) []any {
		return append(args, k.namespace, k.key, k.body, k.run)
	}); err != nil {
		return fmt.Errorf("insert keys: %w", err)
	}
	if err := b.writeChanged(tx); err != nil {
		return fmt.Errorf("update runs: %w", err)
	}
	for _, a := range b.approvals {
		if err := a.write(tx); err != nil {
			return fmt.Errorf("approvals: %w", err)
		}
	}
	if err := b.writeLimits(tx); err != nil {
		return fmt.Errorf("limits: %w", err)
	}
	if err := tx.AuditAll(b.acts); err != nil {
		return fmt.Errorf("audit: %w", err)
	}
	if err := tx.EmitAll(b.records); err != nil {
		return fmt.Errorf("outbox: %w", err)
	}
	return nil
}

// projected are the columns that change, after the one that says of which run.
var projected = []store.Column{{Name: "n", Type: "BIGINT"}, {Name: "state", Type: "TEXT"}, {Name: "flags", Type: "TEXT"}, {Name: "reason", Type: "TEXT"},
	{Name: "failure", Type: "TEXT"}, {Name: "ended", Type: "BIGINT"}, {Name: "busy", Type: "BIGINT"}, {Name: "wake", Type: "BIGINT"}}

// writeChanged brings the rows of runs up to date, in their order.
func (b *batch) writeChanged(tx *store.Tx) error {
	runs := slices.SortedFunc(maps.Keys(b.changed), func(x, y *live) int { return cmp.Compare(x.n, y.n) })
	return store.UpdateMany(tx, "workflow_runs", projected, runs, func(l *live, to []any) []any {
		p := b.changed[l]
		return append(to, l.n, string(p.state), p.flags, p.reason, p.failure, p.ended, p.busy, p.wake)
	})
}

func (a approvalRow) write(tx *store.Tx) error {
	if a.ask == nil {
		return tx.Exec(`DELETE FROM workflow_approvals WHERE run = ? AND task = ?`, string(a.run), a.task)
	}
	j, err := json.Marshal(a.ask)
	if err != nil {
		return err
	}
	return tx.Exec(`INSERT INTO workflow_approvals (run, task, namespace, asked, approval) VALUES (?, ?, ?, ?, ?) ON CONFLICT (run, task) DO UPDATE SET asked = excluded.asked, approval = excluded.approval`,
		string(a.run), a.task, a.ask.Namespace, store.Micros(a.ask.Asked), string(j))
}

// stored is what the store says of a run beside its journal.
type stored struct {
	n      int64
	digest string
}

// find returns the number and digest of a run; namespace "" finds it in any.
func find(ctx context.Context, db *store.DB, namespace string, id api.RunID) (s stored, err error) {
	err = db.QueryRow(ctx, `SELECT n, digest FROM workflow_runs WHERE id = ? AND (? = '' OR namespace = ?)`, string(id), namespace, namespace).Scan(&s.n, &s.digest)
	return s, store.NoRow(err, "no run %q", id)
}

// readJournal calls f with each command's events after a number, in order.
func readJournal(ctx context.Context, db *store.DB, n, after int64, f func(seq, at int64, events []core.Event) error) error {
	rows, err := db.Query(ctx, `SELECT seq, at, events FROM workflow_journal WHERE run = ? AND seq > ? ORDER BY seq`, n, after)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var seq, at int64
		var raw []byte
		if err := rows.Scan(&seq, &at, &raw); err != nil {
			return err
		}
		var events []core.Event
		if err := json.Unmarshal(raw, &events); err != nil {
			return errs.New(errs.Internal, "journal of run %d at %d: %w", n, seq, err)
		}
		if err := f(seq, at, events); err != nil {
			return err
		}
	}
	return rows.Err()
}

// keyID is an idempotency key.
type keyID struct{ namespace, key string }

// maxKeys is how many keys are looked for with one statement.
const maxKeys = 256

// keysOf returns which runs idempotency keys made, and the digests of what was asked then.
func keysOf(ctx context.Context, db *store.DB, keys []keyID) (map[keyID]madeKey, error) {
	out := map[keyID]madeKey{}
	for some := range slices.Chunk(keys, maxKeys) {
		if err := addKeys(ctx, db, some, out); err != nil {
			return nil, err
		}
	}
	return out, nil
}

func addKeys(ctx context.Context, db *store.DB, keys []keyID, to map[keyID]madeKey) error {
	n := 1 // few different statements, which stay prepared; the last key is asked for again to fill one up
	for n < len(keys) {
		n *= 4
	}
	args := make([]any, 0, 2*n)
	for i := range n {
		k := keys[min(i, len(keys)-1)]
		args = append(args, k.namespace, k.key)
	}
	const one = "(CAST(? AS TEXT), CAST(? AS TEXT))"
	rows, err := db.Query(ctx, `SELECT k.namespace, k.key, k.run, k.body FROM (VALUES `+one+strings.Repeat(", "+one, n-1)+`) AS v
		CROSS JOIN workflow_keys AS k WHERE k.namespace = v.column1 AND k.key = v.column2`, args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var k keyID
		var m madeKey
		if err := rows.Scan(&k.namespace, &k.key, &m.run, &m.body); err != nil {
			return err
		}
		to[k] = m
	}
	return rows.Err()
}

// definitionOf returns the document with a digest.
func definitionOf(ctx context.Context, db *store.DB, digest string) (doc string, err error) {
	err = db.QueryRow(ctx, `SELECT document FROM workflow_definitions WHERE digest = ?`, digest).Scan(&doc)
	return doc, store.NoRow(err, "no definition with digest %s", digest)
}

// due is a run with a timer.
type due struct {
	id api.RunID
	at int64
}

// outstanding reads what a starting engine has to know: the highest run number, the runs that are with
// workers, and the timers of those that only wait.
func outstanding(ctx context.Context, db *store.DB) (top int64, busy []api.RunID, timers []due, err error) {
	if err = db.QueryRow(ctx, `SELECT coalesce(max(n), 0) FROM workflow_runs`).Scan(&top); err != nil {
		return
	}
	rows, err := db.Query(ctx, `SELECT id, busy, wake FROM workflow_runs WHERE busy = 1 UNION ALL SELECT id, busy, wake FROM workflow_runs WHERE wake > 0 AND busy = 0`)
	if err != nil {
		return
	}
	defer rows.Close()
	for rows.Next() {
		var d due
		var isBusy int
		if err = rows.Scan(&d.id, &isBusy, &d.at); err != nil {
			return
		}
		if isBusy == 1 {
			busy = append(busy, d.id)
		} else {
			timers = append(timers, d)
		}
	}
	return top, busy, timers, rows.Err()
}

const runColumns = `n, id, namespace, workflow, version, digest, title, trace, request, requester, parent, state, flags, reason, failure, created, ended`

func scanRun(scan func(...any) error) (n int64, r api.Run, err error) {
	var flags, reason, failure, parent string
	var created, ended int64
	err = scan(&n, &r.ID, &r.Namespace, &r.Workflow, &r.Version, &r.Digest, &r.Title, &r.Trace, &r.Request, &r.Requester, &parent, &r.State, &flags, &reason, &failure, &created, &ended)
	if err != nil {
		return 0, r, err
	}
	for f := range strings.FieldsSeq(flags) {
		r.Flags = append(r.Flags, api.Flag(f))
	}
	if parent != "" {
		r.Parent = &api.TaskRef{Run: api.RunID(parent)}
	}
	if reason != "" {
		err = json.Unmarshal([]byte(reason), &r.Reason)
	}
	if failure != "" && err == nil {
		err = json.Unmarshal([]byte(failure), &r.Failure)
	}
	r.Created, r.Ended = store.Time(created), store.Time(ended)
	return n, r, err
}

// listRuns returns up to limit runs below a number, newest first, and their numbers.
func listRuns(ctx context.Context, db *store.DB, in api.ListRunsIn, below int64, limit int) (out []api.Run, numbers []int64, err error) {
	where := []string{"namespace = ?", "n < ?"}
	args := []any{in.Namespace, below}
	for _, f := range []struct{ column, value string }{
		{"workflow", in.Workflow}, {"state", string(in.State)}, {"trace", in.Trace}, {"request", in.Request}, {"parent", string(in.Parent)},
	} {
		if f.value != "" {
			where, args = append(where, f.column+" = ?"), append(args, f.value)
		}
	}
	if in.Top {
		where = append(where, "parent = ''")
	}
	if in.Active {
		where = append(where, "ended = 0")
	}
	if len(in.IDs) > 0 {
		where = append(where, "id IN (?"+strings.Repeat(", ?", len(in.IDs)-1)+")")
		for _, id := range in.IDs {
			args = append(args, string(id))
		}
	}
	rows, err := db.Query(ctx, `SELECT `+runColumns+` FROM workflow_runs WHERE `+strings.Join(where, " AND ")+` ORDER BY n DESC LIMIT ?`, append(args, limit)...)
	if err != nil {
		return nil, nil, err
	}
	defer rows.Close()
	for rows.Next() {
		n, r, err := scanRun(rows.Scan)
		if err != nil {
			return nil, nil, err
		}
		out, numbers = append(out, r), append(numbers, n)
	}
	return out, numbers, rows.Err()
}

// prefixed returns up to limit runs of a namespace whose ID starts so.
func prefixed(ctx context.Context, db *store.DB, namespace, prefix string, limit int) (out []api.Run, err error) {
	rows, err := db.Query(ctx, `SELECT `+runColumns+` FROM workflow_runs WHERE id >= ? AND id < ? AND namespace = ? ORDER BY id LIMIT ?`, prefix, prefix+"~", namespace, limit)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		_, r, err := scanRun(rows.Scan)
		if err != nil {
			return nil, err
		}
		out = append(out, r)
	}
	return out, rows.Err()
}

// listApprovals returns what waits for a decision, oldest first.
func listApprovals(ctx context.Context, db *store.DB, namespace string, offset, limit int) (out []api.Approval, err error) {
	rows, err := db.Query(ctx, `SELECT approval FROM workflow_approvals WHERE namespace = ? ORDER BY asked, run, task LIMIT ? OFFSET ?`, namespace, limit, offset)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var raw []byte
		var a api.Approval
		if err := rows.Scan(&raw); err != nil {
			return nil, err
		}
		if err := json.Unmarshal(raw, &a); err != nil {
			return nil, err
		}
		out = append(out, a)
	}
	return out, rows.Err()
}

// poison records a run whose state cannot be carried on.
func poison(ctx context.Context, db *store.DB, id api.RunID, cause error) error {
	return db.Tx(ctx, func(tx *store.Tx) error {
		return tx.Exec(`INSERT INTO workflow_poison (run, at, error) VALUES (?, ?, ?) ON CONFLICT (run) DO NOTHING`, string(id), store.Micros(time.Now()), cause.Error())
	})
}
