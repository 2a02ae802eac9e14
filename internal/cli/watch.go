package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"tutti/api"
	"tutti/errs"
	"tutti/internal/cli/live"
	"tutti/internal/cli/output"
)

// waiting are the flags of commands that can wait for an outcome.
type waiting struct {
	wait       bool
	timeout    string
	noApproval bool
	plain      bool
}

func (w *waiting) flags(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVar(&w.timeout, "timeout", "", "how long to wait, such as 30m; then it goes on without being watched (exit code 6)")
	f.BoolVar(&w.noApproval, "no-wait-for-approval", false, "stop waiting where a person must act (exit code 7)")
	f.BoolVar(&w.plain, "plain", false, "a line per change instead of the live tree")
}

// starts adds --wait, for commands that start something.
func (w *waiting) starts(cmd *cobra.Command) *cobra.Command {
	cmd.Flags().BoolVar(&w.wait, "wait", false, "wait for the outcome: progress on stderr, the result on stdout, the exit code says how it ended")
	w.flags(cmd)
	return cmd
}

// limit returns ctx with the timeout of the flags.
func (w *waiting) limit(ctx context.Context) (context.Context, context.CancelFunc, error) {
	if w.timeout == "" {
		return ctx, func() {}, nil
	}
	d, err := api.ParseDuration(w.timeout)
	if err != nil {
		return ctx, nil, exit{ExitUsage, err}
	}
	ctx, cancel := context.WithTimeoutCause(ctx, d, errTimeout)
	return ctx, cancel, nil
}

var errTimeout = errors.New("the time is over")

// viewOn returns how to show progress on a stream.
func (l *line) viewOn(w io.Writer, terminal, plain bool) view {
	if terminal && !plain {
		return &treeView{w: w, size: l.size, color: l.colored(true)}
	}
	return &plainView{w: w, color: l.colored(terminal), note: l.note}
}

// target is a run to watch, and the request it carries out, if it was named by that.
type target struct {
	id      string
	request bool
	run     api.RunID
}

// target finds what an ID, or a prefix of one, means to a watcher.
func (l *line) target(ctx context.Context, word string) (target, error) {
	f, err := l.resolve(ctx, word, "request", "run")
	if err != nil {
		return target{}, err
	}
	if f.Kind == "run" {
		return target{id: f.ID, run: api.RunID(f.ID)}, nil
	}
	return target{id: f.ID, request: true}, nil
}

// outcome is how the thing watched ended.
type outcome struct {
	state    api.State
	run      *api.Run
	request  *api.Request
	snapshot *live.Snapshot
}

// follow watches t until it ends, or until says so, or ctx ends.
func (l *line) follow(ctx context.Context, t target, v view, until func(*live.Snapshot) bool) (outcome, error) {
	var o outcome
	if t.request {
		r, err := l.awaitRequest(ctx, t.id, 0, func(r api.Request) bool { return r.Run != "" })
		if err != nil {
			return o, err
		}
		o.request, o.state, t.run = &r, r.State, r.Run
		if r.Run == "" { // it ended before it had a run
			return o, nil
		}
	}
	s, err := follower{line: l, view: v, until: until}.run(ctx, t.run)
	if s != nil {
		o.snapshot, o.run, o.state = s, &s.Run, s.Run.State
	}
	if err != nil || !s.Run.State.Ended() || !t.request {
		return o, err
	}
	r, err := l.settle(ctx, t.id)
	if err == nil && r.State.Ended() {
		o.request, o.state = &r, r.State
	}
	return o, ctx.Err()
}

// settleTime is how long a request may take to learn how its run ended.
const settleTime = 30 * time.Second

// settle returns a request whose run has ended once it knows.
func (l *line) settle(ctx context.Context, id string) (api.Request, error) {
	ctx, cancel := context.WithTimeout(ctx, settleTime)
	defer cancel()
	return l.awaitRequest(ctx, id, api.Duration(10*time.Second), func(api.Request) bool { return false })
}

// awaitRequest reads a request until it has ended or enough says so, each time waiting on the server
// as long as step, or a moment here.
func (l *line) awaitRequest(ctx context.Context, id string, step api.Duration, enough func(api.Request) bool) (api.Request, error) {
	rest := leastTime
	for wait := api.Duration(0); ; wait = step {
		r, err := call(ctx, l, api.GetRequest, api.RequestIn{ID: id, Wait: wait})
		switch {
		case ctx.Err() != nil:
			return r, context.Cause(ctx)
		case err != nil && !errs.Is(err, errs.Unavailable) && !errs.Is(err, errs.Limited):
			return r, err
		case err == nil && (r.State.Ended() || enough(r)):
			return r, nil
		}
		pause(ctx, rest)
		rest = min(2*rest, time.Second)
	}
}

// watched turns the end of a watch into what is said and the exit code. good are the states that were
// hoped for; none means that anything but failed and cancelled is.
func (l *line) watched(ctx context.Context, t target, o outcome, err error, good ...api.State) error {
	switch {
	case err != nil && errors.Is(context.Cause(ctx), errTimeout):
		l.note("Time is up. %s still runs: tutti watch %s", t.id, t.id)
		return exit{code: ExitTimeout}
	case err != nil && ctx.Err() != nil:
		l.note("Stopped watching. %s still runs: tutti watch %s", t.id, t.id)
		return exit{code: ExitInterrupted}
	case err != nil:
		return err
	case slices.Contains(good, o.state):
		return nil
	case !o.state.Ended():
		l.note("%s waits for a person: tutti approval list", t.id)
		return exit{code: ExitPerson}
	case len(good) > 0, o.state == api.Failed, o.state == api.Cancelled:
		l.explain(ctx, t, o)
		return exit{code: ExitBad}
	}
	return nil
}

// explain says on stderr why something ended badly, and what can be done.
func (l *line) explain(ctx context.Context, t target, o outcome) {
	fail := (*api.RunFail)(nil)
	switch {
	case o.request != nil && o.request.Failure != nil:
		fail = o.request.Failure
	case o.run != nil:
		fail = o.run.Failure
	}
	glyph := output.Glyph(o.state)
	if fail == nil {
		l.note("%s %s %s", glyph, t.id, o.state)
		return
	}
	where := ""
	if fail.Task != "" { // empty where the run was never started
		where = " at " + fail.Task
	}
	l.note("%s %s %s%s: %s", glyph, t.id, o.state, where, fail.Message)
	if fail.Hint != "" {
		l.note("  %s", fail.Hint)
	}
	if t.run == "" && o.request != nil {
		t.run = o.request.Run
	}
	if t.run == "" {
		return
	}
	page, err := call(ctx, l, api.ReadLog, api.ReadLogIn{ID: t.run, Task: fail.Task, Tail: 5})
	if err == nil && len(page.Lines) > 0 {
		l.note("  Its last lines:")
		for _, line := range page.Lines {
			l.note("    %s", output.Clean(line.Text))
		}
	}
	l.note("  All of its log: tutti logs %s --task '%s'   Try again: tutti run retry %s", t.run, fail.Task, t.run)
}

// await carries out --wait after something was started: it shows progress on stderr, prints the result
// and returns the exit code.
func (l *line) await(ctx context.Context, w *waiting, t target) error {
	ctx, cancel, err := w.limit(ctx)
	if err != nil {
		return err
	}
	defer cancel()
	o, err := l.follow(ctx, t, l.viewOn(l.Stderr, l.Terminal.Err, w.plain), w.until())
	if err == nil {
		if err := l.result(o); err != nil {
			return err
		}
	}
	return l.watched(ctx, t, o, err)
}

// until ends a wait where a person must act, if that was asked for.
func (w *waiting) until() func(*live.Snapshot) bool {
	if !w.noApproval {
		return nil
	}
	return (*live.Snapshot).Asks
}

// result prints what was watched.
func (l *line) result(o outcome) error {
	if o.request != nil {
		return l.printRequest(*o.request)
	}
	if o.run != nil {
		return l.printRun(*o.run)
	}
	return nil
}

func (l *line) watchCommand() *cobra.Command {
	var w waiting
	cmd := l.command("watch ID", "Follow a request or run to its end, as a live tree", func(ctx context.Context, args []string) error {
		ctx, cancel, err := w.limit(ctx)
		if err != nil {
			return err
		}
		defer cancel()
		t, err := l.target(ctx, args[0])
		if err != nil {
			return err
		}
		p := l.printer()
		if p.Structured() {
			o, err := l.follow(ctx, t, quiet{}, w.until())
			if err == nil {
				err = l.result(o)
			}
			return l.watched(ctx, t, o, err)
		}
		l.head(ctx, t)
		o, err := l.follow(ctx, t, l.viewOn(l.Stdout, l.Terminal.Out, w.plain), w.until())
		return l.watched(ctx, t, o, err)
	})
	w.flags(cmd)
	cmd.ValidArgsFunction = l.complete(l.watchables)
	return cmd
}

// head says on stderr what is being watched, with the trace and the address to browse.
func (l *line) head(ctx context.Context, t target) {
	if !t.request {
		return
	}
	r, err := call(ctx, l, api.GetRequest, api.RequestIn{ID: t.id})
	if err != nil {
		return // whoever follows will see the same error
	}
	l.note("%s  %s %s   trace %s   %s", r.ID, r.Entry, r.Name, r.Trace, l.address("requests", r.ID))
}

func (l *line) waitCommand() *cobra.Command {
	var w waiting
	var states []string
	cmd := l.command("wait ID", "Wait until a request or run has ended, without showing its progress", func(ctx context.Context, args []string) error {
		var good []api.State
		for _, s := range states {
			st := api.State(s)
			if !slices.Contains([]api.State{api.Pending, api.Running, api.Waiting, api.Succeeded, api.Failed, api.Skipped, api.Cancelled}, st) {
				return usage("no state %q", s).WithHint("states are pending, running, waiting, succeeded, failed, skipped, cancelled")
			}
			good = append(good, st)
		}
		ctx, cancel, err := w.limit(ctx)
		if err != nil {
			return err
		}
		defer cancel()
		t, err := l.target(ctx, args[0])
		if err != nil {
			return err
		}
		ask := w.until()
		o, err := l.follow(ctx, t, quiet{}, func(s *live.Snapshot) bool {
			return slices.Contains(good, s.Run.State) || ask != nil && ask(s)
		})
		if err == nil {
			err = l.result(o)
		}
		return l.watched(ctx, t, o, err, good...)
	})
	w.flags(cmd)
	cmd.Flags().StringSliceVar(&states, "for", nil, "states to wait for instead of the end")
	cmd.ValidArgsFunction = l.complete(l.watchables)
	return cmd
}

// address returns where the web page of something is.
func (l *line) address(parts ...string) string {
	s, err := l.settled()
	if err != nil {
		return ""
	}
	return s.Server + "/" + strings.Join(parts, "/")
}

func (l *line) openCommand() *cobra.Command {
	return l.command("open ID", "Print the address of the web page of a request or run", func(ctx context.Context, args []string) error {
		f, err := l.resolve(ctx, args[0], "request", "run")
		if err != nil {
			return err
		}
		_, err = fmt.Fprintln(l.Stdout, l.address(f.Kind+"s", f.ID))
		return err
	})
}
