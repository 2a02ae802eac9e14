package browsertest

import (
	"bufio"
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/performance"
	"github.com/chromedp/chromedp"

	"tutti/api"
	"tutti/sdk"
)

// The figures that the UI has to keep, measured and reported, never judged: a machine that does other things at
// the same time is slower. `go test -run '^$' -bench . -benchtime 3x ./web/browsertest`

// chains returns a workflow of n chains of tasks, all of which run beside each other: a group each.
func chains(name string, n, length int, task string) string {
	var s strings.Builder
	fmt.Fprintf(&s, "kind: Workflow\nname: %s\ntitle: %d tasks\ndefaults: { timeout: 1h }\ntasks:\n", name, n*length)
	for i := range n {
		fmt.Fprintf(&s, "  chain%d:\n    title: Chain %d\n    tasks:\n", i, i)
		for k := range length {
			needs := ""
			if k > 0 {
				needs = fmt.Sprintf("needs: [t%d], ", k-1)
			}
			fmt.Fprintf(&s, "      t%d: { title: Task %d, %s%s }\n", k, k, needs, task)
		}
	}
	return s.String()
}

// drawn notes, in a page that loads, when an element was there and painted, in ms since the navigation began.
const drawn = `(() => {
  const look = (selector, name) => {
    const seen = () => { if (document.querySelector(selector)) requestAnimationFrame(() => setTimeout(() => { window[name] ??= performance.now() })); else requestAnimationFrame(seen) }
    seen()
  }
  look('.tlrow', 'drawnTimeline')
  look('.graph-card', 'drawnGraph')
})()`

// BenchmarkDraw opens the page of a run of 2,000 tasks, from the address to what is painted, with nothing cached.
func BenchmarkDraw(b *testing.B) {
	s := Serve(b)
	s.Apply(chains("large", 40, 50, "use: noop"))
	run := s.ended(s.start("large").ID)
	for name, at := range map[string]string{"timeline": "", "graph": "?tab=graph"} {
		b.Run(name, func(b *testing.B) {
			var ms, thread []float64
			for b.Loop() {
				tab := Open(b).Tab(b, s.Server, s.Session("olga"))
				tab.Resize(1440, 900, "light")
				tab.do("watch", performance.Enable(), chromedp.ActionFunc(func(ctx context.Context) error {
					_, err := page.AddScriptToEvaluateOnNewDocument(drawn).Do(ctx)
					return err
				}))
				tab.do("go", chromedp.Navigate(s.Server+"/runs/"+string(run.ID)+at))
				mark := "drawnTimeline"
				if name == "graph" {
					mark = "drawnGraph"
				}
				tab.Until("it to be drawn", "window."+mark+" > 0")
				ms, thread = append(ms, Eval[float64](tab, "window."+mark)), append(thread, tab.thread())
				b.Logf("answers, in ms and kB: %s", Eval[string](tab, answers))
			}
			slices.Sort(ms)
			slices.Sort(thread)
			b.ReportMetric(thread[len(thread)/2], "ms-thread")
			b.ReportMetric(ms[len(ms)/2], "ms-drawn")
			b.ReportMetric(ms[len(ms)-1], "ms-worst")
		})
	}
}

// answers says how long each call took, and how large its answer was.
const answers = `performance.getEntriesByType('resource').filter((e) => e.name.includes('/v1/')).map((e) => new URL(e.name).pathname.split('/').slice(4).join('/') + ' ' + Math.round(e.startTime) + '+' + Math.round(e.duration) + ' ' + Math.round(e.encodedBodySize / 1000)).join(', ')`

// thread is how long the thread of a page has worked since it was opened, in ms: unlike the time until it is drawn,
// it grows little where a machine does other things.
func (b *Tab) thread() (ms float64) {
	b.t.Helper()
	b.do("read the metrics", chromedp.ActionFunc(func(ctx context.Context) error {
		all, err := performance.GetMetrics().Do(ctx)
		for _, m := range all {
			if m.Name == "TaskDuration" {
				ms = m.Value * 1000
			}
		}
		return err
	}))
	return ms
}

// frames counts the frames of a page: how long the longest took, and how many more than 100 ms.
const frames = `(() => {
  const f = window.frames100 = { worst: 0, slow: 0, all: 0, took: [] }
  let last = performance.now()
  const next = (t) => { const d = t - last; last = t; f.all++; f.took.push(d); if (d > f.worst) f.worst = d; if (d > 100) f.slow++; requestAnimationFrame(next) }
  requestAnimationFrame((t) => { last = t; requestAnimationFrame(next) })
})()`

// BenchmarkLive has a person watch a run in which about 500 things happen a second.
func BenchmarkLive(b *testing.B) {
	s := Serve(b)
	s.Apply(chains("live", 25, 80, fmt.Sprintf(`use: http, with: { url: "%s/pace" }`, world(b))))
	for name, at := range map[string]string{"timeline": "", "graph": "?tab=graph&follow=on"} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				tab := Open(b).Tab(b, s.Server, s.Session("olga"))
				tab.Resize(1440, 900, "light")
				run := s.start("live")
				tab.Go("/runs/" + string(run.ID) + at)
				tab.See("Chain 1")
				Eval[any](tab, frames+"; null")
				from, began := s.seq(run.ID), time.Now()
				end := s.ended(run.ID)
				rate := float64(end.Seq-from) / time.Since(began).Seconds()
				b.ReportMetric(rate, "events/s")
				b.ReportMetric(Eval[float64](tab, "frames100.worst"), "ms-worst-frame")
				b.ReportMetric(Eval[float64](tab, "frames100.slow"), "frames>100ms")
				b.ReportMetric(Eval[float64](tab, "frames100.took.sort((a, b) => a - b)[Math.floor(frames100.all * 0.99)]"), "ms-p99-frame")
				b.ReportMetric(Eval[float64](tab, "frames100.all"), "frames")
			}
		})
	}
}

func (s *Site) seq(id api.RunID) int64 {
	s.t.Helper()
	return Call(s, s.Olga, api.GetRun, api.GetRunIn{NS: api.NS{Namespace: sdk.DefaultNamespace}, ID: id}).Seq
}

// BenchmarkFollowers has 50 browsers follow the same run in which about 500 things happen a second, and reports what
// share of a core they cost this process: the run without them is taken off, their own reading is not.
func BenchmarkFollowers(b *testing.B) {
	s := Serve(b)
	s.Apply(chains("live", 25, 80, fmt.Sprintf(`use: http, with: { url: "%s/pace" }`, world(b))))
	for b.Loop() {
		alone, _ := s.cost(b, 0)
		followed, rate := s.cost(b, 50)
		b.ReportMetric(100*(followed-alone), "%core")
		b.ReportMetric(100*alone, "%core-alone")
		b.ReportMetric(rate, "events/s")
	}
}

// cost runs the workflow with n followers; it returns the share of a core that was used, and events a second.
func (s *Site) cost(b *testing.B, n int) (share, rate float64) {
	run := s.start("live")
	var all sync.WaitGroup
	client := &http.Client{Transport: &http.Transport{MaxConnsPerHost: 0}}
	for range n {
		r, err := http.NewRequestWithContext(b.Context(), http.MethodGet, fmt.Sprintf("%s/v1/namespaces/default/stream?topic=trace:%s&topic=counts", s.Server, run.Trace), nil)
		if err != nil {
			b.Fatal(err)
		}
		r.AddCookie(&http.Cookie{Name: "tutti_session", Value: s.Session("olga")})
		answer, err := client.Do(r)
		if err != nil || answer.StatusCode != http.StatusOK {
			b.Fatalf("follow: %v, %v", answer, err)
		}
		all.Go(func() {
			for in := bufio.NewReader(answer.Body); ; {
				if _, err := in.ReadSlice('\n'); err != nil && err != bufio.ErrBufferFull {
					return
				}
			}
		})
		defer answer.Body.Close()
	}
	from, began, before := s.seq(run.ID), time.Now(), used(b)
	end := s.ended(run.ID)
	took := time.Since(began)
	share = (used(b) - before).Seconds() / took.Seconds()
	client.CloseIdleConnections()
	return share, float64(end.Seq-from) / took.Seconds()
}

// used is the processor time this process has taken.
func used(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
