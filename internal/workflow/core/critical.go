package core

import (
	"strings"

	"tutti/api"
)

// Critical returns the tasks, by path, that the length of the run comes from, and when the run ended or will
// have, in microseconds: from the last task to end backwards, each time over the one that kept it waiting
// longest. What has not ended is reckoned with what tasks usually take, from usual by their path in the
// definition, in microseconds; 0 where that is not known.
func (r *Run) Critical(now int64, usual func(path string) int64) (on map[string]bool, end int64) {
	if r.State.Ended() {
		now = r.EndedAt
	}
	c := critical{now: now, usual: usual, on: map[string]bool{}, ends: map[*node]int64{}}
	end = now
	if r.root != nil {
		end = c.scope(r.root, r.Created)
		c.mark(r.root)
	}
	for _, s := range []*scope{r.undo, r.finally} {
		if s != nil {
			end = max(end, c.scope(s, end))
			c.mark(s)
		}
	}
	if r.State.Ended() {
		end = r.EndedAt
	}
	return c.on, end
}

// critical is one reckoning.
type critical struct {
	now   int64
	usual func(path string) int64
	on    map[string]bool
	ends  map[*node]int64
}

// scope reckons when every node of s ends, which could begin at a time, and returns the last of them.
func (c *critical) scope(s *scope, from int64) (end int64) {
	end = from
	for _, n := range s.nodes { // in topological order
		start := from
		if n.state == api.Pending {
			start = max(start, c.now)
		}
		for _, m := range s.before(n) {
			start = max(start, c.ends[m])
		}
		c.ends[n] = c.node(n, start)
		end = max(end, c.ends[n])
	}
	return end
}

// node reckons when n ends, which could begin at a time.
func (c *critical) node(n *node, start int64) int64 {
	if n.ready > 0 {
		start = n.ready
	}
	inside := int64(0)
	if n.body != nil {
		inside = c.scope(n.body, start)
	}
	if n.final() {
		return n.ended
	}
	if n.body != nil && n.state == api.Running {
		return max(inside, c.now)
	}
	end := start + c.usual(Plan(n.path))
	if n.until > 0 && (n.reason == nil || n.reason.Kind == "timer" || n.reason.Kind == "retry") {
		end = max(end, n.until)
	}
	return max(end, c.now)
}

// mark notes the tasks of s that its length comes from, and those inside them.
func (c *critical) mark(s *scope) {
	var last *node
	for _, n := range s.nodes {
		if n.state != api.Skipped && c.later(n, last) {
			last = n
		}
	}
	for last != nil {
		if last.state != api.Skipped {
			c.on[last.path] = true
		}
		if last.body != nil {
			c.mark(last.body)
		}
		var before *node
		for _, m := range s.before(last) {
			if c.later(m, before) {
				before = m
			}
		}
		last = before
	}
}

// later says that n ends after m, which may be nil; of two that end at once, what has not ended yet counts.
func (c *critical) later(n, m *node) bool {
	if m == nil || c.ends[n] != c.ends[m] {
		return m == nil || c.ends[n] > c.ends[m]
	}
	return m.final() && !n.final()
}

// before returns the nodes beside n that it waits for. The items of an `each`, which have its dependencies
// behind them, wait for none.
func (s *scope) before(n *node) []*node {
	if s.items {
		return nil
	}
	out := make([]*node, len(n.task.Deps))
	for i, d := range n.task.Deps {
		out[i] = s.nodes[d.On.Index]
	}
	return out
}

// Plan returns the path in the definition of the task at path: it says nothing of items.
func Plan(path string) string {
	if !strings.Contains(path, "[") {
		return path
	}
	var b strings.Builder
	depth := 0
	for _, c := range path {
		switch {
		case c == '[':
			depth++
		case c == ']':
			depth--
		case depth == 0:
			b.WriteRune(c)
		}
	}
	return b.String()
}
