package rollouts

import (
	"cmp"
	"context"
	"slices"

	"tutti/api"
	"tutti/rollout"
)

// maxCells is how many targets the answer of cells holds.
const maxCells = 1_000_000

// letters are the letters of outcomes.
var letters = map[rollout.Outcome]byte{
	rollout.Untouched: 'u', rollout.Pending: 'p', rollout.Wavering: 'w', rollout.Succeeded: 's', rollout.Failing: 'f',
}

// cells answers with all targets of an entity, a letter each.
func (s *Service) cells(ctx context.Context, in api.RolloutIn) (api.RolloutCells, error) {
	var out api.RolloutCells
	key, err := keyOf(in)
	if err != nil {
		return out, err
	}
	type cell struct {
		asked  int64
		letter byte
	}
	var cells []cell
	err = s.engine.View(ctx, key, func(r *rollout.Rollout) {
		cells = make([]cell, 0, r.Len())
		for t := range r.Targets() {
			c := cell{asked: 1<<63 - 1, letter: letters[t.Outcome]}
			if t.Outcome != rollout.Untouched {
				c.asked = t.Asked.UnixMicro()
			} else if t.Silent {
				c.letter = 'x'
			}
			cells = append(cells, c)
		}
	})
	if err != nil {
		return out, public(err, key)
	}
	slices.SortStableFunc(cells, func(a, b cell) int { return cmp.Compare(a.asked, b.asked) })
	out.Truncated = len(cells) > maxCells
	text := make([]byte, min(len(cells), maxCells))
	for i := range text {
		text[i] = cells[i].letter
	}
	out.Cells = string(text)
	return out, nil
}
