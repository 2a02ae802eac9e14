package terraform

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"maps"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclparse"

	"tutti/errs"
	"tutti/sdk"
)

// Config is a configuration: its files by path, with / between the elements.
type Config struct{ Files map[string][]byte }

const (
	maxFiles  = 1000
	maxConfig = 16 << 20 // bytes in all
)

// ours is how the names of files begin that drivers add.
const ours = "tutti_driver"

// ID identifies the content of the configuration.
func (c Config) ID() string {
	h := sha256.New()
	var size [8]byte
	put := func(b []byte) {
		binary.BigEndian.PutUint64(size[:], uint64(len(b)))
		h.Write(size[:])
		h.Write(b)
	}
	for _, name := range slices.Sorted(maps.Keys(c.Files)) {
		put([]byte(name))
		put(c.Files[name])
	}
	return hex.EncodeToString(h.Sum(nil)[:16])
}

// Check returns what is wrong with a configuration before anything is done with it: too much of it,
// paths that lead elsewhere, syntax, and what would take the state away from where the driver keeps it.
func (c Config) Check() error {
	var bad []errs.Problem
	total := 0
	if len(c.Files) > maxFiles {
		return errs.New(errs.TooLarge, "the configuration has %d files; at most %d are possible", len(c.Files), maxFiles)
	}
	root := 0
	for _, name := range slices.Sorted(maps.Keys(c.Files)) {
		total += len(c.Files[name])
		if !filepath.IsLocal(filepath.FromSlash(name)) || path.Clean(name) != name || strings.ContainsAny(name, "\\\x00") || strings.HasPrefix(path.Base(name), ours) {
			bad = append(bad, errs.Problem{Location: fmt.Sprintf("%.200q", name), Message: "not a name that a file of a configuration can have", Hint: "write a relative path without .."})
			continue
		}
		if isConfig(name) && !strings.Contains(name, "/") {
			root++
		}
	}
	switch {
	case total > maxConfig:
		return errs.New(errs.TooLarge, "the configuration has %d bytes; at most %d are possible", total, maxConfig)
	case len(bad) == 0 && root == 0:
		bad = append(bad, errs.Problem{Location: "files", Message: "there is no .tf file at the top", Hint: "the root module is what lies at the top"})
	}
	if len(bad) == 0 {
		bad = c.parse()
	}
	return invalid("the configuration is not valid", bad)
}

// invalid is a failure with problems; nil where there are none.
func invalid(what string, bad []errs.Problem) error {
	if len(bad) == 0 {
		return nil
	}
	return sdk.Fail(FailConfig, "%s: %s: %s", what, bad[0].Location, bad[0].Message).WithDetails(map[string]any{"problems": bad}).WithHint("%s", bad[0].Hint)
}

func isConfig(name string) bool {
	return strings.HasSuffix(name, ".tf") || strings.HasSuffix(name, ".tf.json") || strings.HasSuffix(name, ".tofu")
}

// parse looks at the syntax of all, and at what the root module says of backends.
func (c Config) parse() (bad []errs.Problem) {
	p := hclparse.NewParser()
	for _, name := range slices.Sorted(maps.Keys(c.Files)) {
		if !isConfig(name) {
			continue
		}
		f, diags := parseFile(p, name, c.Files[name])
		bad = append(bad, problems(diags)...)
		if f == nil || strings.Contains(name, "/") {
			continue
		}
		content, _, _ := f.Body.PartialContent(&hcl.BodySchema{Blocks: []hcl.BlockHeaderSchema{{Type: "terraform"}}})
		for _, b := range content.Blocks {
			inner, _, _ := b.Body.PartialContent(&hcl.BodySchema{Blocks: []hcl.BlockHeaderSchema{{Type: "backend", LabelNames: []string{"type"}}, {Type: "cloud"}}})
			for _, x := range inner.Blocks {
				bad = append(bad, errs.Problem{Location: at(&x.DefRange), Message: "it says where the state is kept (" + x.Type + ")",
					Hint: "leave the block out: Tutti, or the place it calls, keeps the state"})
			}
		}
	}
	return bad
}

func parseFile(p *hclparse.Parser, name string, text []byte) (*hcl.File, hcl.Diagnostics) {
	if strings.HasSuffix(name, ".json") {
		return p.ParseJSON(text, name)
	}
	return p.ParseHCL(text, name)
}

func problems(diags hcl.Diagnostics) (bad []errs.Problem) {
	for _, d := range diags {
		if d.Severity == hcl.DiagError {
			bad = append(bad, errs.Problem{Location: at(d.Subject), Message: d.Summary, Hint: d.Detail})
		}
	}
	return bad
}

func at(r *hcl.Range) string {
	if r == nil {
		return "files"
	}
	return fmt.Sprintf("%s:%d", r.Filename, r.Start.Line)
}
