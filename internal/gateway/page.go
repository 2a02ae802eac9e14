package gateway

import (
	"embed"
	"mime"
	"net/http"
	"path"

	"tutti/errs"
)

//go:embed static/*
var static embed.FS

// page returns the handler of an embedded file.
func page(name string) handler {
	return func(w http.ResponseWriter, _ *http.Request) error {
		b, err := static.ReadFile("static/" + name)
		if err != nil {
			return errs.New(errs.NotFound, "there is nothing at this address")
		}
		w.Header().Set("Cache-Control", "no-cache")
		send(w, http.StatusOK, mime.TypeByExtension(path.Ext(name)), b)
		return nil
	}
}

// asset answers with what the page needs.
func asset(w http.ResponseWriter, r *http.Request) error {
	return page(path.Base(r.PathValue("file")))(w, r)
}
