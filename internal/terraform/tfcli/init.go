package tfcli

import (
	"bytes"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"tutti/internal/durable"
	"tutti/internal/terraform"
)

// uninstalled reports whether a program complains that it was not initialised for this configuration.
func uninstalled(d terraform.Diagnostic) bool {
	for _, words := range []string{"plugin", "provider", "Module not installed", "dependency lock file", "initialization"} {
		if strings.Contains(d.Summary, words) {
			return true
		}
	}
	return false
}

// init installs providers and modules, unless that was done for the same files.
func (r *runner) init(env []string, anew bool) (did, ok bool) {
	stamp := r.stamp()
	if b, err := os.ReadFile(r.path("data", "tutti.stamp")); !anew && err == nil && string(b) == stamp {
		return false, true
	}
	var said bytes.Buffer
	cmd := r.command(env, "init", "-input=false", "-no-color", "-reconfigure")
	cmd.Stdout, cmd.Stderr = r.out, io.MultiWriter(r.out, &said)
	if err := cmd.Run(); err != nil {
		words := firstLines(said.String(), 6)
		f := r.fail(terraform.FailConfig, "initialising failed: %s", words)
		f.Retry = transient(words)
		f.Diagnostics = append(f.Diagnostics, terraform.Diagnostic{Severity: "error", Summary: "init", Detail: firstLines(said.String(), 40)})
		return true, false
	}
	if b, err := os.ReadFile(r.source(lockHCL)); err == nil {
		_ = durable.Replace(r.path(lockHCL), b) // without it the next run chooses again
	}
	_ = os.WriteFile(r.path("data", "tutti.stamp"), []byte(r.stamp()), 0o600) // without it the next run does it again
	return true, true
}

// transient reports whether it may go better another time: what is fetched from elsewhere.
func transient(words string) bool {
	for _, w := range []string{"timeout", "timed out", "connection", "no such host", "TLS handshake", "502", "503", "504", "429"} {
		if strings.Contains(words, w) {
			return true
		}
	}
	return false
}

// stamp identifies what init depends on: the program and the files of the configuration but its values.
func (r *runner) stamp() string {
	c := terraform.Config{Files: map[string][]byte{}}
	if info, err := os.Stat(r.Program); err == nil {
		c.Files["program"] = fmt.Append(nil, r.Program, info.Size(), info.ModTime())
	}
	c.Files["env"] = []byte(strings.Join(r.Env, "\n"))
	_ = filepath.WalkDir(r.source(), func(path string, e fs.DirEntry, err error) error {
		if err == nil && !e.IsDir() && !strings.Contains(path, ".tfvars") {
			if b, err := os.ReadFile(path); err == nil {
				c.Files["file "+strings.TrimPrefix(path, r.source())] = b
			}
		}
		return nil
	})
	return c.ID()
}

func firstLines(s string, n int) string {
	var out []string
	for line := range strings.SplitSeq(s, "\n") {
		if line = strings.Trim(line, " │╷╵\t"); line != "" && len(out) < n {
			out = append(out, line)
		}
	}
	return strings.Join(out, "; ")
}
