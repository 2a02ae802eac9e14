package request

import (
	"cmp"
	"context"
	"slices"
	"time"

	"tutti/api"
	"tutti/internal/store"
)

// maxCounted bounds how many requests one count looks at: the newest.
const maxCounted = 100_000

// stats counts requests by state, and by what was asked for.
func (s *Service) stats(ctx context.Context, in api.RequestStatsIn) (out api.RequestCounts, err error) {
	since := store.Micros(time.Now().AddDate(0, 0, -cmp.Or(in.Days, 90)))
	rows, err := s.d.DB.Query(ctx, `SELECT entry, state, created, ended FROM request_requests
		WHERE namespace = ? AND created >= ? AND (? = '' OR requester = ?) AND (? = '' OR type = ?) ORDER BY created DESC, id DESC LIMIT ?`,
		in.Namespace, since, in.Requester, in.Requester, in.Type, in.Type, maxCounted)
	if err != nil {
		return out, err
	}
	defer rows.Close()
	c := counter{states: map[api.State]int{}, uses: map[string]*api.EntryUse{}, took: map[string][]time.Duration{}}
	for rows.Next() {
		var entry string
		var state api.State
		var created, ended int64
		if err := rows.Scan(&entry, &state, &created, &ended); err != nil {
			return out, err
		}
		c.add(entry, state, store.Time(created), store.Time(ended))
	}
	return c.counts(), rows.Err()
}

// counter gathers what is counted.
type counter struct {
	states map[api.State]int
	uses   map[string]*api.EntryUse
	took   map[string][]time.Duration // of those that succeeded, by entry
}

func (c *counter) add(entry string, state api.State, created, ended time.Time) {
	c.states[state]++
	u := c.uses[entry]
	if u == nil {
		u = &api.EntryUse{Entry: entry}
		c.uses[entry] = u
	}
	u.Requests++
	if created.After(u.Last) {
		u.Last = created
	}
	switch state {
	case api.Succeeded:
		u.Succeeded++
		c.took[entry] = append(c.took[entry], ended.Sub(created))
	case api.Failed:
		u.Failed++
	}
}

func (c *counter) counts() api.RequestCounts {
	out := api.RequestCounts{States: c.states, Entries: []api.EntryUse{}}
	for entry, u := range c.uses {
		if took := c.took[entry]; len(took) > 0 {
			slices.Sort(took)
			u.P50, u.P90 = rank(took, 50), rank(took, 90)
		}
		out.Entries = append(out.Entries, *u)
	}
	slices.SortFunc(out.Entries, func(a, b api.EntryUse) int { return cmp.Compare(a.Entry, b.Entry) })
	return out
}

// rank returns the length that so many in a hundred did not take longer than; took is sorted.
func rank(took []time.Duration, percent int) api.Duration {
	return api.Duration(took[max(0, (len(took)*percent+99)/100-1)].Round(time.Millisecond))
}
