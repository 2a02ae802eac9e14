package arch

import (
	"bytes"
	"fmt"
	"go/ast"
	"path"
	"slices"
	"strings"
	"testing"
)

func TestHabits(t *testing.T) {
	t.Parallel()
	eachFile(t, checkHabits)
}

func TestLengths(t *testing.T) {
	t.Parallel()
	eachFile(t, func(f *file) []string {
		if f.tests || ast.IsGenerated(f.ast) || long[f.name] != "" || lines(f.src) <= maxLines {
			return nil
		}
		return []string{fmt.Sprintf("%s has %d lines: divide it by its concepts (at most %d), or give the reason in long (internal/arch/policy.go)", f.name, lines(f.src), maxLines)}
	})
	for name := range long {
		if lines(content(t, name)) <= maxLines {
			t.Errorf("%s no longer needs to be in long (internal/arch/policy.go)", name)
		}
	}
}

// Where packages come from is set up on a machine, and is none of the repository's business.
func TestNoRegistryIsNamed(t *testing.T) {
	t.Parallel()
	// In pieces, so that this file does not name them either.
	hosts := [][]string{{"proxy", "golang", "org"}, {"sum", "golang", "org"}, {"registry", "npmjs", "org"},
		{"registry", "yarnpkg", "com"}, {"deb", "debian", "org"}, {"security", "debian", "org"}, {"snapshot", "debian", "org"}}
	for _, name := range kept(t) {
		data := bytes.ToLower(content(t, name))
		for _, h := range hosts {
			if host := strings.Join(h, "."); bytes.Contains(data, []byte(host)) {
				t.Errorf("%s names the package registry %s: leave it out", name, host)
			}
		}
	}
}

// checkHabits complains of functions named init, of sleeping tests, and of contexts out of nowhere.
func checkHabits(f *file) []string {
	var complaints []string
	complain := func(n ast.Node, text string) { complaints = append(complaints, f.at(n)+": "+text) }
	var bubbles []ast.Node
	inBubble := func(n ast.Node) bool {
		return slices.ContainsFunc(bubbles, func(b ast.Node) bool { return b.Pos() <= n.Pos() && n.End() <= b.End() })
	}
	ast.Inspect(f.ast, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.FuncDecl:
			if n.Name.Name == "init" && n.Recv == nil && !ast.IsGenerated(f.ast) {
				complain(n, "func init: make it a visible line where things are wired")
			}
		case *ast.CallExpr:
			if name, ok := selected(n.Fun, "synctest"); ok && (name == "Test" || name == "Run") {
				bubbles = append(bubbles, n)
			}
			if name, ok := selected(n.Fun, "time"); ok && name == "Sleep" && f.tests && !inBubble(n) && !f.reason(n, "sleep") {
				complain(n, "time.Sleep in a test: run it in synctest.Test, or wait for the thing itself; where neither can be, end the line with // sleep: and the reason")
			}
			if name, ok := selected(n.Fun, "context"); ok && (name == "Background" || name == "TODO") && !startsContexts(f) && !f.reason(n, "background") {
				complain(n, fmt.Sprintf("context.%s: take the caller's context; where there is none, end the line with // background: and the reason", name))
			}
		}
		return true
	})
	return complaints
}

// startsContexts reports whether f is where contexts begin.
func startsContexts(f *file) bool {
	return f.tests || slices.ContainsFunc(rootless, func(pattern string) bool { _, ok := under(pattern, path.Dir(f.name)); return ok })
}

func TestCheckHabits(t *testing.T) {
	t.Parallel()
	const src = `package a
func init() {}
func f() {
	time.Sleep(1)
	time.Sleep(2) // sleep: real time passes in another process
	synctest.Test(t, func(t *testing.T) { time.Sleep(3) })
	context.Background()
	context.TODO() // background: of the whole process
	context.TODO() // background:
}
`
	const (
		hasInit = "a.go:2: func init"
		hasTODO = "a.go:9: context.TODO"
		hasRoot = "a.go:7: context.Background"
	)
	for name, want := range map[string][]string{
		"internal/a/a.go":      {hasInit, hasRoot, hasTODO},
		"internal/a/a_test.go": {"a_test.go:2", "a_test.go:4: time.Sleep"},
		"internal/atest/a.go":  {hasInit, "a.go:4: time.Sleep"},
		"cmd/a/a.go":           {hasInit},
	} {
		expect(t, name, checkHabits(source(t, name, src)), want)
	}
}
