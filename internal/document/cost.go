package document

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// maxVisits bounds how often one check may look at one place of a value.
const maxVisits = 2000

// maxStates bounds how many kinds of places affordable looks at; a schema has about as many as it
// has parts.
const maxStates = 20_000

// affordable refuses schemas that could look at a place of a value exponentially often: two ways to
// the same definition, each of which has two ways to the next, and so on. It walks all kinds of
// places a value can have, knowing for each how often each part of the schema is applied to it.
func affordable(root *jsonschema.Schema) error {
	g := graph{ids: map[*jsonschema.Schema]int{}}
	g.add(root)
	level := []state{{0: 1}}
	seen := map[string]bool{level[0].key(): true}
	for range MaxDepth {
		var next []state
		for _, at := range level {
			total, ok := g.here(at)
			if !ok {
				return fmt.Errorf("the schema could take exponential time to check: it applies the same parts of itself too often to one place")
			}
			for _, s := range g.below(total) {
				if k := s.key(); !seen[k] {
					seen[k] = true
					next = append(next, s)
				}
			}
			if len(seen) > maxStates {
				return fmt.Errorf("the schema is too complex to be checked")
			}
		}
		level = next
	}
	return nil
}

// state says how often each part of a schema, by its number, is applied to one place.
type state map[int]int

func (s state) key() string {
	var b strings.Builder
	for _, id := range slices.Sorted(maps.Keys(s)) {
		fmt.Fprintf(&b, "%d*%d,", id, s[id])
	}
	return b.String()
}

// graph is what a schema applies to the same place (in) and to places below, by slot: a property, or
// all elements of a list.
type graph struct {
	ids  map[*jsonschema.Schema]int
	in   [][]int
	down []map[string][]int
}

func (g *graph) add(s *jsonschema.Schema) int {
	if id, ok := g.ids[s]; ok {
		return id
	}
	id := len(g.in)
	g.ids[s] = id
	g.in = append(g.in, nil)
	g.down = append(g.down, map[string][]int{})
	here := []*jsonschema.Schema{s.Ref, s.RecursiveRef, s.Not, s.If, s.Then, s.Else}
	if s.DynamicRef != nil {
		here = append(here, s.DynamicRef.Ref)
	}
	for _, l := range [][]*jsonschema.Schema{s.AllOf, s.AnyOf, s.OneOf} {
		here = append(here, l...)
	}
	for _, c := range s.DependentSchemas {
		here = append(here, c)
	}
	for _, d := range s.Dependencies {
		if c, ok := d.(*jsonschema.Schema); ok {
			here = append(here, c)
		}
	}
	for _, c := range here {
		if c != nil {
			child := g.add(c)
			g.in[id] = append(g.in[id], child)
		}
	}
	g.addBelow(id, s)
	return id
}

func (g *graph) addBelow(id int, s *jsonschema.Schema) {
	put := func(slot string, c any) {
		if l, ok := c.([]*jsonschema.Schema); ok {
			for _, c := range l {
				child := g.add(c)
				g.down[id][slot] = append(g.down[id][slot], child)
			}
			return
		}
		if c, ok := c.(*jsonschema.Schema); ok && c != nil {
			child := g.add(c)
			g.down[id][slot] = append(g.down[id][slot], child)
		}
	}
	for name, c := range s.Properties {
		put("."+name, c)
	}
	for _, c := range s.PatternProperties {
		put("*", c)
	}
	put("*", s.AdditionalProperties)
	put("*", s.UnevaluatedProperties)
	put("*", s.PropertyNames)
	for _, c := range s.PrefixItems {
		put("[]", c)
	}
	for _, c := range []any{s.Items, s.AdditionalItems, s.Items2020, s.UnevaluatedItems, s.Contains, s.ContentSchema} {
		put("[]", c)
	}
}

// here returns how often each part is applied to a place to which at are applied from above; false
// where that is too often, or has no end.
func (g *graph) here(at state) (state, bool) {
	total, wave, sum := state{}, at, 0
	for range len(g.in) + 1 {
		next := state{}
		for id, n := range wave {
			total[id] += n
			sum += n
			for _, c := range g.in[id] {
				next[c] += n
			}
		}
		if sum > maxVisits {
			return nil, false
		}
		if len(next) == 0 {
			return total, true
		}
		wave = next
	}
	return nil, false
}

// below returns the kinds of places one level down. What is for any key is also for each named one.
func (g *graph) below(total state) []state {
	slots := map[string]state{}
	for id, n := range total {
		for slot, children := range g.down[id] {
			s := slots[slot]
			if s == nil {
				s = state{}
				slots[slot] = s
			}
			for _, c := range children {
				s[c] += n
			}
		}
	}
	wild := slots["*"]
	out := make([]state, 0, len(slots))
	for slot, s := range slots {
		if strings.HasPrefix(slot, ".") {
			for id, n := range wild {
				s[id] += n
			}
		}
		out = append(out, s)
	}
	return out
}
