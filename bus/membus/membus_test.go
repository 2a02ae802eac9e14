package membus_test

import (
	"testing"

	"tutti/bus"
	"tutti/bus/bustest"
	"tutti/bus/membus"
)

func TestBus(t *testing.T) {
	t.Parallel()
	bustest.Run(t, func(*testing.T) bus.Conn { return new(membus.Bus) })
}
