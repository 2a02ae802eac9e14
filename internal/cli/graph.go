package cli

import (
	"cmp"
	"context"
	"encoding/xml"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"tutti/api"
	"tutti/internal/cli/output"
)

// drawings are the values of -o that draw a plan instead of listing it.
var drawings = map[string]func(api.Graph) string{"svg": svgGraph, "dot": dotGraph, "ascii": asciiGraph}

func (l *line) runGraph() *cobra.Command {
	var m api.Moment
	var format string
	cmd := l.onRun("graph ID", "Print the plan of a run: each step with what it waits for, or drawn", func(ctx context.Context, id api.RunID) error {
		if drawings[format] == nil {
			l.format = format
			if l.printer().Check() != nil {
				return usage("no output format %q", format).WithHint("-o takes %s, svg, dot, ascii", strings.Join(output.Formats, ", "))
			}
		}
		g, err := call(ctx, l, api.RunGraph, api.GraphIn{RunIn: api.RunIn{ID: id, Moment: m}})
		if err != nil {
			return err
		}
		slices.SortStableFunc(g.Nodes, func(a, b api.GraphNode) int { return cmp.Or(cmp.Compare(a.X, b.X), cmp.Compare(a.Y, b.Y)) })
		if draw := drawings[format]; draw != nil {
			_, err = fmt.Fprint(l.Stdout, draw(g))
			return err
		}
		waits := waitsFor(g)
		cols := []output.Column[api.GraphNode]{
			col("STEP", func(n api.GraphNode) string { return n.ID }),
			stateOf(func(n api.GraphNode) api.State { return n.State }),
			col("USE", func(n api.GraphNode) string { return cmp.Or(n.Use, n.Kind) }),
			col("WAITS FOR", func(n api.GraphNode) string { return strings.Join(waits[n.ID], ", ") }),
			wide("TITLE", func(n api.GraphNode) string { return n.Title }),
		}
		return output.List(l.printer(), g, g.Nodes, cols, func(n api.GraphNode) string { return n.ID })
	})
	formats := append(slices.Clone(output.Formats), "svg", "dot", "ascii")
	cmd.Flags().StringVarP(&format, "output", "o", "table", strings.Join(formats, "|"))
	must(cmd.RegisterFlagCompletionFunc("output", cobra.FixedCompletions(formats, cobra.ShellCompDirectiveNoFileComp)))
	return atFlag(cmd, &m)
}

// waitsFor returns what each step waits for; with ? what need not have succeeded.
func waitsFor(g api.Graph) map[string][]string {
	waits := map[string][]string{}
	for _, e := range g.Edges {
		from := e.From
		if e.Soft {
			from += "?"
		}
		waits[e.To] = append(waits[e.To], from)
	}
	return waits
}

// dotGraph writes g for Graphviz.
func dotGraph(g api.Graph) string {
	var b strings.Builder
	b.WriteString("digraph run {\n  rankdir=LR; node [shape=box];\n")
	for _, n := range g.Nodes {
		fmt.Fprintf(&b, "  %s [label=%s];\n", quote(n.ID), quote(cmp.Or(n.Title, n.ID)))
	}
	for _, e := range g.Edges {
		style := ""
		if e.Soft {
			style = " [style=dashed]"
		}
		fmt.Fprintf(&b, "  %s -> %s%s;\n", quote(e.From), quote(e.To), style)
	}
	return b.String() + "}\n"
}

func quote(s string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(output.Clean(s)) + `"`
}

// colours are those of the web UI's light theme, glyphs those of all of Tutti.
var (
	colours = map[api.State]string{api.Pending: "#6b7280", api.Running: "#1971c2", api.Waiting: "#a34f00", api.Succeeded: "#237a36", api.Failed: "#c92a2a", api.Skipped: "#5c636a", api.Cancelled: "#862e9c"}
	glyphs  = map[api.State]string{api.Pending: "○", api.Running: "◐", api.Waiting: "⏸", api.Succeeded: "✓", api.Failed: "✕", api.Skipped: "–", api.Cancelled: "⊘"}
)

// svgGraph draws g as it is laid out, as a picture that needs nothing else.
func svgGraph(g api.Graph) string {
	const edge = 16
	var b strings.Builder
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="%d %d %d %d" width="%d" height="%d" font-family="system-ui, sans-serif" font-size="12">`+"\n",
		-edge, -edge, g.Width+2*edge, g.Height+2*edge, g.Width+2*edge, g.Height+2*edge)
	fmt.Fprintf(&b, `<rect x="%d" y="%d" width="100%%" height="100%%" fill="#f6f7f9"/>`+"\n", -edge, -edge)
	at := map[string]api.GraphNode{}
	for _, n := range g.Nodes {
		at[n.ID] = n
	}
	for _, e := range g.Edges {
		from, to := at[e.From], at[e.To]
		x1, y1, x2, y2 := from.X+from.W, from.Y+from.H/2, to.X, to.Y+to.H/2
		dashed := ""
		if e.Soft {
			dashed = ` stroke-dasharray="4 3"`
		}
		mid := (x1 + x2) / 2
		fmt.Fprintf(&b, `<path d="M%d %dC%d %d %d %d %d %d" fill="none" stroke="#adb5bd"%s/>`+"\n", x1, y1, mid, y1, mid, y2, x2, y2, dashed)
	}
	for _, n := range g.Nodes {
		svgNode(&b, n)
	}
	return b.String() + "</svg>\n"
}

func svgNode(b *strings.Builder, n api.GraphNode) {
	colour := cmp.Or(colours[n.State], colours[api.Pending])
	fmt.Fprintf(b, `<g><title>%s</title><rect x="%d" y="%d" width="%d" height="%d" rx="4" fill="#fff" stroke="#dee2e6"/><rect x="%d" y="%d" width="4" height="%d" rx="2" fill="%s"/>`,
		escaped(n.ID+" "+string(n.State)), n.X, n.Y, n.W, n.H, n.X, n.Y, n.H, colour)
	fmt.Fprintf(b, `<text x="%d" y="%d" fill="%s">%s</text><text x="%d" y="%d" fill="#1a1d21">%s</text><text x="%d" y="%d" fill="#5c636a" font-size="10">%s</text></g>`+"\n",
		n.X+10, n.Y+17, colour, glyphs[n.State], n.X+26, n.Y+17, escaped(short(cmp.Or(n.Title, n.ID), n.W/8)), n.X+26, n.Y+32, escaped(short(cmp.Or(n.Use, n.Kind), n.W/7)))
}

func escaped(s string) string {
	var b strings.Builder
	_ = xml.EscapeText(&b, []byte(output.Clean(s))) // a builder takes all
	return b.String()
}

// short cuts a text to some characters.
func short(s string, most int) string {
	if r := []rune(s); len(r) > most && most > 1 {
		return string(r[:most-1]) + "…"
	}
	return s
}

// asciiGraph draws g as a terminal can show it: a column of steps, in the order in which they can begin, with
// a line from each to those that wait for it.
func asciiGraph(g api.Graph) string {
	row := map[string]int{}
	width := 0
	for i, n := range g.Nodes {
		row[n.ID] = i
		width = max(width, len([]rune(label(n))))
	}
	lanes := lanesOf(g, row)
	var b strings.Builder
	for i, n := range g.Nodes {
		line := fmt.Sprintf("%-*s", width+1, label(n))
		for _, l := range lanes {
			line += " " + l.at(i)
		}
		b.WriteString(strings.TrimRight(line, " ") + "\n")
	}
	return b.String()
}

func label(n api.GraphNode) string {
	return glyphs[cmp.Or(n.State, api.Pending)] + " " + output.Clean(cmp.Or(n.Title, n.ID)) + "  " + output.Clean(cmp.Or(n.Use, n.Kind))
}

// lane is a column at the right of the steps, in which one step's line goes down to those that wait for it.
type lane struct {
	from, to int
	ends     map[int]bool // true where it need not have succeeded
}

// lanesOf gives the lines of all steps to as few columns as possible.
func lanesOf(g api.Graph, row map[string]int) (lanes []*column) {
	for i, n := range g.Nodes {
		l := lane{from: i, to: i, ends: map[int]bool{}}
		for _, e := range g.Edges {
			if to, ok := row[e.To]; ok && e.From == n.ID && to > i {
				l.ends[to] = e.Soft
				l.to = max(l.to, to)
			}
		}
		if l.to == i {
			continue
		}
		k := slices.IndexFunc(lanes, func(c *column) bool { return c.lanes[len(c.lanes)-1].to <= i })
		if k < 0 {
			lanes = append(lanes, &column{})
			k = len(lanes) - 1
		}
		lanes[k].lanes = append(lanes[k].lanes, l)
	}
	return lanes
}

// column is a column of lanes, one below the other.
type column struct{ lanes []lane }

// at is what the column shows beside a row.
func (c *column) at(i int) string {
	mark := " "
	for _, l := range c.lanes {
		soft, end := l.ends[i]
		switch {
		case i == l.from && mark == "╯":
			return "┤" // one ends, the next begins
		case i == l.from:
			return "╮"
		case i == l.to:
			mark = "╯"
		case end && soft:
			return "┆"
		case end:
			return "┤"
		case i > l.from && i < l.to:
			return "│"
		}
	}
	return mark
}
