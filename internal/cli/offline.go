package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"tutti/api"
	"tutti/errs"
	"tutti/internal/cli/output"
	"tutti/internal/cli/params"
	"tutti/internal/document"
	"tutti/internal/workflow/simulate"
)

// What is in this file asks no server: it reads files, and carries workflows out in this process.

// isTest reports whether a file holds tests of workflows.
func isTest(path string) bool {
	ext := filepath.Ext(path)
	return slices.Contains([]string{".yaml", ".yml", ".json"}, ext) && strings.HasSuffix(strings.TrimSuffix(path, ext), ".test")
}

// isRecording reports whether a file holds a recorded run, as it may lie beside tests.
func isRecording(path string) bool { return strings.HasSuffix(path, ".run.json") }

// isDefinition reports whether a file of a folder is one to apply.
func isDefinition(path string) bool { return !isTest(path) && !isRecording(path) }

// library reads files, with everything that is wrong in them.
func (l *line) library(files []api.SourceFile) (*simulate.Library, []errs.Problem) {
	return simulate.Read(simulate.Catalogue{Types: l.Specs, Declare: l.Declare}, files)
}

// unsound is the error for files in which something is wrong.
func unsound(problems []errs.Problem) error {
	return errs.New(errs.Invalid, "%s", counted(len(problems), "problem")).WithProblems(problems...).
		WithHint("what is only on a server is not known here; to ask one: tutti plan -f PATH")
}

// validation is what validate found.
type validation struct {
	Valid     bool           `json:"valid"`
	Files     int            `json:"files"`
	Documents int            `json:"documents"`
	Problems  []errs.Problem `json:"problems,omitempty"`
}

func (l *line) workflowValidate() *cobra.Command {
	var paths []string
	cmd := l.command("validate [PATH…]", "Check definitions and tests, without a server", func(_ context.Context, args []string) error {
		args = append(args, paths...)
		if len(args) == 0 {
			return usage("which files?").WithHint("give files or folders, or - for stdin")
		}
		files, err := l.collect(args, func(path string) bool { return !isRecording(path) })
		if err != nil {
			return err
		}
		lib, problems := l.library(files)
		for _, d := range lib.Others {
			problems = append(problems, l.checkOther(d)...)
		}
		v := validation{Valid: len(problems) == 0, Files: len(files), Documents: len(lib.Workflows()) + len(lib.Tests) + len(lib.Others) + lib.Declared, Problems: problems}
		if l.printer().Structured() {
			if err := l.printer().Data(v); err != nil || v.Valid {
				return err
			}
			return exit{code: ExitRefused}
		}
		if !v.Valid {
			return unsound(problems)
		}
		are := "are"
		if v.Documents == 1 {
			are = "is"
		}
		l.note("%s in %s %s valid.", counted(v.Documents, "document"), counted(v.Files, "file"), are)
		return nil
	})
	cmd.ValidArgsFunction = nil
	cmd.Example = "  tutti workflow validate vm.build.yaml\n  tutti workflow validate workflows/"
	fileFlag(cmd, &paths)
	return cmd
}

// checkOther checks a document of a kind that is not simulated against its schema.
func (l *line) checkOther(d *document.Document) []errs.Problem {
	raw, ok := l.Schemas[d.Kind]
	if !ok {
		p := errs.Problem{Location: d.At("/kind"), Message: fmt.Sprintf("there is no kind %q", d.Kind), Hint: "the kinds are " + strings.Join(append(slices.Clone(api.Kinds), simulate.KindTest), ", ")}
		if near := document.Nearest(d.Kind, append(slices.Clone(api.Kinds), simulate.KindTest)); near != "" {
			p.Hint = "did you mean " + near + "? " + p.Hint
		}
		return []errs.Problem{p}
	}
	schema, err := document.CompileSchema(raw)
	if err != nil {
		return []errs.Problem{{Location: d.At(""), Message: err.Error()}}
	}
	return d.Validate(schema.Compiled())
}

// scenario is what the flags of simulate say.
type scenario struct {
	given
	workflow, scenario, test, recorded, crash, cancelAt string
	fail                                                []string
	undo                                                bool
	seed                                                int64
}

func (l *line) workflowSimulate() *cobra.Command {
	var s scenario
	cmd := l.command("simulate [PATH…]", "Carry a workflow out with mocks, without a server", func(ctx context.Context, args []string) error {
		lib, sc, err := l.scene(ctx, &s, args)
		if err != nil {
			return err
		}
		rep, err := lib.Run(sc)
		if err != nil {
			return err
		}
		if err := l.printReport(rep); err != nil {
			return err
		}
		switch {
		case rep.Crash != nil && rep.Crash.Difference != "":
			return exit{ExitBad, errs.New(errs.Internal, "losing its memory changed what the engine did: %s", rep.Crash.Difference)}
		case rep.State == api.Waiting:
			return exit{code: ExitPerson}
		case rep.State != api.Succeeded:
			return exit{code: ExitBad}
		}
		return nil
	})
	cmd.ValidArgsFunction = nil
	cmd.Example = "  tutti workflow simulate vm.build.yaml -p name=web\n  tutti workflow simulate vm.build.yaml -p name=web --fail 'disks[*]=2' --crash everywhere\n" +
		"  tutti workflow simulate vm.build.yaml --recorded run.json"
	f := cmd.Flags()
	f.StringVar(&s.workflow, "workflow", "", "which workflow of the files; default the one that no other calls")
	f.StringArrayVarP(&s.pairs, "param", "p", nil, "an input, as name=value; may be repeated")
	f.StringVar(&s.file, "params", "", "a file with inputs, - is stdin")
	f.StringVar(&s.scenario, "scenario", "", "a test file, for its mocks, approvals and signals")
	f.StringVar(&s.test, "test", "", "which test of that file; default the first")
	f.StringVar(&s.recorded, "recorded", "", "a file with a recorded run, which stands in for mocks")
	f.StringVar(&s.recorded, "from-run", "", "the same, of the file of tutti run export")
	f.StringArrayVar(&s.fail, "fail", nil, "TASK=N lets the first N attempts of a task fail; may be repeated")
	f.StringVar(&s.crash, "crash", "", "everywhere: let the engine lose its memory before every command")
	f.StringVar(&s.cancelAt, "cancel-at", "", "cancel after so many steps (12), or so long (90s)")
	f.BoolVar(&s.undo, "undo", false, "undo the run once it has ended")
	f.Int64Var(&s.seed, "seed", 0, "draw other sample values, and how long tasks take")
	return cmd
}

// scene reads what is to be played.
func (l *line) scene(ctx context.Context, s *scenario, args []string) (*simulate.Library, simulate.Scenario, error) {
	var sc simulate.Scenario
	recording, err := l.recording(s.recorded)
	if err != nil {
		return nil, sc, err
	}
	files, err := l.sceneFiles(s, recording, args)
	if err != nil {
		return nil, sc, err
	}
	lib, problems := l.library(files)
	if len(problems) > 0 {
		return nil, sc, unsound(problems)
	}
	if s.scenario != "" {
		t, err := testOf(lib, s.scenario, s.test)
		if err != nil {
			return nil, sc, err
		}
		if err := l.withRecording(t); err != nil {
			return nil, sc, fmt.Errorf("%s: %w", t.At("/recorded"), err)
		}
		sc = t.Scenario
	}
	if recording != nil {
		sc.Recording = recording
		if len(sc.Inputs) == 0 {
			sc.Inputs = recording.Inputs
		}
	}
	switch {
	case s.workflow != "":
		sc.Workflow = s.workflow
	case sc.Workflow == "" && recording != nil && slices.Contains(lib.Workflows(), recording.Workflow):
		sc.Workflow = recording.Workflow
	case sc.Workflow == "":
		tops := lib.Tops()
		if len(tops) != 1 {
			return nil, sc, usage("which workflow?").WithHint("give --workflow; there are %s", strings.Join(lib.Workflows(), ", "))
		}
		sc.Workflow = tops[0]
	}
	return lib, sc, l.vary(ctx, s, lib, &sc)
}

// sceneFiles reads the definitions that simulate is given.
func (l *line) sceneFiles(s *scenario, recording *simulate.Recording, args []string) ([]api.SourceFile, error) {
	var files []api.SourceFile
	if len(args) == 0 {
		files = recording.Files()
	}
	if len(files) == 0 && len(args) == 0 && s.scenario != "" {
		args = []string{filepath.Dir(s.scenario)}
	}
	if len(args) > 0 {
		more, err := l.collect(args, isDefinition)
		if err != nil {
			return nil, err
		}
		files = append(files, more...)
	}
	if s.scenario != "" {
		name, data, err := l.read(s.scenario)
		if err != nil {
			return nil, err
		}
		files = append(files, api.SourceFile{Name: name, Text: string(data)})
	}
	if len(files) == 0 {
		return nil, usage("which files?").WithHint("give the file, or the folder, that holds the workflow")
	}
	return files, nil
}

// recording reads a recorded run; no path gives none.
func (l *line) recording(path string) (*simulate.Recording, error) {
	if path == "" {
		return nil, nil
	}
	name, data, err := l.read(path)
	if err != nil {
		return nil, err
	}
	r, err := simulate.ReadRecording(data)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return r, nil
}

// withRecording reads the recorded run that a test names. It lies beside the test, or below.
func (l *line) withRecording(t *simulate.Test) (err error) {
	if t.Recorded == "" {
		return nil
	}
	if !filepath.IsLocal(t.Recorded) {
		return errs.New(errs.Invalid, "recorded must name a file beside the test, not %q", t.Recorded)
	}
	t.Recording, err = l.recording(filepath.Join(filepath.Dir(t.File), t.Recorded))
	return err
}

// testOf returns the test of a file that has a name, or its first.
func testOf(lib *simulate.Library, file, name string) (*simulate.Test, error) {
	var names []string
	for _, t := range lib.Tests {
		if t.File == file && (name == "" || t.Name == name) {
			return t, nil
		}
		names = append(names, t.Name)
	}
	if name == "" {
		return nil, errs.New(errs.Invalid, "%s holds no test", file)
	}
	return nil, errs.New(errs.NotFound, "%s holds no test %q", file, name).WithHint("there are %s", strings.Join(names, ", "))
}

// vary adds what the flags say to a scenario.
func (l *line) vary(ctx context.Context, s *scenario, lib *simulate.Library, sc *simulate.Scenario) error {
	form, err := params.New(lib.Inputs(sc.Workflow), "workflow "+sc.Workflow, "the inputs of "+sc.Workflow)
	if err != nil {
		return err
	}
	values, err := s.values(ctx, l, form)
	if err != nil {
		return err
	}
	if err := addInputs(sc, values); err != nil {
		return err
	}
	for _, pair := range s.fail {
		task, count, _ := strings.Cut(pair, "=")
		n, err := strconv.Atoi(count)
		if err != nil || task == "" || n < 1 {
			return usage("--fail %q is not TASK=N", pair).WithHint("such as --fail build.apply=2, or --fail 'disks[*]=1'")
		}
		if !lib.HasTask(sc.Workflow, task) {
			return usage("--fail: no task of %s can have the path %q", sc.Workflow, task)
		}
		if sc.Fail == nil {
			sc.Fail = map[string]int{}
		}
		sc.Fail[task] = n
	}
	switch s.crash {
	case "":
	case "everywhere":
		sc.Crash = true
	default:
		return usage("--crash takes everywhere, not %q", s.crash)
	}
	if s.cancelAt != "" {
		c := simulate.Cancel{}
		d, notTime := api.ParseDuration(s.cancelAt)
		n, notNumber := strconv.Atoi(s.cancelAt)
		if c.After, c.Step = api.Duration(d), n; notTime != nil && (notNumber != nil || n < 1) {
			return usage("--cancel-at %q is neither a number of steps nor a duration", s.cancelAt).WithHint("such as --cancel-at 12, or --cancel-at 90s")
		}
		sc.Cancel = &c
	}
	sc.Undo = sc.Undo || s.undo
	if s.seed != 0 {
		sc.Seed = s.seed
	}
	return nil
}

// addInputs puts values over the inputs of a scenario.
func addInputs(sc *simulate.Scenario, values map[string]any) error {
	if len(values) == 0 {
		return nil
	}
	inputs := map[string]any{}
	if len(bytes.TrimSpace(sc.Inputs)) > 0 && json.Unmarshal(sc.Inputs, &inputs) != nil {
		return errs.New(errs.Invalid, "the inputs of the scenario are no object, so none can be added")
	}
	for k, v := range values {
		inputs[k] = v
	}
	raw, err := json.Marshal(inputs)
	if err != nil {
		return errs.New(errs.Invalid, "inputs: %w", err)
	}
	sc.Inputs = raw
	return nil
}

// printReport prints what came of a simulated run.
func (l *line) printReport(rep *simulate.Report) error {
	p := l.printer()
	if p.Structured() {
		return p.Data(rep)
	}
	cols := []output.Column[simulate.Line]{
		right(col("AT", func(x simulate.Line) string { return x.At.String() })),
		right(col("STEP", func(x simulate.Line) string { return strconv.Itoa(x.Step) })),
		col("TASK", func(x simulate.Line) string { return x.Task }),
		col("EVENT", func(x simulate.Line) string { return x.Type }),
		col("WHAT", func(x simulate.Line) string { return x.Text }),
	}
	if err := output.List(p, rep, rep.Timeline, cols, func(x simulate.Line) string { return x.Task }); err != nil {
		return err
	}
	var b strings.Builder
	fact := func(name, text string) {
		if text != "" {
			fmt.Fprintf(&b, "%-10s%s\n", name, output.Clean(text))
		}
	}
	fmt.Fprintln(&b)
	fact("state", strings.TrimSpace(string(rep.State)+" "+joined(rep.Flags)))
	fact("took", fmt.Sprintf("%s, %d steps", rep.Duration, rep.Steps))
	if f := rep.Failure; f != nil {
		fact("failure", fmt.Sprintf("%s: %s (%s)", f.Task, f.Message, f.Type))
	}
	if rep.Reason != nil {
		fact("waits", rep.Reason.Text)
	}
	fact("outputs", string(rep.Outputs))
	fact("undone", strings.Join(rep.Undone, ", "))
	fact("undoable", strings.Join(rep.Undoable, ", "))
	if rep.Crash != nil && rep.Crash.Difference == "" {
		fact("crash", fmt.Sprintf("loaded from the journal %d times; nothing changed", rep.Crash.Times))
	}
	if _, err := fmt.Fprint(l.Stdout, b.String()); err != nil {
		return err
	}
	for _, text := range rep.Problems {
		l.note("note: %s", text)
	}
	return nil
}
