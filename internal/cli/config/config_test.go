package config

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"tutti/errs"
)

func environ(kv ...string) func(string) string {
	return func(k string) string {
		for i := 0; i < len(kv); i += 2 {
			if kv[i] == k {
				return kv[i+1]
			}
		}
		return ""
	}
}

func TestSaveAndLoad(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "a", "b", "config.yaml")
	f, err := Load(path)
	if err != nil {
		t.Fatal(err)
	}
	want := Context{Server: "https://tutti.example.org", Namespace: "prod", User: "anna", Token: "s3cret", Expires: time.Date(2026, 12, 1, 0, 0, 0, 0, time.UTC), Protected: true}
	if err := f.Set("prod", want); err != nil {
		t.Fatal(err)
	}
	if err := f.Save(); err != nil {
		t.Fatal(err)
	}
	for p, mode := range map[string]os.FileMode{path: 0o600, filepath.Dir(path): 0o700} {
		st, err := os.Stat(p)
		if err != nil {
			t.Fatal(err)
		}
		if st.Mode().Perm() != mode {
			t.Errorf("mode of %s = %o; want %o", p, st.Mode().Perm(), mode)
		}
	}
	g, err := Load(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, g.Contexts["prod"]); diff != "" || g.Current != "prod" {
		t.Errorf("Load: current = %q (-want +got):\n%s", g.Current, diff)
	}

	// A file that others could read is private again once it is saved.
	if err := os.Chmod(path, 0o644); err != nil {
		t.Fatal(err)
	}
	if !g.Exposed() {
		t.Error("Exposed() of a file with mode 644 = false")
	}
	if err := g.Save(); err != nil {
		t.Fatal(err)
	}
	if g.Exposed() {
		t.Error("Exposed() after Save = true")
	}
	entries, err := os.ReadDir(filepath.Dir(path))
	if err != nil || len(entries) != 1 {
		t.Errorf("ReadDir = %v, %v; want the one file", entries, err)
	}
}

func TestLoadRefuses(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "config.yaml")
	for _, text := range []string{"contexts: [", "nosuch: 1", "contexts: {a: {servr: x}}"} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := Load(path); !errs.Is(err, errs.Invalid) {
			t.Errorf("Load(%q) = %v; want errs.Invalid", text, err)
		}
	}
	if err := os.WriteFile(path, []byte("# nothing\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Load(path); err != nil {
		t.Errorf("Load(empty) = %v; want nil", err)
	}
}

func TestResolve(t *testing.T) {
	t.Parallel()
	f := &File{Current: "dev", Contexts: map[string]Context{
		"dev":  {Server: "http://dev:1", Namespace: "lab", Token: "devtoken", User: "anna", CA: "/ca"},
		"prod": {Server: "https://prod", Token: "prodtoken"},
	}}
	for _, c := range []struct {
		name  string
		flags Choice
		env   []string
		want  Settings
	}{
		{"current", Choice{}, nil, Settings{"dev", f.Contexts["dev"], "context", false}},
		{"env context", Choice{}, []string{"TUTTI_CONTEXT", "prod"}, Settings{"prod", Context{Server: "https://prod", Namespace: "default", Token: "prodtoken"}, "context", false}},
		{"flag over env", Choice{Context: "prod", Namespace: "x"}, []string{"TUTTI_CONTEXT", "dev", "TUTTI_NAMESPACE", "y"}, Settings{"prod", Context{Server: "https://prod", Namespace: "x", Token: "prodtoken"}, "context", true}},
		{"env over context", Choice{}, []string{"TUTTI_NAMESPACE", "y", "TUTTI_TOKEN", " t\n"}, Settings{"dev", Context{Server: "http://dev:1", Namespace: "y", Token: "t", CA: "/ca"}, "TUTTI_TOKEN", false}},
		{"foreign server gets no credential", Choice{Server: "evil:9/"}, nil, Settings{"dev", Context{Server: "http://evil:9", Namespace: "lab"}, "", false}},
		{"foreign server from env", Choice{}, []string{"TUTTI_SERVER", "http://evil", "TUTTI_TOKEN", "t"}, Settings{"dev", Context{Server: "http://evil", Namespace: "lab", Token: "t"}, "TUTTI_TOKEN", false}},
	} {
		got, err := f.Resolve(c.flags, environ(c.env...))
		if err != nil {
			t.Errorf("%s: Resolve: %v", c.name, err)
			continue
		}
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("%s: Resolve (-want +got):\n%s", c.name, diff)
		}
	}
	empty := &File{Contexts: map[string]Context{}}
	if got, err := empty.Resolve(Choice{}, environ()); err != nil || got.Server != Server || got.Namespace != Namespace {
		t.Errorf("Resolve without anything = %+v, %v; want the defaults", got, err)
	}
	if _, err := f.Resolve(Choice{Context: "nosuch"}, environ()); !errs.Is(err, errs.NotFound) {
		t.Errorf("Resolve(nosuch) = %v; want errs.NotFound", err)
	}
}

func TestCheckServer(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"tutti.example.org": "http://tutti.example.org", "127.0.0.1:8080/": "http://127.0.0.1:8080", "https://a/b/": "https://a/b",
		"": "", "ftp://a": "", "http://": "", "http://u:p@a": "", "http://a?x=1": "", "http://a b": "",
	} {
		got, err := CheckServer(in)
		if got != want || (err == nil) != (want != "") {
			t.Errorf("CheckServer(%q) = %q, %v; want %q", in, got, err, want)
		}
	}
}

func TestSetRefuses(t *testing.T) {
	t.Parallel()
	f := &File{Contexts: map[string]Context{}}
	for _, name := range []string{"", "a b", "../x", "-x"} {
		if err := f.Set(name, Context{Server: "a"}); !errs.Is(err, errs.Invalid) {
			t.Errorf("Set(%q) = %v; want errs.Invalid", name, err)
		}
	}
	if err := f.Set("a", Context{Server: "ftp://x"}); !errs.Is(err, errs.Invalid) {
		t.Errorf("Set(bad server) = %v; want errs.Invalid", err)
	}
	if len(f.Contexts) != 0 {
		t.Errorf("contexts after refusals = %v; want none", f.Contexts)
	}
}

func TestPath(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		env  []string
		want string
	}{
		{[]string{"TUTTI_CONFIG", "/x/y", "HOME", "/h"}, "/x/y"},
		{[]string{"XDG_CONFIG_HOME", "/c", "HOME", "/h"}, "/c/tutti/config.yaml"},
		{[]string{"XDG_CONFIG_HOME", "rel", "HOME", "/h"}, "/h/.config/tutti/config.yaml"},
		{nil, ""},
	} {
		if got, err := Path(environ(c.env...)); got != c.want || (err == nil) != (c.want != "") {
			t.Errorf("Path(%v) = %q, %v; want %q", c.env, got, err, c.want)
		}
	}
}
