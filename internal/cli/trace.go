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

func (l *line) requestTrace() *cobra.Command {
	var limit int
	cmd := l.command("trace ID", "Show everything a request caused as one timeline: re-submissions, runs, tasks, attempts, commits, files, mails",
		func(ctx context.Context, args []string) error {
			f, err := l.resolve(ctx, args[0], "request", "run")
			if err != nil {
				return err
			}
			t, err := call(ctx, l, api.GetTrace, api.GetTraceIn{Trace: f.ID, Limit: limit})
			if err != nil {
				return err
			}
			return output.List(l.printer(), t, t.Rows, traceColumns(), func(r api.TraceRow) string { return r.ID })
		})
	cmd.Flags().IntVar(&limit, "limit", 0, "how many tasks of one run to show at most (default 500)")
	cmd.ValidArgsFunction = l.complete(l.requestIDs)
	return cmd
}

func traceColumns() []output.Column[api.TraceRow] {
	return []output.Column[api.TraceRow]{
		col("WHAT", func(r api.TraceRow) string { return strings.Repeat("  ", r.Depth) + r.Title }),
		stateOf(func(r api.TraceRow) api.State { return r.State }),
		col("KIND", func(r api.TraceRow) string { return cmp.Or(r.Use, r.Kind) }),
		when("STARTED", func(r api.TraceRow) time.Time { return r.Started }),
		right(col("QUEUED", queued)),
		right(col("TOOK", func(r api.TraceRow) string { return took(r.Started, r.Ended) })),
		col("NOTE", func(r api.TraceRow) string {
			if r.More > 0 {
				return fmt.Sprintf("%d more: --limit", r.More)
			}
			return cmp.Or(r.Failure, reason(r.Reason), r.Commit, r.By)
		}),
		wide("ID", func(r api.TraceRow) string { return r.ID }),
		wide("WORKER", func(r api.TraceRow) string { return r.Worker }),
	}
}

// queued is how long a row waited before work on it began, from a second on.
func queued(r api.TraceRow) string {
	if r.Ready.IsZero() || r.Started.Sub(r.Ready) < time.Second {
		return ""
	}
	return took(r.Ready, r.Started)
}
