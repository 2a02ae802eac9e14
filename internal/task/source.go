package task

import (
	"context"
	"strings"

	"golang.org/x/sync/errgroup"

	"tutti/api"
	"tutti/bus"
	"tutti/errs"
	"tutti/internal/gitrepo"
	"tutti/internal/netguard"
	"tutti/sdk"
)

// Source reads files of repositories. The error is of type FAMILY.repository, or of errs.
type Source interface {
	// Read returns the files at a path as of a commit: one, under "", where it is a file; all below it,
	// by their paths there, where it is a folder.
	Read(ctx context.Context, t *sdk.Task, r Repository, path string) (map[string][]byte, error)
}

// Repository is a state of a repository.
type Repository struct {
	Repository string `json:"repository" doc:"A repository of the namespace by name, or another by its URL: https://… or ssh://…" minLength:"1" maxLength:"2048"`
	Commit     string `json:"commit" doc:"The commit, by its 40 hexadecimal digits: later commits do not matter" pattern:"^[0-9a-f]{40}$"`
	User       string `json:"user,omitempty" doc:"User, for a URL" maxLength:"200"`
	Password   string `json:"password,omitempty" doc:"Password or token, for https; give a secret" maxLength:"4096"`
	Key        string `json:"key,omitempty" doc:"Private key in PEM or OpenSSH form, for ssh; give a secret" maxLength:"32768"`
	HostKey    string `json:"hostKey,omitempty" doc:"The host's public key, as in known_hosts without the name, for ssh: no other host is spoken to" maxLength:"4096"`
}

// NewSource returns a Source that reads the repositories of the namespace over b, as the run, and others
// by their URL through g. family is that of the task types, and begins the type of its failure.
func NewSource(family string, b *bus.Bus, g *netguard.Guard) Source {
	return source{family + ".repository", b, &gitrepo.Remotes{Dial: g.DialContext}}
}

type source struct {
	fail    string
	bus     *bus.Bus
	remotes *gitrepo.Remotes
}

// maxModule bounds the files of a folder that is read.
const maxModule = 1000

// Read reads a file or a folder; see Source.
func (s source) Read(ctx context.Context, t *sdk.Task, r Repository, path string) (map[string][]byte, error) {
	path = strings.Trim(path, "/")
	if strings.Contains(r.Repository, "://") {
		return s.remote(ctx, r, path)
	}
	if s.bus == nil {
		return nil, errs.New(errs.Invalid, "this worker cannot reach the repository %s of the namespace by its name", r.Repository).
			WithHint("give its URL at the server: https://SERVER/v1/namespaces/NAMESPACE/repositories/NAME/git")
	}
	if r.User+r.Password+r.Key+r.HostKey != "" {
		return nil, errs.New(errs.Invalid, "a repository of the namespace needs no user, password or key")
	}
	return s.own(ctx, t, r, path)
}

func (s source) remote(ctx context.Context, r Repository, path string) (map[string][]byte, error) {
	files, err := s.remotes.Read(ctx, gitrepo.Remote{URL: r.Repository, User: r.User, Password: r.Password, Key: r.Key, HostKey: r.HostKey}, r.Commit, path)
	if err == nil || ctx.Err() != nil || errs.Is(err, errs.Invalid) {
		return files, err
	}
	f := sdk.Fail(s.fail, "repository %s: %v", r.Repository, err)
	if errs.Is(err, errs.Unavailable) {
		return nil, f.Again()
	}
	return nil, f.WithHint("check the address, the credentials, and that the commit is still there")
}

// own reads a repository of the namespace.
func (s source) own(ctx context.Context, t *sdk.Task, r Repository, path string) (map[string][]byte, error) {
	ns := api.NS{Namespace: t.Namespace}
	if path != "" {
		f, err := api.ReadRepository.Call(ctx, s.bus, api.ReadRepositoryIn{NS: ns, Repository: r.Repository, Commit: r.Commit, Path: path})
		if err == nil {
			return map[string][]byte{"": []byte(f.Text)}, nil
		}
		if !errs.Is(err, errs.Invalid) { // Invalid: maybe a folder
			return nil, err
		}
	}
	tree, err := api.ListTree.Call(ctx, s.bus, api.ListTreeIn{NS: ns, Repository: r.Repository, Commit: r.Commit, Path: path})
	if err != nil {
		return nil, err
	}
	if len(tree.Items) > maxModule {
		return nil, errs.New(errs.TooLarge, "there are %d files below %.200q; at most %d are possible", len(tree.Items), path, maxModule)
	}
	texts := make([]string, len(tree.Items))
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(8)
	for i, e := range tree.Items {
		g.Go(func() error {
			f, err := api.ReadRepository.Call(gctx, s.bus, api.ReadRepositoryIn{NS: ns, Repository: r.Repository, Commit: r.Commit, Path: e.Path})
			texts[i] = f.Text
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return nil, err
	}
	out := map[string][]byte{}
	for i, e := range tree.Items {
		out[strings.TrimPrefix(strings.TrimPrefix(e.Path, path), "/")] = []byte(texts[i])
	}
	return out, nil
}
