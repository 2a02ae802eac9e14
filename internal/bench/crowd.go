package bench

import (
	"context"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"tutti/api"
	"tutti/id"
	"tutti/sdk"
)

// CrowdConfig says how much is stored, and how much is under way.
type CrowdConfig struct {
	// Command is this program, whose `serve` is the server.
	Command []string
	// DB and Dir are those of Config.
	DB, Dir string
	// Stored is how many runs have ended; Sleeping how many wait for a time; Running how many have a task
	// with a worker.
	Stored, Sleeping, Running int
	// Watch is how long the server is looked at while nothing happens; 0 is 10s.
	Watch time.Duration
	// Progress takes lines for people, Log what the server logs.
	Progress, Log io.Writer
}

// Idle is what a server uses that has much to keep and nothing to do.
type Idle struct {
	When     string  `json:"when"` // filled: after the runs were made; started: after a restart
	Store    string  `json:"store"`
	Stored   int     `json:"stored"`
	Sleeping int     `json:"sleeping"`
	CPU      float64 `json:"cpu_percent"` // of one processor
	Memory   float64 `json:"rss_mb"`
	Ready    float64 `json:"ready_ms"` // from the start of the process until it took calls
}

// Recovery is how long it takes until work goes on after a crash.
type Recovery struct {
	Store   string  `json:"store"`
	Stored  int     `json:"stored"`
	Running int     `json:"running"`
	Ready   float64 `json:"ready_ms"`      // from the start of the process until it took calls
	Again   float64 `json:"dispatched_ms"` // from the start of the process until a worker had all tasks again
}

const sleepFlow = `kind: Workflow
name: bench.sleep
tasks:
  nap: {use: wait, with: {for: 30d}}
`

const storeFlow = `kind: Workflow
name: bench.stored
tasks:
  done: {use: set, with: {done: true}}
`

const holdFlow = `kind: Workflow
name: bench.hold
defaults: {pool: bench}
tasks:
  first: {use: noop}
  second: {use: noop, needs: [first]}
`

// crowd starts a server with many runs in it.
func crowd(ctx context.Context, c CrowdConfig) (*child, error) {
	s := &child{command: c.Command, dir: c.Dir, db: c.DB, log: c.Log}
	if err := s.start(ctx); err != nil {
		return nil, err
	}
	for _, f := range []struct {
		text, name string
		n          int
	}{{storeFlow, "bench.stored", c.Stored}, {sleepFlow, "bench.sleep", c.Sleeping}, {holdFlow, "bench.hold", c.Running}} {
		if f.n == 0 {
			continue
		}
		began := time.Now()
		err := s.publish(ctx, f.text)
		if err == nil {
			err = s.many(ctx, f.name, f.n)
		}
		if err != nil {
			s.kill()
			return nil, fmt.Errorf("make %d runs of %s: %w", f.n, f.name, err)
		}
		fmt.Fprintf(c.Progress, "%d runs of %s in %s\n", f.n, f.name, time.Since(began).Round(time.Millisecond))
	}
	return s, nil
}

// many starts n runs.
func (c *child) many(ctx context.Context, flow string, n int) error {
	var next atomic.Int64
	var wg sync.WaitGroup
	failed := make(chan error, 64)
	for range cap(failed) {
		wg.Go(func() {
			for next.Add(1) <= int64(n) {
				_, err := sdk.Call(ctx, c.client, api.StartRun, api.StartRunIn{Key: id.New("bench"), Body: api.StartRunBody{Workflow: flow}})
				if err != nil {
					failed <- err
					return
				}
			}
		})
	}
	wg.Wait()
	select {
	case err := <-failed:
		return err
	default:
		return nil
	}
}

// Sleep measures a server in which many runs are stored and many sleep: when they were just made, and
// after a restart.
func Sleep(ctx context.Context, c CrowdConfig) ([]Idle, error) {
	s, err := crowd(ctx, c)
	if err != nil {
		return nil, err
	}
	defer s.kill()
	filled, err := s.idle(ctx, c, "filled")
	if err != nil {
		return nil, err
	}
	s.stop()
	if err := s.start(ctx); err != nil {
		return nil, err
	}
	started, err := s.idle(ctx, c, "started")
	return []Idle{filled, started}, err
}

// idle looks at a server in which nothing happens.
func (c *child) idle(ctx context.Context, cfg CrowdConfig, when string) (i Idle, err error) {
	i = Idle{When: when, Store: storeName(cfg.DB), Stored: cfg.Stored, Sleeping: cfg.Sleeping, Ready: ms(c.ready)}
	if err := rest(ctx, cfg.Watch); err != nil { // what the filling left behind comes to its end
		return i, err
	}
	before, err := c.spent()
	if err != nil {
		return i, err
	}
	began := time.Now()
	if err := rest(ctx, cfg.Watch); err != nil {
		return i, err
	}
	after, err := c.spent()
	if err != nil {
		return i, err
	}
	i.CPU = 100 * (after - before).Seconds() / time.Since(began).Seconds()
	bytes, err := c.memory()
	i.Memory = float64(bytes) / (1 << 20)
	return i, err
}

func rest(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}

func storeName(db string) string {
	if db == "" {
		return "sqlite"
	}
	return "postgres"
}

// Recover measures how long it takes after kill -9 until the tasks of all running workflows are with a
// worker again. The worker takes them when the runs are made and says nothing of them, so the claims die
// with the server.
func Recover(ctx context.Context, c CrowdConfig) (r Recovery, err error) {
	r = Recovery{Store: storeName(c.DB), Stored: c.Stored, Running: c.Running}
	s, err := crowd(ctx, c)
	if err != nil {
		return r, err
	}
	defer func() { s.kill() }()
	if err := s.take(ctx, c.Running); err != nil {
		return r, err
	}
	s.kill()
	began := time.Now()
	if err := s.start(ctx); err != nil {
		return r, err
	}
	r.Ready = ms(s.ready)
	err = s.take(ctx, c.Running)
	r.Again = ms(time.Since(began))
	return r, err
}

// take claims tasks of the pool of this package until there are n.
func (c *child) take(ctx context.Context, n int) error {
	for got := 0; got < n && ctx.Err() == nil; {
		out, err := sdk.Call(ctx, c.client, api.PollTasks, api.PollIn{Pool: "bench", Body: api.PollBody{Worker: "bench", Max: n - got, Wait: api.Duration(5 * time.Second)}})
		if err != nil {
			return err
		}
		got += len(out.Assignments)
	}
	return ctx.Err()
}
