// Package rollouts rolls out versions to targets that report themselves: a controller posts what its
// targets run, and gets what they are to run. What is decided, package rollout decides; this service
// stores it, with who asked for what.
//
// It owns the tables rollouts_entities, rollouts_targets, rollouts_events and rollouts_keys, answers
// rollout.list, get, policy, hooks, command, orchestrate, targets, cells, history, delete, budgets,
// setbudgets, hold and release, publishes rollouts.rollout.moved, and follows workflow.run.finished, with which what a
// run held of the budgets is released. Whom it calls, by hooks, it calls through the guarded
// dialer and outside of every transaction. Every decision is written with compare-and-swap on the entity's row, so that any number
// of processes and callers together stay within one batch.
package rollouts

import (
	"context"
	"embed"
	"errors"
	"log/slog"
	"reflect"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"tutti/api"
	"tutti/bus"
	"tutti/errs"
	"tutti/internal/netguard"
	"tutti/internal/service"
	"tutti/internal/store"
	"tutti/rollout"
)

// Migrations are those of the tables above.
//
//go:embed migrations
var Migrations embed.FS

// Service is the rollouts service.
type Service struct {
	engine *rollout.Engine
	store  sqlStore
	bus    *bus.Bus
	deps   service.Deps
	caller *caller
	log    *slog.Logger
	turn   atomic.Int64 // whose monitoring is asked first, where there are many

	mu       sync.Mutex
	watching map[rollout.Key]bool // rollouts whose gates are asked although nobody reports
}

// New returns what builds the service; hooks are called through g.
func New(g *netguard.Guard) func(service.Deps) (service.Service, error) {
	return func(d service.Deps) (service.Service, error) {
		s := sqlStore{d.DB, d.Bus}
		return &Service{engine: rollout.NewEngine(s, time.Now), store: s, bus: d.Bus, deps: d, caller: newCaller(g, d.Bus), log: d.Log, watching: map[rollout.Key]bool{}}, nil
	}
}

// Run answers until ctx ends.
func (s *Service) Run(ctx context.Context) error {
	err := errors.Join(
		api.ListRollouts.Handle(ctx, s.bus, s.list),
		api.GetRollout.Handle(ctx, s.bus, s.get),
		api.SetRolloutPolicy.Handle(ctx, s.bus, s.setPolicy),
		api.SetRolloutHooks.Handle(ctx, s.bus, s.setHooks),
		api.GetRolloutCells.Handle(ctx, s.bus, s.cells),
		api.CommandRollout.Handle(ctx, s.bus, s.command),
		api.Orchestrate.Handle(ctx, s.bus, s.orchestrate),
		api.ListRolloutTargets.Handle(ctx, s.bus, s.targets),
		api.RolloutHistory.Handle(ctx, s.bus, s.history),
		api.DeleteRollout.Handle(ctx, s.bus, s.delete),
		api.ListRolloutBudgets.Handle(ctx, s.bus, s.budgets),
		api.HoldRolloutBudget.Handle(ctx, s.bus, s.hold),
		api.ReleaseRolloutBudget.Handle(ctx, s.bus, s.release),
		api.SetRolloutBudgets.Handle(ctx, s.bus, s.setBudgets),
	)
	if err != nil {
		return err
	}
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error {
		s.keepAsking(ctx)
		return nil
	})
	g.Go(func() error {
		return service.Follow(ctx, s.deps, service.On(api.RunFinished, s.runFinished).Where(s.holding))
	})
	return g.Wait()
}

// keyOf returns the key of an entity. The "*" of who may act everywhere is no namespace of its own.
func keyOf(in api.RolloutIn) (rollout.Key, error) {
	if in.Namespace == "" || in.Namespace == "*" {
		return rollout.Key{}, errs.New(errs.Invalid, "a rollout is in one namespace, not in %q", in.Namespace)
	}
	if in.Entity == "" {
		return rollout.Key{}, errs.New(errs.Invalid, "the entity has no name")
	}
	return rollout.Key{Namespace: in.Namespace, Entity: in.Entity}, nil
}

// public gives the planner's errors their kinds.
func public(err error, key rollout.Key) error {
	var refusal *rollout.Refusal
	switch {
	case errors.As(err, &refusal):
		e := errs.New(errs.Conflict, "%s: %s", key.Entity, refusal.Text)
		if refusal.Hint != "" {
			return e.WithHint("%s", refusal.Hint)
		}
		return e
	case errors.Is(err, rollout.ErrNotFound):
		return errs.New(errs.NotFound, "no rollout %q", key.Entity).WithHint("`tutti rollout list` shows what there is; setting a version or a policy makes one")
	case errors.Is(err, rollout.ErrConflict):
		return errs.New(errs.Unavailable, "%s: too many change it at one time", key.Entity)
	}
	return err
}

func (s *Service) list(ctx context.Context, in api.ListRolloutsIn) (api.Page[api.Rollout], error) {
	page := api.Page[api.Rollout]{Items: []api.Rollout{}}
	names, err := s.engine.Entities(ctx, in.Namespace)
	if err != nil {
		return page, err
	}
	for _, name := range names {
		if name <= in.Cursor {
			continue
		}
		if len(page.Items) == in.Size() {
			page.Cursor = page.Items[len(page.Items)-1].Entity
			break
		}
		key := rollout.Key{Namespace: in.Namespace, Entity: name}
		var one api.Rollout
		err := s.engine.View(ctx, key, func(r *rollout.Rollout) {
			one = viewOf(key, r.Status())
			one.Ready = r.Ready(time.Now())
		})
		if errors.Is(err, rollout.ErrNotFound) {
			continue // deleted meanwhile
		} else if err != nil {
			return page, err
		}
		page.Items = append(page.Items, one)
	}
	return page, nil
}

func (s *Service) get(ctx context.Context, in api.RolloutIn) (api.Rollout, error) {
	key, err := keyOf(in)
	if err != nil {
		return api.Rollout{}, err
	}
	return s.view(ctx, key)
}

func (s *Service) view(ctx context.Context, key rollout.Key) (api.Rollout, error) {
	var out api.Rollout
	err := s.engine.View(ctx, key, func(r *rollout.Rollout) {
		out = viewOf(key, r.Status())
		out.Ready = r.Ready(time.Now())
		p := r.Policy()
		out.Policy, out.Hooks = policyOf(declared(p)), extraOf(p).Hooks
		for _, why := range r.Waiting() {
			out.Waiting = append(out.Waiting, why.String())
		}
	})
	return out, public(err, key)
}

func (s *Service) setPolicy(ctx context.Context, in api.SetRolloutPolicyIn) (api.Rollout, error) {
	key, err := keyOf(in.RolloutIn)
	if err != nil {
		return api.Rollout{}, err
	}
	policy, err := policyFrom(in.Body)
	if err != nil {
		return api.Rollout{}, err
	}
	done, err := s.once(ctx, key.Namespace, in.Key, in)
	if err != nil || done {
		return s.repeated(ctx, key, err)
	}
	ctx = acting(ctx, act{
		Act: store.Act{Namespace: key.Namespace, Action: "rollout.policy", Object: key.Entity, Detail: in.Body}, key: in.Key, hash: hashOf(in),
	})
	err = s.engine.ChangePolicy(ctx, key, func(old rollout.Policy) (rollout.Policy, error) {
		return join(policy, extraOf(old).Hooks)
	})
	return s.repeated(ctx, key, err)
}

// setHooks replaces the hooks of an entity. Its policy stays as it is.
func (s *Service) setHooks(ctx context.Context, in api.SetRolloutHooksIn) (api.Rollout, error) {
	key, err := keyOf(in.RolloutIn)
	if err != nil {
		return api.Rollout{}, err
	}
	if err := checkHooks(&in.Body); err != nil {
		return api.Rollout{}, err
	}
	done, err := s.once(ctx, key.Namespace, in.Key, in)
	if err != nil || done {
		return s.repeated(ctx, key, err)
	}
	ctx = acting(ctx, act{
		Act: store.Act{Namespace: key.Namespace, Action: "rollout.hooks", Object: key.Entity, Detail: in.Body}, key: in.Key, hash: hashOf(in),
	})
	err = s.engine.ChangePolicy(ctx, key, func(old rollout.Policy) (rollout.Policy, error) {
		var hooks *api.RolloutHooks
		if !reflect.ValueOf(in.Body).IsZero() {
			hooks = &in.Body
		}
		return join(declared(old), hooks)
	})
	return s.repeated(ctx, key, err)
}

func (s *Service) command(ctx context.Context, in api.CommandRolloutIn) (api.Rollout, error) {
	key, err := keyOf(in.RolloutIn)
	if err != nil {
		return api.Rollout{}, err
	}
	done, err := s.once(ctx, key.Namespace, in.Key, in)
	if err != nil || done {
		return s.repeated(ctx, key, err)
	}
	c := rollout.Command{Verb: rollout.Verb(in.Verb), Version: in.Body.Version, By: bus.Subject(ctx), Why: in.Body.Why}
	ctx = acting(ctx, act{
		Act: store.Act{Namespace: key.Namespace, Action: "rollout." + in.Verb, Object: key.Entity, Detail: in.Body}, key: in.Key, hash: hashOf(in),
	})
	return s.repeated(ctx, key, s.engine.Do(ctx, key, c))
}

// repeated answers with the rollout as it is now, where err is nil or says that another call with the
// same key was faster.
func (s *Service) repeated(ctx context.Context, key rollout.Key, err error) (api.Rollout, error) {
	if err != nil && !errors.Is(err, errRepeated) {
		return api.Rollout{}, public(err, key)
	}
	return s.view(ctx, key)
}

func (s *Service) delete(ctx context.Context, in api.RolloutIn) (api.Nothing, error) {
	key, err := keyOf(in)
	if err != nil {
		return api.Nothing{}, err
	}
	if _, err := s.engine.Status(ctx, key); err != nil {
		return api.Nothing{}, public(err, key)
	}
	ctx = acting(ctx, act{Act: store.Act{Namespace: key.Namespace, Action: "rollout.delete", Object: key.Entity}})
	return api.Nothing{}, s.engine.Delete(ctx, key)
}

func (s *Service) history(ctx context.Context, in api.RolloutHistoryIn) (api.Page[api.RolloutEntry], error) {
	page := api.Page[api.RolloutEntry]{Items: []api.RolloutEntry{}}
	key, err := keyOf(in.RolloutIn)
	if err != nil {
		return page, err
	}
	before, err := position(in.Cursor)
	if err != nil {
		return page, err
	}
	if _, err := s.engine.Status(ctx, key); err != nil {
		return page, public(err, key)
	}
	entries, err := s.engine.History(ctx, key, before, in.Size()+1)
	if err != nil {
		return page, err
	}
	for i, e := range entries {
		if i == in.Size() {
			page.Cursor = strconv.FormatUint(entries[i-1].Seq, 10)
			break
		}
		page.Items = append(page.Items, entryOf(e))
	}
	return page, nil
}

// position reads a cursor that is a number.
func position(cursor string) (uint64, error) {
	if cursor == "" {
		return 0, nil
	}
	n, err := strconv.ParseUint(cursor, 10, 63)
	if err != nil {
		return 0, errs.New(errs.Invalid, "%.40q is no cursor of this list", cursor)
	}
	return n, nil
}
