package workflow

import (
	"context"
	"slices"
	"strings"

	"tutti/api"
	"tutti/errs"
	"tutti/internal/workflow/core"
)

const (
	gridRuns = 50
	// gridTasks bounds the rows of a grid.
	gridTasks = 500
)

// letters are the states in a grid.
var letters = map[api.State]byte{api.Pending: 'p', api.Running: 'r', api.Waiting: 'w', api.Succeeded: 's', api.Failed: 'f', api.Skipped: 'k', api.Cancelled: 'c'}

// grid shows the last runs of a workflow by its tasks.
func (s *Service) grid(ctx context.Context, in api.HistoryGridIn) (api.HistoryGrid, error) {
	out := api.HistoryGrid{Workflow: in.Name, Tasks: []string{}, Runs: []api.HistoryRun{}}
	limit := in.Limit
	if limit <= 0 {
		limit = gridRuns
	}
	runs, _, err := listRuns(ctx, s.d.DB, api.ListRunsIn{NS: in.NS, Workflow: in.Name}, 1<<62, limit)
	if err != nil {
		return out, err
	}
	tasks := make([][]api.Task, len(runs))
	row := map[string]int{}
	for i, r := range runs {
		err := s.views.with(ctx, in.Namespace, r.ID, func(c *core.Run) error {
			for _, t := range c.Tasks() {
				if !strings.Contains(t.Path, "[") && !strings.HasSuffix(t.Path, "#undo") {
					tasks[i] = append(tasks[i], t)
				}
			}
			return nil
		})
		if err != nil && !errs.Is(err, errs.Internal) { // a run that cannot be read has an empty column
			return out, err
		}
		for _, t := range tasks[i] {
			if _, ok := row[t.Path]; !ok && len(out.Tasks) < gridTasks {
				row[t.Path] = len(out.Tasks)
				out.Tasks = append(out.Tasks, t.Path)
			}
		}
	}
	for i, r := range runs {
		out.Runs = append(out.Runs, column(r, tasks[i], row))
	}
	return out, nil
}

// column is a run in a grid whose rows are known by path.
func column(r api.Run, tasks []api.Task, row map[string]int) api.HistoryRun {
	c := api.HistoryRun{ID: r.ID, State: r.State, Version: r.Version, Created: r.Created, Ended: r.Ended, Took: make([]int64, len(row))}
	states := slices.Repeat([]byte{'-'}, len(row))
	for _, t := range tasks {
		i, ok := row[t.Path]
		if !ok {
			continue
		}
		states[i] = letters[t.State]
		from := t.Started
		if from.IsZero() {
			from = t.Ready
		}
		if !from.IsZero() && !t.Ended.IsZero() {
			c.Took[i] = t.Ended.Sub(from).Milliseconds()
		}
	}
	c.States = string(states)
	return c
}
