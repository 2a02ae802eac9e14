package overview

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"tutti/api"
)

// drawn writes rows as a tree: two spaces a level, kind, title, state, and what is worth it.
func drawn(rows []api.TraceRow) string {
	var b strings.Builder
	for _, r := range rows {
		fmt.Fprintf(&b, "%s%s %s %s", strings.Repeat("  ", r.Depth), r.Kind, r.Title, r.State)
		if r.Failure != "" {
			fmt.Fprintf(&b, ": %s", r.Failure)
		}
		if r.Commit != "" {
			fmt.Fprintf(&b, " %s@%s", r.Repository, r.Commit)
		}
		if r.Kind == "more" {
			fmt.Fprintf(&b, "%d", r.More)
		}
		b.WriteString("\n")
	}
	return b.String()
}

var start = time.Date(2026, 11, 28, 9, 0, 0, 0, time.UTC)

func after(s int) time.Time { return start.Add(time.Duration(s) * time.Second) }

// twice is a trace whose first request failed and was submitted again.
func twice() *parts {
	failed := &api.RunFail{Task: "net", Failure: api.Failure{Type: "http.status", Message: "503\nfrom far"}}
	return &parts{
		trace: "t",
		requests: []api.Request{
			{ID: "req_1", Title: "vm web", State: api.Failed, Run: "run_1", Created: after(0), Ended: after(9), Failure: failed},
			{ID: "req_2", Title: "vm web", Of: "req_1", State: api.Running, Run: "run_2", Created: after(20)},
		},
		runs: []api.Run{
			{ID: "run_1", Workflow: "vm.build", State: api.Failed, Request: "req_1", Created: after(1), Ended: after(9), Failure: failed},
			{ID: "run_2", Workflow: "vm.build", State: api.Running, Request: "req_2", Created: after(21)},
			{ID: "run_3", Workflow: "net.allocate", State: api.Running, Request: "req_2", Created: after(22), Parent: &api.TaskRef{Run: "run_2"}},
		},
		parents: map[api.RunID]api.TaskRef{"run_3": {Run: "run_2", Task: "net"}},
		tasks: map[api.RunID][]api.Task{
			"run_1": {{Path: "net", ID: "net", Kind: "call", Use: "http", State: api.Failed, Failure: &failed.Failure, Attempt: 2, Started: after(5), Attempts: []api.Attempt{
				{Number: 1, State: api.Failed, Started: after(2), Ended: after(3), Failure: &api.Failure{Message: "refused"}}, {Number: 2, State: api.Failed, Started: after(5), Failure: &failed.Failure}}}},
			"run_2": {
				{Path: "file", ID: "file", Title: "commit", Kind: "call", Use: "git.commit", State: api.Succeeded},
				{Path: "net", ID: "net", Kind: "call", Use: "workflow:net.allocate", State: api.Running, Run: "run_3"},
				{Path: "disks", ID: "disks", Kind: "each", State: api.Pending, Counts: map[api.State]int{api.Pending: 3}},
			},
			"run_3": {{Path: "g", ID: "g", Kind: "group", State: api.Running}, {Path: "g.a", ID: "a", Parent: "g", Kind: "call", State: api.Running}},
		},
		details: map[api.RunID]map[string]api.Task{"run_2": {"file": {Output: []byte(`{"commit":"4f1c","repository":"vms"}`)}}},
		files:   []api.File{{ID: "file_1", Name: "req_1.json", Created: after(30)}, {ID: "file_2", Name: "req_2.json", Created: after(20)}},
		mails:   []api.Message{{ID: "msg_1", Subject: "received", To: []string{"a@x", "b@x"}, State: api.Failed, Error: "no such host", Created: after(10)}},
	}
}

func TestView(t *testing.T) {
	t.Parallel()
	v := twice().view(500)
	want := `request vm web failed: 503
  run vm.build failed: 503
    task net failed: 503
      attempt attempt 1 failed: refused
      attempt attempt 2 failed: 503
  file req_1.json succeeded
  mail received → a@x +1 failed: no such host
request vm web running
  run vm.build running
    commit commit succeeded vms@4f1c
    task net running
      group g running
        task a running
    each disks pending
  file req_2.json succeeded
`
	if diff := cmp.Diff(want, drawn(v.Rows)); diff != "" {
		t.Errorf("rows (-want +got):\n%s", diff)
	}
	if v.Request != "req_2" || v.Run != "run_2" || v.State != api.Running || v.Requests != 2 || v.Runs != 2 || v.Workflow != "vm.build" || !v.Started.Equal(start) || !v.Ended.IsZero() || v.More {
		t.Errorf("view = %+v; want the newest request, running since the first", v)
	}
	ids := map[string]bool{}
	for _, r := range v.Rows {
		if ids[r.ID] {
			t.Errorf("two rows have the ID %s", r.ID)
		}
		ids[r.ID] = true
	}
	if first := v.Rows[2]; !first.Started.Equal(after(2)) || first.Attempts != 2 || first.ID != "run_1/net" {
		t.Errorf("retried task = %+v; want it from its first attempt", first)
	}
}

func TestViewSince(t *testing.T) {
	t.Parallel()
	p := twice()
	p.since = after(25)
	p.tasks["run_2"] = nil
	p.tasks["run_3"] = p.tasks["run_3"][1:]
	want := `request vm web running
  run vm.build running
mail received → a@x +1 failed: no such host
file req_1.json succeeded
task a running
`
	p.files[0].Name = "late.txt"
	want = strings.Replace(want, "mail received → a@x +1 failed: no such host\nfile req_1.json succeeded\n", "  file late.txt succeeded\n", 1)
	p.mails[0].Sent = after(11)
	if diff := cmp.Diff(want, drawn(p.view(500).Rows)); diff != "" {
		t.Errorf("rows since (-want +got):\n%s", diff)
	}
}

func TestKeep(t *testing.T) {
	t.Parallel()
	var tasks []api.Task
	for g := range 3 {
		group := fmt.Sprintf("g%d", g)
		tasks = append(tasks, api.Task{Path: group, Kind: "group", State: api.Succeeded})
		for i := range 4 {
			tasks = append(tasks, api.Task{Path: fmt.Sprintf("%s.%d", group, i), Parent: group, State: api.Succeeded})
		}
	}
	tasks[13].State = api.Failed // g2.2
	for _, tc := range []struct {
		limit int
		kept  string
		left  map[string]int
	}{
		{15, "g0 g0.0 g0.1 g0.2 g0.3 g1 g1.0 g1.1 g1.2 g1.3 g2 g2.0 g2.1 g2.2 g2.3", map[string]int{}},
		{5, "g0 g0.0 g0.1 g2 g2.2", map[string]int{"": 1, "g0": 2, "g2": 3}},
		{1, "g2 g2.2", map[string]int{"": 2, "g2": 3}},
	} {
		kept, left := keep(tasks, tc.limit)
		var paths []string
		for _, x := range kept {
			paths = append(paths, x.Path)
		}
		if got := strings.Join(paths, " "); got != tc.kept || !cmp.Equal(left, tc.left) {
			t.Errorf("keep(%d) = %s, %v; want %s, %v", tc.limit, got, left, tc.kept, tc.left)
		}
	}
}

func TestItemTitle(t *testing.T) {
	t.Parallel()
	for path, want := range map[string]string{"disks[data]": "data", "a.b[0]": "0", "hosts[web.example].disks[x.y]": "x.y", "plain": "plain"} {
		if got := itemTitle(path); got != want {
			t.Errorf("itemTitle(%q) = %q; want %q", path, got, want)
		}
	}
}
