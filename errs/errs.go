// Package errs gives every error that may leave a service one of a closed set of kinds.
//
// The kind, the message for people, the places it points at and the hint are all that survive a
// trip over the bus or over HTTP; the kind is the only thing a caller in another service may
// branch on. Causes stay in the process that saw them, for its log.
package errs

import (
	"errors"
	"fmt"
	"strings"
	"time"
)

// Kind classifies an error. The zero Kind is Internal: an error nobody classified is our fault,
// never the caller's.
type Kind string

// The kinds, and the HTTP status each becomes (see Kind.Status).
const (
	Internal        Kind = ""
	Invalid         Kind = "invalid"
	Unauthenticated Kind = "unauthenticated"
	Denied          Kind = "denied"
	NotFound        Kind = "not_found"
	Conflict        Kind = "conflict"
	TooLarge        Kind = "too_large"
	Limited         Kind = "limited"
	Unavailable     Kind = "unavailable"
)

// Status returns the HTTP status of k.
func (k Kind) Status() int {
	switch k {
	case Invalid:
		return 422
	case Unauthenticated:
		return 401
	case Denied:
		return 403
	case NotFound:
		return 404
	case Conflict:
		return 409
	case TooLarge:
		return 413
	case Limited:
		return 429
	case Unavailable:
		return 503
	default:
		return 500
	}
}

// Problem is one thing wrong at one place, in words for the person who wrote the thing.
type Problem struct {
	// Location says where: "vm.yaml:12:9", or a path in the body such as "body.inputs.cpu".
	Location string `json:"location,omitempty"`
	Message  string `json:"message"`
	// Hint says what to do about it.
	Hint string `json:"hint,omitempty"`
}

// Error is an error with a kind and a message fit for the user's eyes.
type Error struct {
	Kind     Kind          `json:"kind"`
	Msg      string        `json:"detail"`
	Hint     string        `json:"hint,omitempty"`
	Problems []Problem     `json:"problems,omitempty"`
	Retry    time.Duration `json:"retry,omitempty"` // when to try again; 0 means unknown
	Err      error         `json:"-"`               // the cause, for our logs only; never sent
}

// Error returns the message, each problem on a line of its own.
func (e *Error) Error() string {
	if len(e.Problems) == 0 {
		return e.Msg
	}
	var b strings.Builder
	b.WriteString(e.Msg)
	for _, p := range e.Problems {
		b.WriteString("\n  ")
		if p.Location != "" {
			b.WriteString(p.Location + ": ")
		}
		b.WriteString(p.Message)
		if p.Hint != "" {
			b.WriteString(" (" + p.Hint + ")")
		}
	}
	return b.String()
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// New returns an error of kind k. The format may use %w; the cause is kept, and its text is part
// of the message.
func New(k Kind, format string, args ...any) *Error {
	err := fmt.Errorf(format, args...)
	return &Error{Kind: k, Msg: err.Error(), Err: errors.Unwrap(err)}
}

// WithHint sets what the user should do, and returns e.
func (e *Error) WithHint(format string, args ...any) *Error {
	e.Hint = fmt.Sprintf(format, args...)
	return e
}

// WithProblems sets the single things that are wrong, and returns e.
func (e *Error) WithProblems(ps ...Problem) *Error {
	e.Problems = ps
	return e
}

// KindOf returns the kind of the outermost *Error in err's tree, and Internal for any other.
func KindOf(err error) Kind {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Kind
	}
	return Internal
}

// Is reports whether err has kind k.
func Is(err error, k Kind) bool { return err != nil && KindOf(err) == k }

// Public returns what of err may be shown outside: its outermost *Error, or, for an error that is
// internal or that nobody classified, one that says nothing of the cause.
func Public(err error) *Error {
	e, ok := errors.AsType[*Error](err)
	if !ok || e.Kind == Internal {
		return &Error{Kind: Internal, Msg: "internal error; the server's log says more", Err: err}
	}
	return e
}
