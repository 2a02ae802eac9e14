package resource

import (
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"tutti/api"
	"tutti/errs"
	"tutti/internal/gitrepo"
	"tutti/internal/store"
	"tutti/internal/store/pgtest"
)

func vmFile(key, path, text string) api.CommitIn {
	return api.CommitIn{NS: inDefault, Repository: "virtual-machine", Key: key, Message: "Add " + path, Author: "user:anna",
		Trailers: map[string]string{"Request": "req_1"}, Files: map[string]string{path: text}}
}

func (w *world) put(in api.CommitIn) (api.Commit, error) {
	return api.CommitFiles.Call(w.as(api.Operator), w.bus, in)
}

func (w *world) log(path string) (messages []string) {
	w.Helper()
	page, err := api.ListCommits.Call(w.as(api.Viewer), w.bus, api.ListCommitsIn{NS: inDefault, Repository: "virtual-machine", Path: path})
	if err != nil {
		w.Fatal(err)
	}
	for _, c := range page.Items {
		messages = append(messages, c.Author+": "+c.Message)
	}
	return messages
}

func TestCommit(t *testing.T) {
	t.Parallel()
	for name, config := range map[string]func(*testing.T) store.Config{
		"sqlite":   func(t *testing.T) store.Config { return store.Config{Dir: t.TempDir()} },
		"postgres": func(t *testing.T) store.Config { return store.Config{URL: pgtest.URL(t)} },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, config(t))
			first, err := w.put(vmFile("k1", "web-01.json", "{}"))
			if err != nil {
				t.Fatal(err)
			}
			second, err := w.put(api.CommitIn{NS: inDefault, Repository: "virtual-machine", Message: "Change", Files: map[string]string{"web-01.json": "{1}"}})
			if err != nil || second.Hash == first.Hash {
				t.Fatalf("a commit without a key = %+v, %v", second, err)
			}
			again, err := w.put(vmFile("k1", "web-01.json", "{}"))
			if diff := cmp.Diff(first, again); err != nil || diff != "" {
				t.Errorf("the same key again: %v (-first +again):\n%s", err, diff)
			}
			if _, err := w.put(vmFile("k1", "web-01.json", "other")); !errs.Is(err, errs.Conflict) {
				t.Errorf("the same key with other content = %v; want conflict", err)
			}
			if diff := cmp.Diff([]string{"Tutti: Change", "user:anna: Add web-01.json", "Tutti: Begin"}, w.log("")); diff != "" {
				t.Errorf("log (-want +got):\n%s", diff)
			}
			for commit, want := range map[string]string{first.Hash: "{}", second.Hash: "{1}", "HEAD": "{1}"} {
				f, err := api.ReadRepository.Call(w.as(api.Viewer), w.bus, api.ReadRepositoryIn{NS: inDefault, Repository: "virtual-machine", Commit: commit, Path: "web-01.json"})
				if err != nil || f.Text != want || len(f.Commit) != 40 {
					t.Errorf("read at %s = %+v, %v; want %s", commit, f, err, want)
				}
			}
			acts, err := w.db.Acts(t.Context(), "default", 0, 10)
			if err != nil || len(acts) != 2 || acts[1].Action != "repository.write" || acts[1].Object != "virtual-machine" || acts[1].Subject != "user:anna" {
				t.Errorf("acts = %+v, %v; want one for each commit", acts, err)
			}
		})
	}
}

// Whatever is left by a crash between the intent, the commit and its record, there is one commit.
func TestCommitOverCrashes(t *testing.T) {
	t.Parallel()
	for name, crash := range map[string]func(w *world, in api.CommitIn, hash string){
		"after the intent": func(w *world, in api.CommitIn, hash string) { w.intended(in, hash) },
		"after the commit": func(w *world, in api.CommitIn, hash string) {
			i := w.intended(in, hash)
			repo, err := w.repos.of(in.Namespace, in.Repository, true)
			if err != nil {
				w.Fatal(err)
			}
			_, err = repo.Commit(w.Context(), gitrepo.Commit{Message: in.Message, Author: in.Author, When: i.at, Once: keyTrailer,
				Trailers: map[string]string{"Request": "req_1", keyTrailer: trailerOf(in.Key)}, Files: map[string][]byte{"web-01.json": []byte("{}")}})
			if err != nil {
				w.Fatal(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, store.Config{Dir: t.TempDir()})
			in := vmFile("key with spaces\n", "web-01.json", "{}")
			hash, err := commitHash(in)
			if err != nil {
				t.Fatal(err)
			}
			crash(w, in, hash)
			w.repos = repositories{dir: w.repos.dir} // as after a restart
			for range 2 {
				if _, err := w.put(in); err != nil {
					t.Fatal(err)
				}
			}
			if got := w.log("web-01.json"); len(got) != 1 {
				t.Errorf("commits = %q; want one", got)
			}
		})
	}
}

func (w *world) intended(in api.CommitIn, hash string) (i intent) {
	w.Helper()
	err := w.db.Tx(w.Context(), func(tx *store.Tx) (err error) { i, err = intend(tx, in, hash); return err })
	if err != nil {
		w.Fatal(err)
	}
	return i
}

func TestConcurrentCommits(t *testing.T) {
	t.Parallel()
	w := newWorld(t, store.Config{Dir: t.TempDir()})
	var wg sync.WaitGroup
	for i := range 16 {
		wg.Go(func() {
			key := string(rune('a' + i/2)) // each key twice
			if _, err := w.put(vmFile(key, key+".json", "{}")); err != nil {
				t.Errorf("commit %s = %v", key, err)
			}
		})
	}
	wg.Wait()
	if got := w.log(""); len(got) != 8+1 {
		t.Errorf("%d commits: %q; want one a key and the first", len(got), got)
	}
	if acts, err := w.db.Acts(t.Context(), "default", 0, 100); err != nil || len(acts) != 8 {
		t.Errorf("%d acts, %v; want one a key", len(acts), err)
	}
}

func TestRepositoryRefuses(t *testing.T) {
	t.Parallel()
	w := newWorld(t, store.Config{Dir: t.TempDir()})
	if _, err := w.put(vmFile("k1", "a.json", "{}")); err != nil {
		t.Fatal(err)
	}
	in := func(change func(*api.CommitIn)) api.CommitIn {
		c := vmFile("k2", "a.json", "{}")
		change(&c)
		return c
	}
	for name, c := range map[string]struct {
		in   api.CommitIn
		kind errs.Kind
	}{
		"a path upwards":         {in(func(c *api.CommitIn) { c.Files = map[string]string{"../../x": ""} }), errs.Invalid},
		"an absolute path":       {in(func(c *api.CommitIn) { c.Files = map[string]string{"/etc/passwd": ""} }), errs.Invalid},
		"git's own files":        {in(func(c *api.CommitIn) { c.Files = map[string]string{".git/config": ""} }), errs.Invalid},
		"no message":             {in(func(c *api.CommitIn) { c.Message = "" }), errs.Invalid},
		"our own trailer":        {in(func(c *api.CommitIn) { c.Trailers = map[string]string{"tutti-key": "k1"} }), errs.Invalid},
		"a repository upwards":   {in(func(c *api.CommitIn) { c.Repository = "../other" }), errs.Invalid},
		"a repository of dots":   {in(func(c *api.CommitIn) { c.Repository = ".." }), errs.Invalid},
		"a repository's own end": {in(func(c *api.CommitIn) { c.Repository = "a.git" }), errs.Invalid},
		"a foreign namespace":    {in(func(c *api.CommitIn) { c.Namespace = "other" }), errs.NotFound},
		"much in one file":       {in(func(c *api.CommitIn) { c.Files = map[string]string{"a": strings.Repeat("x", gitrepo.MaxFile+1)} }), errs.TooLarge},
	} {
		if _, err := w.put(c.in); errs.KindOf(err) != c.kind || err == nil || strings.Contains(err.Error(), w.repos.dir) {
			t.Errorf("%s: %v (%q); want %q", name, err, errs.KindOf(err), c.kind)
		}
	}
	// What was refused leaves the key free.
	if _, err := w.put(vmFile("k2", "b.json", "{}")); err != nil {
		t.Errorf("the key after refusals: %v", err)
	}
	for name, c := range map[string]struct {
		in   api.ReadRepositoryIn
		kind errs.Kind
	}{
		"no repository": {api.ReadRepositoryIn{Repository: "none", Commit: "HEAD", Path: "a"}, errs.NotFound},
		"no commit":     {api.ReadRepositoryIn{Repository: "virtual-machine", Commit: strings.Repeat("a", 40), Path: "a.json"}, errs.NotFound},
		"a bad commit":  {api.ReadRepositoryIn{Repository: "virtual-machine", Commit: "main@{1}", Path: "a.json"}, errs.Invalid},
		"no file":       {api.ReadRepositoryIn{Repository: "virtual-machine", Commit: "HEAD", Path: "x.json"}, errs.NotFound},
		"a path":        {api.ReadRepositoryIn{Repository: "virtual-machine", Commit: "HEAD", Path: "../a.json"}, errs.Invalid},
	} {
		c.in.NS = inDefault
		if _, err := api.ReadRepository.Call(w.as(api.Viewer), w.bus, c.in); errs.KindOf(err) != c.kind || err == nil || strings.Contains(err.Error(), w.repos.dir) {
			t.Errorf("%s: %v (%q); want %q and no folder", name, err, errs.KindOf(err), c.kind)
		}
	}
	if _, err := api.ListCommits.Call(w.as(api.Viewer), w.bus, api.ListCommitsIn{NS: inDefault, Repository: "none"}); !errs.Is(err, errs.NotFound) {
		t.Errorf("log of no repository = %v; want not found", err)
	}
	if _, err := api.CommitFiles.Call(w.as(api.Viewer), w.bus, vmFile("k3", "c.json", "")); !errs.Is(err, errs.Denied) {
		t.Errorf("commit by a viewer = %v; want denied", err)
	}
}
