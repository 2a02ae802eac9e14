// Package httptask is the task type http, one HTTP request and its answer, and the driver rest of task
// types that are such calls, declared as data (rest.go). A request goes through the guarded
// dialer, carries the task's key as Idempotency-Key and the trace as traceparent, and says which
// answers are failures that another attempt may not meet.
package httptask

import (
	"bytes"
	"cmp"
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"tutti/api"
	"tutti/errs"
	"tutti/internal/netguard"
	"tutti/internal/task"
	"tutti/sdk"
)

// The failure types.
const (
	failStatus  = "http.status"
	failConnect = "http.connect"
	failDenied  = "http.denied"
	failBody    = "http.body"
)

const (
	// maxBody bounds an answer, in bytes.
	maxBody        = 4 << 20
	defaultTimeout = 30 * time.Second
	// excerpt is how much of an unexpected answer a failure shows, in bytes.
	excerpt = 1 << 10
)

type with struct {
	URL     string            `json:"url" doc:"Where to, as http://… or https://…, without user and password" minLength:"1" maxLength:"8192"`
	Method  string            `json:"method,omitempty" doc:"The method; by default POST with a body and GET without" enum:"GET,HEAD,POST,PUT,PATCH,DELETE,OPTIONS"`
	Headers map[string]string `json:"headers,omitempty" doc:"Headers; Idempotency-Key, traceparent and Content-Type are set where they are not given"`
	Query   map[string]any    `json:"query,omitempty" doc:"Parameters added to the URL: text, numbers, booleans, or lists of them"`
	Body    json.RawMessage   `json:"body,omitempty" doc:"What to send: text as it is, anything else as JSON"`
	Expect  []any             `json:"expect,omitempty" doc:"The statuses that are a success: 200, \"200-204\" or \"2xx\"; by default 2xx" maxItems:"50"`
	Timeout api.Duration      `json:"timeout,omitempty" doc:"How long the whole exchange may take, such as 10s; by default 30s"`
}

type out struct {
	Status     int               `json:"status" doc:"Status code"`
	Headers    map[string]string `json:"headers" doc:"Headers of the answer, by canonical name; several of one name joined by a comma"`
	Body       json.RawMessage   `json:"body" doc:"The answer: a value where it is JSON, else text; null where there is none"`
	DurationMs int64             `json:"durationMs" doc:"How long it took, in milliseconds"`
}

// New returns the task type; its requests go through g.
func New(g *netguard.Guard) sdk.TaskType {
	c := client{g.Client(netguard.Options{Timeout: -1, MaxBody: maxBody})}
	return task.Define(api.TaskType{
		Name: "http", Title: "HTTP request", Doc: "Makes one HTTP request and gives the answer. Repeating it carries the same Idempotency-Key.",
		Errors: map[string]string{
			failStatus:  "the answer has a status that was not expected; worth another attempt for 408, 425, 429 and 5xx",
			failConnect: "no answer could be had; worth another attempt",
			failDenied:  "the address, or one it redirects to, must not be called from here",
			failBody:    "the answer is too large, broken, or neither JSON nor text",
		},
	}, c.do)
}

type client struct{ http *http.Client }

func (c client) do(ctx context.Context, t *sdk.Task, in with) (out, error) {
	expected, err := parseExpect(in.Expect)
	if err != nil {
		return out{}, err
	}
	limit := cmp.Or(time.Duration(in.Timeout), defaultTimeout)
	call, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	r, err := request(call, t, in)
	if err != nil {
		return out{}, err
	}
	what := r.Method + " " + shown(r.URL)
	start := time.Now()
	resp, err := c.http.Do(r)
	if err != nil {
		return out{}, failure(ctx, what, limit, err)
	}
	defer resp.Body.Close()
	body, err := readBody(what, resp)
	took := time.Since(start)
	if isFailure(err) {
		return out{}, err
	}
	if err != nil {
		return out{}, failure(ctx, what, limit, err)
	}
	t.Logf("%s answered %s, %d bytes in %s", what, resp.Status, len(body), took.Round(time.Millisecond))
	if !expected(resp.StatusCode) {
		return out{}, unexpected(what, resp, body)
	}
	value, err := decode(what, resp, body)
	return out{Status: resp.StatusCode, Headers: headers(resp.Header), Body: value, DurationMs: took.Milliseconds()}, err
}

// readBody reads an answer to its end. It returns a *sdk.TaskError for one that is too large.
func readBody(what string, resp *http.Response) ([]byte, error) {
	body, err := io.ReadAll(resp.Body)
	if err != nil && (errs.Is(err, errs.TooLarge) || errs.Is(err, errs.Denied)) {
		return nil, sdk.Fail(failBody, "%s: %v", what, err).WithHint("ask for less, or in parts")
	}
	return body, err
}

// isFailure reports whether err is in the words of the task type already.
func isFailure(err error) bool {
	_, ok := errors.AsType[*sdk.TaskError](err)
	return ok
}

// request builds the request, or says what is wrong with the input.
func request(ctx context.Context, t *sdk.Task, in with) (*http.Request, error) {
	u, err := target(in)
	if err != nil {
		return nil, err
	}
	body, kind := payload(in.Body)
	method := in.Method
	if method == "" {
		method = http.MethodGet
		if body != nil {
			method = http.MethodPost
		}
	}
	r, err := http.NewRequestWithContext(ctx, method, u.String(), bytes.NewReader(body))
	if err != nil {
		return nil, errs.New(errs.Invalid, "with.url is not a URL that can be called")
	}
	if body == nil {
		r.Body, r.ContentLength = http.NoBody, 0
	}
	if kind != "" {
		r.Header.Set("Content-Type", kind)
	}
	r.Header.Set("Accept", "application/json, */*;q=0.8")
	r.Header.Set("User-Agent", "tutti")
	r.Header.Set("Idempotency-Key", t.Key)
	if span := traceparent(t.Trace); span != "" {
		r.Header.Set("Traceparent", span)
	}
	for name, value := range in.Headers {
		if err := checkHeader(name, value); err != nil {
			return nil, err
		}
		r.Header.Set(name, value)
	}
	return r, nil
}

// target returns the URL with the query added. Its errors do not show the URL, which may hold a secret.
func target(in with) (*url.URL, error) {
	u, err := url.Parse(in.URL)
	switch {
	case err != nil:
		return nil, errs.New(errs.Invalid, "with.url is not a URL").WithHint("write https://host/path, and what varies in with.query")
	case u.Scheme != "http" && u.Scheme != "https" || u.Host == "":
		return nil, errs.New(errs.Invalid, "with.url is not of the form https://host/path or http://host/path")
	case u.User != nil:
		return nil, errs.New(errs.Invalid, "with.url contains a user").WithHint("send it in with.headers as Authorization")
	}
	u.Fragment = ""
	q := u.Query()
	for name, v := range in.Query {
		values, ok := v.([]any)
		if !ok {
			values = []any{v}
		}
		for _, v := range values {
			text, ok := scalar(v)
			if !ok {
				return nil, errs.New(errs.Invalid, "with.query.%s is neither text, number nor boolean, nor a list of them", name)
			}
			q.Add(name, text)
		}
	}
	if len(in.Query) > 0 {
		u.RawQuery = q.Encode()
	}
	return u, nil
}

func scalar(v any) (string, bool) {
	switch v := v.(type) {
	case string:
		return v, true
	case bool:
		return strconv.FormatBool(v), true
	case float64:
		return strconv.FormatFloat(v, 'f', -1, 64), true
	default:
		return "", false
	}
}

// payload returns the bytes to send and their media type; nothing for no body.
func payload(raw json.RawMessage) (body []byte, kind string) {
	if len(raw) == 0 {
		return nil, ""
	}
	var text string
	if raw[0] == '"' && json.Unmarshal(raw, &text) == nil {
		return []byte(text), "text/plain; charset=utf-8"
	}
	return raw, "application/json"
}

// fixed are the headers that belong to the connection.
var fixed = []string{"Host", "Content-Length", "Transfer-Encoding", "Connection", "Upgrade", "Te", "Trailer", "Proxy-Authorization", "Proxy-Connection", "Keep-Alive"}

func checkHeader(name, value string) error {
	if !regexp.MustCompile("^[A-Za-z0-9!#$%&'*+.^_`|~-]{1,200}$").MatchString(name) {
		return errs.New(errs.Invalid, "with.headers has the name %q, which no header may have", name)
	}
	if slices.Contains(fixed, http.CanonicalHeaderKey(name)) {
		return errs.New(errs.Invalid, "with.headers.%s cannot be set: it belongs to the connection", name)
	}
	if i := strings.IndexFunc(value, func(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f }); i >= 0 {
		return errs.New(errs.Invalid, "with.headers.%s contains a line break or another control character", name)
	}
	return nil
}

// traceparent returns the W3C header of a new span of the trace, or "" where that is none.
func traceparent(trace string) string {
	if len(trace) != 32 {
		return ""
	}
	span := make([]byte, 8)
	_, _ = rand.Read(span) // never fails
	return "00-" + trace + "-" + hex.EncodeToString(span) + "-01"
}

// shown returns what may be shown of a URL: queries often hold secrets.
func shown(u *url.URL) string {
	s := u.Scheme + "://" + u.Host + u.EscapedPath()
	if u.RawQuery != "" {
		s += "?…"
	}
	return s
}

// failure says why there is no answer. ctx is the attempt's.
func failure(ctx context.Context, what string, limit time.Duration, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if e, ok := errors.AsType[*errs.Error](err); ok && e.Kind == errs.Denied {
		return sdk.Fail(failDenied, "%s: %s", what, e.Msg).WithHint("%s", e.Hint)
	}
	if u, ok := errors.AsType[*url.Error](err); ok {
		err = u.Err // without the URL
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return sdk.Fail(failConnect, "%s: no complete answer within %s", what, api.Duration(limit)).Again().WithHint("give more time in with.timeout if that is to be expected")
	}
	return sdk.Fail(failConnect, "%s: %v", what, err).Again().WithHint("check that the server is up and can be reached from the machine of the worker")
}

func unexpected(what string, resp *http.Response, body []byte) error {
	s := resp.StatusCode
	text := strings.ToValidUTF8(string(body[:min(len(body), excerpt)]), "\uFFFD")
	details := map[string]any{"status": s, "body": text}
	if after := resp.Header.Get("Retry-After"); after != "" {
		details["retryAfter"] = after
	}
	f := sdk.Fail(failStatus, "%s answered %s", what, strings.TrimSpace(fmt.Sprintf("%d %s", s, http.StatusText(s)))).WithDetails(details)
	if line, _, _ := strings.Cut(strings.TrimSpace(text), "\n"); line != "" {
		f.Message += ": " + line
	}
	if s == 408 || s == 425 || s == 429 || s >= 500 {
		return f.Again()
	}
	return f.WithHint("if this answer is a success, list it in with.expect")
}

// decode returns the body as JSON: a value, or text.
func decode(what string, resp *http.Response, body []byte) (json.RawMessage, error) {
	kind, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	isJSON := kind == "application/json" || strings.HasSuffix(kind, "+json")
	switch {
	case len(bytes.TrimSpace(body)) == 0 && (isJSON || len(body) == 0):
		return json.RawMessage("null"), nil
	case isJSON && json.Valid(body):
		return body, nil
	case isJSON:
		return nil, sdk.Fail(failBody, "%s answered what it calls %s, but is not JSON", what, kind)
	case !utf8.Valid(body):
		return nil, sdk.Fail(failBody, "%s answered %d bytes that are not text (%s)", what, len(body), cmp.Or(kind, "no media type"))
	}
	return json.Marshal(string(body))
}

func headers(h http.Header) map[string]string {
	out := make(map[string]string, len(h))
	for name, values := range h {
		if name == "Set-Cookie" {
			continue // credentials, of no use to the workflow
		}
		out[name] = strings.ToValidUTF8(strings.Join(values, ", "), "\uFFFD")
	}
	return out
}

// parseExpect returns what tells whether a status was expected.
func parseExpect(list []any) (func(int) bool, error) {
	if len(list) == 0 {
		return func(s int) bool { return s/100 == 2 }, nil
	}
	type span struct{ from, to int }
	var spans []span
	for i, v := range list {
		text, _ := scalar(v)
		var s span
		switch m := regexp.MustCompile(`^([1-5])xx$|^([1-5]\d\d)(?:-([1-5]\d\d))?$`).FindStringSubmatch(text); {
		case m == nil:
			return nil, errs.New(errs.Invalid, "with.expect[%d] is no status", i).WithHint(`write 200, "200-204" or "2xx"`)
		case m[1] != "":
			s.from = int(m[1][0]-'0') * 100
			s.to = s.from + 99
		default:
			s.from, _ = strconv.Atoi(m[2]) // three digits
			s.to = s.from
			if m[3] != "" {
				s.to, _ = strconv.Atoi(m[3])
			}
		}
		spans = append(spans, s)
	}
	return func(status int) bool {
		return slices.ContainsFunc(spans, func(s span) bool { return s.from <= status && status <= s.to })
	}, nil
}
