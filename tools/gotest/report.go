package main

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"
)

// event is one line of go test -json (go doc test2json).
type event struct {
	Action  string
	Package string
	Test    string
	Output  string
}

// test names one test; Test is empty for what a package says itself.
type test struct{ pkg, name string }

// report gathers what a run of go test says.
type report struct {
	w        io.Writer
	progress bool // show on one line, for a person, how far it is

	output          map[test][]string // of what has not ended yet
	skipped         map[string][]test // by reason
	passed, failed  int
	skips, packages int
	lines           []string // go test's summary lines, in the order of their packages' ends
}

func newReport(w io.Writer, progress bool) *report {
	return &report{w: w, progress: progress, output: map[test][]string{}, skipped: map[string][]test{}}
}

// add takes the next event.
func (r *report) add(e event) {
	t := test{e.Package, e.Test}
	switch e.Action {
	case "build-output":
		r.print(e.Output)
	case "output":
		if t.name == "" && summaryLine(e.Output) {
			r.lines = append(r.lines, e.Output)
			return
		}
		if strings.HasPrefix(e.Output, "=== ") {
			return // RUN, PAUSE, CONT: go test shows them only with -v
		}
		r.output[t] = append(r.output[t], e.Output)
	case "pass", "fail", "skip":
		if t.name == "" {
			r.endPackage(t.pkg, e.Action)
		} else {
			r.endTest(t, e.Action)
		}
	}
}

func (r *report) endTest(t test, how string) {
	switch how {
	case "pass":
		r.passed++
	case "skip":
		r.skips++
		why := reason(r.output[t])
		r.skipped[why] = append(r.skipped[why], t)
	case "fail":
		r.failed++
		r.print(strings.Join(r.output[t], ""))
	}
	delete(r.output, t)
}

// endPackage prints what a failed package left unsaid: its own output, and that of the tests which
// a panic or a time-out kept from ending.
func (r *report) endPackage(pkg, how string) {
	rest := slices.DeleteFunc(slices.Collect(maps.Keys(r.output)), func(t test) bool { return t.pkg != pkg })
	slices.SortFunc(rest, func(a, b test) int { return cmp.Compare(a.name, b.name) })
	for _, t := range rest {
		if how == "fail" {
			r.print(strings.Join(r.output[t], ""))
		}
		delete(r.output, t)
	}
	r.packages++
	if r.progress {
		fmt.Fprintf(r.w, "\r%d packages, %d tests passed, %d failed ", r.packages, r.passed, r.failed)
	}
}

func (r *report) print(text string) {
	if r.progress && text != "" {
		fmt.Fprint(r.w, "\r\x1b[K")
	}
	fmt.Fprint(r.w, text)
}

// summary prints the end: skipped tests by reason, the totals, go test's own lines.
func (r *report) summary(took time.Duration) {
	r.print("\n")
	if r.skips > 0 {
		fmt.Fprintln(r.w, "Skipped, so not checked here:")
		for _, why := range slices.Sorted(maps.Keys(r.skipped)) {
			tests := r.skipped[why]
			fmt.Fprintf(r.w, "  %s\n", why)
			const most = 5
			for i, t := range tests {
				if i == most && len(tests) > most+1 {
					fmt.Fprintf(r.w, "      and %d more\n", len(tests)-most)
					break
				}
				fmt.Fprintf(r.w, "      %s %s\n", t.pkg, t.name)
			}
		}
		fmt.Fprintln(r.w)
	}
	fmt.Fprintf(r.w, "go test took %v\n", took.Round(100*time.Millisecond))
	fmt.Fprintf(r.w, "tests: %d passed, %d failed, %d skipped\n", r.passed, r.failed, r.skips)
	for _, line := range r.lines {
		fmt.Fprint(r.w, line)
	}
}

// summaryLine reports whether out is go test's verdict on a package that has tests.
func summaryLine(out string) bool {
	return strings.HasPrefix(out, "ok  \t") || strings.HasPrefix(out, "FAIL\t")
}

// source matches the "    store_test.go:12: " before what a test says.
var source = regexp.MustCompile(`^\s+[\w.-]+\.go:\d+: `)

// reason finds in a skipped test's output why it was skipped: the last thing it said.
func reason(output []string) string {
	for _, line := range slices.Backward(output) {
		if at := source.FindString(line); at != "" {
			return strings.TrimSpace(strings.TrimPrefix(line[len(at):], "SKIPPED: "))
		}
	}
	return "no reason given"
}
