package core_test

import (
	"encoding/json"
	"fmt"
	"testing"

	"tutti/api"
	"tutti/internal/workflow/core"
)

// What one more completion costs does not depend on how many tasks a run has: of those that wait for a
// signal, and of those that a rollout takes back. The time is that of one task.
func BenchmarkCompletion(b *testing.B) {
	for _, n := range []int{100, 1000, 10_000} {
		b.Run(fmt.Sprint("signal/", n), func(b *testing.B) {
			perTask(b, n, func(w *bencher) {
				for range n {
					w.must(w.run.Signal(w.now, "go", nil, "user:anna"))
				}
			}, fmt.Sprintf("tasks: {e: {each: {in: '1..%d', parallel: 0}, use: signal, with: {name: go}}}", n))
		})
		b.Run(fmt.Sprint("rollback/", n), func(b *testing.B) {
			perTask(b, n, func(w *bencher) {
				last := fmt.Sprintf("e[%d]", n-1)
				for len(w.queue) > 0 {
					d := w.queue[0]
					w.queue = w.queue[1:]
					res := api.Result{Outcome: api.Done, Out: json.RawMessage("{}")}
					if d.Path == last {
						res = bad("broken")
					}
					w.must(w.run.Report(w.now, d.AttemptRef, "", "w", res))
				}
			}, fmt.Sprintf("tasks: {e: {each: {in: '1..%d', waves: [\"100%%\"], parallel: 1, onBreach: undo}, use: noop, undo: {use: noop}}}", n))
		})
	}
}

type bencher struct {
	*testing.B
	run   *core.Run
	now   int64
	queue []core.Dispatch
}

func (w *bencher) must(_ []core.Event, ef core.Effects, err error) {
	if err != nil {
		w.Fatal(err)
	}
	w.queue = append(w.queue, ef.Dispatch...)
}

func perTask(b *testing.B, n int, work func(*bencher), text string) {
	g := compile(b, text)
	for b.Loop() {
		b.StopTimer()
		w := &bencher{B: b, run: core.New(g, load), now: 1_000_000}
		w.must(w.run.Start(w.now, core.Meta{ID: "run_1"}, nil))
		b.StartTimer()
		work(w)
		if !w.run.State.Ended() {
			b.Fatalf("the run is %s, %v; want it to have ended", w.run.State, w.run.Reason)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*n), "ns/task")
}
