package gitrepo

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/filemode"
	"github.com/go-git/go-git/v5/plumbing/object"

	"tutti/errs"
)

// What a commit may hold.
const (
	MaxFile    = 10 << 20 // bytes of one file
	MaxCommit  = 64 << 20 // bytes of all files of one commit
	MaxChanges = 10_000   // files written and removed
	maxMessage = 64 << 10
)

// Commit is a change to make.
type Commit struct {
	// Message is what people read; its first line is the subject.
	Message string
	// Trailers are added at the end of the message, "Key: value" each.
	Trailers map[string]string
	// Once is a key of Trailers. Where the branch already has a commit with that trailer and
	// value, that one is returned and nothing is done.
	Once string
	// Author and Email are who asked for it; empty means the committer.
	Author, Email string
	// When is the time of the commit; zero means now.
	When time.Time
	// Files are written, by path. A commit may leave all as it is: it is made nevertheless.
	Files map[string][]byte
	// Remove are files to remove; what is not there is passed over. Directories left empty go too.
	Remove []string
	// ParentMustBe is the commit the branch must be at, if not empty; else Commit fails with kind
	// Conflict.
	ParentMustBe string
}

// Commit makes c on top of the branch and returns the hash of the commit, which is durable then.
// Concurrent callers, in this process and others, go one after the other. After an error nothing
// is visible, except that a failure at the very end may leave the commit made: with Once, ask
// again. Bad paths, texts and conflicts of files with directories are Invalid, sizes TooLarge.
func (r *Repo) Commit(ctx context.Context, c Commit) (string, error) {
	if err := c.check(); err != nil {
		return "", err
	}
	select {
	case r.write <- struct{}{}:
		defer func() { <-r.write }()
	case <-ctx.Done():
		return "", fmt.Errorf("commit: %w", ctx.Err())
	}
	unlock, err := lockFile(ctx, r.dir+"/"+lockName)
	if err != nil {
		return "", fmt.Errorf("commit: %w", err)
	}
	defer unlock()
	if c.Once != "" {
		if h, err := r.FindByTrailer(ctx, c.Once, c.Trailers[c.Once]); !errs.Is(err, errs.NotFound) {
			return h, err
		}
	}
	parent, err := r.commit("")
	if err != nil {
		return "", err
	}
	if c.ParentMustBe != "" && c.ParentMustBe != parent.Hash.String() {
		return "", errs.New(errs.Conflict, "the branch %s is at %s, not at %.100s", r.ref.Short(), parent.Hash, c.ParentMustBe).WithHint("read the files again and repeat the change")
	}
	w := &writer{dir: r.dir}
	tree, err := r.apply(w, parent.TreeHash, c.changes(w))
	if err != nil {
		return "", err
	}
	if tree.IsZero() {
		tree = w.add(&object.Tree{})
	}
	h := w.add(c.object(parent.Hash, tree))
	if err := ctx.Err(); err != nil {
		return "", fmt.Errorf("commit: %w", err)
	}
	if err := w.flush(); err != nil {
		return "", fmt.Errorf("write a commit to %s: %w", r.dir, err)
	}
	if err := r.advance(parent.Hash, h); err != nil {
		return "", err
	}
	return h.String(), nil
}

// advance moves the branch. Our processes are locked out; whether git, which is not, moved it
// meanwhile is looked at last.
func (r *Repo) advance(from, to plumbing.Hash) error {
	now, err := r.head()
	if err != nil {
		return err
	}
	if now != from {
		return errs.New(errs.Conflict, "the branch %s was changed by another program", r.ref.Short()).WithHint("try again")
	}
	if err := setRef(r.dir, r.ref, to); err != nil {
		return fmt.Errorf("move the branch %s of %s: %w", r.ref.Short(), r.dir, err)
	}
	return nil
}

func (c *Commit) object(parent, tree plumbing.Hash) *object.Commit {
	when := c.When
	if when.IsZero() {
		when = time.Now()
	}
	committer := object.Signature{Name: Committer, Email: CommitterEmail, When: when}
	author := committer
	if c.Author != "" || c.Email != "" {
		author.Name, author.Email = c.Author, c.Email
	}
	return &object.Commit{Author: author, Committer: committer, Message: c.message(), TreeHash: tree, ParentHashes: []plumbing.Hash{parent}}
}

func (c *Commit) message() string {
	m := strings.TrimSpace(c.Message) + "\n"
	for i, k := range slices.Sorted(maps.Keys(c.Trailers)) {
		if i == 0 {
			m += "\n"
		}
		m += k + ": " + c.Trailers[k] + "\n"
	}
	return m
}

// check finds what can be found wrong without looking into the repository.
func (c *Commit) check() error {
	if err := c.checkText(); err != nil {
		return err
	}
	if n := len(c.Files) + len(c.Remove); n > MaxChanges {
		return errs.New(errs.TooLarge, "a commit of %d files; at most %d are possible", n, MaxChanges)
	}
	total := 0
	for _, p := range slices.Sorted(maps.Keys(c.Files)) {
		if err := checkPath(p); err != nil {
			return err
		}
		if n := len(c.Files[p]); n > MaxFile {
			return errs.New(errs.TooLarge, "the file %s has %d bytes; at most %d are possible", p, n, MaxFile)
		}
		total += len(c.Files[p])
	}
	if total > MaxCommit {
		return errs.New(errs.TooLarge, "a commit of %d bytes; at most %d are possible", total, MaxCommit)
	}
	for _, p := range c.Remove {
		if err := checkPath(p); err != nil {
			return err
		}
		if _, ok := c.Files[p]; ok {
			return errs.New(errs.Invalid, "the file %s is both written and removed", p)
		}
	}
	return nil
}

func (c *Commit) checkText() error {
	switch message := strings.TrimSpace(c.Message); {
	case message == "":
		return errs.New(errs.Invalid, "a commit needs a message")
	case len(message) > maxMessage:
		return errs.New(errs.TooLarge, "a commit message of %d bytes; at most %d are possible", len(message), maxMessage)
	case !plain(strings.NewReplacer("\n", "", "\t", "").Replace(message)):
		return errs.New(errs.Invalid, "the commit message has control characters or is not UTF-8")
	case len(c.Trailers) == 0 && len(trailers(message)) > 0:
		// Else whoever writes the message could pass for another request.
		return errs.New(errs.Invalid, "the commit message ends in what looks like trailers").WithHint("put a sentence below them")
	}
	for k, v := range c.Trailers {
		if !trailerKey.MatchString(k) {
			return errs.New(errs.Invalid, "%.100q is no name for a trailer", k).WithHint("use letters, digits and -")
		}
		if v == "" || v != strings.TrimSpace(v) || len(v) > 1024 || !plain(v) {
			return errs.New(errs.Invalid, "the value %.100q of the trailer %s is empty, too long, has control characters or white space around it", v, k)
		}
	}
	if _, ok := c.Trailers[c.Once]; c.Once != "" && !ok {
		return errs.New(errs.Invalid, "the trailer %q, by which a commit is to be made once, is missing", c.Once)
	}
	for _, s := range []string{c.Author, c.Email} {
		if len(s) > 256 || !plain(s) || strings.ContainsAny(s, "<>") {
			return errs.New(errs.Invalid, "%.100q cannot be the author of a commit", s)
		}
	}
	return nil
}

// plain reports whether s is UTF-8 without control characters.
func plain(s string) bool {
	return utf8.ValidString(s) && !strings.ContainsFunc(s, unicode.IsControl)
}

// change is a directory of changes: files by name, and directories below.
type change struct {
	files map[string]plumbing.Hash // a zero hash removes
	dirs  map[string]*change
}

func newChange() *change {
	return &change{map[string]plumbing.Hash{}, map[string]*change{}}
}

// changes arranges the files of c by directory, adding the content to w.
func (c *Commit) changes(w *writer) *change {
	root := newChange()
	for _, p := range c.Remove {
		root.set(p, plumbing.ZeroHash)
	}
	for p, content := range c.Files {
		root.set(p, w.addBlob(content))
	}
	return root
}

func (ch *change) set(path string, h plumbing.Hash) {
	for {
		dir, rest, below := strings.Cut(path, "/")
		if !below {
			ch.files[dir] = h
			return
		}
		if ch.dirs[dir] == nil {
			ch.dirs[dir] = newChange()
		}
		ch, path = ch.dirs[dir], rest
	}
}

// apply returns the tree that ch makes of the tree old (zero: none); zero when nothing is left.
func (r *Repo) apply(w *writer, old plumbing.Hash, ch *change) (plumbing.Hash, error) {
	entries := map[string]object.TreeEntry{}
	if !old.IsZero() {
		t, err := r.tree(old)
		if err != nil {
			return plumbing.ZeroHash, err
		}
		for _, e := range t.Entries {
			entries[e.Name] = e
		}
	}
	for name, h := range ch.files {
		e, exists := entries[name]
		switch {
		case exists && e.Mode == filemode.Dir:
			return h, errs.New(errs.Invalid, "%s is a directory, not a file", name)
		case h.IsZero():
			delete(entries, name)
		case exists && e.Mode == filemode.Executable:
			entries[name] = object.TreeEntry{Name: name, Mode: filemode.Executable, Hash: h}
		default:
			entries[name] = object.TreeEntry{Name: name, Mode: filemode.Regular, Hash: h}
		}
	}
	for name, below := range ch.dirs {
		e, exists := entries[name]
		if exists && e.Mode != filemode.Dir {
			if below.writes() {
				return e.Hash, errs.New(errs.Invalid, "%s is a file, not a directory", name)
			}
			continue // nothing to remove there
		}
		h, err := r.apply(w, e.Hash, below)
		if err != nil {
			return h, err
		}
		if h.IsZero() {
			delete(entries, name)
			continue
		}
		entries[name] = object.TreeEntry{Name: name, Mode: filemode.Dir, Hash: h}
	}
	if len(entries) == 0 {
		return plumbing.ZeroHash, nil
	}
	t := &object.Tree{Entries: slices.Collect(maps.Values(entries))}
	slices.SortFunc(t.Entries, func(a, b object.TreeEntry) int { return strings.Compare(sortKey(a), sortKey(b)) })
	return w.add(t), nil
}

func (ch *change) writes() bool {
	for _, h := range ch.files {
		if !h.IsZero() {
			return true
		}
	}
	for _, d := range ch.dirs {
		if d.writes() {
			return true
		}
	}
	return false
}

// sortKey orders entries as git does: directories as if their names ended in a slash.
func sortKey(e object.TreeEntry) string {
	if e.Mode == filemode.Dir {
		return e.Name + "/"
	}
	return e.Name
}
