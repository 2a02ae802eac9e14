// Package gitrepo keeps files in bare git repositories without a git program: the history of
// resources, one commit a request.
//
// A commit is all or nothing: its objects are on the disk before one atomic change of the branch
// makes it visible, in the way git itself does it, so that git and other processes may use the
// repository at the same time. A commit can carry the key of the request that made it (Once), and
// is then made once however often it is asked for. The cost of a commit depends on the
// directories it touches, not on the size of the repository.
//
// The package owns the repository's directory, and in it, beside what git puts there, tutti.lock.
package gitrepo

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"sync"
	"time"

	"github.com/go-git/go-billy/v5/osfs"
	"github.com/go-git/go-git/v5"
	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/cache"
	"github.com/go-git/go-git/v5/plumbing/object"
	"github.com/go-git/go-git/v5/plumbing/storer"
	"github.com/go-git/go-git/v5/storage/filesystem"

	"tutti/errs"
)

// DefaultBranch is the branch of a repository where none is named.
const DefaultBranch = "main"

// Committer is who commits, whoever the author is.
const (
	Committer      = "Tutti"
	CommitterEmail = "tutti@localhost"
)

// Repo is a repository and one branch of it. It is safe for concurrent use; open each once, as it
// remembers what it has read. It holds nothing open.
type Repo struct {
	dir   string
	ref   plumbing.ReferenceName
	read  sync.Mutex // guards the use of store, which is not made for concurrency
	store *filesystem.Storage
	write chan struct{} // one token: held by the one that commits
	known sync.Mutex
	byKey map[string]plumbing.Hash // trailers seen in history, as key, NUL, value
	upTo  plumbing.Hash            // the head at which byKey was complete
}

var branchForm = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_-]*(/[A-Za-z0-9][A-Za-z0-9_-]*)*$`)

// Open opens the repository in dir; kind NotFound where there is none, or where it has no such
// branch. An empty branch means DefaultBranch.
func Open(dir, branch string) (*Repo, error) {
	if branch == "" {
		branch = DefaultBranch
	}
	if !branchForm.MatchString(branch) {
		return nil, errs.New(errs.Invalid, "%q is no name for a branch", branch).WithHint("use letters, digits, - and _, in parts separated by /")
	}
	if _, err := os.Stat(filepath.Join(dir, "HEAD")); errors.Is(err, fs.ErrNotExist) {
		return nil, errs.New(errs.NotFound, "no git repository in %s", dir)
	} else if err != nil {
		return nil, fmt.Errorf("open git repository: %w", err)
	}
	r := &Repo{dir: dir, ref: plumbing.NewBranchReferenceName(branch), write: make(chan struct{}, 1), byKey: map[string]plumbing.Hash{}}
	r.store = filesystem.NewStorage(osfs.New(dir), cache.NewObjectLRU(16*cache.MiByte))
	if _, err := r.head(); err != nil {
		return nil, err
	}
	return r, nil
}

// Init opens the repository in dir, after making it, with an empty first commit on branch, where
// there is none. Several processes may do so at the same time.
func Init(dir, branch string) (*Repo, error) {
	r, err := Open(dir, branch)
	if !errs.Is(err, errs.NotFound) {
		return r, err
	}
	if branch == "" {
		branch = DefaultBranch
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("make git repository: %w", err)
	}
	unlock, err := lockFile(context.Background(), filepath.Join(dir, lockName)) // background: others hold it for milliseconds
	if err != nil {
		return nil, fmt.Errorf("make git repository: %w", err)
	}
	defer unlock()
	if r, err := Open(dir, branch); !errs.Is(err, errs.NotFound) {
		return r, err // somebody was quicker
	}
	ref := plumbing.NewBranchReferenceName(branch)
	store := filesystem.NewStorage(osfs.New(dir), cache.NewObjectLRUDefault())
	if _, err := git.InitWithOptions(store, nil, git.InitOptions{DefaultBranch: ref}); err != nil && !errors.Is(err, git.ErrRepositoryAlreadyExists) {
		return nil, fmt.Errorf("make git repository: %w", err)
	}
	w := &writer{dir: dir}
	tree := w.add(&object.Tree{})
	who := object.Signature{Name: Committer, Email: CommitterEmail, When: time.Now()}
	first := w.add(&object.Commit{Author: who, Committer: who, Message: "Begin\n", TreeHash: tree})
	if err := w.flush(); err != nil {
		return nil, fmt.Errorf("make git repository: %w", err)
	}
	if err := setRef(dir, ref, first); err != nil {
		return nil, fmt.Errorf("make git repository: %w", err)
	}
	return Open(dir, branch)
}

// Head returns the hash of the branch's newest commit.
func (r *Repo) Head() (string, error) {
	h, err := r.head()
	return h.String(), err
}

func (r *Repo) head() (plumbing.Hash, error) {
	r.read.Lock()
	defer r.read.Unlock()
	ref, err := r.store.Reference(r.ref)
	if errors.Is(err, plumbing.ErrReferenceNotFound) {
		return plumbing.ZeroHash, errs.New(errs.NotFound, "the git repository %s has no branch %q", r.dir, r.ref.Short())
	}
	if err != nil {
		return plumbing.ZeroHash, fmt.Errorf("read the branch %s of %s: %w", r.ref.Short(), r.dir, err)
	}
	return ref.Hash(), nil
}

// commit returns a commit by its 40 hexadecimal digits; the head for "".
func (r *Repo) commit(hash string) (*object.Commit, error) {
	h := plumbing.NewHash(hash)
	if hash == "" {
		var err error
		if h, err = r.head(); err != nil {
			return nil, err
		}
	} else if h.String() != hash {
		return nil, errs.New(errs.Invalid, "%.100q is no commit", hash).WithHint("a commit is named by its 40 hexadecimal digits")
	}
	return load(r, "commit", h, object.GetCommit)
}

func (r *Repo) tree(h plumbing.Hash) (*object.Tree, error) {
	return load(r, "tree", h, object.GetTree)
}

// load reads an object. One that is missing is looked for once more in packs that came since: git
// may have packed it away.
func load[T any](r *Repo, what string, h plumbing.Hash, get func(storer.EncodedObjectStorer, plumbing.Hash) (T, error)) (T, error) {
	r.read.Lock()
	defer r.read.Unlock()
	o, err := get(r.store, h)
	if errors.Is(err, plumbing.ErrObjectNotFound) {
		r.store.Reindex()
		o, err = get(r.store, h)
	}
	if errors.Is(err, plumbing.ErrObjectNotFound) {
		return o, errs.New(errs.NotFound, "no %s %s in %s", what, h, r.dir)
	}
	if err != nil {
		return o, fmt.Errorf("read %s %s of %s: %w", what, h, r.dir, err)
	}
	return o, nil
}
