// Package bench is `tutti bench`: how many tasks a server completes in a second, and how long a run
// takes, beside what the disk and the database allow at the same moment. Nothing in it is easier than
// what users do: runs are started by the call run.start, each with an idempotency key; tasks go to
// workers; every completion is durable before it counts. The server is a running one, or one of its
// own, which is the server of `tutti serve` on a folder that is removed afterwards.
package bench

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"time"

	"tutti/errs"
	"tutti/sdk"
)

// Config is what a measurement can be told. The zero value of a field has a default.
type Config struct {
	// Client reaches a running server; nil starts one.
	Client *sdk.Client
	// DB is the PostgreSQL of a server that is started, or of a running one to measure the ceiling with;
	// "" is SQLite.
	DB string
	// Dir is where the folder of a server that is started, and of the files for the ceiling, is made; ""
	// is the folder the program was started in. It should be on the disk that matters: /tmp is often
	// none.
	Dir string
	// Types are the task types of workers over HTTP; noop must be among them.
	Types []sdk.TaskType
	// Workloads are chainN, fanN and wideN; empty is DefaultWorkloads.
	Workloads []string
	// Workers and Modes choose what is measured; empty is all.
	Workers, Modes []string
	// Window is how long a workload is measured in a round; 0 is 2s.
	Window time.Duration
	// Rounds are measured of each row, with the ceiling before and after each; 0 is 3.
	Rounds int
	// InFlight is how many runs are under way at saturation; 0 is as many as have about 20,000 tasks.
	InFlight int
	// Slots is how many tasks a worker over HTTP runs at the same time; 0 is 1024.
	Slots int
	// Payload is the size of what a task takes and gives, in bytes; 0 is nothing.
	Payload int
	// RowBytes is how much a completion stores, for the ceiling beside a running server; 0 is 300. With
	// a server of its own it is measured.
	RowBytes int
	// Profiles is a folder for pprof files of each row; "" makes none.
	Profiles string
	// Progress takes lines for people; nil discards them.
	Progress io.Writer
	// Log takes what the server logs; nil discards it.
	Log *slog.Logger
}

// Row is what was measured of one workload: medians over the rounds.
type Row struct {
	Workload string `json:"workload"` // chain10, fan100, wide1000
	Store    string `json:"store"`    // sqlite, postgres; of a running server as it was told
	Workers  string `json:"workers"`  // inprocess, http
	Mode     string `json:"mode"`     // saturation, alone
	// Runs is how many ended in all rounds.
	Runs int `json:"runs"`
	// Completions is how many tasks were completed in a second.
	Completions float64 `json:"completions_per_s"`
	// P50 and P99 are how long a run took from the call that starts it to the answer that it ended, in
	// milliseconds.
	P50 float64 `json:"p50_ms"`
	P99 float64 `json:"p99_ms"`
	// Ceiling is how many completions in a second the store allows: at saturation, rows of the same size
	// inserted into the same kind of database in commits of 1000; alone, the same rows after as many
	// synchronous writes as the workload has steps.
	Ceiling float64 `json:"ceiling_per_s"`
	// Ratio is Completions to the Ceiling of the same round.
	Ratio float64 `json:"ratio"`
	// CPU is the processor time of this process for a completion, in microseconds; on a busy machine it
	// says more than the rest. It leaves out a running server.
	CPU float64 `json:"cpu_us"`
	// Bytes is what a completion adds to the database, indexes included.
	Bytes float64 `json:"bytes"`
}

func (c Config) withDefaults() Config {
	c.Window = cmp.Or(c.Window, 2*time.Second)
	c.Rounds = cmp.Or(c.Rounds, 3)
	c.Slots = cmp.Or(c.Slots, 1024)
	c.RowBytes = cmp.Or(c.RowBytes, 300)
	c.Dir = cmp.Or(c.Dir, ".")
	if len(c.Workloads) == 0 {
		c.Workloads = DefaultWorkloads
	}
	if c.Progress == nil {
		c.Progress = io.Discard
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	return c
}

// pick returns those of all that were asked for; none is all.
func pick(what string, all, asked []string) ([]string, error) {
	if len(asked) == 0 {
		return all, nil
	}
	for _, a := range asked {
		if !slices.Contains(all, a) {
			return nil, errs.New(errs.Invalid, "there is no %s %q", what, a).WithHint("choose of %v", all)
		}
	}
	return asked, nil
}

// Run measures what c asks for and returns a row for each.
func Run(ctx context.Context, c Config) ([]Row, error) {
	c = c.withDefaults()
	var flows []workload
	for _, name := range c.Workloads {
		w, err := workloadOf(name)
		if err != nil {
			return nil, err
		}
		flows = append(flows, w)
	}
	workers, err := pick("kind of workers", []string{InProcess, HTTP}, c.Workers)
	if err != nil {
		return nil, err
	}
	modes, err := pick("mode", []string{Saturation, Alone}, c.Modes)
	if err != nil {
		return nil, err
	}
	t, err := open(ctx, c)
	if err != nil {
		return nil, err
	}
	defer t.close()
	var rows []Row
	for _, by := range workers {
		for _, w := range flows {
			for _, mode := range modes {
				r, err := measure(ctx, c, t, w, by, mode)
				if err != nil {
					return rows, fmt.Errorf("%s, %s, %s: %w", w.name, by, mode, err)
				}
				rows = append(rows, r)
			}
		}
	}
	return rows, nil
}

// measure makes a row: rounds of ceiling, workload and ceiling again.
func measure(ctx context.Context, c Config, t *target, w workload, workers, mode string) (Row, error) {
	row := Row{Workload: w.name, Store: t.store, Workers: workers, Mode: mode}
	d, err := newDriver(ctx, c, t, w, workers, mode)
	if err != nil {
		return row, err
	}
	defer d.close()
	if row.Bytes, err = d.warm(ctx); err != nil {
		return row, err
	}
	stop, err := profile(c.Profiles, w.name+"-"+workers+"-"+mode)
	if err != nil {
		return row, err
	}
	defer stop()
	var rates, p50, p99, ceilings, ratios, cpu []float64
	for i := range c.Rounds {
		before, err := t.ceiling.measure(ctx, row.Bytes)
		if err != nil {
			return row, fmt.Errorf("ceiling: %w", err)
		}
		m, err := d.round(ctx)
		if err != nil {
			return row, err
		}
		after, err := t.ceiling.measure(ctx, row.Bytes)
		if err != nil {
			return row, fmt.Errorf("ceiling: %w", err)
		}
		top := before.with(after).completions(w, mode)
		row.Runs += m.runs
		rates, cpu = append(rates, m.rate), append(cpu, m.cpu)
		p50, p99 = append(p50, m.p50), append(p99, m.p99)
		ceilings, ratios = append(ceilings, top), append(ratios, m.rate/top)
		fmt.Fprintf(c.Progress, "%s %s %s round %d: %.0f/s of %.0f/s, p50 %.2f ms, p99 %.2f ms, %.1f µs of processor time each\n",
			w.name, workers, mode, i+1, m.rate, top, m.p50, m.p99, m.cpu)
	}
	row.Completions, row.Ceiling, row.Ratio = median(rates), median(ceilings), median(ratios)
	row.P50, row.P99, row.CPU = median(p50), median(p99), median(cpu)
	return row, nil
}

// median returns the middle of values, the upper one where there are two.
func median(values []float64) float64 {
	if len(values) == 0 {
		return 0
	}
	s := slices.Sorted(slices.Values(values))
	return s[len(s)/2]
}
