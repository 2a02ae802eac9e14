package web

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// hashOfSources does what vite.config.ts does: the SHA-256 over each source's path and SHA-256.
func hashOfSources(t *testing.T) string {
	t.Helper()
	files := []string{".npmrc", "index.html", "package.json", "package-lock.json", "tsconfig.json", "vite.config.ts"}
	err := filepath.WalkDir("src", func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() && path != "src/api/schema.ts" { // types alone: they leave no trace
			files = append(files, filepath.ToSlash(path))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(files)
	all := sha256.New()
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		sum := sha256.Sum256(b)
		fmt.Fprintf(all, "%s\x00%s\n", f, hex.EncodeToString(sum[:]))
	}
	return hex.EncodeToString(all.Sum(nil))
}

func TestBuiltFromTheseSources(t *testing.T) {
	t.Parallel()
	if got, want := Built().Sources, hashOfSources(t); got != want {
		t.Errorf("web/dist was built from other sources (%.12s, these are %.12s): `make ui` builds it anew", got, want)
	}
}

// The page loads only what is there, and nothing stands in it that its policy forbids.
func TestPageIsWhole(t *testing.T) {
	t.Parallel()
	page, ok := File("index.html")
	if !ok {
		t.Fatal("there is no index.html")
	}
	for _, bad := range []string{"<style", "style=", "onclick", "http://", "https://", "javascript:"} {
		if bytes.Contains(page, []byte(bad)) {
			t.Errorf("index.html holds %q", bad)
		}
	}
	for _, m := range regexp.MustCompile(`<script([^>]*)>`).FindAllSubmatch(page, -1) {
		if !bytes.Contains(m[1], []byte("src=")) {
			t.Error("index.html holds an inline script")
		}
	}
	links := regexp.MustCompile(`(?:src|href)="/([^"]+)"`).FindAllSubmatch(page, -1)
	if len(links) < 3 {
		t.Errorf("index.html has %d links; want a theme, a script and a style", len(links))
	}
	for _, m := range links {
		if _, ok := File(string(m[1])); !ok {
			t.Errorf("index.html loads %s, which is not there", m[1])
		}
	}
	if !slices.Contains(Pages(), "/") || !slices.Contains(Pages(), "/login") {
		t.Errorf("Pages() = %v; want / and /login among them", Pages())
	}
}

// What is compressed can be had as it was; what a first look loads stays small.
func TestCompressed(t *testing.T) {
	t.Parallel()
	page, _ := File("index.html")
	first := 0
	err := fs.WalkDir(dist, "dist", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, ".gz") {
			return err
		}
		name := strings.TrimSuffix(strings.TrimPrefix(path, "dist/"), ".gz")
		packed, ok := Compressed(name)
		if plain, have := File(name); !ok || !have || len(plain) <= len(packed) {
			t.Errorf("%s: compressed %t with %d bytes, plain %t with %d; want it in both forms", name, ok, len(packed), have, len(plain))
		}
		if bytes.Contains(page, []byte(name)) {
			first += len(packed)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("the page loads %d bytes before it draws", first)
	if first > 200_000 {
		t.Errorf("the page loads %d bytes before it draws; want at most 200000", first)
	}
	if _, ok := File("../web.go"); ok {
		t.Error("File gives what is not in dist")
	}
}

// No registry is named: npm takes the one it is set to.
func TestLockNamesNoRegistry(t *testing.T) {
	t.Parallel()
	b, err := os.ReadFile("package-lock.json")
	if err != nil {
		t.Fatal(err)
	}
	if i := bytes.Index(b, []byte(`"resolved"`)); i >= 0 {
		t.Errorf("package-lock.json says where a package comes from: %.120s", b[i:])
	}
}
