package sdk_test

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"tutti/api"
	"tutti/errs"
	"tutti/sdk"
)

// texts returns the lines of a stream.
func texts(lines []api.LogLine, stream string) (out []string) {
	for _, l := range lines {
		if l.Stream == stream {
			out = append(out, l.Text)
		}
	}
	return out
}

func TestLogLines(t *testing.T) {
	bubble(t, func(_ context.Context, task *sdk.Task) (sdk.Result, error) {
		fmt.Fprint(task.Stdout(), "one\ntw")
		fmt.Fprint(task.Stderr(), "oh")
		fmt.Fprint(task.Stdout(), "o\r\n\nsecret: hunt")
		fmt.Fprint(task.Stdout(), "er22, in base64 aHVu")
		fmt.Fprint(task.Stdout(), "dGVyMjI= and \xff and \x00\nlast")
		task.Logf("at %d", 7)
		return sdk.Done(nil), nil
	}, func(t *testing.T, e *engine, _ func()) {
		token := e.add(api.Assignment{Type: "do", Secrets: []string{"hunter22"}})
		synctest.Wait()
		got := e.logs[token]
		for i, l := range got {
			if l.Seq != int64(i+1) || l.At.IsZero() {
				t.Errorf("line %d = %+v; want numbers from 1 and a time", i, l)
			}
		}
		if diff := cmp.Diff([]string{"one", "two", "", "secret: ***, in base64 *** and \uFFFD and \uFFFD", "last"}, texts(got, "out")); diff != "" {
			t.Errorf("out (-want +got):\n%s", diff)
		}
		if diff := cmp.Diff([]string{"oh"}, texts(got, "err")); diff != "" {
			t.Errorf("err (-want +got):\n%s", diff)
		}
		if diff := cmp.Diff([]string{"at 7"}, texts(got, "log")); diff != "" {
			t.Errorf("log (-want +got):\n%s", diff)
		}
	})
}

func TestLogIsLiveAndBatched(t *testing.T) {
	bubble(t, func(ctx context.Context, task *sdk.Task) (sdk.Result, error) {
		for i := range 10 {
			task.Logf("quick %d", i)
		}
		sleep(time.Second)
		task.Logf("slow")
		return block(ctx, task)
	}, func(t *testing.T, e *engine, _ func()) {
		calls := 0
		e.lock(func() {
			e.fault = func(call string) error {
				if call == "log" {
					calls++
				}
				return nil
			}
		})
		token := e.add(api.Assignment{Type: "do"})
		for _, want := range []struct {
			after        time.Duration
			lines, calls int
		}{{199 * time.Millisecond, 0, 0}, {time.Millisecond, 10, 1}, {time.Second, 11, 2}, {time.Minute, 11, 2}} {
			sleep(want.after)
			synctest.Wait()
			e.lock(func() {
				if len(e.logs[token]) != want.lines || calls != want.calls {
					t.Errorf("%v later: %d lines in %d calls; want %d in %d", want.after, len(e.logs[token]), calls, want.lines, want.calls)
				}
			})
		}
	})
}

func TestLogBreaksEndlessLines(t *testing.T) {
	text := strings.Repeat("ä", 100_000)
	bubble(t, func(_ context.Context, task *sdk.Task) (sdk.Result, error) {
		for rest := text; rest != ""; {
			n := min(len(rest), 999) // an odd number, so that writes split characters
			_, _ = task.Stdout().Write([]byte(rest[:n]))
			rest = rest[n:]
		}
		return sdk.Done(nil), nil
	}, func(t *testing.T, e *engine, _ func()) {
		token := e.add(api.Assignment{Type: "do"})
		synctest.Wait()
		lines := texts(e.logs[token], "out")
		if len(lines) != 4 || strings.Join(lines, "") != text {
			t.Errorf("%d lines; want 4 that together are the text", len(lines))
		}
		for _, l := range lines {
			if len(l) > 65536 {
				t.Errorf("a line of %d bytes", len(l))
			}
		}
	})
}

// A task that logs faster than lines are taken waits; nothing is lost, and the end of the log is stored
// before the result is reported.
func TestLogBackPressure(t *testing.T) {
	line := strings.Repeat("x", 1000)
	const n = 5000
	var written atomic.Int64
	bubble(t, func(_ context.Context, task *sdk.Task) (sdk.Result, error) {
		for range n {
			task.Logf("%s", line)
			written.Add(1)
		}
		return sdk.Done(nil), nil
	}, func(t *testing.T, e *engine, _ func()) {
		down := true
		e.lock(func() {
			e.fault = func(call string) error {
				if call == "log" && down {
					return errs.New(errs.Unavailable, "down")
				}
				if call == "report" {
					for token, lines := range e.logs {
						if len(lines) != n {
							t.Errorf("%s was reported with %d of %d lines stored", token, len(lines), n)
						}
					}
				}
				return nil
			}
		})
		token := e.add(api.Assignment{Type: "do"})
		sleep(time.Minute)
		synctest.Wait()
		if size := int(written.Load()) * len(line); size > 3<<20 || size == 0 {
			t.Errorf("%d bytes were taken while nobody stored them", size)
		}
		e.lock(func() { down = false })
		sleep(time.Minute)
		synctest.Wait()
		if got := e.result(t, token); got.Outcome != api.Done || len(e.logs[token]) != n {
			t.Errorf("result %+v with %d lines; want done with %d", got, len(e.logs[token]), n)
		}
	})
}

func TestLogThatCannotBeStoredDoesNotHoldTheResult(t *testing.T) {
	bubble(t, func(ctx context.Context, task *sdk.Task) (sdk.Result, error) {
		for range 100_000 {
			task.Logf("%s", strings.Repeat("x", 100))
		}
		return sdk.Done(nil), ctx.Err()
	}, func(t *testing.T, e *engine, _ func()) {
		e.lock(func() {
			e.fault = func(call string) error {
				if call == "log" {
					return errs.New(errs.Unavailable, "down")
				}
				return nil
			}
		})
		start := time.Now()
		token := e.add(api.Assignment{Type: "do", Timeout: api.Duration(time.Minute)})
		sleep(5 * time.Minute)
		synctest.Wait()
		if f := e.failure(t, token); f.Type != sdk.FailTimeout || e.times[token].Sub(start) != 70*time.Second {
			t.Errorf("failure %+v after %v; want a timeout after 70s", f, e.times[token].Sub(start))
		}
	})
}

func TestLogOfLostClaimStopsTheAttempt(t *testing.T) {
	bubble(t, func(ctx context.Context, task *sdk.Task) (sdk.Result, error) {
		task.Logf("hello")
		return block(ctx, task)
	}, func(t *testing.T, e *engine, _ func()) {
		token := e.add(api.Assignment{Type: "do"})
		e.lock(func() { e.lost[token] = true })
		sleep(time.Minute)
		synctest.Wait()
		if len(e.results) > 0 || len(e.logs) > 0 || e.beats[token] > 0 {
			t.Errorf("results %v, logs %v, %d heartbeats; want none", e.results, e.logs, e.beats[token])
		}
	})
}
