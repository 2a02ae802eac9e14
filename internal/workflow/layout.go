package workflow

import (
	"context"

	"tutti/api"
	"tutti/internal/workflow/core"
	"tutti/internal/workflow/dag"
)

// The sizes of the plan, in pixels at zoom 1.
const (
	nodeWidth  = 176
	nodeHeight = 40
	gapX       = 48
	gapY       = 16
	padGroup   = 24
)

// graph lays the plan of a run out: tasks in columns by the longest way to them, groups as boxes around
// theirs. It depends on the definition only, so it is there from the start of a run.
func (s *Service) graph(ctx context.Context, in api.RunIn) (g api.Graph, err error) {
	id, err := s.resolve(ctx, in.Namespace, in.ID)
	if err != nil {
		return g, err
	}
	err = s.seen(in.At).upTo(ctx, in.Namespace, id, in.At, func(r *core.Run) error {
		states := s.standing(ctx, r, in.At)
		w, h := place(&g, r.Graph.Tasks, "", "", 0, 0, states)
		g.Width, g.Height = w, h
		if f := r.Graph.Finally; f != nil {
			fw, fh := place(&g, f, "finally.", "", g.Width+gapX, 0, states)
			g.Width, g.Height = g.Width+gapX+fw, max(h, fh)
		}
		return nil
	})
	return g, err
}

// standing is how a step of the plan stands: where it runs more than once, as often as in each state.
type standing struct {
	state    api.State
	counts   map[api.State]int
	critical bool
}

// standing returns how the steps of the plan stand, by their path in it. A step inside an `each` has counts
// only.
func (s *Service) standing(ctx context.Context, r *core.Run, at int64) map[string]standing {
	out := map[string]standing{}
	critical := s.critical(ctx, r, at)
	for _, t := range r.Tasks() {
		path := core.Plan(t.Path)
		st := out[path]
		switch {
		case path == t.Path:
			st.state, st.counts = t.State, t.Counts
		case t.Kind != "item": // a step of the body of an item
			if st.counts == nil {
				st.counts = map[api.State]int{}
			}
			st.counts[t.State]++
		}
		st.critical = st.critical || critical[t.Path]
		out[path] = st
	}
	return out
}

// place puts the tasks of a scope at (x, y) and returns the size it took.
func place(g *api.Graph, sc *dag.Scope, prefix, group string, x, y int, states map[string]standing) (w, h int) {
	rank := make([]int, len(sc.Tasks))
	columns := [][]*dag.Task{}
	for i, t := range sc.Tasks { // in topological order
		for _, d := range t.Deps {
			rank[i] = max(rank[i], rank[d.On.Index]+1)
		}
		for len(columns) <= rank[i] {
			columns = append(columns, nil)
		}
		columns[rank[i]] = append(columns[rank[i]], t)
	}
	for _, column := range columns {
		width, cy := 0, y
		for _, t := range column {
			path := prefix + t.ID
			n := api.GraphNode{ID: path, Title: t.Title, Use: t.Use, Kind: "call", Group: group, State: states[path].state, Counts: states[path].counts, Critical: states[path].critical, X: x + w, Y: cy, W: nodeWidth, H: nodeHeight}
			at := len(g.Nodes)
			g.Nodes = append(g.Nodes, n)
			if t.Each != nil {
				n.Kind = "each"
			}
			if t.Body != nil {
				if t.Each == nil {
					n.Kind = "group"
				}
				bw, bh := place(g, t.Body, path+".", path, n.X+padGroup/2, n.Y+nodeHeight, states)
				n.W, n.H = max(nodeWidth, bw+padGroup), nodeHeight+bh+padGroup/2
			}
			g.Nodes[at] = n
			for _, d := range t.Deps {
				g.Edges = append(g.Edges, api.GraphEdge{From: prefix + d.On.ID, To: path, Soft: d.Kind == dag.Settled})
			}
			cy += n.H + gapY
			width = max(width, n.W)
		}
		h = max(h, cy-gapY-y)
		w += width + gapX
	}
	return max(w-gapX, 0), h
}
