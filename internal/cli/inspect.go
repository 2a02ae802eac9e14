package cli

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"tutti/api"
	"tutti/internal/cli/output"
)

func (l *line) requestVars() *cobra.Command {
	cmd := l.command("vars ID", "List the values of a request's run: where each came from, and which tasks read it", func(ctx context.Context, args []string) error {
		id, err := l.runID(ctx, args[0])
		if err != nil {
			return err
		}
		page, err := pages(&paging{}, func(p api.Paging) (api.Page[api.Variable], error) {
			return call(ctx, l, api.ListVariables, api.VariablesIn{ID: id, Paging: p})
		})
		if err != nil {
			return err
		}
		cols := []output.Column[api.Variable]{
			col("NAME", func(v api.Variable) string { return v.Name }),
			col("FROM", func(v api.Variable) string { return v.Origin }),
			col("VALUE", shown),
			col("READ BY", func(v api.Variable) string { return strings.Join(v.Readers, ", ") }),
		}
		return list(l, page, cols, func(v api.Variable) string { return v.Name }, "No value.")
	})
	cmd.ValidArgsFunction = l.complete(l.requestIDs)
	return cmd
}

// shown is the value of a variable as a table shows it.
func shown(v api.Variable) string {
	switch {
	case v.Masked:
		return "***"
	case len(v.Value) == 0 && v.Size > 0:
		return output.Size(int64(v.Size))
	}
	return string(v.Value)
}

func (l *line) workflowDiff() *cobra.Command {
	var in api.DiffIn
	cmd := l.command("diff NAME", "Compare two versions of a workflow: the newest with the one before by default", func(ctx context.Context, args []string) error {
		in.Kind, in.Name = api.KindWorkflow, args[0]
		d, err := call(ctx, l, api.DiffDefinition, in)
		if err != nil {
			return err
		}
		if l.printer().Structured() {
			return output.One(l.printer(), d, nil, in.Name)
		}
		if d.Text == "" {
			l.note("Nothing differs between versions %d and %d.", d.From, d.To)
		}
		_, err = fmt.Fprint(l.Stdout, output.Lines(d.Text))
		return err
	})
	cmd.Flags().IntVar(&in.From, "from", 0, "a version; the one before --to by default")
	cmd.Flags().IntVar(&in.To, "to", 0, "a version; the newest by default")
	cmd.ValidArgsFunction = l.complete(l.definitionNames(api.KindWorkflow))
	return cmd
}

func (l *line) workflowUsers() *cobra.Command {
	cmd := l.command("users NAME", "List what uses a workflow: workflows that call it, resource types that it builds", func(ctx context.Context, args []string) error {
		page, err := call(ctx, l, api.DefinitionUsers, api.VersionsIn{Kind: api.KindWorkflow, Name: args[0]})
		if err != nil {
			return err
		}
		cols := append([]output.Column[api.Definition]{col("KIND", func(d api.Definition) string { return d.Kind })}, definitionColumns()...)
		return list(l, page, cols, func(d api.Definition) string { return d.Kind + "/" + d.Name }, "Nothing uses it.")
	})
	cmd.ValidArgsFunction = l.complete(l.definitionNames(api.KindWorkflow))
	return cmd
}

func (l *line) workflowVersions() *cobra.Command {
	cmd := l.command("versions NAME", "List the versions of a workflow, newest first", func(ctx context.Context, args []string) error {
		page, err := pages(&paging{}, func(p api.Paging) (api.Page[api.Definition], error) {
			return call(ctx, l, api.DefinitionVersions, api.VersionsIn{Kind: api.KindWorkflow, Name: args[0], Paging: p})
		})
		if err != nil {
			return err
		}
		cols := []output.Column[api.Definition]{
			right(col("VERSION", func(d api.Definition) string { return fmt.Sprint(d.Version) })),
			when("APPLIED", func(d api.Definition) time.Time { return d.Applied }),
			col("BY", func(d api.Definition) string { return d.Publisher }),
			col("NOTE", func(d api.Definition) string { return d.Note }),
		}
		return list(l, page, cols, func(d api.Definition) string { return fmt.Sprint(d.Version) }, "No version.")
	})
	cmd.ValidArgsFunction = l.complete(l.definitionNames(api.KindWorkflow))
	return cmd
}
