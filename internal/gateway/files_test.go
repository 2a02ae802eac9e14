package gateway

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"strings"
	"sync"
	"testing"

	"tutti/api"
	"tutti/errs"
	"tutti/sdk"
)

// keep makes w remember files.
func (w *world) keep(t *testing.T) {
	var mu sync.Mutex
	files := map[string]api.File{}
	check(t, api.AddFile.Handle(t.Context(), w.bus, func(_ context.Context, in api.AddFileIn) (api.File, error) {
		mu.Lock()
		defer mu.Unlock()
		f := api.File{ID: fmt.Sprintf("file_%d", len(files)), Namespace: in.Namespace, Name: in.Name, Type: in.Type, Digest: in.Digest, Size: in.Size}
		files[f.ID] = f
		return f, nil
	}))
	check(t, api.GetFile.Handle(t.Context(), w.bus, func(_ context.Context, in api.FileIn) (api.File, error) {
		mu.Lock()
		defer mu.Unlock()
		f, ok := files[in.ID]
		if !ok || f.Namespace != in.Namespace {
			return f, errs.New(errs.NotFound, "no file %q", in.ID)
		}
		return f, nil
	}))
}

func TestFiles(t *testing.T) {
	t.Parallel()
	w := setup(t).serve(t)
	w.keep(t)
	c := w.client(t, anna)
	content := strings.Repeat("content ", 100_000)
	f, err := c.Upload(t.Context(), sdk.Upload{Name: "a.txt", Type: "text/plain; charset=utf-8", Body: strings.NewReader(content)})
	if err != nil || f.Name != "a.txt" || f.Type != "text/plain; charset=utf-8" || f.Size != int64(len(content)) {
		t.Fatalf("Upload = %+v, %v", f, err)
	}
	r, err := c.Download(t.Context(), "", f.ID)
	check(t, err)
	defer r.Close()
	if got, err := io.ReadAll(r); string(got) != content || err != nil {
		t.Errorf("Download = %d bytes, %v; want the %d that were uploaded", len(got), err, len(content))
	}
	if _, err := c.Download(t.Context(), "", "file_none"); !errs.Is(err, errs.NotFound) {
		t.Errorf("Download of no file = %v; want not_found", err)
	}
	if _, err := c.Upload(t.Context(), sdk.Upload{Name: "b", Body: strings.NewReader(strings.Repeat("x", 1<<20+1))}); !errs.Is(err, errs.TooLarge) {
		t.Errorf("Upload of too much = %v; want too_large", err)
	}
}

func TestUploadForm(t *testing.T) {
	t.Parallel()
	w := setup(t)
	w.keep(t)
	var body bytes.Buffer
	form := multipart.NewWriter(&body)
	check(t, form.WriteField("note", "not this"))
	part, err := form.CreateFormFile("file", `..\..\evil "name".html`)
	check(t, err)
	_, err = io.WriteString(part, "<script>")
	check(t, err)
	check(t, form.Close())
	whole := body.String()
	rec := w.do("POST", "/v1/namespaces/default/files", anna, whole, "Content-Type", form.FormDataContentType())
	if rec.Code != 201 || !strings.Contains(rec.Body.String(), `"size":8`) || !strings.Contains(rec.Body.String(), `"name":"evil \"name\".html"`) {
		t.Errorf("a form = %d %s; want its file", rec.Code, rec.Body)
	}
	rec = w.do("POST", "/v1/namespaces/default/files", anna, whole[:len(whole)-20], "Content-Type", form.FormDataContentType())
	if rec.Code != 400 {
		t.Errorf("half a form = %d %s; want 400", rec.Code, rec.Body)
	}
}

// What users upload must not become a page of this server.
func TestDownloadIsNoPage(t *testing.T) {
	t.Parallel()
	w := setup(t)
	w.keep(t)
	for i, name := range []string{"a.html", "a\r\nSet-Cookie: x=1", `a"; filename=b`, "../../etc/passwd", "größe.txt", "", strings.Repeat("ä", 500), "\x00\x1b[31m"} {
		up := w.do("POST", "/v1/namespaces/default/files?name="+escape(name), anna, "<script>alert(1)</script>", "Content-Type", "text/html")
		if up.Code != 201 {
			t.Fatalf("upload of %q = %d %s", name, up.Code, up.Body)
		}
		rec := w.do("GET", fmt.Sprintf("/v1/namespaces/default/files/file_%d/content", i), reader, "")
		kind, params, err := mime.ParseMediaType(rec.Header().Get("Content-Disposition"))
		got := params["filename"]
		if rec.Code != 200 || err != nil || kind != "attachment" || got == "" || len(got) > 200 || strings.ContainsAny(got, "/\r\n\x00\x1b") {
			t.Errorf("download of %q = %d with %q; want a harmless name", name, rec.Code, rec.Header().Get("Content-Disposition"))
		}
		if h := rec.Header(); !strings.Contains(h.Get("Content-Security-Policy"), "sandbox") || h.Get("X-Content-Type-Options") != "nosniff" || h.Get("Set-Cookie") != "" {
			t.Errorf("headers of %q = %v; want it kept from running", name, h)
		}
	}
	if rec := w.do(http.MethodGet, "/v1/namespaces/default/files/..%2f..%2fetc%2fpasswd/content", anna, ""); rec.Code != 404 {
		t.Errorf("a path for an ID = %d; want 404", rec.Code)
	}
}

func escape(s string) string {
	var b strings.Builder
	for i := range len(s) {
		fmt.Fprintf(&b, "%%%02x", s[i])
	}
	return b.String()
}
