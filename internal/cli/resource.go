package cli

import (
	"context"
	"encoding/json"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"tutti/api"
	"tutti/errs"
	"tutti/internal/cli/output"
	"tutti/internal/cli/params"
)

func (l *line) resourceCommands() *cobra.Command {
	return l.group("resource", "See what exists, and what could", "  tutti resource list\n  tutti resource show vm web-dev-07",
		l.resourceList(), l.resourceShow(), l.resourceHistory(), l.resourceModify(), l.resourceDelete(), l.resourceRollback(), l.resourceObserve(), l.definitionList(api.KindResourceType), l.catalogueCommand("catalogue"))
}

func (l *line) resourceList() *cobra.Command {
	var kind string
	cols := []output.Column[api.Resource]{
		col("TYPE", func(r api.Resource) string { return r.Type }),
		col("NAME", func(r api.Resource) string { return r.Name }),
		col("OWNER", func(r api.Resource) string { return r.Owner }),
		when("UPDATED", func(r api.Resource) time.Time { return r.Updated }),
		col("REQUEST", func(r api.Resource) string { return r.Request }),
		wide("RUN", func(r api.Resource) string { return string(r.Run) }),
		wide("TRACE", func(r api.Resource) string { return r.Trace }),
	}
	cmd := lister(l, "list [TYPE]", "List resources by type and name", cols, func(r api.Resource) string { return r.Type + "/" + r.Name },
		"No resource. Ask for one: tutti request create ENTRY; tutti catalogue lists the entries.",
		func(ctx context.Context, p api.Paging) (api.Page[api.Resource], error) {
			return call(ctx, l, api.ListResources, api.ListResourcesIn{Paging: p, Type: kind})
		})
	run := cmd.RunE
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		kind = strings.Join(args, "")
		return run(cmd, args)
	}
	cmd.ValidArgsFunction = l.complete(l.definitionNames(api.KindResourceType))
	return cmd
}

// resource gets the resource that the arguments name: TYPE NAME, or TYPE/NAME.
func (l *line) resource(ctx context.Context, args []string) (api.Resource, error) {
	if len(args) == 1 {
		kind, name, ok := strings.Cut(args[0], "/")
		if !ok {
			return api.Resource{}, usage("which %s?", args[0]).WithHint("write TYPE NAME, such as vm web-dev-07")
		}
		args = []string{kind, name}
	}
	r, err := call(ctx, l, api.GetResource, api.ResourceIn{Type: args[0], Name: args[1]})
	if errs.Is(err, errs.NotFound) {
		var names []string
		page, lerr := pages(&paging{limit: most}, func(p api.Paging) (api.Page[api.Resource], error) {
			return call(ctx, l, api.ListResources, api.ListResourcesIn{Paging: p, Type: args[0]})
		})
		if lerr == nil {
			for _, r := range page.Items {
				names = append(names, r.Name)
			}
		}
		err = near(err, "no "+strings.ReplaceAll(args[0], "%", "")+" %q", args[1], names, "tutti resource list "+args[0])
	}
	return r, err
}

func (l *line) resourceShow() *cobra.Command {
	return l.command("show TYPE [NAME]", "Show a resource", func(ctx context.Context, args []string) error {
		r, err := l.resource(ctx, args)
		if err != nil {
			return err
		}
		facts := []output.Column[api.Resource]{
			col("Type", func(r api.Resource) string { return r.Type }),
			col("Name", func(r api.Resource) string { return r.Name }),
			col("Owner", func(r api.Resource) string { return r.Owner }),
			col("Request", func(r api.Resource) string { return r.Request }),
			col("Run", func(r api.Resource) string { return string(r.Run) }),
			col("Trace", func(r api.Resource) string { return r.Trace }),
			when("Updated", func(r api.Resource) time.Time { return r.Updated }),
			when("Expires", func(r api.Resource) time.Time { return r.Expires }),
			col("Pending", func(r api.Resource) string { return r.Pending }),
			col("File", func(r api.Resource) string { return sourceLine(r.Source) }),
			col("World", func(r api.Resource) string { return worldLine(r.Observed) }),
			col("Spec", func(r api.Resource) string { return string(r.Spec) }),
			col("Outputs", func(r api.Resource) string { return string(r.Outputs) }),
		}
		return output.One(l.printer(), r, facts, r.Type+"/"+r.Name)
	})
}

func (l *line) resourceHistory() *cobra.Command {
	return l.command("history TYPE [NAME]", "List the requests that changed a resource, newest first", func(ctx context.Context, args []string) error {
		r, err := l.resource(ctx, args)
		if err != nil {
			return err
		}
		cols := []output.Column[api.ResourceChange]{
			col("REQUEST", func(c api.ResourceChange) string { return c.Request }),
			stateOf(func(c api.ResourceChange) api.State { return c.State }),
			col("ACTION", func(c api.ResourceChange) string { return changeWord(c) }),
			col("COMMIT", func(c api.ResourceChange) string { return commitOf(c.Source) }),
			wide("RUN", func(c api.ResourceChange) string { return string(c.Run) }),
			col("BY", func(c api.ResourceChange) string { return c.By }),
			when("AT", func(c api.ResourceChange) time.Time { return c.At }),
		}
		return list(l, api.Page[api.ResourceChange]{Items: r.History}, cols, func(c api.ResourceChange) string { return c.Request }, "No request changed it.")
	})
}

func changeWord(c api.ResourceChange) string {
	if c.Undone {
		return c.Action + ", undone"
	}
	return c.Action
}

func commitOf(r *api.SourceRef) string {
	if r == nil || len(r.Commit) < 12 {
		return ""
	}
	return r.Commit[:12]
}

func sourceLine(r *api.SourceRef) string {
	if r == nil {
		return ""
	}
	return r.Repository + ":" + r.Path + " at " + r.Commit
}

// worldLine tells what was last seen of a resource.
func worldLine(o *api.Observation) string {
	switch {
	case o == nil:
		return ""
	case o.State != api.Succeeded:
		return "looking at it " + string(o.State) + "  " + o.Failure
	case len(o.Drift) == 0:
		return "as it was made, seen " + o.At.Format(time.RFC3339)
	}
	var out []string
	for _, c := range o.Drift {
		out = append(out, changeLine(c))
	}
	return "drift, seen " + o.At.Format(time.RFC3339) + ": " + strings.Join(out, "; ")
}

func (l *line) catalogueCommand(use string) *cobra.Command {
	cmd := l.command(use+" [ENTRY]", "List what can be requested, or show what an entry asks for", func(ctx context.Context, args []string) error {
		if len(args) > 0 {
			return l.showEntry(ctx, args[0])
		}
		page, err := call(ctx, l, api.ListEntries, api.ListEntriesIn{})
		if err != nil {
			return err
		}
		cols := []output.Column[api.Entry]{
			col("ENTRY", func(e api.Entry) string { return e.Name }),
			col("TYPE", func(e api.Entry) string { return e.Type }),
			col("TITLE", func(e api.Entry) string { return e.Title }),
			col("TAGS", func(e api.Entry) string { return strings.Join(e.Tags, ", ") }),
			wide("KIND", func(e api.Entry) string { return e.Kind }),
			wide("ABOUT", func(e api.Entry) string { return e.Doc }),
		}
		return list(l, page, cols, func(e api.Entry) string { return e.Name }, "The catalogue is empty. Apply resource types and presets: tutti apply -f DIR")
	})
	cmd.ValidArgsFunction = l.complete(l.entryNames)
	return cmd
}

// field is a parameter as the catalogue shows it.
type field struct{ name, kind, need, fallback, about string }

func (l *line) showEntry(ctx context.Context, name string) error {
	e, err := call(ctx, l, api.GetEntry, api.EntryIn{Name: name})
	if errs.Is(err, errs.NotFound) {
		err = l.meant(ctx, err, name)
	}
	if err != nil {
		return err
	}
	p := l.printer()
	if p.Structured() {
		return output.One(p, e, nil, e.Name)
	}
	l.note("%s  %s", e.Name, strings.TrimSpace(e.Title+"\n"+e.Doc))
	for k, v := range e.Locked {
		b, err := json.Marshal(v)
		if err != nil {
			return err
		}
		l.note("  %s is always %s", k, b)
	}
	cols := []output.Column[field]{
		col("PARAMETER", func(f field) string { return f.name }),
		col("TYPE", func(f field) string { return f.kind }),
		col("REQUIRED", func(f field) string { return f.need }),
		col("DEFAULT", func(f field) string { return f.fallback }),
		col("ABOUT", func(f field) string { return f.about }),
	}
	form, err := params.New(e.Schema, e.Name, "")
	if err != nil {
		return err
	}
	var fields []field
	for _, q := range form.Questions() {
		f := field{q.Name, q.Type, "", q.Default, strings.TrimSpace(q.Title + "  " + q.Doc)}
		if len(q.Values) > 0 {
			f.kind = strings.Join(q.Values, "|")
		}
		if q.Required {
			f.need = "yes"
		}
		fields = append(fields, f)
	}
	if err := output.List(p, e, fields, cols, nil); err != nil {
		return err
	}
	l.note("Ask for one: tutti request create %s -p name=…   or: tutti request create %s --interactive", e.Name, e.Name)
	return nil
}
