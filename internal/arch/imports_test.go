package arch

import (
	"fmt"
	"go/ast"
	"path"
	"slices"
	"strings"
	"testing"
)

func TestEveryPackageHasAPlace(t *testing.T) {
	t.Parallel()
	all, err := packages()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range all {
		if _, _, ok := place(p.dir); !ok && !testSupport(p.dir) {
			t.Errorf("%s is in no layer: place it in internal/arch/policy.go", p.dir)
		}
	}
}

func TestImports(t *testing.T) {
	t.Parallel()
	eachFile(t, checkImports)
}

func TestPureCores(t *testing.T) {
	t.Parallel()
	eachFile(t, checkPure)
}

// place returns the layer of a package and its unit: the folder whose packages belong together.
// The pattern with the most elements wins, so that internal/workflow/core is not internal/workflow.
func place(dir string) (rank int, unit string, ok bool) {
	deepest := 0
	for i, l := range layers {
		for _, pattern := range l.packages {
			u, match := under(pattern, dir)
			if depth := len(strings.Split(strings.TrimSuffix(pattern, "/..."), "/")); match && depth > deepest {
				deepest, rank, unit, ok = depth, i, u, true
			}
		}
	}
	return rank, unit, ok
}

// checkImports complains of each import of f that its layer does not allow.
func checkImports(f *file) []string {
	if f.tests {
		return nil
	}
	var complaints []string
	for _, spec := range f.ast.Imports {
		dir, ours := strings.CutPrefix(strings.Trim(spec.Path.Value, `"`), module+"/")
		if !ours {
			continue
		}
		if why := forbidden(path.Dir(f.name), dir); why != "" {
			complaints = append(complaints, fmt.Sprintf("%s: imports %s/%s: %s", f.at(spec), module, dir, why))
		}
	}
	return complaints
}

// forbidden says why the package in the first folder may not import the one in the second; "" where
// it may.
func forbidden(from, to string) string {
	if testSupport(to) {
		return "it is for tests only"
	}
	rank, unit, ok := place(from)
	toRank, toUnit, toOK := place(to)
	if !ok || !toOK {
		return "" // TestEveryPackageHasAPlace complains
	}
	mine, its := layers[rank], layers[toRank]
	switch {
	case unit == toUnit:
		return ""
	case toRank > rank:
		return fmt.Sprintf("%q stands above %q: move what is needed down, or take it as a parameter", its.name, mine.name)
	case toRank == rank && !mine.peers:
		if mine.remedy != "" {
			return mine.remedy
		}
		return fmt.Sprintf("both are %q, whose packages do not import each other", mine.name)
	case its.wired && !slices.Contains(wiring, mine.name):
		return "only internal/app and the lists `all` know implementations: take the seam as a parameter"
	case mine.only != nil && toRank != rank && !slices.Contains(mine.only, its.name):
		return fmt.Sprintf("%q may import only %q", mine.name, mine.only)
	}
	return ""
}

// checkPure complains of what f does that a pure package must not.
func checkPure(f *file) []string {
	rules, ok := pure[path.Dir(f.name)]
	if !ok || f.tests {
		return nil
	}
	var complaints []string
	complain := func(n ast.Node, what string) {
		complaints = append(complaints, fmt.Sprintf("%s: %s in a pure package: do it in the shell around it (internal/workflow)", f.at(n), what))
	}
	for imp, spec := range f.imports() {
		if covered(impure, imp) && !slices.Contains(harmless, imp) || rules.deterministic && !rules.locks && covered([]string{"sync"}, imp) {
			complain(spec, "import of "+imp)
		}
	}
	ast.Inspect(f.ast, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.GoStmt:
			complain(n, "go statement")
		case *ast.SelectorExpr:
			if name, ok := selected(n, "time"); ok && rules.deterministic && slices.Contains(clocks, name) {
				complain(n, "time."+name)
			}
		}
		return true
	})
	return complaints
}

func TestEmbeddable(t *testing.T) {
	t.Parallel()
	eachFile(t, checkEmbeddable)
}

// checkEmbeddable complains of each import of an embeddable package that is not the standard library's.
func checkEmbeddable(f *file) []string {
	unit, ok := "", false
	for _, pattern := range embeddable {
		if unit, ok = under(pattern, path.Dir(f.name)); ok {
			break
		}
	}
	if !ok || f.tests {
		return nil
	}
	var complaints []string
	for imp, spec := range f.imports() {
		first, _, _ := strings.Cut(imp, "/")
		own := covered([]string{module + "/" + unit}, imp)
		if !own && (first == module || strings.Contains(first, ".")) {
			complaints = append(complaints, fmt.Sprintf("%s: imports %s: %s is for other programs, which get the standard library only", f.at(spec), imp, unit))
		}
	}
	return complaints
}

// covered reports whether imp is one of the paths or below one.
func covered(paths []string, imp string) bool {
	return slices.ContainsFunc(paths, func(p string) bool { return imp == p || strings.HasPrefix(imp, p+"/") })
}

// selected returns the name X of an expression pkg.X.
func selected(e ast.Expr, pkg string) (name string, ok bool) {
	s, isSelector := e.(*ast.SelectorExpr)
	if !isSelector {
		return "", false
	}
	x, isIdent := s.X.(*ast.Ident)
	return s.Sel.Name, isIdent && x.Name == pkg
}

func TestForbidden(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ from, to, want string }{
		{"bus", "errs", ""},
		{"errs", "bus", `"bus" stands above "leaves"`},
		{"errs", "id", `both are "leaves"`},
		{"internal/gitrepo", "internal/netguard", ""},
		{"internal/store", "api", ""},
		{"internal/request", "internal/notify", "on the bus"},
		{"internal/request", "internal/request/resolve", ""},
		{"internal/request", "internal/task", ""},
		{"internal/request", "internal/task/httptask", "know implementations"},
		{"internal/request", "bus/natsbus", "know implementations"},
		{"internal/request", "internal/blob/dirblob", "know implementations"},
		{"internal/request", "internal/app", "stands above"},
		{"internal/request", "bus/bustest", "for tests only"},
		{"internal/workflow", "internal/workflow/core", ""},
		{"internal/workflow/core", "internal/workflow/dag", ""},
		{"internal/workflow/core", "internal/workflow", "stands above"},
		{"internal/workflow/core", "internal/store", "may import only"},
		{"internal/task/exectask", "internal/task/httptask", "drivers do not know each other"},
		{"internal/task/exectask", "internal/shim", ""},
		{"internal/task/all", "internal/task/exectask", ""},
		{"internal/app", "internal/task/all", ""},
		{"internal/app", "bus/natsbus", ""},
		{"internal/app", "internal/request", ""},
		{"sdk", "bus", ""},
		{"sdk", "internal/worker", "stands above"},
		{"internal/task", "sdk", ""},
		{"internal/cli", "sdk", ""},
		{"cmd/tutti", "internal/cli", ""},
		{"internal/cli", "cmd/tutti", "stands above"},
	} {
		got := forbidden(c.from, c.to)
		if c.want == "" && got != "" || !strings.Contains(got, c.want) {
			t.Errorf("forbidden(%q, %q) = %q; want %q", c.from, c.to, got, c.want)
		}
	}
}

func TestPlace(t *testing.T) {
	t.Parallel()
	for dir, want := range map[string]string{
		"internal/workflow":          "services",
		"internal/workflow/sim":      "services",
		"internal/workflow/core":     "engine",
		"internal/task/httptask":     "drivers",
		"internal/task/vmtask/inner": "drivers",
		"internal/task/all":          "lists",
		"internal/blob":              "platform",
		"internal/blob/dirblob":      "blob stores",
		"internal/unheard":           "",
		"internal":                   "",
	} {
		rank, _, ok := place(dir)
		got := ""
		if ok {
			got = layers[rank].name
		}
		if got != want {
			t.Errorf("place(%q) = %q; want %q", dir, got, want)
		}
	}
}

func TestCheckPure(t *testing.T) {
	t.Parallel()
	const src = `package x
import ("net/http"; "net/url"; "sync"; "time")
func f() { go f(); _ = time.Now(); _ = time.Second; _ = url.Parse; _ = http.Get; sync.OnceFunc(f) }
`
	expect(t, "core", sorted(checkPure(source(t, "internal/workflow/core/x.go", src))),
		[]string{"import of net/http", "import of sync", "go statement", "time.Now"})
	expect(t, "expr", sorted(checkPure(source(t, "internal/workflow/expr/x.go", src))),
		[]string{"import of net/http", "go statement"})
	expect(t, "rollout", sorted(checkPure(source(t, "rollout/x.go", src))),
		[]string{"import of net/http", "go statement", "time.Now"})
	expect(t, "a test", checkPure(source(t, "internal/workflow/core/x_test.go", src)), nil)
	expect(t, "elsewhere", checkPure(source(t, "internal/workflow/x.go", src)), nil)
}

func TestCheckEmbeddable(t *testing.T) {
	t.Parallel()
	const src = `package x
import ("time"; "database/sql"; "tutti/rollout"; "tutti/errs"; "github.com/a/b")
`
	want := []string{"imports github.com/a/b", "imports tutti/errs"}
	expect(t, "rollout", sorted(checkEmbeddable(source(t, "rollout/sqlstore/x.go", src))), want)
	expect(t, "a test", checkEmbeddable(source(t, "rollout/x_test.go", src)), nil)
	expect(t, "elsewhere", checkEmbeddable(source(t, "sdk/x.go", src)), nil)
}

// sorted orders complaints by their places.
func sorted(complaints []string) []string { slices.Sort(complaints); return complaints }
