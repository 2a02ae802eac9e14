package rollout

import "time"

// estimate returns when the turn may end: the waves that are left, each of as many rounds as
// its targets need of the batch, at the pace of the targets so far, and their bakes. Gates are taken to
// answer at once. The zero time where nothing goes on, or nothing has been seen of the pace.
func (r *Rollout) estimate() time.Time {
	h, p := &r.head, &r.head.Policy
	took := max(h.Took, r.soak())
	if h.Paused != nil || took == 0 {
		return time.Time{}
	}
	busy := r.counts[Pending] + r.counts[Wavering]
	switch h.State {
	case RollingBack:
		batch := max(1, p.batch(r.Len()))
		rounds := (r.candidates + busy + batch - 1) / batch
		return at(r.now + int64(rounds)*max(1, h.Took-p.Soak.Microseconds()))
	case Rolling:
	default:
		return time.Time{}
	}
	n := r.total()
	batch := max(1, p.batch(n))
	end, asked := r.now, r.touched()-busy
	for wave := h.Wave; wave < p.waves(); wave++ {
		size := p.size(wave, n)
		if rounds := (size - asked + batch - 1) / batch; rounds > 0 {
			end += int64(rounds) * took
			asked = size
		}
		if h.Promoted {
			continue
		}
		if wave == h.Wave && h.Settled != 0 {
			end = max(end, h.Settled+p.bake(wave).Microseconds())
		} else {
			end += p.bake(wave).Microseconds()
		}
	}
	return at(end)
}
