package logs_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sync/errgroup"

	"tutti/api"
	"tutti/bus"
	"tutti/bus/membus"
	"tutti/errs"
	"tutti/internal/blob/dirblob"
	"tutti/internal/logs"
	"tutti/internal/service"
	"tutti/internal/service/servicetest"
	"tutti/internal/store"
)

const runID = api.RunID("run_0123456789abcdef")

// world is a log store beside an engine that says only that runs ended.
type world struct {
	*servicetest.Env
	mu     sync.Mutex
	events []bus.Record
}

func start(t *testing.T, e *servicetest.Env, c logs.Config) *world {
	t.Helper()
	blobs, err := dirblob.Open(filepath.Join(t.TempDir(), "blobs"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = blobs.Close() })
	w := &world{Env: e}
	err = service.Events("workflow").Handle(t.Context(), e.Deps.Bus, func(_ context.Context, in service.ReadEvents) (service.Page, error) {
		w.mu.Lock()
		defer w.mu.Unlock()
		return service.Page{Records: w.events[in.After:]}, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	e.Start(t, logs.New(c, blobs), api.StoreLog)
	return w
}

// end makes the engine say that the run ended.
func (w *world) end(t *testing.T) {
	t.Helper()
	b, err := json.Marshal(api.Run{ID: runID, Namespace: "default", State: api.Succeeded})
	if err != nil {
		t.Fatal(err)
	}
	w.mu.Lock()
	w.events = append(w.events, bus.Record{Pos: int64(len(w.events)) + 1, Type: api.RunFinished.Type(), Subject: string(runID), Namespace: "default", Data: b})
	w.mu.Unlock()
	w.Deps.Bus.Wake(t.Context(), service.WakeSubject("workflow"))
}

func lines(from, to int, text string) (out []api.LogLine) {
	for i := from; i <= to; i++ {
		out = append(out, api.LogLine{Seq: int64(i), Stream: "out", Text: fmt.Sprintf("%s %d", text, i)})
	}
	return out
}

func (w *world) store(t *testing.T, task string, attempt int, ls ...api.LogLine) error {
	_, err := api.StoreLog.Call(servicetest.System(t), w.Deps.Bus, api.StoreLogIn{NS: api.NS{Namespace: "default"}, Run: runID, Task: task, Attempt: attempt, Lines: ls})
	return err
}

func (w *world) mustStore(t *testing.T, task string, attempt int, ls ...api.LogLine) {
	t.Helper()
	if err := w.store(t, task, attempt, ls...); err != nil {
		t.Fatalf("StoreLog: %v", err)
	}
}

func (w *world) read(t *testing.T, in api.ReadLogIn) api.LogPage {
	t.Helper()
	in.ID, in.Namespace = runID, "default"
	p, err := api.ReadLog.Call(servicetest.As(t, "user:anna", "default", api.Viewer), w.Deps.Bus, in)
	if err != nil {
		t.Fatalf("ReadLog(%+v): %v", in, err)
	}
	return p
}

// all reads the whole log, a page at a time.
func (w *world) all(t *testing.T, in api.ReadLogIn) (out []api.LogLine) {
	t.Helper()
	for {
		p := w.read(t, in)
		out = append(out, p.Lines...)
		if !p.More {
			return out
		}
		if p.Last <= in.After {
			t.Fatalf("Last = %d after %d with more to come", p.Last, in.After)
		}
		in.After = p.Last
	}
}

func texts(ls []api.LogLine) (out []string) {
	for _, l := range ls {
		out = append(out, l.Text)
	}
	return out
}

func TestStoreAndRead(t *testing.T) {
	t.Parallel()
	servicetest.Both(t, "logs", logs.Migrations, func(t *testing.T, e *servicetest.Env) {
		w := start(t, e, logs.Config{})
		w.mustStore(t, "build", 1, lines(1, 3, "build")...)
		w.mustStore(t, "build.apply", 1, lines(1, 2, "apply")...)
		w.mustStore(t, "build[data]", 1, lines(1, 1, "data")...)
		w.mustStore(t, "builder", 2, lines(1, 1, "Über ERROR 50%_")...)
		w.mustStore(t, "build", 1, lines(2, 4, "build")...) // 2 and 3 again
		w.mustStore(t, "build", 1, append(lines(5, 5, "build"), lines(5, 5, "build")...)...)
		w.mustStore(t, "build", 1)

		for _, c := range []struct {
			name string
			in   api.ReadLogIn
			want []string
		}{
			{"all", api.ReadLogIn{}, []string{"build 1", "build 2", "build 3", "apply 1", "apply 2", "data 1", "Über ERROR 50%_ 1", "build 4", "build 5"}},
			{"a task and its children", api.ReadLogIn{Task: "build"}, []string{"build 1", "build 2", "build 3", "apply 1", "apply 2", "data 1", "build 4", "build 5"}},
			{"a child", api.ReadLogIn{Task: "build.apply"}, []string{"apply 1", "apply 2"}},
			{"no task", api.ReadLogIn{Task: "buil"}, nil},
			{"a pattern is text", api.ReadLogIn{Task: "b%"}, nil},
			{"an attempt", api.ReadLogIn{Attempt: 2}, []string{"Über ERROR 50%_ 1"}},
			{"text in any case", api.ReadLogIn{Find: "über error 50%"}, []string{"Über ERROR 50%_ 1"}},
			{"after", api.ReadLogIn{After: 7}, []string{"build 4", "build 5"}},
			{"tail", api.ReadLogIn{Tail: 2}, []string{"build 4", "build 5"}},
			{"tail of a task", api.ReadLogIn{Tail: 3, Task: "build.apply"}, []string{"apply 1", "apply 2"}},
			{"tail with text", api.ReadLogIn{Tail: 1, Find: "APPLY"}, []string{"apply 2"}},
			{"past the end", api.ReadLogIn{After: 99}, nil},
		} {
			if diff := cmp.Diff(c.want, texts(w.all(t, c.in))); diff != "" {
				t.Errorf("%s (-want +got):\n%s", c.name, diff)
			}
		}
		p := w.read(t, api.ReadLogIn{Limit: 2})
		if len(p.Lines) != 2 || p.Last != 2 || !p.More || p.Ended || p.Lines[1].Pos != 2 || p.Lines[1].Task != "build" || p.Lines[1].Attempt != 1 {
			t.Errorf("a page of 2 = %+v", p)
		}
		other := servicetest.As(t, "user:eve", "other", api.Viewer)
		p, err := api.ReadLog.Call(other, e.Deps.Bus, api.ReadLogIn{NS: api.NS{Namespace: "other"}, ID: runID})
		if err != nil || len(p.Lines) != 0 {
			t.Errorf("the log from another namespace = %+v, %v; want nothing", p, err)
		}
		_, err = api.StoreLog.Call(servicetest.System(t), e.Deps.Bus, api.StoreLogIn{NS: api.NS{Namespace: "other"}, Run: runID, Task: "x", Attempt: 1, Lines: lines(1, 1, "x")})
		if !errs.Is(err, errs.NotFound) {
			t.Errorf("storing into a foreign run: %v; want not found", err)
		}
	})
}

func TestHostileLines(t *testing.T) {
	t.Parallel()
	servicetest.Both(t, "logs", logs.Migrations, func(t *testing.T, e *servicetest.Env) {
		w := start(t, e, logs.Config{})
		w.mustStore(t, "a", 1,
			api.LogLine{Seq: 1, Text: strings.Repeat("ä", 40_000)},
			api.LogLine{Seq: 2, Text: "nul \x00 and bad \xff utf-8\r\n", Stream: "nonsense", Task: "forged", Attempt: 9, Pos: 77, At: time.Date(1, 1, 1, 0, 0, 0, 1, time.UTC)},
			api.LogLine{Seq: 3, Text: strings.Repeat("\x1b", 60_000)},
		)
		got := w.all(t, api.ReadLogIn{})
		if len(got) != 3 {
			t.Fatalf("%d lines; want 3", len(got))
		}
		if n := len(got[0].Text); n > 64<<10 || !strings.HasSuffix(got[0].Text, "… [cut: the line has 80000 bytes]") {
			t.Errorf("a long line has %d bytes and ends %q", n, got[0].Text[n-40:])
		}
		l := got[1]
		if l.Text != "nul \ufffd and bad \ufffd utf-8" || l.Stream != "log" || l.Task != "a" || l.Attempt != 1 || l.Pos != 2 || l.At.Year() < 2000 {
			t.Errorf("a forged line became %+v", l)
		}
		for name, err := range map[string]error{
			"number 0":       w.store(t, "a", 1, api.LogLine{}),
			"a task of NUL":  w.store(t, "a\x00", 1, lines(1, 1, "x")...),
			"an attempt < 0": w.store(t, "a", -1, lines(1, 1, "x")...),
		} {
			if !errs.Is(err, errs.Invalid) {
				t.Errorf("%s: %v; want invalid", name, err)
			}
		}
		if err := w.store(t, "a", 1, lines(1, 10_001, "x")...); !errs.Is(err, errs.TooLarge) {
			t.Errorf("too many lines: %v; want too large", err)
		}
	})
}

// Many tasks write at once and send everything twice: each line is there once, and each attempt's in
// order.
func TestConcurrentWriters(t *testing.T) {
	t.Parallel()
	servicetest.Both(t, "logs", logs.Migrations, func(t *testing.T, e *servicetest.Env) {
		w := start(t, e, logs.Config{})
		var g errgroup.Group
		const tasks, batches, size = 16, 10, 20
		for n := range tasks {
			g.Go(func() error {
				for b := range batches {
					for range 2 {
						if err := w.store(t, fmt.Sprintf("t%d", n), 1, lines(b*size+1, (b+1)*size, "x")...); err != nil {
							return err
						}
					}
				}
				return nil
			})
		}
		if err := g.Wait(); err != nil {
			t.Fatal(err)
		}
		next := map[string]int64{}
		for i, l := range w.all(t, api.ReadLogIn{Limit: 777}) {
			if l.Pos != int64(i)+1 {
				t.Fatalf("line %d has position %d", i+1, l.Pos)
			}
			if next[l.Task]++; l.Seq != next[l.Task] {
				t.Fatalf("%s: line %d comes as %d", l.Task, l.Seq, next[l.Task])
			}
		}
		for n := range tasks {
			if got := next[fmt.Sprintf("t%d", n)]; got != batches*size {
				t.Errorf("t%d has %d lines; want %d", n, got, batches*size)
			}
		}
	})
}

func TestPackingChangesNothing(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := start(t, servicetest.SQLite(t, "logs", logs.Migrations), logs.Config{})
		for i := range 5 {
			w.mustStore(t, fmt.Sprintf("build.step[%d]", i%3), 1, lines(i*1000+1, (i+1)*1000, "a line with the words tick and tock")...)
		}
		reads := []api.ReadLogIn{{}, {Task: "build", Limit: 999}, {Task: "build.step[1]"}, {Find: "TOCK 77"}, {Tail: 10}, {Tail: 1500, Task: "build.step[0]"},
			{Tail: 3, Find: "tick and tock 4999"}, {After: 4_000}, {After: 1_999, Limit: 501}, {Tail: 100, After: 4_990}}
		var before [][]api.LogLine
		for _, in := range reads {
			before = append(before, w.all(t, in))
		}
		if w.read(t, api.ReadLogIn{Tail: 1}).Ended {
			t.Error("the log has ended before the run")
		}
		w.end(t)
		synctest.Wait()
		if !w.read(t, api.ReadLogIn{Tail: 1}).Ended {
			t.Error("the log has not ended with the run")
		}
		time.Sleep(time.Minute)
		var rows, chunks int
		if err := w.Deps.DB.QueryRow(t.Context(), `SELECT (SELECT count(*) FROM logs_lines), (SELECT count(*) FROM logs_chunks)`).Scan(&rows, &chunks); err != nil {
			t.Fatal(err)
		}
		if rows != 0 || chunks < 3 {
			t.Fatalf("%d rows and %d chunks after a minute; want 0 and several", rows, chunks)
		}
		for i, in := range reads {
			if after := w.all(t, in); !slices.Equal(before[i], after) {
				t.Errorf("ReadLog(%+v) differs after packing (-before +after):\n%.2000s", in, cmp.Diff(before[i], after))
			}
		}

		// The run is retried: what is sent again is known, what is new is appended.
		w.mustStore(t, "build.step[0]", 1, lines(1, 1000, "again")...)
		if !w.read(t, api.ReadLogIn{Tail: 1}).Ended {
			t.Error("lines that were there already reopened the log")
		}
		w.mustStore(t, "build.step[0]", 2, lines(1, 2, "second try")...)
		p := w.read(t, api.ReadLogIn{Tail: 3})
		if diff := cmp.Diff([]string{"a line with the words tick and tock 5000", "second try 1", "second try 2"}, texts(p.Lines)); diff != "" || p.Ended {
			t.Errorf("after a retry (ended %v) (-want +got):\n%s", p.Ended, diff)
		}
		w.end(t)
		time.Sleep(time.Minute)
		if got := w.all(t, api.ReadLogIn{}); len(got) != 5_002 || !w.read(t, api.ReadLogIn{Tail: 1}).Ended {
			t.Errorf("%d lines in the end; want 5002 of an ended log", len(got))
		}
	})
}

// engine makes the world's engine say whether the run has ended.
func (w *world) engine(t *testing.T, ended *atomic.Bool) {
	t.Helper()
	err := api.GetRun.Handle(t.Context(), w.Deps.Bus, func(_ context.Context, in api.GetRunIn) (api.Run, error) {
		if ended.Load() {
			return api.Run{ID: in.ID, State: api.Failed}, nil
		}
		return api.Run{ID: in.ID, State: api.Running}, nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// Of a run that logs nothing there is no log to end; the engine says whether more may come.
func TestSilentRun(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := start(t, servicetest.SQLite(t, "logs", logs.Migrations), logs.Config{})
		var ended atomic.Bool
		w.engine(t, &ended)
		if w.read(t, api.ReadLogIn{}).Ended {
			t.Error("the log of a run that goes on has ended")
		}
		time.AfterFunc(10*time.Second, func() { ended.Store(true); w.end(t) })
		began := time.Now()
		p := w.read(t, api.ReadLogIn{Wait: api.Duration(time.Minute)})
		if took := time.Since(began); !p.Ended || len(p.Lines) != 0 || took != 10*time.Second {
			t.Errorf("the log = %+v after %s; want an empty one, when the run ended after 10s", p, took)
		}
	})
}

// A line of an attempt nobody heard of, after the end, is taken for a retry; the engine knows better.
func TestLateLinesDoNotReopenForEver(t *testing.T) {
	t.Parallel()
	for _, first := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			w := start(t, servicetest.SQLite(t, "logs", logs.Migrations), logs.Config{})
			var ended atomic.Bool
			ended.Store(true)
			w.engine(t, &ended)
			want := 1
			if !first {
				w.mustStore(t, "a", 1, lines(1, 1, "in time")...)
				want = 2
			}
			w.end(t)
			time.Sleep(time.Second)
			w.mustStore(t, "a", 2, lines(1, 1, "late")...)
			time.Sleep(5 * time.Minute)
			if p := w.read(t, api.ReadLogIn{}); !p.Ended || len(p.Lines) != want {
				t.Errorf("the log = %+v; want %d lines and ended", p, want)
			}
		})
	}
}

// A run that is retried says itself when it ends again.
func TestRetryEndsTheLogAgain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := start(t, servicetest.SQLite(t, "logs", logs.Migrations), logs.Config{})
		var ended atomic.Bool
		w.engine(t, &ended)
		w.end(t)
		time.Sleep(time.Second)
		w.mustStore(t, "a", 1, lines(1, 1, "again")...)
		time.Sleep(5 * time.Minute)
		if w.read(t, api.ReadLogIn{}).Ended {
			t.Error("the log ended though the engine says the run goes on")
		}
		ended.Store(true)
		w.end(t)
		time.Sleep(time.Minute)
		if p := w.read(t, api.ReadLogIn{}); !p.Ended || len(p.Lines) != 1 {
			t.Errorf("the log = %+v; want one line and ended", p)
		}
	})
}

func TestLimit(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := start(t, servicetest.SQLite(t, "logs", logs.Migrations), logs.Config{MaxBytes: 1050})
		for i := 1; i <= 20; i++ {
			w.mustStore(t, "a", 1, api.LogLine{Seq: int64(i), Text: "1234567890"})
			w.mustStore(t, "b", 1, api.LogLine{Seq: int64(i), Text: "1234567890"})
		}
		if got := w.read(t, api.ReadLogIn{}).Lines; len(got) != 10 || !strings.Contains(got[9].Text, "limit of 1050 bytes") {
			t.Errorf("%d lines, the last %q; want 9 and one about the limit", len(got), got[len(got)-1].Text)
		}
		w.end(t)
		time.Sleep(time.Minute)
		for _, task := range []string{"", "a", "b"} {
			got := w.read(t, api.ReadLogIn{Task: task, Tail: 1}).Lines
			if len(got) != 1 || got[0].Text != "31 lines past the limit of this log were dropped" {
				t.Errorf("the last line of %q is %v", task, got)
			}
		}
	})
}

func TestWait(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := start(t, servicetest.SQLite(t, "logs", logs.Migrations), logs.Config{})
		begin := time.Now()
		if p := w.read(t, api.ReadLogIn{Wait: api.Duration(30 * time.Second)}); len(p.Lines) != 0 || time.Since(begin) != 30*time.Second {
			t.Errorf("waited %v for %v; want 30s for nothing", time.Since(begin), p.Lines)
		}
		got := make(chan api.LogPage, 1)
		wait := func(in api.ReadLogIn) {
			in.Wait = api.Duration(time.Minute)
			go func() { got <- w.read(t, in) }()
			synctest.Wait()
		}
		begin = time.Now()
		wait(api.ReadLogIn{Find: "second"})
		w.mustStore(t, "a", 1, lines(1, 1, "first")...)
		synctest.Wait()
		w.mustStore(t, "a", 1, lines(2, 2, "second")...)
		if p := <-got; len(p.Lines) != 1 || p.Last != 2 || time.Since(begin) != 0 {
			t.Errorf("after %v ReadLog = %+v; want the second line at once", time.Since(begin), p)
		}
		wait(api.ReadLogIn{After: 2})
		w.end(t)
		if p := <-got; !p.Ended || time.Since(begin) != 0 {
			t.Errorf("after %v ReadLog = %+v; want the end at once", time.Since(begin), p)
		}
	})
}

func BenchmarkStoreLog(b *testing.B) {
	w := startBench(b)
	b.RunParallel(func(pb *testing.PB) {
		task := fmt.Sprint(time.Now().UnixNano())
		for seq := 1; pb.Next(); seq += 10 {
			_, err := api.StoreLog.Call(bus.AsService(b.Context(), "test"), w, api.StoreLogIn{NS: api.NS{Namespace: "default"}, Run: runID, Task: task, Attempt: 1, Lines: lines(seq, seq+9, "x")})
			if err != nil {
				b.Error(err)
			}
		}
	})
	b.ReportMetric(float64(10*b.N)/b.Elapsed().Seconds(), "lines/s")
}

func startBench(b *testing.B) *bus.Bus {
	b.Helper()
	db, err := store.Open(b.Context(), store.Config{Dir: b.TempDir()}, "logs", logs.Migrations)
	if err != nil {
		b.Fatal(err)
	}
	d := service.Deps{Name: "logs", DB: db, Bus: bus.New(&membus.Bus{}, []byte("k"), api.Allow), Log: slog.New(slog.DiscardHandler)}
	s, err := logs.New(logs.Config{MaxBytes: 1 << 40}, nil)(d)
	if err != nil {
		b.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- s.Run(ctx) }()
	b.Cleanup(func() { cancel(); <-done; _ = db.Close() })
	for {
		if _, err := api.StoreLog.Call(bus.AsService(ctx, "test"), d.Bus, api.StoreLogIn{NS: api.NS{Namespace: "default"}, Run: runID, Task: "t"}); err == nil {
			return d.Bus
		}
	}
}
