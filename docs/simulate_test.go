package docs_test

import (
	"slices"
	"testing"

	"tutti/api"
	"tutti/internal/task/all"
	"tutti/internal/workflow"
	"tutti/internal/workflow/simulate"
)

// The tests that the guide shows pass, on the workflow that it shows.
func TestGuideToTests(t *testing.T) {
	t.Parallel()
	const page = "guides/test-a-workflow.md"
	var files []api.SourceFile
	for _, b := range blocks(t, page) {
		if b.info == "yml" {
			files = append(files, document(page, b))
		}
	}
	types := slices.Concat(workflow.Native(), all.Types(all.Deps{}).Specs())
	l, problems := simulate.Read(simulate.Catalogue{Types: types}, files)
	if len(problems) > 0 || len(l.Tests) < 2 {
		t.Fatalf("%s: %d tests; %+v", page, len(l.Tests), problems)
	}
	for _, test := range l.Tests {
		test.Crash = true
		if found, _ := l.Check(test); len(found) > 0 {
			t.Errorf("%s: %s: %+v", page, test.Name, found)
		}
	}
}
