package rollout

import (
	"context"
	"fmt"
)

// SetBudgets sets the budgets that the rollouts of a namespace share. All that is changing then counts at once, also
// what no rollout or holder counted before, because there was no such budget.
func (e *Engine) SetBudgets(ctx context.Context, namespace string, budgets ...Budget) error {
	if _, err := NewLedger(budgets...); err != nil {
		return err
	}
	return e.retry(ctx, func() error {
		names, err := e.Entities(ctx, namespace)
		if err != nil {
			return err
		}
		l, w, err := e.ledger(ctx, namespace)
		if err != nil {
			return err
		}
		if l == nil {
			l = &Ledger{}
		}
		if err := l.SetBudgets(budgets...); err != nil {
			return err
		}
		// Each entity is written with the ledger, unchanged: what one of them asks meanwhile makes all of this begin again.
		var writes []Write
		for _, name := range names {
			if write, err := e.count(ctx, Key{namespace, name}, l); err != nil {
				return err
			} else if write.Revision > 0 {
				writes = append(writes, write)
			}
		}
		l.tidy()
		if w.Change.Head, err = l.MarshalBinary(); err != nil {
			return err
		}
		if err := e.store.Save(ctx, append(writes, w)...); err != nil {
			return err
		}
		for _, w := range writes { // what is in memory is still what is stored
			entry := e.entry(w.Key)
			entry.mu.Lock()
			if entry.revision == w.Revision {
				entry.revision++
			}
			e.done(w.Key, entry)
		}
		return nil
	})
}

// count counts what an entity uses in l, and returns the write that changes nothing of it.
func (e *Engine) count(ctx context.Context, key Key, l *Ledger) (Write, error) {
	entry := e.entry(key)
	entry.mu.Lock()
	defer e.done(key, entry)
	if err := e.load(ctx, key, entry); err != nil || entry.rollout == nil {
		return Write{}, err
	}
	r := entry.rollout
	r.ledger, r.entity = l, key.Entity
	r.publish()
	for i := range r.classes {
		r.classes[i].places = nil
	}
	r.ledger, r.entity = nil, ""
	return Write{key, entry.revision, r.Changes()}, nil
}

// Hold counts something as changing for holder; see Ledger.Hold. It asks the budgets of the namespace as they are
// stored, and writes with compare-and-swap, so rollouts and holders together stay within them.
func (e *Engine) Hold(ctx context.Context, namespace, holder string, labels map[string]string) (why Reason, granted bool, err error) {
	err = e.change(ctx, namespace, func(l *Ledger) bool {
		_, before := l.holds[holder]
		why, granted = l.Hold(holder, labels)
		return granted && !before
	})
	return why, granted, err
}

// Release counts what the holders that match hold as changing no longer, and returns how many held anything.
func (e *Engine) Release(ctx context.Context, namespace string, match func(holder string) bool) (n int, err error) {
	err = e.change(ctx, namespace, func(l *Ledger) bool {
		n = 0
		for _, holder := range l.Holders() {
			if match(holder) && l.Release(holder) {
				n++
			}
		}
		return n > 0
	})
	return n, err
}

// Holders returns who holds something against the budgets of a namespace, sorted.
func (e *Engine) Holders(ctx context.Context, namespace string) ([]string, error) {
	l, _, err := e.ledger(ctx, namespace)
	if l == nil {
		return nil, err
	}
	return l.Holders(), nil
}

// change changes the ledger of a namespace, and stores it where f says that it did.
func (e *Engine) change(ctx context.Context, namespace string, f func(*Ledger) bool) error {
	if err := checkKey(Key{namespace, "ledger"}); err != nil {
		return err
	}
	return e.retry(ctx, func() error {
		l, w, err := e.ledger(ctx, namespace)
		if err != nil {
			return err
		}
		if l == nil {
			l = &Ledger{}
		}
		if !f(l) {
			return nil
		}
		if w.Change.Head, err = l.MarshalBinary(); err != nil {
			return err
		}
		return e.store.Save(ctx, w)
	})
}

// Budgets returns how much of the budgets of a namespace is used.
func (e *Engine) Budgets(ctx context.Context, namespace string) ([]BudgetUse, error) {
	l, _, err := e.ledger(ctx, namespace)
	if l == nil {
		return nil, err
	}
	return l.Uses(), nil
}

// ledger returns the ledger of a namespace, nil where it has no budgets, and the write that would
// change it, which holds what is stored.
func (e *Engine) ledger(ctx context.Context, namespace string) (*Ledger, Write, error) {
	key := Key{Namespace: namespace}
	s, err := e.store.Load(ctx, key, 0)
	w := Write{Key: key, Revision: s.Revision, Change: Change{Head: s.Head}}
	if err != nil || len(s.Head) == 0 {
		return nil, w, err
	}
	l := &Ledger{}
	if err := l.UnmarshalBinary(s.Head); err != nil {
		return nil, w, fmt.Errorf("%s: %w", namespace, err)
	}
	return l, w, nil
}
