package cli

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"tutti/api"
	"tutti/errs"
	"tutti/internal/cli/output"
	"tutti/internal/cli/params"
	"tutti/internal/document"
)

// The bounds of one apply, as the API has them.
const (
	maxFiles = 500
	maxFile  = 1 << 20
)

// sources reads the files of -f: a file, "-" for stdin, or all *.yaml, *.yml and *.json below a folder,
// in the order of their names. Hidden files and folders are left out, and so are tests of workflows and
// recorded runs, which are not applied.
func (l *line) sources(paths []string) ([]api.SourceFile, error) {
	if len(paths) == 0 {
		return nil, usage("which files?").WithHint("give -f FILE, -f DIR or -f - for stdin")
	}
	for _, p := range paths {
		if isTest(p) {
			return nil, errs.New(errs.Invalid, "%s holds tests, which are not applied", p).WithHint("run them: tutti workflow test %s", p)
		}
	}
	return l.collect(paths, isDefinition)
}

// collect reads files, and what is wanted of those below folders.
func (l *line) collect(paths []string, wanted func(path string) bool) ([]api.SourceFile, error) {
	var files []api.SourceFile
	add := func(name string, data []byte) error {
		switch {
		case len(data) > maxFile:
			return errs.New(errs.TooLarge, "%s has %s, more than %s", name, output.Size(int64(len(data))), output.Size(maxFile))
		case !utf8.Valid(data):
			return errs.New(errs.Invalid, "%s is not UTF-8 text", name).WithHint("save it as UTF-8")
		case len(files) == maxFiles:
			return errs.New(errs.TooLarge, "more than %d files", maxFiles).WithHint("do it folder by folder")
		}
		files = append(files, api.SourceFile{Name: name, Text: string(data)})
		return nil
	}
	for _, p := range paths {
		st, err := os.Stat(p)
		if p == "-" || err == nil && !st.IsDir() {
			name, data, err := l.read(p)
			if err != nil {
				return nil, err
			}
			if err := add(name, data); err != nil {
				return nil, err
			}
			continue
		}
		if err != nil {
			return nil, errs.New(errs.Invalid, "read %s: %w", p, reasonOf(err))
		}
		found, err := definitionFiles(p, true)
		if err != nil {
			return nil, err
		}
		for _, path := range found {
			if !wanted(path) {
				continue
			}
			name, data, err := l.read(path)
			if err == nil {
				err = add(filepath.ToSlash(name), data)
			}
			if err != nil {
				return nil, err
			}
		}
	}
	if len(files) == 0 {
		return nil, errs.New(errs.Invalid, "no *.yaml, *.yml or *.json in %s", strings.Join(paths, ", "))
	}
	return files, nil
}

// definitionFiles returns the *.yaml, *.yml and *.json in a folder, deep also in those below it, by
// their names.
func definitionFiles(dir string, deep bool) (out []string, err error) {
	err = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return errs.New(errs.Invalid, "read %s: %w", path, reasonOf(err))
		case path != dir && (strings.HasPrefix(d.Name(), ".") || d.IsDir() && !deep):
			if d.IsDir() {
				return filepath.SkipDir
			}
		case !d.IsDir() && slices.Contains([]string{".yaml", ".yml", ".json"}, filepath.Ext(path)):
			out = append(out, path)
		}
		return nil
	})
	return out, err
}

// reasonOf returns an error of a file without the path, which the message has already.
func reasonOf(err error) error {
	if p, ok := errors.AsType[*fs.PathError](err); ok {
		return p.Err
	}
	return err
}

func (l *line) applyCommand() *cobra.Command {
	var paths []string
	var note, key string
	cmd := l.command("apply", "Create or change definitions: all of them, or none", func(ctx context.Context, _ []string) error {
		files, err := l.sources(paths)
		if err != nil {
			return err
		}
		out, err := call(ctx, l, api.ApplyDefinitions, api.ApplyIn{Key: key, Body: api.ApplyBody{Files: files, Note: note}})
		if err != nil {
			return err
		}
		return l.printChanges(out, false)
	})
	cmd.Example = "  tutti apply -f examples/vm\n  cat vm.yaml | tutti apply -f -"
	fileFlag(cmd, &paths)
	cmd.Flags().StringVar(&note, "note", "", "why, for the history")
	cmd.Flags().StringVar(&key, "key", "", "idempotency key")
	return cmd
}

func (l *line) planCommand() *cobra.Command {
	var paths []string
	var detailed bool
	cmd := l.command("plan", "Say what apply would do, and do nothing", func(ctx context.Context, _ []string) error {
		files, err := l.sources(paths)
		if err != nil {
			return err
		}
		out, err := call(ctx, l, api.ValidateDefinitions, api.ApplyIn{Body: api.ApplyBody{Files: files, DryRun: true}})
		if err != nil {
			return err
		}
		if err := l.printChanges(out, true); err != nil {
			return err
		}
		changes := slices.ContainsFunc(out.Changes, func(c api.Change) bool { return c.Action != "unchanged" })
		if changes && !slices.Contains(paths, "-") && !l.printer().Structured() {
			l.note("Apply it: tutti apply -f %s", strings.Join(paths, " -f "))
		}
		if changes && detailed {
			return exit{code: ExitChanges}
		}
		return nil
	})
	fileFlag(cmd, &paths)
	cmd.Flags().BoolVar(&detailed, "detailed-exitcode", false, "exit with 8 where there are changes")
	return cmd
}

func fileFlag(cmd *cobra.Command, paths *[]string) {
	cmd.Flags().StringArrayVarP(paths, "file", "f", nil, "a file, a folder with all below it, or - for stdin")
}

// printChanges prints what an apply did, or would do, and the sum.
func (l *line) printChanges(out api.ApplyOut, dry bool) error {
	signs := map[string]string{"create": "+", "update": "~", "unchanged": " "}
	sums := map[string]int{}
	for _, c := range out.Changes {
		sums[c.Action]++
	}
	p := l.printer()
	cols := []output.Column[api.Change]{
		col("ACTION", func(c api.Change) string {
			if p.Terminal {
				return signs[c.Action] + " " + c.Action
			}
			return c.Action
		}),
		col("KIND", func(c api.Change) string { return c.Kind }),
		col("NAME", func(c api.Change) string { return c.Name }),
		right(col("VERSION", func(c api.Change) string { return fmt.Sprint(c.Version) })),
		wide("DIGEST", func(c api.Change) string { return c.Digest }),
	}
	if err := output.List(p, out, out.Changes, cols, func(c api.Change) string { return c.Kind + "/" + c.Name }); err != nil {
		return err
	}
	if p.Structured() {
		return nil
	}
	if dry {
		l.note("Plan: %d to create, %d to update, %d unchanged. Nothing was done.", sums["create"], sums["update"], sums["unchanged"])
	} else {
		l.note("%d created, %d updated, %d unchanged.", sums["create"], sums["update"], sums["unchanged"])
	}
	return nil
}

func (l *line) workflowCommands() *cobra.Command {
	return l.group("workflow", "Write, check, simulate, test and look up workflows", "  tutti workflow new vm.build > vm.yaml\n  tutti workflow validate vm.yaml\n  tutti workflow simulate vm.yaml -p name=web\n  tutti workflow test .",
		l.definitionList(api.KindWorkflow), l.definitionShow(api.KindWorkflow), l.workflowNew(), l.workflowValidate(), l.workflowSimulate(), l.workflowTest(), l.workflowSchema(), l.workflowVersions(), l.workflowDiff(), l.workflowUsers(), l.definitionDelete())
}

func definitionColumns() []output.Column[api.Definition] {
	return []output.Column[api.Definition]{
		col("NAME", func(d api.Definition) string { return d.Name }),
		right(col("VERSION", func(d api.Definition) string { return fmt.Sprint(d.Version) })),
		col("TITLE", func(d api.Definition) string { return d.Title }),
		col("BY", func(d api.Definition) string { return d.Publisher }),
		when("APPLIED", func(d api.Definition) time.Time { return d.Applied }),
		wide("ROLE", func(d api.Definition) string { return d.Role }),
		wide("DIGEST", func(d api.Definition) string { return d.Digest }),
	}
}

func (l *line) definitionList(kind string) *cobra.Command {
	use, what := "list", "workflows"
	if kind == api.KindResourceType {
		use, what = "types", "types of resources"
	}
	return lister(l, use, "List "+what+" by name", definitionColumns(), func(d api.Definition) string { return d.Name },
		"None yet. Apply some: tutti apply -f DIR",
		func(ctx context.Context, p api.Paging) (api.Page[api.Definition], error) {
			return call(ctx, l, api.ListDefinitions, api.ListDefinitionsIn{Paging: p, Kind: kind})
		})
}

func (l *line) definitionShow(kind string) *cobra.Command {
	var version int
	cmd := l.command("show NAME", "Print a workflow as it was applied", func(ctx context.Context, args []string) error {
		d, err := l.definition(ctx, kind, args[0], version)
		if err != nil {
			return err
		}
		if l.printer().Structured() {
			return output.One(l.printer(), d, nil, d.Name)
		}
		if l.Terminal.Out {
			l.note("%s version %d, applied by %s at %s, sha256 %s", d.Name, d.Version, d.Publisher, d.Applied.Format(time.DateTime), d.Digest)
		}
		_, err = fmt.Fprintln(l.Stdout, output.Lines(strings.TrimRight(d.Source, "\n")))
		return err
	})
	cmd.Flags().IntVar(&version, "version", 0, "a version; 0 is the newest")
	cmd.ValidArgsFunction = l.complete(l.definitionNames(kind))
	return cmd
}

// definition gets a definition; where there is none it says which was probably meant.
func (l *line) definition(ctx context.Context, kind, name string, version int) (api.Definition, error) {
	d, err := call(ctx, l, api.GetDefinition, api.GetDefinitionIn{Kind: kind, Name: name, Version: version})
	if errs.Is(err, errs.NotFound) && version == 0 {
		return d, near(err, "no "+strings.ToLower(kind)+" %q", name, l.names(ctx, kind), "tutti workflow list")
	}
	return d, err
}

func (l *line) workflowNames(ctx context.Context) []string { return l.names(ctx, api.KindWorkflow) }

// names lists the definitions of a kind by name, or nothing.
func (l *line) names(ctx context.Context, kind string) []string {
	var out []string
	for _, n := range l.definitionNames(kind)(ctx) {
		name, _, _ := strings.Cut(n, "\t")
		out = append(out, name)
	}
	return out
}

// near returns the error of a name that is not there, with the name that was probably meant. Where none
// was, it is what the server said.
func near(err error, format, name string, names []string, see string) error {
	if n := document.Nearest(name, names); n != "" {
		return errs.New(errs.NotFound, format, name).WithHint("did you mean %s?\nsee: %s", n, see)
	}
	return err
}

var definitionName = regexp.MustCompile(`^[a-z][a-z0-9.-]{0,126}$`)

const newWorkflow = `kind: Workflow
name: %s
title: What it does, in a line

inputs:                     # a JSON Schema: it validates the inputs and draws the form
  type: object
  required: [name]
  properties:
    name: { type: string }

tasks:                      # what refers to another task waits for it
  greet:
    use: set
    with:
      text: Hello ${{ inputs.name }}

outputs:
  text: ${{ tasks.greet.out.text }}
`

func (l *line) workflowNew() *cobra.Command {
	return l.command("new NAME", "Print a small workflow to start from", func(_ context.Context, args []string) error {
		if !definitionName.MatchString(args[0]) {
			return usage("%q cannot be the name of a workflow", args[0]).WithHint("use small letters, digits, '.' and '-', such as vm.build")
		}
		_, err := fmt.Fprintf(l.Stdout, newWorkflow, args[0])
		return err
	})
}

func (l *line) workflowSchema() *cobra.Command {
	cmd := l.command("schema NAME", "Print the JSON Schema of a workflow's inputs", func(ctx context.Context, args []string) error {
		d, err := l.definition(ctx, api.KindWorkflow, args[0], 0)
		if errs.Is(err, errs.NotFound) {
			// What people request is named by its catalogue entry.
			if e, err := call(ctx, l, api.GetEntry, api.EntryIn{Name: args[0]}); err == nil && len(e.Schema) > 0 {
				return l.printer().Data(e.Schema)
			}
		}
		if err != nil {
			return err
		}
		doc, err := params.Object(d.Name, d.Document)
		if err != nil {
			return err
		}
		if doc["inputs"] == nil {
			l.note("%s takes no inputs.", d.Name)
			return nil
		}
		return l.printer().Data(doc["inputs"])
	})
	cmd.ValidArgsFunction = l.complete(l.definitionNames(api.KindWorkflow))
	return cmd
}

func (l *line) definitionDelete() *cobra.Command {
	var yes bool
	cmd := l.command("delete NAME", "Withdraw a workflow; runs of it finish", func(ctx context.Context, args []string) error {
		if err := l.confirm(ctx, yes, "withdraw workflow "+args[0]); err != nil {
			return err
		}
		if _, err := call(ctx, l, api.DeleteDefinition, api.GetDefinitionIn{Kind: api.KindWorkflow, Name: args[0]}); err != nil {
			return err
		}
		l.note("Withdrew workflow %s.", args[0])
		return nil
	})
	cmd.Flags().BoolVarP(&yes, "yes", "y", false, "do not ask")
	cmd.ValidArgsFunction = l.complete(l.definitionNames(api.KindWorkflow))
	return cmd
}
