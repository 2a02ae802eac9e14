package definition

import (
	"cmp"
	"container/heap"
	"fmt"
	"slices"
	"strings"

	"tutti/internal/workflow/dag"
)

// indexHeap gives the smallest index first.
type indexHeap []int

func (h indexHeap) Len() int           { return len(h) }
func (h indexHeap) Less(i, j int) bool { return h[i] < h[j] }
func (h indexHeap) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }
func (h *indexHeap) Push(x any)        { *h = append(*h, x.(int)) }
func (h *indexHeap) Pop() any {
	old := *h
	x := old[len(old)-1]
	*h = old[:len(old)-1]
	return x
}

// topological orders 0..n-1 so that each comes after what it waits for; ties are in the order of the
// numbers. What lies on or behind a cycle is left out of order and returned as rest.
func topological(n int, waits func(i int) []int) (order, rest []int) {
	open := make([]int, n)
	behind := make([][]int, n)
	ready := &indexHeap{}
	for i := range n {
		for _, j := range waits(i) {
			open[i]++
			behind[j] = append(behind[j], i)
		}
		if open[i] == 0 {
			*ready = append(*ready, i)
		}
	}
	heap.Init(ready)
	for ready.Len() > 0 {
		i := heap.Pop(ready).(int)
		order = append(order, i)
		for _, j := range behind[i] {
			if open[j]--; open[j] == 0 {
				heap.Push(ready, j)
			}
		}
	}
	for i := range n {
		if open[i] > 0 {
			rest = append(rest, i)
		}
	}
	return order, rest
}

// maxCycles bounds how many knots one scope is told of.
const maxCycles = 20

// cycles returns, for what is left over, one shortest cycle of each knot: each set of members that
// all wait for one another.
func cycles(rest []int, waits func(i int) []int) [][]int {
	var found [][]int
	for _, knot := range knots(rest, waits) {
		left := map[int]bool{}
		for _, i := range knot {
			left[i] = true
		}
		if c := shortestCycle(slices.Min(knot), waits, left); c != nil {
			found = append(found, c)
		}
	}
	slices.SortFunc(found, func(a, b []int) int { return a[0] - b[0] })
	return found[:min(len(found), maxCycles)]
}

// knots returns the strongly connected components of more than one member (Tarjan).
func knots(rest []int, waits func(i int) []int) [][]int {
	t := tarjan{waits: waits, index: map[int]int{}, low: map[int]int{}, on: map[int]bool{}, in: map[int]bool{}}
	for _, i := range rest {
		t.in[i] = true
	}
	for _, i := range rest {
		if _, seen := t.index[i]; !seen {
			t.visit(i)
		}
	}
	return t.found
}

type tarjan struct {
	waits      func(i int) []int
	index, low map[int]int
	on, in     map[int]bool
	stack      []int
	found      [][]int
}

// visit recurses as deep as there are tasks, which are bounded.
func (t *tarjan) visit(i int) {
	t.index[i] = len(t.index)
	t.low[i] = t.index[i]
	t.stack, t.on[i] = append(t.stack, i), true
	for _, j := range t.waits(i) {
		if !t.in[j] {
			continue
		}
		if _, seen := t.index[j]; !seen {
			t.visit(j)
			t.low[i] = min(t.low[i], t.low[j])
		} else if t.on[j] {
			t.low[i] = min(t.low[i], t.index[j])
		}
	}
	if t.low[i] != t.index[i] {
		return
	}
	from := len(t.stack) - 1
	for t.stack[from] != i {
		from--
	}
	knot := slices.Clone(t.stack[from:])
	t.stack = t.stack[:from]
	for _, j := range knot {
		t.on[j] = false
	}
	if len(knot) > 1 || slices.Contains(t.waits(i), i) {
		t.found = append(t.found, knot)
	}
}

// shortestCycle searches breadth first from start back to start; nil where there is none.
func shortestCycle(start int, waits func(i int) []int, left map[int]bool) []int {
	from := map[int]int{}
	queue := []int{start}
	for k := 0; k < len(queue); k++ {
		i := queue[k]
		for _, j := range waits(i) {
			if j == start {
				path := []int{i}
				for i != start {
					i = from[i]
					path = append(path, i)
				}
				slices.Reverse(path)
				return path
			}
			if _, seen := from[j]; !seen && left[j] {
				from[j] = i
				queue = append(queue, j)
			}
		}
	}
	return nil
}

// sortScope puts the tasks of a scope into topological order and makes their edges.
func (c *compiler) sortScope(s *dag.Scope) {
	number := make(map[*dag.Task]int, len(s.Tasks))
	for i, t := range s.Tasks {
		number[t] = i
	}
	all := make([][]int, len(s.Tasks))
	for i, t := range s.Tasks {
		for on := range c.tasks[t].deps {
			all[i] = append(all[i], number[on])
		}
		slices.Sort(all[i])
	}
	waits := func(i int) []int { return all[i] }
	order, rest := topological(len(s.Tasks), waits)
	if len(rest) > 0 {
		c.cyclic = true
		for _, cycle := range cycles(rest, waits) {
			c.failCycle(s, cycle)
		}
		order = append(order, rest...)
	}
	sorted := make([]*dag.Task, len(order))
	for i, n := range order {
		sorted[i] = s.Tasks[n]
		sorted[i].Index = i
	}
	s.Tasks = sorted
	for _, t := range s.Tasks {
		for on, e := range c.tasks[t].deps {
			t.Deps = append(t.Deps, dag.Dep{On: on, Kind: e.kind})
		}
		slices.SortFunc(t.Deps, func(a, b dag.Dep) int { return cmp.Compare(a.On.Index, b.On.Index) })
		for _, d := range t.Deps {
			d.On.Dependents = append(d.On.Dependents, dag.Dep{On: t, Kind: d.Kind})
		}
	}
}

func (c *compiler) failCycle(s *dag.Scope, cycle []int) {
	var names, reasons []string
	for k, i := range cycle {
		t, next := s.Tasks[i], s.Tasks[cycle[(k+1)%len(cycle)]]
		names = append(names, t.ID)
		if e := c.tasks[t].deps[next]; k < 8 {
			line, _ := lineColumn(e.where)
			reasons = append(reasons, fmt.Sprintf("%s names %s on line %d", t.ID, next.ID, line))
		}
	}
	names = append(names, names[0])
	c.failKey(c.tasks[s.Tasks[cycle[0]]].ptr, "tasks wait for each other: "+strings.Join(names, " -> "), strings.Join(reasons, ", "))
}

// sortVars orders the vars so that each comes after those it reads.
func (c *compiler) sortVars() []dag.Var {
	vars := c.graph.Vars
	number := map[string]int{}
	for i, v := range vars {
		number[v.Name] = i
	}
	all := make([][]int, len(vars))
	for _, u := range c.uses {
		i, ok := number[u.place.varName]
		if !ok || u.ref.Path[0] != "vars" {
			continue
		}
		if j, ok := number[at(u.ref.Path, 1)]; ok {
			all[i] = append(all[i], j)
		} else if len(u.ref.Path) == 1 && c.strict {
			c.failAt(c.doc.Inside(u.ptr, u.offset), "a var names the vars it reads one by one", "as in vars.region")
		}
	}
	waits := func(i int) []int { return all[i] }
	order, rest := topological(len(vars), waits)
	for _, cycle := range cycles(rest, waits) {
		var names []string
		for _, i := range cycle {
			names = append(names, vars[i].Name)
		}
		names = append(names, names[0])
		c.failKey("/vars/"+names[0], "vars wait for each other: "+strings.Join(names, " -> "), "")
	}
	out := make([]dag.Var, 0, len(vars))
	for _, i := range order {
		out = append(out, vars[i])
	}
	return out
}
