package app

import (
	"context"
	"runtime/debug"
	"runtime/metrics"
	"time"
)

const (
	// lull is how often a process looks whether a flood of work is over.
	lull = 5 * time.Second
	// quiet is less than a working process allocates in lull, and more than an idle one, in bytes.
	quiet = 8 << 20
	// flood is how much must have been allocated for it to be worth giving memory back.
	flood = 128 << 20
)

// giveBack returns memory to the system that a flood of work took and nobody needs once it is over. By
// itself Go keeps it for minutes, and what is dead of it until the next collection.
func giveBack(ctx context.Context) {
	t := time.NewTicker(lull)
	defer t.Stop()
	s := []metrics.Sample{{Name: "/gc/heap/allocs:bytes"}}
	var r resting
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
		}
		metrics.Read(s)
		if r.due(s[0].Value.Uint64()) {
			debug.FreeOSMemory()
		}
	}
}

// resting tells when a flood is over.
type resting struct {
	before, freed uint64 // what had been allocated at the last look, and when memory was given back
}

// due reports, given all that was ever allocated, whether memory should be given back now: nothing much
// was allocated since the last look, but much since it was given back last.
func (r *resting) due(allocated uint64) bool {
	now := allocated-r.before < quiet && allocated-r.freed >= flood
	r.before = allocated
	if now {
		r.freed = allocated
	}
	return now
}
