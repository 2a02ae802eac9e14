package live

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"tutti/api"
	"tutti/internal/cli/output"
)

var now = time.Date(2026, 11, 21, 9, 0, 0, 0, time.UTC)

func at(s int) time.Time { return now.Add(time.Duration(s) * time.Second) }

// build is the run of UI.md's example, with a sub-run.
func build() *Snapshot {
	return &Snapshot{
		Run: api.Run{ID: "run_1", Workflow: "vm.build", Title: "web-dev-07", State: api.Running, Created: at(-281)},
		Tasks: []api.Task{
			{Path: "resolve", ID: "resolve", Title: "resolve resource file", Kind: "call", State: api.Succeeded, Started: at(-280), Ended: at(-262)},
			{Path: "net", ID: "net", Title: "network.allocate", Kind: "group", State: api.Succeeded, Started: at(-262), Ended: at(-218)},
			{Path: "net.a", ID: "a", Parent: "net", Kind: "call", State: api.Succeeded, Started: at(-262), Ended: at(-240)},
			{Path: "net.b", ID: "b", Parent: "net", Kind: "call", State: api.Succeeded, Started: at(-240), Ended: at(-218)},
			{Path: "configure", ID: "configure", Kind: "call", Use: "workflow:ansible", State: api.Running, Started: at(-104), Run: "run_2"},
			{Path: "disks", ID: "disks", Kind: "each", State: api.Running, Started: at(-30), Counts: map[api.State]int{api.Succeeded: 1, api.Failed: 1, api.Pending: 1}},
			{Path: "disks[data]", ID: "disks", Parent: "disks", Kind: "item", State: api.Succeeded, Started: at(-30), Ended: at(-20)},
			{Path: "disks[log]", ID: "disks", Parent: "disks", Kind: "item", State: api.Failed, Started: at(-30), Ended: at(-11), Attempt: 3, Failure: &api.Failure{Type: "http.status", Message: "no space\x1b[2J on array-7"}},
			{Path: "disks[tmp]", ID: "disks", Parent: "disks", Kind: "item", State: api.Pending},
			{Path: "approve", ID: "approve", Kind: "call", State: api.Waiting, Started: at(-11), Reason: &api.Reason{Kind: "approval", Text: "asks role approver", Until: at(7200)}},
			{Path: "notify", ID: "notify", Title: "notify owner", Kind: "call", State: api.Pending},
		},
		Subs: map[string]*Snapshot{"configure": {
			Run: api.Run{ID: "run_2", Workflow: "ansible", State: api.Running, Created: at(-104)},
			Tasks: []api.Task{
				{Path: "base", ID: "base", Title: "play base", Kind: "call", State: api.Succeeded, Started: at(-104), Ended: at(-59)},
				{Path: "agent", ID: "agent", Title: "play agent", Kind: "call", State: api.Running, Attempt: 2, Started: at(-33), Failure: &api.Failure{Message: "unreachable"}},
			},
		}},
	}
}

func check(t *testing.T, name string, got []string, want string) {
	t.Helper()
	if diff := cmp.Diff(strings.Split(strings.Trim(want, "\n"), "\n"), got); diff != "" {
		t.Errorf("%s (-want +got):\n%s\ngot:\n%s", name, diff, strings.Join(got, "\n"))
	}
}

func TestDraw(t *testing.T) {
	t.Parallel()
	check(t, "Draw", Draw(build(), View{Now: now}), `
◐ vm.build  web-dev-07          running    4m41s
├─✓ resolve resource file       succeeded    18s
├─✓ network.allocate (2 steps)  succeeded    44s
├─◐ configure                   running    1m44s
│ ├─✓ play base                 succeeded    45s
│ └─◐ play agent   attempt 2    running      33s  before: unreachable
├─◐ disks                       running      30s  2 of 3, 1 failed
│ ├─✓ [data]                    succeeded    10s
│ ├─✕ [log]   attempt 3         failed       19s  no space�[2J on array-7
│ └─○ [tmp]                     pending
├─⏸ approve                     waiting      11s  asks role approver, 2h left
└─○ notify owner                pending
`)
	check(t, "Draw(Height 8)", Draw(build(), View{Now: now, Height: 8}), `
◐ vm.build  web-dev-07        running    4m41s
├─◐ configure                 running    1m44s
│ ├─✓ play base               succeeded    45s
│ └─◐ play agent   attempt 2  running      33s  before: unreachable
├─◐ disks                     running      30s  2 of 3, 1 failed
│ ├─✕ [log]   attempt 3       failed       19s  no space�[2J on array-7
│ └ + 1 more succeeded, 1 pending
└ + 1 more waiting, 2 succeeded, 1 pending
`)
	check(t, "Draw(Height 2)", Draw(build(), View{Now: now, Height: 2}), `
◐ vm.build  web-dev-07  running  4m41s
└ + 2 running, 1 waiting, 2 succeeded, 1 pending
`)
	check(t, "Draw(Width 48)", Draw(build(), View{Now: now, Width: 48, Height: 4}), `
◐ vm.build  web-d…  running  4m41s
├─◐ configure       running  1m44s
│ └ + 1 running, 1 succeeded
└ + 1 more running, 1 waiting, 2 succeeded, 1 p…
`)
	check(t, "Draw(Open)", Draw(&Snapshot{Run: build().Run, Tasks: build().Tasks[1:4]}, View{Now: now, Open: true, Frame: 1}), `
◓ vm.build  web-dev-07  running    4m41s
└─✓ network.allocate    succeeded    44s
  ├─✓ a                 succeeded    22s
  └─✓ b                 succeeded    22s
`)
}

func TestDrawColor(t *testing.T) {
	t.Parallel()
	got := Draw(&Snapshot{Run: api.Run{Workflow: "x", State: api.Failed, Created: at(-60), Ended: now, Failure: &api.RunFail{Task: "a", Failure: api.Failure{Message: "bad"}}},
		Tasks: []api.Task{{Path: "a", ID: "a", State: api.Running, Started: at(-5)}}}, View{Now: now, Color: true, Frame: 2})
	check(t, "Draw(Color)", got, "\x1b[31m✕\x1b[0m x    \x1b[31mfailed \x1b[0m\x1b[2m  1m  a: bad\x1b[0m\n"+
		"\x1b[2m└─\x1b[0m\x1b[34m◑\x1b[0m a  \x1b[34mrunning\x1b[0m\x1b[2m  5s\x1b[0m")
}

func TestManyTasks(t *testing.T) {
	t.Parallel()
	s := &Snapshot{Run: api.Run{Workflow: "fleet", State: api.Running, Created: at(-90)}, Tasks: []api.Task{{Path: "hosts", ID: "hosts", Kind: "each", State: api.Running, Started: at(-80)}}}
	for i := range 230 {
		state := api.Succeeded
		switch {
		case i == 7:
			state = api.Failed
		case i > 220:
			state = api.Running
		}
		s.Tasks = append(s.Tasks, api.Task{Path: fmt.Sprintf("hosts[web-%03d]", i), ID: "hosts", Parent: "hosts", Kind: "item", State: state, Started: at(-70), Ended: at(-60)})
	}
	check(t, "Draw", Draw(s, View{Now: now, Height: 16, Width: 60}), `
◐ fleet          running    1m30s
└─◐ hosts        running    1m20s
  ├─✕ [web-007]  failed       10s
  ├─✓ [web-218]  succeeded    10s
  ├─✓ [web-219]  succeeded    10s
  ├─✓ [web-220]  succeeded    10s
  ├─◐ [web-221]  running      10s
  ├─◐ [web-222]  running      10s
  ├─◐ [web-223]  running      10s
  ├─◐ [web-224]  running      10s
  ├─◐ [web-225]  running      10s
  ├─◐ [web-226]  running      10s
  ├─◐ [web-227]  running      10s
  ├─◐ [web-228]  running      10s
  ├─◐ [web-229]  running      10s
  └ + 217 more succeeded
`)
}

func TestChanges(t *testing.T) {
	t.Parallel()
	var got []string
	for _, c := range Changes(nil, build(), now) {
		got = append(got, c.String())
	}
	check(t, "Changes(nil)", got, `
08:55:19  ◐ running    vm.build
08:55:38  ✓ succeeded  resolve  18s
08:56:00  ✓ succeeded  net.a  22s
08:56:22  ✓ succeeded  net.b  22s
08:56:22  ✓ succeeded  net  44s
08:58:16  ◐ running    configure
08:59:01  ✓ succeeded  configure > base  45s
08:59:27  ◐ running    configure > agent  attempt 2  before: unreachable
08:59:30  ◐ running    disks  2 of 3, 1 failed
08:59:40  ✓ succeeded  disks[data]  10s
08:59:49  ✕ failed     disks[log]  19s  attempt 3  no space�[2J on array-7
09:00:00  ⏸ waiting    approve  asks role approver, 2h left
`)
	next := build()
	next.Run.State, next.Run.Ended, next.Run.Failure = api.Failed, at(3), &api.RunFail{Task: "disks[log]", Failure: api.Failure{Message: "no space"}}
	next.Tasks[9].State, next.Tasks[9].Ended = api.Cancelled, at(2)
	next.Subs["configure"].Tasks[1].Attempt = 3
	next.Subs["configure"].Tasks[1].Started = at(1)
	got = nil
	for _, c := range Changes(build(), next, at(4)) {
		got = append(got, c.String())
	}
	check(t, "Changes(old)", got, `
09:00:01  ◐ running    configure > agent  attempt 3  before: unreachable
09:00:02  ⊘ cancelled  approve  13s
09:00:03  ✕ failed     vm.build  4m44s  disks[log]: no space
`)
	if got := Changes(next, next, now); len(got) != 0 {
		t.Errorf("Changes(same) = %v; want none", got)
	}
}

func TestAsks(t *testing.T) {
	t.Parallel()
	s := build()
	if !s.Asks() {
		t.Error("Asks() = false; want true for a waiting approval")
	}
	s.Tasks[9].State = api.Succeeded
	if s.Asks() {
		t.Error("Asks() = true; want false after the decision")
	}
	s.Subs["configure"].Tasks[1] = api.Task{State: api.Waiting, Reason: &api.Reason{Kind: "approval"}}
	if !s.Asks() {
		t.Error("Asks() = false; want true for an approval in a sub-run")
	}
	if s.Find("run_2") != s.Subs["configure"] || s.Find("run_3") != nil {
		t.Error("Find does not find the sub-run, or one that is not there")
	}
}

// Whatever the run looks like, the tree stays inside the terminal, and what failed is never left out
// for what succeeded.
func TestDrawFits(t *testing.T) {
	t.Parallel()
	states := []api.State{api.Pending, api.Running, api.Waiting, api.Succeeded, api.Failed, api.Skipped, api.Cancelled}
	rapid.Check(t, func(t *rapid.T) {
		s := &Snapshot{Run: api.Run{Workflow: "w", State: api.Running, Created: at(-100)}}
		n := rapid.IntRange(0, 60).Draw(t, "tasks")
		for i := range n {
			path, parent := fmt.Sprintf("t%d", i), ""
			if p := rapid.IntRange(-3, i-1).Draw(t, "parent"); p >= 0 {
				parent = s.Tasks[p].Path
			}
			s.Tasks = append(s.Tasks, api.Task{Path: path, ID: path, Title: rapid.String().Draw(t, "title"), Parent: parent,
				State: rapid.SampledFrom(states).Draw(t, "state"), Started: at(-50), Failure: &api.Failure{Message: rapid.String().Draw(t, "note")}})
		}
		v := View{Now: now, Height: rapid.IntRange(1, 40).Draw(t, "height"), Width: rapid.IntRange(40, 120).Draw(t, "width")}
		lines := Draw(s, v)
		if len(lines) > v.Height {
			t.Fatalf("Draw = %d lines; want at most %d:\n%s", len(lines), v.Height, strings.Join(lines, "\n"))
		}
		for _, l := range lines {
			if output.Width(l) > v.Width {
				t.Fatalf("line %q is %d wide; want at most %d", l, output.Width(l), v.Width)
			}
			if strings.ContainsFunc(l, output.Unsafe) {
				t.Fatalf("line %q could steer the terminal", l)
			}
		}
		if v.Height > 1 && len(lines) == 0 {
			t.Fatal("Draw drew nothing")
		}
	})
}
