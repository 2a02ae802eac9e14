package resource

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"time"

	"tutti/api"
	"tutti/bus"
	"tutti/errs"
	"tutti/internal/store"
)

// take holds a resource for a request, and returns the request that holds it.
func take(tx *store.Tx, in api.ResourceIn, request string) (holder string, err error) {
	n, err := tx.Changed(`INSERT INTO resource_holds (namespace, type, name, request) VALUES (?, ?, ?, ?) ON CONFLICT (namespace, type, name) DO NOTHING`,
		in.Namespace, in.Type, in.Name, request)
	if err != nil || n == 1 {
		return request, err
	}
	err = tx.QueryRow(`SELECT request FROM resource_holds WHERE namespace = ? AND type = ? AND name = ?`, in.Namespace, in.Type, in.Name).Scan(&holder)
	if errors.Is(err, sql.ErrNoRows) {
		return "", errs.New(errs.Unavailable, "%s %s was let go just now", in.Type, in.Name)
	}
	return holder, err
}

// holderOf returns the request that holds a resource, or "".
func holderOf(ctx context.Context, db *store.DB, in api.ResourceIn) (holder string, err error) {
	err = db.QueryRow(ctx, `SELECT request FROM resource_holds WHERE namespace = ? AND type = ? AND name = ?`, in.Namespace, in.Type, in.Name).Scan(&holder)
	if errors.Is(err, sql.ErrNoRows) {
		return "", nil
	}
	return holder, err
}

// release lets go what a request holds.
func release(tx *store.Tx, namespace, request string) error {
	return tx.Exec(`DELETE FROM resource_holds WHERE namespace = ? AND request = ?`, namespace, request)
}

// standing returns the request that a resource stands at, or "" where it does not exist.
func standing(tx *store.Tx, in api.ResourceIn) (request string, err error) {
	err = tx.QueryRow(`SELECT request FROM resource_changes WHERE namespace = ? AND type = ? AND name = ? AND current = 1 AND action <> 'delete'`,
		in.Namespace, in.Type, in.Name).Scan(&request)
	if errors.Is(err, sql.ErrNoRows) {
		return "", nil
	}
	return request, err
}

const (
	// expiryEvery is how often it is looked for what has expired.
	expiryEvery = 2 * time.Second
	// expiryRest is how long after a deletion that was refused, or failed, the next is asked for.
	expiryRest = 15 * time.Minute
)

// schedule stores when a resource expires, after a request for it ended.
func schedule(tx *store.Tx, in api.ResourceIn, r api.Request, it api.RequestItem) error {
	now, err := standing(tx, in)
	switch {
	case err != nil:
		return err
	case now == "":
		return tx.Exec(`DELETE FROM resource_expiries WHERE namespace = ? AND type = ? AND name = ?`, in.Namespace, in.Type, in.Name)
	case now == r.ID && it.TTL > 0:
		return tx.Exec(`INSERT INTO resource_expiries (namespace, type, name, request, due, tries, filed) VALUES (?, ?, ?, ?, ?, 0, '')
			ON CONFLICT (namespace, type, name) DO UPDATE SET request = excluded.request, due = excluded.due, filed = ''`,
			in.Namespace, in.Type, in.Name, r.ID, store.Micros(r.Ended.Add(time.Duration(it.TTL))))
	case it.Action == api.ActionDelete: // it failed: what has expired is asked for again
		return tx.Exec(`UPDATE resource_expiries SET filed = '', due = ? WHERE namespace = ? AND type = ? AND name = ? AND filed = ?`,
			store.Micros(time.Now().Add(expiryRest)), in.Namespace, in.Type, in.Name, r.ID)
	}
	return nil
}

// expire asks for the deletion of what has expired, until ctx ends.
func (s *Service) expire(ctx context.Context) error {
	t := time.NewTicker(expiryEvery)
	defer t.Stop()
	ctx = s.asService(ctx)
	for {
		if err := s.expireDue(ctx); err != nil && ctx.Err() == nil && !errs.Is(err, errs.Unavailable) {
			s.d.Log.Error("expired resources", "err", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-t.C:
		}
	}
}

// expiry is a resource that has expired.
type expiry struct {
	api.ResourceIn
	request, trace string
	tries          int
}

// expireDue intends a request for each resource that is due. Whoever marks it first files it.
func (s *Service) expireDue(ctx context.Context) error {
	rows, err := s.d.DB.Query(ctx, `SELECT x.namespace, x.type, x.name, x.request, x.tries, COALESCE(c.trace, '') FROM resource_expiries x
		LEFT JOIN resource_changes c ON c.namespace = x.namespace AND c.type = x.type AND c.name = x.name AND c.request = x.request
		WHERE x.filed = '' AND x.due <= ? ORDER BY x.due LIMIT 100`, store.Micros(time.Now()))
	if err != nil {
		return err
	}
	defer rows.Close()
	var due []expiry
	for rows.Next() {
		var x expiry
		if err := rows.Scan(&x.Namespace, &x.Type, &x.Name, &x.request, &x.tries, &x.trace); err != nil {
			return err
		}
		due = append(due, x)
	}
	if err := rows.Err(); err != nil {
		return err
	}
	for _, x := range due {
		err := s.d.DB.Tx(bus.WithTrace(ctx, x.trace), func(tx *store.Tx) error {
			n, err := tx.Changed(`UPDATE resource_expiries SET filed = 'asked', tries = tries + 1 WHERE namespace = ? AND type = ? AND name = ? AND filed = '' AND tries = ?`,
				x.Namespace, x.Type, x.Name, x.tries)
			if err != nil || n == 0 {
				return err
			}
			in := x.ask()
			return tx.Intend(in.Key, api.CreateRequest.Name, in)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// ask is the request that deletes what expired, the same each time.
func (x expiry) ask() api.CreateRequestIn {
	sum := sha256.Sum256(fmt.Appendf(nil, "%s/%s/%s/%s/%d", x.Namespace, x.Type, x.Name, x.request, x.tries))
	return api.CreateRequestIn{NS: x.NS, Key: "expiry/" + hex.EncodeToString(sum[:]), Body: api.CreateRequestBody{
		Action: api.ActionDelete, Type: x.Type, Name: x.Name, Title: clipTitle("Delete " + x.Type + " " + x.Name + ", which has expired")}}
}

// clipTitle keeps a title within what a request takes.
func clipTitle(s string) string {
	if len(s) > 200 {
		return s[:200]
	}
	return s
}

// expiryFiled stores the request that deletes what expired, or when it is asked for again.
func (s *Service) expiryFiled(_ context.Context, tx *store.Tx, _ string, in api.CreateRequestIn, r api.Request, refused error) error {
	if refused != nil {
		s.d.Log.Warn("the deletion of what has expired was refused", "type", in.Body.Type, "name", in.Body.Name, "err", refused)
		return tx.Exec(`UPDATE resource_expiries SET filed = '', due = ? WHERE namespace = ? AND type = ? AND name = ? AND filed = 'asked'`,
			store.Micros(time.Now().Add(expiryRest)), in.Namespace, in.Body.Type, in.Body.Name)
	}
	return tx.Exec(`UPDATE resource_expiries SET filed = ? WHERE namespace = ? AND type = ? AND name = ? AND filed = 'asked'`, r.ID, in.Namespace, in.Body.Type, in.Body.Name)
}

// maxDrift bounds the differences that are told.
const maxDrift = 200

// observe starts the run that looks at a resource.
func (s *Service) observe(ctx context.Context, in api.ObserveIn) (api.Run, error) {
	now, err := s.get(ctx, in.ResourceIn)
	if err != nil {
		return api.Run{}, err
	}
	def, err := s.definition(ctx, in.NS, api.KindResourceType, in.Type)
	if err != nil {
		return api.Run{}, err
	}
	t, err := s.typeOf(def)
	if err != nil {
		return api.Run{}, err
	}
	if _, ok := t.courses[observe]; !ok {
		return api.Run{}, errs.New(errs.Conflict, "a %s cannot be looked at", t.name).WithHint("its type says nothing of it: the author of %s adds actions.observe", t.name)
	}
	a := asked{entry: entry{typ: t}, action: observe, now: &now}
	a.params, _ = valueOf(now.Params).(map[string]any)
	workflow, inputs, err := t.call(observe, map[string]any{"spec": a.spec(), "params": a.params, "requester": bus.Subject(ctx), "action": observe, "current": a.current(),
		"resource": map[string]any{"type": in.Type, "name": in.Name}})
	if err != nil {
		return api.Run{}, err
	}
	run, err := api.StartRun.Call(bus.WithTrace(s.asService(ctx), now.Trace), s.d.Bus, api.StartRunIn{NS: in.NS, Key: in.Key, Body: api.StartRunBody{
		Workflow: workflow, Inputs: inputs, Trace: now.Trace, Title: clipTitle("Look at " + in.Type + " " + in.Name), Requester: bus.Subject(ctx)}})
	if err != nil {
		return run, err
	}
	err = s.d.DB.Tx(ctx, func(tx *store.Tx) error {
		return tx.Exec(`INSERT INTO resource_observations (namespace, type, name, run, state, at, world, failure) VALUES (?, ?, ?, ?, ?, ?, '', '')
			ON CONFLICT (namespace, type, name) DO UPDATE SET run = excluded.run, state = excluded.state, at = excluded.at, world = '', failure = ''
			WHERE resource_observations.run <> excluded.run`, in.Namespace, in.Type, in.Name, string(run.ID), string(api.Running), store.Micros(time.Now()))
	})
	if err != nil {
		return run, err
	}
	// It may have ended before it was known here; then its event has passed.
	run, err = api.GetRun.Call(s.asService(ctx), s.d.Bus, api.GetRunIn{NS: in.NS, ID: run.ID})
	if err == nil && run.State.Ended() {
		err = s.d.DB.Tx(ctx, func(tx *store.Tx) error { return s.runFinished(ctx, tx, bus.Record{}, run) })
	}
	return run, err
}

// looking returns the ends of runs that look at a resource.
func (s *Service) looking(ctx context.Context, ends []bus.Record) (out []bus.Record, err error) {
	ids := make([]string, len(ends))
	for i, r := range ends {
		ids[i] = r.Subject
	}
	look, err := s.d.DB.Among(ctx, `SELECT run FROM resource_observations WHERE run IN`, ids)
	if err != nil {
		return nil, err
	}
	for _, r := range ends {
		if look[r.Subject] {
			out = append(out, r)
		}
	}
	return out, nil
}

// runFinished stores what a run that looked at a resource found.
func (s *Service) runFinished(_ context.Context, tx *store.Tx, _ bus.Record, run api.Run) error {
	failure := ""
	if run.Failure != nil {
		failure = run.Failure.Message
	}
	return tx.Exec(`UPDATE resource_observations SET state = ?, at = ?, world = ?, failure = ? WHERE namespace = ? AND run = ?`,
		string(run.State), store.Micros(run.Ended), string(run.Outputs), failure, run.Namespace, string(run.ID))
}

// observed returns what was last seen of a resource, and how it differs from what was made; nil where
// nobody looked.
func (s *Service) observed(ctx context.Context, in api.ResourceIn, r api.Resource) (*api.Observation, error) {
	var o api.Observation
	var at int64
	var world string
	err := s.d.DB.QueryRow(ctx, `SELECT run, state, at, world, failure FROM resource_observations WHERE namespace = ? AND type = ? AND name = ?`,
		in.Namespace, in.Type, in.Name).Scan(&o.Run, &o.State, &at, &world, &o.Failure)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read what was seen: %w", err)
	}
	o.At, o.World = store.Time(at), raw(world)
	if o.State == api.Succeeded {
		o.Drift, err = drift(r.Outputs, o.World)
	}
	return &o, err
}

// drift are the outputs that were seen to differ from those a resource was made with. What only one of
// the two has is no drift: the workflows need not give the same.
func drift(made, seen json.RawMessage) ([]api.FieldChange, error) {
	a, b := fields(made), fields(seen)
	both := func(m, other map[string]json.RawMessage) json.RawMessage {
		m = maps.Clone(m)
		maps.DeleteFunc(m, func(k string, _ json.RawMessage) bool { _, ok := other[k]; return !ok })
		text, _ := json.Marshal(m) // it was JSON
		return text
	}
	return api.Compare(both(a, b), both(b, a), maxDrift)
}

// fields are those of an object; none where raw is none.
func fields(raw json.RawMessage) map[string]json.RawMessage {
	m := map[string]json.RawMessage{}
	if json.Unmarshal(raw, &m) != nil || m == nil {
		return map[string]json.RawMessage{}
	}
	return m
}
