package cli

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"tutti/api"
	"tutti/errs"
	"tutti/internal/cli/output"
	"tutti/internal/workflow/simulate"
)

// tested is what came of a test.
type tested struct {
	File     string       `json:"file"`
	Location string       `json:"location"`
	Name     string       `json:"name"`
	Workflow string       `json:"workflow"`
	Passed   bool         `json:"passed"`
	Steps    int          `json:"steps,omitempty"`
	Duration api.Duration `json:"duration,omitempty"` // of the simulated run
	// Differences are where it went otherwise than expected.
	Differences []simulate.Difference `json:"differences,omitempty"`
	Timeline    []simulate.Line       `json:"timeline,omitempty"`
}

// tally are what came of all tests.
type tally struct {
	Passed int      `json:"passed"`
	Failed int      `json:"failed"`
	Tests  []tested `json:"tests"`
}

// testFlags are the flags of test.
type testFlags struct {
	more     []string
	only     string
	crash    string
	timeline bool
}

func (l *line) workflowTest() *cobra.Command {
	var t testFlags
	cmd := l.command("test [PATH…]", "Run the tests beside workflows, *.test.yaml, without a server", func(ctx context.Context, args []string) error {
		if t.crash != "" && t.crash != "everywhere" {
			return usage("--crash takes everywhere, not %q", t.crash)
		}
		if _, err := filepath.Match(t.only, ""); err != nil {
			return usage("--run %q is not a pattern", t.only)
		}
		if len(args) == 0 {
			args = []string{"."}
		}
		all, err := l.runTests(ctx, &t, args)
		if err != nil {
			return err
		}
		if err := l.printTally(all); err != nil {
			return err
		}
		if all.Failed > 0 {
			return exit{code: ExitBad}
		}
		return nil
	})
	cmd.ValidArgsFunction = nil
	cmd.Example = "  tutti workflow test .\n  tutti workflow test vm.build.test.yaml --run 'vm.build.*' --timeline"
	fileFlag(cmd, &t.more)
	cmd.Flags().Lookup("file").Usage = "definitions beyond those beside the tests: a file, or a folder with all below it"
	cmd.Flags().StringVar(&t.only, "run", "", "only tests whose name fits a pattern, such as 'vm.*'")
	cmd.Flags().StringVar(&t.crash, "crash", "", "everywhere: let the engine lose its memory before every command")
	cmd.Flags().BoolVar(&t.timeline, "timeline", false, "show what happened in tests that fail")
	return cmd
}

// testFiles finds the test files in paths, by folder; folders lists those in order.
func testFiles(paths []string) (folders []string, files map[string][]string, err error) {
	files = map[string][]string{}
	for _, p := range paths {
		found := []string{p}
		if !isTest(p) {
			if found, err = definitionFiles(p, true); err != nil {
				return nil, nil, err
			}
			if len(found) == 1 && found[0] == p {
				return nil, nil, errs.New(errs.Invalid, "%s is not a file of tests", p).WithHint("tests are in files such as %s.test.yaml", strings.TrimSuffix(p, filepath.Ext(p)))
			}
		}
		for _, f := range found {
			dir := filepath.Dir(f)
			if isTest(f) && !slices.Contains(files[dir], f) {
				if files[dir] == nil {
					folders = append(folders, dir)
				}
				files[dir] = append(files[dir], f)
			}
		}
	}
	if len(folders) == 0 {
		return nil, nil, errs.New(errs.Invalid, "no *.test.yaml in %s", strings.Join(paths, ", ")).WithHint("docs: guides/test-a-workflow.md")
	}
	return folders, files, nil
}

// runTests runs the tests of paths, folder by folder. Where something cannot be read, none is run.
func (l *line) runTests(ctx context.Context, t *testFlags, paths []string) (all tally, err error) {
	folders, files, err := testFiles(paths)
	if err != nil {
		return all, err
	}
	var problems []errs.Problem
	var libs []*simulate.Library
	for _, dir := range folders {
		beside, err := definitionFiles(dir, false)
		if err != nil {
			return all, err
		}
		beside = slices.DeleteFunc(beside, func(path string) bool { return !isDefinition(path) })
		sources, err := l.collect(slices.Concat(beside, t.more, files[dir]), isDefinition)
		if err != nil {
			return all, err
		}
		lib, ps := l.library(sources)
		problems = append(problems, ps...)
		libs = append(libs, lib)
		for _, test := range lib.Tests {
			if err := l.withRecording(test); err != nil {
				problems = append(problems, errs.Problem{Location: test.At("/recorded"), Message: errs.Public(err).Msg})
			}
		}
	}
	if len(problems) > 0 {
		return all, unsound(problems)
	}
	for _, lib := range libs {
		for _, test := range lib.Tests {
			if ok, _ := filepath.Match(t.only, test.Name); t.only != "" && !ok { // the pattern was checked
				continue
			}
			if err := ctx.Err(); err != nil {
				return all, err
			}
			all.add(check(lib, test, t))
		}
	}
	if len(all.Tests) == 0 {
		return all, errs.New(errs.NotFound, "no test fits --run %q", t.only)
	}
	return all, nil
}

func check(lib *simulate.Library, test *simulate.Test, t *testFlags) tested {
	test.Crash = t.crash != ""
	found, rep := lib.Check(test)
	o := tested{File: test.File, Location: test.Location, Name: test.Name, Workflow: test.Workflow, Passed: len(found) == 0, Differences: found}
	if rep != nil {
		o.Steps, o.Duration = rep.Steps, rep.Duration
		if !o.Passed && t.timeline {
			o.Timeline = rep.Timeline
		}
	}
	return o
}

func (all *tally) add(o tested) {
	all.Tests = append(all.Tests, o)
	if o.Passed {
		all.Passed++
	} else {
		all.Failed++
	}
}

// printTally prints what came of tests.
func (l *line) printTally(all tally) error {
	p := l.printer()
	if p.Structured() {
		return output.List(p, all, all.Tests, nil, func(o tested) string { return o.Name })
	}
	var b strings.Builder
	color := l.colored(l.Terminal.Out)
	word := func(code, s string) string {
		if color {
			return output.Paint(code, s)
		}
		return s
	}
	for _, o := range all.Tests {
		if o.Passed {
			fmt.Fprintf(&b, "%s  %s  %s\n", word("32", "ok  "), output.Clean(o.Name), output.Clean(o.File))
			continue
		}
		fmt.Fprintf(&b, "%s  %s  %s\n", word("1;31", "FAIL"), output.Clean(o.Name), output.Clean(o.Location))
		for _, d := range o.Differences {
			fmt.Fprintf(&b, "      %s\n        want  %s\n        got   %s\n", output.Clean(d.Path), indent(d.Want), indent(d.Got))
		}
		for _, x := range o.Timeline {
			fmt.Fprintf(&b, "      %8s  %-24s %-16s %s\n", x.At, output.Clean(x.Task), x.Type, output.Clean(x.Text))
		}
	}
	if _, err := fmt.Fprint(l.Stdout, b.String()); err != nil {
		return err
	}
	l.note("%d passed, %d failed.", all.Passed, all.Failed)
	return nil
}
