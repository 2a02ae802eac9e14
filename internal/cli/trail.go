package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"tutti/api"
	"tutti/errs"
	"tutti/internal/cli/output"
	"tutti/sdk"
)

// trailHelp explains what events and the audit trail are searched with.
const trailHelp = `Words have to occur somewhere; key:value has to stand in its place. Keys are trace, type, object, by, state (of
events), service, from (of acts), after and before; times are how long ago (2h, 7d) or dates. "quotes" hold words together.`

func (l *line) auditCommands() *cobra.Command {
	return l.group("audit", "See who did what", "  tutti audit list by:anna type:secret after:7d\n  tutti audit export --format csv --to audit.csv", l.auditList(), l.auditExport())
}

func (l *line) auditList() *cobra.Command {
	cols := []output.Column[api.Act]{
		when("AT", func(a api.Act) time.Time { return a.At }),
		col("WHO", func(a api.Act) string { return a.Subject }),
		col("DID", func(a api.Act) string { return a.Action }),
		col("TO", func(a api.Act) string { return a.Object }),
		col("FROM", func(a api.Act) string { return a.From }),
		wide("SERVICE", func(a api.Act) string { return a.Service }),
		wide("TRACE", func(a api.Act) string { return a.Trace }),
		wide("DETAIL", func(a api.Act) string { return string(a.Detail) }),
	}
	return trailLister(l, "list [QUERY…]", "List who did what, newest first", cols, func(a api.Act) string { return a.Object }, "Nothing that matches was done.",
		func(ctx context.Context, q string, p api.Paging) (api.Page[api.Act], time.Time, error) {
			page, err := call(ctx, l, api.ListAudit, api.ListAuditIn{Paging: p, TrailQuery: api.TrailQuery{Query: q}})
			return api.Page[api.Act]{Items: page.Items, Cursor: page.Cursor}, page.Back, err
		})
}

// trailLister is lister for what is searched: a page may be empty, and yet another may follow. So it goes on
// until there are as many as were asked for, but with a limit not further than looks pages that brought
// nothing.
func trailLister[T any](l *line, use, short string, cols []output.Column[T], name func(T) string, empty string,
	get func(ctx context.Context, q string, p api.Paging) (api.Page[T], time.Time, error)) *cobra.Command {
	var p paging
	cmd := l.command(use, short, func(ctx context.Context, args []string) error {
		back, looked := time.Time{}, 0
		page, err := pages(&p, func(pg api.Paging) (api.Page[T], error) {
			for {
				page, b, err := get(ctx, strings.Join(args, " "), pg)
				back = b
				if looked++; err != nil || len(page.Items) > 0 || page.Cursor == "" || p.limit > 0 && looked >= looks {
					return page, err
				}
				pg.Cursor = page.Cursor
			}
		})
		if err != nil {
			return err
		}
		if len(page.Items) == 0 && page.Cursor != "" && !back.IsZero() {
			empty = "Nothing since " + back.UTC().Format(time.RFC3339) + " matches."
		}
		return list(l, page, cols, name, empty)
	})
	cmd.Long = short + ".\n\n" + trailHelp
	return p.flags(cmd)
}

// looks is how often a search with a limit goes on after pages without a match.
const looks = 50

func (l *line) auditExport() *cobra.Command {
	var format, to string
	cmd := l.command("export [QUERY…]", "Write the audit trail, or what matches of it, to stdout or a file", func(ctx context.Context, args []string) error {
		c, err := l.client()
		if err != nil {
			return err
		}
		body, err := c.ExportAudit(ctx, strings.Join(args, " "), format)
		if err != nil {
			return err
		}
		defer body.Close()
		if to != "" {
			return save(to, body)
		}
		if _, err := io.Copy(l.Stdout, body); err != nil {
			return errs.New(errs.Unavailable, "the export broke off: %w", err).WithHint("what was written is not all")
		}
		return nil
	})
	cmd.Long = "Write the audit trail, or what matches of it, newest first.\n\n" + trailHelp
	cmd.Flags().StringVar(&format, "format", "jsonl", "jsonl or csv")
	cmd.Flags().StringVar(&to, "to", "", "path to write to; it must not exist")
	return cmd
}

func foundColumns() []output.Column[api.FoundEvent] {
	return []output.Column[api.FoundEvent]{
		when("AT", func(e api.FoundEvent) time.Time { return e.At }),
		col("TYPE", func(e api.FoundEvent) string { return strings.TrimPrefix(e.Type, "tutti.") }),
		col("STATE", func(e api.FoundEvent) string { return string(e.State) }),
		col("SUBJECT", func(e api.FoundEvent) string { return e.Subject }),
		col("TITLE", func(e api.FoundEvent) string { return e.Title }),
		col("BY", func(e api.FoundEvent) string { return e.By }),
		wide("TRACE", func(e api.FoundEvent) string { return e.Trace }),
		wide("ID", func(e api.FoundEvent) string { return e.ID }),
	}
}

func (l *line) eventSearch() *cobra.Command {
	return trailLister(l, "search QUERY…", "Search the events of the namespace, newest first", foundColumns(), func(e api.FoundEvent) string { return e.ID }, "No event matches.", l.findEvents)
}

func (l *line) eventList() *cobra.Command {
	return trailLister(l, "list", "List the events of the namespace, newest first", foundColumns(), func(e api.FoundEvent) string { return e.ID }, "Nothing has happened yet.", l.findEvents)
}

func (l *line) findEvents(ctx context.Context, q string, p api.Paging) (api.Page[api.FoundEvent], time.Time, error) {
	page, err := call(ctx, l, api.SearchEvents, api.SearchEventsIn{Paging: p, TrailQuery: api.TrailQuery{Query: q}})
	return api.Page[api.FoundEvent]{Items: page.Items, Cursor: page.Cursor}, page.Back, err
}

// cloudEvent is an event of the stream as it travels.
type cloudEvent struct {
	Type    string          `json:"type"`
	Subject string          `json:"subject"`
	Time    time.Time       `json:"time"`
	Data    json.RawMessage `json:"data"`
}

func (l *line) eventCommands() *cobra.Command {
	return l.group("event", "Search and follow what happens", "  tutti event search state:failed after:2h\n  tutti event tail", l.eventTail(), l.eventSearch(), l.eventList())
}

func (l *line) eventTail() *cobra.Command {
	var after string
	cmd := l.command("tail [RUN]", "Follow the events of the namespace, or of one run, as they are committed", func(ctx context.Context, args []string) error {
		topic := "events"
		if len(args) > 0 {
			id, err := l.runID(ctx, args[0])
			if err != nil {
				return err
			}
			topic = "run:" + string(id)
		}
		c, err := l.client()
		if err != nil {
			return err
		}
		p := l.printer()
		for e, err := range c.Stream(ctx, []string{topic}, after) {
			if err != nil {
				return err
			}
			if err := l.printEvent(p, e); err != nil {
				return err
			}
		}
		return ctx.Err()
	})
	cmd.Flags().StringVar(&after, "after", "", "cursor to continue after")
	cmd.ValidArgsFunction = l.complete(l.runIDs)
	return cmd
}

// printEvent prints one event of a stream on a line, or as data.
func (l *line) printEvent(p *output.Printer, e sdk.Event) error {
	if e.Type == "end" {
		return nil
	}
	p.Now = time.Now()
	if p.Structured() {
		if p.Format == "json" {
			p.Format = "jsonl" // a stream has no end to close a list at
		}
		return p.Data(e.Data)
	}
	text := ""
	switch e.Type {
	case "run":
		var r api.RunEvent
		if err := json.Unmarshal(e.Data, &r); err != nil {
			return fmt.Errorf("event: %w", err)
		}
		text = fmt.Sprintf("%s\t%s\t%s\t%s", clock(r.At), r.Type, r.Task, r.Data)
	default:
		var c cloudEvent
		if err := json.Unmarshal(e.Data, &c); err != nil {
			return fmt.Errorf("event: %w", err)
		}
		text = fmt.Sprintf("%s\t%s\t%s", clock(c.Time), c.Type, c.Subject)
	}
	fields := strings.Split(text, "\t")
	for i := range fields {
		fields[i] = output.Clean(fields[i])
	}
	if !p.Terminal {
		_, err := fmt.Fprintln(p.W, strings.Join(fields, "\t"))
		return err
	}
	_, err := fmt.Fprintln(p.W, output.Cut(strings.Join(fields, "  "), p.Width))
	return err
}

// clock writes the time of day, in UTC as all else.
func clock(t time.Time) string { return t.UTC().Format("15:04:05.000") }
