package gitrepo

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"path"
	"time"

	"github.com/go-git/go-billy/v5/osfs"
	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/cache"
	"github.com/go-git/go-git/v5/plumbing/filemode"
	"github.com/go-git/go-git/v5/plumbing/object"
	"github.com/go-git/go-git/v5/storage/filesystem"

	"tutti/errs"
)

// Remote is a repository elsewhere and how it is reached.
type Remote struct {
	// URL is https://host/path or ssh://[user@]host[:port]/path. http is for this machine alone.
	URL string
	// User and Password are for https, where it asks for them.
	User, Password string
	// Key is a private key in PEM or OpenSSH form, HostKey the host's public key as known_hosts has it,
	// without the name: both are needed for ssh.
	Key, HostKey string
}

// Remotes reads repositories elsewhere as of a commit. The zero value needs a Dial. It is safe for
// concurrent use.
type Remotes struct {
	// Dial connects; it is where addresses are refused that must not be reached.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
}

const (
	// fetchTime bounds a fetch, and maxFetch what comes over a connection, in bytes.
	fetchTime = 5 * time.Minute
	maxFetch  = 256 << 20
	maxRemote = 1000     // files
	maxTotal  = 16 << 20 // bytes of files
)

// Read returns the file at a path of a commit, under "", or all files below the folder, by their paths
// there. The commit alone is fetched where the far side allows it, and the branches where it does not: it
// must then be on one of them. Kind Unavailable where the far side cannot be reached; NotFound where
// repository, commit or path are missing; Denied where it refuses the credentials or the address, or has
// another host key; Invalid for what cannot be a remote.
func (rs *Remotes) Read(ctx context.Context, r Remote, commit, at string) (map[string][]byte, error) {
	h := plumbing.NewHash(commit)
	if h.String() != commit {
		return nil, errs.New(errs.Invalid, "%.100q is no commit", commit).WithHint("a commit is named by its 40 hexadecimal digits")
	}
	if at != "" {
		if err := checkPath(at); err != nil {
			return nil, err
		}
	}
	dir, err := os.MkdirTemp("", "tutti-git-")
	if err != nil {
		return nil, fmt.Errorf("fetch: %w", err)
	}
	defer os.RemoveAll(dir)
	ctx, cancel := context.WithTimeout(ctx, fetchTime)
	defer cancel()
	store := filesystem.NewStorage(osfs.New(dir), cache.NewObjectLRU(16*cache.MiByte))
	if err := rs.fetch(ctx, store, r, h); err != nil {
		return nil, fmt.Errorf("fetch: %w", err)
	}
	c, err := object.GetCommit(store, h)
	if err != nil {
		return nil, errs.New(errs.NotFound, "there is no commit %s, or it is on no branch any more", commit)
	}
	tree, err := c.Tree()
	if err != nil {
		return nil, fmt.Errorf("read commit %s: %w", commit, err)
	}
	return filesAt(tree, at)
}

// filesAt returns the file or the files at a path.
func filesAt(tree *object.Tree, at string) (map[string][]byte, error) {
	missing := errs.New(errs.NotFound, "there is nothing at %q in that commit", at)
	if at != "" {
		e, err := tree.FindEntry(at)
		if err != nil {
			return nil, missing
		}
		if e.Mode != filemode.Dir {
			f, err := tree.File(at)
			if err != nil {
				return nil, errs.New(errs.Invalid, "%s is no plain file", at)
			}
			b, err := content(f)
			return map[string][]byte{"": b}, err
		}
		if tree, err = tree.Tree(at); err != nil {
			return nil, missing
		}
	}
	out, total := map[string][]byte{}, 0
	err := tree.Files().ForEach(func(f *object.File) error {
		if f.Mode != filemode.Regular && f.Mode != filemode.Executable && f.Mode != filemode.Deprecated {
			return errs.New(errs.Invalid, "%s is no plain file", path.Join(at, f.Name))
		}
		b, err := content(f)
		if total += len(b); err == nil && (total > maxTotal || len(out) >= maxRemote) {
			err = errs.New(errs.TooLarge, "there is more below %q than %d files or %d bytes", at, maxRemote, maxTotal)
		}
		out[f.Name] = b
		return err
	})
	return out, err
}

func content(f *object.File) ([]byte, error) {
	if f.Size > MaxFile {
		return nil, errs.New(errs.TooLarge, "the file %s has %d bytes; at most %d can be read", f.Name, f.Size, MaxFile)
	}
	in, err := f.Reader()
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", f.Name, err)
	}
	defer in.Close()
	b, err := io.ReadAll(in)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", f.Name, err)
	}
	if h := plumbing.ComputeHash(plumbing.BlobObject, b); h != f.Hash {
		return nil, fmt.Errorf("read %s: the object %s is damaged", f.Name, f.Hash)
	}
	return b, nil
}
