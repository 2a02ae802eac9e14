package natsbus_test

import (
	"context"
	"testing"
	"time"

	"tutti/bus"
	"tutti/bus/bustest"
	"tutti/errs"
)

// A call that is on its way when a handler ends is answered, or refused at once: it never waits in vain.
func TestEndOfHandlerLosesNoCall(t *testing.T) {
	t.Parallel()
	b := bustest.Bus(open(t))
	caller, done := context.WithTimeout(bus.AsService(t.Context(), "test"), 30*time.Second) // less than a call may take
	defer done()
	for range 50 {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		if err := echo.Handle(ctx, b, func(_ context.Context, m msg) (msg, error) { return m, nil }); err != nil {
			t.Fatal(err)
		}
		answers := make(chan error, 64)
		for i := range cap(answers) {
			go func() {
				_, err := echo.Call(caller, b, msg{Workflow: "w"})
				answers <- err
			}()
			if i == cap(answers)/2 {
				cancel()
			}
		}
		for range cap(answers) {
			if err := <-answers; err != nil && (!errs.Is(err, errs.Unavailable) || caller.Err() != nil) {
				t.Fatalf("a call while its handler ended: %v; want an answer or unavailable", err)
			}
		}
	}
}
