package cli

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"tutti/api"
	"tutti/internal/cli/output"
)

// col is a column that shows text.
func col[T any](name string, get func(T) string) output.Column[T] {
	return output.Column[T]{Name: name, Get: func(v T) output.Cell { return output.Cell{Text: get(v)} }}
}

// wide is a column of -o wide.
func wide[T any](name string, get func(T) string) output.Column[T] {
	c := col(name, get)
	c.Wide = true
	return c
}

// when is a column that shows a time.
func when[T any](name string, get func(T) time.Time) output.Column[T] {
	return output.Column[T]{Name: name, Get: func(v T) output.Cell { return output.Time(get(v)) }}
}

// stateOf is a column that shows a state.
func stateOf[T any](get func(T) api.State) output.Column[T] {
	return output.Column[T]{Name: "STATE", Get: func(v T) output.Cell { return output.State(get(v)) }}
}

// right aligns a column to the right.
func right[T any](c output.Column[T]) output.Column[T] {
	c.Right = true
	return c
}

// took writes how long something took or has taken until now.
func took(from, to time.Time) string {
	if from.IsZero() {
		return ""
	}
	if to.IsZero() {
		to = time.Now()
	}
	return output.Length(to.Sub(from))
}

// counted is a number of things in words: "1 file", "2 files".
func counted(n int, thing string) string {
	if n != 1 {
		thing += "s"
	}
	return fmt.Sprintf("%d %s", n, thing)
}

func joined[T ~string](list []T) string {
	words := make([]string, len(list))
	for i, w := range list {
		words[i] = string(w)
	}
	return strings.Join(words, ", ")
}

func grants(list []api.GrantView) string {
	words := make([]string, len(list))
	for i, g := range list {
		words[i] = g.Namespace + "=" + g.Role
	}
	return strings.Join(words, ", ")
}

func counts(m map[api.State]int) string {
	var parts []string
	for _, s := range []api.State{api.Succeeded, api.Running, api.Waiting, api.Pending, api.Failed, api.Cancelled, api.Skipped} {
		if n := m[s]; n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n, s))
		}
	}
	return strings.Join(parts, ", ")
}

func reason(r *api.Reason) string {
	if r == nil {
		return ""
	}
	return cmp.Or(r.Text, r.Kind)
}

func failed(f *api.RunFail) string {
	if f == nil {
		return ""
	}
	return f.Task + ": " + f.Message
}

// usually writes how long something takes, from earlier runs.
func usually(e *api.Expected) string {
	switch {
	case e == nil:
		return ""
	case e.Runs == 1:
		return fmt.Sprintf("%s the one time it succeeded", output.Length(time.Duration(e.P50)))
	}
	return fmt.Sprintf("%s, nine times in ten within %s (%d runs)", output.Length(time.Duration(e.P50)), output.Length(time.Duration(e.P90)), e.Runs)
}

func runColumns() []output.Column[api.Run] {
	return []output.Column[api.Run]{
		col("ID", func(r api.Run) string { return string(r.ID) }),
		stateOf(func(r api.Run) api.State { return r.State }),
		col("WORKFLOW", func(r api.Run) string { return r.Workflow }),
		col("TITLE", func(r api.Run) string { return r.Title }),
		col("BY", func(r api.Run) string { return r.Requester }),
		when("STARTED", func(r api.Run) time.Time { return r.Created }),
		right(col("TOOK", func(r api.Run) string { return took(r.Created, r.Ended) })),
		wide("VERSION", func(r api.Run) string { return fmt.Sprint(r.Version) }),
		wide("REQUEST", func(r api.Run) string { return r.Request }),
		wide("TRACE", func(r api.Run) string { return r.Trace }),
		wide("NOTE", func(r api.Run) string { return cmp.Or(failed(r.Failure), reason(r.Reason)) }),
	}
}

func runFacts() []output.Column[api.Run] {
	return []output.Column[api.Run]{
		col("Run", func(r api.Run) string { return string(r.ID) }),
		{Name: "State", Get: func(r api.Run) output.Cell { return output.State(r.State) }},
		col("Flags", func(r api.Run) string { return joined(r.Flags) }),
		col("Waits for", func(r api.Run) string { return reason(r.Reason) }),
		col("Failure", func(r api.Run) string { return failed(r.Failure) }),
		col("Workflow", func(r api.Run) string {
			if r.Version == 0 {
				return cmp.Or(r.Workflow, "inline")
			}
			return fmt.Sprintf("%s version %d", r.Workflow, r.Version)
		}),
		col("Title", func(r api.Run) string { return r.Title }),
		col("Request", func(r api.Run) string { return r.Request }),
		col("Called by", func(r api.Run) string {
			if r.Parent == nil {
				return ""
			}
			return fmt.Sprintf("%s at %s", r.Parent.Run, r.Parent.Task)
		}),
		col("Fork of", func(r api.Run) string {
			if r.ForkOf == nil {
				return ""
			}
			return fmt.Sprintf("%s at event %d", r.ForkOf.Run, r.ForkOf.Seq)
		}),
		col("Asked by", func(r api.Run) string { return r.Requester }),
		col("Trace", func(r api.Run) string { return r.Trace }),
		when("Started", func(r api.Run) time.Time { return r.Created }),
		col("Took", func(r api.Run) string { return took(r.Created, cmp.Or(r.Ended, r.AsOf)) }),
		col("Usually", func(r api.Run) string { return usually(r.Expected) }),
		when("Ends about", func(r api.Run) time.Time {
			if r.Expected == nil {
				return time.Time{}
			}
			return r.Expected.Ends
		}),
		when("As of", func(r api.Run) time.Time { return r.AsOf }),
		col("Tasks", func(r api.Run) string { return counts(r.Counts) }),
		col("Inputs", func(r api.Run) string { return string(r.Inputs) }),
		col("Outputs", func(r api.Run) string { return string(r.Outputs) }),
	}
}

func requestColumns() []output.Column[api.Request] {
	return []output.Column[api.Request]{
		col("ID", func(r api.Request) string { return r.ID }),
		stateOf(func(r api.Request) api.State { return r.State }),
		col("ENTRY", func(r api.Request) string { return r.Entry }),
		col("NAME", func(r api.Request) string { return r.Name }),
		col("BY", func(r api.Request) string { return r.Requester }),
		when("CREATED", func(r api.Request) time.Time { return r.Created }),
		right(col("TOOK", func(r api.Request) string { return took(r.Created, r.Ended) })),
		wide("TITLE", func(r api.Request) string { return r.Title }),
		wide("WORKFLOW", func(r api.Request) string { return r.Workflow }),
		wide("RUN", func(r api.Request) string { return string(r.Run) }),
		wide("TRACE", func(r api.Request) string { return r.Trace }),
		wide("NOTE", func(r api.Request) string { return failed(r.Failure) }),
	}
}

func requestFacts() []output.Column[api.Request] {
	return []output.Column[api.Request]{
		col("Request", func(r api.Request) string { return r.ID }),
		{Name: "State", Get: func(r api.Request) output.Cell { return output.State(r.State) }},
		col("Flags", func(r api.Request) string { return joined(r.Flags) }),
		col("Failure", func(r api.Request) string { return failed(r.Failure) }),
		col("Entry", func(r api.Request) string { return r.Entry }),
		col("Resource", func(r api.Request) string { return strings.Trim(r.Type+"/"+r.Name, "/") }),
		col("Title", func(r api.Request) string { return r.Title }),
		col("Again for", func(r api.Request) string { return r.Of }),
		col("Asked by", func(r api.Request) string { return r.Requester }),
		col("Mails to", func(r api.Request) string { return joined(r.Notify) }),
		col("Workflow", func(r api.Request) string { return r.Workflow }),
		col("Run", func(r api.Request) string { return string(r.Run) }),
		col("Trace", func(r api.Request) string { return r.Trace }),
		when("Created", func(r api.Request) time.Time { return r.Created }),
		col("Took", func(r api.Request) string { return took(r.Created, r.Ended) }),
		col("Params", func(r api.Request) string { return string(r.Params) }),
		col("Outputs", func(r api.Request) string { return string(r.Outputs) }),
	}
}

// taskColumns shows tasks as of a time; zero is now.
func taskColumns(now time.Time) []output.Column[api.Task] {
	return []output.Column[api.Task]{
		col("TASK", func(t api.Task) string { return t.Path }),
		stateOf(func(t api.Task) api.State { return t.State }),
		col("USE", func(t api.Task) string { return cmp.Or(t.Use, t.Kind) }),
		right(col("TRY", func(t api.Task) string {
			if t.Attempt == 0 {
				return ""
			}
			return fmt.Sprint(t.Attempt)
		})),
		when("STARTED", func(t api.Task) time.Time { return t.Started }),
		right(col("TOOK", func(t api.Task) string { return took(t.Started, cmp.Or(t.Ended, now)) })),
		col("NOTE", func(t api.Task) string {
			if t.Failure != nil {
				return t.Failure.Message
			}
			return cmp.Or(reason(t.Reason), counts(t.Counts))
		}),
		wide("CRITICAL", func(t api.Task) string {
			if t.Critical {
				return "yes"
			}
			return ""
		}),
		wide("WORKER", func(t api.Task) string { return t.Worker }),
		wide("RUN", func(t api.Task) string { return string(t.Run) }),
		wide("UNDO", func(t api.Task) string { return string(t.Undo) }),
		wide("TITLE", func(t api.Task) string { return t.Title }),
	}
}

func approvalColumns() []output.Column[api.Approval] {
	return []output.Column[api.Approval]{
		col("RUN", func(a api.Approval) string { return string(a.Run) }),
		col("TASK", func(a api.Approval) string { return a.Task }),
		col("WORKFLOW", func(a api.Approval) string { return a.Workflow }),
		col("ASKED BY", func(a api.Approval) string { return a.Requester }),
		when("SINCE", func(a api.Approval) time.Time { return a.Asked }),
		when("EXPIRES", func(a api.Approval) time.Time { return a.Expires }),
		col("WHAT", func(a api.Approval) string { return a.Text }),
		wide("MAY DECIDE", func(a api.Approval) string { return cmp.Or(joined(a.To), "any approver") }),
		wide("MAY NOT", func(a api.Approval) string { return joined(a.NotBy) }),
		wide("APPROVED", func(a api.Approval) string { return fmt.Sprintf("%d of %d", len(a.By), a.Quorum) }),
		wide("DIGEST", func(a api.Approval) string { return a.Digest }),
		wide("TRACE", func(a api.Approval) string { return a.Trace }),
	}
}

// pick returns the columns of some names, in their order.
func pick[T any](cols []output.Column[T], names ...string) []output.Column[T] {
	var out []output.Column[T]
	for _, n := range names {
		if i := slices.IndexFunc(cols, func(c output.Column[T]) bool { return c.Name == n }); i >= 0 {
			out = append(out, cols[i])
		}
	}
	return out
}
