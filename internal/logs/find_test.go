package logs_test

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"tutti/api"
	"tutti/bus"
	"tutti/internal/logs"
	"tutti/internal/service/servicetest"
)

func (w *world) find(t *testing.T, in api.FindLogIn) api.LogMatches {
	t.Helper()
	in.ID, in.Namespace = runID, "default"
	m, err := api.FindLog.Call(servicetest.As(t, "user:anna", "default", api.Viewer), w.Deps.Bus, in)
	if err != nil {
		t.Fatalf("FindLog(%+v): %v", in, err)
	}
	return m
}

func found(m api.LogMatches) string {
	var out []string
	for _, x := range m.Matches {
		out = append(out, fmt.Sprint(x.Pos))
	}
	return strings.Join(out, " ")
}

func TestFind(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := start(t, servicetest.SQLite(t, "logs", logs.Migrations), logs.Config{})
		w.mustStore(t, "build", 1, lines(1, 5000, "line")...)
		w.mustStore(t, "build", 1, api.LogLine{Seq: 5001, Text: strings.Repeat("é", 300) + " \x1b[31mFA\x1b[1mILED\x1b[0m here"})
		w.mustStore(t, "test", 2, lines(1, 3, "failed")...)
		look := func(when string) {
			for _, tc := range []struct {
				in   api.FindLogIn
				want string
			}{
				{api.FindLogIn{Q: "failed"}, "5001 5002 5003 5004"},
				{api.FindLogIn{Q: "failed", Case: true}, "5002 5003 5004"},
				{api.FindLogIn{Q: "failed", Back: true, Limit: 2}, "5004 5003"},
				{api.FindLogIn{Q: "failed", Back: true, From: 5002}, "5002 5001"},
				{api.FindLogIn{Q: "failed", From: 5003}, "5003 5004"},
				{api.FindLogIn{Q: "failed", Task: "test", Attempt: 2, Limit: 1}, "5002"},
				{api.FindLogIn{Q: "failed", Task: "test", Attempt: 1}, ""},
				{api.FindLogIn{Q: "line 4999"}, "4999"},
				{api.FindLogIn{Q: "line 17", Limit: 3}, "17 170 171"},
				{api.FindLogIn{Q: "nothing such"}, ""},
			} {
				m := w.find(t, tc.in)
				if got := found(m); got != tc.want || m.Total != 5004 {
					t.Errorf("%s: find(%+v) = %s of %d; want %s", when, tc.in, got, m.Total, tc.want)
				}
			}
			m := w.find(t, api.FindLogIn{Q: "line 17", Limit: 3})
			if m.Next != 172 {
				t.Errorf("%s: next = %d; want 172, after the last that was looked at", when, m.Next)
			}
			x := w.find(t, api.FindLogIn{Q: "FAILED", Limit: 1}).Matches[0]
			if r := []rune(x.Text); string(r[x.Column:x.Column+x.Length]) != "FAILED" || x.Column != 100 || strings.Contains(x.Text, "\x1b") {
				t.Errorf("%s: match = %+v; want FAILED with 100 characters before it, without colours", when, x)
			}
			if p := w.read(t, api.ReadLogIn{After: 2499, Limit: 2}); p.Lines[0].Pos != 2500 || p.Total != 5004 {
				t.Errorf("%s: from line 2500: %+v of %d", when, p.Lines, p.Total)
			}
		}
		look("at once")
		w.end(t)
		time.Sleep(time.Minute) // sleep: virtual time
		look("packed")
	})
}

const (
	manyLines = 100_000
	usualLine = "2026-11-28T09:00:00 some line of a usual length, as programs write them, number"
)

// A page from the middle of a long log, and a search that has to go through all of it.
func TestPageOfManyLines(t *testing.T) {
	t.Parallel()
	w := start(t, servicetest.SQLite(t, "logs", logs.Migrations), logs.Config{})
	for i := 1; i <= manyLines; i += manyLines / 10 {
		w.mustStore(t, "build", 1, lines(i, i+manyLines/10-1, usualLine)...)
	}
	if p := w.read(t, api.ReadLogIn{After: 50_000, Limit: 500}); len(p.Lines) != 500 || p.Lines[0].Pos != 50_001 {
		t.Errorf("page = %d lines from %d; want 500 from 50001", len(p.Lines), p.Lines[0].Pos)
	}
	m := w.find(t, api.FindLogIn{Q: "number 99999"})
	for m.Next > 0 { // one call looks at what it can in a while
		m = w.find(t, api.FindLogIn{Q: "number 99999", From: m.Next})
	}
	if found(m) != "99999" {
		t.Errorf("find = %q; want line 99999", found(m))
	}
}

// A reader who scrolls through a log of 100,000 lines waits for this.
func BenchmarkPageOfManyLines(b *testing.B) {
	w := startBench(b)
	in := api.NS{Namespace: "default"}
	for i := 1; i <= manyLines; i += manyLines / 10 {
		_, err := api.StoreLog.Call(bus.AsService(b.Context(), "test"), w, api.StoreLogIn{NS: in, Run: runID, Task: "build", Attempt: 1, Lines: lines(i, i+manyLines/10-1, usualLine)})
		if err != nil {
			b.Fatal(err)
		}
	}
	for i := 0; b.Loop(); i++ {
		page := api.ReadLogIn{NS: in, ID: runID, After: int64(i * 7919 % (manyLines - 500)), Limit: 500}
		if p, err := api.ReadLog.Call(bus.AsService(b.Context(), "test"), w, page); err != nil || len(p.Lines) != 500 {
			b.Fatalf("page = %d lines, %v", len(p.Lines), err)
		}
	}
}
