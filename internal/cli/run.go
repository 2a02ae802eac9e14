package cli

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"tutti/api"
	"tutti/errs"
	"tutti/internal/cli/live"
	"tutti/internal/cli/output"
	"tutti/internal/cli/params"
	"tutti/internal/workflow/simulate"
)

func (l *line) runCommands() *cobra.Command {
	return l.group("run", "Start workflows, and look into what runs",
		"  tutti run start vm.build -p name=web --wait\n  tutti run tree run_7k2m",
		l.runStart(), l.runList(), l.runShow(), l.runTree(), l.runTasks(), l.runTask(), l.runWhy(), l.runEvents(), l.runExport(), l.runOutput(), l.runGraph(),
		l.runPause(), l.runResume(), l.runSignal(), l.runCancel(), l.retryCommand("Try again what failed in a run; what succeeded is kept", l.runIDs), l.runFork(), l.runUndo())
}

func (l *line) printRun(r api.Run) error { return output.One(l.printer(), r, runFacts(), string(r.ID)) }

// onRun returns a command about one run, which may be named by its request.
func (l *line) onRun(use, short string, do func(ctx context.Context, id api.RunID) error) *cobra.Command {
	cmd := l.command(use, short, func(ctx context.Context, args []string) error {
		id, err := l.runID(ctx, args[0])
		if err != nil {
			return err
		}
		return do(ctx, id)
	})
	cmd.ValidArgsFunction = l.complete(l.runIDs)
	return cmd
}

func (l *line) runStart() *cobra.Command {
	var g given
	var w waiting
	var file, title, key, trace string
	cmd := l.command("start [WORKFLOW]", "Start a run of a published workflow, or of a file", func(ctx context.Context, args []string) error {
		in := api.StartRunIn{Key: key, Body: api.StartRunBody{Title: title, Trace: trace}}
		f, err := l.startForm(ctx, &in.Body, file, args)
		if err != nil {
			return err
		}
		values, err := g.values(ctx, l, f)
		if err != nil {
			return err
		}
		if in.Body.Inputs, err = json.Marshal(values); err != nil {
			return err
		}
		r, err := call(ctx, l, api.StartRun, in)
		if err != nil {
			return err
		}
		return l.started(ctx, &w, r)
	})
	g.flags(l, cmd)
	cmd.Flags().StringVarP(&file, "file", "f", "", "a workflow to run without publishing it, - is stdin")
	cmd.Flags().StringVar(&title, "title", "", "a line to know it by")
	cmd.Flags().StringVar(&trace, "trace", "", "trace ID it belongs to")
	cmd.Flags().StringVar(&key, "key", "", "idempotency key: the same key makes one run, however often it is sent")
	cmd.ValidArgsFunction = l.complete(l.definitionNames(api.KindWorkflow))
	return w.starts(cmd)
}

// startForm says in body what to run, and returns the form of its inputs.
func (l *line) startForm(ctx context.Context, body *api.StartRunBody, file string, args []string) (*params.Form, error) {
	switch {
	case file == "" && len(args) == 0:
		return nil, usage("tutti run start needs a workflow").WithHint("name a published one, or give a file with -f; see: tutti workflow list")
	case file != "" && len(args) > 0:
		return nil, usage("both a workflow and a file are given").WithHint("give one of them")
	case file != "":
		name, data, err := l.read(file)
		if err != nil {
			return nil, err
		}
		body.Definition = string(data)
		return params.New(inputsOf(name, data), name, "the inputs of "+name)
	}
	body.Workflow = args[0]
	d, err := call(ctx, l, api.GetDefinition, api.GetDefinitionIn{Kind: api.KindWorkflow, Name: args[0]})
	switch {
	case errs.Is(err, errs.NotFound):
		return nil, near(err, "no workflow %q", args[0], l.workflowNames(ctx), "tutti workflow list")
	case errs.Is(err, errs.Denied):
		return params.New(nil, args[0], "") // who may only start it has its inputs judged by the server
	case err != nil:
		return nil, err
	}
	return params.New(inputsOf(d.Name, d.Document), "workflow "+d.Name, "tutti workflow schema "+d.Name)
}

// inputsOf returns the inputs schema of a workflow document; nil where it has none or is not one.
func inputsOf(name string, data []byte) json.RawMessage {
	doc, err := params.Object(name, data)
	if err != nil || doc["inputs"] == nil {
		return nil
	}
	b, err := json.Marshal(doc["inputs"])
	if err != nil {
		return nil
	}
	return b
}

// started prints a run that was just started, or waits for its outcome.
func (l *line) started(ctx context.Context, w *waiting, r api.Run) error {
	if w.wait {
		return l.await(ctx, w, target{id: string(r.ID), run: r.ID})
	}
	if err := l.printRun(r); err != nil {
		return err
	}
	l.note("Follow it: tutti watch %s", r.ID)
	return nil
}

func (l *line) runList() *cobra.Command {
	var in api.ListRunsIn
	var state, parent string
	cmd := lister(l, "list", "List runs, newest first", runColumns(), func(r api.Run) string { return string(r.ID) },
		"No run. Start one: tutti run start WORKFLOW; tutti workflow list lists the workflows.",
		func(ctx context.Context, p api.Paging) (api.Page[api.Run], error) {
			in.Paging, in.State, in.Parent = p, api.State(state), api.RunID(parent)
			return call(ctx, l, api.ListRuns, in)
		})
	f := cmd.Flags()
	f.StringVar(&state, "state", "", "only in this state")
	f.StringVar(&in.Workflow, "workflow", "", "only of this workflow")
	f.StringVar(&in.Trace, "trace", "", "only of this trace")
	f.StringVar(&in.Request, "request", "", "only of this request")
	f.StringVar(&parent, "parent", "", "only the sub-runs of this run")
	return cmd
}

func (l *line) runShow() *cobra.Command {
	var v looked
	return l.onLooked("show [ID]", "Show a run", &v, func(ctx context.Context, id api.RunID, e *simulate.ExportedRun, _ []string) error {
		r, err := l.runOf(ctx, id, e, v)
		if err != nil {
			return err
		}
		return l.printRun(r)
	})
}

// atFlag adds --at, for commands that can show the past of a run.
func atFlag(cmd *cobra.Command, m *api.Moment) *cobra.Command {
	cmd.Flags().Int64Var(&m.At, "at", 0, "as of this event, by its number; see: tutti run events")
	return cmd
}

func (l *line) runTree() *cobra.Command {
	var open bool
	var v looked
	cmd := l.onLooked("tree [ID]", "Draw a run as it stands", &v, func(ctx context.Context, id api.RunID, e *simulate.ExportedRun, _ []string) error {
		s, err := l.lookAt(ctx, id, e, v)
		if err != nil {
			return err
		}
		if l.printer().Structured() {
			return output.One(l.printer(), s, nil, string(id))
		}
		return l.drawOnce(s, open)
	})
	cmd.Flags().BoolVar(&open, "open", false, "do not fold what has ended well")
	return cmd
}

// lookAt returns a run as it stands, or as it stood after an event; what its sub-runs were then is left out.
func (l *line) lookAt(ctx context.Context, id api.RunID, e *simulate.ExportedRun, v looked) (*live.Snapshot, error) {
	if v.At == 0 && e == nil {
		return l.look(ctx, id, 0)
	}
	r, err := l.runOf(ctx, id, e, v)
	if err != nil {
		return nil, err
	}
	s := &live.Snapshot{Run: r}
	s.Tasks, err = l.tasksOf(ctx, e, api.ListTasksIn{ID: id, Moment: v.Moment})
	return s, err
}

// drawOnce prints the whole tree, without a limit to its height.
func (l *line) drawOnce(s *live.Snapshot, open bool) error {
	v := live.View{Open: open, Color: l.colored(l.Terminal.Out), Now: time.Now()}
	if !s.Run.AsOf.IsZero() {
		v.Now = s.Run.AsOf
	}
	if l.Terminal.Out {
		v.Width, _ = l.size()
	}
	_, err := fmt.Fprintln(l.Stdout, strings.Join(live.Draw(s, v), "\n"))
	return err
}

func (l *line) runTasks() *cobra.Command {
	var state, parent string
	var v looked
	cmd := l.onLooked("tasks [ID]", "List the tasks of a run, in the order of the plan", &v, func(ctx context.Context, id api.RunID, e *simulate.ExportedRun, _ []string) error {
		tasks, err := l.tasksOf(ctx, e, api.ListTasksIn{ID: id, State: api.State(state), Parent: parent, Moment: v.Moment})
		if err != nil {
			return err
		}
		var now time.Time
		if v.At > 0 || e != nil {
			r, err := l.runOf(ctx, id, e, v)
			if err != nil {
				return err
			}
			now = r.AsOf
		}
		return list(l, api.Page[api.Task]{Items: tasks}, taskColumns(now), func(t api.Task) string { return t.Path }, "No task.")
	})
	cmd.Flags().StringVar(&state, "state", "", "only in this state")
	cmd.Flags().StringVar(&parent, "parent", "", "only the children of this path, - is the top level")
	return cmd
}

func (l *line) runTask() *cobra.Command {
	var v looked
	return l.onLooked("task [ID] PATH", "Show a task of a run with its input, output and attempts", &v, func(ctx context.Context, id api.RunID, e *simulate.ExportedRun, args []string) error {
		if len(args) != 1 {
			return usage("which task?").WithHint("give its path; see: tutti run tasks %s", id)
		}
		t, err := l.taskOf(ctx, id, e, args[0], v)
		if err != nil {
			return err
		}
		facts := []output.Column[api.Task]{
			col("Task", func(t api.Task) string { return t.Path }),
			{Name: "State", Get: func(t api.Task) output.Cell { return output.State(t.State) }},
			col("Title", func(t api.Task) string { return t.Title }),
			col("Use", func(t api.Task) string { return cmp.Or(t.Use, t.Kind) }),
			col("Waits for", func(t api.Task) string { return reason(t.Reason) }),
			col("Failure", func(t api.Task) string {
				if t.Failure == nil {
					return ""
				}
				return strings.TrimSpace(t.Failure.Type + ": " + t.Failure.Message + "  " + t.Failure.Hint)
			}),
			when("Started", func(t api.Task) time.Time { return t.Started }),
			col("Took", func(t api.Task) string { return took(t.Started, t.Ended) }),
			col("Worker", func(t api.Task) string { return t.Worker }),
			col("Sub-run", func(t api.Task) string { return string(t.Run) }),
			col("Items", func(t api.Task) string { return counts(t.Counts) }),
			col("Undo", func(t api.Task) string { return string(t.Undo) }),
			col("Attempts", func(t api.Task) string { return attempts(t.Attempts) }),
			col("Input", func(t api.Task) string { return string(t.Input) }),
			col("Output", func(t api.Task) string { return string(t.Output) }),
			col("Variables", func(t api.Task) string { return string(t.Vars) }),
		}
		return output.One(l.printer(), t, facts, t.Path)
	})
}

// attempts is like "1 failed 19s: unreachable; 2 running 33s".
func attempts(list []api.Attempt) string {
	words := make([]string, len(list))
	for i, a := range list {
		words[i] = fmt.Sprintf("%d %s %s", a.Number, a.State, took(a.Started, a.Ended))
		if a.Failure != nil {
			words[i] += ": " + a.Failure.Message
		}
	}
	return strings.Join(words, "; ")
}

func eventColumns() []output.Column[api.RunEvent] {
	return []output.Column[api.RunEvent]{
		right(col("SEQ", func(e api.RunEvent) string { return fmt.Sprint(e.Seq) })),
		when("AT", func(e api.RunEvent) time.Time { return e.At }),
		col("EVENT", func(e api.RunEvent) string { return e.Type }),
		col("TASK", func(e api.RunEvent) string { return e.Task }),
		col("BY", func(e api.RunEvent) string { return e.By }),
		col("DATA", func(e api.RunEvent) string { return string(e.Data) }),
	}
}

func (l *line) runEvents() *cobra.Command {
	var after int64
	cmd := l.onRun("events ID", "List what happened in a run, in order", func(ctx context.Context, id api.RunID) error {
		all := api.Page[api.RunEvent]{Items: []api.RunEvent{}}
		for {
			page, err := call(ctx, l, api.RunEvents, api.RunEventsIn{ID: id, After: after, Limit: 5000})
			if err != nil {
				return err
			}
			if len(page.Items) == 0 {
				break
			}
			all.Items = append(all.Items, page.Items...)
			after = page.Items[len(page.Items)-1].Seq
		}
		return list(l, all, eventColumns(), func(e api.RunEvent) string { return fmt.Sprint(e.Seq) }, "No event.")
	})
	cmd.Flags().Int64Var(&after, "after", 0, "only after this number")
	return cmd
}

func (l *line) runOutput() *cobra.Command {
	return l.onRun("output ID", "Print the outputs of a run as JSON", func(ctx context.Context, id api.RunID) error {
		r, err := call(ctx, l, api.GetRun, api.GetRunIn{ID: id})
		if err != nil {
			return err
		}
		if !r.State.Ended() {
			l.note("%s is %s: outputs are there when it has ended", r.ID, r.State)
		}
		out := r.Outputs
		if len(out) == 0 {
			out = json.RawMessage("{}")
		}
		return l.printer().Data(out)
	})
}

func (l *line) retryCommand(short string, ids func(context.Context) []string) *cobra.Command {
	var w waiting
	var from, input string
	cmd := l.onRun("retry ID", short, func(ctx context.Context, id api.RunID) error {
		body := api.RetryBody{Task: from}
		if input != "" {
			if from == "" {
				return usage("--input changes the input of one task").WithHint("name it with --from")
			}
			if err := jsonFlag("input", input, &body.Input); err != nil {
				return err
			}
		}
		r, err := call(ctx, l, api.RetryRun, api.RetryRunIn{ID: id, Body: body})
		if err != nil {
			return err
		}
		return l.started(ctx, &w, r)
	})
	cmd.Flags().StringVar(&from, "from", "", "path of the failed task to retry; all that failed by default")
	cmd.Flags().StringVar(&input, "input", "", "JSON that replaces the task's input")
	cmd.ValidArgsFunction = l.complete(ids)
	return w.starts(cmd)
}

func (l *line) runFork() *cobra.Command {
	var w waiting
	var in api.ForkRunIn
	var input, inputs string
	cmd := l.onRun("fork ID", "Start a run that goes on from any point of another one, keeping what had succeeded", func(ctx context.Context, id api.RunID) error {
		in.ID = id
		for _, f := range []struct {
			flag, text string
			to         *json.RawMessage
		}{{"input", input, &in.Body.Input}, {"inputs", inputs, &in.Body.Inputs}} {
			if err := jsonFlag(f.flag, f.text, f.to); err != nil {
				return err
			}
		}
		if input != "" && in.Body.Task == "" {
			return usage("--input changes the input of one task").WithHint("name it with --from")
		}
		r, err := call(ctx, l, api.ForkRun, in)
		if err != nil {
			return err
		}
		return l.started(ctx, &w, r)
	})
	f := cmd.Flags()
	f.Int64Var(&in.Body.At, "at", 0, "after this event of it, by its number; its last by default; see: tutti run events")
	f.StringVar(&in.Body.Task, "from", "", "path of a task to begin again, with all that comes after it")
	f.StringVar(&input, "input", "", "JSON that replaces the input of that task")
	f.StringVar(&inputs, "inputs", "", "JSON that replaces the inputs of the run, for what begins")
	f.StringVar(&in.Key, "key", "", "idempotency key: the same key makes one run, however often it is sent")
	return w.starts(cmd)
}

func (l *line) runUndo() *cobra.Command {
	var w waiting
	var why string
	var yes bool
	cmd := l.onRun("undo ID", "Undo what an ended run did, newest first", func(ctx context.Context, id api.RunID) error {
		if err := l.confirm(ctx, yes, "undo what "+string(id)+" did"); err != nil {
			return err
		}
		r, err := call(ctx, l, api.UndoRun, api.CancelRunIn{ID: id, Body: api.CancelBody{Reason: why}})
		if err != nil {
			return err
		}
		return l.started(ctx, &w, r)
	})
	cmd.Flags().StringVar(&why, "reason", "", "why, for the record")
	cmd.Flags().BoolVarP(&yes, "yes", "y", false, "do not ask")
	return w.starts(cmd)
}
