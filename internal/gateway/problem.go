package gateway

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"math"
	"net/http"
	"strconv"

	"tutti/bus"
	"tutti/errs"
)

// ErrorDocument is the body of every answer that is not a success, after RFC 9457.
type ErrorDocument struct {
	Type   string `json:"type" doc:"Always about:blank; kind says what it is"`
	Title  string `json:"title"`
	Status int    `json:"status"`
	// Kind is the kind of the error, "internal" included.
	Kind     string         `json:"kind" enum:"invalid,unauthenticated,denied,not_found,conflict,too_large,limited,unavailable,internal"`
	Detail   string         `json:"detail" doc:"What was wrong"`
	Hint     string         `json:"hint,omitempty" doc:"What to do about it"`
	Problems []errs.Problem `json:"problems,omitempty" doc:"Each thing wrong, and where"`
	Trace    string         `json:"trace" doc:"Trace ID of the call, as in the server's log"`
}

// maxProblems bounds how many things wrong are told at once.
const maxProblems = 50

// answer is an error that has a status, or headers, beyond what its kind says.
type answer struct {
	err    error
	status int
	header http.Header
}

func (a *answer) Error() string { return a.err.Error() }

func (a *answer) Unwrap() error { return a.err }

// malformed returns the error of something that is not even what it should be checked as: 400.
func malformed(format string, args ...any) error {
	return &answer{err: errs.New(errs.Invalid, format, args...), status: http.StatusBadRequest}
}

// document returns the problem document of err, for a call with the given trace.
func document(err error, trace string) ErrorDocument {
	e := errs.Public(err)
	p := ErrorDocument{
		Type: "about:blank", Status: e.Kind.Status(), Kind: cmp.Or(string(e.Kind), "internal"), Detail: e.Msg, Hint: e.Hint,
		Problems: e.Problems, Trace: trace,
	}
	if a, ok := errors.AsType[*answer](err); ok && a.status != 0 {
		p.Status = a.status
	}
	if n := len(p.Problems); n > maxProblems {
		p.Problems = append(p.Problems[:maxProblems:maxProblems], errs.Problem{Message: strconv.Itoa(n-maxProblems) + " more"})
	}
	p.Title = http.StatusText(p.Status)
	return p
}

// fail answers with err, and logs it where it is the server's own fault.
func (g *Gateway) fail(w http.ResponseWriter, r *http.Request, err error) {
	trace := bus.TraceFrom(r.Context())
	if r.Context().Err() != nil && errors.Is(context.Cause(r.Context()), context.Canceled) {
		err = errs.New(errs.Unavailable, "the call was cut off: %w", err)
	}
	p := document(err, trace)
	h := w.Header()
	if a, ok := errors.AsType[*answer](err); ok {
		for k, v := range a.header {
			h[k] = v
		}
	}
	switch errs.KindOf(err) {
	case errs.Internal:
		g.log.Error("call failed", "method", r.Method, "route", r.Pattern, "trace", trace, "err", err)
	case errs.Unauthenticated:
		h.Set("WWW-Authenticate", "Bearer")
	case errs.Limited, errs.Unavailable:
		h.Set("Retry-After", strconv.Itoa(max(1, int(math.Ceil(errs.Public(err).Retry.Seconds())))))
	}
	b, _ := json.Marshal(p) // strings and numbers
	send(w, p.Status, "application/problem+json", b)
}
