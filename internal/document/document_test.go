package document_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"tutti/errs"
	"tutti/internal/document"
)

func lines(ps []errs.Problem) string {
	var b strings.Builder
	for _, p := range ps {
		fmt.Fprintf(&b, "%s: %s", p.Location, p.Message)
		if p.Hint != "" {
			fmt.Fprintf(&b, " (%s)", p.Hint)
		}
		b.WriteByte('\n')
	}
	return b.String()
}

func one(t testing.TB, src string) *document.Document {
	t.Helper()
	docs, ps := document.Parse("a.yaml", []byte(src))
	if len(ps) > 0 || len(docs) != 1 {
		t.Fatalf("Parse(%q) = %d documents, %s; want one", src, len(docs), lines(ps))
	}
	return docs[0]
}

const yamlDoc = `# a comment
kind: Workflow
name: vm.build
title: "A machine"
labels: { team: core }
flags: [y, on, no, yes, true, ~]
date: 2024-01-02
numbers: [1, -2.50, 1e3, 0]
text: |
  one
  two ${{ x }}
base: &b { a: 1 }
copy: *b
`

func TestParse(t *testing.T) {
	t.Parallel()
	d := one(t, yamlDoc)
	want := `{"base":{"a":1},"copy":{"a":1},"date":"2024-01-02","flags":["y","on","no","yes",true,null],"kind":"Workflow",` +
		`"labels":{"team":"core"},"name":"vm.build","numbers":[1,-2.5,1000,0],"text":"one\ntwo ${{ x }}\n","title":"A machine"}`
	if string(d.JSON) != want {
		t.Errorf("JSON = %s\nwant %s", d.JSON, want)
	}
	if d.Kind != "Workflow" || d.Name != "vm.build" || d.Title != "A machine" || d.Format != 1 || d.Labels["team"] != "core" {
		t.Errorf("header = %q %q %q %d %v", d.Kind, d.Name, d.Title, d.Format, d.Labels)
	}
	again, err := document.FromJSON("b.json", d.JSON)
	if err != nil {
		t.Fatal(err)
	}
	if again.Digest != d.Digest || string(again.JSON) != string(d.JSON) {
		t.Errorf("FromJSON(JSON) = %s %s; want the same as %s %s", again.Digest, again.JSON, d.Digest, d.JSON)
	}
}

func TestPlaces(t *testing.T) {
	t.Parallel()
	d := one(t, yamlDoc)
	for _, tc := range [][2]string{
		{d.At("/name"), "a.yaml:3:7"},
		{d.KeyAt("/name"), "a.yaml:3:1"},
		{d.At("/flags/2"), "a.yaml:6:16"},
		{d.KeyAt("/flags/2"), "a.yaml:6:16"},
		{d.At("/labels/none"), "a.yaml:5:9"},
		{d.At(""), "a.yaml:2:1"},
		{d.Inside("/title", 2), "a.yaml:4:11"},
		{d.Inside("/text", 8), "a.yaml:11:7"},
		{d.At("/copy"), "a.yaml:13:7"},
	} {
		if tc[0] != tc[1] {
			t.Errorf("place = %s; want %s", tc[0], tc[1])
		}
	}
	j := one(t, "{\n  \"kind\": \"X\", \"name\": \"x\",\n\t\"é\": [1,\n  {\"k\": \"\\ud83d\\ude00\"}]}")
	if got := j.At("/é/1/k"); got != "a.yaml:4:9" {
		t.Errorf("At in JSON = %s; want a.yaml:4:9", got)
	}
	if got := j.KeyAt("/é"); got != "a.yaml:3:2" {
		t.Errorf("KeyAt in JSON = %s; want a.yaml:3:2", got)
	}
}

func TestParseRefuses(t *testing.T) {
	t.Parallel()
	bomb := "kind: X\nname: x\na0: &a0 [1,1,1,1,1,1,1,1,1,1]\n"
	for i := range 9 {
		bomb += fmt.Sprintf("a%d: &a%d [*a%d,*a%d,*a%d,*a%d,*a%d,*a%d,*a%d,*a%d,*a%d]\n", i+1, i+1, i, i, i, i, i, i, i, i, i)
	}
	for _, tc := range [][2]string{
		{"", "f:1:1: the file has no document\n"},
		{"# only\n---\n", "f:1:1: the file has no document\n"},
		{"[1]", "f:1:1: a document is an object with kind and name, this is a list\n"},
		{"kind: X\nname: Bad Name\n", "f:2:7: \"Bad Name\" is not a name (a name begins with a small letter and has small letters, digits, dots and dashes, 127 at most)\n"},
		{"title: 3\nlabels: {a: 1}", "f:1:1: \"kind\" is missing (every document has kind and name)\nf:1:1: \"name\" is missing (every document has kind and name)\n" +
			"f:1:8: title must be text, got the number 3\nf:2:13: label a must be text, got the number 1 (quote it)\n"},
		{"kind: X\nname: x\nformat: 2", "f:3:9: format must be 1, got the number 2 (this version knows format 1 only)\n"},
		{"kind: X\nname: x\na: 1\nb: 2\na: 3\n", "f:5:1: \"a\" is given twice (the first is on line 3)\n"},
		{"{\"kind\": \"X\",\n \"name\": \"x\", \"kind\": 3}", "f:2:15: \"kind\" is given twice (the first is on line 1)\n"},
		{"kind: X\nname: x\nwhen: !skip", "f:3:7: the YAML tag !skip is not supported (YAML reads a word that begins with ! as a tag: for a condition write not skip, for text quote it)\n"},
		{"kind: X\nname: x\nb: !!binary aGk=", "f:3:4: the YAML tag !!binary is not supported (leave the tag out)\n"},
		{"kind: X\nname: x\nmode: 0644\nsize: 1_000\nhex: 0x1f\n", `f:3:7: programs read 0644 differently (quote it if it is text ("0644"), else write it as in JSON: 420, -1.5, 1e3)` + "\n" +
			`f:4:7: programs read 1_000 differently (quote it if it is text ("1_000"), else write it as in JSON: 420, -1.5, 1e3)` + "\n" +
			`f:5:6: programs read 0x1f differently (quote it if it is text ("0x1f"), else write it as in JSON: 420, -1.5, 1e3)` + "\n"},
		{"kind: X\nname: x\nid: 12345678901234567890", "f:3:5: the number 12345678901234567890 is too large to be kept exactly (quote it, to have it as text)\n"},
		{"kind: X\nname: x\na: &a [*a]", "f:3:8: the alias *a stands inside of what it names\n"},
		{"kind: X\nname: x\na: &a {b: 1}\nc:\n  <<: *a\n", "f:5:3: merge keys (<<) are not supported (write the keys out, or put what tasks share under defaults)\n"},
		{"kind: X\nname: x\nwith: { a: ${{ x }} }\n", "f:3:1: not YAML: did not find expected ',' or '}' (quote the expression: \"${{ … }}\")\n"},
		{"kind: X\nname: x\nshow: ${{ {\"k\": 1} }}\n", "f:3:1: not YAML: mapping values are not allowed in this context (quote the expression: \"${{ … }}\")\n"},
		{"kind: X\nname: x\na: [*nope]\n", "f:3:5: there is no anchor &nope before this (quote it if it is text)\n"},
		{"kind: X\nname: x\na: " + strings.Repeat("[", 70) + strings.Repeat("]", 70), "f:3:68: nested deeper than 64 levels\n"},
		{bomb, "f:"},
		{"kind: X\nname: \xff", "f:1:1: the file is not UTF-8 text\n"},
		{strings.Repeat(" ", document.MaxSize+1), "f:1:1: the file has 1048577 bytes, the limit is 1048576\n"},
	} {
		_, ps := document.Parse("f", []byte(tc[0]))
		got := lines(ps)
		if tc[0] == bomb && strings.Contains(got, "the file has more than 100000 values") {
			continue
		}
		if got != tc[1] {
			t.Errorf("Parse(%.60q) =\n%swant\n%s", tc[0], got, tc[1])
		}
	}
}

func TestParseMany(t *testing.T) {
	t.Parallel()
	docs, ps := document.Parse("m.yaml", []byte("kind: A\nname: a\n---\nkind: B\n---\n---\nkind: C\nname: c\n"))
	if len(docs) != 2 || docs[0].Name != "a" || docs[1].Name != "c" || docs[1].At("/name") != "m.yaml:8:7" {
		t.Errorf("Parse = %d documents; want a and c", len(docs))
	}
	if got, want := lines(ps), "m.yaml:4:1: \"name\" is missing (every document has kind and name)\n"; got != want {
		t.Errorf("Parse problems = %s; want %s", got, want)
	}
}

// A value written as JSON reads the same by either parser and keeps its digest.
func TestRoundTrip(t *testing.T) {
	t.Parallel()
	values := rapid.Deferred(func() *rapid.Generator[any] { return value(4) })
	rapid.Check(t, func(rt *rapid.T) {
		v := map[string]any{"kind": "X", "name": "x", "v": values.Draw(rt, "v")}
		canonical := document.Canonical(v)
		pretty, _ := json.MarshalIndent(v, "", "  ")
		docs, ps := document.Parse("f", pretty)
		if len(ps) > 0 || string(docs[0].JSON) != string(canonical) {
			rt.Fatalf("Parse(%s) = %v; want %s", pretty, ps, canonical)
		}
		if diff := cmp.Diff(any(v), docs[0].Value()); diff != "" {
			rt.Fatalf("Value: -want +got\n%s", diff)
		}
	})
}

func value(depth int) *rapid.Generator[any] {
	leaves := []*rapid.Generator[any]{
		rapid.Just[any](nil), rapid.Bool().AsAny(), rapid.String().AsAny(), rapid.Custom(func(t *rapid.T) any { return float64(rapid.IntRange(-1e6, 1e6).Draw(t, "n")) / 4 }),
	}
	if depth == 0 {
		return rapid.OneOf(leaves...)
	}
	return rapid.OneOf(append(leaves,
		rapid.Custom(func(t *rapid.T) any { return rapid.SliceOfN(value(depth-1), 0, 3).Draw(t, "l") }),
		rapid.Custom(func(t *rapid.T) any { return rapid.MapOfN(rapid.String(), value(depth-1), 0, 3).Draw(t, "m") }),
	)...)
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(yamlDoc))
	f.Add([]byte(`{"kind":"X","name":"x","a":[1,{"b":null}]}`))
	f.Add([]byte("kind: X\nname: x\na: &a [1]\nb: [*a, *a]\n---\nkind: Y\nname: y"))
	f.Add([]byte("? [a]\n: b\n<<: {}\n!!str 1: !x y"))
	f.Fuzz(func(t *testing.T, data []byte) {
		start := time.Now()
		docs, ps := document.Parse("f", data)
		if took := time.Since(start); took > 20*time.Second {
			t.Fatalf("Parse took %s", took)
		}
		if len(docs) == 0 && len(ps) == 0 {
			t.Fatal("Parse gave neither documents nor problems")
		}
		for _, d := range docs {
			again, err := document.FromJSON("f", d.JSON)
			if err != nil || again.Digest != d.Digest {
				t.Fatalf("FromJSON(%s) = %v; want the same digest", d.JSON, err)
			}
		}
	})
}
