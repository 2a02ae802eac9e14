// Package web holds the web UI as it was built: the files of dist, which `make ui` makes from src. It is
// embedded, so that building and running Tutti needs no Node; a test compares the sources with those
// that dist was built from. How the UI is made: README.md beside this file.
package web

import (
	"bytes"
	"compress/gzip"
	"embed"
	"encoding/json"
	"io"
	"io/fs"
	"strings"
)

//go:embed all:dist
var dist embed.FS

// Build is what dist/build.json says of how dist was built.
type Build struct {
	// Sources is the SHA-256 over the sources, as Sources computes it.
	Sources string `json:"sources"`
	// Pages are the first elements of the paths of all pages: "/", "/requests".
	Pages []string `json:"pages"`
}

// Built returns what is known of how the embedded UI was built.
func Built() Build {
	var b Build
	if text, ok := File("build.json"); ok {
		_ = json.Unmarshal(text, &b) // a test reads it
	}
	return b
}

// Pages returns the paths at which the UI has pages. Everything below one of them belongs to it, too.
func Pages() []string { return Built().Pages }

// File returns a file of the built UI: index.html or one of assets/. Where there is none, ok is false.
func File(name string) (content []byte, ok bool) {
	if !fs.ValidPath(name) || strings.HasSuffix(name, ".gz") {
		return nil, false
	}
	if b, err := dist.ReadFile("dist/" + name); err == nil {
		return b, true
	}
	packed, ok := Compressed(name)
	if !ok {
		return nil, false
	}
	r, err := gzip.NewReader(bytes.NewReader(packed))
	if err != nil {
		return nil, false
	}
	b, err := io.ReadAll(r)
	return b, err == nil
}

// Compressed returns a file as File does, compressed with gzip. Most are kept in this form alone; ok is false
// for those too small to gain by it.
func Compressed(name string) (content []byte, ok bool) {
	if !fs.ValidPath(name) {
		return nil, false
	}
	b, err := dist.ReadFile("dist/" + name + ".gz")
	return b, err == nil
}
