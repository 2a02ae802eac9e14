package httptask

import (
	"context"
	"encoding/json"
	"errors"
	"regexp"
	"strings"
	"time"

	"tutti/api"
	"tutti/errs"
	"tutti/internal/document"
	"tutti/internal/workflow/expr"
	"tutti/sdk"
)

const (
	// maxPages bounds the answers of all pages together, in bytes.
	maxPages = 16 << 20
	// maxKept bounds the first answer of a poll that is stored for the next attempt, in bytes.
	maxKept = 256 << 10
	// patience is how many answers in a row may be worth another try before a poll gives up.
	patience = 5
	// variable is where a poll keeps what it polls for.
	variable = "rest"
)

// all gets all pages.
func (a *attempt) all(ctx context.Context) error {
	p := a.pages
	items, seen := []any{}, map[string]bool{}
	page := map[string]any{"cursor": nil, "number": float64(p.from)}
	a.env["page"] = page
	at, err := a.first.url.eval(a.env)
	if err != nil {
		return err
	}
	for n, to := 1, ""; ; n++ {
		r, err := a.answer(ctx, a.first, to)
		if err != nil {
			return err
		}
		a.env["response"] = r
		more, err := p.list(a.env)
		if err != nil {
			return err
		}
		items = append(items, more...)
		a.env["items"] = items
		next, err := p.following(a.env, len(more))
		if err != nil || next == "" {
			return err
		}
		switch {
		case n >= p.limit:
			return sdk.Fail(failPages, "there are more than %d pages", p.limit).WithHint("ask for less, or raise pages.limit in the task type")
		case a.bytes > maxPages:
			return sdk.Fail(failPages, "the pages are more than %d MiB together", maxPages>>20).WithHint("ask for less")
		case seen[next]:
			return sdk.Fail(failPages, "page %d leads to one that was read before: the pages go in a circle", n)
		}
		seen[next] = true
		page = map[string]any{"cursor": nil, "number": float64(p.from + n)}
		a.env["page"] = page
		switch {
		case p.cursor != nil:
			page["cursor"] = next
		case !p.numbered:
			if to, err = resolved(at, next); err != nil {
				return sdk.Fail(failPages, "%s", err).WithHint("what was sent to the server is sent nowhere else")
			}
			at = to
		}
	}
}

// list returns the items of a page.
func (p *pages) list(env expr.Env) ([]any, error) {
	v, err := p.items.Eval(env)
	if err != nil {
		return nil, fail(err)
	}
	switch v := v.(type) {
	case nil:
		return nil, nil
	case []any:
		return v, nil
	}
	return nil, sdk.Fail(failPages, "%s is no list", p.items.Source())
}

// following returns what leads to the next page: a URL, a cursor, or anything that differs from page to
// page; "" at the end.
func (p *pages) following(env expr.Env, items int) (string, error) {
	r := env["response"].(map[string]any)
	switch {
	case p.numbered && items == 0:
		return "", nil
	case p.numbered:
		return string(document.Canonical(env["page"].(map[string]any)["number"])), nil
	case p.link:
		text, _ := r["headers"].(map[string]any)["link"].(string)
		return nextLink(text), nil
	case p.next != nil:
		s, err := p.next.Text(env)
		return s, fail(err)
	}
	s, err := p.cursor.Text(env)
	return s, fail(err)
}

var linkForm = regexp.MustCompile(`<([^<>]*)>((?:\s*;\s*[a-zA-Z*]+\s*=\s*(?:"[^"]*"|[^",;\s]+))*)`)

// nextLink returns the link of a Link header whose rel has the word next, or "".
func nextLink(header string) string {
	for _, m := range linkForm.FindAllStringSubmatch(header, -1) {
		for _, param := range strings.Split(m[2], ";") {
			name, value, _ := strings.Cut(strings.TrimSpace(param), "=")
			if !strings.EqualFold(strings.TrimSpace(name), "rel") {
				continue
			}
			for _, word := range strings.Fields(strings.Trim(strings.TrimSpace(value), `"`)) {
				if strings.EqualFold(word, "next") {
					return m[1]
				}
			}
		}
	}
	return ""
}

// asked is what a poll is about: the answer to the call, and when that was. It is stored before the
// first wait, so that another attempt polls on instead of making the call again.
type asked struct {
	First map[string]any `json:"first"`
	At    time.Time      `json:"at"`
}

// wait makes the call and polls until the condition holds.
func (a *attempt) wait(ctx context.Context) error {
	p := a.poll
	about := asked{At: time.Now()}
	found := false
	if p.ask != nil {
		var err error
		if found, err = a.t.Var(variable, &about); err != nil {
			return err
		}
	}
	if !found {
		r, err := a.answer(ctx, a.first, "")
		if err != nil {
			return err
		}
		about.First = r
		if err := a.keep(ctx, about); err != nil {
			return err
		}
	}
	a.env["started"], a.env["response"] = about.First, about.First
	if p.ask == nil {
		if done, err := p.until.Bool(a.env); done || err != nil {
			return fail(err)
		}
	}
	return a.ask(ctx, about)
}

// keep stores what the poll is about, where it can be stored.
func (a *attempt) keep(ctx context.Context, about asked) error {
	if a.poll.ask == nil {
		return nil
	}
	if b, err := json.Marshal(about); err != nil || len(b) > maxKept {
		a.t.Logf("the answer is too large to be kept: another attempt makes the call again, with the same Idempotency-Key")
		return nil
	}
	err := a.t.SetVar(ctx, variable, about)
	if errs.Is(err, errs.Invalid) {
		a.t.Logf("the answer is not kept, since it contains a secret: another attempt makes the call again, with the same Idempotency-Key")
		return nil
	}
	return err
}

// place returns where the answer to the call says to ask, or "" where the task type says it.
func (a *attempt) place() (string, error) {
	if !a.poll.link {
		return "", nil
	}
	from, err := a.first.url.eval(a.env)
	if err != nil {
		return "", err
	}
	link, err := a.poll.ask.url.parts[0].program.Text(a.env)
	if err != nil {
		return "", fail(err)
	}
	to, err := resolved(from, link)
	if err != nil {
		return "", sdk.Fail(failPoll, "%s", err).WithHint("what was sent to the server is sent nowhere else")
	}
	return to, nil
}

// ask polls.
func (a *attempt) ask(ctx context.Context, about asked) error {
	p, q := a.poll, a.poll.ask
	if q == nil {
		q = a.first
	}
	to, err := a.place()
	if err != nil {
		return err
	}
	end := about.At.Add(p.max)
	for bad, first := 0, true; ; first = false {
		left := time.Until(end)
		if left <= 0 && !first {
			return sdk.Fail(failPoll, "%s did not hold within %s", p.until.Source(), api.Duration(p.max)).
				WithHint("see how it stands over there; poll.max in the task type says how long to wait").
				WithDetails(map[string]any{"status": a.env["response"].(map[string]any)["status"]})
		}
		if err := pause(ctx, min(p.every, max(left, 0))); err != nil {
			return err
		}
		r, err := a.answer(ctx, q, to)
		if err != nil {
			e, ok := errors.AsType[*sdk.TaskError](err)
			if bad++; ok && e.Retryable && e.Type != "" && bad <= patience && ctx.Err() == nil {
				a.t.Logf("asked again, since: %v", err)
				continue
			}
			return err
		}
		bad = 0
		a.env["response"] = r
		if done, err := p.until.Bool(a.env); done || err != nil {
			return fail(err)
		}
	}
}
