package app

import "testing"

func TestResting(t *testing.T) {
	t.Parallel()
	const mb = 1 << 20
	var r resting
	for i, look := range []struct {
		allocated uint64 // since the last look
		want      bool
	}{
		{20 * mb, false},  // starting
		{1 * mb, false},   // idle, but little was allocated
		{500 * mb, false}, // a flood
		{500 * mb, false},
		{1 * mb, true},
		{1 * mb, false}, // done already
		{7 * mb, false},
		{200 * mb, false},
		{9 * mb, false}, // it goes on
		{0, true},
	} {
		all := r.before + look.allocated
		if got := r.due(all); got != look.want {
			t.Errorf("look %d: due after another %d bytes = %v; want %v", i, look.allocated, got, look.want)
		}
	}
}
