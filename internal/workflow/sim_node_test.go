package workflow

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/google/go-cmp/cmp"

	"tutti/errs"
	"tutti/internal/store"
)

// node is a process with an engine. It does what the goroutines of the real one do, one thing at a time:
// one batch is being committed while the next is gathered.
type node struct {
	s      *sim
	id     int
	gen    int // rises when an engine ends: what was meant for it is void
	down   bool
	frozen int64 // stands still until then
	offset time.Duration
	holder string

	e          *engine
	gathering  *batch
	size       int
	committing *batch
	wakeAt     int64
	lastAt     int64 // when the last of the messages under way arrives
}

func (s *sim) lease() store.Lease {
	return store.Lease{Name: leaseName, Holder: s.ledger.holder, Epoch: s.ledger.epoch}
}

// name draws a name nobody has.
func (s *sim) name(prefix string) string {
	s.names++
	return fmt.Sprintf("%s%012d%04d", prefix, s.r.Int64N(1e12), s.names%10000)
}

func (n *node) clock() time.Time { return time.UnixMicro(n.s.now).Add(n.offset) }

// on calls f in a while, if this engine is still there then, and not before the process goes on.
func (n *node) on(d time.Duration, f func()) {
	gen := n.gen
	var try func()
	try = func() {
		switch {
		case n.gen != gen || n.e == nil:
		case n.s.now < n.frozen:
			n.s.after(time.Duration(n.frozen-n.s.now)*time.Microsecond, try)
		default:
			f()
		}
	}
	n.s.after(d, try)
}

// boot waits for the lease and starts an engine.
func (n *node) boot() {
	s := n.s
	if n.e != nil || n.down {
		return
	}
	if s.now < n.frozen {
		s.after(time.Duration(n.frozen-s.now)*time.Microsecond, n.boot)
		return
	}
	n.holder = s.name("holder")
	asked := n.clock()
	l, ok := s.ledger.claim(n.holder)
	if !ok {
		s.after(s.between(leaseRenew/2, leaseRenew), n.boot)
		return
	}
	e := newEngine(s.deps(), s.ledger, l)
	n.gen++
	if s.r.IntN(8) > 0 {
		e.graphs = s.graphs
	}
	e.now, e.pools.now = n.clock, n.clock
	e.pools.nonce = func() string { return s.name("") }
	e.idle = s.r.IntN(4)
	e.evictAt = 2 * e.idle
	gen := n.gen
	e.post = func(f func(*batch)) {
		s.after(s.between(time.Microsecond, 50*time.Millisecond), func() {
			if n.gen == gen && n.e == e {
				n.on(0, func() { n.do(f) })
			}
		})
	}
	n.e, n.size, n.committing, n.wakeAt = e, 0, nil, 0
	if err := e.recover(s.ctx()); err != nil {
		n.end(err)
		return
	}
	e.ownedFrom(asked)
	s.note("node %d starts epoch %d", n.id, l.Epoch)
	n.gathering = e.newBatch()
	n.wake()
	n.on(leaseRenew, n.renew)
	n.on(2*time.Second, n.reap)
	n.on(s.between(time.Second, 40*time.Second), n.trouble)
}

// end is what happens when the engine gives up: it says so to all who wait, and another is started.
func (n *node) end(err error) {
	s := n.s
	s.note("node %d ends: %v", n.id, err)
	if n.gathering != nil {
		n.e.settle(s.ctx(), n.gathering, err)
	}
	s.fired["an engine gave up and was started again"]++
	if s.ledger.holder == n.holder {
		s.ledger.until = 0
	}
	n.e, n.gathering, n.committing = nil, nil, nil
	n.gen++
	s.after(s.between(100*time.Millisecond, 2*time.Second), n.boot)
}

// crash ends the process, with what workers it has.
func (n *node) crash() {
	s := n.s
	s.note("node %d crashes", n.id)
	n.e, n.gathering, n.committing, n.down = nil, nil, nil, true
	n.gen++
	for _, w := range s.workers {
		if w.home == n {
			w.forget()
		}
	}
	s.after(s.between(100*time.Millisecond, 12*time.Second), func() {
		n.down = false
		n.boot()
	})
}

// trouble is what the outside does to a process.
func (n *node) trouble() {
	s := n.s
	switch {
	case s.calm:
		return
	case s.fault("an engine crashes", 0.3):
		n.crash()
		return
	case s.fault("an engine stands still", 0.3):
		n.frozen = s.now + s.between(time.Second, 30*time.Second).Microseconds()
	case s.fault("a clock jumps", 0.5):
		d := s.between(-90*time.Second, 90*time.Second)
		n.offset += d
		until := n.e.until.Load().Add(d) // it is kept by the monotonic clock, which does not jump
		n.e.until.Store(&until)
		n.wakeAt = 0
		n.wake()
	}
	n.on(s.between(time.Second, 40*time.Second), n.trouble)
}

func (n *node) renew() {
	asked := n.clock()
	if l, ok := n.s.ledger.claim(n.holder); !ok || l.Epoch != n.e.lease.Epoch {
		n.end(errLeaseLost)
		return
	}
	n.e.ownedFrom(asked)
	n.on(leaseRenew, n.renew)
}

func (n *node) reap() {
	silent := n.e.pools.silent(n.clock())
	slices.SortFunc(silent, func(a, b *attempt) int { return strings.Compare(a.token, b.token) })
	for _, a := range silent {
		n.s.fired["a silent worker lost its claim"]++
		n.do(command(func(b *batch) (struct{}, error) { return struct{}{}, n.e.lost(b, a) }, func(struct{}, error) {}))
		if n.e == nil {
			return
		}
	}
	n.on(2*time.Second, n.reap)
}

// do is the loop taking a command out of its inbox.
func (n *node) do(f func(*batch)) {
	n.e.do(n.gathering, f)
	n.size++
	n.after()
}

// after is what the loop does between commands.
func (n *node) after() {
	s := n.s
	if len(n.e.poisoned) > 0 {
		s.wrong("runs were quarantined: %v", n.e.poisoned)
	}
	if n.size > 0 && n.committing == nil {
		n.committing = n.gathering
		n.gathering, n.size = n.e.newBatch(), 0
		n.e.evict()
		n.commit()
	}
	n.wake()
}

// wake sets the timer of the loop.
func (n *node) wake() {
	next := n.e.nextTimer()
	if next == 0 || next == n.wakeAt {
		return
	}
	n.wakeAt = next
	n.on(time.UnixMicro(next).Sub(n.clock()), func() {
		if n.wakeAt != next {
			return
		}
		n.wakeAt = 0
		if n.e.fireDue(n.gathering) {
			n.size++
		}
		n.after()
	})
}

// commit lets the store have a batch, and the engine the answer, each at its time.
func (n *node) commit() {
	s, e, b, gen := n.s, n.e, n.committing, n.gen
	latency := s.between(200*time.Microsecond, 8*time.Millisecond)
	if s.fault("a commit is slow", 0.02) {
		latency = s.between(time.Second, 45*time.Second)
	}
	fails := s.fault("a commit fails", 0.01)
	applied := !fails && s.fault("a commit is applied and fails", 0.01)
	crashes := s.fault("an engine crashes during a commit", 0.01)
	lost := crashes && s.r.IntN(2) == 0
	s.after(latency/2, func() {
		err := errors.New("it was refused")
		if n.gen != gen && s.r.IntN(2) == 0 {
			return // it had not left the process
		}
		if !fails && !lost {
			err = e.commit(s.ctx(), b)
		}
		if err != nil {
			s.note("node %d commit: %v", n.id, err)
		}
		if crashes && n.gen == gen {
			n.crash()
			return
		}
		if applied {
			err = errors.Join(err, errors.New("nobody knows"))
		}
		n.on(latency/2, func() { n.committed(b, err) })
	})
}

func (n *node) committed(b *batch, err error) {
	if n.committing != b {
		return
	}
	if err != nil {
		n.e.settle(n.s.ctx(), b, err)
		n.end(err)
		return
	}
	// Others get a turn between any two of the effects.
	b.release, b.answers = n.mixed(b.release), n.mixed(b.answers)
	n.e.settle(n.s.ctx(), b, nil)
	n.committing = nil
	n.after()
	if n.s.r.IntN(60) == 0 {
		n.compare()
	}
}

func (n *node) mixed(fs []func()) (out []func()) {
	for _, f := range fs {
		if n.s.r.IntN(4) == 0 {
			out = append(out, func() {
				w := n.s.workers[n.s.r.IntN(len(n.s.workers))]
				w.take(n)
			})
		}
		out = append(out, f)
	}
	return out
}

// compare says whether what is in memory and committed is what is stored.
func (n *node) compare() {
	if n.e == nil {
		return
	}
	for id, l := range n.e.runs {
		if l.batch > n.e.committed.Load() || n.s.ledger.epoch != n.e.lease.Epoch {
			continue
		}
		stored, err := n.s.load(id)
		if err != nil {
			n.s.wrong("run %s is in memory and cannot be loaded: %v", id, err)
			continue
		}
		if a, b := portrait(l), portrait(stored); a != b {
			n.s.wrong("run %s in memory is not as stored: %s", id, cmp.Diff(strings.Split(b, ","), strings.Split(a, ",")))
		}
	}
}

// call sends a command of somebody outside to an engine; answer comes, if it does, some time later.
func call[T any](s *sim, n *node, f func(*engine, *batch) (T, error), answer func(T, error)) {
	s.reach(n, func() {
		n.do(command(func(b *batch) (T, error) { return f(n.e, b) }, func(v T, err error) {
			if s.fault("an answer is lost", 0.03) {
				return
			}
			s.after(s.between(time.Microsecond, 20*time.Millisecond), func() { answer(v, err) })
		}))
	})
}

// reach delivers a message to an engine, if there is one.
func (s *sim) reach(n *node, f func()) {
	if s.fault("a message is lost", 0.02) {
		return
	}
	times := 1
	if s.fault("a message comes twice", 0.02) {
		times = 2
	}
	for range times {
		d := s.between(time.Microsecond, 20*time.Millisecond)
		if at := s.now + d.Microseconds(); at < n.lastAt {
			s.fired["a message overtakes another"]++
		} else {
			n.lastAt = at
		}
		s.after(d, func() {
			if n.e == nil {
				return
			}
			n.on(0, f)
		})
	}
}

// owner draws a process to talk to: mostly the one that owns the runs.
func (s *sim) owner() *node {
	if s.r.IntN(10) > 0 {
		for _, n := range s.nodes {
			if n.e != nil && n.e.lease.Epoch == s.ledger.epoch {
				return n
			}
		}
	}
	return s.nodes[s.r.IntN(len(s.nodes))]
}

// owns is engine.owns by the clock of the process.
func (n *node) owns() bool { return n.clock().Before(*n.e.until.Load()) }

func unavailable(err error) bool { return errs.Is(err, errs.Unavailable) }
