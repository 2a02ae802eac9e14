package expr

import (
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/expr-lang/expr/ast"
	"github.com/expr-lang/expr/builtin"
	"github.com/expr-lang/expr/checker"
	"github.com/expr-lang/expr/compiler"
	"github.com/expr-lang/expr/conf"
	"github.com/expr-lang/expr/parser"
)

// meterName is the name under which a running program finds its meter. No source can spell it.
const meterName = " meter"

// compile parses src, checks its types as far as they are known, rewrites it so that every value is
// touched by our functions only, and compiles that.
func compile(src string) (*Program, error) {
	if deepBrackets(src) {
		return nil, &SyntaxError{Message: "the expression is nested deeper than " + strconv.Itoa(maxDepth) + " levels"}
	}
	config := newConfig()
	tree, err := parser.ParseWithConfig(src, config)
	if err != nil {
		return nil, syntaxError(src, err)
	}
	g := guard{src: src}
	node := g.rewrite(tree.Node, 0)
	if g.err != nil {
		return nil, g.err
	}
	// The source as it was written: its literals have types, and may not fit.
	if _, err := checker.Check(tree, config); err != nil {
		return nil, syntaxError(src, err)
	}
	if g.path != nil {
		return &Program{source: src, refs: g.refs, path: g.path}, nil
	}
	tree.Node = node
	if _, err := checker.Check(tree, config); err != nil {
		return nil, syntaxError(src, err)
	}
	code, err := compiler.Compile(tree, config)
	if err != nil {
		return nil, &SyntaxError{Message: plain(err.Error())}
	}
	slices.SortStableFunc(g.refs, func(a, b Ref) int { return a.Offset - b.Offset })
	return &Program{source: src, refs: g.refs, code: code, roots: g.roots}, nil
}

// newConfig returns what the library's parser and compiler need to know of our functions. Its tables
// are shared by all; only what the checker remembers of types is made anew.
func newConfig() *conf.Config {
	t := tables()
	c := &conf.Config{
		ShortCircuit: true,
		MaxNodes:     maxNodes,
		ConstFns:     t.ConstFns,
		Disabled:     t.Disabled,
		Builtins:     t.Builtins,
		Functions:    t.Functions,
		// The optimizer rewrites loops in ways we would have to meter again, for little gain.
		Optimize: false,
	}
	c.WithEnv(map[string]any{})
	c.Strict = false
	return c
}

// tables makes the parts of a config that never change: of what the library builds in, the loops and
// what we have too.
var tables = sync.OnceValue(func() *conf.Config {
	c := conf.CreateNew()
	for _, b := range builtin.Builtins {
		if _, ours := functions[b.Name]; !ours && !b.Predicate {
			c.Disabled[b.Name] = true
			delete(c.Builtins, b.Name)
		}
	}
	for name, f := range internals {
		c.Functions[name] = f
	}
	for name, f := range functions {
		if _, native := builtin.Index[name]; !native {
			c.Functions[name] = f.declaration(name)
		}
	}
	return c
})

// deepBrackets finds sources that would make the parser recurse deep before there is a tree to measure.
func deepBrackets(src string) bool {
	depth, run := 0, 0
	for i := 0; i < len(src); i++ {
		switch c := src[i]; c {
		case '(', '[', '{':
			depth++
		case ')', ']', '}':
			depth = max(depth-1, 0)
		}
		// A row of prefix operators nests as brackets do; so does a row of `not`.
		switch c := src[i]; c {
		case '!', '-', '+':
			run++
		case ' ', 'n', 'o', 't':
		default:
			run = 0
		}
		if depth > maxDepth || run > maxDepth {
			return true
		}
	}
	return false
}

// guard rewrites a syntax tree. It never changes a node it was given: the parser shares nodes between
// branches (`a ?: b`, `a < b < c`), so that a short source may be an endless tree.
type guard struct {
	src   string
	err   *SyntaxError
	nodes int
	lets  []string // names bound by `let`, innermost last
	refs  []Ref
	roots []string
	path  *path // set where the whole tree is one reference
}

func (g *guard) fail(n ast.Node, message, hint string) ast.Node {
	if g.err == nil {
		g.err = &SyntaxError{Offset: byteOffset(g.src, n.Location().From), Message: message, Hint: hint}
	}
	return &ast.NilNode{}
}

// rewrite returns what runs in the place of node.
func (g *guard) rewrite(node ast.Node, depth int) ast.Node {
	if g.err != nil || node == nil {
		return &ast.NilNode{}
	}
	g.nodes++
	switch {
	case g.nodes > maxNodes:
		return g.fail(node, "the expression is too large", "split it over several vars")
	case depth > maxDepth:
		return g.fail(node, "the expression is nested deeper than "+strconv.Itoa(maxDepth)+" levels", "")
	}
	switch n := node.(type) {
	case *ast.NilNode, *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode, *ast.StringNode, *ast.ConstantNode:
		return clone(node)
	case *ast.BytesNode:
		return g.fail(n, "there are no bytes literals", "write the text without the b")
	case *ast.PointerNode:
		return clone(node)
	case *ast.IdentifierNode:
		return g.lone(n)
	case *ast.MemberNode:
		return g.member(n, depth)
	case *ast.ChainNode:
		return g.rewrite(n.Node, depth)
	case *ast.SliceNode:
		return g.slice(n, depth)
	case *ast.UnaryNode:
		return g.unary(n, depth)
	case *ast.BinaryNode:
		return g.binary(n, depth)
	case *ast.ConditionalNode:
		return at(n, &ast.ConditionalNode{Ternary: n.Ternary, Cond: g.condition(n.Cond, depth),
			Exp1: g.rewrite(n.Exp1, depth+1), Exp2: g.rewrite(n.Exp2, depth+1)})
	case *ast.BuiltinNode:
		return g.builtin(n, depth)
	case *ast.CallNode:
		return g.call(n, depth)
	}
	return g.compound(node, depth)
}

// compound rewrites the nodes that only hold others.
func (g *guard) compound(node ast.Node, depth int) ast.Node {
	switch n := node.(type) {
	case *ast.VariableDeclaratorNode:
		if strings.Contains(n.Name, "$") {
			return g.fail(n, "a name has no $ in it", "")
		}
		value := g.rewrite(n.Value, depth+1)
		g.lets = append(g.lets, n.Name)
		body := g.rewrite(n.Expr, depth+1)
		g.lets = g.lets[:len(g.lets)-1]
		return at(n, &ast.VariableDeclaratorNode{Name: n.Name, Value: value, Expr: body})
	case *ast.SequenceNode:
		return at(n, &ast.SequenceNode{Nodes: g.all(n.Nodes, depth)})
	case *ast.ArrayNode:
		return at(n, &ast.ArrayNode{Nodes: g.all(n.Nodes, depth)})
	case *ast.MapNode:
		return at(n, &ast.MapNode{Pairs: g.all(n.Pairs, depth)})
	case *ast.PairNode:
		key := g.rewrite(n.Key, depth+1)
		if _, literal := key.(*ast.StringNode); !literal {
			key = g.invoke(n, "key", key)
		}
		return at(n, &ast.PairNode{Key: key, Value: g.rewrite(n.Value, depth+1)})
	}
	return g.fail(node, "this is not supported in an expression", "")
}

func (g *guard) all(nodes []ast.Node, depth int) []ast.Node {
	out := make([]ast.Node, len(nodes))
	for i, n := range nodes {
		out[i] = g.rewrite(n, depth+1)
	}
	return out
}

// name says what a name stands for: a variable, null, or a root of the environment.
func (g *guard) name(n *ast.IdentifierNode) ast.Node {
	if slices.Contains(g.lets, n.Value) {
		return clone(n)
	}
	if n.Value == "null" {
		return at(n, &ast.NilNode{})
	}
	if strings.Contains(n.Value, "$") {
		return g.fail(n, "there is no name "+strconv.Quote(n.Value), "")
	}
	if Reserved(n.Value) {
		return g.fail(n, n.Value+" is a function", "call it: "+n.Value+"(…)")
	}
	g.refs = append(g.refs, Ref{Path: []string{n.Value}, Offset: byteOffset(g.src, n.Location().From)})
	return clone(n)
}

// lone is a name with nothing behind it: the machine loads it.
func (g *guard) lone(n *ast.IdentifierNode) ast.Node {
	out := g.name(n)
	if id, ok := out.(*ast.IdentifierNode); ok && !slices.Contains(g.lets, id.Value) && !slices.Contains(g.roots, id.Value) {
		g.roots = append(g.roots, id.Value)
	}
	return out
}

// member rewrites a.b, a?.b and a[b]. A chain of constants from a name becomes one path.
func (g *guard) member(n *ast.MemberNode, depth int) ast.Node {
	chain, base := flatten(n)
	g.nodes += len(chain)
	if g.nodes > maxNodes {
		return g.fail(n, "the expression is too large", "split it over several vars")
	}
	soft := false
	var cur ast.Node
	rest := chain
	if id, ok := base.(*ast.IdentifierNode); ok && !slices.Contains(g.lets, id.Value) && id.Value != "null" {
		g.name(id) // says what is wrong with it
		p := g.constantPath(id, chain)
		rest = chain[len(p.keys):]
		p.ref.Dynamic = len(rest) > 0
		if g.err == nil {
			g.refs[len(g.refs)-1] = p.ref
		}
		soft = p.ref.Soft
		if len(rest) == 0 && depth == 0 {
			g.path = p
		}
		cur = g.invoke(n, "path", at(n, &ast.ConstantNode{Value: p}))
	} else {
		cur = g.rewrite(base, depth+1)
	}
	for _, m := range rest {
		soft = soft || m.Optional
		name := "get of"
		if soft {
			name = "soft get of"
		}
		cur = g.invoke(m, name, cur, g.rewrite(m.Property, depth+1))
	}
	return cur
}

// flatten returns the keys behind the first value of a chain of members, first key first.
func flatten(n *ast.MemberNode) (chain []*ast.MemberNode, base ast.Node) {
	base = n
	for {
		switch b := base.(type) {
		case *ast.MemberNode:
			chain = append(chain, b)
			base = b.Node
			continue
		case *ast.ChainNode:
			base = b.Node
			continue
		}
		slices.Reverse(chain)
		return chain, base
	}
}

// constantPath returns the path from a name over the keys that are constants.
func (g *guard) constantPath(id *ast.IdentifierNode, chain []*ast.MemberNode) *path {
	p := &path{ref: Ref{Path: []string{id.Value}, Offset: byteOffset(g.src, id.Location().From)}}
	for _, m := range chain {
		var k key
		switch prop := m.Property.(type) {
		case *ast.StringNode:
			k.name = prop.Value
		case *ast.IntegerNode:
			k.list, k.index = true, prop.Value
		default:
			return p
		}
		if m.Optional && p.ref.SoftAt == 0 {
			p.ref.Soft, p.ref.SoftAt = true, len(p.ref.Path)
		}
		k.soft = p.ref.Soft
		part := k.name
		if k.list {
			part = strconv.Itoa(k.index)
		}
		p.ref.Path = append(p.ref.Path, part)
		p.keys = append(p.keys, k)
	}
	return p
}

func (g *guard) slice(n *ast.SliceNode, depth int) ast.Node {
	var from, to ast.Node = &ast.NilNode{}, &ast.NilNode{}
	if n.From != nil {
		from = g.rewrite(n.From, depth+1)
	}
	if n.To != nil {
		to = g.rewrite(n.To, depth+1)
	}
	return g.invoke(n, "slice of", g.rewrite(n.Node, depth+1), from, to)
}

func (g *guard) unary(n *ast.UnaryNode, depth int) ast.Node {
	switch n.Operator {
	case "not", "!":
		return at(n, &ast.UnaryNode{Operator: "not", Node: g.condition(n.Node, depth)})
	case "-":
		return g.invoke(n, "minus", g.rewrite(n.Node, depth+1))
	}
	return g.invoke(n, "plus", g.rewrite(n.Node, depth+1))
}

// operators are the binary operators that our functions compute.
var operators = map[string]string{
	"==": "equals", "!=": "differs", "<": "less", "<=": "atmost", ">": "more", ">=": "atleast",
	"+": "add", "-": "subtract", "*": "multiply", "/": "divide", "%": "modulo", "**": "power", "^": "power",
	"in": "within", "contains": "contains in", "startsWith": "starts with", "endsWith": "ends with",
	"matches": "matches of", "..": "range of",
}

func (g *guard) binary(n *ast.BinaryNode, depth int) ast.Node {
	switch n.Operator {
	case "and", "&&", "or", "||":
		return at(n, &ast.BinaryNode{Operator: n.Operator, Left: g.condition(n.Left, depth), Right: g.condition(n.Right, depth)})
	case "??":
		return at(n, &ast.BinaryNode{Operator: "??", Left: g.rewrite(n.Left, depth+1), Right: g.rewrite(n.Right, depth+1)})
	}
	name, ok := operators[n.Operator]
	if !ok {
		return g.fail(n, "there is no operator "+strconv.Quote(n.Operator), "")
	}
	left, right := g.rewrite(n.Left, depth+1), g.rewrite(n.Right, depth+1)
	if pattern, ok := right.(*ast.StringNode); ok && name == "matches of" {
		if len(pattern.Value) > maxPattern {
			return g.fail(n.Right, "the regular expression is longer than 1 KiB", "")
		}
		re, err := regexp.Compile(pattern.Value)
		if err != nil {
			return g.fail(n.Right, "not a regular expression: "+strings.TrimPrefix(err.Error(), "error parsing regexp: "),
				"the syntax is RE2: no look-around, no back-references")
		}
		right = at(n, &ast.ConstantNode{Value: re})
	}
	return g.invoke(n, name, left, right)
}

// condition rewrites a node whose value must be a boolean.
func (g *guard) condition(n ast.Node, depth int) ast.Node {
	out := g.rewrite(n, depth+1)
	switch n := n.(type) {
	case *ast.BoolNode:
		return out
	case *ast.UnaryNode:
		if n.Operator == "not" || n.Operator == "!" {
			return out
		}
	case *ast.BinaryNode:
		switch n.Operator {
		case "==", "!=", "<", "<=", ">", ">=", "in", "contains", "startsWith", "endsWith", "matches", "and", "&&", "or", "||":
			return out
		}
	}
	return g.invoke(n, "bool", out)
}

// invoke calls one of the internal functions, with the meter first.
func (g *guard) invoke(where ast.Node, name string, args ...ast.Node) ast.Node {
	return at(where, &ast.CallNode{
		Callee:    &ast.IdentifierNode{Value: " " + name},
		Arguments: append([]ast.Node{&ast.IdentifierNode{Value: meterName}}, args...),
	})
}

// at puts a new node where another stood.
func at[N ast.Node](where ast.Node, n N) N {
	n.SetLocation(where.Location())
	return n
}

// clone copies a leaf, so that types found for one place are not those of another.
func clone(node ast.Node) ast.Node {
	switch n := node.(type) {
	case *ast.NilNode:
		return at(n, &ast.NilNode{})
	case *ast.IdentifierNode:
		return at(n, &ast.IdentifierNode{Value: n.Value})
	case *ast.IntegerNode:
		return at(n, &ast.IntegerNode{Value: n.Value})
	case *ast.FloatNode:
		return at(n, &ast.FloatNode{Value: n.Value})
	case *ast.BoolNode:
		return at(n, &ast.BoolNode{Value: n.Value})
	case *ast.StringNode:
		return at(n, &ast.StringNode{Value: n.Value})
	case *ast.ConstantNode:
		return at(n, &ast.ConstantNode{Value: n.Value})
	case *ast.PointerNode:
		return at(n, &ast.PointerNode{Name: n.Name})
	}
	return node
}
