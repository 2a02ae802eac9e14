package exectask

import (
	"context"
	"runtime"

	"tutti/sdk"
)

// Places bound how many programs run at a time, of all that share them; nil is no bound. A worker has far
// more slots than a machine can run programs: most tasks only wait for somebody.
type Places chan struct{}

// NewPlaces returns n places; 0 is four for each processor.
func NewPlaces(n int) Places {
	if n <= 0 {
		n = 4 * runtime.GOMAXPROCS(0)
	}
	return make(Places, n)
}

// place waits for a place, says so, and returns what gives it back. A program that an attempt before
// started runs already: it gets one where there is one and does not wait, so that it is heard and can be
// cancelled.
func (p *programs) place(ctx context.Context, t *sdk.Task) (free func(), err error) {
	if p.places == nil {
		return func() {}, nil
	}
	free = func() { <-p.places }
	select {
	case p.places <- struct{}{}:
		return free, nil
	default:
	}
	var h handle
	if found, err := t.Var(variable, &h); err == nil && found && !h.Settled {
		return func() {}, nil
	}
	t.Logf("waiting: %d programs run already", cap(p.places))
	select {
	case p.places <- struct{}{}:
		return free, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}
