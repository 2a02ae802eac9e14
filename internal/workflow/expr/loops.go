package expr

import (
	"strconv"

	"github.com/expr-lang/expr/ast"
)

// conditions are the loops whose body must give a boolean.
var conditions = map[string]bool{
	"all": true, "none": true, "any": true, "one": true, "filter": true, "count": true,
	"find": true, "findIndex": true,
}

// builtin rewrites a call of what the library builds in: a loop over a predicate, or a function that
// ours replaces.
func (g *guard) builtin(n *ast.BuiltinNode, depth int) ast.Node {
	switch n.Name {
	case "map", "filter", "all", "none", "any", "one", "count", "sum", "find", "findIndex", "reduce":
		return g.loop(n, depth)
	case "groupBy", "sortBy":
		return g.keyed(n, depth)
	case "findLast", "findLastIndex":
		// The machine leaves values on its stack after a loop that runs backwards.
		return g.fail(n, "there is no function "+strconv.Quote(n.Name), "write last(filter(xs, …))")
	}
	return g.function(n, n.Name, n.Arguments, depth)
}

// loop keeps a loop of the machine, over a list that was checked and paid for, with a body that pays.
func (g *guard) loop(n *ast.BuiltinNode, depth int) ast.Node {
	if len(n.Arguments) == 0 {
		return g.fail(n, n.Name+" needs a list", "")
	}
	name := "over"
	if len(n.Arguments) == 1 {
		name = "all over" // no body that pays for the turns
	}
	args := []ast.Node{g.invoke(n, name, g.rewrite(n.Arguments[0], depth+1), &ast.StringNode{Value: n.Name})}
	for i, a := range n.Arguments[1:] {
		p, ok := a.(*ast.PredicateNode)
		if !ok {
			args = append(args, g.rewrite(a, depth+1))
			continue
		}
		if i > 0 {
			return g.fail(n, n.Name+" takes one predicate", "")
		}
		args = append(args, at(p, &ast.PredicateNode{Node: g.body(n.Name, p, depth)}))
	}
	return at(n, &ast.BuiltinNode{Name: n.Name, Arguments: args})
}

func (g *guard) body(loop string, p *ast.PredicateNode, depth int) ast.Node {
	body := g.rewrite(p.Node, depth+1)
	if conditions[loop] {
		return g.invoke(p, "test", body, &ast.StringNode{Value: loop})
	}
	return g.invoke(p, "tick", body)
}

// keyed turns groupBy(xs, key) and sortBy(xs, key, order) into a map to pairs and a function of ours:
// the machine's own would group in no order, and sort without paying.
func (g *guard) keyed(n *ast.BuiltinNode, depth int) ast.Node {
	if len(n.Arguments) < 2 {
		return g.fail(n, n.Name+" needs a list and a predicate", "as in "+n.Name+"(xs, .name)")
	}
	p, ok := n.Arguments[1].(*ast.PredicateNode)
	if !ok {
		return g.fail(n, n.Name+" needs a predicate", "as in "+n.Name+"(xs, .name)")
	}
	pair := &ast.ArrayNode{Nodes: []ast.Node{g.body(n.Name, p, depth), &ast.PointerNode{}}}
	pairs := at(n, &ast.BuiltinNode{Name: "map", Arguments: []ast.Node{
		g.invoke(n, "over", g.rewrite(n.Arguments[0], depth+1), &ast.StringNode{Value: n.Name}),
		at(p, &ast.PredicateNode{Node: pair}),
	}})
	if n.Name == "groupBy" {
		return g.invoke(n, "grouped", pairs)
	}
	var order ast.Node = &ast.NilNode{}
	if len(n.Arguments) > 2 {
		order = g.rewrite(n.Arguments[2], depth+1)
	}
	return g.invoke(n, "sorted", pairs, order)
}

// call rewrites name(…).
func (g *guard) call(n *ast.CallNode, depth int) ast.Node {
	id, ok := n.Callee.(*ast.IdentifierNode)
	if !ok {
		hint := ""
		if m, ok := n.Callee.(*ast.MemberNode); ok {
			if s, ok := m.Property.(*ast.StringNode); ok && functions[s.Value].do != nil {
				hint = "write " + s.Value + "(x)"
			}
		}
		return g.fail(n, "values have no methods", hint)
	}
	return g.function(n, id.Value, n.Arguments, depth)
}

// gone are the functions of expr-lang that are missing on purpose.
var gone = map[string]string{
	"now":      "an expression has no clock: read run.started",
	"date":     "there are no dates in expressions: times are RFC 3339 text and compare as text",
	"duration": "there are no durations in expressions",
	"timezone": "there are no dates in expressions",
}

func (g *guard) function(n ast.Node, name string, args []ast.Node, depth int) ast.Node {
	f, ok := functions[name]
	if !ok {
		hint := gone[name]
		if near := nearest(name); hint == "" && near != "" {
			hint = "did you mean " + near + "?"
		}
		return g.fail(n, "there is no function "+strconv.Quote(name), hint)
	}
	if len(args) < f.min || f.max >= 0 && len(args) > f.max {
		return g.fail(n, name+" takes "+f.arity()+", got "+strconv.Itoa(len(args)), "")
	}
	return g.invoke(n, "fn "+name, g.all(args, depth)...)
}

// nearest returns the function whose name is closest to a misspelt one, or "".
func nearest(name string) string {
	best, dist := "", 3
	for _, known := range functionNames() {
		if d := distance(name, known); d < dist {
			best, dist = known, d
		}
	}
	return best
}

// distance is the Levenshtein distance.
func distance(a, b string) int {
	if len(a) > 32 || len(b) > 32 {
		return 32
	}
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		prev := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			prev, row[j+1] = row[j+1], min(row[j+1]+1, row[j]+1, prev+cost)
		}
	}
	return row[len(b)]
}
