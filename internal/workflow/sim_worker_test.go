package workflow

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"tutti/api"
)

// hand is a worker: inside a process, or far away.
type hand struct {
	s    *sim
	name string
	home *node // nil for one that is far away
	gen  int   // rises when it crashes
	jobs []*job

	frozen int64 // stands still until then: it neither asks, beats nor reports
}

// still draws whether the worker begins to stand still, and says whether it does.
func (w *hand) still() bool {
	s := w.s
	if len(w.jobs) > 0 && s.fault("a worker stands still", 0.004) {
		w.frozen = s.now + s.between(time.Second, 60*time.Second).Microseconds()
	}
	return s.now < w.frozen && !s.calm
}

// job is an attempt that a worker has.
type job struct {
	token string
	key   attemptKey
	stop  bool
	end   *api.Result // once it is done
}

func (w *hand) forget() {
	w.gen++
	w.jobs = nil
}

// target is the process that a call of the worker reaches.
func (w *hand) target() *node {
	if w.home != nil && w.s.r.IntN(4) > 0 {
		return w.home
	}
	return w.s.owner()
}

// poll asks for work.
func (w *hand) poll() {
	s := w.s
	s.after(s.between(100*time.Millisecond, 1500*time.Millisecond), w.poll)
	if w.home != nil && w.home.down || w.home != nil && s.now < w.home.frozen || w.still() {
		return
	}
	if len(w.jobs) > 0 && s.fault("a worker crashes", 0.004) {
		w.forget()
	}
	n := w.target()
	s.reach(n, func() { w.take(n) })
}

// take is the handler of task.poll: it claims without asking the loop.
func (w *hand) take(n *node) {
	s, e := w.s, n.e
	if e == nil || !n.owns() {
		return
	}
	taken, _ := e.pools.take(api.DefaultPool, "*", w.name, nil, 1+s.r.IntN(3))
	for _, a := range taken {
		key := attemptKey{a.meta.ID, a.Path}
		fence := e.pools.nextFence()
		s.note("grant %s %s %d to %s fence %d", a.meta.ID, a.Path, a.Attempt, w.name, fence)
		s.granted(e, a, key)
		if s.fault("work is lost on its way", 0.03) {
			continue
		}
		w.begin(&job{token: a.token, key: key})
	}
}

// granted checks that the attempt may start.
func (s *sim) granted(e *engine, a *attempt, key attemptKey) {
	epoch := e.lease.Epoch
	if s.model.grants[epoch] == nil {
		s.model.grants[epoch] = map[attemptKey]string{}
	}
	s.model.grants[epoch][key] = a.token
	s.model.tokens[a.token] = a.Path
	root, after := s.ledger.root(a.meta.ID)
	if s.model.cancelled[root] && !after && !closing(a.Path) {
		s.wrong("%s of run %s starts in epoch %d after the cancel of %s was acknowledged", a.Path, a.meta.ID, epoch, root)
	}
	if s.ledger.byID[a.meta.ID] == nil {
		s.wrong("%s of run %s starts, and the run is not stored", a.Path, a.meta.ID)
	}
	if epoch != s.ledger.epoch {
		s.fired["a stale engine gave work out"]++
		return
	}
	var v int
	_ = json.Unmarshal(a.Vars["v"], &v)
	if v < s.model.vars[key] {
		s.wrong("%s of run %s starts with v=%d; %d was acknowledged", a.Path, a.meta.ID, v, s.model.vars[key])
	}
}

// begin carries a job out.
func (w *hand) begin(j *job) {
	s, gen := w.s, w.gen
	w.jobs = append(w.jobs, j)
	d := s.between(10*time.Millisecond, 3*time.Second)
	if s.r.IntN(8) == 0 && !s.calm {
		d = s.between(3*time.Second, 40*time.Second)
	}
	if s.r.IntN(4) == 0 {
		s.after(d/2, func() { w.store(j) })
	}
	s.after(d, func() {
		if w.gen != gen || j.end != nil {
			return
		}
		r := s.result(j)
		w.finish(j, r)
	})
}

// finish reports a result until somebody answers.
func (w *hand) finish(j *job, r api.Result) {
	s, gen := w.s, w.gen
	j.end = &r
	var try func()
	try = func() {
		if w.gen != gen || !slices.Contains(w.jobs, j) {
			return
		}
		if s.now < w.frozen {
			s.after(time.Duration(w.frozen-s.now)*time.Microsecond, try)
			return
		}
		w.report(j, r, gen)
		s.after(s.between(time.Second, 6*time.Second), try)
	}
	try()
	if r.Outcome == api.Park { // the far side was asked before, and calls whatever becomes of the worker
		s.after(s.between(time.Second, 30*time.Second), func() { s.callback(j) })
	}
	if s.fault("a report comes twice", 0.05) {
		w.report(j, r, gen)
	}
	if s.fault("a report comes late", 0.05) {
		s.after(s.between(time.Second, 70*time.Second), func() { w.report(j, r, gen) })
	}
}

func (w *hand) report(j *job, r api.Result, gen int) {
	s := w.s
	call(s, w.target(), func(e *engine, b *batch) ([]api.Refusal, error) { return e.results(b, "*", w.name, []api.Result{r}) },
		func(refused []api.Refusal, err error) {
			if err != nil {
				return
			}
			for _, x := range refused {
				s.fired["a result was refused"]++
				s.note("refused %s: %s", x.Token, x.Why)
			}
			if w.gen == gen {
				w.jobs = slices.DeleteFunc(w.jobs, func(o *job) bool { return o == j })
			}
		})
}

// callback is the far side of a parked attempt, which calls until somebody answers.
func (s *sim) callback(j *job) {
	r := api.Result{Token: j.token, Outcome: api.Done, Out: tokenOut(j.token)}
	answered := false
	var try func()
	try = func() {
		if answered {
			return
		}
		call(s, s.owner(), func(e *engine, b *batch) ([]api.Refusal, error) {
			return e.results(b, "*", "callback", []api.Result{r})
		},
			func(_ []api.Refusal, err error) { answered = answered || err == nil })
		s.after(s.between(time.Second, 6*time.Second), try)
	}
	try()
}

func tokenOut(token string) json.RawMessage {
	return json.RawMessage(fmt.Sprintf(`{"token":%q}`, token))
}

// result draws what comes of a job.
func (s *sim) result(j *job) api.Result {
	r := api.Result{Token: j.token, Outcome: api.Done, Out: tokenOut(j.token)}
	fail := func(retryable bool) {
		r.Outcome, r.Out, r.Failure = api.FailedTask, nil, &api.Failure{Type: "broken", Message: "token " + j.token, Retryable: retryable}
	}
	if j.stop {
		r.Outcome, r.Out = api.Interrupted, nil
		return r
	}
	if s.calm && s.r.IntN(12) > 0 {
		return r
	}
	switch k := s.r.IntN(100); {
	case k < 12:
		fail(true)
	case k < 18:
		fail(false)
	case k < 23:
		r.Outcome, r.Out, r.Handle = api.Park, nil, json.RawMessage(`"x"`)
		if s.r.IntN(2) == 0 {
			r.Deadline = api.Duration(s.between(time.Second, 60*time.Second))
		}
	case k < 26 && strings.Count(j.key.path, ".") < 4:
		r.Outcome, r.Out = api.Expand, nil
		r.Tasks = json.RawMessage(`{"p":{"use":"noop"},"q":{"use":"noop","needs":["p"]}}`)
	case k < 31:
		r.Outcome, r.Out = api.Interrupted, nil
	}
	return r
}

// store keeps a variable of a job.
func (w *hand) store(j *job) {
	s := w.s
	if !slices.Contains(w.jobs, j) {
		return
	}
	v := s.model.next[j.key] + 1
	s.model.next[j.key] = v
	call(s, w.target(), func(e *engine, b *batch) (struct{}, error) {
		return struct{}{}, e.setVars(b, "*", j.token, w.name, map[string]json.RawMessage{"v": json.RawMessage(fmt.Sprint(v))})
	}, func(_ struct{}, err error) {
		if err == nil && !s.model.stored[fmt.Sprint(j.key, v)] {
			s.wrong("a variable of %s of run %s was acknowledged, and is not stored", j.key.path, j.key.run)
		}
	})
}

// beat says that the worker lives.
func (w *hand) beat() {
	s, gen := w.s, w.gen
	s.after(api.HeartbeatEvery, w.beat)
	if w.home != nil && (w.home.down || s.now < w.home.frozen) || s.now < w.frozen || len(w.jobs) == 0 || s.fault("a heartbeat is lost", 0.1) {
		return
	}
	tokens := make([]string, len(w.jobs))
	for i, j := range w.jobs {
		tokens[i] = j.token
	}
	n := w.target()
	s.reach(n, func() {
		if !n.owns() {
			return
		}
		out, young := n.e.pools.beat("*", tokens)
		if len(young) > 0 {
			n.do(command(func(b *batch) (struct{}, error) { return struct{}{}, n.e.claimed(b, young) }, func(struct{}, error) {}))
		}
		s.after(s.between(time.Microsecond, 20*time.Millisecond), func() {
			if w.gen == gen {
				w.heard(out)
			}
		})
	})
}

func (w *hand) heard(out api.HeartbeatOut) {
	s := w.s
	for _, j := range slices.Clone(w.jobs) {
		switch {
		case slices.Contains(out.Lost, j.token):
			if s.r.IntN(3) > 0 { // else it goes on, as one does that has not heard
				w.jobs = slices.DeleteFunc(w.jobs, func(o *job) bool { return o == j })
			}
		case slices.Contains(out.Cancel, j.token) && j.end == nil && !j.stop:
			j.stop = true
			w.finish(j, s.result(j))
		}
	}
}
