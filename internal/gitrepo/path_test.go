package gitrepo

import (
	"path"
	"strings"
	"testing"
)

func FuzzCheckPath(f *testing.F) {
	for _, s := range []string{"a/b", "../a", ".git/x", "a\\b", ".g\u200cit", "git~1", "a:b", ".git ", "ä"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, p string) {
		if checkPath(p) != nil {
			return
		}
		if path.Clean(p) != p || path.IsAbs(p) || strings.HasPrefix(p, "..") && (len(p) == 2 || p[2] == '/') || strings.ContainsAny(p, "\\\x00\n") || strings.EqualFold(p, ".git") || strings.Contains(strings.ToLower(p)+"/", "/.git/") {
			t.Errorf("checkPath(%q) = nil", p)
		}
	})
}
