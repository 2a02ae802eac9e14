package gateway

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"tutti/api"
	"tutti/bus"
	"tutti/internal/service"
	"tutti/internal/store"
)

// acting makes every service answer for acts, one a second, of which `each` gives a service how many.
func (w *world) acting(t *testing.T, each int, object string) {
	t.Helper()
	for n, name := range w.g.c.Services {
		check(t, service.FindActs(name).Handle(t.Context(), w.bus, func(_ context.Context, in service.ReadTrail) (out service.Trail[store.AuditRow], _ error) {
			for pos := int64(each); pos >= 1; pos-- {
				if in.Before != 0 && pos >= in.Before || len(out.Items) == in.Limit {
					continue
				}
				r := store.AuditRow{Pos: pos, At: time.Unix(1_800_000_000+2*pos+int64(n), 0), Subject: "user:anna", Action: "secret.set", Object: object, Namespace: in.Namespace, Detail: json.RawMessage(`{"a":1}`)}
				out.Items, out.Pos, out.At, out.Low, out.LowAt = append(out.Items, r), append(out.Pos, pos), append(out.At, r.At), pos, r.At
			}
			out.Low = max(1, out.Low)
			return out, nil
		}))
	}
}

func TestExportAudit(t *testing.T) {
	t.Parallel()
	w := setup(t)
	w.acting(t, 1300, `=HYPERLINK("x")`)
	rec := w.do("GET", "/v1/namespaces/default/audit/export?format=csv&q=by:anna", anna, "")
	lines := strings.Split(strings.TrimSpace(rec.Body.String()), "\n")
	if want := 1300*len(w.g.c.Services) + 1; rec.Code != 200 || len(lines) != want {
		t.Fatalf("export = %d with %d lines; want all %d", rec.Code, len(lines), want)
	}
	if !strings.Contains(lines[1], `"'=HYPERLINK(""x"")"`) || !strings.HasPrefix(lines[0], "at,subject,from") {
		t.Errorf("export begins %q; want headings, and no formula", lines[:2])
	}
	if !slices.IsSortedFunc(lines[1:], func(a, b string) int { return strings.Compare(b[:20], a[:20]) }) {
		t.Error("the export is not newest first")
	}
	rec = w.do("GET", "/v1/namespaces/default/audit/export", anna, "")
	var a api.Act
	first, _, _ := strings.Cut(rec.Body.String(), "\n")
	if err := json.Unmarshal([]byte(first), &a); err != nil || a.Action != "secret.set" || !strings.Contains(rec.Header().Get("Content-Disposition"), "audit-default.jsonl") {
		t.Errorf("export as JSON lines begins %s: %v", first, err)
	}
	for target, want := range map[string]int{"?format=xml": 422, "?q=colour:red": 422} {
		if rec := w.do("GET", "/v1/namespaces/default/audit/export"+target, anna, ""); rec.Code != want {
			t.Errorf("export%s = %d; want %d", target, rec.Code, want)
		}
	}
	if rec := w.do("GET", "/v1/namespaces/default/audit/export", reader, ""); rec.Code != 403 {
		t.Errorf("export by a reader = %d; want 403", rec.Code)
	}
}

// Where one service looked less far than another, what the other has from before may not be all.
func TestSearchEventsStopsWhereOneDoes(t *testing.T) {
	t.Parallel()
	w := setup(t)
	at := func(s int64) time.Time { return time.Unix(1_700_000_000+s, 0).UTC() }
	event := func(name string, pos int64) api.FoundEvent {
		return api.FoundEvent{ID: fmt.Sprintf("%s/%d", name, pos), At: at(pos)}
	}
	for _, name := range w.g.c.Services {
		check(t, service.FindEvents(name).Handle(t.Context(), w.bus, func(_ context.Context, in service.ReadTrail) (out service.Trail[api.FoundEvent], _ error) {
			low := int64(1)
			if name == w.g.c.Services[0] && in.Before == 0 {
				low = 50 // it looked no further, and found nothing
			}
			for pos := int64(99); pos >= low && name != w.g.c.Services[0]; pos -= 10 {
				if in.Before == 0 || pos < in.Before {
					out.Items, out.Pos, out.At = append(out.Items, event(name, pos)), append(out.Pos, pos), append(out.At, at(pos))
				}
			}
			if out.Low = low; low > 1 {
				out.LowAt = at(low)
			}
			out.Buckets, out.Counted = make([]map[api.State]int, in.Buckets), out.LowAt
			if in.Buckets > 0 {
				out.Buckets[0] = map[api.State]int{"": 2}
			}
			return out, nil
		}))
	}
	ctx := bus.WithCaller(t.Context(), caller("user:anna", "default", api.Viewer))
	in := api.SearchEventsIn{NS: api.NS{Namespace: "default"}, Buckets: 3, TrailQuery: api.TrailQuery{Query: "after:" + at(0).Format(time.RFC3339) + " before:" + at(100).Format(time.RFC3339)}}
	page, err := api.SearchEvents.Call(ctx, w.bus, in)
	check(t, err)
	others := len(w.g.c.Services) - 1
	if len(page.Items) != 5*others || !page.Back.Equal(at(50)) || page.Cursor == "" {
		t.Fatalf("found %d back to %v; want %d back to %v", len(page.Items), page.Back, 5*others, at(50))
	}
	if h := page.Histogram; len(h.Buckets) != 3 || h.Buckets[0][""] != 2*len(w.g.c.Services) || !h.Since.Equal(at(50)) || !h.From.Equal(at(0)) || !h.To.Equal(at(100)) {
		t.Errorf("histogram = %+v", h)
	}
	in.Cursor = page.Cursor
	if page, err = api.SearchEvents.Call(ctx, w.bus, in); err != nil || len(page.Items) != 5*others || page.Cursor != "" || !page.Back.IsZero() {
		t.Errorf("the rest = %d, cursor %q, %v; want %d and the end", len(page.Items), page.Cursor, err, 5*others)
	}
	in.Query = "colour:red"
	if _, err := api.SearchEvents.Call(ctx, w.bus, in); err == nil || !strings.Contains(err.Error(), "cannot be read") {
		t.Errorf("a query that cannot be read = %v", err)
	}
}
