package workflow

import (
	"context"
	"slices"

	"tutti/api"
	"tutti/internal/workflow/core"
)

// graph lays the plan of a run out. Where it is drawn depends on the definition only, so it is there from
// the start of a run and stays as it is.
func (s *Service) graph(ctx context.Context, in api.GraphIn) (g api.Graph, err error) {
	id, err := s.resolve(ctx, in.Namespace, in.ID)
	if err != nil {
		return g, err
	}
	err = s.seen(in.At).upTo(ctx, in.Namespace, id, in.At, func(r *core.Run) error {
		g = s.geometries.of(r.Graph, in.Open)
		g.Nodes = slices.Clone(g.Nodes)
		states := s.standing(ctx, r, in.At)
		for i := range g.Nodes {
			n := &g.Nodes[i]
			st := states[n.ID]
			n.State, n.Counts, n.Critical = st.state, st.counts, st.critical
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
