package script

import (
	"fmt"

	"go.starlark.net/syntax"
)

// rewriter puts a check around every expression that may cost much more than the one step the
// interpreter counts for it: "x" * n, s + s, calls of built-in functions, slices, tuples
// (whose nesting makes hashing explode). The checks are predeclared functions whose names, with
// mark in front, no program can write. Positions stay those of the source.
type rewriter struct {
	file     string
	problems []*Error
}

const (
	mark      = "§"
	nameCall  = mark + "call"
	nameSlice = mark + "slice"
	nameTuple = mark + "tuple"
	nameStar  = mark + "star"
)

// binary are the operators to check; the assignments that apply them follow from augmented.
var binary = map[syntax.Token]string{
	syntax.PLUS: "+", syntax.MINUS: "-", syntax.STAR: "*", syntax.PERCENT: "%", syntax.PIPE: "|", syntax.AMP: "&", syntax.CIRCUMFLEX: "^", syntax.LTLT: "<<",
}

var augmented = map[syntax.Token]syntax.Token{
	syntax.PLUS_EQ: syntax.PLUS, syntax.MINUS_EQ: syntax.MINUS, syntax.STAR_EQ: syntax.STAR, syntax.PERCENT_EQ: syntax.PERCENT,
	syntax.PIPE_EQ: syntax.PIPE, syntax.AMP_EQ: syntax.AMP, syntax.CIRCUMFLEX_EQ: syntax.CIRCUMFLEX, syntax.LTLT_EQ: syntax.LTLT,
}

func (r *rewriter) problem(pos syntax.Position, format string, args ...any) {
	r.problems = append(r.problems, &Error{Reason: Mistake, Msg: fmt.Sprintf(format, args...), File: r.file, Line: int(pos.Line), Col: int(pos.Col)})
}

func (r *rewriter) stmts(list []syntax.Stmt) {
	for _, s := range list {
		switch s := s.(type) {
		case *syntax.AssignStmt:
			r.assign(s)
		case *syntax.DefStmt:
			r.params(s.Params)
			r.stmts(s.Body)
		case *syntax.ExprStmt:
			r.expr(&s.X)
		case *syntax.ForStmt:
			r.target(s.Vars)
			r.expr(&s.X)
			r.stmts(s.Body)
		case *syntax.IfStmt:
			r.expr(&s.Cond)
			r.stmts(s.True)
			r.stmts(s.False)
		case *syntax.ReturnStmt:
			r.expr(&s.Result)
		case *syntax.LoadStmt:
			r.problem(s.Load, "load is not available here")
		case *syntax.BranchStmt:
		default:
			start, _ := s.Span()
			r.problem(start, "this statement is not available here")
		}
	}
}

func (r *rewriter) assign(s *syntax.AssignStmt) {
	r.expr(&s.RHS)
	if op, ok := augmented[s.Op]; ok {
		read, ok := clone(s.LHS)
		if !ok {
			r.problem(s.OpPos, "the left side of %s is too complex; assign the object and the index to variables first", s.Op)
			return
		}
		s.RHS = call(mark+binary[op]+"=", s.OpPos, read, s.RHS)
	}
	r.target(s.LHS)
}

// clone copies an expression that can be evaluated twice.
func clone(e syntax.Expr) (syntax.Expr, bool) {
	switch e := e.(type) {
	case *syntax.Ident:
		return &syntax.Ident{NamePos: e.NamePos, Name: e.Name}, true
	case *syntax.Literal:
		return &syntax.Literal{Token: e.Token, TokenPos: e.TokenPos, Raw: e.Raw, Value: e.Value}, true
	case *syntax.ParenExpr:
		x, ok := clone(e.X)
		return &syntax.ParenExpr{Lparen: e.Lparen, X: x, Rparen: e.Rparen}, ok
	case *syntax.DotExpr:
		x, ok := clone(e.X)
		return &syntax.DotExpr{X: x, Dot: e.Dot, NamePos: e.NamePos, Name: &syntax.Ident{NamePos: e.Name.NamePos, Name: e.Name.Name}}, ok
	case *syntax.IndexExpr:
		x, ok1 := clone(e.X)
		y, ok2 := clone(e.Y)
		return &syntax.IndexExpr{X: x, Lbrack: e.Lbrack, Y: y, Rbrack: e.Rbrack}, ok1 && ok2
	default:
		return nil, false
	}
}

func (r *rewriter) params(list []syntax.Expr) {
	for _, p := range list {
		switch p := p.(type) {
		case *syntax.BinaryExpr:
			r.expr(&p.Y)
		case *syntax.UnaryExpr:
			// The tuple of further arguments would be made where no check can be put.
			if p.Op == syntax.STAR && p.X != nil {
				r.problem(p.OpPos, "*args is not available here; take a list")
			}
		}
	}
}

// target rewrites within what is assigned to.
func (r *rewriter) target(e syntax.Expr) {
	switch e := e.(type) {
	case *syntax.ParenExpr:
		r.target(e.X)
	case *syntax.TupleExpr:
		for _, x := range e.List {
			r.target(x)
		}
	case *syntax.ListExpr:
		for _, x := range e.List {
			r.target(x)
		}
	case *syntax.IndexExpr:
		r.expr(&e.X)
		r.expr(&e.Y)
	case *syntax.DotExpr:
		r.expr(&e.X)
	}
}

func (r *rewriter) exprs(list []syntax.Expr) {
	for i := range list {
		r.expr(&list[i])
	}
}

// expr rewrites *p in place.
func (r *rewriter) expr(p *syntax.Expr) {
	switch e := (*p).(type) {
	case nil, *syntax.Ident, *syntax.Literal:
	case *syntax.ParenExpr:
		r.expr(&e.X)
	case *syntax.UnaryExpr:
		r.expr(&e.X)
	case *syntax.BinaryExpr:
		r.expr(&e.X)
		r.expr(&e.Y)
		if op, ok := binary[e.Op]; ok {
			*p = call(mark+op, e.OpPos, e.X, e.Y)
		}
	case *syntax.CallExpr:
		r.expr(&e.Fn)
		r.args(e.Args)
		*p = call(nameCall, e.Lparen, append([]syntax.Expr{e.Fn}, e.Args...)...)
	case *syntax.DotExpr:
		r.expr(&e.X)
	case *syntax.IndexExpr:
		r.expr(&e.X)
		r.expr(&e.Y)
	case *syntax.SliceExpr:
		r.exprsOf(&e.X, &e.Lo, &e.Hi, &e.Step)
		*p = call(nameSlice, e.Lbrack, e)
	case *syntax.TupleExpr:
		r.exprs(e.List)
		if len(e.List) > 0 {
			start, _ := e.List[0].Span()
			*p = call(nameTuple, start, &syntax.ParenExpr{Lparen: start, X: e, Rparen: start})
		}
	case *syntax.ListExpr:
		r.exprs(e.List)
	case *syntax.DictExpr:
		r.exprs(e.List)
	case *syntax.DictEntry:
		r.exprsOf(&e.Key, &e.Value)
	case *syntax.CondExpr:
		r.exprsOf(&e.Cond, &e.True, &e.False)
	case *syntax.LambdaExpr:
		r.params(e.Params)
		r.expr(&e.Body)
	case *syntax.Comprehension:
		r.comprehension(e)
	default:
		start, _ := e.Span()
		r.problem(start, "this expression is not available here")
	}
}

func (r *rewriter) exprsOf(list ...*syntax.Expr) {
	for _, p := range list {
		r.expr(p)
	}
}

func (r *rewriter) comprehension(e *syntax.Comprehension) {
	r.expr(&e.Body)
	for _, c := range e.Clauses {
		switch c := c.(type) {
		case *syntax.ForClause:
			r.target(c.Vars)
			r.expr(&c.X)
		case *syntax.IfClause:
			r.expr(&c.Cond)
		}
	}
}

// args rewrites the arguments of a call: x, name=x, *x, **x.
func (r *rewriter) args(list []syntax.Expr) {
	for i := range list {
		switch a := list[i].(type) {
		case *syntax.BinaryExpr:
			if a.Op == syntax.EQ {
				r.expr(&a.Y)
				continue
			}
		case *syntax.UnaryExpr:
			if a.Op == syntax.STAR || a.Op == syntax.STARSTAR {
				r.expr(&a.X)
				a.X = call(nameStar, a.OpPos, a.X)
				continue
			}
		}
		r.expr(&list[i])
	}
}

func call(name string, pos syntax.Position, args ...syntax.Expr) syntax.Expr {
	return &syntax.CallExpr{Fn: &syntax.Ident{NamePos: pos, Name: name}, Lparen: pos, Args: args, Rparen: pos}
}
