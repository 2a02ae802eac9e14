package workflow

import (
	"crypto/rand"
	"encoding/base32"
	"slices"
	"strings"
	"sync"
	"time"

	"tutti/api"
	"tutti/errs"
	"tutti/internal/workflow/core"
)

// pools hold the attempts that are ready for workers and the claims of those that have one. They are
// derived: a starting engine fills them from the runs it loads.
type pools struct {
	mu     sync.Mutex
	pools  map[string]*pool
	open   map[attemptKey]*attempt // queued or claimed
	claims map[string]*attempt     // by token
	fence  int64
	now    func() time.Time
	nonce  func() string // that nobody can guess
}

type attemptKey struct {
	run  api.RunID
	path string
}

// attempt is one in the hands of the pools.
type attempt struct {
	core.Dispatch
	meta    *core.Meta
	token   string // "" while it is queued
	worker  string
	seen    time.Time // last sign of life of its claim
	durable bool      // the claim is in the journal
	cancel  bool
	parked  bool
	gone    bool // ended while it was queued
	queued  time.Time
}

type pool struct {
	classes []*class      // by priority, highest first
	wake    chan struct{} // closed when something was added
}

// class holds the attempts of one priority: a queue per namespace and task type, asked in turn.
type class struct {
	priority int
	queues   []*queue
	turn     int
}

type queue struct {
	namespace, typ string
	items          []*attempt
}

func newPools(epoch int64) *pools {
	return &pools{pools: map[string]*pool{}, open: map[attemptKey]*attempt{}, claims: map[string]*attempt{}, fence: epoch << 40, now: time.Now, nonce: nonce}
}

func (p *pools) pool(name string) *pool {
	q := p.pools[name]
	if q == nil {
		q = &pool{wake: make(chan struct{})}
		p.pools[name] = q
	}
	return q
}

// add queues attempts, or, where a worker held one durably, renews its claim.
func (p *pools) add(meta *core.Meta, ds []core.Dispatch, parked func(core.AttemptRef) bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, d := range ds {
		a := &attempt{Dispatch: d, meta: meta, queued: p.now()}
		key := attemptKey{meta.ID, d.Path}
		if old := p.open[key]; old != nil {
			p.forget(key, old)
		}
		p.open[key] = a
		if d.Claim != "" {
			a.token, a.worker, a.seen, a.durable = tokenOf(meta.ID, d.Claim), d.Worker, p.now(), true
			a.parked = parked != nil && parked(d.AttemptRef)
			p.claims[a.token] = a
			continue
		}
		q := p.pool(d.Pool)
		q.push(a)
		close(q.wake)
		q.wake = make(chan struct{})
	}
}

func (q *pool) push(a *attempt) {
	i, ok := slices.BinarySearchFunc(q.classes, a.Priority, func(c *class, p int) int { return p - c.priority })
	if !ok {
		q.classes = slices.Insert(q.classes, i, &class{priority: a.Priority})
	}
	c := q.classes[i]
	for _, k := range c.queues {
		if k.namespace == a.meta.Namespace && k.typ == a.Use {
			k.items = append(k.items, a)
			return
		}
	}
	c.queues = append(c.queues, &queue{a.meta.Namespace, a.Use, []*attempt{a}})
}

// next takes the next attempt that fits out of the queues, in turn, or returns nil.
func (c *class) next(namespace string, types map[string]bool) *attempt {
	for range c.queues {
		k := c.queues[c.turn%len(c.queues)]
		c.turn++
		if a := k.pop(namespace, types); a != nil {
			return a
		}
	}
	return nil
}

// maxAnswer bounds the inputs and variables of one answer to a poll, in bytes, so that it fits into a
// message of the bus; one attempt more may go over it.
const maxAnswer = 4 << 20

// take claims up to n queued attempts for a worker, those of a higher priority first; namespace "*" takes
// of all in turn.
func (p *pools) take(name, namespace, worker string, types map[string]bool, n int) (out []*attempt, wake <-chan struct{}) {
	p.mu.Lock()
	defer p.mu.Unlock()
	q := p.pool(name)
	now := p.now()
	size := 0
	for i := 0; i < len(q.classes) && len(out) < n && size < maxAnswer; {
		a := q.classes[i].next(namespace, types)
		if a == nil {
			i++
			continue
		}
		a.token, a.worker, a.seen = tokenOf(a.meta.ID, p.nonce()), worker, now
		p.claims[a.token] = a
		out = append(out, a)
		size += len(a.Input)
		for _, v := range a.Vars {
			size += len(v)
		}
	}
	return out, q.wake
}

func (k *queue) pop(namespace string, types map[string]bool) *attempt {
	if namespace != "*" && k.namespace != namespace || len(types) > 0 && !types[k.typ] {
		return nil
	}
	for len(k.items) > 0 {
		a := k.items[0]
		k.items[0] = nil
		k.items = k.items[1:]
		if !a.gone {
			return a
		}
	}
	return nil
}

func (p *pools) nextFence() int64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.fence++
	return p.fence
}

// claim returns the attempt a token is for, in the namespace, and notes the sign of life.
func (p *pools) claim(namespace, token string) (*attempt, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	a := p.claims[token]
	if a == nil || namespace != "*" && a.meta.Namespace != namespace {
		return nil, errs.New(errs.Conflict, "this claim is no longer valid").WithHint("stop working on it; another attempt has or will have it")
	}
	a.seen = p.now()
	return a, nil
}

// ended takes an attempt out once it is over, whoever ended it.
func (p *pools) ended(run api.RunID, path string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	key := attemptKey{run, path}
	if a := p.open[key]; a != nil {
		p.forget(key, a)
	}
}

func (p *pools) forget(key attemptKey, a *attempt) {
	delete(p.open, key)
	delete(p.claims, a.token)
	a.gone = true
}

// keep notes that the claim of a token is in the journal, and returns the name of its worker; "" where
// there is none.
func (p *pools) keep(token string) (worker string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if a := p.claims[token]; a != nil {
		a.durable, worker = true, a.worker
	}
	return worker
}

// park keeps the claim of an attempt that waits for a callback.
func (p *pools) park(run api.RunID, path string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if a := p.open[attemptKey{run, path}]; a != nil {
		a.parked, a.durable = true, true
	}
}

// cancel marks a claimed attempt to be stopped. It reports claimed=false for one that is only queued,
// which it takes out.
func (p *pools) cancel(run api.RunID, ref core.AttemptRef) (claimed bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	key := attemptKey{run, ref.Path}
	a := p.open[key]
	if a == nil || a.Attempt != ref.Attempt {
		return false
	}
	if a.token == "" || a.parked {
		p.forget(key, a)
		return false
	}
	a.cancel = true
	return true
}

// beat notes signs of life and says which claims to stop, which are lost, and which have lived long
// enough to be made durable.
func (p *pools) beat(namespace string, tokens []string) (out api.HeartbeatOut, young []*attempt) {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := p.now()
	for _, t := range tokens {
		a := p.claims[t]
		switch {
		case a == nil || namespace != "*" && a.meta.Namespace != namespace:
			out.Lost = append(out.Lost, t)
			continue
		case a.cancel:
			out.Cancel = append(out.Cancel, t)
		case !a.durable:
			a.durable = true
			young = append(young, a)
		}
		a.seen = now
	}
	return out, young
}

// silent returns the claims without a sign of life for too long.
func (p *pools) silent(now time.Time) (out []*attempt) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, a := range p.claims {
		if !a.parked && now.Sub(a.seen) > api.ClaimTTL {
			out = append(out, a)
		}
	}
	return out
}

var tokenEncoding = base32.NewEncoding("0123456789abcdefghjkmnpqrstvwxyz").WithPadding(base32.NoPadding)

func nonce() string {
	var b [15]byte
	_, _ = rand.Read(b[:]) // never fails
	return tokenEncoding.EncodeToString(b[:])
}

// A token names its run, so that one that outlived a restart finds its way, and a nonce nobody can guess.
func tokenOf(run api.RunID, nonce string) string { return string(run) + "." + nonce }

func splitToken(t string) (run api.RunID, nonce string, ok bool) {
	r, n, ok := strings.Cut(t, ".")
	return api.RunID(r), n, ok
}
