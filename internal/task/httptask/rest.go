package httptask

import (
	"cmp"
	_ "embed"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"tutti/api"
	"tutti/errs"
	"tutti/internal/document"
	"tutti/internal/netguard"
	"tutti/internal/task"
	"tutti/internal/workflow/expr"
)

// The failure types of the driver, beside those of the task type.
const (
	failPages    = "http.pages"
	failPoll     = "http.poll"
	failAssert   = "http.assert"
	failTemplate = "http.template"
)

//go:embed rest.schema.json
var restSchema []byte

// NewREST returns the driver rest: task types that are one HTTP call, declared as data. Its requests go
// through g.
//
// What is declared is compiled once; what comes in as input or as an answer is only ever data, and is
// escaped where it becomes part of a URL.
func NewREST(g *netguard.Guard) task.Driver {
	c := client{g.Client(netguard.Options{Timeout: -1, MaxBody: maxBody})}
	return task.Driver{
		Name: "rest", Schema: restSchema,
		Errors: map[string]string{
			failStatus:   "the answer has a status that was not expected; worth another attempt for 408, 425, 429 and 5xx",
			failConnect:  "no answer could be had; worth another attempt",
			failDenied:   "the address, or one it redirects to, must not be called from here",
			failBody:     "the answer is too large, broken, or neither JSON nor text",
			failPages:    "the pages do not end, lead elsewhere, or are too much together",
			failPoll:     "what was waited for did not come in time",
			failAssert:   "the answer is not what the task type asserts",
			failTemplate: "an expression of the task type has no value for this input or answer",
			task.Invalid: "the input is not what the task type takes, or makes no URL or header",
		},
		Compile: func(d *task.Declared) (task.Carry, []errs.Problem) {
			r := &reader{d: d}
			call := r.call(c)
			if len(r.problems) > 0 {
				return nil, r.problems
			}
			return call.do, nil
		},
	}
}

// call is a task type ready to be used. It is immutable.
type call struct {
	client
	inputs  []string // the fields of the input, which expressions may read where they are not given
	first   *requestOf
	timeout time.Duration
	expect  func(int) bool
	fail    []mapping
	pages   *pages
	poll    *poll
	assert  []assertion
	out     *expr.Template // nil is the body, or the items
}

// requestOf makes requests.
type requestOf struct {
	method      string
	url         *urlTemplate
	headers     *expr.Template
	query, body *expr.Template // nil is none
	form        bool           // body is one
}

type mapping struct {
	when          *expr.Program
	typ           string
	message, hint *expr.Template
	retryable     bool
}

type assertion struct {
	that    *expr.Program
	message *expr.Template
}

type pages struct {
	items, next, cursor *expr.Program
	link, numbered      bool
	from, limit         int
}

type poll struct {
	until      *expr.Program
	every, max time.Duration
	ask        *requestOf // nil repeats the call
	// link says that the URL to ask is one that the answer gave: it may be relative, and has to stay on
	// the server that was called.
	link bool
}

// The names that expressions may read.
var (
	readsRequest  = []string{"with", "task"}
	readsPage     = []string{"with", "task", "page"}
	readsStarted  = []string{"with", "task", "started"}
	readsAnswer   = []string{"with", "task", "response"}
	readsPolled   = []string{"with", "task", "response", "started"}
	readsPaged    = []string{"with", "task", "response", "items"}
	readsTask     = []string{"attempt", "key", "namespace", "requester", "run", "trace"}
	readsResponse = []string{"body", "headers", "status"}
)

// reader turns a document into a call and gathers what is wrong with it.
type reader struct {
	d        *task.Declared
	problems []errs.Problem
}

// wire is what stands under the key rest.
type wire struct {
	Method  string         `json:"method"`
	URL     string         `json:"url"`
	Headers map[string]any `json:"headers"`
	Query   map[string]any `json:"query"`
	Body    any            `json:"body"`
	Form    map[string]any `json:"form"`
	Expect  []any          `json:"expect"`
	Timeout string         `json:"timeout"`
	Fail    []struct {
		If        string `json:"if"`
		Type      string `json:"type"`
		Message   string `json:"message"`
		Hint      string `json:"hint"`
		Retryable bool   `json:"retryable"`
	} `json:"fail"`
	Pages *struct {
		Items  string `json:"items"`
		Link   bool   `json:"link"`
		Next   string `json:"next"`
		Cursor string `json:"cursor"`
		Number *int   `json:"number"`
		Limit  int    `json:"limit"`
	} `json:"pages"`
	Poll *struct {
		Until   string         `json:"until"`
		Every   string         `json:"every"`
		Max     string         `json:"max"`
		URL     string         `json:"url"`
		Headers map[string]any `json:"headers"`
	} `json:"poll"`
	Assert []struct {
		That    string `json:"that"`
		Message string `json:"message"`
	} `json:"assert"`
	Out any `json:"out"`
}

// problem notes what is wrong below the driver's key.
func (r *reader) problem(at, message, hint string) {
	r.problems = append(r.problems, errs.Problem{Location: r.d.At(r.d.Pointer + at), Message: message, Hint: hint})
}

func (r *reader) call(c client) *call {
	var w wire
	if err := r.d.Decode(&w); err != nil {
		r.problem("", err.Error(), "")
		return nil
	}
	out := &call{client: c, timeout: defaultTimeout}
	out.inputs, _ = r.d.Fields()
	if out.timeout = r.duration("/timeout", w.Timeout, defaultTimeout, time.Second, time.Hour); w.Expect != nil && len(w.Expect) == 0 {
		r.problem("/expect", "no status is a success", "leave expect out for 2xx")
	}
	var err error
	if out.expect, err = parseExpect(w.Expect); err != nil {
		r.problem("/expect", strings.Replace(err.Error(), "with.expect", "expect", 1), errs.Public(err).Hint)
	}
	out.first = r.request(w)
	r.mappings(w, out)
	r.paging(w, out)
	r.polling(w, out)
	reads := slices.Clone(readsAnswer)
	if out.poll != nil {
		reads = readsPolled
	}
	if out.pages != nil {
		reads = readsPaged
	}
	for i, a := range w.Assert {
		at := fmt.Sprintf("/assert/%d", i)
		out.assert = append(out.assert, assertion{r.program(at+"/that", a.That, reads), r.template(at+"/message", cmp.Or(a.Message, "the answer does not fulfil: "+strings.ReplaceAll(a.That, "${{", "$${{")), reads)})
	}
	if w.Out != nil {
		out.out = r.template("/out", w.Out, reads)
	}
	return out
}

// request reads the call itself.
func (r *reader) request(w wire) *requestOf {
	reads := readsRequest
	if w.Pages != nil {
		reads = readsPage
	}
	q := &requestOf{method: w.Method, url: r.url("/url", w.URL, reads), headers: r.headers("/headers", w.Headers, reads)}
	if w.Query != nil {
		q.query = r.template("/query", w.Query, reads)
	}
	switch {
	case w.Form != nil && w.Body != nil:
		r.problem("/form", "there is a body too", "send one of them")
	case w.Form != nil:
		q.body, q.form = r.template("/form", w.Form, reads), true
	case w.Body != nil:
		q.body = r.template("/body", w.Body, reads)
	}
	if q.method == "" {
		q.method = http.MethodGet
		if q.body != nil {
			q.method = http.MethodPost
		}
	}
	return q
}

func (r *reader) headers(at string, given map[string]any, reads []string) *expr.Template {
	for name := range given {
		if err := checkHeader(name, ""); err != nil {
			r.problem(at+document.Pointer(name), strings.TrimPrefix(err.Error(), "with."), "")
		}
	}
	if given == nil {
		given = map[string]any{}
	}
	return r.template(at, given, reads)
}

func (r *reader) mappings(w wire, out *call) {
	for i, f := range w.Fail {
		at := fmt.Sprintf("/fail/%d", i)
		if _, known := r.d.Spec.Errors[f.Type]; !known {
			hint := "list it under errors, with what it means"
			if near := document.Nearest(f.Type, slices.Sorted(maps.Keys(r.d.Spec.Errors))); near != "" {
				hint = "did you mean " + near + "? Else " + hint
			}
			r.problem(at+"/type", fmt.Sprintf("the failure type %q is not declared", f.Type), hint)
		}
		m := mapping{when: r.program(at+"/if", f.If, readsAnswer), typ: f.Type, retryable: f.Retryable}
		m.message = r.template(at+"/message", cmp.Or(f.Message, r.d.Spec.Errors[f.Type], f.Type), readsAnswer)
		m.hint = r.template(at+"/hint", f.Hint, readsAnswer)
		out.fail = append(out.fail, m)
	}
}

func (r *reader) paging(w wire, out *call) {
	if w.Pages == nil {
		return
	}
	if w.Poll != nil {
		r.problem("/pages", "a call cannot both poll and have pages", "make two task types of it")
	}
	p := &pages{link: w.Pages.Link, limit: cmp.Or(w.Pages.Limit, 100), items: r.program("/pages/items", w.Pages.Items, readsAnswer)}
	if w.Pages.Next != "" {
		p.next = r.program("/pages/next", w.Pages.Next, readsAnswer)
	}
	if w.Pages.Cursor != "" {
		p.cursor = r.program("/pages/cursor", w.Pages.Cursor, readsAnswer)
	}
	if w.Pages.Number != nil {
		p.numbered, p.from = true, *w.Pages.Number
	}
	out.pages = p
}

func (r *reader) polling(w wire, out *call) {
	if w.Poll == nil {
		return
	}
	p := &poll{until: r.program("/poll/until", w.Poll.Until, readsPolled)}
	p.every = r.duration("/poll/every", w.Poll.Every, 5*time.Second, 100*time.Millisecond, 24*time.Hour)
	p.max = r.duration("/poll/max", w.Poll.Max, 30*time.Minute, 100*time.Millisecond, 7*24*time.Hour)
	switch {
	case w.Poll.URL != "":
		p.ask = &requestOf{method: http.MethodGet, url: r.url("/poll/url", w.Poll.URL, readsStarted)}
		p.link = p.ask.url != nil && len(p.ask.url.parts) == 1 && p.ask.url.parts[0].program != nil
		if w.Poll.Headers != nil {
			p.ask.headers = r.headers("/poll/headers", w.Poll.Headers, readsStarted)
		} else {
			p.ask.headers = out.first.headers
		}
	case w.Poll.Headers != nil:
		r.problem("/poll/headers", "there is no url they are for", "give poll.url")
	case out.first.method != http.MethodGet && out.first.method != http.MethodHead:
		r.problem("/poll", "a "+out.first.method+" is not repeated only to see how things stand", "give poll.url: what to GET, such as ${{ started.headers.location }}")
	}
	out.poll = p
}

func (r *reader) duration(at, text string, otherwise, least, most time.Duration) time.Duration {
	if text == "" {
		return otherwise
	}
	d, err := api.ParseDuration(text)
	if err != nil {
		r.problem(at, err.Error(), errs.Public(err).Hint)
		return otherwise
	}
	if d < least || d > most {
		r.problem(at, fmt.Sprintf("%s is not between %s and %s", text, api.Duration(least), api.Duration(most)), "")
	}
	return d
}

// program compiles a condition, or another bare expression.
func (r *reader) program(at, src string, reads []string) *expr.Program {
	p, err := expr.Compile(src)
	if err != nil {
		hint := ""
		if strings.Contains(src, "${{") {
			hint = "this is an expression as it is: leave ${{ }} out"
		}
		r.problem(at, err.Error(), hint)
		return nil
	}
	r.refs(at, p.Refs(), reads)
	return p
}

// template compiles a value that may hold expressions.
func (r *reader) template(at string, v any, reads []string) *expr.Template {
	t, wrong := expr.ParseTemplate(v)
	for _, e := range wrong {
		r.problem(at+e.Pointer, e.Message, e.Hint)
	}
	if t == nil {
		return nil
	}
	if len(t.Secrets()) > 0 {
		r.problem(at+t.Secrets()[0].Pointer, "a task type has no secrets of its own", "take it as input: the workflow says with: {token: ${{ secrets.NAME }}}")
		return nil
	}
	for _, e := range t.Exprs() {
		r.refs(at+e.Pointer, e.Program.Refs(), reads)
	}
	return t
}

// refs complains of names that are not there.
func (r *reader) refs(at string, refs []expr.Ref, reads []string) {
	for _, ref := range refs {
		r.ref(at, ref.Path, "", reads)
		if len(ref.Path) < 2 {
			continue
		}
		switch fields, open := r.d.Fields(); ref.Path[0] {
		case "with":
			if !open {
				r.ref(at, ref.Path[1:], "with.", fields)
			}
		case "task":
			r.ref(at, ref.Path[1:], "task.", readsTask)
		case "response", "started":
			r.ref(at, ref.Path[1:], ref.Path[0]+".", readsResponse)
		case "page":
			r.ref(at, ref.Path[1:], "page.", []string{"cursor", "number"})
		}
	}
}

func (r *reader) ref(at string, path []string, before string, known []string) {
	if slices.Contains(known, path[0]) {
		return
	}
	hint := "there are " + before + strings.Join(known, ", "+before)
	if near := document.Nearest(path[0], known); near != "" {
		hint = "did you mean " + before + near + "? " + hint
	}
	if len(known) == 0 {
		hint = ""
	}
	r.problem(at, fmt.Sprintf("there is no %s%s here", before, path[0]), hint)
}
