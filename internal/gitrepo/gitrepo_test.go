package gitrepo_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"tutti/errs"
	"tutti/internal/gitrepo"
)

func open(t testing.TB) (*gitrepo.Repo, string) {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "repo.git")
	r, err := gitrepo.Init(dir, "")
	if err != nil {
		t.Fatal(err)
	}
	return r, dir
}

func commit(t testing.TB, r *gitrepo.Repo, c gitrepo.Commit) string {
	t.Helper()
	if c.Message == "" {
		c.Message = "Change"
	}
	h, err := r.Commit(t.Context(), c)
	if err != nil {
		t.Fatalf("Commit = %v", err)
	}
	return h
}

func files(kv ...string) map[string][]byte {
	out := map[string][]byte{}
	for i := 0; i < len(kv); i += 2 {
		out[kv[i]] = []byte(kv[i+1])
	}
	return out
}

// run runs the real git in dir; the test is skipped where there is none.
func run(t *testing.T, dir string, args ...string) string {
	t.Helper()
	exe, err := exec.LookPath("git")
	if err != nil {
		t.Skip("SKIPPED: no git program here to compare with")
	}
	cmd := exec.Command(exe, append([]string{"-C", dir, "-c", "safe.directory=*"}, args...)...)
	cmd.Env = []string{"HOME=/nonexistent", "PATH=" + os.Getenv("PATH"), "GIT_CONFIG_NOSYSTEM=1", "TZ=UTC",
		"GIT_AUTHOR_NAME=o", "GIT_AUTHOR_EMAIL=o@x", "GIT_COMMITTER_NAME=o", "GIT_COMMITTER_EMAIL=o@x"}
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("git %v: %v\n%s", args, err, out)
	}
	return string(out)
}

func TestCommitReadList(t *testing.T) {
	t.Parallel()
	r, dir := open(t)
	first := commit(t, r, gitrepo.Commit{Files: files("a", "1", "vm/web/1.yaml", "cpu: 2\n", "vm/web-x", "x", "vm/web.y", "", "z/z", "z")})
	second := commit(t, r, gitrepo.Commit{Files: files("a", "2", "vm/web/2.yaml", "\x00\xff"), Remove: []string{"z/z", "vm/none", "no/such/file", "a/b"}})
	third := commit(t, r, gitrepo.Commit{}) // changes nothing

	for _, tc := range []struct{ commit, path, want string }{
		{first, "a", "1"}, {second, "a", "2"}, {third, "a", "2"}, {"", "a", "2"}, {first, "z/z", "z"}, {"", "vm/web/1.yaml", "cpu: 2\n"}, {"", "vm/web/2.yaml", "\x00\xff"}, {"", "vm/web.y", ""},
	} {
		if got, err := r.Read(tc.commit, tc.path); string(got) != tc.want || err != nil {
			t.Errorf("Read(%q, %q) = %q, %v; want %q", tc.commit, tc.path, got, err, tc.want)
		}
	}
	for path, kind := range map[string]errs.Kind{"z/z": errs.NotFound, "z": errs.NotFound, "a/b": errs.NotFound, "vm": errs.Invalid, "../a": errs.Invalid, "": errs.Invalid} {
		if got, err := r.Read("", path); !errs.Is(err, kind) {
			t.Errorf("Read(%q) = %q, %v; want %s", path, got, err, kind)
		}
	}
	for hash, kind := range map[string]errs.Kind{strings.Repeat("1", 40): errs.NotFound, "main": errs.Invalid, "abc": errs.Invalid, strings.ToUpper(first): errs.Invalid} {
		if _, err := r.Read(hash, "a"); !errs.Is(err, kind) {
			t.Errorf("Read at %q = %v; want %s", hash, err, kind)
		}
	}
	names := func(commit, dir string) (out []string) {
		list, err := r.List(commit, dir)
		if err != nil {
			t.Errorf("List(%q) = %v", dir, err)
		}
		for _, e := range list {
			if e.Dir {
				e.Name += "/"
			}
			out = append(out, e.Name)
		}
		return out
	}
	if diff := cmp.Diff([]string{"a", "vm/", "z/"}, names(first, "")); diff != "" {
		t.Errorf("List of the first (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"web-x", "web.y", "web/"}, names("", "vm")); diff != "" {
		t.Errorf("List of vm (-want +got):\n%s", diff)
	}
	for path, kind := range map[string]errs.Kind{"a": errs.Invalid, "none": errs.NotFound, "../x": errs.Invalid} {
		if _, err := r.List("", path); !errs.Is(err, kind) {
			t.Errorf("List(%q) = %v; want %s", path, err, kind)
		}
	}
	if out := run(t, dir, "fsck", "--full", "--strict"); strings.Contains(out, "error") {
		t.Errorf("git fsck: %s", out)
	}
	if got := run(t, dir, "ls-tree", "-r", "--name-only", "main"); got != "a\nvm/web-x\nvm/web.y\nvm/web/1.yaml\nvm/web/2.yaml\n" {
		t.Errorf("git ls-tree: %s", got)
	}
}

func TestLogAndTrailers(t *testing.T) {
	t.Parallel()
	r, dir := open(t)
	when := time.Date(2026, 3, 29, 1, 30, 0, 0, time.FixedZone("", 3600))
	h := commit(t, r, gitrepo.Commit{Message: "Add web\n\nBecause.\n", Trailers: map[string]string{"Tutti-Request": "req_1", "Tutti-Trace": "ab"}, Author: "Ann O'Nym", Email: "ann@example.com", When: when, Files: files("vm/web", "1")})
	commit(t, r, gitrepo.Commit{Message: "Add db", Files: files("vm/db", "1")})
	commit(t, r, gitrepo.Commit{Message: "Change web", Files: files("vm/web", "2")})
	commit(t, r, gitrepo.Commit{Message: "Remove web", Remove: []string{"vm/web"}})

	subjects := func(path string, limit int) (out []string) {
		log, err := r.Log(t.Context(), path, limit)
		if err != nil {
			t.Fatal(err)
		}
		for _, rec := range log {
			out = append(out, rec.Message)
		}
		return out
	}
	for _, tc := range []struct {
		path  string
		limit int
		want  []string
	}{
		{"", 9, []string{"Remove web", "Change web", "Add db", "Add web\n\nBecause.", "Begin"}},
		{"", 2, []string{"Remove web", "Change web"}},
		{"vm/web", 9, []string{"Remove web", "Change web", "Add web\n\nBecause."}},
		{"vm", 9, []string{"Remove web", "Change web", "Add db", "Add web\n\nBecause."}},
		{"none", 9, nil},
		{"", 0, nil},
	} {
		if diff := cmp.Diff(tc.want, subjects(tc.path, tc.limit)); diff != "" {
			t.Errorf("Log(%q, %d) (-want +got):\n%s", tc.path, tc.limit, diff)
		}
	}
	log, _ := r.Log(t.Context(), "vm/web", 9)
	rec := log[2]
	if rec.Hash != h || rec.Author != "Ann O'Nym" || rec.Email != "ann@example.com" || !rec.When.Equal(when) || cmp.Diff(map[string]string{"Tutti-Request": "req_1", "Tutti-Trace": "ab"}, rec.Trailers) != "" {
		t.Errorf("Log gave %+v", rec)
	}
	want := "Ann O'Nym <ann@example.com> 2026-03-29T01:30:00+01:00 Tutti Add web|Because.\n\nTutti-Request: req_1\nTutti-Trace: ab\n|req_1\n"
	if got := run(t, dir, "log", "-1", "--format=%an <%ae> %aI %cn %s|%b|%(trailers:key=Tutti-Request,valueonly,separator=%x2C)", h); got != want {
		t.Errorf("git log = %q\nwant %q", got, want)
	}
}

func TestOnce(t *testing.T) {
	t.Parallel()
	r, dir := open(t)
	c := gitrepo.Commit{Message: "Add", Trailers: map[string]string{"Tutti-Request": "req_1"}, Once: "Tutti-Request", Files: files("a", "1")}
	if _, err := r.FindByTrailer(t.Context(), "Tutti-Request", "req_1"); !errs.Is(err, errs.NotFound) {
		t.Errorf("FindByTrailer before = %v; want NotFound", err)
	}
	h := commit(t, r, c)
	commit(t, r, gitrepo.Commit{Files: files("a", "2")})
	again, err := gitrepo.Open(dir, "") // as after a restart
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range []*gitrepo.Repo{r, again} {
		if got := commit(t, r, c); got != h {
			t.Errorf("the same request committed %s; want %s", got, h)
		}
		if got, err := r.FindByTrailer(t.Context(), "Tutti-Request", "req_1"); got != h || err != nil {
			t.Errorf("FindByTrailer = %s, %v; want %s", got, err, h)
		}
		if b, err := r.Read("", "a"); string(b) != "2" || err != nil {
			t.Errorf("Read = %q, %v; want 2: the old request must not come back", b, err)
		}
	}
	c.Trailers = map[string]string{"Tutti-Request": "req_2"}
	if got := commit(t, r, c); got == h {
		t.Error("another request got the commit of the first")
	}
	if h2, err := again.FindByTrailer(t.Context(), "Tutti-Request", "req_2"); err != nil || h2 == h {
		t.Errorf("the other handle finds %s, %v", h2, err)
	}
}

func TestParentMustBe(t *testing.T) {
	t.Parallel()
	r, _ := open(t)
	head, err := r.Head()
	if err != nil {
		t.Fatal(err)
	}
	h := commit(t, r, gitrepo.Commit{ParentMustBe: head, Files: files("a", "1")})
	if _, err := r.Commit(t.Context(), gitrepo.Commit{Message: "m", ParentMustBe: head, Files: files("a", "2")}); !errs.Is(err, errs.Conflict) {
		t.Errorf("Commit on an old parent = %v; want Conflict", err)
	}
	if now, _ := r.Head(); now != h {
		t.Errorf("the branch moved to %s", now)
	}
}

// Several handles stand for several processes: they share nothing but the directory.
func TestConcurrentCommits(t *testing.T) {
	t.Parallel()
	r1, dir := open(t)
	r2, err := gitrepo.Open(dir, "main")
	if err != nil {
		t.Fatal(err)
	}
	const n = 20
	var wg sync.WaitGroup
	for i := range n {
		for k, r := range []*gitrepo.Repo{r1, r2} {
			wg.Go(func() {
				c := gitrepo.Commit{Message: "m", Once: "Key", Trailers: map[string]string{"Key": fmt.Sprint("both", i)}, Files: files(fmt.Sprintf("d%d/%d", i%3, i), "x")}
				if _, err := r.Commit(t.Context(), c); err != nil {
					t.Error(err)
				}
				c = gitrepo.Commit{Message: "m", Files: files(fmt.Sprintf("own/%d-%d", k, i), "x")}
				if _, err := r.Commit(t.Context(), c); err != nil {
					t.Error(err)
				}
				if _, err := r.Log(t.Context(), "own", 5); err != nil {
					t.Error(err)
				}
			})
		}
	}
	wg.Wait()
	log, err := r1.Log(t.Context(), "", 1000)
	if err != nil || len(log) != 1+3*n {
		t.Errorf("%d commits, %v; want %d", len(log), err, 1+3*n)
	}
	if own, err := r2.List("", "own"); len(own) != 2*n || err != nil {
		t.Errorf("%d files, %v; want %d", len(own), err, 2*n)
	}
	run(t, dir, "fsck", "--full", "--strict")
}

func TestTogetherWithGit(t *testing.T) {
	t.Parallel()
	r, dir := open(t)
	commit(t, r, gitrepo.Commit{Files: files("a", "1")})
	clone := filepath.Join(t.TempDir(), "clone")
	run(t, dir, "clone", "-q", dir, clone)
	if err := os.WriteFile(filepath.Join(clone, "theirs"), []byte("t"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("a", filepath.Join(clone, "link")); err != nil {
		t.Fatal(err)
	}
	run(t, clone, "add", ".")
	run(t, clone, "commit", "-q", "-m", "Theirs\n\nKey: theirs")
	run(t, clone, "push", "-q")
	run(t, dir, "gc", "-q", "--prune=now") // packs objects and refs under our feet
	h := commit(t, r, gitrepo.Commit{Files: files("a", "2")})
	if b, err := r.Read(h, "theirs"); string(b) != "t" || err != nil {
		t.Errorf("Read(theirs) = %q, %v", b, err)
	}
	if b, err := r.Read(h, "link"); !errs.Is(err, errs.Invalid) {
		t.Errorf("Read(a link) = %q, %v; want Invalid", b, err)
	}
	if got, err := r.FindByTrailer(t.Context(), "Key", "theirs"); err != nil || got == "" {
		t.Errorf("FindByTrailer(theirs) = %s, %v", got, err)
	}
	run(t, clone, "pull", "-q")
	if b, _ := os.ReadFile(filepath.Join(clone, "a")); string(b) != "2" {
		t.Errorf("git pulled %q", b)
	}
	run(t, dir, "fsck", "--full", "--strict")
}

func TestLocks(t *testing.T) {
	t.Parallel()
	r, dir := open(t)
	lock := filepath.Join(dir, "refs", "heads", "main.lock")
	before, _ := r.Head()
	if err := os.WriteFile(lock, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Commit(t.Context(), gitrepo.Commit{Message: "m"}); !errs.Is(err, errs.Unavailable) {
		t.Errorf("Commit while git holds its lock = %v; want Unavailable", err)
	}
	if now, err := r.Head(); now != before || err != nil {
		t.Errorf("Head = %s, %v; want %s", now, err, before)
	}
	old := time.Now().Add(-time.Minute) // left behind by a crash
	if err := os.Chtimes(lock, old, old); err != nil {
		t.Fatal(err)
	}
	commit(t, r, gitrepo.Commit{})
	if _, err := os.Stat(lock); err == nil {
		t.Error("the lock is still there")
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := r.Commit(ctx, gitrepo.Commit{Message: "m"}); !errors.Is(err, context.Canceled) {
		t.Errorf("Commit(cancelled) = %v", err)
	}
}

func TestRefuses(t *testing.T) {
	t.Parallel()
	r, _ := open(t)
	commit(t, r, gitrepo.Commit{Files: files("file", "x", "dir/file", "x")})
	before, _ := r.Head()
	long := strings.Repeat("x", 256)
	for _, p := range []string{"", "/", "/a", "a/", "a//b", ".", "..", "../a", "a/../b", "a/.", "./a", "a\x00", "a\nb", "a\x7f", "a\\b", "\\\\host\\x", "\xff",
		".git", ".GIT/config", "a/.git/hooks/x", ".Git ", ".git.", ".git . .", ".git::$INDEX_ALLOCATION/x", "git~1", "GIT~2/x", ".g\u200cit", ".git\u200d", "\ufeff.git", ".gitmodules", ".GITMODULES", "gi7eba~1", "gitmod~1",
		"a\u202eb", "a\u2028b", long, strings.Repeat("a/", 600) + "a"} {
		for _, c := range []gitrepo.Commit{{Message: "m", Files: files(p, "x")}, {Message: "m", Remove: []string{p}}} {
			if _, err := r.Commit(t.Context(), c); !errs.Is(err, errs.Invalid) {
				t.Errorf("Commit of %q = %v; want Invalid", p, err)
			}
		}
		if _, err := r.Read("", p); !errs.Is(err, errs.Invalid) {
			t.Errorf("Read(%q) = %v; want Invalid", p, err)
		}
	}
	tr := func(k, v string) map[string]string { return map[string]string{k: v} }
	for name, c := range map[string]gitrepo.Commit{
		"no message":         {},
		"blank message":      {Message: " \n"},
		"NUL in message":     {Message: "a\x00b"},
		"CR in message":      {Message: "a\rb"},
		"bad UTF-8":          {Message: "\xff"},
		"forged trailer":     {Message: "m\n\nTutti-Request: req_1"},
		"newline in trailer": {Message: "m", Trailers: tr("A", "b\nTutti-Request: req_1")},
		"empty trailer":      {Message: "m", Trailers: tr("A", "")},
		"space in trailer":   {Message: "m", Trailers: tr("A", " b")},
		"bad key":            {Message: "m", Trailers: tr("A: b\nC", "d")},
		"empty key":          {Message: "m", Trailers: tr("", "d")},
		"missing once":       {Message: "m", Once: "A"},
		"author":             {Message: "m", Author: "a\nb"},
		"author's brackets":  {Message: "m", Author: "a <b>"},
		"mail":               {Message: "m", Email: "a> 1 +0\nparent x"},
		"both":               {Message: "m", Files: files("a", ""), Remove: []string{"a"}},
		"file over dir":      {Message: "m", Files: files("dir", "x")},
		"remove dir":         {Message: "m", Remove: []string{"dir"}},
		"dir over file":      {Message: "m", Files: files("file/x", "x")},
		"file and dir":       {Message: "m", Files: files("n", "x", "n/x", "x")},
	} {
		if h, err := r.Commit(t.Context(), c); !errs.Is(err, errs.Invalid) {
			t.Errorf("%s: Commit = %s, %v; want Invalid", name, h, err)
		}
	}
	many := map[string][]byte{}
	for i := range gitrepo.MaxChanges + 1 {
		many[fmt.Sprint(i)] = nil
	}
	big := map[string][]byte{}
	for i := range 7 {
		big[fmt.Sprint(i)] = make([]byte, gitrepo.MaxFile)
	}
	for name, c := range map[string]gitrepo.Commit{
		"a large file": {Message: "m", Files: map[string][]byte{"a": make([]byte, gitrepo.MaxFile+1)}}, "many files": {Message: "m", Files: many}, "much": {Message: "m", Files: big},
		"a long message": {Message: strings.Repeat("m", 1<<20)},
	} {
		if _, err := r.Commit(t.Context(), c); !errs.Is(err, errs.TooLarge) {
			t.Errorf("%s: Commit = %v; want TooLarge", name, err)
		}
	}
	if now, _ := r.Head(); now != before {
		t.Error("something refused was committed")
	}
	for _, p := range []string{".gitignore", "..a", "a..b", "git", "x.git", "a b", "ä/ö", "-a", "~", "a~1", "a:b", "CON"} {
		commit(t, r, gitrepo.Commit{Files: files(p, "x")})
	}
}

func TestOpenAndInit(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if _, err := gitrepo.Open(dir, ""); !errs.Is(err, errs.NotFound) {
		t.Errorf("Open(empty directory) = %v; want NotFound", err)
	}
	var wg sync.WaitGroup
	heads := make([]string, 8)
	for i := range heads {
		wg.Go(func() {
			r, err := gitrepo.Init(dir, "trunk/x")
			if err != nil {
				t.Error(err)
				return
			}
			heads[i], _ = r.Head()
		})
	}
	wg.Wait()
	for _, h := range heads {
		if h != heads[0] || h == "" {
			t.Errorf("heads after racing Inits: %v", heads)
		}
	}
	if _, err := gitrepo.Open(dir, "other"); !errs.Is(err, errs.NotFound) {
		t.Errorf("Open(unknown branch) = %v; want NotFound", err)
	}
	for _, b := range []string{"../x", "a..b", "-x", "a.lock", "a//b", "/a", "@{", "a b", "HEAD~1"} {
		if _, err := gitrepo.Init(dir, b); !errs.Is(err, errs.Invalid) {
			t.Errorf("Init(branch %q) = %v; want Invalid", b, err)
		}
	}
	if got := run(t, dir, "symbolic-ref", "HEAD"); got != "refs/heads/trunk/x\n" {
		t.Errorf("HEAD is %s", got)
	}
}

func TestDamageIsFound(t *testing.T) {
	t.Parallel()
	r, dir := open(t)
	commit(t, r, gitrepo.Commit{Files: files("a", "good")})
	list, err := r.List("", "")
	if err != nil {
		t.Fatal(err)
	}
	h := list[0].Hash
	path := filepath.Join(dir, "objects", h[:2], h[2:])
	commit(t, r, gitrepo.Commit{Files: files("b", "evil")})
	list, _ = r.List("", "")
	evil, err := os.ReadFile(filepath.Join(dir, "objects", list[1].Hash[:2], list[1].Hash[2:]))
	if err != nil {
		t.Fatal(err)
	}
	for _, damage := range [][]byte{evil, nil, []byte("x"), evil[:len(evil)/2]} {
		os.Remove(path)
		if err := os.WriteFile(path, damage, 0o400); err != nil {
			t.Fatal(err)
		}
		fresh, err := gitrepo.Open(dir, "")
		if err != nil {
			t.Fatal(err)
		}
		if b, err := fresh.Read("", "a"); err == nil {
			t.Errorf("Read of a damaged file = %q", b)
		}
		commit(t, fresh, gitrepo.Commit{Files: files("a", "good")}) // heals it
		if b, err := fresh.Read("", "a"); string(b) != "good" || err != nil {
			t.Errorf("Read after writing it again = %q, %v", b, err)
		}
	}
}

// Against a map: any sequence of commits reads back as the files it should have left.
func TestModel(t *testing.T) {
	t.Parallel()
	base := t.TempDir()
	var n int
	rapid.Check(t, func(rt *rapid.T) {
		n++
		r, err := gitrepo.Init(filepath.Join(base, fmt.Sprint(n)), "")
		if err != nil {
			rt.Fatal(err)
		}
		want := map[string]string{}
		name := rapid.SampledFrom([]string{"a", "a-", "a.b", "d/a", "d/b", "d/e/f", "d/e.f", "d/e-", "g/h/i/j"})
		for range rapid.IntRange(1, 6).Draw(rt, "commits") {
			c := gitrepo.Commit{Message: "m", Files: map[string][]byte{}}
			for p, v := range rapid.MapOf(name, rapid.SampledFrom([]string{"", "1", "2"})).Draw(rt, "files") {
				c.Files[p] = []byte(v)
				want[p] = v
			}
			for _, p := range rapid.SliceOf(name).Draw(rt, "remove") {
				if _, ok := c.Files[p]; !ok {
					c.Remove = append(c.Remove, p)
					delete(want, p)
				}
			}
			if _, err := r.Commit(t.Context(), c); err != nil {
				rt.Fatal(err)
			}
			got := map[string]string{}
			collect(rt, r, "", got)
			if diff := cmp.Diff(want, got); diff != "" {
				rt.Fatalf("files (-want +got):\n%s", diff)
			}
		}
	})
}

func collect(t *rapid.T, r *gitrepo.Repo, dir string, out map[string]string) {
	list, err := r.List("", dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range list {
		p := strings.TrimPrefix(dir+"/"+e.Name, "/")
		if e.Dir {
			collect(t, r, p, out)
			continue
		}
		b, err := r.Read("", p)
		if err != nil {
			t.Fatal(err)
		}
		out[p] = string(b)
	}
}

func benchmark(b *testing.B, dirs, each int) {
	r, _ := open(b)
	all := map[string][]byte{}
	for d := range dirs {
		for i := range each {
			all[fmt.Sprintf("ns/d%d/f%d.yaml", d, i)] = bytes.Repeat([]byte("cpu: 2\n"), 20)
		}
	}
	commit(b, r, gitrepo.Commit{Files: all})
	for i := 0; b.Loop(); i++ {
		key := fmt.Sprint("req_", i)
		commit(b, r, gitrepo.Commit{Files: files(fmt.Sprintf("ns/d%d/f%d.yaml", i%dirs, i%each), key), Once: "Tutti-Request", Trailers: map[string]string{"Tutti-Request": key}})
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "commits/s")
}

func BenchmarkCommit1000FilesFlat(b *testing.B)  { benchmark(b, 1, 1000) }
func BenchmarkCommit1000FilesInTen(b *testing.B) { benchmark(b, 10, 100) }
func BenchmarkCommit10000Files(b *testing.B)     { benchmark(b, 100, 100) }
