package sdk

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"regexp"
	"runtime/debug"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"tutti/api"
	"tutti/errs"
	"tutti/internal/redact"
)

// maxWords bounds a failure's message and hint, in bytes.
const maxWords = 32 << 10

// attempt carries a out and returns what to report. ctx is the attempt's, life the session's.
func (s *session) attempt(ctx, life context.Context, a *api.Assignment) api.Result {
	typ := s.types[a.Type]
	if typ == nil && s.Find != nil {
		var err error
		if typ, err = s.Find(ctx, a); err != nil {
			return failed(a.Token, FailureOf(err))
		}
	}
	if typ == nil {
		return failed(a.Token, api.Failure{Type: FailUnknown,
			Message: fmt.Sprintf("worker %s has no task type %q", s.Name, a.Type),
			Hint:    fmt.Sprintf("send the task to a pool whose workers have it; this one has %s", strings.Join(s.names, ", "))})
	}
	if s.Context != nil {
		ctx = s.Context(ctx, a)
	}
	if a.Timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, time.Duration(a.Timeout), ErrTimeout)
		defer cancel()
	}
	p := &port{s: s, a: a}
	p.open = func() *lines { return p.openLog(ctx, life) }
	r := s.outcome(ctx, a, typ, p)
	p.close()
	clean(&r, p.secrets())
	return r
}

// outcome runs the type and translates how it ended.
func (s *session) outcome(ctx context.Context, a *api.Assignment, typ TaskType, p *port) (r api.Result) {
	defer func() {
		if v := recover(); v != nil {
			text := fmt.Sprintf("the task type %s panicked: %v", a.Type, v)
			stack := string(debug.Stack())
			if red := p.secrets(); red != nil {
				text, stack = red.String(text), red.String(stack)
			}
			s.Log.Error("a task type panicked", "type", a.Type, "run", a.Run, "task", a.Task, "panic", text, "stack", stack)
			r = failed(a.Token, api.Failure{Type: FailPanic, Message: text, Hint: "this is a fault of the task type; the worker's log has the stack"})
		}
	}()
	res, err := typ.Do(ctx, NewTask(*a, p))
	if err == nil {
		if r, err = res.Wire(a.Token); err == nil {
			if n := sizeOf(&r); n > MaxOutput {
				return failed(a.Token, api.Failure{Type: FailTooLarge,
					Message: fmt.Sprintf("output too large: %s returned %d bytes of JSON, of at most %d", a.Type, n, MaxOutput),
					Hint:    "return less, or store it as a file (file.put) and return its ID"})
			}
			return r
		}
	}
	if ctx.Err() != nil {
		switch context.Cause(ctx) {
		case ErrStopping:
			return api.Result{Token: a.Token, Outcome: api.Interrupted}
		case ErrTimeout:
			return failed(a.Token, api.Failure{Type: FailTimeout, Retryable: true,
				Message: fmt.Sprintf("%s did not end within %s%s", a.Task, a.Timeout, beyond(err))})
		case ErrCancelled:
			return failed(a.Token, api.Failure{Type: FailCancelled, Message: "the task was cancelled" + beyond(err)})
		}
	}
	return failed(a.Token, FailureOf(err))
}

// beyond returns what err says beyond that the context ended.
func beyond(err error) string {
	if _, ok := err.(*TaskError); ok {
		return ": " + err.Error()
	}
	return ""
}

// failed returns the result of a failure, cut to a size that can be reported.
func failed(token string, f api.Failure) api.Result {
	f.Message, f.Hint = cut(f.Message), cut(f.Hint)
	if b, err := json.Marshal(f.Details); err != nil || len(b) > MaxOutput/2 {
		f.Details = map[string]any{"omitted": "the details were too large, or no JSON"}
	}
	return api.Result{Token: token, Outcome: api.FailedTask, Failure: &f}
}

// cut returns s, or the beginning of it that fits into maxWords.
func cut(s string) string {
	if len(s) <= maxWords {
		return s
	}
	n := maxWords
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n] + "…"
}

// sizeOf returns about how many bytes of JSON r takes.
func sizeOf(r *api.Result) int {
	n := len(r.Out) + len(r.Tasks) + len(r.Outputs) + len(r.Handle) + len(r.Token)
	if f := r.Failure; f != nil {
		n += len(f.Message) + len(f.Hint)
		if f.Details != nil {
			b, _ := json.Marshal(f.Details) // failed saw to it that it can be
			n += len(b)
		}
	}
	return n
}

// clean replaces the secrets in all of r.
func clean(r *api.Result, red *redact.Redactor) {
	if red == nil {
		return
	}
	for _, raw := range []*json.RawMessage{&r.Out, &r.Tasks, &r.Outputs, &r.Handle} {
		if len(*raw) > 0 {
			*raw = cleanJSON(*raw, red, raw == &r.Tasks)
		}
	}
	if f := r.Failure; f != nil {
		f.Message, f.Hint = red.String(f.Message), red.String(f.Hint)
		if f.Details != nil {
			f.Details, _ = red.Value(f.Details).(map[string]any)
		}
	}
}

// reference is a secret by its name, as tasks pass it on. A secret may read like a part of a name.
var reference = regexp.MustCompile(`^\$\{\{ secrets\.[a-z][a-z0-9_]* \}\}$`)

// cleanTasks replaces the secrets in tasks, and leaves references to secrets as they are.
func cleanTasks(v any, red *redact.Redactor) any {
	switch v := v.(type) {
	case map[string]any:
		for k, e := range v {
			v[k] = cleanTasks(e, red)
		}
		return v
	case []any:
		for i, e := range v {
			v[i] = cleanTasks(e, red)
		}
		return v
	case string:
		if reference.MatchString(v) {
			return v
		}
	}
	return red.Value(v)
}

func cleanJSON(raw json.RawMessage, red *redact.Redactor, tasks bool) json.RawMessage {
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err == nil {
		if tasks {
			v = cleanTasks(v, red)
		} else {
			v = red.Value(v)
		}
		if b, err := json.Marshal(v); err == nil {
			return b
		}
	}
	return json.RawMessage(`"` + redact.Mask + `"`) // raw came from json.Marshal, so this does not happen
}

// port is the Port of one attempt.
type port struct {
	s    *session
	a    *api.Assignment
	open func() *lines

	mu   sync.Mutex
	red  *redact.Redactor // made when first needed
	logs *lines           // nil until something is logged
	shut bool
}

// secrets returns what finds the assignment's secrets; nil where there are none.
func (p *port) secrets() *redact.Redactor {
	if len(p.a.Secrets) == 0 {
		return nil
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.red == nil {
		p.red = redact.New(p.a.Secrets)
	}
	return p.red
}

// Log takes text of a stream. It waits while more is unsent than may be kept; once the attempt's
// context has ended, it drops that instead.
func (p *port) Log(stream string, text []byte) {
	p.secrets() // makes red, before the lock is taken for good
	p.mu.Lock()
	if p.logs == nil && !p.shut {
		p.logs = p.open()
	}
	l := p.logs
	p.mu.Unlock()
	if l != nil {
		l.add(stream, text)
	}
}

// close sends what was logged, to the end. What a goroutine logs that outlives its Do is dropped.
func (p *port) close() {
	p.mu.Lock()
	p.shut = true
	l := p.logs
	p.mu.Unlock()
	if l != nil {
		l.finish()
	}
}

// minSecret is the length from which a secret is looked for in variables; shorter ones occur by chance.
const minSecret = 6

// SetVars stores vars; it tries again until ctx ends or the claim is over. A variable is kept as it
// is, or it would not be there again after a crash; so one that contains a secret is refused.
func (p *port) SetVars(ctx context.Context, vars map[string]json.RawMessage) error {
	for _, secret := range p.a.Secrets {
		for name, v := range vars {
			if len(secret) >= minSecret && redact.New([]string{secret}).String(string(v)) != string(v) {
				return errs.New(errs.Invalid, "variable %s contains a secret of the task", name).
					WithHint("store what the secret is for, not the secret: every attempt gets it again as input")
			}
		}
	}
	in := api.SetVarsIn{NS: api.NS{Namespace: p.a.Namespace}, Token: p.a.Token, Body: vars}
	for tries := 1; ; tries++ {
		err := call(ctx, func(ctx context.Context) error { return p.s.Transport.SetVars(ctx, in) })
		switch {
		case err == nil:
			return nil
		case errs.Is(err, errs.Conflict):
			p.s.lose(p.a.Token)
			return err
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case !temporary(errs.KindOf(err)):
			return err
		}
		pause(ctx, backoff(tries, err))
	}
}

// call bounds one call in time.
func call(ctx context.Context, f func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, callTime)
	defer cancel()
	return f(ctx)
}
