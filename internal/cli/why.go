package cli

import (
	"cmp"
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"tutti/api"
	"tutti/internal/cli/output"
)

// runWhy answers the question why a run does not go on.
func (l *line) runWhy() *cobra.Command {
	var m api.Moment
	cmd := l.onRun("why ID", "Say why a run does not go on: what each task that waits is waiting for", func(ctx context.Context, id api.RunID) error {
		w, err := call(ctx, l, api.RunWhy, api.RunIn{ID: id, Moment: m})
		if err != nil {
			return err
		}
		at, err := l.momentOf(ctx, id, m)
		if err != nil {
			return err
		}
		if !l.printer().Structured() {
			if text := reason(w.Reason); text != "" {
				l.note("%s is %s: %s", w.Run, w.State, text)
			} else {
				l.note("%s is %s.", w.Run, w.State)
			}
		}
		nothing := "Nothing waits: what has begun is with workers."
		if w.State.Ended() {
			nothing = "Nothing waits: it has ended."
		}
		if err := printWhy(l, w, at, nothing); err != nil || !w.More {
			return err
		}
		l.note("There are more; these are the first %d.", len(w.Items))
		return nil
	})
	return atFlag(cmd, &m)
}

// because is a line of the answer: one reason of one task.
type because struct {
	item  api.WhyItem
	why   api.Reason
	first bool
}

// momentOf is when an event of a run was, or now where none is named.
func (l *line) momentOf(ctx context.Context, id api.RunID, m api.Moment) (time.Time, error) {
	if m.At <= 0 {
		return time.Now(), nil
	}
	page, err := call(ctx, l, api.RunEvents, api.RunEventsIn{ID: id, After: m.At - 1, Limit: 1})
	if err != nil || len(page.Items) == 0 {
		return time.Now(), err
	}
	return page.Items[0].At, nil
}

// printWhy prints what waits, as of a time.
func printWhy(l *line, w api.Why, at time.Time, nothing string) error {
	p := l.printer()
	if p.Structured() {
		return output.One(p, w, nil, string(w.Run))
	}
	if len(w.Items) == 0 {
		l.note("%s", nothing)
		return nil
	}
	var rows []because
	for _, it := range w.Items {
		for i, r := range it.Reasons {
			rows = append(rows, because{it, r, i == 0})
		}
	}
	once := func(get func(because) string) func(because) string {
		return func(b because) string {
			if !b.first {
				return ""
			}
			return get(b)
		}
	}
	cols := []output.Column[because]{
		col("TASK", once(func(b because) string { return whereIs(w.Run, b.item) })),
		{Name: "STATE", Get: func(b because) output.Cell {
			if !b.first {
				return output.Cell{}
			}
			return output.State(b.item.State)
		}},
		right(col("FOR", once(func(b because) string { return took(b.item.Since, at) }))),
		col("WHY", func(b because) string { return b.why.Kind }),
		col("IN WORDS", func(b because) string {
			text := cmp.Or(b.why.Text, b.why.Kind)
			if left := b.why.Until.Sub(at).Round(time.Second); !b.why.Until.IsZero() && left > 0 {
				text += fmt.Sprintf(", %s left", output.Length(left))
			}
			return text
		}),
		col("WHO", func(b because) string { return strings.Join(b.why.Who, ", ") }),
	}
	return output.List(p, w, rows, cols, func(b because) string { return b.item.Task })
}

// whereIs is the path of a task, behind the run it is in where that is a sub-run.
func whereIs(root api.RunID, it api.WhyItem) string {
	if it.Run == root {
		return it.Task
	}
	return string(it.Run) + " " + it.Task
}
