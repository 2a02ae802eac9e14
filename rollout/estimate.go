package rollout

import "time"

// Ready returns when the turn may end, if all goes as it went so far, as it looks at now: never before. Status has the
// same as it looked in the last step. The zero time where nothing goes on, or nothing has been seen of the pace.
func (r *Rollout) Ready(now time.Time) time.Time { return r.estimate(max(r.now, now.UnixMicro())) }

// estimate returns when the turn may end: the waves that are left, each of as many rounds as
// its targets need of the batch, at the pace of the targets so far, and their bakes. Gates are taken to
// answer at once. now is the time of whoever asks, before which nothing more can happen. The zero time where nothing goes on, or nothing has been seen of the pace.
func (r *Rollout) estimate(now int64) time.Time {
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
		return at(now + int64(rounds)*max(1, h.Took-p.Soak.Microseconds()))
	case Rolling:
	default:
		return time.Time{}
	}
	n := r.total()
	batch := max(1, p.batch(n))
	end, asked := now, r.touched()-busy
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
