package logs

import (
	"context"
	"slices"
	"strings"
	"time"

	"tutti/api"
	"tutti/bus"
	"tutti/errs"
)

const (
	defaultPage = 1_000  // lines
	maxPage     = 10_000 // lines
	maxAnswer   = 4 << 20
	// maxScan bounds how many lines one call looks at for those it wants; the next call goes on.
	maxScan = 50_000
	maxWait = time.Minute
	// repoll is how often a waiting reader looks even if no wake-up came: it may have been lost.
	repoll = 2 * time.Second
)

// read returns lines, waiting for one where there is none yet.
func (s *Service) read(ctx context.Context, in api.ReadLogIn) (api.LogPage, error) {
	if in.After < 0 || in.Tail < 0 || in.Attempt < 0 {
		return api.LogPage{}, errs.New(errs.Invalid, "after, tail and attempt are not negative")
	}
	in.Tail = min(in.Tail, maxPage)
	if in.Limit <= 0 {
		in.Limit = defaultPage
	}
	in.Limit = min(in.Limit, maxPage)
	until := time.Now().Add(min(max(time.Duration(in.Wait), 0), maxWait))
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	wake := make(chan struct{}, 1)
	if in.Wait > 0 {
		err := s.bus.OnWake(ctx, api.LogChanged(in.ID), func() {
			select {
			case wake <- struct{}{}:
			default:
			}
		})
		if err != nil {
			return api.LogPage{}, err
		}
	}
	for {
		p, err := s.page(ctx, in)
		left := time.Until(until)
		if err != nil || len(p.Lines) > 0 || p.Ended || p.More || left <= 0 {
			return p, err
		}
		in.After = p.Last
		t := time.NewTimer(min(left, repoll))
		select {
		case <-ctx.Done():
		case <-wake:
		case <-t.C:
		}
		t.Stop()
	}
}

// page returns what there is now.
func (s *Service) page(ctx context.Context, in api.ReadLogIn) (api.LogPage, error) {
	for {
		empty := api.LogPage{Lines: []api.LogLine{}, Last: in.After}
		st, err := s.selectRun(ctx, in.Namespace, string(in.ID))
		if errs.Is(err, errs.NotFound) {
			if empty.Ended = s.silent(ctx, in); !empty.Ended {
				return empty, nil
			}
			// Lines that came before the engine answered belong to the log.
			if _, err = s.selectRun(ctx, in.Namespace, string(in.ID)); errs.Is(err, errs.NotFound) {
				return empty, nil
			}
			continue
		}
		if err != nil {
			return empty, err
		}
		var p api.LogPage
		if in.Tail > 0 {
			p, err = s.tail(ctx, st, in)
		} else {
			p, err = s.forward(ctx, st, in)
		}
		// Lines that were packed meanwhile may have been in neither place: look again.
		now, nowErr := s.selectRun(ctx, in.Namespace, string(in.ID))
		if nowErr != nil {
			return empty, nowErr
		}
		if now.packed == st.packed {
			p.Ended, p.Total = st.ended && !p.More, st.last
			return p, err
		}
	}
}

// silent asks the engine whether a run has ended of which there is no log. Where it cannot say, the log
// is taken to go on.
func (s *Service) silent(ctx context.Context, in api.ReadLogIn) bool {
	r, err := api.GetRun.Call(bus.AsService(ctx, s.deps.Name), s.bus, api.GetRunIn{NS: in.NS, ID: in.ID})
	return err == nil && r.State.Ended()
}

// wanted is what a reader asks for.
type wanted struct {
	task, find string
	attempt    int
}

func want(in api.ReadLogIn) wanted {
	return wanted{in.Task, strings.ToLower(in.Find), in.Attempt}
}

// has reports whether l is wanted. Lines of the run itself belong to every task.
func (w wanted) has(l api.LogLine) bool {
	if l.Task != "" {
		if rest, ok := strings.CutPrefix(l.Task, w.task); !ok || w.task != "" && rest != "" && rest[0] != '.' && rest[0] != '[' {
			return false
		}
		if w.attempt != 0 && l.Attempt != w.attempt {
			return false
		}
	}
	return w.find == "" || strings.Contains(strings.ToLower(l.Text), w.find)
}

// weight is about how many bytes a line takes in an answer.
func weight(l api.LogLine) int {
	n := len(l.Text) + len(l.Task) + 100
	for i := range len(l.Text) {
		if c := l.Text[i]; c < ' ' || c == '<' || c == '>' || c == '&' || c == '"' || c == '\\' {
			n += 5 // JSON writes \u003c
		}
	}
	return n
}

// collector gathers the lines of one answer.
type collector struct {
	wanted
	lines         []api.LogLine
	limit         int
	scanned, size int
	last          int64 // the position looked at last
}

// take looks at a line and reports whether to go on. A line that would make the answer too large is
// left for the next.
func (c *collector) take(l api.LogLine) bool {
	if c.has(l) {
		w := weight(l)
		if len(c.lines) > 0 && c.size+w > maxAnswer {
			return false
		}
		c.size += w
		c.lines = append(c.lines, l)
	}
	c.last = l.Pos
	c.scanned++
	return len(c.lines) < c.limit && c.scanned < maxScan
}

// forward returns the next lines after a position.
func (s *Service) forward(ctx context.Context, st *run, in api.ReadLogIn) (api.LogPage, error) {
	c := &collector{wanted: want(in), limit: in.Limit, last: in.After, lines: []api.LogLine{}}
	more := true
	if in.After < st.packed {
		chunks, err := s.chunks(ctx, st.id, in.After)
		if err != nil {
			return api.LogPage{}, err
		}
		for _, k := range chunks {
			if k.last > st.packed {
				break // packed since st was read: page looks again
			}
			lines, err := s.lines(ctx, k)
			if err != nil {
				return api.LogPage{}, err
			}
			for _, l := range lines {
				if l.Pos > in.After && more {
					more = c.take(l)
				}
			}
			if !more {
				break
			}
		}
	}
	for more && c.last < st.last {
		n := 0
		q := query{run: st.id, wanted: c.wanted, after: max(c.last, st.packed), before: st.last + 1, limit: 2000}
		err := s.selectLines(ctx, q, func(l api.LogLine) bool {
			n++
			more = c.take(l)
			return more
		})
		if err != nil {
			return api.LogPage{}, err
		}
		if more && n < q.limit {
			c.last = max(c.last, st.last) // nothing more is wanted
		}
	}
	return api.LogPage{Lines: c.lines, Last: c.last, More: c.last < st.last}, nil
}

// tail returns the last lines.
func (s *Service) tail(ctx context.Context, st *run, in api.ReadLogIn) (api.LogPage, error) {
	c := &collector{wanted: want(in), limit: in.Tail, lines: []api.LogLine{}}
	more := true
	for before := st.last + 1; more && before > st.packed+1; {
		n := 0
		q := query{run: st.id, wanted: c.wanted, after: max(in.After, st.packed), before: before, limit: 2000, backward: true}
		err := s.selectLines(ctx, q, func(l api.LogLine) bool {
			n++
			before = l.Pos
			more = c.take(l)
			return more
		})
		if err != nil {
			return api.LogPage{}, err
		}
		if n < q.limit {
			break
		}
	}
	if more && in.After < st.packed {
		chunks, err := s.chunks(ctx, st.id, in.After)
		if err != nil {
			return api.LogPage{}, err
		}
		for _, k := range slices.Backward(chunks) {
			if k.last > st.packed || !more {
				continue
			}
			lines, err := s.lines(ctx, k)
			if err != nil {
				return api.LogPage{}, err
			}
			for _, l := range slices.Backward(lines) {
				if l.Pos > in.After && more {
					more = c.take(l)
				}
			}
		}
	}
	slices.Reverse(c.lines)
	return api.LogPage{Lines: c.lines, Last: max(in.After, st.last)}, nil
}
