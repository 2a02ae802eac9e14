package gateway

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"tutti/api"
	"tutti/bus"
	"tutti/errs"
	"tutti/internal/service"
	"tutti/internal/store"
)

func TestListAudit(t *testing.T) {
	t.Parallel()
	w := setup(t)
	start := time.Unix(1_800_000_000, 0)
	// The services acted in turns: workflow at even seconds, request at odd ones, request less often.
	acts := map[string][]store.AuditRow{}
	for i := range 60 {
		name := w.g.c.Services[i%2]
		if i%2 == 1 && i > 30 {
			continue
		}
		pos := int64(len(acts[name]) + 1)
		acts[name] = append(acts[name], store.AuditRow{Pos: pos, At: start.Add(time.Duration(i) * time.Second), Object: fmt.Sprint(i), Namespace: "default"})
	}
	for _, name := range w.g.c.Services {
		check(t, service.FindActs(name).Handle(t.Context(), w.bus, func(_ context.Context, in service.ReadTrail) (out service.Trail[store.AuditRow], _ error) {
			if in.Namespace != "default" {
				return out, fmt.Errorf("asked for namespace %q", in.Namespace)
			}
			// It never looks at more than three at once.
			for _, r := range slices.Backward(acts[name]) {
				if (in.Before == 0 || r.Pos < in.Before) && len(out.Items) < min(3, in.Limit) {
					out.Items, out.Pos, out.At = append(out.Items, r), append(out.Pos, r.Pos), append(out.At, r.At)
					out.Low, out.LowAt = r.Pos, r.At
				}
			}
			out.Low = max(out.Low, 1)
			return out, nil
		}))
	}
	ctx := bus.WithCaller(t.Context(), caller("user:anna", "default", api.Admin))
	in := api.ListAuditIn{NS: api.NS{Namespace: "default"}, Paging: api.Paging{Limit: 7}}
	var got []api.Act
	for {
		page, err := api.ListAudit.Call(ctx, w.bus, in)
		check(t, err)
		got = append(got, page.Items...)
		if len(page.Cursor) > 100 {
			t.Errorf("the cursor has %d bytes", len(page.Cursor))
		}
		if in.Cursor = page.Cursor; in.Cursor == "" {
			break
		}
	}
	if want := len(acts["workflow"]) + len(acts["request"]); len(got) != want {
		t.Fatalf("got %d acts; want %d", len(got), want)
	}
	if !slices.IsSortedFunc(got, func(a, b api.Act) int { return b.At.Compare(a.At) }) {
		t.Error("the acts are not newest first")
	}
	in.Cursor = "AAAA"
	if _, err := api.ListAudit.Call(ctx, w.bus, in); !errs.Is(err, errs.Invalid) {
		t.Errorf("a made-up cursor = %v; want invalid", err)
	}
	viewer := bus.WithCaller(t.Context(), caller("user:bob", "default", api.Viewer))
	if _, err := api.ListAudit.Call(viewer, w.bus, in); !errs.Is(err, errs.Denied) {
		t.Errorf("a viewer = %v; want denied", err)
	}
}

// A trail with a gap nobody sees is worse than none.
func TestListAuditNeedsEveryService(t *testing.T) {
	t.Parallel()
	w := setup(t)
	check(t, service.FindActs("workflow").Handle(t.Context(), w.bus, func(context.Context, service.ReadTrail) (t service.Trail[store.AuditRow], _ error) { return t, nil }))
	if rec := w.do("GET", "/v1/namespaces/default/audit", anna, ""); rec.Code != 503 {
		t.Errorf("the audit trail without a service = %d %s; want 503", rec.Code, rec.Body)
	}
}

func TestSearch(t *testing.T) {
	t.Parallel()
	w := setup(t)
	for _, kind := range []string{"run", "request"} {
		check(t, api.Find(kind).Handle(t.Context(), w.bus, func(_ context.Context, in api.FindIn) (api.Page[api.Found], error) {
			if strings.HasSuffix(in.Prefix, "none") {
				return api.Page[api.Found]{}, nil
			}
			return api.Page[api.Found]{Items: []api.Found{{Kind: kind, ID: in.Prefix}}}, nil
		}))
	}
	ctx := bus.WithCaller(t.Context(), caller("user:anna", "default", api.Viewer))
	for id, want := range map[string]string{"run_7k2m": "run", "req_7k2m": "request", "7k2m": "request run", "run_none": ""} {
		page, err := api.Search.Call(ctx, w.bus, api.SearchIn{NS: api.NS{Namespace: "default"}, ID: id})
		check(t, err)
		var kinds []string
		for _, f := range page.Items {
			kinds = append(kinds, f.Kind)
		}
		if got := strings.Join(kinds, " "); got != want {
			t.Errorf("Search(%q) found %q; want %q", id, got, want)
		}
	}
	// Nobody answers for files.
	if _, err := api.Search.Call(ctx, w.bus, api.SearchIn{NS: api.NS{Namespace: "default"}, ID: "file_7k2m"}); !errs.Is(err, errs.Unavailable) {
		t.Errorf("Search of a kind that nobody answers for = %v; want unavailable", err)
	}
}
