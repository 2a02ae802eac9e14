package simulate

import (
	"encoding/json"
	"strings"
	"testing"

	"tutti/api"
	"tutti/internal/document"
	"tutti/internal/workflow/core"
)

func TestMatches(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		pattern, path string
		want          bool
	}{
		{"a", "a", true}, {"a", "b", false}, {"", "", true}, {"", "a", false}, {"a", "", false},
		{"*", "abc", true}, {"*", "a.b", false}, {"*", "a[1]", false}, {"*", "a#undo", false}, {"*", "a/b", false}, {"*", "", true},
		{"a.*", "a.b", true}, {"a.*", "a.b.c", false}, {"a.**", "a.b.c", true}, {"**", "a.b[c]/d#undo", true},
		{"disks[*]", "disks[data]", true}, {"disks[*]", "disks[10.0.0.1/24]", true}, {"disks[*]", "disks[a].format", false}, {"disks[*].*", "disks[a].format", true},
		{"disks[d*a]", "disks[data]", true}, {"disks[d*a]", "disks[disk]", false}, {"*#undo", "a#undo", true}, {"b*d", "build", true}, {"b*d*", "bd", true},
		{"call/*", "call/t", true}, {"*/*", "call/t", true}, {"*[*]", "a[b]", true},
	} {
		if got := matches(c.pattern, c.path); got != c.want {
			t.Errorf("matches(%q, %q) = %v; want %v", c.pattern, c.path, got, c.want)
		}
	}
}

func TestPick(t *testing.T) {
	t.Parallel()
	entries := map[string]int{"a[b]": 1, "a[*]": 2, "**": 3, "a[b*]": 4, "*[*]": 5, "other": 6}
	for path, want := range map[string]int{"a[b]": 1, "a[c]": 2, "a[bc]": 4, "x[y]": 5, "x.y": 3, "other": 6} {
		if key, got, ok := pick(entries, path); !ok || got != want {
			t.Errorf("pick(%q) = %q %d; want %d", path, key, got, want)
		}
	}
	if _, _, ok := pick(map[string]int{"a": 1}, "b"); ok {
		t.Error("pick found what does not fit")
	}
}

// What is made from a schema fits it.
func TestSample(t *testing.T) {
	t.Parallel()
	for _, schema := range []string{
		``, `true`, `{}`, `{"type":"object"}`, `{"type":"null"}`,
		`{"type":"object","required":["a","b","z"],"properties":{"a":{"type":"string","minLength":20,"maxLength":21},"b":{"type":["null","integer"],"minimum":5,"maximum":6},"c":{"type":"array","minItems":3,"items":{"type":"boolean"}}},"additionalProperties":{"type":"string"}}`,
		`{"oneOf":[{"required":["a"]},{"required":["b"]}],"type":"object","additionalProperties":false,"properties":{"a":{"const":1}}}`,
		`{"allOf":[{"type":"object","properties":{"a":{"type":"integer"}}},{"required":["b"],"properties":{"b":{"enum":["x","y"]}}}]}`,
		`{"$ref":"#/$defs/n","$defs":{"n":{"type":"object","required":["v"],"properties":{"v":{"type":"number","exclusiveMinimum":0,"exclusiveMaximum":1.5,"multipleOf":0.5},"next":{"$ref":"#/$defs/n"}}}}}`,
		`{"type":"string","format":"date-time"}`, `{"type":"string","format":"uuid"}`, `{"type":"string","format":"ipv4"}`, `{"type":"string","format":"email"}`,
		`{"type":"string","pattern":"^[0-9a-f]{40}$"}`, `{"type":"string","pattern":"^[a-z]+$"}`, `{"type":"integer","multipleOf":7}`, `{"type":"integer","maximum":-3}`,
		`{"examples":[{"k":1}]}`, `{"default":[1]}`, `{"type":"array","maxItems":0,"items":{"type":"string"}}`,
		`{"anyOf":[{"type":"string"},{"type":"null"}]}`,
	} {
		v := sample(json.RawMessage(schema), "s")
		if ps := document.CheckValue(json.RawMessage(schema), v, "v"); len(ps) > 0 {
			t.Errorf("sample(%s) = %s, which does not fit: %v", schema, show(v), ps)
		}
	}
	text := json.RawMessage(`{"type":"string"}`)
	if sample(text, "a") == sample(text, "b") || sample(text, "a") != sample(text, "a") {
		t.Error("a sample depends on something else than its seed")
	}
}

// An engine that comes back other than it was is found out.
func TestCrashIsNoticed(t *testing.T) {
	t.Parallel()
	docs, problems := document.Parse("w.yaml", []byte("kind: Workflow\nname: w\ntasks: {a: {use: noop}, b: {use: noop, needs: [a]}}"))
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	l, problems := Read(Catalogue{Types: []api.TaskType{{Name: "noop"}}}, []api.SourceFile{{Name: "w.yaml", Text: string(docs[0].JSON)}})
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	g, err := l.graph("w")
	if err != nil {
		t.Fatal(err)
	}
	for name, tamper := range map[string]func(w *world, r *run){
		"a lost row":         func(_ *world, r *run) { r.journal = r.journal[:len(r.journal)-1] },
		"an unreadable row":  func(_ *world, r *run) { r.journal[0].events = []byte("[") },
		"another time":       func(_ *world, r *run) { r.journal[len(r.journal)-1].at++ },
		"work nobody gave":   func(w *world, r *run) { r.working["x"] = &entry{} },
		"work that is gone":  func(w *world, r *run) { clear(r.working) },
		"an event too many":  func(_ *world, r *run) { r.journal = append(r.journal, r.journal[0]) },
		"events of no task":  func(_ *world, r *run) { r.journal[1].events = []byte(`[{"t":"task.succeeded","p":"zz"}]`) },
		"an event of no use": func(_ *world, r *run) { r.journal[1].events = []byte(`[{"t":"zz","p":"a"}]`) },
	} {
		w := &world{lib: l, byID: map[api.RunID]*run{}, fakes: map[api.RunID]*fake{}, asked: map[string]int{}, rep: &Report{Crash: &Crash{}}}
		if err := w.create(&run{graph: g}, core.Meta{ID: "run_x", Workflow: "w"}, json.RawMessage(`{}`)); err != nil {
			t.Fatal(err)
		}
		w.next()
		if w.rep.Crash.Difference != "" || len(w.runs[0].journal) < 2 {
			t.Fatalf("%s: %d rows, %q before anything was done to them", name, len(w.runs[0].journal), w.rep.Crash.Difference)
		}
		tamper(w, w.runs[0])
		w.sameWork(w.runs[0])
		w.forget(w.runs[0])
		if w.rep.Crash.Difference == "" {
			t.Errorf("%s went unnoticed", name)
		}
	}
}

func TestCompare(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ want, got, diff string }{
		{`1`, `1`, ``}, {`1`, `2`, `=1|2`}, {`{"a":1}`, `{"a":1}`, ``}, {`{"a":1}`, `{"b":1}`, `.a=1|nothing .b=nothing|1`},
		{`[1,2]`, `[1]`, `=[1,2]|[1]`}, {`[1,{"x":2}]`, `[1,{"x":3}]`, `[1].x=2|3`}, {`null`, `{}`, `=null|{}`}, {`{"a":null}`, `{}`, `.a=null|nothing`},
		{`"1"`, `1`, `="1"|1`}, {`[]`, `{}`, `=[]|{}`},
	} {
		var a, b any
		if json.Unmarshal([]byte(c.want), &a) != nil || json.Unmarshal([]byte(c.got), &b) != nil {
			t.Fatal(c)
		}
		var got []string
		for _, d := range compare("", a, b, 10) {
			got = append(got, d.Path+"="+d.Want+"|"+d.Got)
		}
		if s := strings.Join(got, " "); s != c.diff {
			t.Errorf("compare(%s, %s) = %s; want %s", c.want, c.got, s, c.diff)
		}
	}
}
