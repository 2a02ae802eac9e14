package nooptask_test

import (
	"encoding/json"
	"testing"

	"tutti/internal/task/nooptask"
	"tutti/internal/task/tasktest"
)

func TestSuite(t *testing.T) {
	t.Parallel()
	same := func(want string) func(*testing.T, json.RawMessage) {
		return func(t *testing.T, out json.RawMessage) {
			if string(out) != want {
				t.Errorf("out = %s; want %s", out, want)
			}
		}
	}
	tasktest.Run(t, nooptask.New(), tasktest.Cases{Good: []tasktest.Case{
		{With: map[string]any{"a": 12345678901234567}, Check: same(`{"a":12345678901234567}`)},
		{With: []any{nil, "x"}, Check: same(`[null,"x"]`)},
	}})
}
