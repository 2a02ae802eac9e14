package document

import (
	"fmt"
	"strings"
)

const (
	diffContext = 3
	// maxDiff bounds the work of a comparison: past it, what differs is shown as removed and added whole.
	maxDiff = 4_000_000
)

// Diff compares two texts by lines and returns a unified diff, "" where they are the same, and how many
// lines were added and removed.
func Diff(fromName, toName, from, to string) (text string, added, removed int) {
	if from == to {
		return "", 0, 0
	}
	a, b := linesOf(from), linesOf(to)
	edits := compare(a, b)
	var out strings.Builder
	fmt.Fprintf(&out, "--- %s\n+++ %s\n", fromName, toName)
	for i := 0; i < len(edits); {
		if edits[i].op == ' ' {
			i++
			continue
		}
		start := max(0, i-diffContext)
		end, quiet := i, 0
		for j := i; j < len(edits) && quiet <= 2*diffContext; j++ {
			if edits[j].op == ' ' {
				quiet++
				continue
			}
			end, quiet = j+1, 0
		}
		stop := min(len(edits), end+diffContext)
		hunk(&out, edits[start:stop])
		i = stop
	}
	for _, e := range edits {
		switch e.op {
		case '+':
			added++
		case '-':
			removed++
		}
	}
	return out.String(), added, removed
}

// edit is a line that stays, is added or removed; a and b are how many lines come before it in each text.
type edit struct {
	op   byte
	line string
	a, b int
}

func hunk(out *strings.Builder, edits []edit) {
	na, nb := 0, 0
	for _, e := range edits {
		if e.op != '+' {
			na++
		}
		if e.op != '-' {
			nb++
		}
	}
	fmt.Fprintf(out, "@@ -%s +%s @@\n", span(edits[0].a, na), span(edits[0].b, nb))
	for _, e := range edits {
		out.WriteByte(e.op)
		out.WriteString(e.line)
		out.WriteByte('\n')
	}
}

// span is where a hunk stands in a text: its first line, or the line before where it has none.
func span(before, n int) string {
	if n > 0 {
		before++
	}
	return fmt.Sprintf("%d,%d", before, n)
}

func linesOf(s string) []string {
	if s == "" {
		return nil
	}
	return strings.Split(strings.TrimSuffix(s, "\n"), "\n")
}

// compare returns the lines of both texts with the longest common part between them.
func compare(a, b []string) []edit {
	head := 0
	for head < len(a) && head < len(b) && a[head] == b[head] {
		head++
	}
	tail := 0
	for tail < len(a)-head && tail < len(b)-head && a[len(a)-1-tail] == b[len(b)-1-tail] {
		tail++
	}
	var out []edit
	for i := range head {
		out = append(out, edit{' ', a[i], i, i})
	}
	x, y := a[head:len(a)-tail], b[head:len(b)-tail]
	keep := common(x, y)
	i, j := 0, 0
	for i < len(x) || j < len(y) {
		switch {
		case i < len(x) && j < len(y) && keep != nil && x[i] == y[j] && keep[i][j] == keep[i+1][j+1]+1:
			out = append(out, edit{' ', x[i], head + i, head + j})
			i, j = i+1, j+1
		case j >= len(y) || i < len(x) && (keep == nil || keep[i+1][j] >= keep[i][j+1]):
			out = append(out, edit{'-', x[i], head + i, head + j})
			i++
		default:
			out = append(out, edit{'+', y[j], head + i, head + j})
			j++
		}
	}
	for k := range tail {
		i, j := len(a)-tail+k, len(b)-tail+k
		out = append(out, edit{' ', a[i], i, j})
	}
	return out
}

// common returns the lengths of the longest common parts of what begins at each pair of lines; nil where
// that is too much work.
func common(x, y []string) [][]int32 {
	if len(x)*len(y) > maxDiff {
		return nil
	}
	n := make([][]int32, len(x)+1)
	for i := range n {
		n[i] = make([]int32, len(y)+1)
	}
	for i := len(x) - 1; i >= 0; i-- {
		for j := len(y) - 1; j >= 0; j-- {
			if x[i] == y[j] {
				n[i][j] = n[i+1][j+1] + 1
				continue
			}
			n[i][j] = max(n[i+1][j], n[i][j+1])
		}
	}
	return n
}
