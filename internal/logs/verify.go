package logs

import (
	"context"
	"fmt"

	"tutti/api"
	"tutti/internal/blob"
	"tutti/internal/service"
	"tutti/internal/store"
)

// Verify reads every packed log and returns what is missing or damaged, in words. It changes nothing.
// The error is of the reading of the database.
func Verify(ctx context.Context, db *store.DB, blobs blob.Store) (wrong []string, err error) {
	s := &Service{deps: service.Deps{Name: "logs", DB: db}, db: db, blobs: blobs}
	runs, err := runsWithChunks(ctx, db)
	if err != nil {
		return nil, err
	}
	for _, run := range runs {
		cs, err := s.chunks(ctx, run, 0)
		if err != nil {
			return wrong, err
		}
		for _, c := range cs {
			lines, err := s.lines(ctx, c)
			if err == nil && !whole(c, lines) {
				err = fmt.Errorf("log lines %d to %d: some are missing", c.first, c.last)
			}
			if err != nil {
				wrong = append(wrong, fmt.Sprintf("the log of run %s: %v", run, err))
			}
		}
		if err := ctx.Err(); err != nil {
			return wrong, err
		}
	}
	return wrong, nil
}

// whole reports whether a chunk has the lines it says, each once.
func whole(c chunk, lines []api.LogLine) bool {
	return int64(len(lines)) == c.last-c.first+1 && lines[0].Pos == c.first && lines[len(lines)-1].Pos == c.last
}

func runsWithChunks(ctx context.Context, db *store.DB) (runs []string, err error) {
	rows, err := db.Query(ctx, `SELECT DISTINCT run FROM logs_chunks ORDER BY run`)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var run string
		if err := rows.Scan(&run); err != nil {
			return nil, err
		}
		runs = append(runs, run)
	}
	return runs, rows.Err()
}
