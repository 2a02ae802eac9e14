package bench

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"tutti/internal/store"
	"tutti/internal/store/probe"
)

// ceiling measures what the disk and the kind of database allow: the store that the engine uses, with
// the same settings, without the engine.
type ceiling struct {
	db   *store.DB
	file *os.File
	run  int64
}

const (
	// rowsPerCommit is how many rows the ceiling inserts in one transaction.
	rowsPerCommit = 1000
	// rowOverhead is about what a row takes beside its text, in bytes.
	rowOverhead = 24
	// syncFile is the size of the file that is written in place, as a database writes its log.
	syncFile  = 16 << 20
	syncBytes = 4096
)

func openCeiling(ctx context.Context, db, dir string) (c *ceiling, err error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	c = &ceiling{}
	c.db, err = probe.Open(ctx, store.Config{URL: db, Dir: dir})
	if err != nil {
		return nil, err
	}
	if c.file, err = os.Create(filepath.Join(dir, "sync")); err == nil {
		if _, err = c.file.Write(make([]byte, syncFile)); err == nil {
			err = c.file.Sync()
		}
	}
	return c, err
}

func (c *ceiling) close() {
	if c.db.Postgres() {
		_ = probe.Drop(context.Background(), c.db) // background: also after an interrupt; what stays is in a schema of its own
	}
	_ = c.db.Close()
	_ = c.file.Close()
}

// allowance is what was measured at one moment.
type allowance struct {
	rows  float64 // inserted in a second
	syncs float64 // of the disk in a second
}

// with returns the mean of two measurements.
func (a allowance) with(b allowance) allowance {
	return allowance{(a.rows + b.rows) / 2, (a.syncs + b.syncs) / 2}
}

// completions returns how many completions in a second a allows a workload. At saturation each is a row.
// Alone, a run waits for the disk once for its start and once for each of its steps, and its rows are
// inserted.
func (a allowance) completions(w workload, mode string) float64 {
	if mode == Saturation {
		return a.rows
	}
	return float64(w.tasks) / (float64(w.steps+1)/a.syncs + float64(w.tasks)/a.rows)
}

// measure inserts rows of about so many bytes for a third of a second, and syncs for a tenth.
func (c *ceiling) measure(ctx context.Context, bytes float64) (a allowance, err error) {
	text := strings.Repeat("x", max(int(bytes)-rowOverhead, 1))
	rows := make([]int64, rowsPerCommit)
	n, began := 0, time.Now()
	for time.Since(began) < 350*time.Millisecond {
		c.run++
		for i := range rows {
			rows[i] = int64(i)
		}
		err := probe.Insert(ctx, c.db, c.run, rows, text)
		if err != nil {
			return a, err
		}
		n += len(rows)
	}
	a.rows = float64(n) / time.Since(began).Seconds()
	page := make([]byte, syncBytes)
	n, began = 0, time.Now()
	for time.Since(began) < 100*time.Millisecond {
		if _, err := c.file.WriteAt(page, int64(n)*syncBytes%syncFile); err != nil {
			return a, err
		}
		if err := unix.Fdatasync(int(c.file.Fd())); err != nil {
			return a, err
		}
		n++
	}
	a.syncs = float64(n) / time.Since(began).Seconds()
	return a, nil
}
