package cli

import (
	"context"
	"encoding/json"
	"time"

	"github.com/spf13/cobra"

	"tutti/api"
	"tutti/errs"
	"tutti/internal/workflow/simulate"
)

// maxExported bounds the runs of one export.
const maxExported = 1000

// runExport writes a run with all that is needed to look at it without the server.
func (l *line) runExport() *cobra.Command {
	cmd := l.onRun("export ID", "Write a run to stdout as a file, with its definition, journal, sub-runs and log, but no secret", func(ctx context.Context, id api.RunID) error {
		x := &simulate.Export{Format: simulate.ExportFormat, Version: l.Version, Exported: time.Now().UTC(), Root: id}
		if err := l.exportRun(ctx, x, id); err != nil {
			return err
		}
		if err := x.Record(); err != nil {
			return err
		}
		enc := json.NewEncoder(l.Stdout)
		enc.SetEscapeHTML(false)
		return enc.Encode(x)
	})
	cmd.Example = "  tutti run export run_7k2m > broken.run.json\n  tutti run show --file broken.run.json\n  tutti workflow simulate --from-run broken.run.json"
	return cmd
}

// exportRun adds a run to x, and its sub-runs.
func (l *line) exportRun(ctx context.Context, x *simulate.Export, id api.RunID) error {
	if len(x.Runs) >= maxExported {
		l.note("It has more than %d sub-runs; the others are left out.", maxExported)
		return nil
	}
	var e simulate.ExportedRun
	for after := int64(0); ; {
		part, err := call(ctx, l, api.ExportRun, api.ExportRunIn{ID: id, After: after})
		if err != nil {
			return err
		}
		if after == 0 {
			e.RunExport = part
		} else {
			e.Journal = append(e.Journal, part.Journal...)
		}
		if after = part.Next; after == 0 {
			break
		}
	}
	e.Next = 0
	for after, more := int64(0), true; more; {
		page, err := call(ctx, l, api.ReadLog, api.ReadLogIn{ID: id, After: after, Limit: 1000})
		if err != nil {
			return err
		}
		e.Log = append(e.Log, page.Lines...)
		more = len(page.Lines) > 0 && page.Last > after
		after = page.Last
	}
	x.Runs = append(x.Runs, e)
	r, err := e.At(0)
	if err != nil {
		return err
	}
	for _, t := range r.Tasks() {
		if t.Run == "" || x.Find(t.Run) != nil {
			continue
		}
		if err := l.exportRun(ctx, x, t.Run); err != nil && !errs.Is(err, errs.NotFound) {
			return err
		}
	}
	return nil
}

// looked is how a run is looked at: as of an event, and in a file instead of on a server.
type looked struct {
	api.Moment
	file string
}

func (v *looked) flags(cmd *cobra.Command) *cobra.Command {
	cmd.Flags().StringVar(&v.file, "file", "", "look into the file of an exported run instead of the server; ID is one of its runs, the exported one by default")
	return atFlag(cmd, &v.Moment)
}

// onLooked is onRun for commands that can look into a file; exported is nil where they do not.
func (l *line) onLooked(use, short string, v *looked, do func(ctx context.Context, id api.RunID, exported *simulate.ExportedRun, args []string) error) *cobra.Command {
	cmd := l.command(use, short, func(ctx context.Context, args []string) error {
		if v.file == "" {
			if len(args) == 0 {
				return usage("which run?").WithHint("give its ID, or a file with --file; see: tutti run list")
			}
			id, err := l.runID(ctx, args[0])
			if err != nil {
				return err
			}
			return do(ctx, id, nil, args[1:])
		}
		name, data, err := l.read(v.file)
		if err != nil {
			return err
		}
		x, err := simulate.ReadExport(data)
		if err != nil {
			return errs.New(errs.Invalid, "%s: %w", name, err)
		}
		id := x.Root
		if len(args) > 0 {
			if e := x.Find(api.RunID(args[0])); e != nil {
				id, args = e.Run.ID, args[1:]
			}
		}
		return do(ctx, id, x.Find(id), args)
	})
	cmd.ValidArgsFunction = l.complete(l.runIDs)
	return v.flags(cmd)
}

// runOf returns a run from the file or the server.
func (l *line) runOf(ctx context.Context, id api.RunID, e *simulate.ExportedRun, v looked) (api.Run, error) {
	if e == nil {
		return call(ctx, l, api.GetRun, api.GetRunIn{ID: id, Moment: v.Moment})
	}
	r, err := e.At(v.At)
	if err != nil {
		return api.Run{}, err
	}
	out := r.View()
	out.Counts = r.Counts()
	if v.At > 0 || !out.State.Ended() {
		out.AsOf = time.UnixMicro(r.Clock()).UTC()
	}
	return out, nil
}

// tasksOf returns the tasks of a run from the file or the server.
func (l *line) tasksOf(ctx context.Context, e *simulate.ExportedRun, in api.ListTasksIn) ([]api.Task, error) {
	if e == nil {
		return l.tasks(ctx, in)
	}
	r, err := e.At(in.At)
	if err != nil {
		return nil, err
	}
	critical, _ := r.Critical(r.Clock(), func(string) int64 { return 0 })
	var out []api.Task
	for _, t := range r.Tasks() {
		top := in.Parent == "-" && t.Parent == ""
		if (in.Parent == "" || top || in.Parent == t.Parent) && (in.State == "" || in.State == t.State) {
			t.Critical = critical[t.Path]
			out = append(out, t)
		}
	}
	return out, nil
}

// taskOf returns a task of a run from the file or the server.
func (l *line) taskOf(ctx context.Context, id api.RunID, e *simulate.ExportedRun, path string, v looked) (api.Task, error) {
	if e == nil {
		return call(ctx, l, api.GetTask, api.GetTaskIn{ID: id, Path: path, Moment: v.Moment})
	}
	r, err := e.At(v.At)
	if err != nil {
		return api.Task{}, err
	}
	return r.Task(path)
}
