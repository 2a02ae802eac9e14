package sdk_test

import (
	"context"
	"encoding/json"
	"sync"
	"testing"

	"tutti/api"
	"tutti/sdk"
)

// endless is an engine with as much work as a worker takes, n attempts in all. It passes everything
// through JSON, as a bus does.
type endless struct {
	mu      sync.Mutex
	left    int
	pending int
	done    chan struct{}
}

func (e *endless) Poll(ctx context.Context, in api.PollIn) (out api.PollOut, err error) {
	b, _ := json.Marshal(in)
	in = api.PollIn{}
	_ = json.Unmarshal(b, &in)
	e.mu.Lock()
	n := min(e.left, in.Body.Max)
	e.left -= n
	if e.pending -= len(in.Body.Results); e.pending == 0 && len(in.Body.Results) > 0 {
		close(e.done)
	}
	first := e.left
	e.mu.Unlock()
	if n == 0 && in.Body.Wait > 0 {
		<-ctx.Done()
		return out, ctx.Err()
	}
	for i := range n {
		out.Assignments = append(out.Assignments, api.Assignment{Token: token(first + i), Run: "run_0123456789abcdef", Namespace: "default",
			Workflow: "bench", Task: "task", Type: "echo", Attempt: 1, Key: "key", With: json.RawMessage(`{"a":1}`), Trace: "0123456789abcdef0123456789abcdef"})
	}
	b, _ = json.Marshal(out)
	out = api.PollOut{}
	return out, json.Unmarshal(b, &out)
}

func token(i int) string {
	const digits = "0123456789abcdef"
	b := []byte("attempt_________")
	for j := len(b) - 1; i > 0; j-- {
		b[j] = digits[i%16]
		i /= 16
	}
	return string(b)
}

func (e *endless) Heartbeat(context.Context, api.HeartbeatIn) (api.HeartbeatOut, error) {
	return api.HeartbeatOut{}, nil
}

func (e *endless) SetVars(context.Context, api.SetVarsIn) error { return nil }

func (e *endless) AppendLog(context.Context, api.AppendLogIn) error { return nil }

// BenchmarkWorker carries out attempts that do nothing, JSON in both directions included.
func BenchmarkWorker(b *testing.B) {
	e := &endless{left: b.N, pending: b.N, done: make(chan struct{})}
	w := &sdk.Worker{Transport: e, Slots: 256, Types: []sdk.TaskType{typ{"echo", echo}}}
	ctx, cancel := context.WithCancel(b.Context())
	b.ReportAllocs()
	var run sync.WaitGroup
	run.Go(func() { _ = w.Run(ctx) })
	<-e.done
	cancel()
	run.Wait()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "attempts/s")
}
