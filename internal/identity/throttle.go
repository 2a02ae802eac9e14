package identity

import (
	"maps"
	"sync"
	"time"

	"tutti/errs"
)

// throttle slows guessing down: every failed attempt takes from the bucket of its origin and from that
// of the user, which refill slowly. It lives in memory; a restart forgives.
type throttle struct {
	mu      sync.Mutex
	buckets map[string]bucket
}

type bucket struct {
	used float64 // attempts not yet forgiven
	at   time.Time
}

// rate says how many failures are free, and how long it takes until one of them is forgiven.
type rate struct {
	free    float64
	forgive time.Duration
}

var (
	perUser   = rate{free: 10, forgive: 6 * time.Second}
	perOrigin = rate{free: 30, forgive: 2 * time.Second}
)

// maxBuckets bounds the memory that guesses of many names from many places can take.
const maxBuckets = 50_000

func newThrottle() *throttle { return &throttle{buckets: map[string]bucket{}} }

// take counts an attempt as failed until refund is called, or returns errs.Limited. An empty origin
// or user is not counted.
func (t *throttle) take(origin, user string) (refund func(), err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := time.Now()
	if len(t.buckets) >= maxBuckets {
		t.shrink(now)
	}
	keys := map[string]rate{}
	if origin != "" {
		keys["from:"+origin] = perOrigin
	}
	if user != "" {
		keys["user:"+user] = perUser
	}
	for k, r := range keys {
		if b := t.refilled(k, r, now); b.used+1 > r.free {
			e := errs.New(errs.Limited, "too many failed attempts").WithHint("wait a moment before the next one")
			e.Retry = time.Duration((b.used+1-r.free)*float64(r.forgive)).Round(time.Second) + time.Second
			return nil, e
		}
	}
	for k, r := range keys {
		b := t.refilled(k, r, now)
		b.used++
		t.buckets[k] = b
	}
	return func() { t.refund(keys) }, nil
}

func (t *throttle) refilled(key string, r rate, now time.Time) bucket {
	b := t.buckets[key]
	b.used = max(0, b.used-float64(now.Sub(b.at))/float64(r.forgive))
	b.at = now
	return b
}

func (t *throttle) refund(keys map[string]rate) {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := time.Now()
	for k, r := range keys {
		b := t.refilled(k, r, now)
		if b.used = b.used - 1; b.used <= 0 {
			delete(t.buckets, k)
			continue
		}
		t.buckets[k] = b
	}
}

// shrink drops what is forgiven by now, and, where that is not enough, everything.
func (t *throttle) shrink(now time.Time) {
	maps.DeleteFunc(t.buckets, func(_ string, b bucket) bool { return now.Sub(b.at) > time.Duration(b.used*float64(perUser.forgive)) })
	if len(t.buckets) >= maxBuckets {
		clear(t.buckets)
	}
}
