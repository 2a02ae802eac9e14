package cli

import (
	"context"

	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"tutti/api"
	"tutti/errs"
	"tutti/internal/cli/output"
)

// logWait is how long one call waits for further lines.
const logWait = 25 * time.Second

// logging are the flags of logs.
type logging struct {
	api.ReadLogIn
	follow, times bool
}

func (l *line) logsCommand() *cobra.Command {
	var g logging
	cmd := l.onRun("logs ID", "Print the log of a request or run, or of one task of it", func(ctx context.Context, id api.RunID) error {
		g.ID = id
		return l.logs(ctx, &g)
	})
	f := cmd.Flags()
	f.BoolVarP(&g.follow, "follow", "f", false, "go on as lines come, to the end of the run")
	f.StringVar(&g.Task, "task", "", "path of a task; with its children")
	f.IntVar(&g.Attempt, "attempt", 0, "only this attempt")
	f.IntVar(&g.Tail, "tail", 0, "only the last lines")
	f.StringVar(&g.Find, "find", "", "only lines that contain this text")
	f.BoolVar(&g.times, "times", false, "begin lines with their time")
	cmd.ValidArgsFunction = l.complete(l.watchables)
	return cmd
}

// logs prints lines until there are none, or until the run has ended.
func (l *line) logs(ctx context.Context, g *logging) error {
	in := g.ReadLogIn
	for failures := 0; ; {
		page, err := call(ctx, l, api.ReadLog, in)
		switch {
		case ctx.Err() != nil:
			if g.follow {
				l.note("Stopped watching. %s still runs: tutti watch %s", in.ID, in.ID)
			}
			return exit{code: ExitInterrupted}
		case err != nil && g.follow && errs.Is(err, errs.Unavailable) && in.After > 0:
			if failures++; failures == 1 {
				l.note("connection lost, trying again: %s", first(err))
			}
			pause(ctx, time.Second)
			continue
		case err != nil:
			return err
		}
		failures = 0
		for _, line := range page.Lines {
			if err := l.printLine(g, line); err != nil {
				return err
			}
		}
		last := in.After
		in.After, in.Tail = max(in.After, page.Last), 0
		if !page.More && (page.Ended || !g.follow) || !g.follow && in.After == last {
			return nil
		}
		if g.follow && !page.More {
			in.Wait = api.Duration(logWait)
		}
	}
}

// printLine prints a line of a log: its task too, unless one task was asked for.
func (l *line) printLine(g *logging, line api.LogLine) error {
	p := l.printer()
	if p.Structured() {
		if p.JQ == "" && p.Format == "json" {
			p.Format = "jsonl"
		}
		return p.Data(line)
	}
	var b strings.Builder
	if g.times {
		b.WriteString(line.At.UTC().Format("2006-01-02T15:04:05.000Z") + "\t")
	}
	if line.Task != g.Task {
		task := output.Clean(line.Task)
		if p.Color {
			task = output.Paint("2", task)
		}
		b.WriteString(task + "\t")
	}
	text := strings.TrimRight(line.Text, "\r\n")
	if p.Color {
		text = output.Colored(text)
	} else {
		text = output.Uncolored(text)
	}
	if line.Stream == "err" && p.Color && !strings.Contains(text, "\x1b") {
		text = output.Paint("33", text)
	}
	b.WriteString(text)
	out := b.String()
	if p.Terminal {
		out = strings.ReplaceAll(out, "\t", "  ")
	}
	_, err := fmt.Fprintln(p.W, out)
	return err
}

func (l *line) statusCommand() *cobra.Command {
	cmd := l.command("status [ID]", "Show a request or run; without an ID, what is mine and what needs me", func(ctx context.Context, args []string) error {
		if len(args) == 0 {
			return l.mine(ctx)
		}
		t, err := l.target(ctx, args[0])
		if err != nil {
			return err
		}
		o := outcome{}
		if t.request {
			r, err := call(ctx, l, api.GetRequest, api.RequestIn{ID: t.id})
			if err != nil {
				return err
			}
			o.request, t.run = &r, r.Run
		}
		if l.printer().Structured() && o.request != nil {
			return l.result(o)
		}
		if t.run != "" {
			s, err := l.look(ctx, t.run, 0)
			if err != nil {
				return err
			}
			o.run, o.snapshot = &s.Run, s
		}
		if l.printer().Structured() {
			return l.result(o)
		}
		if err := l.result(o); err != nil || o.snapshot == nil {
			return err
		}
		if _, err := fmt.Fprintln(l.Stdout); err != nil {
			return err
		}
		return l.drawOnce(o.snapshot, false)
	})
	cmd.ValidArgsFunction = l.complete(l.watchables)
	return cmd
}

// mineOut is what needs the caller and what is the caller's.
type mineOut struct {
	Approvals []api.Approval `json:"approvals"`
	Requests  []api.Request  `json:"requests"`
}

// mine shows the approvals that wait, and the caller's newest requests.
func (l *line) mine(ctx context.Context) error {
	me, err := call(ctx, l, api.WhoAmI, api.Nothing{})
	if err != nil {
		return err
	}
	approvals, err := call(ctx, l, api.ListApprovals, api.ListApprovalsIn{})
	if err != nil {
		return err
	}
	requests, err := call(ctx, l, api.ListRequests, api.ListRequestsIn{Paging: api.Paging{Limit: 10}, Requester: me.Subject})
	if err != nil {
		return err
	}
	p := l.printer()
	if p.Structured() {
		return output.One(p, mineOut{approvals.Items, requests.Items}, nil, me.Subject)
	}
	if len(approvals.Items) > 0 {
		l.note("Waiting for a decision:")
		if err := output.List(p, approvals, approvals.Items, pick(approvalColumns(), "RUN", "TASK", "WORKFLOW", "ASKED BY", "SINCE", "WHAT"), nil); err != nil {
			return err
		}
	}
	if len(requests.Items) == 0 {
		l.note("You have asked for nothing yet. tutti catalogue lists what there is.")
		return nil
	}
	l.note("Your requests:")
	return output.List(p, requests, requests.Items, requestColumns(), nil)
}
