package api_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"tutti/api"
	"tutti/errs"
)

func TestParseTrail(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 5, 4, 12, 0, 0, 0, time.UTC)
	for query, want := range map[string]api.TrailFilter{
		"":                                {},
		"  Disk  full ":                   {Words: []string{"disk", "full"}},
		`"two words" x`:                   {Words: []string{"two words", "x"}},
		`"a:b"`:                           {Words: []string{"a:b"}},
		`"never closed`:                   {Words: []string{"never closed"}},
		"trace:4BF9 state:Failed":         {Trace: "4bf9", State: api.Failed},
		"kind:tutti.request action:x.y":   {Type: "x.y"},
		"type:tutti.Request":              {Type: "request"},
		"subject:REQ_1 by:user:anna":      {Object: "req_1", By: "user:anna"},
		"host:10.0.0 service:request":     {From: "10.0.0", Service: "request"},
		"after:2h before:30m":             {After: now.Add(-2 * time.Hour), Before: now.Add(-30 * time.Minute)},
		"after:2026-05-01":                {After: time.Date(2026, 5, 1, 0, 0, 0, 0, time.UTC)},
		"before:2026-05-01t08:00:00.5z":   {Before: time.Date(2026, 5, 1, 8, 0, 0, 5e8, time.UTC)},
		"after:2026-05-01T08:00:00+02:00": {After: time.Date(2026, 5, 1, 6, 0, 0, 0, time.UTC)},
	} {
		got, err := api.ParseTrail(query, now)
		if err != nil {
			t.Errorf("ParseTrail(%q) = %v", query, err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("ParseTrail(%q) (-want +got):\n%s", query, diff)
		}
	}
	for _, query := range []string{"colour:red", "state:broken", "after:soon", "trace:", "http://x", "before:2026-13-01"} {
		if _, err := api.ParseTrail(query, now); !errs.Is(err, errs.Invalid) || len(errs.Public(err).Problems) != 1 {
			t.Errorf("ParseTrail(%q) = %v; want one problem", query, err)
		}
	}
}

func FuzzParseTrail(f *testing.F) {
	f.Add(`a "b c" trace:1 after:2h`)
	f.Fuzz(func(t *testing.T, query string) {
		if _, err := api.ParseTrail(query, time.Unix(0, 0)); err != nil && !errs.Is(err, errs.Invalid) {
			t.Errorf("ParseTrail(%q) = %v", query, err)
		}
	})
}
