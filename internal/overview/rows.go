package overview

import (
	"cmp"
	"encoding/json"
	"slices"
	"strings"
	"time"

	"tutti/api"
)

// view puts the parts together, with at most limit tasks of each run.
func (p *parts) view(limit int) api.TraceView {
	v := api.TraceView{Trace: p.trace, Requests: len(p.requests), Counts: map[api.State]int{}, More: p.more}
	t := &tree{inside: map[string][]api.TraceRow{}}
	for _, r := range p.requests {
		if p.fresh(r.Created, r.Ended) {
			t.add(requestRow(r))
		}
	}
	top := map[api.RunID]bool{}
	for _, r := range p.runs {
		if r.Parent == nil {
			top[r.ID] = true
			v.Runs++
		}
		if !over(r, p.since) {
			p.addRun(t, r, limit, v.Counts)
		}
	}
	p.addExtras(t)
	p.summary(&v)
	v.Rows = t.list()
	v.More = v.More || slices.ContainsFunc(v.Rows, func(r api.TraceRow) bool { return r.Kind == "more" })
	return v
}

// fresh reports whether something happened since the time that is asked about.
func (p *parts) fresh(created, ended time.Time) bool {
	return p.since.IsZero() || ended.IsZero() || !ended.Before(p.since) || !created.Before(p.since)
}

// summary says how the trace stands as a whole.
func (p *parts) summary(v *api.TraceView) {
	going := false
	for _, r := range p.runs {
		if v.Started.IsZero() {
			v.Started = r.Created
		}
		if r.Parent == nil {
			v.Title, v.State, v.Run, v.Workflow, v.Version, v.By = cmp.Or(r.Title, r.Workflow), r.State, r.ID, r.Workflow, r.Version, r.Requester
		}
		going = going || !r.State.Ended()
		v.Ended = later(v.Ended, r.Ended)
	}
	for i, r := range p.requests {
		if i == 0 {
			v.Started = r.Created
		}
		v.Title, v.State, v.Request, v.By = r.Title, r.State, r.ID, r.Requester
		if r.Run != "" {
			v.Run = r.Run
		} else {
			v.Run, v.Workflow, v.Version = "", r.Workflow, 0
		}
		going = going || !r.State.Ended()
		v.Ended = later(v.Ended, r.Ended)
	}
	if going {
		v.Ended = time.Time{}
	}
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

// tree gathers rows by what they are inside of.
type tree struct {
	inside map[string][]api.TraceRow
	known  map[string]bool
}

func (t *tree) add(rows ...api.TraceRow) {
	if t.known == nil {
		t.known = map[string]bool{}
	}
	for _, r := range rows {
		t.inside[r.Parent] = append(t.inside[r.Parent], r)
		t.known[r.ID] = true
	}
}

// list returns the rows as a tree is drawn, with their depths. Rows whose parent is not among them, as in an
// answer that holds only what changed, come at the top.
func (t *tree) list() []api.TraceRow {
	var out []api.TraceRow
	var walk func(parent string, depth int)
	walk = func(parent string, depth int) {
		for _, r := range t.inside[parent] {
			r.Depth = depth
			out = append(out, r)
			walk(r.ID, depth+1)
		}
	}
	walk("", 0)
	var loose []string
	for parent := range t.inside {
		if parent != "" && !t.known[parent] {
			loose = append(loose, parent)
		}
	}
	slices.Sort(loose)
	for _, parent := range loose {
		walk(parent, 0)
	}
	if out == nil {
		out = []api.TraceRow{}
	}
	return out
}

func requestRow(r api.Request) api.TraceRow {
	row := api.TraceRow{ID: r.ID, Kind: "request", Title: r.Title, Use: r.Entry, State: r.State, Flags: r.Flags, Reason: r.Reason, Ready: r.Created, Started: r.Created, Ended: r.Ended,
		By: r.Requester, Request: r.ID, Of: r.Of, Run: r.Run, Workflow: r.Workflow, File: r.File}
	if r.Failure != nil {
		row.Failure, row.Hint = short(r.Failure.Failure), r.Failure.Hint
		row.Task = r.Failure.Task
	}
	return row
}

// addRun adds a run and its tasks. What a sub-run does is inside the task that called it.
func (p *parts) addRun(t *tree, r api.Run, limit int, counts map[api.State]int) {
	tasks := p.tasks[r.ID]
	inside := string(r.ID)
	own := map[api.State]int{}
	for _, x := range tasks {
		if x.Kind == "call" || x.Kind == "item" {
			own[x.State]++
			counts[x.State]++
		}
	}
	if r.Parent != nil {
		parent := p.parents[r.ID]
		inside = rowID(parent.Run, parent.Task)
	} else {
		row := api.TraceRow{ID: string(r.ID), Kind: "run", Title: cmp.Or(r.Title, r.Workflow), Use: "workflow:" + r.Workflow, State: r.State, Flags: r.Flags, Reason: r.Reason,
			Ready: r.Created, Started: r.Created, Ended: r.Ended, By: r.Requester, Request: r.Request, Run: r.ID, Workflow: r.Workflow, Version: r.Version, Counts: own}
		if slices.ContainsFunc(p.requests, func(q api.Request) bool { return q.ID == r.Request }) {
			row.Parent = r.Request
			row.Title = r.Workflow // the request has the title
		}
		if r.Failure != nil {
			row.Failure, row.Hint, row.Task = short(r.Failure.Failure), r.Failure.Hint, r.Failure.Task
		}
		t.add(row)
	}
	kept, left := keep(tasks, limit)
	for _, x := range kept {
		t.add(taskRows(r.ID, inside, x, p.details[r.ID][x.Path])...)
	}
	if p.cut[r.ID] {
		left[""]++ // at least
	}
	for path, n := range left {
		parent := inside
		if path != "" {
			parent = rowID(r.ID, path)
		}
		t.add(api.TraceRow{ID: parent + "/…", Parent: parent, Kind: "more", Title: "more", Run: r.ID, Task: path, More: n})
	}
}

// rowID is the ID of the row of a task.
func rowID(run api.RunID, path string) string { return string(run) + "/" + path }

// taskRows are the row of a task, and those of its attempts where it had more than one. What has no group
// around it is inside the row called inside.
func taskRows(run api.RunID, inside string, t, full api.Task) []api.TraceRow {
	row := api.TraceRow{ID: rowID(run, t.Path), Parent: inside, Kind: kindOf(t), Title: cmp.Or(t.Title, t.ID), Use: t.Use, State: t.State, Reason: t.Reason,
		Ready: t.Ready, Started: t.Started, Ended: t.Ended, Attempt: t.Attempt, Worker: t.Worker, Run: run, Task: t.Path, Sub: t.Run, Undo: t.Undo, Counts: t.Counts}
	if t.Parent != "" {
		row.Parent = rowID(run, t.Parent)
	}
	if t.Kind == "item" {
		row.Title = itemTitle(t.Path)
	}
	if t.Failure != nil {
		row.Failure, row.Hint = short(*t.Failure), t.Failure.Hint
	}
	made(&row, full.Output)
	if len(t.Attempts) < 2 {
		return []api.TraceRow{row}
	}
	row.Started, row.Attempts = t.Attempts[0].Started, len(t.Attempts)
	rows := []api.TraceRow{row}
	for _, a := range t.Attempts {
		x := api.TraceRow{ID: row.ID + "@" + itoa(a.Number), Parent: row.ID, Kind: "attempt", Title: "attempt " + itoa(a.Number), Use: t.Use, State: a.State,
			Ready: a.Started, Started: a.Started, Ended: a.Ended, Attempt: a.Number, Worker: a.Worker, Run: run, Task: t.Path}
		if a.Failure != nil {
			x.Failure, x.Hint = short(*a.Failure), a.Failure.Hint
		}
		rows = append(rows, x)
	}
	return rows
}

func kindOf(t api.Task) string {
	switch {
	case t.Use == "approval" && t.Kind == "call":
		return "approval"
	case t.Use == "git.commit" && t.Kind == "call":
		return "commit"
	case t.Kind == "call":
		return "task"
	}
	return t.Kind
}

// itemTitle is what names an item: "data" of disks[data].
func itemTitle(path string) string {
	if i := strings.IndexByte(path, '['); i >= 0 && strings.HasSuffix(path, "]") {
		if j := strings.LastIndex(path, "].") + 1; j > i {
			i = j + strings.IndexByte(path[j:], '[')
		}
		return path[i+1 : len(path)-1]
	}
	return path
}

// made puts what a task made, or who decided, into its row.
func made(row *api.TraceRow, output json.RawMessage) {
	if len(output) == 0 {
		return
	}
	var out struct {
		Repository, Commit, By, ID string
	}
	if json.Unmarshal(output, &out) != nil {
		return
	}
	switch row.Use {
	case "git.commit":
		row.Repository, row.Commit = out.Repository, out.Commit
	case "approval":
		row.By = out.By
	case "file.put":
		row.File = out.ID
	}
}

// short says in one line why something failed.
func short(f api.Failure) string {
	text, _, _ := strings.Cut(strings.TrimSpace(f.Message), "\n")
	if len(text) > 300 {
		text = strings.ToValidUTF8(text[:300], "") + "…"
	}
	return cmp.Or(text, f.Type)
}

// keep chooses which tasks are shown where there are more than limit: those that failed, run or wait first,
// then the others in the order of the plan, each with the groups around it. left says how many are missing
// inside each group, by its path.
func keep(tasks []api.Task, limit int) (kept []api.Task, left map[string]int) {
	left = map[string]int{}
	if len(tasks) <= limit {
		return tasks, left
	}
	at := make(map[string]int, len(tasks))
	for i, t := range tasks {
		at[t.Path] = i
	}
	chosen := make([]bool, len(tasks))
	n := 0
	choose := func(i int) {
		for !chosen[i] {
			chosen[i] = true
			n++
			up, ok := at[tasks[i].Parent]
			if !ok {
				return
			}
			i = up
		}
	}
	for _, urgent := range []bool{true, false} {
		for i, t := range tasks {
			if n < limit && (!urgent || t.State == api.Failed || t.State == api.Running || t.State == api.Waiting) {
				choose(i)
			}
		}
	}
	for i, t := range tasks {
		switch _, ok := at[t.Parent]; {
		case chosen[i]:
			kept = append(kept, t)
		case !ok:
			left[""]++
		case chosen[at[t.Parent]]:
			left[t.Parent]++
		}
	}
	return kept, left
}
