package workflow

import (
	"cmp"
	"context"
	"slices"
	"time"

	"tutti/api"
	"tutti/internal/store"
)

// maxUses bounds of how many workflows it is said how long they take: those used most.
const maxUses = 200

// uses says how often each workflow was used lately.
func (s *Service) uses(ctx context.Context, in api.WorkflowUsesIn) (p api.Page[api.WorkflowUse], err error) {
	days := cmp.Or(in.Days, 30)
	from, err := begunSince(ctx, s.d.DB, time.Now().AddDate(0, 0, -days))
	if err != nil {
		return p, err
	}
	by := map[string]*api.WorkflowUse{}
	rows, err := s.d.DB.Query(ctx, `SELECT workflow, state, count(*), max(created) FROM workflow_runs WHERE namespace = ? AND n > ? GROUP BY workflow, state`, in.Namespace, from)
	if err != nil {
		return p, err
	}
	defer rows.Close()
	for rows.Next() {
		var name string
		var state api.State
		var n int
		var last int64
		if err := rows.Scan(&name, &state, &n, &last); err != nil {
			return p, err
		}
		u := by[name]
		if u == nil {
			u = &api.WorkflowUse{Workflow: name}
			by[name] = u
		}
		countUse(u, state, n, store.Time(last))
	}
	if err := rows.Err(); err != nil {
		return p, err
	}
	for _, u := range by {
		p.Items = append(p.Items, *u)
	}
	slices.SortFunc(p.Items, func(a, b api.WorkflowUse) int { return cmp.Or(b.Runs-a.Runs, cmp.Compare(a.Workflow, b.Workflow)) })
	for i := range p.Items[:min(len(p.Items), maxUses)] {
		p.Items[i].Expected = s.history.run(ctx, in.Namespace, p.Items[i].Workflow)
	}
	slices.SortFunc(p.Items, func(a, b api.WorkflowUse) int { return cmp.Compare(a.Workflow, b.Workflow) })
	return p, nil
}

// countUse adds n runs in a state, the newest of which began at a time.
func countUse(u *api.WorkflowUse, state api.State, n int, last time.Time) {
	u.Runs += n
	switch {
	case state == api.Succeeded:
		u.Succeeded += n
	case state == api.Failed:
		u.Failed += n
	case !state.Ended():
		u.Active += n
	}
	if last.After(u.Last) {
		u.Last = last
	}
}
