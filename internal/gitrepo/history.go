package gitrepo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/filemode"
	"github.com/go-git/go-git/v5/plumbing/object"

	"tutti/errs"
)

// Entry is one file or directory of a List.
type Entry struct {
	Name string
	Dir  bool
	Hash string // of its content: the same hash is the same content
}

// Read returns the content of the file at path in commit, the head for "". Kind NotFound where the
// commit or the file is missing, Invalid where path is no plain path or no plain file.
func (r *Repo) Read(commit, path string) ([]byte, error) {
	if err := checkPath(path); err != nil {
		return nil, err
	}
	c, err := r.commit(commit)
	if err != nil {
		return nil, err
	}
	e, err := r.find(c.TreeHash, path)
	if err != nil {
		return nil, err
	}
	switch e.Mode {
	case filemode.Regular, filemode.Executable, filemode.Deprecated:
	default:
		return nil, errs.New(errs.Invalid, "%s is no plain file", path)
	}
	b, err := load(r, "file", e.Hash, object.GetBlob)
	if err != nil {
		return nil, err
	}
	if b.Size > MaxFile {
		return nil, errs.New(errs.TooLarge, "the file %s has %d bytes; at most %d can be read", path, b.Size, MaxFile)
	}
	r.read.Lock()
	defer r.read.Unlock()
	in, err := b.Reader()
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", path, err)
	}
	defer in.Close()
	out, err := io.ReadAll(in)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", path, err)
	}
	// go-git does not look whether the content is the one that was asked for.
	if h := plumbing.ComputeHash(plumbing.BlobObject, out); h != e.Hash {
		return nil, fmt.Errorf("read %s: the stored object %s is damaged", path, e.Hash)
	}
	return out, nil
}

// List returns what is in the directory dir of commit, in the order of git; the top for dir "", the
// head for commit "".
func (r *Repo) List(commit, dir string) ([]Entry, error) {
	c, err := r.commit(commit)
	if err != nil {
		return nil, err
	}
	h := c.TreeHash
	if dir != "" {
		if err := checkPath(dir); err != nil {
			return nil, err
		}
		e, err := r.find(h, dir)
		if err != nil {
			return nil, err
		}
		if e.Mode != filemode.Dir {
			return nil, errs.New(errs.Invalid, "%s is no directory", dir)
		}
		h = e.Hash
	}
	t, err := r.tree(h)
	if err != nil {
		return nil, err
	}
	out := make([]Entry, len(t.Entries))
	for i, e := range t.Entries {
		out[i] = Entry{e.Name, e.Mode == filemode.Dir, e.Hash.String()}
	}
	return out, nil
}

// find returns the entry at path below the tree h.
func (r *Repo) find(h plumbing.Hash, path string) (object.TreeEntry, error) {
	missing := errs.New(errs.NotFound, "no file %s", path)
	for {
		t, err := r.tree(h)
		if err != nil {
			return object.TreeEntry{}, err
		}
		name, rest, below := strings.Cut(path, "/")
		i := slices.IndexFunc(t.Entries, func(e object.TreeEntry) bool { return e.Name == name })
		if i < 0 || below && t.Entries[i].Mode != filemode.Dir {
			return object.TreeEntry{}, missing
		}
		if !below {
			return t.Entries[i], nil
		}
		h, path = t.Entries[i].Hash, rest
	}
}

// Record is one commit of a Log.
type Record struct {
	Hash, Parent  string // Parent is empty for the first
	Message       string // without trailers
	Trailers      map[string]string
	Author, Email string
	When          time.Time
}

// Log returns the newest commits of the branch, newest first, at most limit: all that changed the
// file or directory at path, or simply all for "".
func (r *Repo) Log(ctx context.Context, path string, limit int) ([]Record, error) {
	if path != "" {
		if err := checkPath(path); err != nil {
			return nil, err
		}
	}
	var out []Record
	c, err := r.commit("")
	for err == nil && c != nil && len(out) < limit {
		if err = ctx.Err(); err != nil {
			break
		}
		var parent *object.Commit
		if parent, err = r.parent(c); err != nil {
			break
		}
		var changed bool
		if changed, err = r.changed(c, parent, path); changed && err == nil {
			out = append(out, record(c))
		}
		c = parent
	}
	if err != nil {
		return nil, fmt.Errorf("read the history of %s: %w", r.dir, err)
	}
	return out, nil
}

// parent returns the first parent of c, nil for the first commit.
func (r *Repo) parent(c *object.Commit) (*object.Commit, error) {
	if len(c.ParentHashes) == 0 {
		return nil, nil
	}
	return r.commit(c.ParentHashes[0].String())
}

func (r *Repo) changed(c, parent *object.Commit, path string) (bool, error) {
	if path == "" {
		return true, nil
	}
	if parent != nil && parent.TreeHash == c.TreeHash {
		return false, nil
	}
	at := func(c *object.Commit) (object.TreeEntry, error) {
		if c == nil {
			return object.TreeEntry{}, nil
		}
		e, err := r.find(c.TreeHash, path)
		if errs.Is(err, errs.NotFound) {
			err = nil
		}
		return e, err
	}
	now, err1 := at(c)
	before, err2 := at(parent)
	return now != before, errors.Join(err1, err2)
}

func record(c *object.Commit) Record {
	rec := Record{Hash: c.Hash.String(), Message: strings.TrimSpace(c.Message), Trailers: trailers(c.Message), Author: c.Author.Name, Email: c.Author.Email, When: c.Author.When}
	if len(rec.Trailers) > 0 {
		rec.Message = strings.TrimSpace(rec.Message[:strings.LastIndex(rec.Message, "\n\n")])
	}
	if len(c.ParentHashes) > 0 {
		rec.Parent = c.ParentHashes[0].String()
	}
	return rec
}

var trailerKey = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9-]{0,63}$`)

// trailers returns those of a commit message: its last paragraph, unless that is the first, when
// every line in it is "Key: value".
func trailers(message string) map[string]string {
	message = strings.TrimSpace(message)
	i := strings.LastIndex(message, "\n\n")
	if i < 0 {
		return nil
	}
	out := map[string]string{}
	for line := range strings.SplitSeq(strings.TrimSpace(message[i:]), "\n") {
		k, v, ok := strings.Cut(line, ": ")
		if !ok || !trailerKey.MatchString(k) {
			return nil
		}
		out[k] = strings.TrimSpace(v)
	}
	return out
}

// FindByTrailer returns the hash of the newest commit of the branch that has the trailer key with
// that value; kind NotFound where none has. The first call reads the whole history, further
// ones what came since.
func (r *Repo) FindByTrailer(ctx context.Context, key, value string) (string, error) {
	r.known.Lock()
	defer r.known.Unlock()
	if err := r.learn(ctx); err != nil {
		return "", fmt.Errorf("read the history of %s: %w", r.dir, err)
	}
	h, ok := r.byKey[key+"\x00"+value]
	if !ok {
		return "", errs.New(errs.NotFound, "no commit has the trailer %s: %.100s", key, value)
	}
	return h.String(), nil
}

// learn brings byKey up to the head.
func (r *Repo) learn(ctx context.Context) error {
	head, err := r.head()
	if err != nil || head == r.upTo {
		return err
	}
	fresh := map[string]plumbing.Hash{}
	c, err := r.commit(head.String())
	for err == nil && c != nil && c.Hash != r.upTo {
		for k, v := range trailers(c.Message) {
			if _, newer := fresh[k+"\x00"+v]; !newer {
				fresh[k+"\x00"+v] = c.Hash
			}
		}
		if err = ctx.Err(); err == nil {
			c, err = r.parent(c)
		}
	}
	if err != nil {
		return err
	}
	if c == nil { // the whole history: what was known may have been of a branch that was reset
		r.byKey = map[string]plumbing.Hash{}
	}
	for k, h := range fresh {
		r.byKey[k] = h
	}
	r.upTo = head
	return nil
}
