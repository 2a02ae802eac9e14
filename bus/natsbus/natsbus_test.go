package natsbus_test

import (
	"context"
	"log/slog"
	"testing"

	"tutti/bus"
	"tutti/bus/bustest"
	"tutti/bus/membus"
	"tutti/bus/natsbus"
)

func open(t testing.TB) bus.Conn {
	b, err := natsbus.Open("", slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.Close)
	return b
}

func TestBus(t *testing.T) {
	t.Parallel()
	bustest.Run(t, func(t *testing.T) bus.Conn { return open(t) })
}

type msg struct{ Workflow, Trace string }

var echo = bus.Method[msg, msg]{Name: "bench.echo", Perm: bus.Anyone}

func BenchmarkCall(b *testing.B) {
	f := func(_ context.Context, i msg) (msg, error) { return i, nil }
	run := func(name string, c bus.Conn) {
		b.Run(name, func(b *testing.B) {
			x := bustest.Bus(c)
			if err := echo.Handle(b.Context(), x, f); err != nil {
				b.Fatal(err)
			}
			ctx := bus.AsService(b.Context(), "bench")
			for b.Loop() {
				if _, err := echo.Call(ctx, x, msg{"vm", "t1"}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
	run("membus", new(membus.Bus))
	run("natsbus", open(b))
}
