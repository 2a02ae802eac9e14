package live

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"sort"
	"strings"
	"time"

	"tutti/api"
	"tutti/internal/cli/output"
)

// View says how to draw.
type View struct {
	// Width and Height are those of the terminal, in cells; 0 is unlimited.
	Width, Height int
	Color         bool
	Now           time.Time
	// Frame turns the sign of what runs; 0 is its resting form.
	Frame int
	// Open leaves what has ended unfolded.
	Open bool
}

// Draw returns the lines of the tree of s: at most v.Height of them, none wider than v.Width. What has
// ended folds to a line; what fails or runs stays open; what finds no room is counted on a line.
func Draw(s *Snapshot, v View) []string {
	root := tree(s, v.Now)
	if !v.Open {
		fold(root, true)
	}
	rows := layout(root, v.Height)
	return v.render(rows)
}

// fold takes the children of what has ended well away, and says how many there were.
func fold(n *node, root bool) {
	if !root && len(n.children) > 0 && settled(n) {
		if c := len(n.children); c > 1 {
			n.name += fmt.Sprintf(" (%d steps)", c)
		}
		n.children = nil
		return
	}
	for _, c := range n.children {
		fold(c, false)
	}
}

// settled reports whether n ended and nothing below it failed or goes on.
func settled(n *node) bool {
	if n.state != api.Succeeded && n.state != api.Skipped && n.state != api.Cancelled {
		return false
	}
	return !slices.ContainsFunc(n.children, func(c *node) bool { return !settled(c) })
}

// row is a line before it is drawn: a node, or the sum of nodes that found no room.
type row struct {
	prefix string
	*node
	sum string
}

// layout returns the rows of the tree in at most height lines. It keeps as many nodes as fit, the most
// interesting first, each with its ancestors.
func layout(root *node, height int) []row {
	all, parent := flatten(root)
	if height <= 0 || len(all) <= height {
		return rowsOf(root, nil)
	}
	ranked := rank(all)
	kept := map[*node]bool{root: true}
	add := func(kept map[*node]bool, c *node) {
		for ; !kept[c]; c = parent[c] {
			kept[c] = true
		}
	}
	pick := func(n int) map[*node]bool {
		m := maps.Clone(kept)
		for _, c := range ranked[:n] {
			add(m, c)
		}
		return m
	}
	// The greatest n of which all fit; beyond it, a few that still find room.
	n := sort.Search(len(ranked), func(i int) bool { return len(rowsOf(root, pick(i+1))) > height })
	kept = pick(n)
	for _, c := range ranked[n:min(len(ranked), n+height)] {
		more := maps.Clone(kept)
		if add(more, c); len(rowsOf(root, more)) <= height {
			kept = more
		}
	}
	rows := rowsOf(root, kept)
	return rows[:min(len(rows), height)]
}

// rank sorts nodes by interest; of what succeeded the last comes first, for it stands next to what runs.
func rank(all []*node) []*node {
	ranked := slices.Clone(all)
	slices.SortStableFunc(ranked, func(a, b *node) int { return cmp.Compare(interest(a), interest(b)) })
	good := func(n *node) bool { return n.state == api.Succeeded }
	if from := slices.IndexFunc(ranked, good); from >= 0 {
		to := from
		for to < len(ranked) && good(ranked[to]) {
			to++
		}
		slices.Reverse(ranked[from:to])
	}
	return ranked
}

// interest ranks nodes by how much a person wants to see them, lowest first.
func interest(n *node) int {
	switch n.state {
	case api.Failed:
		return 0
	case api.Running:
		return 1
	case api.Waiting:
		return 2
	case api.Cancelled:
		return 3
	case api.Pending:
		return 4
	case api.Succeeded:
		return 5
	default:
		return 6
	}
}

// flatten lists root and everything below it in the order it is drawn, and the parent of each.
func flatten(root *node) ([]*node, map[*node]*node) {
	var all []*node
	parent := map[*node]*node{}
	var add func(n *node)
	add = func(n *node) {
		all = append(all, n)
		for _, c := range n.children {
			parent[c] = n
			add(c)
		}
	}
	add(root)
	return all, parent
}

// rowsOf draws the branches of the tree. Nodes that are not kept become a line per parent that counts
// them; nil keeps all.
func rowsOf(root *node, kept map[*node]bool) []row {
	rows := []row{{node: root}}
	var below func(n *node, indent string)
	below = func(n *node, indent string) {
		var shown []*node
		hidden := map[api.State]int{}
		for _, c := range n.children {
			if kept == nil || kept[c] {
				shown = append(shown, c)
			} else {
				hidden[c.state]++
			}
		}
		for i, c := range shown {
			branch, next := "├─", "│ "
			if i == len(shown)-1 && len(hidden) == 0 {
				branch, next = "└─", "  "
			}
			rows = append(rows, row{prefix: indent + branch, node: c})
			below(c, indent+next)
		}
		if len(hidden) > 0 {
			rows = append(rows, row{prefix: indent + "└ ", sum: sumText(hidden, len(shown) > 0)})
		}
	}
	below(root, "")
	return rows
}

// sumText is like "+ 214 more succeeded, 3 pending".
func sumText(hidden map[api.State]int, more bool) string {
	var parts []string
	for _, s := range []api.State{api.Failed, api.Running, api.Waiting, api.Cancelled, api.Succeeded, api.Skipped, api.Pending} {
		if n := hidden[s]; n > 0 {
			word := ""
			if more && len(parts) == 0 {
				word = "more "
			}
			parts = append(parts, fmt.Sprintf("%d %s%s", n, word, s))
		}
	}
	return "+ " + strings.Join(parts, ", ")
}

// render draws rows in columns: name, state, how long, note.
func (v View) render(rows []row) []string {
	names, states, times := 0, 0, 0
	for _, r := range rows {
		if r.node == nil {
			continue
		}
		names = max(names, output.Width(r.prefix+r.label()))
		states = max(states, len(r.state))
		times = max(times, len(r.length()))
	}
	if v.Width > 0 {
		names = min(names, max(16, v.Width-states-times-6-min(24, v.Width/4)))
	}
	lines := make([]string, len(rows))
	for i, r := range rows {
		lines[i] = v.line(r, names, states, times)
	}
	return lines
}

// label is the sign and the name of a row.
func (r row) label() string { return output.Glyph(r.state) + " " + output.Clean(r.name) }

func (r row) length() string {
	if r.took <= 0 {
		return ""
	}
	return output.Length(r.took)
}

func (v View) line(r row, names, states, times int) string {
	cut := func(s string) string {
		if v.Width > 0 {
			return output.Cut(s, v.Width)
		}
		return s
	}
	if r.node == nil {
		return v.dim(cut(r.prefix + r.sum))
	}
	name := output.Cut(r.prefix+r.label(), names)
	left := name + strings.Repeat(" ", names-output.Width(name))
	state := fmt.Sprintf("%-*s", states, r.state)
	rest := fmt.Sprintf("  %*s  %s", times, r.length(), output.Clean(r.note))
	line := cut(strings.TrimRight(left+"  "+state+rest, " "))
	return v.paint(line, r, len(left)+2, len(state))
}

// paint turns the sign of what runs and colours the parts of a line that is already cut to its width.
func (v View) paint(line string, r row, at, n int) string {
	glyph := output.Glyph(r.state)
	sign := glyph
	if r.state == api.Running && v.Frame > 0 {
		sign = []string{"◐", "◓", "◑", "◒"}[v.Frame%4]
	}
	prefix, rest, found := strings.Cut(line, glyph)
	if !found {
		return line
	}
	if !v.Color {
		return prefix + sign + rest
	}
	from := len(prefix) + len(glyph)
	at, end := min(at, len(line)), min(at+n, len(line))
	if at < from {
		return v.dim(prefix) + output.PaintState(r.state, sign) + rest
	}
	return v.dim(prefix) + output.PaintState(r.state, sign) + line[from:at] + output.PaintState(r.state, line[at:end]) + v.dim(line[end:])
}

func (v View) dim(s string) string {
	if !v.Color {
		return s
	}
	return output.Paint("2", s)
}
