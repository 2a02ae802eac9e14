package gateway

import (
	"mime"
	"net/http"
	"path"
	"slices"
	"strconv"
	"strings"

	"tutti/errs"
	"tutti/web"
)

// open are the only routes that need no authentication: those of the API, and those of the web UI, which
// holds nothing but itself.
var open = slices.Concat(openCalls, pageRoutes(web.Pages()), []string{assetRoute})

// assetRoute serves what the pages of the web UI load.
const assetRoute = "GET /assets/{file}"

// pageRoutes returns the routes of the web UI's pages: each path, and all below it.
func pageRoutes(paths []string) []string {
	var all []string
	for _, p := range paths {
		if p == "/" {
			all = append(all, "GET /{$}")
			continue
		}
		all = append(all, "GET "+p, "GET "+p+"/{rest...}")
	}
	return all
}

// page answers with the one document of the web UI, which looks at the address itself.
func page(w http.ResponseWriter, r *http.Request) error {
	return pageWith(w, r, http.StatusOK)
}

func pageWith(w http.ResponseWriter, r *http.Request, status int) error {
	w.Header().Set("Cache-Control", "no-cache")
	return file(w, r, "index.html", status)
}

// asset answers with what the page needs. The name of an asset is that of its content, so it is kept
// for ever; what is not there is 404, never the page.
func asset(w http.ResponseWriter, r *http.Request) error {
	w.Header().Set("Cache-Control", "public, max-age=31536000, immutable")
	if err := file(w, r, "assets/"+r.PathValue("file"), http.StatusOK); err != nil {
		w.Header().Set("Cache-Control", "no-store")
		return err
	}
	return nil
}

// file answers with a file of the built web UI, compressed where the browser takes that.
func file(w http.ResponseWriter, r *http.Request, name string, status int) error {
	h := w.Header()
	typ := mime.TypeByExtension(path.Ext(name))
	if b, ok := web.Compressed(name); ok {
		h.Set("Vary", "Accept-Encoding")
		if takesGzip(r.Header.Get("Accept-Encoding")) {
			h.Set("Content-Encoding", "gzip")
			h.Set("Content-Length", strconv.Itoa(len(b)))
			send(w, status, typ, b)
			return nil
		}
	}
	b, ok := web.File(name)
	if !ok {
		return errs.New(errs.NotFound, "there is nothing at this address")
	}
	send(w, status, typ, b)
	return nil
}

// takesGzip reports whether an Accept-Encoding header names gzip and does not refuse it.
func takesGzip(accept string) bool {
	for part := range strings.SplitSeq(accept, ",") {
		coding, params, _ := strings.Cut(part, ";")
		if strings.EqualFold(strings.TrimSpace(coding), "gzip") {
			q := strings.ReplaceAll(params, " ", "")
			return q != "q=0" && !strings.HasPrefix(q, "q=0.000") && q != "q=0.0" && q != "q=0.00"
		}
	}
	return false
}
