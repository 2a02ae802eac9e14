package core_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"tutti/api"
	"tutti/internal/workflow/core"
)

// whys writes what a run says it waits for: "task kind>what", in the order of the plan.
func whys(r *core.Run) string {
	items, _ := r.Why(1000)
	var out []string
	for _, it := range items {
		for _, x := range it.Reasons {
			s := it.Task + " " + x.Kind
			switch {
			case x.Task != "":
				s += ">" + x.Task
			case x.Key != "":
				s += ">" + x.Key
			case x.Pool != "":
				s += ">" + x.Pool
			}
			out = append(out, s)
		}
	}
	return strings.Join(out, "; ")
}

func TestWhy(t *testing.T) {
	t.Parallel()
	noWork := func(*world) {}
	for _, c := range []struct {
		name, text string
		do         func(*world)
		want       string
	}{
		{"dependencies", "tasks: {a: {use: noop}, b: {use: noop, pool: far}, c: {use: noop, needs: [a], after: [b]}}", noWork,
			"a worker>default; b worker>far; c after>a; c after>b"},
		{"settled dependencies are none", "tasks: {a: {use: set, with: {}}, b: {use: noop, pool: far}, c: {use: noop, needs: [a, b]}}", noWork,
			"b worker>far; c after>b"},
		{"timer", "tasks: {a: {use: wait, with: {for: 1h}}, b: {use: noop, needs: [a]}}", noWork, "a timer; b after>a"},
		{"approval", "tasks: {a: {use: approval, with: {quorum: 2, to: ['user:eve']}}}", noWork, "a approval"},
		{"signal", "tasks: {a: {use: signal, with: {name: go}}}", noWork, "a signal>go"},
		{"retry", "tasks: {a: {use: noop, retry: {max: 1, wait: 1h}}}", func(w *world) { w.work(failing("a")) }, "a retry"},
		{"limit", "tasks: {a: {use: noop, limit: {key: k}}}", noWork, "a limit>k"},
		{"once", "tasks: {a: {use: noop, once: k}}", noWork, "a once>k"},
		{"limit of the run", "limit: {key: k}\ntasks: {a: {use: noop}, b: {use: noop, needs: [a]}}", noWork, "a limit>k; b limit>k; b after>a"},
		{"paused run", "tasks: {a: {use: noop}, b: {use: noop, needs: [a]}}", func(w *world) { w.must(w.run.Pause(w.now, "user:eve")) },
			"a worker>default; b paused; b after>a"},
		{"paused task", "tasks: {a: {use: noop, onError: pause}, b: {use: noop, needs: [a]}}", func(w *world) { w.work(failing("a")) }, "a paused>a; b after>a"},
		{"a run that paused by itself", "onFailure: pause\ntasks: {a: {use: noop}, b: {use: noop, needs: [a]}}", func(w *world) { w.work(failing("a")) }, "b paused>a"},
		{"drained", "tasks: {a: {use: noop}, b: {use: noop, pool: far}, c: {use: noop, needs: [b]}}",
			func(w *world) {
				w.must(w.run.Report(w.now, core.AttemptRef{Path: "a", Attempt: 1}, "", "w", bad("broken")))
			},
			"b worker>far; c stopping>a; c after>b"},
		{"stopped", "tasks: {a: {use: noop}, c: {use: noop, needs: [a]}}", func(w *world) { w.must(w.run.Cancel(w.now, "user:eve", "")) }, "a stopping; c stopping; c after>a"},
		{"items", "tasks: {e: {each: {in: '[1,2,3]', parallel: 2}, use: noop}}", noWork, "e[0] worker>default; e[1] worker>default; e[2] parallel"},
		{"groups", "tasks: {g: {tasks: {x: {use: noop}, y: {use: noop, needs: [x]}}}, h: {use: noop, needs: [g]}}", noWork, "h after>g; g.x worker>default; g.y after>g.x"},
		{"sub-run", "tasks: {s: {use: 'workflow:leaf'}}", noWork, "s run"},
		{"held by a worker", "tasks: {a: {use: noop}}", func(w *world) { w.must(w.run.Claim(w.now, core.AttemptRef{Path: "a", Attempt: 1}, "c", "w1")) }, ""},
		{"callback", "tasks: {a: {use: noop}}", func(w *world) {
			w.must(w.run.Report(w.now, core.AttemptRef{Path: "a", Attempt: 1}, "c", "w", api.Result{Outcome: api.Park}))
		}, "a callback"},
		{"ended", "tasks: {a: {use: noop}}", func(w *world) { w.work(ok) }, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			w := start(t, c.text, "{}")
			c.do(w)
			if got := whys(w.run); got != c.want {
				t.Errorf("Why:\n got %s\nwant %s", got, c.want)
			}
			if got := whys(w.replay()); got != c.want {
				t.Errorf("Why after loading:\n got %s\nwant %s", got, c.want)
			}
		})
	}
}

func TestWhyIsBounded(t *testing.T) {
	t.Parallel()
	w := start(t, "tasks: {e: {each: {in: '1..20'}, use: noop}}", "{}")
	items, more := w.run.Why(5)
	if len(items) != 5 || !more {
		t.Errorf("Why(5) = %d items, more %v; want 5, true", len(items), more)
	}
}

func TestEveryOpenTaskSaysWhy(t *testing.T) {
	t.Parallel()
	w := start(t, `tasks:
  a: {use: noop}
  e: {needs: [a], each: {in: '[1,2,3]', parallel: 1}, tasks: {x: {use: noop}, y: {use: noop, needs: [x]}}}
  s: {use: "workflow:leaf", after: [a]}
  w: {use: wait, needs: [e], with: {for: 1h}}
  q: {use: approval, needs: [w]}`, "{}")
	for w.run.State == api.Running && len(w.queue) > 0 {
		said := map[string]bool{}
		items, _ := w.run.Why(1000)
		for _, it := range items {
			said[it.Task] = true
		}
		for _, x := range w.run.Tasks() {
			if !x.State.Ended() && x.Kind != "group" && x.Kind != "each" && x.Counts == nil && !said[x.Path] {
				t.Errorf("%s is %s and nothing says why", x.Path, x.State)
			}
		}
		d := w.queue[0]
		w.queue = w.queue[1:]
		w.must(w.run.Report(w.now, d.AttemptRef, "", "w", ok(d)))
	}
}

func TestCritical(t *testing.T) {
	t.Parallel()
	usual := func(lengths string) func(string) int64 {
		of := map[string]int64{}
		for f := range strings.FieldsSeq(lengths) {
			var n int64
			name, rest, _ := strings.Cut(f, "=")
			if _, err := fmt.Sscan(rest, &n); err != nil {
				t.Fatal(err)
			}
			of[name] = n * second
		}
		return func(path string) int64 { return of[path] }
	}
	// report ends the attempts of tasks, each some seconds after the one before.
	report := func(steps string) func(*world) {
		return func(w *world) {
			for f := range strings.FieldsSeq(steps) {
				w.now += second
				w.must(w.run.Report(w.now, core.AttemptRef{Path: f, Attempt: 1}, "", "w", ok(core.Dispatch{})))
			}
		}
	}
	diamond := "tasks: {a: {use: noop}, b: {use: noop, needs: [a]}, c: {use: noop, needs: [a]}, d: {use: noop, needs: [b, c]}, z: {use: noop}}"
	for _, c := range []struct {
		name, text, usual string
		do                func(*world)
		want              string
		end               int64 // in seconds from the start; 0 is not looked at
	}{
		{"what ended, the slower branch", diamond, "", report("z a b c d"), "a c d", 5},
		{"what is expected", diamond, "a=1 b=10 c=2 d=1 z=3", report(""), "a b d", 12},
		{"what is expected, of the rest", diamond, "a=1 b=10 c=20 d=1 z=3", report("z a"), "a c d", 23},
		{"late already", diamond, "a=1 b=1 c=1 d=1 z=1", report("z a b"), "a c d", 4},
		{"groups", "tasks: {g: {tasks: {x: {use: noop}, y: {use: noop, needs: [x]}, q: {use: noop}}}, h: {use: noop, needs: [g]}}", "", report("g.x g.q g.y h"), "g g.x g.y h", 4},
		{"a group that has not begun", "tasks: {a: {use: noop}, g: {needs: [a], tasks: {x: {use: noop}}}, b: {use: noop}}", "a=1 g=9 b=5", report(""), "a g", 10},
		{"items", "tasks: {e: {each: {in: '[1,2,3]'}, use: noop}, f: {use: noop, needs: [e]}}", "", report("e[2] e[0] e[1] f"), "e e[1] f", 4},
		{"finally", "tasks: {a: {use: noop}}\nfinally: {f: {use: noop}}", "", report("a finally.f"), "a finally.f", 2},
		{"skipped tasks take no time", "tasks: {a: {use: noop}, b: {use: noop, needs: [a], when: 'false'}, c: {use: noop, after: [b]}}", "", report("a c"), "a c", 2},
		{"a timer", "tasks: {a: {use: wait, with: {for: 1h}}, b: {use: noop}}", "b=5", report(""), "a", 3600},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			w := start(t, c.text, "{}")
			began := w.now
			c.do(w)
			on, end := w.run.Critical(w.now, usual(c.usual))
			if got := strings.Join(slices.Sorted(maps.Keys(on)), " "); got != c.want {
				t.Errorf("critical = %s; want %s", got, c.want)
			}
			if got := (end - began) / second; c.end != 0 && got != c.end {
				t.Errorf("it ends after %d s; want %d", got, c.end)
			}
		})
	}
}

func TestPlanPath(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{"a": "a", "a.b": "a.b", "e[0].b": "e.b", "e[a.b].c[x]": "e.c", "a#undo": "a#undo", "e[k]": "e"} {
		if got := core.Plan(in); got != want {
			t.Errorf("Plan(%s) = %s; want %s", in, got, want)
		}
	}
}
