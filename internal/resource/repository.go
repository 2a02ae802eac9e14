package resource

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"unicode/utf8"

	"tutti/api"
	"tutti/errs"
	"tutti/id"
	"tutti/internal/gitrepo"
	"tutti/internal/store"
)

const (
	// keyTrailer marks a commit with the key it was made under.
	keyTrailer = "Tutti-Key"
	// maxText bounds a file that is read, in bytes: it travels in one message.
	maxText = 4 << 20
)

var (
	namespaceForm  = regexp.MustCompile(`^[a-z][a-z0-9-]{0,62}$`)
	repositoryForm = regexp.MustCompile(`^[a-z][a-z0-9]*([._-][a-z0-9]+)*$`)
	plainKey       = regexp.MustCompile(`^[!-~]{1,200}$`)
)

// repositories are those that were opened, by namespace and name.
type repositories struct {
	dir string

	mu   sync.Mutex
	open map[string]*gitrepo.Repo
}

// of returns a repository; create makes one that is not there. It returns errs.NotFound, or
// errs.Invalid for what cannot be a name.
func (rs *repositories) of(namespace, name string, create bool) (*gitrepo.Repo, error) {
	if !namespaceForm.MatchString(namespace) || !repositoryForm.MatchString(name) || len(name) > 63 || strings.HasSuffix(name, ".git") {
		return nil, errs.New(errs.Invalid, "%.100q in namespace %.100q cannot be the name of a repository", name, namespace).
			WithHint("a name begins with a small letter and has small letters and digits, in parts joined by . _ or -, 63 at most")
	}
	rs.mu.Lock()
	defer rs.mu.Unlock()
	key := namespace + "/" + name
	if r := rs.open[key]; r != nil {
		return r, nil
	}
	dir := filepath.Join(rs.dir, namespace, name+".git")
	if !create {
		// Open tells where it looked, which is nobody's business.
		if _, err := os.Stat(filepath.Join(dir, "HEAD")); errors.Is(err, fs.ErrNotExist) {
			return nil, errs.New(errs.NotFound, "no repository %q in namespace %s", name, namespace)
		}
	}
	r, err := gitrepo.Init(dir, "")
	if err != nil {
		return nil, fmt.Errorf("open repository %s: %w", key, err)
	}
	if rs.open == nil {
		rs.open = map[string]*gitrepo.Repo{}
	}
	rs.open[key] = r
	return r, nil
}

// commit writes files as one commit. That it is to be made is stored first; the key goes into the
// commit, so that the repository itself knows what was made.
func (s *Service) commit(ctx context.Context, in api.CommitIn) (api.Commit, error) {
	if in.Key == "" {
		in.Key = id.New("commit")
	}
	for k := range in.Trailers {
		if strings.EqualFold(k, keyTrailer) {
			return api.Commit{}, errs.New(errs.Invalid, "the trailer %s is set by Tutti itself", keyTrailer).WithHint("leave it out")
		}
	}
	hash, err := commitHash(in)
	if err != nil {
		return api.Commit{}, err
	}
	repo, err := s.repos.of(in.Namespace, in.Repository, true)
	if err != nil {
		return api.Commit{}, err
	}
	var i intent
	if err := s.d.DB.Tx(ctx, func(tx *store.Tx) error { i, err = intend(tx, in, hash); return err }); err != nil {
		return api.Commit{}, err
	}
	if i.revision == "" {
		if i.revision, err = s.make(ctx, repo, in, i); err != nil {
			return api.Commit{}, err
		}
	}
	files := append(slices.Collect(maps.Keys(in.Files)), in.Remove...)
	slices.Sort(files)
	return api.Commit{Repository: in.Repository, Hash: i.revision, Message: in.Message, Author: in.Author, At: i.at, Files: slices.Compact(files)}, nil
}

// make makes a commit whose intent is stored, or finds the one that was made, and stores its hash.
func (s *Service) make(ctx context.Context, repo *gitrepo.Repo, in api.CommitIn, i intent) (string, error) {
	c := gitrepo.Commit{Message: in.Message, Trailers: maps.Clone(in.Trailers), Once: keyTrailer, Author: in.Author, When: i.at, Files: map[string][]byte{}, Remove: in.Remove}
	if c.Trailers == nil {
		c.Trailers = map[string]string{}
	}
	c.Trailers[keyTrailer] = trailerOf(in.Key)
	for path, text := range in.Files {
		c.Files[path] = []byte(text)
	}
	revision, err := repo.Commit(ctx, c)
	if errs.Is(err, errs.Invalid) || errs.Is(err, errs.TooLarge) {
		return "", errors.Join(err, s.d.DB.Tx(ctx, func(tx *store.Tx) error { return forget(tx, in) }))
	}
	if err != nil {
		return "", fmt.Errorf("commit to %s: %w", in.Repository, err)
	}
	return revision, s.d.DB.Tx(ctx, func(tx *store.Tx) error {
		first, err := made(tx, in, revision)
		if err != nil || !first {
			return err
		}
		return tx.Audit(store.Act{Namespace: in.Namespace, Action: api.CommitFiles.Perm, Object: in.Repository,
			Detail: map[string]any{"commit": revision, "key": in.Key, "files": len(in.Files), "removed": len(in.Remove)}})
	})
}

// trailerOf is a key as a trailer can hold it.
func trailerOf(key string) string {
	if plainKey.MatchString(key) {
		return key
	}
	sum := sha256.Sum256([]byte(key))
	return "sha256:" + hex.EncodeToString(sum[:])
}

// commitHash identifies what was asked under a key.
func commitHash(in api.CommitIn) (string, error) {
	b, err := json.Marshal(in)
	if err != nil {
		return "", fmt.Errorf("hash of the commit: %w", err)
	}
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:]), nil
}

// commits lists the commits of a repository, or those that changed a path, newest first.
func (s *Service) commits(ctx context.Context, in api.ListCommitsIn) (api.Page[api.Commit], error) {
	repo, err := s.repos.of(in.Namespace, in.Repository, false)
	if err != nil {
		return api.Page[api.Commit]{}, err
	}
	log, err := repo.Log(ctx, in.Path, api.Paging{Limit: in.Limit}.Size())
	out := api.Page[api.Commit]{Items: []api.Commit{}}
	for _, r := range log {
		out.Items = append(out.Items, api.Commit{Repository: in.Repository, Hash: r.Hash, Message: r.Message, Author: r.Author, At: r.When.UTC()})
	}
	return out, err
}

// maxTree bounds how many files a listing has.
const maxTree = 5000

// tree lists the files below a folder as of a commit; HEAD is the newest.
func (s *Service) tree(ctx context.Context, in api.ListTreeIn) (out api.Page[api.TreeFile], err error) {
	out.Items = []api.TreeFile{}
	repo, err := s.repos.of(in.Namespace, in.Repository, false)
	if err != nil {
		return out, err
	}
	if in.Commit == "HEAD" || in.Commit == "" {
		if in.Commit, err = repo.Head(); err != nil {
			return out, fmt.Errorf("list %s: %w", in.Repository, err)
		}
	}
	var walk func(dir string) error
	walk = func(dir string) error {
		entries, err := repo.List(in.Commit, dir)
		if err != nil {
			return err
		}
		for _, e := range entries {
			at := path.Join(dir, e.Name)
			if e.Dir {
				if err := walk(at); err != nil {
					return err
				}
				continue
			}
			if len(out.Items) >= maxTree {
				return errs.New(errs.TooLarge, "there are more than %d files below %.200q", maxTree, in.Path).WithHint("name a folder further down")
			}
			out.Items = append(out.Items, api.TreeFile{Path: at, Hash: e.Hash})
		}
		return ctx.Err()
	}
	err = walk(strings.Trim(in.Path, "/"))
	if errs.Is(err, errs.NotFound) {
		return out, errs.New(errs.NotFound, "no folder %.200q in commit %.64q of repository %s", in.Path, in.Commit, in.Repository)
	}
	if err != nil {
		return out, fmt.Errorf("list %s: %w", in.Repository, err)
	}
	slices.SortFunc(out.Items, func(a, b api.TreeFile) int { return strings.Compare(a.Path, b.Path) })
	return out, nil
}

// read returns a file as of a commit; HEAD is the newest.
func (s *Service) read(_ context.Context, in api.ReadRepositoryIn) (api.RepositoryFile, error) {
	repo, err := s.repos.of(in.Namespace, in.Repository, false)
	if err != nil {
		return api.RepositoryFile{}, err
	}
	if in.Commit == "HEAD" || in.Commit == "" {
		if in.Commit, err = repo.Head(); err != nil {
			return api.RepositoryFile{}, fmt.Errorf("read %s: %w", in.Repository, err)
		}
	}
	b, err := repo.Read(in.Commit, in.Path)
	switch {
	case errs.Is(err, errs.NotFound):
		return api.RepositoryFile{}, errs.New(errs.NotFound, "no file %.200q in commit %.64q of repository %s", in.Path, in.Commit, in.Repository)
	case err != nil:
		return api.RepositoryFile{}, fmt.Errorf("read %s: %w", in.Repository, err)
	case len(b) > maxText:
		return api.RepositoryFile{}, errs.New(errs.TooLarge, "the file %.200q has %d bytes, the limit is %d", in.Path, len(b), maxText)
	case !utf8.Valid(b):
		return api.RepositoryFile{}, errs.New(errs.Invalid, "the file %.200q is not text", in.Path)
	}
	return api.RepositoryFile{Path: in.Path, Commit: in.Commit, Text: string(b)}, nil
}
