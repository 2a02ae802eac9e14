package cli

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"tutti/api"
	"tutti/errs"
	"tutti/internal/cli/live"
	"tutti/internal/cli/output"
)

const (
	// maxTopics is how many runs one stream follows; further sub-runs are looked at again every idleTime.
	maxTopics = 20
	idleTime  = 5 * time.Second
	// againTime is how often a run is looked at while the server is away, or without a stream.
	againTime = time.Second
	// leastTime is the shortest time between two looks at a run.
	leastTime = 100 * time.Millisecond
	frameTime = 250 * time.Millisecond
	// maxDepth bounds how deep sub-runs are looked into.
	maxDepth = 8
)

// view shows a run as it goes.
type view interface {
	// show takes the newest snapshot; nil draws the last one again.
	show(s *live.Snapshot)
	// lost says that the server cannot be reached; what is shown is old.
	lost(err error)
	// end leaves the last snapshot standing.
	end()
}

// follower watches a run until it ends.
type follower struct {
	*line
	view view
	// until ends it early; nil waits for the end.
	until func(*live.Snapshot) bool
}

// run follows the run id. It returns the last snapshot, with the error where it is not the end.
func (f follower) run(ctx context.Context, id api.RunID) (*live.Snapshot, error) {
	defer f.view.end()
	s, err := f.look(ctx, id, 0)
	if err != nil {
		return nil, err
	}
	wake := make(chan struct{}, 1)
	var stream following
	defer func() { stream.stop() }()
	frames := time.NewTicker(frameTime)
	defer frames.Stop()
	for rest := leastTime; ; {
		f.view.show(s)
		if s.Run.State.Ended() || f.until != nil && f.until(s) {
			return s, nil
		}
		stream.to(ctx, f.line, topics(s), wake)
		if !pause(ctx, rest) {
			return s, context.Cause(ctx)
		}
		if err := f.wait(ctx, wake, frames.C); err != nil {
			return s, err
		}
		if s, rest, err = f.again(ctx, s); err != nil {
			return s, err
		}
	}
}

// again looks at the run of s until the server answers. It also returns how long to rest after that: a
// run whose tasks take long to read is read the less often for it.
func (f follower) again(ctx context.Context, s *live.Snapshot) (*live.Snapshot, time.Duration, error) {
	for {
		began := time.Now()
		next, err := f.look(ctx, s.Run.ID, 0)
		switch {
		case err == nil:
			return next, max(leastTime, 2*time.Since(began)), nil
		case ctx.Err() != nil:
			return s, 0, context.Cause(ctx)
		case !errs.Is(err, errs.Unavailable) && !errs.Is(err, errs.Limited):
			return s, 0, err
		}
		f.view.lost(err)
		pause(ctx, againTime)
	}
}

// wait returns when something happened, or might have.
func (f follower) wait(ctx context.Context, wake <-chan struct{}, frames <-chan time.Time) error {
	idle := time.NewTimer(idleTime)
	defer idle.Stop()
	for {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-wake:
			return nil
		case <-frames:
			f.view.show(nil)
		case <-idle.C:
			return nil
		}
	}
}

// pause waits for d; it returns false where ctx ends first.
func pause(ctx context.Context, d time.Duration) bool {
	if d <= 0 {
		return ctx.Err() == nil
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}

// look reads a run with its tasks and sub-runs.
func (l *line) look(ctx context.Context, id api.RunID, depth int) (*live.Snapshot, error) {
	run, err := call(ctx, l, api.GetRun, api.GetRunIn{ID: id})
	if err != nil {
		return nil, err
	}
	s := &live.Snapshot{Run: run, Subs: map[string]*live.Snapshot{}}
	if s.Tasks, err = l.tasks(ctx, api.ListTasksIn{ID: run.ID}); err != nil {
		return nil, err
	}
	if depth >= maxDepth {
		return s, nil
	}
	taken := map[api.RunID]bool{}
	for _, t := range s.Tasks {
		if t.Run == "" || taken[t.Run] { // undoing a task goes on in its own sub-run
			continue
		}
		taken[t.Run] = true
		sub, err := l.look(ctx, t.Run, depth+1)
		if errs.Is(err, errs.NotFound) {
			continue // its start is on the way
		}
		if err != nil {
			return nil, err
		}
		s.Subs[t.Path] = sub
	}
	return s, nil
}

// tasks reads all pages of a list of tasks.
func (l *line) tasks(ctx context.Context, in api.ListTasksIn) ([]api.Task, error) {
	var all []api.Task
	for in.Limit = 1000; ; {
		page, err := call(ctx, l, api.ListTasks, in)
		if err != nil {
			return nil, err
		}
		all = append(all, page.Items...)
		if page.Cursor == "" || page.Cursor == in.Cursor {
			return all, nil
		}
		in.Cursor = page.Cursor
	}
}

// topics lists what to follow of a snapshot, each from where it was read.
func topics(s *live.Snapshot) []string {
	var out []string
	var add func(s *live.Snapshot)
	add = func(s *live.Snapshot) {
		if s.Run.State.Ended() || len(out) >= maxTopics {
			return
		}
		out = append(out, fmt.Sprintf("run:%s@%d", s.Run.ID, s.Run.Seq))
		for _, t := range s.Tasks {
			if sub := s.Subs[t.Path]; sub != nil {
				add(sub)
			}
		}
	}
	add(s)
	return out
}

// following is a stream of the events of runs, read beside the view.
type following struct {
	runs   []string
	cancel context.CancelFunc
	done   chan struct{}
}

// to makes the stream follow topics, and wake once for any number of events; a stream of the same runs
// goes on as it is.
func (g *following) to(ctx context.Context, l *line, topics []string, wake chan<- struct{}) {
	runs := make([]string, len(topics))
	for i, t := range topics {
		runs[i], _, _ = strings.Cut(t, "@")
	}
	if g.cancel != nil && slices.Equal(g.runs, runs) {
		return
	}
	g.stop()
	ctx, cancel := context.WithCancel(ctx)
	g.runs, g.cancel, g.done = runs, cancel, make(chan struct{})
	signal := func() {
		select {
		case wake <- struct{}{}:
		default: // one is waiting to be seen already
		}
	}
	go func() {
		defer close(g.done)
		c, err := l.client()
		if err != nil {
			return
		}
		for _, err := range c.Stream(ctx, topics, "") {
			if err != nil {
				break // looking now and then does too
			}
			signal()
		}
		for pause(ctx, againTime) {
			signal()
		}
	}()
}

func (g *following) stop() {
	if g.cancel != nil {
		g.cancel()
		<-g.done
	}
}

// plainView writes a line per change.
type plainView struct {
	w     io.Writer
	color bool
	last  *live.Snapshot
	away  bool
	note  func(format string, args ...any)
}

func (v *plainView) show(s *live.Snapshot) {
	if s == nil {
		return
	}
	if v.away {
		v.note("connected again")
		v.away = false
	}
	for _, c := range live.Changes(v.last, s, time.Now()) {
		text := c.String()
		if v.color {
			text = output.PaintState(c.State, text)
		}
		fmt.Fprintln(v.w, text)
	}
	v.last = s
}

func (v *plainView) lost(err error) {
	if !v.away {
		v.note("connection lost, trying again: %s", first(err))
	}
	v.away = true
}

func (v *plainView) end() {}

// treeView draws the run in place, over and over.
type treeView struct {
	w     io.Writer
	size  func() (int, int)
	color bool
	last  *live.Snapshot
	seen  time.Time // when last was read
	away  string
	frame int
	lines int // how many lines stand on the screen
	drawn string
}

func (v *treeView) show(s *live.Snapshot) {
	if s != nil {
		v.last, v.seen, v.away = s, time.Now(), ""
	} else {
		v.frame++
	}
	if v.last != nil {
		v.draw(v.frame + 1)
	}
}

func (v *treeView) lost(err error) {
	v.away = first(err)
	if v.last != nil {
		v.draw(v.frame + 1)
	}
}

func (v *treeView) end() {
	if v.last != nil {
		v.draw(0)
	}
}

// draw replaces what stands on the screen. The last line of the terminal stays free for the cursor.
func (v *treeView) draw(frame int) {
	width, height := v.size()
	height--
	if v.away != "" {
		height--
	}
	lines := live.Draw(v.last, live.View{Width: width, Height: max(1, height), Color: v.color, Now: time.Now(), Frame: frame})
	if v.away != "" {
		lines = append(lines, output.Cut(fmt.Sprintf("Reconnecting, data as of %s: %s", v.seen.Format("15:04:05"), output.Clean(v.away)), width))
	}
	text := strings.Join(lines, "\n")
	if text == v.drawn {
		return
	}
	var b strings.Builder
	if v.lines > 0 {
		fmt.Fprintf(&b, "\x1b[%dA", v.lines)
	}
	for _, l := range lines {
		b.WriteString("\r" + l + "\x1b[K\n")
	}
	b.WriteString("\x1b[J")
	_, _ = io.WriteString(v.w, b.String()) // a terminal that is gone needs no drawing
	v.lines, v.drawn = len(lines), text
}

// quiet shows nothing.
type quiet struct{}

func (quiet) show(*live.Snapshot) {}
func (quiet) lost(error)          {}
func (quiet) end()                {}

// first returns the first line of an error, without the names of methods.
func first(err error) string {
	text, _, _ := strings.Cut(err.Error(), "\n")
	return methodPrefix.ReplaceAllString(text, "")
}
