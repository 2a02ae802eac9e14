package gateway

import (
	"compress/gzip"
	"errors"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"time"

	"tutti/api"
	"tutti/errs"
	"tutti/internal/gitrepo"
)

// The routes by which git, and what speaks its protocol, reads the repositories of a namespace. Nothing
// can be written through them: a commit is made by a request.
const (
	refsRoute = "GET /v1/namespaces/{namespace}/repositories/{repository}/git/info/refs"
	packRoute = "POST /v1/namespaces/{namespace}/repositories/{repository}/git/git-upload-pack"
)

// repositoryForm is the form of a repository's name.
var repositoryForm = regexp.MustCompile(`^[a-z][a-z0-9]*([._-][a-z0-9]+)*$`)

// packTime bounds a fetch.
const packTime = 5 * time.Minute

// basic lets git, which knows no bearer tokens, send one as the password of any user.
func basic(h handler) handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		if _, password, ok := r.BasicAuth(); ok {
			r = r.Clone(r.Context())
			r.Header.Set("Authorization", "Bearer "+password)
		}
		err := h(w, r)
		if errs.Is(err, errs.Unauthenticated) {
			w.Header().Set("WWW-Authenticate", `Basic realm="a token of Tutti as the password"`)
		}
		return err
	}
}

// repository returns the repository in the path of r, after checking that its caller may read it.
func (g *Gateway) repository(r *http.Request) (*gitrepo.Repo, error) {
	ns, err := g.namespace(r, api.ReadRepository.Info().Perm)
	if err != nil {
		return nil, err
	}
	name := r.PathValue("repository")
	missing := errs.New(errs.NotFound, "no repository %.100q in namespace %s", name, ns)
	if g.c.Repositories == "" || len(name) > 63 || !repositoryForm.MatchString(name) {
		return nil, missing
	}
	dir := filepath.Join(g.c.Repositories, ns, name+".git")
	if _, err := os.Stat(filepath.Join(dir, "HEAD")); errors.Is(err, fs.ErrNotExist) {
		return nil, missing
	}
	return gitrepo.Open(dir, "")
}

// refs answers what git asks first.
func (g *Gateway) refs(w http.ResponseWriter, r *http.Request) error {
	if s := r.URL.Query().Get("service"); s != "git-upload-pack" {
		return errs.New(errs.Denied, "repositories can be read here, not written").WithHint("what is in them comes from requests, and from git.commit in workflows")
	}
	repo, err := g.repository(r)
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/x-git-upload-pack-advertisement")
	w.Header().Set("Cache-Control", "no-cache")
	return repo.Advertise(w)
}

// pack answers with objects.
func (g *Gateway) pack(w http.ResponseWriter, r *http.Request) error {
	repo, err := g.repository(r)
	if err != nil {
		return err
	}
	c := http.NewResponseController(w)
	_ = c.SetReadDeadline(time.Now().Add(bodyTime)) // where there is a connection
	_ = c.SetWriteDeadline(time.Now().Add(packTime))
	body := io.Reader(http.MaxBytesReader(w, r.Body, gitrepo.MaxAsk))
	if r.Header.Get("Content-Encoding") == "gzip" {
		z, err := gzip.NewReader(body)
		if err != nil {
			return malformed("the body is not gzip")
		}
		body = z
	}
	out := &begun{ResponseWriter: w}
	err = repo.UploadPack(r.Context(), body, out)
	if err != nil && out.did { // it is too late for an answer that says so
		g.log.Warn("fetch broke off", "repository", r.PathValue("repository"), "err", err)
		panic(http.ErrAbortHandler)
	}
	return err
}

// begun sets the type of the answer with its first byte.
type begun struct {
	http.ResponseWriter
	did bool
}

// Write writes to the answer.
func (b *begun) Write(p []byte) (int, error) {
	if !b.did {
		b.did = true
		b.Header().Set("Content-Type", "application/x-git-upload-pack-result")
		b.Header().Set("Cache-Control", "no-cache")
	}
	return b.ResponseWriter.Write(p)
}
