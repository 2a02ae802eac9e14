package rollout

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
)

// Budget limits how much may be changing at one time across all rollouts that share a Ledger: at most
// one target of service=db, at most 5% of zone=a. A target counts from the moment it is asked until it has
// succeeded, and so does one that failed.
type Budget struct {
	Name string `json:"name"`
	// Match are the labels a target must have to count, where "group" is its group. None is every target.
	Match map[string]string `json:"match,omitempty"`
	// Per makes one budget of this size for each value of a label: rack.
	Per string `json:"per,omitempty"`
	// Max is how many may be changing; a percentage is of all that match, in all rollouts.
	Max Amount `json:"max"`
}

// Ledger holds what every rollout that shares it uses of the budgets. Give the same Ledger to every
// step of each of them. Like a Rollout it must not be used by two goroutines at one time, and is
// stored together with the rollout that changed it.
type Ledger struct {
	budgets []Budget
	cells   map[string]*cell
	holds   map[string]map[string]string // labels by holder
}

// cell is one budget for one value of its Per.
type cell struct {
	uses map[string]use // by entity
	sum  use
}

// use is what one rollout has in a cell.
type use struct {
	Total    int `json:"total"`
	Changing int `json:"changing"`
}

// NewLedger returns a ledger of the budgets, or an error that says what is wrong with them.
func NewLedger(budgets ...Budget) (*Ledger, error) {
	l := &Ledger{cells: map[string]*cell{}}
	return l, l.SetBudgets(budgets...)
}

// SetBudgets replaces the budgets. What is in use stays in use.
func (l *Ledger) SetBudgets(budgets ...Budget) error {
	seen := map[string]bool{}
	for i, b := range budgets {
		switch {
		case b.Name == "":
			return fmt.Errorf("budgets[%d]: a budget needs a name", i)
		case seen[b.Name]:
			return fmt.Errorf("budgets[%d]: there are two budgets %q", i, b.Name)
		case !b.Max.set || b.Max.n == 0:
			return fmt.Errorf("budget %q: 0 would never let anything change", b.Name)
		}
		seen[b.Name] = true
	}
	l.budgets = slices.Clone(budgets)
	for holder := range l.holds {
		l.place(holder)
	}
	return nil
}

// holding is what a holder stands under in a cell; no entity that can be stored has such a name.
const holding = "\x00"

// Hold counts something that no rollout has among its targets as changing, until Release: a step of a workflow
// that changes a server, with the labels of the server. Where that would break a budget it changes nothing, and returns why
// and false. Each holder holds one place; to hold again what is held is granted. What is held counts in no Total, so a
// percentage stays one of the targets of rollouts.
func (l *Ledger) Hold(holder string, labels map[string]string) (why Reason, granted bool) {
	if _, held := l.holds[holder]; held {
		return Reason{}, true
	}
	places := l.matching(labelsOf(labels))
	if why, spent := spent(places); spent {
		return why, false
	}
	if l.holds == nil {
		l.holds = map[string]map[string]string{}
	}
	l.holds[holder] = maps.Clone(labels)
	l.place(holder)
	return Reason{}, true
}

// Release counts what holder holds as changing no longer, and reports whether it held anything.
func (l *Ledger) Release(holder string) bool {
	if _, held := l.holds[holder]; !held {
		return false
	}
	l.Drop(holding + holder)
	delete(l.holds, holder)
	l.tidy()
	return true
}

// Holders returns who holds, sorted.
func (l *Ledger) Holders() []string { return slices.Sorted(maps.Keys(l.holds)) }

// place counts what holder holds in the cells of the budgets there are.
func (l *Ledger) place(holder string) {
	l.Drop(holding + holder)
	for _, p := range l.matching(labelsOf(l.holds[holder])) {
		p.cell.put(holding+holder, use{Changing: 1})
	}
}

func labelsOf(labels map[string]string) func(string) string {
	return func(key string) string { return labels[key] }
}

// Budgets returns the budgets.
func (l *Ledger) Budgets() []Budget { return slices.Clone(l.budgets) }

// BudgetUse is how much of one budget is used.
type BudgetUse struct {
	Budget   string `json:"budget"`
	Value    string `json:"value,omitempty"` // of the label that the budget is per
	Changing int    `json:"changing"`
	Max      int    `json:"max"`
	Total    int    `json:"total"`
}

// Uses returns how much of each budget is used, by budget and value.
func (l *Ledger) Uses() []BudgetUse {
	var all []BudgetUse
	for _, b := range l.budgets {
		for _, key := range slices.Sorted(maps.Keys(l.cells)) {
			name, value := splitCell(key)
			if name == b.Name {
				s := l.cells[key].sum
				all = append(all, BudgetUse{b.Name, value, s.Changing, b.Max.Of(s.Total), s.Total})
			}
		}
	}
	return all
}

// Drop removes what an entity uses: it no longer exists.
func (l *Ledger) Drop(entity string) {
	for _, c := range l.cells {
		c.put(entity, use{})
	}
}

func (c *cell) put(entity string, u use) {
	old := c.uses[entity]
	c.sum.Total += u.Total - old.Total
	c.sum.Changing += u.Changing - old.Changing
	if u == (use{}) {
		delete(c.uses, entity)
		return
	}
	c.uses[entity] = u
}

// cellKey is a budget and a value as one text.
func cellKey(budget, value string) string { return fmt.Sprintf("%d:%s%s", len(budget), budget, value) }

func splitCell(key string) (budget, value string) {
	var n int
	var colon byte
	if _, err := fmt.Sscanf(key, "%d%c", &n, &colon); err != nil {
		return "", ""
	}
	rest := key[len(fmt.Sprint(n))+1:]
	if n < 0 || n > len(rest) {
		return "", ""
	}
	return rest[:n], rest[n:]
}

// place is a cell that the targets of a class are in.
type place struct {
	budget *Budget
	value  string
	cell   *cell
}

// places returns the cells that targets of c are in.
func (l *Ledger) places(c *class, r *Rollout) []place {
	if l == nil {
		return nil
	}
	return l.matching(func(key string) string { return r.label(c, key) })
}

// matching returns the cells that something with labels is in.
func (l *Ledger) matching(label func(string) string) []place {
	var places []place
	for i := range l.budgets {
		b := &l.budgets[i]
		matches := true
		for k, v := range b.Match {
			matches = matches && label(k) == v
		}
		if !matches {
			continue
		}
		value := ""
		if b.Per != "" {
			value = label(b.Per)
		}
		places = append(places, place{b, value, l.cell(cellKey(b.Name, value))})
	}
	return places
}

func (l *Ledger) cell(key string) *cell {
	if l.cells == nil {
		l.cells = map[string]*cell{}
	}
	c := l.cells[key]
	if c == nil {
		c = &cell{uses: map[string]use{}}
		l.cells[key] = c
	}
	return c
}

// publish writes what r uses into its ledger, and tells its classes where they are in it.
func (r *Rollout) publish() {
	l := r.ledger
	if l == nil {
		return
	}
	uses := map[*cell]use{}
	for i := range r.classes {
		c := &r.classes[i]
		c.places = l.places(c, r)
		for _, p := range c.places {
			u := uses[p.cell]
			u.Total += c.n
			u.Changing += c.held
			uses[p.cell] = u
		}
	}
	for _, c := range l.cells {
		c.put(r.entity, uses[c])
	}
}

// tidy removes the cells that nobody is in.
func (l *Ledger) tidy() {
	if l != nil {
		maps.DeleteFunc(l.cells, func(_ string, c *cell) bool { return len(c.uses) == 0 })
	}
}

// changing counts n more targets of c as changing.
func (r *Rollout) changing(c *class, n int) {
	for _, p := range c.places {
		u := p.cell.uses[r.entity]
		u.Changing += n
		p.cell.put(r.entity, u)
	}
}

// spent reports whether, and why, no other target of c may be asked.
func (c *class) spent() (Reason, bool) { return spent(c.places) }

// spent reports whether, and why, one of the places lets nothing more change.
func spent(places []place) (Reason, bool) {
	for _, p := range places {
		if s := p.cell.sum; s.Changing >= p.budget.Max.Of(s.Total) {
			name := p.budget.Name
			if p.value != "" {
				name += " (" + p.value + ")"
			}
			return Reason{Code: CodeBudget, Name: name, Count: s.Changing, Of: p.budget.Max.Of(s.Total)}, true
		}
	}
	return Reason{}, false
}

// ledgerText is a ledger as it is stored.
type ledgerText struct {
	Format  int                       `json:"format"`
	Budgets []Budget                  `json:"budgets"`
	Uses    map[string]map[string]use `json:"uses"`
	// Holds are labels by holder.
	Holds map[string]map[string]string `json:"holds,omitempty"`
}

// MarshalBinary returns the ledger for storing. The error is always nil.
func (l *Ledger) MarshalBinary() ([]byte, error) {
	text := ledgerText{Format: format, Budgets: l.budgets, Uses: map[string]map[string]use{}, Holds: l.holds}
	for key, c := range l.cells {
		text.Uses[key] = c.uses
	}
	return json.Marshal(text)
}

// UnmarshalBinary replaces the ledger by what MarshalBinary returned.
func (l *Ledger) UnmarshalBinary(data []byte) error {
	var text ledgerText
	if err := json.Unmarshal(data, &text); err != nil {
		return fmt.Errorf("ledger: %w", err)
	}
	if text.Format != format {
		return fmt.Errorf("ledger: format %d is not known, only %d", text.Format, format)
	}
	next := Ledger{cells: map[string]*cell{}}
	if err := next.SetBudgets(text.Budgets...); err != nil {
		return fmt.Errorf("ledger: %w", err)
	}
	for key, uses := range text.Uses {
		for entity, u := range uses {
			if u.Total < 0 || u.Changing < 0 {
				return fmt.Errorf("ledger: %q uses less than nothing", entity)
			}
			next.cell(key).put(entity, u)
		}
	}
	next.holds = text.Holds
	*l = next
	return nil
}
