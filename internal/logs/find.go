package logs

import (
	"context"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"tutti/api"
	"tutti/errs"
)

const (
	defaultMatches = 200
	// maxFind and findTime bound what one call looks at; the next goes on.
	maxFind  = 300_000 // lines
	findTime = 2 * time.Second
	// around is how many characters of a line are shown before and after a match.
	around = 100
)

// find looks for text.
func (s *Service) find(ctx context.Context, in api.FindLogIn) (api.LogMatches, error) {
	for {
		st, err := s.selectRun(ctx, in.Namespace, string(in.ID))
		if errs.Is(err, errs.NotFound) {
			return api.LogMatches{Matches: []api.LogMatch{}}, nil
		}
		if err != nil {
			return api.LogMatches{}, err
		}
		f := newFinder(in, st.last)
		if err := s.walk(ctx, st, in, f.look); err != nil {
			return api.LogMatches{}, err
		}
		// Lines that were packed meanwhile may have been in neither place: look again.
		now, err := s.selectRun(ctx, in.Namespace, string(in.ID))
		if err != nil {
			return api.LogMatches{}, err
		}
		if now.packed == st.packed {
			return f.out, nil
		}
	}
}

// finder gathers the matches of one call.
type finder struct {
	wanted
	q     string
	exact bool
	back  bool
	limit int
	until time.Time
	out   api.LogMatches
}

func newFinder(in api.FindLogIn, total int64) *finder {
	f := &finder{wanted: wanted{task: in.Task, attempt: in.Attempt}, q: in.Q, exact: in.Case, back: in.Back, limit: in.Limit, until: time.Now().Add(findTime)}
	if !f.exact {
		f.q = strings.ToLower(f.q)
	}
	if f.limit <= 0 {
		f.limit = defaultMatches
	}
	f.out = api.LogMatches{Matches: []api.LogMatch{}, Total: total}
	return f
}

// look looks at a line and reports whether to go on.
func (f *finder) look(l api.LogLine) bool {
	if len(f.out.Matches) >= f.limit || f.out.Scanned >= maxFind || f.out.Scanned%1000 == 999 && time.Now().After(f.until) {
		f.out.Next = l.Pos
		return false
	}
	f.out.Scanned++
	if f.has(l) {
		if m, ok := f.match(l); ok {
			f.out.Matches = append(f.out.Matches, m)
		}
	}
	return true
}

// colours are the escape sequences of terminals.
var colours = regexp.MustCompile("\x1b(\\[[0-9;?]*[ -/]*[@-~]|\\][^\x07\x1b]*(\x07|\x1b\\\\)|[@-Z\\\\-_])")

// match returns the first match in a line.
func (f *finder) match(l api.LogLine) (api.LogMatch, bool) {
	text := l.Text
	if strings.IndexByte(text, '\x1b') >= 0 {
		text = colours.ReplaceAllString(text, "")
	}
	low := text
	if !f.exact {
		if low = strings.ToLower(text); len(low) != len(text) {
			text = low // some letters take another size: places would not fit
		}
	}
	i := strings.Index(low, f.q)
	if i < 0 {
		return api.LogMatch{}, false
	}
	from, to := i, i+len(f.q)
	for range around {
		_, n := utf8.DecodeLastRuneInString(text[:from])
		from -= n
		_, n = utf8.DecodeRuneInString(text[to:])
		to += n
	}
	return api.LogMatch{Pos: l.Pos, Task: l.Task, Attempt: l.Attempt, Stream: l.Stream, Text: text[from:to],
		Column: utf8.RuneCountInString(text[from:i]), Length: utf8.RuneCountInString(f.q)}, true
}

// walk calls f with the lines of a run from a place on, in either direction, until f returns false.
func (s *Service) walk(ctx context.Context, st *run, in api.FindLogIn, f func(api.LogLine) bool) error {
	if in.Back {
		from := st.last
		if in.From > 0 {
			from = min(in.From, st.last)
		}
		more, err := s.walkRows(ctx, st, in, st.packed, from+1, f)
		if err != nil || !more {
			return err
		}
		return s.walkChunks(ctx, st, 0, min(from, st.packed), true, f)
	}
	from := max(in.From, 1)
	if from <= st.packed {
		stopped := false
		err := s.walkChunks(ctx, st, from-1, st.packed, false, func(l api.LogLine) bool {
			stopped = !f(l)
			return !stopped
		})
		if err != nil || stopped {
			return err
		}
	}
	_, err := s.walkRows(ctx, st, in, max(from-1, st.packed), st.last+1, f)
	return err
}

// walkRows walks over the lines between two positions that are not packed.
func (s *Service) walkRows(ctx context.Context, st *run, in api.FindLogIn, after, before int64, f func(api.LogLine) bool) (more bool, err error) {
	q := query{run: st.id, wanted: wanted{task: in.Task, attempt: in.Attempt}, after: after, before: before, limit: 5000, backward: in.Back}
	for more = true; more; {
		n := 0
		err := s.selectLines(ctx, q, func(l api.LogLine) bool {
			n++
			if q.backward {
				q.before = l.Pos
			} else {
				q.after = l.Pos
			}
			more = f(l)
			return more
		})
		if err != nil || n < q.limit {
			return more, err
		}
	}
	return more, nil
}

// walkChunks walks over the packed lines after one position up to another.
func (s *Service) walkChunks(ctx context.Context, st *run, after, to int64, back bool, f func(api.LogLine) bool) error {
	chunks, err := s.chunks(ctx, st.id, after)
	if err != nil {
		return err
	}
	if back {
		slices.Reverse(chunks)
	}
	for _, c := range chunks {
		if c.first > to || c.last > st.packed {
			continue // packed since st was read: find looks again
		}
		lines, err := s.lines(ctx, c)
		if err != nil {
			return err
		}
		if back {
			slices.Reverse(lines)
		}
		for _, l := range lines {
			if l.Pos > after && l.Pos <= to && !f(l) {
				return nil
			}
		}
	}
	return nil
}
