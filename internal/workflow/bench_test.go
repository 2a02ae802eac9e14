package workflow_test

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"tutti/api"
	"tutti/bus"
	"tutti/bus/bustest"
	"tutti/bus/membus"
	"tutti/internal/service"
	"tutti/internal/store"
	"tutti/internal/workflow"
)

func chain(n int) string {
	var b strings.Builder
	b.WriteString("kind: Workflow\nname: chain\ntasks:\n  t0: {use: noop}\n")
	for i := 1; i < n; i++ {
		fmt.Fprintf(&b, "  t%d: {use: noop, needs: [t%d]}\n", i, i-1)
	}
	return b.String()
}

// cpu returns the processor time of this process: what a completion costs on a machine that others use.
func cpu() time.Duration {
	var u unix.Rusage
	_ = unix.Getrusage(unix.RUSAGE_SELF, &u) // cannot fail for oneself
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkChain10 runs chains of ten tasks at saturation, on SQLite with full durability; one
// operation is one completed task.
func BenchmarkChain10(b *testing.B) {
	_ = bustest.Bus
	db, err := store.Open(b.Context(), store.Config{Dir: b.TempDir()}, "workflow", workflow.Migrations)
	if err != nil {
		b.Fatal(err)
	}
	defer db.Close()
	bs := bus.New(new(membus.Bus), []byte("key"), api.Allow)
	s, err := workflow.New(workflow.Config{Types: []api.TaskType{noop}})(service.Deps{Name: "workflow", DB: db, Bus: bs, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		b.Fatal(err)
	}
	ctx, cancel := context.WithCancel(b.Context())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	user, worker := admin(ctx), inside(ctx)
	in := api.StartRunIn{NS: api.NS{Namespace: ns}, Body: api.StartRunBody{Definition: chain(10)}}
	for {
		if _, err := api.StartRun.Call(user, bs, in); err == nil {
			break
		}
	}
	spent := cpu()
	b.ResetTimer()
	runs := max(b.N/10, 1)
	var wg sync.WaitGroup
	tickets := make(chan struct{}, runs)
	for range runs {
		tickets <- struct{}{}
	}
	close(tickets)
	for range 64 {
		wg.Go(func() {
			for range tickets {
				if _, err := api.StartRun.Call(user, bs, in); err != nil {
					b.Error(err)
				}
			}
		})
	}
	left := make(chan int, 64)
	for range 4 {
		go func() {
			var rs []api.Result
			for ctx.Err() == nil {
				out, err := api.PollTasks.Call(worker, bs, api.PollIn{NS: api.NS{Namespace: "*"}, Pool: api.DefaultPool,
					Body: api.PollBody{Worker: "w", Max: 1000, Wait: api.Duration(50_000_000), Results: rs}})
				if err != nil {
					return
				}
				left <- len(rs)
				rs = rs[:0]
				for _, a := range out.Assignments {
					rs = append(rs, api.Result{Token: a.Token, Outcome: api.Done})
				}
			}
		}()
	}
	wg.Wait()
	for n := 0; n < runs*10; {
		n += <-left
	}
	b.StopTimer()
	b.ReportMetric(float64(runs*10)/b.Elapsed().Seconds(), "completions/s")
	b.ReportMetric(float64((cpu()-spent).Microseconds())/float64(runs*10), "cpu-µs/completion")
	cancel()
	go func() {
		for range left {
		}
	}()
	<-done
}
