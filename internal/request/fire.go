package request

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"time"

	"tutti/api"
	"tutti/bus"
	"tutti/errs"
	"tutti/id"
	"tutti/internal/store"
)

// firing is an alert as it is stored.
type firing struct {
	api.Firing
	namespace, trigger string
}

const (
	// maxFirings bounds those that a trigger tells of.
	maxFirings = 100
	// reverseWanted marks a firing whose resource is to be deleted.
	reverseWanted = "wanted"
	// reverseEvery is how often it is looked for those, and reverseRest when one that was refused is tried again.
	reverseEvery = 2 * time.Second
	reverseRest  = 30 * time.Second
)

// fire takes alerts. Each is dealt with by itself; delivering them again changes nothing.
func (s *Service) fire(ctx context.Context, in api.FireIn) (out api.FireOut, err error) {
	at := api.TriggerIn{NS: in.NS, Name: in.Name}
	t, err := s.triggerOf(ctx, at)
	if err != nil {
		return out, err
	}
	out.Firings = []api.Firing{}
	for _, a := range in.Body.Alerts {
		if a.StartsAt.IsZero() {
			return out, invalid("the alerts", []errs.Problem{{Location: "body.alerts", Message: "an alert has no startsAt", Hint: "send what Alertmanager sends to a webhook"}})
		}
		f := firing{namespace: in.Namespace, trigger: in.Name, Firing: api.Firing{Fingerprint: a.Fingerprint, Starts: a.StartsAt.UTC().Truncate(time.Microsecond), At: time.Now().UTC()}}
		switch {
		case !t.matches(a):
			f.Outcome, f.Text = outUnmatched, "its labels are not those of the trigger"
		case a.Status == "resolved":
			f, err = s.resolvedAlert(ctx, t, f)
		default:
			f, err = s.firingAlert(ctx, t, a, f)
		}
		if err != nil {
			return out, err // who delivers tries again; what was done is known by then
		}
		out.Firings = append(out.Firings, f.Firing)
	}
	return out, nil
}

// firingAlert files the request of an alert, unless that is known, too many or too soon.
func (s *Service) firingAlert(ctx context.Context, t *trigger, a api.Alert, f firing) (firing, error) {
	n := 0
	err := s.d.DB.Tx(ctx, func(tx *store.Tx) error {
		if err := lockTrigger(tx, f); err != nil {
			return err
		}
		known, err := knownFiring(tx.Query, f)
		if err != nil {
			return err
		}
		live, last, err := liveOf(tx.Query, f.namespace, f.trigger)
		if err != nil {
			return err
		}
		if f.Outcome, f.Text = t.decide(standingOf{known, live, last}, f.At); f.Outcome == outKnown {
			f.Request, f.Reverse = known.Request, known.Reverse
			return nil
		}
		if n, err = filedCount(tx, f); err != nil {
			return err
		}
		if err := putFiring(tx, f); err != nil || f.Outcome != outFiling {
			return err
		}
		return tx.Audit(store.Act{Namespace: f.namespace, Action: api.FireTrigger.Name, Object: f.trigger, Detail: map[string]any{"fingerprint": f.Fingerprint, "alert": a.Labels["alertname"]}})
	})
	if err != nil || f.Outcome != outFiling {
		return f, err
	}
	body, err := t.body(a, n+1)
	var r api.Request
	if err == nil {
		r, err = s.asked(ctx, f, "", body)
	}
	switch {
	case err != nil && !final(err):
		return f, err
	case err != nil:
		f.Outcome, f.Text = outRefused, clip(errs.Public(err).Error(), 500)
	default:
		f.Outcome, f.Request = outFiled, r.ID
	}
	return f, s.d.DB.Tx(ctx, func(tx *store.Tx) error { return putFiring(tx, f) })
}

// asked files a request in the name of the trigger; the same firing gives the same request.
func (s *Service) asked(ctx context.Context, f firing, verb string, body api.CreateRequestBody) (api.Request, error) {
	sum := sha256.Sum256(fmt.Appendf(nil, "%s/%s/%d/%s", f.trigger, f.Fingerprint, store.Micros(f.Starts), verb))
	if err := canonical(&body); err != nil {
		return api.Request{}, err
	}
	sub := submission{namespace: f.namespace, key: "trigger/" + hex.EncodeToString(sum[:]), trace: id.Trace(), body: body}
	// The text of a body may differ where the alert changed meanwhile; its key says that it is the same.
	sub.hash = "trigger"
	ctx = bus.WithCaller(ctx, bus.Caller{Subject: "trigger:" + f.trigger})
	return s.submit(ctx, sub, 0)
}

// resolvedAlert notes that an alert is over and, where the trigger says so, wants what it made deleted.
func (s *Service) resolvedAlert(ctx context.Context, t *trigger, f firing) (firing, error) {
	err := s.d.DB.Tx(ctx, func(tx *store.Tx) error {
		if err := lockTrigger(tx, f); err != nil {
			return err
		}
		known, err := knownFiring(tx.Query, f)
		if err != nil {
			return err
		}
		if known == nil || known.Request == "" {
			f.Outcome, f.Text = outResolved, "nothing was made for it"
			return nil
		}
		f.Request, f.Reverse, f.At = known.Request, known.Reverse, known.At
		if known.Reverse != "" {
			f.Outcome = outReversed
			return nil
		}
		f.Outcome = outResolved
		if !t.reverse {
			f.Text = "what was made for it stays"
			return nil
		}
		f.Outcome, f.Text, f.Reverse = outReversed, "what was made for it will be deleted", reverseWanted
		return putFiring(tx, f)
	})
	if f.Reverse == reverseWanted {
		f.Reverse = ""
	}
	return f, err
}

// reverse files the requests that delete what resolved alerts had made, until ctx ends.
func (s *Service) reverse(ctx context.Context) error {
	tick := time.NewTicker(reverseEvery)
	defer tick.Stop()
	for {
		wanted, err := wantedReverses(reading(ctx, s.d.DB), time.Now())
		for _, f := range wanted {
			if err == nil {
				err = s.reverseOne(s.asService(ctx, ""), f)
			}
		}
		if err != nil && ctx.Err() == nil && !errs.Is(err, errs.Unavailable) {
			s.d.Log.Error("resolved alerts", "err", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// reverseOne files one of them. While the request goes on, or where it is refused, it is tried again.
func (s *Service) reverseOne(ctx context.Context, f firing) error {
	r, err := load(ctx, s.d.DB, f.namespace, f.Request)
	if err != nil {
		return err
	}
	due := time.Now().Add(reverseRest)
	switch {
	case !r.State.Ended():
		due = time.Now().Add(reverseEvery)
	case r.State != api.Succeeded:
		f.Reverse, f.Outcome, f.Text = "", outResolved, "its request made nothing"
	default:
		made, err := s.asked(ctx, f, "reverse", api.CreateRequestBody{Action: api.ActionDelete, Type: r.Type, Name: r.Name, Title: clip("The alert is over: delete "+r.Type+" "+r.Name, 200)})
		switch {
		case err == nil:
			f.Reverse, f.Text = made.ID, ""
		case !final(err):
			return err
		default:
			f.Text = clip(errs.Public(err).Error(), 500)
		}
	}
	return s.d.DB.Tx(ctx, func(tx *store.Tx) error {
		if err := putFiring(tx, f); err != nil {
			return err
		}
		return tx.Exec(`UPDATE request_firings SET due = ? WHERE namespace = ? AND trigger_name = ? AND fingerprint = ? AND starts = ?`,
			store.Micros(due), f.namespace, f.trigger, f.Fingerprint, store.Micros(f.Starts))
	})
}

// lockTrigger makes those who deal with alerts of one trigger wait for one another.
func lockTrigger(tx *store.Tx, f firing) error {
	return tx.Exec(`INSERT INTO request_firings (namespace, trigger_name, fingerprint, starts, outcome, note, request, reverse, due, at) VALUES (?, ?, '', 0, '', '', '', '', 0, 0)
		ON CONFLICT (namespace, trigger_name, fingerprint, starts) DO UPDATE SET due = 0`, f.namespace, f.trigger)
}

func putFiring(tx *store.Tx, f firing) error {
	return tx.Exec(`INSERT INTO request_firings (namespace, trigger_name, fingerprint, starts, outcome, note, request, reverse, due, at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, 0, ?)
		ON CONFLICT (namespace, trigger_name, fingerprint, starts) DO UPDATE SET outcome = excluded.outcome, note = excluded.note, request = excluded.request,
		reverse = excluded.reverse, at = excluded.at`,
		f.namespace, f.trigger, f.Fingerprint, store.Micros(f.Starts), f.Outcome, f.Text, f.Request, f.Reverse, store.Micros(f.At))
}

const firingColumns = `namespace, trigger_name, fingerprint, starts, outcome, note, request, reverse, at`

func firings(q querier, where string, args ...any) (out []firing, err error) {
	rows, err := q(`SELECT `+firingColumns+` FROM request_firings WHERE fingerprint <> '' AND `+where, args...)
	if err != nil {
		return nil, fmt.Errorf("read firings: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var f firing
		var starts, at int64
		if err := rows.Scan(&f.namespace, &f.trigger, &f.Fingerprint, &starts, &f.Outcome, &f.Text, &f.Request, &f.Reverse, &at); err != nil {
			return nil, fmt.Errorf("read firings: %w", err)
		}
		f.Starts, f.At = store.Time(starts), store.Time(at)
		out = append(out, f)
	}
	return out, rows.Err()
}

func knownFiring(q querier, f firing) (*firing, error) {
	all, err := firings(q, `namespace = ? AND trigger_name = ? AND fingerprint = ? AND starts = ?`, f.namespace, f.trigger, f.Fingerprint, store.Micros(f.Starts))
	if err != nil || len(all) == 0 {
		return nil, err
	}
	return &all[0], nil
}

func firingsOf(q querier, namespace, name string) ([]api.Firing, error) {
	all, err := firings(q, `namespace = ? AND trigger_name = ? ORDER BY at DESC, fingerprint LIMIT ?`, namespace, name, maxFirings)
	out := []api.Firing{}
	for _, f := range all {
		if f.Reverse == reverseWanted {
			f.Reverse = ""
		}
		out = append(out, f.Firing)
	}
	return out, err
}

func wantedReverses(q querier, now time.Time) ([]firing, error) {
	return firings(q, `reverse = ? AND due <= ? ORDER BY due LIMIT 100`, reverseWanted, store.Micros(now))
}

// filedCount is how many requests a trigger has filed, for the number of the next.
func filedCount(tx *store.Tx, f firing) (n int, err error) {
	err = tx.QueryRow(`SELECT COUNT(*) FROM request_firings WHERE namespace = ? AND trigger_name = ? AND request <> ''`, f.namespace, f.trigger).Scan(&n)
	return n, err
}

// liveOf returns how many resources of a trigger there are or are being made, and when it last filed a
// request. Not counted is what came to nothing, and what was deleted by a later request.
func liveOf(q querier, namespace, name string) (live int, last time.Time, err error) {
	rows, err := q(`SELECT COUNT(*) FROM request_firings f LEFT JOIN request_requests r ON r.namespace = f.namespace AND r.id = f.request
		WHERE f.namespace = ? AND f.trigger_name = ? AND (f.outcome = 'filing' OR f.request <> '' AND r.state NOT IN ('failed', 'cancelled') AND NOT EXISTS (
			SELECT 1 FROM request_requests d WHERE d.namespace = r.namespace AND d.type = r.type AND d.name = r.name AND d.action = 'delete' AND d.state = 'succeeded' AND d.created > r.created))`,
		namespace, name)
	if err != nil {
		return 0, last, fmt.Errorf("count what a trigger made: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		if err := rows.Scan(&live); err != nil {
			return 0, last, err
		}
	}
	if err := rows.Err(); err != nil {
		return 0, last, err
	}
	filed, err := firings(q, `namespace = ? AND trigger_name = ? AND (outcome = 'filing' OR request <> '') ORDER BY at DESC LIMIT 1`, namespace, name)
	if err == nil && len(filed) > 0 {
		last = filed[0].At
	}
	return live, last, err
}
