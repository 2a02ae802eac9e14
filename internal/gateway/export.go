package gateway

import (
	"context"
	"encoding/csv"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"time"

	"tutti/api"
	"tutti/errs"
)

// exportRoute is where the audit trail can be taken away whole.
const exportRoute = "GET /v1/namespaces/{namespace}/audit/export"

// exportAudit answers with all acts that match ?q=, newest first, as ?format=csv or jsonl. What breaks it off
// later shows as an answer without its end.
func (g *Gateway) exportAudit(w http.ResponseWriter, r *http.Request) error {
	ns, err := g.namespace(r, api.ListAudit.Info().Perm)
	if err != nil {
		return err
	}
	query, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return malformed("the query is malformed")
	}
	format := query.Get("format")
	if format == "" {
		format = "jsonl"
	}
	writer := map[string]func(io.Writer) actWriter{"jsonl": jsonActs, "csv": csvActs}[format]
	if writer == nil {
		return errs.New(errs.Invalid, "one thing is wrong with the request").
			WithProblems(errs.Problem{Location: "query.format", Message: "not a format", Hint: "csv or jsonl"})
	}
	// Times that count back from now are read once, so that every page is of the same search.
	f, err := api.ParseTrail(query.Get("q"), time.Now())
	if err != nil {
		return err
	}
	in := api.ListAuditIn{NS: api.NS{Namespace: ns}, Paging: api.Paging{Limit: 1000}}
	page, err := g.auditPage(r.Context(), in, f)
	if err != nil {
		return err
	}
	h := w.Header()
	h.Set("Content-Type", map[string]string{"jsonl": "application/jsonl", "csv": "text/csv; charset=utf-8"}[format])
	h.Set("Content-Disposition", `attachment; filename="audit-`+ns+"."+format+`"`)
	w.WriteHeader(http.StatusOK)
	if r.Method == http.MethodHead {
		return nil
	}
	if err := g.writeActs(r.Context(), writer(&steady{w, http.NewResponseController(w)}), in, f, page); err != nil {
		g.log.Warn("the export of the audit trail broke off", "namespace", ns, "err", err)
		panic(http.ErrAbortHandler) // the only way to tell the far side, to whom the status is said already
	}
	return nil
}

// writeActs writes a page, and all that come after it.
func (g *Gateway) writeActs(ctx context.Context, out actWriter, in api.ListAuditIn, f api.TrailFilter, page api.AuditPage) (err error) {
	for {
		for _, a := range page.Items {
			if err := out.act(a); err != nil {
				return err
			}
		}
		if err := out.flush(); err != nil || page.Cursor == "" {
			return err
		}
		in.Cursor = page.Cursor
		if page, err = g.auditPage(ctx, in, f); err != nil {
			return err
		}
	}
}

// actWriter writes acts in a format.
type actWriter struct {
	act   func(api.Act) error
	flush func() error
}

// jsonActs writes an act a line.
func jsonActs(w io.Writer) actWriter {
	enc := json.NewEncoder(w)
	return actWriter{func(a api.Act) error { return enc.Encode(a) }, func() error { return nil }}
}

// csvActs writes a table with a line of headings.
func csvActs(w io.Writer) actWriter {
	out := csv.NewWriter(w)
	head := out.Write([]string{"at", "subject", "from", "namespace", "action", "object", "trace", "service", "detail"})
	return actWriter{
		act: func(a api.Act) error {
			if head != nil {
				return head
			}
			return out.Write([]string{a.At.UTC().Format(time.RFC3339Nano), cell(a.Subject), cell(a.From), cell(a.Namespace), cell(a.Action), cell(a.Object), a.Trace, a.Service, cell(string(a.Detail))})
		},
		flush: func() error { out.Flush(); return out.Error() },
	}
}

// cell keeps a spreadsheet from taking a text for a formula.
func cell(s string) string {
	if s != "" && (s[0] == '=' || s[0] == '+' || s[0] == '-' || s[0] == '@' || s[0] == '\t' || s[0] == '\r') {
		return "'" + s
	}
	return s
}
