// Package docs holds the documentation to what the program does: the definitions it shows are
// checked by a real server, and the calls it shows are made.
package docs_test

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"tutti/api"
	"tutti/errs"
	"tutti/internal/app"
	"tutti/internal/identity"
	"tutti/sdk"
)

// block is a fenced block of a page: its info string, its first line, its text.
type block struct {
	info string
	line int
	text string
}

// blocks returns the fenced blocks of a page.
func blocks(t *testing.T, file string) (out []block) {
	t.Helper()
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	open := false
	s := bufio.NewScanner(f)
	for n := 1; s.Scan(); n++ {
		line := s.Text()
		switch info, fence := strings.CutPrefix(line, "```"); {
		case fence && open:
			open = false
		case fence:
			open = true
			out = append(out, block{info: strings.TrimSpace(info), line: n + 1})
		case open:
			out[len(out)-1].text += line + "\n"
		}
	}
	if err := s.Err(); err != nil {
		t.Fatal(err)
	}
	return out
}

// server starts a server and returns a client of its administrator.
func server(t *testing.T) (*sdk.Client, string) {
	t.Helper()
	token := identity.NewToken()
	ready := make(chan app.Started, 1)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		ended <- app.Run(ctx, app.Config{
			Data: filepath.Join(t.TempDir(), "data"), Listen: "127.0.0.1:0",
			Identity: identity.Config{AdminToken: token}, Ready: func(s app.Started) { ready <- s },
		})
	}()
	select {
	case s := <-ready:
		t.Cleanup(func() { cancel(); <-ended })
		c, err := sdk.New(sdk.Config{Server: s.Address, Token: token})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(c.Close)
		return c, token
	case err := <-ended:
		cancel()
		t.Fatalf("Run = %v before it was ready", err)
	}
	panic("not reached")
}

var kindLine = regexp.MustCompile(`(?m)^kind: `)

// document returns a block as a file to apply. One without a kind is a part of a workflow.
func document(file string, b block) api.SourceFile {
	name := fmt.Sprintf("%s:%d", file, b.line)
	if kindLine.MatchString(b.text) {
		return api.SourceFile{Name: name, Text: b.text}
	}
	text := fmt.Sprintf("kind: Workflow\nname: example-%d\n%s", b.line, b.text)
	if !strings.Contains("\n"+b.text, "\ntasks:") {
		text += "tasks: { nothing: { use: set } }\n"
	}
	return api.SourceFile{Name: name, Text: text}
}

// Every YAML block is a definition that the server accepts, together with the others of its page; one
// marked `refused: TEXT` is refused with a message that holds the text.
func TestDefinitions(t *testing.T) {
	t.Parallel()
	c, _ := server(t)
	pages := []string{"language.md"}
	for _, folder := range []string{"guides", "recipes"} {
		more, err := filepath.Glob(filepath.Join(folder, "*.md"))
		if err != nil {
			t.Fatal(err)
		}
		pages = append(pages, more...)
	}
	checked := 0
	validate := func(files ...api.SourceFile) error {
		checked += len(files)
		_, err := sdk.Call(t.Context(), c, api.ValidateDefinitions, api.ApplyIn{Body: api.ApplyBody{Files: files}})
		return err
	}
	for _, page := range pages {
		var good []api.SourceFile
		for _, b := range blocks(t, page) {
			lang, mark, _ := strings.Cut(b.info, " ")
			if lang != "yaml" {
				continue
			}
			f := document(page, b)
			want, refused := strings.CutPrefix(mark, "refused: ")
			if !refused {
				good = append(good, f)
				continue
			}
			err := validate(f)
			if text := problems(err); err == nil || !strings.Contains(text, want) {
				t.Errorf("%s: validate = %s; want it refused with %q", f.Name, text, want)
			}
		}
		if len(good) > 0 {
			if err := validate(good...); err != nil {
				t.Errorf("%s: %s", page, problems(err))
			}
		}
	}
	if checked < 10 {
		t.Errorf("only %d definitions were found in the pages", checked)
	}
}

// problems returns an error with all its problems.
func problems(err error) string {
	if err == nil {
		return "accepted"
	}
	text := err.Error()
	for _, p := range errs.Public(err).Problems {
		text += fmt.Sprintf("\n  %s: %s (%s)", p.Location, p.Message, p.Hint)
	}
	return text
}

// The shell blocks of the page about the API are one script that runs through.
func TestCalls(t *testing.T) {
	t.Parallel()
	for _, program := range []string{"sh", "curl", "sed"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Skipf("%s is not installed: the calls of guides/api.md are not made", program)
		}
	}
	c, token := server(t)
	script := "set -eu\n"
	for _, b := range blocks(t, "guides/api.md") {
		if b.info == "sh" {
			script += b.text
		}
	}
	if !strings.Contains(script, "curl") {
		t.Fatal("guides/api.md shows no calls")
	}
	cmd := exec.CommandContext(t.Context(), "sh", "-c", script)
	cmd.Dir = t.TempDir()
	cmd.Env = append(os.Environ(), "SERVER="+c.Server(), "TOKEN="+token)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("the script of guides/api.md: %v\n%s", err, out)
	}
}

var link = regexp.MustCompile(`\]\(([^)#: ]+)(#[^)]*)?\)`)

// Links between pages, and from pages to the code, lead somewhere.
func TestLinks(t *testing.T) {
	t.Parallel()
	pages := []string{"../README.md", "../CHANGELOG.md", "../SECURITY.md", "../CONTRIBUTING.md"}
	for _, pattern := range []string{"*.md", "*/*.md"} {
		more, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		pages = append(pages, more...)
	}
	for _, page := range pages {
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range link.FindAllStringSubmatch(string(text), -1) {
			if _, err := os.Stat(filepath.Join(filepath.Dir(page), m[1])); err != nil {
				t.Errorf("%s links to %s: %v", page, m[1], err)
			}
		}
	}
}

// The tests that guarantees.md names exist.
func TestNamedTestsExist(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("guarantees.md")
	if err != nil {
		t.Fatal(err)
	}
	named := regexp.MustCompile(`\x60([a-z/]+)\.((?:Test|Fuzz)\w+)\x60`).FindAllStringSubmatch(string(text), -1)
	if len(named) < 10 {
		t.Fatalf("guarantees.md names %d tests", len(named))
	}
	for _, m := range named {
		files, err := filepath.Glob(filepath.Join("..", m[1], "*.go"))
		if err != nil {
			t.Fatal(err)
		}
		found := false
		for _, file := range files {
			src, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			found = found || strings.Contains(string(src), "func "+m[2]+"(")
		}
		if !found {
			t.Errorf("guarantees.md names %s, which is not in %s", m[2], m[1])
		}
	}
}
