package arch

import (
	"bytes"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
)

// module is the path of the module, which every package's import path begins with.
const module = "tutti"

// pkg is one package of the module with its parsed files.
type pkg struct {
	dir   string // relative to the root, with slashes; also the import path without the module
	files []*file
}

// file is one parsed Go file.
type file struct {
	name  string // relative to the root
	src   []byte
	fset  *token.FileSet
	ast   *ast.File
	tests bool // *_test.go, or part of a package of test support
}

// line returns where n begins.
func (f *file) line(n ast.Node) int { return f.fset.Position(n.Pos()).Line }

// at returns "file:line" of n, as compilers do.
func (f *file) at(n ast.Node) string { return fmt.Sprintf("%s:%d", f.name, f.line(n)) }

// imports returns the imports of f by path.
func (f *file) imports() map[string]*ast.ImportSpec {
	m := map[string]*ast.ImportSpec{}
	for _, i := range f.ast.Imports {
		m[strings.Trim(i.Path.Value, `"`)] = i
	}
	return m
}

// reason reports whether the line of n ends in a comment that begins with the given word and a
// colon and goes on to give a reason.
func (f *file) reason(n ast.Node, word string) bool {
	for _, group := range f.ast.Comments {
		for _, c := range group.List {
			text, ok := strings.CutPrefix(c.Text, "// "+word+":")
			if ok && f.line(c) == f.line(n) && strings.TrimSpace(text) != "" {
				return true
			}
		}
	}
	return false
}

// parse reads one file; name is relative to the root.
func parse(name string, src []byte) (*file, error) {
	f := &file{name: name, src: src, fset: token.NewFileSet()}
	var err error
	f.ast, err = parser.ParseFile(f.fset, name, src, parser.ParseComments|parser.SkipObjectResolution)
	f.tests = strings.HasSuffix(name, "_test.go") || testSupport(path.Dir(name))
	return f, err
}

// testSupport reports whether dir holds a package for tests only: a suite or a fake.
func testSupport(dir string) bool { return strings.HasSuffix(path.Base(dir), "test") }

// root is the folder of go.mod.
var root = sync.OnceValues(func() (string, error) {
	dir, err := os.Getwd()
	for ; err == nil; dir = filepath.Dir(dir) {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir, nil
		}
		if dir == filepath.Dir(dir) {
			return "", fmt.Errorf("no go.mod above the working directory")
		}
	}
	return "", err
})

// packages parses every package of the module once. It reads all files itself, and lists with
// -find, because that takes a tenth of a second where resolving every import takes several.
var packages = sync.OnceValues(func() ([]*pkg, error) {
	root, err := root()
	if err != nil {
		return nil, err
	}
	list := exec.Command("go", "list", "-e", "-find", "-f", "{{.Dir}}", "./...")
	list.Dir = root
	list.Stderr = os.Stderr
	out, err := list.Output()
	if err != nil {
		return nil, fmt.Errorf("go list: %w", err)
	}
	var all []*pkg
	for dir := range strings.Lines(string(out)) {
		p, err := read(root, strings.TrimSpace(dir))
		if err != nil {
			return nil, err
		}
		all = append(all, p)
	}
	return all, nil
})

func read(root, dir string) (*pkg, error) {
	rel, err := filepath.Rel(root, dir)
	if err != nil {
		return nil, err
	}
	p := &pkg{dir: filepath.ToSlash(rel)}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		if e.IsDir() || !strings.HasSuffix(e.Name(), ".go") || strings.HasPrefix(e.Name(), "_") || strings.HasPrefix(e.Name(), ".") {
			continue
		}
		src, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			return nil, err
		}
		f, err := parse(path.Join(p.dir, e.Name()), src)
		if err != nil {
			return nil, err
		}
		p.files = append(p.files, f)
	}
	return p, nil
}

// eachFile calls check with every Go file of the module and reports what it returns.
func eachFile(t *testing.T, check func(*file) []string) {
	t.Helper()
	all, err := packages()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range all {
		for _, f := range p.files {
			for _, complaint := range check(f) {
				t.Error(complaint)
			}
		}
	}
}

// kept returns the files that git keeps or would keep, relative to the root, and skips t outside a
// git checkout.
func kept(t *testing.T) []string {
	t.Helper()
	dir, err := root()
	if err != nil {
		t.Fatal(err)
	}
	ls := exec.Command("git", "ls-files", "-z", "--cached", "--others", "--exclude-standard")
	ls.Dir = dir
	out, err := ls.Output()
	if err != nil {
		t.Skipf("SKIPPED: not a git checkout: %v", err)
	}
	return slices.DeleteFunc(strings.Split(string(out), "\x00"), func(name string) bool { return name == "" })
}

// content reads a file by its name relative to the root; nil where it is gone or no regular file.
func content(t *testing.T, name string) []byte {
	t.Helper()
	dir, err := root()
	if err != nil {
		t.Fatal(err)
	}
	name = filepath.Join(dir, name)
	if info, err := os.Lstat(name); err != nil || !info.Mode().IsRegular() {
		return nil
	}
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// under matches dir with a pattern (see layer.packages) and returns the folder that the pattern
// stands for.
func under(pattern, dir string) (unit string, ok bool) {
	want, got := strings.Split(pattern, "/"), strings.Split(dir, "/")
	if n := len(want) - 1; want[n] == "..." {
		want, got = want[:n], got[:min(n, len(got))]
	}
	if len(want) != len(got) {
		return "", false
	}
	for i := range want {
		if ok, err := path.Match(want[i], got[i]); err != nil || !ok {
			return "", false
		}
	}
	return strings.Join(got, "/"), true
}

// source parses a Go file given in a test.
func source(t *testing.T, name, src string) *file {
	t.Helper()
	f, err := parse(name, []byte(src))
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// expect reports where the complaints are not those wanted, each given by a part of it.
func expect(t *testing.T, name string, got, want []string) {
	t.Helper()
	ok := len(got) == len(want)
	for i := range min(len(got), len(want)) {
		ok = ok && strings.Contains(got[i], want[i])
	}
	if !ok {
		t.Errorf("%s: complaints\n  %s\nwant\n  %s", name, strings.Join(got, "\n  "), strings.Join(want, "\n  "))
	}
}

// lines counts the lines of src.
func lines(src []byte) int { return bytes.Count(src, []byte("\n")) }
