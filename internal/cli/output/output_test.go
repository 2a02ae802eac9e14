package output

import (
	"bytes"
	"encoding/json"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"tutti/api"
	"tutti/errs"
)

var now = time.Date(2026, 11, 21, 9, 0, 0, 0, time.UTC)

var runs = api.Page[api.Run]{Items: []api.Run{
	{ID: "run_7k2m4qzt3c5nw6xd", Workflow: "vm.build", State: api.Running, Title: "web-dev-07", Created: now.Add(-281 * time.Second), Seq: 12},
	{ID: "run_0000000000000001", Workflow: "mail", State: api.Failed, Title: "a\x1b[2J\nb\tc", Created: now.Add(-26 * time.Hour), Failure: &api.RunFail{Task: "send", Failure: api.Failure{Type: "smtp", Message: "refused"}}, Seq: 9007199254740993},
}, Cursor: "c2"}

var columns = []Column[api.Run]{
	{Name: "ID", Get: func(r api.Run) Cell { return Text("%s", r.ID) }},
	{Name: "STATE", Get: func(r api.Run) Cell { return State(r.State) }},
	{Name: "WORKFLOW", Get: func(r api.Run) Cell { return Text("%s", r.Workflow) }},
	{Name: "STARTED", Get: func(r api.Run) Cell { return Time(r.Created) }},
	{Name: "SEQ", Wide: true, Right: true, Get: func(r api.Run) Cell { return Text("%d", r.Seq) }},
	{Name: "TITLE", Get: func(r api.Run) Cell { return Text("%s", r.Title) }},
}

func render(t *testing.T, p Printer) string {
	t.Helper()
	var b bytes.Buffer
	p.W, p.Now = &b, now
	if err := p.Check(); err != nil {
		t.Fatal(err)
	}
	if err := List(&p, runs, runs.Items, columns, func(r api.Run) string { return string(r.ID) }); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestList(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		p    Printer
		want string
	}{
		"tabs": {Printer{}, "ID\tSTATE\tWORKFLOW\tSTARTED\tTITLE\n" +
			"run_7k2m4qzt3c5nw6xd\trunning\tvm.build\t2026-11-21T08:55:19.000Z\tweb-dev-07\n" +
			"run_0000000000000001\tfailed\tmail\t2026-11-20T07:00:00.000Z\ta�[2J b c\n"},
		"terminal": {Printer{Terminal: true, Width: 120}, `
ID                    STATE      WORKFLOW  STARTED    TITLE
run_7k2m4qzt3c5nw6xd  ◐ running  vm.build  4m41s ago  web-dev-07
run_0000000000000001  ✕ failed   mail      1d2h ago   a�[2J b c
`},
		"narrow": {Printer{Terminal: true, Width: 60}, `
ID                STATE      WORKFLOW  STARTED    TITLE
run_7k2m4qzt3c5…  ◐ running  vm.build  4m41s ago  web-dev-07
run_00000000000…  ✕ failed   mail      1d2h ago   a�[2J b c
`},
		"wide, no headers": {Printer{Terminal: true, Width: 120, Format: "wide", NoHeaders: true, Time: "unix"}, `
run_7k2m4qzt3c5nw6xd  ◐ running  vm.build  1795251319                12  web-dev-07
run_0000000000000001  ✕ failed   mail      1795158000  9007199254740993  a�[2J b c
`},
		"colour":      {Printer{Terminal: true, Width: 80, Color: true, Fields: []string{"state"}}, "\x1b[1mSTATE\x1b[0m\n\x1b[34m◐ running\x1b[0m\n\x1b[31m✕ failed\x1b[0m\n"},
		"fields":      {Printer{Fields: []string{"id", "failure.message", "outputs"}}, "ID\tFAILURE.MESSAGE\tOUTPUTS\nrun_7k2m4qzt3c5nw6xd\t\t\nrun_0000000000000001\trefused\t\n"},
		"name":        {Printer{Format: "name"}, "run_7k2m4qzt3c5nw6xd\nrun_0000000000000001\n"},
		"jq":          {Printer{JQ: ".items[] | .title, .seq"}, "web-dev-07\n12\na\x1b[2J\nb\tc\n9007199254740993\n"},
		"jq terminal": {Printer{JQ: ".items[1].title", Terminal: true}, "a�[2J\nb\tc\n"},
		"jsonl":       {Printer{Format: "jsonl", Fields: []string{"id", "failure.task"}}, `{"id":"run_7k2m4qzt3c5nw6xd"}` + "\n" + `{"failure.task":"send","id":"run_0000000000000001"}` + "\n"},
		"json fields": {Printer{Format: "json", Fields: []string{"seq"}}, "{\n  \"cursor\": \"c2\",\n  \"items\": [\n    {\n      \"seq\": 12\n    },\n    {\n      \"seq\": 9007199254740993\n    }\n  ]\n}\n"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			want := strings.TrimPrefix(c.want, "\n")
			if diff := cmp.Diff(want, render(t, c.p)); diff != "" {
				t.Errorf("List (-want +got):\n%s", diff)
			}
		})
	}
}

// What -o json prints is the object of the API, byte for byte but for the indent.
func TestJSONIsTheObject(t *testing.T) {
	t.Parallel()
	want, err := json.Marshal(runs)
	if err != nil {
		t.Fatal(err)
	}
	var got bytes.Buffer
	if err := json.Compact(&got, []byte(render(t, Printer{Format: "json"}))); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got.String()); diff != "" {
		t.Errorf("-o json (-want +got):\n%s", diff)
	}
}

func TestYAML(t *testing.T) {
	t.Parallel()
	var b bytes.Buffer
	p := Printer{W: &b, Format: "yaml"}
	in := json.RawMessage(`{"z":"yes","a":[1,1.5,true,null,"1","null",[],{}],"text":"one\ntwo\n","esc":"a\u0000b","t":"2026-01-02","big":9007199254740993}`)
	if err := p.Data(in); err != nil {
		t.Fatal(err)
	}
	const want = `z: "yes"
a:
  - 1
  - 1.5
  - true
  - null
  - "1"
  - "null"
  - []
  - {}
text: |
  one
  two
esc: "a\0b"
t: "2026-01-02"
big: 9007199254740993
`
	if diff := cmp.Diff(want, b.String()); diff != "" {
		t.Errorf("-o yaml (-want +got):\n%s", diff)
	}
}

func TestOne(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		p    Printer
		want string
	}{
		{Printer{}, "id\trun_7k2m4qzt3c5nw6xd\nstate\trunning\nworkflow\tvm.build\nstarted\t2026-11-21T08:55:19.000Z\nseq\t12\ntitle\tweb-dev-07\n"},
		{Printer{Terminal: true}, "ID        run_7k2m4qzt3c5nw6xd\nSTATE     ◐ running\nWORKFLOW  vm.build\nSTARTED   4m41s ago\nSEQ       12\nTITLE     web-dev-07\n"},
		{Printer{Format: "name"}, "run_7k2m4qzt3c5nw6xd\n"},
		{Printer{Fields: []string{"state"}, NoHeaders: true}, "running\n"},
	} {
		var b bytes.Buffer
		c.p.W, c.p.Now = &b, now
		if err := One(&c.p, runs.Items[0], columns, string(runs.Items[0].ID)); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(c.want, b.String()); diff != "" {
			t.Errorf("One (-want +got):\n%s", diff)
		}
	}
}

func TestCheck(t *testing.T) {
	t.Parallel()
	for _, p := range []Printer{{Format: "xml"}, {Time: "utc"}, {JQ: ".["}, {JQ: "nosuch(1)"}} {
		if err := p.Check(); !errs.Is(err, errs.Invalid) {
			t.Errorf("%+v.Check() = %v; want errs.Invalid", p, err)
		}
	}
	p := Printer{W: &bytes.Buffer{}, Fields: []string{"nosuch"}}
	if err := List(&p, runs, runs.Items, columns, nil); !errs.Is(err, errs.Invalid) {
		t.Errorf("List with an unknown field = %v; want errs.Invalid", err)
	}
	p = Printer{W: &bytes.Buffer{}, JQ: ".items[0].id.x"}
	if err := List(&p, runs, runs.Items, columns, nil); !errs.Is(err, errs.Invalid) {
		t.Errorf("a filter that fails = %v; want errs.Invalid", err)
	}
}

func TestLength(t *testing.T) {
	t.Parallel()
	for d, want := range map[time.Duration]string{
		-1: "0s", 0: "0s", 99 * time.Millisecond: "0s", 440 * time.Millisecond: "0.4s", 9990 * time.Millisecond: "9.9s", 59 * time.Second: "59s",
		60 * time.Second: "1m", 112 * time.Second: "1m52s", 3 * time.Hour: "3h", 185 * time.Minute: "3h5m", 52 * time.Hour: "2d4h",
	} {
		if got := Length(d); got != want {
			t.Errorf("Length(%v) = %q; want %q", d, got, want)
		}
	}
	if got := Relative(now.Add(90*time.Second), now); got != "in 1m30s" {
		t.Errorf("Relative(future) = %q; want in 1m30s", got)
	}
}

func TestCut(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		s    string
		w    int
		want string
	}{{"abc", 3, "abc"}, {"abcd", 3, "ab…"}, {"日本語", 6, "日本語"}, {"日本語", 5, "日本…"}, {"日本語", 4, "日…"}, {"e\u0301a", 2, "e\u0301a"}, {"abc", 0, ""}} {
		if got := Cut(c.s, c.w); got != c.want {
			t.Errorf("Cut(%q, %d) = %q; want %q", c.s, c.w, got, c.want)
		}
		if got := Width(Cut(c.s, c.w)); got > c.w {
			t.Errorf("Width(Cut(%q, %d)) = %d; want at most %d", c.s, c.w, got, c.w)
		}
	}
}

func FuzzClean(f *testing.F) {
	for _, s := range []string{"", "a", "a\x1b[31mb", "\u009b2J", "\u202eabc", "a\nb", "\xff"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		for _, r := range Clean(s) {
			if Unsafe(r) {
				t.Errorf("Clean(%q) keeps %q", s, r)
			}
		}
	})
}

func TestColored(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"plain": "plain", "\x1b[1;32mok\x1b[0m": "\x1b[1;32mok\x1b[0m\x1b[0m", "\x1b[2Jx": "�[2Jx", "a\x1b]0;title\x07b": "a�]0;title�b",
		"\x1b[31": "�[31", "\x1b": "�", "a\rb\x08": "a�b�", "\x1b[38:2:1:2:3mx": "\x1b[38:2:1:2:3mx\x1b[0m",
	} {
		if got := Colored(in); got != want {
			t.Errorf("Colored(%q) = %q; want %q", in, got, want)
		}
	}
	if got := Uncolored("\x1b[1;32mok\x1b[0m\x1b[2J"); got != "ok�[2J" {
		t.Errorf("Uncolored = %q; want ok�[2J", got)
	}
}

func FuzzColored(f *testing.F) {
	for _, s := range []string{"", "\x1b[31mred", "\x1b\x1b[0m", "\x1b[\x1b[1m", "\x1b[1;\x00m", "\u009b31m"} {
		f.Add(s)
	}
	sgr := regexp.MustCompile("\x1b\\[[0-9;:]*m")
	f.Fuzz(func(t *testing.T, s string) {
		for _, r := range sgr.ReplaceAllString(Colored(s), "") {
			if Unsafe(r) && r != '\n' && r != '\t' {
				t.Errorf("Colored(%q) keeps %q", s, r)
			}
		}
		if strings.Contains(Uncolored(s), "\x1b") {
			t.Errorf("Uncolored(%q) keeps an escape", s)
		}
	})
}
