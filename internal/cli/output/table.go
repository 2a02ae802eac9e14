package output

import (
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"

	"tutti/api"
	"tutti/errs"
)

// Column is a column of a table of T, or a fact about one T.
type Column[T any] struct {
	Name string
	// Wide columns are shown with -o wide only, or when --fields names them.
	Wide bool
	// Right aligns numbers and lengths.
	Right bool
	Get   func(T) Cell
}

// Cell is what stands in a table: text, or a state, or a time.
type Cell struct {
	Text  string
	State api.State
	Time  time.Time
}

// Text returns a cell of text, formatted where there are arguments.
func Text(format string, args ...any) Cell {
	if len(args) == 0 {
		return Cell{Text: format}
	}
	return Cell{Text: fmt.Sprintf(format, args...)}
}

// State returns a cell that shows s: glyph, word and colour on a terminal, the word elsewhere.
func State(s api.State) Cell { return Cell{State: s} }

// Time returns a cell that shows t in the form asked for; the zero time is shown as nothing.
func Time(t time.Time) Cell { return Cell{Time: t} }

// grid is a table after its cells became text.
type grid struct {
	names []string
	right []bool
	rows  [][]Cell
}

// tabulate chooses the columns and fills the rows.
func tabulate[T any](p *Printer, items []T, cols []Column[T]) (grid, error) {
	chosen, err := choose(p, cols)
	if err != nil {
		return grid{}, err
	}
	g := grid{rows: make([][]Cell, len(items))}
	for _, c := range chosen {
		g.names = append(g.names, c.Name)
		g.right = append(g.right, c.Right)
	}
	for i, it := range items {
		g.rows[i] = make([]Cell, len(chosen))
		for j, c := range chosen {
			g.rows[i][j] = c.Get(it)
		}
	}
	return g, nil
}

// choose returns the columns to show. A field that is no column is a path into the item's JSON.
func choose[T any](p *Printer, cols []Column[T]) ([]Column[T], error) {
	var chosen []Column[T]
	if len(p.Fields) == 0 {
		for _, c := range cols {
			if !c.Wide || p.Format == "wide" {
				chosen = append(chosen, c)
			}
		}
		return chosen, nil
	}
fields:
	for _, f := range p.Fields {
		for _, c := range cols {
			if strings.EqualFold(c.Name, f) {
				chosen = append(chosen, c)
				continue fields
			}
		}
		if err := known(f, cols); err != nil {
			return nil, err
		}
		chosen = append(chosen, Column[T]{Name: strings.ToUpper(f), Get: func(it T) Cell { return lookup(it, f) }})
	}
	return chosen, nil
}

// known refuses a field whose first word no T has; what is deeper, or absent in these items, is empty.
func known[T any](field string, cols []Column[T]) error {
	first, _, _ := strings.Cut(field, ".")
	t := reflect.TypeFor[T]()
	if t.Kind() != reflect.Struct || slices.Contains(jsonNames(t), first) {
		return nil
	}
	names := make([]string, len(cols))
	for i, c := range cols {
		names[i] = strings.ToLower(c.Name)
	}
	return errs.New(errs.Invalid, "no field %q", field).WithHint("columns are %s; the paths of -o json can be used too", strings.Join(names, ", "))
}

// jsonNames lists the names of the fields of a struct in JSON.
func jsonNames(t reflect.Type) []string {
	var names []string
	for _, f := range reflect.VisibleFields(t) {
		if name, _, _ := strings.Cut(f.Tag.Get("json"), ","); name != "" && name != "-" {
			names = append(names, name)
		}
	}
	return names
}

// lookup returns the cell for a dotted path into it.
func lookup(it any, path string) Cell {
	v, ok := find(it, path)
	if !ok || v == nil {
		return Cell{}
	}
	if s, ok := v.(string); ok {
		return Text("%s", s)
	}
	b, err := json.Marshal(v)
	if err != nil {
		return Cell{}
	}
	return Text("%s", b)
}

// table writes g: aligned on a terminal, with tabs elsewhere.
func (p *Printer) table(g grid) error {
	var b strings.Builder
	if !p.Terminal {
		if !p.NoHeaders {
			b.WriteString(strings.Join(g.names, "\t") + "\n")
		}
		for _, r := range g.rows {
			for i, c := range r {
				if i > 0 {
					b.WriteByte('\t')
				}
				b.WriteString(p.plain(c))
			}
			b.WriteByte('\n')
		}
	} else {
		p.align(&b, g)
	}
	_, err := p.W.Write([]byte(b.String()))
	return err
}

// align draws g in columns as wide as they need and the terminal allows.
func (p *Printer) align(b *strings.Builder, g grid) {
	texts := make([][]string, 0, len(g.rows)+1)
	if !p.NoHeaders {
		texts = append(texts, g.names)
	}
	for _, r := range g.rows {
		line := make([]string, len(r))
		for i, c := range r {
			line[i] = p.plain(c)
		}
		texts = append(texts, line)
	}
	widths := fit(texts, p.Width)
	for n, line := range texts {
		head := n == 0 && !p.NoHeaders
		var row strings.Builder
		for i, s := range line {
			last := i == len(line)-1
			s = Cut(s, widths[i])
			pad := strings.Repeat(" ", max(0, widths[i]-Width(s)))
			switch {
			case head && p.Color:
				s = Paint("1", s)
			case !head:
				c := g.rows[n-b2i(!p.NoHeaders)][i]
				s = p.paint(c, s)
			}
			switch {
			case g.right[i]:
				row.WriteString(pad + s)
			case last:
				row.WriteString(s)
			default:
				row.WriteString(s + pad)
			}
			if !last {
				row.WriteString("  ")
			}
		}
		b.WriteString(strings.TrimRight(row.String(), " ") + "\n")
	}
}

// fit returns column widths: what each needs, taken back from the widest while the sum is too much.
func fit(lines [][]string, width int) []int {
	var w []int
	for _, l := range lines {
		if w == nil {
			w = make([]int, len(l))
		}
		for i, s := range l {
			w[i] = max(w[i], Width(s))
		}
	}
	if width <= 0 {
		return w
	}
	total := 2 * (len(w) - 1)
	for _, n := range w {
		total += n
	}
	for ; total > width; total-- {
		widest := 0
		for i, n := range w {
			if n >= w[widest] {
				widest = i
			}
		}
		if w[widest] <= 8 {
			break // narrower columns say nothing; let the terminal wrap
		}
		w[widest]--
	}
	return w
}

// factLines writes a label and a value a line, leaving out what is empty. Values are not cut: they are
// what was asked for.
func (p *Printer) factLines(labels []string, cells []Cell) error {
	var b strings.Builder
	w := 0
	for i, c := range cells {
		if p.plain(c) != "" {
			w = max(w, Width(labels[i]))
		}
	}
	for i, c := range cells {
		s := p.plain(c)
		if s == "" {
			continue
		}
		if !p.Terminal {
			b.WriteString(strings.ToLower(labels[i]) + "\t" + s + "\n")
			continue
		}
		label := labels[i] + strings.Repeat(" ", w-Width(labels[i]))
		if p.Color {
			label = Paint("2", label)
		}
		b.WriteString(label + "  " + p.paint(c, s) + "\n")
	}
	_, err := p.W.Write([]byte(b.String()))
	return err
}
