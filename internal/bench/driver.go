package bench

import (
	"context"
	"slices"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"tutti/api"
	"tutti/errs"
	"tutti/id"
	"tutti/sdk"
)

// driver starts runs of one workload and waits for their ends.
type driver struct {
	c        Config
	t        *target
	w        workload
	mode     string
	flow     string // name of the published workflow
	inFlight int
	stop     func() // of the worker over HTTP
}

// measured is what came of one round.
type measured struct {
	runs     int
	rate     float64 // completions in a second
	p50, p99 float64 // milliseconds of a run
	cpu      float64 // microseconds a completion
}

// tasksInFlight is how many tasks are under way at saturation by default.
const tasksInFlight = 20_000

// newDriver publishes the workflow and, for workers over HTTP, starts one.
func newDriver(ctx context.Context, c Config, t *target, w workload, workers, mode string) (*driver, error) {
	d := &driver{c: c, t: t, w: w, mode: mode, flow: "bench." + w.name + "." + workers, inFlight: 1, stop: func() {}}
	if mode == Saturation {
		d.inFlight = c.InFlight
		if d.inFlight == 0 {
			d.inFlight = min(max(tasksInFlight/w.tasks, 4), 2000)
		}
	}
	pool := api.DefaultPool
	if workers == HTTP {
		pool = "bench"
		d.stop = d.work(ctx, pool)
	}
	return d, t.publish(ctx, w.definition(d.flow, pool, c.Payload))
}

// work runs a worker over HTTP until the function it returns is called.
func (d *driver) work(ctx context.Context, pool string) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	w := &sdk.Worker{Transport: d.t.client.Transport(), Namespace: sdk.DefaultNamespace, Pool: pool, Slots: d.c.Slots, Types: d.c.Types, Log: d.c.Log}
	var wg sync.WaitGroup
	wg.Go(func() { _ = w.Run(ctx) }) // it returns an error only where it cannot work at all, which the first run shows
	return func() { cancel(); wg.Wait() }
}

func (d *driver) close() { d.stop() }

// one starts a run and waits for its end.
func (d *driver) one(ctx context.Context) (took time.Duration, err error) {
	began := time.Now()
	in := api.StartRunIn{NS: api.NS{Namespace: sdk.DefaultNamespace}, Key: id.New("bench"), Wait: api.Duration(50 * time.Second),
		Body: api.StartRunBody{Workflow: d.flow}}
	r, err := d.t.start(ctx, in)
	for err == nil && !r.State.Ended() && ctx.Err() == nil {
		r, err = d.t.get(ctx, api.GetRunIn{NS: in.NS, ID: r.ID, Wait: in.Wait})
	}
	switch {
	case err != nil:
		return 0, err
	case r.State != api.Succeeded:
		return 0, errs.New(errs.Internal, "run %s has %s instead of succeeded", r.ID, r.State)
	}
	return time.Since(began), nil
}

// warm lets caches fill and says how many bytes a completion stores; at least 64 runs, or 2000 tasks, are
// counted.
func (d *driver) warm(ctx context.Context) (bytes float64, err error) {
	runs := max(d.inFlight, min(64, 2000/d.w.tasks+1))
	before, err := d.t.size(ctx)
	if err != nil {
		return 0, err
	}
	if err := d.each(ctx, func(i int) bool { return i < runs }, func(time.Duration) {}); err != nil {
		return 0, err
	}
	after, err := d.t.size(ctx)
	if err != nil || before == 0 {
		return float64(d.c.RowBytes), err
	}
	return max(float64(after-before)/float64(runs*d.w.tasks), 32), nil
}

// each keeps inFlight runs under way as long as more says so of the next, and gives got how long each
// took.
func (d *driver) each(ctx context.Context, more func(i int) bool, got func(time.Duration)) error {
	var mu sync.Mutex
	next := 0
	var failed error
	var wg sync.WaitGroup
	for range d.inFlight {
		wg.Go(func() {
			for {
				mu.Lock()
				ok := failed == nil && ctx.Err() == nil && more(next)
				next++
				mu.Unlock()
				if !ok {
					return
				}
				took, err := d.one(ctx)
				mu.Lock()
				if err != nil && failed == nil {
					failed = err
				}
				if err == nil {
					got(took)
				}
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	if failed == nil {
		failed = ctx.Err()
	}
	return failed
}

// round measures for a window, after a quarter of it in which the flow becomes steady. Where runs take so
// long that fewer of them end in the window than are under way, it is longer, up to eight times.
func (d *driver) round(ctx context.Context) (m measured, err error) {
	began := time.Now()
	from, until, limit := began.Add(d.c.Window/4), began.Add(d.c.Window/4+d.c.Window), began.Add(8*d.c.Window)
	var took []time.Duration
	var first, last moment // at the end of a run before the window, and of the last in it
	if d.mode == Alone {
		from, first = began, now()
	}
	open := func(at time.Time) bool { return at.Before(until) || len(took) < d.inFlight && at.Before(limit) }
	err = d.each(ctx, func(int) bool { return open(time.Now()) }, func(t time.Duration) {
		switch m := now(); {
		case first.at.IsZero() && m.at.After(from):
			first = m
		case !first.at.IsZero() && (open(m.at) || len(took) == 0):
			took, last = append(took, t), m
		}
	})
	if err != nil {
		return m, err
	}
	if len(took) == 0 {
		return m, errs.New(errs.Unavailable, "no run ended within %s", d.c.Window).WithHint("give a longer --window")
	}
	m.runs = len(took)
	n := float64(m.runs * d.w.tasks)
	m.rate = n / last.at.Sub(first.at).Seconds()
	m.cpu = float64((last.spent - first.spent).Microseconds()) / n
	slices.Sort(took)
	m.p50, m.p99 = ms(took[len(took)/2]), ms(took[len(took)*99/100])
	return m, nil
}

func ms(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// moment is a time, and what processor time this process had spent then.
type moment struct {
	at    time.Time
	spent time.Duration
}

func now() moment {
	var u unix.Rusage
	_ = unix.Getrusage(unix.RUSAGE_SELF, &u) // cannot fail for oneself
	return moment{time.Now(), time.Duration(u.Utime.Nano() + u.Stime.Nano())}
}
