package sdk

import (
	"context"
	"slices"
	"sync"
	"time"

	"tutti/api"
	"tutti/errs"
)

// session is a Worker at work. Its lanes exchange results for assignments with the engine; runners, as
// many as there were ever attempts at the same time, carry these out. They are kept, because a fresh
// goroutine would first have to grow its stack.
type session struct {
	Worker  // with defaults filled in
	types   map[string]TaskType
	names   []string
	asks    []string // the types it asks the engine for; none is any
	runners sync.WaitGroup

	mu       sync.Mutex
	jobs     []job             // taken and not begun: only until a runner comes
	begin    sync.Cond         // for idle runners: there is a job, or the session stops
	idle     int               // runners that wait
	waking   bool              // a runner was woken, or made, and has not looked yet
	wake     sync.Cond         // for lanes: something of the following changed
	claims   map[string]*claim // by token: running, or finished and not answered for
	finished []*claim          // to be reported
	free     int               // slots neither in use nor offered to the engine
	waiting  bool              // a lane waits for work
	stopping bool              // no new work
	over     bool              // nothing more is reported
}

// claim is an attempt this worker holds. Its fields are guarded by session.mu once it is shared.
type claim struct {
	token  string
	since  time.Time
	cancel context.CancelCauseFunc
	ended  bool // it has a result, or needs none
	result api.Result
	size   int  // of the result, in bytes
	alone  bool // to be reported alone: a report that held it was refused
	beaten bool // its own result was refused; result says so instead
}

// job is an attempt to be carried out.
type job struct {
	ctx context.Context // travels with the attempt from the lane to the runner
	a   *api.Assignment
	c   *claim
}

// batch is one exchange.
type batch struct {
	claims []*claim
	max    int  // slots offered
	long   bool // waits for work
}

// worthSaying is after how many failed exchanges in a row people are told: the first may only mean that
// the engine is starting.
const worthSaying = 4

// exchange reports and takes work until the session ends. Polls that only wait end with ctx, reports
// with life.
func (s *session) exchange(ctx, life context.Context) {
	tries := 0
	for {
		b, ok := s.next()
		if !ok {
			return
		}
		out, err := s.poll(ctx, life, b)
		s.settle(life, b, out, err)
		switch {
		case err == nil && tries > 0:
			if tries >= worthSaying {
				s.Log.Info("the engine answers again", "pool", s.Pool)
			}
			tries = 0
		case err != nil && !(b.long && ctx.Err() != nil):
			if tries++; tries == worthSaying {
				s.Log.Warn("the engine does not answer", "pool", s.Pool, "err", err)
			}
			pause(life, backoff(tries, err))
		}
	}
}

// next waits for something to send: results, or free slots while no other lane waits for work. It
// returns false when there will be nothing more.
func (s *session) next() (batch, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for {
		switch {
		case s.over || s.stopping && len(s.claims) == 0:
			return batch{}, false
		case len(s.finished) > 0 && (len(s.jobs) == 0 || s.stopping):
			// Attempts that are just beginning may be short: what ends at once is reported at once, not the
			// first of it alone while the others wait for another exchange.
			return s.report(), true
		case !s.waiting && s.room() > 0:
			s.waiting = true
			return s.offer(batch{long: true}), true
		}
		s.wake.Wait()
	}
}

// room returns how many attempts may be taken now. Results that cannot be reported hold up new work.
func (s *session) room() int {
	if s.stopping || len(s.claims) >= 4*s.Slots {
		return 0
	}
	return max(s.free, 0)
}

// offer lets b take work for all slots that are free.
func (s *session) offer(b batch) batch {
	b.max = s.room()
	s.free -= b.max
	return b
}

// report takes finished claims, as many as one call may carry.
func (s *session) report() batch {
	n, bytes := 0, 0
	for n < len(s.finished) && n < maxResults {
		c := s.finished[n]
		if bytes += c.size; n > 0 && (bytes > maxBytes || c.alone) {
			break
		}
		if n++; c.alone {
			break
		}
	}
	b := batch{claims: slices.Clone(s.finished[:n])}
	s.finished = slices.Delete(s.finished, 0, n)
	return s.offer(b)
}

func (s *session) poll(ctx, life context.Context, b batch) (api.PollOut, error) {
	in := api.PollIn{NS: api.NS{Namespace: s.Namespace}, Pool: s.Pool,
		Body: api.PollBody{Worker: s.Name, Types: s.asks, Max: b.max}}
	limit := callTime
	if b.long {
		in.Body.Wait = api.Duration(pollWait)
		limit += pollWait
	} else {
		ctx = life
		in.Body.Results = make([]api.Result, len(b.claims))
		for i, c := range b.claims {
			in.Body.Results[i] = c.result
		}
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	return s.Transport.Poll(ctx, in)
}

// settle does what the answer to b says.
func (s *session) settle(life context.Context, b batch, out api.PollOut, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.free += b.max - len(out.Assignments)
	if b.long {
		s.waiting = false
	}
	if err != nil {
		s.keep(b, err)
	} else {
		s.answered(b, out.Refused)
	}
	for i := range out.Assignments {
		s.start(life, &out.Assignments[i])
	}
	s.wake.Broadcast()
}

// answered forgets the claims of b, except those whose result is to be sent again.
func (s *session) answered(b batch, refused []api.Refusal) {
	again := map[string]bool{}
	for _, r := range refused {
		if temporary(r.Kind) {
			again[r.Token] = true
			continue
		}
		s.Log.Info("a result counted for nothing", "kind", r.Kind, "why", r.Why)
	}
	for _, c := range b.claims {
		switch {
		case !again[c.token]:
			delete(s.claims, c.token)
		case s.claims[c.token] == c: // else it was lost meanwhile
			s.finished = append(s.finished, c)
		}
	}
}

// keep returns the results of b to those to be reported. Where the engine finds fault with the report
// itself, each is sent alone, so that one bad result does not hold up the others.
func (s *session) keep(b batch, err error) {
	k := errs.KindOf(err)
	faulty := k == errs.Invalid || k == errs.TooLarge
	var back []*claim
	for _, c := range b.claims {
		switch {
		case s.claims[c.token] != c: // lost meanwhile
			continue
		case faulty && len(b.claims) > 1:
			c.alone = true
		case faulty && !c.beaten:
			c.beaten = true
			c.result = failed(c.token, api.Failure{Type: FailInternal, Message: "the engine refused the result: " + err.Error()})
		case faulty:
			s.Log.Error("the engine refuses even the failure of an attempt", "err", err)
			delete(s.claims, c.token)
			continue
		}
		back = append(back, c)
	}
	s.finished = append(back, s.finished...)
}

// start carries a out, in the slot that was offered for it. The caller holds mu.
func (s *session) start(life context.Context, a *api.Assignment) {
	if s.claims[a.Token] != nil {
		s.free++ // delivered twice
		return
	}
	ctx, cancel := context.WithCancelCause(life)
	c := &claim{token: a.Token, since: time.Now(), cancel: cancel}
	s.claims[a.Token] = c
	if s.stopping {
		s.free++
		cancel(ErrStopping)
		s.end(c, api.Result{Token: c.token, Outcome: api.Interrupted})
		return
	}
	s.jobs = append(s.jobs, job{ctx, a, c})
	s.wakeRunner(life)
}

// wakeRunner sees to it that a runner comes for the jobs. One at a time: where attempts are short,
// those awake do them all; where not, each that comes wakes the next. The caller holds mu.
func (s *session) wakeRunner(life context.Context) {
	switch {
	case s.waking || len(s.jobs) == 0:
	case s.idle > 0:
		s.waking = true
		s.begin.Signal()
	default:
		s.waking = true
		s.runners.Go(func() { s.run(life) })
	}
}

// run carries out attempts until the session stops.
func (s *session) run(life context.Context) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.waking = false
	for {
		for len(s.jobs) == 0 {
			if s.stopping {
				return
			}
			s.idle++
			s.begin.Wait()
			s.idle--
			s.waking = false
		}
		j := s.jobs[0]
		s.jobs[0] = job{}
		s.jobs = s.jobs[1:]
		s.wakeRunner(life)
		if len(s.jobs) == 0 && len(s.finished) > 0 {
			s.wake.Signal()
		}
		s.mu.Unlock()
		r := s.attempt(j.ctx, life, j.a)
		j.c.cancel(nil)
		s.mu.Lock()
		s.free++
		s.end(j.c, r)
		s.wake.Signal()
	}
}

// end gives c its result, unless it was lost or given up. The caller holds mu.
func (s *session) end(c *claim, r api.Result) {
	if c.ended {
		return
	}
	c.ended, c.result, c.size = true, r, sizeOf(&r)
	s.finished = append(s.finished, c)
}

// lose forgets a claim that is no longer valid and stops its attempt.
func (s *session) lose(token string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.claims[token]
	if c == nil {
		return
	}
	delete(s.claims, token)
	c.ended = true
	s.finished = slices.DeleteFunc(s.finished, func(f *claim) bool { return f == c })
	c.cancel(ErrLost)
	s.wake.Broadcast()
}

// stop takes no more work and ends the contexts of all attempts.
func (s *session) stop() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stopping = true
	for _, c := range s.claims {
		c.cancel(ErrStopping)
	}
	s.wake.Broadcast()
	s.begin.Broadcast()
}

// abandon reports what still runs as interrupted.
func (s *session) abandon() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range s.claims {
		s.end(c, api.Result{Token: c.token, Outcome: api.Interrupted})
	}
	s.wake.Broadcast()
}

// giveUp ends the lanes though results were not answered for.
func (s *session) giveUp() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.over = true
	if n := len(s.claims); n > 0 {
		s.Log.Warn("stopped with results that the engine did not answer for", "results", n)
	}
	s.wake.Broadcast()
}

// heartbeats keeps claims alive until life ends. Short attempts never need one.
func (s *session) heartbeats(life context.Context) {
	tick := time.NewTicker(api.HeartbeatEvery)
	defer tick.Stop()
	for {
		select {
		case <-life.Done():
			return
		case <-tick.C:
		}
		for tokens := range slices.Chunk(s.old(), maxResults) {
			s.beat(life, tokens)
		}
	}
}

// old returns the tokens of claims held for more than half an interval.
func (s *session) old() (tokens []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	before := time.Now().Add(-api.HeartbeatEvery / 2)
	for token, c := range s.claims {
		if c.since.Before(before) {
			tokens = append(tokens, token)
		}
	}
	return tokens
}

func (s *session) beat(life context.Context, tokens []string) {
	ctx, cancel := context.WithTimeout(life, api.HeartbeatEvery)
	defer cancel()
	out, err := s.Transport.Heartbeat(ctx, api.HeartbeatIn{NS: api.NS{Namespace: s.Namespace}, Pool: s.Pool,
		Body: api.HeartbeatBody{Worker: s.Name, Tokens: tokens}})
	if err != nil {
		if life.Err() == nil {
			s.Log.Warn("heartbeat failed", "claims", len(tokens), "err", err)
		}
		return
	}
	for _, token := range out.Lost {
		s.lose(token)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, token := range out.Cancel {
		if c := s.claims[token]; c != nil {
			c.cancel(ErrCancelled)
		}
	}
}

// temporary reports whether what failed with kind k may succeed later.
func temporary(k errs.Kind) bool {
	return k == errs.Unavailable || k == errs.Limited || k == errs.Internal
}

// backoff returns the wait after a number of failed tries: 100 ms doubling up to 10 s, or what err asks.
func backoff(tries int, err error) time.Duration {
	if e := errs.Public(err); e.Retry > 0 {
		return min(e.Retry, time.Minute)
	}
	return min(100*time.Millisecond<<min(tries-1, 10), 10*time.Second)
}

// pause sleeps for d or until ctx ends.
func pause(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
}
