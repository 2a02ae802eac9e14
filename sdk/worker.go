package sdk

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"sync"
	"time"

	"tutti/api"
	"tutti/errs"
)

// Transport carries a worker's calls to the engine: over the bus inside the server, over HTTP from
// anywhere else (Client). Errors have a kind; of kind errs.Conflict they say that a claim is over.
type Transport interface {
	// Poll reports results and takes work, waiting for some where there is none.
	Poll(ctx context.Context, in api.PollIn) (api.PollOut, error)
	// Heartbeat keeps claims alive.
	Heartbeat(ctx context.Context, in api.HeartbeatIn) (api.HeartbeatOut, error)
	// SetVars stores task variables durably.
	SetVars(ctx context.Context, in api.SetVarsIn) error
	// AppendLog stores log lines; a line sent twice is stored once.
	AppendLog(ctx context.Context, in api.AppendLogIn) error
}

// Worker takes attempts of tasks from a pool and carries them out. Results are kept until the engine
// answered for them; what is logged and returned is freed of the assignment's secrets first.
type Worker struct {
	// Transport reaches the engine.
	Transport Transport
	// Namespace is whose work it takes; "" is default.
	Namespace string
	// Pool is the pool it belongs to; "" is api.DefaultPool.
	Pool string
	// Name says who it is, for people; "" is the host's name and the process's number.
	Name string
	// Slots is how many attempts run at the same time; 0 is 16.
	Slots int
	// Types are what it can do.
	Types []TaskType
	// Find, where set, returns the type of a task that is none of Types; the worker then takes tasks of
	// every type. Its error is the attempt's failure.
	Find func(ctx context.Context, a *api.Assignment) (TaskType, error)
	// Grace is how long attempts may take to end once Run's context ended; 0 is 10s.
	Grace time.Duration
	// Context, where set, returns the context an attempt starts with, made from its parent.
	Context func(ctx context.Context, a *api.Assignment) context.Context
	// Log takes what concerns the worker rather than one task; nil discards it.
	Log *slog.Logger
}

// The causes (context.Cause) for which the context of an attempt ends. A type whose work goes on
// without the worker and is found again (api.TaskType.Reattach) leaves it alone on ErrStopping and
// ErrLost, and ends it on the others.
var (
	// ErrCancelled: somebody cancelled the task.
	ErrCancelled = errors.New("the task was cancelled")
	// ErrTimeout: the attempt took longer than its timeout.
	ErrTimeout = errors.New("the attempt timed out")
	// ErrLost: the claim is over, and another attempt may be under way.
	ErrLost = errors.New("the claim was lost")
	// ErrStopping: the worker is being stopped; the task goes on in another one.
	ErrStopping = errors.New("the worker is stopping")
)

// The failure types that a Worker itself reports, beside those of the task types.
const (
	FailTimeout   = "timeout"
	FailPanic     = "panic"
	FailCancelled = "cancelled"
	FailUnknown   = "unknown_type" // the worker lacks the task type
	FailTooLarge  = "too_large"    // the output is over MaxOutput
	FailInternal  = "internal"
)

const (
	// MaxOutput bounds what an attempt returns, in bytes of JSON.
	MaxOutput = 1 << 20

	defaultSlots = 16
	defaultGrace = 10 * time.Second
	// pollWait is how long a poll for work waits at the engine.
	pollWait = 30 * time.Second
	// callTime bounds a call beyond what it waits at the engine.
	callTime = 30 * time.Second
	// lastWords is how long the last results may take to get through when the worker stops.
	lastWords = 5 * time.Second
	// lanes is how many exchanges with the engine may be under way: one that waits for work, and some
	// that report, each of which waits for a commit.
	lanes = 3
	// maxResults and maxBytes bound one report.
	maxResults = 2000
	maxBytes   = 4 << 20
)

// Run takes and carries out attempts until ctx ends, and returns nil then. Before it returns, it ends
// the contexts of the attempts that still run, reports those as interrupted that do not finish within
// Grace, and waits until every Do has returned. Errors of the transport are retried for ever; an error
// is returned only for a worker that cannot work.
func (w *Worker) Run(ctx context.Context) error {
	s, err := w.session()
	if err != nil {
		return err
	}
	life, end := context.WithCancel(context.WithoutCancel(ctx))
	defer end()
	var exchanges, beats sync.WaitGroup
	for range lanes {
		exchanges.Go(func() { s.exchange(ctx, life) })
	}
	beats.Go(func() { s.heartbeats(life) })

	<-ctx.Done()
	s.stop()
	abandon := time.AfterFunc(s.Grace, s.abandon)
	giveUp := time.AfterFunc(s.Grace+lastWords, func() { s.giveUp(); end() })
	exchanges.Wait()
	abandon.Stop()
	giveUp.Stop()
	end()
	beats.Wait()
	s.runners.Wait()
	return nil
}

// session returns the state of one Run, with defaults filled in.
func (w *Worker) session() (*session, error) {
	if w.Transport == nil {
		return nil, errs.New(errs.Invalid, "the worker has no transport")
	}
	s := &session{Worker: *w, types: map[string]TaskType{}, claims: map[string]*claim{}}
	s.wake.L, s.begin.L = &s.mu, &s.mu
	s.Namespace = cmp.Or(w.Namespace, "default")
	s.Pool = cmp.Or(w.Pool, api.DefaultPool)
	s.Slots = cmp.Or(max(w.Slots, 0), defaultSlots)
	s.Grace = cmp.Or(max(w.Grace, 0), defaultGrace)
	s.free = s.Slots
	if s.Log == nil {
		s.Log = slog.New(slog.DiscardHandler)
	}
	if s.Name == "" {
		host, _ := os.Hostname() // a name for people may lack it
		s.Name = fmt.Sprintf("%s-%d", cmp.Or(host, "worker"), os.Getpid())
	}
	for _, t := range w.Types {
		name := t.Spec().Name
		if s.types[name] != nil {
			return nil, errs.New(errs.Invalid, "the worker has two task types named %q", name)
		}
		s.types[name] = t
		s.names = append(s.names, name)
	}
	slices.Sort(s.names)
	if s.asks = s.names; w.Find != nil {
		s.asks = nil // any
	}
	return s, nil
}
