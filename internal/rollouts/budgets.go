package rollouts

import (
	"context"
	"database/sql"
	"errors"
	"slices"
	"strconv"
	"strings"

	"tutti/api"
	"tutti/bus"
	"tutti/errs"
	"tutti/internal/store"
	"tutti/rollout"
)

func (s *Service) budgets(ctx context.Context, in api.ListRolloutBudgetsIn) (api.Page[api.RolloutBudget], error) {
	page := api.Page[api.RolloutBudget]{Items: []api.RolloutBudget{}}
	uses, err := s.engine.Budgets(ctx, in.Namespace)
	for _, u := range uses {
		page.Items = append(page.Items, api.RolloutBudget{Name: u.Budget, Value: u.Value, Max: strconv.Itoa(u.Max), Changing: u.Changing, Total: u.Total})
	}
	return page, err
}

func (s *Service) setBudgets(ctx context.Context, in api.SetRolloutBudgetsIn) (api.Page[api.RolloutBudget], error) {
	if err := ofOne(in.NS); err != nil {
		return api.Page[api.RolloutBudget]{}, err
	}
	var budgets []rollout.Budget
	for i, b := range in.Body.Budgets {
		most, err := rollout.ParseAmount(b.Max)
		if err != nil {
			return api.Page[api.RolloutBudget]{}, errs.New(errs.Invalid, "budgets[%d]: max: %v", i, err)
		}
		budgets = append(budgets, rollout.Budget{Name: b.Name, Match: b.Match, Per: b.Per, Max: most})
	}
	if _, err := rollout.NewLedger(budgets...); err != nil {
		return api.Page[api.RolloutBudget]{}, errs.New(errs.Invalid, "%v", err)
	}
	done, err := s.once(ctx, in.Namespace, in.Key, in)
	if err != nil {
		return api.Page[api.RolloutBudget]{}, err
	}
	ctx = acting(ctx, act{
		Act: store.Act{Namespace: in.Namespace, Action: "rollout.setbudgets", Object: in.Namespace, Detail: in.Body}, key: in.Key, hash: hashOf(in),
	})
	if done {
		return s.budgets(ctx, api.ListRolloutBudgetsIn{NS: in.NS})
	}
	if err := s.engine.SetBudgets(ctx, in.Namespace, budgets...); err != nil && !errors.Is(err, errRepeated) {
		return api.Page[api.RolloutBudget]{}, err
	}
	return s.budgets(ctx, api.ListRolloutBudgetsIn{NS: in.NS})
}

// ofOne refuses a namespace that is none of its own: the "*" of who may act everywhere.
func ofOne(ns api.NS) error {
	if ns.Namespace == "" || ns.Namespace == "*" {
		return errs.New(errs.Invalid, "budgets are of one namespace, not of %q", ns.Namespace)
	}
	return nil
}

// hold counts something as changing that is no target of a rollout.
func (s *Service) hold(ctx context.Context, in api.HoldBudgetIn) (api.HeldBudget, error) {
	if err := ofOne(in.NS); err != nil {
		return api.HeldBudget{}, err
	}
	if len(in.Body.Labels) > 20 {
		return api.HeldBudget{}, errs.New(errs.Invalid, "%d labels; at most 20 say what is changing", len(in.Body.Labels))
	}
	why, granted, err := s.engine.Hold(ctx, in.Namespace, in.Body.Holder, in.Body.Labels)
	if err == nil && granted {
		if err = s.running(ctx, in.Namespace, in.Body.Holder); err != nil {
			_, released := s.release(ctx, in)
			return api.HeldBudget{}, errors.Join(err, released)
		}
	}
	if err != nil || granted {
		return api.HeldBudget{Held: granted}, public(err, rollout.Key{Namespace: in.Namespace, Entity: "the budgets"})
	}
	return api.HeldBudget{Why: why.String()}, nil
}

// release is the end of hold.
func (s *Service) release(ctx context.Context, in api.HoldBudgetIn) (api.HeldBudget, error) {
	if err := ofOne(in.NS); err != nil {
		return api.HeldBudget{}, err
	}
	_, err := s.engine.Release(ctx, in.Namespace, func(holder string) bool { return holder == in.Body.Holder })
	return api.HeldBudget{}, public(err, rollout.Key{Namespace: in.Namespace, Entity: "the budgets"})
}

// running reports, as an error, that the run of a holder has ended: nothing would release what it held.
func (s *Service) running(ctx context.Context, namespace, holder string) error {
	rest, ok := strings.CutPrefix(holder, "run:")
	if !ok {
		return nil
	}
	id, _, _ := strings.Cut(rest, ":")
	run, err := api.GetRun.Call(bus.AsService(ctx, "rollouts"), s.bus, api.GetRunIn{NS: api.NS{Namespace: namespace}, ID: api.RunID(id)})
	if err == nil && run.State.Ended() {
		err = errs.New(errs.Conflict, "run %s has ended", id)
	}
	return err
}

// holding leaves those ends of runs that hold something.
func (s *Service) holding(ctx context.Context, ends []bus.Record) (out []bus.Record, err error) {
	holders := map[string][]string{}
	for _, r := range ends {
		if _, known := holders[r.Namespace]; !known {
			if holders[r.Namespace], err = s.engine.Holders(ctx, r.Namespace); err != nil {
				return nil, err
			}
		}
		if slices.ContainsFunc(holders[r.Namespace], of(api.RunID(r.Subject))) {
			out = append(out, r)
		}
	}
	return out, nil
}

// of tells the holders of a run.
func of(run api.RunID) func(holder string) bool {
	return func(holder string) bool { return strings.HasPrefix(holder, api.RunHolder(run, "")) }
}

// runFinished releases what a run held.
func (s *Service) runFinished(_ context.Context, tx *store.Tx, _ bus.Record, run api.Run) error {
	var revision uint64
	var head string
	// An update, so that nobody else writes it until this transaction has.
	err := tx.QueryRow(`UPDATE rollouts_entities SET events = events WHERE namespace = ? AND entity = '' RETURNING revision, head`, run.Namespace).Scan(&revision, &head)
	if errors.Is(err, sql.ErrNoRows) || err == nil && head == "" {
		return nil
	} else if err != nil {
		return err
	}
	var l rollout.Ledger
	if err := l.UnmarshalBinary([]byte(head)); err != nil {
		return err
	}
	for _, holder := range l.Holders() {
		if of(run.ID)(holder) {
			l.Release(holder)
		}
	}
	w := rollout.Write{Key: rollout.Key{Namespace: run.Namespace}, Revision: revision}
	if w.Change.Head, err = l.MarshalBinary(); err != nil {
		return err
	}
	return write(tx, w)
}
