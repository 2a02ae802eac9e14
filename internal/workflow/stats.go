package workflow

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"tutti/api"
	"tutti/internal/store"
)

// maxCounted bounds how many runs one count looks at: the newest.
const maxCounted = 200_000

// stats counts runs by the hour they began in.
func (s *Service) stats(ctx context.Context, in api.StatsIn) (p api.Page[api.HourOfRuns], err error) {
	hours := in.Hours
	if hours == 0 {
		hours = 24
	}
	first := time.Now().UTC().Truncate(time.Hour).Add(-time.Duration(hours-1) * time.Hour)
	p.Items = make([]api.HourOfRuns, hours)
	for i := range p.Items {
		p.Items[i] = api.HourOfRuns{At: first.Add(time.Duration(i) * time.Hour)}
	}
	from, err := begunSince(ctx, s.d.DB, first)
	if err != nil {
		return p, err
	}
	err = countRuns(ctx, s.d.DB, in, from, func(hour int64, state api.State, n int) {
		i := int(hour - first.Unix()/3600)
		if i < 0 || i >= hours {
			return
		}
		if p.Items[i].States == nil {
			p.Items[i].States = map[api.State]int{}
		}
		p.Items[i].States[state] += n
	})
	return p, err
}

// begunSince returns the number from which runs began at a time or later: numbers rise with time, so it is
// found by halving.
func begunSince(ctx context.Context, db *store.DB, at time.Time) (int64, error) {
	var high int64
	if err := db.QueryRow(ctx, `SELECT coalesce(max(n), 0) FROM workflow_runs`).Scan(&high); err != nil {
		return 0, store.NoRow(err, "no runs")
	}
	low := max(int64(0), high-maxCounted)
	for low < high {
		mid := low + (high-low)/2
		var created int64
		err := db.QueryRow(ctx, `SELECT created FROM workflow_runs WHERE n > ? ORDER BY n LIMIT 1`, mid).Scan(&created)
		switch {
		case errors.Is(err, sql.ErrNoRows), err == nil && created >= store.Micros(at):
			high = mid
		case err != nil:
			return 0, store.NoRow(err, "no runs")
		default:
			low = mid + 1
		}
	}
	return low, nil
}

// countRuns calls f with how many runs after a number began in each hour since 1970 and are in each state.
func countRuns(ctx context.Context, db *store.DB, in api.StatsIn, after int64, f func(hour int64, state api.State, n int)) error {
	rows, err := db.Query(ctx, `SELECT created / 3600000000 AS hour, state, count(*) FROM workflow_runs
		WHERE namespace = ? AND n > ? AND (? = '' OR workflow = ?) GROUP BY 1, state`, in.Namespace, after, in.Workflow, in.Workflow)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var hour int64
		var state api.State
		var n int
		if err := rows.Scan(&hour, &state, &n); err != nil {
			return err
		}
		f(hour, state, n)
	}
	return rows.Err()
}
