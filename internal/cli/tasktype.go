package cli

import (
	"context"
	"slices"

	"github.com/spf13/cobra"

	"tutti/api"
	"tutti/errs"
	"tutti/internal/cli/output"
	"tutti/internal/document/openapi"
)

func (l *line) taskCommands() *cobra.Command {
	return l.group("task", "See what tasks can do, and bring in more", "  tutti task list\n  tutti task show git.commit\n  tutti task import openapi.yaml createServer > server.yaml",
		l.taskList(), l.taskShow(), l.taskImport())
}

// taskTypes returns the task types of the namespace, by name.
func (l *line) taskTypes(ctx context.Context) ([]api.TaskType, error) {
	page, err := call(ctx, l, api.ListTaskTypes, api.ListTaskTypesIn{})
	return page.Items, err
}

func (l *line) taskList() *cobra.Command {
	cols := []output.Column[api.TaskType]{
		col("NAME", func(t api.TaskType) string { return t.Name }),
		col("TITLE", func(t api.TaskType) string { return t.Title }),
		wide("PERMISSION", func(t api.TaskType) string { return t.Perm }),
	}
	return l.command("list", "List the task types by name", func(ctx context.Context, _ []string) error {
		types, err := l.taskTypes(ctx)
		if err != nil {
			return err
		}
		return list(l, api.Page[api.TaskType]{Items: types}, cols, func(t api.TaskType) string { return t.Name }, "No task type.")
	})
}

func (l *line) taskShow() *cobra.Command {
	cmd := l.command("show NAME", "Show a task type: its input, output and failures", func(ctx context.Context, args []string) error {
		types, err := l.taskTypes(ctx)
		if err != nil {
			return err
		}
		var names []string
		for _, t := range types {
			names = append(names, t.Name)
		}
		i := slices.Index(names, args[0])
		if i < 0 {
			return near(errs.New(errs.NotFound, "no task type %q", args[0]), "no task type %q", args[0], names, "tutti task list")
		}
		facts := []output.Column[api.TaskType]{
			col("Name", func(t api.TaskType) string { return t.Name }),
			col("Title", func(t api.TaskType) string { return t.Title }),
			col("Doc", func(t api.TaskType) string { return t.Doc }),
			col("Permission", func(t api.TaskType) string { return t.Perm }),
			col("Input", func(t api.TaskType) string { return string(t.With) }),
			col("Output", func(t api.TaskType) string { return string(t.Out) }),
		}
		return output.One(l.printer(), types[i], facts, types[i].Name)
	})
	cmd.ValidArgsFunction = l.complete(func(ctx context.Context) (names []string) {
		types, _ := l.taskTypes(ctx)
		for _, t := range types {
			names = append(names, t.Name)
		}
		return names
	})
	return cmd
}

func (l *line) taskImport() *cobra.Command {
	var name string
	cmd := l.command("import FILE [OPERATION]", "Print the task type that makes a call of an OpenAPI description; without OPERATION, list those there are", func(_ context.Context, args []string) error {
		file, data, err := l.read(args[0])
		if err != nil {
			return err
		}
		d, err := openapi.Read(data)
		if err != nil {
			return errs.New(errs.KindOf(err), "%s: %w", file, err)
		}
		if len(args) == 1 {
			cols := []output.Column[openapi.Operation]{
				col("OPERATION", func(o openapi.Operation) string { return o.ID }),
				col("METHOD", func(o openapi.Operation) string { return o.Method }),
				col("PATH", func(o openapi.Operation) string { return o.Path }),
				col("SUMMARY", func(o openapi.Operation) string { return o.Summary }),
			}
			return list(l, api.Page[openapi.Operation]{Items: d.Operations()}, cols, func(o openapi.Operation) string { return o.ID }, "")
		}
		text, err := d.TaskType(args[1], name)
		if err != nil {
			return err
		}
		_, err = l.Stdout.Write(text)
		return err
	})
	cmd.ValidArgsFunction = nil
	cmd.Flags().StringVar(&name, "name", "", "what to call the type (default from the title of the API and the operation)")
	cmd.Example = "  tutti task import openapi.yaml\n  tutti task import openapi.yaml createServer --name cloud.server.create > server.yaml\n  curl -s https://api.example.org/openapi.json | tutti task import - 'POST /servers' | tutti apply -f -"
	return cmd
}
