package ansible

import (
	"bytes"
	"cmp"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/rogpeppe/go-internal/diff"
)

// changeOf is one of a module's "diff": before and after are text, or data.
type changeOf struct {
	Before       json.RawMessage `json:"before"`
	After        json.RawMessage `json:"after"`
	BeforeHeader string          `json:"before_header"`
	Prepared     string          `json:"prepared"`
	SrcBinary    json.RawMessage `json:"src_binary"`
	DstBinary    json.RawMessage `json:"dst_binary"`
	SrcLarger    json.RawMessage `json:"src_larger"`
	DstLarger    json.RawMessage `json:"dst_larger"`
}

// diffText returns the diff of a module, one or a list of them, as text; "" where nothing differs. file is
// what it is about, where the diff does not say. The same change gives the same text: the header after is
// left out, which may name temporary files.
func diffText(raw json.RawMessage, file string) string {
	raw = bytes.TrimSpace(raw)
	if len(raw) == 0 {
		return ""
	}
	var all []changeOf
	if raw[0] == '[' {
		if json.Unmarshal(raw, &all) != nil {
			return ""
		}
	} else {
		all = make([]changeOf, 1)
		if json.Unmarshal(raw, &all[0]) != nil {
			return ""
		}
	}
	var out strings.Builder
	for _, c := range all {
		out.WriteString(c.text(file))
	}
	return out.String()
}

func (c changeOf) text(file string) string {
	if c.Prepared != "" {
		return strings.TrimRight(c.Prepared, "\n") + "\n"
	}
	name := cmp.Or(c.BeforeHeader, file)
	for _, x := range []struct {
		raw  json.RawMessage
		what string
	}{{c.SrcBinary, "binary content"}, {c.DstBinary, "binary content"}, {c.SrcLarger, "content too large to show"}, {c.DstLarger, "content too large to show"}} {
		if len(x.raw) > 0 && string(x.raw) != "null" && string(x.raw) != "0" {
			return fmt.Sprintf("%s: %s differs\n", cmp.Or(name, "file"), x.what)
		}
	}
	before, after := side(c.Before), side(c.After)
	if before == after {
		return ""
	}
	text := string(diff.Diff("before "+name, []byte(before), "after "+name, []byte(after)))
	if _, rest, ok := strings.Cut(text, "\n"); ok { // the line "diff before after"
		text = rest
	}
	return text
}

// side returns one side of a diff as text that ends with a line.
func side(raw json.RawMessage) string {
	raw = bytes.TrimSpace(raw)
	if len(raw) == 0 || string(raw) == "null" {
		return ""
	}
	var text string
	if json.Unmarshal(raw, &text) != nil {
		var v any
		if json.Unmarshal(raw, &v) != nil {
			return ""
		}
		b, err := json.MarshalIndent(v, "", "  ") // maps are sorted
		if err != nil {
			return ""
		}
		text = string(b)
	}
	if text != "" && !strings.HasSuffix(text, "\n") {
		text += "\n"
	}
	return text
}

// mark identifies text for whoever has the key.
func mark(key []byte, text ...string) string {
	h := hmac.New(sha256.New, key)
	for _, t := range text {
		fmt.Fprintf(h, "%d:%s", len(t), t)
	}
	return hex.EncodeToString(h.Sum(nil))
}
