package main

import (
	"regexp"
	"strings"
	"testing"
)

func TestExample(t *testing.T) {
	t.Parallel()
	var out strings.Builder
	if err := show(t.Context(), &out, t.TempDir()); err != nil {
		t.Fatal(err)
	}
	want := `1. The library
   v2: good, last known good v2
   v3: reverted, last known good v2
2. The service
   v2: good, last known good v2
   v3: reverted, last known good v2
3. The step of a workflow
   succeeded: all six are updated
   failed: 1 item failed, 0 tolerated; N items were undone
`
	// How many were begun when it failed depends on who was faster.
	got := regexp.MustCompile(`[0-9] items were`).ReplaceAllString(out.String(), "N items were")
	if got != want {
		t.Errorf("it shows\n%s\nwant\n%s", got, want)
	}
}
