package gateway

import (
	"context"
	"encoding/json"
	"slices"
	"sync"
	"time"

	"tutti/bus"
	"tutti/errs"
)

// hub lets those who follow the same thing share the reading of it: what comes is read and written as
// JSON once, however many follow.
type hub struct {
	bus *bus.Bus
	mu  sync.Mutex
	of  map[string]*shared
}

const (
	// ringFrames and ringBytes bound what is kept of a topic for those who are a little behind.
	ringFrames = 2000
	ringBytes  = 4 << 20
)

// frame is one message of a topic, ready to be sent.
type frame struct {
	pos  int64
	typ  string
	data []byte // nil moves the cursor without telling the client
}

// shared is a topic that somebody follows.
type shared struct {
	src    *source
	cancel context.CancelFunc
	wake   chan struct{}
	begun  int64 // where it began

	mu        sync.Mutex
	followers map[*source]func()
	ring      []frame
	size      int
	base      int64 // the ring holds all that came after this
	last      int64 // read up to here
	ended     bool
	err       error
}

// follow joins whoever follows src under key, beginning at a position if nobody does yet. changed is
// called, and must not block, when there may be more. It ends with ctx.
func (h *hub) follow(ctx context.Context, key string, src *source, pos int64, changed func()) (*shared, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	sh := h.of[key]
	if sh == nil {
		switch {
		case src.snapshot:
			pos = 0
		case src.live:
			pos = time.Now().UnixMicro()
		}
		run, cancel := context.WithCancel(bus.AsService(context.WithoutCancel(ctx), "gateway"))
		sh = &shared{src: src, cancel: cancel, wake: make(chan struct{}, 1), followers: map[*source]func(){}, begun: pos, base: pos, last: pos}
		for _, subject := range src.wakes {
			err := h.bus.Subscribe(run, subject, func(subject string, _ []byte) {
				if src.heard != nil && !src.heard(subject) {
					return
				}
				sh.stir()
			})
			if err != nil {
				cancel()
				return nil, err
			}
		}
		if h.of == nil {
			h.of = map[string]*shared{}
		}
		h.of[key] = sh
		go sh.pump(run)
	}
	sh.mu.Lock()
	sh.followers[src] = changed
	sh.mu.Unlock()
	context.AfterFunc(ctx, func() { h.leave(key, sh, src) })
	return sh, nil
}

// leave ends the reading of what nobody follows any more.
func (h *hub) leave(key string, sh *shared, src *source) {
	h.mu.Lock()
	defer h.mu.Unlock()
	sh.mu.Lock()
	defer sh.mu.Unlock()
	delete(sh.followers, src)
	if len(sh.followers) > 0 {
		return
	}
	sh.cancel()
	if h.of[key] == sh {
		delete(h.of, key)
	}
}

// stir makes the pump look; it never blocks.
func (sh *shared) stir() {
	select {
	case sh.wake <- struct{}{}:
	default:
	}
}

// pump reads what comes until ctx ends, the topic ends, or it cannot be read.
func (sh *shared) pump(ctx context.Context) {
	look := time.NewTicker(lookEvery)
	defer look.Stop()
	for {
		more, err := sh.read(ctx)
		if err != nil && !errs.Is(err, errs.Unavailable) || sh.over() {
			sh.tell(err)
			return
		}
		if more {
			continue
		}
		// What comes in the meantime is read at once: it costs each follower one write.
		if !pause(ctx, sh.src.every) {
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-sh.wake:
		case <-look.C:
		}
	}
}

func pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}

func (sh *shared) over() bool {
	sh.mu.Lock()
	defer sh.mu.Unlock()
	return sh.ended
}

// read takes in one page.
func (sh *shared) read(ctx context.Context) (more bool, err error) {
	items, more, ended, err := sh.src.read(ctx, sh.last)
	if err != nil {
		return false, err
	}
	frames, err := framed(sh.src, items)
	if err != nil {
		return false, err
	}
	if len(frames) == 0 && !ended {
		return more, nil
	}
	sh.mu.Lock()
	if sh.src.snapshot {
		sh.ring, sh.size = nil, 0
	}
	for _, f := range frames {
		sh.last = f.pos
		if f.data != nil {
			sh.ring = append(sh.ring, f)
			sh.size += len(f.data)
		}
	}
	drop := 0
	for len(sh.ring)-drop > ringFrames || sh.size > ringBytes && drop < len(sh.ring)-1 {
		sh.size -= len(sh.ring[drop].data)
		sh.base = sh.ring[drop].pos
		drop++
	}
	sh.ring = slices.Delete(sh.ring, 0, drop)
	sh.ended = ended
	sh.mu.Unlock()
	sh.tell(nil)
	return more, nil
}

// tell lets the followers look.
func (sh *shared) tell(err error) {
	sh.mu.Lock()
	defer sh.mu.Unlock()
	if err != nil {
		sh.err = err
	}
	for _, changed := range sh.followers {
		changed()
	}
}

// after returns what came after a position; behind says that it begins too late for that.
func (sh *shared) after(pos int64) (frames []frame, behind, ended bool, err error) {
	sh.mu.Lock()
	defer sh.mu.Unlock()
	if sh.err != nil {
		return nil, false, false, sh.err
	}
	if sh.src.snapshot {
		if len(sh.ring) > 0 && sh.ring[0].pos != pos {
			frames = slices.Clone(sh.ring)
		}
		return frames, false, sh.ended, nil
	}
	if pos < sh.base {
		return nil, true, false, nil
	}
	i := len(sh.ring)
	for i > 0 && sh.ring[i-1].pos > pos {
		i--
	}
	return slices.Clone(sh.ring[i:]), false, sh.ended, nil
}

// framed writes items as they are sent.
func framed(src *source, items []item) ([]frame, error) {
	frames := make([]frame, len(items))
	for i, x := range items {
		frames[i].pos, frames[i].typ = x.pos, x.typ
		if x.data == nil {
			continue
		}
		data, err := json.Marshal(struct {
			Data  any    `json:"data"`
			Topic string `json:"topic"`
		}{x.data, src.topic})
		if err != nil {
			return nil, err
		}
		frames[i].data = data
	}
	return frames, nil
}
