package arch

import (
	"encoding/json"
	"os/exec"
	"regexp"
	"strings"
	"testing"
)

// dependencies is where each module we chose is justified.
const dependencies = "docs/dependencies.md"

// A module is a promise to keep up with it: each has its reason on a line of docs/dependencies.md.
func TestModulesAreJustified(t *testing.T) {
	t.Parallel()
	main, tools := required(t, "go.mod"), required(t, "tools/lint.mod")
	used := usedModules(t, main)
	reasons := reasons(string(content(t, dependencies)))
	for m := range used {
		if !reasons[m] {
			t.Errorf("module %s has no line in %s: say there in one line what it is for", m, dependencies)
		}
	}
	for m := range reasons {
		if !main[m] && !tools[m] {
			t.Errorf("%s justifies %s, which is not required any more: remove the line", dependencies, m)
		}
	}
}

// required returns the modules that a module file asks for, without those marked indirect; of the
// tools' file all, since it marks even the tools so.
func required(t *testing.T, file string) map[string]bool {
	t.Helper()
	edit := exec.Command("go", "mod", "edit", "-json", file)
	dir, err := root()
	if err != nil {
		t.Fatal(err)
	}
	edit.Dir = dir
	out, err := edit.Output()
	if err != nil {
		t.Fatalf("go mod edit -json %s: %v", file, err)
	}
	var mod struct {
		Require []struct {
			Path     string
			Indirect bool
		}
	}
	if err := json.Unmarshal(out, &mod); err != nil {
		t.Fatal(err)
	}
	modules := map[string]bool{}
	for _, r := range mod.Require {
		if !r.Indirect || file != "go.mod" {
			modules[r.Path] = true
		}
	}
	return modules
}

// usedModules returns those of modules that a package imports.
func usedModules(t *testing.T, modules map[string]bool) map[string]bool {
	t.Helper()
	all, err := packages()
	if err != nil {
		t.Fatal(err)
	}
	used := map[string]bool{}
	for _, p := range all {
		for _, f := range p.files {
			for imp := range f.imports() {
				if m := moduleOf(modules, imp); m != "" {
					used[m] = true
				}
			}
		}
	}
	return used
}

// moduleOf returns the module that an import comes from: the one with the longest path.
func moduleOf(modules map[string]bool, imp string) string {
	best := ""
	for m := range modules {
		if covered([]string{m}, imp) && len(m) > len(best) {
			best = m
		}
	}
	return best
}

// reasons returns the modules that have a line with a reason: | `module` | what it is for |
func reasons(doc string) map[string]bool {
	row := regexp.MustCompile("^\\| `([^`]+)` \\| [^|]*\\w[^|]*\\|")
	modules := map[string]bool{}
	for line := range strings.Lines(doc) {
		if m := row.FindStringSubmatch(line); m != nil {
			modules[m[1]] = true
		}
	}
	return modules
}

func TestReasons(t *testing.T) {
	t.Parallel()
	got := reasons("| module | for |\n|---|---|\n| `a.b/c` | drawing |\n| `a.b/d` |  |\n")
	if len(got) != 1 || !got["a.b/c"] {
		t.Errorf("reasons = %v; want a.b/c alone", got)
	}
}

func TestModuleOf(t *testing.T) {
	t.Parallel()
	modules := map[string]bool{"a.b/c": true, "a.b/c/v2": true}
	for imp, want := range map[string]string{"a.b/c": "a.b/c", "a.b/c/x": "a.b/c", "a.b/c/v2/x": "a.b/c/v2", "a.b/cd": "", "os": ""} {
		if got := moduleOf(modules, imp); got != want {
			t.Errorf("moduleOf(%q) = %q; want %q", imp, got, want)
		}
	}
}
