package workflow

import (
	"context"
	"database/sql"
	"errors"

	"tutti/api"
	"tutti/internal/store"
	"tutti/internal/workflow/core"
)

// limits knows who has and who waits for the places under each limit. It is derived: each row goes in
// and out in the transaction of the step that asked for the place or gave it back, so that nothing can
// leak; a starting engine reads it from the store.
type limits struct {
	of   map[limitKey]*limit
	next int64
}

type limitKey struct {
	namespace, key string
	once           bool
}

// claim says who has or wants a place: a task, or a run.
type claim struct {
	run  api.RunID
	path string
}

type (
	limit    = core.Line[claim]
	claimant = core.Claimant[claim]
)

// placeRow is a change of the store: a claimant that came or moved up, or one that left.
type placeRow struct {
	key  limitKey
	who  claimant
	gone bool
}

// onceDone is what came of a key of once, and the batch that says so.
type onceDone struct {
	out   string
	batch int64
}

// onceRow is a key of once with what came of it.
type onceRow struct {
	key limitKey
	who claim
	out string
	at  int64
}

func (l *limits) get(k limitKey) *limit {
	if l.of == nil {
		l.of = map[limitKey]*limit{}
	}
	x := l.of[k]
	if x == nil {
		x = &limit{}
		l.of[k] = x
	}
	return x
}

// acquire handles the asking of a run for a place.
func (e *engine) acquire(b *batch, l *live, a core.Acquire) {
	k := limitKey{l.run.Namespace, a.Key, a.Once}
	if a.Once {
		if out, done, err := e.onceDone(k); err != nil || done {
			if err != nil {
				b.failed = readable(err)
				return
			}
			e.later = append(e.later, func(b *batch) {
				e.answer(b, l.run.ID, func(r *core.Run, now int64) ([]core.Event, core.Effects, error) {
					return r.Already(now, a.Path, a.Key, []byte(out))
				})
			})
			return
		}
	}
	x := e.limits.get(k)
	if x.Holders() > 0 && x.Holders() >= a.Max {
		switch a.WhenFull {
		case "refuse":
			name := "run " + string(x.All()[0].Who.run)
			e.later = append(e.later, func(b *batch) {
				e.answer(b, l.run.ID, func(r *core.Run, now int64) ([]core.Event, core.Effects, error) {
					return r.Deny(now, a.Path, a.Key, name)
				})
			})
			return
		case "replace": // the newest wins: over who has a place, and over who waits for one
			for _, old := range x.All() {
				e.later = append(e.later, func(b *batch) {
					e.answer(b, old.Who.run, func(r *core.Run, now int64) ([]core.Event, core.Effects, error) {
						return r.Replace(now, old.Who.path, "run "+string(l.run.ID))
					})
				})
			}
		}
	}
	e.limits.next++
	c := claimant{Who: claim{l.run.ID, a.Path}, Most: a.Max, Priority: a.Priority, Place: e.limits.next}
	x.Enter(c)
	b.places = append(b.places, placeRow{key: k, who: c})
	e.grant(b, k, x)
}

// grant gives free places to those who wait.
func (e *engine) grant(b *batch, k limitKey, x *limit) {
	for _, c := range x.MoveUp() {
		b.places = append(b.places, placeRow{key: k, who: c})
		e.later = append(e.later, func(b *batch) {
			e.answer(b, c.Who.run, func(r *core.Run, now int64) ([]core.Event, core.Effects, error) {
				return r.Grant(now, c.Who.path, k.key, k.once)
			})
		})
	}
}

// answer applies what the limits decided to a run.
func (e *engine) answer(b *batch, id api.RunID, f func(*core.Run, int64) ([]core.Event, core.Effects, error)) {
	l := e.need(b, id)
	if l == nil {
		return
	}
	if err := e.step(b, l, "", func(now int64) ([]core.Event, core.Effects, error) { return f(l.run, now) }); err != nil {
		e.d.Log.Error("limit", "run", id, "err", err)
	}
}

// giveBack frees a place for the next.
func (e *engine) giveBack(b *batch, l *live, r core.Release) {
	k := limitKey{l.run.Namespace, r.Key, r.Once}
	x := e.limits.get(k)
	who := claim{l.run.ID, r.Path}
	if bug == "limits leak" && !r.Once || !x.Leave(who) {
		return
	}
	b.places = append(b.places, placeRow{key: k, who: claimant{Who: who}, gone: true})
	if r.Once && r.Out != nil {
		b.once = append(b.once, onceRow{k, who, string(r.Out), e.now().UnixMicro()})
		e.onceNew[k] = onceDone{string(r.Out), b.id}
		for _, c := range x.SendAway() { // what they wait for is done
			e.later = append(e.later, func(b *batch) {
				b.places = append(b.places, placeRow{key: k, who: c, gone: true})
				e.answer(b, c.Who.run, func(run *core.Run, now int64) ([]core.Event, core.Effects, error) {
					return run.Already(now, c.Who.path, k.key, r.Out)
				})
			})
		}
	}
	e.grant(b, k, x)
	if x.Len() == 0 {
		delete(e.limits.of, k)
	}
}

// onceDone returns what came of a key of once before.
func (e *engine) onceDone(k limitKey) (out string, done bool, err error) {
	if o, ok := e.onceNew[k]; ok {
		return o.out, true, nil
	}
	return e.ledger.onceOf(context.Background(), k) // background: the loop reads its own store only
}

// writeLimits stores what changed of limits and of once.
func (b *batch) writeLimits(tx *store.Tx) error {
	for _, p := range b.places {
		var err error
		if p.gone {
			err = tx.Exec(`DELETE FROM workflow_places WHERE run = ? AND path = ? AND once = ?`, string(p.who.Who.run), p.who.Who.path, btoi(p.key.once))
		} else {
			err = tx.Exec(`INSERT INTO workflow_places (namespace, key, once, run, path, most, priority, place, granted) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
				ON CONFLICT (run, path, once) DO UPDATE SET key = excluded.key, place = excluded.place, granted = excluded.granted`,
				p.key.namespace, p.key.key, btoi(p.key.once), string(p.who.Who.run), p.who.Who.path, p.who.Most, p.who.Priority, p.who.Place, btoi(p.who.Granted))
		}
		if err != nil {
			return err
		}
	}
	return store.InsertMany(tx, `INSERT INTO workflow_once (namespace, key, run, path, out, at) VALUES `, 6, b.once, func(o onceRow, to []any) []any {
		return append(to, o.key.namespace, o.key.key, string(o.who.run), o.who.path, o.out, o.at)
	})
}

func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
}

// load takes in who had and who waited for places when the engine before ended.
func (l *limits) load(rows []placeRow) {
	for _, r := range rows {
		l.next = max(l.next, r.who.Place)
		l.get(r.key).Enter(r.who)
	}
}

// readPlaces returns who has and who waits for places, in the order they asked.
func readPlaces(ctx context.Context, db *store.DB) (out []placeRow, err error) {
	rows, err := db.Query(ctx, `SELECT namespace, key, once, run, path, most, priority, place, granted FROM workflow_places ORDER BY place`)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var r placeRow
		var once, granted int
		if err := rows.Scan(&r.key.namespace, &r.key.key, &once, &r.who.Who.run, &r.who.Who.path, &r.who.Most, &r.who.Priority, &r.who.Place, &granted); err != nil {
			return nil, err
		}
		r.key.once, r.who.Granted = once == 1, granted == 1
		out = append(out, r)
	}
	return out, rows.Err()
}

// readOnce returns what came of a key of once.
func readOnce(ctx context.Context, db *store.DB, k limitKey) (out string, done bool, err error) {
	err = db.QueryRow(ctx, `SELECT out FROM workflow_once WHERE namespace = ? AND key = ?`, k.namespace, k.key).Scan(&out)
	if errors.Is(err, sql.ErrNoRows) {
		return "", false, nil
	}
	return out, err == nil, err
}
