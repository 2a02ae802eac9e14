package gateway

import (
	"context"
	"errors"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"net/url"
	"path"
	"regexp"
	"strconv"
	"strings"
	"time"
	"unicode"

	"tutti/api"
	"tutti/errs"
	"tutti/internal/blob"
)

// namespaces is the form of a namespace in a path.
var namespaces = regexp.MustCompile(`^[a-z][a-z0-9-]{0,62}$`)

// namespace returns the namespace in the path of r, after checking that its caller may use permission
// there.
func (g *Gateway) namespace(r *http.Request, permission string) (string, error) {
	ns := r.PathValue("namespace")
	if !namespaces.MatchString(ns) {
		return "", errs.New(errs.Invalid, "one thing is wrong with the request").
			WithProblems(errs.Problem{Location: "path.namespace", Message: "expected string to match pattern " + namespaces.String()})
	}
	return ns, g.bus.Allow(r.Context(), permission, ns)
}

// upload stores the body of r as a file: its bytes in the blob store, then what it is called in the
// file service.
func (g *Gateway) upload(w http.ResponseWriter, r *http.Request) error {
	ns, err := g.namespace(r, api.AddFile.Info().Perm)
	if err != nil {
		return err
	}
	query, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return malformed("the query is malformed")
	}
	in := api.AddFileIn{NS: api.NS{Namespace: ns}, Key: r.Header.Get("Idempotency-Key"), Name: query.Get("name")}
	if len(in.Key) > 200 {
		return errs.New(errs.Invalid, "the Idempotency-Key is longer than 200")
	}
	if r.ContentLength > g.c.MaxFile+multipartMargin {
		return g.fileTooLarge()
	}
	body := &patient{r: http.MaxBytesReader(w, r.Body, g.c.MaxFile+multipartMargin), c: http.NewResponseController(w)}
	defer body.done()
	content, err := fileOf(r, body, &in)
	if err != nil {
		return err
	}
	digest, size, err := g.c.Blobs.Put(r.Context(), content, g.c.MaxFile)
	if err != nil {
		return g.putError(err)
	}
	in.Digest, in.Size = string(digest), size
	f, err := api.AddFile.Call(r.Context(), g.bus, in)
	if err != nil {
		return err
	}
	return writeJSON(w, http.StatusCreated, f)
}

// multipartMargin is what a form may hold beside its file.
const multipartMargin = 64 << 10

func (g *Gateway) fileTooLarge() error {
	return errs.New(errs.TooLarge, "the file is larger than %d bytes", g.c.MaxFile)
}

// putError words why a file was not stored.
func (g *Gateway) putError(err error) error {
	_, cut := errors.AsType[*http.MaxBytesError](err)
	switch {
	case cut, errs.Is(err, errs.TooLarge):
		return g.fileTooLarge()
	case errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, errPart):
		return malformed("the body broke off")
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return errs.New(errs.Unavailable, "the upload was cut off: %w", err)
	}
	return err
}

// errPart is the error of a form that is none.
var errPart = errors.New("malformed form")

// fileOf returns the content of the file in r, and fills in what it is called.
func fileOf(r *http.Request, body io.Reader, in *api.AddFileIn) (io.Reader, error) {
	typ, params, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil {
		typ = ""
	}
	in.Type = mediaType(typ, params)
	if typ != "multipart/form-data" {
		in.Name = fileName(in.Name)
		return body, nil
	}
	if params["boundary"] == "" {
		return nil, malformed("the form has no boundary")
	}
	form := multipart.NewReader(body, params["boundary"])
	for {
		p, err := form.NextPart()
		if err == io.EOF {
			return nil, errs.New(errs.Invalid, "the form holds no file").WithHint("send it like curl -F file=@NAME")
		}
		if err != nil {
			return nil, malformed("the form is malformed")
		}
		if p.FileName() == "" {
			continue
		}
		if in.Name == "" {
			in.Name = p.FileName()
		}
		in.Name = fileName(in.Name)
		typ, params, err := mime.ParseMediaType(p.Header.Get("Content-Type"))
		if err != nil {
			typ = ""
		}
		in.Type = mediaType(typ, params)
		return p, nil
	}
}

// mediaType returns the media type to keep of a file.
func mediaType(typ string, params map[string]string) string {
	full := mime.FormatMediaType(typ, params)
	if full == "" || len(full) > 200 {
		return "application/octet-stream"
	}
	return full
}

// fileName returns name as a file may be called: without folders, without what no terminal should
// see, at most 200 bytes.
func fileName(name string) string {
	name = strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) || r == unicode.ReplacementChar {
			return -1
		}
		return r
	}, path.Base(strings.ReplaceAll(name, `\`, "/")))
	if len(name) > 200 {
		name = strings.ToValidUTF8(name[:200], "")
	}
	if name == "" || name == "." || name == ".." || name == "/" {
		return "file"
	}
	return name
}

// patient reads a body for as long as something of it keeps coming.
type patient struct {
	r io.Reader
	c *http.ResponseController
}

// Read reads what comes within chunkTime.
func (p *patient) Read(b []byte) (int, error) {
	_ = p.c.SetReadDeadline(time.Now().Add(chunkTime)) // where there is a connection
	n, err := p.r.Read(b)
	if err != nil && err != io.EOF {
		if _, ok := errors.AsType[*http.MaxBytesError](err); !ok {
			err = errors.Join(errPart, err)
		}
	}
	return n, err
}

// done takes the deadline away.
func (p *patient) done() { _ = p.c.SetReadDeadline(time.Time{}) }

// download answers with the content of a file, to be kept and never to be shown: what users upload
// must not run as a page of this server.
func (g *Gateway) download(w http.ResponseWriter, r *http.Request) error {
	ns, err := g.namespace(r, api.GetFile.Info().Perm)
	if err != nil {
		return err
	}
	f, err := api.GetFile.Call(r.Context(), g.bus, api.FileIn{NS: api.NS{Namespace: ns}, ID: r.PathValue("id")})
	if err != nil {
		return err
	}
	d, err := blob.ParseDigest(f.Digest)
	if err != nil {
		return errs.New(errs.Internal, "file %s: %w", f.ID, err)
	}
	content, size, err := g.c.Blobs.Open(r.Context(), d)
	if err != nil {
		return errs.New(errs.Internal, "file %s: %w", f.ID, err)
	}
	defer content.Close()
	h := w.Header()
	typ, params, err := mime.ParseMediaType(f.Type)
	if err != nil {
		typ = ""
	}
	h.Set("Content-Type", mediaType(typ, params))
	h.Set("Content-Length", strconv.FormatInt(size, 10))
	disposition := mime.FormatMediaType("attachment", map[string]string{"filename": fileName(f.Name)})
	if disposition == "" {
		disposition = "attachment"
	}
	h.Set("Content-Disposition", disposition)
	h.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'; sandbox")
	h.Set("ETag", `"`+string(d)+`"`)
	w.WriteHeader(http.StatusOK)
	if r.Method == http.MethodHead {
		return nil
	}
	out := &steady{w, http.NewResponseController(w)}
	if _, err := io.CopyBuffer(out, content, make([]byte, 64<<10)); err != nil {
		// The last bytes were not sent, so that the far side sees it broke off.
		g.log.Warn("download broke off", "file", f.ID, "err", err)
	}
	return nil
}

// steady writes for as long as the far side keeps taking.
type steady struct {
	w http.ResponseWriter
	c *http.ResponseController
}

// Write writes what the far side takes within chunkTime.
func (s *steady) Write(b []byte) (int, error) {
	_ = s.c.SetWriteDeadline(time.Now().Add(chunkTime)) // where there is a connection
	return s.w.Write(b)
}
