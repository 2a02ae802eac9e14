package app

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"runtime"
	"runtime/debug"
	"slices"
	"sync"
	"time"

	"tutti/api"
	"tutti/errs"
	"tutti/internal/service"
)

const (
	// frontTime is how long the gateway and the worker may take to finish, while the others still
	// answer them; signTime how long it may take to tell presence; backTime how long the others may take
	// after that.
	frontTime = 8 * time.Second
	signTime  = 500 * time.Millisecond
	backTime  = time.Second
	// patience is how long a service may take to answer before the log says so.
	patience = 10 * time.Second
	// steady is how long a service must have run for its next failure to count as the first.
	steady = time.Minute
)

// ballast counts as memory in use for the garbage collector, though nothing ever touches it, so no memory
// is behind it: a server whose state is small would otherwise collect many times a second. It bounds what
// garbage may pile up at about twice as much.
const ballast = 64 << 20

// run builds and runs the parts until ctx ends. Those in front, which call the others, end first.
func (p *platform) run(ctx context.Context, clock *stopwatch) error {
	weight := make([]byte, ballast)
	defer runtime.KeepAlive(weight)
	back, stopBack := context.WithCancel(context.WithoutCancel(ctx))
	defer stopBack()
	front, stopFront := context.WithCancelCause(ctx)
	defer stopFront(nil)
	for _, x := range p.parts {
		if x.keeps {
			if err := service.Serve(back, p.deps(x.Name)); err != nil {
				return fmt.Errorf("service %s: %w", x.Name, err)
			}
		}
	}
	signs, stopSigns := context.WithCancel(back)
	defer stopSigns()
	inFront, alive, behind := new(crew), new(crew), new(crew)
	for i, x := range p.parts {
		if x.front {
			inFront.run(x.Name, func() {
				if err := p.keep(front, x, p.built[i]); err != nil {
					stopFront(err)
				}
			})
			continue
		}
		behind.run(x.Name, func() { _ = p.keep(back, x, p.built[i]) }) // only those in front end with an error
		alive.run(x.Name, func() { service.Announce(signs, p.deps(x.Name), p.version, nil) })
	}
	behind.run("memory", func() { giveBack(back) })
	p.await(front, clock)
	<-front.Done()
	p.log.Info("stopping")
	if late := inFront.wait(frontTime); late != nil {
		p.log.Warn("calls or tasks did not end in time and are cut off", "services", late)
	}
	stopSigns() // while presence still hears that the services go down
	if late := alive.wait(signTime); late != nil {
		p.log.Debug("presence was not told", "services", late)
	}
	stopBack()
	if late := behind.wait(backTime); late != nil {
		p.log.Warn("services did not end in time and are cut off", "services", late)
	}
	if err := context.Cause(front); err != nil && ctx.Err() == nil {
		return err
	}
	return nil
}

// crew is what runs until it is told to stop.
type crew struct {
	mu      sync.Mutex
	running map[string]bool
	all     sync.WaitGroup
}

// run runs f on a goroutine of its own, under a name for people.
func (c *crew) run(name string, f func()) {
	c.mu.Lock()
	if c.running == nil {
		c.running = map[string]bool{}
	}
	c.running[name] = true
	c.mu.Unlock()
	c.all.Go(func() {
		f()
		c.mu.Lock()
		delete(c.running, name)
		c.mu.Unlock()
	})
}

// wait waits for all, and returns the names of those that have not ended within d.
func (c *crew) wait(d time.Duration) (late []string) {
	done := make(chan struct{})
	go func() { c.all.Wait(); close(done) }()
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-done:
		return nil
	case <-t.C:
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Sorted(maps.Keys(c.running))
}

// keep runs a service until ctx ends, and starts it again, after a growing pause, where it ends by
// itself. The gateway cannot be started again, since its listener is closed: its error is returned.
func (p *platform) keep(ctx context.Context, x part, s service.Service) error {
	log := p.log.With("service", x.Name)
	for failed := 0; ; {
		started := time.Now()
		err := guarded(ctx, s, log)
		if ctx.Err() != nil {
			return nil
		}
		if err == nil {
			err = errs.New(errs.Internal, "it ended by itself")
		}
		if x.once {
			return fmt.Errorf("service %s: %w", x.Name, err)
		}
		if time.Since(started) > steady {
			failed = 0
		}
		pause := min(100*time.Millisecond<<min(failed, 10), 30*time.Second)
		failed++
		log.Error("the service failed and is started again", "err", err, "in", pause.String())
		t := time.NewTimer(pause)
		select {
		case <-ctx.Done():
			t.Stop()
			return nil
		case <-t.C:
		}
		if again, err := x.New(p.deps(x.Name)); err != nil {
			log.Error("the service cannot be built", "err", err)
		} else {
			s = again
		}
	}
}

// guarded runs s; a panic is an error.
func guarded(ctx context.Context, s service.Service, log *slog.Logger) (err error) {
	defer func() {
		if r := recover(); r != nil {
			log.Error("panic", "panic", r, "stack", string(debug.Stack()))
			err = errs.New(errs.Internal, "panic: %v", r)
		}
	}()
	ctx, cancel := context.WithCancel(ctx) // so that its handlers are gone when it is started again
	defer cancel()
	return s.Run(ctx)
}

// await waits until every service answers, then says that the server is ready.
func (p *platform) await(ctx context.Context, clock *stopwatch) {
	var ask sync.WaitGroup
	for _, m := range p.methods() {
		ask.Go(func() { p.answered(ctx, m) })
	}
	ask.Wait()
	if ctx.Err() != nil {
		return
	}
	clock.lap("services ready")
	s := Started{Address: p.address(), BootstrapToken: p.bootstrapToken(), Bus: p.bus, Took: time.Since(clock.started)}
	p.log.Info("ready", "address", s.Address, "ms", s.Took.Milliseconds())
	p.log.Debug("start-up", clock.laps...)
	if p.c.Ready != nil {
		p.c.Ready(s)
	}
}

// methods returns the methods that must be answered for this process to be ready: all of them where it
// runs everything, else what every service answers.
func (p *platform) methods() []string {
	var names []string
	for _, x := range p.parts {
		if x.keeps {
			names = append(names, service.Events(x.Name).Name)
		}
	}
	if len(p.parts) == len(p.list()) {
		for _, m := range api.Methods {
			names = append(names, m.Info().Name)
		}
		names = append(names, api.Authenticate.Name)
	}
	return names
}

// answered waits until somebody answers a method. It asks as nobody and with nothing, which every
// handler refuses before it does anything.
func (p *platform) answered(ctx context.Context, method string) {
	started, told := time.Now(), false
	for wait := time.Millisecond; ; wait = min(2*wait, 50*time.Millisecond) {
		if _, err := p.bus.Raw(ctx, method, nil); !errs.Is(err, errs.Unavailable) {
			return
		}
		if !told && time.Since(started) > patience {
			told = true
			p.log.Warn("not ready: nobody answers", "method", method)
		}
		t := time.NewTimer(wait)
		select {
		case <-ctx.Done():
			t.Stop()
			return
		case <-t.C:
		}
	}
}

// stopwatch measures the steps of the start.
type stopwatch struct {
	started, last time.Time
	laps          []any // pairs of name and duration, for a log line
}

// lap notes how long the step that ends took.
func (s *stopwatch) lap(name string) {
	now := time.Now()
	since := s.last
	if since.IsZero() {
		since = s.started
	}
	s.laps = append(s.laps, name, now.Sub(since).Round(100*time.Microsecond).String())
	s.last = now
}
