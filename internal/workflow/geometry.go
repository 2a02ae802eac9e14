package workflow

import (
	"cmp"
	"slices"
	"strings"
	"sync"

	"tutti/api"
	"tutti/internal/workflow/dag"
)

// The sizes of the plan, in pixels at zoom 1.
const (
	nodeWidth  = 176
	nodeHeight = 40
	gapX       = 48
	gapY       = 16
	padGroup   = 24
	// foldFrom is how many tasks a group has that is drawn as one node until somebody opens it.
	foldFrom = 31
	// sweeps is how often the columns are put in order, each way in turn.
	sweeps = 6
)

// geometries keep where the steps of a definition are drawn: that depends on the definition, and on which
// groups are open, alone.
type geometries struct {
	mu   sync.Mutex
	kept map[string]api.Graph
}

// maxGeometries bounds how many are kept; when there are more, it begins anew.
const maxGeometries = 200

// of returns the plan of g without states. What it returns must not be changed.
func (k *geometries) of(g *dag.Graph, open string) api.Graph {
	key := g.Digest + " " + open
	k.mu.Lock()
	plan, ok := k.kept[key]
	k.mu.Unlock()
	if ok {
		return plan
	}
	plan = layOut(g, open)
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.kept == nil || len(k.kept) >= maxGeometries {
		k.kept = map[string]api.Graph{}
	}
	k.kept[key] = plan
	return plan
}

// layOut places the steps of g: in columns by the longest way to them, within a column by where their
// neighbours are, groups as boxes around theirs. open names groups to open, separated by commas.
func layOut(g *dag.Graph, open string) (plan api.Graph) {
	l := &layouter{plan: &plan, open: map[string]bool{}}
	for _, path := range strings.Split(open, ",") {
		l.open[strings.TrimSpace(path)] = true
	}
	plan.Width, plan.Height = l.place(g.Tasks, "", "", 0, 0)
	if f := g.Finally; f != nil && len(f.Tasks) > 0 {
		x := plan.Width
		if x > 0 {
			x += gapX
		}
		w, h := l.place(f, "finally.", "", x, 0)
		plan.Width, plan.Height = x+w, max(plan.Height, h)
	}
	return plan
}

type layouter struct {
	plan *api.Graph
	open map[string]bool
}

// folded reports whether what is inside a step is not drawn: the items of an each, and many tasks.
func (l *layouter) folded(t *dag.Task, path string) bool {
	return !l.open[path] && (t.Each != nil || count(t.Body) >= foldFrom)
}

// count returns how many tasks a scope has, those inside of others too.
func count(sc *dag.Scope) (n int) {
	for _, t := range sc.Tasks {
		n++
		if t.Body != nil {
			n += count(t.Body)
		}
	}
	return n
}

// place puts the tasks of a scope at (x, y) and returns the size it took.
func (l *layouter) place(sc *dag.Scope, prefix, group string, x, y int) (w, h int) {
	type box struct {
		w, h int
		at   int // of its nodes
		to   int
		from int // of its edges
		last int
	}
	boxes := make([]box, len(sc.Tasks))
	for i, t := range sc.Tasks { // each at the origin first; where it comes is known once all sizes are
		b := box{at: len(l.plan.Nodes), from: len(l.plan.Edges)}
		b.w, b.h = l.node(t, prefix+t.ID, group)
		b.to, b.last = len(l.plan.Nodes), len(l.plan.Edges)
		boxes[i] = b
	}
	columns := ordered(sc)
	heights := make([]int, len(columns))
	for c, column := range columns {
		for _, i := range column {
			heights[c] += boxes[i].h + gapY
		}
		heights[c] -= gapY
		h = max(h, heights[c])
	}
	for c, column := range columns {
		width, cy := 0, y+(h-heights[c])/2
		for _, i := range column {
			for n := boxes[i].at; n < boxes[i].to; n++ {
				l.plan.Nodes[n].X += x + w
				l.plan.Nodes[n].Y += cy
			}
			cy += boxes[i].h + gapY
			width = max(width, boxes[i].w)
		}
		w += width + gapX
	}
	for _, t := range sc.Tasks {
		for _, d := range t.Deps {
			l.plan.Edges = append(l.plan.Edges, api.GraphEdge{From: prefix + d.On.ID, To: prefix + t.ID, Soft: d.Kind == dag.Settled})
		}
	}
	return max(w-gapX, 0), h
}

// node adds a step, with what is inside it, at the origin, and returns its size.
func (l *layouter) node(t *dag.Task, path, group string) (w, h int) {
	n := api.GraphNode{ID: path, Title: t.Title, Use: t.Use, Kind: "call", Group: group, W: nodeWidth, H: nodeHeight}
	switch {
	case t.Each != nil:
		n.Kind = "each"
	case t.Body != nil:
		n.Kind = "group"
	}
	at := len(l.plan.Nodes)
	l.plan.Nodes = append(l.plan.Nodes, n)
	if t.Body != nil {
		n.Inside = count(t.Body)
		if n.Folded = l.folded(t, path); !n.Folded {
			bw, bh := l.place(t.Body, path+".", path, padGroup/2, nodeHeight)
			n.W, n.H = max(nodeWidth, bw+padGroup), nodeHeight+bh+padGroup/2
		}
	}
	l.plan.Nodes[at] = n
	return n.W, n.H
}

// ordered returns the tasks of a scope, by their index, in columns from left to right: each in the column
// after the last it waits for, and within a column near those it is connected to.
func ordered(sc *dag.Scope) [][]int {
	rank := make([]int, len(sc.Tasks))
	var columns [][]int
	for i, t := range sc.Tasks { // in topological order
		for _, d := range t.Deps {
			rank[i] = max(rank[i], rank[d.On.Index]+1)
		}
		for len(columns) <= rank[i] {
			columns = append(columns, nil)
		}
		columns[rank[i]] = append(columns[rank[i]], i)
	}
	place := make([]float64, len(sc.Tasks)) // within the column, from 0 to 1
	settle := func(column []int) {
		for at, i := range column {
			place[i] = (float64(at) + 0.5) / float64(len(column))
		}
	}
	for _, column := range columns {
		settle(column)
	}
	middle := make([]float64, len(sc.Tasks))
	sweep := func(column []int, near func(*dag.Task) []dag.Dep) {
		for _, i := range column {
			middle[i] = place[i]
			if deps := near(sc.Tasks[i]); len(deps) > 0 {
				sum := 0.0
				for _, d := range deps {
					sum += place[d.On.Index]
				}
				middle[i] = sum / float64(len(deps))
			}
		}
		slices.SortStableFunc(column, func(a, b int) int { return cmp.Compare(middle[a], middle[b]) })
		settle(column)
	}
	for s := range sweeps {
		if s%2 == 0 {
			for c := 1; c < len(columns); c++ {
				sweep(columns[c], func(t *dag.Task) []dag.Dep { return t.Deps })
			}
			continue
		}
		for c := len(columns) - 2; c >= 0; c-- {
			sweep(columns[c], func(t *dag.Task) []dag.Dep { return t.Dependents })
		}
	}
	return columns
}
