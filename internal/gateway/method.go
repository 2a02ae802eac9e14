package gateway

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"time"

	"tutti/api"
	"tutti/bus"
	"tutti/errs"
)

// method returns the handler of op: it checks the input, asks the service as whoever calls, and passes
// the answer on.
func (g *Gateway) method(op *operation) handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		ctx := r.Context()
		if op.Info.Perm == bus.Open {
			if !sameOrigin(r, true) { // or another site could log a browser in as somebody else
				return crossSite()
			}
			defer g.opening.Add(-1)
			if g.opening.Add(1) > maxOpenCalls {
				return errs.New(errs.Limited, "too many people are logging in").WithHint("try again in a moment")
			}
			ctx = bus.WithCaller(ctx, bus.Caller{From: remote(r)})
		}
		in, err := g.input(w, r, op)
		if err != nil {
			return err
		}
		if op.Info.Name == api.Logout.Name {
			g.auth.forget(credentialOf(ctx).secret)
			g.setCookie(w, r, api.Session{})
		}
		out, err := g.ask(ctx, op, in.Interface())
		if err != nil {
			return err
		}
		if slices.Contains(openers, op.Info.Name) {
			if err := g.loggedIn(w, r, out); err != nil {
				return err
			}
		}
		status := op.Info.Status
		if status == 0 {
			status = http.StatusOK
		}
		send(w, status, "application/json", out)
		return nil
	}
}

// openers are the methods whose answer is a session.
var openers = []string{api.Login.Name, api.Bootstrap.Name, api.FollowLink.Name}

// ask makes the call of op and returns what it answers, as JSON. Calls of which there are many thousands a
// second are made without the carrier where the service is in this process.
func (g *Gateway) ask(ctx context.Context, op *operation, in any) ([]byte, error) {
	out, near, err := g.bus.Near(ctx, op.Info.Name, in)
	switch {
	case err != nil:
		return nil, err
	case near:
		return json.Marshal(out)
	}
	data, err := json.Marshal(in)
	if err != nil {
		return nil, fmt.Errorf("encode the input of %s: %w", op.Info.Name, err)
	}
	return g.bus.Raw(ctx, op.Info.Name, data)
}

// loggedIn keeps the session that identity opened in the browser.
func (g *Gateway) loggedIn(w http.ResponseWriter, r *http.Request, out []byte) error {
	var s api.Session
	if err := json.Unmarshal(out, &s); err != nil {
		return fmt.Errorf("decode the session: %w", err)
	}
	g.setCookie(w, r, s)
	note(r.Context(), s.Subject)
	return nil
}

const (
	// maxWait is the longest a call may ask to wait; longestWait what the service is asked for then, so
	// that its answer comes before the bus gives up.
	maxWait     = 60 * time.Second
	longestWait = 55 * time.Second
)

// input returns a pointer to the In of op as r gives it, checked, or all that is wrong with it.
func (g *Gateway) input(w http.ResponseWriter, r *http.Request, op *operation) (reflect.Value, error) {
	in := op.In()
	wrong := op.Decode(r, in)
	if len(wrong) == 0 {
		wrong = g.schema.checkParams(op, in)
	}
	for _, name := range []string{"wait", "preview"} {
		if p, ok := op.Param("query", name); ok && len(wrong) == 0 {
			wrong = boundWait(p.Of(in), "query."+name)
		}
	}
	if op.body != nil {
		raw, err := readBody(w, r, op.limit)
		if err != nil {
			return in, err
		}
		value, err := parse(raw)
		if err != nil {
			return in, err
		}
		if wrong = append(wrong, g.schema.checkBody(op.body, value)...); len(wrong) == 0 {
			wrong = decode(raw, op.BodyOf(in))
		}
	}
	if op.Info.Name == api.Logout.Name {
		in.Elem().Set(reflect.ValueOf(api.LogoutIn{Secret: credentialOf(r.Context()).secret}))
	}
	switch len(wrong) {
	case 0:
		return in, nil
	case 1:
		return in, errs.New(errs.Invalid, "one thing is wrong with the request").WithProblems(wrong...)
	}
	return in, errs.New(errs.Invalid, "%d things are wrong with the request", len(wrong)).WithProblems(wrong...)
}

// decode puts a body that passed its schema into v, and returns what is wrong with it all the same.
func decode(raw []byte, v reflect.Value) []errs.Problem {
	if err := json.Unmarshal(raw, v.Addr().Interface()); err != nil {
		return []errs.Problem{mismatch(err)}
	}
	if v.Kind() == reflect.Struct {
		if wait := v.FieldByName("Wait"); wait.IsValid() {
			return boundWait(wait, "body.wait")
		}
	}
	return nil
}

// boundWait refuses a wait that is too long.
func boundWait(v reflect.Value, at string) []errs.Problem {
	d, ok := v.Addr().Interface().(*api.Duration)
	if !ok {
		return nil
	}
	if time.Duration(*d) > maxWait {
		return []errs.Problem{{Location: at, Message: "longer than 60s", Hint: "wait 60s at most, and ask again"}}
	}
	*d = min(*d, api.Duration(longestWait))
	return nil
}

// mismatch words what the decoder has against a body that passed its schema, as an api.Duration that
// is none.
func mismatch(err error) errs.Problem {
	p := errs.Problem{Location: "body", Message: "does not fit"}
	if e, ok := errors.AsType[*errs.Error](err); ok {
		p.Message, p.Hint = e.Msg, e.Hint
	} else if e, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
		p.Location, p.Message = strings.TrimSuffix("body."+e.Field, "."), "expected "+typeName(e.Type)
	} else if e, ok := errors.AsType[*time.ParseError](err); ok {
		p.Message = "not a time" + e.Message
		p.Hint = "write times like 2026-01-31T09:30:00Z"
	}
	return p
}

// typeName says in words what a Go type takes.
func typeName(t reflect.Type) string {
	switch t.Kind() {
	case reflect.Int, reflect.Int64:
		return "a whole number that is not too large"
	case reflect.Slice:
		return "an array"
	case reflect.Struct, reflect.Map:
		return "an object"
	}
	return "a " + t.Kind().String()
}

// readBody returns the body of r, "{}" where there is none. It refuses what is not JSON by its type, and
// what is larger than limit.
func readBody(w http.ResponseWriter, r *http.Request, limit int64) ([]byte, error) {
	if t := r.Header.Get("Content-Type"); t != "" {
		m, _, err := mime.ParseMediaType(t)
		if err != nil || m != "application/json" && !(strings.HasPrefix(m, "application/") && strings.HasSuffix(m, "+json")) {
			e := errs.New(errs.Invalid, "the body is not JSON by its Content-Type").WithHint("send Content-Type: application/json")
			return nil, &answer{err: e, status: http.StatusUnsupportedMediaType}
		}
	}
	if r.ContentLength > limit {
		return nil, tooLarge(limit)
	}
	c := http.NewResponseController(w)
	_ = c.SetReadDeadline(time.Now().Add(bodyTime)) // where there is a connection
	b, err := io.ReadAll(http.MaxBytesReader(w, r.Body, limit))
	// Without a deadline again: the server reads on, to see the far side leave.
	_ = c.SetReadDeadline(time.Time{})
	if err != nil {
		if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
			return nil, tooLarge(limit)
		}
		return nil, malformed("the body broke off: %w", err)
	}
	if len(bytes.TrimSpace(b)) == 0 {
		return []byte("{}"), nil
	}
	return b, nil
}

func tooLarge(limit int64) error {
	return errs.New(errs.TooLarge, "the body is larger than %d bytes", limit).WithHint("large content is uploaded as a file")
}
