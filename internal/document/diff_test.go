package document

import (
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestDiff(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct{ from, to, want string }{
		{"a\nb\n", "a\nb\n", ""},
		{"", "a\n", "--- x\n+++ y\n@@ -0,0 +1,1 @@\n+a\n"},
		{"a\nb\nc\n", "a\nB\nc\n", "--- x\n+++ y\n@@ -1,3 +1,3 @@\n a\n-b\n+B\n c\n"},
		{"1\n2\n3\n4\n5\n6\n7\n8\n9\n10\n11\n", "0\n2\n3\n4\n5\n6\n7\n8\n9\n10\n12\n",
			"--- x\n+++ y\n@@ -1,4 +1,4 @@\n-1\n+0\n 2\n 3\n 4\n@@ -8,4 +8,4 @@\n 8\n 9\n 10\n-11\n+12\n"},
	} {
		if got, _, _ := Diff("x", "y", tc.from, tc.to); got != tc.want {
			t.Errorf("Diff(%q, %q) =\n%s; want\n%s", tc.from, tc.to, got, tc.want)
		}
	}
}

// What is kept and removed is the one text, what is kept and added the other.
func TestDiffIsWhole(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.SliceOfN(rapid.SampledFrom([]string{"a", "b", "c"}), 0, 12)
		a, b := text.Draw(t, "a"), text.Draw(t, "b")
		var from, to []string
		for _, e := range compare(a, b) {
			if e.op != '+' {
				from = append(from, e.line)
			}
			if e.op != '-' {
				to = append(to, e.line)
			}
		}
		if strings.Join(from, "") != strings.Join(a, "") || strings.Join(to, "") != strings.Join(b, "") {
			t.Fatalf("compare(%v, %v) gives back %v, %v", a, b, from, to)
		}
	})
}
