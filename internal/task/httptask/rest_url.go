package httptask

import (
	"fmt"
	"net/url"
	"strings"

	"tutti/errs"
	"tutti/internal/workflow/expr"
)

// urlTemplate is a URL with expressions. What they yield is escaped for the place where it stands, so
// that data cannot lead the call anywhere else.
type urlTemplate struct{ parts []urlPart }

// urlPart is literal text, or an expression.
type urlPart struct {
	text    string
	program *expr.Program
	in      place
}

// place is the part of a URL that an expression stands in.
type place uint8

const (
	inBase  place = iota // the beginning, https://host/path
	inHost               // or the port
	inPath               // within one segment
	inQuery              // or the fragment
)

// url compiles the URL at a place of the document.
func (r *reader) url(at, text string, reads []string) *urlTemplate {
	t := r.template(at, text, reads)
	if t == nil {
		return nil
	}
	if strings.Contains(text, "$${{") {
		r.problem(at, "a URL has no $${{", "")
		return nil
	}
	out, begin, before := &urlTemplate{}, 0, ""
	literal := func(s string) {
		if s != "" {
			out.parts = append(out.parts, urlPart{text: s})
			before += s
		}
	}
	for _, e := range t.Exprs() {
		literal(text[begin : e.Offset-3])
		in := placeIn(before)
		if in == inBase && begin == 0 && e.Offset > 3 {
			r.problem(at, "the expression stands in the scheme", "write https:// or http:// as it is, or let an expression be the whole beginning")
			return nil
		}
		out.parts = append(out.parts, urlPart{program: e.Program, in: in})
		before += "x"
		if in == inBase {
			before = "https://x"
		}
		// What the program was compiled from is all between the braces.
		begin = e.Offset + len(e.Program.Source()) + 2
		if in == inBase && begin < len(text) && text[begin] != '/' && text[begin] != '?' {
			r.problem(at, "what follows the base URL has to begin with /", "")
			return nil
		}
	}
	literal(text[min(begin, len(text)):])
	if len(out.parts) == 0 || out.parts[0].program == nil && !strings.HasPrefix(out.parts[0].text, "https://") && !strings.HasPrefix(out.parts[0].text, "http://") {
		r.problem(at, "it is not of the form https://host/path or http://host/path", "")
	}
	return out
}

// placeIn returns where in a URL one is behind the given text.
func placeIn(before string) place {
	_, rest, ok := strings.Cut(before, "://")
	switch {
	case !ok:
		return inBase
	case strings.ContainsAny(rest, "?#"):
		return inQuery
	case strings.Contains(rest, "/"):
		return inPath
	}
	return inHost
}

// eval returns the URL. It returns errs.Invalid where a value cannot stand in its place.
func (u *urlTemplate) eval(env expr.Env) (string, error) {
	var b strings.Builder
	for _, p := range u.parts {
		if p.program == nil {
			b.WriteString(p.text)
			continue
		}
		v, err := p.program.Text(env)
		if err != nil {
			return "", fail(err)
		}
		if v, err = p.in.escape(v); err != nil {
			return "", fmt.Errorf("${{ %s }} in the URL: %w", strings.TrimSpace(p.program.Source()), err)
		}
		b.WriteString(v)
	}
	return b.String(), nil
}

// escape returns v as it may stand in a place. Its errors do not show v, which may be a secret.
func (p place) escape(v string) (string, error) {
	switch p {
	case inBase:
		u, err := url.Parse(v)
		if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.User != nil || strings.ContainsAny(v, "?#") {
			return "", errs.New(errs.Invalid, "it is not of the form https://host/path").WithHint("give a base URL without user, query and fragment")
		}
		return strings.TrimSuffix(u.String(), "/"), nil
	case inHost:
		if v == "" || strings.Trim(v, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-:") != "" {
			return "", errs.New(errs.Invalid, "it is not the name of a host")
		}
		return v, nil
	case inPath:
		if v == "" || v == "." || v == ".." {
			return "", errs.New(errs.Invalid, "it is empty, or leads to another path")
		}
		return url.PathEscape(v), nil
	}
	return url.QueryEscape(v), nil
}
