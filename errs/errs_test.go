package errs_test

import (
	"errors"
	"fmt"
	"testing"

	"tutti/errs"
)

func TestKindOf(t *testing.T) {
	t.Parallel()
	cause := errors.New("disk on fire")
	for _, tc := range []struct {
		name string
		err  error
		want errs.Kind
	}{
		{"nobody classified it", cause, errs.Internal},
		{"classified", errs.New(errs.NotFound, "no run %q", "r"), errs.NotFound},
		{"wrapped", fmt.Errorf("start: %w", errs.New(errs.Conflict, "taken")), errs.Conflict},
		{"outermost wins", errs.New(errs.Invalid, "bad: %w", errs.New(errs.NotFound, "x")), errs.Invalid},
	} {
		if got := errs.KindOf(tc.err); got != tc.want {
			t.Errorf("%s: KindOf(%v) = %q; want %q", tc.name, tc.err, got, tc.want)
		}
	}
	if !errors.Is(errs.New(errs.Internal, "write: %w", cause), cause) {
		t.Error("the cause is lost")
	}
}

func TestPublicHidesUnclassified(t *testing.T) {
	t.Parallel()
	if got := errs.Public(errors.New("password is hunter2")).Error(); got != "internal error; the server's log says more" {
		t.Errorf("Public = %q", got)
	}
}
