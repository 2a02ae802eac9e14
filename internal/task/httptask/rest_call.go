package httptask

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"tutti/errs"
	"tutti/internal/document"
	"tutti/internal/workflow/expr"
	"tutti/sdk"
)

// do performs one attempt.
func (c *call) do(ctx context.Context, t *sdk.Task, in any) (any, error) {
	a := &attempt{call: c, t: t, env: expr.Env{"with": c.complete(in), "task": map[string]any{
		"attempt": float64(t.Attempt), "key": t.Key, "namespace": t.Namespace, "requester": t.Requester, "run": string(t.Run), "trace": t.Trace}}}
	var err error
	switch {
	case c.pages != nil:
		err = a.all(ctx)
	case c.poll != nil:
		err = a.wait(ctx)
	default:
		err = a.once(ctx)
	}
	if err != nil {
		return nil, err
	}
	return a.result()
}

// complete adds null for the fields that were not given, so that expressions may read them.
func (c *call) complete(in any) any {
	m, ok := in.(map[string]any)
	if !ok {
		return in
	}
	out := make(map[string]any, len(c.inputs))
	for _, name := range c.inputs {
		out[name] = nil
	}
	for k, v := range m {
		out[k] = v
	}
	return out
}

// attempt is one at work.
type attempt struct {
	*call
	t     *sdk.Task
	env   expr.Env // with, task, and what came so far
	calls int
	bytes int // of all answers
	said  string
}

// once makes the one call.
func (a *attempt) once(ctx context.Context) error {
	r, err := a.answer(ctx, a.first, "")
	a.env["response"] = r
	return err
}

// result checks what is asserted and makes the output.
func (a *attempt) result() (any, error) {
	for _, as := range a.assert {
		ok, err := as.that.Bool(a.env)
		if err != nil {
			return nil, fail(err)
		}
		if !ok {
			return nil, sdk.Fail(failAssert, "%s", a.words(as.message))
		}
	}
	if a.out == nil {
		if a.pages != nil {
			return a.env["items"], nil
		}
		return a.env["response"].(map[string]any)["body"], nil
	}
	v, _, err := a.out.Eval(a.env)
	return v, fail(err)
}

// words evaluates a text for people; where that fails, the failure is what is said.
func (a *attempt) words(t *expr.Template) string {
	v, _, err := t.Eval(a.env)
	if err != nil {
		return err.Error()
	}
	if s, ok := v.(string); ok {
		return s
	}
	return string(document.Canonical(v))
}

// fail translates the failure of an expression.
func fail(err error) error {
	if err == nil {
		return nil
	}
	return sdk.Fail(failTemplate, "%s", err).WithHint("write ?. and ?? for what may be missing, in the document of the task type")
}

// answer makes a call and returns its answer for expressions, or the failure that the answer is. to,
// where it is given, is where to call instead.
func (a *attempt) answer(ctx context.Context, q *requestOf, to string) (map[string]any, error) {
	in, err := q.input(a.env, to)
	if err != nil {
		return nil, err
	}
	if a.calls++; a.calls > 1 && in.Headers["Idempotency-Key"] == "" {
		in.Headers["Idempotency-Key"] = a.t.Key + "." + strconv.Itoa(a.calls)
	}
	resp, body, what, err := a.exchange(ctx, in)
	if err != nil {
		return nil, err
	}
	a.bytes += len(body)
	r, err := response(what, resp, body)
	if err != nil && a.expect(resp.StatusCode) {
		return nil, err
	}
	if err := a.mapped(r); err != nil {
		return nil, err
	}
	if !a.expect(resp.StatusCode) {
		return nil, unexpected(what, resp, body)
	}
	return r, nil
}

// exchange sends one request and logs the answer, where it is not like the one before.
func (a *attempt) exchange(ctx context.Context, in with) (resp *http.Response, body []byte, what string, err error) {
	call, cancel := context.WithTimeout(ctx, a.timeout)
	defer cancel()
	req, err := request(call, a.t, in)
	if err != nil {
		return nil, nil, "", err
	}
	what = req.Method + " " + shown(req.URL)
	resp, err = a.http.Do(req)
	if err != nil {
		return nil, nil, what, failure(ctx, what, a.timeout, err)
	}
	defer resp.Body.Close()
	body, err = readBody(what, resp)
	if err != nil && !isFailure(err) {
		err = failure(ctx, what, a.timeout, err)
	}
	if line := what + " answered " + resp.Status; line != a.said {
		a.said = line
		a.t.Logf("%s, %d bytes", line, len(body))
	}
	return resp, body, what, err
}

// response returns an answer as expressions see it. Where the body cannot be read it is null, and the
// error says why.
func response(what string, resp *http.Response, body []byte) (map[string]any, error) {
	r := map[string]any{"status": float64(resp.StatusCode), "body": nil}
	hs := map[string]any{}
	for name, v := range headers(resp.Header) {
		hs[strings.ToLower(name)] = v
	}
	r["headers"] = hs
	raw, err := decode(what, resp, body)
	if err != nil {
		return r, err
	}
	var v any
	if err := json.Unmarshal(raw, &v); err != nil {
		return r, sdk.Fail(failBody, "%s answered a number or text that cannot be kept: %v", what, err)
	}
	r["body"] = v
	return r, nil
}

// mapped returns the failure that the answer is by the rules of the task type, or nil.
func (a *attempt) mapped(r map[string]any) error {
	if len(a.call.fail) == 0 {
		return nil
	}
	before, had := a.env["response"]
	a.env["response"] = r
	defer func() {
		if a.env["response"] = before; !had {
			delete(a.env, "response")
		}
	}()
	for _, m := range a.call.fail {
		applies, err := m.when.Bool(a.env)
		if err != nil {
			return fail(err)
		}
		if !applies {
			continue
		}
		f := sdk.Fail(m.typ, "%s", a.words(m.message)).WithDetails(map[string]any{"status": r["status"]})
		if hint := a.words(m.hint); hint != "" {
			f = f.WithHint("%s", hint)
		}
		if m.retryable {
			return f.Again()
		}
		return f
	}
	return nil
}

// input evaluates a request; to, where it is given, goes before its URL and query.
func (q *requestOf) input(env expr.Env, to string) (in with, err error) {
	in = with{Method: q.method, Headers: map[string]string{}, URL: to}
	if to == "" {
		if in.URL, err = q.url.eval(env); err != nil {
			return in, err
		}
	}
	hs, err := object(q.headers, env)
	if err != nil {
		return in, err
	}
	for name, v := range hs {
		text, ok := scalar(v)
		if !ok && v != nil {
			return in, errs.New(errs.Invalid, "header %s is neither text, number nor boolean", name)
		}
		if text != "" {
			in.Headers[http.CanonicalHeaderKey(name)] = text
		}
	}
	if q.query != nil && to == "" {
		if in.Query, err = object(q.query, env); err != nil {
			return in, err
		}
	}
	return in, q.payload(env, &in)
}

// payload evaluates the body.
func (q *requestOf) payload(env expr.Env, in *with) error {
	if q.body == nil {
		return nil
	}
	if q.form {
		fields, err := object(q.body, env)
		if err != nil {
			return err
		}
		form, err := target(with{URL: "http://form", Query: fields})
		if err != nil {
			return err
		}
		in.Body, err = json.Marshal(form.RawQuery)
		in.Headers["Content-Type"] = cmp.Or(in.Headers["Content-Type"], "application/x-www-form-urlencoded")
		return err
	}
	v, err := withoutMissing(q.body, env)
	if err != nil {
		return err
	}
	if v != nil {
		in.Body, err = json.Marshal(v)
	}
	return err
}

// object evaluates a template of an object; fields that come out null are left out.
func object(t *expr.Template, env expr.Env) (map[string]any, error) {
	v, _, err := t.Eval(env)
	if err != nil {
		return nil, fail(err)
	}
	out := map[string]any{}
	for k, e := range v.(map[string]any) {
		if e != nil {
			out[k] = e
		}
	}
	return out, nil
}

// withoutMissing evaluates a template; fields of objects that are one expression and come out null are
// left out.
func withoutMissing(t *expr.Template, env expr.Env) (any, error) {
	v, _, err := t.Eval(env)
	if err != nil {
		return nil, fail(err)
	}
	v = copied(v)
	for _, e := range t.Exprs() {
		if e.Whole && e.Pointer != "" {
			drop(v, strings.Split(e.Pointer[1:], "/"))
		}
	}
	return v, nil
}

// drop takes the value at a path out of its object, where it is null.
func drop(v any, path []string) {
	for i, key := range path {
		switch c := v.(type) {
		case []any:
			n, err := strconv.Atoi(key)
			if err != nil || n >= len(c) {
				return
			}
			v = c[n]
		case map[string]any:
			key = document.Unescape(key)
			if i == len(path)-1 {
				if c[key] == nil {
					delete(c, key)
				}
				return
			}
			v = c[key]
		default:
			return
		}
	}
}

// copied returns a copy of a value whose containers may be changed.
func copied(v any) any {
	switch v := v.(type) {
	case map[string]any:
		out := make(map[string]any, len(v))
		for k, e := range v {
			out[k] = copied(e)
		}
		return out
	case []any:
		out := make([]any, len(v))
		for i, e := range v {
			out[i] = copied(e)
		}
		return out
	}
	return v
}

// pause waits, or returns why it cannot.
func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}

// sameHost reports whether two URLs lead to the same server in the same way.
func sameHost(a, b *url.URL) bool { return a.Scheme == b.Scheme && a.Host == b.Host }

// resolved returns a link of an answer as a URL; it must stay on the server that was called, for the
// headers are sent there again.
func resolved(from, link string) (string, error) {
	base, err := url.Parse(from)
	if err != nil {
		return "", errs.New(errs.Invalid, "the URL of the call is no URL")
	}
	u, err := base.Parse(link)
	if err != nil {
		return "", fmt.Errorf("it leads to what is no URL")
	}
	if !sameHost(base, u) || u.User != nil {
		return "", fmt.Errorf("it leads to %s, and not to %s, which was called", u.Host, base.Host)
	}
	u.Fragment = ""
	return u.String(), nil
}
