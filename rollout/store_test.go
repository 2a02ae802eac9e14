package rollout_test

import (
	"testing"

	"tutti/rollout"
	"tutti/rollout/rollouttest"
)

func TestMemory(t *testing.T) {
	t.Parallel()
	rollouttest.Run(t, func(*testing.T) rollout.Store { return &rollout.Memory{} })
}
