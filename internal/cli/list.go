package cli

import (
	"context"

	"github.com/spf13/cobra"

	"tutti/api"
	"tutti/internal/cli/output"
)

// paging are the flags of lists.
type paging struct {
	limit  int
	cursor string
}

func (p *paging) flags(cmd *cobra.Command) *cobra.Command {
	cmd.Flags().IntVar(&p.limit, "limit", 50, "how many to list at most; 0 lists all")
	cmd.Flags().StringVar(&p.cursor, "cursor", "", "where an earlier list went on")
	return cmd
}

// most is how many items one call asks for.
const most = 1000

// pages calls get until p is satisfied, and returns all as one page.
func pages[T any](p *paging, get func(api.Paging) (api.Page[T], error)) (api.Page[T], error) {
	if p.limit < 0 {
		return api.Page[T]{}, usage("--limit cannot be %d", p.limit)
	}
	all := api.Page[T]{Items: []T{}, Cursor: p.cursor}
	for {
		size := most
		if p.limit > 0 {
			size = min(most, p.limit-len(all.Items))
		}
		page, err := get(api.Paging{Limit: size, Cursor: all.Cursor})
		if err != nil {
			return all, err
		}
		stuck := page.Cursor == all.Cursor
		all.Items, all.Cursor = append(all.Items, page.Items...), page.Cursor
		if page.Cursor == "" || stuck || p.limit > 0 && len(all.Items) >= p.limit {
			return all, nil
		}
	}
}

// list prints a page. Where there is nothing, it says so to the person, with what would change that.
func list[T any](l *line, page api.Page[T], cols []output.Column[T], name func(T) string, empty string) error {
	if page.Items == nil {
		page.Items = []T{}
	}
	p := l.printer()
	if err := output.List(p, page, page.Items, cols, name); err != nil {
		return err
	}
	switch {
	case len(page.Items) == 0 && !p.Structured():
		l.note("%s", empty)
	case page.Cursor != "" && !p.Structured():
		l.note("There are more: --limit 0 lists all, --cursor %s goes on.", page.Cursor)
	}
	return nil
}

// lister returns a command that lists by pages.
func lister[T any](l *line, use, short string, cols []output.Column[T], name func(T) string, empty string,
	get func(ctx context.Context, p api.Paging) (api.Page[T], error)) *cobra.Command {
	var p paging
	return p.flags(l.command(use, short, func(ctx context.Context, _ []string) error {
		page, err := pages(&p, func(pg api.Paging) (api.Page[T], error) { return get(ctx, pg) })
		if err != nil {
			return err
		}
		return list(l, page, cols, name, empty)
	}))
}
