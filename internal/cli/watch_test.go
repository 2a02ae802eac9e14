package cli

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/cobra"

	"tutti/api"
	"tutti/errs"
)

// requested makes the stand-in know the request of the run it plays.
func (s *standIn) requested(state api.State) {
	s.mux.HandleFunc("GET "+ns+"/requests/"+reqA, func(w http.ResponseWriter, _ *http.Request) {
		r := api.Request{ID: reqA, Entry: "vm", Type: "vm", Name: "web-dev-07", Trace: "t1", Run: runA, State: api.Running, Created: day}
		s.mu.Lock()
		if s.looks > 2 {
			r.State, r.Ended, r.Outputs = state, day.Add(71*time.Second), json.RawMessage(`{"ip":"10.0.0.1"}`)
		}
		s.mu.Unlock()
		answer(w, r)
	})
}

func TestWatchPlain(t *testing.T) {
	t.Parallel()
	s := newStandIn(t)
	s.plays(playing(api.Succeeded)...)
	r := s.cli("watch", runA)
	const want = `09:00:00  ◐ running    vm.build
09:00:00  ◐ running    net
09:00:10  ✓ succeeded  net  10s
09:00:10  ◐ running    build
09:01:10  ✓ succeeded  build  1m
09:01:10  ✓ succeeded  vm.build  1m10s
`
	if diff := cmp.Diff(want, r.out); diff != "" || r.code != 0 || r.errOut != "" {
		t.Errorf("watch: exit code %d, stderr %q (-want +got):\n%s", r.code, r.errOut, diff)
	}
	if n := s.called("GET " + ns + "/stream?topic=run%3A" + runA + "%400"); n != 1 {
		t.Errorf("streams = %d; want one for the whole watch, from where the run was read", n)
	}
}

func TestConfigWatch(t *testing.T) {
	t.Parallel()
	s := newStandIn(t)
	s.plays(playing(api.Failed)...)
	s.requested(api.Failed)
	var out syncBuffer
	c := Config{Stdout: &out, Stderr: &out, Env: func(name string) string {
		return map[string]string{"TUTTI_SERVER": "http://elsewhere", "TUTTI_NAMESPACE": "lab"}[name]
	}}
	if code := c.Watch(t.Context(), s.URL, "tutti_given", reqA); code != 5 || !strings.Contains(out.String(), "failed at build: no space") {
		t.Errorf("Watch = %d, %q; want 5 and why", code, out.String())
	}
	if s.tokens[0] != "Bearer tutti_given" {
		t.Errorf("Authorization = %q; want the token given", s.tokens[0])
	}
	more := &cobra.Command{Use: "more", RunE: func(*cobra.Command, []string) error { return Exit(9) }}
	if r := s.with(Config{Args: []string{"more"}, More: []*cobra.Command{more}}); r.code != 9 || r.errOut != "" {
		t.Errorf("a further command = %+v; want its exit code alone", r)
	}
}

func TestWatchFailed(t *testing.T) {
	t.Parallel()
	s := newStandIn(t)
	s.plays(playing(api.Failed)...)
	s.requested(api.Failed)
	s.on("GET "+ns+"/runs/"+runA+"/log", api.LogPage{Lines: []api.LogLine{{Task: "build", Text: "writing\x1b[2J"}}})
	r := s.cli("watch", reqA)
	for _, want := range []string{
		reqA + "  vm web-dev-07   trace t1   " + s.URL + "/requests/" + reqA + "\n",
		"✕ " + reqA + " failed at build: no space\n  free some\n  Its last lines:\n    writing�[2J\n",
		"tutti logs " + runA + " --task 'build'   Try again: tutti run retry " + runA,
	} {
		if !strings.Contains(r.errOut, want) {
			t.Errorf("watch: stderr = %q; want %q in it", r.errOut, want)
		}
	}
	if r.code != 5 || !strings.Contains(r.out, "09:01:10  ✕ failed     build  1m  no space\n") {
		t.Errorf("watch = exit code %d, %q; want 5", r.code, r.out)
	}
}

func TestWatchTree(t *testing.T) {
	t.Parallel()
	s := newStandIn(t)
	s.plays(playing(api.Succeeded)...)
	r := s.in(t.Context(), Config{Args: []string{"watch", runA}, Terminal: Terminal{Out: true, Size: func() (int, int) { return 60, 4 }}}, "NO_COLOR", "1")
	frames := strings.Split(r.out, "\x1b[J")
	const last = "\x1b[3A\r✓ vm.build  succeeded  1m10s\x1b[K\n\r├─✓ net     succeeded    10s\x1b[K\n\r└─✓ build   succeeded     1m\x1b[K\n"
	if len(frames) < 4 || frames[len(frames)-2] != last || frames[len(frames)-1] != "" || r.code != 0 {
		t.Errorf("watch on a terminal: exit code %d, %d frames, the last %q; want %q", r.code, len(frames), frames[max(0, len(frames)-2)], last)
	}
	for _, f := range frames {
		if n := strings.Count(f, "\n"); n > 3 {
			t.Errorf("frame %q has %d lines; want at most 3 in a terminal of 4", f, n)
		}
	}
	if r := s.with(Config{Args: []string{"watch", runA, "--plain"}, Terminal: Terminal{Out: true}}); strings.Contains(r.out, "\x1b[J") {
		t.Errorf("watch --plain draws: %q", r.out)
	}
}

func TestWait(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		steps  []step
		args   string
		code   int
		out    string
		errOut string
	}{
		"succeeded":       {playing(api.Succeeded), "wait " + runA + " -o name", 0, runA + "\n", ""},
		"outcome as data": {playing(api.Succeeded), "wait " + runA + " --jq .outputs.ip", 0, "10.0.0.1\n", ""},
		"cancelled":       {playing(api.Cancelled), "wait " + runA + " -o name", 5, runA + "\n", "⊘ " + runA + " cancelled\n"},
		"for running":     {playing(api.Running), "wait " + runA + " --for running -o name", 0, runA + "\n", ""},
		"for failed":      {playing(api.Failed), "wait " + runA + " --for failed -o name", 0, runA + "\n", ""},
		"another end":     {playing(api.Cancelled), "wait " + runA + " --for succeeded -o name", 5, runA + "\n", "⊘ " + runA + " cancelled\n"},
		"time is up":      {playing(api.Failed)[:1], "wait " + runA + " --timeout 300ms", 6, "", "Time is up. " + runA + " still runs: tutti watch " + runA + "\n"},
		"person":          {[]step{asking()}, "watch " + runA + " --no-wait-for-approval --plain -o name", 7, runA + "\n", runA + " waits for a person: tutti approval list\n"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newStandIn(t)
			s.plays(c.steps...)
			if r := s.cli(strings.Fields(c.args)...); r.code != c.code || r.out != c.out || r.errOut != c.errOut {
				t.Errorf("%s = %+v; want exit code %d, %q, %q", c.args, r, c.code, c.out, c.errOut)
			}
		})
	}
}

// Ctrl-C stops the watching, never the thing watched.
func TestWatchInterrupted(t *testing.T) {
	t.Parallel()
	s := newStandIn(t)
	s.plays(playing(api.Succeeded)[:1]...)
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		for s.called("GET "+ns+"/stream") == 0 && ctx.Err() == nil {
			select {
			case <-time.After(time.Millisecond):
			case <-ctx.Done():
			}
		}
		cancel()
	}()
	r := s.in(ctx, Config{Args: []string{"watch", runA}})
	if r.code != 130 || !strings.Contains(r.errOut, "Stopped watching. "+runA+" still runs: tutti watch "+runA+"\n") {
		t.Errorf("interrupted watch = %+v; want exit code 130 and what goes on", r)
	}
	if n := s.called("POST"); n != 0 {
		t.Errorf("interrupted watch made %d POSTs; want none", n)
	}
}

// A watch outlives a server that is away for a moment.
func TestWatchReconnects(t *testing.T) {
	t.Parallel()
	s := newStandIn(t)
	steps := playing(api.Succeeded)
	gets := 0
	s.mux.HandleFunc("GET "+ns+"/runs/"+runA, func(w http.ResponseWriter, _ *http.Request) {
		s.mu.Lock()
		gets++
		n := gets
		s.mu.Unlock()
		switch {
		case n == 1:
			answer(w, steps[0].run)
		case n <= 5:
			problem(w, errs.New(errs.Unavailable, "starting"))
		default:
			answer(w, steps[2].run)
		}
	})
	s.on("GET "+ns+"/runs/"+runA+"/tasks", api.Page[api.Task]{})
	s.on("GET "+ns+"/stream", errs.New(errs.NotFound, "no stream here"))
	// Without a stream the run is looked at every second.
	r := s.cli("watch", runA)
	if r.code != 0 || !strings.Contains(r.errOut, "connection lost, trying again: ") || !strings.Contains(r.errOut, "connected again") ||
		!strings.HasSuffix(r.out, "✓ succeeded  vm.build  1m10s\n") {
		t.Errorf("watch = %+v; want the end, and word of what happened", r)
	}
}

func TestWatchSubRuns(t *testing.T) {
	t.Parallel()
	s := newStandIn(t)
	steps := playing(api.Succeeded)
	for i := range steps {
		steps[i].tasks[0].Run = runB
	}
	s.plays(steps...)
	s.on("GET "+ns+"/runs/"+runB, api.Run{ID: runB, Workflow: "net", State: api.Succeeded, Created: day, Ended: day})
	s.on("GET "+ns+"/runs/"+runB+"/tasks", api.Page[api.Task]{Items: []api.Task{{Path: "ip", ID: "ip", State: api.Succeeded, Started: day, Ended: day.Add(5 * time.Second)}}})
	r := s.cli("watch", runA)
	if !strings.Contains(r.out, "09:00:05  ✓ succeeded  net > ip  5s\n") || r.code != 0 {
		t.Errorf("watch = %+v; want the tasks of the sub-run", r)
	}
	if r := s.cli("run", "tree", runA, "--open"); r.out != "✓ vm.build  succeeded  1m10s\n├─✓ net     succeeded    10s\n│ └─✓ ip    succeeded     5s\n└─✓ build   succeeded     1m\n" {
		t.Errorf("run tree = %q", r.out)
	}
}

func TestLogs(t *testing.T) {
	t.Parallel()
	s := newStandIn(t)
	s.mux.HandleFunc("GET "+ns+"/runs/"+runA+"/log", func(w http.ResponseWriter, r *http.Request) {
		q := r.URL.Query()
		switch q.Get("after") {
		case "", "0":
			answer(w, api.LogPage{Lines: []api.LogLine{
				{Task: "a", Pos: 1, At: day, Stream: "out", Text: "one \x1b[32mgreen\x1b[0m\x1b[2J\ttab"}, {Task: "b", Pos: 2, At: day, Stream: "err", Text: "two"}}, Last: 2, More: true})
		case "2":
			answer(w, api.LogPage{Lines: []api.LogLine{{Task: "a", Pos: 3, At: day, Text: "three"}}, Last: 3})
		default:
			answer(w, api.LogPage{Last: 3, Ended: q.Get("wait") == "25s"})
		}
	})
	if r := s.cli("logs", runA); r.out != "a\tone green�[2J\ttab\nb\ttwo\na\tthree\n" || r.code != 0 {
		t.Errorf("logs = %+v", r)
	}
	if r := s.cli("logs", runA, "-f", "--task", "a"); r.out != "one green�[2J\ttab\nb\ttwo\nthree\n" || r.code != 0 {
		t.Errorf("logs -f --task = %+v", r)
	}
	if r := s.cli("logs", runA, "--color", "always"); !strings.HasPrefix(r.out, "\x1b[2ma\x1b[0m\tone \x1b[32mgreen\x1b[0m�[2J\ttab\x1b[0m\n") {
		t.Errorf("logs --color always = %q; want the colours of the log and nothing else that steers", r.out)
	}
	if r := s.cli("logs", runA, "-o", "json", "--fields", "pos,text", "--tail", "1"); !strings.HasSuffix(r.out, "{\"pos\":3,\"text\":\"three\"}\n") {
		t.Errorf("logs -o json = %q", r.out)
	}
}

func TestStatusAndApprovals(t *testing.T) {
	t.Parallel()
	s := newStandIn(t)
	s.plays(asking())
	s.requested(api.Succeeded)
	s.on("GET /v1/whoami", api.Me{Subject: "user:anna"})
	s.on("GET "+ns+"/requests", api.Page[api.Request]{Items: []api.Request{{ID: reqA, Entry: "vm", State: api.Waiting, Created: day}}})
	asks := api.Page[api.Approval]{Items: []api.Approval{{Run: runA, Task: "ok", Trace: "t1", Text: "Really?", Asked: day}}}
	s.mux.HandleFunc("GET "+ns+"/approvals", func(w http.ResponseWriter, _ *http.Request) { answer(w, asks) })
	s.on("POST "+ns+"/runs/"+runA+"/approve", api.Run{ID: runA, State: api.Running})
	s.on("POST "+ns+"/runs/"+runA+"/reject", api.Run{ID: runA, State: api.Running})
	if r := s.cli("status"); !strings.Contains(r.out, runA+"\tok\t") || !strings.Contains(r.out, reqA+"\twaiting\tvm") {
		t.Errorf("status = %+v", r)
	}
	if r := s.cli("status", runA); !strings.Contains(r.out, "waits for\tasks an approver\n") || !strings.Contains(r.out, "└─⏸ ok") {
		t.Errorf("status ID = %+v", r)
	}
	for _, args := range [][]string{{"approval", "approve", runA}, {"request", "approve", reqA, "--reason", "fine"}} {
		if r := s.cli(args...); r.code != 0 || !strings.Contains(r.errOut, "Approved ok of "+runA) {
			t.Errorf("%q = %+v", args, r)
		}
	}
	if got := s.body("POST " + ns + "/runs/" + runA + "/approve"); got != `{"task":"ok","reason":"fine"}` {
		t.Errorf("approve sent %s", got)
	}
	if r := s.cli("approval", "reject", runA, "other"); r.code != 3 || !strings.Contains(r.errOut, "nothing in "+runA+" other waits") {
		t.Errorf("reject other = %+v", r)
	}
	asks.Items = append(asks.Items, api.Approval{Run: runA, Task: "two", Trace: "t1"})
	if r := s.cli("approval", "reject", runA); r.code != 3 || !strings.Contains(r.errOut, "2 tasks of "+runA+" wait") {
		t.Errorf("reject of two = %+v", r)
	}
}
